"""Accumulators over activations: what is known of every unit after any number
of pictures, in memory that does not grow.

Each takes in the activations of a batch with ``update`` and what another of
its kind has taken in with ``merge``, in any order; ``compute`` gives the
result, one row a unit or more. Several may work on shards of the pictures, on
any machines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.units.activations import Activations, Floats, Places


class Top:
    """The ``count`` highest activations of each unit. Equal activations stand
    in the order of their images.

    >>> top = Top(1)
    >>> top.update(
    ...     Activations(
    ...         np.arange(2),
    ...         np.array([[1.0], [3.0]]),
    ...         np.zeros((2, 1), int),
    ...         np.zeros((2, 1), int),
    ...     )
    ... )
    >>> top.compute()[["unit", "rank", "image", "activation"]].values.tolist()
    [[0.0, 0.0, 1.0, 3.0]]
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise InputError(f"top {count}: expected 1 or more")
        self.count = count
        # value, image, row, column: (kept, u)
        self._kept: tuple[Floats, Places, Places, Places] | None = None

    def update(self, activations: Activations) -> None:
        """Take in the activations of a batch."""
        image = np.broadcast_to(
            activations.image[:, None], activations.value.shape
        )
        self._take(
            (activations.value, image, activations.row, activations.column)
        )

    def merge(self, other: Top) -> None:
        """Take in what another accumulator kept, of as many activations."""
        if self.count != other.count:
            raise InputError(
                f"the top {self.count} and the top {other.count} cannot be merged"
            )
        if other._kept is not None:
            self._take(other._kept)

    def compute(self) -> pd.DataFrame:
        """The top images of every unit.

        Returns:
            One row a unit and rank: ``unit, rank`` (0 = highest),
            ``image, activation, row, col``.
        """
        if self._kept is None:
            raise InputError("no pictures to look at")
        value, image, row, column = (array.T for array in self._kept)
        units, kept = value.shape
        return pd.DataFrame(
            {
                "unit": np.repeat(np.arange(units), kept),
                "rank": np.tile(np.arange(kept), units),
                "image": image.ravel(),
                "activation": value.ravel(),
                "row": row.ravel(),
                "col": column.ravel(),
            }
        )

    def _take(self, new: tuple[NDArray[Any], ...]) -> None:
        kept = self._kept or tuple(array[:0] for array in new)
        _refuse_other_units(kept[0].shape[1], new[0].shape[1])
        every = [
            np.concatenate([old, added])
            for old, added in zip(kept, new, strict=True)
        ]
        best = np.lexsort((every[1], -every[0].astype(np.float64)), axis=0)[
            : self.count
        ]
        value, image, row, column = (
            np.take_along_axis(array, best, 0) for array in every
        )
        self._kept = value, image, row, column


class Every:
    """All activations of all pictures, in the order of their numbers: the one
    whose memory grows.
    """

    def __init__(self) -> None:
        self._parts: list[Activations] = []

    def update(self, activations: Activations) -> None:
        """Take in the activations of a batch."""
        self._parts.append(activations)

    def merge(self, other: Every) -> None:
        """Take in what another accumulator took in."""
        self._parts.extend(other._parts)

    def compute(self) -> Activations:
        """All activations as one."""
        return Activations.joined(
            sorted(
                self._parts,
                key=lambda part: int(part.image[0]) if len(part.image) else 0,
            )
        )


