"""Reading the units of two layers on more and more pictures: time beside the
bare forward pass, and peak memory.

    python -m benchmarks.responses

`zero_bias` on pictures of 48×48: top ten, moments, histogram and quantiles of
every unit of conv2 and conv3 in one pass. The C library gives freed memory
back at once, so that the activation tells what is held, not how it fills gaps.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pandas as pd
import torch
from torch import Generator, Tensor

from benchmarks.pictures import most_resident
from benchmarks.tables import machine, markdown
from duchenne import networks, units
from duchenne.units import layers

COUNTS = (1_000, 10_000, 50_000)
_BATCH = 64
_GIVING_BACK = {"MALLOC_MMAP_THRESHOLD_": "1048576"}
_LAYERS = ("conv2", "conv3")


def measure() -> pd.DataFrame:
    """A row a number of pictures, each from a process of its own: seconds of
    the bare pass and of ours, and peak memory.
    """
    rows = []
    for count in COUNTS:
        arguments = [sys.executable, "-m", "benchmarks.responses", str(count)]
        printed = subprocess.run(
            arguments,
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | _GIVING_BACK,
        ).stdout
        bare, ours, memory = map(float, printed.split())
        rows.append(
            (
                f"{count:,}",
                bare,
                ours,
                ours / bare,
                1000 * ours / count,
                memory,
            )
        )
    columns = [
        "pictures",
        "forward pass, s",
        "with all units read, s",
        "times",
        "ms a picture",
        "peak memory, MiB",
    ]
    return pd.DataFrame(rows, columns=columns)


def _child(count: int) -> None:
    network = networks.build("zero_bias", classes=8, seed=0).eval()
    asked = {
        layer: [
            units.Top(10),
            units.Moments(),
            units.Histogram(),
            units.Quantiles(),
        ]
        for layer in _LAYERS
    }
    bare = ours = 0.0
    for number, batch in enumerate(
        _batches(count)
    ):  # one after the other, so that both meet the same machine
        begun = time.perf_counter()
        with torch.no_grad():
            layers.output(network, _LAYERS[-1], batch)
        between = time.perf_counter()
        list(units.read(network, asked, [batch], first=number * _BATCH))
        bare, ours = (
            bare + between - begun,
            ours + time.perf_counter() - between,
        )
    for accumulators in asked.values():
        for accumulator in accumulators:
            accumulator.compute()
    print(bare, ours, most_resident("self"))


def _batches(count: int) -> Iterator[Tensor]:
    chance = Generator().manual_seed(0)
    for first in range(0, count, _BATCH):
        yield torch.randn(
            min(_BATCH, count - first), 1, 48, 48, generator=chance
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _child(int(sys.argv[1]))
    else:
        print(machine() + "\n")
        print(markdown(measure()))
