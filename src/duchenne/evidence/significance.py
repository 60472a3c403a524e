"""How sure an association is: its correlation beside those under permuted
labels, corrected for many tests.

Which permutations there are is told by the tree of ``exchangeability``; how
small a p is that few of them reach by ``tail``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import false_discovery_control
from torch import Tensor

from duchenne.evidence import tail
from duchenne.evidence.association import correlations
from duchenne.evidence.exchangeability import Arrangements
from duchenne.progress import Advance, progress

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]
Names = NDArray[np.str_]

_ROUNDING = 1e-9  # standard deviations by which equal arrangements may differ
_SAMPLED = 1000  # pairs whose tails tell the shape of all


@dataclass(frozen=True)
class Significance:
    """How sure the correlations of units with action units are.

    Attributes:
        centre: (u, a) the mean r under permuted labels.
        alone: (u, a) p of each pair by itself.
        family: (u, a) p family-wise, over all units and action units.
        null_units: (p,) for each arrangement of the labels the units that it
            would have declared detectors.
    """

    centre: Floats
    alone: Floats
    family: Floats
    null_units: Indices

    def columns(self) -> dict[str, Floats]:
        """Uncorrected and family-wise p, and q, as ``match`` calls them.

        Returns:
            (u, a) each, by the name of its column.
        """
        q = benjamini_hochberg(self.alone)
        return {"p_uncorrected": self.alone, "p": self.family, "q": q}

    def columns_within(self) -> dict[str, Floats]:
        """Uncorrected p and q of correlations within strata, as ``match``
        calls them.

        Returns:
            (u, a) each, by the name of its column.
        """
        return {
            "p_within": self.alone,
            "q_within": benjamini_hochberg(self.alone),
        }


def against(
    activations: Floats,
    present: Mask,
    coded: Mask,
    arrangements: Arrangements,
    level: float = 0.05,
    strata: Names | None = None,
) -> Significance:
    """Set the correlations of units with action units against those under
    permuted labels.

    Each correlation is divided by its own spread over the arrangements, the
    observed one among them, so that rare action units, which scatter more, do
    not rule the maximum. p is two-sided: alone, the share of arrangements that
    reach the observed correlation; family-wise, the share whose largest one
    over all units and action units does (Westfall & Young 1993). Where at most
    ten arrangements do, p is that of the tail fitted to the largest, if it
    fits (``tail``); of a pair that more have reached, which is clearly not
    significant, no tail is followed any further. Arrangements are gone through
    twice, a block at a time, so that memory does not grow with labels times
    arrangements.

    Args:
        activations: (n, u) activations.
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        arrangements: The permutations.
        level: That of ``null_units``, which counts units that answer more with
            an action unit, as detections do.
        strata: (n,) such as expressions, within which to correlate; the
            arrangements should keep them.

    Returns:
        The significance of every pair.
    """
    permuted = _Permuted(activations, present, coded, arrangements, strata)
    with progress("Permuting labels", 2 * len(arrangements)) as advance:
        spread = _Spread.over(permuted, advance)
        extremes = _Extremes(permuted.observed, spread, arrangements)
        for block in permuted:
            extremes.update(block)
            advance(block.shape[1])
    return Significance(
        spread.centre.cpu().numpy(),
        extremes.alone(),
        extremes.family(),
        extremes.null_units(level),
    )


def benjamini_hochberg(p: Floats) -> Floats:
    """False discovery rate at which each test is called (Benjamini & Hochberg
    1995).

    Args:
        p: Of any shape: all entries are one family.

    Returns:
        q, of the same shape.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    adjusted: Floats = false_discovery_control(p.ravel()).reshape(p.shape)
    return adjusted


class _Permuted:
    """Correlations under each arrangement of the labels, block after block:
    (u, b, a); ``observed`` as they are (u, a).

    Computed where there is a CUDA device on that, as products of matrices.
    """

    def __init__(
        self,
        activations: Floats,
        present: Mask,
        coded: Mask,
        arrangements: Arrangements,
        strata: Names | None,
    ) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._activations = torch.from_numpy(
            np.asarray(activations, np.float64)
        ).to(device)
        self._present = torch.from_numpy(present).to(device)
        self._coded = torch.from_numpy(coded).to(device)
        self._arrangements = arrangements
        self._strata = strata
        self.observed = correlations(
            self._activations, self._present, self._coded, strata
        )

    def __iter__(self) -> Iterator[Tensor]:
        labels = self._present.shape[1]
        for block in self._arrangements.blocks(labels):
            # (n, b)
            rows = torch.from_numpy(block.T.copy()).to(
                self._activations.device
            )
            present = self._present[rows].flatten(1)
            coded = self._coded[rows].flatten(1)
            moved = correlations(
                self._activations, present, coded, self._strata
            )
            yield moved.reshape(-1, len(block), labels)


