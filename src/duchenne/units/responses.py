"""What every unit answers to each picture: the maximum of its map, after ReLU, and where it lies; streaming.

A unit is a channel of a convolution, a neuron of a linear layer or a channel of a transformer's tokens. Pictures pass once,
whatever is asked of however many layers: ``read`` hands the peaks of each batch to accumulators (see ``accumulators``),
whose memory does not grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.units import layers
from duchenne.units.accumulators import Every
from duchenne.units.peaks import Peaks


class Takes(Protocol):
    """What takes in the peaks of batch after batch."""

    def update(self, peaks: Peaks) -> None:
        """Take in the peaks of a batch."""


def read(
    network: nn.Module, asked: Mapping[str, Sequence[Takes]], batches: Iterable[Tensor], first: int = 0
) -> Iterator[int]:
    """Show batches of prepared pictures (n, C, H, W) to a network, and its layers' peaks to those who asked for them.

    ``asked`` names, for each layer, the accumulators that are to take them. Pictures are numbered from ``first`` on; the
    number of those seen so far is yielded after each batch. Of a layer that is run several times the first counts. Raises
    ``InputError`` for batches of something else, and for layers that are not there or do not give a row a picture.

    >>> from duchenne.units import Every, Top
    >>> top, all_of_them = Top(3), Every()
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    >>> list(read(network, {"0": [top], "2": [all_of_them]}, torch.rand(10, 1, 8, 8).split(4)))
    [4, 8, 10]
    >>> len(top.compute()), all_of_them.compute().value.shape
    (12, (10, 2))
    """
    seen = first

    def taken(layer: str, given: Tensor) -> None:
        peaks = _peaks(layer, given, len(batch), seen)
        for accumulator in asked[layer]:
            accumulator.update(peaks)

    for batch in batches:
        if not isinstance(batch, Tensor) or batch.ndim != 4:
            raise InputError("batches: tensors (n, C, H, W) are wanted, as in pictures.split(64)")
        with layers.evaluating(network), torch.no_grad():  # for each batch alone: between two of them the caller is at work
            layers.take(network, list(asked), batch, taken)
        seen += len(batch)
        yield seen - first


def _peaks(layer: str, given: object, pictures: int, first: int) -> Peaks:
    """Peaks of what a layer gives, or refuse what is not a row a picture."""
    if not isinstance(given, Tensor):
        raise InputError(f"layer {layer!r}: gives {type(given).__name__}, not one tensor")
    if len(given) != pictures:
        raise InputError(f"layer {layer!r}: gives {len(given)} rows for {pictures} pictures; they must come first")
    return Peaks.of(given, first)


def answers(network: nn.Module, layer: str, batches: Iterable[Tensor]) -> Iterator[tuple[Peaks, Tensor]]:
    """Peaks of a layer on batch after batch, and what the network gives in the end, from one run.

    Raises ``InputError`` as ``read`` does.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    >>> [(peaks.value.shape, given.shape) for peaks, given in answers(network, "0", torch.rand(3, 1, 8, 8).split(2))]
    [((2, 4), torch.Size([2, 2])), ((1, 4), torch.Size([1, 2]))]
    """
    kept: list[Peaks] = []

    def keep(module: nn.Module, inputs: object, given: object) -> None:
        if not kept:  # of a layer that is run several times the first counts
            kept.append(_peaks(layer, given, len(batch), seen))

    seen = 0
    for batch in batches:
        kept.clear()
        handle = layers.find(network, layer).register_forward_hook(keep)
        try:
            with layers.evaluating(network), torch.no_grad():
                given = network(batch.clone())
        finally:
            handle.remove()
        if not kept:
            raise InputError(f"layer {layer!r}: the network never runs it")
        seen += len(batch)
        yield kept[0], given


def responses(network: nn.Module, layer: str, batches: Iterable[Tensor]) -> Peaks:
    """Peaks of all units of a layer on all pictures, which are numbered from 0; what is below 0 counts as 0.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3))
    >>> responses(network, "0", [torch.rand(2, 1, 8, 8), torch.rand(1, 1, 8, 8)]).value.shape
    (3, 4)
    """
    every = Every()
    list(read(network, {layer: [every]}, batches))  # for what it does
    return every.compute()
