"""Tables of a study in a few rows: what a terminal shows and a paper prints, as frames; see ``TABLES``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from duchenne import cache, facs, record
from duchenne.errors import InputError
from duchenne.evidence import detections, ranked
from duchenne.evidence.intervention import movers
from duchenne.networks import TWIN
from duchenne.report import gallery
from duchenne.study import Study


def matched(study: Study) -> pd.DataFrame:
    """Each action unit's surest unit with its scores, how many units detect it, and the largest r behind random weights.

    Where the faces have no action unit often enough, the same of each expression, without random weights.
    """
    evidence, key = study.evidence, "au"
    if evidence.empty:
        evidence, key = record.frame(study.units_folder / "expressions.parquet"), "expression"
    sure = detections(evidence, study.recipe.evidence.level)[key].value_counts()
    best = ranked(evidence).drop_duplicates(key).set_index(key).sort_index()
    by_kl, by_distance = (evidence.loc[evidence.groupby(key)[name].idxmax()].set_index(key) for name in ("kl", "distance"))
    told = {
        "pictures": best["n_with"], "detectors": sure.reindex(best.index, fill_value=0), "unit": best["unit"],
        "r": best["r"], "r low": best["r_low"], "r high": best["r_high"], "AP lift": best["ap_lift"], "KL z": best["kl_z"],
        "p": best["p"], "q": best["q"], "unit by KL": by_kl["unit"], "unit by distance": by_distance["unit"],
    }  # fmt: skip
    if key == "expression":
        return pd.DataFrame(told).rename_axis(key).reset_index()
    twin = record.frame(study.units_folder / TWIN / "evidence.parquet").groupby("au")["r"].max()
    told |= {"name": _names(best.index), "r random weights": twin, "r within": best["r_within"]}
    return pd.DataFrame(told).rename_axis("action unit").reset_index()


def stimulated(study: Study) -> pd.DataFrame:
    """Each action unit's reaction: how many units it moves most and the one it moves farthest, and the expression whose
    probability it raises most, with its interval.
    """
    responses, reactions = study.interventions, study.reactions
    moved = movers(responses)["au"].value_counts()
    farthest = responses.loc[responses["effect"].abs().groupby(responses["au"]).idxmax()].set_index("au")
    changed = reactions.loc[reactions["change"].groupby(reactions["au"]).idxmax()].set_index("au")
    told = {
        "name": _names(farthest.index), "units moved most": moved.reindex(farthest.index, fill_value=0),
        "unit": farthest["unit"], "slope": farthest["slope"], "slope low": farthest["low"], "slope high": farthest["high"],
        "monotone": farthest["monotone"], "selectivity": farthest["selectivity"], "laterality": farthest["laterality"],
        "expression": changed["expression"], "change": changed["change"], "change low": changed["low"],
        "change high": changed["high"],
    }  # fmt: skip
    return pd.DataFrame(told).rename_axis("action unit").reset_index()


def ablated(study: Study) -> pd.DataFrame:
    """What silencing does to expressions, beyond random sets of as many units: all detectors of an action unit, to
    those whose prototypes hold it and to any others that change surely, and for each expression the single unit that it
    needs most.
    """
    found = study.ablations
    sets = found[found["what"] == "detectors"]
    surely = (sets["logit_beyond_low"] > 0) | (sets["logit_beyond_high"] < 0)
    together = sets[sets["prototype"] | surely & (sets["p"] <= sets["p"].min())].sort_values(["au", "expression"])
    alone = found[found["what"] == "unit"]
    needed = alone.loc[alone["logit_beyond"].fillna(0).groupby(alone["expression"], sort=False).idxmin()]
    shown = pd.concat([together, needed], ignore_index=True)
    silenced = [row.au if row.what == "detectors" else f"unit {row.unit}" for row in shown.itertuples()]
    columns = {
        "units": "units", "expression": "expression", "prototype": "in its prototype", "pictures": "pictures",
        "recall": "recall", "recall_change": "recall change", "recall_beyond": "recall beyond random",
        "recall_beyond_low": "recall beyond random low", "recall_beyond_high": "recall beyond random high",
        "logit_change": "log-odds change", "logit_beyond": "log-odds beyond random",
        "logit_beyond_low": "log-odds beyond random low", "logit_beyond_high": "log-odds beyond random high", "p": "p",
    }  # fmt: skip
    told = shown[list(columns)].rename(columns=columns).assign(silenced=silenced)[["silenced", *columns.values()]]
    return told.assign(**{"in its prototype": told["in its prototype"].map({True: "yes", False: "no"})})


def detected(study: Study) -> pd.DataFrame:
    """Each action unit read from one unit, a few and all, on people left out; and from all behind random weights.

    Raises ``InputError`` where the faces have no action unit often enough.
    """
    if study.detectors.empty:
        raise InputError(f"{study.folder}: {study.untested}")
    by_au = {name: frame.set_index("au") for name, frame in study.detectors.groupby("detector")}
    one, few, every = (by_au[name] for name in ("one unit", "few units", "all units"))
    twin = record.frame(study.units_folder / TWIN / "detectors.parquet")
    told = {
        "name": _names(one.index), "prevalence": one["prevalence"], "unit": one["unit"], "F1": one["f1"], "AP": one["ap"],
        "AP low": one["ap_low"], "AP high": one["ap_high"], "intensity r": one["intensity_r"],
        "AP of few": few["ap"], "few": few["units"], "AP of all": every["ap"],
        "AP of all, random weights": twin[twin["detector"] == "all units"].set_index("au")["ap"],
        "in one unit": one["share"],
    }  # fmt: skip
    return pd.DataFrame(told).rename_axis("action unit").reset_index()


def trusted(study: Study) -> pd.DataFrame:
    """How often each score names the action unit that moves a unit most: on all of the study's people, and on free faces,
    beside chance and random weights. Raises ``InputError`` where no action unit is shown often enough on either.
    """
    found = study.agreement[study.agreement["faces"] != "dose"]
    if found.empty:
        raise InputError(f"{study.folder}: no action unit is shown often enough to judge scores by; stimulate more people")
    whole = found[found["people"] == found.groupby(["network", "faces"])["people"].transform("max")]
    places = {"study": ("trained", "study"), "free": ("trained", "free"), "random weights, free": ("random weights", "free")}
    parts: dict[str, pd.Series] = {}
    for name, (network, faces) in places.items():
        own = whole[(whole["network"] == network) & (whole["faces"] == faces)].set_index("score")
        columns = {name: "agreement", f"{name} chance": "chance"}
        parts |= {column: own[told] for column, told in columns.items() if len(own)}
    return (
        pd.DataFrame(parts)
        .rename_axis("score")
        .reset_index()
        .sort_values(next(iter(parts)), ascending=False, ignore_index=True)
    )


def located(study: Study) -> pd.DataFrame:
    """For each action unit the surest unit that detects it, and whether it looks where the action unit acts; and how
    many of all units do at 0.05, beside the same behind random weights.

    Raises ``InputError`` where nobody knows where action units act, or none is coded.
    """
    found = study.localisation
    if found.empty or study.evidence.empty:
        raise InputError(f"{study.folder}: the faces carry no landmarks, or no action unit, to place units by")
    twin = record.frame(study.units_folder / TWIN / "localisation.parquet")
    there, there_by_chance = (frame["p"].le(0.05).groupby(frame["au"]).sum() for frame in (found, twin))
    best = ranked(study.evidence).drop_duplicates("au")[["au", "unit"]]
    own = best.merge(found, on=["au", "unit"]).set_index("au").sort_index()
    told = {
        "name": _names(own.index), "unit": own["unit"], "energy": own["energy"], "energy displaced": own["energy_null"],
        "area": own["area"], "enrichment": own["enrichment"], "pointing": own["pointing"],
        "pointing displaced": own["pointing_null"], "p": own["p"], "units there": there.reindex(own.index),
        "random weights": there_by_chance.reindex(own.index),
        "p random weights": twin.groupby("au")["p"].median().reindex(own.index),
    }  # fmt: skip
    return pd.DataFrame(told).rename_axis("action unit").reset_index()


def reading(study: Study) -> pd.DataFrame:
    """How well expressions are read, beside guessing and the paper: khorrami2015's Tables 1 to 3, mousavi2016's Table II.

    One row; ``accuracy`` is that of all networks together on their test pictures, with its 95 % interval; ``mean`` and
    ``sd`` are over networks.
    """
    scores, paper = study.scores, study.scores["paper"]
    low, high = scores["interval"] or (np.nan, np.nan)
    told = {
        "network": study.recipe.network.name, "faces": study.state["faces"]["source"], "expressions": len(scores["classes"]),
        "pictures": scores["pictures"], "people": scores["people"], "networks": len(scores["networks"]),
        "accuracy": scores["accuracy"], "accuracy low": low, "accuracy high": high, "mean": scores["mean"],
        "sd": np.nan if scores["sd"] is None else scores["sd"], "best": scores["best"], "guessing": scores["majority"],
        "paper": np.nan if paper["accuracy"] is None else paper["accuracy"] / 100, "paper's table": paper["table"],
    }  # fmt: skip
    return pd.DataFrame([told])


def expressions(study: Study) -> pd.DataFrame:
    """How well each expression is read in the test pictures: precision, recall and F1, and how many pictures show it."""
    return pd.DataFrame(study.scores["classes"]).T.astype({"pictures": int}).rename_axis("expression").reset_index()


def correspondences(study: Study, count: int = 10) -> pd.DataFrame:
    """khorrami2015's Table 4: of the units that stand first, the action unit of the largest divergence, and that of the
    largest correlation beside it, with what tells whether either is more than chance.

    Raises ``InputError`` where the faces have no action unit often enough.
    """
    if study.evidence.empty:
        raise InputError(f"{study.folder}: {study.untested}")
    units = gallery.chosen(study.units_folder, count)
    own = study.evidence[study.evidence["unit"].isin(units)]
    by_kl, by_r = (own.loc[own.groupby("unit")[name].idxmax()].set_index("unit").loc[units] for name in ("kl", "r"))
    told = {
        "by KL": by_kl["au"], "name by KL": _names(by_kl["au"]), "KL": by_kl["kl"], "KL by chance": by_kl["kl_null"],
        "KL z": by_kl["kl_z"], "by r": by_r["au"], "name by r": _names(by_r["au"]), "r": by_r["r"], "r low": by_r["r_low"],
        "r high": by_r["r_high"], "p": by_r["p"],
    }  # fmt: skip
    return pd.DataFrame(told).reset_index()


TABLES: dict[str, Callable[[Study], pd.DataFrame]] = {
    "evidence": matched,
    "localisation": located,
    "stimulation": stimulated,
    "ablation": ablated,
    "detectors": detected,
    "agreement": trusted,
}
"""Every table by the stage that it tells of."""


CONDENSED = {
    "evidence": (
        "action unit", "expression", "pictures", "detectors", "unit", "r", "r random weights", "KL z", "AP lift", "p",
    ),
    "localisation": (
        "action unit", "unit", "energy", "energy displaced", "enrichment", "pointing", "p", "p random weights",
        "units there", "random weights",
    ),
    "stimulation": ("action unit", "units moved most", "unit", "slope", "selectivity", "expression", "change"),
    "ablation": (
        "silenced", "units", "expression", "in its prototype", "recall", "recall beyond random", "log-odds beyond random",
        "p",
    ),
    "detectors": ("action unit", "prevalence", "unit", "F1", "AP", "AP of few", "AP of all", "in one unit"),
    "agreement": ("score", "study", "study chance", "free", "free chance", "random weights, free"),
}  # fmt: skip
"""The columns that fit on a terminal."""
_BOUNDS = {"in one unit": "share"}
"""What the interval of a column is called, where not as the column."""


LEGENDS: dict[str, dict[str, str]] = {
    "evidence": {
        "unit": "the surest one, in brackets where it detects nothing",
        "r": "with its interval over people, where six or more show it",
        "r random weights": "the largest of all units behind them",
        "KL z": "standard deviations above permuted labels",
        "p": "family-wise over all pairs, far into the tail by a fitted distribution",
    },
    "localisation": {
        "energy": "share of the projection where the action unit acts, beside that place displaced over the face",
        "p": "of that place among displaced ones, beside the same for units behind random weights, the median",
    },
    "stimulation": {
        "unit": "the one moved farthest, up or down as the slope says",
        "slope": "its standard deviations from absent to full",
        "selectivity": "1 where nothing else moves it, below 0 where something else moves it farther",
        "change": "of the expression that gains most",
    },
    "ablation": {
        "recall beyond random": "compared with random sets of as many units that vary as much",
        "p": "rank among these, of one row alone, ≤ where none of them lies as far",
    },
    "detectors": {
        "prevalence": "of the action unit on people left out, which is AP by chance",
        "unit": "chosen most often, whichever its sign",
        "AP": "average precision, with its interval over people, where thirteen or more show it",
        "in one unit": "what of all units' precision above prevalence it reaches",
    },
    "agreement": {
        "study": "share of units for which a score's largest value names the tested action unit that moves them most"
    },
}
"""What stands below the table of a stage, of each column."""

_OF_DETECTORS = {
    "r within": "among pictures of one expression only, and p of that, of one row alone",
    "p": "family-wise over all pairs",
    "moved by it": "what the action unit alone does to the unit on rendered faces, from absent to full, in its standard "
    "deviations",
    "holds": "whether the slope's 95 % interval over people lies above 0 (action units that the face model cannot show are "
    "not stimulated)",
    "moved most by": "of all action units that can be rendered, tested or not",
}


def legend(stage: str, table: pd.DataFrame | None = None) -> str:
    """Say what the columns of a stage's table mean, those that it has; of an action unit's detectors where it has no stage.

    >>> legend("evidence", pd.DataFrame(columns=["unit", "KL z"])).count(";")
    1
    """
    every = LEGENDS.get(stage) or _OF_DETECTORS
    told = [f"{column}: {says}" for column, says in every.items() if table is None or column in table]
    return "; ".join(told) + "."


def detectors_of(study: Study, action_unit: str) -> pd.DataFrame:
    """All detectors of an action unit ("AU12", "au12" or "12"), surest first: how sure they are, and where stimulated what
    moves them.

    Raises ``InputError`` for an action unit that was not tested.
    """
    if number := re.fullmatch(r"(?:AU)?(\d{1,2})", action_unit, re.IGNORECASE):
        action_unit = facs.code(int(number[1]))
    tested = sorted(study.evidence["au"].unique()) if len(study.evidence) else []
    if action_unit not in tested:
        least = study.recipe.evidence.least
        why = (
            f"not tested, which takes {least} pictures with it and {least} without, of people whom no network was trained on"
        )
        raise InputError(f"--au {action_unit}: {why}; there are {', '.join(tested) or 'none'}")
    found = ranked(detections(study.evidence, study.recipe.evidence.level))
    own = found[found["au"] == action_unit].set_index("unit")
    told = {
        "r": own["r"], "r low": own["r_low"], "r high": own["r_high"], "r within": own["r_within"],
        "p within, alone": own["p_within"], "AP lift": own["ap_lift"], "KL z": own["kl_z"], "p": own["p"], "q": own["q"],
    }  # fmt: skip
    if len(study.interventions):
        responses = study.interventions
        alone = responses[responses["au"] == action_unit].set_index("unit").reindex(own.index)
        told |= {
            "moved by it": alone["effect"], "holds": _holds(alone["low"], alone["effect"]),
            "moved most by": movers(responses, 0.0).set_index("unit")["au"],
        }  # fmt: skip
    return pd.DataFrame(told).reindex(own.index).rename_axis("unit").reset_index()


def _holds(low: pd.Series, effect: pd.Series) -> pd.Series:
    """Whether slopes whose intervals begin there are above 0, in words.

    >>> _holds(pd.Series([0.1, -0.1, float("nan"), float("nan")]), pd.Series([1.0, 0.2, 0.3, float("nan")])).tolist()
    ['yes', 'no', 'too few people', 'not stimulated']
    """
    said = low.gt(0).map({True: "yes", False: "no"}).where(low.notna(), "too few people")
    return said.where(effect.notna(), "not stimulated")


def condensed(study: Study, stage: str) -> pd.DataFrame:
    """The table of a stage as texts that fit on a terminal: numbers with their intervals, action units with their names."""
    table = TABLES[stage](study)
    told = written(table[[name for name in table if name in CONDENSED[stage] or name.endswith((" low", " high"))]])
    if "name" in table:
        told["action unit"] += " " + table["name"]
    if "detectors" in table:
        told["unit"] = told["unit"].where(table["detectors"] > 0, "(" + told["unit"] + ")")
    if stage == "ablation":
        told["p"] = _floored(table["p"], told["p"], study.recipe.ablation.random_sets)
    return told[[name for name in CONDENSED[stage] if name in told]]


def _floored(p: pd.Series, texts: pd.Series, sets: int) -> pd.Series:
    """Say of the smallest p that so many random sets can give that it is no more than that.

    >>> _floored(pd.Series([1 / 21, 0.5]), pd.Series(["0.048", "0.50"]), 20).tolist()
    ['≤ 0.048 (20 sets)', '0.50']
    """
    return texts.where(p > 1 / (sets + 1) + 1e-9, "≤ " + texts + f" ({sets} sets)").where(p.notna(), texts)


def written(table: pd.DataFrame) -> pd.DataFrame:
    """A table as texts, numbers with their intervals.

    >>> written(pd.DataFrame({"r": [0.5], "r low": [0.4], "r high": [0.6]})).values.tolist()
    [['0.50 [0.40, 0.60]']]
    """
    told = {}
    for name in (name for name in table if not str(name).endswith((" low", " high"))):
        low, high = (f"{_BOUNDS.get(name, name)} {end}" for end in ("low", "high"))
        texts = [cell(value) for value in table[name]]
        if low in table:
            bounds = zip(texts, table[low], table[high], strict=True)
            texts = [f"{text} [{cell(least)}, {cell(most)}]" if least == least else text for text, least, most in bounds]
        told[name] = pd.Series(texts, table.index, dtype=str)
    return pd.DataFrame(told)


def write(study: Study, stage: str) -> Path:
    """Write the table of a stage to ``tables/<stage>.csv`` and ``.tex``, each whole or not at all; return the latter."""
    table = TABLES[stage](study)
    folder = study.folder / "tables"
    with cache.replacing(folder / f"{stage}.csv") as partial:
        table.to_csv(partial, index=False)
    with cache.replacing(folder / f"{stage}.tex") as partial:
        partial.write_text(latex(table), encoding="utf-8")
    return folder / f"{stage}.tex"


def write_all(study: Study) -> None:
    """Write the tables of all stages; those of stages that have nothing to tell (no action units, no landmarks) are
    removed.
    """
    for stage in TABLES:
        try:
            write(study, stage)
        except InputError:
            for kind in ("csv", "tex"):
                (study.folder / "tables" / f"{stage}.{kind}").unlink(missing_ok=True)


def latex(table: pd.DataFrame) -> str:
    r"""A table in LaTeX with the rules of the package booktabs.

    >>> print(latex(pd.DataFrame({"au": ["AU12"], "r_low": [0.25]})))
    \begin{tabular}{lr}
    \toprule
    au & r\_low \\
    \midrule
    AU12 & 0.25 \\
    \bottomrule
    \end{tabular}
    <BLANKLINE>
    """
    return str(table.to_latex(index=False, float_format=cell, na_rep="--", escape=True))


def escaped(text: str) -> str:
    r"""A text as LaTeX takes it.

    >>> escaped("95 % of n_with & more")
    '95 \\% of n\\_with \\& more'
    """
    return re.sub(r"([&%$#_{}])", r"\\\1", text.replace("\\", "\\textbackslash ").replace("\u202f", "\\,"))


def cell(value: object) -> str:
    """Write a number to two digits behind the point, or as many as tell it from 0; whole numbers and texts as they are.

    >>> [cell(value) for value in (0.256, 0.0013, -1.0, 0.0, float("nan"), pd.NA, 12, "AU12")]
    ['0.26', '0.0013', '-1.00', '0.00', '--', '--', '12', 'AU12']
    """
    if value is pd.NA:
        return "--"
    if not isinstance(value, float):
        return str(value)
    if not np.isfinite(value):
        return "--"
    return f"{value:.2g}" if 0 < abs(value) < 0.005 else f"{value:.2f}"


def _names(codes: pd.Index | pd.Series) -> list[str]:
    return [facs.coded(code).name for code in codes]
