"""Who may be exchanged with whom: the tree, its rearrangements, and what goes
wrong where it is not kept.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from duchenne.errors import InputError
from duchenne.evidence import match, significance
from duchenne.evidence.exchangeability import Arrangements, Exchangeability, apparent_neutral


def every(tree: Exchangeability, count: int = 400) -> set[tuple[int, ...]]:
    return {tuple(moved.tolist()) for moved in Arrangements(tree, count)}


def test_sequences_of_other_lengths_are_not_exchanged() -> None:
    tree = Exchangeability.of(list("aaaaaa"), list("xxyyyy"))
    assert tree.distinct == 1
    assert every(tree) == {(0, 1, 2, 3, 4, 5)}


def test_sequences_with_neutral_at_other_places_are_not_exchanged() -> None:
    neutral = [True, False, False, False, True, False]
    assert every(Exchangeability.of(list("aaaaaa"), list("xxyyzz"), neutral=neutral)) == {
        (0, 1, 2, 3, 4, 5),
        (4, 5, 2, 3, 0, 1),
    }


def test_frames_are_taken_in_the_order_of_their_numbers() -> None:
    tree = Exchangeability.of(list("aaaa"), list("xxyy"), frames=[1, 2, 20, 3])
    assert every(tree) == {(0, 1, 2, 3), (3, 2, 1, 0)}


def test_people_are_exchanged_whole_where_each_of_their_sequences_is_the_only_one_of_its_kind() -> (
    None
):
    people, takes = list("aaabbbc"), list("stttuvv")
    takes = ["a1", "a2", "a2", "b1", "b2", "b2", "c1"]
    assert every(Exchangeability.of(people, takes)) == {
        (0, 1, 2, 3, 4, 5, 6),
        (3, 4, 5, 0, 1, 2, 6),
    }


def test_within_strata_a_persons_labels_stay_together() -> None:
    people = np.repeat(list("abc"), 4)
    takes = np.repeat([f"{person}{shown}" for person in "abc" for shown in ("joy", "fear")], 2)
    strata = np.tile(np.repeat(["joy", "fear"], 2), 3)
    tree = Exchangeability.of(people, takes).within(strata)
    assert tree.distinct == 6
    for moved in Arrangements(tree, 50):
        assert (strata[moved] == strata).all()
        given = people[moved].reshape(3, 4)
        assert (given == given[:, :1]).all()


def test_a_tree_of_ones_own_permutes_as_its_indices_say() -> None:
    """Winkler et al. 2015: two families of two pairs each, pairs exchanged
    within a family, and families as wholes.
    """
    blocks = [[1, family, -pair] for family in (1, 2) for pair in (1, 2) for _ in range(2)]
    tree = Exchangeability.from_blocks(blocks)
    assert tree.distinct == 2 * 2 * 2
    expected = set()
    for families in itertools.permutations([[[0, 1], [2, 3]], [[4, 5], [6, 7]]]):
        for first, second in itertools.product(
            *(itertools.permutations(pairs) for pairs in families)
        ):
            expected.add(tuple(itertools.chain(*first, *second)))
    assert every(tree) == expected
    frame = pd.DataFrame({"AU12": np.tile([True, False], 20)}).astype("boolean")
    own = Exchangeability.from_blocks(np.ones((40, 1), int))
    told = match(
        np.arange(40.0)[:, None],
        frame,
        ["one"] * 40,
        ["one"] * 40,
        permutations=99,
        exchangeability=own,
    )
    assert told["p"][0] > 0.05


def test_a_tree_of_ones_own_is_refused_where_its_indices_say_nothing() -> None:
    with pytest.raises(InputError, match="other than 0"):
        Exchangeability.from_blocks([[1, 0]])
    with pytest.raises(InputError, match="positive and a negative"):
        Exchangeability.from_blocks([[1, 1], [-1, 1]])
    with pytest.raises(InputError, match="subjects 2, sequences 3"):
        Exchangeability.of(list("ab"), list("xyz"))


@pytest.mark.parametrize("seed", range(5))
def test_as_many_distinct_rearrangements_as_are_counted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people, takes = (rng.integers(0, 3, 10), rng.integers(0, 4, 10))
    tree = Exchangeability.of(people, [f"{p}-{t}" for p, t in zip(people, takes, strict=True)])
    assert len(every(tree, 3000)) == tree.distinct


def test_rearrangements_are_equally_likely() -> None:
    tree = Exchangeability.of(list("abcd"), list("wxyz"))
    counts = pd.Series(
        [tuple(moved.tolist()) for moved in Arrangements(tree, 24_000)]
    ).value_counts()
    assert len(counts) == math.factorial(4)
    assert stats.chisquare(counts).pvalue > 0.001


def test_too_few_rearrangements_are_said_in_one_line() -> None:
    labels = pd.DataFrame({"AU12": np.arange(40) % 20 < 10}).astype("boolean")
    with pytest.warns(
        UserWarning, match="only 2 distinct rearrangements of the labels: p cannot fall to 0.05"
    ):
        match(
            np.arange(40.0)[:, None],
            labels,
            ["a"] * 40,
            ["s"] * 20 + ["t"] * 20,
            permutations=19,
            neutral=[False] * 40,
        )


def test_who_is_not_named_stands_alone() -> None:
    assert Exchangeability.of([None] * 3, [None] * 3).distinct == 6
    assert Exchangeability.of([None] * 3, ["s", "s", "t"]).distinct == 1


def test_neutral_frames_are_taken_from_the_labels_where_nobody_names_them() -> None:
    present = np.array([[0, 1, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]], bool).reshape(-1, 1)
    sequence = np.repeat(list("wxyz"), 3)
    told = apparent_neutral(present, ["a"] * 12, sequence).reshape(4, 3)
    assert told.tolist() == [[True, False, False]] * 2 + [[False, False, True], [True, True, True]]
    told = apparent_neutral(present[:6].repeat(1, 0), ["a"] * 6, sequence[:6]).reshape(2, 3)
    assert told.tolist() == [[True, False, False]] * 2


def null_study(
    seed: int, lost: float, people: int = 24, takes: int = 4
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Units that answer to any movement, and labels of sequences that they
    know nothing of; frames are lost at random.
    """
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product(
        [range(people), range(takes), range(4)], names=["person", "take", "frame"]
    )
    faces = rows.to_frame(index=False)
    shown = (rng.random((people * takes, 5)) < 0.3)[faces["person"] * takes + faces["take"]]
    labels = shown & (faces["frame"] > 0).to_numpy()[:, None]
    units = rng.normal(size=(people * takes, 10))[faces["person"] * takes + faces["take"]]
    units = (
        units + 2 * (faces["frame"] > 0).to_numpy()[:, None] + 0.3 * rng.normal(size=units.shape)
    )
    kept = rng.random(len(faces)) >= lost
    return units[kept], labels[kept], faces[kept].reset_index(drop=True)


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False])
def test_lost_frames_make_no_detectors(told: bool) -> None:
    """A tenth of the frames is gone; labels moved "by the share of the way"
    declared a detector in most such studies.
    """
    runs, found = 60, 0
    for seed in range(runs):
        units, labels, faces = null_study(seed, 0.1)
        take = faces["person"].astype(str) + "-" + faces["take"].astype(str)
        neutral = (
            faces["frame"] == 0
            if told
            else apparent_neutral(labels, faces["person"], take, faces["frame"])
        )
        tree = Exchangeability.of(faces["person"], take, frames=faces["frame"], neutral=neutral)
        sure = significance.against(
            units, labels, np.ones_like(labels), Arrangements(tree, 99, 1000 + seed)
        )
        found += bool((sure.family <= 0.05).any())
    assert found <= stats.binom.ppf(0.999, runs, 0.05)


