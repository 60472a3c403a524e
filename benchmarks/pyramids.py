"""A pyramidal layer with lateral inhibition, forward and backward: as a
pooling sum, by ``unfold`` and by a plain loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from duchenne.networks.pyramidal import Inhibition, Pyramidal

_COUNT = 64
_LOOPED = 1  # pictures that the loop is given: it takes seconds for each


def measure() -> pd.DataFrame:
    """Time LIPNet's first layer on 64 pictures of 100×100, the loop on one,
    and hold all three against each other.
    """
    layer = Pyramidal(
        (1, 100, 100),
        15,
        12,
        Inhibition(2, 0.05),
        generator=torch.Generator().manual_seed(0),
    )
    maps = torch.rand(
        _COUNT, 1, 100, 100, generator=torch.Generator().manual_seed(1)
    )
    rows, expected = [], layer(maps).detach()
    for name, forward, count in (
        ("as a pooling sum (duchenne)", layer, _COUNT),
        (
            "`unfold` of all fields",
            lambda given: _unfolded(layer, given),
            _COUNT,
        ),
        (
            "loop over neurons and neighbours",
            lambda given: _looped(layer, given),
            _LOOPED,
        ),
    ):
        seconds, found = _timed(forward, maps[:count])
        difference = (found - expected[:count]).abs().max().item()
        rows.append((name, 1000 * seconds / count, f"{difference:.0e}"))
    table = pd.DataFrame(
        rows,
        columns=[
            "LIPNet's first layer",
            "ms a picture, forward and backward",
            "largest difference",
        ],
    )
    each = table["ms a picture, forward and backward"]
    return table.assign(**{"times as long": each / each.iloc[0]})


def _timed(
    forward: Callable[[Tensor], Tensor], maps: Tensor
) -> tuple[float, Tensor]:
    """The faster of three runs; the first warms up."""
    seconds, found = [], maps
    for _ in range(3):
        begun = time.perf_counter()
        found = forward(maps.clone().requires_grad_())
        found.sum().backward()
        seconds.append(time.perf_counter() - begun)
        if seconds[-1] > 10:
            break
    return min(seconds), found.detach()


def _unfolded(layer: Pyramidal, maps: Tensor) -> Tensor:
    """Every field laid out, weighed and summed, its neighbours by a
    convolution.
    """
    side = (layer.bias.shape[0] - 1) * layer.gap + layer.field
    padded = F.pad(maps, (0, side - maps.shape[3], 0, side - maps.shape[2]))
    weight = F.pad(
        layer.weight, (0, side - maps.shape[3], 0, side - maps.shape[2])
    )
    fields = F.unfold(padded, layer.field, stride=layer.gap) * F.unfold(
        weight[None], layer.field, stride=layer.gap
    )
    sums = fields.sum(1).view(-1, 1, *layer.bias.shape) + layer.bias
    ring = torch.ones(
        1, 1, 2 * layer.inhibition.radius + 1, 2 * layer.inhibition.radius + 1
    )
    ring[0, 0, layer.inhibition.radius, layer.inhibition.radius] = 0
    return torch.tanh(
        sums
        - layer.inhibition.strength
        * F.conv2d(sums, ring, padding=layer.inhibition.radius)
    )


def _looped(layer: Pyramidal, maps: Tensor) -> Tensor:
    """What the paper writes: a sum for every neuron, and for every neuron its
    neighbours' sums.
    """
    height, width = layer.bias.shape
    weighted = (maps * layer.weight)[:, 0]
    sums = [
        [
            _field(weighted, u * layer.gap, v * layer.gap, layer.field)
            + layer.bias[u, v]
            for v in range(width)
        ]
        for u in range(height)
    ]
    reach = layer.inhibition.radius
    answers = [
        torch.tanh(
            sums[u][v]
            - layer.inhibition.strength
            * sum(
                sums[i][j]
                for i in range(max(u - reach, 0), min(u + reach + 1, height))
                for j in range(max(v - reach, 0), min(v + reach + 1, width))
                if (i, j) != (u, v)
            )
        )
        for u in range(height)
        for v in range(width)
    ]
    return torch.stack(answers, 1).view(-1, 1, height, width)


def _field(weighted: Tensor, top: int, left: int, side: int) -> Tensor:
    return weighted[:, top : top + side, left : left + side].sum((1, 2))
