"""Dose–response against loops, SciPy and answers that are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats import binom

from duchenne.errors import InputError
from duchenne.evidence.doses import beside_dealt, dose_response, movers

DOSES = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0])
NAMES = ["AU01", "AU12", "AU26"]


def answers(seed: int = 0, people: int = 15, units: int = 5) -> np.ndarray:
    """Unit 0 is moved by nothing; unit 1 by AU12, unit 2 by AU12 and, less, by
    AU26, downwards; the others by noise.
    """
    rng = np.random.default_rng(seed)
    found = np.repeat(rng.uniform(1, 2, (people, 1, 1, units)), 3, 1) + np.zeros((1, 1, 6, 1))
    found[..., 1:] += rng.normal(0, 0.05, (people, 3, 6, units - 1))
    found[:, 1, :, 1] += 2 * DOSES
    found[:, 1, :, 2] -= 3 * DOSES
    found[:, 2, :, 2] += DOSES
    found[:, :, 0] = found[:, :1, 0]  # the same face
    return found


def test_slopes_effects_and_monotony_equal_loops() -> None:
    given, scale = (answers(), np.array([1, 0.5, 2, 1, 1]))
    frame = dose_response(given, NAMES, DOSES, scale).set_index(["unit", "au"])
    assert len(frame) == 15
    for unit, number in np.ndindex(5, 3):
        curves = (given[:, number, :, unit] - given[:, number, :1, unit]) / scale[unit]
        slopes = [np.linalg.lstsq(DOSES[:, None], curve, rcond=None)[0].item() for curve in curves]
        row = frame.loc[(unit, NAMES[number])]
        assert row["slope"] == pytest.approx(np.mean(slopes), abs=1e-9)
        assert row["effect"] == pytest.approx(curves[:, -1].mean(), abs=1e-9)
        if unit:
            taus = [stats.kendalltau(DOSES, curve).statistic for curve in curves]
            assert row["monotone"] == pytest.approx(np.mean(taus), abs=1e-9)
            low, high = stats.bootstrap(
                (np.array(slopes),), np.mean, method="percentile", random_state=0
            ).confidence_interval
            assert (row["low"], row["high"]) == pytest.approx((low, high), abs=0.02)
    assert (frame.loc[0] == 0).all().all()


def test_selectivity_sets_an_action_unit_against_the_strongest_other_one() -> None:
    frame = dose_response(answers(), NAMES, DOSES, np.ones(5)).set_index(["unit", "au"])
    effect = frame["effect"].abs().unstack()
    for unit, au in frame.index:
        other = effect.loc[unit].drop(au).max()
        total = effect.loc[unit, au] + other
        assert frame.loc[(unit, au), "selectivity"] == pytest.approx(
            (effect.loc[unit, au] - other) / total if total else 0
        )
    assert frame.loc[(1, "AU12"), "selectivity"] > 0.9
    assert frame.loc[(2, "AU12"), "selectivity"] == pytest.approx(0.5, abs=0.05)


def test_movers_are_the_units_that_something_moves_with_what_moves_them_most() -> None:
    found = movers(dose_response(answers(), NAMES, DOSES, np.ones(5)))
    assert found[["unit", "au"]].values.tolist() == [[1, "AU12"], [2, "AU12"]]
    assert found["effect"].round().tolist() == [2, -3]


def test_units_without_scale_and_doses_that_do_not_rise() -> None:
    frame = dose_response(answers(), NAMES, DOSES, np.zeros(5))
    assert np.isfinite(frame[["slope", "low", "high", "effect"]]).all().all()
    for doses in ([0.2, 0.4, 0.6, 0.8, 0.9, 1.0], [0, 0.4, 0.2, 0.6, 0.8, 1.0]):
        with pytest.raises(InputError, match="expected to rise from 0"):
            dose_response(answers(), NAMES, doses, np.ones(5))


def test_where_too_few_were_stimulated_nothing_is_said_of_what_holds() -> None:
    found = pd.DataFrame({"unit": [0, 1], "au": ["AU01", "AU12"], "r": 0.5})
    responses = pd.DataFrame(
        {"unit": [0, 0, 1, 1], "au": ["AU01", "AU12"] * 2, "effect": 3.0, "low": np.nan}
    )
    told = beside_dealt(found, responses, ["AU01", "AU12"]).set_index("claim")
    assert np.isnan(told.loc["holds", ["share", "dealt", "low", "high"]].to_numpy(float)).all()
    assert told.loc["most", "share"] == told.loc["most", "share"]


def test_names_dealt_anew_are_the_null_of_what_holds() -> None:
    """Units that answer to every action unit hold whatever name they are
    given; those that answer to one hold by theirs.
    """
    names = [f"AU{number:02d}" for number in (1, 2, 4, 5)]
    found = pd.DataFrame({"unit": range(40), "au": np.array(names)[np.arange(40) % 4], "r": 0.5})
    pairs = pd.MultiIndex.from_product([range(40), names], names=["unit", "au"]).to_frame(
        index=False
    )
    own = pairs["au"].to_numpy() == np.array(names)[pairs["unit"] % 4]
    every, one = (
        beside_dealt(found, pairs.assign(effect=np.where(own, 2.0, 1.0), low=low), names).iloc[0]
        for low in (1.0, np.where(own, 1.0, -1.0))
    )
    assert (every["share"], every["dealt"]) == (1, 1)
    assert one["share"] == 1
    assert one["dealt"] == pytest.approx(0.25, abs=0.01)
    few, many = binom.ppf([0.025, 0.975], 40, 0.25) / 40
    assert one["low"] == pytest.approx(1 - many, abs=0.026)
    assert one["high"] == pytest.approx(1 - few, abs=0.026)
