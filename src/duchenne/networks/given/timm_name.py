"""A network of timm's, by its name; weights come from a file, nothing is
downloaded.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from torch import nn

from duchenne.errors import InputError
from duchenne.networks.given.code import said
from duchenne.networks.given.extras import extra


def make(place: str, options: Mapping[str, Any]) -> nn.Module:
    """Make a network with fresh weights.

    Args:
        place: Its name, as in ``resnet18``.
        options: Passed to ``timm.create_model``, as ``num_classes``.

    Returns:
        The network.

    Raises:
        InputError: For a name that timm does not know, and where the extra is
            not installed.
    """
    timm = extra("timm", "timm")
    if not timm.is_model(place):
        near = difflib.get_close_matches(
            place, timm.list_models(), n=3, cutoff=0
        )
        raise InputError(
            f"timm:{place}: is not known; the nearest are {', '.join(near)}"
        )
    try:
        network: nn.Module = timm.create_model(
            place, **{**options, "pretrained": False}
        )
    except Exception as error:
        raise InputError(f"timm:{place}: {said(error)}") from None
    return network
