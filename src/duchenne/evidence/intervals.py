"""How sure a number is that was measured on some people: 95 % intervals over
people, all of whose pictures go together.

Every interval is studentised: the standard error is that of the jackknife that
leaves out one person at a time (Efron & Stein 1981), its quantile that of
Student's t. None is given where too few people tell anything, as its coverage
would be another than stated; ``benchmarks/evidence.md`` has the coverage by
simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special, stats

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

LEAST = 6
"""People who must show an action unit, and who must have pictures without it,
for an interval of its scores.
"""

LEAST_OF_PRECISION = 13
"""The same for an interval of average precision."""

_UPPER = 0.975
_MOST = 500
_ROUNDING = 1e-9


def of_correlation(
    activations: Floats, present: Mask, coded: Mask, groups: NDArray[np.str_]
) -> tuple[Floats, Floats]:
    """Give the 95 % intervals of the correlations of units with action units.

    Fisher's z = artanh r, its standard error by the jackknife over people, t
    with as many degrees of freedom as people show the action unit, less one:
    they are who a rare one is known by.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        groups: (n,) the person of each picture.

    Returns:
        Low and high, each (u, a); NaN where fewer than six people show the
        action unit, or have pictures without it.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.random((80, 1)) < 0.5
    >>> people = np.repeat(np.arange(8), 10).astype(str)
    >>> low, high = of_correlation(
    ...     shown + rng.normal(0, 1, (80, 1)), shown, np.ones_like(shown), people
    ... )
    >>> bool(0 < low[0, 0] < high[0, 0] < 1)
    True
    """
    person, people = numbered(groups)
    low = np.full((activations.shape[1], present.shape[1]), np.nan)
    high = low.copy()
    centred = activations - activations.mean(0)
    for label in range(present.shape[1]):
        sums = _Sums.of(
            centred, present[:, label], coded[:, label], person, people
        )
        if sums.telling >= LEAST:
            low[:, label], high[:, label] = _on_fishers_scale(sums)
    return low, high


def _on_fishers_scale(sums: _Sums) -> tuple[Floats, Floats]:
    """Low and high of every unit's correlation with one action unit."""
    z = np.arctanh(sums.correlation())
    error = jackknife_error(np.arctanh(sums.correlations_without_one()))
    half = _quantile(sums.telling) * error
    return np.tanh(z - half), np.tanh(z + half)


def of_mean(
    of_people: Floats,
    weights: Floats | None = None,
    besides: Floats | float = 0.0,
) -> Floats:
    """Give the 95 % interval of a mean over people.

    Args:
        of_people: (p, …) a number of each person; with ``weights`` a sum over
            their pictures.
        weights: (p,) how many pictures each sum is over; people without any
            are left out.
        besides: (…) variance that the mean has from elsewhere, such as a
            random choice of what it is compared with.

    Returns:
        (2, …) low and high; NaN where fewer than six people count.

    >>> of_mean(np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])).round(2).tolist()
    [1.06, 2.94]
    """
    counted = (
        np.ones(len(of_people))
        if weights is None
        else np.asarray(weights, np.float64)
    )
    sums = of_people[counted > 0]
    counts = counted[counted > 0].reshape(-1, *[1] * (of_people.ndim - 1))
    if len(sums) < LEAST:
        return np.full((2, *of_people.shape[1:]), np.nan)
    mean = sums.sum(0) / counts.sum(0)
    without = (sums.sum(0) - sums) / (counts.sum(0) - counts)
    half = _quantile(len(sums)) * np.sqrt(
        jackknife_error(without) ** 2 + besides
    )
    return np.stack([mean - half, mean + half])


def of_share(
    share: Callable[[Floats], Floats], people: int, telling: int
) -> tuple[float, float]:
    """Give the 95 % interval of a share between 0 and 1, such as accuracy, on
    the scale of its log-odds.

    Args:
        share: From (d, p) how often each person counts in each of d draws to
            the share in each, (d,).
        people: How many there are, p.
        telling: How many of them tell anything of the share.

    Returns:
        Low and high; NaN where fewer than six people tell anything, or the
        share is 0 or 1.
    """
    if telling < LEAST:
        return np.nan, np.nan
    found = share(_all_and_without_one(people))
    if not ((found > 0) & (found < 1)).all():
        return np.nan, np.nan
    odds = special.logit(found)
    half = _quantile(telling) * jackknife_error(odds[1:])
    low, high = special.expit(odds[0] + np.array([-half, half]))
    return float(low), float(high)


def of_average_precision(
    precision: Callable[[Floats], Floats], people: int, showing: int
) -> tuple[float, float]:
    """Give the 95 % interval of an average precision, on the scale ln(−ln AP),
    where it is least skewed.

    Its error is widened by √(k / (k − 1)) for k people who show the action
    unit: without it, and on the scale of log-odds, simulated coverage is 90 to
    93 % where the action unit is rare.

    Args:
        precision: From (d, p) how often each person counts in each of d draws
            to the average precision in each, (d,).
        people: How many there are, p.
        showing: How many of them show the action unit, or have pictures
            without it: the smaller number, k.

    Returns:
        Low and high; NaN where k is less than thirteen, or the average
        precision is 0 or 1.
    """
    if showing < LEAST_OF_PRECISION:
        return np.nan, np.nan
    found = precision(_all_and_without_one(people))
    if not ((found > 0) & (found < 1)).all():
        return np.nan, np.nan
    scaled = np.log(-np.log(found))
    error = jackknife_error(scaled[1:]) * np.sqrt(showing / (showing - 1))
    half = _quantile(showing) * error
    high, low = np.exp(-np.exp(scaled[0] + np.array([-half, half])))
    return float(low), float(high)


