"""Does what a unit sees lie where an action unit acts? Energy of projections in the action unit's region, beside chance.

Two chances are told: the region's share of the receptive field, as if a unit saw all of its field alike; and the same region
displaced all over the face, as if what it sees lay anywhere. Pure: projections and masks in, a frame out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from duchenne.faces.regions import Lattice
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
    >>> found.update(windows, np.array([0]), region, Lattice(np.array([2, 3]), np.array([1, 2]), np.eye(2) > 0))
    >>> found.compute()[["energy", "area", "energy_null"]].to_numpy().tolist()
    [[1.0, 1.0, 0.0]]
    """

    def __init__(self, units: int, action_units: Sequence[str]) -> None:
        self.action_units = tuple(action_units)
        shape = (units, len(self.action_units))
        self._pictures, self._area = np.zeros(shape), np.zeros(shape)
        self._energy, self._pointing = np.zeros(shape), np.zeros(shape)
        self._energies = self._pointings = self._counted = self._true = np.zeros((*shape, 0))

    def update(self, windows: Windows, units: Places, regions: Masks, lattice: Lattice | None) -> None:
        """Take in what some ``units`` (n,) see of one picture, in which action units act in ``regions`` (a, H, W).

        The points of the ``lattice`` are where the middle of each region is displaced to. Regions that are empty,
        projections that are, and pictures without a lattice, or that lies beside them, tell nothing.
        """
        there = np.flatnonzero(regions.any((1, 2)))
        if lattice is None or not lattice.on(max(regions.shape[1:])) or not len(there):
            return
        masks = regions[there]
        displaced = _Displaced(masks, lattice)
        if not self._energies.shape[2]:
            shape = (*self._energy.shape, int(lattice.inside.sum()))
            self._energies, self._pointings, self._counted, self._true = (np.zeros(shape) for _ in range(4))
        for unit, pixels, box in zip(units, windows.pixels, windows.boxes, strict=True):
            energy = (pixels.astype(np.float64) ** 2).sum(0)
            if not energy.any():
                continue
            energy /= energy.sum()
            x0, y0, x1, y1 = box
            row, column = np.unravel_index(energy.argmax(), energy.shape)
            within = masks[:, y0:y1, x0:x1]
            self._pictures[unit, there] += 1
            held = within.reshape(len(masks), -1) @ energy.ravel()
            self._energy[unit, there] += held
            self._area[unit, there] += within.mean((1, 2))
            self._pointing[unit, there] += within[:, row, column]
            self._energies[unit, there] += displaced.energies(energy, x0, y0)
            self._pointings[unit, there] += displaced.points(x0 + column, y0 + row)
            self._counted[unit, there] += displaced.inside > 0
            self._true[unit, there] += held[:, None] * (displaced.inside > 0)

    def compute(self) -> pd.DataFrame:
        """One row a unit and action unit: ``unit, au, pictures``.

        ``energy``, the share of the squared projection within the region; ``area``, the region's share of the receptive
        field, and ``enrichment``, their ratio, 1 by chance; ``pointing``, the share of pictures in which the projection's
        strongest pixel lies within (Zhang et al. 2016); each a mean over pictures. Of displaced regions: ``energy_null``,
        ``pointing_null``, their means, and ``p``, the share of them, the true one included, that hold as much energy in
        the same pictures. NaN where no picture tells.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            energy, area, pointing = (sums / self._pictures for sums in (self._energy, self._area, self._pointing))
            energies, pointings = (sums / self._counted for sums in (self._energies, self._pointings))
            reached = ((self._energies >= self._true * (1 - _ROUNDING)) & (self._counted > 0)).sum(2)
            points = (self._counted > 0).sum(2)
            told = {
                "energy": energy,
                "area": area,
                "enrichment": energy / area,
                "pointing": pointing,
                "energy_null": np.nansum(energies, 2) / points,
                "pointing_null": np.nansum(pointings, 2) / points,
                "p": np.where(points > 0, (1 + reached) / (1 + points), np.nan),
            }
        units, count = self._energy.shape
        frame = {"unit": np.repeat(np.arange(units), count), "au": np.tile(self.action_units, units)}
        frame |= {"pictures": self._pictures.ravel().astype(int)}
        return pd.DataFrame(frame | {name: values.ravel() for name, values in told.items()})


_ROUNDING = 1e-4


def localise(
    windows: Windows,
    units: Places,
    pictures: Places,
    count: int,
    action_units: Sequence[str],
    regions: Callable[[int], Masks],
    lattices: Callable[[int], Lattice | None],
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Tell where ``count`` units look, from the projections of ``units`` (n,) in ``pictures`` (n,); see ``Localisation``.

    ``regions`` and ``lattices`` are asked for each picture by its number.
    """
    found = Localisation(count, action_units)
    numbers = np.unique(pictures)
    with progress("Placing units on the face", len(numbers)) as advance:
        for picture in numbers:
            own = np.flatnonzero(pictures == picture)
            found.update(windows[own], units[own], regions(int(picture)), lattices(int(picture)))
            advance(1)
    return found.compute()


