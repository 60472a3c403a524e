"""A ten-fold training one network after another and two at a time, end to end:
in what time, and whether alike.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import joblib
import pandas as pd

from duchenne import files, recipes
from duchenne.faces import folds
from duchenne.study.faces import decode, gather
from duchenne.training import jobs
from duchenne.training.machine import computing
from duchenne.training.machine.workers import Workers

CHANGES = (
    "faces.size=48",
    "faces.avatars.people=40",
    "folds.run=[]",
    "training.epochs=4",
)


def measure() -> pd.DataFrame:
    """Train the quick recipe's ten folds on 40 people's faces of 48×48; the
    faces are rendered and decoded before.
    """
    recipe = recipes.read("quick", CHANGES)
    faces = decode(recipe.faces, gather(recipe.faces))
    split = folds.split(faces.table, recipe.folds.rule, recipe.folds.count)
    cores, rows, found = int(joblib.cpu_count()), [], {}
    for workers, threads in ((1, cores), (1, 1), (cores, 1)):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            on = computing.here(recipe.training.precision)
            files.write_json(
                root / "computing.json", asdict(replace(on, threads=threads))
            )
            listed, given = (
                jobs.listed(recipe, range(len(split)), root),
                jobs.Materials(recipe, faces, split),
            )
            begun = time.perf_counter()
            told = jobs.train_all(listed, given, Workers(workers))
            seconds = time.perf_counter() - begun
        found[workers, threads] = told
        accuracy = (
            (told["expression"] == told["predicted"])
            .groupby(told["fold"])
            .mean()
        )
        reached = f"{accuracy.mean():.1%} ± {accuracy.std():.1%}"
        rows.append(
            (f"{workers} at a time, {threads} threads each", seconds, reached)
        )
    pd.testing.assert_frame_equal(found[1, 1], found[cores, 1])  # to the bit
    told = (
        f"{len(split)} networks `zero_bias`, 48×48, {recipe.training.epochs} passes over "
        f"{split[0].train.sum()} pictures"
    )
    table = pd.DataFrame(rows, columns=[told, "s", "accuracy"])
    return table.assign(**{"times as fast": table["s"].iloc[0] / table["s"]})
