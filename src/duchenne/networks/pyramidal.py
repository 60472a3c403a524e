"""``pyranet`` and ``lipnet``: pyramidal networks (Phung & Bouzerdoum 2007),
the latter with lateral inhibition (Fernandes et al. 2013), as mousavi2016 uses
them.

A pyramidal layer has one weight for each *position* of its input, shared by
all neurons whose fields overlap there, and one bias for each neuron: a = (sum
over each field of W · x) + b. How neurons inhibit each other could not be
found as a formula; ``READINGS`` has three, each a function of the layer's own
sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from duchenne.networks.registry import network


@dataclass(frozen=True)
class Inhibition:
    """How neurons of a layer inhibit each other.

    Attributes:
        radius: Its reach, in neurons.
        strength: Its weight, 0 for none.
        reading: One of ``READINGS``.
    """

    radius: int = 0
    strength: float = 0.0
    reading: str = "lateral"

    def __post_init__(self) -> None:
        if self.reading not in READINGS:
            raise ValueError(
                f"reading {self.reading!r}: not one of {', '.join(READINGS)}"
            )


class Pyramidal(nn.Module):
    """One pyramidal layer: (n, channels, H, W) -> (n, 1, h, w) with h =
    ceil((H − overlap) / (field − overlap)).

    Neuron (u, v) sees the ``field``×``field`` positions from (u·g, v·g), g =
    field − overlap; what the last field overruns is 0. tanh follows.

    >>> layer = Pyramidal((1, 100, 100), field=15, overlap=12)
    >>> layer(torch.zeros(2, 1, 100, 100)).shape
    torch.Size([2, 1, 30, 30])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        field: int,
        overlap: int,
        inhibition: Inhibition | None = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.field = field
        self.gap = field - overlap
        self.inhibition = inhibition or Inhibition()
        neurons = self._neurons(shape)
        weight = torch.empty(shape).uniform_(
            -1 / field, 1 / field, generator=generator
        )
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(neurons))

    def _neurons(self, shape: tuple[int, int, int]) -> tuple[int, int]:
        """How many neurons lie in a column and in a row over maps (channels,
        H, W).
        """
        overlap = self.field - self.gap
        height, width = (
            math.ceil((side - overlap) / self.gap) for side in shape[1:]
        )
        if min(height, width) < 1 or self.gap < 1:
            given = f"fields of {self.field} that overlap by {overlap}"
            raise ValueError(f"{given} do not fit into {shape[1]}×{shape[2]}")
        return height, width

    def extra_repr(self) -> str:
        """What the layer is made of, as in mousavi2016's Table I: field r,
        overlap o, inhibition's reach i and weight w.
        """
        overlap = self.field - self.gap
        reach = self.inhibition.radius
        weight = self.inhibition.strength
        return f"r={self.field}, o={overlap}, i={reach}, w={weight:g}"

    def forward(self, maps: Tensor) -> Tensor:
        """Answer to maps.

        Args:
            maps: (n, channels, H, W).

        Returns:
            Activations (n, 1, h, w) in −1 … 1.
        """
        weighted = (maps * self.weight).sum(1, keepdim=True)
        sums = self.sums(weighted, 0) + self.bias
        strength = self.inhibition.strength
        if not strength:
            return torch.tanh(sums)
        inhibiting = READINGS[self.inhibition.reading](self, weighted, sums)
        return torch.tanh(sums - strength * inhibiting)

    def sums(self, weighted: Tensor, wider: int) -> Tensor:
        """Sum weighted input over each neuron's field.

        Args:
            weighted: (n, 1, H, W).
            wider: By how many positions on each side the field is wider.

        Returns:
            (n, 1, h, w).
        """
        below, beside = (
            max((count - 1) * self.gap + self.field - side, 0) + wider
            for count, side in zip(
                self.bias.shape, weighted.shape[2:], strict=True
            )
        )
        padded = F.pad(weighted, (wider, beside, wider, below))
        return F.avg_pool2d(
            padded, self.field + 2 * wider, stride=self.gap, divisor_override=1
        )


def lateral(layer: Pyramidal, weighted: Tensor, sums: Tensor) -> Tensor:
    """The sums of the neighbours within the radius, in the same layer; there
    are none outside of it.

    Args:
        layer: The layer.
        weighted: (n, 1, H, W) its weighted input.
        sums: (n, 1, h, w) that over each neuron's field.

    Returns:
        (n, 1, h, w).
    """
    return _neighbours(sums, layer.inhibition.radius)


