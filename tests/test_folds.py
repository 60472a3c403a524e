from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from duchenne.errors import InputError
from duchenne.faces.folds import split
from duchenne.faces.table import FaceTable


def people_table(pictures_each: list[int]) -> FaceTable:
    rows = [
        {
            "path": f"{person}-{i}",
            "subject": f"s{person:02d}",
            "expression": ("fear", "anger")[(person + i) % 2],
        }
        for person, count in enumerate(pictures_each)
        for i in range(count)
    ]
    return FaceTable(pd.DataFrame(rows), Path())


def test_khorrami2015_puts_the_ith_subject_into_part_i_modulo_ten() -> None:
    table = people_table([4] * 23)
    folds = split(table, "khorrami2015", 10)
    for number, fold in enumerate(folds):
        tested = sorted(set(table.frame["subject"][fold.test]))
        assert tested == [f"s{i:02d}" for i in range(23) if i % 10 == number]
        validated = sorted(set(table.frame["subject"][fold.validation]))
        assert validated == [f"s{i:02d}" for i in range(23) if i % 10 == (number + 1) % 10]


@pytest.mark.parametrize("rule", ["khorrami2015", "stratified"])
def test_no_person_stands_on_two_sides_and_every_picture_is_tested_once(rule: str) -> None:
    table = people_table([2, 5, 3, 8, 4, 6, 2, 9, 7, 4])
    folds = split(table, rule, 5)
    assert (sum(fold.test.astype(int) for fold in folds) == 1).all()
    for fold in folds:
        sides = [
            set(table.frame["subject"][side]) for side in (fold.train, fold.validation, fold.test)
        ]
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]
        assert fold.train.any()


@pytest.mark.parametrize(
    ("table", "rule", "count", "message"),
    [
        (people_table([2] * 4), "khorrami2015", 5, "only 4 people"),
        (people_table([2] * 4), "khorrami2015", 2, "at least 3"),
        (people_table([1, 0] * 5), "khorrami2015", 3, "only one expression"),
        (people_table([2] * 5), "by_mood", 3, "'by_mood'"),
    ],
)
def test_tables_that_cannot_be_split_are_refused(
    table: FaceTable, rule: str, count: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        split(table, rule, count)


def test_an_expression_that_no_training_picture_shows_is_named() -> None:
    frame = people_table([2] * 5).frame
    frame.loc[frame["subject"] == "s00", "expression"] = "sadness"
    with pytest.raises(InputError, match="train without sadness"):
        split(FaceTable(frame, Path()), "khorrami2015", 5)


def test_stratified_folds_with_too_few_pictures_are_refused() -> None:
    frame = pd.DataFrame({"path": list("abcdefgh"), "subject": list("abcdefgh")})
    frame["expression"] = [
        "fear",
        "fear",
        "anger",
        "anger",
        "sadness",
        "sadness",
        "neutral",
        "neutral",
    ]
    with pytest.raises(InputError, match="fewer pictures"):
        split(FaceTable(frame, Path()), "stratified", 5)


def test_leave_one_subject_out_tests_each_person_once() -> None:
    table = people_table([3, 4, 5, 6])
    folds = split(table, "leave-one-subject-out", 0)
    assert [set(table.frame["subject"][fold.test]) for fold in folds] == [
        {name} for name in table.subjects
    ]
    assert [int(fold.test.sum()) for fold in folds] == [3, 4, 5, 6]


def test_the_sets_own_sides_are_taken_as_they_are() -> None:
    table = people_table([4] * 6)
    sides = np.tile(["train", "train", "validation", "test"], 6)
    (fold,) = split(replace(table, frame=table.frame.assign(split=sides)), "official", 0)
    assert [mask.tolist() for mask in (fold.train, fold.validation, fold.test)] == [
        (sides == name).tolist() for name in ("train", "validation", "test")
    ]
    five = replace(
        table, frame=table.frame.assign(**{f"split_{i}": np.roll(sides, i) for i in range(1, 6)})
    )
    assert [fold.test.tolist() for fold in split(five, "official", 0)] == [
        (np.roll(sides, i) == "test").tolist() for i in range(1, 6)
    ]


def test_a_set_without_test_pictures_is_tested_on_its_validation_part() -> None:
    table = people_table([4] * 20)
    sides = np.where(np.arange(80) < 60, "train", "validation")
    (fold,) = split(replace(table, frame=table.frame.assign(split=sides)), "official", 0)
    np.testing.assert_array_equal(fold.test, sides == "validation")
    np.testing.assert_array_equal(fold.train | fold.validation, sides == "train")
    assert fold.validation.any()
    subject = table.frame["subject"]
    assert not set(subject[fold.train]) & set(subject[fold.validation])


def test_random_200_leaks_and_people_200_does_not() -> None:
    table = people_table([10] * 100)
    (leaking,), (honest,) = (split(table, "random-200", 0), split(table, "people-200", 0))
    assert int(leaking.test.sum()) == 200
    subject = table.frame["subject"].to_numpy()
    trained = set(subject[leaking.train])
    assert leaking.leaked(table) == sum(name in trained for name in subject[leaking.test]) > 150
    assert honest.leaked(table) == 0
    assert 200 <= int(honest.test.sum()) < 210
    assert not set(subject[honest.train]) & set(subject[honest.validation])


@pytest.mark.parametrize("sizes", [[7] * 100, [250, 3, 20, 30] * 20, [1] * 700])
def test_people_200_tests_and_validates_on_at_least_200_pictures(sizes: list[int]) -> None:
    table = people_table(sizes)
    for seed in range(5):
        (fold,) = split(table, "people-200", 0, seed)
        for side in (fold.test, fold.validation):
            people = table.frame["subject"][side].value_counts(sort=False)
            assert people.sum() >= 200
            assert people.sum() - people.iloc[-1] < 200 or people.sum() - people.max() < 200
        assert fold.leaked(table) == 0


def test_another_set_is_tested_on_and_never_trained_on() -> None:
    table = people_table([4] * 20)
    dataset = np.where(np.arange(80) < 48, "ckplus", "jaffe")
    (fold,) = split(replace(table, frame=table.frame.assign(dataset=dataset)), "other-set", 0)
    np.testing.assert_array_equal(fold.test, dataset == "jaffe")
    np.testing.assert_array_equal(fold.train | fold.validation, dataset == "ckplus")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("official", "no split of their own"),
        ("random-200", "fewer than 600"),
        ("other-set", "all faces are of one data set"),
        ("people-200", "too few to test and validate on 200"),
    ],
)
def test_rules_that_do_not_fit_the_faces_are_refused(rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(people_table([4] * 6), rule, 0)
