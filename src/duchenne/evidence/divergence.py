"""What histograms of a unit's activations tell: khorrami2015's divergence
(§4.4), and mutual information beside it.

Q is the histogram of a unit's activations on the pictures with the action
unit, R on those without; both share their bins, from 0 to the unit's highest
activation (from its lowest where that lies below 0), and the score is the
Kullback–Leibler divergence D(Q‖R) in nats. The paper gives neither bins nor
smoothing: ``bins`` and ``epsilon``, added to both normalised histograms, are
named options. The raw score grows as the action unit gets rarer, also where
there is nothing to find; compare it with permuted labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.special import rel_entr

from duchenne.errors import InputError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

BIN_COUNTS = (8, 11, 16, 23, 32, 45, 64, 91, 128)
"""Half-octaves, over which ``mean_over_bins`` takes the mean."""


class Histograms:
    """Histograms of every unit's activations with and without every label,
    from one batch of pictures after another.

    ``highest`` (u,) is each unit's highest activation over all pictures, which
    the bins end at; activations above it fall into the last. They begin at 0,
    or at ``lowest`` (u,) where that lies below.

    >>> histograms = Histograms(np.array([1.0]), bins=2)
    >>> for activation, present in (
    ...     (0.2, True),
    ...     (0.3, False),
    ...     (0.9, True),
    ...     (1.0, True),
    ... ):
    ...     histograms.update(
    ...         np.array([[activation]]), np.array([[present]]), np.array([[True]])
    ...     )
    >>> histograms.with_au.ravel().tolist(), histograms.without_au.ravel().tolist()
    ([1, 2], [1, 0])
    """

    def __init__(
        self, highest: Floats, bins: int = 64, lowest: Floats | None = None
    ) -> None:
        if bins < 1:
            raise InputError(f"bins {bins}: expected 1 or more")
        self.highest = np.asarray(highest, np.float64)
        self.bins = bins
        self.lowest = (
            np.zeros(len(self.highest))
            if lowest is None
            else np.minimum(lowest, 0.0)
        )
        self.with_au = self.without_au = np.zeros(
            (len(self.highest), bins, 0), np.int64
        )

    def update(self, activations: Floats, present: Mask, coded: Mask) -> None:
        """Take in some pictures.

        Args:
            activations: (n, u) activations.
            present: (n, a) whether each action unit is present.
            coded: (n, a) whether it was coded.
        """
        labels = np.concatenate([present & coded, ~present & coded], 1).astype(
            np.float32
        )
        places = bin_activations(
            activations, self.highest, self.bins, self.lowest
        )
        counts = _occupied(places, self.bins) @ labels
        shape = (len(self.highest), self.bins, labels.shape[1])
        self._add(*np.split(counts.reshape(shape).astype(np.int64), 2, 2))

    def merge(self, other: Histograms) -> None:
        """Take in what another accumulator of the same bins took in."""
        ours, theirs = ((each.highest, each.lowest) for each in (self, other))
        if other.bins != self.bins or not np.array_equal(theirs, ours):
            raise InputError("histograms of other bins cannot be merged")
        self._add(other.with_au, other.without_au)

    def _add(
        self, with_au: NDArray[np.int64], without_au: NDArray[np.int64]
    ) -> None:
        if not with_au.shape[2]:
            return
        if self.with_au.shape[2]:
            with_au = self.with_au + with_au
            without_au = self.without_au + without_au
        self.with_au = with_au
        self.without_au = without_au

    def kl(self, epsilon: float = 1e-6) -> Floats:
        """D(Q‖R) of every unit for every action unit.

        Args:
            epsilon: What every normalised bin is raised by.

        Returns:
            (u, a), in nats.
        """
        return divergence(
            self.with_au.swapaxes(0, 1),
            self.without_au.swapaxes(0, 1),
            epsilon,
        )

    def information(self) -> Floats:
        """Mutual information of a unit's bin and an action unit.

        Returns:
            (u, a), in nats; at most the action unit's own entropy.
        """
        joint = np.stack([self.with_au, self.without_au]).astype(np.float64)
        joint /= np.maximum(joint.sum((0, 2), keepdims=True), 1)
        found: Floats = rel_entr(
            joint, joint.sum(0) * joint.sum(2, keepdims=True)
        ).sum((0, 2))
        return found


def _occupied(places: NDArray[np.int64], bins: int) -> csc_array:
    """Which bin of each unit (rows, unit by unit) a picture falls into
    (columns).
    """
    pictures, units = places.shape
    rows = (places + bins * np.arange(units)).ravel()
    columns = units * np.arange(pictures + 1)
    ones = np.ones(len(rows), np.float32)
    return csc_array((ones, rows, columns), (units * bins, pictures))


def divergence(
    with_au: NDArray[np.number],
    without_au: NDArray[np.number],
    epsilon: float = 1e-6,
) -> Floats:
    """D(Q‖R) = Σ Q log(Q/R) of histograms of counts along the first axis, each
    normalised, then raised by ``epsilon``.

    0 where one of the two is empty, as a rare label's may be once it is
    permuted: there is nothing to tell apart.

    Args:
        with_au: (bins, …) counts with the action unit.
        without_au: (bins, …) counts without it.
        epsilon: What every normalised bin is raised by.

    Returns:
        (…), in nats.

    >>> float(divergence(np.array([1.0, 1.0]), np.array([2.0, 2.0])))
    0.0
    >>> round(
    ...     float(
    ...         divergence(np.array([3.0, 1.0]), np.array([1.0, 1.0]), epsilon=0.0)
    ...     ),
    ...     4,
    ... )
    0.1308
    """
    counts = with_au.sum(0), without_au.sum(0)
    q, r = (
        part / np.maximum(count, 1) + epsilon
        for part, count in zip((with_au, without_au), counts, strict=True)
    )
    result: Floats = rel_entr(q, r).sum(0) * (
        (counts[0] > 0) & (counts[1] > 0)
    )
    return result


def bin_activations(
    activations: Floats,
    highest: Floats,
    bins: int,
    lowest: Floats | None = None,
) -> NDArray[np.int64]:
    """Place activations into equal bins from 0 to each unit's highest, which
    falls into the last bin.

    Args:
        activations: (n, u) activations.
        highest: (u,) the highest of each unit.
        bins: How many bins.
        lowest: (u,) where they begin, if not at 0.

    Returns:
        (n, u), from 0 to bins − 1.

    >>> bin_activations(
    ...     np.array([[0.0], [0.49], [1.0]]), np.array([1.0]), 2
    ... ).ravel().tolist()
    [0, 0, 1]
    """
    first = np.zeros(len(highest)) if lowest is None else lowest
    width = np.where(highest > first, highest - first, 1) / bins
    places = ((activations - first) / width).astype(np.int64)
    clipped: NDArray[np.int64] = np.clip(places, 0, bins - 1)
    return clipped


def histograms(
    activations: Floats, present: Mask, coded: Mask, bins: int = 64
) -> Histograms:
    """Histograms of every unit for every action unit.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        bins: How many.

    Returns:
        Counts with and without each action unit.
    """
    found = Histograms(activations.max(0), bins, activations.min(0))
    found.update(activations, present, coded)
    return found


def mean_over_bins(
    activations: Floats,
    present: Mask,
    coded: Mask,
    counts: Sequence[int] = BIN_COUNTS,
) -> Floats:
    """D(Q‖R) as the mean over numbers of bins from 8 to 128, half a picture
    added to each bin (Jeffreys' prior).

    Which action unit has the largest divergence of a unit depends on the bins,
    and on what stands for an empty one; this reading, beside the paper's,
    hardly does: half-octaves between these counts name the same one in 96 % of
    the units of the quick study (``benchmarks/evidence.md``).

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        counts: The numbers of bins.

    Returns:
        (u, a) in nats.
    """
    every = []
    for bins in counts:
        found = histograms(activations, present, coded, bins)
        with_au, without_au = (
            side.swapaxes(0, 1) + _HALF
            for side in (found.with_au, found.without_au)
        )
        every.append(divergence(with_au, without_au, epsilon=0.0))
    mean: Floats = np.mean(every, axis=0)
    return mean


_HALF = 0.5
