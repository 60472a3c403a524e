"""Which region of the face a unit looks at: where its projections have their energy (zhu2018's mouth shapes, in general)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.faces.regions import REGIONS
from duchenne.units.projection import Windows


def energies(windows: Windows, units: NDArray[np.int64], maps: NDArray[np.int8]) -> pd.DataFrame:
    """Where the energy of projections lies: a row a unit and region: unit, region, pictures, energy, area, enrichment.

    ``maps`` (n, S, S) tell the region of every pixel, as ``faces.regions`` does, for the picture of each projection.
    ``energy`` is the share of the squared projection that lies in the region, ``area`` that of the receptive field's pixels,
    both over all of a unit's pictures in which the face is known; ``enrichment`` is their ratio, 1 by chance.

    >>> row = np.array([[[3.0, 1.0]]], np.float32)
    >>> where = np.array([[[4, 0]]], np.int8)  # mouth, brow
    >>> found = energies(Windows([row], np.array([[0, 0, 2, 1]])), np.array([7]), where).set_index("region")
    >>> found["energy"]["mouth"].round(2), found["enrichment"]["brow"].round(2)
    (np.float64(0.9), np.float64(0.2))
    """
    rows = []
    for number, ((x0, y0, x1, y1), pixels) in enumerate(zip(windows.boxes, windows.pixels, strict=True)):
        there = maps[number, y0:y1, x0:x1]
        energy = (pixels.astype(np.float64) ** 2).sum(0)
        if (maps[number] >= 0).any() and energy.any():
            shares = [(energy[there == region].sum(), (there == region).sum()) for region in range(len(REGIONS))]
            rows += [(units[number], name, *share) for name, share in zip(REGIONS, shares, strict=True)]
            rows.append((units[number], "", energy.sum(), there.size))
    parts = pd.DataFrame(rows, columns=["unit", "region", "energy", "area"])
    found = parts.groupby(["unit", "region"], sort=False).agg(
        pictures=("energy", "size"), energy=("energy", "sum"), area=("area", "sum")
    )
    whole = found[found.index.get_level_values("region") == ""].droplevel("region")
    found = found[found.index.get_level_values("region") != ""].reset_index()
    for name in ("energy", "area"):
        found[name] = found[name].to_numpy(float) / whole[name].reindex(found["unit"]).to_numpy(float)
    found["enrichment"] = found["energy"] / found["area"].where(found["area"] > 0)
    return found


def looked_at(energies: pd.DataFrame) -> pd.DataFrame:
    """The region that each unit looks at: the one whose share of the energy exceeds its share of the area most.

    A ratio in its place would be won by regions of a few pixels. One row a unit: unit, region, pictures, energy, area,
    enrichment; units whose energy lies in no region more than chance would have it look at none, and are left out.
    """
    excess = energies["energy"] - energies["area"]
    most = excess.groupby(energies["unit"]).idxmax()
    return energies.loc[most[excess[most].to_numpy() > 0]].reset_index(drop=True)
