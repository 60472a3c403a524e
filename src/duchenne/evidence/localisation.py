"""Does what a unit sees lie where an action unit acts? Energy of projections in the action unit's region, beside chance.

Two chances are told: the region's share of the receptive field, as if a unit saw all of its field alike; and the same region
displaced all over the face, as if what it sees lay anywhere. Pure: projections and masks in, a frame out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne.progress import Progress, quiet
from duchenne.units.projection import Windows

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Masks = NDArray[np.bool_]


class Localisation:
    """Where the projections of ``units`` lie against the regions of some ``action_units``, picture after picture.

    >>> windows = Windows([np.ones((1, 2, 2), np.float32)], np.array([[0, 0, 2, 2]]))
    >>> region = np.array([[[True, True, False, False]] * 4])
    >>> found = Localisation(1, ["AU12"])
    >>> found.update(windows, np.array([0]), region, np.array([[3.0, 2.0]]))
    >>> found.compute()[["energy", "area", "energy_null"]].to_numpy().tolist()
    [[1.0, 1.0, 0.0]]
    """

    def __init__(self, units: int, action_units: Sequence[str]) -> None:
        self.action_units = tuple(action_units)
        shape = (units, len(self.action_units))
        self._pictures, self._area = np.zeros(shape), np.zeros(shape)
        self._energy, self._pointing = np.zeros(shape), np.zeros(shape)
        self._energies = self._pointings = np.zeros((*shape, 0))

    def update(self, windows: Windows, units: Places, regions: Masks, places: Floats) -> None:
        """Take in what some ``units`` (n,) see of one picture, in which action units act in ``regions`` (a, H, W).

        ``places`` (p, 2), x and y, are where the middle of each region is displaced to; the same on every face. Regions that
        are empty, projections that are, and pictures without places tell nothing.
        """
        energy = _shares(windows, regions.shape[1:])
        told = (energy > 0).any((1, 2))
        there = regions.any((1, 2)) & np.isfinite(places).all()
        if not told.any() or not there.any():
            return
        rows = np.ix_(units[told], np.flatnonzero(there))
        energy, boxes, masks = energy[told], windows.boxes[told], regions[there].astype(np.float32)
        field, peak = _fields(boxes, masks.shape[1:]), _peaks(energy)
        self._grow(len(places))
        np.add.at(self._pictures, rows, 1)
        for sums, maps in ((self._energy, energy), (self._area, field), (self._pointing, peak)):
            np.add.at(sums, rows, maps.reshape(len(maps), -1) @ masks.reshape(len(masks), -1).T)
        for displaced, maps in ((self._energies, energy), (self._pointings, peak)):
            np.add.at(displaced, rows, _displaced(maps, masks, places))

    def _grow(self, places: int) -> None:
        if not self._energies.shape[2]:
            self._energies, self._pointings = (np.zeros((*self._energy.shape, places)) for _ in range(2))

    def compute(self) -> pd.DataFrame:
        """One row a unit and action unit: ``unit, au, pictures``.

        ``energy``, the share of the squared projection within the region; ``area``, the region's share of the receptive
        field, and ``enrichment``, their ratio, 1 by chance; ``pointing``, the share of pictures in which the projection's
        strongest pixel lies within (Zhang et al. 2016); each a mean over pictures. Of displaced regions: ``energy_null``,
        ``pointing_null``, their means, and ``p``, the share of them, the true one included, that hold as much energy. NaN
        where no picture tells.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            energy, area, pointing = (sums / self._pictures for sums in (self._energy, self._area, self._pointing))
            displaced = self._pictures * self._energies.shape[2]
            reached = (self._energies >= self._energy[..., None] * (1 - _ROUNDING)).sum(2)
            told = {
                "energy": energy,
                "area": area,
                "enrichment": energy / area,
                "pointing": pointing,
                "energy_null": self._energies.sum(2) / displaced,
                "pointing_null": self._pointings.sum(2) / displaced,
                "p": np.where(self._pictures > 0, (1 + reached) / (1 + self._energies.shape[2]), np.nan),
            }
        units, count = self._energy.shape
        frame = {"unit": np.repeat(np.arange(units), count), "au": np.tile(self.action_units, units)}
        frame |= {"pictures": self._pictures.ravel().astype(int)}
        return pd.DataFrame(frame | {name: values.ravel() for name, values in told.items()})


