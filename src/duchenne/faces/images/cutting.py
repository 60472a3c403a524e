"""Cutting one picture for the store: read, find the face, cut it out, resize.
Importing this costs little, workers do it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from duchenne.errors import InputError
from duchenne.faces.geometry import crop, landmarks
from duchenne.faces.images import decoding, store


@dataclass(frozen=True)
class Task:
    """A picture, its crop, and where its data set says that its face is: a
    box, and landmarks as ``landmarks.read`` does.
    """

    path: Path
    root: Path
    crop_name: str
    box: tuple[float, float, float, float] | None = None
    landmarks: str = ""

    def hints(self) -> crop.Hints:
        """Read what is said of the face; landmarks that cannot be used are
        none.
        """
        points = None
        if self.landmarks:
            with contextlib.suppress(InputError):
                points = landmarks.read(self.landmarks, self.root)
        return crop.Hints(self.box, points)


@dataclass(frozen=True)
class Cutter:
    """How pictures become entries of a store: size, channels, and what to do
    where there is no face.
    """

    size: int
    channels: int
    keep_without_face: bool

    def __call__(self, task: Task) -> store.Entry:
        """Read a picture and cut it."""
        try:
            picture = decoding.read(task.path, self.channels)
        except InputError as error:
            return store.Entry(None, str(error).removeprefix(f"{task.path}: "))
        found = crop.named(task.crop_name)(picture, task.hints())
        if found.region is None and not self.keep_without_face:
            return store.Entry(None, found.note)
        region = found.region or crop.centred_square(picture)
        cut = crop.cut(picture, region, self.size)
        note = (
            found.note
            if found.region
            else f"{found.note}, its middle was taken"
        )
        return store.Entry(
            np.rint(cut * 255).astype(np.uint8),
            note,
            crop.onto(region, self.size),
        )
