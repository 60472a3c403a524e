"""TFD, the Toronto Face Dataset: 4,178 labelled and 98,058 unlabelled grey
faces in one MATLAB file.

``TFD_96x96.mat`` or ``TFD_48x48.mat`` with ``images`` (N×H×W or H×W×N),
``folds`` (N×5: 0 unlabelled, 1 train, 2 validation, 3 test), ``labs_ex`` (−1
missing; 1 to 7) and ``labs_id``. A picture is named ``TFD_96x96.mat#row``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.formats.adapter import Contents, Format, Remark
from duchenne.faces.images.containers import matlab, member, stacked
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
_NUMBERED = dict(enumerate(_EXPRESSIONS, start=1))
_SIDES = {0: None, 1: "train", 2: "validation", 3: "test"}
_NAMES = ("TFD_96x96.mat", "TFD_48x48.mat")


def read(root: Path) -> Contents:
    """Read TFD from its file or its folder, 96×96 before 48×48; the official
    folds are ``split_1`` to ``split_5``.

    Args:
        root: The file, or its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where no file is there, or where its arrays do not belong
            together.
    """
    path = _file(root)
    held = matlab(path)
    count = len(stacked(path))
    labels = pd.Series(_column(held, "labs_ex", count, path))
    names = _names(path, count)
    rows = pd.DataFrame({"path": names, "dataset": "tfd"})
    rows["subject"] = _subjects(_column(held, "labs_id", count, path), names)
    rows["expression"] = labels.map(_NUMBERED)
    remarks = _odd(
        names, "expression", labels, [-1, *_NUMBERED], "−1 or 1 to 7"
    )
    for number, sides in _folds(held, count, path).items():
        remarks += _odd(names, "fold", sides, list(_SIDES), "0 to 3")
        rows[f"split_{number}"] = sides.map(_SIDES)
    return Contents(FaceTable(rows, path.parent), tuple(remarks))


def _names(path: Path, count: int) -> pd.Series:
    return pd.Series([member(path.name, number) for number in range(count)])


def _subjects(people: NDArray[np.int64], names: pd.Series) -> pd.Series:
    """The person of each picture, itself where that is not known (−1)."""
    numbered = "p" + pd.Series(people).astype(str)
    return numbered.where(people >= 0, names)


def _odd(
    names: pd.Series,
    what: str,
    values: pd.Series,
    known: list[int],
    expected: str,
) -> list[Remark]:
    """A remark for each picture of which a value is none of those known."""
    remarks = []
    for number in np.flatnonzero(~values.isin(known)):
        remarks.append(
            Remark(names[number], f"{what} {values[number]} is not {expected}")
        )
    return remarks


def _file(root: Path) -> Path:
    """The file itself, or that in a folder; the first of its names where there
    is none.
    """
    if root.suffix.lower() == ".mat":
        return root
    for name in _NAMES:
        if (root / name).is_file():
            return root / name
    return root / _NAMES[0]


def _column(
    held: dict[str, Any], name: str, count: int, path: Path
) -> NDArray[np.int64]:
    if name not in held:
        raise InputError(f"{path}: holds no {name!r}")
    values = np.asarray(held[name]).ravel()
    if (
        values.dtype.kind not in "uif"
        or len(values) != count
        or not np.isfinite(values).all()
    ):
        raise InputError(
            f"{path}: {name!r} is not a number for each of {count} pictures"
        )
    return values.astype(np.int64)


def _folds(held: dict[str, Any], count: int, path: Path) -> pd.DataFrame:
    """The official folds, a column a fold from 1 on."""
    folds = np.asarray(held.get("folds", np.zeros((count, 0))))
    if folds.ndim == 2 and len(folds) != count:
        folds = folds.T
    finite = folds.dtype.kind in "uif" and np.isfinite(folds).all()
    if not finite or folds.ndim != 2 or len(folds) != count:
        raise InputError(
            f"{path}: 'folds' is not a row for each of {count} pictures"
        )
    numbers = range(1, folds.shape[1] + 1)
    return pd.DataFrame(folds.astype(np.int64), columns=numbers)


FORMAT = Format(
    name="tfd",
    title="Toronto Face Dataset (TFD)",
    layout="TFD_96x96.mat or TFD_48x48.mat",
    licence="on request from its makers; no redistribution",
    apply="https://www.cs.toronto.edu/~josh/",
    read=read,
    published={"labelled": 4178, "unlabelled": 98058},
)
