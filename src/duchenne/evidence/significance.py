"""How sure an association is: permutations that respect sequences and people, and corrections for many tests.

Pictures of one sequence are alike, and so are sequences of one person. Labels therefore move in whole sequences: within
the person where a person has several, among the people who have a single one otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence.association import correlation

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_BLOCK = 3000  # columns of permuted labels that are correlated at once: bounds memory


def permutations(groups: NDArray[np.str_], sequences: NDArray[np.str_], count: int, seed: int = 0) -> Iterator[Places]:
    """Yield ``count`` rearrangements: for each picture, the picture whose labels it is given, (n,).

    A sequence is given the labels of one other sequence, frame by frame; where their lengths differ, each frame is
    given those at the same share of the way.

    >>> moved = next(permutations(np.array(list("aaaa")), np.array(list("xxyy")), 1, seed=1))
    >>> sorted(moved.tolist())
    [0, 1, 2, 3]
    """
    rng = np.random.default_rng(seed)
    rows = _rows_of(groups, sequences)
    pools = _pools(groups, rows)
    for _ in range(count):
        source = np.arange(len(groups))
        for pool in pools:
            for place, other in zip(pool, rng.permutation(len(pool)), strict=True):
                target, given = rows[place], rows[pool[other]]
                source[target] = given[np.arange(len(target)) * len(given) // len(target)]
        yield source


def _rows_of(groups: NDArray[np.str_], sequences: NDArray[np.str_]) -> list[Places]:
    frame = pd.DataFrame({"group": groups, "sequence": sequences})
    return [np.asarray(rows) for rows in frame.groupby(["group", "sequence"], sort=True).indices.values()]


def _pools(groups: NDArray[np.str_], rows: list[Places]) -> list[list[int]]:
    """Sequences that may exchange labels: those of one person, and all single ones together."""
    of_person: dict[str, list[int]] = {}
    for place, members in enumerate(rows):
        of_person.setdefault(str(groups[members[0]]), []).append(place)
    single = [places[0] for places in of_person.values() if len(places) == 1]
    return [places for places in of_person.values() if len(places) > 1] + ([single] if single else [])


def permuted_correlations(peaks: Floats, present: Mask, coded: Mask, sources: list[Places]) -> NDArray[np.float32]:
    """Correlations under each rearrangement of the labels: (p, u, a)."""
    units, labels = peaks.shape[1], present.shape[1]
    result = np.empty((len(sources), units, labels), np.float32)
    step = max(1, _BLOCK // labels)
    for first in range(0, len(sources), step):
        block = sources[first : first + step]
        moved = [np.concatenate([table[source] for source in block], 1) for table in (present, coded)]
        found = correlation(peaks, *moved).reshape(units, len(block), labels)
        result[first : first + step] = found.transpose(1, 0, 2)
    return result


@dataclass(frozen=True)
class Significance:
    """Of each unit and action unit (u, a): ``centre``, the mean r under permuted labels; p ``alone`` and ``family``-wise.

    ``null_units`` (p,) counts, for each arrangement of the labels, the units that it would have declared detectors.
    """

    centre: Floats
    alone: Floats
    family: Floats
    null_units: Places


def against(permuted: NDArray[np.float32], observed: Floats, level: float = 0.05) -> Significance:
    """Two-sided p of correlations (u, a) against those under permuted labels (p, u, a).

    Each correlation is divided by its own spread over the arrangements, the observed one among them, so that rare
    action units, which scatter more, do not rule the maximum. Alone: the share of arrangements that reach the observed
    one. Family-wise: the share whose largest value over all units and action units does (Westfall & Young 1993).
    """
    every = np.concatenate([observed[None].astype(np.float32), permuted])
    centre = every.mean(0)
    every = every - centre
    spread = every.std(0)
    np.divide(every, spread, out=every, where=spread > 0)
    largest = np.sort(np.abs(every).max((1, 2)))
    first = np.abs(every[0])
    family = (len(every) - np.searchsorted(largest, first, side="left")) / len(every)
    alone = np.mean([np.abs(one) >= first for one in every], 0)
    threshold = largest[len(every) - max(int(level * len(every)), 1)]
    null_units = (every[1:] >= threshold).any(2).sum(1)
    return Significance(centre.astype(np.float64), alone, family, null_units)


def benjamini_hochberg(p: Floats) -> Floats:
    """False discovery rate at which each test is called (Benjamini & Hochberg 1995), over all entries of ``p``.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    from scipy.stats import false_discovery_control

    adjusted: Floats = false_discovery_control(p.ravel()).reshape(p.shape)
    return adjusted


def smallest_p(groups: NDArray[np.str_], sequences: NDArray[np.str_], count: int) -> float:
    """The smallest p that can be reached: bounded by ``count`` and by how many distinct rearrangements there are.

    >>> smallest_p(np.array(list("aab")), np.array(list("xyz")), 999)
    0.5
    """
    from math import factorial

    distinct = 1
    for pool in _pools(groups, _rows_of(groups, sequences)):
        distinct = min(distinct * factorial(len(pool)), 10**12)
    return max(1 / (count + 1), 1 / distinct)
