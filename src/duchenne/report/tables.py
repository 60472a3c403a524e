"""Tables of a study in a few rows: what a terminal shows and a paper prints,
as frames; see ``TABLES``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.errors import ArgumentError, InputError
from duchenne.evidence import detections, ranked
from duchenne.evidence.doses import movers
from duchenne.report import class_tables, gallery
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
"""What the table of ablations calls the columns of ``ablations.parquet``."""

_MATCHED = {
    "n_with": "pictures",
    "unit": "unit",
    "r": "r",
    "r_low": "r low",
    "r_high": "r high",
    "ap_lift": "AP lift",
    "kl_z": "KL z",
    "p": "p",
    "q": "q",
}
"""What the table of evidence calls the columns of ``evidence.parquet``."""

_DETECTOR = {
    "r": "r",
    "r_low": "r low",
    "r_high": "r high",
    "r_within": "r within",
    "p_within": "p within, alone",
    "ap_lift": "AP lift",
    "kl_z": "KL z",
    "p": "p",
    "q": "q",
}
"""What the table of one action unit's detectors calls them."""

_BY_KL = {"au": "by KL", "kl": "KL", "kl_null": "KL by chance", "kl_z": "KL z"}
_BY_R = {"r": "r", "r_low": "r low", "r_high": "r high", "p": "p"}
"""What the table of units calls those of the pair of largest divergence and
correlation.
"""

_FARTHEST = {
    "unit": "unit",
    "slope": "slope",
    "low": "slope low",
    "high": "slope high",
    "monotone": "monotone",
    "selectivity": "selectivity",
    "laterality": "laterality",
}
"""What the table of stimulation calls the columns of
``interventions.parquet``.
"""

_CHANGED = {
    "expression": "expression",
    "change": "change",
    "low": "change low",
    "high": "change high",
}
"""What the table of stimulation calls the columns of ``reactions.parquet``."""

_BEST_UNIT = {
    "base_rate": "base rate",
    "unit": "unit",
    "f1": "F1",
    "ap": "AP",
    "ap_low": "AP low",
    "ap_high": "AP high",
    "intensity_r": "intensity r",
}
"""What the table of detectors calls the columns of ``detectors.parquet``, of
the best unit.
"""

_LOCATED = {
    "unit": "unit",
    "energy": "energy",
    "energy_null": "energy displaced",
    "area": "area",
    "enrichment": "enrichment",
    "pointing": "pointing",
    "pointing_null": "pointing displaced",
    "p": "p",
}
"""What the table of localisation calls the columns of
``localisation.parquet``.
"""

_NOT_MEASURED = "no action unit is shown often enough to judge scores by; stimulate more people"
_MEASURED = {
    "study": ("trained", "study"),
    "free": ("trained", "free"),
    "untrained, free": ("untrained", "free"),
}
"""Network and faces that validity was measured on, by the name of its column."""


def matched(study: Study) -> pd.DataFrame:
    """Each action unit's surest unit with its scores, how many units detect
    it, and the largest r in the untrained network.

    Where the faces have no action unit often enough, the same of each
    expression, without the untrained network.

    Args:
        study: The study.

    Returns:
        A row an action unit.
    """
    if study.evidence.empty:
        return _matched(study.expressions, "expression", study)
    table = _matched(study.evidence, "au", study)
    codes = table["action unit"]
    table["name"] = _names(codes)
    table["r untrained"] = codes.map(untrained_correlations(study))
    within = surest(study.evidence, "au")["r_within"]
    table["r within"] = within.to_numpy()
    return table


def _matched(evidence: pd.DataFrame, key: str, study: Study) -> pd.DataFrame:
    """The surest unit of each action unit or expression, and how many units
    detect it.
    """
    detecting = detections(evidence, study.recipe.evidence.level)[
        key
    ].value_counts()
    best = surest(evidence, key)
    table = _called(best, _MATCHED)
    table.insert(1, "detectors", detecting.reindex(best.index, fill_value=0))
    table["unit by KL"] = _largest(evidence, key, "kl")["unit"]
    table["unit by distance"] = _largest(evidence, key, "distance")["unit"]
    return table.rename_axis(
        "action unit" if key == "au" else key
    ).reset_index()


