"""Action units that a detector found, as labels for pictures that have none: tables of py-feat, OpenFace and LibreFace.

Presence, intensity and probability stay apart: OpenFace's ``AU01_c`` is presence, its ``AU01_r`` intensity; LibreFace's
``au_1`` and ``au_1_intensity`` likewise; py-feat's ``AU01`` is a probability. What people have coded is never overwritten.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.formats.reading import action_unit, text_table
from duchenne.faces.table import FaceTable

_NAMES = ("path", "input", "image", "file", "filename", "file_name", "image_path", "name")
_CERTAINTY = ("facescore", "confidence", "success")
_RANGES = {"presence": (0, 1), "intensity": (0, 5), "probability": (0, 1)}


def join(table: FaceTable, path: Path) -> FaceTable:
    """Join the action units of a detector's csv, or of every csv in a folder, to a table of pictures.

    Rows are matched by the picture's path or, where that is unique, its file name; those of a film, which name no picture,
    by the sequence that the csv is named after, and the frame. Of several faces in one picture the most certain counts.
    Raises ``InputError`` where a file is not such a table, a value is out of range, or no row belongs to any picture.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no csv file")
    found = pd.concat([_read(table, file) for file in files])
    if found.empty:
        raise InputError(f"{path}: no row belongs to a picture of {table.root}")
    found = found[~found.index.duplicated()]
    frame = table.frame.copy()
    for name in found:
        values = found[name].reindex(frame.index)
        frame[name] = frame[name].fillna(values) if name in frame else values
    return replace(table, frame=frame)


def thresholded(table: FaceTable, at: float) -> FaceTable:
    """Take an action unit as present where its probability is ``at`` or more and nobody has said otherwise."""
    frame = table.frame.copy()
    for code in map(facs.code, facs.ACTION_UNITS):
        if f"{code}_probability" in frame:
            probability = frame[f"{code}_probability"]
            present = (probability >= at).astype("boolean").mask(probability.isna())
            frame[code] = frame[code].fillna(present) if code in frame else present
    return replace(table, frame=frame)


def _read(table: FaceTable, file: Path) -> pd.DataFrame:
    """The values of one csv, by the rows of the table that they belong to, the most certain first."""
    rows = text_table(file)
    rows.columns = [str(name).strip() for name in rows.columns]
    values = _values(rows, file)
    lower = {name.lower(): name for name in reversed(rows.columns)}
    certainty = next((lower[name] for name in _CERTAINTY if name in lower), None)
    sure = pd.to_numeric(rows[certainty], errors="coerce").fillna(0) if certainty else pd.Series(0.0, rows.index)
    named = next((lower[name] for name in _NAMES if name in lower), None)
    if named:
        places = _by_name(table, rows[named])
    elif "frame" in lower:
        places = _by_frame(table, file.stem, pd.to_numeric(rows[lower["frame"]], errors="coerce"))
    else:
        raise InputError(f"{file}: no column names a picture ({', '.join(_NAMES)}) or a frame")
    order = sure.sort_values(ascending=False, kind="stable").index
    found = values.loc[order].set_index(places.loc[order])
    return found[found.index >= 0]


def _values(rows: pd.DataFrame, file: Path) -> pd.DataFrame:
    """Columns as the table names them; raises ``InputError`` for a value out of range, or where there is no such column."""
    meant: dict[str, pd.Series] = {}
    for name in rows:
        column = action_unit(name)
        if column is None or column.side:
            continue
        numbers = pd.to_numeric(rows[name].replace("", None), errors="coerce")
        plain = not name.lower().endswith("_c")
        kind = "probability" if plain and column.kind == "presence" and _fractional(numbers) else column.kind
        low, high = _RANGES[kind]
        if (rows[name].ne("") & rows[name].str.lower().ne("nan") & ~numbers.between(low, high)).any():
            raise InputError(f"{file}: column {name!r}: a value is not between {low} and {high}")
        if kind == "presence" and _fractional(numbers):
            raise InputError(f"{file}: column {name!r}: a value is neither 0 nor 1")
        code = facs.code(column.number)
        if kind == "presence":
            meant[code] = numbers.astype("boolean")
        else:
            meant[f"{code}_{kind}"] = numbers
    if not meant:
        raise InputError(f"{file}: holds no action units")
    return pd.DataFrame(meant, index=rows.index)


def _fractional(numbers: pd.Series) -> bool:
    """Say whether values are other than 0 and 1, as py-feat's plain ``AU01`` are: probabilities."""
    return not numbers.dropna().isin([0, 1]).all()


def _by_name(table: FaceTable, names: pd.Series) -> pd.Series:
    """The table's row for each name of a picture, -1 where there is none or more than one."""
    paths = [PurePosixPath(path) for path in table.frame["path"]]
    whole = {path.as_posix(): place for place, path in enumerate(paths)}
    short = pd.Series(range(len(paths)), index=[path.name for path in paths])
    single = short[~short.index.duplicated(keep=False)].to_dict()
    root = table.root.resolve().as_posix() + "/"

    def place(name: str) -> int:
        regular = name.strip().replace("\\", "/").removeprefix(root)
        return int(whole.get(regular, single.get(PurePosixPath(regular).name, -1)))

    return names.map(place).astype(int)


def _by_frame(table: FaceTable, film: str, frames: pd.Series) -> pd.Series:
    """The table's row for each frame of the sequence of that name, -1 where there is none."""
    rows = table.frame[table.frame["sequence"] == film]
    places = dict(zip(rows["frame"].fillna(-1).astype(int), rows.index, strict=True))
    return frames.map(lambda frame: places.get(int(frame), -1) if np.isfinite(frame) else -1).astype(int)
