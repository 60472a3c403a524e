"""How far scores can be trusted on this network: judged by what moves its
units, on the study's faces and on faces whose action units come and go by
chance, by numbers of people.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence import nulls
from duchenne.evidence.matching import scored
from duchenne.evidence.validity import validity
from duchenne.progress import about
from duchenne.recipes import Evidence

Floats = NDArray[np.floating]

COLUMNS = [
    "people",
    "pictures",
    "score",
    "action_units",
    "units",
    "validity",
    "chance",
    "percentile",
    "named_rare",
    "moved_by_rare",
]
_SHARES = (0.25, 0.5, 1.0)
"""Of the people whose pictures scores are computed on."""


def validities(
    activations: Floats,
    faces: pd.DataFrame,
    responses: pd.DataFrame,
    settings: Evidence,
    seed: int = 0,
    shares: tuple[float, ...] = _SHARES,
    known: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Validity of every score with what moves units, by growing shares of the
    people.

    Args:
        activations: (n, u) activations on pictures.
        faces: Labels of the pictures, a row a picture.
        responses: What ``evidence.doses.dose_response`` gives.
        settings: Of the scores.
        seed: Of the order in which people are added.
        shares: Of the people. Those in which no action unit is shown often
            enough are left out.
        known: The scores on the pictures of all people, as ``evidence.match``
            gives them, where they are known already.

    Returns:
        Columns ``people, pictures`` and those of ``evidence.validity``.
    """
    parts = []
    for people, mask in _growing(faces, shares, seed):
        labels, _ = nulls.often_enough(faces[mask], settings.least)
        if not len(labels.columns):
            continue
        scores = known if mask.all() else None
        if scores is None:
            with about(f"{people} people"):
                scores = _scores(
                    activations[mask], faces[mask], labels, settings, seed
                )
        found = validity(scores, responses)
        found.insert(0, "pictures", int(mask.sum()))
        found.insert(0, "people", people)
        parts.append(found)
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    return pd.concat(parts, ignore_index=True)


def _growing(
    faces: pd.DataFrame, shares: tuple[float, ...], seed: int
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Ever more people, those before among them, and the rows of their
    pictures.
    """
    people, _ = nulls.who(faces)
    inorder = np.random.default_rng(seed).permutation(np.unique(people))
    for count in sorted(
        {max(1, round(share * len(inorder))) for share in shares}
    ):
        yield count, np.isin(people, inorder[:count])


def _scores(
    activations: Floats,
    faces: pd.DataFrame,
    labels: pd.DataFrame,
    settings: Evidence,
    seed: int,
) -> pd.DataFrame:
    """Every score of some people's pictures."""
    people, takes = nulls.who(faces)
    known = faces["expression"].notna().all()
    return scored(
        activations,
        labels,
        people,
        takes,
        exchangeability=nulls.exchangeable(faces),
        bins=settings.bins,
        epsilon=settings.epsilon,
        score_permutations=settings.score_permutations,
        least=settings.least,
        seed=seed,
        strata=faces["expression"] if known else None,
    )
