"""Scores of more pictures than memory holds: one accumulator of those that can
be added up, on one machine or many.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.evidence.association import Correlation
from duchenne.evidence.distance import Distance
from duchenne.evidence.divergence import Histograms
from duchenne.evidence.labelled import framed

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Scores:
    """Correlation, divergence, mutual information and distance of every unit
    and action unit, from batch after batch.

    ``highest`` (u,) is each unit's highest activation over all pictures, as
    ``units.Moments`` or ``units.Top`` find it in a pass before. Batches may
    come in any order and be taken in by many accumulators, which then
    ``merge``.

    >>> scores = Scores(["AU12"], highest=np.array([3.0]))
    >>> scores.update(
    ...     np.array([[0.0], [1.0], [3.0]]),
    ...     pd.DataFrame({"AU12": [False, False, True]}).astype("boolean"),
    ... )
    >>> scores.compute()[["unit", "au", "n_with", "n_without", "r"]].round(
    ...     2
    ... ).values.tolist()
    [[0, 'AU12', 1, 2, 0.94]]
    """

    def __init__(
        self,
        action_units: Sequence[str],
        highest: Floats,
        bins: int = 64,
        n: int = 9,
    ) -> None:
        self.action_units = list(action_units)
        self._histograms = Histograms(highest, bins)
        self._distance = Distance(n)
        self._correlation = Correlation()
        self._with = self._without = np.zeros(len(self.action_units), np.int64)

    def update(
        self, activations: NDArray[np.floating], labels: pd.DataFrame
    ) -> None:
        """Take in some pictures.

        Args:
            activations: (n, u) activations.
            labels: (n, a) nullable booleans; NA = not coded and left out.

        Raises:
            InputError: For labels of other action units.
        """
        if list(labels) != self.action_units:
            raise InputError(
                f"labels of {', '.join(map(str, labels))}: those of {', '.join(self.action_units)} "
                "are wanted"
            )
        values = np.asarray(activations, np.float64)
        coded = labels.notna().to_numpy()
        present = labels.fillna(False).to_numpy(bool)
        for part in (self._histograms, self._distance, self._correlation):
            part.update(values, present, coded)
        self._with = self._with + (present & coded).sum(0)
        self._without = self._without + (~present & coded).sum(0)

    def merge(self, other: Scores) -> None:
        """Take in what another accumulator of the same action units took in;
        raises ``InputError`` for those of others.
        """
        if other.action_units != self.action_units:
            raise InputError("scores of other action units cannot be merged")
        self._histograms.merge(other._histograms)
        self._distance.merge(other._distance)
        self._correlation.merge(other._correlation)
        self._with = self._with + other._with
        self._without = self._without + other._without

    def compute(self, epsilon: float = 1e-6) -> pd.DataFrame:
        """The scores of all pictures so far.

        Args:
            epsilon: What every normalised bin is raised by.

        Returns:
            One row a pair:
            ``unit, au, n_with, n_without, r, kl, information, distance, distance_sign``.
        """
        scores = {
            "r": self._correlation.compute(),
            "kl": self._histograms.kl(epsilon),
            "information": self._histograms.information(),
            "distance": self._distance.compute(),
            "distance_sign": self._distance.sign(),
        }
        return framed(
            np.array(self.action_units), self._with, self._without, scores
        )
