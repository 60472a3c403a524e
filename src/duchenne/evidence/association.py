"""Scores to decide on: point-biserial correlation and average precision; and the area under the ROC curve beside them.

All take peaks (n, u) and labels (n, a), ``present`` and ``coded``, and give (u, a); pictures in which an action unit was
not coded are left out of its column.
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
    """Point-biserial correlation of every unit with every label, from one batch of pictures after another, in any order.

    Means and sums of squares about them are joined as by Chan, Golub & LeVeque (1983), so that nothing is lost to rounding.

    >>> found = Correlation()
    >>> for peak, present in ((0.0, False), (1.0, False), (2.0, True)):
    ...     found.update(np.array([[peak]]), np.array([[present]]), np.array([[True]]))
    >>> round(float(found.compute()[0, 0]), 4)
    0.866
    """

    def __init__(self) -> None:
        self._joined: _Comoments | None = None

    def update(self, peaks: Floats, present: Mask, coded: Mask) -> None:
        """Take in peaks (n, u) of pictures and their labels (n, a): whether each is present, and whether it was coded."""
        self._join(_Comoments.of(*_tensors(peaks, present, coded)))

    def merge(self, other: Correlation) -> None:
        """Take in what another accumulator took in."""
        if other._joined:
            self._join(other._joined)

    def _join(self, other: _Comoments) -> None:
        self._joined = self._joined.joined(other) if self._joined else other

    def compute(self) -> Floats:
        """Pearson's r between peaks and presence as 0 or 1: (u, a); 0 where either is constant."""
        if not self._joined:
            raise InputError("no pictures to look at")
        found: Floats = self._joined.correlation().numpy()
        return found


@dataclass(frozen=True)
class _Comoments:
    """Of pictures in which a label was coded: their number (a,), the share with it (a,), the units' mean (u, a), and sums
    of squares and of products about the means, by unit and label (u, a).
    """

    count: Tensor
    share: Tensor
    mean: Tensor
    squares: Tensor
    products: Tensor

    @staticmethod
    def of(peaks: Tensor, present: Tensor, coded: Tensor) -> _Comoments:
        """Those of a batch, as products of matrices."""
        about = peaks.sum(0) / max(len(peaks), 1)
        centred, positive = peaks - about, (present & coded).to(peaks)
        count = coded.sum(0).to(peaks)
        share = positive.sum(0) / count.clamp_min(1)
        if coded.all():
            mean, squares = peaks.new_zeros(len(about), 1), centred.square().sum(0)[:, None]
        else:
            weights = coded.to(peaks)
            mean = centred.T @ weights / count.clamp_min(1)
            squares = centred.square().T @ weights - mean**2 * count
        products = centred.T @ positive - mean * (share * count)
        return _Comoments(count, share, mean + about[:, None], squares, products)

    def joined(self, other: _Comoments) -> _Comoments:
        """Those of both."""
        count = self.count + other.count
        part = other.count / count.clamp_min(1)
        apart, share_apart, between = other.mean - self.mean, other.share - self.share, self.count * part
        return _Comoments(
            count,
            self.share + share_apart * part,
            self.mean + apart * part,
            self.squares + other.squares + apart**2 * between,
            self.products + other.products + apart * share_apart * between,
        )

    def correlation(self) -> Tensor:
        """Pearson's r, 0 where either side is constant, NaN where a number is."""
        spread = (self.squares.clamp_min(0) * (self.count * self.share * (1 - self.share))).sqrt()
        return torch.where(spread <= _CONSTANT * self.count, 0.0, self.products / spread)


_CONSTANT = 1e-12  # standard deviations' product that counts as rounding


def correlation(peaks: Floats, present: Mask, coded: Mask) -> Floats:
    """Point-biserial correlation r: Pearson's between the peaks and presence as 0 or 1; 0 where either is constant.

    >>> peaks, label = np.array([[0.0], [1.0], [2.0]]), np.array([[False], [False], [True]])
    >>> round(float(correlation(peaks, label, np.ones_like(label))[0, 0]), 4)
    0.866
    """
    found: Floats = correlations(*_tensors(peaks, present, coded)).numpy()
    return found