class Moments:
    """Mean and standard deviation of each unit's activations, and the share of
    pictures that it answers to at all.

    >>> moments = Moments()
    >>> moments.update(
    ...     Activations(
    ...         np.arange(2),
    ...         np.array([[1.0], [3.0]]),
    ...         np.zeros((2, 1), int),
    ...         np.zeros((2, 1), int),
    ...     )
    ... )
    >>> moments.compute().round(2).to_dict("records")
    [{'unit': 0, 'pictures': 2, 'mean': 2.0, 'sd': 1.41, 'active': 1.0}]
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._squares = self._active = np.zeros(0)

    def update(self, activations: Activations) -> None:
        """Take in the activations of a batch; raises ``InputError`` for signed
        ones below 0.
        """
        value = _not_below_0(activations)
        if len(value):
            mean = value.mean(0)
            self._take(
                len(value),
                mean,
                ((value - mean) ** 2).sum(0),
                (value > 0).sum(0),
            )

    def merge(self, other: Moments) -> None:
        """Take in what another accumulator took in."""
        if other._count:
            self._take(
                other._count, other._mean, other._squares, other._active
            )

    def _take(
        self,
        count: int,
        mean: NDArray[Any],
        squares: NDArray[Any],
        active: NDArray[Any],
    ) -> None:
        """Join two sets of pictures by their numbers, means and sums of
        squared deviations (Chan et al. 1979).
        """
        if not self._count:
            self._mean = self._squares = self._active = np.zeros_like(mean)
        _refuse_other_units(len(self._mean), len(mean))
        both = self._count + count
        apart = mean - self._mean
        self._squares = (
            self._squares + squares + apart**2 * (self._count * count / both)
        )
        self._mean = self._mean + apart * (count / both)
        self._active = self._active + active
        self._count = both

    def compute(self) -> pd.DataFrame:
        """Mean and spread of every unit.

        Returns:
            One row a unit: ``unit, pictures, mean, sd`` (NaN for a single
            picture) and ``active``.
        """
        if not self._count:
            raise InputError("no pictures to look at")
        with np.errstate(invalid="ignore"):
            spread = (
                np.sqrt(np.divide(self._squares, self._count - 1))
                if self._count > 1
                else self._squares * np.nan
            )
        units = np.arange(len(self._mean))
        columns = {
            "unit": units,
            "pictures": self._count,
            "mean": self._mean,
            "sd": spread,
        }
        return pd.DataFrame(columns | {"active": self._active / self._count})


class Histogram:
    """How often each unit's activations fall into so many ``bins`` of equal
    width between 0 and a power of two.

    The power is the least above all activations of the unit; as it grows, bins
    are joined in pairs, so that the counts are those that would be got by
    knowing it from the start.

    >>> histogram = Histogram(4)
    >>> histogram.update(
    ...     Activations(
    ...         np.arange(3),
    ...         np.array([[0.1], [0.9], [1.5]]),
    ...         *np.zeros((2, 3, 1), int),
    ...     )
    ... )
    >>> histogram.compute()[["low", "high", "count"]].values.tolist()
    [[0.0, 0.5, 1.0], [0.5, 1.0, 1.0], [1.0, 1.5, 0.0], [1.5, 2.0, 1.0]]
    """

    def __init__(self, bins: int = 64) -> None:
        if bins < 1 or bins & (bins - 1):
            raise InputError(f"{bins} bins: not a power of two")
        self.bins = bins
        self._counts = np.zeros((0, bins), np.int64)
        self._power = np.zeros(0, np.int64)

    def update(self, activations: Activations) -> None:
        """Take in the activations of a batch; raises ``InputError`` for signed
        ones below 0.
        """
        value = _not_below_0(activations)
        if len(value):
            largest = value.max(0)
            self._grow(
                np.where(
                    largest > 0, np.frexp(largest)[1].clip(_LEAST), _LEAST
                ).astype(np.int64)
            )
            places = np.floor(
                np.ldexp(value, -self._power) * self.bins
            ).astype(np.int64)
            np.add.at(self._counts, (np.arange(value.shape[1]), places), 1)

    def merge(self, other: Histogram) -> None:
        """Take in what another accumulator took in, of as many bins."""
        if self.bins != other.bins:
            raise InputError(
                f"histograms of {self.bins} and of {other.bins} bins cannot be merged"
            )
        if len(other._power):
            self._grow(other._power)
            self._counts += _coarser(other._counts, self._power - other._power)

    def _grow(self, power: Places) -> None:
        if not len(self._power):
            self._counts = np.zeros((len(power), self.bins), np.int64)
            self._power = power
        _refuse_other_units(len(self._power), len(power))
        grown = np.maximum(self._power, power)
        self._counts = _coarser(self._counts, grown - self._power)
        self._power = grown

    def compute(self) -> pd.DataFrame:
        """The histogram of every unit.

        Returns:
            One row a unit and bin: ``unit, low, high, count``.
        """
        if not len(self._power):
            raise InputError("no pictures to look at")
        edges = np.ldexp(
            np.arange(self.bins + 1) / self.bins, self._power[:, None]
        )
        low = edges[:, :-1].ravel()
        high = edges[:, 1:].ravel()
        units = np.repeat(np.arange(len(self._power)), self.bins)
        return pd.DataFrame(
            {
                "unit": units,
                "low": low,
                "high": high,
                "count": self._counts.ravel(),
            }
        )


_LEAST = -64  # power of two; smaller activations fall into the first bin


def _coarser(
    counts: NDArray[np.int64], doublings: Places
) -> NDArray[np.int64]:
    """Join bins (units, bins) in pairs, so many times for each unit."""
    joined = np.zeros_like(counts)
    units, bins = np.indices(counts.shape)
    np.add.at(
        joined, (units, bins >> np.minimum(doublings, 62)[:, None]), counts
    )
    return joined


class Quantiles:
    """Quantiles of each unit's activations, within a relative ``error``, by
    counting in bins of equal ratio (Masson et al. 2019).

    Activations below 1e-9 count as 0 and those above 1e9 as that.

    >>> quantiles = Quantiles()
    >>> quantiles.update(
    ...     Activations(
    ...         np.arange(101),
    ...         np.arange(101.0)[:, None],
    ...         *np.zeros((2, 101, 1), int),
    ...     )
    ... )
    >>> quantiles.compute([0.5, 0.9])["value"].round(-1).tolist()
    [50.0, 90.0]
    """

    def __init__(self, error: float = 0.01) -> None:
        if not 0 < error < 1:
            raise InputError(
                f"a relative error of {error}: not between 0 and 1"
            )
        self.error = error
        self._ratio = math.log((1 + error) / (1 - error))
        # the first counts zeros
        self._bins = (
            math.ceil((math.log(_MOST) - math.log(_FEWEST)) / self._ratio) + 2
        )
        self._counts = np.zeros((0, self._bins), np.int64)

    def update(self, activations: Activations) -> None:
        """Take in the activations of a batch; raises ``InputError`` for signed
        ones below 0.
        """
        value = _not_below_0(activations)
        if not len(self._counts):
            self._counts = np.zeros((value.shape[1], self._bins), np.int64)
        _refuse_other_units(len(self._counts), value.shape[1])
        places = (
            np.ceil(
                np.log(value.clip(_FEWEST, _MOST) / _FEWEST) / self._ratio
            ).astype(np.int64)
            + 1
        )
        np.add.at(
            self._counts,
            (np.arange(value.shape[1]), np.where(value < _FEWEST, 0, places)),
            1,
        )

    def merge(self, other: Quantiles) -> None:
        """Take in what another accumulator took in, with the same error."""
        if self.error != other.error:
            raise InputError(
                f"quantiles within {self.error} and within {other.error} cannot be merged"
            )
        if len(other._counts):
            self._counts = (
                self._counts
                if len(self._counts)
                else np.zeros_like(other._counts)
            )
            _refuse_other_units(len(self._counts), len(other._counts))
            self._counts = self._counts + other._counts

    def compute(
        self, shares: Sequence[float] = (0.01, 0.25, 0.5, 0.75, 0.99)
    ) -> pd.DataFrame:
        """Quantiles of every unit.

        Args:
            shares: Of pictures.

        Returns:
            One row a unit and share: ``unit, share, value``, the activation
            that this share of pictures does not surpass.
        """
        if not self._counts.any():
            raise InputError("no pictures to look at")
        if not all(0 <= share <= 1 for share in shares):
            raise InputError(f"shares {list(shares)}: not from 0 to 1")
        below = self._counts.cumsum(1)
        wanted = np.ceil(np.asarray(shares) * below[:, -1:]).clip(1)
        places = (below[:, None, :] < wanted[:, :, None]).sum(2)
        value = self._middles(places)
        columns = {
            "unit": np.repeat(np.arange(len(value)), len(shares)),
            "share": np.tile(shares, len(value)),
            "value": value.ravel(),
        }
        return pd.DataFrame(columns)

    def _middles(self, places: NDArray[np.int64]) -> NDArray[np.float64]:
        """The value in the middle of each bin; 0 of the first."""
        middle = (
            _FEWEST * np.exp(self._ratio * (places - 1)) * (1 - self.error)
        )
        return np.where(places == 0, 0.0, middle)


def _not_below_0(activations: Activations) -> NDArray[np.float64]:
    value = activations.value.astype(np.float64)
    if (value < 0).any():
        raise InputError(
            "activations below 0 cannot be counted from 0 on: read them as 'positive' or "
            "'magnitude'"
        )
    return value


def _refuse_other_units(known: int, new: int) -> None:
    if known != new:
        raise InputError(
            f"activations of {known} and of {new} units: not of one layer"
        )


_FEWEST = 1e-9
_MOST = 1e9
