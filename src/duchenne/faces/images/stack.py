"""A stack: the pictures of a table, cut out, of one size, ready for a
network's preparation.

They lie as bytes in a file that is mapped into memory (see ``store``) and
become numbers when they are asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.faces.geometry import crop, landmarks
from duchenne.faces.images import store
from duchenne.faces.images.cutting import Cutter, Task
from duchenne.faces.table import BOX, FaceTable

Floats = NDArray[np.float32]


SMALLEST = 8
LARGEST = 2048
"""Pixels along a side that pictures may be brought to."""

# columns of the table
_CUT_BY = {"landmarks": "landmarks", "eyes": "landmarks", "box": "left"}

NO_FACE = ("keep", "leave out")
"""What may be done with a picture in which no face is found: keep its centred
square, or leave it out.
"""


@dataclass(frozen=True)
class Stack:
    """Pictures in the order of ``table``: ``stored`` (n, C, S, S) bytes;
    ``notes`` a line for each that was cut in doubt.

    ``onto`` (n, 2, 3) takes a place (x, y, 1) in the pixels of a picture's
    file to where it lies in the cut picture.
    """

    stored: NDArray[np.uint8]
    table: FaceTable
    onto: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.stored)

    @cached_property
    def pictures(self) -> Floats:
        """All pictures (n, C, S, S) in 0 … 1: four times as much memory as the
        file.
        """
        return self.floats(slice(None))

    def landmarks(
        self, rows: Sequence[int] | NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The 68 landmarks of some rows where they lie in the cut pictures.

        Args:
            rows: Of the stack, k.

        Returns:
            (k, 68, 2) as x, y; NaN for faces without.
        """
        found = np.full((len(rows), landmarks.COUNT, 2), np.nan)
        if "landmarks" not in self.table.frame:
            return found
        files = self.table.frame["landmarks"].iloc[rows]
        for index, (row, where) in enumerate(zip(rows, files, strict=True)):
            # those that cannot be used are none
            with contextlib.suppress(InputError, TypeError):
                points = landmarks.read(where, self.table.root)
                homogeneous = np.column_stack([points, np.ones(len(points))])
                found[index] = homogeneous @ self.onto[row].T
        return found

    def where(self, chosen: NDArray[np.bool_]) -> Stack:
        """Those pictures that a mask chooses.

        Args:
            chosen: (n,).

        Returns:
            A stack of these.
        """
        return replace(
            self,
            stored=self.stored[chosen],
            table=self.table.where(chosen),
            onto=self.onto[chosen],
        )

    def floats(self, rows: ArrayLike | slice) -> Floats:
        """Read the pictures of some rows.

        Args:
            rows: By number, slice or mask.

        Returns:
            (k, C, S, S) in 0 … 1.
        """
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        return self.stored[chosen].astype(np.float32) / np.float32(255)


def decode(
    table: FaceTable,
    size: int,
    channels: int = 1,
    crop_name: str = "none",
    no_face: str = "keep",
    cut_already: NDArray[np.bool_] | None = None,
) -> Stack:
    """Read, cut and resize every picture of a table, or find them as they were
    cut before.

    Single pictures that cannot be read are left out and listed in the table's
    ``left_out``. Where a crop finds no face the centred square is taken, or
    the picture is left out; ``notes`` tells of both, and of pictures with
    several faces.

    Args:
        table: The pictures, n.
        size: Pixels along a side of what is cut out.
        channels: 1 for grey, 3 for RGB.
        crop_name: One of ``CROPS``, or a detector's file.
        no_face: "keep" or "leave out", where a crop finds none.
        cut_already: (n,) pictures that are taken whole.

    Returns:
        The pictures (n, C, size, size), and their table.

    Raises:
        InputError: For a size that no picture can have, and where no picture
            is left.
    """
    whole = np.zeros(len(table), bool) if cut_already is None else cut_already
    _refuse_impossible(table.where(~whole), size, crop_name)
    paths = table.paths
    tasks = _tasks(table, paths, crop_name, whole)
    cutter = Cutter(size, channels, no_face == "keep")
    how = f"{no_face} {_digest(table, tasks)}"
    found = store.build(paths, tasks, how, (channels, size, size), cutter)
    faults = _lines(paths, found.faults)
    if not found.places:
        raise InputError(
            faults[0] if faults else f"{table.root}: holds no pictures"
        )
    kept = replace(table.take(found.places), left_out=faults)
    return Stack(found.pictures, kept, found.onto, _lines(paths, found.notes))


def _lines(
    paths: Sequence[Path], remarks: Sequence[tuple[int, str]]
) -> tuple[str, ...]:
    """What is said of some pictures, each with its path."""
    return tuple(f"{paths[index]}: {says}" for index, says in remarks)


def _refuse_impossible(table: FaceTable, size: int, crop_name: str) -> None:
    """Refuse, before anything is read, a size out of bounds, and a crop that
    is not there or lacks what it cuts by.
    """
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"size {size}: not {SMALLEST} to {LARGEST} pixels")
    crop.named(crop_name)
    wanted = _CUT_BY.get(crop_name)
    if len(table) and wanted and wanted not in table.frame:
        raise InputError(
            f"crop {crop_name!r}: the faces of {table.root} have no column {wanted!r} to cut by"
        )


def _tasks(
    table: FaceTable,
    paths: list[Path],
    crop_name: str,
    cut_already: NDArray[np.bool_],
) -> list[Task]:
    """Every picture with its crop, and with what the table says of its face as
    far as that crop asks for it.
    """
    rows = table.frame
    root = table.root
    boxes = _boxes(rows) if crop_name == "box" else {}
    points = _landmarks(rows) if crop_name in ("landmarks", "eyes") else {}
    tasks = []
    for index, (path, whole) in enumerate(
        zip(paths, cut_already.tolist(), strict=True)
    ):
        task = Task(
            path, root, crop_name, boxes.get(index), points.get(index, "")
        )
        tasks.append(Task(path, root, "none", None, "") if whole else task)
    return tasks


def _boxes(rows: pd.DataFrame) -> dict[int, tuple[float, float, float, float]]:
    """Left, top, right and bottom of the faces that a data set gives them of,
    by place.
    """
    if not set(BOX) <= set(rows):
        return {}
    edges = rows[list(BOX)].to_numpy(float)
    known = np.flatnonzero(np.isfinite(edges).all(1)).tolist()
    return {index: tuple(edges[index].tolist()) for index in known}


def _landmarks(rows: pd.DataFrame) -> dict[int, str]:
    """Where the landmarks of faces stand, by place."""
    if "landmarks" not in rows:
        return {}
    known = np.flatnonzero(rows["landmarks"].notna()).tolist()
    return {index: str(rows["landmarks"].iloc[index]) for index in known}


def _digest(table: FaceTable, tasks: Sequence[Task]) -> str:
    """Digest all that decides how pictures are cut but their own bytes: crops,
    boxes, landmarks and their files.
    """
    digest = hashlib.sha256()
    for name in sorted({task.crop_name for task in tasks}):
        digest.update(crop.identity(name).encode())
    for task in tasks:
        digest.update(
            repr((task.crop_name, task.box, task.landmarks)).encode(
                errors="surrogateescape"
            )
        )
    files = sorted(
        {
            table.root / name
            for task in tasks
            if (name := landmarks.file(task.landmarks))
        }
    )
    digest.update(store.content(files).encode() if files else b"")
    return digest.hexdigest()
