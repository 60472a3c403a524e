"""Reading one layer of a network that is not ours: by its name, leaving
nothing behind.

What a layer gives is told with its units behind the pictures, (n, units, h,
w), also where the network keeps channels last, as ConvNeXt and Swin do inside;
tokens stay (n, tokens, units). A network is asked by one thread at a time.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakIdKeyDictionary

from duchenne.errors import InputError


@dataclass(frozen=True)
class Layer:
    """A layer that is examined.

    Attributes:
        network: The network, in evaluation mode.
        name: Of the layer, as in ``named_modules``.
        prepare: From images (n, C, H, W) in 0 … 1 to the network's input.
        activation: How a unit's activation is read off its map: a key of
            ``units.activation``.
    """

    network: nn.Module
    name: str
    prepare: Callable[[Tensor], Tensor]
    activation: str = "positive"

    def batches(
        self, images: NDArray[np.float32], count: int
    ) -> Iterator[Tensor]:
        """Prepare images, some at a time, in their order.

        Args:
            images: (n, C, H, W) in 0 … 1.
            count: At a time.

        Yields:
            The network's input.
        """
        for first in range(0, len(images), count):
            yield self.prepare(torch.from_numpy(images[first : first + count]))


def find(network: nn.Module, name: str) -> nn.Module:
    """Find a layer by its dotted name.

    Raises ``InputError`` that lists the nearest names.

    >>> find(nn.Sequential(nn.ReLU()), "0")
    ReLU()
    """
    layers: dict[str, nn.Module] = {
        key: module for key, module in network.named_modules() if key
    }
    if name not in layers:
        _refuse_unknown_features(layers, name)
        near = difflib.get_close_matches(name, layers, n=5, cutoff=0.0)
        raise InputError(
            f"layer {name!r}: the network has none of that name; the nearest are {', '.join(near)}"
        )
    return layers[name]


def _refuse_unknown_features(layers: dict[str, nn.Module], name: str) -> None:
    """Refuse a name of which only what stands behind its colon is unknown."""
    layer, colon, kind = name.rpartition(":")
    if colon and layer in layers:
        there = ", ".join(FEATURES)
        raise InputError(
            f"layer {name!r}: ':{kind}' names no features; there are {there}"
        )


FEATURES = ("signed", "pca=COUNT", "sae=FILE", "heads", "patches", "class")
"""What may stand behind the colon of a layer's name (``units.features``)."""


