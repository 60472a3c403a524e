"""Reading one layer of a network that is not ours: by its name, leaving nothing behind."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from duchenne.errors import InputError


def find(network: nn.Module, name: str) -> nn.Module:
    """Find a layer by its dotted name.

    Raises ``InputError`` that lists the nearest names.

    >>> find(nn.Sequential(nn.ReLU()), "0")
    ReLU()
    """
    layers: dict[str, nn.Module] = {key: module for key, module in network.named_modules() if key}
    if name not in layers:
        near = difflib.get_close_matches(name, layers, n=5, cutoff=0.0)
        raise InputError(f"layer {name!r}: the network has none of that name; the nearest are {', '.join(near)}")
    return layers[name]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Switch a network to evaluation and, at the end, every module back to how it was found."""
    found = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield network
    finally:
        for module, training in found:
            module.training = training


def output(network: nn.Module, layer: str, pictures: Tensor) -> Tensor:
    """Run a network up to a layer and return what the layer gives; the rest of the network is not run.

    Raises ``InputError`` where the layer is never reached or does not give one tensor.
    """

    def stop(module: nn.Module, inputs: Any, result: Any) -> None:
        raise _Reached(result)

    return _until(network, layer, pictures, find(network, layer).register_forward_hook(stop))


def take(network: nn.Module, names: Sequence[str], pictures: Tensor, taken: Callable[[str, Tensor], None]) -> None:
    """Hand over what several layers give, from one run of the network up to the last of them.

    ``taken`` is called with a layer's name and what it gives when it is first run: what comes after may write into that, as
    ReLUs in place do. Raises ``InputError`` as ``output`` does, and where no layer is named.
    """
    if not names:
        raise InputError("no layer is named")
    waiting = set(names)

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, result: Any) -> None:
            if name in waiting:
                waiting.remove(name)
                taken(name, _tensor(name, result))
            if not waiting:
                raise _Reached(result)

        return hook

    handles = [find(network, name).register_forward_hook(keep(name)) for name in set(names)]
    try:
        network(pictures.clone())  # it may write into what it is given
    except _Reached:
        return
    finally:
        for handle in handles:
            handle.remove()
    raise InputError(f"layer {min(waiting)!r}: the network never runs it")


def maps(network: nn.Module, layer: str, pictures: Tensor) -> Tensor:
    """Run a network up to a layer and return what it gives; of a layer that flattens maps, the maps.

    Raises ``InputError`` as ``output`` does.
    """
    if not isinstance(find(network, layer), nn.Flatten):
        return output(network, layer, pictures)

    def stop(module: nn.Module, inputs: Any) -> None:
        raise _Reached(inputs[0])

    return _until(network, layer, pictures, find(network, layer).register_forward_pre_hook(stop))


def activations(network: nn.Module, layer: str, pictures: Tensor) -> Tensor:
    """What each neuron of a layer passes on, in the shape that ``maps`` gives: a, after the ReLU that takes it.

    Raises ``InputError`` as ``output`` does.

    >>> network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.ReLU())
    >>> network[0].weight.data.fill_(-1)
    tensor([[[[-1.]]]])
    >>> [activations(some, "0", torch.ones(1, 1, 1, 1)).item() for some in (network, network[:1])]
    [0.0, -1.0]
    """
    with evaluating(network), torch.no_grad():
        made = maps(network, layer, pictures)
        return made.clamp_min(0) if rectified(network, layer, pictures[:1]) else made


def rectified(network: nn.Module, layer: str, picture: Tensor) -> bool:
    """Whether the first to compute with what a layer gives is a ReLU; what comes after it is not run."""
    given: list[Tensor] = []
    handle = find(network, layer).register_forward_hook(lambda module, inputs, result: given.append(result))
    try:
        with _Meeting(given):
            network(picture.clone())
    except _Reached as reached:
        return bool(reached.result)
    finally:
        handle.remove()
    return False


class _Meeting(TorchFunctionMode):
    """Ends the run where something is computed with one of some tensors, and tells whether that was a ReLU."""

    def __init__(self, given: list[Tensor]) -> None:
        super().__init__()
        self._given = given

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
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


def _until(network: nn.Module, layer: str, pictures: Tensor, stop: RemovableHandle) -> Tensor:
    try:
        network(pictures.clone())  # it may write into what it is given
    except _Reached as reached:
        return _tensor(layer, reached.result)
    finally:
        stop.remove()
    raise InputError(f"layer {layer!r}: the network never runs it")


def _tensor(layer: str, given: Any) -> Tensor:
    if not isinstance(given, Tensor):
        raise InputError(f"layer {layer!r}: gives {type(given).__name__}, not one tensor")
    return given
