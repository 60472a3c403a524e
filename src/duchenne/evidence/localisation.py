"""Does what a unit sees lie where an action unit acts? Energy of projections
in the action unit's region, beside chance.

Two chances are told: the region's share of the receptive field, as if a unit
saw all of its field alike; and the same region displaced all over the face, as
if what it sees lay anywhere. Pure: projections and masks in, a frame out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.faces.geometry.regions import Lattice
from duchenne.progress import progress
from duchenne.units.projection import Windows

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Masks = NDArray[np.bool_]


class Localisation:
    """Where the projections of ``units`` lie against the regions of some
    ``action_units``, picture after picture.

    >>> windows = Windows(
    ...     [np.ones((1, 2, 2), np.float32)], np.array([[0, 0, 2, 2]])
    ... )
    >>> region = np.array([[[True, True, False, False]] * 4])
    >>> found = Localisation(1, ["AU12"])
    >>> found.update(
    ...     windows,
    ...     np.array([0]),
    ...     region,
    ...     Lattice(np.array([2, 3]), np.array([1, 2]), np.eye(2) > 0),
    ... )
    >>> found.compute()[["energy", "area", "energy_null"]].to_numpy().tolist()
    [[1.0, 1.0, 0.0]]
    """

    def __init__(self, units: int, action_units: Sequence[str]) -> None:
        self.action_units = tuple(action_units)
        shape = (units, len(self.action_units))
        self._pictures = np.zeros(shape)
        self._area = np.zeros(shape)
        self._energy = np.zeros(shape)
        self._pointing = np.zeros(shape)
        self._begin(points=0)

    def update(
        self,
        windows: Windows,
        units: Places,
        regions: Masks,
        lattice: Lattice | None,
    ) -> None:
        """Take in what some units see of one picture.

        Regions that are empty, projections that are, and pictures without a
        lattice, or that lies beside them, tell nothing.

        Args:
            windows: The projections.
            units: (n,) the unit of each projection.
            regions: (a, H, W) where action units act in the picture.
            lattice: Whose points the middle of each region is displaced to.
        """
        there = np.flatnonzero(regions.any((1, 2)))
        if (
            lattice is None
            or not lattice.on(max(regions.shape[1:]))
            or not len(there)
        ):
            return
        displaced = _Displaced(regions[there], lattice)
        if not self._energies.shape[2]:
            self._begin(int(lattice.inside.sum()))
        for unit, pixels, box in zip(
            units, windows.pixels, windows.boxes, strict=True
        ):
            energy = (pixels.astype(np.float64) ** 2).sum(0)
            if energy.any():
                self._add(unit, there, energy / energy.sum(), box, displaced)

    def _begin(self, points: int) -> None:
        """Make room for as many points as regions are displaced to."""
        shape = (*self._energy.shape, points)
        self._energies = np.zeros(shape)
        self._pointings = np.zeros(shape)
        self._counted = np.zeros(shape)
        self._true = np.zeros(shape)

    def _add(
        self,
        unit: int,
        there: Places,
        energy: Floats,
        box: Places,
        displaced: _Displaced,
    ) -> None:
        """Add a projection's energy, which sums to 1, in its receptive field."""
        x0, y0, x1, y1 = box
        row, column = np.unravel_index(energy.argmax(), energy.shape)
        within = displaced.masks[:, y0:y1, x0:x1]
        held = within.reshape(len(within), -1) @ energy.ravel()
        at = (unit, there)
        self._pictures[at] += 1
        self._energy[at] += held
        self._area[at] += within.mean((1, 2))
        self._pointing[at] += within[:, row, column]
        strongest = (x0 + int(column), y0 + int(row))
        self._add_displaced(
            at, held, displaced.energies(energy, x0, y0), displaced, strongest
        )

    def _add_displaced(
        self,
        at: tuple[int, Places],
        held: Floats,
        energies: Floats,
        displaced: _Displaced,
        strongest: tuple[int, int],
    ) -> None:
        """Add what displaced regions hold of the same, where enough of them is
        in the picture.
        """
        counts = displaced.inside > 0
        self._energies[at] += energies
        self._pointings[at] += displaced.points(*strongest)
        self._counted[at] += counts
        self._true[at] += held[:, None] * counts

    def compute(self) -> pd.DataFrame:
        """Where units look, against where action units act.

        Returns:
            One row a unit and action unit: ``unit, au, pictures``; ``energy``,
            the share of the squared projection within the region; ``area``,
            the region's share of the receptive field, and ``enrichment``,
            their ratio, 1 by chance; ``pointing``, the share of pictures in
            which the projection's strongest pixel lies within (Zhang et al.
            2016); each a mean over pictures. Of displaced regions:
            ``energy_null``, ``pointing_null``, their means, and ``p``, the
            share of them, the true one included, that hold as much energy in
            the same pictures. NaN where no picture tells.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            energy = self._energy / self._pictures
            area = self._area / self._pictures
            columns = {
                "energy": energy,
                "area": area,
                "enrichment": energy / area,
                "pointing": self._pointing / self._pictures,
                **self._beside_displaced(),
            }
        units, count = self._energy.shape
        frame = {
            "unit": np.repeat(np.arange(units), count),
            "au": np.tile(self.action_units, units),
            "pictures": self._pictures.ravel().astype(int),
        }
        return pd.DataFrame(
            frame | {name: values.ravel() for name, values in columns.items()}
        )

    def _beside_displaced(self) -> dict[str, Floats]:
        """Means over displaced regions, and how many of them hold as much
        energy.
        """
        points = (self._counted > 0).sum(2)
        as_much = self._energies >= self._true * (1 - _ROUNDING)
        reached = (as_much & (self._counted > 0)).sum(2)
        return {
            "energy_null": np.nansum(self._energies / self._counted, 2)
            / points,
            "pointing_null": np.nansum(self._pointings / self._counted, 2)
            / points,
            "p": np.where(points > 0, (1 + reached) / (1 + points), np.nan),
        }


_ROUNDING = 1e-4


def localise(
    windows: Windows,
    units: Places,
    pictures: Places,
    count: int,
    action_units: Sequence[str],
    faces: Iterable[tuple[Masks, Lattice | None]],
) -> pd.DataFrame:
    """Tell where units look, from their projections; see ``Localisation``.

    Args:
        windows: The projections.
        units: (n,) the unit of each projection.
        pictures: (n,) the picture of each projection.
        count: How many units there are.
        action_units: Names of the action units.
        faces: For each picture, by rising number, where action units act in
            it, (a, H, W), and the points that these regions are displaced to.

    Returns:
        One row a unit and action unit, as ``Localisation.compute`` tells.
    """
    found = Localisation(count, action_units)
    numbers = np.unique(pictures)
    with progress("Placing units on the face", len(numbers)) as advance:
        for picture, (regions, lattice) in zip(numbers, faces, strict=True):
            rows = np.flatnonzero(pictures == picture)
            found.update(windows[rows], units[rows], regions, lattice)
            advance(1)
    return found.compute()


@dataclass(frozen=True)
class _Edges:
    """Where the rows of masks begin and end, one mask after another.

    Attributes:
        rows, columns: (k,) from the middle of the mask.
        signs: (k,) −1 where a run of pixels begins, 1 behind its end.
        firsts: (a,) the first edge of each mask.
    """

    rows: Places
    columns: Places
    signs: Floats
    firsts: Places

    @classmethod
    def of(cls, masks: Masks, middles: Places) -> _Edges:
        """Find the edges of masks (a, H, W), none of them empty, about their
        middles (a, 2).
        """
        framed = np.pad(masks, ((0, 0), (0, 0), (1, 1)))
        steps = np.diff(framed.astype(np.int8), axis=2)
        mask, rows, columns = np.nonzero(steps)
        signs = -steps[mask, rows, columns].astype(float)
        firsts = np.searchsorted(mask, np.arange(len(masks)))
        return cls(
            rows - middles[mask, 0], columns - middles[mask, 1], signs, firsts
        )


class _Displaced:
    """Masks (a, H, W) with their middles moved to each point of a lattice.

    ``inside`` (a, p) is which share of a mask stays in the picture. What is
    found is divided by it, as a mask that is cut off finds less by itself;
    points at which it is less than half are 0 and count for nothing.
    """

    def __init__(self, masks: Masks, lattice: Lattice) -> None:
        self.masks = masks
        self._lattice = lattice
        self._middles = np.array([_middle(mask) for mask in masks])
        self._edges = _Edges.of(masks, self._middles)
        self.inside = np.ones((len(masks), int(lattice.inside.sum())))
        everywhere = np.ones(masks.shape[1:])
        held = self.energies(everywhere, 0, 0) / masks.sum((1, 2))[:, None]
        self.inside = np.where(held >= _HELD, held, 0.0)

    def energies(self, energy: Floats, x0: int, y0: int) -> Floats:
        """How much of an energy (h, w) whose corner lies at x0, y0 is in each
        mask at each point: (a, p).

        Within a run of a mask's pixels along a row lies what is summed up to
        its end less what is summed up to its beginning.
        """
        height, width = energy.shape
        summed = _summed_along_rows(energy)
        rows = self._edges.rows[:, None] + self._lattice.rows - y0
        rows[(rows < 0) | (rows >= height)] = height
        columns = self._edges.columns[:, None] + self._lattice.columns - x0
        columns = columns.clip(0, width)
        at_edges = summed[rows[:, :, None], columns[:, None, :]]
        at_edges *= self._edges.signs[:, None, None]
        return self._of_inside(np.add.reduceat(at_edges, self._edges.firsts))

    def points(self, column: int, row: int) -> Floats:
        """Whether a pixel lies in each mask at each point: (a, p)."""
        rows = row - self._lattice.rows + self._middles[:, :1]
        columns = column - self._lattice.columns + self._middles[:, 1:]
        framed = np.pad(self.masks, ((0, 0), (1, 1), (1, 1)))
        height, width = self.masks.shape[1:]
        rows = (rows + 1).clip(0, height + 1)
        columns = (columns + 1).clip(0, width + 1)
        mask = np.arange(len(self.masks))[:, None, None]
        return self._of_inside(
            framed[mask, rows[:, :, None], columns[:, None, :]]
        )

    def _of_inside(self, found: NDArray[Any]) -> Floats:
        chosen = found[:, self._lattice.inside].astype(np.float64)
        return np.divide(
            chosen,
            self.inside,
            out=np.zeros_like(chosen),
            where=self.inside > 0,
        )


def _summed_along_rows(energy: Floats) -> Floats:
    """An energy (h, w) summed up to each column (h + 1, w + 1); the last row,
    of what lies outside, is 0.
    """
    height, width = energy.shape
    summed = np.zeros((height + 1, width + 1))
    np.cumsum(energy, 1, out=summed[:height, 1:])
    return summed


def _middle(mask: NDArray[np.bool_]) -> Places:
    """The row and column in the middle of a mask's pixels."""
    middle: Places = np.rint(np.argwhere(mask).mean(0)).astype(int)
    return middle


_HELD = 0.5
