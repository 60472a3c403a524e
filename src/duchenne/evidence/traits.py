"""Three traits of units that mousavi2016 (§IV-A) shows by eye, as numbers:
invariance, redundancy and filtering.

Pure functions on projections and maps; intervals are over what is drawn at
random in each: units, or people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from duchenne.evidence import intervals
from duchenne.units.projection import Windows

Floats = NDArray[np.floating]
Classes = NDArray[np.str_]


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def estimate(
    values: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    statistic: Callable[..., float] = np.nanmean,
    groups: NDArray[np.generic] | None = None,
    correlation: bool = False,
) -> Estimate:
    """A statistic with its 95 % interval.

    NaN where nothing is known; there is no interval of fewer than six rows or
    groups (``intervals``).

    Args:
        values: One or more columns (n,).
        statistic: From the columns to a number.
        groups: (n,) rows that go together; each by itself where not given.
        correlation: Whether the statistic lies between −1 and 1.

    Returns:
        The statistic, low and high.
    """
    columns = [
        np.asarray(column)
        for column in (
            values if isinstance(values, list | tuple) else [values]
        )
    ]
    if not len(columns[0]):
        return _UNKNOWN
    together = np.arange(len(columns[0])) if groups is None else groups
    low, high = intervals.of_statistic(
        statistic, columns, together, correlation=correlation
    )
    return Estimate(float(statistic(*columns)), low, high)


_UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"))


# invariance: one filter, many pictures


def invariance(
    windows: Windows, units: NDArray[np.int64], classes: Classes
) -> pd.DataFrame:
    """How alike the projections of each unit are on different pictures.

    Projections whose field the picture's border cuts short, against the
    largest here, are left out, as are those that do not vary; NaN stands where
    fewer than two are left.

    Args:
        windows: The projections.
        units: (n,) the unit of each projection.
        classes: (n,) the class of each projection's picture.

    Returns:
        One row a unit: ``unit, pictures``; ``alike``, the mean correlation
        over all pairs of a unit's projections; ``across``, over pairs from
        pictures of different classes.
    """
    sides = windows.boxes[:, 2:] - windows.boxes[:, :2]
    whole = np.zeros(0, bool)
    if len(sides):
        whole = (sides == sides.max(0)).all(1)
    rows = []
    for unit in np.unique(units):
        numbers = np.flatnonzero((units == unit) & whole)
        pixels = [windows.pixels[number].ravel() for number in numbers]
        rows.append(
            (int(unit), len(numbers), *_alike(pixels, classes[numbers]))
        )
    return pd.DataFrame(rows, columns=["unit", "pictures", "alike", "across"])


def _alike(pixels: Sequence[Floats], classes: Classes) -> tuple[float, float]:
    """Mean correlation over all pairs, and over those of different classes."""
    if len(pixels) < 2:
        return float("nan"), float("nan")
    one, other = np.triu_indices(len(pixels), 1)
    correlations = _correlations(np.stack(pixels))[one, other]
    across = correlations[classes[one] != classes[other]]
    return mean_of_known(correlations), mean_of_known(across)


def _correlations(rows: Floats) -> Floats:
    """Pearson correlation of every row with every other; NaN for rows that do
    not vary.
    """
    centred = rows - rows.mean(1, keepdims=True)
    varies = np.ptp(rows, axis=1) > 0
    return np.where(varies & varies[:, None], cosines(centred), np.nan)


def mean_of_known(values: Floats) -> float:
    """The mean of what is known.

    Args:
        values: Of any shape, NaN where unknown.

    Returns:
        NaN where nothing is known.
    """
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def cosines(rows: Floats) -> Floats:
    """Cosine of every row with every other.

    Args:
        rows: (n, m).

    Returns:
        (n, n); 0 for rows of zeros.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    return unit @ unit.T


# redundancy: one picture, many filters


def redundancy(projections: Floats) -> tuple[float, float]:
    """How many filters say the same of one picture.

    The effective number of filters is the participation ratio (Σλ)² / Σλ² of
    the eigenvalues of the matrix of cosines: the number of filters where none
    is like another, 1 where all are alike. Filters that are silent are left
    out.

    Args:
        projections: (units, pixels).

    Returns:
        The mean cosine, and the effective number.

    >>> redundancy(np.eye(4))
    (0.0, 4.0)
    >>> redundancy(np.ones((4, 9)))
    (1.0, 1.0)
    """
    heard = projections[np.abs(projections).sum(1) > 0]
    if len(heard) < 2:
        return float("nan"), float(len(heard))
    matrix = cosines(heard.astype(np.float64))
    count = len(matrix)
    off = (matrix.sum() - np.trace(matrix)) / (count * (count - 1))
    return round(float(off), 12), float(
        np.trace(matrix) ** 2 / (matrix**2).sum()
    )


# filtering: what is left of the picture with depth


def sparsity(maps: Floats) -> Floats:
    """Hoyer's sparsity of maps: 0 where all positions answer alike, 1 where a
    single one does.

    (√m − ‖x‖₁ / ‖x‖₂) / (√m − 1), P. Hoyer (2004).

    Args:
        maps: (n, pixels).

    Returns:
        (n,); NaN where no position answers.

    >>> sparsity(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 3.0, 0.0]])).tolist()
    [0.0, 1.0]
    """
    root = np.sqrt(maps.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(maps).sum(1) / np.linalg.norm(maps, axis=1)
    found: Floats = (root - ratio) / (root - 1)
    return found


def resemblance(projections: Floats, pictures: Floats) -> Floats:
    """Share of each picture's variance that its projection tells of: the
    squared correlation.

    Args:
        projections: (n, pixels).
        pictures: (n, pixels).

    Returns:
        (n,).
    """
    one, other = (
        rows - rows.mean(1, keepdims=True) for rows in (projections, pictures)
    )
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: Floats = (
        (one * other).sum(1) / np.where(lengths > 0, lengths, 1)
    ) ** 2
    return found


def resemblance_and_error(
    resembling: Floats, right: Floats, people: NDArray[np.generic]
) -> Estimate:
    """Rank correlation of how much projections resemble pictures with the
    error 1 − p(the expression that is shown).

    mousavi2016 §IV-A: "the more the feature resembles the object … the smaller
    the classification error", so negative. The interval is over people.

    Args:
        resembling: (n,) of each picture.
        right: (n,) the probability of the expression that is shown.
        people: (n,) the person of each picture.

    Returns:
        The correlation with its interval over people.
    """
    return estimate(
        [resembling, 1 - right], _rank_correlation, people, correlation=True
    )


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's ρ; NaN where one of them does not vary."""
    varies = np.ptp(one) > 0 and np.ptp(other) > 0
    return (
        float(stats.spearmanr(one, other).statistic)
        if varies
        else float("nan")
    )