@dataclass(frozen=True)
class _Spread:
    """The mean of each pair's correlation over all arrangements, the observed
    one among them, and 1 over its spread.
    """

    centre: Tensor
    scale: Tensor

    @classmethod
    def over(cls, permuted: _Permuted, advance: Advance) -> _Spread:
        # of differences from the observed: a null that is constant has none
        total = torch.zeros_like(permuted.observed)
        squares = torch.zeros_like(total)
        every = 1
        for block in permuted:
            apart = block - permuted.observed[:, None]
            total += apart.sum(1)
            squares += (apart**2).sum(1)
            every += block.shape[1]
            advance(block.shape[1])
        mean = total / every
        spread = (squares / every - mean**2).clamp_min(0).sqrt()
        return cls(
            permuted.observed + mean,
            torch.where(spread > _ROUNDING, 1 / spread, 0.0),
        )

    def away(self, correlations: Tensor) -> Tensor:
        """By how many standard deviations correlations (u, b, a) lie above
        those under permuted labels.
        """
        above = correlations - self.centre[:, None]
        return above * self.scale[:, None]


class _Extremes:
    """What the arrangements reach: how many reach each pair, the largest of
    each unit, and the tails of open pairs.
    """

    def __init__(
        self, observed: Tensor, spread: _Spread, arrangements: Arrangements
    ) -> None:
        self._spread = spread
        self._permutations = permutations = len(arrangements)
        self._least = 1 / arrangements.tree.distinct
        self._observed = spread.away(observed[:, None])[:, 0].abs()
        self._reached = torch.ones_like(observed)
        self._of_unit: list[Tensor] = []
        self._above: list[Tensor] = []
        self._tails = _Tails(observed.numel(), permutations)

    def update(self, block: Tensor) -> None:
        """Take in the correlations (u, b, a) of a block of arrangements."""
        signed = self._spread.away(block)
        away = signed.abs()
        self._reached += (away >= self._observed[:, None] - _ROUNDING).sum(1)
        self._of_unit.append(away.amax(2))
        self._above.append(torch.where(block > 0, signed, 0.0).amax(2))
        self._tails.update(
            away.movedim(1, 2).flatten(0, 1),
            self._reached.flatten() <= tail.FEW,
        )

    def alone(self) -> Floats:
        """P of each pair (u, a)."""
        counted = (self._reached / (self._permutations + 1)).cpu().numpy()
        few = (self._reached <= tail.FEW).cpu().numpy()
        return self._with_tails(counted, few, self._tails.of(few.ravel()))

    def family(self) -> Floats:
        """P of each pair (u, a) over all units and action units."""
        largest = self._largest()
        observed = self._observed.cpu().numpy()
        # the largest observed one reaches every other
        of_all = np.append(np.sort(largest), np.inf)
        reached = len(of_all) - np.searchsorted(
            of_all, observed - _ROUNDING, side="left"
        )
        few = reached <= tail.FEW
        falling = -np.sort(-largest)[: tail.kept(self._permutations)]
        return self._with_tails(
            reached / len(of_all), few, np.tile(falling, (int(few.sum()), 1))
        )

    def null_units(self, level: float) -> Indices:
        """How many units each arrangement (p,) would have declared detectors
        at a level: those that answer more.
        """
        of_all = np.append(self._largest(), self._observed.max().item())
        number = max(int(level * len(of_all)), 1)
        threshold = max(np.sort(of_all)[-number], _ROUNDING)
        declared: Indices = (
            torch.cat(self._above, 1).cpu().numpy() >= threshold
        ).sum(0)
        return declared

    def _largest(self) -> Floats:
        """Of each arrangement (p,) the largest value of all pairs."""
        largest: Floats = torch.cat(self._of_unit, 1).amax(0).cpu().numpy()
        return largest

    def _with_tails(
        self, counted: Floats, few: Mask, largest: Floats
    ) -> Floats:
        """Counted p (u, a), but where ``few`` arrangements reach the observed
        value that of a fitted tail, if it fits.
        """
        if not few.any():
            return counted
        observed = self._observed.cpu().numpy()[few]
        fitted = tail.tail_p(
            observed, largest, self._permutations, self._tails.shape
        )
        p = counted.copy()
        p[few] = np.fmin(np.maximum(fitted, self._least), counted[few])
        return p


class _Tails:
    """The largest values of pairs that are still open, and of some others,
    evenly spaced, that tell the tails' shape.
    """

    def __init__(self, pairs: int, permutations: int) -> None:
        self._permutations = permutations
        self._sampled = np.unique(
            np.linspace(0, pairs - 1, min(pairs, _SAMPLED)).astype(np.int64)
        )
        self._pairs = np.arange(pairs)
        self._largest = torch.zeros(pairs, 0, dtype=torch.float64)

    def update(self, away: Tensor, open_: Tensor) -> None:
        """Take in the values of a block (pairs, b), and which pairs are still
        open (pairs,).
        """
        keep = open_.cpu().numpy()
        keep[self._sampled] = True
        kept = keep[self._pairs]
        self._pairs = self._pairs[kept]
        known = self._largest[torch.from_numpy(kept)]
        every = torch.cat(
            [known, away[torch.from_numpy(self._pairs)].cpu()], 1
        )
        number = min(tail.kept(self._permutations), every.shape[1])
        self._largest = every.topk(number, dim=1).values

    def of(self, wanted: Mask) -> Floats:
        """The largest values (k, m), falling, of the pairs that are wanted
        (pairs,).
        """
        values: Floats = self._largest.numpy()[wanted[self._pairs]]
        return values

    @cached_property
    def shape(self) -> float:
        """The shape that the sampled pairs' tails agree on."""
        largest = self._largest.numpy()[np.isin(self._pairs, self._sampled)]
        return tail.shape(largest[largest[:, 0] > 0], self._permutations)
