"""What every unit answers to each picture: the maximum of its map, after ReLU,
and where it lies; streaming.

A unit is a channel of a convolution, a neuron of a linear layer or a channel
of a transformer's tokens. Pictures pass once, whatever is asked of however
many layers: ``read`` hands the activations of each batch to accumulators (see
``accumulators``), whose memory does not grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.units import layers
from duchenne.units.accumulators import Every
from duchenne.units.activations import Activations


class Takes(Protocol):
    """What takes in the activations of batch after batch."""

    def update(self, activations: Activations) -> None:
        """Take in the activations of a batch."""


def read(
    network: nn.Module,
    asked: Mapping[str | nn.Module, Sequence[Takes]],
    batches: Iterable[Tensor],
    first: int = 0,
    activation: str = "positive",
) -> Iterator[int]:
    """Show batches of prepared pictures (n, C, H, W) to a network, and its
    layers' activations to those who asked for them.

    Pictures are numbered from ``first`` on. Of a layer that is run several
    times the first counts; its activations are taken after the ReLU, if one
    takes them.

    Args:
        network: Any network.
        asked: For each layer the accumulators that are to take its
            activations.
        batches: Of prepared pictures (n, C, H, W).
        first: The number of the first picture.
        activation: How they are read (``activations``).

    Yields:
        The number of pictures seen so far, after each batch.

    Raises:
        InputError: For batches of something else, and for layers that are not
            there or do not give a row a picture.

    >>> from duchenne.units import Every, Top
    >>> top, all_of_them = Top(3), Every()
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    >>> list(
    ...     read(
    ...         network,
    ...         {"0": [top], "2": [all_of_them]},
    ...         torch.rand(10, 1, 8, 8).split(4),
    ...     )
    ... )
    [4, 8, 10]
    >>> len(top.compute()), all_of_them.compute().value.shape
    (12, (10, 2))
    """
    seen = first
    reading = _Reading(network, activation)
    takers = {
        layers.name_of(network, layer): accumulators
        for layer, accumulators in asked.items()
    }

    def taken(layer: str, given: Tensor) -> None:
        activations = _activations(layer, given, len(batch), seen, how[layer])
        for accumulator in takers[layer]:
            accumulator.update(activations)

    for batch in batches:
        if not isinstance(batch, Tensor) or batch.ndim != 4:
            raise InputError(
                "batches: tensors (n, C, H, W) are wanted, as in pictures.split(64)"
            )
        with (
            layers.evaluating(network),
            torch.no_grad(),
        ):  # for each batch alone: between two of them the caller is at work
            how = {layer: reading.of(layer, batch) for layer in takers}
            layers.take(network, list(takers), batch, taken)
        seen += len(batch)
        yield seen - first


class _Reading:
    """How the answers of a network's layers are read: as asked for, but after
    a ReLU none lies below 0.
    """

    def __init__(self, network: nn.Module, activation: str) -> None:
        self._network = network
        self._activation = activation
        self._known: dict[str, str] = {}

    def of(self, layer: str, batch: Tensor) -> str:
        """One of ``ACTIVATIONS`` for a layer; the network is run on one of the
        pictures to see what takes its answers.
        """
        if self._activation == "positive":
            return "positive"
        if layer not in self._known:
            with layers.evaluating(self._network), torch.no_grad():
                rectified = layers.rectified(self._network, layer, batch[:1])
            self._known[layer] = "positive" if rectified else self._activation
        return self._known[layer]


def _activations(
    layer: str, given: object, pictures: int, first: int, activation: str
) -> Activations:
    """Activations of what a layer gives, or refuse what is not a row a
    picture.
    """
    if not isinstance(given, Tensor):
        raise InputError(
            f"layer {layer!r}: gives {type(given).__name__}, not one tensor"
        )
    if len(given) != pictures:
        raise InputError(
            f"layer {layer!r}: gives {len(given)} rows for {pictures} pictures; they must come "
            "first"
        )
    return Activations.of(given, first, activation)


def answers(
    network: nn.Module,
    layer: str | nn.Module,
    batches: Iterable[Tensor],
    activation: str = "positive",
) -> Iterator[tuple[Activations, Tensor]]:
    """Activations of a layer on batch after batch, and what the network gives
    in the end.

    Args:
        network: Any network.
        layer: One of its layers, by its name or itself.
        batches: Of prepared pictures (n, C, H, W).
        activation: How activations are read (``activations``).

    Yields:
        Activations and the network's output (n, …) of each batch.

    Raises:
        InputError: As ``read`` does.

    >>> network = nn.Sequential(
    ...     nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    ... )
    >>> [
    ...     (activations.value.shape, given.shape)
    ...     for activations, given in answers(
    ...         network, "0", torch.rand(3, 1, 8, 8).split(2)
    ...     )
    ... ]
    [((2, 4), torch.Size([2, 2])), ((1, 4), torch.Size([1, 2]))]
    """
    name = layers.name_of(network, layer)
    reading = _Reading(network, activation)
    seen = 0
    for batch in batches:
        with layers.evaluating(network), torch.no_grad():
            how = reading.of(name, batch)
            square = layers.are_square(batch)
            kept = _Kept(network, name, len(batch), seen, how, square)
            handle = layers.find(network, name).register_forward_hook(kept)
            try:
                given = network(batch.clone())
            finally:
                handle.remove()
        if kept.activations is None:
            raise InputError(f"layer {name!r}: the network never runs it")
        seen += len(batch)
        yield kept.activations, given


@dataclass
class _Kept:
    """A hook that keeps a layer's activations when it is first run: what comes
    after may write into what it gave.
    """

    network: nn.Module
    layer: str
    pictures: int
    first: int
    how: str
    square: bool
    activations: Activations | None = None

    def __call__(
        self, module: nn.Module, inputs: object, given: object
    ) -> None:
        if self.activations is not None:
            return
        if isinstance(given, Tensor):
            given = layers.units_first(
                self.network, self.layer, given, self.square
            )
        self.activations = _activations(
            self.layer, given, self.pictures, self.first, self.how
        )


def responses(
    network: nn.Module,
    layer: str | nn.Module,
    batches: Iterable[Tensor],
    activation: str = "positive",
) -> Activations:
    """Activations of all units of a layer on all pictures, which are numbered
    from 0.

    Args:
        network: Any network.
        layer: The name of one of its layers, or that module itself.
        batches: Prepared pictures (n, C, H, W), batch after batch.
        activation: ``positive`` (what is below 0 counts as 0), ``signed`` or
            ``magnitude``, of what the layer passes on: after the ReLU that
            takes it, if one does.

    Returns:
        The activations of n pictures and u units: ``value``, ``row`` and
        ``column``, each (n, u).

    Raises:
        InputError: As ``read`` does.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3))
    >>> responses(
    ...     network, "0", [torch.rand(2, 1, 8, 8), torch.rand(1, 1, 8, 8)]
    ... ).value.shape
    (3, 4)
    """
    every = Every()
    # for what it does
    list(read(network, {layer: [every]}, batches, activation=activation))
    return every.compute()
