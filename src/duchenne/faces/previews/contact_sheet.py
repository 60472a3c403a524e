"""Contact sheets: many small faces on one picture, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne import files
from duchenne.errors import InputError
from duchenne.faces.images import decoding
from duchenne.faces.table import FaceTable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Bytes = NDArray[np.uint8]
Cells = list[tuple[str, Bytes | None]]
"""A caption and a picture for each place of a sheet, row by row."""

_LINE = 12  # height of a line of a caption in pixels
_LARGEST = 160  # side of a face on the sheet of a table


def of_table(table: FaceTable, path: Path, rows: int = 8) -> None:
    """Write one face a person and expression at its apex: people down,
    expressions across.

    Where people are not named, or show few expressions each, pictures of each
    expression below each other; where expressions are not named, pictures of
    each person beside each other.

    Args:
        table: The pictures.
        path: The file.
        rows: How many people.
    """
    across = table.expressions or ("",) * 8
    by_person = _by_person(table)
    chosen = [
        _chosen(table, by_person, expression, row, index)
        for row in range(rows)
        for index, expression in enumerate(across)
    ]
    cells: Cells = [
        (name, thumbnail(table.root / where) if where else None)
        for name, where in chosen
    ]
    write(path, _without_empty_rows(cells, len(across)), len(across))


def _by_person(table: FaceTable) -> bool:
    """Say whether people show most expressions, so that a row a person is
    filled.
    """
    shown = table.frame.groupby("subject")["expression"].nunique().mean()
    return table.people_known and (
        not table.expressions or shown >= len(table.expressions) / 2
    )


def _chosen(
    table: FaceTable, by_person: bool, expression: str, row: int, index: int
) -> tuple[str, str]:
    """Caption and path of the picture in one place of the sheet; the path is
    empty where there is none.
    """
    frame = table.frame
    shown = frame[frame["expression"] == expression] if expression else frame
    if by_person:
        subjects = table.subjects
        shown = (
            shown[shown["subject"] == subjects[row]]
            if row < len(subjects)
            else shown.iloc[:0]
        )
        shown = shown.sort_values("frame")
        wanted = len(shown) - 1 if expression else index
    else:
        wanted = row if expression else row * 8 + index
    return expression, _path_at(shown, wanted)


def _path_at(rows: pd.DataFrame, index: int) -> str:
    if not 0 <= index < len(rows):
        return ""
    return str(rows["path"].iloc[index])


def _without_empty_rows(cells: Cells, across: int) -> Cells:
    lines = [cells[at : at + across] for at in range(0, len(cells), across)]
    return [
        cell
        for line in lines
        if any(face is not None for _, face in line)
        for cell in line
    ]


def thumbnail(path: Path) -> Bytes | None:
    """Read a picture in RGB, its longer side at most 160 pixels.

    Args:
        path: The file.

    Returns:
        (H, W, 3); None where it cannot be read.
    """
    from PIL import Image

    try:
        grey_or_rgb = decoding.read(path, 3)
    except InputError:
        return None
    picture = Image.fromarray(
        np.rint(grey_or_rgb.transpose(1, 2, 0) * 255).astype(np.uint8)
    )
    picture.thumbnail((_LARGEST, _LARGEST))
    return np.asarray(picture)


def write(path: Path, cells: Cells, across: int) -> None:
    """Write a sheet of captioned pictures.

    Args:
        path: The file.
        cells: Captions and pictures.
        across: How many to a row.

    Raises:
        InputError: Where there is none to show.
    """
    from PIL import Image

    if all(cell is None for _, cell in cells):
        raise InputError(
            f"{path}: there is no picture to put on the contact sheet"
        )
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise InputError(
            f"{path}: its ending names no format of pictures, as .png does"
        )
    sheet = _drawn(cells, across)
    with files.replacing(path) as partial:
        sheet.save(partial, format=kind)


def _drawn(cells: Cells, across: int) -> Picture:
    """Pictures side by side, each under its name."""
    from PIL import Image

    width, tallest, caption = _sizes(cells)
    height = tallest + caption
    down = -(-len(cells) // across)
    sheet = Image.new("RGB", (across * width, down * height), "white")
    for index, (name, cell) in enumerate(cells):
        row, column = divmod(index, across)
        left = column * width
        top = row * height
        sheet.paste(_caption(name, width, caption), (left, top))
        if cell is not None:
            sheet.paste(Image.fromarray(cell), (left, top + caption))
    return sheet


def _sizes(cells: Cells) -> tuple[int, int, int]:
    """The width of the widest picture, the height of the tallest, and that of
    all captions.
    """
    shapes = [cell.shape[:2] for _, cell in cells if cell is not None]
    tallest, width = np.max(shapes, axis=0).tolist()
    lines = max(name.count("\n") + 1 for name, _ in cells)
    return width, tallest, 3 + _LINE * lines


def _caption(name: str, width: int, height: int) -> Picture:
    """A name as a strip of its own, so that a long one is cut, not written on."""
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(strip).text((2, 1), name, fill=(40, 40, 40), spacing=1)
    return strip
