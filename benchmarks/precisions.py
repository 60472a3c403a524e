"""What bfloat16 and channels-last cost in accuracy: the same five seeds both ways.

python -m benchmarks.precisions
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pandas as pd

import duchenne
from benchmarks.tables import machine, markdown
from duchenne.progress import bars

SEEDS = range(5)
CHANGES = ("faces.avatars.people=60", "faces.size=48", "folds.run=[0, 1]")


def measure() -> pd.DataFrame:
    """Train the quick recipe on two folds of 60 people at 48×48; a row a seed, columns for each precision."""
    rows = []
    for seed in SEEDS:
        row: dict[str, float] = {"seed": seed}
        for kind in ("float32", "bfloat16"):
            with tempfile.TemporaryDirectory() as folder:
                begun = time.perf_counter()
                changes = (*CHANGES, f"seed={seed}", f"training.precision={kind}")
                study = duchenne.run("quick", out=Path(folder) / "a", changes=changes, until="training", progress=bars)
                row |= {f"{kind}, %": 100 * study.scores["mean"], f"{kind}, s": time.perf_counter() - begun}
        rows.append(row)
        print(row, flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Print every seed, and the mean difference with its standard error."""
    found = measure()
    difference = found["bfloat16, %"] - found["float32, %"]
    print(f"{machine()}\n\n{markdown(found)}")
    print(f"bfloat16 less float32: {difference.mean():+.2f} ± {difference.sem():.2f} points (standard error)")


if __name__ == "__main__":
    main()
