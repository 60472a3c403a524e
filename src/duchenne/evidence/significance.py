"""How sure an association is: rearrangements that respect sequences and people, and corrections for many tests.

Pictures of one sequence are alike, and so are sequences of one person. Labels therefore move in whole sequences: within
the person where a person has several, among the people who have a single one otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import false_discovery_control
from torch import Tensor

from duchenne.evidence.association import correlations
from duchenne.progress import Progress, quiet

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_AT_ONCE = 2**22  # numbers of rearranged labels that are held at once
_ROUNDING = 1e-9  # standard deviations by which equal arrangements may differ
_MANY = 10**12


class Arrangements:
    """So many rearrangements of the labels of pictures (n,), the same whenever they are gone through.

    ``groups`` and ``sequences`` (n,) name the person and the sequence of each picture. A sequence is given the labels of one
    other sequence, frame by frame; where their lengths differ, each frame is given those at the same share of the way.
    With ``strata`` (n,) only sequences that show the same ones exchange their labels.

    >>> arrangements = Arrangements(np.array(list("aaaa")), np.array(list("xxyy")), 3, seed=1)
    >>> [sorted(moved.tolist()) for moved in arrangements]
    [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    """

    def __init__(
        self,
        groups: NDArray[np.str_],
        sequences: NDArray[np.str_],
        count: int,
        seed: int = 0,
        strata: NDArray[np.str_] | None = None,
    ) -> None:
        self.count, self._seed = count, seed
        frame = pd.DataFrame({"group": groups, "sequence": sequences})
        members = frame.groupby(["group", "sequence"], sort=True).indices
        self._length = np.array([len(rows) for rows in members.values()])
        self._start = np.cumsum(self._length) - self._length
        self._row = np.concatenate(list(members.values()))
        self._sequence = np.repeat(np.arange(len(members)), self._length)
        shown = ["" if strata is None else " ".join(np.unique(strata[rows])) for rows in members.values()]
        self._pool = _pools([str(group) for group, _ in members], shown)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Places]:
        """For each picture the picture whose labels it is given, (n,), arrangement after arrangement."""
        for block in self.blocks():
            yield from block

    def blocks(self, labels: int = 1) -> Iterator[Places]:
        """The same, as many at once as of so many ``labels`` can be held: (b, n)."""
        size = max(1, _AT_ONCE // (labels * len(self._row)))
        rng = np.random.default_rng(self._seed)
        inorder = np.argsort(self._pool, kind="stable")
        within = np.arange(len(self._row)) - self._start[self._sequence]
        for first in range(0, self.count, size):
            drawn = rng.random((min(size, self.count - first), len(self._pool)))
            given = np.empty(drawn.shape, np.int64)
            given[:, inorder] = np.argsort(self._pool + drawn, axis=1)  # by pool, and within each by chance
            other = given[:, self._sequence]
            place = within * self._length[other] // self._length[self._sequence]
            moved = np.empty(other.shape, np.int64)
            moved[:, self._row] = self._row[self._start[other] + place]
            yield moved

    @property
    def smallest_p(self) -> float:
        """The smallest p that can be reached: bounded by how many there are, and by how many distinct ones there can be.

        >>> Arrangements(np.array(list("aab")), np.array(list("xyz")), 999).smallest_p
        0.5
        """
        distinct = 1
        for size in np.bincount(self._pool).tolist():
            distinct = min(distinct * math.factorial(size), _MANY)
        return max(1 / (self.count + 1), 1 / distinct)


def _pools(people: list[str], shown: list[str]) -> Places:
    """Which sequences may exchange labels, by the person of each and what it shows: those of one person that show the same,
    and all single ones that do.
    """
    own = [f"{person}\n{what}" for person, what in zip(people, shown, strict=True)]
    _, number, count = np.unique(own, return_inverse=True, return_counts=True)
    pools = np.where(count[number] > 1, own, [f"\n{what}" for what in shown])
    found: Places = np.unique(pools, return_inverse=True)[1]
    return found


@dataclass(frozen=True)
class Significance:
    """Of each unit and action unit (u, a): ``centre``, the mean r under permuted labels; p ``alone`` and ``family``-wise.

    ``null_units`` (p,) counts, for each arrangement of the labels, the units that it would have declared detectors.
    """

    centre: Floats
    alone: Floats
    family: Floats
    null_units: Places


def against(
    peaks: Floats,
    present: Mask,
    coded: Mask,
    arrangements: Arrangements,
    level: float = 0.05,
    progress: Progress = quiet,
    strata: NDArray[np.str_] | None = None,
) -> Significance:
    """Two-sided p of the correlations of units (n, u) with labels (n, a), against those under rearranged labels.

    Of correlations within ``strata`` (n,) where they are given; the arrangements should then be made within them as well.
    Each correlation is divided by its own spread over the arrangements, the observed one among them, so that rare
    action units, which scatter more, do not rule the maximum. Alone: the share of arrangements that reach the observed
    one. Family-wise: the share whose largest value over all units and action units does (Westfall & Young 1993). They are
    gone through twice, a block at a time, so that memory does not grow with labels times arrangements.
    """
    permuted = _Permuted(peaks, present, coded, arrangements, strata)
    every = len(arrangements) + 1
    with progress("Permuting labels", 2 * len(arrangements)) as advance:
        total, squares = permuted.observed.clone(), permuted.observed**2
        for block in permuted:
            total += block.sum(1)
            squares += (block**2).sum(1)
            advance(block.shape[1])
        centre = total / every
        spread = (squares / every - centre**2).clamp_min(0).sqrt()
        scale = torch.where(spread > _ROUNDING, 1 / spread, 0.0)
        first = (permuted.observed - centre).abs() * scale
        reached, largest = torch.ones_like(first), [first.amax(1, keepdim=True)]
        for block in permuted:
            away = (block - centre[:, None]).abs() * scale[:, None]
            reached += (away >= first[:, None] - _ROUNDING).sum(1)
            largest.append(away.amax(2))
            advance(block.shape[1])
    of_unit = torch.cat(largest, 1).cpu().numpy()
    of_all = np.sort(of_unit.max(0))
    family = (every - np.searchsorted(of_all, first.cpu().numpy() - _ROUNDING, side="left")) / every
    threshold = of_all[every - max(int(level * every), 1)]
    null_units = (of_unit[:, 1:] >= threshold).sum(0)
    return Significance(centre.cpu().numpy(), (reached / every).cpu().numpy(), family, null_units)


class _Permuted:
    """Correlations under each arrangement of the labels, block after block: (u, b, a); ``observed`` as they are (u, a).

    Computed where there is a CUDA device on that, as products of matrices.
    """

    def __init__(
        self, peaks: Floats, present: Mask, coded: Mask, arrangements: Arrangements, strata: NDArray[np.str_] | None
    ) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._peaks = torch.from_numpy(np.asarray(peaks, np.float64)).to(device)
        self._present, self._coded = (torch.from_numpy(table).to(device) for table in (present, coded))
        self._arrangements, self._strata = arrangements, strata
        self.observed = correlations(self._peaks, self._present, self._coded, strata)

    def __iter__(self) -> Iterator[Tensor]:
        labels = self._present.shape[1]
        for block in self._arrangements.blocks(labels):
            rows = torch.from_numpy(block.T.copy()).to(self._peaks.device)  # (n, b)
            present, coded = (table[rows].flatten(1) for table in (self._present, self._coded))
            yield correlations(self._peaks, present, coded, self._strata).reshape(-1, len(block), labels)


def bootstrap(
    peaks: Floats, present: Mask, coded: Mask, groups: NDArray[np.str_], draws: int = 1000, seed: int = 0
) -> tuple[Floats, Floats]:
    """95 % bootstrap intervals of the correlations of units (n, u) with labels (n, a): low and high, each (u, a).

    People, named by ``groups`` (n,), are drawn with all their pictures; percentiles of so many ``draws``, without those
    in which a unit or a label is constant. Sums of people are weighted by how often each is drawn, as products of
    matrices. NaN where most draws tell nothing, as where a single person shows an action unit.

    >>> peaks, present = np.array([[0.0], [1.0], [0.1], [1.2]]), np.array([[False], [True]] * 2)
    >>> low, high = bootstrap(peaks, present, np.ones_like(present), np.array(list("aabb")))
    >>> bool(0.9 < low[0, 0] <= high[0, 0] <= 1)
    True
    """
    number, people = drawable(groups)
    bounds = np.full((2, peaks.shape[1], present.shape[1]), np.nan)
    if people < 2:
        return bounds[0], bounds[1]
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), draws).astype(np.float64)
    member = sparse.csr_array((np.ones(len(number)), (number, np.arange(len(number)))), (people, len(number)))
    centred = peaks - peaks.mean(0)
    for label in range(present.shape[1]):
        known, shown = (member * mask for mask in (coded[:, label], (present & coded)[:, label]))
        count, with_label = (drawn @ sums.sum(1)[:, None] for sums in (known, shown))
        total, squares, joint = (drawn @ sums for sums in (known @ centred, known @ centred**2, shown @ centred))
        with np.errstate(invalid="ignore", divide="ignore"):
            products = joint - total * with_label / count
            spread = (squares - total**2 / count) * with_label * (1 - with_label / count)
            found = np.where(spread > _ROUNDING**2, products / np.sqrt(spread.clip(0)), np.nan)
        telling = np.isfinite(found).mean(0) > 0.5
        bounds[:, telling, label] = quantiles(found[:, telling], [0.025, 0.975])
    return bounds[0], bounds[1]


def quantiles(values: Floats, shares: list[float]) -> Floats:
    """Quantiles (q, u) of the numbers among ``values`` (n, u), as ``numpy.nanquantile`` gives them, all columns at once.

    >>> quantiles(np.array([[1.0, 0.0], [3.0, np.nan], [2.0, 4.0]]), [0.5]).tolist()
    [[2.0, 2.0]]
    """
    inorder, counts = np.sort(values, axis=0), np.isfinite(values).sum(0)  # numbers come first
    place = np.asarray(shares)[:, None] * (counts - 1)
    below = np.floor(place).astype(np.int64)
    lower, upper = (np.take_along_axis(inorder, rows, 0) for rows in (below, np.minimum(below + 1, counts - 1)))
    found: Floats = lower + (upper - lower) * (place - below)
    return found


_MOST = 500


def drawable(groups: NDArray[np.str_]) -> tuple[Places, int]:
    """People as numbers (n,) to draw in a bootstrap, and how many there are: above 500 they are dealt to 500 groups.

    Sums are kept for each of them; faces that name nobody count as a person each.

    >>> drawable(np.array(list("bab")))
    (array([1, 0, 1]), 2)
    """
    number = np.unique(groups, return_inverse=True)[1] % _MOST
    return number, int(number.max()) + 1


def benjamini_hochberg(p: Floats) -> Floats:
    """False discovery rate at which each test is called (Benjamini & Hochberg 1995), over all entries of ``p``.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    adjusted: Floats = false_discovery_control(p.ravel()).reshape(p.shape)
    return adjusted
