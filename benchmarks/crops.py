"""In how many pictures of a data set a crop finds a face, and how long it
takes.

python -m benchmarks.crops folder:/photos
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd

from duchenne.faces import sources
from duchenne.faces.geometry import crop
from duchenne.faces.images import decoding


def measure(
    spec: str, names: tuple[str, ...] = ("haar", "haar-khorrami2015")
) -> pd.DataFrame:
    """Share of the pictures with a face, with several, and milliseconds a
    picture for reading and for finding.
    """
    paths = sources.load(spec).paths
    return pd.DataFrame([_row(name, paths) for name in names])


def _row(name: str, paths: list[Path]) -> dict[str, object]:
    find, reading, finding, found = crop.named(name), 0.0, 0.0, []
    for path in paths:
        begun = time.perf_counter()
        picture = decoding.read(path)
        read = time.perf_counter()
        found.append(find(picture, crop.Hints()))
        reading, finding = (
            reading + read - begun,
            finding + time.perf_counter() - read,
        )
    shown = [each for each in found if each.region is not None]
    return {
        "crop": name,
        "pictures": len(paths),
        "a face": f"{len(shown) / len(paths):.1%}",
        "several": sum(bool(each.note) for each in shown),
        "reading, ms": 1000 * reading / len(paths),
        "finding, ms": 1000 * finding / len(paths),
    }


if __name__ == "__main__":
    print(measure(sys.argv[1]).to_string(index=False))