_ROUNDING = 1e-6


def localise(
    windows: Windows,
    units: Places,
    pictures: Places,
    count: int,
    action_units: Sequence[str],
    regions: Callable[[int], Masks],
    places: Callable[[int], Floats],
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Tell where ``count`` units look, from the projections of ``units`` (n,) in ``pictures`` (n,); see ``Localisation``.

    ``regions`` and ``places`` are asked for each picture by its number.
    """
    found = Localisation(count, action_units)
    numbers = np.unique(pictures)
    with progress("Placing units on the face", len(numbers)) as advance:
        for picture in numbers:
            own = np.flatnonzero(pictures == picture)
            found.update(windows[own], units[own], regions(int(picture)), places(int(picture)))
            advance(1)
    return found.compute()


def _shares(windows: Windows, size: tuple[int, ...]) -> Floats:
    """The energy of projections laid into whole pictures, as shares that sum to 1: (n, H, W); 0 where there is none."""
    energy = (windows.full((size[0], size[1])).astype(np.float64) ** 2).sum(1)
    total = energy.sum((1, 2), keepdims=True)
    found: Floats = np.divide(energy, total, out=np.zeros_like(energy), where=total > 0)
    return found


def _fields(boxes: Places, size: tuple[int, ...]) -> Floats:
    """Receptive fields as shares of their own area: (n, H, W)."""
    found = np.zeros((len(boxes), *size))
    for field, (x0, y0, x1, y1) in zip(found, boxes, strict=True):
        field[y0:y1, x0:x1] = 1 / ((x1 - x0) * (y1 - y0))
    return found


def _peaks(energy: Floats) -> Floats:
    """1 at the first strongest pixel of each map: (n, H, W)."""
    found = np.zeros_like(energy)
    flat = energy.reshape(len(energy), -1)
    found.reshape(flat.shape)[np.arange(len(flat)), flat.argmax(1)] = 1
    return found


def _displaced(maps: Floats, masks: NDArray[np.float32], places: Floats) -> Floats:
    """What of maps (n, H, W) lies in masks (a, H, W) whose middles are moved to places (p, 2): (n, a, p).

    What of a mask leaves the picture finds nothing there.
    """
    middles, reach = _middles(masks)
    height, width = masks.shape[1:]
    padded = np.zeros((len(masks), 2 * reach + 1, 2 * reach + 1), np.float32)
    for mask, centred, (y, x) in zip(masks, padded, middles, strict=True):
        rows, columns = np.nonzero(mask)
        centred[rows - y + reach, columns - x + reach] = 1
    canvas = np.zeros((len(maps), height + 2 * reach, width + 2 * reach), np.float32)
    canvas[:, reach : reach + height, reach : reach + width] = maps
    around = torch.from_numpy(canvas)
    patches = torch.stack(
        [around[:, y : y + 2 * reach + 1, x : x + 2 * reach + 1] for x, y in _within(places, height, width)], 1
    )
    found: Floats = (patches.flatten(2) @ torch.from_numpy(padded).flatten(1).T).mT.double().numpy()
    return found


def _middles(masks: NDArray[np.float32]) -> tuple[Places, int]:
    """The middle of each mask, row and column (a, 2), and how far any of them reaches from it."""
    middles, reach = np.zeros((len(masks), 2), np.int64), 0
    for number, mask in enumerate(masks):
        where = np.argwhere(mask)
        middles[number] = np.rint(where.mean(0))
        reach = max(reach, int(np.abs(where - middles[number]).max()))
    return middles, reach


def _within(places: Floats, height: int, width: int) -> Places:
    """The pixels (p, 2) as x, y that hold places, the nearest where they lie outside of the picture."""
    found: Places = np.floor(places).astype(np.int64).clip(0, np.array([width, height]) - 1)
    return found
