"""mousavi2016's traits of a study's network, layer after layer, on its own
pictures, beside the untrained network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.evidence import nulls, traits
from duchenne.experiments.pair import Pair
from duchenne.faces.classes import as_classes
from duchenne.faces.images.stack import Stack
from duchenne.progress import progress
from duchenne.units.accumulators import Top
from duchenne.units.layers import (
    activation_maps,
    evaluating,
    find,
    maps,
    rectified,
    take,
)
from duchenne.units.projection import project
from duchenne.units.relu_rules import METHODS, Passing
from duchenne.units.responses import responses

Places = NDArray[np.int64]

_BATCH = 32
_TOGETHER = 64  # units whose maps are sent back together
_RARELY = 6


@dataclass(frozen=True)
class Pictures:
    """Pictures that traits are measured on.

    Attributes:
        prepared: (n, C, H, W) as the network is given them.
        expressions: (n,) what they show.
        people: (n,) who shows it.
        right: (n,) the probability that the network gives the expression that
            is shown.
    """

    prepared: Tensor
    expressions: NDArray[np.str_]
    people: NDArray[np.generic]
    right: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, rows: Places) -> Pictures:
        return Pictures(
            self.prepared[rows],
            self.expressions[rows],
            self.people[rows],
            self.right[rows],
        )


@dataclass(frozen=True)
class Counts:
    """How many pictures and filters traits are measured on.

    Attributes:
        top: Pictures that a filter's invariance is measured on.
        pictures: Those that all other traits are measured on.
        filters: Filters that ``energy kept`` is the mean over; all where not
            given.
    """

    top: int = 10
    pictures: int = 48
    filters: int | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise InputError(f"top {self.top}: expected 1 or more")


_MANY = Counts()


def measure(
    pair: Pair,
    layers: Sequence[str],
    stack: Stack,
    rows: Places,
    method: str = "deconvnet",
    counts: Counts = _MANY,
) -> pd.DataFrame:
    """Measure every trait of some layers on some pictures, in a network and
    its untrained control.

    Args:
        pair: Both; errors are those of the trained one.
        layers: Their names.
        stack: The study's pictures.
        rows: Of the stack, the pictures that are shown.
        method: How filters are projected.
        counts: How many pictures and filters.

    Returns:
        One row a network, layer and trait: the columns of ``of_layer``, and
        ``network``; empty where no layer is named.

    Raises:
        InputError: Where no picture shows a class of the network.
    """
    if not layers:
        return pd.DataFrame()
    faces = _shown(pair, stack, rows)
    parts = []
    for name, network in pair.named.items():
        for layer in layers:
            found = of_layer(network, layer, faces, method, counts)
            parts.append(found.assign(network=name))
    return pd.concat(parts, ignore_index=True)


def _shown(pair: Pair, stack: Stack, rows: Places) -> Pictures:
    """Pictures of a study, with what the trained network makes of them."""
    shown = as_classes(
        stack.table.frame["expression"].iloc[rows], pair.classes
    ).dropna()
    if shown.empty:
        raise InputError("traits: no picture shows a class of the network")
    known = shown.index.to_numpy()
    pictures = stack.floats(known)
    frame = stack.table.frame.iloc[known]
    classes = [pair.classes.index(name) for name in shown]
    shares = pair.read(pictures).numpy()
    return Pictures(
        pair.prepare(torch.from_numpy(pictures)),
        frame["expression"].to_numpy(str),
        nulls.who(frame)[0],
        shares[np.arange(len(known)), classes],
    )


def with_maps(
    network: nn.Module, layers: Sequence[str], prepared: torch.Tensor
) -> list[str]:
    """Those of some layers that give maps.

    Args:
        network: Any network.
        layers: Their names.
        prepared: (1, C, H, W) a prepared picture.

    Returns:
        Names, in the same order.
    """
    found: list[str] = []

    def look(name: str, given: Tensor) -> None:
        if given.ndim == 4:
            found.append(name)

    with evaluating(network), torch.no_grad():
        take(network, layers, prepared, look)
    return [name for name in layers if name in found]


def kept(
    network: nn.Module,
    layer: str,
    picture: Tensor,
    method: str = "deconvnet",
    filters: int | None = None,
) -> NDArray[np.floating]:
    """Share of a picture's variance that each filter alone can give back of
    it.

    The activations of one map, or neuron of a layer that flattens, are sent
    back together, all others being 0, as Zeiler & Fergus (2014) send back one;
    the share is the squared correlation of what arrives with the picture.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        picture: (1, C, H, W), prepared.
        method: How signals pass ReLUs.
        filters: How many, drawn evenly; all where not given.

    Returns:
        (filters,); NaN for filters that are silent.
    """
    active = _by_filter(network, layer, picture)
    count = active.shape[1]
    drawn = _evenly(count, filters or count)
    found = []
    for units in np.array_split(drawn, -(-len(drawn) // _TOGETHER)):
        signals = _sent_back(network, layer, picture, method, active, units)
        found += [_share(signal, picture) for signal in signals]
    return np.array(found)


def _sent_back(
    network: nn.Module,
    layer: str,
    picture: Tensor,
    method: str,
    active: Tensor,
    units: Places,
) -> list[Tensor]:
    """What arrives in the picture of each of some filters alone."""
    way = METHODS[method]
    starts = [partial(_alone, active, int(unit)) for unit in units]
    with evaluating(network), way.within(network), Passing(way.rule):
        return list(
            way.signals(partial(maps, network, layer), picture, starts)
        )


def _share(signal: Tensor, picture: Tensor) -> float:
    """The squared correlation of a signal with the picture; NaN where nothing
    arrives.
    """
    if not signal.any():
        return np.nan
    return float(traits.resemblance(_flat(signal), _flat(picture))[0])


def _flat(picture: Tensor) -> NDArray[np.floating]:
    """One picture as a row (1, pixels)."""
    row: NDArray[np.floating] = picture.cpu().numpy().reshape(1, -1)
    return row


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """So many of ``count`` numbers, from the first to the last in even steps."""
    return np.unique(
        np.linspace(0, count - 1, min(wanted, count)).astype(np.int64)
    )


def _by_filter(network: nn.Module, layer: str, picture: Tensor) -> Tensor:
    """Activations of a layer by filter, which is a map, or a neuron of a layer
    that flattens: (1, filters, positions).
    """
    active = activation_maps(network, layer, picture).contiguous()
    flattens = isinstance(find(network, layer), nn.Flatten)
    return active.view(1, -1, 1) if flattens else active.flatten(2)


def _alone(active: Tensor, unit: int, made: Tensor) -> Tensor:
    """The activations of one filter, 0 elsewhere."""
    start = torch.zeros_like(active)
    start[:, unit] = active[:, unit]
    return start.view_as(made)


def of_layer(
    network: nn.Module,
    layer: str,
    faces: Pictures,
    method: str = "deconvnet",
    counts: Counts = _MANY,
) -> pd.DataFrame:
    """Measure the traits of a layer's filters.

    Filters are the layer's maps; where it gives a single one, as pyramidal
    layers do, they are that one's neurons. ``alike`` and
    ``alike across expressions`` are means over filters, each on its top
    pictures; all others are means over pictures, drawn evenly, of what all
    filters see at their activations: ``cosine`` and ``effective share`` (the
    effective number of filters by their number), ``sparsity`` of the maps,
    ``resemblance`` to the picture of what they see together, each weighted by
    its activation, and ``resemblance and error``, a rank correlation; and
    ``energy kept``, what a filter alone can give back of a picture, on every
    sixth of those.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        faces: The pictures, what they show and who shows it.
        method: How filters are projected.
        counts: How many pictures and filters.

    Returns:
        One row a trait: ``layer, trait, value``, and its 95 % interval,
        ``low, high``.

    Raises:
        InputError: For layers that give no maps, and as ``project`` does.
    """
    filters = _Filters.of(network, layer, method, faces.prepared[:1])
    drawn = faces[_evenly(len(faces), counts.pictures)]
    rarely = drawn[np.arange(0, len(drawn), _RARELY)]
    estimates = filters.invariances(faces, counts.top)
    estimates |= filters.filterings(drawn)
    shares = filters.kept(rarely.prepared, counts.filters)
    estimates["energy kept"] = traits.estimate(shares, groups=rarely.people)
    rows = []
    for trait in _TRAITS:
        found = estimates[trait]
        rows.append((layer, trait, found.value, found.low, found.high))
    return pd.DataFrame(
        rows, columns=["layer", "trait", "value", "low", "high"]
    )


_TRAITS = (
    "alike",
    "alike across expressions",
    "cosine",
    "effective share",
    "sparsity",
    "energy kept",
    "resemblance",
    "resemblance and error",
)


@dataclass(frozen=True)
class _Filters:
    """The filters of a layer, and how they are projected."""

    network: nn.Module
    layer: str
    method: str

    @classmethod
    def of(
        cls, network: nn.Module, layer: str, method: str, picture: Tensor
    ) -> _Filters:
        """The layer's maps; or where it gives a single one, that one's
        neurons.
        """
        shape = activation_maps(network, layer, picture).shape
        if len(shape) != 4:
            raise InputError(f"layer {layer!r}: gives no maps")
        if shape[1] == 1:
            return cls(
                _NeuronByNeuron(network, layer, picture), "neurons", method
            )
        return cls(network, layer, method)

    def invariances(
        self, faces: Pictures, top: int
    ) -> dict[str, traits.Estimate]:
        """How alike filters' projections are, each on its top pictures."""
        batches = torch.split(faces.prepared, _BATCH)
        best = Top(top)
        best.update(responses(self.network, self.layer, batches))
        rows = best.compute()
        images = rows["image"].to_numpy()
        units = rows["unit"].to_numpy()
        windows = project(
            self.network,
            self.layer,
            faces.prepared,
            units,
            rows[["row", "col"]].to_numpy(),
            self.method,
            of=images,
        )
        found = traits.invariance(windows, units, faces.expressions[images])
        return {
            "alike": traits.estimate(found["alike"].dropna().to_numpy()),
            "alike across expressions": traits.estimate(
                found["across"].dropna().to_numpy()
            ),
        }

    def filterings(self, faces: Pictures) -> dict[str, traits.Estimate]:
        """What all filters see of some pictures, and how it goes with errors."""
        cosine, share, sparse, resembling = self._of_pictures(faces.prepared).T
        errors = traits.resemblance_and_error(
            resembling, faces.right, faces.people
        )
        return {
            "cosine": traits.estimate(cosine, groups=faces.people),
            "effective share": traits.estimate(share, groups=faces.people),
            "sparsity": traits.estimate(sparse, groups=faces.people),
            "resemblance": traits.estimate(resembling, groups=faces.people),
            "resemblance and error": errors,
        }

    def _of_pictures(self, pictures: Tensor) -> NDArray[np.floating]:
        """Mean cosine, effective share, sparsity of maps, and resemblance, of
        all filters on each picture: (n, 4).
        """
        active = [self._active(picture[None]) for picture in pictures]
        units = len(active[0])
        of = np.repeat(np.arange(len(pictures)), units)
        windows = project(
            self.network,
            self.layer,
            pictures,
            np.tile(np.arange(units), len(pictures)),
            "max",
            self.method,
            of=of,
        )
        size = (pictures.shape[2], pictures.shape[3])
        rows = []
        for number, filters in enumerate(active):
            projections = windows[np.flatnonzero(of == number)]
            seen = projections.full(size).reshape(units, -1)
            rows.append(_of_picture(seen, filters, _flat(pictures[number])))
        return np.array(rows)

    def _active(self, picture: Tensor) -> NDArray[np.floating]:
        """Activations (filters, positions) on one picture."""
        found: NDArray[np.floating] = (
            _by_filter(self.network, self.layer, picture)[0].cpu().numpy()
        )
        return found

    def kept(
        self, pictures: Tensor, filters: int | None
    ) -> NDArray[np.floating]:
        """What a filter keeps of each picture, the mean over filters: (n,)."""
        shares = []
        with progress("Projecting filters back", len(pictures)) as advance:
            for picture in pictures:
                found = kept(
                    self.network,
                    self.layer,
                    picture[None],
                    self.method,
                    filters,
                )
                shares.append(traits.mean_of_known(found))
                advance(1)
        return np.array(shares)


