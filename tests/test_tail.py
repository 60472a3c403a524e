"""How small a p is that too few permutations reach, against distributions that
are known.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from duchenne.evidence import tail


def largest_of(values: np.ndarray) -> np.ndarray:
    """The largest values of each null (n, p), falling."""
    return -np.sort(-values, axis=1)[:, : tail.kept(values.shape[1])]


def test_survival_is_scipys_generalised_pareto() -> None:
    z = np.linspace(0, 5, 40)
    for k in (-0.3, -0.01, 0.0, 0.15, 0.4):
        np.testing.assert_allclose(tail.survival(z, k), stats.genpareto.sf(z, -k), atol=1e-12)


def test_the_scale_makes_a_normal_tail_exponential() -> None:
    z = np.abs(np.random.default_rng(0).normal(size=100_000))
    assert stats.kstest(tail.exponential(z), "expon").pvalue > 0.01


def test_the_shape_is_that_of_the_samples() -> None:
    rng = np.random.default_rng(0)
    exponential = rng.exponential(size=(400, 1000))
    normal = stats.norm.isf(np.exp(-exponential) / 2)
    assert tail.shape(largest_of(normal), 1000) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("true", [1e-3, 1e-4])
def test_p_far_into_the_tail_is_right_on_average(true: float) -> None:
    """Nulls of 500 permutations of normal statistics, as a correlation's are:
    the median of log10 p within 0.1.
    """
    nulls = np.abs(np.random.default_rng(1).normal(size=(600, 500)))
    largest = largest_of(nulls)
    observed = np.full(600, stats.norm.isf(true / 2))
    p = tail.tail_p(observed, largest, 500, tail.shape(largest, 500))
    assert np.isfinite(p).mean() > 0.9
    assert np.nanmedian(np.log10(p)) == pytest.approx(np.log10(true), abs=0.1)


def test_a_tail_that_does_not_fit_is_not_told() -> None:
    """A null of two values only: nothing continuous exceeds any threshold."""
    null = np.where(np.random.default_rng(0).random((1, 500)) < 0.3, 2.0, 1.0)
    assert np.isnan(tail.tail_p(np.array([3.0]), largest_of(null), 500, 0.0)).all()


def test_p_is_never_less_than_a_hundredth_of_what_counting_reaches() -> None:
    null = np.abs(np.random.default_rng(0).normal(size=(1, 999)))
    assert tail.tail_p(np.array([50.0]), largest_of(null), 999, 0.05)[0] == pytest.approx(1e-5)


def test_too_few_permutations_have_no_tail() -> None:
    null = np.abs(np.random.default_rng(0).normal(size=(1, 49)))
    assert np.isnan(tail.tail_p(np.array([5.0]), largest_of(null), 49, 0.0)).all()
