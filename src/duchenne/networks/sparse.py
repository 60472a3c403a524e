"""``sparse``: the convolutional network of mousavi2016, kept small so that its
filters are not redundant.
"""

from __future__ import annotations

from torch import Generator, Tensor, nn

from duchenne.networks.registry import network


@network("sparse")
class Sparse(nn.Module):
    """Three times 10 filters of 11×11 with ReLU and 2×2 max pooling, hidden
    layers of 500 and 250 with tanh.

    Takes (n, channels, size, size), best 128×128, and gives logits (n,
    classes): a logistic regression on the last hidden layer (mousavi2016
    §III-B, Fig. 4). Layers worth looking at: ``conv1``, ``conv2``, ``conv3``,
    ``hidden1``, ``hidden2``. Filters are not padded, and weights are drawn
    from Glorot and Bengio's uniform distribution (readings).

    >>> import torch
    >>> network = Sparse(classes=7)
    >>> network(torch.zeros(2, 1, 128, 128)).shape
    torch.Size([2, 7])
    >>> sum(p.numel() for p in network.parameters())
    397947
    """

    LAYERS = ("conv1", "conv2", "conv3", "hidden1", "hidden2")
    SIZE = 128

    def __init__(
        self,
        classes: int,
        channels: int = 1,
        size: int = SIZE,
        filters: int = 10,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 11)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(filters, filters, 11)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.conv3 = nn.Conv2d(filters, filters, 11)
        self.relu3 = nn.ReLU()
        self.pool3 = nn.MaxPool2d(2)
        self.hidden1 = nn.Linear(filters * _left(size) ** 2, 500)
        self.tanh1 = nn.Tanh()
        self.hidden2 = nn.Linear(500, 250)
        self.tanh2 = nn.Tanh()
        self.output = nn.Linear(250, classes)
        self._initialise(generator)

    def _initialise(self, generator: Generator | None) -> None:
        for layer in self.children():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
        for name, values in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(values)

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
        hidden = self.tanh2(
            self.hidden2(self.tanh1(self.hidden1(maps.flatten(1))))
        )
        logits: Tensor = self.output(hidden)
        return logits


def _left(size: int) -> int:
    """The side of the maps that three convolutions and poolings leave of a
    picture.
    """
    left = size
    for _ in range(3):
        left = (left - 10) // 2
    if left < 1:
        needed = "three filters of 11×11 and poolings need pictures of at least 78×78"
        raise ValueError(f"size {size}: {needed}")
    return left
