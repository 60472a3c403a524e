"""Duchenne's experiment on a network: single action units on rendered faces, and what units and expressions make of them.

The faces are of people whom no study of another seed shows; they are rendered once and kept in the user's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne import facs
from duchenne.errors import InputError
from duchenne.evidence import intervention
from duchenne.evidence.agreement import repeatability
from duchenne.faces import stack
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.protocols import DOSES
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.prepare import Preparation
from duchenne.progress import Advance, Progress, quiet
from duchenne.units.responses import answers

Floats = NDArray[np.float64]

_BATCH = 64
STRENGTHS = tuple(dose / DOSES[-1] for dose in DOSES)
"""What the doses absent, A … E stand for: the share of a full contraction (facs.INTENSITIES)."""


@dataclass(frozen=True)
class Faces:
    """Faces of people with single action units: ``dosed`` in the order of people, action units and doses, and ``sided`` in
    that of people, action units that have sides, left and right.
    """

    people: int
    dosed: stack.Stack
    sided: stack.Stack


@dataclass(frozen=True)
class Stimulated:
    """What stimulating every action unit did: ``units`` as ``intervention.dose_response`` tells, with ``left, right,
    laterality`` of ``intervention.sides`` (NaN for those without sides); ``expressions``: au, expression, change of its
    probability from absent to E, low, high; and ``answers`` (people, action units, doses, units), the peaks themselves.
    """

    units: pd.DataFrame
    expressions: pd.DataFrame
    answers: NDArray[np.float32]


def render(avatars: AvatarSettings, size: int, channels: int, progress: Progress = quiet) -> Faces:
    """Render, or find in the cache, so many people with every action unit at every dose and on either side."""
    dosed, sided = (
        loaded(avatars.model_copy(update={"protocol": protocol}), size, channels, progress) for protocol in ("dose", "sides")
    )
    return Faces(avatars.people, dosed, sided)


def loaded(avatars: AvatarSettings, size: int, channels: int, progress: Progress = quiet) -> stack.Stack:
    """Avatars as a network is shown them, in the order of their rendering; raises ``InputError`` for damaged ones."""
    table = dataset.load(avatars, progress)
    found = stack.load(table, size, channels, progress=progress, cut_already=np.ones(len(table), bool))
    if found.table.left_out:
        raise InputError(f"{found.table.left_out[0]}; remove {table.root} to have these faces rendered again")
    return found


def stimulate(
    network: nn.Module,
    prepare: Preparation,
    layer: str,
    classes: Sequence[str],
    scale: Floats,
    faces: Faces,
    activation: str = "positive",
    progress: Progress = quiet,
) -> Stimulated:
    """Show a network every action unit at every dose, and on either side.

    ``scale`` (units,) is what counts as much for each unit of the ``layer``; ``activation`` says how its answers are
    read. Raises ``InputError`` as the parts do.
    """
    names = [facs.code(number) for number in facs.rendered()]
    sided = [facs.code(number) for number in facs.rendered() if facs.ACTION_UNITS[number].sided]
    with progress("Stimulating action units", len(faces.dosed) + len(faces.sided)) as advance:
        peaks, told = _answers(network, prepare, layer, faces.dosed, activation, advance)
        of_sides, _ = _answers(network, prepare, layer, faces.sided, activation, advance)
    shape = (faces.people, len(names), len(DOSES), -1)
    dosed, shares = peaks.reshape(shape), told.reshape(shape).astype(np.float64)
    units = intervention.dose_response(dosed.astype(np.float64), names, STRENGTHS, scale)
    one_sided = of_sides.reshape(faces.people, len(sided), 2, -1).astype(np.float64)
    sides = intervention.sides(one_sided, dosed[:, 0, 0].astype(np.float64), sided, scale)
    return Stimulated(
        units.merge(sides, on=["unit", "au"], how="left"),
        intervention.changes(shares[:, :, -1] - shares[:, :, 0], names, classes),
        dosed,
    )


def _answers(
    network: nn.Module, prepare: Preparation, layer: str, faces: stack.Stack, activation: str, advance: Advance
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Peaks (n, u) and probabilities (n, c) of faces."""
    peaks, shares = [], []
    for found, given in answers(network, layer, _batches(prepare, faces), activation):
        peaks.append(found.value)
        shares.append(torch.softmax(given, 1).numpy())
        advance(len(given))
    return np.concatenate(peaks), np.concatenate(shares)


def _batches(prepare: Preparation, faces: stack.Stack) -> Iterator[Tensor]:
    for first in range(0, len(faces), _BATCH):
        yield prepare(torch.from_numpy(faces.floats(slice(first, first + _BATCH))))


def repeated(answers: NDArray[np.float32], scale: Floats) -> pd.DataFrame:
    """How often what moves a unit most on half of the people does so on the other half, as ``repeatability`` tells.

    ``answers`` (people, action units, doses, units) are those of ``Stimulated``.
    """
    names = [facs.code(number) for number in facs.rendered()]
    one, other = (
        intervention.dose_response(half.astype(np.float64), names, STRENGTHS, scale)
        for half in (answers[::2], answers[1::2])
    )
    return repeatability(one, other).assign(people=len(answers))
