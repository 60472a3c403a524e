"""mousavi2016's traits of a study's network, layer after layer, on its own pictures, beside the
untrained network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.evidence import nulls, traits
from duchenne.faces.images.stack import Stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.progress import progress
from duchenne.training.fit import probabilities
from duchenne.units.accumulators import Top
from duchenne.units.activations import Activations
from duchenne.units.layers import activation_maps, evaluating, find, maps, rectified, take
from duchenne.units.projection import project
from duchenne.units.relu_rules import METHODS, Passing
from duchenne.units.responses import responses

Places = NDArray[np.int64]

_BATCH = 32
_TOGETHER = 64  # units whose maps are sent back together
_RARELY = 6


def measure(
    networks: Mapping[str, nn.Module],
    prepare: Preparation,
    layers: Sequence[str],
    stack: Stack,
    rows: Places,
    method: str = "deconvnet",
    **amounts: Any,
) -> pd.DataFrame:
    """Measure every trait of some layers on some pictures.

    Args:
        networks: By what tables call them; the first is the one whose errors filtering is set
            against.
        prepare: From pictures to the networks' input.
        layers: Their names.
        stack: The study's pictures.
        rows: Of the stack, the pictures that are shown.
        method: How filters are projected.
        amounts: The numbers that ``of_layer`` takes.

    Returns:
        One row a network, layer and trait: the columns of ``of_layer``, and ``network``; empty
        where no layer is named.
    """
    if not layers:
        return pd.DataFrame()
    trained = next(iter(networks.values()))
    pictures = torch.from_numpy(stack.floats(rows))
    frame = stack.table.frame.iloc[rows]
    shown = frame["expression"].to_numpy(str)
    people = nulls.who(frame)[0]
    classes = [stack.table.expressions.index(name) for name in shown]
    right = probabilities(trained, prepare, pictures).numpy()[np.arange(len(rows)), classes]
    faces: tuple[Any, ...] = (prepare(pictures), shown, people, right)
    parts = []
    for name, network in networks.items():
        for layer in layers:
            found = of_layer(network, layer, *faces, method=method, **amounts)
            parts.append(found.assign(network=name))
    return pd.concat(parts, ignore_index=True)


def with_maps(network: nn.Module, layers: Sequence[str], prepared: torch.Tensor) -> list[str]:
    """Those of some layers that give maps.

    Args:
        network: Any network.
        layers: Their names.
        prepared: (1, C, H, W) a prepared picture.

    Returns:
        Names, in the same order.
    """
    maps: list[str] = []
    with evaluating(network), torch.no_grad():
        take(
            network,
            layers,
            prepared,
            lambda name, given: maps.extend([name] if given.ndim == 4 else []),
        )
    return [name for name in layers if name in maps]


def kept(
    network: nn.Module,
    layer: str,
    picture: Tensor,
    method: str = "deconvnet",
    filters: int | None = None,
) -> NDArray[np.floating]:
    """Share of a picture's variance that each filter alone can give back of it.

    The activations of one map, or neuron of a layer that flattens, are sent back together, all
    others being 0, as Zeiler & Fergus (2014) send back one; the share is the squared correlation of
    what arrives with the picture.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        picture: (1, C, H, W), prepared.
        method: How signals pass ReLUs.
        filters: How many, drawn evenly; all where not given.

    Returns:
        (filters,); NaN for filters that are silent.
    """
    way = METHODS[method]
    active = _by_filter(network, layer, picture)
    told = _flat(picture)
    drawn = _evenly(active.shape[1], filters or active.shape[1])
    found = np.full(len(drawn), np.nan)
    parts = np.array_split(np.arange(len(drawn)), -(-len(drawn) // _TOGETHER))
    for places in parts:
        starts = [partial(_alone, active, int(unit)) for unit in drawn[places]]
        with evaluating(network), way.within(network), Passing(way.rule):
            signals = way.signals(partial(maps, network, layer), picture, starts)
        for place, signal in zip(places, signals, strict=True):
            if signal.any():
                found[place] = traits.resemblance(_flat(signal), told)[0]
    return found


def _flat(picture: Tensor) -> NDArray[np.floating]:
    """One picture as a row (1, pixels)."""
    row: NDArray[np.floating] = picture.cpu().numpy().reshape(1, -1)
    return row


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """So many of ``count`` numbers, from the first to the last in even steps."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def _by_filter(network: nn.Module, layer: str, picture: Tensor) -> Tensor:
    """Activations of a layer by filter, which is a map, or a neuron of a layer that flattens:
    (1, filters, positions).
    """
    active = activation_maps(network, layer, picture).contiguous()
    flattens = isinstance(find(network, layer), nn.Flatten)
    return active.view(1, -1, 1) if flattens else active.flatten(2)


