"""Features as modules of a network, under the very name of their layer: such
a module is handed the features, and what it passes on, where somebody changes
it, is written back into what the layer gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from duchenne.errors import InputError
from duchenne.units import layers
from duchenne.units.features import codes, heads
from duchenne.units.features.arrays import arrays_of, units_last
from duchenne.units.features.codes import Arrays, Code
from duchenne.units.features.names import LayerName


class Features(nn.Module):
    """Passes on the features that it is handed; ``num_features`` of them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count
        self.handle: RemovableHandle | None = None

    def forward(self, found: Tensor) -> Tensor:
        """Pass features on.

        Args:
            found: (n, features, h, w), (n, tokens, features) or (n, features).

        Returns:
            The same.
        """
        return found.view_as(found) if torch.is_grad_enabled() else found


def attach(
    network: nn.Module,
    name: str,
    pictures: Iterable[Tensor],
    kept: Arrays | None = None,
) -> dict[str, Tensor]:
    """Give a network the features that a layer's name asks for, as a module of
    that name, until ``detach`` takes them away; ``attached`` does both.

    Args:
        network: It is changed: what the layer gives then passes through its
            features, and is the same until somebody changes these.
        name: As in ``layer4:pca=16``; nothing is done for a plain layer, nor
            where it is attached already.
        pictures: Batches (n, C, H, W), prepared, that components are fitted
            to and sizes are read from; gone through several times.
        kept: What an earlier call returned, instead of fitting or reading
            anew.

    Returns:
        What was fitted or read, by the name of each array and its layer.

    Raises:
        InputError: For a layer that has none of these, a file that does not
            fit it, and where ``kept`` lacks what the features need.

    >>> network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Flatten())
    >>> before = network(torch.ones(1, 1, 2, 2))
    >>> attach(network, "0:signed", [torch.ones(2, 1, 2, 2)])
    {}
    >>> layers.output(network, "0:signed", torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 6, 2, 2])
    >>> torch.equal(network(torch.ones(1, 1, 2, 2)), before)
    True
    """
    layer_name = LayerName.of(name)
    if layer_name is None or name in network._modules:
        return {}
    if isinstance(pictures, Iterator):
        pictures = list(pictures)
    found = attach(network, layer_name.layer, pictures, kept)
    first = next(iter(pictures))
    if layer_name.kind == "heads":
        _attach_heads(network, name, layer_name.layer, first)
        return found
    units = units_last(network, layer_name, first).shape[-1]
    arrays = arrays_of(network, name, units, pictures, kept)
    laid_out = _Rearranged(network, layer_name, layers.are_square(first))
    _attach_code(name, arrays, units, laid_out)
    return found | {f"{name}/{key}": value for key, value in arrays.items()}


def detach(network: nn.Module, name: str) -> None:
    """Take the features of a layer's name away again, and those that they are
    read off.

    Args:
        network: It is left as it was before ``attach``.
        name: As in ``layer4:pca=16``.
    """
    layer_name = LayerName.of(name)
    while layer_name is not None:
        features = network._modules.pop(name, None)
        if isinstance(features, Features) and features.handle:
            features.handle.remove()
        name = layer_name.layer
        layer_name = LayerName.of(name)
    left = any(isinstance(each, Features) for each in network.children())
    if isinstance(network, _Row) and not left:
        network.__class__ = type(network).__mro__[2]


@contextmanager
def attached(
    network: nn.Module,
    name: str,
    pictures: Iterable[Tensor],
    kept: Arrays | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Give a network features for as long as a block lasts.

    Args:
        network: It is left as it was, also after an error.
        name: As ``attach`` takes it, and the others.
        pictures: Batches (n, C, H, W).
        kept: What an earlier call returned.

    Yields:
        What was fitted or read.
    """
    try:
        yield attach(network, name, pictures, kept)
    finally:
        detach(network, name)


def _attach_code(
    name: str, arrays: Arrays, units: int, laid_out: _Rearranged
) -> None:
    """Let what a layer gives pass through the features of a code."""
    network = laid_out.network
    code = codes.CODES[laid_out.layer_name.kind](arrays)
    features = _registered(network, name, code.count(units))
    hook = _written_back(features, code, laid_out)
    read_off = layers.find(network, laid_out.layer_name.layer)
    features.handle = read_off.register_forward_hook(hook)


@dataclass(frozen=True)
class _Rearranged:
    """How what a layer gives is laid out: its units last while features are
    read, and features as ``layers.units_first`` has them.
    """

    network: nn.Module
    layer_name: LayerName
    square: bool

    @property
    def as_map(self) -> bool:
        """Whether features of tokens are told as a map."""
        return self.layer_name.kind == "patches"

    def units_last(self, given: Tensor) -> tuple[Tensor, int]:
        layer = self.layer_name.layer
        axis = layers.unit_axis(self.network, layer, given, self.square)
        return given.movedim(axis, -1), axis

    def out(self, features: Tensor) -> Tensor:
        """Features (…, features) as a layer's own units are laid out."""
        if self.as_map:
            side = round(features.shape[1] ** 0.5)
            features = features.reshape(len(features), side, side, -1)
        return features.movedim(-1, 1) if features.ndim == 4 else features

    def back(self, features: Tensor) -> Tensor:
        last = features.movedim(1, -1) if features.ndim == 4 else features
        return last.flatten(1, 2) if self.as_map else last


def _written_back(
    features: Features, code: Code, rearranged: _Rearranged
) -> Callable[[nn.Module, Any, Any], Tensor | None]:
    """A hook that reads features off what a layer gives, and writes back what
    became of them.
    """

    def hook(module: nn.Module, inputs: Any, given: Any) -> Tensor | None:
        if not isinstance(given, Tensor):
            return None
        last, axis = rearranged.units_last(given)
        found = rearranged.out(code.encode(last))
        passed = features(found)
        if passed is found:
            return None
        change = rearranged.back(passed - found)
        return given + code.decode(change, last).movedim(-1, axis)

    return hook


def _registered(network: nn.Module, name: str, count: int) -> Features:
    """Give a network a module of a name, dots and all; one that runs its own
    modules in a row passes it over.
    """
    kind = type(network)
    if isinstance(network, nn.Sequential) and not issubclass(kind, _Row):
        network.__class__ = type(kind.__name__, (_Row, kind), {})
    features = Features(count)
    network._modules[name] = features
    return features


class _Row:
    """Goes through the modules that are run in a row, features left out."""

    _modules: dict[str, nn.Module]

    def __iter__(self) -> Iterator[nn.Module]:
        for module in self._modules.values():
            if not isinstance(module, Features):
                yield module


def _attach_heads(
    network: nn.Module, name: str, layer: str, pictures: Tensor
) -> None:
    """Attach the heads of an attention module: read off what its last linear
    layer takes.
    """
    mixing = heads.mixing(network, layer, pictures)
    count = heads.count(network, layer)
    if mixing.in_features % count:
        raise InputError(
            f"layer {layer!r}: {mixing.in_features} numbers are no {count} heads"
        )
    features = _registered(network, name, count)
    code = codes.heads(count)

    def hook(module: nn.Module, inputs: Any) -> Any:
        found = code.encode(inputs[0])
        passed = features(found)
        if passed is found:
            return None
        return (inputs[0] + code.decode(passed - found, inputs[0]),)

    features.handle = mixing.register_forward_pre_hook(hook)
