"""Detectors against scikit-learn and against units whose part in an action unit is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score

from duchenne.errors import InputError
from duchenne.evidence import detection
from duchenne.evidence.detection import COLUMNS, detectors


def layer(seed: int = 0, people: int = 20, each: int = 20) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame, np.ndarray]:
    """AU12 is in unit 3 alone, AU04 spread over units 4 to 23 and in none of them clearly, AU01 in none, AU05 is rare."""
    rng = np.random.default_rng(seed)
    count = people * each
    intensity = {au: np.where(rng.random(count) < 0.4, rng.integers(1, 6, count), 0) for au in ("AU12", "AU04", "AU01")}
    intensity["AU05"] = (np.arange(count) < 4).astype(int)
    person = np.repeat(np.arange(people), each)
    peaks = rng.normal(0, 1, (count, 30)) + rng.normal(0, 0.5, (people, 30))[person]
    peaks[:, 3] -= 2.0 * intensity["AU12"]  # the less the more
    peaks[:, 4:24] += 0.25 * intensity["AU04"][:, None]
    frame = pd.DataFrame(intensity).astype(float)
    return peaks, (frame > 0).astype("boolean"), frame, person


def test_one_unit_and_many_are_told_apart() -> None:
    found = detectors(*layer()).set_index(["au", "detector"])
    assert set(found.index.get_level_values("au")) == {"AU12", "AU04", "AU01"}
    assert found.loc[("AU12", "one unit"), ["unit", "units"]].tolist() == [3, 1]
    assert found.loc[("AU12", "one unit"), "ap"] > 0.95
    assert found.loc[("AU12", "one unit"), "share"] > 0.95
    assert found.loc[("AU12", "one unit"), "intensity_r"] > 0.8
    assert found.loc[("AU04", "one unit"), "share_high"] < 0.8
    assert found.loc[("AU04", "few units"), "units"] > 5
    assert found.loc[("AU04", "all units"), "ap"] > found.loc[("AU04", "one unit"), "ap_high"]
    assert found["share"].xs("all units", level="detector").dropna().eq(1).all()
    nothing = found.loc["AU01"]
    assert (nothing["ap_low"] < nothing["prevalence"] + 0.02).all()
    assert nothing["share"].isna().all() or (nothing["share_low"] < 0.5).any()


def test_people_who_judge_had_no_say() -> None:
    """Every person has a unit of their own that gives the label away: nobody else's helps."""
    rng = np.random.default_rng(1)
    shown, person = rng.random(300) < 0.5, np.repeat(np.arange(10), 30)
    peaks = np.where(person[:, None] == np.arange(10), shown[:, None] * 5.0, 0) + rng.normal(0, 0.1, (300, 10))
    labels = pd.DataFrame({"AU12": shown}).astype("boolean")
    found = detectors(peaks, labels, labels.astype(float), person)
    assert (found["ap"] < 0.65).all()


def test_numbers_equal_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    scores, shown = rng.integers(0, 12, 120).astype(float), rng.random(120) < 0.3
    weights = np.concatenate([np.ones((1, 120)), rng.integers(0, 4, (5, 120))]).astype(float)
    ours = detection.weighted_precision(scores, shown, weights)
    for found, row in zip(ours, weights, strict=True):
        assert found == pytest.approx(average_precision_score(shown, scores, sample_weight=row), abs=1e-9)
    threshold = detection._threshold(scores, shown)
    best = max(f1_score(shown, scores >= value) for value in np.unique(scores))
    assert f1_score(shown, scores >= threshold) == pytest.approx(best)
    assert detection._f1(scores >= threshold, shown) == pytest.approx(best)


def test_uncoded_pictures_are_left_out() -> None:
    peaks, presence, intensity, person = layer()
    rows = np.arange(len(person)) % 3 > 0
    some = presence.copy()
    some.loc[~rows] = pd.NA
    all_of_some = detectors(peaks[rows], presence[rows], intensity[rows], person[rows])
    pd.testing.assert_frame_equal(detectors(peaks, some, intensity, person), all_of_some)


def test_too_few_people_are_refused_and_none_to_tell_is_an_empty_table() -> None:
    peaks, presence, intensity, person = layer(people=4)
    with pytest.raises(InputError, match="5 folds of 4 people"):
        detectors(peaks, presence, intensity, person)
    found = detectors(peaks, presence[["AU05"]], intensity, np.arange(len(person)))
    assert found.empty
    assert list(found.columns) == COLUMNS
