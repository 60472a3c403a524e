"""Intervals over people: against closed forms, SciPy and slow loops, and how
often they hold what they should.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from duchenne.evidence import association, intervals


def test_of_plain_numbers_the_interval_is_students() -> None:
    values = np.random.default_rng(0).normal(size=(9, 3))
    expected = stats.t.interval(0.95, 8, values.mean(0), stats.sem(values))
    np.testing.assert_allclose(intervals.of_mean(values), expected)
    by_statistic = intervals.of_statistic(np.mean, [values[:, 0]], np.arange(9))
    assert by_statistic == pytest.approx((expected[0][0], expected[1][0]))


def test_people_weigh_by_their_pictures_against_a_loop() -> None:
    rng = np.random.default_rng(1)
    counts, sums = (rng.integers(1, 9, 8).astype(float), rng.normal(size=8))
    without = [(sums.sum() - s) / (counts.sum() - c) for s, c in zip(sums, counts, strict=True)]
    error = np.sqrt(7 / 8 * ((np.array(without) - np.mean(without)) ** 2).sum())
    half = stats.t.ppf(0.975, 7) * error
    mean = sums.sum() / counts.sum()
    np.testing.assert_allclose(intervals.of_mean(sums, counts), [mean - half, mean + half])


def test_the_interval_of_a_correlation_against_a_loop() -> None:
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(9), 12)
    activations = rng.normal(size=(108, 2)) + rng.normal(size=9)[people][:, None]
    present, coded = rng.random((108, 3)) < 0.3, rng.random((108, 3)) < 0.9
    low, high = intervals.of_correlation(activations, present, coded, people.astype(str))
    for unit, label in np.ndindex(2, 3):
        z = [
            np.arctanh(
                association.correlation(activations[rows], present[rows], coded[rows])[unit, label]
            )
            for rows in (people >= 0, *(people != person for person in range(9)))
        ]
        error = np.sqrt(8 / 9 * ((np.array(z[1:]) - np.mean(z[1:])) ** 2).sum())
        shows = len(np.unique(people[present[:, label] & coded[:, label]]))
        bounds = np.tanh(z[0] + np.array([-1, 1]) * stats.t.ppf(0.975, shows - 1) * error)
        assert (low[unit, label], high[unit, label]) == pytest.approx(tuple(bounds))


def test_too_few_people_have_no_interval() -> None:
    people = np.repeat(np.arange(8), 4).astype(str)
    rng = np.random.default_rng(0)
    activations, present = (rng.normal(size=(32, 1)), np.zeros((32, 1), bool))
    present[:20:4] = True  # by five of eight
    low, high = intervals.of_correlation(activations, present, np.ones_like(present), people)
    assert np.isnan([low, high]).all()
    assert np.isnan(intervals.of_mean(np.ones(5))).all()
    assert np.isnan(intervals.of_share(lambda counted: counted.mean(1), 5, 5)).all()
    assert np.isnan(intervals.of_statistic(np.mean, [np.ones(5)], np.arange(5))).all()


def test_a_share_stays_between_0_and_1() -> None:
    right = np.array([0.9, 1, 1, 0.8, 1, 1, 1, 0.9])
    low, high = intervals.of_share(lambda counted: counted @ right / counted.sum(1), 8, 8)
    assert 0 < low < right.mean() < high < 1
    assert np.isnan(intervals.of_share(lambda counted: np.ones(len(counted)), 8, 8)).all()


def test_the_interval_of_average_precision_against_a_loop() -> None:
    rng = np.random.default_rng(3)
    person, shown = (np.repeat(np.arange(14), 6), rng.random(84) < 0.4)
    scores = shown + rng.normal(size=84)

    def precision(counts: np.ndarray) -> np.ndarray:
        return np.array(
            [
                average_precision_score(shown, scores, sample_weight=count[person])
                for count in counts
            ]
        )

    low, high = intervals.of_average_precision(precision, 14, 13)
    scaled = np.log(-np.log(average_precision_score(shown, scores)))
    without = [
        np.log(-np.log(average_precision_score(shown[person != one], scores[person != one])))
        for one in range(14)
    ]
    error = np.sqrt(13 / 14 * ((np.array(without) - np.mean(without)) ** 2).sum() * 13 / 12)
    half = stats.t.ppf(0.975, 12) * error
    assert (low, high) == pytest.approx(
        (np.exp(-np.exp(scaled + half)), np.exp(-np.exp(scaled - half)))
    )
    assert np.isnan(intervals.of_average_precision(precision, 14, 12)).all()
    assert np.isnan(
        intervals.of_average_precision(lambda counts: np.ones(len(counts)), 14, 14)
    ).all()


def test_above_500_people_are_dealt_to_groups() -> None:
    number, people = intervals.numbered(np.arange(1200).astype(str))
    assert people == 500
    assert np.bincount(number).max() == 3


def faces(
    rng: np.random.Generator, people: int, base_rate: float, of_person: float
) -> tuple[np.ndarray, np.ndarray]:
    """Activations and presence (people, 28) in seven sequences of neutral and
    three frames.
    """
    often = np.sqrt(of_person) * rng.normal(size=(people, 1)) + np.sqrt(1 - of_person) * rng.normal(
        size=(people, 7)
    )
    shown = np.repeat((often < stats.norm.ppf(base_rate))[..., None], 4, 2) & (np.arange(4) > 0)
    units = (
        rng.normal(size=(people, 1, 1))
        + rng.normal(size=(people, 7, 1))
        + 0.5 * rng.normal(size=(people, 7, 4))
    )
    return (units + shown).reshape(people, 28), shown.reshape(people, 28)


@pytest.mark.parametrize(("people", "base_rate"), [(12, 0.3), (24, 0.1), (60, 0.03)])
def test_intervals_hold_the_true_correlation_as_often_as_they_say(
    people: int, base_rate: float
) -> None:
    """benchmarks/evidence.md has the table; here that no cell is far off."""
    units, shown = faces(np.random.default_rng(99), 40_000, base_rate, 0.5)
    true = np.corrcoef(units.ravel(), shown.ravel())[0, 1]
    held = []
    for seed in range(300):
        units, shown = faces(np.random.default_rng(seed), people, base_rate, 0.5)
        person = np.repeat(np.arange(people), 28).astype(str)
        label = shown.reshape(-1, 1)
        low, high = intervals.of_correlation(
            units.reshape(-1, 1), label, np.ones_like(label), person
        )
        if np.isfinite(low).all():
            held.append(bool(low[0, 0] <= true <= high[0, 0]))
    assert stats.binomtest(sum(held), len(held), 0.95).pvalue > 0.001