def name_of(network: nn.Module, layer: str | nn.Module) -> str:
    """Name a layer that is given by its dotted name, or as the module itself.

    Raises ``InputError`` where the network has no such layer.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    >>> name_of(network, network[1]), name_of(network, "0")
    ('1', '0')
    """
    if isinstance(layer, nn.Module):
        named = next(
            (
                name
                for name, module in network.named_modules()
                if module is layer and name
            ),
            None,
        )
        if named is None:
            raise InputError(
                f"layer {type(layer).__name__}: not one of the network's own modules"
            )
        return str(named)
    find(network, layer)
    return layer


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Switch a network to evaluation and, at the end, every module back to how
    it was found.

    Another thread that asks the same network meanwhile waits: hooks see
    whatever thread runs it.
    """
    with _lock(network):
        found = [(module, module.training) for module in network.modules()]
        network.eval()
        try:
            yield network
        finally:
            for module, training in found:
                module.training = training


def _lock(network: nn.Module) -> threading.RLock:
    with _LOCKING:
        lock: threading.RLock = _LOCKS.setdefault(network, threading.RLock())
    return lock


_LOCKING = threading.Lock()
_LOCKS: Any = WeakIdKeyDictionary()


@dataclass(frozen=True)
class Call:
    """One run of a module within a network's run.

    Attributes:
        name: Of the module, as in ``named_modules``.
        module: The module.
        input: What it takes first; nothing where it takes nothing.
        output: What it gives.
    """

    name: str
    module: nn.Module
    input: Any
    output: Any


def calls(network: nn.Module, pictures: Tensor) -> list[Call]:
    """Run a network once, and list the runs of the modules inside in the order
    in which they end.

    Args:
        network: Any network; it is run in evaluation mode.
        pictures: (n, C, H, W), prepared; a few, for all that is computed is
            held.

    Returns:
        A call a run.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    >>> [call.name for call in calls(network, torch.zeros(1, 1, 2, 2))]
    ['0', '1']
    """
    ran: list[Call] = []

    def noting(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, inputs: Any, given: Any) -> None:
            first = inputs[0] if inputs else None
            ran.append(Call(name, module, first, given))

        return note

    handles = [
        module.register_forward_hook(noting(name))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with evaluating(network), torch.no_grad():
            network(pictures.clone())
    finally:
        for handle in handles:
            handle.remove()
    return ran


def output(network: nn.Module, layer: str, pictures: Tensor) -> Tensor:
    """Run a network up to a layer and return what the layer gives, as it gives
    it; the rest of the network is not run.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        pictures: (n, C, H, W), prepared.

    Returns:
        Of whatever shape.

    Raises:
        InputError: Where the layer is never reached or does not give one
            tensor.
    """

    def stop(module: nn.Module, inputs: Any, result: Any) -> None:
        raise _Reached(result)

    return _until(
        network,
        layer,
        pictures,
        find(network, layer).register_forward_hook(stop),
    )


def take(
    network: nn.Module,
    names: Sequence[str],
    pictures: Tensor,
    taken: Callable[[str, Tensor], None],
) -> None:
    """Hand over what several layers give, from one run of the network up to
    the last of them.

    What comes after a layer may write into what it gave, as ReLUs in place do.

    Args:
        network: Any network.
        names: Of some of its layers.
        pictures: (n, C, H, W), prepared.
        taken: Called with a layer's name and what it gives when it is first
            run.

    Raises:
        InputError: As ``output`` does, and where no layer is named.
    """
    if not names:
        raise InputError("no layer is named")
    waiting = set(names)
    square = are_square(pictures)

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, result: Any) -> None:
            if name in waiting:
                waiting.remove(name)
                given = _tensor(name, result)
                taken(name, units_first(network, name, given, square))
            if not waiting:
                raise _Reached(result)

        return hook

    handles = [
        find(network, name).register_forward_hook(keep(name))
        for name in set(names)
    ]
    try:
        network(pictures.clone())  # it may write into what it is given
    except _Reached:
        return
    finally:
        for handle in handles:
            handle.remove()
    raise InputError(f"layer {min(waiting)!r}: the network never runs it")


def maps(network: nn.Module, layer: str, pictures: Tensor) -> Tensor:
    """Run a network up to a layer and return what it gives; of a layer that
    flattens maps, the maps.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        pictures: (n, C, H, W), prepared.

    Returns:
        (n, units, h, w), (n, tokens, units) or (n, units).

    Raises:
        InputError: As ``output`` does.
    """
    if not isinstance(find(network, layer), nn.Flatten):
        given = output(network, layer, pictures)
        return units_first(network, layer, given, are_square(pictures))

    def stop(module: nn.Module, inputs: Any) -> None:
        raise _Reached(inputs[0])

    return _until(
        network,
        layer,
        pictures,
        find(network, layer).register_forward_pre_hook(stop),
    )


def activation_maps(
    network: nn.Module, layer: str, pictures: Tensor
) -> Tensor:
    """What each neuron of a layer passes on, in the shape that ``maps`` gives:
    a, after the ReLU that takes it.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        pictures: (n, C, H, W), prepared.

    Returns:
        (n, units, h, w), (n, tokens, units) or (n, units).

    Raises:
        InputError: As ``output`` does.

    >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU())
    >>> network[0].weight.data.fill_(-1)
    tensor([[[[-1.]]]])
    >>> [
    ...     activation_maps(some, "0", torch.ones(1, 1, 1, 1)).item()
    ...     for some in (network, network[:1])
    ... ]
    [0.0, -1.0]
    """
    with evaluating(network), torch.no_grad():
        made = maps(network, layer, pictures)
        return (
            made.clamp_min(0)
            if rectified(network, layer, pictures[:1])
            else made
        )


def rectified(network: nn.Module, layer: str, picture: Tensor) -> bool:
    """Whether the first to compute with what a layer gives is a ReLU; what
    comes after it is not run.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        picture: (1, C, H, W), prepared.

    Returns:
        True for a ReLU.
    """
    given: list[Tensor] = []
    handle = find(network, layer).register_forward_hook(
        lambda module, inputs, result: given.append(result)
    )
    try:
        with _Meeting(given):
            network(picture.clone())
    except _Reached as reached:
        return bool(reached.result)
    finally:
        handle.remove()
    return False


class _Meeting(TorchFunctionMode):
    """Ends the run where something is computed with one of some tensors, and
    tells whether that was a ReLU.
    """

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__()
        self._given = given

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        entered = [*args, *(kwargs or {}).values()]
        met = any(one is each for one in entered for each in self._given)
        result = func(*args, **(kwargs or {}))
        if met and isinstance(result, Tensor):
            raise _Reached(func in RELUS)
        return result


RELUS = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}
"""The functions and methods that rectify; modules call them."""


class _Reached(Exception):  # noqa: N818  (a signal, not an error)
    def __init__(self, result: Any) -> None:
        self.result = result


def _until(
    network: nn.Module, layer: str, pictures: Tensor, stop: RemovableHandle
) -> Tensor:
    try:
        network(pictures.clone())  # it may write into what it is given
    except _Reached as reached:
        return _tensor(layer, reached.result)
    finally:
        stop.remove()
    raise InputError(f"layer {layer!r}: the network never runs it")


def _tensor(layer: str, given: Any) -> Tensor:
    if not isinstance(given, Tensor):
        raise InputError(
            f"layer {layer!r}: gives {type(given).__name__}, not one tensor"
        )
    return given


def are_square(pictures: Tensor) -> bool:
    """Tell whether pictures have as many rows as columns.

    Args:
        pictures: (n, C, H, W).

    Returns:
        Whether H is W.

    >>> are_square(torch.zeros(1, 3, 8, 8)), are_square(torch.zeros(1, 3, 8, 6))
    (True, False)
    """
    return pictures.shape[-2] == pictures.shape[-1]


def units_first(
    network: nn.Module, layer: str, given: Tensor, square: bool = True
) -> Tensor:
    """Turn what a layer gives, where channels come last, into (n, units, h,
    w), and what runs along a line into (n, places, units), as tokens are;
    everything else is left as it is.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        given: What it gives.
        square: Whether its pictures are (``are_square``).

    Returns:
        The same numbers.
    """
    if given.ndim not in (3, 4):
        return given
    axis = unit_axis(network, layer, given, square)
    wanted = 1 if given.ndim == 4 else 2
    return given if axis == wanted else given.movedim(axis, wanted)


def unit_axis(
    network: nn.Module, layer: str, given: Tensor, square: bool = True
) -> int:
    """Tell along which axis of what a layer gives its units are counted.

    Of three dimensions the last, as of tokens (n, tokens, units), but behind
    pictures where a convolution along a line gave them. Of four the one that
    the layer itself declares, as PyTorch's convolutions and poolings do; else
    the one that makes square maps of square pictures; else behind the pictures
    where no module counts along the last; else the one of the size that the
    last module inside it declares, or the nearest one before it, as before an
    activation, or where none has that size the one along which that module
    counts. Behind the pictures, too, where both are of one size.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        given: What it gives.
        square: Whether its pictures are (``are_square``).

    Returns:
        1, or the last.

    >>> network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Linear(6, 5), nn.GELU())
    >>> (
    ...     unit_axis(network, "0", torch.zeros(1, 8, 4, 6)),
    ...     unit_axis(network, "2", torch.zeros(1, 8, 4, 5)),
    ... )
    (1, 3)
    """
    if given.ndim == 4:
        return _axis_of_maps(network, layer, given, square)
    return _axis_of_rows(network, layer, given) if given.ndim == 3 else 1


def _axis_of_maps(
    network: nn.Module, layer: str, given: Tensor, square: bool
) -> int:
    """The axis of units of four dimensions."""
    module = find(network, layer)
    own = _declared(module)
    if own is not None and given.shape[own[1]] == own[0]:
        return own[1]
    first, middle, last = given.shape[1:]
    if isinstance(module, _CHANNELS_FIRST) or last in (first, middle):
        return 1
    if square and first == middle:
        return 3
    return _axis_by_size(network, layer, given)


def _axis_by_size(network: nn.Module, layer: str, given: Tensor) -> int:
    """The axis of units of maps that do not show it by being square."""
    declared = list(filter(None, map(_declared, _by_nearness(network, layer))))
    if declared and all(axis == 1 for _, axis in declared):
        return 1
    for size, axis in declared:
        for fitting in (axis, 4 - axis):
            if given.shape[fitting] == size:
                return fitting
    return declared[0][1] if declared else 1


_CHANNELS_FIRST = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.LPPool2d,
    nn.FractionalMaxPool2d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Upsample,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Dropout2d,
    nn.LocalResponseNorm,
)
"""Modules of PyTorch that say no number of channels and take them first."""


def _axis_of_rows(network: nn.Module, layer: str, given: Tensor) -> int:
    """The axis of units of three dimensions."""
    for module in _by_nearness(network, layer):
        declared = _declared(module)
        if declared is None:
            continue
        size, axis = declared
        if isinstance(module, _ALONG_A_LINE) and given.shape[1] == size:
            return 1
        if axis == 3 and given.shape[2] == size:
            return 2
    return 2


_ALONG_A_LINE = (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d)


def _by_nearness(network: nn.Module, layer: str) -> Iterator[nn.Module]:
    """The layer, what is inside it from the last to the first, and what stands
    before it from the nearest on.
    """
    every = dict(network.named_modules())
    names = list(every)
    inside = [
        name for name in names if name == layer or name.startswith(f"{layer}.")
    ]
    yield every[layer]
    yield from (every[name] for name in reversed(inside[1:]))
    yield from (every[name] for name in reversed(names[: names.index(layer)]))


def _declared(module: nn.Module) -> tuple[int, int] | None:
    """How many units a module says that it gives, and along which axis of four
    dimensions.
    """
    shape = getattr(module, "normalized_shape", None)
    if isinstance(shape, tuple | list) and shape:
        plain = type(module) is nn.LayerNorm and len(shape) == 1
        return int(
            shape[-1] if len(shape) == 1 else shape[0]
        ), 3 if plain else 1
    for name, axis in (
        ("out_features", 3),
        ("out_channels", 1),
        ("num_features", 1),
        ("num_channels", 1),
    ):
        size = getattr(module, name, None)
        if isinstance(size, int):
            return size, axis
    return None
