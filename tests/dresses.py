"""One small network in the dresses that networks are found in."""

from __future__ import annotations

import json
import re
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

CLASSES = ("happy", "neutral", "angry", "sad", "surprised", "fearful", "disgusted")
"""In an order of its own, spelt as networks do."""

SOURCE = '''
import torch
from collections import namedtuple
from torch import nn

Given = namedtuple("Given", "logits features")


class Plain(nn.Module):
    def __init__(self, classes=7, channels=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 5, padding=2)
        self.norm1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(16, 24, 5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.output = nn.Linear(24, classes)

    def features(self, pictures):
        maps = self.pool1(self.relu1(self.norm1(self.conv1(pictures))))
        return self.relu2(self.conv2(maps))

    def forward(self, pictures):
        return self.output(self.flat(self.pool2(self.features(pictures))))


class Tuple(Plain):
    def forward(self, pictures):
        given = super().forward(pictures)
        return given, self.features(pictures).mean((2, 3))


class Mapping(Plain):
    def forward(self, pictures):
        given = super().forward(pictures)
        return {"features": self.features(pictures), "logits": given, "aux": None}


class Shares(Plain):
    def forward(self, pictures):
        return super().forward(pictures).softmax(1)


class Named(Plain):
    def forward(self, pictures):
        return Given(super().forward(pictures), self.features(pictures))


class Reordered(Plain):
    """The same network, its classes the other way round."""

    def forward(self, pictures):
        return super().forward(pictures).flip(1)


class Bytes(Plain):
    """The same network, wanting 0 to 255."""

    def forward(self, pictures):
        return super().forward(pictures / 255)


def raises():
    raise ValueError("no such backbone\\nat all")


def not_a_network():
    return 3


class Values(nn.Module):
    def __init__(self):
        super().__init__()
        self.plain = Plain(9)

    def forward(self, pictures):
        return self.plain(pictures)


class Detector(Plain):
    """Four outputs of action units, in no tensor with classes."""

    def __init__(self):
        super().__init__(4)


class Embedding(Plain):
    def forward(self, pictures):
        return self.features(pictures).mean((2, 3))


class Picky(Plain):
    def forward(self, pictures):
        if pictures.shape[-1] != 48:
            raise ValueError("48 pixels are needed")
        return super().forward(pictures)


class Broken(Plain):
    def forward(self, pictures):
        return super().forward(pictures) / 0 - super().forward(pictures) / 0


class Whole(Plain):
    def forward(self, pictures):
        return super().forward(pictures).sum(0)
'''


def plain(seed: int = 0) -> nn.Module:
    """The network itself, with weights and statistics of its own."""
    scope: dict[str, type[nn.Module]] = {}
    exec(SOURCE, scope)
    generator = torch.Generator().manual_seed(seed)
    network = scope["Plain"]()
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(torch.randn(weights.shape, generator=generator) / 4)
        network.norm1.running_mean.copy_(torch.rand(16, generator=generator))
        network.norm1.running_var.copy_(torch.rand(16, generator=generator) + 0.5)
    return network.eval()


def write(folder: Path, seed: int = 0) -> nn.Module:
    """Write code, and weights in every file that keeps them; return the
    network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small_network.py").write_text(SOURCE)
    network = plain(seed)
    weights = network.state_dict()
    save_file(weights, folder / "weights.safetensors")
    torch.save(weights, folder / "weights.pt")
    wrapped = {f"module.{name}": each for name, each in weights.items()}
    torch.save({"epoch": 3, "state_dict": wrapped}, folder / "checkpoint.pth")
    return network


def export(network: nn.Module, file: Path, size: int = 32, opset: int | None = None) -> None:
    """Export a network with a free number of pictures."""
    pictures = torch.rand(2, 1, size, size)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if file.suffix == ".pt2":
            program = torch.export.export(network, (pictures,), dynamic_shapes=({0: batch},))
            torch.export.save(program, file)
        else:
            axes = {"pictures": {0: "batch"}}
            torch.onnx.export(
                network,
                (pictures,),
                file,
                dynamo=False,
                input_names=["pictures"],
                dynamic_axes=axes,
                opset_version=opset,
            )


def card(folder: Path, source: str, *lines: str, classes: tuple[str, ...] = CLASSES) -> Path:
    """Write a card for a network of 32 × 32 grey pixels."""
    text = [
        "[network]",
        f"source = {json.dumps(source)}",
        *(line for line in lines if line.startswith(("weights", "inside", "options"))),
        "[network.input]",
        "size = 32",
        *(line for line in lines if line.startswith(("range", "mean", "std", "margin", "colours"))),
        "[network.output]",
        f"classes = {json.dumps(list(classes))}",
        *(line for line in lines if line.startswith(("gives", "take", "values"))),
    ]
    file = folder / "card.toml"
    file.write_text("\n".join(text) + "\n")
    return file


_OPERATIONS = torch.library.Library("torchvision", "FRAGMENT")


def let_torchvision_import() -> None:
    """Let PyPI's torchvision, whose operations are built for another torch, be
    imported beside the CPU's: only its Python parts are wanted.
    """
    if sys.modules.get("torchvision", "") is None:
        del sys.modules["torchvision"]
    for _ in range(20):
        try:
            import torchvision  # noqa: F401
        except RuntimeError as error:
            missing = re.search(r"torchvision::(\w+) does not exist", str(error))
            if not missing:
                raise
            _OPERATIONS.define(f"{missing[1]}(Tensor given) -> Tensor")
            for name in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[name]
        else:
            return


def same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5, rtol=1e-5)
