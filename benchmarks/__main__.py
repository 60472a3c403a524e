"""``python -m benchmarks``: measure speed and print the tables of
``benchmarks/README.md``.
"""

from __future__ import annotations

from functools import partial

from benchmarks import (
    avatars,
    pictures,
    projections,
    pyramids,
    side_by_side,
    training,
)
from benchmarks.tables import machine, markdown


def main() -> None:
    """Print one table a measurement, under the machine that it was taken on."""
    print(machine() + "\n")
    reads = [partial(pictures.measure, *size) for size in pictures.SIZES]
    trained = (training.measure, side_by_side.measure, pyramids.measure)
    for measure in (avatars.measure, *trained, projections.measure, *reads):
        print(markdown(measure()), flush=True)


if __name__ == "__main__":
    main()
