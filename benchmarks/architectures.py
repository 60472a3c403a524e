"""What an audit asks of architectures as they are found, in seconds, beside
the network's own run on the same 100 pictures: reading all units; one
projection a picture, with the reading that finds its place; reading units and
outputs together, as stimulation does; and ablating every unit alone, on as many
pictures as the recipes' limit allows.

python -m benchmarks.architectures [NAME …]

Networks have random weights; timm and transformers are needed, and a
torchvision that fits the installed PyTorch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.tables import machine, markdown
from duchenne.errors import InputError
from duchenne.networks.given.outputs import Outputs, read_through
from duchenne.recipes import schema
from duchenne.units import listing, responses
from duchenne.units.ablation import Ablation
from duchenne.units.features import attach
from duchenne.units.projection import project
from duchenne.units.responses import answers

PICTURES = 100
_BATCH = 20
_CLASSES = 7
_LIMIT = schema.Ablation().limit  # 10¹² operations

TIMM = {
    "ResNet-18": "resnet18",
    "ResNet-50": "resnet50",
    "DenseNet-121": "densenet121",
    "VGG-11": "vgg11_bn",
    "EfficientNet-B0": "efficientnet_b0",
    "MobileNetV3": "mobilenetv3_large_100",
    "RegNetY-400MF": "regnety_004",
    "ConvNeXt-T": "convnext_tiny",
    "Swin-T": "swin_tiny_patch4_window7_224",
    "ViT-Ti": "vit_tiny_patch16_224",
    "MLP-Mixer-S": "mixer_s32_224",
}

FEATURES = {
    "ViT-Ti, heads": ("vit_tiny_patch16_224", "blocks.9.attn:heads"),
    "ViT-Ti, patches": ("vit_tiny_patch16_224", "blocks.9:patches"),
    "ResNet-18, components": ("resnet18", "layer4:pca=16"),
    "ConvNeXt-T, signed": ("convnext_tiny", "stages.3:signed"),
}


def _of_timm(name: str) -> nn.Module:
    import timm

    found: nn.Module = timm.create_model(name, num_classes=_CLASSES)
    return found


def _of_transformers() -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        num_labels=_CLASSES,
    )
    return ResNetForImageClassification(config)


def networks() -> dict[str, tuple[Callable[[], nn.Module], str]]:
    """How each network is made, and its layer, "" for the one that is chosen
    by itself.

    Returns:
        By their names.
    """
    found = {
        label: (lambda name=name: _of_timm(name), "")
        for label, name in TIMM.items()
    }
    found["ResNet-18 of transformers"] = (_of_transformers, "")
    for label, (name, layer) in FEATURES.items():
        found[label] = (lambda name=name: _of_timm(name), layer)
    return found


def measure(make: Callable[[], nn.Module], layer: str) -> dict[str, Any]:
    """Time what an audit asks of a network.

    Args:
        make: Makes the network.
        layer: Whose units are asked; "" for the one chosen by itself.

    Returns:
        The layer, its units, and seconds.
    """
    torch.manual_seed(0)
    network = read_through(
        make().eval(), Outputs(tuple(map(str, range(_CLASSES))))
    )
    pictures = torch.rand(PICTURES, 3, 224, 224)
    if not layer:
        layer = listing.chosen(listing.listed(network, pictures[:2]))
    attach(network, layer, [pictures[:8]])
    found: dict[str, Any] = {"layer": layer}
    with torch.no_grad():
        network(pictures[:_BATCH])  # the first run takes longer
        found["itself, s"] = _seconds(
            lambda: [network(part) for part in pictures.split(_BATCH)]
        )
    activations = responses(network, layer, pictures[:_BATCH].split(_BATCH))
    units = activations.value.shape[1]
    found["units"] = units
    asked = {
        "read, s": lambda: responses(network, layer, pictures.split(_BATCH)),
        "project, s": lambda: _projected(network, layer, pictures, units),
        "stimulate, s": lambda: list(
            answers(network, layer, pictures.split(_BATCH))
        ),
        "ablate, s": lambda: _ablated(network, layer, pictures, units, found),
    }
    for name, ask in asked.items():
        try:
            found[name] = _seconds(ask)
        except InputError as error:
            found[name] = str(error)
        print(f"  {name} {found[name]}", file=sys.stderr, flush=True)
    return found


def _seconds(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _projected(
    network: nn.Module, layer: str, pictures: Tensor, units: int
) -> None:
    """One unit a picture, where it answers most."""
    found = responses(network, layer, pictures.split(_BATCH))
    each = np.arange(len(pictures))
    chosen = each % units
    places = np.column_stack(
        [found.row[each, chosen], found.column[each, chosen]]
    )
    project(network, layer, pictures, chosen, places, "guided", of=each)


def _ablated(
    network: nn.Module,
    layer: str,
    pictures: Tensor,
    units: int,
    found: dict[str, Any],
) -> None:
    """Every unit alone, on as many pictures as the limit of recipes allows."""
    each = np.eye(units, dtype=bool)
    ablation = Ablation(network, layer, pictures[:8])
    cost = ablation.operations(pictures[:1]) * len(each)
    count = int(np.clip(_LIMIT * 1e12 / max(cost, 1), 1, len(pictures)))
    found["ablated at"] = ablation.ablated_at
    found["pictures ablated"] = count
    ablation(pictures[:count], each)


def main(names: list[str]) -> None:
    """Print the table of some networks, or of all."""
    print(machine() + "\n")
    rows = []
    for label, (make, layer) in networks().items():
        if names and label not in names:
            continue
        print(label, file=sys.stderr, flush=True)
        rows.append({"network": label} | measure(make, layer))
    print(markdown(pd.DataFrame(rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
