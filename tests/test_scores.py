"""Scores that are taken in batch by batch, against loops and scikit-learn, and
in any order and split.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score

from duchenne.errors import InputError
from duchenne.evidence.association import Correlation, correlation, within
from duchenne.evidence.distance import Distance, distance
from duchenne.evidence.divergence import Histograms, bin_activations, histograms

from .test_evidence import labelled

PEAKS, PRESENT, CODED = labelled(7)


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_distance_is_the_papers_sum_over_the_nine_largest(symmetric: bool) -> None:
    found = distance(PEAKS, PRESENT, CODED, symmetric=symmetric)
    for unit, label in np.ndindex(*found.shape):
        rows = CODED[:, label]
        with_au = sorted(PEAKS[rows & PRESENT[:, label], unit], reverse=True)[:9]
        without_au = sorted(PEAKS[rows & ~PRESENT[:, label], unit], reverse=True)[:9]
        expected = sum(r * np.log(r / q) for r, q in zip(with_au, without_au, strict=True))
        if symmetric:
            expected += sum(q * np.log(q / r) for r, q in zip(with_au, without_au, strict=True))
        assert found[unit, label] == pytest.approx(expected, abs=1e-9)


def test_the_distance_is_blind_to_sign_which_is_told() -> None:
    driven = np.arange(40.0)[:, None]
    present = driven >= 30
    found = [Distance(), Distance()]
    for accumulator, shown in zip(found, (present, ~present), strict=True):
        accumulator.update(driven, shown, np.ones_like(shown))
    assert found[0].compute() == pytest.approx(found[1].compute())
    assert (found[0].sign().item(), found[1].sign().item()) == (1, -1)


def test_zeros_and_too_few_pictures_are_defined_for_the_distance() -> None:
    """A zero counts as a millionth of the unit's largest activation; two
    zeros, or a picture without partner, tell nothing.
    """
    activations, present = (
        np.array([[2.0], [0.0], [0.0], [0.0], [1.0]]),
        np.array([[True], [True], [False], [False], [False]]),
    )
    found = distance(activations, present, np.ones_like(present), n=9)
    assert found.item() == pytest.approx(2 * np.log(2) - np.log(2), rel=1e-9)
    found = distance(activations[:4], present[:4], np.ones_like(present[:4]), n=9)
    assert found.item() == pytest.approx((2 - 2e-6) * np.log(1e6), rel=1e-9)
    assert distance(0 * activations, present, np.ones_like(present)).item() == 0
    assert (
        distance(-activations - 1, present, np.ones_like(present)).item() == 0
    )  # of a signed unit, below zero throughout
    assert distance(3 * activations, present, np.ones_like(present)).item() == pytest.approx(
        3 * np.log(2), rel=1e-9
    )


def test_mutual_information_is_scikit_learns_and_at_most_the_labels_entropy() -> None:
    found = histograms(PEAKS, PRESENT, CODED, 8).information()
    places = bin_activations(PEAKS, PEAKS.max(0), 8)
    for unit, label in np.ndindex(*found.shape):
        rows = CODED[:, label]
        expected = mutual_info_score(PRESENT[rows, label], places[rows, unit])
        assert found[unit, label] == pytest.approx(expected, abs=1e-12)
    same = (
        histograms(PRESENT[:, :1].astype(float), PRESENT[:, :1], np.ones((200, 1), bool), 2)
        .information()
        .item()
    )
    assert same == pytest.approx(stats.entropy([PRESENT[:, 0].mean(), 1 - PRESENT[:, 0].mean()]))


MADE: dict[str, tuple[Callable[[], Any], Callable[[Any], np.ndarray]]] = {
    "correlation": (Correlation, lambda found: found.compute()),
    "distance": (Distance, lambda found: found.compute()),
    "sign": (Distance, lambda found: found.sign()),
    "kl": (lambda: Histograms(PEAKS.max(0), 16), lambda found: found.kl()),
    "information": (lambda: Histograms(PEAKS.max(0), 16), lambda found: found.information()),
}


@pytest.mark.parametrize("score", MADE)
@pytest.mark.parametrize("seed", range(3))
def test_batches_in_any_order_and_split_give_the_same_scores(score: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    make, read = MADE[score]
    whole = make()
    whole.update(PEAKS, PRESENT, CODED)
    order = rng.permutation(len(PEAKS))
    # some may be empty
    parts = np.split(order, np.sort(rng.choice(len(order), 9)))
    merged = [make() for _ in range(3)]
    for number, part in enumerate(parts):
        merged[number % 3].update(PEAKS[part], PRESENT[part], CODED[part])
    total = make()
    for accumulator in rng.permutation(np.array([*merged, make()], object)):
        total.merge(accumulator)
    np.testing.assert_allclose(read(total), read(whole), rtol=0, atol=1e-9)


def test_a_large_mean_costs_no_digits() -> None:
    rng = np.random.default_rng(0)
    activations, present = (rng.normal(1e6, 1, (3000, 4)), rng.random((3000, 2)) < 0.3)
    joined = Correlation()
    for part in np.array_split(np.arange(3000), 60):
        joined.update(activations[part], present[part], np.ones((len(part), 2), bool))
    expected = [
        [
            stats.pointbiserialr(present[:, label], activations[:, unit]).statistic
            for label in range(2)
        ]
        for unit in range(4)
    ]
    np.testing.assert_allclose(joined.compute(), expected, atol=1e-9)
    np.testing.assert_allclose(
        correlation(activations, present, np.ones_like(present)), expected, atol=1e-9
    )


def test_what_cannot_be_merged_or_read_is_refused() -> None:
    for empty in (Correlation(), Distance()):
        with pytest.raises(InputError, match="no pictures"):
            empty.compute()
    with pytest.raises(InputError, match="of 9 and of 3 pictures"):
        Distance().merge(Distance(3))
    with pytest.raises(InputError, match="other bins"):
        Histograms(np.ones(2)).merge(Histograms(np.ones(2), 8))
    with pytest.raises(InputError, match="n 0"):
        Distance(0)
    with pytest.raises(InputError, match="bins 0"):
        Histograms(np.ones(2), 0)


def test_correlation_within_strata_is_that_of_what_their_means_leave() -> None:
    """A reference with residuals, of the strata in which the label varies; a
    unit that only tells expressions gets 0.
    """
    rng = np.random.default_rng(0)
    strata = rng.choice(["neutral", "fear", "anger"], 200)
    present = PRESENT & (strata != "neutral")[:, None]
    found = within(PEAKS, present, CODED, strata)
    for unit, label in np.ndindex(*found.shape):
        rows = CODED[:, label] & (strata != "neutral")
        activations, shown = (PEAKS[rows, unit], present[rows, label].astype(float))
        for stratum in ("fear", "anger"):
            own = strata[rows] == stratum
            activations, shown = (
                values - own * values[own].mean() for values in (activations, shown)
            )
        assert found[unit, label] == pytest.approx(np.corrcoef(activations, shown)[0, 1], abs=1e-9)
    tells = (strata == "fear")[:, None].astype(float)
    assert correlation(tells, present | (tells > 0), CODED)[0, 0] > 0.5
    assert within(tells, present, CODED, strata)[0, 0] == 0
