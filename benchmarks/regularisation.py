"""khorrami2015's Table 2 on avatars: plain, with dropout (D), with augmentation (A), with both; three seeds each.

    python -m benchmarks.regularisation

Pictures of 48×48 of 60 people, subject-independent, 12 passes: what fits into half an hour on two cores.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from duchenne import recipes
from duchenne.faces import folds, sources, stack
from duchenne.progress import bars
from duchenne.training import jobs

ROWS = {"plain": (0.0, "off"), "+D": (0.5, "off"), "+A": (0.0, "khorrami2015"), "+AD": (0.5, "khorrami2015")}
PAPER = {"plain": "81.8 ± 4.8", "+D": "85.6 ± 4.6", "+A": "96.3 ± 2.8", "+AD": "96.4 ± 3.1"}
FOLDS = (0, 1, 2)


def measure(epochs: int = 12, people: int = 60, size: int = 48) -> pd.DataFrame:
    """Accuracy on held-out people of each row; seed s draws the weights, the order and the test fold s."""
    found = []
    for row, (dropout, augment) in ROWS.items():
        changes = (
            f"faces.size={size}", f"faces.avatars.people={people}", f"training.epochs={epochs}",
            f"network.options.dropout={dropout}", f"training.augment={augment}",
        )  # fmt: skip
        recipe = recipes.read("quick", changes)
        faces = stack.load(sources.load("avatars", recipe.faces.avatars, bars), size)
        split = folds.split(faces.table, recipe.folds.rule, recipe.folds.count)
        for seed in FOLDS:
            with tempfile.TemporaryDirectory() as folder:
                told = jobs.train_folds(recipe, faces, split, [seed], Path(folder), bars)
            accuracy = float((told["expression"] == told["predicted"]).mean())
            found.append({"row": row, "seed": seed, "accuracy": accuracy})
            print(f"{row} seed {seed}: {accuracy:.1%}", flush=True)
    return pd.DataFrame(found)


def main() -> None:
    """Print the table."""
    accuracy = measure().groupby("row", sort=False)["accuracy"]
    print("\n| | avatars, three seeds | CK+ in the paper |\n|---|---|---|")
    for row, values in accuracy:
        print(f"| {row} | {100 * values.mean():.1f} ± {100 * values.std():.1f} | {PAPER[str(row)]} |")


if __name__ == "__main__":
    main()
