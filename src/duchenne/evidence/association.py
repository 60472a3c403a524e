"""Scores to decide on: point-biserial correlation and average precision; and
the area under the ROC curve beside them.

All take activations (n, u) and labels (n, a), ``present`` and ``coded``, and
give (u, a); pictures in which an action unit was not coded are left out of its
column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from duchenne.errors import InputError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Correlation:
    """Point-biserial correlation of every unit with every label, from one
    batch of pictures after another, in any order.

    Means and sums of squares about them are joined as by Chan, Golub & LeVeque
    (1983), so that nothing is lost to rounding.

    >>> found = Correlation()
    >>> for activation, present in ((0.0, False), (1.0, False), (2.0, True)):
    ...     found.update(
    ...         np.array([[activation]]), np.array([[present]]), np.array([[True]])
    ...     )
    >>> round(float(found.compute()[0, 0]), 4)
    0.866
    """

    def __init__(self) -> None:
        self._joined: _Comoments | None = None

    def update(self, activations: Floats, present: Mask, coded: Mask) -> None:
        """Take in some pictures.

        Args:
            activations: (n, u) activations.
            present: (n, a) whether each action unit is present.
            coded: (n, a) whether it was coded.
        """
        batch = _tensors(activations, present, coded)
        self._join(_Comoments.of(*batch))

    def merge(self, other: Correlation) -> None:
        """Take in what another accumulator took in."""
        if other._joined:
            self._join(other._joined)

    def _join(self, other: _Comoments) -> None:
        if self._joined:
            other = self._joined.joined(other)
        self._joined = other

    def compute(self) -> Floats:
        """Pearson's r between activations and presence as 0 or 1.

        Returns:
            (u, a); 0 where either is constant.
        """
        if not self._joined:
            raise InputError("no pictures to look at")
        found: Floats = self._joined.correlation().numpy()
        return found


@dataclass(frozen=True)
class _Comoments:
    """Of pictures in which a label was coded: their number (a,), the share
    with it (a,), the units' mean (u, a), and sums of squares and of products
    about the means, by unit and label (u, a).
    """

    count: Tensor
    share: Tensor
    mean: Tensor
    squares: Tensor
    products: Tensor

    @staticmethod
    def of(activations: Tensor, present: Tensor, coded: Tensor) -> _Comoments:
        """Those of a batch, as products of matrices."""
        about = activations.sum(0) / max(len(activations), 1)
        centred = activations - about
        positive = (present & coded).to(activations)
        count = coded.sum(0).to(activations)
        share = positive.sum(0) / count.clamp_min(1)
        mean, squares = _mean_and_squares(centred, coded, count)
        products = centred.T @ positive - mean * (share * count)
        return _Comoments(
            count, share, mean + about[:, None], squares, products
        )

    def joined(self, other: _Comoments) -> _Comoments:
        """Those of both."""
        count = self.count + other.count
        part = other.count / count.clamp_min(1)
        apart = other.mean - self.mean
        share_apart = other.share - self.share
        between = self.count * part
        return _Comoments(
            count,
            self.share + share_apart * part,
            self.mean + apart * part,
            self.squares + other.squares + apart**2 * between,
            self.products + other.products + apart * share_apart * between,
        )

    def correlation(self) -> Tensor:
        """Pearson's r, 0 where either side is constant, NaN where a number is."""
        spread = (
            self.squares.clamp_min(0)
            * (self.count * self.share * (1 - self.share))
        ).sqrt()
        return torch.where(
            spread <= _CONSTANT * self.count, 0.0, self.products / spread
        )


_CONSTANT = 1e-12  # standard deviations' product that counts as rounding


def correlation(activations: Floats, present: Mask, coded: Mask) -> Floats:
    """Point-biserial correlation r: Pearson's between activations and presence
    as 0 or 1.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.

    Returns:
        (u, a), −1 to 1; 0 where either is constant.

    >>> activations, label = (
    ...     np.array([[0.0], [1.0], [2.0]]),
    ...     np.array([[False], [False], [True]]),
    ... )
    >>> round(float(correlation(activations, label, np.ones_like(label))[0, 0]), 4)
    0.866
    """
    found: Floats = correlations(
        *_tensors(activations, present, coded)
    ).numpy()
    return found


def correlations(
    activations: Tensor,
    present: Tensor,
    coded: Tensor,
    strata: NDArray[np.generic] | None = None,
) -> Tensor:
    """The same of tensors, on the device where they are.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        strata: (n,) where given, pictures are compared within their own only,
            as ``within`` does.

    Returns:
        (u, a).
    """
    if strata is None:
        return _Comoments.of(activations, present, coded).correlation()
    squares, products, of_label = _within_strata(
        activations, present, coded, strata
    )
    spread = (squares.clamp_min(0) * of_label).sqrt()
    return torch.where(
        spread <= _CONSTANT * len(activations), 0.0, products / spread
    )


