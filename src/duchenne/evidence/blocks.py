"""Blocks of pictures in the notation of Winkler et al. (2015): which can be
exchanged with which, level by level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Level:
    """Blocks of pictures that are exchanged as wholes, one level of the tree.

    Attributes:
        rows: (k,) the pictures of all blocks, block after block.
        start: (m,) where each block begins in ``rows``.
        length: (m,) how many pictures each block holds.
        pool: (m,) blocks of one pool are exchanged with each other.
    """

    rows: Indices
    start: Indices
    length: Indices
    pool: Indices

    def draw(self, rng: np.random.Generator, count: int) -> Indices:
        """Draw permutations of the blocks within their pools.

        Args:
            rng: The source of chance.
            count: How many permutations, b.

        Returns:
            (b, k) for each of ``rows`` the picture whose labels it is given.
        """
        by_pool = np.argsort(self.pool, kind="stable")
        chance = rng.random((count, len(self.pool)))
        given = np.empty(chance.shape, np.int64)
        given[:, by_pool] = np.argsort(self.pool + chance, axis=1)
        block = np.repeat(np.arange(len(self.start)), self.length)
        within = np.arange(len(self.rows)) - self.start[block]
        moved: Indices = self.rows[self.start[given[:, block]] + within]
        return moved

    def within(self, strata: NDArray[np.str_]) -> Level:
        """Keep apart what shows other strata.

        Args:
            strata: (n,) as the expression that each picture shows.

        Returns:
            The level, its groups split by stratum.
        """
        known: dict[tuple[object, ...], int] = {}
        numbers = []
        parts = np.split(strata[self.rows], self.start[1:])
        for pool, shown in zip(self.pool.tolist(), parts, strict=True):
            key = (pool, *shown.tolist())
            numbers.append(known.setdefault(key, len(known)))
        return replace(self, pool=np.array(numbers))


def levels(blocks: Indices, order: NDArray[np.generic]) -> Iterator[Level]:
    """Give, from the largest blocks to the smallest, those that can be
    exchanged with others of equal structure.

    Args:
        blocks: (n, d) the indices of each picture's blocks, the largest first;
            blocks of a negative index stay where they are.
        order: (n,) the order of the pictures within the smallest blocks.

    Yields:
        The levels of the tree at which anything can be exchanged.

    Raises:
        InputError: For a block that has indices of both signs.
    """
    rows = np.lexsort((order, *np.abs(blocks.T[::-1])))
    inorder = blocks[rows]
    nodes = [_nodes(inorder, depth) for depth in range(blocks.shape[1])]
    nodes.append(np.arange(len(rows)))
    structures = _structures(inorder, nodes)
    for depth, children in enumerate(nodes[1:]):
        first = np.unique(children, return_index=True)[1]
        free = inorder[first, depth] > 0
        alike = np.where(free, structures[depth + 1], -1 - children[first])
        pool = _grouped(nodes[depth][first], alike)
        yield from _level(rows, children, first, pool)


def _grouped(parent: Indices, keys: Indices) -> Indices:
    """Number the pairs of a parent and a key."""
    pairs = np.stack([parent, keys], 1)
    found = np.unique(pairs, axis=0, return_inverse=True)
    numbers: Indices = found[1].ravel()
    return numbers


def _level(
    rows: Indices, children: Indices, first: Indices, pool: Indices
) -> Iterator[Level]:
    """Keep the blocks that share a pool, where any do."""
    shared = np.bincount(pool)[pool] > 1
    if not shared.any():
        return
    lengths = np.diff(np.append(first, len(rows)))
    kept = np.repeat(shared, lengths)
    length = lengths[shared]
    start = np.cumsum(length) - length
    pools = np.unique(pool[shared], return_inverse=True)[1]
    yield Level(rows[kept], start, length, pools)


def _nodes(inorder: Indices, depth: int) -> Indices:
    """Number the blocks of one level, (n,), by all indices down to it."""
    prefix = inorder[:, : depth + 1]
    if len(np.unique(np.abs(prefix), axis=0)) != len(
        np.unique(prefix, axis=0)
    ):
        raise InputError(
            "blocks: one block has a positive and a negative index"
        )
    changes = np.append(False, (np.diff(prefix, axis=0) != 0).any(1))
    numbers: Indices = np.cumsum(changes)
    return numbers


def _structures(inorder: Indices, nodes: Sequence[Indices]) -> list[Indices]:
    """Number the structures of the blocks of each level: how many pictures lie
    in which blocks, and what is exchanged.
    """
    known: dict[tuple[object, ...], int] = {}
    structures = [np.zeros(len(inorder), np.int64)]
    for depth in reversed(range(inorder.shape[1])):
        below = _below(nodes[depth], nodes[depth + 1], structures[0])
        first = np.unique(nodes[depth], return_index=True)[1]
        positive = inorder[first, depth] > 0
        numbers = []
        for sign, parts in zip(positive.tolist(), below, strict=True):
            structure = (depth, sign, *parts.tolist())
            numbers.append(known.setdefault(structure, len(known)))
        structures.insert(0, np.array(numbers))
    return structures


def _below(
    parents: Indices, children: Indices, structures: Indices
) -> list[Indices]:
    """The structures of each node's children."""
    first = np.unique(children, return_index=True)[1]
    ends = np.flatnonzero(np.diff(parents[first])) + 1
    return np.split(structures, ends)
