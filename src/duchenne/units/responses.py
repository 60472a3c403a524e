"""What every unit answers to each picture: the maximum of its map, after ReLU, and where it lies; streaming.

A unit is a channel of a convolution or a neuron of a linear layer. ``stream`` gives peaks batch by batch; ``Top`` keeps
the highest of each unit in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.units import layers

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Peaks:
    """Peaks of n pictures and u units: ``image`` (n,), ``value``, ``row`` and ``column`` (n, u) on the layer's map.

    Rows and columns are 0 for neurons of a linear layer.
    """

    image: Places
    value: Floats
    row: Places
    column: Places

    def frame(self) -> pd.DataFrame:
        """One row an image and unit: image, unit, peak, row, col."""
        units = self.value.shape[1]
        return pd.DataFrame(
            {
                "image": np.repeat(self.image, units).astype(np.int32),
                "unit": np.tile(np.arange(units, dtype=np.int32), len(self.image)),
                "peak": self.value.ravel(),
                "row": self.row.ravel().astype(np.int16),
                "col": self.column.ravel().astype(np.int16),
            }
        )

    @staticmethod
    def from_frame(frame: pd.DataFrame) -> Peaks:
        """Take back what ``frame`` gave."""
        shape = (-1, frame["unit"].nunique())
        value, row, column = (frame[name].to_numpy().reshape(shape) for name in ("peak", "row", "col"))
        return Peaks(frame["image"].to_numpy().reshape(shape)[:, 0], value, row, column)

    @staticmethod
    def joined(parts: Iterable[Peaks]) -> Peaks:
        """Put the peaks of several batches one after another."""
        every = list(parts)
        if not every:
            raise InputError("no pictures to look at")
        names = ("image", "value", "row", "column")
        return Peaks(**{name: np.concatenate([getattr(part, name) for part in every]) for name in names})


def stream(network: nn.Module, layer: str, batches: Iterable[Tensor]) -> Iterator[Peaks]:
    """Yield the peaks of each batch of prepared pictures (n, C, H, W), counting images from 0."""
    first = 0
    with layers.evaluating(network), torch.no_grad():
        for batch in batches:
            yield _peaks(layers.output(network, layer, batch), first)
            first += len(batch)


def responses(network: nn.Module, layer: str, batches: Iterable[Tensor]) -> Peaks:
    """Peaks of all units of a layer on all pictures.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3))
    >>> responses(network, "0", [torch.rand(2, 1, 8, 8), torch.rand(1, 1, 8, 8)]).value.shape
    (3, 4)
    """
    return Peaks.joined(stream(network, layer, batches))


def _peaks(maps: Tensor, first: int) -> Peaks:
    if maps.ndim not in (2, 3, 4):
        raise InputError(f"a layer of {maps.ndim - 1} dimensions: maps, tokens or neurons are understood")
    flat = maps.float()[..., None] if maps.ndim == 2 else maps.float().flatten(2) if maps.ndim == 4 else maps.float().mT
    value, place = flat.max(2)
    width = maps.shape[3] if maps.ndim == 4 else 1
    row, column = (place // width).cpu().numpy(), (place % width).cpu().numpy()
    return Peaks(np.arange(first, first + len(maps)), value.clamp_min(0).cpu().numpy(), row, column)


class Top:
    """The ``count`` highest peaks of each unit. Equal peaks stand in the order of their images.

    >>> top = Top(1)
    >>> top.update(Peaks(np.arange(2), np.array([[1.0], [3.0]]), np.zeros((2, 1), int), np.zeros((2, 1), int)))
    >>> top.compute()[["unit", "rank", "image", "peak"]].values.tolist()
    [[0.0, 0.0, 1.0, 3.0]]
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._kept: tuple[Floats, Places, Places, Places] | None = None  # value, image, row, column: (kept, u)

    def update(self, peaks: Peaks) -> None:
        """Take in the peaks of a batch."""
        image = np.broadcast_to(peaks.image[:, None], peaks.value.shape)
        self._take((peaks.value, image, peaks.row, peaks.column))

    def merge(self, other: Top) -> None:
        """Take in what another accumulator kept."""
        if other._kept is not None:
            self._take(other._kept)

    def compute(self) -> pd.DataFrame:
        """One row a unit and rank: unit, rank (0 = highest), image, peak, row, col."""
        if self._kept is None:
            raise InputError("no pictures to look at")
        value, image, row, column = (array.T for array in self._kept)
        units, kept = value.shape
        return pd.DataFrame(
            {
                "unit": np.repeat(np.arange(units), kept),
                "rank": np.tile(np.arange(kept), units),
                "image": image.ravel(),
                "peak": value.ravel(),
                "row": row.ravel(),
                "col": column.ravel(),
            }
        )

    def _take(self, new: tuple[NDArray[Any], ...]) -> None:
        kept = self._kept or tuple(array[:0] for array in new)
        every = [np.concatenate([old, added]) for old, added in zip(kept, new, strict=True)]
        best = np.lexsort((every[1], -every[0].astype(np.float64)), axis=0)[: self.count]
        value, image, row, column = (np.take_along_axis(array, best, 0) for array in every)
        self._kept = value, image, row, column
