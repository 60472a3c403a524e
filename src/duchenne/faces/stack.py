"""A stack: the pictures of a table, cut out, of one size, ready for a network's preparation.

They lie as bytes in a file that is mapped into memory (see ``store``) and become numbers when they are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.faces import crop, pictures, store
from duchenne.faces.table import FaceTable
from duchenne.progress import Progress, quiet

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Stack:
    """Pictures in the order of ``table``: ``stored`` (n, C, S, S) bytes; ``uncut`` counts those without a face found."""

    stored: NDArray[np.uint8]
    table: FaceTable
    uncut: int = 0

    def __len__(self) -> int:
        return len(self.stored)

    @cached_property
    def pictures(self) -> Floats:
        """All pictures (n, C, S, S) in 0 … 1: four times as much memory as the file."""
        return self.floats(slice(None))

    def floats(self, rows: ArrayLike | slice) -> Floats:
        """Read the pictures of some rows, named by number or by mask: (k, C, S, S) in 0 … 1."""
        return self.stored[rows if isinstance(rows, slice) else np.asarray(rows)].astype(np.float32) / np.float32(255)


def load(table: FaceTable, size: int, channels: int = 1, crop_name: str = "none", progress: Progress = quiet) -> Stack:
    """Read, cut and resize every picture of a table, or find them as they were cut before.

    Single pictures that cannot be read are left out and listed in the table's ``left_out``; where a crop finds no
    face, the centred square is taken and counted. Raises ``InputError`` where no picture can be read.
    """
    paths = table.paths

    def decode(place: int) -> store.Entry:
        try:
            picture = pictures.read(paths[place], channels)
        except InputError as error:
            return store.Entry(None, fault=str(error))
        box = crop.CROPS[crop_name](picture)
        cut = crop.cut(picture, box or crop.centred_square(picture), size)
        return store.Entry(np.rint(cut * 255).astype(np.uint8), cut=box is not None)

    found = store.build(paths, crop_name, (channels, size, size), decode, progress)
    if not found.places:
        raise InputError(found.faults[0][1] if found.faults else f"{table.root}: holds no pictures")
    kept = table.where(np.isin(np.arange(len(table)), found.places))
    lines = tuple(reason for _, reason in found.faults)
    return Stack(found.pictures, replace(kept, left_out=lines), len(found.uncut))
