"""Tables of a study in a few rows: what a terminal shows and a paper prints, as frames; see
``TABLES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from duchenne import facs, files
from duchenne.errors import ArgumentError, InputError
from duchenne.evidence import detections, ranked
from duchenne.evidence.doses import movers
from duchenne.report import gallery
from duchenne.study.record import Study

_ABLATED = {
    "units": "units",
    "expression": "expression",
    "prototype": "in its prototype",
    "pictures": "pictures",
    "recall": "recall",
    "recall_change": "recall change",
    "recall_beyond": "recall beyond random",
    "recall_beyond_low": "recall beyond random low",
    "recall_beyond_high": "recall beyond random high",
    "logit_change": "log-odds change",
    "logit_beyond": "log-odds beyond random",
    "logit_beyond_low": "log-odds beyond random low",
    "logit_beyond_high": "log-odds beyond random high",
    "p": "p",
}
"""What the table of ablations calls the columns of ``ablation.parquet``."""

_MEASURED = {
    "study": ("trained", "study"),
    "free": ("trained", "free"),
    "untrained, free": ("untrained", "free"),
}
"""Network and faces that validity was measured on, by the name of its column."""


def matched(study: Study) -> pd.DataFrame:
    """Each action unit's surest unit with its scores, how many units detect it, and the largest r
    in the untrained network.

    Where the faces have no action unit often enough, the same of each expression, without the
    untrained network.

    Args:
        study: The study.

    Returns:
        A row an action unit.
    """
    evidence, key = study.evidence, "au"
    if evidence.empty:
        evidence, key = study.expressions, "expression"
    detecting = detections(evidence, study.recipe.evidence.level)[key].value_counts()
    best = ranked(evidence).drop_duplicates(key).set_index(key).sort_index()
    columns = {
        "pictures": best["n_with"],
        "detectors": detecting.reindex(best.index, fill_value=0),
        "unit": best["unit"],
        "r": best["r"],
        "r low": best["r_low"],
        "r high": best["r_high"],
        "AP lift": best["ap_lift"],
        "KL z": best["kl_z"],
        "p": best["p"],
        "q": best["q"],
        "unit by KL": _largest(evidence, key, "kl")["unit"],
        "unit by distance": _largest(evidence, key, "distance")["unit"],
    }
    if key == "au":
        columns |= {
            "name": _names(best.index),
            "r untrained": untrained_correlations(study),
            "r within": best["r_within"],
        }
    index = "action unit" if key == "au" else key
    return pd.DataFrame(columns).rename_axis(index).reset_index()


def _largest(evidence: pd.DataFrame, key: str, score: str) -> pd.DataFrame:
    """The unit that a score is largest of, by action unit or expression."""
    return evidence.loc[evidence.groupby(key)[score].idxmax()].set_index(key)


def untrained_correlations(study: Study) -> pd.Series:
    """Give each action unit's largest correlation with a unit of the untrained network.

    Args:
        study: A finished study whose faces are coded.

    Returns:
        r, by action unit.
    """
    evidence = study.untrained("evidence")
    return evidence.groupby("au")["r"].max()


def stimulated(study: Study) -> pd.DataFrame:
    """Each action unit's reaction: how many units it moves most and the one it moves farthest, and
    the expression whose probability it raises most, with its interval.

    Args:
        study: The study.

    Returns:
        A row an action unit.
    """
    responses, reactions = study.interventions, study.reactions
    moved = movers(responses)["au"].value_counts()
    farthest = responses.loc[responses["effect"].abs().groupby(responses["au"]).idxmax()].set_index(
        "au"
    )
    changed = reactions.loc[reactions["change"].groupby(reactions["au"]).idxmax()].set_index("au")
    told = {
        "name": _names(farthest.index),
        "units moved most": moved.reindex(farthest.index, fill_value=0),
        "unit": farthest["unit"],
        "slope": farthest["slope"],
        "slope low": farthest["low"],
        "slope high": farthest["high"],
        "monotone": farthest["monotone"],
        "selectivity": farthest["selectivity"],
        "laterality": farthest["laterality"],
        "expression": changed["expression"],
        "change": changed["change"],
        "change low": changed["low"],
        "change high": changed["high"],
    }
    return pd.DataFrame(told).rename_axis("action unit").reset_index()


def ablated(study: Study) -> pd.DataFrame:
    """What ablation does to expressions, beyond random sets of as many units: all detectors of an
    action unit, to those whose prototypes hold it and to any others that change surely, and for
    each expression the single unit that it needs most.

    Args:
        study: The study.

    Returns:
        A row a set and expression.
    """
    effects = study.ablations
    shown = pd.concat([_detectors_shown(effects), _units_needed(effects)], ignore_index=True)
    table = shown[list(_ABLATED)].rename(columns=_ABLATED)
    table.insert(0, "ablated", [_what(row) for row in shown.itertuples()])
    in_prototype = table["in its prototype"].map({True: "yes", False: "no"})
    return table.assign(**{"in its prototype": in_prototype})


def _detectors_shown(effects: pd.DataFrame) -> pd.DataFrame:
    """Detectors on the expressions that they are prototypical of, or surely matter to."""
    sets = effects[effects["what"] == "detectors"]
    beyond = (sets["logit_beyond_low"] > 0) | (sets["logit_beyond_high"] < 0)
    surely = beyond & (sets["p"] <= sets["p"].min())
    return sets[sets["prototype"] | surely].sort_values(["au", "expression"])


def _units_needed(effects: pd.DataFrame) -> pd.DataFrame:
    """The unit whose ablation costs each expression most, beyond random units."""
    alone = effects[effects["what"] == "unit"]
    beyond = alone["logit_beyond"].fillna(0)
    return alone.loc[beyond.groupby(alone["expression"], sort=False).idxmin()]


def _what(row: Any) -> str:
    return str(row.au) if row.what == "detectors" else f"unit {row.unit}"


def detected(study: Study) -> pd.DataFrame:
    """Each action unit read from the best unit, the best few and all units, tested on held-out
    subjects; and from all in the untrained network.

    Args:
        study: The study.

    Returns:
        A row an action unit.

    Raises:
        InputError: Where the faces have no action unit often enough.
    """
    if study.detectors.empty:
        raise InputError(f"{study.folder}: {study.untested}")
    by_au = {name: frame.set_index("au") for name, frame in study.detectors.groupby("detector")}
    best, few, every = (by_au[name] for name in ("best unit", "best few", "all units"))
    untrained = study.untrained("detectors")
    untrained = untrained[untrained["detector"] == "all units"].set_index("au")
    columns = {
        "name": _names(best.index),
        "base rate": best["base_rate"],
        "unit": best["unit"],
        "F1": best["f1"],
        "AP": best["ap"],
        "AP low": best["ap_low"],
        "AP high": best["ap_high"],
        "intensity r": best["intensity_r"],
        "AP of few": few["ap"],
        "few": few["units"],
        "AP of all": every["ap"],
        "AP of all, untrained": untrained["ap"],
        "in best unit": best["share"],
    }
    return pd.DataFrame(columns).rename_axis("action unit").reset_index()


def trusted(study: Study) -> pd.DataFrame:
    """How often each score names the action unit that moves a unit most: on all of the study's
    people, and on free faces, beside chance and the untrained network.

    Args:
        study: The study.

    Returns:
        A row a score.

    Raises:
        InputError: Where no action unit is shown often enough on either.
    """
    measured = study.validity[study.validity["faces"] != "dose"]
    if measured.empty:
        raise InputError(
            f"{study.folder}: no action unit is shown often enough to judge scores by; stimulate "
            "more people"
        )
    most = measured.groupby(["network", "faces"])["people"].transform("max")
    whole = measured[measured["people"] == most]
    parts: dict[str, pd.Series] = {}
    for name, (network, faces) in _MEASURED.items():
        rows = whole[(whole["network"] == network) & (whole["faces"] == faces)]
        rows = rows.set_index("score")
        if len(rows):
            parts |= {name: rows["validity"], f"{name} chance": rows["chance"]}
    table = pd.DataFrame(parts).rename_axis("score").reset_index()
    return table.sort_values(next(iter(parts)), ascending=False, ignore_index=True)


def located(study: Study) -> pd.DataFrame:
    """For each action unit the surest unit that detects it, and whether it looks where the action
    unit acts; and how many of all units do at 0.05, beside the same in the untrained network.

    Args:
        study: The study.

    Returns:
        A row an action unit.

    Raises:
        InputError: Where nobody knows where action units act, or none is coded.
    """
    regions = study.localisation
    if regions.empty or study.evidence.empty:
        raise InputError(
            f"{study.folder}: the faces carry no landmarks, or no action unit, to place units by"
        )
    untrained = study.untrained("localisation")
    best = ranked(study.evidence).drop_duplicates("au")[["au", "unit"]]
    rows = best.merge(regions, on=["au", "unit"]).set_index("au").sort_index()
    columns = {
        "name": _names(rows.index),
        "unit": rows["unit"],
        "energy": rows["energy"],
        "energy displaced": rows["energy_null"],
        "area": rows["area"],
        "enrichment": rows["enrichment"],
        "pointing": rows["pointing"],
        "pointing displaced": rows["pointing_null"],
        "p": rows["p"],
        "units there": _beyond_chance(regions).reindex(rows.index),
        "untrained": _beyond_chance(untrained).reindex(rows.index),
        "p untrained": untrained.groupby("au")["p"].median().reindex(rows.index),
    }
    return pd.DataFrame(columns).rename_axis("action unit").reset_index()


def _beyond_chance(regions: pd.DataFrame) -> pd.Series:
    """The number of units whose energy lies in each action unit's region, at p ≤ 0.05."""
    return regions["p"].le(0.05).groupby(regions["au"]).sum()


