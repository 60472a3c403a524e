"""Detectors against scikit-learn and against units whose part in an action
unit is known.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, f1_score

from duchenne.errors import InputError
from duchenne.evidence import probes
from duchenne.evidence.probes import COLUMNS, detectors


def layer(
    seed: int = 0, people: int = 20, each: int = 20
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, np.ndarray]:
    """AU12 is in unit 3 alone, AU04 spread over units 4 to 23 and in none of
    them clearly, AU01 in none, AU05 is rare.
    """
    rng = np.random.default_rng(seed)
    count = people * each
    intensity = {
        au: np.where(rng.random(count) < 0.4, rng.integers(1, 6, count), 0)
        for au in ("AU12", "AU04", "AU01")
    }
    intensity["AU05"] = (np.arange(count) < 4).astype(int)
    person = np.repeat(np.arange(people), each)
    activations = rng.normal(0, 1, (count, 30)) + rng.normal(0, 0.5, (people, 30))[person]
    activations[:, 3] -= 2.0 * intensity["AU12"]  # the less the more
    activations[:, 4:24] += 0.25 * intensity["AU04"][:, None]
    frame = pd.DataFrame(intensity).astype(float)
    return activations, (frame > 0).astype("boolean"), frame, person


def test_one_unit_and_many_are_told_apart() -> None:
    found = detectors(*layer()).set_index(["au", "detector"])
    assert set(found.index.get_level_values("au")) == {"AU12", "AU04", "AU01"}
    assert found.loc[("AU12", "best unit"), ["unit", "units"]].tolist() == [3, 1]
    assert found.loc[("AU12", "best unit"), "ap"] > 0.95
    assert found.loc[("AU12", "best unit"), "share"] > 0.95
    assert found.loc[("AU12", "best unit"), "intensity_r"] > 0.8
    assert found.loc[("AU04", "best unit"), "share"] < 0.8
    assert found.loc[("AU04", "best few"), "units"] > 5
    assert found.loc[("AU04", "all units"), "ap"] > found.loc[("AU04", "best unit"), "ap_high"]
    assert found["share"].xs("all units", level="detector").dropna().eq(1).all()
    nothing = found.loc["AU01"]
    assert (nothing["ap_low"] < nothing["base_rate"] + 0.02).all()
    assert pd.isna(found.loc[("AU12", "all units"), "unit"])


def test_people_who_judge_had_no_say() -> None:
    """Some people always show it, and the layer tells who is who: that helps
    nobody whom it has not seen.
    """
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        person = np.repeat(np.arange(40), 6)
        shown = (rng.permutation(40) < 20)[person]
        activations = rng.normal(0, 1, (40, 60))[person] + rng.normal(0, 0.1, (240, 60))
        labels = pd.DataFrame({"AU12": shown}).astype("boolean")
        found.append(detectors(activations, labels, labels.astype(float), person)["ap"])
    assert (np.mean(found, axis=0) < 0.7).all()


def test_noise_is_read_as_often_as_it_is_shown_however_people_differ() -> None:
    """Pictures of some people show it often, of others hardly; nothing in the
    layer tells of it.
    """
    above = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        person = np.repeat(np.arange(24), 20)
        shown = rng.random(480) < rng.uniform(0, 0.6, 24)[person]
        labels = pd.DataFrame({"AU12": shown}).astype("boolean")
        found = detectors(
            rng.normal(0, 1, (480, 32)), labels, labels.astype(float), person
        ).set_index("detector")
        above.append(found["ap"] - found["base_rate"])
    assert np.abs(np.mean(above, axis=0)).max() < 0.03


@pytest.mark.slow
def test_a_single_unit_that_tells_it_is_not_drowned_by_a_few() -> None:
    """One of many units tells it: units that only seemed to on the people
    learned from are not taken along.
    """
    few = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        person, shown = (np.repeat(np.arange(20), 20), rng.random(400) < 0.2)
        activations = rng.normal(0, 1, (400, 256))
        activations[:, 7] += 1.2 * shown
        labels = pd.DataFrame({"AU12": shown}).astype("boolean")
        few.append(
            detectors(activations, labels, labels.astype(float), person)
            .set_index("detector")
            .loc["best few"]
        )
    assert np.mean([row["units"] for row in few]) < 8
    assert all(row["unit"] == 7 for row in few)


@pytest.mark.parametrize("penalty", [0.1, 10.0, 1000.0])
def test_ridge_is_scikit_learns(penalty: float) -> None:
    rng = np.random.default_rng(3)
    values, target = (rng.normal(0, 1, (40, 60)), rng.normal(0, 1, 40))
    wanted = Ridge(penalty, fit_intercept=False).fit(values, target).coef_
    np.testing.assert_allclose(probes.ridge(values, target, [penalty, 3.0])[0], wanted, atol=1e-9)


@pytest.mark.parametrize("people", [2, 3, 4])
def test_few_people_are_judged_as_far_as_they_go(people: int) -> None:
    rng = np.random.default_rng(people)
    person = np.repeat(np.arange(people), 40)
    shown = rng.random(len(person)) < 0.5
    labels = pd.DataFrame({"AU12": shown, "AU04": person % 2 == 0}).astype("boolean")
    activations = np.column_stack(
        [shown + rng.normal(1, 0.1, len(person)), rng.random(len(person))]
    )
    found = detectors(activations, labels, labels.astype(float), person, folds=2)
    one = found[(found["au"] == "AU12") & (found["detector"] == "best unit")].iloc[0]
    assert (one["unit"], one["ap"]) == (0, 1.0)


def test_numbers_equal_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    scores, shown = (rng.integers(0, 12, 120).astype(float), rng.random(120) < 0.3)
    weights = np.concatenate([np.ones((1, 120)), rng.integers(0, 4, (5, 120))]).astype(float)
    ours = probes.weighted_precision(scores, shown, weights)
    for found, row in zip(ours, weights, strict=True):
        assert found == pytest.approx(
            average_precision_score(shown, scores, sample_weight=row), abs=1e-9
        )
    threshold = probes._threshold(scores, shown)
    best = max(f1_score(shown, scores >= value) for value in np.unique(scores))
    assert f1_score(shown, scores >= threshold) == pytest.approx(best)
    assert probes._f1(scores >= threshold, shown) == pytest.approx(best)


def test_uncoded_pictures_are_left_out() -> None:
    activations, presence, intensity, person = layer()
    rows = np.arange(len(person)) % 3 > 0
    some = presence.copy()
    some.loc[~rows] = pd.NA
    all_of_some = detectors(activations[rows], presence[rows], intensity[rows], person[rows])
    pd.testing.assert_frame_equal(detectors(activations, some, intensity, person), all_of_some)


def test_too_few_people_are_refused_and_none_to_tell_is_an_empty_table() -> None:
    activations, presence, intensity, person = layer(people=4)
    with pytest.raises(InputError, match="5 folds of 4 people"):
        detectors(activations, presence, intensity, person)
    found = detectors(activations, presence[["AU05"]], intensity, np.arange(len(person)))
    assert found.empty
    assert list(found.columns) == COLUMNS
