"""Every network on photographs of one's own: five subject-independent folds,
one table.

python -m benchmarks.photographs folder:PATH
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

import duchenne
from benchmarks.tables import machine, markdown

NETWORKS: dict[str, tuple[str, ...]] = {
    "zero_bias": (),
    "zhu": (
        "network.name=zhu",
        "network.options={dropout=0.5}",
        'network.prepare=["standardise"]',
        "training.epochs=10",
        "training.rate=2e-4",
    ),
    "sparse": (
        "network.name=sparse",
        "network.options={}",
        "faces.size=128",
        'network.prepare=["mean_picture", "zca_fourier"]',
    ),
    "lipnet": (
        "network.name=lipnet",
        "network.options={}",
        "faces.size=100",
        'network.prepare=["equalise", "scale"]',
        "training.optimiser=rprop",
        "training.batch=0",
        "training.rate=0.001",
        "training.schedule=constant",
        "training.augment=off",
        "training.epochs=300",
        "training.patience=40",
        "training.precision=float32",
    ),
}
"""What of the recipe ``photographs`` is changed for each network: what its
paper prepares, and how long it must learn.
"""


_ACCURACY = "accuracy ± sd over folds (95 % over people), %"


def measure(spec: str, out: Path) -> pd.DataFrame:
    """Train every network on all five folds; finished ones are not trained
    again.
    """
    rows = []
    for name, changes in NETWORKS.items():
        layer = (
            "units.layer=neurons" if name == "lipnet" else "units.layer=conv3"
        )
        study = duchenne.run(
            "photographs",
            spec,
            out / name,
            changes=("folds.run=[]", layer, *changes),
            until="training",
            resume=True,
        )
        scores = study.scores
        low, high = scores["interval"]
        accuracy = (
            f"{100 * scores['mean']:.1f} ± {100 * scores['sd']:.1f} ({100 * low:.1f} – "
            f"{100 * high:.1f})"
        )
        f1 = {
            f"F1 {expression}": f"{told['f1']:.2f}"
            for expression, told in scores["classes"].items()
        }
        rows.append({"network": f"`{name}`", _ACCURACY: accuracy, **f1})
        print(rows[-1], flush=True)
    guessing = {
        "network": "the most frequent one always",
        _ACCURACY: f"{100 * scores['majority']:.1f}",
    }
    return pd.DataFrame([*rows, guessing]).fillna("")


if __name__ == "__main__":
    print(
        f"{markdown(measure(sys.argv[1], Path('runs/photographs')))}\n{machine()}"
    )
