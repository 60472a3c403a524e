"""A survey of one layer: every unit's peak on every picture, and the receptive fields of its top pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from duchenne.faces.prepare import Preparation
from duchenne.progress import Progress, quiet
from duchenne.units.accumulators import Every, Top
from duchenne.units.fields import Fields
from duchenne.units.peaks import Peaks
from duchenne.units.responses import read

_BATCH = 64


@dataclass(frozen=True)
class Survey:
    """Peaks of all units, and ``top``: unit, rank, image, peak, row, col, x0, y0, x1, y1."""

    peaks: Peaks
    top: pd.DataFrame


def rehearse(network: nn.Module, layer: str, shape: tuple[int, int, int], prepare: Preparation) -> None:
    """Survey two pictures (C, H, W) of noise: raises ``InputError`` for whatever would stop the survey of many."""
    noise = np.random.default_rng(0).random((2, *shape), np.float32)
    survey(network, layer, noise, np.arange(2), 1, prepare.fit(torch.from_numpy(noise)))


def survey(
    network: nn.Module,
    layer: str,
    pictures: NDArray[np.float32],
    images: NDArray[np.int64],
    count: int,
    prepare: Preparation,
    progress: Progress = quiet,
    activation: str = "positive",
) -> Survey:
    """Show pictures (n, C, H, W) in 0 … 1 to a network and note what each unit of a layer answers.

    ``images`` (n,) are the numbers that the pictures go by in the results; ``count`` top pictures are kept a unit.
    Answers are read as ``activation`` says.
    """
    top, every = Top(count), Every()
    with progress(f"Reading units of {layer}", len(pictures)) as advance:
        batches = (
            prepare(torch.from_numpy(batch)) for batch in np.array_split(pictures, range(_BATCH, len(pictures), _BATCH))
        )
        done = 0
        for seen in read(network, {layer: [top, every]}, batches, activation=activation):
            advance(seen - done)
            done = seen
    best = top.compute()
    channels, height, width = pictures.shape[1:]
    neurons = (best[name].to_numpy() for name in ("unit", "row", "col"))
    best[["x0", "y0", "x1", "y1"]] = Fields(network, layer, (channels, height, width)).of(*neurons)
    best["image"] = images[best["image"]]
    peaks = every.compute()
    return Survey(replace(peaks, image=images[peaks.image]), best)
