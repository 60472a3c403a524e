"""Where the units of a layer look, against where action units act in the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from duchenne.evidence.localisation import localise
from duchenne.faces.acting import Acting
from duchenne.faces.prepare import Preparation
from duchenne.faces.regions import lattice
from duchenne.faces.stack import Stack
from duchenne.progress import Progress, quiet
from duchenne.units.projection import project

Masks = NDArray[np.bool_]


def locate(
    network: nn.Module,
    prepare: Preparation,
    layer: str,
    stack: Stack,
    top: pd.DataFrame,
    acting: Acting,
    method: str = "guided",
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Project every unit of a layer into its top pictures and tell where that lies, as ``evidence.localisation`` does.

    ``top`` has a row a unit and picture (unit, image, row, col), pictures by their rows in the ``stack``.
    """
    images, of = np.unique(top["image"], return_inverse=True)
    prepared = prepare(torch.from_numpy(stack.floats(images)))
    units = top["unit"].to_numpy()
    windows = project(network, layer, prepared, units, top[["row", "col"]].to_numpy(), method, of=of, progress=progress)
    known = stack.landmarks(images)
    return localise(
        windows, units, of, int(units.max()) + 1, acting.action_units, _ahead(acting, images),
        lambda picture: lattice(known[picture]), progress,
    )  # fmt: skip


def _ahead(acting: Acting, images: NDArray[np.int64]) -> Callable[[int], Masks]:
    """Masks of pictures that are asked for in order, made in threads a little ahead."""
    threads = ThreadPoolExecutor()
    made = [threads.submit(acting.of, int(row)) for row in images[:_AHEAD]]

    def of(picture: int) -> Masks:
        if picture + _AHEAD < len(images):
            made.append(threads.submit(acting.of, int(images[picture + _AHEAD])))
        else:
            threads.shutdown(wait=False)
        masks, made[picture] = made[picture].result(), None  # type: ignore[call-overload]
        return masks

    return of


_AHEAD = 16
