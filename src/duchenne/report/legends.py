"""What stands with the table of a stage: the columns that fit on a terminal,
and what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

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
    "values": (
        "value",
        "action unit",
        "r",
        "r untrained",
        "AUROC",
        "slope",
        "selectivity",
        "raised most by",
    ),
    "people": (
        "twins",
        "trait",
        "people",
        "points",
        "rho",
        "log-odds",
        "p",
        "neutral faces look more like",
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
    "validity": (
        "score",
        "study",
        "study chance",
        "free",
        "free chance",
        "untrained, free",
    ),
}
"""The columns that fit on a terminal."""


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
    "values": {
        "action unit": "that the value is named after; of other values the one of largest r",
        "r": "with its interval over people, where six or more show it",
        "slope": "stimulated alone, from absent to full, in the value's standard deviations",
        "selectivity": (
            "1 where nothing else moves it, below 0 where something else moves it farther"
        ),
        "raised most by": (
            "of all action units that can be rendered; those whose own 95 % interval lies above 0"
        ),
    },
    "people": {
        "twins": (
            "rendered people who differ in this alone (an ancestry in shape, hair and eyes, at one "
            "skin): expression, light and pose are equal"
        ),
        "points": "difference in accuracy, with its interval over people",
        "rho": "Spearman's correlation of a person's accuracy with the trait",
        "log-odds": "of the class that is shown",
        "p": "of the accuracy, corrected for all traits (Holm 1979)",
        "neutral faces look more like": "the class that the trait surely raises most",
    },
    "ablation": {
        "ablated": (
            "all detectors of an action unit, on the expressions whose prototypes hold it and on "
            "those that change surely; then, for each expression, the unit that it needs most"
        ),
        "recall": "before the ablation",
        "recall beyond random": (
            "compared with random sets of as many units that vary as much; of a single unit, with "
            "all other units"
        ),
        "p": "rank among these, of one row alone, ≤ where none of so many lies as far",
    },
    "detectors": {
        "base rate": "of the action unit on people left out, which is AP by chance",
        "unit": "chosen most often, whichever its sign",
        "AP": "average precision, with its interval over people, where thirteen or more show it",
        "in best unit": "(AP of the best unit − base rate) / (AP of all units − base rate)",
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
    "p": "family-wise over all pairs, far into the tail by a fitted distribution",
    "q": "false discovery rate over all pairs, from each pair's own p (Benjamini & Hochberg 1995)",
    "AP lift": "average precision less the base rate",
    "KL z": "standard deviations above permuted labels",
    "moved by it": "what the action unit alone does to the unit on rendered faces, from absent to "
    "full, in its standard deviations",
    "holds": (
        "whether the slope's 95 % interval over people lies above 0 (action units that the face "
        "model cannot show are not stimulated)"
    ),
    "moved most by": "of all action units that can be rendered, tested or not",
}


def legend(stage: str, table: pd.DataFrame | None = None) -> str:
    """Say what the columns of a stage's table mean.

    Args:
        stage: Its name.
        table: Of the stage; only the columns that it has are told.

    Returns:
        One paragraph.

    >>> legend("evidence", pd.DataFrame(columns=["unit", "KL z"])).count(";")
    1
    """
    return _paragraph(LEGENDS[stage], table)


def legend_of_detectors(table: pd.DataFrame) -> str:
    """Say what the columns of an action unit's table of detectors mean.

    Args:
        table: Of the detectors.

    Returns:
        One paragraph.
    """
    return _paragraph(_OF_DETECTORS, table)


def _paragraph(columns: Mapping[str, str], table: pd.DataFrame | None) -> str:
    lines = []
    for column, says in columns.items():
        if table is None or column in table:
            lines.append(f"{column}: {says}")
    return "; ".join(lines) + "."
