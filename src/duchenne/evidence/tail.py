"""How small a p is that too few permutations reach: a generalised Pareto
distribution for the tail of a null.

Values are told on the scale on which the absolute value of a standard normal
number is exponential, −log P(|Z| ≥ z), so that the tail of a correlation under
permuted labels is nearly straight. There the largest values of a null exceed a
threshold by amounts that follow a generalised Pareto distribution (Pickands
1975; for permutations Knijnenburg et al. 2009, Winkler et al. 2016), fitted by
moments (Hosking & Wallis 1987). Its shape, which a single null tells badly, is
that which most nulls of a study agree on; its scale is each null's own.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

FEW = 10
"""So many permutations that reach a value are counted; where fewer do, p is
that of the fitted tail.
"""

_SHARES = (0.25, 0.15, 0.1, 0.05)
_MOST = 250
_LEAST = 20
_BEYOND = 100.0
_SIMULATED = 4000
_LEVEL = 0.05
_STEEPEST = 0.4


def kept(permutations: int) -> int:
    """Tell how many of the largest values of a null the fit needs: a quarter
    of them and one, at most 251.
    """
    return min(int(_SHARES[0] * permutations), _MOST) + 1


def exponential(z: Floats) -> Floats:
    """Turn standardised values into −log P(|Z| ≥ z) of a standard normal Z.

    Args:
        z: Standardised values.

    Returns:
        Of the same shape.

    >>> exponential(np.array([0.674490, 1.959964])).round(4).tolist()
    [0.6931, 2.9957]
    """
    values: Floats = -(stats.norm.logsf(z) + np.log(2))
    return values


def shape(largest: Floats, permutations: int) -> float:
    """Estimate the shape of the tails of many nulls, k of Hosking & Wallis
    (1987); 0 is exponential.

    The median over nulls of what moments tell, less what these tell of
    exponential samples as small.

    Args:
        largest: (n, k) the largest standardised values of each null, falling.
        permutations: Of how many values they are the largest.

    Returns:
        k, 0 where there are too few permutations or no null.
    """
    number = min(int(_SHARES[0] * permutations), largest.shape[1] - 1)
    if number < _LEAST or not len(largest):
        return 0.0
    excess, _ = _excess(exponential(largest), number)
    return float(
        np.clip(
            np.median(_by_moments(excess)) - _bias(number),
            -_STEEPEST,
            _STEEPEST,
        )
    )


def tail_p(
    observed: Floats, largest: Floats, permutations: int, k: float
) -> Floats:
    """Tell p where the fit holds, by its goodness of fit (Cramér & von Mises),
    for the largest share of the null that fits.

    Args:
        observed: (n,) standardised values.
        largest: (n, k) the largest standardised values of each one's null,
            falling.
        permutations: Of how many values they are the largest.
        k: The tails' shape, as ``shape`` estimates it.

    Returns:
        (n,) P(null ≥ observed), never less than a hundredth of what counting
        can reach; NaN where no share fits.
    """
    values = exponential(largest)
    asked = exponential(observed)
    p = np.full(len(asked), np.nan)
    for share in _SHARES:
        open_ = np.flatnonzero(np.isnan(p))
        number = min(int(share * permutations), values.shape[1] - 1)
        if number < _LEAST or not len(open_):
            break
        reached = _fitted(asked[open_], values[open_], number, k)
        p[open_] = number / permutations * reached
    least = 1 / (_BEYOND * (permutations + 1))
    bounded: Floats = np.maximum(p, least)
    return bounded


def _fitted(asked: Floats, values: Floats, number: int, k: float) -> Floats:
    """P(excess ≥ that asked for) of the tail of so many values; NaN where it
    does not fit, and for what lies below it.
    """
    excess, threshold = _excess(values, number)
    scale = excess.mean(1) * (1 + k)
    fits = (scale > 0) & (
        _misfit(excess, scale, k) <= critical(number, round(k, 2))
    )
    above = asked - threshold
    standardised = np.maximum(above, 0) / np.where(scale > 0, scale, 1)
    return np.where(fits & (above > 0), survival(standardised, k), np.nan)


def survival(z: Floats, k: float) -> Floats:
    """Probability that a generalised Pareto number of scale 1 exceeds z: (1 −
    k z)^(1/k), e^(−z) for k = 0.

    Args:
        z: Values.
        k: The shape.

    Returns:
        Of the shape of z.

    >>> (
    ...     survival(np.array([1.0]), 0.0).round(4).tolist(),
    ...     survival(np.array([3.0]), 0.5).tolist(),
    ... )
    ([0.3679], [0.0])
    """
    if abs(k) < 1e-6:
        shares: Floats = np.exp(-z)
    else:
        shares = np.clip(1 - k * z, 0, None) ** (1 / k)
    return shares


def _by_moments(excess: Floats) -> Floats:
    """The shape (n,) of each sample of excesses (n, m): ½ (x̄²/s² − 1)."""
    variance = excess.var(1, ddof=1)
    ratio = np.divide(
        excess.mean(1) ** 2,
        variance,
        out=np.ones(len(excess)),
        where=variance > 0,
    )
    shape: Floats = (ratio - 1) / 2
    return shape


@lru_cache(maxsize=64)
def _bias(number: int) -> float:
    """What moments tell, in the median, of the shape of so many exponential
    numbers, which is 0.
    """
    sample = np.random.default_rng(number).exponential(
        size=(_SIMULATED, number)
    )
    return float(np.median(_by_moments(sample)))


def _excess(values: Floats, number: int) -> tuple[Floats, Floats]:
    """By how much so many largest values (n, number) exceed the one behind
    them (n,).
    """
    number = min(number, values.shape[1] - 1)
    threshold = values[:, number]
    return values[:, :number] - threshold[:, None], threshold


def _misfit(excess: Floats, scale: Floats, k: float) -> Floats:
    """Cramér–von Mises distance (n,) of falling excesses (n, m) from the
    distribution of a shape and scales (n,).
    """
    number = excess.shape[1]
    expected = survival(excess / np.where(scale > 0, scale, 1)[:, None], k)
    share = (np.arange(1, number + 1) - 0.5) / number
    misfit: Floats = ((expected - share) ** 2).sum(1) + 1 / (12 * number)
    return misfit


@lru_cache(maxsize=256)
def critical(number: int, k: float) -> float:
    """Tell the misfit that one in twenty samples of a fitted distribution
    exceeds, by simulation with a fixed seed.

    Args:
        number: How many excesses a sample has.
        k: The distribution's shape.
    """
    uniform = np.random.default_rng(number).random((_SIMULATED, number))
    sample = -np.log(uniform) if abs(k) < 1e-6 else (1 - uniform**k) / k
    falling = -np.sort(-sample, axis=1)
    return float(
        np.quantile(_misfit(falling, falling.mean(1) * (1 + k), k), 1 - _LEVEL)
    )
