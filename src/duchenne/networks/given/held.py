"""Networks that a program has in its hands: known by their modules and weights,
for as long as the program runs.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from duchenne.errors import InputError

_HELD: dict[str, nn.Module] = {}


def hold(network: nn.Module) -> str:
    """Hold a network for ``python:NAME`` to be found by.

    Args:
        network: Any; it is not changed, and copied when it is opened.

    Returns:
        The name: its class, and a digest of its modules and weights.

    >>> hold(nn.ReLU()).startswith("ReLU-")
    True
    """
    digest = hashlib.sha256(repr(network).encode())
    for name, values in network.state_dict().items():
        digest.update(name.encode())
        digest.update(values.detach().cpu().float().numpy().tobytes())
    name = f"{type(network).__name__}-{digest.hexdigest()[:8]}"
    _HELD[name] = network
    return name


def make(place: str, options: Mapping[str, Any]) -> nn.Module:
    """Copy a network that is held.

    Args:
        place: Its name.
        options: None are known.

    Returns:
        The copy.

    Raises:
        InputError: Where none of that name is held.
    """
    if place not in _HELD:
        raise InputError(
            f"python:{place}: was given from Python, which alone has it: give it again, as in "
            "duchenne.open(run, network=network)"
        )
    return copy.deepcopy(_HELD[place])
