"""What the papers' own choices are worth, each measured on avatars with all
else equal, over five seeds.

    python -m benchmarks.mistakes

- ``random-200`` (zhu2018) puts a person's pictures on both sides of the split:
  how much of its accuracy is that?
- the epoch chosen by the test pictures (khorrami2015's first evaluation),
  against by validation;
- only the local mean taken away (khorrami2015's code), against scaling to unit
  variance as well (its text);
- weights drawn from N(0, 1), as zhu2018 prints.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

import duchenne
from benchmarks.tables import machine, markdown
from duchenne.analyses.reproduction import SHORT
from duchenne.errors import DivergedError

SEEDS = range(5)
_ZERO_BIAS = (
    *SHORT["zero_bias"],
    "training.epochs=12",
    "training.augment=shifts",
)
_SPLIT = ("folds.run=[0]", "faces.protocol=zhu2018")
_FOLD = ("folds.count=5", "folds.run=[0]")

CLAIMS: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "people on both sides of the split": (
        (
            "random-200",
            "khorrami2015",
            (*_ZERO_BIAS, *_SPLIT, "folds.rule=random-200"),
        ),
        (
            "people-200",
            "khorrami2015",
            (*_ZERO_BIAS, *_SPLIT, "folds.rule=people-200"),
        ),
    ),
    "what the epoch is chosen by": (
        (
            "test pictures",
            "khorrami2015",
            (*_ZERO_BIAS, *_FOLD, "training.chosen_by=test"),
        ),
        ("validation pictures", "khorrami2015", (*_ZERO_BIAS, *_FOLD)),
    ),
    "local normalisation": (
        (
            "mean taken away",
            "khorrami2015",
            (*_ZERO_BIAS, *_FOLD, 'network.prepare=["local_mean"]'),
        ),
        (
            "and scaled to unit variance",
            "khorrami2015",
            (*_ZERO_BIAS, *_FOLD, 'network.prepare=["local_contrast"]'),
        ),
    ),
    "zhu2018's weights": (
        (
            "N(0, 1)",
            "zhu2018-printed",
            (
                *SHORT["zhu"],
                "folds.rule=people-200",
                "faces.size=48",
                "training.epochs=12",
            ),
        ),
        (
            "N(0, 2/fan_in)",
            "zhu2018-honest",
            (*SHORT["zhu"], "faces.size=48", "training.epochs=12"),
        ),
    ),
}
"""For each question its two answers: what it is called, the recipe, and what
is changed.
"""


def measure() -> pd.DataFrame:
    """Train each answer on every seed; a row an answer, with the mean accuracy
    and its spread over seeds.
    """
    rows = []
    for claim, answers in CLAIMS.items():
        reached = {
            name: _over_seeds(recipe, changes)
            for name, recipe, changes in answers
        }
        rows += [
            (claim, name, _told(values), "")
            for name, values in reached.items()
        ]
        first, second = reached.values()
        if first.notna().all() and second.notna().all():
            difference = first - second
            rows[-1] = (
                *rows[-1][:3],
                f"{difference.mean():+.1f} ± {difference.sem():.1f}",
            )
        print(rows[-2:], flush=True)
    return pd.DataFrame(
        rows,
        columns=[
            "",
            "choice",
            "accuracy ± sd, %",
            "first less second ± standard error",
        ],
    )


def _over_seeds(recipe: str, changes: tuple[str, ...]) -> pd.Series:
    return pd.Series(
        [_accuracy(recipe, (*changes, f"seed={seed}")) for seed in SEEDS]
    )


def _told(accuracy: pd.Series) -> str:
    reached = accuracy.dropna()
    diverged = (
        f"{len(accuracy) - len(reached)} of {len(accuracy)} diverge"
        if len(reached) < len(accuracy)
        else ""
    )
    return diverged or f"{reached.mean():.1f} ± {reached.std():.1f}"


def _accuracy(recipe: str, changes: tuple[str, ...]) -> float:
    """Accuracy on test pictures in per cent; NaN where the training leaves the
    numbers.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            study = duchenne.run(
                recipe,
                "avatars",
                Path(folder) / "a",
                changes=changes,
                until="training",
            )
        except DivergedError:
            return float("nan")
        return 100 * float(study.scores["accuracy"])


if __name__ == "__main__":
    print(f"{markdown(measure())}\n{machine()}")
