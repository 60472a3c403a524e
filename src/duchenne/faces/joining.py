"""Two data sets as one table, as for training on one and testing on the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from duchenne.errors import InputError
from duchenne.faces.table import FaceTable

# the people of DISFA+ are in DISFA too, under the same names
_SAME_PEOPLE = {"disfaplus": "disfa"}


def join(first: FaceTable, second: FaceTable) -> FaceTable:
    """Put the pictures of ``second`` behind those of ``first``, below the
    folder that holds both.

    People and sequences are named after their data set, so that equal names do
    not meet, but for DISFA and DISFA+, which show the same people. An action
    unit that one set does not code is NA there. Raises ``InputError`` where no
    folder holds both, and where they share a picture.

    >>> one, two = (
    ...     FaceTable(
    ...         pd.DataFrame({"path": ["1.png"], "dataset": d, "subject": "s"}),
    ...         Path(d),
    ...     )
    ...     for d in ("a", "b")
    ... )
    >>> join(one, two).frame[["path", "subject"]].to_numpy().tolist()
    [['a/1.png', 'a s'], ['b/1.png', 'b s']]
    """
    roots = [table.root.resolve() for table in (first, second)]
    root = _common(roots)
    one = _below(first.frame, roots[0].relative_to(root))
    other = _below(second.frame, roots[1].relative_to(root))
    shared = sorted(set(one["path"]) & set(other["path"]))
    if shared:
        raise InputError(
            f"{root / shared[0]}: stands in both data sets, {len(shared)} pictures do"
        )
    other["dataset"] = _renamed(other["dataset"], one["dataset"])
    parts = [_named_apart(frame) for frame in (one, other)]
    joined = pd.concat(parts, ignore_index=True)
    return FaceTable(joined, root, (*first.left_out, *second.left_out))


def _renamed(datasets: pd.Series, others: pd.Series) -> pd.Series:
    """Names of data sets, with a 2 where another has the name."""
    taken = others.dropna().unique()
    return datasets.mask(datasets.isin(taken), datasets + "-2")


def _common(roots: Sequence[Path]) -> Path:
    """The folder that holds some folders."""
    try:
        return Path(os.path.commonpath(roots))
    except ValueError:
        two = f"{roots[0]} and {roots[1]}"
        raise InputError(
            f"{two}: on two drives, no folder holds both"
        ) from None


def _below(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Name pictures and landmarks from a folder above."""

    def moved(path: str) -> str:
        return (folder / path).as_posix()

    frame = frame.assign(path=frame["path"].map(moved))
    if "landmarks" in frame:
        points = frame["landmarks"]
        inline = points.str.contains(";", na=False)
        files = points.notna() & ~inline
        frame.loc[files, "landmarks"] = points[files].map(moved)
    return frame


def _named_apart(frame: pd.DataFrame) -> pd.DataFrame:
    dataset = frame["dataset"].fillna("")
    population = dataset.replace(_SAME_PEOPLE)
    subject = population + " " + frame["subject"]
    sequence = dataset + " " + frame["sequence"]
    return frame.assign(subject=subject, sequence=sequence)
