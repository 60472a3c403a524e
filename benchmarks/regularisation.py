"""The rows of khorrami2015's Table 2 on avatars: plain, with dropout (D), with augmentation (A), with both; three folds.

    python -m benchmarks.regularisation                          # all four, 12 passes: half an hour on two cores
    python -m benchmarks.regularisation --epochs 36 +A +AD       # whether the last two only need longer

Pictures of 48×48 of 60 people, subject-independent; all else as in the recipe ``quick``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from duchenne import recipes
from duchenne.faces import folds, sources, stack
from duchenne.progress import bars
from duchenne.training import jobs

ROWS = {"plain": (0.0, "off"), "+D": (0.5, "off"), "+A": (0.0, "khorrami2015"), "+AD": (0.5, "khorrami2015")}
PAPER = {"plain": "81.8 ± 4.8", "+D": "85.6 ± 4.6", "+A": "96.3 ± 2.8", "+AD": "96.4 ± 3.1"}
FOLDS = (0, 1, 2)


def measure(rows: Sequence[str], epochs: int, people: int = 60, size: int = 48) -> pd.DataFrame:
    """Accuracy on held-out people of each row, and its training loss in the last pass; every fold has its own weights."""
    found = []
    recipe = recipes.read("quick", (f"faces.size={size}", f"faces.avatars.people={people}"))
    faces = stack.load(sources.load("avatars", recipe.faces.avatars, bars), size)
    split = folds.split(faces.table, recipe.folds.rule, recipe.folds.count)
    for row in rows:
        dropout, augment = ROWS[row]
        changes = f"training.epochs={epochs}", f"network.options.dropout={dropout}", f"training.augment={augment}"
        own = recipes.changed(recipe, changes)
        for fold in FOLDS:
            with tempfile.TemporaryDirectory() as folder:
                told = jobs.train_folds(own, faces, split, [fold], Path(folder), bars)
                history = json.loads((jobs.job_folder(Path(folder), fold) / "history.json").read_text())
            accuracy = float((told["expression"] == told["predicted"]).mean())
            found.append({"row": row, "fold": fold, "accuracy": accuracy, "loss": history[-1]["loss"]})
            print(f"{row} fold {fold}: {accuracy:.1%}, loss {history[-1]['loss']:.2f}", flush=True)
    return pd.DataFrame(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", default=list(ROWS), help="of plain, +D, +A and +AD")
    parser.add_argument("--epochs", type=int, default=12)
    wanted = parser.parse_args()
    if unknown := set(wanted.rows) - set(ROWS):
        parser.error(f"rows {sorted(unknown)}: not of {', '.join(ROWS)}")
    found = measure(wanted.rows, wanted.epochs).groupby("row", sort=False)
    print(f"\n| | avatars, {wanted.epochs} passes, three folds | training loss | CK+ in the paper |\n|---|---|---|---|")
    for row, values in found:
        share = 100 * values["accuracy"]
        print(f"| {row} | {share.mean():.1f} ± {share.std():.1f} | {values['loss'].mean():.2f} | {PAPER[str(row)]} |")


if __name__ == "__main__":
    main()
