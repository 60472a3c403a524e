"""The receptive field: which pixels a position of a layer's map can see, in closed form, clamped at the border.

The layers that widen a field (convolution, pooling) are recorded while the network runs once; the field is followed
back through them and clamped to each map on the way, as padding holds no pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.networks.pyramidal import Pyramidal
from duchenne.units import layers

Places = NDArray[np.int64]

_FLAT = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.Identity, nn.Dropout, nn.Dropout2d,
    nn.BatchNorm2d, nn.Flatten,
)  # fmt: skip


@dataclass(frozen=True)
class Window:
    """One layer that gathers: along rows and columns, its kernel's reach, stride and padding, and its input's size."""

    reach: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    size: tuple[int, int]


def windows(network: nn.Module, layer: str, shape: tuple[int, int, int]) -> list[Window]:
    """List the gathering layers from the picture (C, H, W) to a layer, in the order in which they run.

    Raises ``InputError`` where a layer on the way is not one whose field is known, and where gradients reach pixels
    outside the field: the way branches, or a layer on it is a function.
    """
    found: list[Window] = []
    handles = [
        module.register_forward_hook(_recorder(name, found))
        for name, module in network.named_modules()
        if not any(module.children())
    ]
    try:
        with layers.evaluating(network), torch.no_grad():
            first = next(network.parameters())
            maps(network, layer, torch.zeros(1, *shape, device=first.device, dtype=first.dtype))
    finally:
        for handle in handles:
            handle.remove()
    _verify(network, layer, shape, found)
    return found


def maps(network: nn.Module, layer: str, pictures: Tensor) -> Tensor:
    """What a layer gives as maps (n, C, h, w): a flattened layer's neurons are put back where they were."""
    entered: list[Tensor] = []
    module = layers.find(network, layer)
    if not isinstance(module, nn.Flatten):
        return layers.output(network, layer, pictures)
    handle = module.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0]))
    try:
        return layers.output(network, layer, pictures).view(entered[0].shape)
    finally:
        handle.remove()


def _verify(network: nn.Module, layer: str, shape: tuple[int, int, int], way: list[Window]) -> None:
    """Refuse a field outside which a gradient reaches: a function or a branch on the way was not recorded."""
    first = next(network.parameters())
    pixels = torch.rand(1, *shape, device=first.device, dtype=first.dtype, requires_grad=True)
    with layers.evaluating(network), torch.enable_grad():
        answers = maps(network, layer, pixels)
        for share in (0.0, 0.5, 1.0):
            row, column = (int(share * (size - 1)) for size in answers.shape[2:])
            (reached,) = torch.autograd.grad(answers[0, :, row, column].sum(), pixels, retain_graph=True)
            ((x0, y0, x1, y1),) = boxes(way, np.array([row]), np.array([column])).tolist()
            reached[:, :, y0:y1, x0:x1] = 0
            if reached.any():
                raise InputError(
                    f"layer {layer!r}: its receptive field is not known: the way to it branches, or pools or convolves by a "
                    "function instead of a module"
                )


def of_neurons(
    network: nn.Module, layer: str, shape: tuple[int, int, int], units: Places, rows: Places, columns: Places
) -> Places:
    """Field of each neuron of a layer for pictures (C, H, W): (n, 4).

    A neuron is a unit's at a row and column, which are ignored where the unit has but one: a neuron of a linear layer sees
    the whole picture, one of a flattened layer what it saw in its map.
    """
    module = layers.find(network, layer)
    if isinstance(module, nn.Linear):
        return np.tile([0, 0, shape[2], shape[1]], (len(rows), 1))
    if isinstance(module, nn.Flatten):
        first = next(network.parameters())
        with layers.evaluating(network), torch.no_grad():
            size = maps(network, layer, torch.zeros(1, *shape, device=first.device, dtype=first.dtype)).shape[1:]
        _, rows, columns = np.unravel_index(units, size)
    return boxes(windows(network, layer, shape), rows, columns)


def boxes(way: list[Window], rows: Places, columns: Places) -> Places:
    """Field of each position: (n, 4) as x0, y0, x1, y1 in pixels, x1 and y1 exclusive.

    For a layer with kernel reach k, stride s and padding p, positions a … b see s·a − p … s·b − p + k − 1.

    >>> boxes([Window((5, 5), (1, 1), (2, 2), (96, 96))], np.array([0, 48]), np.array([0, 48])).tolist()
    [[0, 0, 3, 3], [46, 46, 51, 51]]
    """
    ends = []
    for axis, place in enumerate((rows, columns)):
        low = high = np.asarray(place, np.int64)
        for window in reversed(way):
            low = low * window.stride[axis] - window.padding[axis]
            high = high * window.stride[axis] - window.padding[axis] + window.reach[axis] - 1
            low, high = np.maximum(low, 0), np.minimum(high, window.size[axis] - 1)
        ends.append((low, high + 1))
    (top, bottom), (left, right) = ends
    return np.stack([left, top, right, bottom], 1)


def _recorder(name: str, found: list[Window]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def record(module: nn.Module, inputs: tuple[Any, ...], result: Any) -> None:
        if isinstance(module, _FLAT):
            return
        if isinstance(module, Pyramidal):
            found.extend(_pyramidal(module))
            return
        if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            raise InputError(f"layer {name!r}: the receptive field of {type(module).__name__} is not known")
        picture: Tensor = inputs[0]
        kernel, stride, dilation = (
            _pair(module.kernel_size),
            _pair(module.stride),
            _pair(getattr(module, "dilation", 1)),
        )
        if isinstance(module.padding, str):
            raise InputError(f"layer {name!r}: padding {module.padding!r} is not understood; give it in pixels")
        reach = (dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1)
        height, width = picture.shape[2:]
        found.append(Window(reach, stride, _pair(module.padding), (height, width)))

    return record


def _pyramidal(module: Pyramidal) -> list[Window]:
    """A neuron's field, and what its inhibition adds: a ring around it, or the fields of its neighbours."""
    height, width = module.weight.shape[1:]
    rows, columns = module.bias.shape
    reached = module.radius if module.strength else 0
    ring = reached if module.reading == "surround" else 0
    side, gap = module.field + 2 * ring, module.gap
    seen = Window((side, side), (gap, gap), (ring, ring), (height, width))
    across = 2 * (reached - ring) + 1
    return [seen, Window((across, across), (1, 1), (reached - ring, reached - ring), (rows, columns))]


def _pair(value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple) else (value, value)
    return int(first), int(second)