@pytest.mark.slow
def test_person_effects_make_no_detectors_within_an_expression() -> None:
    """People differ in how often they show an action unit and in the unit's
    level, and nothing else.
    """
    runs, found = 100, 0
    people, shown = (np.repeat(np.arange(16), 7), np.tile(np.arange(7), 16).astype(str))
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        often = rng.random(16)[people]
        labels = rng.random(112) < often
        units = rng.normal(size=16)[people] + 0.3 * rng.normal(size=112)
        tree = Exchangeability.of(people, np.arange(112)).within(shown)
        arrangements = Arrangements(tree, 99, 1000 + seed)
        coded = np.ones((112, 1), bool)
        sure = significance.against(
            units[:, None], labels[:, None], coded, arrangements, strata=shown
        )
        found += bool(sure.alone[0, 0] <= 0.05)
    assert found <= stats.binom.ppf(0.999, runs, 0.05)


def test_where_labels_cannot_move_nothing_is_found() -> None:
    """Films of different lengths, a person each: one arrangement only, and
    rounding is no evidence.
    """
    for seed in range(4):
        rng = np.random.default_rng(seed)
        people = np.repeat(np.arange(12), np.arange(20, 32))
        labels = (rng.random(len(people)) < 0.5)[:, None]
        tree = Exchangeability.of(people, people)
        assert tree.distinct == 1
        sure = significance.against(
            rng.normal(size=(len(people), 64)),
            labels,
            np.ones_like(labels),
            Arrangements(tree, 999, seed),
        )
        assert (sure.family == 1).all()
        assert (sure.alone == 1).all()
        assert not sure.null_units.any()


