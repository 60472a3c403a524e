"""Tables as people read them: on a terminal, in CSV files and in LaTeX."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from duchenne import files
from duchenne.errors import InputError
from duchenne.report.legends import CONDENSED
from duchenne.report.tables import TABLES
from duchenne.study.record import Study


def condensed(study: Study, stage: str) -> pd.DataFrame:
    """The table of a stage as texts that fit on a terminal: numbers with their
    intervals, action units with their names.

    Args:
        study: The study.
        stage: Its name.

    Returns:
        Texts.
    """
    table = TABLES[stage](study)
    columns = [
        name for name in table if name in CONDENSED[stage] or _is_bound(name)
    ]
    texts = written(table[columns])
    if "name" in table:
        texts["action unit"] += " " + table["name"]
    if "detectors" in table:
        in_brackets = "(" + texts["unit"] + ")"
        texts["unit"] = texts["unit"].where(
            table["detectors"] > 0, in_brackets
        )
    if stage == "ablation":
        texts["p"] = _floored(table["p"], texts["p"], _controls(study, table))
    return texts[[name for name in CONDENSED[stage] if name in texts]]


def _is_bound(name: object) -> bool:
    """Whether a column holds one end of another's interval."""
    return str(name).endswith((" low", " high"))


def _controls(study: Study, table: pd.DataFrame) -> pd.Series:
    """How many sets each ablated set is compared with: a single unit with all
    others, the detectors of an action unit with random sets.
    """
    single = table["ablated"].str.startswith("unit ")
    others = study.summary["units"] - 1
    return single.map({True: others, False: study.recipe.ablation.random_sets})


def _floored(p: pd.Series, texts: pd.Series, controls: pd.Series) -> pd.Series:
    """Say of the smallest p that a rank among so many controls can give that
    it is no more than that.

    >>> _floored(
    ...     pd.Series([1 / 21, 1 / 21, 0.5]),
    ...     pd.Series(["0.048", "0.048", "0.50"]),
    ...     pd.Series([20, 255, 20]),
    ... ).tolist()
    ['≤ 0.048 (of 20)', '0.048', '0.50']
    """
    smallest = 1 / (controls + 1) + 1e-9
    at_most = "≤ " + texts + " (of " + controls.astype(str) + ")"
    return texts.mask(p <= smallest, at_most)


_BOUNDS = {"in best unit": "share"}
"""What the interval of a column is called, where not as the column."""


def written(table: pd.DataFrame) -> pd.DataFrame:
    """A table as texts, numbers with their intervals.

    Args:
        table: Of numbers, with ``_low`` and ``_high`` beside them.

    Returns:
        Texts.

    >>> written(
    ...     pd.DataFrame({"r": [0.5], "r low": [0.4], "r high": [0.6]})
    ... ).values.tolist()
    [['0.50 [0.40, 0.60]']]
    """
    columns = {}
    for name in table:
        if _is_bound(name):
            continue
        texts = _cells(table[name])
        bound = _BOUNDS.get(name, name)
        if f"{bound} low" in table:
            low = table[f"{bound} low"]
            high = table[f"{bound} high"]
            interval = " [" + _cells(low) + ", " + _cells(high) + "]"
            texts += interval.where(low.notna(), "")
        columns[name] = texts
    return pd.DataFrame(columns, index=table.index)


def _cells(column: pd.Series) -> pd.Series:
    """A column as texts."""
    return pd.Series(list(map(cell, column)), column.index, dtype=str)


def write(study: Study, stage: str) -> Path:
    """Write the table of a stage to ``tables/<stage>.csv`` and ``.tex``, each
    whole or not at all.

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
    """Write the tables of all stages; those of stages that have nothing to
    tell (no action units, no landmarks) are removed.
    """
    for stage in TABLES:
        try:
            write(study, stage)
        except InputError:
            for kind in ("csv", "tex"):
                (study.folder / "tables" / f"{stage}.{kind}").unlink(
                    missing_ok=True
                )


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
    return str(
        table.to_latex(
            index=False, float_format=cell, na_rep="--", escape=True
        )
    )


def escaped(text: str) -> str:
    r"""A text as LaTeX takes it.

    >>> escaped("95 % of n_with & more")
    '95 \\% of n\\_with \\& more'
    """
    plain = text.replace("\\", "\\textbackslash ").replace("\u202f", "\\,")
    return re.sub(r"([&%$#_{}])", r"\\\1", plain)


def cell(value: object) -> str:
    """Write a number to two digits behind the point, or as many as tell it
    from 0; whole numbers and texts as they are.

    >>> [
    ...     cell(value)
    ...     for value in (
    ...         0.256,
    ...         0.0013,
    ...         -1.0,
    ...         0.0,
    ...         float("nan"),
    ...         pd.NA,
    ...         12,
    ...         "AU12",
    ...     )
    ... ]
    ['0.26', '0.0013', '-1.00', '0.00', '--', '--', '12', 'AU12']
    """
    if value is pd.NA:
        return "--"
    if not isinstance(value, float):
        return str(value)
    if not np.isfinite(value):
        return "--"
    return f"{value:.2g}" if 0 < abs(value) < 0.005 else f"{value:.2f}"
