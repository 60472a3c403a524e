"""Projecting units back into the picture: what in the pixels drives one neuron.

Three methods, each the derivative of one neuron's activation with respect to the pixels under its own rule for passing a
signal backwards through a ReLU. A rule is a function ``(signal, input) -> signal``; max pooling passes the signal to
the position that won, which is unpooling by recorded switches. The network itself is not touched: ReLUs are met while
it runs, whether they are modules, functions or methods named relu, or one module used twice. Other activations pass
their own derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from duchenne.errors import InputError
from duchenne.units import fields, layers

Places = NDArray[np.int64]
Rule = Callable[[Tensor, Tensor], Tensor]

_BATCH = 32


def gradient(signal: Tensor, entered: Tensor) -> Tensor:
    """Pass the signal where the ReLU was open: the derivative itself (Simonyan et al. 2014)."""
    return signal * (entered > 0)


def deconvnet(signal: Tensor, entered: Tensor) -> Tensor:
    """Rectify the signal, whatever entered (Zeiler & Fergus 2014)."""
    return signal.clamp_min(0)


def guided(signal: Tensor, entered: Tensor) -> Tensor:
    """Rectify the signal and pass it where the ReLU was open (Springenberg et al. 2015)."""
    return signal.clamp_min(0) * (entered > 0)


METHODS: dict[str, Rule] = {"guided": guided, "deconvnet": deconvnet, "gradient": gradient}
"""Every method by its name in recipes and commands."""


@dataclass(frozen=True)
class Windows:
    """Projections cut to their receptive fields: ``pixels`` a list of (C, h, w), ``boxes`` (n, 4) as x0, y0, x1, y1."""

    pixels: list[NDArray[np.float32]]
    boxes: Places

    def full(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Lay each projection into a picture of zeros: (n, C, H, W)."""
        channels = self.pixels[0].shape[0] if self.pixels else 1
        laid = np.zeros((len(self.pixels), channels, *size), np.float32)
        for picture, window, (x0, y0, x1, y1) in zip(laid, self.pixels, self.boxes, strict=True):
            picture[:, y0:y1, x0:x1] = window
        return laid


def project(
    network: nn.Module, layer: str, images: Tensor, units: Places, positions: Places, method: str = "guided"
) -> Windows:
    """Project one neuron for each image: unit ``units[i]`` at ``positions[i]`` (row, column) in image i.

    ``images`` (n, C, H, W) are prepared; ``units`` (n,); ``positions`` (n, 2), ignored for layers without maps. The signal
    starts at 1, so nothing is scaled by the activation. Raises ``InputError`` for an unknown method or layer and for
    units or positions outside the layer.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU())
    >>> windows = project(network, "0", torch.rand(1, 1, 8, 8), np.array([1]), np.array([[2, 4]]))
    >>> windows.boxes.tolist(), windows.pixels[0].shape
    ([[4, 2, 7, 5]], (1, 3, 3))
    """
    if method not in METHODS:
        raise InputError(f"method {method!r}: not one of {', '.join(METHODS)}")
    units, positions = np.array(units), np.array(positions).reshape(-1, 2)  # copies: frames give arrays that are read-only
    if not len(images) == len(units) == len(positions):
        raise InputError(f"{len(images)} images, {len(units)} units and {len(positions)} positions: not one of each")
    parts = [
        _signals(network, layer, images[batch], units[batch], positions[batch], METHODS[method])
        for batch in _slices(len(images))
    ]
    pixels = torch.cat(parts).cpu().numpy() if parts else np.zeros((0, *images.shape[1:]), np.float32)
    channels, height, width = images.shape[1:]
    found = fields.of_neurons(network, layer, (channels, height, width), units, positions[:, 0], positions[:, 1])
    cut = [picture[:, y0:y1, x0:x1] for picture, (x0, y0, x1, y1) in zip(pixels, found, strict=True)]
    return Windows(cut, found)


def likeness(first: Windows, second: Windows) -> float:
    """Mean correlation between the pixels of two sets of projections of the same places.

    Near 1 the projections show the picture rather than what was learned (Adebayo et al. 2018).
    """
    values = []
    for one, other in zip(first.pixels, second.pixels, strict=True):
        a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
        scale = float(np.linalg.norm(a) * np.linalg.norm(b))
        values.append(float(a @ b) / scale if scale > 0 else 0.0)
    return float(np.mean(values))


def _slices(count: int) -> Iterator[slice]:
    return (slice(first, first + _BATCH) for first in range(0, count, _BATCH))


def _signals(network: nn.Module, layer: str, images: Tensor, units: Places, positions: Places, rule: Rule) -> Tensor:
    pixels = images.detach().clone().requires_grad_()
    with layers.evaluating(network), _passing(rule), torch.enable_grad():
        maps = layers.output(network, layer, pixels)
        start = _start(maps, units, positions)
        (signal,) = torch.autograd.grad(maps, pixels, start)
    return signal


def _start(maps: Tensor, units: Places, positions: Places) -> Tensor:
    """1 at the chosen neuron of each image, 0 elsewhere."""
    start = torch.zeros_like(maps)
    image = np.arange(len(units))
    places = (image, units) if maps.ndim == 2 else (image, units, positions[:, 0], positions[:, 1])
    limits = maps.shape[1:]
    if any((place < 0).any() or (place >= limit).any() for place, limit in zip(places[1:], limits, strict=False)):
        raise InputError(f"a unit or position lies outside the layer's {tuple(limits)}")
    start[places] = 1
    return start


@contextmanager
def _passing(rule: Rule) -> Iterator[None]:
    """Replace, while it lasts, the backward rule of every ReLU that is run."""
    with _ReluMode(rule):
        yield


_RELUS = {F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_}


class _ReluMode(TorchFunctionMode):
    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self._rule = rule

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _RELUS:
            return _Relu.apply(args[0] if args else kwargs["input"], self._rule)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, entered: Tensor, rule: Rule) -> Tensor:
        context.save_for_backward(entered)
        context.rule = rule
        return entered.clamp_min(0)

    @staticmethod
    def backward(context: Any, *signals: Tensor) -> Any:
        (entered,) = context.saved_tensors
        return context.rule(signals[0], entered), None
