"""The receptive field: which pixels a neuron of a layer can see, clamped at
the picture's border.

It has a closed form where the way to the layer is understood (see ``graph``).
Elsewhere it is found by letting a signal back through the network with every
ReLU open: the pixels that it reaches.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.units import layers
from duchenne.units.graph import UnknownWayError, Way
from duchenne.units.relu_rules import Passing

Places = NDArray[np.int64]
_NOISES = 4


class Fields:
    """The fields of a layer's neurons in pictures of one shape (C, H, W).

    ``way`` is the way to the layer, or None where it is not understood;
    ``shape`` is that of what the layer gives for one picture: maps (units, h,
    w), tokens (tokens, units) or neurons (units,). The neurons of a layer that
    ``flattens`` are those of the maps that it flattens. Raises ``InputError``
    where there is no such layer, or it gives something else.

    >>> found = Fields(
    ...     nn.Sequential(nn.Conv2d(1, 2, 5, padding=2), nn.ReLU()),
    ...     "1",
    ...     (1, 96, 96),
    ... )
    >>> found.of(np.array([0, 0]), np.array([0, 48]), np.array([0, 48])).tolist()
    [[0, 0, 3, 3], [46, 46, 51, 51]]
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str | nn.Module,
        shape: tuple[int, int, int],
    ) -> None:
        layer = layers.name_of(network, layer)
        self._network = network
        self._layer = layer
        self._picture = shape
        self.flattens = isinstance(layers.find(network, layer), nn.Flatten)
        first = next(network.parameters(), torch.zeros(()))
        self._blank = torch.zeros(
            1, *shape, device=first.device, dtype=first.dtype
        )
        self.shape = self._given()
        self.way: Way | None = None
        with suppress(UnknownWayError):
            self.way = Way(network, layer, shape)

    def _given(self) -> tuple[int, ...]:
        """The shape of what the layer gives for one picture."""
        with layers.evaluating(self._network), torch.no_grad():
            shape = layers.maps(self._network, self._layer, self._blank).shape[
                1:
            ]
        if not 1 <= len(shape) <= 3:
            gives = f"layer {self._layer!r}: gives {len(shape)} dimensions"
            raise InputError(
                f"{gives}; maps, tokens or neurons are understood"
            )
        return tuple(shape)

    def located(
        self, units: Places, rows: Places, columns: Places
    ) -> tuple[Places, Places, Places]:
        """Where neurons (n,) lie in what the layer gives: unit, row and
        column, 0 where it has none; a flattened unit is put back where it was.
        Raises ``InputError`` for those that are not there.
        """
        shape = (
            self.shape if not self.flattens else (int(np.prod(self.shape)),)
        )
        places = {1: (units,), 2: (rows, units), 3: (units, rows, columns)}[
            len(shape)
        ]
        if any(
            (coordinate < 0).any() or (coordinate >= limit).any()
            for coordinate, limit in zip(places, shape, strict=True)
        ):
            raise InputError(
                f"a unit or position lies outside of layer {self._layer!r}, which gives {shape}"
            )
        if self.flattens and len(self.shape) == 3:
            units, rows, columns = np.unravel_index(units, self.shape)
        nowhere = np.zeros_like(units)
        return (
            units,
            rows if len(self.shape) > 1 else nowhere,
            columns if len(self.shape) == 3 else nowhere,
        )

    def of(self, units: Places, rows: Places, columns: Places) -> Places:
        """Field of each neuron: (n, 4) as x0, y0, x1, y1 in pixels, x1 and y1
        exclusive.
        """
        units, rows, columns = self.located(units, rows, columns)
        if self.way:
            return self.way.fields(rows, columns)
        if len(self.shape) < 3:
            return np.tile(
                [0, 0, self._picture[2], self._picture[1]], (len(units), 1)
            )
        places, which = np.unique(
            np.stack([rows, columns], 1), axis=0, return_inverse=True
        )
        return np.array(
            [self._reached(row, column) for row, column in places]
        )[which.ravel()]

    def _reached(self, row: int, column: int) -> tuple[int, int, int, int]:
        """The pixels that signals of either sign reach from a position of all
        maps, of several pictures of noise.
        """
        seen = self._signal(row, column).abs().sum((0, 1)).cpu().numpy() > 0
        rows = np.flatnonzero(seen.any(1))
        columns = np.flatnonzero(seen.any(0))
        if not len(rows):
            return 0, 0, self._picture[2], self._picture[1]
        return (
            int(columns[0]),
            int(rows[0]),
            int(columns[-1]) + 1,
            int(rows[-1]) + 1,
        )

    def _signal(self, row: int, column: int) -> Tensor:
        """What comes back from a position to noise: (noises, C, H, W)."""
        chance = torch.Generator().manual_seed(0)
        noise = torch.randn(
            _NOISES, *self._blank.shape[1:], generator=chance
        ).to(self._blank)
        with layers.evaluating(self._network), torch.enable_grad(), _Open():
            pixels = noise.requires_grad_()
            maps = layers.maps(self._network, self._layer, pixels)
            # units that sum to a constant say nothing
            signs = torch.randn(maps.shape[:2], generator=chance).to(maps)
            total = (signs * maps[:, :, row, column]).sum()
            (signal,) = torch.autograd.grad(
                total, pixels, allow_unused=True, materialize_grads=True
            )
        return signal


class _Open(Passing):
    """Lets signals through every ReLU, and to every position that a maximum is
    taken of.
    """

    def __init__(self) -> None:
        super().__init__(lambda signal, entered: signal)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        average = _AVERAGES.get(func)
        if average is None:
            return super().__torch_function__(func, types, args, kwargs)
        return average(*args, **(kwargs or {}))


def _average(
    maps: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *_: Any,
    **__: Any,
) -> Tensor:
    """The average where the maximum would be taken; a dilated one is taken as
    it is.
    """
    if dilation not in (1, (1, 1)):
        return torch.max_pool2d(
            maps,
            kernel_size,
            stride or kernel_size,
            padding,
            dilation,
            ceil_mode,
        )
    return F.avg_pool2d(maps, kernel_size, stride, padding, ceil_mode)


def _adaptive_average(
    maps: Tensor, output_size: Any, return_indices: bool = False
) -> Tensor:
    return F.adaptive_avg_pool2d(maps, output_size)


_AVERAGES: dict[Any, Callable[..., Tensor]] = {
    F.max_pool2d: _average,
    torch.max_pool2d: _average,
    F.adaptive_max_pool2d: _adaptive_average,
}
