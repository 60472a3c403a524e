"""Duchenne's experiment on a network: single action units on rendered faces, and what units and expressions make of them.

The faces are of people whom no study of the same seed shows; they are rendered once and kept in the user's cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne import facs
from duchenne.evidence import intervention
from duchenne.faces import stack
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.protocols import DOSES
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.progress import Progress, quiet
from duchenne.training.fit import probabilities
from duchenne.training.jobs import Pair
from duchenne.units.accumulators import Every
from duchenne.units.responses import read

Floats = NDArray[np.float64]

_BATCH = 64
STRENGTHS = tuple(dose / DOSES[-1] for dose in DOSES)
"""What the doses absent, A … E stand for: the share of a full contraction (facs.INTENSITIES)."""


@dataclass(frozen=True)
class Stimulated:
    """What stimulating every action unit did: ``units`` as ``intervention.dose_response`` tells, and ``expressions``: au,
    expression, change of its probability from absent to E, low, high.
    """

    units: pd.DataFrame
    expressions: pd.DataFrame


def stimulate(
    pair: Pair,
    layer: str,
    classes: Sequence[str],
    scale: Floats,
    avatars: AvatarSettings,
    size: int,
    channels: int,
    seed: int = 0,
    progress: Progress = quiet,
) -> Stimulated:
    """Show the trained network of a pair every action unit at every dose, on faces of so many people.

    ``scale`` (units,) is what counts as much for each unit of the ``layer``; ``avatars`` say which faces, of the protocol
    ``dose``; they are shown at ``size`` in so many ``channels``. Raises ``InputError`` as the parts do.
    """
    faces = _faces(avatars, size, channels, progress)
    names = [facs.code(number) for number in facs.rendered()]
    shape = (avatars.people, len(names), len(DOSES), -1)
    every = Every()
    with progress("Stimulating action units", len(faces)) as advance:
        done = 0
        for seen in read(pair.trained, {layer: [every]}, _prepared(pair, faces)):
            advance(seen - done)
            done = seen
    answers = every.compute().value.astype(np.float64).reshape(shape)
    told = torch.cat([probabilities(pair.trained, pair.prepare, batch) for batch in _batches(faces)])
    shares = told.numpy().astype(np.float64).reshape(shape)
    return Stimulated(
        intervention.dose_response(answers, names, STRENGTHS, scale, seed),
        intervention.changes(shares[:, :, -1] - shares[:, :, 0], names, classes, seed),
    )


def _faces(avatars: AvatarSettings, size: int, channels: int, progress: Progress) -> stack.Stack:
    """The faces in the order of people, action units and doses."""
    table = dataset.load(avatars, progress)
    inorder = table.frame.sort_values(["subject", "sequence", "frame"]).index
    ordered = type(table)(table.frame.loc[inorder].reset_index(drop=True), Path(table.root))
    return stack.load(ordered, size, channels, progress=progress, cut_already=np.ones(len(ordered), bool))


def _batches(faces: stack.Stack) -> Iterator[Tensor]:
    for first in range(0, len(faces), _BATCH):
        yield torch.from_numpy(faces.floats(slice(first, first + _BATCH)))


def _prepared(pair: Pair, faces: stack.Stack) -> Iterator[Tensor]:
    for batch in _batches(faces):
        yield pair.prepare(batch)
