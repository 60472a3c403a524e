"""``zero_bias``: the network of khorrami2015, three convolutions without bias
and quadrant pooling.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from duchenne.networks.registry import network

Initialisation = Literal["root", "as_printed"]
DropoutOn = Literal["input", "output"]


@network("zero_bias")
class ZeroBias(nn.Module):
    """64, 128 and 256 filters of 5×5 without bias, ReLU after each, 2×2 max
    pooling after the first two, quadrant pooling after the third, 300 hidden
    units with ReLU, one output a class.

    Takes (n, channels, H, W), best 96×96, and gives logits (n, classes).
    Layers worth looking at: ``conv1``, ``conv2``, ``conv3``, ``hidden``.
    Weights are drawn from N(0, σ), σ = k/√fan_in, k ~ U(0.2, 1.2) once a
    network (khorrami2015 §3.2; the paper prints k/fan_in, its released code
    takes the root: ``initialisation="as_printed"`` is the former). ``dropout``
    acts on the input of the hidden layer, as in the released code, or on its
    output, as §3.2 of the paper says ("each neuron's output is set to zero"):
    ``dropout_on``. The hidden bias starts at 1, as in the released code.

    >>> network = ZeroBias(classes=8)
    >>> network(torch.zeros(2, 1, 96, 96)).shape
    torch.Size([2, 8])
    >>> sum(p.numel() for p in network.parameters())
    1335508
    """

    LAYERS = ("conv1", "conv2", "conv3", "hidden")
    SIZE = 96

    def __init__(
        self,
        classes: int,
        channels: int = 1,
        dropout: float = 0.5,
        initialisation: Initialisation = "root",
        gain: float | None = None,
        generator: Generator | None = None,
        dropout_on: DropoutOn = "input",
    ) -> None:
        super().__init__()
        if dropout_on not in ("input", "output"):
            raise ValueError(
                f"dropout_on {dropout_on!r}: not one of input, output"
            )
        self.dropout_on = dropout_on
        self.conv1 = _convolution(channels, 64)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = _convolution(64, 128)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = _convolution(128, 256)
        self.relu3 = nn.ReLU()
        self.quadrants = nn.AdaptiveMaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(2 * 2 * 256, 300)
        self.relu4 = nn.ReLU()
        self.output = nn.Linear(300, classes)
        self._initialise(initialisation, gain, generator)

    def forward(self, pictures: Tensor) -> Tensor:
        """Read pictures.

        Args:
            pictures: (n, channels, H, W).

        Returns:
            Logits (n, classes).
        """
        maps = self.pool1(self.relu1(self.conv1(pictures)))
        maps = self.pool2(self.relu2(self.conv2(maps)))
        maps = self.quadrants(self.relu3(self.conv3(maps)))
        pooled = maps.flatten(1)
        if self.dropout_on == "input":
            hidden = self.relu4(self.hidden(self.dropout(pooled)))
        else:
            hidden = self.dropout(self.relu4(self.hidden(pooled)))
        logits: Tensor = self.output(hidden)
        return logits

    def _initialise(
        self,
        initialisation: Initialisation,
        gain: float | None,
        generator: Generator | None,
    ) -> None:
        if initialisation not in ("root", "as_printed"):
            raise ValueError(
                f"initialisation {initialisation!r}: not one of root, as_printed"
            )
        if gain is None:
            gain = 0.2 + torch.rand((), generator=generator).item()
        for layer in (
            self.conv1,
            self.conv2,
            self.conv3,
            self.hidden,
            self.output,
        ):
            fan_in = layer.weight[0].numel()
            spread = gain / (
                math.sqrt(fan_in) if initialisation == "root" else fan_in
            )
            nn.init.normal_(layer.weight, 0, spread, generator=generator)
        nn.init.ones_(self.hidden.bias)
        nn.init.zeros_(self.output.bias)


def _convolution(given: int, maps: int) -> nn.Conv2d:
    """A convolution without bias that keeps the size of its maps."""
    return nn.Conv2d(given, maps, 5, padding=2, bias=False)
