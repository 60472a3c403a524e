"""Splitting pictures into folds: a *fold* is a triple of row masks for
training, validation and test.

No person stands on two sides of a fold, but for ``random-200``, which zhu2018
used: it leaks, and whatever is measured with it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.table import SPLITS, FaceTable

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Fold:
    """Rows of a table, marked for training, validation and test."""

    train: Mask
    validation: Mask
    test: Mask

    def leaked(self, table: FaceTable) -> int:
        """Count the test pictures that show somebody whom the training
        pictures show too.
        """
        subject = table.frame["subject"].to_numpy(str)
        return int(np.isin(subject[self.test], subject[self.train]).sum())


def untrained(count: int) -> Fold:
    """The one fold of a network that was trained on none of the pictures: all
    of them are tested.

    Args:
        count: How many pictures there are.

    Returns:
        The fold.
    """
    nothing = np.zeros(count, bool)
    return Fold(nothing, nothing, ~nothing)


def sorted_subjects(table: FaceTable, count: int, seed: int = 0) -> list[Fold]:
    """khorrami2015's rule: subjects sorted by name, subject i in part i mod
    ``count``; test part t, validation part t + 1.

    The seed is not used: the rule draws nothing.
    """
    subject = table.frame["subject"]
    rank = {name: i % count for i, name in enumerate(sorted(subject.unique()))}
    return _rotated(subject.map(rank).to_numpy(), count)


def stratified_groups(
    table: FaceTable, count: int, seed: int = 0
) -> list[Fold]:
    """scikit-learn's stratified group folds: whole subjects, shuffled, with
    like shares of every expression.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    part = np.zeros(len(table), int)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    expression = table.frame["expression"].to_numpy(str)
    try:
        for number, (_, test) in enumerate(
            splitter.split(
                expression, expression, table.frame["subject"].to_numpy(str)
            )
        ):
            part[test] = number
    except ValueError:
        raise InputError(
            f"folds.count {count}: every expression has fewer pictures than that"
        ) from None
    return _rotated(part, count)


def leave_one_subject_out(
    table: FaceTable, count: int = 0, seed: int = 0
) -> list[Fold]:
    """One fold a person, in the order of their names: test on that person,
    validate on the next, train on all others.

    Raises ``InputError`` where the set does not name its people.
    """
    if not table.people_known:
        raise InputError(
            "folds.rule 'leave-one-subject-out': the faces come without the names of their people"
        )
    subject = table.frame["subject"]
    rank = {name: i for i, name in enumerate(sorted(subject.unique()))}
    return _rotated(subject.map(rank).to_numpy(), len(rank))


def official(table: FaceTable, count: int = 0, seed: int = 0) -> list[Fold]:
    """The set's own sides: one fold, or one for each of ``split_1 …`` (TFD's
    five).

    A set that publishes no test pictures is tested on its validation pictures;
    validation pictures that are then missing are a tenth of the training
    people.
    """
    columns = [name for name in table.frame if name.startswith("split")]
    if not columns:
        raise InputError(
            "folds.rule 'official': the faces come with no split of their own"
        )
    folds = []
    for column in columns:
        side = table.frame[column].fillna("").to_numpy(str)
        train, validation, test = (side == name for name in SPLITS)
        if not test.any():
            validation, test = test, validation
        if not train.any() or not test.any():
            raise InputError(
                f"folds.rule 'official': column {column!r} names no pictures to train on, or none "
                "to test on"
            )
        folds.append(
            Fold(train, validation, test)
            if validation.any()
            else _with_validation(table, train, test, seed)
        )
    return folds


def random_200(table: FaceTable, count: int = 0, seed: int = 0) -> list[Fold]:
    """zhu2018's split: 200 pictures at random to test, 200 more to validate (a
    reading).

    People stand on both sides: it leaks.
    """
    if len(table) < 3 * _DRAWN:
        raise InputError(
            f"folds.rule 'random-200': {len(table)} pictures are fewer than {3 * _DRAWN}"
        )
    order = np.random.default_rng(seed).permutation(len(table))
    test, validation = (
        np.isin(np.arange(len(table)), order[i * _DRAWN : (i + 1) * _DRAWN])
        for i in range(2)
    )
    return [Fold(~(test | validation), validation, test)]


