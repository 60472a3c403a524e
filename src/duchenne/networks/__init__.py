"""The papers' networks, as plain ``nn.Module``s. They know nothing of faces.

``build`` makes one by name; ``save`` and ``load`` keep one as ``network.safetensors`` beside a ``network.json`` that
says how to build it and how to prepare its input. No pickle is written or read.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from duchenne import cache
from duchenne.errors import InputError
from duchenne.networks.autoencoder import Autoencoder
from duchenne.networks.pyramidal import LipNet, PyraNet
from duchenne.networks.sparse import Sparse
from duchenne.networks.zero_bias import ZeroBias
from duchenne.networks.zhu import Zhu

NETWORKS: dict[str, type[nn.Module]] = {
    "zero_bias": ZeroBias,
    "zhu": Zhu,
    "sparse": Sparse,
    "pyranet": PyraNet,
    "lipnet": LipNet,
    "autoencoder": Autoencoder,
}
"""Every network by its name in recipes."""


TWIN = "twin"
"""What a trained network at its random start is called, in folders and tables."""

_PREPARATION = "preparation."


@dataclass(frozen=True)
class Description:
    """All it takes to build a network and to prepare its input, except its weights."""

    name: str
    classes: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    channels: int = 1
    size: int = 96
    crop: str = "none"
    prepare: tuple[str, ...] = ()


def build(name: str, classes: int = 0, seed: int | None = None, **options: Any) -> nn.Module:
    """Make a network by name with fresh weights, drawn from ``seed`` where one is given.

    Raises ``InputError`` for a network or an option that is not known, and for classes where they are missing or where the
    network, as ``autoencoder``, tells none apart.

    >>> build("zero_bias", classes=8, seed=0).output.out_features
    8
    """
    if name not in NETWORKS:
        raise InputError(f"network {name!r}: not one of {', '.join(NETWORKS)}")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    known = inspect.signature(NETWORKS[name]).parameters
    for option in options:
        if option not in known:
            raise InputError(f"network {name}: option {option!r} is not known; there are {', '.join(known)}")
    reads = "classes" in known
    if reads != (classes > 0):
        told = "how many classes is it to tell apart?" if reads else "tells no classes apart; 'duchenne manifold' trains it"
        raise InputError(f"network {name}: {told}")
    try:
        return NETWORKS[name](**({"classes": classes} if reads else {}), generator=generator, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"network {name} with {options}: {str(error).splitlines()[0]}") from None


def from_description(description: Description, seed: int | None = None) -> nn.Module:
    """Make the described network with fresh weights."""
    if description.name not in NETWORKS:
        raise InputError(f"network {description.name!r}: not one of {', '.join(NETWORKS)}")
    sized = "size" in inspect.signature(NETWORKS[description.name]).parameters  # the others take any
    shape = {"channels": description.channels} | ({"size": description.size} if sized else {})
    return build(description.name, len(description.classes), seed, **shape | description.options)


@dataclass(frozen=True)
class Saved:
    """A network that was read back, its description, and what the steps that prepare its input had learned."""

    network: nn.Module
    description: Description
    preparation: dict[str, Tensor]


def save(
    folder: Path, network: nn.Module, description: Description, preparation: Mapping[str, Tensor] = MappingProxyType({})
) -> None:
    """Write ``network.safetensors`` and ``network.json`` into a folder, each whole or not at all.

    ``preparation`` is what the steps that prepare the input have learned; its names are kept with "preparation." before.
    """
    from safetensors.torch import save_file

    kept = network.state_dict() | {_PREPARATION + name: values for name, values in preparation.items()}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in kept.items()}
    with cache.replacing(folder / "network.safetensors") as partial:
        save_file(weights, partial)
    cache.write_json(folder / "network.json", asdict(description))


def load(folder: str | Path) -> Saved:
    """Read a network back, in evaluation mode.

    Raises ``InputError`` where a file is missing or does not fit the network that it describes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        told = json.loads((folder / "network.json").read_text())
        description = Description(**(told | {key: tuple(told[key]) for key in ("classes", "prepare")}))
        network = from_description(description)
        kept = load_file(folder / "network.safetensors")
        learned = {name.removeprefix(_PREPARATION): kept.pop(name) for name in list(kept) if name.startswith(_PREPARATION)}
        network.load_state_dict(kept)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename or folder / 'network.safetensors'}: no such file") from None
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, RecursionError, SafetensorError) as error:
        raise InputError(f"{folder}: not a saved network: {str(error).splitlines()[0]}") from None
    return Saved(network.eval(), description, learned)
