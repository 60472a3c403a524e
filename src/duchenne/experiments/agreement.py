"""How far scores can be trusted on this network: judged by what moves its units, on the study's faces and on faces whose
action units come and go by chance, by numbers of people.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence import comparison
from duchenne.evidence.agreement import agreement
from duchenne.evidence.matching import scored
from duchenne.progress import Progress, about, quiet
from duchenne.recipes import Evidence

Floats = NDArray[np.floating]

COLUMNS = [
    "people", "pictures", "score", "action_units", "units", "agreement", "chance", "percentile", "named_rare",
    "moved_by_rare",
]  # fmt: skip
_SHARES = (0.25, 0.5, 1.0)
"""Of the people whose pictures scores are computed on."""


def agreements(
    peaks: Floats,
    faces: pd.DataFrame,
    responses: pd.DataFrame,
    settings: Evidence,
    seed: int = 0,
    shares: tuple[float, ...] = _SHARES,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Agreement of every score with what moves units, by growing shares of the people.

    ``peaks`` (n, u) on pictures whose labels the frame ``faces`` holds, a row a picture; ``responses`` is what
    ``intervention.dose_response`` gives. Columns: ``people, pictures`` and those of ``evidence.agreement``. Shares in
    which no action unit is shown often enough are left out.
    """
    rows = []
    for people, mask in _growing(faces, shares, seed):
        labels, _ = comparison.often_enough(faces[mask], settings.least)
        if not len(labels.columns):
            continue
        found = agreement(
            _scores(peaks[mask], faces[mask], labels, settings, seed, about(progress, f"{people} people")), responses
        )
        found.insert(0, "pictures", int(mask.sum()))
        found.insert(0, "people", people)
        rows.append(found)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)


def _growing(faces: pd.DataFrame, shares: tuple[float, ...], seed: int) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Ever more people, those before among them, and the rows of their pictures."""
    people, _ = comparison.who(faces)
    inorder = np.random.default_rng(seed).permutation(np.unique(people))
    for count in sorted({max(1, round(share * len(inorder))) for share in shares}):
        yield count, np.isin(people, inorder[:count])


def _scores(
    peaks: Floats, faces: pd.DataFrame, labels: pd.DataFrame, settings: Evidence, seed: int, progress: Progress
) -> pd.DataFrame:
    """Every score of some people's pictures."""
    people, takes = comparison.who(faces)
    known = faces["expression"].notna().all()
    return scored(
        peaks, labels, people, takes, exchangeability=comparison.exchangeable(faces), bins=settings.bins,
        epsilon=settings.epsilon, score_permutations=settings.score_permutations, least=settings.least, seed=seed,
        strata=faces["expression"] if known else None, progress=progress,
    )  # fmt: skip