def accuracy(study: Study) -> pd.DataFrame:
    """How well expressions are read, beside guessing and the paper: khorrami2015's Tables 1 to 3,
    mousavi2016's Table II.

    ``accuracy`` is that of all networks together on their test pictures, with its 95 % interval;
    ``mean`` and ``sd`` are over networks.

    Args:
        study: The study.

    Returns:
        One row.
    """
    scores, paper = study.scores, study.scores["paper"]
    low, high = scores["interval"] or (np.nan, np.nan)
    told = {
        "network": study.recipe.network.name,
        "faces": study.state["faces"]["source"],
        "expressions": len(scores["classes"]),
        "pictures": scores["pictures"],
        "people": scores["people"],
        "networks": len(scores["networks"]),
        "accuracy": scores["accuracy"],
        "accuracy low": low,
        "accuracy high": high,
        "mean": scores["mean"],
        "sd": np.nan if scores["sd"] is None else scores["sd"],
        "best": scores["best"],
        "guessing": scores["majority"],
        "paper": np.nan if paper["accuracy"] is None else paper["accuracy"] / 100,
        "paper's table": paper["table"],
    }
    return pd.DataFrame([told])


def expressions(study: Study) -> pd.DataFrame:
    """How well each expression is read in the test pictures: precision, recall and F1, and how many
    pictures show it.

    Args:
        study: The study.

    Returns:
        A row an expression.
    """
    return (
        pd.DataFrame(study.scores["classes"])
        .T.astype({"pictures": int})
        .rename_axis("expression")
        .reset_index()
    )