def surround(layer: Pyramidal, weighted: Tensor, sums: Tensor) -> Tensor:
    """The weighted input in the ring around the neuron's field, as wide as the
    radius, in the layer before.

    Args:
        layer: The layer.
        weighted: (n, 1, H, W) its weighted input.
        sums: (n, 1, h, w) that over each neuron's field.

    Returns:
        (n, 1, h, w).
    """
    return layer.sums(weighted, layer.inhibition.radius) - layer.sums(
        weighted, 0
    )


def output(layer: Pyramidal, weighted: Tensor, sums: Tensor) -> Tensor:
    """The answers tanh(sum) of the neighbours within the radius, in the same
    layer.

    Args:
        layer: The layer.
        weighted: (n, 1, H, W) its weighted input.
        sums: (n, 1, h, w) that over each neuron's field.

    Returns:
        (n, 1, h, w).
    """
    return _neighbours(torch.tanh(sums), layer.inhibition.radius)


READINGS: dict[str, Callable[[Pyramidal, Tensor, Tensor], Tensor]] = {
    "lateral": lateral,
    "surround": surround,
    "output": output,
}
"""What inhibits a neuron, before it is weighed: (layer, weighted input, sums)
-> (n, 1, h, w).
"""


def _neighbours(maps: Tensor, radius: int) -> Tensor:
    """Sum what lies within a Chebyshev distance of each place, itself
    excluded.
    """
    side = 2 * radius + 1
    return (
        F.avg_pool2d(maps, side, stride=1, padding=radius, divisor_override=1)
        - maps
    )


@network("lipnet")
class LipNet(nn.Module):
    """Two pyramidal layers with lateral inhibition and tanh, 30×30 and 10×10
    neurons, and one output a class.

    Takes (n, channels, size, size), best 100×100, and gives sigmoid(s) (n,
    classes), which serve as logits: mousavi2016's output is "sigmoid …, which
    applies a softmax" (§III-C). Layers worth looking at: ``pyramid1``,
    ``pyramid2``, of which each neuron has weights of its own, and ``neurons``,
    those of the latter one by one. Fields, overlaps and inhibition are those
    of its Table I; ``strength`` multiplies the inhibition's weights 0.05 and
    0.02, and ``reading`` is one of ``READINGS``. Weights are drawn from
    U(−1/r, 1/r), r the field's side (a reading).

    >>> network = LipNet(classes=3)
    >>> network(torch.zeros(2, 1, 100, 100)).shape
    torch.Size([2, 3])
    >>> sum(p.numel() for p in network.parameters())
    12203
    """

    LAYERS = ("pyramid1", "pyramid2", "neurons")
    SIZE = 100

    def __init__(
        self,
        classes: int,
        channels: int = 1,
        size: int = SIZE,
        reading: str = "lateral",
        strength: float = 1.0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        shape = (channels, size, size)
        first = Inhibition(2, 0.05 * strength, reading)
        self.pyramid1 = Pyramidal(shape, 15, 12, first, generator)
        shape = (1, *self.pyramid1.bias.shape)
        second = Inhibition(1, 0.02 * strength, reading)
        self.pyramid2 = Pyramidal(shape, 4, 1, second, generator)
        self.neurons = nn.Flatten()
        self.output = nn.Linear(self.pyramid2.bias.numel(), classes)
        bound = 1 / math.sqrt(self.output.in_features)
        nn.init.uniform_(
            self.output.weight, -bound, bound, generator=generator
        )
        nn.init.zeros_(self.output.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """Read pictures.

        Args:
            pictures: (n, channels, size, size).

        Returns:
            Logits (n, classes) in 0 … 1.
        """
        neurons = self.neurons(self.pyramid2(self.pyramid1(pictures)))
        return torch.sigmoid(self.output(neurons))


@network("pyranet")
class PyraNet(LipNet):
    """``LipNet`` without inhibition.

    >>> pictures, chance = torch.rand(1, 1, 100, 100), torch.Generator()
    >>> one, two = (
    ...     net(3, generator=chance.manual_seed(0)) for net in (PyraNet, LipNet)
    ... )
    >>> torch.equal(one(pictures), two(pictures))
    False
    """

    def __init__(
        self,
        classes: int,
        channels: int = 1,
        size: int = LipNet.SIZE,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            classes, channels, size, strength=0.0, generator=generator
        )
