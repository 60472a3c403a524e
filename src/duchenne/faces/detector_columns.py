"""Action units that a detector found, as labels for pictures that have none:
tables of py-feat, OpenFace and LibreFace.

Presence, intensity and probability stay apart: OpenFace's ``AU01_c`` is
presence, its ``AU01_r`` intensity; LibreFace's ``au_1`` and ``au_1_intensity``
likewise; py-feat's ``AU01`` is a probability: plain names are, where the csv
has py-feat's ``FaceScore``, or any of their values is other than 0 and 1. What
people have coded is never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.formats.adapter import (
    action_unit,
    hidden,
    text_table,
    with_sides_joined,
)
from duchenne.faces.table import FaceTable

_NAMES = (
    "path",
    "input",
    "image",
    "file",
    "filename",
    "file_name",
    "image_path",
    "name",
)
_FRAMES = ("frame", "frame_idx", "frame_index", "frame_number")
# 0: no face was found, and nothing is known
_CERTAINTY = ("facescore", "confidence", "success")
_RANGES = {"presence": (0, 1), "intensity": (0, 5), "probability": (0, 1)}


def join(
    table: FaceTable,
    path: Path,
    announce: Callable[[str], None] = lambda line: None,
) -> FaceTable:
    """Join the action units of a detector's csv, or of every csv in a folder,
    to a table of pictures.

    Rows are matched by the picture's path or, where that is unique, its file
    name; those of a film by the sequence that the film, or the csv, is named
    after, and the frame, whether the detector counts from 0 or 1 or numbers
    the pictures that are there; a csv that names neither belongs to the
    picture that it is named after. Of several faces in one picture the most
    certain counts, where a detector found none it says nothing. A folder's csv
    that is no such table, or belongs to no picture or to several, is passed
    over.

    Args:
        table: The pictures.
        path: A detector's csv or parquet file, or a folder of them.
        announce: Is told of what is passed over.

    Returns:
        The table with the detector's columns.

    Raises:
        InputError: Where a file is not such a table, a value is out of range,
            or no row belongs to any picture.
    """
    places = _Places(table)
    found = pd.concat(
        _read_folder(places, path, announce)
        if path.is_dir()
        else [_read(places, path)]
    )
    if found.empty:
        raise InputError(
            f"{path}: no row belongs to a picture of {table.root}"
        )
    found = with_sides_joined(found[~found.index.duplicated()])
    frame = table.frame.copy()
    for name in found:
        values = found[name].reindex(frame.index)
        frame[name] = frame[name].fillna(values) if name in frame else values
    return replace(table, frame=frame)


def _read_folder(
    places: _Places, folder: Path, announce: Callable[[str], None]
) -> list[pd.DataFrame]:
    """The values of every csv of a folder that belongs to pictures."""
    files = [
        path for path in sorted(folder.glob("*.csv")) if not hidden(path.name)
    ]
    if not files:
        raise InputError(f"{folder}: holds no csv file")
    found = []
    for file in files:
        try:
            found.append(_read(places, file))
        except _NotATableError as error:
            announce(f"{error}; it is passed over")
    return found or [pd.DataFrame()]


class _NotATableError(InputError):
    """A csv that is not a detector's table, or belongs to no picture: one of
    many may be.
    """


def thresholded(table: FaceTable, at: float) -> FaceTable:
    """Take an action unit as present where its probability is ``at`` or more
    and nobody has said otherwise.
    """
    frame = table.frame.copy()
    for code in map(facs.code, facs.ACTION_UNITS):
        if f"{code}_probability" in frame:
            probability = frame[f"{code}_probability"]
            present = (
                (probability >= at).astype("boolean").mask(probability.isna())
            )
            frame[code] = (
                frame[code].fillna(present) if code in frame else present
            )
    return replace(table, frame=frame)


class _Places:
    """The rows of a table by the names that detectors give them; -1 where no
    row, or more than one, has a name.
    """

    def __init__(self, table: FaceTable) -> None:
        rows = table.frame
        paths = [PurePosixPath(path) for path in rows["path"]]
        self._root = table.root.resolve().as_posix() + "/"
        self._whole = {
            path.as_posix(): index for index, path in enumerate(paths)
        }
        self._names, self._stems = (
            _unique([getattr(path, part) for path in paths])
            for part in ("name", "stem")
        )
        films = rows[["sequence", "frame"]].dropna()
        self._films = {
            str(film): pd.Series(
                rows_of_film.index, rows_of_film["frame"].astype(int)
            ).sort_index()
            for film, rows_of_film in films.groupby("sequence")
        }

    def of_picture(self, name: str) -> int:
        regular = name.strip().replace("\\", "/").removeprefix(self._root)
        return self._whole.get(
            regular, self._names.get(PurePosixPath(regular).name, -1)
        )

    def of_stem(self, stem: str) -> int:
        return self._stems.get(stem, -1)

    def of_film(self, film: str, frames: pd.Series) -> pd.Series:
        """The row of each frame of a film, by the numbers that a detector
        gives them.

        A detector that counts from 0 where the pictures do not, or the other
        way round, is one off. Where some pictures' numbers are then still not
        told, and there are as many numbers as pictures, they stand for these
        in their order.
        """
        known = self._films.get(film)
        if known is None:
            return pd.Series(-1, frames.index)
        numbers = np.sort(frames.dropna().unique())
        ahead = int(known.index[0] == 0) - int(
            len(numbers) > 0 and numbers[0] == 0
        )
        number = known.set_axis(known.index + ahead)
        if not np.isin(number.index, numbers).all() and len(numbers) == len(
            known
        ):
            number = pd.Series(known.to_numpy(), numbers)
        return (
            frames.map(number[~number.index.duplicated()])
            .fillna(-1)
            .astype(int)
        )


def _unique(names: list[str]) -> dict[str, int]:
    places = pd.Series(range(len(names)), index=names)
    found: dict[str, int] = places[
        ~places.index.duplicated(keep=False)
    ].to_dict()
    return found


def _read(places: _Places, file: Path) -> pd.DataFrame:
    """The values of one csv, by the rows of the table that they belong to, the
    most certain first.
    """
    try:
        rows = text_table(file)
    except InputError as error:
        raise _NotATableError(str(error)) from None
    rows.columns = [str(name).strip() for name in rows.columns]
    lower = {name.lower(): name for name in reversed(rows.columns)}
    certain = rows[[lower[name] for name in _CERTAINTY if name in lower]]
    certain = certain.apply(pd.to_numeric, errors="coerce")
    counted = certain.ne(0).all(axis=1)
    values = _values(rows[counted], file, "facescore" in lower)
    # frames without a face count where they are numbered
    rows_of_table = _placed(places, rows, lower, file)[counted]
    order = _most_certain_first(certain[counted])
    found = values.loc[order].set_index(rows_of_table.loc[order])
    return found[found.index >= 0]


def _most_certain_first(certain: pd.DataFrame) -> pd.Index:
    """The rows by the first of the columns that say how sure a detector is, in
    order without.
    """
    if not len(certain.columns):
        return certain.index
    sure = certain.iloc[:, 0].fillna(0)
    return sure.sort_values(ascending=False, kind="stable").index


def _placed(
    places: _Places, rows: pd.DataFrame, lower: dict[str, str], file: Path
) -> pd.Series:
    """The table's row for each of a csv's rows: by picture, by film and frame,
    or by the csv's own name.
    """
    named = _first(rows, lower, _NAMES)
    framed = _first(rows, lower, _FRAMES)
    found = pd.Series(-1, rows.index)
    if named is not None:
        found = named.map(places.of_picture)
    if framed is not None and (found < 0).all():
        films = (
            pd.Series(file.stem, rows.index)
            if named is None
            else named.map(_stem)
        )
        frames = pd.to_numeric(framed, errors="coerce")
        found = _on_films(places, films, frames, found)
    elif named is None:
        found = pd.Series(_named_after(places, file), rows.index)
    return found.astype(int)


def _first(
    rows: pd.DataFrame, lower: dict[str, str], names: Sequence[str]
) -> pd.Series | None:
    """The first column of those names, however they are capitalised."""
    for name in names:
        if name in lower:
            return rows[lower[name]]
    return None


def _named_after(places: _Places, file: Path) -> int:
    """The picture that a csv is named after."""
    row = places.of_stem(file.stem)
    if row < 0:
        names = ", ".join(_NAMES)
        lacks = f"no column names a picture ({names}) or a frame"
        raise _NotATableError(
            f"{file}: {lacks}, nor does its own name name one"
        )
    return row


def _on_films(
    places: _Places, films: pd.Series, frames: pd.Series, otherwise: pd.Series
) -> pd.Series:
    """The places of frames of films."""
    parts = []
    for film, rows in films.groupby(films).groups.items():
        parts.append(places.of_film(str(film), frames[rows]))
    return pd.concat(parts).reindex(films.index) if parts else otherwise


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _values(rows: pd.DataFrame, file: Path, of_pyfeat: bool) -> pd.DataFrame:
    """Columns as the table names them; raises ``InputError`` for a value out
    of range, or where there is no such column.
    """
    columns = {name: column for name in rows if (column := action_unit(name))}
    if not columns:
        raise _NotATableError(f"{file}: holds no action units")
    texts = rows[list(columns)].apply(_without_missing)
    numbers = {name: _numbers(texts[name]) for name in columns}
    if of_pyfeat or not _plain_are_binary(numbers):
        for name in filter(_is_plain, columns):
            columns[name] = replace(columns[name], kind="probability")
    meant: dict[str, pd.Series] = {}
    for name, column in columns.items():
        _refuse_odd(file, name, texts[name], numbers[name], column.kind)
        meant[column.name] = _meant(numbers[name], column.kind)
    return pd.DataFrame(meant, index=rows.index)


def _plain_are_binary(numbers: Mapping[str, pd.Series]) -> bool:
    """Whether plain names hold presence: no value is other than 0 and 1."""
    return all(
        _binary(values) for name, values in numbers.items() if _is_plain(name)
    )


def _meant(numbers: pd.Series, kind: str) -> pd.Series:
    return numbers.astype("boolean") if kind == "presence" else numbers


def _numbers(texts: pd.Series) -> pd.Series:
    return pd.to_numeric(texts.replace("", None), errors="coerce")


def _without_missing(texts: pd.Series) -> pd.Series:
    """A column of texts, empty where it says that a value is missing."""
    return texts.mask(texts.str.strip().str.fullmatch(_MISSING), "")


def _is_plain(name: str) -> bool:
    """Whether a column is called as AU12, not au_12 or AU12_c."""
    return name.lower().removeprefix("au").isdigit()


_MISSING = r"(?i)[+-]?nan(\(.*\))?|[+-]?1\.#(ind|qnan)\w*|none|null|na|"
"""What programs write where a number is none; C's printf writes nan, -nan and
-nan(ind).
"""


def _refuse_odd(
    file: Path, name: str, texts: pd.Series, numbers: pd.Series, kind: str
) -> None:
    """Refuse a value that a column of a kind cannot hold, by its line."""
    low, high = _RANGES[kind]
    fits = (
        numbers.between(low, high)
        if kind != "presence"
        else numbers.isin([0, 1])
    )
    odd = texts.index[texts.ne("") & ~fits]
    if len(odd):
        meaning = (
            "neither 0 nor 1"
            if kind == "presence"
            else f"not between {low} and {high}"
        )
        raise InputError(
            f"{file}: line {odd[0] + 2}: column {name!r}: {texts[odd[0]].strip()} is {meaning}"
        )


def _binary(numbers: pd.Series) -> bool:
    return bool(numbers.dropna().isin([0, 1]).all())