class _Displaced:
    """Masks (a, H, W) with their middles moved to each point of a lattice.

    ``inside`` (a, p) is which share of a mask stays in the picture. What is found is divided by it, as a mask that is
    cut off finds less by itself; points at which it is less than half are 0 and count for nothing.
    """

    def __init__(self, masks: Masks, lattice: Lattice) -> None:
        self._lattice = lattice
        self._ahead = max(masks.shape[1:])  # so far beyond a mask's middle that no picture reaches the edge
        side = 4 * self._ahead + 1
        self._centred = torch.zeros(len(masks), side, side)
        for mask, centred in zip(masks, self._centred.numpy(), strict=True):
            rows, columns = np.nonzero(mask)
            middle = np.rint([rows.mean(), columns.mean()]).astype(int)
            centred[rows - middle[0] + 2 * self._ahead, columns - middle[1] + 2 * self._ahead] = 1
        self.inside = np.ones((len(masks), int(lattice.inside.sum())))
        held = self.energies(np.ones(masks.shape[1:]), 0, 0) / masks.sum((1, 2))[:, None]
        self.inside = np.where(held >= _HELD, held, 0.0)

    def energies(self, energy: Floats, x0: int, y0: int) -> Floats:
        """How much of an energy (h, w) whose corner lies at x0, y0 is in each mask at each point: (a, p)."""
        sizes, steps, starts = [], [], []
        for corner, length, points in (
            (y0, energy.shape[0], self._lattice.rows),
            (x0, energy.shape[1], self._lattice.columns),
        ):
            steps.append(int(points[1] - points[0]))
            starts.append(corner - int(points[-1]) + 2 * self._ahead)  # the farther the mask, the earlier in it one reads
            sizes.append(int(points[-1] - points[0]) + length)
        (top, left), (height, width) = starts, sizes
        read = self._centred[:, None, top : top + height, left : left + width]
        found = F.conv2d(read, torch.from_numpy(energy.astype(np.float32))[None, None], stride=steps)[:, 0].flip(1, 2)
        return self._of_inside(found.double().numpy())

    def points(self, column: int, row: int) -> Floats:
        """Whether a pixel lies in each mask at each point: (a, p)."""
        rows, columns = row - self._lattice.rows + 2 * self._ahead, column - self._lattice.columns + 2 * self._ahead
        return self._of_inside(self._centred.numpy()[:, rows[:, None], columns])

    def _of_inside(self, found: NDArray[np.floating]) -> Floats:
        chosen = found[:, self._lattice.inside].astype(np.float64)
        return np.divide(chosen, self.inside, out=np.zeros_like(chosen), where=self.inside > 0)


_HELD = 0.5