class _NeuronByNeuron(nn.Module):
    """A network up to a layer whose neurons are wanted one by one: those of
    its layer ``neurons``.
    """

    def __init__(
        self, network: nn.Module, layer: str, picture: Tensor
    ) -> None:
        super().__init__()
        self.network = network
        self.layer = layer
        self.neurons = nn.Flatten()
        self.rectified = rectified(network, layer, picture)

    def forward(self, pictures: Tensor) -> Tensor:
        """Answers (n, neurons) to pictures, as the next layer is given them."""
        made = maps(self.network, self.layer, pictures)
        flat: Tensor = self.neurons(
            torch.relu(made) if self.rectified else made
        )
        return flat


def _of_picture(
    seen: NDArray[np.floating],
    filters: NDArray[np.floating],
    picture: NDArray[np.floating],
) -> tuple[float, float, float, float]:
    """Mean cosine, effective share, sparsity, and resemblance to the picture
    of the whole.
    """
    cosine, effective = traits.redundancy(seen)
    maps_ = filters if filters.shape[1] > 1 else filters.T
    sparse = traits.mean_of_known(traits.sparsity(maps_))
    together = (filters.max(1) @ seen)[None]
    resembling = traits.resemblance(together, picture)
    return cosine, effective / len(seen), sparse, float(resembling[0])
