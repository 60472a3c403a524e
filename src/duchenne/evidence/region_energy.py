"""Which region of the face a unit looks at: where its projections have their
energy (zhu2018's mouth shapes, in general).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.faces.geometry.regions import REGIONS
from duchenne.units.projection import Windows


def energies(
    windows: Windows, units: NDArray[np.int64], maps: NDArray[np.int8]
) -> pd.DataFrame:
    """Where the energy of projections lies, by region of the face.

    Args:
        windows: The projections.
        units: (n,) the unit of each projection.
        maps: (n, S, S) the region of every pixel, as
            ``faces.geometry.regions`` tells, in the picture of each
            projection.

    Returns:
        One row a unit and region: ``unit, region, pictures``; ``energy``, the
        share of the squared projection that lies in the region; ``area``, that
        of the receptive field's pixels, both over all of a unit's pictures in
        which the face is known; ``enrichment``, their ratio, 1 by chance.

    >>> row = np.array([[[3.0, 1.0]]], np.float32)
    >>> where = np.array([[[4, 0]]], np.int8)  # mouth, brow
    >>> found = energies(
    ...     Windows([row], np.array([[0, 0, 2, 1]])), np.array([7]), where
    ... ).set_index("region")
    >>> found["energy"]["mouth"].round(2), found["enrichment"]["brow"].round(2)
    (np.float64(0.9), np.float64(0.2))
    """
    parts = []
    every = zip(units, windows.boxes, windows.pixels, maps, strict=True)
    for unit, (x0, y0, x1, y1), pixels, regions in every:
        energy = (pixels.astype(np.float64) ** 2).sum(0)
        if (regions >= 0).any() and energy.any():
            parts += _of_picture(unit, energy, regions[y0:y1, x0:x1])
    table = pd.DataFrame(parts, columns=["unit", "region", "energy", "area"])
    sums = table.groupby(["unit", "region"], sort=False)
    found = sums.agg(
        pictures=("energy", "size"),
        energy=("energy", "sum"),
        area=("area", "sum"),
    )
    return _as_shares(found)


def _as_shares(sums: pd.DataFrame) -> pd.DataFrame:
    """Energy and area of regions as shares of those of the whole receptive
    field.
    """
    is_whole = sums.index.get_level_values("region") == _WHOLE
    whole = sums[is_whole].droplevel("region")
    found = sums[~is_whole].reset_index()
    for name in ("energy", "area"):
        total = whole[name].reindex(found["unit"]).to_numpy(float)
        found[name] = found[name].to_numpy(float) / total
    found["enrichment"] = found["energy"] / found["area"].where(
        found["area"] > 0
    )
    return found


_WHOLE = ""


def _of_picture(
    unit: int, energy: NDArray[np.float64], regions: NDArray[np.int8]
) -> list[tuple[int, str, float, int]]:
    """Energy and area of every region, and of the whole receptive field."""
    rows = []
    for number, name in enumerate(REGIONS):
        there = regions == number
        rows.append((unit, name, energy[there].sum(), there.sum()))
    return [*rows, (unit, _WHOLE, energy.sum(), regions.size)]


def looked_at(energies: pd.DataFrame) -> pd.DataFrame:
    """The region that each unit looks at: the one whose share of the energy
    exceeds its share of the area most.

    A ratio in its place would be won by regions of a few pixels.

    Args:
        energies: What ``energies`` gives.

    Returns:
        One row a unit of the same columns; units whose energy lies in no
        region more than chance would have it are left out.
    """
    excess = energies["energy"] - energies["area"]
    most = excess.groupby(energies["unit"]).idxmax()
    return energies.loc[most[excess[most].to_numpy() > 0]].reset_index(
        drop=True
    )
