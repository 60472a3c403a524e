"""Avatars per second at 96×96 with 4 samples a pixel, basis cached, against
one picture at a time in one thread.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd

from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.avatars.scripts import posed

_BATCH = 64


def measure(people: int = 24) -> pd.DataFrame:
    """Time the same shots both ways; the first pictures, which compile the
    kernels, are not counted.
    """
    basis = head_basis()
    studio = Studio(basis)
    shots = list(dataset.shots(list(posed(people, 0)), basis, 0))
    studio.draw(shots[:4])
    batches = [
        shots[first : first + _BATCH] for first in range(0, len(shots), _BATCH)
    ]
    return pd.DataFrame(
        [
            (
                "one at a time, one thread",
                _rate(
                    lambda: [studio.draw([shot]) for shot in shots], len(shots)
                ),
            ),
            (
                "batches, all threads",
                _rate(lambda: _threaded(studio, batches), len(shots)),
            ),
        ],
        columns=["avatars, 96×96, 4 samples a pixel", "pictures/s"],
    )


def _threaded(studio: Studio, batches: list[list[Shot]]) -> None:
    with ThreadPoolExecutor() as threads:
        list(threads.map(studio.draw, batches))


def _rate(work: object, count: int) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    return count / (time.perf_counter() - begun)
