"""Duchenne's experiment on a network: single action units on rendered faces,
and what units and expressions make of them.

The faces are of people whom no study of another seed shows; they are rendered
once and kept in the user's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne import facs
from duchenne.errors import InputError
from duchenne.evidence import doses
from duchenne.evidence.validity import repeatability
from duchenne.experiments.pair import Pair
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.scripts import DOSES
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.images import stack
from duchenne.progress import Advance, progress
from duchenne.units.layers import Layer
from duchenne.units.responses import answers

Floats = NDArray[np.float64]

_BATCH = 64
STRENGTHS = tuple(dose / DOSES[-1] for dose in DOSES)
"""What the doses absent, A … E stand for: the share of a full contraction
(facs.INTENSITIES).
"""


@dataclass(frozen=True)
class Faces:
    """Faces of people with single action units: ``dosed`` in the order of
    people, action units and doses, and ``sided`` in that of people, action
    units that have sides, left and right.
    """

    people: int
    dosed: stack.Stack
    sided: stack.Stack

    @property
    def count(self) -> int:
        """How many faces there are."""
        return len(self.dosed) + len(self.sided)


@dataclass(frozen=True)
class Stimulated:
    """What stimulating every action unit did: ``units`` as
    ``evidence.doses.dose_response`` tells, with ``left, right, laterality`` of
    ``evidence.doses.sides`` (NaN for those without sides); ``expressions``: au,
    expression, change of its probability from absent to E, low, high, and of
    its log-odds, logit_change, logit_low, logit_high;
    ``answers`` (people, action units, doses, units), the activations
    themselves; and ``outputs`` (people, action units, doses, outputs), what
    the network gave.
    """

    units: pd.DataFrame
    expressions: pd.DataFrame
    answers: NDArray[np.float32]
    outputs: NDArray[np.float32]


def render(avatars: AvatarSettings, size: int, channels: int) -> Faces:
    """Render, or find in the cache, so many people with every action unit at
    every dose and on either side.
    """
    dosed, sided = (
        loaded(
            avatars.model_copy(update={"protocol": protocol}), size, channels
        )
        for protocol in ("dose", "sides")
    )
    return Faces(avatars.people, dosed, sided)


def loaded(avatars: AvatarSettings, size: int, channels: int) -> stack.Stack:
    """Avatars as a network is shown them, in the order of their rendering;
    raises ``InputError`` for damaged ones.
    """
    table = dataset.load(avatars)
    found = stack.decode(
        table, size, channels, cut_already=np.ones(len(table), bool)
    )
    if found.table.left_out:
        raise InputError(
            f"{found.table.left_out[0]}; remove {table.root} to have these faces rendered again"
        )
    return found


def stimulate(
    layer: Layer, pair: Pair, scale: Floats, faces: Faces
) -> Stimulated:
    """Show a network every action unit at every dose, and on either side.

    Args:
        layer: Whose units are read.
        pair: What the network tells apart, and how its output is read.
        scale: (units,) what counts as much for each unit.
        faces: Of people with single action units.

    Returns:
        Effects on units and on expressions, and the activations themselves.

    Raises:
        InputError: As its parts do.
    """
    with progress("Stimulating action units", faces.count) as advance:
        activations, outputs = _answers(layer, faces.dosed, advance)
        of_sides, _ = _answers(layer, faces.sided, advance)
    names = [facs.code(number) for number in facs.rendered()]
    shape = (faces.people, len(names), len(DOSES), -1)
    dosed = activations.reshape(shape)
    effects = _effects(dosed, of_sides, names, scale)
    reactions = _reactions(pair, outputs, shape, names)
    return Stimulated(
        effects, reactions, dosed, outputs.numpy().reshape(shape)
    )


def _effects(
    dosed: NDArray[np.float32],
    of_sides: NDArray[np.float32],
    names: list[str],
    scale: Floats,
) -> pd.DataFrame:
    """Dose and response of every unit, and its response by side."""
    units = doses.dose_response(
        dosed.astype(np.float64), names, STRENGTHS, scale
    )
    sides = _sides(of_sides, dosed[:, 0, 0], scale)
    return units.merge(sides, on=["unit", "au"], how="left")


def _reactions(
    pair: Pair, outputs: Tensor, shape: tuple[int, ...], names: list[str]
) -> pd.DataFrame:
    """What becomes of every class from absent to E: of its probability, and of
    its log-odds, which do not saturate.
    """
    shares = pair.shares(outputs).numpy().reshape(shape)
    logits = pair.logits(outputs).numpy().reshape(shape)
    found = doses.changes(_change(shares), names, pair.classes)
    of_logits = doses.changes(_change(logits), names, pair.classes)
    for name in ("change", "low", "high"):
        found[f"logit_{name}"] = of_logits[name]
    return found


def _change(values: NDArray[np.float32]) -> Floats:
    """From absent to E, of values (people, action units, doses, classes)."""
    exact = values.astype(np.float64)
    change: Floats = exact[:, :, -1] - exact[:, :, 0]
    return change


def _sides(
    of_sides: NDArray[np.float32], rest: NDArray[np.float32], scale: Floats
) -> pd.DataFrame:
    """Responses to the action units that have sides, on either side alone."""
    numbers = [
        number for number in facs.rendered() if facs.ACTION_UNITS[number].sided
    ]
    sided = [facs.code(number) for number in numbers]
    answers_ = of_sides.reshape(len(rest), len(sided), 2, -1).astype(
        np.float64
    )
    return doses.sides(answers_, rest.astype(np.float64), sided, scale)


def _answers(
    layer: Layer, faces: stack.Stack, advance: Advance
) -> tuple[NDArray[np.float32], Tensor]:
    """Activations (n, u) of faces, and what the network gives for them."""
    activations = []
    outputs = []
    batches = _batches(layer, faces)
    for found, given in answers(
        layer.network, layer.name, batches, layer.activation
    ):
        activations.append(found.value)
        outputs.append(given)
        advance(len(given))
    return np.concatenate(activations), torch.cat(outputs)


def _batches(layer: Layer, faces: stack.Stack) -> Iterator[Tensor]:
    for first in range(0, len(faces), _BATCH):
        batch = faces.floats(slice(first, first + _BATCH))
        yield layer.prepare(torch.from_numpy(batch))


def repeated(answers: NDArray[np.float32], scale: Floats) -> pd.DataFrame:
    """How often what moves a unit most on half of the people does so on the
    other half.

    Args:
        answers: (people, action units, doses, units) those of ``Stimulated``.
        scale: (units,) what counts as much for each unit.

    Returns:
        One row, as ``evidence.validity.repeatability`` tells.
    """
    names = [facs.code(number) for number in facs.rendered()]
    one, other = (
        doses.dose_response(half.astype(np.float64), names, STRENGTHS, scale)
        for half in (answers[::2], answers[1::2])
    )
    return repeatability(one, other).assign(people=len(answers))
