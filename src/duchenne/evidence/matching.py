"""Which unit detects which action unit: every score for every pair, each
beside its null.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.evidence.exchangeability import Arrangements, Exchangeability
from duchenne.evidence.labelled import Labelled
from duchenne.evidence.scores import Binning

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Matched:
    """What ``compare`` gives.

    Attributes:
        frame: A row a pair, as of ``match``.
        null_units: (p,) for each permutation, how many units it would have
            called detectors.
        too_few: One line where there are too few distinct rearrangements for
            the level, or action units that these do not change; else nothing.
    """

    frame: pd.DataFrame
    null_units: NDArray[np.int64]
    too_few: str = ""


def match(
    activations: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    **options: Any,
) -> pd.DataFrame:
    """Compare every unit with every action unit.

    Args:
        activations: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit; NA = not
            coded, and left out.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        options: Those of ``compare``. Name the ``neutral`` frames where
            sequences have any and differ in length.

    Returns:
        One row a pair. Columns:

        - ``unit, au, n_with, n_without``;
        - ``r`` with its 95 % interval over people, ``r_low, r_high`` (NaN
          where fewer than six show the action unit), and its mean under
          permuted labels, ``r_null``;
        - ``kl``, ``kl_mean`` over bin counts, mutual ``information``,
          ``distance``, ``ap`` and ``auroc``, each with that mean (``kl_null``)
          and how many standard deviations lie between (``kl_z``);
        - ``ap_lift`` over the base rate; ``distance_sign``, −1 where the unit
          answers less with the action unit;
        - ``p_uncorrected``, ``p`` family-wise over all pairs, ``q`` by
          Benjamini–Hochberg.

        All scores of a unit with a number that is not finite are NaN.

    Raises:
        InputError: Where the arguments do not fit each other, or no action
            unit is coded often enough.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.random(80) < 0.5
    >>> frame = match(
    ...     (shown + rng.normal(1, 0.1, 80))[:, None],
    ...     pd.DataFrame({"AU12": shown}).astype("boolean"),
    ...     [f"s{i // 4}" for i in range(80)],
    ...     [f"q{i}" for i in range(80)],
    ...     permutations=99,
    ... )
    >>> frame["au"].tolist(), bool(frame["p"][0] <= 0.05)
    (['AU12'], True)
    """
    found = compare(activations, labels, groups, sequences, **options)
    if found.too_few:
        warnings.warn(found.too_few, stacklevel=2)
    return found.frame


def compare(
    activations: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    *,
    frames: ArrayLike | None = None,
    neutral: ArrayLike | None = None,
    exchangeability: Exchangeability | None = None,
    bins: int = 64,
    epsilon: float = 1e-6,
    permutations: int = 1000,
    score_permutations: int = 20,
    least: int = 10,
    level: float = 0.05,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> Matched:
    """Match, and keep what permuted labels would have found.

    Args:
        activations: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit; NA = not
            coded, and left out.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        frames: (n,) the order of the pictures of a sequence; that of the rows
            where it is not given.
        neutral: (n,) whether each picture is a neutral frame; where it is not
            given, those that show no action unit are taken for it.
        exchangeability: Who may be exchanged with whom; built from the above
            where it is not given.
        bins: Of the divergence's histograms.
        epsilon: Added to each bin of the divergence's normalised histograms.
        permutations: Of the labels, for p.
        score_permutations: Of the labels, for the scores' nulls.
        least: Action units with fewer pictures with or without them are left
            out.
        level: At which ``null_units`` counts.
        seed: Of the permutations.
        strata: (n,) such as expressions, for the correlation within them and
            how sure that is: ``r_within, p_within, q_within``.

    Returns:
        The frame of ``match``, and what permuted labels would have found.

    Raises:
        InputError: Where the arguments do not fit each other, or no action
            unit is coded often enough.
    """
    _refuse_few_permutations(permutations, score_permutations)
    known = Labelled.regular(activations, labels, groups, sequences, least)
    tree = known.tree(frames, neutral, exchangeability)
    arrangements = Arrangements(tree, permutations, seed)
    sources = arrangements.first(score_permutations)
    sure = known.significance(arrangements, level)
    scores = known.scores(sure, sources, Binning(bins, epsilon), strata)
    too_few = [tree.too_few(level), known.unmoved(sources)]
    if strata is not None:
        inside = Arrangements(tree.within(strata), permutations, seed)
        scores |= known.within(inside, level, strata)
        too_few.append(inside.tree.too_few(level, "within strata: "))
    return Matched(known.framed(scores), sure.null_units, _together(too_few))


def _together(lines: list[str]) -> str:
    """The lines that say anything, as one."""
    return "; ".join(filter(None, lines))


def _refuse_few_permutations(
    permutations: int, score_permutations: int
) -> None:
    if permutations < 1 or score_permutations < 2:
        given = f"permutations {permutations}, score_permutations {score_permutations}"
        raise InputError(f"{given}: at least 1 and 2 are needed")


def scored(
    activations: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    *,
    exchangeability: Exchangeability | None = None,
    bins: int = 64,
    epsilon: float = 1e-6,
    score_permutations: int = 20,
    least: int = 10,
    seed: int = 0,
    strata: ArrayLike | None = None,
) -> pd.DataFrame:
    """Give the scores of ``match`` and their nulls without their significance,
    in a fraction of the time.

    Arguments are those of ``compare``.

    Args:
        activations: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        exchangeability: Who may be exchanged with whom.
        bins: Of the histograms.
        epsilon: Added to every bin.
        score_permutations: Of the nulls.
        least: Pictures with, and without, an action unit, below which it is
            left out.
        seed: Of the permutations.
        strata: (n,) for ``r_within``.

    Returns:
        One row a pair.

    >>> shown = np.arange(40) % 2 == 0
    >>> frame = scored(
    ...     shown[:, None] + 1.0,
    ...     pd.DataFrame({"AU12": shown}).astype("boolean"),
    ...     np.arange(40),
    ...     np.arange(40),
    ... )
    >>> frame["r"].round(3).tolist(), bool(frame["kl_z"][0] > 3)
    ([1.0], True)
    """
    known = Labelled.regular(activations, labels, groups, sequences, least)
    sources = list(
        Arrangements(
            known.tree(None, None, exchangeability), score_permutations, seed
        )
    )
    scores = known.correlations(strata) | known.calibrated(
        sources, Binning(bins, epsilon)
    )
    return known.framed(scores)


def correlated(
    activations: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    *,
    exchangeability: Exchangeability | None = None,
    permutations: int = 1000,
    least: int = 10,
    level: float = 0.05,
    seed: int = 0,
) -> pd.DataFrame:
    """Give the correlations of ``match`` and how sure they are without any
    other score, in a fraction of the time.

    Arguments are those of ``compare``.

    Args:
        activations: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        exchangeability: Who may be exchanged with whom.
        permutations: Of the labels.
        least: Pictures with, and without, an action unit, below which it is
            left out.
        level: At which units under permuted labels are counted.
        seed: Of the permutations.

    Returns:
        One row a pair.

    >>> shown = np.arange(40) % 2 == 0
    >>> frame = correlated(
    ...     shown[:, None] + 1.0,
    ...     pd.DataFrame({"AU12": shown}).astype("boolean"),
    ...     np.arange(40),
    ...     np.arange(40),
    ... )
    >>> frame["r"].round(3).tolist(), bool(frame["p"][0] < 0.05)
    ([1.0], True)
    """
    known = Labelled.regular(activations, labels, groups, sequences, least)
    tree = known.tree(None, None, exchangeability)
    arrangements = Arrangements(tree, permutations, seed)
    sure = known.significance(arrangements, level)
    correlations = known.correlations(None) | {"r_null": sure.centre}
    return known.framed(correlations | sure.columns())
