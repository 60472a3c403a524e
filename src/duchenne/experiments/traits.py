"""mousavi2016's traits of a study's network, layer after layer, on its own pictures, beside the random start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from duchenne.evidence import comparison
from duchenne.faces.prepare import Preparation
from duchenne.faces.stack import Stack
from duchenne.progress import Progress, quiet
from duchenne.training.fit import probabilities
from duchenne.units import layers as looking
from duchenne.units import traits

Places = NDArray[np.int64]


def measure(
    networks: Mapping[str, nn.Module],
    prepare: Preparation,
    layers: Sequence[str],
    stack: Stack,
    rows: Places,
    method: str = "deconvnet",
    progress: Progress = quiet,
    **amounts: int,
) -> pd.DataFrame:
    """Measure every trait of ``layers`` on the pictures in ``rows`` of a stack: a row a network, layer and trait.

    Empty where no layer is named. The first of the named ``networks`` is the one whose errors filtering is set against;
    ``amounts`` are the numbers that ``units.traits.of_layer`` takes. Columns are those that it gives, and ``network``.
    """
    if not layers:
        return pd.DataFrame()
    trained = next(iter(networks.values()))
    pictures = torch.from_numpy(stack.floats(rows))
    frame, classes = stack.table.frame.iloc[rows], stack.table.expressions
    shown, people = frame["expression"].to_numpy(str), comparison.who(frame)[0]
    right = probabilities(trained, prepare, pictures).numpy()[np.arange(len(rows)), [classes.index(name) for name in shown]]
    prepared = prepare(pictures)
    parts = [
        traits.of_layer(network, layer, prepared, shown, people, right, method=method, progress=progress, **amounts).assign(
            network=name
        )
        for name, network in networks.items()
        for layer in layers
    ]
    return pd.concat(parts, ignore_index=True)


def with_maps(network: nn.Module, layers: Sequence[str], prepared: torch.Tensor) -> list[str]:
    """Those of the named layers that give maps of a prepared picture (1, C, H, W)."""
    maps: list[str] = []
    with looking.evaluating(network), torch.no_grad():
        looking.take(network, layers, prepared, lambda name, given: maps.extend([name] if given.ndim == 4 else []))
    return [name for name in layers if name in maps]
