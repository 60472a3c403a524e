"""A survey of one layer: every unit's activation on every picture, and the
receptive fields of its top pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from duchenne.faces.preparation.steps import Preparation
from duchenne.progress import progress
from duchenne.units.accumulators import Every, Top
from duchenne.units.activations import Activations
from duchenne.units.layers import Layer
from duchenne.units.receptive_fields import Fields
from duchenne.units.responses import read

_BATCH = 64


@dataclass(frozen=True)
class Survey:
    """Activations of all units, and ``top``: unit, rank, image, activation,
    row, col, x0, y0, x1, y1.
    """

    activations: Activations
    top: pd.DataFrame


def rehearse(
    network: nn.Module,
    name: str,
    shape: tuple[int, int, int],
    prepare: Preparation,
) -> None:
    """Survey two pictures (C, H, W) of noise.

    Raises:
        InputError: For whatever would stop the survey of many.
    """
    noise = np.random.default_rng(0).random((2, *shape), np.float32)
    fitted = prepare.fit(torch.from_numpy(noise))
    survey(Layer(network, name, fitted), noise, np.arange(2), 1)


def survey(
    layer: Layer,
    pictures: NDArray[np.float32],
    images: NDArray[np.int64],
    count: int,
) -> Survey:
    """Show pictures to a network and note what each unit of a layer answers.

    Args:
        layer: Whose units are read.
        pictures: (n, C, H, W) in 0 … 1.
        images: (n,) the numbers that the pictures go by in the results.
        count: How many top pictures are kept a unit.

    Returns:
        Every unit's activation on every picture, and its top pictures.

    Raises:
        InputError: For a layer that is not there, or gives neither maps nor
            vectors.
    """
    top = Top(count)
    every = Every()
    _read(layer, pictures, [top, every])
    best = top.compute()
    channels, height, width = pictures.shape[1:]
    fields = Fields(layer.network, layer.name, (channels, height, width))
    neurons = (best[name].to_numpy() for name in ("unit", "row", "col"))
    best[["x0", "y0", "x1", "y1"]] = fields.of(*neurons)
    best["image"] = images[best["image"]]
    activations = every.compute()
    return Survey(replace(activations, image=images[activations.image]), best)


def _read(
    layer: Layer, pictures: NDArray[np.float32], takers: list[Any]
) -> None:
    batches = layer.batches(pictures, _BATCH)
    done = 0
    with progress(f"Reading units of {layer.name}", len(pictures)) as advance:
        for seen in read(
            layer.network,
            {layer.name: takers},
            batches,
            activation=layer.activation,
        ):
            advance(seen - done)
            done = seen