def people_200(table: FaceTable, count: int = 0, seed: int = 0) -> list[Fold]:
    """``random-200`` without the leak: whole people drawn until they have 200
    pictures to test, then 200 to validate.
    """
    subject = table.frame["subject"].to_numpy(str)
    names, sizes = np.unique(subject, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    tested = _until(sizes[order], _DRAWN)
    validated = tested + _until(sizes[order[tested:]], _DRAWN)
    if validated >= len(names):
        raise InputError(
            f"folds.rule 'people-200': {len(table)} pictures are too few to test and validate on "
            f"{_DRAWN} each"
        )
    test, validation = (
        np.isin(subject, names[people])
        for people in (order[:tested], order[tested:validated])
    )
    return [Fold(~(test | validation), validation, test)]


def _until(sizes: NDArray[np.int_], wanted: int) -> int:
    """Count the people, in their order, until they have the wanted number of
    pictures.
    """
    return int(np.searchsorted(np.cumsum(sizes), wanted)) + 1


def other_set(table: FaceTable, count: int = 0, seed: int = 0) -> list[Fold]:
    """Train on the first data set, test on all others; a tenth of the first
    one's people validates (mousavi2016).
    """
    dataset = table.frame["dataset"].fillna("").to_numpy(str)
    train = dataset == dataset[0]
    if train.all():
        raise InputError(
            f"folds.rule 'other-set': all faces are of one data set, {dataset[0]}; name another in "
            "faces.other"
        )
    return [_with_validation(table, train, ~train, seed)]


def _with_validation(
    table: FaceTable, train: Mask, test: Mask, seed: int
) -> Fold:
    """Take a tenth of the people to train on for validation."""
    from sklearn.model_selection import GroupShuffleSplit

    rows = np.flatnonzero(train)
    subject = table.frame["subject"].to_numpy(str)[rows]
    _, drawn = next(
        GroupShuffleSplit(1, test_size=0.1, random_state=seed).split(
            rows, groups=subject
        )
    )
    validation = np.zeros(len(table), bool)
    validation[rows[drawn]] = True
    return Fold(train & ~validation, validation, test)


_COUNTED = ("khorrami2015", "stratified")
_DRAWN = 200

RULES: dict[str, Callable[[FaceTable, int, int], list[Fold]]] = {
    "khorrami2015": sorted_subjects,
    "stratified": stratified_groups,
    "leave-one-subject-out": leave_one_subject_out,
    "official": official,
    "random-200": random_200,
    "people-200": people_200,
    "other-set": other_set,
}
"""Every rule by its name in recipes."""


def split(
    table: FaceTable, rule: str, count: int, seed: int = 0
) -> list[Fold]:
    """Split a table by a named rule; ``count`` is for the rules that make any
    number of folds.

    Raises ``InputError`` for fewer subjects than folds, for a single
    expression, and for an expression that a fold's training pictures lack.

    >>> import pandas as pd
    >>> from pathlib import Path
    >>> frame = pd.DataFrame(
    ...     {
    ...         "path": list("abcdef"),
    ...         "subject": list("uvwxyz"),
    ...         "expression": ["fear", "anger"] * 3,
    ...     }
    ... )
    >>> [
    ...     int(fold.test.sum())
    ...     for fold in split(FaceTable(frame, Path(".")), "khorrami2015", 3)
    ... ]
    [2, 2, 2]
    """
    if rule not in RULES:
        raise InputError(f"folds.rule {rule!r}: not one of {', '.join(RULES)}")
    _refuse_too_few(table, rule, count)
    folds = RULES[rule](table, count, seed)
    for number, fold in enumerate(folds):
        lacking = _lacking(table, fold)
        if lacking:
            names = ", ".join(lacking)
            raise InputError(
                f"folds.rule {rule!r}: fold {number} would train without {names}"
            )
        for side in ("validation", "test"):
            if not getattr(fold, side).any():
                raise InputError(
                    f"folds.rule {rule!r}: fold {number} has no pictures for {side}"
                )
    return folds


def _refuse_too_few(table: FaceTable, rule: str, count: int) -> None:
    """Refuse faces of too few people or expressions, or without subjects."""
    counted = rule in _COUNTED
    if counted and count < 3:
        needed = "at least 3 are needed, to train, to validate and to test"
        raise InputError(f"folds.count {count}: {needed}")
    if table.frame["subject"].isna().any():
        raise InputError(
            "a picture without a subject cannot be kept on one side of a split"
        )
    if len(table.expressions) < 2:
        known = ", ".join(table.expressions) or "none"
        raise InputError(f"only one expression in the faces: {known}")
    if len(table.subjects) < (count if counted else 3):
        asked = f"folds.count {count}" if counted else f"folds.rule {rule!r}"
        raise InputError(
            f"{asked}: the faces show only {len(table.subjects)} people"
        )


def _lacking(table: FaceTable, fold: Fold) -> list[str]:
    """Expressions that no training picture of a fold shows."""
    shown = set(table.frame["expression"][fold.train])
    return sorted(set(table.expressions) - shown)


def _rotated(part: NDArray[np.int_], count: int) -> list[Fold]:
    """Test on part t, validate on part t + 1, train on the rest."""
    folds = []
    for number in range(count):
        test = part == number
        validation = part == (number + 1) % count
        folds.append(Fold(~(test | validation), validation, test))
    return folds