def surest(evidence: pd.DataFrame, key: str) -> pd.DataFrame:
    """The pair with the unit that answers most surely.

    Args:
        evidence: What ``match`` gives.
        key: ``au`` or ``expression``.

    Returns:
        A row an action unit or expression, which is its index.
    """
    return ranked(evidence).drop_duplicates(key).set_index(key).sort_index()


def _called(frame: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """Some columns of a frame by what a table calls them."""
    return frame[list(columns)].rename(columns=columns)


def _largest(evidence: pd.DataFrame, key: str, score: str) -> pd.DataFrame:
    """The pair of which a score is largest, by action unit, expression or
    unit.
    """
    largest = evidence.groupby(key)[score].idxmax()
    return evidence.loc[largest].set_index(key)


def untrained_correlations(study: Study) -> pd.Series:
    """Give each action unit's largest correlation with a unit of the untrained
    network.

    Args:
        study: A finished study whose faces are coded.

    Returns:
        r, by action unit.
    """
    evidence = study.untrained("evidence")
    return evidence.groupby("au")["r"].max()


def stimulated(study: Study) -> pd.DataFrame:
    """Each action unit's reaction: how many units it moves most and the one it
    moves farthest, and the expression whose probability it raises most, with
    its interval.

    Args:
        study: The study.

    Returns:
        A row an action unit.
    """
    responses = study.interventions
    reactions = study.reactions
    moved = movers(responses)["au"].value_counts()
    farthest = where_largest(responses, responses["effect"].abs())
    changed = where_largest(reactions, reactions["change"])
    table = _called(farthest, _FARTHEST)
    table.insert(0, "name", _names(farthest.index))
    table.insert(
        1, "units moved most", moved.reindex(farthest.index, fill_value=0)
    )
    table = table.join(_called(changed, _CHANGED))
    return table.rename_axis("action unit").reset_index()


def where_largest(frame: pd.DataFrame, by: pd.Series) -> pd.DataFrame:
    """The row of each action unit in which something is largest.

    Args:
        frame: With a column ``au``.
        by: What is to be largest, of each row.

    Returns:
        A row an action unit, which is its index.
    """
    largest = by.groupby(frame["au"]).idxmax()
    return frame.loc[largest].set_index("au")


def ablated(study: Study) -> pd.DataFrame:
    """What ablation does to expressions, beyond random sets of as many units:
    all detectors of an action unit, to those whose prototypes hold it and to
    any others that change surely, and for each expression the single unit that
    it needs most.

    Args:
        study: The study.

    Returns:
        A row a set and expression.

    Raises:
        InputError: Where the network has no classes.
    """
    effects = study.ablations
    if effects.empty:
        raise InputError(
            f"{study.folder}: its network has no classes that ablation could cost"
        )
    shown = pd.concat(
        [_detectors_shown(effects), _units_needed(effects)], ignore_index=True
    )
    table = shown[list(_ABLATED)].rename(columns=_ABLATED)
    table.insert(0, "ablated", [_what(row) for row in shown.itertuples()])
    in_prototype = table["in its prototype"].map({True: "yes", False: "no"})
    return table.assign(**{"in its prototype": in_prototype})


def _detectors_shown(effects: pd.DataFrame) -> pd.DataFrame:
    """Detectors on the expressions that they are prototypical of, or surely
    matter to.
    """
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
    """Each action unit read from the best unit, the best few and all units,
    tested on held-out subjects; and from all in the untrained network.

    Args:
        study: The study.

    Returns:
        A row an action unit.

    Raises:
        InputError: Where the faces have no action unit often enough.
    """
    if study.detectors.empty:
        raise InputError(f"{study.folder}: {study.untested}")
    by_detector = {
        name: rows.set_index("au")
        for name, rows in study.detectors.groupby("detector")
    }
    best = by_detector["best unit"]
    untrained = study.untrained("detectors")
    untrained = untrained[untrained["detector"] == "all units"].set_index("au")
    table = _called(best, _BEST_UNIT)
    table.insert(0, "name", _names(best.index))
    table["AP of few"] = by_detector["best few"]["ap"]
    table["few"] = by_detector["best few"]["units"]
    table["AP of all"] = by_detector["all units"]["ap"]
    table["AP of all, untrained"] = untrained["ap"]
    table["in best unit"] = best["share"]
    return table.rename_axis("action unit").reset_index()


def trusted(study: Study) -> pd.DataFrame:
    """How often each score names the action unit that moves a unit most: on
    all of the study's people, and on free faces, beside chance and the
    untrained network.

    Args:
        study: The study.

    Returns:
        A row a score.

    Raises:
        InputError: Where no action unit is shown often enough on either.
    """
    measured = study.validity[study.validity["faces"] != "dose"]
    if measured.empty:
        raise InputError(f"{study.folder}: {_NOT_MEASURED}")
    groups = ["network", "faces"]
    most = measured.groupby(groups)["people"].transform("max")
    whole = measured[measured["people"] == most]
    by_faces = dict(iter(whole.groupby(groups)))
    parts: dict[str, pd.Series] = {}
    for name, on in _MEASURED.items():
        if on in by_faces:
            rows = by_faces[on].set_index("score")
            parts |= {name: rows["validity"], f"{name} chance": rows["chance"]}
    table = pd.DataFrame(parts).rename_axis("score").reset_index()
    return table.sort_values(
        next(iter(parts)), ascending=False, ignore_index=True
    )


def located(study: Study) -> pd.DataFrame:
    """For each action unit the surest unit that detects it, and whether it
    looks where the action unit acts; and how many of all units do at 0.05,
    beside the same in the untrained network.

    Args:
        study: The study.

    Returns:
        A row an action unit.

    Raises:
        InputError: Where nobody knows where action units act, or none is
            coded.
    """
    regions = study.localisation
    if regions.empty or study.evidence.empty:
        none = "the faces carry no landmarks, or no action unit, to place units by"
        raise InputError(f"{study.folder}: {none}")
    untrained = study.untrained("localisation")
    surest = ranked(study.evidence).drop_duplicates("au")[["au", "unit"]]
    rows = (
        surest.merge(regions, on=["au", "unit"]).set_index("au").sort_index()
    )
    table = _called(rows, _LOCATED)
    table.insert(0, "name", _names(rows.index))
    p_untrained = untrained.groupby("au")["p"].median()
    table["units there"] = _beyond_chance(regions).reindex(rows.index)
    table["untrained"] = _beyond_chance(untrained).reindex(rows.index)
    table["p untrained"] = p_untrained.reindex(rows.index)
    return table.rename_axis("action unit").reset_index()


def _beyond_chance(regions: pd.DataFrame) -> pd.Series:
    """The number of units whose energy lies in each action unit's region, at p
    ≤ 0.05.
    """
    sure = regions["p"].le(0.05)
    return sure.groupby(regions["au"]).sum()


def accuracy(study: Study) -> pd.DataFrame:
    """How well expressions are read, beside guessing and the paper:
    khorrami2015's Tables 1 to 3, mousavi2016's Table II.

    ``accuracy`` is that of all networks together on their test pictures, with
    its 95 % interval; ``mean`` and ``sd`` are over networks.

    Args:
        study: The study.

    Returns:
        One row.

    Raises:
        InputError: Where the network has no classes.
    """
    refuse_without_classes(study)
    scores = study.scores
    paper = scores["paper"]
    low, high = scores["interval"] or (np.nan, np.nan)
    row = {
        "network": study.network_name,
        "faces": study.state["faces"]["source"],
        "expressions": len(scores["classes"]),
        "pictures": scores["pictures"],
        "people": scores["people"],
        "networks": len(scores["networks"]),
        "accuracy": scores["accuracy"],
        "accuracy low": low,
        "accuracy high": high,
        "mean": scores["mean"],
        "sd": _number(scores["sd"]),
        "best": scores["best"],
        "guessing": scores["majority"],
        "paper": _number(paper["accuracy"]) / 100,
        "paper's table": paper["table"],
    }
    return pd.DataFrame([row])


def refuse_without_classes(study: Study) -> None:
    """Refuse a study whose network tells no classes apart.

    Args:
        study: The study.

    Raises:
        InputError: For such a study.
    """
    if not study.has_classes:
        raise InputError(f"{study.folder}: its network has no classes")


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def expressions(study: Study) -> pd.DataFrame:
    """How well each expression is read in the test pictures: precision, recall
    and F1, and how many pictures show it.

    Args:
        study: The study.

    Returns:
        A row an expression.

    Raises:
        InputError: Where the network has no classes.
    """
    refuse_without_classes(study)
    return (
        pd.DataFrame(study.scores["classes"])
        .T.astype({"pictures": int})
        .rename_axis("expression")
        .reset_index()
    )


def correspondences(study: Study, count: int = 10) -> pd.DataFrame:
    """khorrami2015's Table 4: of the units that stand first, the action unit
    of the largest divergence, and that of the largest correlation beside it,
    with what tells whether either is more than chance.

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
    pairs = study.evidence[study.evidence["unit"].isin(units)]
    by_kl = _largest(pairs, "unit", "kl").loc[units]
    by_r = _largest(pairs, "unit", "r").loc[units]
    table = _called(by_kl, _BY_KL)
    table.insert(1, "name by KL", _names(by_kl["au"]))
    table["by r"] = by_r["au"]
    table["name by r"] = _names(by_r["au"])
    table = table.join(_called(by_r, _BY_R))
    return table.reset_index()


TABLES: dict[str, Callable[[Study], pd.DataFrame]] = {
    "evidence": matched,
    "localisation": located,
    "stimulation": stimulated,
    "values": class_tables.values,
    "people": class_tables.people,
    "ablation": ablated,
    "detectors": detected,
    "validity": trusted,
}
"""Every table by the stage that it tells of."""


def detectors_of(study: Study, action_unit: str) -> pd.DataFrame:
    """All detectors of an action unit, surest first: how sure they are, and
    where stimulated what moves them.

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
    table = _called(rows, _DETECTOR)
    responses = study.interventions
    if len(responses):
        alone = (
            responses[responses["au"] == code]
            .set_index("unit")
            .reindex(rows.index)
        )
        table["moved by it"] = alone["effect"]
        table["holds"] = _holds(alone["low"], alone["effect"])
        moved = movers(responses, 0.0).set_index("unit")["au"]
        table["moved most by"] = moved.reindex(rows.index)
    return table.rename_axis("unit").reset_index()


def _tested(study: Study, action_unit: str) -> str:
    """The code of an action unit that units were matched with, e.g. "AU12" of
    "12".
    """
    code = action_unit
    if number := re.fullmatch(r"(?:AU)?(\d{1,2})", action_unit, re.IGNORECASE):
        code = facs.code(int(number[1]))
    tested = (
        sorted(study.evidence["au"].unique()) if len(study.evidence) else []
    )
    if code in tested:
        return code
    known = [facs.code(number) for number in facs.ACTION_UNITS]
    if code not in known:
        raise ArgumentError(
            "action_unit",
            f"{code}: no action unit; there are {', '.join(known)}",
        )
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
    said = (
        low.gt(0)
        .map({True: "yes", False: "no"})
        .where(low.notna(), "too few people")
    )
    return said.where(effect.notna(), "not stimulated")


def _names(codes: pd.Index | pd.Series) -> list[str]:
    return [facs.coded(code).name for code in codes]
