"""AffectNet: faces from the web with an expression, valence and arousal; two
layouts.

Lists ``training.csv`` and ``validation.csv`` with
``subDirectory_filePath,face_x,…,expression,valence,arousal``, or the later
``train_set/annotations/<n>_exp.npy`` beside ``train_set/images/<n>.jpg``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from duchenne.errors import InputError
from duchenne.faces.formats.adapter import (
    Contents,
    Format,
    Remark,
    existing_root,
    files,
    folders,
    leaves,
    named_in_utf8,
    text_table,
)
from duchenne.faces.table import FaceTable

_EXPRESSIONS = (
    "neutral",
    "happiness",
    "sadness",
    "surprise",
    "fear",
    "disgust",
    "anger",
    "contempt",
)
_NO_EXPRESSION = (8, 9, 10)  # none, uncertain, no face
_SPLITS = {
    "training": "train",
    "validation": "validation",
    "train_set": "train",
    "val_set": "validation",
}
_BOX = {
    "face_x": "left",
    "face_y": "top",
    "face_width": "right",
    "face_height": "bottom",
}
_NEEDED = ("subDirectory_filePath", "expression")


def read(root: Path) -> Contents:
    """Read a copy of AffectNet in either layout.

    The people are not named: every picture counts as a person of its own.

    Args:
        root: Its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where it holds neither layout.
    """
    lists = [
        path
        for path in sorted(existing_root(root).glob("*.csv"))
        if _split(path.stem)
    ]
    remarks: list[Remark] = []
    if lists:
        pictures = _picture_folder(root)
        there = _there(pictures)
        parts = [
            _listed(root, path, pictures, there, remarks) for path in lists
        ]
    else:
        parts = [_annotated(root, folder, remarks) for folder in _sets(root)]
    parts = [part for part in parts if len(part)]
    if not parts:
        either = "neither training.csv and validation.csv nor train_set/annotations and images"
        raise InputError(f"{root}: holds {either}")
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(dataset="affectnet", subject=rows["path"])
    return Contents(FaceTable(rows, root), tuple(remarks))


def _sets(root: Path) -> list[Path]:
    """Folders with annotations beside images, the root itself last."""
    return [
        folder
        for folder in (*folders(root), root)
        if (folder / "annotations").is_dir() and (folder / "images").is_dir()
    ]


def _split(name: str) -> str | None:
    return next(
        (
            split
            for start, split in _SPLITS.items()
            if name.lower().startswith(start)
        ),
        None,
    )


def _listed(
    root: Path,
    path: Path,
    pictures: Path,
    there: frozenset[str],
    remarks: list[Remark],
) -> pd.DataFrame:
    rows = text_table(path)
    for name in _NEEDED:
        if name not in rows:
            raise InputError(f"{path}: column {name!r} is missing")
    code = pd.to_numeric(rows["expression"], errors="coerce")
    paths = rows["subDirectory_filePath"]
    usable = _usable(path, paths, code, there, remarks)
    if pictures != root:
        paths = pictures.relative_to(root).as_posix() + "/" + paths
    values = pd.DataFrame({"path": paths, "split": _split(path.stem)})
    values["expression"] = _expressions(code)
    values = pd.concat([values, _numbers(rows)], axis=1)
    if "facial_landmarks" in rows:
        points = rows["facial_landmarks"]
        inline = points.str.contains(";", regex=False)
        values["landmarks"] = points.where(inline, None)
    return values[usable]


def _expressions(code: pd.Series) -> pd.Series:
    """The expressions that codes stand for; none for 8 to 10."""
    named = code.where(code < len(_EXPRESSIONS))
    return named.map(
        lambda number: _EXPRESSIONS[int(number)], na_action="ignore"
    )


def _usable(
    path: Path,
    paths: pd.Series,
    code: pd.Series,
    there: frozenset[str],
    remarks: list[Remark],
) -> pd.Series:
    """Which lines of a list name a picture that is there and a known code; a
    remark on all others.
    """
    known = code.isin(range(len(_EXPRESSIONS) + len(_NO_EXPRESSION)))
    inside = ~paths.map(leaves).astype(bool)
    found = inside & paths.isin(there)
    faults = {
        "no such picture": inside & ~found,
        "the path leaves the folder": ~inside,
        "expression is not 0 to 10": ~known,
    }
    for says, wrong in faults.items():
        for row in paths.index[wrong]:
            remarks.append(
                Remark(path.name, f"line {row + 2}: {paths[row]!r}: {says}")
            )
    return found & known


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Boxes as left, top, right, bottom; valence and arousal, which are −2
    where a face shows no expression.
    """
    found = pd.DataFrame(index=rows.index)
    if set(_BOX) <= set(rows):
        for name, column in _BOX.items():
            found[column] = pd.to_numeric(rows[name], errors="coerce")
        found["right"] += found["left"]
        found["bottom"] += found["top"]
    for name in ("valence", "arousal"):
        if name in rows:
            value = pd.to_numeric(rows[name], errors="coerce")
            found[name] = value.where(value.between(-1, 1))
    return found


def _picture_folder(root: Path) -> Path:
    return next(
        (
            root / name
            for name in ("Manually_Annotated_Images", "images")
            if (root / name).is_dir()
        ),
        root,
    )


def _there(folder: Path) -> frozenset[str]:
    """Name all files below a folder; one walk is far quicker than a question
    for each of 400,000.
    """
    found = []
    for directory, _, names in os.walk(folder):
        below = Path(directory).relative_to(folder).as_posix()
        found += [
            name if below == "." else f"{below}/{name}" for name in names
        ]
    return frozenset(found)


def _annotated(
    root: Path, folder: Path, remarks: list[Remark]
) -> pd.DataFrame:
    names = files(folder / "images")
    annotations = [
        folder / "annotations" / f"{Path(name).stem}_exp.npy" for name in names
    ]
    with ThreadPoolExecutor() as threads:
        codes = list(threads.map(_code, annotations))
    rows = []
    for name, code in zip(names, codes, strict=True):
        path = (folder / "images" / name).relative_to(root).as_posix()
        if isinstance(code, str):
            remarks.append(Remark(path, code))
            continue
        expression = _EXPRESSIONS[code] if code < len(_EXPRESSIONS) else None
        rows.append(
            {
                "path": path,
                "split": _split(folder.name),
                "expression": expression,
            }
        )
    return pd.DataFrame(named_in_utf8(rows, remarks))


def _code(path: Path) -> int | str:
    """Read the code of an expression that is kept as one number, or as one
    text, in a NumPy file.
    """
    try:
        value = int(str(np.load(path, allow_pickle=False)).strip())
    except FileNotFoundError:
        return "its annotation is missing"
    except Exception:
        # NumPy's reader fails in many ways on what is not its own
        return f"its annotation {path.name} is not a number"
    if not 0 <= value < len(_EXPRESSIONS) + len(_NO_EXPRESSION):
        return f"expression {value} is not 0 to 10"
    return value


FORMAT = Format(
    name="affectnet",
    title="AffectNet",
    layout=(
        "training.csv and validation.csv beside the pictures, or train_set/annotations and "
        "train_set/images"
    ),
    licence="non-commercial research, on a signed agreement; no redistribution",
    apply="http://mohammadmahoor.com/affectnet-request-form/",
    read=read,
)
