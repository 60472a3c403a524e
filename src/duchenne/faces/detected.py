"""Action units that a detector found, as labels for pictures that have none: tables of py-feat, OpenFace and LibreFace.

Presence, intensity and probability stay apart: OpenFace's ``AU01_c`` is presence, its ``AU01_r`` intensity; LibreFace's
``au_1`` and ``au_1_intensity`` likewise; py-feat's ``AU01`` is a probability: plain names are, where the csv has py-feat's
``FaceScore``, or any of their values is other than 0 and 1. What people have coded is never overwritten.
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
_CERTAINTY = ("facescore", "confidence", "success")  # 0: no face was found, and nothing is known
_RANGES = {"presence": (0, 1), "intensity": (0, 5), "probability": (0, 1)}


def join(table: FaceTable, path: Path) -> FaceTable:
    """Join the action units of a detector's csv, or of every csv in a folder, to a table of pictures.

    Rows are matched by the picture's path or, where that is unique, its file name; those of a film by the sequence that the
    film, or the csv, is named after, and the frame; a csv that names neither belongs to the picture that it is named after.
    Of several faces in one picture the most certain counts, where a detector found none it says nothing. Raises
    ``InputError`` where a file is not such a table, a value is out of range, or no row belongs to any picture.
    """
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no csv file")
    places = _Places(table)
    found = pd.concat([_read(places, file) for file in files])
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


class _Places:
    """The rows of a table by the names that detectors give them; -1 where no row, or more than one, has a name."""

    def __init__(self, table: FaceTable) -> None:
        rows = table.frame
        paths = [PurePosixPath(path) for path in rows["path"]]
        self._root = table.root.resolve().as_posix() + "/"
        self._whole = {path.as_posix(): place for place, path in enumerate(paths)}
        self._names, self._stems = (_unique([getattr(path, part) for path in paths]) for part in ("name", "stem"))
        films = rows[["sequence", "frame"]].dropna()
        self._frames = dict(zip(zip(films["sequence"], films["frame"].astype(int), strict=True), films.index, strict=True))

    def of_picture(self, name: str) -> int:
        regular = name.strip().replace("\\", "/").removeprefix(self._root)
        return self._whole.get(regular, self._names.get(PurePosixPath(regular).name, -1))

    def of_stem(self, stem: str) -> int:
        return self._stems.get(stem, -1)

    def of_frame(self, film: str, frame: float) -> int:
        return self._frames.get((film, int(frame)), -1) if np.isfinite(frame) else -1


def _unique(names: list[str]) -> dict[str, int]:
    places = pd.Series(range(len(names)), index=names)
    found: dict[str, int] = places[~places.index.duplicated(keep=False)].to_dict()
    return found


def _read(places: _Places, file: Path) -> pd.DataFrame:
    """The values of one csv, by the rows of the table that they belong to, the most certain first."""
    rows = text_table(file)
    rows.columns = [str(name).strip() for name in rows.columns]
    lower = {name.lower(): name for name in reversed(rows.columns)}
    values = _values(rows, file, "facescore" in lower)
    place = _placed(places, rows, lower, file)
    certain = rows[[lower[name] for name in _CERTAINTY if name in lower]].apply(pd.to_numeric, errors="coerce")
    sure = certain.iloc[:, 0] if len(certain.columns) else pd.Series(1.0, rows.index)
    order = sure.fillna(0)[certain.ne(0).all(axis=1)].sort_values(ascending=False, kind="stable").index
    found = values.loc[order].set_index(place.loc[order])
    return found[found.index >= 0]


def _placed(places: _Places, rows: pd.DataFrame, lower: dict[str, str], file: Path) -> pd.Series:
    """The table's row for each of a csv's rows: by picture, by film and frame, or by the csv's own name."""
    named = next((lower[name] for name in _NAMES if name in lower), None)
    found = rows[named].map(places.of_picture) if named else pd.Series(-1, rows.index)
    if "frame" in lower and (found < 0).all():
        films = (
            rows[named].map(lambda name: PurePosixPath(name.replace("\\", "/")).stem) if named else [file.stem] * len(rows)
        )
        frames = pd.to_numeric(rows[lower["frame"]], errors="coerce")
        found = pd.Series([places.of_frame(*each) for each in zip(films, frames, strict=True)], rows.index)
    elif not named and places.of_stem(file.stem) >= 0:
        found = pd.Series(places.of_stem(file.stem), rows.index)
    elif not named:
        raise InputError(f"{file}: no column names a picture ({', '.join(_NAMES)}) or a frame, nor does its own name")
    return found.astype(int)


def _values(rows: pd.DataFrame, file: Path, of_pyfeat: bool) -> pd.DataFrame:
    """Columns as the table names them; raises ``InputError`` for a value out of range, or where there is no such column."""
    meant: dict[str, pd.Series] = {}
    columns = {name: column for name in rows if (column := action_unit(name)) and not column.side}
    numbers = {name: pd.to_numeric(rows[name].replace("", None), errors="coerce") for name in columns}
    plain = [name for name in columns if name.lower().removeprefix("au").isdigit()]  # AU12, not au_12 or AU12_c
    probable = of_pyfeat or not all(_binary(numbers[name]) for name in plain)
    for name, column in columns.items():
        kind = "probability" if probable and name in plain else column.kind
        low, high = _RANGES[kind]
        if (rows[name].ne("") & rows[name].str.lower().ne("nan") & ~numbers[name].between(low, high)).any():
            raise InputError(f"{file}: column {name!r}: a value is not between {low} and {high}")
        if kind == "presence" and not _binary(numbers[name]):
            raise InputError(f"{file}: column {name!r}: a value is neither 0 nor 1")
        code = facs.code(column.number)
        if kind == "presence":
            meant[code] = numbers[name].astype("boolean")
        else:
            meant[f"{code}_{kind}"] = numbers[name]
    if not meant:
        raise InputError(f"{file}: holds no action units")
    return pd.DataFrame(meant, index=rows.index)


def _binary(numbers: pd.Series) -> bool:
    return bool(numbers.dropna().isin([0, 1]).all())
