"""Contact sheets: many small faces on one picture, to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from duchenne import facs
from duchenne.faces.avatars import people
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.avatars.protocols import with_implied
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.table import FaceTable

Bytes = NDArray[np.uint8]
_LINE = 12  # height of a line of a caption in pixels


def of_table(table: FaceTable, path: Path, rows: int = 8) -> None:
    """Write one face a subject and expression at its apex: people down, expressions across; no expressions: the first
    pictures of each person.
    """
    frame = table.frame.assign(path=[str(p) for p in table.paths])
    across = table.expressions or ("",) * 8
    cells = []
    for subject in table.subjects[:rows]:
        own = frame[frame["subject"] == subject]
        for place, expression in enumerate(across):
            found = own[own["expression"] == expression] if table.expressions else own.iloc[place : place + 1]
            cells.append((expression, _read(found.sort_values("frame")["path"].iloc[-1]) if len(found) else None))
    _write(path, cells, len(across))


def of_action_units(path: Path, seed: int = 0, size: int = 128) -> None:
    """Write every action unit that can be rendered at A, C and E on one face."""
    basis = head_basis()
    person = people.draw_person(basis, np.random.default_rng((seed, 0, 0)))
    numbers = facs.rendered()
    shots = [
        Shot(person, people.STUDIO, {n: (g / 5, g / 5) for n, (g, _) in with_implied({number: (grade, grade)}).items()})
        for number in numbers
        for grade in (1, 3, 5)
    ]
    drawn = Studio(basis).draw(shots, size, samples=3)
    columns = [np.concatenate(drawn[i : i + 3]) for i in range(0, len(drawn), 3)]
    names = [f"{facs.code(n)}\n{facs.ACTION_UNITS[n].name}" for n in numbers]
    _write(path, list(zip(names, columns, strict=True)), 10)


def _read(path: str) -> Bytes:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture)


def _write(path: Path, cells: list[tuple[str, Bytes | None]], across: int) -> None:
    from PIL import Image, ImageDraw

    shape = next(cell.shape for _, cell in cells if cell is not None)
    caption = 3 + _LINE * max(name.count("\n") + 1 for name, _ in cells)
    height, width = shape[0] + caption, shape[1]
    sheet = Image.new("RGB", (across * width, -(-len(cells) // across) * height), "white")
    for place, (name, cell) in enumerate(cells):
        left, top = place % across * width, place // across * height
        strip = Image.new("RGB", (width, caption), "white")  # of its own, so that a long name is cut, not written on
        ImageDraw.Draw(strip).text((2, 1), name, fill=(40, 40, 40), spacing=1)
        sheet.paste(strip, (left, top))
        if cell is not None:
            sheet.paste(Image.fromarray(cell), (left, top + caption))
    sheet.save(path)
