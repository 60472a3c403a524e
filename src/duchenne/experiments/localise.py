"""Where the units of a layer look, against where action units act in the same
pictures.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from duchenne.evidence.localisation import localise
from duchenne.faces.acting import Acting
from duchenne.faces.geometry.regions import lattice
from duchenne.faces.images.stack import Stack
from duchenne.units.layers import Layer
from duchenne.units.projection import project

Masks = NDArray[np.bool_]


def locate(
    layer: Layer,
    stack: Stack,
    top: pd.DataFrame,
    acting: Acting,
    method: str = "guided",
) -> pd.DataFrame:
    """Project every unit of a layer into its top pictures and tell where that
    lies.

    Args:
        layer: Whose units are projected.
        stack: The study's pictures.
        top: A row a unit and picture: unit, image (a row of the stack), row,
            col.
        acting: Where action units act in the pictures.
        method: How units are projected.

    Returns:
        What ``evidence.localisation.localise`` tells, a row a unit and action
        unit.
    """
    images, of = np.unique(top["image"], return_inverse=True)
    prepared = layer.prepare(torch.from_numpy(stack.floats(images)))
    units = top["unit"].to_numpy()
    places = top[["row", "col"]].to_numpy()
    windows = project(
        layer.network, layer.name, prepared, units, places, method, of=of
    )
    lattices = map(lattice, stack.landmarks(images))
    return localise(
        windows,
        units,
        of,
        int(units.max()) + 1,
        acting.action_units,
        zip(_regions(acting, images), lattices, strict=True),
    )


def _regions(acting: Acting, images: NDArray[np.int64]) -> Iterator[Masks]:
    """Where action units act in pictures, made in threads a little ahead."""
    ahead = Parallel(
        n_jobs=-1,
        prefer="threads",
        return_as="generator",
        pre_dispatch="4*n_jobs",
    )
    yield from ahead(delayed(acting.of)(int(row)) for row in images)
