"""Where action units act in pictures of faces: from the mesh of avatars, else
from the 68 landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duchenne import facs
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.avatars.rendering import Studio
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.geometry.regions import REGIONS, regions
from duchenne.faces.images.stack import Stack

Masks = NDArray[np.bool_]

PLACES: dict[str, tuple[str, ...]] = {name: (name,) for name in REGIONS} | {
    "gaze": ("eye",),
    "jaw": ("mouth", "chin"),
}
"""The regions of a picture that a region of FACS lies in."""


@dataclass(frozen=True)
class Acting:
    """Where each of ``action_units`` acts: ``of`` gives masks (a, S, S) for a
    row of a stack.

    ``source`` says what they were made from: "mesh" or "landmarks".
    """

    action_units: tuple[str, ...]
    of: Callable[[int], Masks]
    source: str


def from_mesh(stack: Stack, settings: AvatarSettings) -> Acting:
    """Where action units move the skin of the avatars that a stack shows, as
    ``settings`` rendered them.
    """
    basis = head_basis()
    shots = dataset.shown(settings, basis)
    paths = stack.table.frame["path"].to_numpy()
    size = stack.stored.shape[2]
    studio = Studio(basis)

    def of(row: int) -> Masks:
        return studio.regions(shots[paths[row]], size)

    return Acting(
        tuple(facs.code(number) for number in facs.rendered()), of, "mesh"
    )


def from_landmarks(stack: Stack) -> Acting:
    """The region of the face that FACS names for each action unit; empty where
    a face's landmarks are not known.
    """
    acting = {
        facs.code(number): PLACES[unit.region]
        for number, unit in facs.ACTION_UNITS.items()
        if unit.region in PLACES
    }
    size = stack.stored.shape[2]
    numbers = [
        [REGIONS.index(name) for name in names] for names in acting.values()
    ]

    def of(row: int) -> Masks:
        where = regions(stack.landmarks([row])[0], size)
        return np.stack([np.isin(where, wanted) for wanted in numbers])

    return Acting(tuple(acting), of, "landmarks")
