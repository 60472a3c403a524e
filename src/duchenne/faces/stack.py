"""A stack: the pictures of a table, cut out, of one size, ready for a network's preparation.

They lie as bytes in a file that is mapped into memory (see ``store``) and become numbers when they are asked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.faces import crop, landmarks, store
from duchenne.faces.cutting import Cutter, Task
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
    crop.named(crop_name)  # refused before anything is read
    paths = table.paths
    tasks, said = _tasks(table, paths, crop_name)
    cutter = Cutter(size, channels, crop_name, no_face == "keep")
    found = store.build(paths, tasks, f"{crop_name} {no_face} {said}", (channels, size, size), cutter, progress)
    faults, notes = (tuple(f"{paths[place]}: {says}" for place, says in lines) for lines in (found.faults, found.notes))
    if not found.places:
        raise InputError(faults[0] if faults else f"{table.root}: holds no pictures")
    kept = table.where(np.isin(np.arange(len(table)), found.places))
    return Stack(found.pictures, replace(kept, left_out=faults), notes)


def _tasks(table: FaceTable, paths: list[Path], crop_name: str) -> tuple[list[Task], str]:
    """Every picture with what the table says of its face, as far as the crop asks for it, and a digest of all that."""
    rows, root = table.frame, table.root
    boxes, points = dict[int, tuple[float, float, float, float]](), dict[int, str]()
    if crop_name == "box" and set(BOX) <= set(rows):
        edges = rows[list(BOX)].to_numpy(float)
        for place in np.flatnonzero(np.isfinite(edges).all(1)).tolist():
            left, top, right, bottom = edges[place].tolist()
            boxes[place] = (left, top, right, bottom)
    if crop_name in ("landmarks", "eyes") and "landmarks" in rows:
        points = {int(place): str(rows["landmarks"].iloc[place]) for place in np.flatnonzero(rows["landmarks"].notna())}
    files = sorted({root / name for where in points.values() if (name := landmarks.file(where))})
    said = repr((boxes, points, store.content(files) if files else ""))
    tasks = [Task(path, root, boxes.get(place), points.get(place, "")) for place, path in enumerate(paths)]
    return tasks, hashlib.sha256(said.encode()).hexdigest() if boxes or points else ""
