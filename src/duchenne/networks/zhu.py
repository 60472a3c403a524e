"""``zhu``: the network of zhu2018, three convolutions with bias and a pooling
after each.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import Generator, Tensor, nn

from duchenne.networks.registry import network

Initialisation = Literal["scaled", "as_printed"]


@network("zhu")
class Zhu(nn.Module):
    """64, 128 and 256 filters of 5×5, ReLU and 2×2 max pooling after each,
    1024 hidden units with ReLU and dropout.

    Takes (n, channels, size, size), best 96×96, and gives logits (n, classes).
    Layers worth looking at: ``conv1``, ``conv2``, ``conv3``, ``hidden``. The
    paper draws weights from N(0, 1) (§2.2), which
    ``initialisation="as_printed"`` does; by default they are drawn from N(0,
    2/fan_in) (He et al. 2015). Biases start at 0. Dropout acts on the hidden
    units (a reading).

    >>> import torch
    >>> network = Zhu(classes=8)
    >>> network(torch.zeros(2, 1, 96, 96)).shape
    torch.Size([2, 8])
    >>> sum(p.numel() for p in network.parameters())
    38784008
    """

    LAYERS = ("conv1", "conv2", "conv3", "hidden")
    SIZE = 96

    def __init__(
        self,
        classes: int,
        channels: int = 1,
        size: int = SIZE,
        dropout: float = 0.5,
        initialisation: Initialisation = "scaled",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if size < 8:
            raise ValueError(
                f"size {size}: three poolings need pictures of at least 8×8"
            )
        self.conv1 = nn.Conv2d(channels, 64, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(64, 128, 5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(128, 256, 5, padding=2)
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(2)
        self.hidden = nn.Linear(256 * (size // 8) ** 2, 1024)
        self.relu4 = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(1024, classes)
        self._initialise(initialisation, generator)

    def forward(self, pictures: Tensor) -> Tensor:
        """Read pictures.

        Args:
            pictures: (n, channels, size, size).

        Returns:
            Logits (n, classes).
        """
        maps = self.pool1(self.relu1(self.conv1(pictures)))
        maps = self.pool2(self.relu2(self.conv2(maps)))
        maps = self.pool3(self.relu3(self.conv3(maps)))
        logits: Tensor = self.output(
            self.dropout(self.relu4(self.hidden(maps.flatten(1))))
        )
        return logits

    def _initialise(
        self, initialisation: Initialisation, generator: Generator | None
    ) -> None:
        if initialisation not in ("scaled", "as_printed"):
            raise ValueError(
                f"initialisation {initialisation!r}: not one of scaled, as_printed"
            )
        for layer in (
            self.conv1,
            self.conv2,
            self.conv3,
            self.hidden,
            self.output,
        ):
            spread = (
                math.sqrt(2 / layer.weight[0].numel())
                if initialisation == "scaled"
                else 1.0
            )
            nn.init.normal_(layer.weight, 0, spread, generator=generator)
        for name, values in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(values)
