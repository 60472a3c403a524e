"""``autoencoder``: zhu2018's second part, a network that must pass a picture
through a bottleneck of a few numbers.
"""

from __future__ import annotations

import math

from torch import Generator, Tensor, nn

from duchenne.networks.registry import network


@network("autoencoder")
class Autoencoder(nn.Module):
    """An encoder φ to ``bottleneck`` numbers and a decoder ψ that mirrors it,
    trained on Σ‖x − ψ(φ(x))‖².

    Takes prepared pictures (n, channels, size, size), best 48×48, and gives
    them back as it can. The paper (part 2, §2.2) gives no layers: here three
    convolutions of stride 2 with 16, 32 and 64 filters of 4×4 and a hidden
    layer of 128, with ELU between, as both are to be smooth maps (readings).
    Weights are drawn from N(0, 1/fan_in).

    >>> import torch
    >>> network = Autoencoder(bottleneck=2)
    >>> faces = torch.zeros(3, 1, 48, 48)
    >>> network.encode(faces).shape, network(faces).shape
    (torch.Size([3, 2]), torch.Size([3, 1, 48, 48]))
    """

    LAYERS = ("encoder.0", "encoder.2", "encoder.4", "encoder.7", "encoder.9")
    SIZE = 48

    def __init__(
        self,
        channels: int = 1,
        size: int = SIZE,
        bottleneck: int = 8,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        if size < 8 or size % 8:
            raise ValueError(
                f"size {size}: three halvings need a multiple of 8"
            )
        if bottleneck < 1:
            raise ValueError(f"bottleneck {bottleneck}: at least 1")
        self.encoder = _encoder(channels, size // 8, bottleneck)
        self.decoder = _decoder(channels, size // 8, bottleneck)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                _initialise(layer, layer.weight[0].numel(), generator)
            elif isinstance(layer, nn.ConvTranspose2d):
                # a pixel is reached through every fourth weight
                _initialise(layer, layer.weight[:, 0].numel() // 4, generator)

    def encode(self, pictures: Tensor) -> Tensor:
        """φ: pictures to codes.

        Args:
            pictures: (n, channels, size, size).

        Returns:
            (n, bottleneck).
        """
        codes: Tensor = self.encoder(pictures)
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """ψ: codes to pictures.

        Args:
            codes: (n, bottleneck).

        Returns:
            (n, channels, size, size).
        """
        pictures: Tensor = self.decoder(codes)
        return pictures

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures as they come through the bottleneck: ψ(φ(x)).

        Args:
            pictures: (n, channels, size, size).

        Returns:
            Of the same shape.
        """
        return self.decode(self.encode(pictures))


def _initialise(
    layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear,
    fan_in: int,
    generator: Generator | None,
) -> None:
    nn.init.normal_(
        layer.weight, 0, 1 / math.sqrt(fan_in), generator=generator
    )
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


def _encoder(channels: int, left: int, bottleneck: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 4, stride=2, padding=1),
        nn.ELU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ELU(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(64 * left**2, 128),
        nn.ELU(),
        nn.Linear(128, bottleneck),
    )


def _decoder(channels: int, left: int, bottleneck: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(bottleneck, 128),
        nn.ELU(),
        nn.Linear(128, 64 * left**2),
        nn.Unflatten(1, (64, left, left)),
        nn.ELU(),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ELU(),
        nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
        nn.ELU(),
        nn.ConvTranspose2d(16, channels, 4, stride=2, padding=1),
    )
