"""Scores to decide on: point-biserial correlation and average precision; and the area under the ROC curve beside them.

All take peaks (n, u) and labels (n, a), ``present`` and ``coded``, and give (u, a); pictures in which an action unit was
not coded are left out of its column.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_Score = Callable[[NDArray[np.int64], NDArray[np.int64]], Floats]


def correlation(peaks: Floats, present: Mask, coded: Mask) -> Floats:
    """Point-biserial correlation r: Pearson's between the peaks and presence as 0 or 1; 0 where either is constant.

    >>> peaks, label = np.array([[0.0], [1.0], [2.0]]), np.array([[False], [False], [True]])
    >>> round(float(correlation(peaks, label, np.ones_like(label))[0, 0]), 4)
    0.866
    """
    centred = peaks - peaks.mean(0)
    weights = coded.astype(np.float64)
    positive = (present & coded).astype(np.float64)
    count = weights.sum(0)
    share = positive.sum(0) / count
    if coded.all():
        mean, square = np.zeros((peaks.shape[1], 1)), (centred**2).mean(0)[:, None]
    else:
        mean = centred.T @ weights / count
        square = (centred**2).T @ weights / count
    covariance = centred.T @ positive / count - mean * share
    spread = np.sqrt(np.maximum(square - mean**2, 0) * share * (1 - share))
    r: Floats = np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 1e-12)
    return r


def average_precision(peaks: Floats, present: Mask, coded: Mask) -> Floats:
    """Average precision: Σ (recall gained) · precision over the distinct peaks from high to low.

    Equal peaks count as one threshold, as in scikit-learn.
    """
    return _ranked(peaks, present, coded, _precision_of_sorted)


def auroc(peaks: Floats, present: Mask, coded: Mask) -> Floats:
    """Probability that a picture with the action unit has the higher peak than one without; ties count one half."""
    return _ranked(peaks, present, coded, _auroc_of_sorted)


def _ranked(peaks: Floats, present: Mask, coded: Mask, score: _Score) -> Floats:
    scores = np.empty((peaks.shape[1], present.shape[1]))
    for rows, columns in _alike(coded):
        for unit, values in enumerate(peaks[rows].T):
            order = np.argsort(-values, kind="stable")
            ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # last place of each distinct peak
            scores[unit, columns] = score(np.cumsum(present[rows][order][:, columns], 0)[ends], ends + 1)
    return scores


def _alike(coded: Mask) -> list[tuple[Mask, NDArray[np.int64]]]:
    """Group columns that were coded in the same pictures."""
    patterns, group = np.unique(coded, axis=1, return_inverse=True)
    return [(patterns[:, i], np.flatnonzero(group.ravel() == i)) for i in range(patterns.shape[1])]


def _precision_of_sorted(hits: NDArray[np.int64], seen: NDArray[np.int64]) -> Floats:
    """``hits`` (t, a) positives among the ``seen`` (t,) pictures down to each threshold."""
    gained = np.diff(hits, axis=0, prepend=0)
    result: Floats = (gained * hits / seen[:, None]).sum(0) / hits[-1]
    return result


def _auroc_of_sorted(hits: NDArray[np.int64], seen: NDArray[np.int64]) -> Floats:
    misses = seen[:, None] - hits
    new_misses = np.diff(misses, axis=0, prepend=0)
    before = np.concatenate([np.zeros((1, hits.shape[1])), hits[:-1]])
    result: Floats = (new_misses * (before + hits) / 2).sum(0) / (hits[-1] * misses[-1])
    return result
