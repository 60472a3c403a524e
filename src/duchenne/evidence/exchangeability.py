"""Who may be exchanged with whom: the tree of people, sequences and pictures
that every permutation respects.

Pictures of one sequence are alike, and so are sequences of one person; a
neutral frame never shows an action unit. Labels therefore move in whole
sequences between sequences of as many frames with neutral at the same places,
or in whole people between people of equal structure: multilevel
exchangeability blocks (Winkler, Webster, Vidaurre, Nichols & Smith 2015).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.evidence.blocks import Level, levels

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

_AT_ONCE = 2**22  # numbers of rearranged labels that are held at once
_MANY = 10**12
_HALF = 0.5
# labels that as many numbers stand for where arrangements are taken one by one
_FEW_AT_ONCE = 64


@dataclass(frozen=True)
class Exchangeability:
    """The tree of who may be exchanged with whom.

    Args:
        pictures: How many pictures there are, n.
        levels: What is exchanged, from whole people down to whole sequences.
        faces: Subject, sequence, frame and kind of each picture, where the
            tree was built from them.

    >>> tree = Exchangeability.of(list("aaaa"), list("xxyy"))
    >>> tree.distinct, tree.smallest_p(999)
    (2, 0.5)
    """

    pictures: int
    levels: tuple[Level, ...]
    faces: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        subjects: ArrayLike,
        sequences: ArrayLike,
        *,
        frames: ArrayLike | None = None,
        neutral: ArrayLike | None = None,
    ) -> Exchangeability:
        """Build the tree of a set of faces.

        Sequences of one person that have as many frames, neutral at the same
        places, are exchanged. Where each of a person's sequences is the only
        one of its kind, whole people are, with those whose sequences are of
        the same kinds.

        Args:
            subjects: (n,) the person of each picture; who is not named is as
                many people as there are sequences.
            sequences: (n,) the sequence of each picture; a picture without one
                stands alone.
            frames: (n,) the order of the pictures of a sequence; the order of
                the rows where it is not given.
            neutral: (n,) whether each picture is a neutral frame; none is
                where it is not given.

        Returns:
            The tree.

        Raises:
            InputError: Where the arguments differ in length.

        >>> neutral = [True, False, False, True, False]
        >>> Exchangeability.of(
        ...     list("aaaaa"), list("xxyzz"), neutral=neutral
        ... ).distinct  # y lost its neutral frame
        2
        """
        return cls._of_faces(
            _regular(subjects, sequences, frames, neutral), whole=False
        )

    @classmethod
    def _of_faces(cls, faces: pd.DataFrame, whole: bool) -> Exchangeability:
        tree = cls.from_blocks(
            _blocks(faces, _sequences(faces), whole),
            order=faces["frame"].to_numpy(),
        )
        return replace(tree, faces=faces)

    def within(self, strata: ArrayLike) -> Exchangeability:
        """Give the tree whose rearrangements leave strata, such as
        expressions, at their places.

        Whole people are exchanged with those who have sequences of as many
        frames that show the same, a person's labels together; so are a
        person's own sequences of this kind. In a tree of one's own, blocks
        stay unless they show the same.

        Args:
            strata: (n,) such as the expression of each picture.

        >>> tree = Exchangeability.of(list("aabb"), list("wxyz"))
        >>> tree.distinct, tree.within(["joy", "fear", "joy", "fear"]).distinct
        (4, 2)
        """
        shown = np.asarray(strata).astype(str)
        if self.faces is not None:
            kind = [
                f"{kind} {stratum}"
                for kind, stratum in zip(
                    self.faces["kind"], shown, strict=True
                )
            ]
            return self._of_faces(self.faces.assign(kind=kind), whole=True)
        return replace(
            self, levels=tuple(level.within(shown) for level in self.levels)
        )

    @classmethod
    def from_blocks(
        cls, blocks: ArrayLike, order: ArrayLike | None = None
    ) -> Exchangeability:
        """Build a tree of one's own, in the notation of Winkler et al. (2015).

        Args:
            blocks: (n, l) the index of the block that holds each picture on
                every level, from the largest blocks to the smallest. The
                blocks (in the last column: the pictures) within a block of
                positive index are exchanged where they are of equal structure;
                those within a block of negative index stay.
            order: (n,) the order of the pictures within their blocks; that of
                the rows where it is not given.

        Returns:
            The tree.

        Raises:
            InputError: Where an index is 0, or one block has both signs.

        >>> Exchangeability.from_blocks(
        ...     [[1, -1], [1, -1], [1, -2], [1, -2]]
        ... ).distinct  # two pairs, exchanged whole
        2
        >>> Exchangeability.from_blocks(
        ...     [[-1, 1], [-1, 1], [-1, 2], [-1, 2]]
        ... ).distinct  # exchanged within each pair
        4
        """
        indices = np.asarray(blocks, np.int64)
        if indices.ndim != 2 or not indices.size or (indices == 0).any():
            raise InputError(
                "blocks: a whole number other than 0 is needed for each picture and level"
            )
        ranks = np.arange(len(indices)) if order is None else np.asarray(order)
        return cls(len(indices), tuple(levels(indices, ranks)))

    @property
    def distinct(self) -> int:
        """How many distinct rearrangements there are, at most 10¹²."""
        count = 1
        for level in self.levels:
            for size in Counter(level.pool.tolist()).values():
                count = min(count * math.factorial(min(size, 15)), _MANY)
        return count

    def smallest_p(self, permutations: int) -> float:
        """Tell the smallest p that so many permutations can reach by being
        counted, 0 … 1.
        """
        return max(1 / (permutations + 1), 1 / self.distinct)

    @property
    def exchanged(self) -> float:
        """The share of the pictures whose labels are exchanged with others'."""
        rows = [level.rows for level in self.levels]
        return (
            len(np.unique(np.concatenate(rows))) / self.pictures
            if rows
            else 0.0
        )

    def too_few(self, level: float, where: str = "") -> str:
        """Say in one line that too little can be exchanged for a level of
        significance, or for much power; or nothing.

        Args:
            level: Of significance.
            where: What the line begins with.

        Returns:
            The line; empty where enough can be exchanged.

        >>> Exchangeability.of(list("aaaa"), list("xxyy")).too_few(0.05)
        'only 2 distinct rearrangements of the labels: p cannot fall to 0.05'
        """
        if 1 / self.distinct > level:
            number = f"{self.distinct} distinct rearrangements"
            if self.distinct == 1:
                number = "1 rearrangement"
            return f"{where}only {number} of the labels: p cannot fall to {level:g}"
        if self.exchanged < _HALF:
            few = (
                f"only {self.exchanged:.0%} of the pictures have counterparts"
            )
            alike = "sequences of as many frames, neutral at the same places"
            lost = "much that is there will not be found"
            return f"{where}{few} ({alike}) to exchange labels with: {lost}"
        return ""