def correspondences(study: Study, count: int = 10) -> pd.DataFrame:
    """khorrami2015's Table 4: of the units that stand first, the action unit of the largest
    divergence, and that of the largest correlation beside it, with what tells whether either is
    more than chance.

    Args:
        study: The study.
        count: How many units.

    Returns:
        A row a unit.

    Raises:
        InputError: Where the faces have no action unit often enough.
    """
    if study.evidence.empty:
        raise InputError(f"{study.folder}: {study.untested}")
    units = gallery.chosen(study.units_folder, count)
    own = study.evidence[study.evidence["unit"].isin(units)]
    by_kl, by_r = (
        own.loc[own.groupby("unit")[name].idxmax()].set_index("unit").loc[units]
        for name in ("kl", "r")
    )
    told = {
        "by KL": by_kl["au"],
        "name by KL": _names(by_kl["au"]),
        "KL": by_kl["kl"],
        "KL by chance": by_kl["kl_null"],
        "KL z": by_kl["kl_z"],
        "by r": by_r["au"],
        "name by r": _names(by_r["au"]),
        "r": by_r["r"],
        "r low": by_r["r_low"],
        "r high": by_r["r_high"],
        "p": by_r["p"],
    }
    return pd.DataFrame(told).reset_index()


TABLES: dict[str, Callable[[Study], pd.DataFrame]] = {
    "evidence": matched,
    "localisation": located,
    "stimulation": stimulated,
    "ablation": ablated,
    "detectors": detected,
    "validity": trusted,
}
"""Every table by the stage that it tells of."""


