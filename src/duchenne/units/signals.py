"""Signals that neurons send back into pictures.

Where receptive fields are small against the picture and known in closed form,
neurons are computed from their fields alone (``windows``), to the same result;
else from whole pictures, each of which is run once for all neurons that are
asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.units import layers, windows
from duchenne.units.graph import Way
from duchenne.units.receptive_fields import Fields
from duchenne.units.relu_rules import Method, Passing, gradient

Places = NDArray[np.int64]
Floats = NDArray[np.float32]
_PICTURES = 8  # whole pictures that are run at once


# numbers on the way that are computed at once: with more than caches hold it
# is slower
_AT_ONCE = 2**24
_HELD = 2**26  # numbers of signals that are held at once
_PROVED = 16  # neurons
_CLOSE = 1e-3  # of the largest number on a map, in any precision


@dataclass(frozen=True)
class Neurons:
    """Neurons, each in a picture: ``of`` its number, a unit, a row and a
    column; all (n,).
    """

    of: Places
    unit: Places
    row: Places
    column: Places

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, chosen: Any) -> Neurons:
        return Neurons(
            self.of[chosen],
            self.unit[chosen],
            self.row[chosen],
            self.column[chosen],
        )


@dataclass(frozen=True)
class ProjectionTask:
    """What neurons are asked of: a layer of a network, its fields, pictures,
    and a method.
    """

    network: nn.Module
    layer: str
    images: Tensor
    method: Method
    fields: Fields


Parts = Iterator[tuple[Places, list[Tensor]]]
"""Numbers of neurons, and what of each one's signal lies in its field: (C, h,
w).
"""


def sent_back(task: ProjectionTask, neurons: Neurons, boxes: Places) -> Parts:
    """Pass signals back by windows where that is less work, and proves right,
    else by whole pictures.

    Args:
        task: The layer, the images and the method.
        neurons: (n,) of the layer, each in one of the images.
        boxes: (n, 4) their fields as x0, y0, x1, y1; widened where fields are
            not known in closed form and more is reached.

    Yields:
        Numbers of neurons, and what of each one's signal lies in its field.

    Raises:
        InputError: For compiled modules, whose ReLUs cannot be met.
    """
    way = task.fields.way
    numbers = _windowed(way, task)
    if way and numbers and _proves_right(way, task, neurons):
        yield from _by_windows(
            way, task, neurons, boxes, max(1, _AT_ONCE // numbers)
        )
        return
    compiled = [
        isinstance(each, torch.jit.ScriptModule)
        for each in task.network.modules()
    ]
    if any(compiled) and task.method.rule is not gradient:
        unmet = "the network holds compiled modules, whose ReLUs cannot be met"
        raise InputError(f"{unmet}: give it as it was written")
    with task.method.within(task.network):
        yield from _by_pictures(task, neurons, boxes)


def _windowed(way: Way | None, task: ProjectionTask) -> int:
    """How many numbers a neuron's window takes; 0 where whole pictures are
    less work.
    """
    if way is None or task.method.around:
        return 0
    numbers = windows.numbers(way) or 0
    return numbers if 2 * numbers < windows.all_numbers(way) else 0


def _proves_right(way: Way, task: ProjectionTask, neurons: Neurons) -> bool:
    """Whether windows give some of the neurons what the whole picture gives
    them: the way was recorded on another one.
    """
    some = neurons[
        np.unique(np.linspace(0, len(neurons) - 1, _PROVED).astype(np.int64))
    ]
    image = task.images[some.of[:1]]
    with torch.no_grad():
        whole = layers.maps(task.network, task.layer, image)[0]
        run = windows.Windowed(way, some.row, some.column)
        found = run.run(run.cut(image, np.zeros_like(some.of)))
    value = whole[some.unit, some.row, some.column]
    expected = found[np.arange(len(some)), some.unit, 0, 0]
    return bool(((expected - value).abs() <= _CLOSE * whole.abs().max()).all())


def _by_windows(
    way: Way,
    task: ProjectionTask,
    neurons: Neurons,
    boxes: Places,
    at_once: int,
) -> Parts:
    """Neurons one by one from the windows that they see, many at once."""
    passing = Passing(task.method.rule)
    inwards = _inwards(boxes)
    for first in range(0, len(neurons), at_once):
        numbers = inwards[first : first + at_once]
        some = neurons[numbers]
        run = windows.Windowed(way, some.row, some.column, passing.relu)
        nowhere = np.zeros_like(some.row)
        alone = Neurons(np.arange(len(some)), some.unit, nowhere, nowhere)
        cut = run.cut(task.images, some.of)
        (signals,) = task.method.signals(
            run.run, cut, [partial(_started, alone)]
        )
        yield numbers, run.within(signals, boxes[numbers])


def _inwards(boxes: Places) -> Places:
    """Neurons whose fields end at the border of the picture last: only these
    need bounds.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    at_border = (sides < sides.max(0)).any(1)
    return np.argsort(at_border, kind="stable")


