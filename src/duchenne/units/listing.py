"""The layers of a network that have units, as one run of it shows them."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
from torch import Tensor, fx, nn

from duchenne.errors import InputError
from duchenne.units import layers

FEWEST = 16
"""Units of a layer that ``auto`` takes."""

_ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Mish,
    nn.Tanh,
)
_OPERATION = re.compile(
    r"aten\.(relu|leaky_relu|elu|gelu|silu|hardswish|mish|tanh|hardtanh)_?\.\w+"
)
"""Those functions as an exported network calls them."""

_CALL = "call_function"
_ACTIVATION_NAMES = ("activation", "gelu", "relu", "silu", "swish")


def listed(network: nn.Module, pictures: Tensor) -> pd.DataFrame:
    """List every layer that gives a row a picture, in the order in which they
    are run.

    Args:
        network: Any network.
        pictures: (n, C, H, W), prepared; two or more, so that rows are told
            from units.

    Returns:
        A row a layer:
            ``layer``: Its name.
            ``kind``: The name of its class.
            ``units``: How many it has.
            ``gives``: "maps", "tokens" or "neurons".
            ``rows``, ``columns``: Of its maps; tokens are rows.
            ``activation``: Whether it is an activation function.
            ``runs``: How often it is run for a picture.

    Raises:
        InputError: Where no layer has units.

    >>> import torch
    >>> network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten())
    >>> listed(network, torch.zeros(2, 1, 5, 5))[["layer", "units", "gives"]]
      layer  units    gives
    0     0     16     maps
    1     1     16     maps
    2     2    144  neurons
    """
    rows = []
    square = layers.are_square(pictures)
    for name, outputs in _outputs(network, pictures).items():
        first = outputs[0]
        if not _has_units(first, len(pictures)):
            continue
        module = layers.find(network, name)
        axis = layers.unit_axis(network, name, first, square)
        rows.append(
            {
                "layer": name,
                "kind": type(module).__name__,
                "units": first.shape[axis],
                "gives": _KINDS[first.ndim],
                **_extent(first, axis),
                "activation": _is_activation(module),
                "runs": len(outputs),
            }
        )
    if not rows:
        raise InputError("the network has no layer that gives a row a picture")
    found = pd.DataFrame(rows)
    found["activation"] |= _ends_an_activation(found["layer"])
    return found


def _ends_an_activation(names: pd.Series) -> pd.Series:
    """Which layers are the last operation of an activation function that an
    export took apart, as ``mlp/act/Mul_1``.
    """
    scopes = names.str.rpartition("/")[0]
    last = ~scopes.duplicated(keep="last")
    own = scopes.str.rpartition("/")[2].str.lower()
    return last & own.str.fullmatch(_SCOPES)


_SCOPES = r"act\d*|\w*act_fn|activation\w*|gelu\w*|relu\w*|silu\w*"
"""Names of modules that are activation functions."""


_KINDS = {2: "neurons", 3: "tokens", 4: "maps"}


def _outputs(network: nn.Module, pictures: Tensor) -> dict[str, list[Any]]:
    """What every module gives, by its name, in the order of the first runs."""
    given: dict[str, list[Any]] = {}
    for call in layers.calls(network, pictures):
        given.setdefault(call.name, []).append(call.output)
    return given


def _has_units(given: object, pictures: int) -> bool:
    return (
        isinstance(given, Tensor)
        and given.ndim in _KINDS
        and len(given) == pictures
        and given.is_floating_point()
    )


def _extent(given: Tensor, axis: int) -> dict[str, int]:
    """Rows and columns of maps; tokens are rows, neurons lie in one place."""
    left = [
        size
        for place, size in enumerate(given.shape)
        if place not in (0, axis)
    ]
    rows, columns = (*left, 1, 1)[:2]
    return {"rows": rows, "columns": columns}


def _is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation function: PyTorch's, or one by its
    name.
    """
    if isinstance(module, _ACTIVATIONS):
        return True
    graph = getattr(module, "graph", None)
    if isinstance(graph, fx.Graph):
        called = [str(each.target) for each in graph.nodes if each.op == _CALL]
        return len(called) == 1 and bool(_OPERATION.fullmatch(called[0]))
    name = type(module).__name__.lower()
    return not any(module.children()) and any(
        each in name for each in _ACTIVATION_NAMES
    )


def chosen(found: pd.DataFrame) -> str:
    """Choose the layer that is most worth looking at.

    Of a convolutional network the last activation function that gives maps at
    the last resolution but a single place, else the last layer that does;
    poolings at the end, of what an activation gave, are passed over. Of a
    transformer the activation of a block's hidden layer at five sixths of its
    depth, whose neurons are a basis that the network itself uses.

    Args:
        found: What ``listed`` gives.

    Returns:
        Its name.

    Raises:
        InputError: Where none has units enough.
    """
    enough = found[(found["units"] >= FEWEST) & (found["runs"] == 1)]
    maps = enough[
        (enough["gives"] == "maps") & (enough["rows"] * enough["columns"] > 1)
    ]
    tokens = enough[enough["gives"] == "tokens"]
    if len(tokens) > len(maps):
        maps = maps[:0]  # those of attention, of heads and of pairs of tokens
    within = tokens[tokens["activation"]]
    if len(within) >= 2:
        place = round(len(within) * 5 / 6) - 1
        return str(within["layer"].iloc[max(place, 0)])
    for some in (maps, tokens, enough):
        if len(some):
            return _last(some)
    raise InputError(
        f"units.layer 'auto': no layer has {FEWEST} units; name one"
    )


def _last(some: pd.DataFrame) -> str:
    """The last activation function among layers of the last extent that is not
    poolings' alone.
    """
    unpooled = some[~some["kind"].str.contains("Pool")]
    last = (unpooled if len(unpooled) else some).iloc[-1]
    same = some[
        (some["rows"] == last["rows"]) & (some["columns"] == last["columns"])
    ]
    active = same[same["activation"]]
    return str((active if len(active) else same)["layer"].iloc[-1])
