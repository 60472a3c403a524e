"""Whether a network would read faces surely better than it does as its card
has it: given other colours, another range, mean or margin, or its classes
named in another order. These are the field's commonest faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.evidence import separation
from duchenne.evidence.nulls import who
from duchenne.faces.classes import as_classes
from duchenne.faces.images.stack import Stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.progress import progress
from duchenne.recipes.schema import Input
from duchenne.training.machine import precision

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

WIDE = 0.4
"""The margin of the faces that narrower ones are cut from, unless the card's
own is wider.
"""

MARGINS = (0.0, 0.1, 0.2, 0.3)
"""Those that are tried."""

_NEAR = 0.04  # margins that are one
_BATCH = 64
_STAGES = ((200, 2.0), (600, 1.0))
"""On how many pictures a change is tried before it is on all, and how many
standard errors above what it gains there a fault's gain must lie for it to be
given up.
"""

_LEVEL = 0.01
_LEAST_POINTS = 0.01  # of accuracy, that a right order or input gains
_LEAST = 0.03  # of separation: what gains less is no fault of a card
_MANY_POINTS = 0.1  # of accuracy, that are a fault by themselves
_AS_WELL = 0.9  # of separation, that must be left then


@dataclass(frozen=True)
class Change:
    """A card's input with one thing changed.

    Attributes:
        says: How the card would say so.
        input: The input.
        kind: What is changed: "colours", "numbers" or "margin".
    """

    says: str
    input: Input
    kind: str = ""


@dataclass(frozen=True)
class Faces:
    """Faces with a margin all round, and what the network is to read of them.

    Attributes:
        pictures: (n, C, S, S) in 0 … 1.
        shown: (n,) the class that each shows.
        people: (n,) who shows it.
        margin: Of the pictures; wider ones cannot be tried.
    """

    pictures: NDArray[np.float32]
    shown: Places
    people: NDArray[np.str_]
    margin: float = WIDE

    @classmethod
    def of(
        cls,
        stack: Stack,
        classes: Sequence[str],
        most: int | None = None,
        margin: float = WIDE,
    ) -> Faces:
        """The faces of a stack that show one of a network's classes, drawn
        evenly.

        Args:
            stack: Faces with a margin.
            classes: Of the network.
            most: How many are wanted; all where not given.
            margin: Theirs.

        Returns:
            These faces.
        """
        expressions = as_classes(stack.table.frame["expression"], classes)
        rows = np.flatnonzero(expressions.notna().to_numpy())
        if most is not None and len(rows) > most:
            evenly = np.linspace(0, len(rows) - 1, most)
            rows = rows[evenly.astype(int)]
        shown = pd.Index(classes).get_indexer(expressions.iloc[rows])
        people, _ = who(stack.table.frame.iloc[rows])
        return cls(stack.floats(rows), shown, people, margin)

    def __len__(self) -> int:
        return len(self.shown)

    def __getitem__(self, rows: Places) -> Faces:
        return replace(
            self,
            pictures=self.pictures[rows],
            shown=self.shown[rows],
            people=self.people[rows],
        )

    def cut(self, margin: float, size: int) -> Iterator[Tensor]:
        """Cut narrower faces out.

        Args:
            margin: That is left.
            size: Pixels along a side.

        Yields:
            (n, C, size, size) in 0 … 1, some at a time.
        """
        wide = self.pictures.shape[2]
        border = round(wide * (self.margin - margin) / (1 + 2 * self.margin))
        inside = slice(border, wide - border)
        inner = self.pictures[:, :, inside, inside]
        for first in range(0, len(self), _BATCH):
            batch = inner[first : first + _BATCH]
            resized = [_resized(picture, size) for picture in batch]
            yield torch.from_numpy(np.stack(resized))


def _resized(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """A picture (C, S, S) at another size."""
    smaller = size < picture.shape[1]
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    channels_last = picture.transpose(1, 2, 0)
    resized = cv2.resize(
        channels_last, (size, size), interpolation=interpolation
    )
    channels_first = resized.reshape(size, size, -1).transpose(2, 0, 1)
    return np.ascontiguousarray(channels_first, np.float32)


def changes(stated: Input) -> list[Change]:
    """List the single changes of a card's input that are tried.

    Args:
        stated: What the card says.

    Returns:
        Each other than the card.

    >>> [change.says for change in changes(Input(margin=0.1))][:2]
    ['network.input.range=[-1, 1]', 'network.input.range=[0, 255]']
    """
    found = []
    for other in _OTHER_COLOURS.get(stated.colours, ()):
        found.append(
            Change(
                f'network.input.colours="{other}"',
                stated.model_copy(update={"colours": other}),
                "colours",
            )
        )
    found += _of_numbers(stated)
    for margin in MARGINS:
        if abs(margin - stated.margin) > _NEAR:
            found.append(
                Change(
                    f"network.input.margin={margin:g}",
                    stated.model_copy(update={"margin": margin}),
                    "margin",
                )
            )
    return found


_OTHER_COLOURS = {
    "rgb": ("bgr", "grey3"),
    "bgr": ("rgb", "grey3"),
    "grey3": ("rgb",),
}
"""Colours that are tried beside those of a card."""


def _of_numbers(stated: Input) -> list[Change]:
    """Other ranges, with the card's mean and deviation and without, and those
    numbers that are in use for three channels.
    """
    updates = _of_ranges(stated)
    if stated.channels == 3:
        for says, numbers in _OF_COLOURS.items():
            is_bgr = stated.colours == "bgr"  # they are listed for RGB
            updates[says] = _reversed(numbers) if is_bgr else numbers
    changed = [
        Change(says, stated.model_copy(update=update), "numbers")
        for says, update in updates.items()
    ]
    return [change for change in changed if change.input != stated]


def _of_ranges(stated: Input) -> dict[str, dict[str, tuple[float, ...]]]:
    """Updates of an input by other ranges, by how a card would say so."""
    updates: dict[str, dict[str, tuple[float, ...]]] = {}
    for low, high in _RANGES:
        says = f"network.input.range=[{low:g}, {high:g}]"
        if stated.mean or stated.std:
            updates[says] = {"range": (low, high)}
            says = f"{says} without mean and std"
        updates[says] = {"range": (low, high), "mean": (), "std": ()}
    return updates


def _reversed(
    numbers: dict[str, tuple[float, ...]],
) -> dict[str, tuple[float, ...]]:
    """The same numbers, those of the channels from the last to the first."""
    of_channels = {name: numbers[name][::-1] for name in ("mean", "std")}
    return numbers | of_channels


_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))

_OF_COLOURS: dict[str, dict[str, tuple[float, ...]]] = {
    "ImageNet's network.input.mean and std": {
        "range": (0.0, 1.0),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    },
    "network.input.range=[0, 255] less VGGFace's mean": {
        "range": (0.0, 255.0),
        "mean": (129.186, 104.762, 93.594),
        "std": (),
    },
}
"""Numbers that are in use, as keys of an input of red, green and blue."""


@dataclass(frozen=True)
class Checked:
    """What was tried of a card.

    Attributes:
        tried: A row a change, the stated card first: ``change, pictures,
            accuracy, separation, p``, corrected for how many there are of its
            kind (NaN for the card itself), and ``surely_better``, which takes
            a gain of 3 % in separation and, of other numbers, of a point of
            accuracy besides, or of ten points of accuracy: on thousands of
            faces a network may surely read a little better given other numbers
            than its own.
        order: Names of the classes in the order that reads surely better;
            nothing where the stated one stands.
        order_p: Of such an order against the stated one, on people by whom
            it was not chosen; 1 where the stated one stands.
        accuracy: With the best of the changes, and the order.
    """

    tried: pd.DataFrame
    order: tuple[str, ...] | None
    order_p: float
    accuracy: float


def check(
    network: nn.Module, stated: Input, classes: tuple[str, ...], faces: Faces
) -> Checked:
    """Try every change of a card on faces, and then other orders of its
    classes under the input that reads best.

    Every change is tried on 200 pictures first, then on 600 and on all, as
    long as what it gains may still be enough.

    Args:
        network: Giving logits of the classes.
        stated: The card's input.
        classes: In the card's order.
        faces: With a margin no smaller than the card's; wider ones than
            theirs are not tried.

    Returns:
        What was found.
    """
    count = len(classes)
    card = Change("as the card says", stated)
    listed = _within(changes(stated), faces.margin)
    with (
        _channels_last(network),
        progress("Trying inputs", 1 + len(listed)) as advance,
    ):
        whole = _Read(card, faces, _logits(network, card, count, faces))
        advance(1)
        reads = [whole]
        for change in listed:
            reads.append(_tried(network, change, whole))
            advance(1)
    table = _table(reads)
    sure = table[table["surely_better"]]
    best = sure["separation"].idxmax() if len(sure) else 0
    return _with_order(table, reads[best], classes)


def _within(listed: list[Change], margin: float) -> list[Change]:
    """The changes that faces with a margin can show."""
    return [change for change in listed if change.input.margin <= margin]


def _tried(network: nn.Module, change: Change, whole: _Read) -> _Read:
    """Read faces with a change: few, then more, as long as it may be better."""
    count = len(whole.faces)
    read = replace(whole, change=change, logits=np.empty_like(whole.logits))
    unread = np.ones(count, bool)
    for pictures, errors in (*_STAGES, (count, 0.0)):
        rows = np.arange(count)[:: max(1, round(count / pictures))]
        more = rows[unread[rows]]
        if not len(more):
            continue
        read.logits[more] = _logits(
            network, change, whole.logits.shape[1], whole.faces[more]
        )
        unread[more] = False
        if not _may_be_better(whole[rows], read[rows], errors):
            return read[rows]
    return read


def _may_be_better(stated: _Read, other: _Read, errors: float) -> bool:
    """Whether a change that was tried on some faces is worth more of them: so
    many standard errors above what it gains lies what a fault does, or many
    more are read.
    """
    own = stated.separation
    gains = other.separation - own
    most = gains.mean() + errors * gains.std() / np.sqrt(len(gains))
    separates = most >= _LEAST * abs(own.mean())
    return bool(separates or _reads_far_more(stated, other))


def _logits(
    network: nn.Module, change: Change, count: int, faces: Faces
) -> Floats:
    """What a network gives for faces with a change of its input (n, count), as
    fast as the machine can: what is compared are differences far above the
    error of bfloat16.
    """
    wanted = change.input
    prepare = Preparation(wanted.steps)
    fast = precision.choose() == "bfloat16"
    given = []
    with torch.inference_mode(), torch.autocast("cpu", enabled=fast):
        for batch in faces.cut(wanted.margin, wanted.size):
            prepared = prepare(batch)
            last = prepared.contiguous(memory_format=torch.channels_last)
            given.append(network(last)[:, :count])
    return torch.cat(given).double().numpy()


@contextmanager
def _channels_last(network: nn.Module) -> Iterator[None]:
    """Keep a network's kernels with their channels last, which processors
    convolve faster, for as long as a block lasts.
    """
    kernels = [each for each in network.parameters() if each.ndim == 4]
    found = [kernel.data for kernel in kernels]
    for kernel in kernels:
        kernel.data = kernel.contiguous(memory_format=torch.channels_last)
    try:
        yield
    finally:
        for kernel, before in zip(kernels, found, strict=True):
            kernel.data = before


@dataclass(frozen=True)
class _Read:
    """What a network makes of faces with a change of its input."""

    change: Change
    faces: Faces
    logits: Floats

    def __getitem__(self, rows: Places) -> _Read:
        return _Read(self.change, self.faces[rows], self.logits[rows])

    @property
    def scores(self) -> Floats:
        return separation.standardised(np.nan_to_num(self.logits))

    @property
    def separation(self) -> Floats:
        return separation.separation(
            self.scores, self.faces.shown, self.faces.people
        )

    @property
    def right(self) -> Floats:
        """Whether each picture is read as what it shows, (n,)."""
        right: Floats = (self.logits.argmax(1) == self.faces.shown) * 1.0
        return right

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def _table(reads: list[_Read]) -> pd.DataFrame:
    """A row a change, the stated card first; p is corrected for how many
    changes of a kind there are.
    """
    compared = [_compared(reads[0], read) for read in reads]
    table = pd.DataFrame(
        {
            "change": [read.change.says for read in reads],
            "pictures": [len(read.faces) for read in reads],
            "accuracy": [read.accuracy for read in reads],
            "separation": [float(read.separation.mean()) for read in reads],
            "p": [p for p, _ in compared],
        }
    )
    table["p"] = _corrected(table["p"], [read.change.kind for read in reads])
    gains = np.array([gain for _, gain in compared])
    table["surely_better"] = (table["p"] < _LEVEL) & gains
    return table


def _corrected(p: pd.Series, kinds: list[str]) -> pd.Series:
    """P corrected within each kind of change (Holm); NaN of the stated card."""
    found = p.copy()
    changed = p[1:]
    for _, of_kind in changed.groupby(pd.Series(kinds)[1:]):
        found[of_kind.index] = separation.holm(of_kind.to_numpy())
    found[0] = np.nan
    return found


def _compared(stated: _Read, other: _Read) -> tuple[float, bool]:
    """P of a change that was tried on all faces, 1 where a few were enough; and
    whether it gains enough, in separation or else in accuracy, to be a fault
    of the card.
    """
    if len(other.faces) < len(stated.faces):
        return 1.0, False
    people = stated.faces.people
    p = separation.p_better(stated.separation, other.separation, people)
    separates = _separates_more(stated, other)
    reads = _reads_far_more(stated, other)
    if reads:
        p_reads = separation.p_better(stated.right, other.right, people)
        p = min(p, p_reads) if separates else p_reads
    return min(1.0, 2 * p), bool(separates or reads)  # of two criteria


def _separates_more(stated: _Read, other: _Read) -> bool:
    """Whether a change tells faces apart better, and, of other numbers, reads
    more of them: less contrast may tell them apart better and read none more.
    """
    own = stated.separation.mean()
    more = other.separation.mean() - own >= _LEAST * abs(own)
    reads = other.accuracy - stated.accuracy >= _LEAST_POINTS
    return bool(more and (reads or other.change.kind != "numbers"))


def _reads_far_more(stated: _Read, other: _Read) -> bool:
    """Whether a change reads many more faces, and tells them apart nearly as
    well: then the stated numbers make it lean to some classes.
    """
    more = other.accuracy - stated.accuracy >= _MANY_POINTS
    own = stated.separation.mean()
    return bool(more and other.separation.mean() >= _AS_WELL * own)


def _with_order(
    table: pd.DataFrame, best: _Read, classes: tuple[str, ...]
) -> Checked:
    """What was found, with another order of classes where one reads better."""
    faces = best.faces
    stands = Checked(table, None, 1.0, best.accuracy)
    other = separation.other_order(best.scores, faces.shown, faces.people)
    if other is None:
        return stands
    order, p = other
    read_as = best.logits[:, order].argmax(1)
    accuracy = float((read_as == faces.shown).mean())
    if accuracy < best.accuracy + _LEAST_POINTS:
        return stands
    names = [""] * len(classes)
    for class_, output in enumerate(order):
        names[output] = classes[class_]
    return Checked(table, tuple(names), p, accuracy)
