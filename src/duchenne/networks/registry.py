"""Every network by its name: a module of this folder that makes one registers
it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from duchenne.errors import InputError

NETWORKS: dict[str, type[nn.Module]] = {}
"""Every network by its name in recipes."""

GIVEN = "given"
"""What a network that was made elsewhere is named in recipes."""

_Network = TypeVar("_Network", bound=type[nn.Module])


def network(name: str) -> Callable[[_Network], _Network]:
    """Register a network under its name in recipes: a class decorator."""

    def register(made: _Network) -> _Network:
        NETWORKS[name] = made
        return made

    return register


def is_network(made: object) -> bool:
    """Whether an object is a class of networks.

    >>> is_network(nn.ReLU), is_network(nn.ReLU())
    (True, False)
    """
    return isinstance(made, type) and issubclass(made, nn.Module)


@dataclass(frozen=True)
class Description:
    """All it takes to build a network and to prepare its input, except its
    weights; ``card`` says where one that was made elsewhere is.
    """

    name: str
    classes: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    channels: int = 1
    size: int = 96
    crop: str = "none"
    prepare: tuple[str, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)


def build(
    name: str, classes: int = 0, seed: int | None = None, **options: Any
) -> nn.Module:
    """Make a network by name with fresh weights, drawn from ``seed`` where one
    is given.

    Raises ``InputError`` for a network or an option that is not known, and for
    classes where they are missing or where the network, as ``autoencoder``,
    tells none apart.

    >>> build("zero_bias", classes=8, seed=0).output.out_features
    8
    """
    if name not in NETWORKS:
        raise InputError(f"network {name!r}: not one of {', '.join(NETWORKS)}")
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    known = inspect.signature(NETWORKS[name]).parameters
    for option in options:
        if option not in known:
            raise InputError(
                f"network {name}: option {option!r} is not known; there are {', '.join(known)}"
            )
    reads = "classes" in known
    if reads != (classes > 0):
        problem = (
            "how many classes is it to tell apart?"
            if reads
            else "tells no classes apart; 'duchenne manifold' trains it"
        )
        raise InputError(f"network {name}: {problem}")
    try:
        return NETWORKS[name](
            **({"classes": classes} if reads else {}),
            generator=generator,
            **options,
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"network {name} with {options}: {str(error).splitlines()[0]}"
        ) from None


def from_description(
    description: Description, seed: int | None = None
) -> nn.Module:
    """Make the described network with fresh weights."""
    if description.name not in NETWORKS:
        raise InputError(
            f"network {description.name!r}: not one of {', '.join(NETWORKS)}"
        )
    # the others take any
    sized = "size" in inspect.signature(NETWORKS[description.name]).parameters
    shape = {"channels": description.channels} | (
        {"size": description.size} if sized else {}
    )
    return build(
        description.name,
        len(description.classes),
        seed,
        **shape | description.options,
    )
