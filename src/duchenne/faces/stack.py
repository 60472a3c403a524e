"""A stack: the pictures of a table, cut out, of one size, ready for a network's preparation.

They lie as bytes in a file that is mapped into memory (see ``store``) and become numbers when they are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.faces import crop, landmarks, pictures, store
from duchenne.faces.table import BOX, FaceTable
from duchenne.progress import Progress, quiet

Floats = NDArray[np.float32]


NO_FACE = ("keep", "leave out")
"""What may be done with a picture in which no face is found: keep its centred square, or leave it out."""


@dataclass(frozen=True)
class Stack:
    """Pictures in the order of ``table``: ``stored`` (n, C, S, S) bytes; ``notes`` a line for each that was cut in doubt."""

    stored: NDArray[np.uint8]
    table: FaceTable
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.stored)

    @cached_property
    def pictures(self) -> Floats:
        """All pictures (n, C, S, S) in 0 … 1: four times as much memory as the file."""
        return self.floats(slice(None))

    def floats(self, rows: ArrayLike | slice) -> Floats:
        """Read the pictures of some rows, named by number or by mask: (k, C, S, S) in 0 … 1."""
        return self.stored[rows if isinstance(rows, slice) else np.asarray(rows)].astype(np.float32) / np.float32(255)


def load(
    table: FaceTable,
    size: int,
    channels: int = 1,
    crop_name: str = "none",
    progress: Progress = quiet,
    no_face: str = "keep",
) -> Stack:
    """Read, cut and resize every picture of a table, or find them as they were cut before.

    Single pictures that cannot be read are left out and listed in the table's ``left_out``. Where a crop finds no face the
    centred square is taken, or the picture is left out if ``no_face`` says so; ``notes`` tells of both, and of pictures
    with several faces. Raises ``InputError`` where no picture is left.
    """
    paths, cropped = table.paths, crop.named(crop_name)
    hints = _hints(table) if crop_name in ("landmarks", "eyes", "box") else {}

    def decode(place: int) -> store.Entry:
        try:
            picture = pictures.read(paths[place], channels)
        except InputError as error:
            return store.Entry(None, str(error).removeprefix(f"{paths[place]}: "))
        found = cropped(picture, hints.get(place, crop.Hints()))
        if found.region is None and no_face == "leave out":
            return store.Entry(None, found.note)
        cut = crop.cut(picture, found.region or crop.centred_square(picture), size)
        note = found.note if found.region else f"{found.note}, its middle was taken"
        return store.Entry(np.rint(cut * 255).astype(np.uint8), note)

    told = hashlib.sha256(repr(hints).encode()).hexdigest() if hints else ""
    found = store.build(paths, f"{crop_name} {no_face} {told}", (channels, size, size), decode, progress)
    faults, notes = (tuple(f"{paths[place]}: {says}" for place, says in lines) for lines in (found.faults, found.notes))
    if not found.places:
        raise InputError(faults[0] if faults else f"{table.root}: holds no pictures")
    kept = table.where(np.isin(np.arange(len(table)), found.places))
    return Stack(found.pictures, replace(kept, left_out=faults), notes)


def _hints(table: FaceTable) -> dict[int, crop.Hints]:
    """What the table says of each face; a picture of which it says nothing usable has none."""
    rows, found = table.frame, {}
    for place in range(len(rows)):
        points = None
        if "landmarks" in rows and pd.notna(rows["landmarks"].iloc[place]):
            with contextlib.suppress(InputError):
                points = landmarks.read(str(rows["landmarks"].iloc[place]), table.root).round(3)
        edges = rows.loc[place, list(BOX)].to_numpy(float) if set(BOX) <= set(rows) else np.full(4, np.nan)
        left, top, right, bottom = edges.tolist()
        found[place] = crop.Hints((left, top, right, bottom) if np.isfinite(edges).all() else None, points)
    return found
