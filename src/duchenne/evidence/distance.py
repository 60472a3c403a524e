"""zhu2018's score: how far the largest answers with an action unit lie from
the largest without it (§4, eqs. 8–15).

The n largest activations of a unit on pictures with the action unit, r₁ ≥ … ≥
rₙ, are paired with the n largest on those without, q₁ ≥ … ≥ qₙ: D(R‖Q) = Σ rₖ
log(rₖ / qₖ) (eq. 10) and, as the paper decides by, D(R‖Q) + D(Q‖R) (eq. 13).
Activations are no probabilities, so that eq. 10 can be negative, and both grow
with the scale of a unit. Eq. 13 does not tell which side answers more: a unit
that the action unit silences scores as high as one that it drives; hence
``sign``.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from duchenne.errors import InputError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

# of a unit's largest activation: what one of 0 or below counts as, whose
# logarithm the paper leaves open
_LEAST = 1e-6


class Distance:
    """The distance of every unit for every label, from one batch of pictures
    after another, in any order.

    >>> distance = Distance(n=2)
    >>> activations, present = (
    ...     np.array([[4.0], [1.0], [2.0], [1.0]]),
    ...     np.array([[True], [False], [True], [False]]),
    ... )
    >>> distance.update(activations, present, np.ones_like(present))
    >>> distance.compute().round(4).tolist(), distance.sign().tolist()
    ([[4.852]], [[1.0]])
    """

    def __init__(self, n: int = 9) -> None:
        if n < 1:
            raise InputError(f"n {n}: expected 1 or more")
        self.n = n
        self._with = self._without = np.zeros((0, 0, 0))

    def update(self, activations: Floats, present: Mask, coded: Mask) -> None:
        """Take in some pictures.

        Args:
            activations: (n, u) activations.
            present: (n, a) whether each action unit is present.
            coded: (n, a) whether it was coded.
        """
        self._take(
            _largest(activations, (present & coded).T, self.n),
            _largest(activations, (~present & coded).T, self.n),
        )

    def merge(self, other: Distance) -> None:
        """Take in what another accumulator of as many pictures took in."""
        if other.n != self.n:
            raise InputError(
                f"distances of {self.n} and of {other.n} pictures cannot be merged"
            )
        self._take(other._with, other._without)

    def _take(self, with_au: Floats, without_au: Floats) -> None:
        if not with_au.size:
            return
        if not self._with.size:
            self._with = with_au
            self._without = without_au
        else:
            self._with, self._without = (
                -np.sort(-np.concatenate(pair), 0)[: self.n]
                for pair in (
                    (self._with, with_au),
                    (self._without, without_au),
                )
            )

    def compute(self, symmetric: bool = True) -> Floats:
        """The distance: eq. 13, or eq. 10 where not ``symmetric``.

        Args:
            symmetric: Whether both directions are added.

        Returns:
            (u, a); of fewer pictures than n where there are no more.
        """
        with_au, without_au = self._paired()
        highest = np.maximum(with_au, without_au).max(0)
        # a unit below zero throughout has no distance
        least = _LEAST * np.where(highest > 0, highest, 1.0)
        r = np.maximum(with_au, least)
        q = np.maximum(without_au, least)
        one_sided = rel_entr(r, q)
        summed: Floats = (
            one_sided + rel_entr(q, r) if symmetric else one_sided
        ).sum(0)
        return summed

    def sign(self) -> Floats:
        """Which side has the larger activations, by the sums of both.

        Returns:
            (u, a): 1 for the pictures with the action unit, −1 for those
            without.
        """
        with_au, without_au = self._paired()
        found: Floats = np.sign((with_au - without_au).sum(0))
        return found

    def _paired(self) -> tuple[Floats, Floats]:
        """Both sides (n, u, a), 0 where one of them has no more pictures."""
        if not self._with.size:
            raise InputError("no pictures to look at")
        there = np.isfinite(self._with) & np.isfinite(self._without)
        return np.where(there, self._with, 0.0), np.where(
            there, self._without, 0.0
        )


def _largest(activations: Floats, masks: Iterable[Mask], n: int) -> Floats:
    """The n largest activations of each unit among the pictures of each mask:
    (n, u, a); −∞ where there are no more.
    """
    largest = [
        _padded(_n_largest(np.asarray(activations[mask], np.float64), n), n)
        for mask in masks
    ]
    if not largest:
        return np.zeros((n, activations.shape[1], 0))
    return np.stack(largest, 2)


def _n_largest(activations: Floats, n: int) -> Floats:
    """The n largest of each column, or all, from high to low."""
    count = len(activations)
    if count > n:
        activations = np.partition(activations, count - n, 0)[-n:]
    return -np.sort(-activations, 0)


def _padded(largest: Floats, n: int) -> Floats:
    missing = n - len(largest)
    return np.pad(largest, ((0, missing), (0, 0)), constant_values=-np.inf)


def distance(
    activations: Floats,
    present: Mask,
    coded: Mask,
    n: int = 9,
    symmetric: bool = True,
) -> Floats:
    """Distance of every unit for every action unit.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        n: How many of the largest activations are compared.
        symmetric: Whether both directions are added (eq. 13), or one is taken
            (eq. 10).

    Returns:
        (u, a).
    """
    found = Distance(n)
    found.update(activations, present, coded)
    return found.compute(symmetric)


def sign(
    activations: Floats, present: Mask, coded: Mask, n: int = 9
) -> Floats:
    """Whether a unit's n largest activations are larger with an action unit
    than without.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        n: How many of the largest are compared.

    Returns:
        (u, a): 1 where they are larger, −1 where smaller.
    """
    found = Distance(n)
    found.update(activations, present, coded)
    return found.sign()