def _by_pictures(
    task: ProjectionTask, neurons: Neurons, boxes: Places
) -> Parts:
    """Pictures a few at once, those with the most neurons first: each is run
    once, and gives one neuron a turn.

    Where fields are not known in closed form, ``boxes`` are widened to all
    that signals reach.
    """
    turns = _turns(neurons.of)
    for pictures in _most_asked_first(neurons.of):
        local = replace(neurons, of=_places_in(pictures, neurons.of))
        images = task.images[pictures]
        count = int(turns[local.of >= 0].max()) + 1
        for together in _turns_together(task, count):
            wanted = [
                np.flatnonzero((local.of >= 0) & (turns == each))
                for each in together
            ]
            signals = _signals_of_turns(task, local, images, wanted)
            for numbers, signal in zip(wanted, signals, strict=True):
                yield (
                    numbers,
                    _in_fields(
                        task, signal, local.of[numbers], boxes, numbers
                    ),
                )


def _most_asked_first(of: Places) -> Iterator[Places]:
    """Pictures, a few at once, those that most neurons are asked of first."""
    pictures, counts = np.unique(of, return_counts=True)
    most = pictures[np.argsort(-counts, kind="stable")]
    for first in range(0, len(most), _PICTURES):
        yield most[first : first + _PICTURES]


def _places_in(pictures: Places, of: Places) -> Places:
    """Which of some pictures each number is; −1 where it is none of them."""
    order = np.argsort(pictures)
    index = order[
        np.searchsorted(pictures, of, sorter=order).clip(max=len(pictures) - 1)
    ]
    return np.where(pictures[index] == of, index, -1)


def _in_fields(
    task: ProjectionTask,
    signal: Tensor,
    of: Places,
    boxes: Places,
    numbers: Places,
) -> list[Tensor]:
    """What of a turn's signals lies in each neuron's field; its box is widened
    where the field is not known.
    """
    if task.fields.way is None:
        boxes[numbers] = _widened(boxes[numbers], signal[of])
    return _cut_out(signal, of, boxes[numbers])


def _turns_together(task: ProjectionTask, turns: int) -> Iterator[range]:
    """The turns whose signals are held together."""
    at_once = max(1, _HELD // (_PICTURES * task.images[0].numel()))
    for first in range(0, turns, at_once):
        yield range(first, min(first + at_once, turns))


def _signals_of_turns(
    task: ProjectionTask,
    neurons: Neurons,
    images: Tensor,
    wanted: Sequence[Places],
) -> list[Tensor]:
    """What every turn's neurons see in a batch of images."""
    run = partial(layers.maps, task.network, task.layer)
    starts: list[Callable[[Tensor], Tensor]] = []
    for numbers in wanted:
        starts.append(partial(_started, neurons[numbers]))
    with Passing(task.method.rule):
        return task.method.signals(run, images, starts)


def _cut_out(signal: Tensor, of: Places, boxes: Places) -> list[Tensor]:
    """What of the signals lies in each neuron's receptive field."""
    pairs = zip(of, boxes, strict=True)
    return [
        signal[picture, :, y0:y1, x0:x1] for picture, (x0, y0, x1, y1) in pairs
    ]


def _widened(boxes: Places, signals: Tensor) -> Places:
    """Boxes (n, 4) that hold all of signals (n, C, H, W) as well."""
    there = (signals != 0).any(1)
    x0, x1 = _ends(there.any(1))
    y0, y1 = _ends(there.any(2))
    first = np.stack([x0, y0], 1)
    last = np.stack([x1, y1], 1)
    return np.concatenate(
        [np.minimum(boxes[:, :2], first), np.maximum(boxes[:, 2:], last)], 1
    )


def _ends(along: Tensor) -> tuple[Places, Places]:
    """The first place of each row (n, k) that is set, and the one behind the
    last.
    """
    mask = along.cpu().numpy()
    numbers = np.arange(mask.shape[1])
    first = np.where(mask, numbers, mask.shape[1]).min(1)
    last = np.where(mask, numbers + 1, 0).max(1)
    return first, last


def _turns(which: Places) -> Places:
    """How many before it are equal, for every number."""
    order = np.argsort(which, kind="stable")
    turns = np.empty_like(order)
    inorder = which[order]
    turns[order] = np.arange(len(which)) - np.searchsorted(inorder, inorder)
    return turns


def _started(neurons: Neurons, made: Tensor) -> Tensor:
    """1 at neurons of what a layer made of pictures, 0 elsewhere."""
    start = torch.zeros_like(made)
    places = {
        2: (neurons.unit,),
        3: (neurons.row, neurons.unit),
        4: (neurons.unit, neurons.row, neurons.column),
    }
    start[(neurons.of, *places[made.ndim])] = 1
    return start