def _within_strata(
    activations: Tensor,
    present: Tensor,
    coded: Tensor,
    strata: NDArray[np.generic],
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of squares, of products and of the labels' squares about the means
    of strata.
    """
    shape = (activations.shape[1], present.shape[1])
    squares = activations.new_zeros(shape)
    products = activations.new_zeros(shape)
    of_label = activations.new_zeros(shape)
    for stratum in np.unique(strata):
        rows = torch.from_numpy(np.flatnonzero(strata == stratum)).to(
            activations.device
        )
        part = _Comoments.of(activations[rows], present[rows], coded[rows])
        varies = (part.share > 0) & (part.share < 1)
        squares += part.squares * varies
        products += part.products * varies
        of_label += part.count * part.share * (1 - part.share)
    return squares, products, of_label


def _mean_and_squares(
    centred: Tensor, coded: Tensor, count: Tensor
) -> tuple[Tensor, Tensor]:
    """Means of activations, and their sums of squares about these, where each
    label is coded.
    """
    if coded.all():
        return centred.new_zeros(centred.shape[1], 1), centred.square().sum(0)[
            :, None
        ]
    weights = coded.to(centred)
    mean = centred.T @ weights / count.clamp_min(1)
    return mean, centred.square().T @ weights - mean**2 * count


def within(
    activations: Floats,
    present: Mask,
    coded: Mask,
    strata: NDArray[np.generic],
) -> Floats:
    """Point-biserial correlation among pictures of one stratum only, pooled
    over strata.

    What an action unit and a unit share because both come with one expression
    is not in it. Strata in which a label is the same on all pictures are left
    out; 0 where there are no others.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        strata: (n,) as the expression that each picture shows.

    Returns:
        (u, a).

    >>> activations, label = (
    ...     np.array([[0.0], [1.0], [5.0], [5.0]]),
    ...     np.array([[False], [True], [True], [True]]),
    ... )
    >>> float(
    ...     within(
    ...         activations,
    ...         label,
    ...         np.ones_like(label),
    ...         np.array(["neutral", "neutral", "fear", "fear"]),
    ...     )[0, 0]
    ... )
    1.0
    """
    found: Floats = correlations(
        *_tensors(activations, present, coded), strata
    ).numpy()
    return found


def _tensors(
    activations: Floats, present: Mask, coded: Mask
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.tensor(activations, dtype=torch.float64),
        torch.tensor(present),
        torch.tensor(coded),
    )


def average_precision(
    activations: Floats, present: Mask, coded: Mask
) -> Floats:
    """Average precision: Σ (recall gained) · precision over the distinct
    activations from high to low.

    Equal activations count as one threshold, as in scikit-learn.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.

    Returns:
        (u, a), 0 to 1.
    """
    scores = np.empty((activations.shape[1], present.shape[1]))
    for rows, columns in _alike(coded):
        shown = present[rows][:, columns]
        for unit, values in enumerate(activations[rows].T):
            order = np.argsort(-values, kind="stable")
            # last place of each distinct activation
            ends = np.append(
                np.flatnonzero(np.diff(values[order])), len(order) - 1
            )
            scores[unit, columns] = _precision_of_sorted(
                np.cumsum(shown[order], 0)[ends], ends + 1
            )
    return scores


def auroc(activations: Floats, present: Mask, coded: Mask) -> Floats:
    """Probability that a picture with the action unit has the higher
    activation than one without; ties count one half.

    By the sum of ranks (Mann & Whitney 1947).

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.

    Returns:
        (u, a), 0 to 1; 0.5 by chance.
    """
    scores = np.empty((activations.shape[1], present.shape[1]))
    for rows, columns in _alike(coded):
        shown = present[rows][:, columns].astype(np.float64)
        count = shown.sum(0)
        pairs = count * (len(shown) - count)
        above = (
            stats.rankdata(activations[rows], axis=0).T @ shown
            - count * (count + 1) / 2
        )
        scores[:, columns] = np.divide(
            above, pairs, out=np.full_like(above, np.nan), where=pairs > 0
        )
    return scores


def _alike(coded: Mask) -> list[tuple[Mask, NDArray[np.int64]]]:
    """Group columns that were coded in the same pictures."""
    patterns, group = np.unique(coded, axis=1, return_inverse=True)
    return [
        (patterns[:, i], np.flatnonzero(group.ravel() == i))
        for i in range(patterns.shape[1])
    ]


def _precision_of_sorted(
    hits: NDArray[np.int64], seen: NDArray[np.int64]
) -> Floats:
    """``hits`` (t, a) positives among the ``seen`` (t,) pictures down to each
    threshold.
    """
    gained = np.diff(hits, axis=0, prepend=0)
    result: Floats = (gained * hits / seen[:, None]).sum(0) / np.maximum(
        hits[-1], 1
    )
    return result
