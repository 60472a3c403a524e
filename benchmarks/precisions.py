"""What bfloat16 and channels-last cost in accuracy: the same five seeds both
ways.

python -m benchmarks.precisions                # all networks that are trained in bfloat16
python -m benchmarks.precisions sparse         # one of them
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import duchenne
from benchmarks.tables import machine, markdown
from duchenne.analyses.reproduction import SHORT

SEEDS = range(5)
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "zero_bias": (
        "quick",
        ("faces.avatars.people=60", "faces.size=48", "folds.run=[0, 1]"),
    ),
    "sparse": ("mousavi2016-cnn", (*SHORT["sparse"], "training.attempts=1")),
    "zhu": (
        "zhu2018-honest",
        (*SHORT["zhu"], "faces.size=48", "training.epochs=12"),
    ),
}
"""For each network a recipe, and what is changed so that it trains in a few
minutes.
"""


def measure(network: str) -> pd.DataFrame:
    """Train a network's recipe on every seed; a row a seed, columns for each
    precision.
    """
    recipe, changes = CASES[network]
    rows = []
    for seed in SEEDS:
        row: dict[str, object] = {"network": network, "seed": seed}
        for kind in ("float32", "bfloat16"):
            with tempfile.TemporaryDirectory() as folder:
                begun = time.perf_counter()
                asked = (
                    *changes,
                    f"seed={seed}",
                    f"training.precision={kind}",
                )
                study = duchenne.run(
                    recipe,
                    "avatars",
                    Path(folder) / "a",
                    changes=asked,
                    until="training",
                )
                row |= {
                    f"{kind}, %": 100 * study.scores["mean"],
                    f"{kind}, s": time.perf_counter() - begun,
                }
        rows.append(row)
        print(row, flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Print every seed, and for each network the mean difference with its
    standard error.
    """
    found = pd.concat([measure(network) for network in sys.argv[1:] or CASES])
    print(f"{machine()}\n\n{markdown(found)}")
    for network, rows in found.groupby("network", sort=False):
        difference = rows["bfloat16, %"] - rows["float32, %"]
        print(
            f"{network}: bfloat16 less float32 {difference.mean():+.2f} ± {difference.sem():.2f} "
            "points (standard error)"
        )


if __name__ == "__main__":
    main()
