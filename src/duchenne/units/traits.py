"""Three traits of units that mousavi2016 (§IV-A) shows by eye, as numbers: invariance, redundancy and filtering.

Pure functions on projections and maps; intervals are bootstraps over what is drawn at random in each: units, or pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from duchenne.units.projection import Windows

Floats = NDArray[np.floating]
Classes = NDArray[np.str_]
_DRAWS = 1000


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def estimate(
    values: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    statistic: Callable[..., float] = np.nanmean,
    groups: NDArray[np.generic] | None = None,
    seed: int = 0,
) -> Estimate:
    """A statistic of one or more columns of values (n,), with its interval: rows, or ``groups`` of rows, are redrawn."""
    columns = [np.asarray(column) for column in (values if isinstance(values, list | tuple) else [values])]
    _, which = np.unique(np.arange(len(columns[0])) if groups is None else groups, return_inverse=True)
    members = [np.flatnonzero(which == number) for number in range(which.max() + 1)]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(_DRAWS):
        rows = np.concatenate([members[number] for number in rng.integers(0, len(members), len(members))])
        drawn.append(statistic(*(column[rows] for column in columns)))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(float(statistic(*columns)), float(low), float(high))


# invariance: one filter, many pictures


def invariance(windows: Windows, units: NDArray[np.int64], classes: Classes) -> pd.DataFrame:
    """How alike the projections of each unit are on different pictures: one row a unit: unit, pictures, alike, across.

    ``alike`` is the mean correlation over all pairs of a unit's projections, ``across`` over pairs from pictures of
    different classes. Projections whose field the picture's border cuts short are left out; NaN stands where fewer than two
    are left.
    """
    sides = windows.boxes[:, 2:] - windows.boxes[:, :2]
    whole = (sides == sides.max(0)).all(1) if len(sides) else np.zeros(0, bool)
    rows = []
    for unit in np.unique(units):
        numbers = np.flatnonzero((units == unit) & whole)
        alike = across = float("nan")
        if len(numbers) > 1:
            pairs = np.triu_indices(len(numbers), 1)
            correlations = _correlations(np.stack([windows.pixels[number].ravel() for number in numbers]))[pairs]
            other = classes[numbers][pairs[0]] != classes[numbers][pairs[1]]
            alike = float(correlations.mean())
            across = float(correlations[other].mean()) if other.any() else float("nan")
        rows.append((int(unit), len(numbers), alike, across))
    return pd.DataFrame(rows, columns=["unit", "pictures", "alike", "across"])


def _correlations(rows: Floats) -> Floats:
    """Pearson correlation of every row with every other; 0 for rows that do not vary."""
    centred = rows - rows.mean(1, keepdims=True)
    return cosines(centred)


def cosines(rows: Floats) -> Floats:
    """Cosine of every row (n, m) with every other: (n, n); 0 for rows of zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    return unit @ unit.T


# redundancy: one picture, many filters


def redundancy(projections: Floats) -> tuple[float, float]:
    """How many filters say the same of one picture, from their projections (units, pixels): mean cosine, effective number.

    The effective number of filters is the participation ratio (Σλ)² / Σλ² of the eigenvalues of the matrix of cosines: the
    number of filters where none is like another, 1 where all are alike. Filters that are silent are left out.

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
    return round(float(off), 12), float(np.trace(matrix) ** 2 / (matrix**2).sum())


# filtering: what is left of the picture with depth


def sparsity(maps: Floats) -> Floats:
    """Hoyer's sparsity of maps (n, pixels): 0 where all positions answer alike, 1 where a single one does; NaN if none does.

    (√m − ‖x‖₁ / ‖x‖₂) / (√m − 1), P. Hoyer (2004).

    >>> sparsity(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 3.0, 0.0]])).tolist()
    [0.0, 1.0]
    """
    root = np.sqrt(maps.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(maps).sum(1) / np.linalg.norm(maps, axis=1)
    found: Floats = (root - ratio) / (root - 1)
    return found


def resemblance(projections: Floats, pictures: Floats) -> Floats:
    """Share of each picture's variance that its projection tells of: squared correlation of rows (n, pixels): (n,)."""
    one, other = (rows - rows.mean(1, keepdims=True) for rows in (projections, pictures))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: Floats = ((one * other).sum(1) / np.where(lengths > 0, lengths, 1)) ** 2
    return found


def resemblance_and_error(resembling: Floats, right: Floats, people: NDArray[np.generic], seed: int = 0) -> Estimate:
    """Rank correlation of how much projections resemble pictures with the error 1 − p(the expression that is shown).

    mousavi2016 §IV-A: "the more the feature resembles the object … the smaller the classification error", so negative. The
    interval is a bootstrap over people.
    """
    return estimate([resembling, 1 - right], lambda a, b: float(stats.spearmanr(a, b).statistic), people, seed)
