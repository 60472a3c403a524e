"""khorrami2015's score: how far a unit's activations on pictures with an action unit lie from those without (§4.4).

Q is the histogram of a unit's peaks on the pictures with the action unit, R on those without; both share their bins, from
0 to the unit's highest peak, and the score is the Kullback–Leibler divergence D(Q‖R) in nats. The paper gives neither
bins nor smoothing: ``bins`` and ``epsilon``, added to both normalised histograms, are named options. The raw score grows
as the action unit gets rarer, also where there is nothing to find; compare it with permuted labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

Floats = NDArray[np.float64]


def divergence(with_au: Floats, without_au: Floats, epsilon: float = 1e-6) -> Floats:
    """D(Q‖R) = Σ Q log(Q/R) of histograms of counts along the first axis, each normalised, then raised by ``epsilon``.

    0 where one of the two is empty, as a rare label's may be once it is permuted: there is nothing to tell apart.

    >>> float(divergence(np.array([1.0, 1.0]), np.array([2.0, 2.0])))
    0.0
    >>> round(float(divergence(np.array([3.0, 1.0]), np.array([1.0, 1.0]), epsilon=0.0)), 4)
    0.1308
    """
    counts = with_au.sum(0), without_au.sum(0)
    q, r = (part / np.maximum(count, 1) + epsilon for part, count in zip((with_au, without_au), counts, strict=True))
    result: Floats = rel_entr(q, r).sum(0) * ((counts[0] > 0) & (counts[1] > 0))
    return result


def bin_peaks(peaks: Floats, bins: int) -> NDArray[np.int64]:
    """Place peaks (n, u) into equal bins from 0 to each unit's highest peak; the highest falls into the last bin.

    >>> bin_peaks(np.array([[0.0], [0.49], [1.0]]), 2).ravel().tolist()
    [0, 0, 1]
    """
    highest = peaks.max(0)
    scaled = peaks / np.where(highest > 0, highest, 1) * bins
    return np.minimum(scaled.astype(np.int64), bins - 1)


def kl(peaks: Floats, present: NDArray[np.bool_], coded: NDArray[np.bool_], bins: int, epsilon: float) -> Floats:
    """Divergence of every unit for every column of labels: peaks (n, u), labels (n, a) -> (u, a).

    ``present`` and ``coded`` mark, for each picture, whether the label is present and whether it was coded at all.
    """
    place = bin_peaks(peaks, bins)
    with_au = (present & coded).astype(np.float32)
    without_au = (~present & coded).astype(np.float32)
    both = np.concatenate([with_au, without_au], 1)
    scores = np.empty((peaks.shape[1], present.shape[1]))
    for unit, column in enumerate(place.T):
        member = (column == np.arange(bins)[:, None]).astype(np.float32)  # (bins, n)
        counts = (member @ both).astype(np.float64)
        scores[unit] = divergence(counts[:, : with_au.shape[1]], counts[:, with_au.shape[1] :], epsilon)
    return scores
