"""Scores of shards, taken in by other processes and merged, against one
accumulator and against ``match``.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

from duchenne.errors import InputError
from duchenne.evidence import Scores, match

NAMES = ["AU01", "AU04", "AU12", "AU26"]


def shard(seed: int, rows: int, units: int = 32) -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    present, coded = (rng.random((rows, 4)) < (0.3, 0.02, 0.1, 0.5), rng.random((rows, 4)) < 0.9)
    activations = np.maximum(rng.normal(0, 1, (rows, units)) + present[:, [2]], 0)
    return activations, pd.DataFrame(present, columns=NAMES).astype("boolean").mask(~coded)


def taken(seed: int, rows: int, highest: np.ndarray) -> Scores:
    scores = Scores(NAMES, highest)
    activations, labels = shard(seed, rows)
    for first in range(0, rows, 7_000):
        scores.update(activations[first : first + 7_000], labels[first : first + 7_000])
    return scores


@pytest.mark.slow
def test_shards_of_50000_rows_in_two_processes_give_the_evidence_of_one() -> None:
    shards = [shard(seed, 50_000) for seed in range(3)]
    activations, labels = (
        np.concatenate([part for part, _ in shards]),
        pd.concat([part for _, part in shards], ignore_index=True),
    )
    whole = Scores(NAMES, activations.max(0))
    whole.update(activations, labels)
    joined = Scores(NAMES, activations.max(0))
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        for part in processes.map(taken, (2, 0, 1), [50_000] * 3, [activations.max(0)] * 3):
            joined.merge(part)
    pd.testing.assert_frame_equal(joined.compute(), whole.compute(), rtol=1e-9, atol=1e-9)
    assert joined.compute().groupby("au")["r"].mean().idxmax() == "AU12"


def test_scores_are_those_of_match() -> None:
    activations, labels = shard(5, 400)
    scores = Scores(NAMES, activations.max(0))
    scores.update(activations, labels)
    alone = [str(row) for row in range(400)]
    matched = match(activations, labels, alone, alone, permutations=19, least=2)
    ours = scores.compute()
    pd.testing.assert_frame_equal(ours, matched[list(ours)], rtol=1e-9, atol=1e-9)


def test_other_action_units_are_refused() -> None:
    activations, labels = shard(0, 20)
    scores = Scores(NAMES[:2], activations.max(0))
    with pytest.raises(InputError, match="AU01, AU04 are wanted"):
        scores.update(activations, labels)
    with pytest.raises(InputError, match="cannot be merged"):
        scores.merge(Scores(NAMES, activations.max(0)))
