"""Small networks whose layer ``last`` gives maps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn


class Small(nn.Module):
    """Its ReLUs are modules, functions, methods, or one module used twice."""

    def __init__(self, kind: str = "modules", channels: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.kind = kind
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2, bias=bias)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=bias)
        self.last = nn.Conv2d(8, 5, 3, padding=1, bias=bias)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU(inplace=True)
        drawn(self)

    def forward(self, x: Tensor) -> Tensor:
        first, second = {
            "modules": (self.relu1, self.relu2),
            "functions": (F.relu, torch.relu),
            "reused": (self.relu1, self.relu1),
            "methods": (Tensor.relu, Tensor.relu_),
        }[self.kind]
        return self.last(second(self.conv2(self.pool(first(self.conv1(x))))))


class Residual(nn.Module):
    """Two blocks as in ResNet, the second with a shortcut of its own; batch
    norm, in-place ReLUs.
    """

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.stem, self.norm = (nn.Conv2d(channels, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6))
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.conv1, self.conv2 = (nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1))
        self.conv3, self.conv4 = (nn.Conv2d(6, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, padding=1))
        self.short = nn.Conv2d(6, 8, 1, 2)
        self.relu, self.last = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        drawn(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.stem(x))))
        x = self.relu(x + self.conv2(self.relu(self.conv1(x))))
        return self.last(self.conv4(self.relu(self.conv3(x))) + self.short(x))


def drawn(network: nn.Module) -> None:
    """Draw all weights, and what batch norms have learned."""
    chance = Generator().manual_seed(0)
    for p in network.parameters():
        nn.init.normal_(p, 0.05, 0.3, generator=chance)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3, generator=chance)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2, generator=chance)  # type: ignore[arg-type]