class Arrangements:
    """So many rearrangements of the labels of pictures, the same whenever they
    are gone through.

    Args:
        tree: Who may be exchanged with whom.
        count: How many.
        seed: Of the chance by which they are drawn.

    >>> arrangements = Arrangements(
    ...     Exchangeability.of(list("aaaa"), list("xxyy")), 3, seed=1
    ... )
    >>> [sorted(moved.tolist()) for moved in arrangements]
    [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]
    """

    def __init__(
        self, tree: Exchangeability, count: int, seed: int = 0
    ) -> None:
        self.tree = tree
        self.count = count
        self._seed = seed

    def __len__(self) -> int:
        return self.count

    def first(self, count: int) -> list[Indices]:
        """The first few of them."""
        return list(itertools.islice(self, count))

    def __iter__(self) -> Iterator[Indices]:
        """For each picture the picture whose labels it is given, (n,),
        arrangement after arrangement.
        """
        for block in self.blocks(_FEW_AT_ONCE):
            yield from block

    def blocks(self, labels: int = 1) -> Iterator[Indices]:
        """Give as many arrangements at once as of so many ``labels`` can be
        held: (b, n).
        """
        size = max(1, _AT_ONCE // (labels * self.tree.pictures))
        chances = [
            np.random.default_rng((self._seed, depth))
            for depth in range(len(self.tree.levels))
        ]
        for first in range(0, self.count, size):
            yield self._drawn(chances, min(size, self.count - first))

    def _drawn(
        self, chances: Sequence[np.random.Generator], count: int
    ) -> Indices:
        """Compose the permutations of all levels, each by a chance of its own,
        whole people first: (b, n).
        """
        moved = np.tile(np.arange(self.tree.pictures), (count, 1))
        for level, rng in zip(self.tree.levels, chances, strict=True):
            inner = moved.copy()
            inner[:, level.rows] = np.take_along_axis(
                moved, level.draw(rng, count), 1
            )
            moved = inner
        return moved

    @property
    def smallest_p(self) -> float:
        """The smallest p that can be reached by counting: bounded by how many
        there are, and how many distinct ones.
        """
        return self.tree.smallest_p(self.count)


def named(
    subjects: ArrayLike, sequences: ArrayLike
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Name the person and the sequence of each picture, also where nobody did.

    A picture without either stands alone.

    Args:
        subjects: (n,) people, or missing.
        sequences: (n,) sequences, or missing.

    Returns:
        People and sequences, each (n,).

    >>> [told.tolist() for told in named(["a", None, None], ["s", "t", None])]
    [['a', 't', 'picture 2'], ['s', 't', 'picture 2']]
    """
    sequence = pd.Series(np.asarray(sequences, object))
    person = pd.Series(np.asarray(subjects, object))
    alone = pd.Series([f"picture {row}" for row in range(len(sequence))])
    sequence = sequence.where(sequence.notna(), alone)
    person = person.where(person.notna(), sequence)
    return person.to_numpy().astype(str), sequence.to_numpy().astype(str)


def apparent_neutral(
    present: Mask,
    subjects: ArrayLike,
    sequences: ArrayLike,
    frames: ArrayLike | None = None,
) -> Mask:
    """Take for neutral, where nobody says which frames are, those that show no
    action unit.

    Of a sequence that shows none at all that is not known: it is taken to be
    like the others of as many frames where these are all alike, and else is
    exchanged with such as itself only.

    Args:
        present: (n, a) whether each action unit is present.
        subjects: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        frames: (n,) the order of the pictures of a sequence.

    Returns:
        (n,) whether each picture is taken for a neutral frame.

    >>> present = np.array([[False], [True], [False], [False]])
    >>> apparent_neutral(present, list("aaaa"), list("xxyy")).tolist()  # y as x
    [True, False, True, False]
    """
    faces = _regular(subjects, sequences, frames, ~present.any(1))
    faces = faces.assign(resting=faces["kind"].eq("True"))
    sequence = ["subject", "sequence"]
    in_order = faces.sort_values("frame").groupby(sequence)
    known = _patterns(in_order["resting"].agg(tuple))
    frame_number = in_order.cumcount().sort_index().to_numpy()
    neutral: Mask = faces["resting"].to_numpy(bool).copy()
    for rows in faces.groupby(sequence).indices.values():
        alike = known.get(len(rows), set())
        if neutral[rows].all() and len(alike) == 1:
            (pattern,) = alike
            neutral[rows] = np.array(pattern)[frame_number[rows]]
    return neutral


def _patterns(sequences: pd.Series) -> dict[int, set[tuple[bool, ...]]]:
    """Where neutral frames stand in the sequences that have others too, by
    their length.
    """
    known: dict[int, set[tuple[bool, ...]]] = {}
    for pattern in sequences[~sequences.map(all)]:
        known.setdefault(len(pattern), set()).add(pattern)
    return known


def _regular(
    subjects: ArrayLike,
    sequences: ArrayLike,
    frames: ArrayLike | None,
    neutral: ArrayLike | None,
) -> pd.DataFrame:
    """Put what is known of the pictures in one frame: subject, sequence,
    frame, and the kind that must stay in its place.
    """
    given = {
        "subjects": subjects,
        "sequences": sequences,
        "frames": frames,
        "neutral": neutral,
    }
    known = {
        name: np.asarray(values)
        for name, values in given.items()
        if values is not None
    }
    refuse_unequal({name: len(values) for name, values in known.items()})
    person, sequence = named(subjects, sequences)
    kind = np.full(len(person), "")
    if neutral is not None:
        kind = known["neutral"].astype(str)
    columns = {
        "subject": person,
        "sequence": sequence,
        "frame": _ranks(known.get("frames"), len(person)),
        "kind": kind,
    }
    return pd.DataFrame(columns)


def refuse_unequal(lengths: Mapping[str, int]) -> None:
    """Refuse arguments that do not have one row a picture each.

    Args:
        lengths: How many rows each has, by its name.

    Raises:
        InputError: Where they differ.
    """
    if len(set(lengths.values())) > 1:
        counts = ", ".join(
            f"{name} {count}" for name, count in lengths.items()
        )
        raise InputError(f"one row a picture is needed: {counts}")


def _ranks(given: NDArray[np.generic] | None, count: int) -> Indices:
    """Rank the pictures by their frame's number, then by their row; those
    without a number come last.
    """
    rows = np.arange(count)
    if given is None:
        return rows
    number = (
        pd.to_numeric(pd.Series(given), errors="coerce")
        .fillna(np.inf)
        .to_numpy()
    )
    order = np.empty(count, np.int64)
    order[np.lexsort((rows, number))] = rows
    return order


def _sequences(faces: pd.DataFrame) -> pd.DataFrame:
    """Tell for each sequence, by subject and sequence, of which class it is:
    as many frames of the same kinds, in order.
    """
    inorder = faces.sort_values("frame")
    pattern = inorder.groupby(["subject", "sequence"], sort=True)["kind"].agg(
        tuple
    )
    classes = {
        kinds: number
        for number, kinds in enumerate(sorted(set(pattern)), start=1)
    }
    return pattern.map(classes).rename("class").reset_index()


def _blocks(
    faces: pd.DataFrame, sequences: pd.DataFrame, whole: bool
) -> Indices:
    """Write the tree in Winkler's notation: everything, people of one
    structure, person, class, sequence; (n, 5).
    """
    by_person = sequences.groupby("subject", sort=True)["class"]
    of_person = by_person.agg(lambda classes: tuple(sorted(classes)))
    people = -np.arange(1, len(of_person) + 1)
    columns = {"branch": _branches(of_person, whole), "person": people}
    person = pd.DataFrame(columns, index=of_person.index)
    numbers = sequences.assign(number=-np.arange(1, len(sequences) + 1))
    known = faces.merge(numbers, on=["subject", "sequence"], how="left")
    known = known.join(person, on="subject")
    known.insert(0, "all", -1)
    blocks: Indices = known[
        ["all", "branch", "person", "class", "number"]
    ].to_numpy(np.int64)
    return blocks


def _branches(of_person: pd.Series, whole: bool) -> list[int]:
    """A number for each structure of people who may be exchanged whole; −1 for
    all others.
    """
    structures = {
        kinds: number
        for number, kinds in enumerate(sorted(set(of_person)), start=2)
    }
    branches = []
    for kinds in of_person:
        all_different = len(set(kinds)) == len(kinds)
        branches.append(structures[kinds] if whole or all_different else -1)
    return branches