CONDENSED = {
    "evidence": (
        "action unit",
        "expression",
        "pictures",
        "detectors",
        "unit",
        "r",
        "r untrained",
        "KL z",
        "AP lift",
        "p",
    ),
    "localisation": (
        "action unit",
        "unit",
        "energy",
        "energy displaced",
        "enrichment",
        "pointing",
        "p",
        "p untrained",
        "units there",
        "untrained",
    ),
    "stimulation": (
        "action unit",
        "units moved most",
        "unit",
        "slope",
        "selectivity",
        "expression",
        "change",
    ),
    "ablation": (
        "ablated",
        "units",
        "expression",
        "in its prototype",
        "recall",
        "recall beyond random",
        "log-odds beyond random",
        "p",
    ),
    "detectors": (
        "action unit",
        "base rate",
        "unit",
        "F1",
        "AP",
        "AP of few",
        "AP of all",
        "in best unit",
    ),
    "validity": ("score", "study", "study chance", "free", "free chance", "untrained, free"),
}
"""The columns that fit on a terminal."""
_BOUNDS = {"in best unit": "share"}
"""What the interval of a column is called, where not as the column."""


LEGENDS: dict[str, dict[str, str]] = {
    "evidence": {
        "unit": "the surest one, in brackets where it detects nothing",
        "r": "with its interval over people, where six or more show it",
        "r untrained": "the largest of all units behind them",
        "KL z": "standard deviations above permuted labels",
        "p": "family-wise over all pairs, far into the tail by a fitted distribution",
    },
    "localisation": {
        "energy": (
            "share of the projection where the action unit acts, beside that place displaced over "
            "the face"
        ),
        "p": (
            "of that place among displaced ones, beside the same for units of the untrained "
            "network, the median"
        ),
    },
    "stimulation": {
        "unit": "the one moved farthest, up or down as the slope says",
        "slope": "its standard deviations from absent to full",
        "selectivity": (
            "1 where nothing else moves it, below 0 where something else moves it farther"
        ),
        "change": "of the expression that gains most",
    },
    "ablation": {
        "recall beyond random": "compared with random sets of as many units that vary as much",
        "p": "rank among these, of one row alone, ≤ where none of them lies as far",
    },
    "detectors": {
        "base rate": "of the action unit on people left out, which is AP by chance",
        "unit": "chosen most often, whichever its sign",
        "AP": "average precision, with its interval over people, where thirteen or more show it",
        "in best unit": "what of all units' precision above base rate it reaches",
    },
    "validity": {
        "study": (
            "share of units for which a score's largest value names the tested action unit that "
            "moves them most"
        )
    },
}
"""What stands below the table of a stage, of each column."""

_OF_DETECTORS = {
    "r within": "among pictures of one expression only, and p of that, of one row alone",
    "p": "family-wise over all pairs",
    "moved by it": "what the action unit alone does to the unit on rendered faces, from absent to "
    "full, in its standard deviations",
    "holds": (
        "whether the slope's 95 % interval over people lies above 0 (action units that the face "
        "model cannot show are not stimulated)"
    ),
    "moved most by": "of all action units that can be rendered, tested or not",
}


def legend(stage: str, table: pd.DataFrame | None = None) -> str:
    """Say what the columns of a stage's table mean, those that it has; of an action unit's
    detectors where it has no stage.

    Args:
        stage: Its name; empty for the detectors of one action unit.
        table: Of the stage.

    Returns:
        One paragraph.

    >>> legend("evidence", pd.DataFrame(columns=["unit", "KL z"])).count(";")
    1
    """
    every = LEGENDS.get(stage) or _OF_DETECTORS
    told = [
        f"{column}: {says}" for column, says in every.items() if table is None or column in table
    ]
    return "; ".join(told) + "."


def detectors_of(study: Study, action_unit: str) -> pd.DataFrame:
    """All detectors of an action unit, surest first: how sure they are, and where stimulated what
    moves them.

    Args:
        study: The study.
        action_unit: As "AU12", "au12" or "12".

    Returns:
        A row a unit.

    Raises:
        InputError: For an action unit that was not tested.
    """
    code = _tested(study, action_unit)
    detecting = ranked(detections(study.evidence, study.recipe.evidence.level))
    rows = detecting[detecting["au"] == code].set_index("unit")
    columns = {
        "r": rows["r"],
        "r low": rows["r_low"],
        "r high": rows["r_high"],
        "r within": rows["r_within"],
        "p within, alone": rows["p_within"],
        "AP lift": rows["ap_lift"],
        "KL z": rows["kl_z"],
        "p": rows["p"],
        "q": rows["q"],
    }
    if len(study.interventions):
        responses = study.interventions
        alone = responses[responses["au"] == code].set_index("unit").reindex(rows.index)
        columns |= {
            "moved by it": alone["effect"],
            "holds": _holds(alone["low"], alone["effect"]),
            "moved most by": movers(responses, 0.0).set_index("unit")["au"],
        }
    return pd.DataFrame(columns).reindex(rows.index).rename_axis("unit").reset_index()