def _alone(active: Tensor, unit: int, made: Tensor) -> Tensor:
    """The activations of one filter, 0 elsewhere."""
    start = torch.zeros_like(active)
    start[:, unit] = active[:, unit]
    return start.view_as(made)


# all of them, for a layer


def of_layer(
    network: nn.Module,
    layer: str,
    prepared: Tensor,
    expressions: NDArray[np.str_],
    people: NDArray[np.generic],
    right: NDArray[np.floating],
    *,
    top: int = 10,
    pictures: int = 48,
    filters: int | None = None,
    method: str = "deconvnet",
) -> pd.DataFrame:
    """Measure the traits of a layer's filters.

    Filters are the layer's maps; where it gives a single one, as pyramidal layers do, they are that
    one's neurons. ``alike`` and ``alike across expressions`` are means over filters, each on its
    top pictures; all others are means over pictures, drawn evenly, of what all filters see at their
    activations: ``cosine`` and ``effective share`` (the effective number of filters by their
    number), ``sparsity`` of the maps, ``resemblance`` to the picture of what they see together,
    each weighted by its activation, and ``resemblance and error``, a rank correlation; and ``energy
    kept``, what a filter alone can give back of a picture, on every sixth of those.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        prepared: (n, C, H, W) pictures as the network is given them.
        expressions: (n,) what they show.
        people: (n,) who shows it.
        right: (n,) the probability that the network gives the expression that is shown.
        top: How many pictures a filter's invariance is measured on.
        pictures: How many pictures all other traits are measured on.
        filters: How many filters ``energy kept`` is the mean over; all where not given.
        method: How filters are projected.

    Returns:
        One row a trait: ``layer, trait, value``, and its 95 % interval, ``low, high``.

    Raises:
        InputError: For layers that give no maps, and as ``project`` does.
    """
    if top < 1:
        raise InputError(f"top {top}: expected 1 or more")
    shape = activation_maps(network, layer, prepared[:1]).shape
    if len(shape) != 4:
        raise InputError(f"layer {layer!r}: gives no maps")
    named = layer
    if shape[1] == 1:
        network = _NeuronByNeuron(network, layer, prepared[:1])
        layer = "neurons"
    drawn = _evenly(len(prepared), pictures)
    rarely = drawn[::_RARELY]
    estimates = _invariances(network, layer, prepared, expressions, top, method)
    estimates |= _filterings(network, layer, prepared[drawn], people[drawn], right[drawn], method)
    shares = _kept_of(network, layer, prepared[rarely], filters, method)
    estimates["energy kept"] = traits.estimate(shares, groups=people[rarely])
    rows = []
    for trait in _TRAITS:
        found = estimates[trait]
        rows.append((named, trait, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=["layer", "trait", "value", "low", "high"])


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


def _invariances(
    network: nn.Module,
    layer: str,
    prepared: Tensor,
    expressions: NDArray[np.str_],
    top: int,
    method: str,
) -> dict[str, traits.Estimate]:
    """How alike filters' projections are, each on its top pictures."""
    activations = responses(network, layer, torch.split(prepared, _BATCH))
    found = _on_top_pictures(network, layer, prepared, activations, expressions, top, method)
    return {
        "alike": traits.estimate(found["alike"].dropna().to_numpy()),
        "alike across expressions": traits.estimate(found["across"].dropna().to_numpy()),
    }


def _filterings(
    network: nn.Module,
    layer: str,
    pictures: Tensor,
    people: NDArray[np.generic],
    right: NDArray[np.floating],
    method: str,
) -> dict[str, traits.Estimate]:
    """What all filters see of some pictures, and how it goes with errors."""
    cosine, share, sparse, resembling = _of_pictures(network, layer, pictures, method).T
    return {
        "cosine": traits.estimate(cosine, groups=people),
        "effective share": traits.estimate(share, groups=people),
        "sparsity": traits.estimate(sparse, groups=people),
        "resemblance": traits.estimate(resembling, groups=people),
        "resemblance and error": traits.resemblance_and_error(resembling, right, people),
    }


class _NeuronByNeuron(nn.Module):
    """A network up to a layer whose neurons are wanted one by one: those of its layer
    ``neurons``.
    """

    def __init__(self, network: nn.Module, layer: str, picture: Tensor) -> None:
        super().__init__()
        self.network, self.layer, self.neurons = network, layer, nn.Flatten()
        self.rectified = rectified(network, layer, picture)

    def forward(self, pictures: Tensor) -> Tensor:
        """Answers (n, neurons) to pictures, as the next layer is given them."""
        made = maps(self.network, self.layer, pictures)
        flat: Tensor = self.neurons(torch.relu(made) if self.rectified else made)
        return flat


def _on_top_pictures(
    network: nn.Module,
    layer: str,
    prepared: Tensor,
    activations: Activations,
    expressions: NDArray[np.str_],
    top: int,
    method: str,
) -> pd.DataFrame:
    """How alike each filter's projections are on its top pictures."""
    best = Top(top)
    best.update(activations)
    rows = best.compute()
    of, unit = rows["image"].to_numpy(), rows["unit"].to_numpy()
    windows = project(
        network, layer, prepared, unit, rows[["row", "col"]].to_numpy(), method, of=of
    )
    return traits.invariance(windows, unit, expressions[of])


def _kept_of(
    network: nn.Module, layer: str, pictures: Tensor, filters: int | None, method: str
) -> NDArray[np.floating]:
    """What a filter keeps of each picture, the mean over filters: (n,)."""
    shares = []
    with progress("Sending filters back", len(pictures)) as advance:
        for picture in pictures:
            shares.append(
                traits.mean_of_known(kept(network, layer, picture[None], method, filters))
            )
            advance(1)
    return np.array(shares)


def _of_pictures(
    network: nn.Module, layer: str, pictures: Tensor, method: str
) -> NDArray[np.floating]:
    """Mean cosine, effective share, sparsity of maps, and resemblance, of all filters on each
    picture: (n, 4).
    """
    count = len(pictures)
    size = (pictures.shape[2], pictures.shape[3])
    active = [_by_filter(network, layer, picture[None])[0].cpu().numpy() for picture in pictures]
    units = len(active[0])
    numbers = np.tile(np.arange(units), count)
    of = np.repeat(np.arange(count), units)
    windows = project(network, layer, pictures, numbers, "max", method, of=of)
    rows = []
    for number, filters in enumerate(active):
        seen = windows[np.flatnonzero(of == number)].full(size).reshape(units, -1)
        rows.append(_of_picture(seen, filters, _flat(pictures[number])))
    return np.array(rows)


def _of_picture(
    seen: NDArray[np.floating], filters: NDArray[np.floating], picture: NDArray[np.floating]
) -> tuple[float, float, float, float]:
    """Mean cosine, effective share, sparsity, and resemblance to the picture of the whole."""
    cosine, effective = traits.redundancy(seen)
    maps_ = filters if filters.shape[1] > 1 else filters.T
    sparse = traits.mean_of_known(traits.sparsity(maps_))
    together = (filters.max(1) @ seen)[None]
    resembling = traits.resemblance(together, picture)
    return cosine, effective / len(seen), sparse, float(resembling[0])
