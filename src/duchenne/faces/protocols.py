"""Which pictures of a data set are used, and what they are called: the papers'
selections, from table to table.

A sequence runs from neutral to the apex; what a set says of it, it says of the
last frame. A protocol decides which other frames share that label. Pictures
that belong to no sequence keep their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable

Protocol = Callable[[FaceTable], FaceTable]

_LAST = 3  # frames of a sequence that khorrami2015 takes for its expression


def khorrami2015_8(table: FaceTable) -> FaceTable:
    """Take the first frame as neutral and the last three as the expression of
    each labelled sequence: eight classes.
    """
    return _named(table, _LAST)


def khorrami2015_6(table: FaceTable) -> FaceTable:
    """Take the last three frames of each labelled sequence; neutral and
    contempt are left out: six classes.
    """
    found = _named(table, _LAST)
    return found.where(
        ~found.frame["expression"].isin(["neutral", "contempt"])
    )


def khorrami2015_7(table: FaceTable) -> FaceTable:
    """Take every picture but those of contempt, as the set labels it: TFD's
    seven classes.
    """
    found = table.labelled()
    return found.where(found.frame["expression"].ne("contempt"))


def zhu2018(table: FaceTable) -> FaceTable:
    """Take the first frame as neutral and all others as the expression of each
    labelled sequence: eight classes.
    """
    return _named(table, None)


def mousavi2016_7(table: FaceTable) -> FaceTable:
    """Take the first frame as neutral and the last three as the expression;
    contempt is left out: seven classes.

    The paper says "several" frames; three is a reading, as in khorrami2015.
    """
    found = _named(table, _LAST)
    return found.where(found.frame["expression"].ne("contempt"))


def mousavi2016_3(table: FaceTable) -> FaceTable:
    """Fold mousavi2016's seven classes into its three supersets: positive,
    neutral, negative.

    Contempt is left out, but the neutral first frames of its sequences stay:
    they show no contempt (a reading).
    """
    return _in_supersets(mousavi2016_7(table))


def mousavi2016_3_without_contempt(table: FaceTable) -> FaceTable:
    """The same, but sequences of contempt are left out with their neutral
    frames (the other reading).
    """
    contemptuous = table.frame.loc[
        table.frame["expression"].eq("contempt"), "sequence"
    ].dropna()
    return _in_supersets(
        mousavi2016_7(table.where(~table.frame["sequence"].isin(contemptuous)))
    )


def _in_supersets(table: FaceTable) -> FaceTable:
    return replace(
        table,
        frame=table.frame.assign(
            expression=table.frame["expression"].map(facs.SUPERSET_OF)
        ),
    )


def labelled(table: FaceTable) -> FaceTable:
    """Take every picture that has an expression, as the set labels it."""
    return table.labelled()


PROTOCOLS: dict[str, Protocol] = {
    "labelled": labelled,
    "khorrami2015-8": khorrami2015_8,
    "khorrami2015-7": khorrami2015_7,
    "khorrami2015-6": khorrami2015_6,
    "zhu2018": zhu2018,
    "mousavi2016-7": mousavi2016_7,
    "mousavi2016-3": mousavi2016_3,
    "mousavi2016-3-without-contempt": mousavi2016_3_without_contempt,
}
"""Every protocol by its name in recipes."""


def protocol(table: FaceTable, name: str) -> FaceTable:
    """Select and name a table's pictures by a named protocol.

    Raises ``InputError`` for a name that is not known, and where no picture is
    left.
    """
    if name not in PROTOCOLS:
        raise InputError(
            f"protocol {name!r}: not one of {', '.join(PROTOCOLS)}"
        )
    found = PROTOCOLS[name](table)
    if not len(found):
        raise InputError(
            f"protocol {name!r}: no picture of {table.root} has an expression that it uses"
        )
    return found


def _named(table: FaceTable, last: int | None) -> FaceTable:
    """Name the first frame of each labelled sequence neutral, and the last
    ones (all others: None) as its apex.
    """
    rows = table.frame
    in_sequence = rows["sequence"].notna()
    single = rows[~in_sequence & rows["expression"].notna()]
    frames = rows[in_sequence].sort_values(
        ["sequence", "frame"], kind="stable"
    )
    first, near_apex, apex = _ends(frames, last or np.inf)
    expressive = apex["expression"].fillna("neutral").ne("neutral")
    named = frames.assign(expression=apex["expression"].mask(first, "neutral"))
    for column in _coded(table):
        named[column] = frames[column].fillna(_labels(apex[column], first))
    used = named[(first | near_apex) & expressive]
    kept = pd.concat([single, used]).sort_index()
    return replace(table, frame=kept.astype(rows.dtypes))


def _ends(
    frames: pd.DataFrame, last: float
) -> tuple[pd.Series, pd.Series, pd.DataFrame]:
    """Whether each frame is its sequence's first, whether it is one of the
    last, and the last.
    """
    groups = frames.groupby("sequence", sort=False)
    from_end = groups.cumcount(ascending=False)
    by_sequence = frames[from_end == 0].set_index("sequence")
    apex = by_sequence.reindex(frames["sequence"]).set_axis(frames.index)
    return groups.cumcount() == 0, from_end < last, apex


def _labels(at_apex: pd.Series, neutral: pd.Series) -> pd.Series:
    """What frames show of an action unit that is coded at the apex: the same,
    and nothing where they are neutral.
    """
    nothing = 0.0 if "_" in str(at_apex.name) else False
    at_rest = at_apex.where(at_apex.isna(), nothing)
    return at_apex.mask(neutral, at_rest)


def _coded(table: FaceTable) -> list[str]:
    """Columns of presence and intensity; what a detector thought of one frame
    is not passed on to another.
    """
    codes = [facs.code(number) for number in facs.ACTION_UNITS]
    return [
        name
        for code in codes
        for name in (code, f"{code}_intensity")
        if name in table.frame
    ]