def _all_and_without_one(people: int) -> Floats:
    """How often each person counts (p + 1, p): all once, then all but one."""
    every = np.ones((1, people))
    without_one = 1 - np.eye(people)
    return np.concatenate([every, without_one])


def of_statistic(
    statistic: Callable[..., float],
    columns: Sequence[NDArray[np.floating]],
    groups: NDArray[np.generic],
    *,
    correlation: bool = False,
) -> tuple[float, float]:
    """Give the 95 % interval of a statistic of columns of values, such as a
    mean or a rank correlation.

    Args:
        statistic: From columns, as many rows each, to a number.
        columns: Each (n,).
        groups: (n,) who is left out together, such as the person of each row.
        correlation: Whether the statistic lies between −1 and 1; its interval
            is then made on Fisher's scale.

    Returns:
        Low and high; NaN where there are fewer than six groups, or the
        statistic is not known without one of them.

    >>> values = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    >>> [
    ...     round(bound, 2)
    ...     for bound in of_statistic(np.mean, [values], np.arange(6))
    ... ]
    [1.06, 2.94]
    """
    member, count = numbered(groups)
    if count < LEAST:
        return np.nan, np.nan
    without = (
        statistic(*(column[member != number] for column in columns))
        for number in range(count)
    )
    found = np.array([statistic(*columns), *without])
    scaled = (
        np.arctanh(found.clip(-1 + _ROUNDING, 1 - _ROUNDING))
        if correlation
        else found
    )
    half = _quantile(count) * jackknife_error(scaled[1:])
    bounds = scaled[0] + np.array([-half, half])
    low, high = np.tanh(bounds) if correlation else bounds
    return float(low), float(high)


def jackknife_error(without: Floats) -> Floats:
    """Standard error of a statistic from what it is without each person: √((p
    − 1)/p · Σ (θ₋ᵢ − θ̄)²).

    Args:
        without: (p, …) the statistic without each person.

    Returns:
        (…).

    >>> values = np.array([1.0, 2.0, 4.0])
    >>> means = (values.sum() - values) / 2
    >>> jackknife_error(means).round(6) == (values.std(ddof=1) / np.sqrt(3)).round(
    ...     6
    ... )
    np.True_
    """
    people = len(without)
    error: Floats = np.sqrt(
        (people - 1) / people * ((without - without.mean(0)) ** 2).sum(0)
    )
    return error


def numbered(groups: NDArray[np.generic]) -> tuple[Indices, int]:
    """Number people, and tell how many there are.

    Above 500 they are dealt to 500 groups, whose sums are kept.

    Args:
        groups: (n,) the person of each picture.

    Returns:
        (n,) numbers from 0, and how many there are.

    >>> numbered(np.array(list("bab")))
    (array([1, 0, 1]), 2)
    """
    number = np.unique(groups, return_inverse=True)[1] % _MOST
    return number, int(number.max()) + 1


def _quantile(people: int) -> float:
    return float(stats.t.ppf(_UPPER, people - 1))


class _Sums:
    """Sums over each person's pictures in which one action unit is coded, as
    sums and products about the overall mean.

    Attributes:
        count, shown: (p, 1) pictures, and pictures with the action unit.
        total, squares, joint: (p, u) of activations, their squares, and
            activations with the action unit.
        telling: Of how many people the action unit is known, with it and
            without: the smaller number.
    """

    def __init__(
        self,
        count: Floats,
        shown: Floats,
        total: Floats,
        squares: Floats,
        joint: Floats,
    ) -> None:
        self.count = count
        self.shown = shown
        self.total = total
        self.squares = squares
        self.joint = joint
        with_it = (shown > 0).sum()
        without_it = (count > shown).sum()
        self.telling = int(min(with_it, without_it))

    @classmethod
    def of(
        cls,
        activations: Floats,
        present: Mask,
        coded: Mask,
        person: Indices,
        people: int,
    ) -> _Sums:
        """Sum activations (n, u) of pictures of persons (n,) by whether an
        action unit is present and coded (n,).
        """
        rows = np.arange(len(person))
        member = sparse.csr_array(
            (np.ones(len(person)), (person, rows)), (people, len(person))
        )
        known = member * coded
        shown = member * (present & coded)
        counts = (known.sum(1)[:, None], shown.sum(1)[:, None])
        return cls(
            *counts,
            known @ activations,
            known @ activations**2,
            shown @ activations,
        )

    def correlation(self) -> Floats:
        """Of everybody: (u,)."""
        return self._correlation(lambda sums: sums.sum(0))

    def correlations_without_one(self) -> Floats:
        """Without each person: (p, u)."""
        return self._correlation(lambda sums: sums.sum(0) - sums)

    def _correlation(self, chosen: Callable[[Floats], Floats]) -> Floats:
        count = chosen(self.count)
        shown = chosen(self.shown)
        total = chosen(self.total)
        squares = chosen(self.squares)
        joint = chosen(self.joint)
        products = joint - total * shown / count
        spread = (squares - total**2 / count) * shown * (1 - shown / count)
        # relative, as units are of any scale
        constant = spread <= _ROUNDING * squares * shown
        correlation: Floats = np.where(
            constant, np.nan, products / np.sqrt(np.where(constant, 1, spread))
        )
        return correlation.clip(-1 + _ROUNDING, 1 - _ROUNDING)