def _tested(study: Study, action_unit: str) -> str:
    """The code of an action unit that units were matched with, e.g. "AU12" of "12"."""
    code = action_unit
    if number := re.fullmatch(r"(?:AU)?(\d{1,2})", action_unit, re.IGNORECASE):
        code = facs.code(int(number[1]))
    tested = sorted(study.evidence["au"].unique()) if len(study.evidence) else []
    if code in tested:
        return code
    least = study.recipe.evidence.least
    why = (
        f"not tested, which takes {least} pictures with it and {least} without, of people whom "
        "no network was trained on"
    )
    there = ", ".join(tested) or "none"
    raise ArgumentError("action_unit", f"{code}: {why}; there are {there}")


def _holds(low: pd.Series, effect: pd.Series) -> pd.Series:
    """Whether slopes whose intervals begin there are above 0, in words.

    >>> _holds(
    ...     pd.Series([0.1, -0.1, float("nan"), float("nan")]),
    ...     pd.Series([1.0, 0.2, 0.3, float("nan")]),
    ... ).tolist()
    ['yes', 'no', 'too few people', 'not stimulated']
    """
    said = low.gt(0).map({True: "yes", False: "no"}).where(low.notna(), "too few people")
    return said.where(effect.notna(), "not stimulated")


def condensed(study: Study, stage: str) -> pd.DataFrame:
    """The table of a stage as texts that fit on a terminal: numbers with their intervals, action
    units with their names.

    Args:
        study: The study.
        stage: Its name.

    Returns:
        Texts.
    """
    table = TABLES[stage](study)
    told = written(
        table[
            [name for name in table if name in CONDENSED[stage] or name.endswith((" low", " high"))]
        ]
    )
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
    return texts.where(p > 1 / (sets + 1) + 1e-9, "≤ " + texts + f" ({sets} sets)").where(
        p.notna(), texts
    )


def written(table: pd.DataFrame) -> pd.DataFrame:
    """A table as texts, numbers with their intervals.

    Args:
        table: Of numbers, with ``_low`` and ``_high`` beside them.

    Returns:
        Texts.

    >>> written(pd.DataFrame({"r": [0.5], "r low": [0.4], "r high": [0.6]})).values.tolist()
    [['0.50 [0.40, 0.60]']]
    """
    told = {}
    for name in (name for name in table if not str(name).endswith((" low", " high"))):
        low, high = (f"{_BOUNDS.get(name, name)} {end}" for end in ("low", "high"))
        texts = [cell(value) for value in table[name]]
        if low in table:
            bounds = zip(texts, table[low], table[high], strict=True)
            texts = [
                f"{text} [{cell(least)}, {cell(most)}]" if least == least else text
                for text, least, most in bounds
            ]
        told[name] = pd.Series(texts, table.index, dtype=str)
    return pd.DataFrame(told)


def write(study: Study, stage: str) -> Path:
    """Write the table of a stage to ``tables/<stage>.csv`` and ``.tex``, each whole or not at all.

    Args:
        study: The study.
        stage: Its name.

    Returns:
        The latter.
    """
    table = TABLES[stage](study)
    folder = study.folder / "tables"
    with files.replacing(folder / f"{stage}.csv") as partial:
        table.to_csv(partial, index=False)
    with files.replacing(folder / f"{stage}.tex") as partial:
        partial.write_text(latex(table), encoding="utf-8")
    return folder / f"{stage}.tex"


def write_all(study: Study) -> None:
    """Write the tables of all stages; those of stages that have nothing to tell (no action units,
    no landmarks) are removed.
    """
    for stage in TABLES:
        try:
            write(study, stage)
        except InputError:
            for kind in ("csv", "tex"):
                (study.folder / "tables" / f"{stage}.{kind}").unlink(missing_ok=True)


def latex(table: pd.DataFrame) -> str:
    r"""A table in LaTeX with the rules of the package booktabs.

    Args:
        table: Of texts and numbers.

    Returns:
        Its source.

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
    return re.sub(
        r"([&%$#_{}])", r"\\\1", text.replace("\\", "\\textbackslash ").replace("\u202f", "\\,")
    )


def cell(value: object) -> str:
    """Write a number to two digits behind the point, or as many as tell it from 0; whole numbers
    and texts as they are.

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
