"""Two data sets as one table, as for training on one and testing on the other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from duchenne.errors import InputError
from duchenne.faces.table import FaceTable

_SAME_PEOPLE = {"disfaplus": "disfa"}  # the people of DISFA+ are in DISFA too, under the same names


def join(first: FaceTable, second: FaceTable) -> FaceTable:
    """Put the pictures of ``second`` behind those of ``first``, below the folder that holds both.

    People and sequences are named after their data set, so that equal names do not meet, but for
    DISFA and DISFA+, which show the same people. An action unit that one set does not code is NA
    there. Raises ``InputError`` where no folder holds both, and where they share a picture.

    >>> one, two = (
    ...     FaceTable(pd.DataFrame({"path": ["1.png"], "dataset": d, "subject": "s"}), Path(d))
    ...     for d in ("a", "b")
    ... )
    >>> join(one, two).frame[["path", "subject"]].to_numpy().tolist()
    [['a/1.png', 'a s'], ['b/1.png', 'b s']]
    """
    roots = [table.root.resolve() for table in (first, second)]
    root = _common(roots)
    frames = [
        _below(table.frame, place.relative_to(root))
        for table, place in zip((first, second), roots, strict=True)
    ]
    shared = sorted(set(frames[0]["path"]) & set(frames[1]["path"]))
    if shared:
        raise InputError(f"{root / shared[0]}: stands in both data sets, {len(shared)} pictures do")
    taken = frames[0]["dataset"].dropna().unique()
    datasets = frames[1]["dataset"]
    frames[1]["dataset"] = datasets.mask(datasets.isin(taken), datasets + "-2")
    joined = pd.concat([_named_apart(frame) for frame in frames], ignore_index=True)
    return FaceTable(joined, root, (*first.left_out, *second.left_out))


def _common(roots: Sequence[Path]) -> Path:
    """The folder that holds some folders."""
    try:
        return Path(os.path.commonpath(roots))
    except ValueError:
        two = f"{roots[0]} and {roots[1]}"
        raise InputError(f"{two}: on two drives, no folder holds both") from None


def _below(frame: pd.DataFrame, place: Path) -> pd.DataFrame:
    """Name pictures and landmarks from a folder above."""
    moved = frame.assign(path=[(place / path).as_posix() for path in frame["path"]])
    if "landmarks" in moved:
        files = moved["landmarks"].notna() & ~moved["landmarks"].str.contains(
            ";", na=False
        )  # others hold the points
        moved.loc[files, "landmarks"] = [
            (place / path).as_posix() for path in moved.loc[files, "landmarks"]
        ]
    return moved


def _named_apart(frame: pd.DataFrame) -> pd.DataFrame:
    dataset = frame["dataset"].fillna("")
    population = dataset.replace(_SAME_PEOPLE)
    return frame.assign(
        subject=population + " " + frame["subject"], sequence=dataset + " " + frame["sequence"]
    )
