"""Validity of scores with what moves units, counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from duchenne.evidence.scores import sizes
from duchenne.evidence.validity import repeatability, validity

NAMES = ["AU01", "AU04", "AU12", "AU26"]


def studied(seed: int = 0, units: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    index = {"unit": np.repeat(np.arange(units), 4), "au": np.tile(NAMES, units)}
    effect = rng.normal(0, 0.6, units * 4)
    columns = {score.partition(",")[0]: rng.normal(0, 0.5, units * 4) for score in sizes()}
    columns["r"] = effect + rng.normal(0, 0.5, units * 4)
    counts = {
        "n_with": np.tile([3, 50, 50, 50], units),
        "n_without": np.tile([97, 50, 50, 50], units),
    }
    return pd.DataFrame(index | counts | columns), pd.DataFrame(index | {"effect": effect})


@pytest.mark.parametrize("score", list(sizes()))
def test_validity_equals_a_count_unit_by_unit(score: str) -> None:
    evidence, responses = studied()
    row = validity(evidence, responses).set_index("score").loc[score]
    column = score.partition(",")[0]
    hits, named, moved = 0, [], []
    for unit in range(40):
        effect = responses.loc[responses["unit"] == unit, "effect"].to_numpy()
        if np.abs(effect).max() < 0.5:
            continue
        values = evidence.loc[evidence["unit"] == unit, column].to_numpy()
        if score == "auroc":
            values = np.abs(values - 0.5)
        elif score in ("r", "r_within"):
            values = np.abs(values)
        named.append(int(values.argmax()))
        moved.append(int(np.abs(effect).argmax()))
        hits += named[-1] == moved[-1]
    count = len(moved)
    assert row["units"] == count < 40
    assert row["validity"] == pytest.approx(hits / count)
    shares = [np.bincount(each, minlength=4) / count for each in (named, moved)]
    assert row["chance"] == pytest.approx(shares[0] @ shares[1])
    assert row["named_rare"] == pytest.approx(np.mean(np.array(named) == 0))
    assert row["moved_by_rare"] == pytest.approx(np.mean(np.array(moved) == 0))


def test_the_percentile_is_that_of_the_unit_chosen_for_each_action_unit() -> None:
    evidence, responses = studied()
    row = validity(evidence, responses).set_index("score").loc["kl"]
    below = []
    for au in NAMES:
        scores = evidence.loc[evidence["au"] == au].set_index("unit")["kl"]
        sizes = responses.loc[responses["au"] == au].set_index("unit")["effect"].abs()
        below.append((sizes < sizes[scores.idxmax()]).sum() / 39)
    assert row["percentile"] == pytest.approx(np.mean(below))


def test_a_score_that_knows_agrees_and_one_that_does_not_is_at_chance() -> None:
    found = validity(*studied(units=400)).set_index("score")
    assert found.loc["r", "validity"] > 2 * found.loc["r", "chance"]
    assert abs(found.loc["kl", "validity"] - found.loc["kl", "chance"]) < 0.08


def test_action_units_that_only_one_side_knows_cannot_be_named() -> None:
    evidence, responses = studied()
    found = validity(evidence[evidence["au"] != "AU12"], responses)
    assert found["action_units"].eq(3).all()
    others = evidence[evidence["au"] == "AU12"].assign(au="AU23", r=9.0)
    pd.testing.assert_frame_equal(
        validity(pd.concat([evidence, others]), responses), validity(evidence, responses)
    )
    assert validity(others, responses)["units"].eq(0).all()
    nothing = validity(evidence, responses.assign(effect=0.0))
    assert nothing["units"].eq(0).all()
    assert nothing["validity"].isna().all()


def test_what_moves_units_is_compared_between_halves_of_the_people() -> None:
    _, responses = studied()
    rng = np.random.default_rng(1)
    other = responses.assign(effect=responses["effect"] + rng.normal(0, 0.05, len(responses)))
    (row,) = repeatability(responses, other).to_dict("records")
    sizes = {
        name: frame["effect"].abs().to_numpy().reshape(40, 4)
        for name, frame in (("one", responses), ("other", other))
    }
    moved = sizes["other"].max(1) >= 0.5
    same = sizes["one"].argmax(1)[moved] == sizes["other"].argmax(1)[moved]
    assert (row["score"], row["units"]) == ("split-half", moved.sum())
    assert row["validity"] == pytest.approx(same.mean())
    assert 0.8 < row["validity"] < 1
