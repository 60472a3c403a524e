"""FER2013: 35,887 grey pictures of 48×48 in one csv, and FER+: ten people's
votes on each of them.

``fer2013.csv`` has ``emotion,pixels,Usage``; ``fer2013new.csv`` has
``Usage,Image name``, votes for eight expressions, for unknown and for
not-a-face, its rows aligned with those of ``fer2013.csv``. Pictures are not
decoded here: a row's picture is named ``fer2013.csv#row`` and read when it is
asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.formats.adapter import Contents, Format, Remark, text_table
from duchenne.faces.images.containers import member, pixel_rows
from duchenne.faces.table import FaceTable

_EXPRESSIONS = (
    "anger",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
    "neutral",
)
_SPLITS = {
    "Training": "train",
    "PublicTest": "validation",
    "PrivateTest": "test",
}
_VOTES = (
    *(
        "neutral",
        "happiness",
        "surprise",
        "sadness",
        "anger",
        "disgust",
        "fear",
        "contempt",
    ),
    "unknown",
    "NF",
)


def read_fer2013(root: Path) -> Contents:
    """Read FER2013.

    The people are not named: every picture counts as a person of its own.

    Args:
        root: ``fer2013.csv``, or its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where it cannot be read as that.
    """
    rows, root, remarks = _rows(root)
    return Contents(
        FaceTable(pd.DataFrame(rows.values()), root), tuple(remarks)
    )


def read_ferplus(root: Path) -> Contents:
    """Read FER2013's pictures with FER+'s votes: the expression is the one
    that most voted for, NA where none leads.

    Shares of the votes are in the columns ``votes_neutral …``. Rows whose
    usage is another than in FER2013 are a fatal remark.

    Args:
        root: The folder of both files.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where either file cannot be read.
    """
    listed, root, remarks = _rows(root)
    path = root / "fer2013new.csv"
    votes = _votes(path)
    rows = pd.DataFrame(listed.values(), index=list(listed))
    remarks += _unvoted(path, rows, votes)
    votes = votes.loc[rows.index.intersection(votes.index)]
    remarks += _shifted(path, votes, rows["split"].reindex(votes.index))
    removed = votes["Image name"].str.strip().eq("")
    shares = _shares(votes[~removed], remarks)
    unvoted = rows.drop(columns=["expression", "dataset"])
    voted = unvoted.join(shares, how="inner").assign(dataset="ferplus")
    return Contents(
        FaceTable(voted.reset_index(drop=True), root), tuple(remarks)
    )


def _unvoted(
    path: Path, rows: pd.DataFrame, votes: pd.DataFrame
) -> list[Remark]:
    """A remark on each picture that nobody voted on."""
    lost = rows["path"][rows.index.difference(votes.index)]
    return [
        Remark(str(picture), f"{path.name} has no row for it")
        for picture in lost
    ]


def _shifted(
    path: Path, votes: pd.DataFrame, split: pd.Series
) -> list[Remark]:
    """A fatal remark where the votes' usage is another than the pictures'."""
    shifted = votes["Usage"].str.strip().map(_SPLITS) != split
    if not shifted.any():
        return []
    line = f"line {shifted.idxmax() + 2}"
    says = "another usage than in fer2013.csv, the rows do not belong together"
    return [Remark(path.name, f"{line}: {says}", fatal=True)]


def _rows(
    root: Path,
) -> tuple[dict[int, dict[str, object]], Path, list[Remark]]:
    path = root
    if root.suffix.lower() != ".csv":
        path = root / "fer2013.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    rows: dict[int, dict[str, object]] = {}
    remarks = []
    for number, (label, usage) in enumerate(pixel_rows(path)):
        if _is_expression(label) and usage in _SPLITS:
            rows[number] = _row(member(path.name, number), label, usage)
        else:
            given = f"line {number + 2}: {label[:20]!r}, {usage[:20]!r}"
            remarks.append(
                Remark(path.name, f"{given}: not emotion, pixels and usage")
            )
    if not rows:
        raise InputError(f"{path}: holds no pictures")
    return rows, path.parent, remarks


def _row(name: str, label: str, usage: str) -> dict[str, object]:
    """A row of the table; the picture counts as a person of its own."""
    return {
        "path": name,
        "dataset": "fer2013",
        "subject": name,
        "expression": _EXPRESSIONS[int(label)],
        "split": _SPLITS[usage],
    }


def _is_expression(label: str) -> bool:
    return (
        label.isascii() and label.isdigit() and int(label) < len(_EXPRESSIONS)
    )


def _votes(path: Path) -> pd.DataFrame:
    votes = text_table(path)
    for name in ("Usage", "Image name", *_VOTES):
        if name not in votes:
            raise InputError(f"{path}: column {name!r} is missing")
    return votes


def _shares(votes: pd.DataFrame, remarks: list[Remark]) -> pd.DataFrame:
    """The share of the votes for each name, and the expression that leads;
    none where nothing leads, or no expression.
    """
    counts = (
        votes[list(_VOTES)]
        .apply(pd.to_numeric, errors="coerce")
        .to_numpy(float)
    )
    usable = (
        np.isfinite(counts).all(1) & (counts >= 0).all(1) & (counts.sum(1) > 0)
    )
    says = "votes are not numbers of which one is above 0"
    for row in votes.index[~usable]:
        remarks.append(Remark("fer2013new.csv", f"line {row + 2}: {says}"))
    shares = np.full(counts.shape, np.nan)
    np.divide(
        counts, counts.sum(1, keepdims=True), out=shares, where=usable[:, None]
    )
    table = pd.DataFrame(
        shares, votes.index, [f"votes_{name.lower()}" for name in _VOTES]
    )
    return table.assign(
        expression=_majority(counts, votes.index).where(usable)
    )


def _majority(counts: NDArray[np.float64], index: pd.Index) -> pd.Series:
    """The expression that most voted for; none where two lead, or no
    expression does.
    """
    leads = (counts == counts.max(1, keepdims=True, initial=0)).sum(1) == 1
    names = pd.Series(
        np.array(_VOTES)[np.nan_to_num(counts, nan=-1).argmax(1)], index
    )
    return names.where(leads & names.isin(facs.EXPRESSIONS))


FER2013 = Format(
    name="fer2013",
    title="FER2013",
    layout="fer2013.csv",
    licence=(
        "non-commercial research under the rules of the Kaggle challenge; pictures gathered from "
        "the web"
    ),
    apply=(
        "https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge"
    ),
    read=read_fer2013,
    published={
        "pictures": 35887,
        "train": 28709,
        "validation": 3589,
        "test": 3589,
    },
    sizes=((48, 48),),
)
FERPLUS = Format(
    name="ferplus",
    title="FER+",
    layout="fer2013.csv and fer2013new.csv",
    licence="labels under the MIT licence; the pictures are those of FER2013",
    apply="https://github.com/microsoft/FERPlus",
    read=read_ferplus,
    published={"pictures": 35714},
    sizes=((48, 48),),
)