def correlations(peaks: Tensor, present: Tensor, coded: Tensor, strata: NDArray[np.generic] | None = None) -> Tensor:
    """The same of tensors, on the device where they are; with ``strata`` that of ``within``."""
    if strata is None:
        return _Comoments.of(peaks, present, coded).correlation()
    squares, products, of_label = (peaks.new_zeros(peaks.shape[1], present.shape[1]) for _ in range(3))
    for stratum in np.unique(strata):
        rows = torch.from_numpy(np.flatnonzero(strata == stratum)).to(peaks.device)
        part = _Comoments.of(peaks[rows], present[rows], coded[rows])
        varies = (part.share > 0) & (part.share < 1)
        squares += part.squares * varies
        products += part.products * varies
        of_label += part.count * part.share * (1 - part.share)
    spread = (squares.clamp_min(0) * of_label).sqrt()
    return torch.where(spread <= _CONSTANT * len(peaks), 0.0, products / spread)


def within(peaks: Floats, present: Mask, coded: Mask, strata: NDArray[np.generic]) -> Floats:
    """Point-biserial correlation of pictures with those of their own stratum (n,) only: (u, a).

    What an action unit and a unit share because both come with one expression is not in it. Strata in which a label is the
    same on all pictures are left out; 0 where there are no others.

    >>> peaks, label = np.array([[0.0], [1.0], [5.0], [5.0]]), np.array([[False], [True], [True], [True]])
    >>> float(within(peaks, label, np.ones_like(label), np.array(["neutral", "neutral", "fear", "fear"]))[0, 0])
    1.0
    """
    found: Floats = correlations(*_tensors(peaks, present, coded), strata).numpy()
    return found


def _tensors(peaks: Floats, present: Mask, coded: Mask) -> tuple[Tensor, Tensor, Tensor]:
    return torch.tensor(peaks, dtype=torch.float64), torch.tensor(present), torch.tensor(coded)


def average_precision(peaks: Floats, present: Mask, coded: Mask) -> Floats:
    """Average precision: Σ (recall gained) · precision over the distinct peaks from high to low.

    Equal peaks count as one threshold, as in scikit-learn.
    """
    scores = np.empty((peaks.shape[1], present.shape[1]))
    for rows, columns in _alike(coded):
        shown = present[rows][:, columns]
        for unit, values in enumerate(peaks[rows].T):
            order = np.argsort(-values, kind="stable")
            ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # last place of each distinct peak
            scores[unit, columns] = _precision_of_sorted(np.cumsum(shown[order], 0)[ends], ends + 1)
    return scores


def auroc(peaks: Floats, present: Mask, coded: Mask) -> Floats:
    """Probability that a picture with the action unit has the higher peak than one without; ties count one half.

    By the sum of ranks (Mann & Whitney 1947).
    """
    scores = np.empty((peaks.shape[1], present.shape[1]))
    for rows, columns in _alike(coded):
        shown = present[rows][:, columns].astype(np.float64)
        count = shown.sum(0)
        pairs = count * (len(shown) - count)
        above = stats.rankdata(peaks[rows], axis=0).T @ shown - count * (count + 1) / 2
        scores[:, columns] = np.divide(above, pairs, out=np.full_like(above, np.nan), where=pairs > 0)
    return scores


def _alike(coded: Mask) -> list[tuple[Mask, NDArray[np.int64]]]:
    """Group columns that were coded in the same pictures."""
    patterns, group = np.unique(coded, axis=1, return_inverse=True)
    return [(patterns[:, i], np.flatnonzero(group.ravel() == i)) for i in range(patterns.shape[1])]


def _precision_of_sorted(hits: NDArray[np.int64], seen: NDArray[np.int64]) -> Floats:
    """``hits`` (t, a) positives among the ``seen`` (t,) pictures down to each threshold."""
    gained = np.diff(hits, axis=0, prepend=0)
    result: Floats = (gained * hits / seen[:, None]).sum(0) / np.maximum(hits[-1], 1)
    return result
