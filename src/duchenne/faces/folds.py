"""Splitting people into folds: a *fold* is a triple of row masks for training, validation and test.

No subject ever stands on two sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.table import FaceTable

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Fold:
    """Rows of a table, marked for training, validation and test."""

    train: Mask
    validation: Mask
    test: Mask


def sorted_subjects(table: FaceTable, count: int, seed: int = 0) -> list[Fold]:
    """khorrami2015's rule: subjects sorted by name, subject i in part i mod ``count``; test part t, validation part t + 1.

    The seed is not used: the rule draws nothing.
    """
    subject = table.frame["subject"]
    place = {name: i % count for i, name in enumerate(sorted(subject.unique()))}
    return _rotated(subject.map(place).to_numpy(), count)


def stratified_groups(table: FaceTable, count: int, seed: int = 0) -> list[Fold]:
    """scikit-learn's stratified group folds: whole subjects, shuffled, with like shares of every expression."""
    from sklearn.model_selection import StratifiedGroupKFold

    part = np.zeros(len(table), int)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    expression = table.frame["expression"].to_numpy(str)
    try:
        for number, (_, test) in enumerate(splitter.split(expression, expression, table.frame["subject"].to_numpy(str))):
            part[test] = number
    except ValueError:
        raise InputError(f"folds.count {count}: every expression has fewer pictures than that") from None
    return _rotated(part, count)


RULES: dict[str, Callable[[FaceTable, int, int], list[Fold]]] = {
    "khorrami2015": sorted_subjects,
    "stratified": stratified_groups,
}
"""Every rule by its name in recipes."""


def split(table: FaceTable, rule: str, count: int, seed: int = 0) -> list[Fold]:
    """Split a table by a named rule into ``count`` folds.

    Raises ``InputError`` for fewer subjects than folds, for a single expression, and for an expression that a fold's
    training pictures lack.

    >>> import pandas as pd
    >>> from pathlib import Path
    >>> frame = pd.DataFrame({"path": list("abcdef"), "subject": list("uvwxyz"), "expression": ["fear", "anger"] * 3})
    >>> [int(fold.test.sum()) for fold in split(FaceTable(frame, Path(".")), "khorrami2015", 3)]
    [2, 2, 2]
    """
    if rule not in RULES:
        raise InputError(f"folds.rule {rule!r}: not one of {', '.join(RULES)}")
    if count < 3:
        raise InputError(f"folds.count {count}: at least 3 are needed, to train, to validate and to test")
    if table.frame["subject"].isna().any():
        raise InputError("a picture without a subject cannot be kept on one side of a split")
    if len(table.expressions) < 2:
        raise InputError(f"only one expression in the faces: {', '.join(table.expressions) or 'none'}")
    if len(table.subjects) < count:
        raise InputError(f"folds.count {count}: the faces show only {len(table.subjects)} people")
    folds = RULES[rule](table, count, seed)
    for number, fold in enumerate(folds):
        lacking = set(table.expressions) - set(table.frame["expression"][fold.train])
        if lacking:
            raise InputError(f"folds.count {count}: fold {number} would train without {', '.join(sorted(lacking))}")
    return folds


def _rotated(part: NDArray[np.int_], count: int) -> list[Fold]:
    """Test on part t, validate on part t + 1, train on the rest."""
    folds = []
    for number in range(count):
        test, validation = part == number, part == (number + 1) % count
        folds.append(Fold(~(test | validation), validation, test))
    return folds
