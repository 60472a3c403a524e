"""How often a study without anything to find declares a detection (family-wise
p ≤ 0.05).

    python -m benchmarks.nulls runs/quick

Takes the activations of a finished study, trained and random, and permutes its
labels anew for each run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

import duchenne
from duchenne import units
from duchenne.evidence import nulls, significance
from duchenne.evidence.exchangeability import Arrangements
from duchenne.progress import bars


def measure(
    folder: Path, runs: int = 100, permutations: int = 199
) -> pd.DataFrame:
    """Runs with any detection, of ``runs``, for the trained network and for
    the one with random weights.
    """
    study = duchenne.open(folder)
    rows = []
    for name, place in (
        ("trained", study.units_folder),
        ("untrained", study.units_folder / "untrained"),
    ):
        told = units.Activations.from_frame(
            pd.read_parquet(place / "responses.parquet")
        )
        activations = told.value.astype(np.float64)
        faces = (
            study.table.labelled()
            .frame.iloc[told.image]
            .reset_index(drop=True)
        )
        labels = faces[list(study.evidence["au"].unique())].to_numpy(bool)
        found = _declared(activations, labels, faces, runs, permutations)
        low, high = stats.binomtest(found, runs).proportion_ci()
        rows.append(
            (
                f"{name}, permuted labels",
                found,
                runs,
                f"{found / runs:.0%} [{low:.0%}, {high:.0%}]",
            )
        )
    return pd.DataFrame(
        rows,
        columns=[
            "null study",
            "runs with a detection",
            "runs",
            "rate [95 % interval]",
        ],
    )


def _declared(
    activations: np.ndarray,
    labels: np.ndarray,
    faces: pd.DataFrame,
    runs: int,
    permutations: int,
) -> int:
    tree = nulls.exchangeable(faces)
    coded, found = np.ones_like(labels), 0
    with bars("Null studies", runs) as advance:
        for run, moved in enumerate(Arrangements(tree, runs, seed=1)):
            shown = labels[moved]
            arrangements = Arrangements(tree, permutations, seed=100 + run)
            sure = significance.against(
                activations, shown, coded, arrangements
            )
            found += bool((sure.family <= 0.05).any())
            advance(1)
    return found


if __name__ == "__main__":
    print(measure(Path(sys.argv[1])).to_string(index=False))