def test_p_is_never_less_than_the_rearrangements_allow() -> None:
    people = np.repeat(np.arange(4), 10)
    labels = (np.arange(40) < 10)[:, None]
    tree = Exchangeability.of(people, people)
    units = labels + np.random.default_rng(0).normal(0, 0.01, (40, 5))
    sure = significance.against(units, labels, np.ones_like(labels), Arrangements(tree, 999))
    assert tree.distinct == 24
    assert sure.family.min() >= 1 / 24
    assert sure.alone.min() >= 1 / 24


def test_few_counterparts_are_said_in_one_line() -> None:
    lengths = [3, 3, 3, 3, 3, *range(10, 30)]
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    tree = Exchangeability.of(["one"] * len(sequence), sequence)
    assert tree.too_few(0.05).startswith("only 4% of the pictures have counterparts")


def test_arrangements_are_the_same_however_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = ["a"] * 6 + list("bbccdd") + ["e"] * 4
    takes = list("uuvvww") + list("xxyyzz") + list("stst")
    tree = Exchangeability.of(people, takes).within(["joy"] * 16)
    assert len(tree.levels) == 2
    every = np.concatenate(list(Arrangements(tree, 50, 3).blocks()))
    monkeypatch.setattr("duchenne.evidence.exchangeability._AT_ONCE", 16 * 7)
    np.testing.assert_array_equal(np.concatenate(list(Arrangements(tree, 50, 3).blocks())), every)


def test_a_tree_of_other_pictures_is_refused() -> None:
    labels = pd.DataFrame({"AU12": np.arange(40) % 2 == 0}).astype("boolean")
    other = Exchangeability.of(["a"] * 20, range(20))
    with pytest.raises(InputError, match="exchangeability: of 20 pictures, and there are 40"):
        match(np.ones((40, 1)), labels, ["a"] * 40, range(40), exchangeability=other)
    with pytest.raises(InputError, match="permutations 0"):
        match(np.ones((40, 1)), labels, ["a"] * 40, range(40), permutations=0)


def test_an_action_unit_that_no_exchange_changes_is_said_to_be_untestable() -> None:
    """Two frames a person, neutral and apex, and a smile at every apex:
    whoever is exchanged, all smile.
    """
    apex, people = np.arange(40) % 2 == 1, np.arange(40) // 2
    labels = pd.DataFrame({"AU12": apex, "AU04": np.isin(people, range(10)) & apex}).astype(
        "boolean"
    )
    activations = np.random.default_rng(0).normal(size=(40, 3)) + apex[:, None]
    with pytest.warns(
        UserWarning,
        match="^AU12: exchanging labels changes none of them, so that nothing can be tested",
    ):
        found = match(activations, labels, people, people, permutations=99)
    assert (found.loc[found["au"] == "AU12", "p"] == 1).all()


@pytest.mark.parametrize("value", [9, -1, 0.5, "yes"])
def test_labels_are_present_absent_or_not_coded(value: object) -> None:
    labels = pd.DataFrame({"AU12": pd.Series([1, 0] * 20, dtype=object)})
    labels.loc[3, "AU12"] = value
    with pytest.raises(
        InputError, match=f"labels: column 'AU12': {value!r}; expected true or false, or NA"
    ):
        match(np.ones((40, 1)) * np.arange(40)[:, None], labels, np.arange(40), np.arange(40))
