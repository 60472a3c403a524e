"""A stack: the pictures of a table in memory, cut out, of one size, ready for a network's preparation."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces import crop, pictures
from duchenne.faces.table import FaceTable
from duchenne.progress import Progress, quiet

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Stack:
    """Pictures (n, C, S, S) in 0 … 1 in the order of ``table``; ``uncut`` counts those in which no face was found."""

    pictures: Floats
    table: FaceTable
    uncut: int = 0

    def __len__(self) -> int:
        return len(self.pictures)


def load(table: FaceTable, size: int, channels: int = 1, crop_name: str = "none", progress: Progress = quiet) -> Stack:
    """Read, cut and resize every picture of a table.

    Single pictures that cannot be read are left out and listed in the table's ``left_out``; where a crop finds no
    face, the centred square is taken and counted. Raises ``InputError`` where no picture can be read.
    """

    def read(place: int) -> tuple[Floats, bool] | str:
        try:
            picture = pictures.read(paths[place], channels)
        except InputError as error:
            return str(error)
        box = crop.CROPS[crop_name](picture)
        return crop.cut(picture, box or crop.centred_square(picture), size), box is not None

    paths = table.paths
    with progress("Reading pictures", len(table)) as advance, ThreadPoolExecutor() as threads:
        found = []
        for outcome in threads.map(read, range(len(table))):
            found.append(outcome)
            advance(1)
    return _stacked(table, found)


def _stacked(table: FaceTable, found: Sequence[tuple[Floats, bool] | str]) -> Stack:
    lines = tuple(outcome for outcome in found if isinstance(outcome, str))
    read = [outcome for outcome in found if not isinstance(outcome, str)]
    if not read:
        raise InputError(lines[0] if lines else f"{table.root}: holds no pictures")
    kept = replace(table.where([not isinstance(outcome, str) for outcome in found]), left_out=lines)
    return Stack(np.stack([picture for picture, _ in read]), kept, sum(not cut for _, cut in read))
