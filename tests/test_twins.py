"""Whom a network reads worse: people and their twins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from torch import Tensor, nn

from duchenne.evidence import differences
from duchenne.experiments import twins
from duchenne.experiments.pair import Pair
from duchenne.faces.avatars import people
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.preparation.steps import Preparation

CLASSES = ("neutral", "happiness")


class Brightness(nn.Module):
    """Reads light faces as happy and dark ones as neutral, whatever they
    show.
    """

    def forward(self, pictures: Tensor) -> Tensor:
        light = pictures[:, :, 12:20, 8:24].mean((1, 2, 3))
        return torch.stack([-20 * (light - 0.4), 20 * (light - 0.4)], 1)


def rng() -> np.random.Generator:
    return np.random.default_rng((0, 0, 3))


def test_twins_differ_in_what_is_held_alone() -> None:
    basis = head_basis()
    drawn = people.draw_person(basis, rng())
    darker = people.draw_person(basis, rng(), traits={"skin": 0.12})
    assert np.array_equal(darker.shape, drawn.shape)
    assert darker.traits["skin"] == pytest.approx(0.12)
    same = [name for name in drawn.traits if name != "skin"]
    assert all(darker.traits[name] == drawn.traits[name] for name in same)
    for name in drawn.look.dtype.names:
        if name not in ("skin", "lips"):
            assert np.array_equal(darker.look[name], drawn.look[name]), name
    older = people.draw_person(basis, rng(), traits={"age": 0.9})
    assert older.look["hairline"] == drawn.look["hairline"]
    assert np.array_equal(older.look["skin"], drawn.look["skin"])
    woman = people.draw_person(basis, rng(), traits={"sex": 0.0})
    assert woman.look["stubble"] == 0
    assert woman.look["hairline"] == drawn.look["hairline"]
    assert not np.array_equal(woman.shape, drawn.shape)


def test_shares_of_ancestry_that_are_not_held_stay_as_they_were_to_each_other() -> None:
    basis = head_basis()
    drawn = people.draw_person(basis, rng()).traits
    held = people.draw_person(basis, rng(), traits={"asian": 0.5}).traits
    assert held["asian"] == pytest.approx(0.5)
    assert held["african"] + held["caucasian"] == pytest.approx(0.5)
    assert held["african"] / held["caucasian"] == pytest.approx(
        drawn["african"] / drawn["caucasian"]
    )
    alone = people.draw_person(basis, rng(), traits={"asian": 1.0}).traits
    assert (alone["african"], alone["caucasian"]) == (0, 0)


@pytest.mark.parametrize(
    ("traits", "says"),
    [
        ({"height": 1.0}, "'height': not one of sex, age"),
        ({"age": 1.5}, "age: 1.5 is not in 0.0 … 1.0"),
        ({"asian": 0.7, "african": 0.7}, "add up to more than 1"),
    ],
)
def test_traits_that_nobody_has_are_refused(traits: dict[str, float], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        AvatarSettings(traits=traits)


def test_people_without_held_traits_stay_in_the_cache_where_they_were() -> None:
    plain = AvatarSettings(people=2)
    assert plain.fingerprint() == AvatarSettings(people=2, traits={}).fingerprint()
    held = {AvatarSettings(people=2, traits={"age": age}).fingerprint() for age in (0.1, 0.9)}
    assert len({plain.fingerprint(), *held}) == 3


def test_differences_of_twins_are_those_of_a_paired_t_test() -> None:
    values = np.random.default_rng(0).normal(0.4, 1, (20, 2, 3))
    found = differences.of_twins(values, ["age", "skin"], ["a", "x: b", "x: c"])
    wanted = stats.ttest_1samp(values.reshape(20, 6), 0)
    interval = wanted.confidence_interval()
    np.testing.assert_allclose(found["effect"], values.mean(0).ravel())
    np.testing.assert_allclose(found["p"], wanted.pvalue)
    np.testing.assert_allclose(found["low"], interval.low)
    np.testing.assert_allclose(found["high"], interval.high)
    for measures in (["a"], ["x: b", "x: c"]):
        inorder = found[found["measure"].isin(measures)].sort_values("p")
        weights = np.arange(len(inorder), 0, -1)
        by_hand = np.maximum.accumulate(inorder["p"].to_numpy() * weights).clip(max=1)
        np.testing.assert_allclose(inorder["p_holm"], by_hand)


def test_false_alarms_of_twins_stay_within_the_level() -> None:
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(400):
        found = differences.of_twins(
            rng.normal(0, 1, (24, 7, 3)), list("abcdefg"), ["x: a", "x: b", "x: c"]
        )
        alarms += (found["p_holm"] <= 0.05).any()
    assert stats.binomtest(alarms, 400, 0.05).pvalue > 0.01


def test_correlations_with_traits_are_scipys() -> None:
    rng = np.random.default_rng(2)
    traits = pd.DataFrame({"age": rng.random(30), "same": 1.0})
    measured = pd.DataFrame({"accuracy": traits["age"] + rng.normal(0, 0.5, 30)})
    measured.loc[3, "accuracy"] = np.nan
    found = differences.of_drawn(measured, traits).set_index("trait")
    known = measured["accuracy"].notna()
    wanted = stats.spearmanr(traits["age"][known], measured["accuracy"][known])
    assert found.loc["age", "effect"] == pytest.approx(wanted.statistic)
    assert found.loc["age", "p"] == pytest.approx(wanted.pvalue)
    assert found.loc["age", "people"] == 29
    assert found.loc["age", "low"] < wanted.statistic < found.loc["age", "high"]
    assert np.isnan(found.loc["same", "p"])


def test_intervals_of_rank_correlations_cover() -> None:
    rng = np.random.default_rng(3)
    wanted = 6 / np.pi * np.arcsin(0.5 / 2)  # of normal variables of correlation 0.5
    covered = 0
    for _ in range(300):
        one, other = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]], 40).T
        row = differences.of_drawn(pd.DataFrame({"m": one}), pd.DataFrame({"t": other})).iloc[0]
        covered += row["low"] <= wanted <= row["high"]
    assert 0.92 <= covered / 300 <= 0.98


@pytest.mark.slow
def test_a_network_that_goes_by_brightness_is_found_out() -> None:
    prepare = Preparation(()).fit(torch.zeros(1, 1, 32, 32))
    pair = Pair(Brightness(), (), prepare, CLASSES)
    settings = AvatarSettings(people=16, seed=1000, size=32, samples=1)
    rendered = twins.render(settings, 32, 1)
    found = twins.compare(pair, rendered).set_index(["trait", "measure"])
    happy = found.xs(f"{twins.NEUTRAL}happiness", level="measure")
    assert happy.loc["skin", "effect"] > 1
    assert happy.loc["skin", "p_holm"] < 0.001
    assert happy["effect"].abs().idxmax() == "skin"
    slower = _by_hand(pair, rendered)
    assert happy.loc["skin", "effect"] == pytest.approx(slower, rel=1e-4)


def _by_hand(pair: Pair, rendered: twins.Twins) -> float:
    """Log-odds of happiness on neutral faces, light less dark, one by one."""
    differences_ = []
    low, high = twins.LEVELS["skin"]
    for person in rendered.sets["skin", low].table.frame["subject"].unique():
        values = []
        for level in (low, high):
            faces = rendered.sets["skin", level]
            frame = faces.table.frame
            rows = np.flatnonzero((frame["subject"] == person) & (frame["expression"] == "neutral"))
            outputs = pair.trained(pair.prepare(torch.from_numpy(faces.floats(rows))))
            values.append(float((outputs[:, 1] - outputs[:, 0]).mean()))
        differences_.append(values[1] - values[0])
    return float(np.mean(differences_))
