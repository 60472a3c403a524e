"""Attention heads as units: they are read off what the linear layer takes that
mixes them.
"""

from __future__ import annotations

from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.units import layers


def mixing(network: nn.Module, layer: str, pictures: Tensor) -> nn.Linear:
    """Find the linear layer of an attention module that mixes its heads: the
    last that is run, and that takes what no other takes.

    Args:
        network: Any network.
        layer: The name of the attention module.
        pictures: (n, C, H, W), prepared; one is enough.

    Returns:
        The linear layer.

    Raises:
        InputError: Where the module holds none.
    """
    attention = layers.find(network, layer)
    if isinstance(attention, nn.MultiheadAttention):
        raise InputError(
            f"layer {layer!r}: nn.MultiheadAttention computes its heads in one call, so that "
            "nothing can be read before they are mixed"
        )
    inside = set(attention.modules())
    ran = [
        call
        for call in layers.calls(network, pictures[:1])
        if call.module in inside and isinstance(call.module, nn.Linear)
    ]
    if not ran:
        raise InputError(
            f"layer {layer!r}: runs no linear layer, and is no attention"
        )
    last = ran[-1]
    shared = any(last.input is call.input for call in ran[:-1])
    if shared or len(ran) == 1:
        raise InputError(
            f"layer {layer!r}: holds no linear layer that mixes its heads; name the module around "
            "it that does"
        )
    assert isinstance(last.module, nn.Linear)
    return last.module


_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")


def count(network: nn.Module, layer: str) -> int:
    """Count the heads that an attention module, or one inside or around it,
    says that it has.

    Args:
        network: Any network.
        layer: The name of the attention module.

    Returns:
        How many.

    Raises:
        InputError: Where none says so.
    """
    attention = layers.find(network, layer)
    parents = layer.split(".")
    around = [
        layers.find(network, ".".join(parents[:depth]))
        for depth in range(len(parents) - 1, 0, -1)
    ]
    for module in (*attention.modules(), *around):
        for attribute in _COUNTS:
            heads = getattr(module, attribute, None)
            if isinstance(heads, int) and heads > 0:
                return heads
    raise InputError(f"layer {layer!r}: says nowhere how many heads it has")
