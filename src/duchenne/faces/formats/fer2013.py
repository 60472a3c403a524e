"""FER2013: 35,887 grey pictures of 48×48 in one csv, and FER+: ten people's votes on each of them.

``fer2013.csv`` has ``emotion,pixels,Usage``; ``fer2013new.csv`` has ``Usage,Image name``, votes for eight expressions, for
unknown and for not-a-face, its rows aligned with those of ``fer2013.csv``. Pictures are not decoded here: a row's picture is
named ``fer2013.csv#row`` and read when it is asked for.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.containers import member, pixel_rows
from duchenne.faces.formats.reading import Format, Reading, Remark, text_table
from duchenne.faces.table import FaceTable

_EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_VOTES = (*("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"), "unknown", "NF")


def read_fer2013(root: Path) -> Reading:
    """Read FER2013 from ``fer2013.csv`` or its folder; raises ``InputError`` where it cannot be read as that.

    The people are not named: every picture counts as a person of its own.
    """
    rows, root, remarks = _rows(root)
    return Reading(FaceTable(pd.DataFrame(rows.values()), root), tuple(remarks))


def read_ferplus(root: Path) -> Reading:
    """Read FER2013's pictures with FER+'s votes: the expression is the one that most voted for, NA where none leads.

    Shares of the votes are in the columns ``votes_neutral …``. Raises ``InputError`` where either file cannot be read.
    """
    rows, root, remarks = _rows(root)
    path = root / "fer2013new.csv"
    votes = _votes(path)
    found = []
    for place, row in rows.items():
        if place >= len(votes):
            remarks.append(Remark(str(row["path"]), f"{path.name} has no row for it"))
        elif votes.loc[place, "Image name"].strip():  # blank: the picture has been removed
            found.append(row | _voted(votes.loc[place], place, remarks))
    return Reading(FaceTable(pd.DataFrame(found, columns=None if found else ["path"]), root), tuple(remarks))


def _rows(root: Path) -> tuple[dict[int, dict[str, object]], Path, list[Remark]]:
    path = root if root.suffix.lower() == ".csv" else root / "fer2013.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    rows: dict[int, dict[str, object]] = {}
    remarks = []
    for place, (label, usage) in enumerate(pixel_rows(path)):
        name = member(path.name, place)
        if label.isdigit() and int(label) < len(_EXPRESSIONS) and usage in _SPLITS:
            expression, split = _EXPRESSIONS[int(label)], _SPLITS[usage]
            row = {"path": name, "dataset": "fer2013", "subject": name, "expression": expression, "split": split}
            rows[place] = dict(row)
        else:
            remarks.append(
                Remark(path.name, f"line {place + 2}: {label[:20]!r}, {usage[:20]!r}: not an emotion and a usage")
            )
    if not rows:
        raise InputError(f"{path}: holds no pictures")
    return rows, path.parent, remarks


def _votes(path: Path) -> pd.DataFrame:
    votes = text_table(path)
    for name in ("Image name", *_VOTES):
        if name not in votes:
            raise InputError(f"{path}: column {name!r} is missing")
    return votes


def _voted(votes: pd.Series, place: int, remarks: list[Remark]) -> dict[str, object]:
    counts = pd.to_numeric(votes[list(_VOTES)], errors="coerce").to_numpy(float)
    if not np.isfinite(counts).all() or (counts < 0).any() or counts.sum() == 0:
        remarks.append(Remark("fer2013new.csv", f"line {place + 2}: votes are not numbers of which one is above 0"))
        return {"expression": None}
    leading = np.flatnonzero(counts == counts.max())
    clear = len(leading) == 1 and _VOTES[leading[0]] in facs.EXPRESSIONS
    shares = {f"votes_{name.lower()}": count / counts.sum() for name, count in zip(_VOTES, counts, strict=True)}
    return {"dataset": "ferplus", "expression": _VOTES[leading[0]] if clear else None} | shares


FER2013 = Format(
    title="FER2013",
    layout="fer2013.csv",
    licence="non-commercial research under the rules of the Kaggle challenge; pictures gathered from the web",
    apply="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
    read=read_fer2013,
    published={"pictures": 35887, "train": 28709, "validation": 3589, "test": 3589},
    sizes=((48, 48),),
)
FERPLUS = Format(
    title="FER+",
    layout="fer2013.csv and fer2013new.csv",
    licence="labels under the MIT licence; the pictures are those of FER2013",
    apply="https://github.com/microsoft/FERPlus",
    read=read_ferplus,
    published={"pictures": 35714},
    sizes=((48, 48),),
)
