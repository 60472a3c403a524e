"""Three traits of units that mousavi2016 (§IV-A) shows by eye, as numbers: invariance, redundancy and filtering.

Pure functions on projections and maps; intervals are over what is drawn at random in each: units, or people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from duchenne import intervals
from duchenne.errors import InputError
from duchenne.progress import Progress, quiet
from duchenne.units import layers
from duchenne.units.accumulators import Top
from duchenne.units.methods import METHODS, Passing
from duchenne.units.peaks import Peaks
from duchenne.units.projection import Windows, project
from duchenne.units.responses import responses

Floats = NDArray[np.floating]
Classes = NDArray[np.str_]
_BATCH = 32
_TOGETHER = 64  # units whose maps are sent back together
_RARELY = 6


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def estimate(
    values: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    statistic: Callable[..., float] = np.nanmean,
    groups: NDArray[np.generic] | None = None,
    correlation: bool = False,
) -> Estimate:
    """A statistic of one or more columns of values (n,), with its interval over rows, or ``groups`` of rows.

    NaN where nothing is known; there is no interval of fewer than six rows or groups (``intervals``).
    """
    columns = [np.asarray(column) for column in (values if isinstance(values, list | tuple) else [values])]
    if not len(columns[0]):
        return _UNKNOWN
    together = np.arange(len(columns[0])) if groups is None else groups
    low, high = intervals.of_statistic(statistic, columns, together, correlation=correlation)
    return Estimate(float(statistic(*columns)), low, high)


_UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"))


# invariance: one filter, many pictures


def invariance(windows: Windows, units: NDArray[np.int64], classes: Classes) -> pd.DataFrame:
    """How alike the projections of each unit are on different pictures: one row a unit: unit, pictures, alike, across.

    ``alike`` is the mean correlation over all pairs of a unit's projections, ``across`` over pairs from pictures of
    different classes. Projections whose field the picture's border cuts short, against the largest here, are left out, as
    are those that do not vary; NaN stands where fewer than two are left.
    """
    sides = windows.boxes[:, 2:] - windows.boxes[:, :2]
    whole = (sides == sides.max(0)).all(1) if len(sides) else np.zeros(0, bool)
    rows = []
    for unit in np.unique(units):
        numbers = np.flatnonzero((units == unit) & whole)
        alike = across = float("nan")
        if len(numbers) > 1:
            pairs = np.triu_indices(len(numbers), 1)
            correlations = _correlations(np.stack([windows.pixels[number].ravel() for number in numbers]))[pairs]
            other = classes[numbers][pairs[0]] != classes[numbers][pairs[1]]
            alike, across = _known(correlations), _known(correlations[other])
        rows.append((int(unit), len(numbers), alike, across))
    return pd.DataFrame(rows, columns=["unit", "pictures", "alike", "across"])


def _correlations(rows: Floats) -> Floats:
    """Pearson correlation of every row with every other; NaN for rows that do not vary."""
    centred = rows - rows.mean(1, keepdims=True)
    varies = np.ptp(rows, axis=1) > 0
    return np.where(varies & varies[:, None], cosines(centred), np.nan)


def _known(values: Floats) -> float:
    """The mean of what is known; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def cosines(rows: Floats) -> Floats:
    """Cosine of every row (n, m) with every other: (n, n); 0 for rows of zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    return unit @ unit.T


# redundancy: one picture, many filters


def redundancy(projections: Floats) -> tuple[float, float]:
    """How many filters say the same of one picture, from their projections (units, pixels): mean cosine, effective number.

    The effective number of filters is the participation ratio (Σλ)² / Σλ² of the eigenvalues of the matrix of cosines: the
    number of filters where none is like another, 1 where all are alike. Filters that are silent are left out.

    >>> redundancy(np.eye(4))
    (0.0, 4.0)
    >>> redundancy(np.ones((4, 9)))
    (1.0, 1.0)
    """
    heard = projections[np.abs(projections).sum(1) > 0]
    if len(heard) < 2:
        return float("nan"), float(len(heard))
    matrix = cosines(heard.astype(np.float64))
    count = len(matrix)
    off = (matrix.sum() - np.trace(matrix)) / (count * (count - 1))
    return round(float(off), 12), float(np.trace(matrix) ** 2 / (matrix**2).sum())


# filtering: what is left of the picture with depth


def sparsity(maps: Floats) -> Floats:
    """Hoyer's sparsity of maps (n, pixels): 0 where all positions answer alike, 1 where a single one does; NaN if none does.

    (√m − ‖x‖₁ / ‖x‖₂) / (√m − 1), P. Hoyer (2004).

    >>> sparsity(np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 3.0, 0.0]])).tolist()
    [0.0, 1.0]
    """
    root = np.sqrt(maps.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(maps).sum(1) / np.linalg.norm(maps, axis=1)
    found: Floats = (root - ratio) / (root - 1)
    return found


def resemblance(projections: Floats, pictures: Floats) -> Floats:
    """Share of each picture's variance that its projection tells of: squared correlation of rows (n, pixels): (n,)."""
    one, other = (rows - rows.mean(1, keepdims=True) for rows in (projections, pictures))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: Floats = ((one * other).sum(1) / np.where(lengths > 0, lengths, 1)) ** 2
    return found


def resemblance_and_error(resembling: Floats, right: Floats, people: NDArray[np.generic]) -> Estimate:
    """Rank correlation of how much projections resemble pictures with the error 1 − p(the expression that is shown).

    mousavi2016 §IV-A: "the more the feature resembles the object … the smaller the classification error", so negative. The
    interval is over people.
    """
    return estimate([resembling, 1 - right], _rank_correlation, people, correlation=True)


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's ρ; NaN where one of them does not vary."""
    varies = np.ptp(one) > 0 and np.ptp(other) > 0
    return float(stats.spearmanr(one, other).statistic) if varies else float("nan")


def kept(network: nn.Module, layer: str, picture: Tensor, method: str = "deconvnet", filters: int | None = None) -> Floats:
    """Share of a picture's variance that each filter alone can give back of it: (filters,), all or so many drawn evenly.

    The activations of one map, or neuron of a layer that flattens, are sent back together, all others being 0, as Zeiler &
    Fergus (2014) send back one; the share is the squared correlation of what arrives with the ``picture`` (1, C, H, W). NaN
    for filters that are silent.
    """
    way, active = METHODS[method], _by_filter(network, layer, picture)
    told = picture.cpu().numpy().reshape(1, -1)
    drawn = _evenly(active.shape[1], filters or active.shape[1])
    found = np.full(len(drawn), np.nan)
    for places in np.array_split(np.arange(len(drawn)), -(-len(drawn) // _TOGETHER)):
        units = drawn[places]
        starts = [partial(_alone, active, int(unit)) for unit in units]
        with layers.evaluating(network), way.within(network), Passing(way.rule):
            signals = way.signals(partial(layers.maps, network, layer), picture, starts)
        for place, signal in zip(places, signals, strict=True):
            if signal.any():
                found[place] = resemblance(signal.cpu().numpy().reshape(1, -1), told)[0]
    return found


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """So many of ``count`` numbers, from the first to the last in even steps."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def _by_filter(network: nn.Module, layer: str, picture: Tensor) -> Tensor:
    """Activations of a layer by filter, which is a map, or a neuron of a layer that flattens: (1, filters, positions)."""
    active = layers.activations(network, layer, picture).contiguous()
    flattens = isinstance(layers.find(network, layer), nn.Flatten)
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
    expressions: Classes,
    people: NDArray[np.generic],
    right: Floats,
    *,
    top: int = 10,
    pictures: int = 48,
    filters: int | None = None,
    method: str = "deconvnet",
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Measure the traits of a layer's filters: a row a trait: layer, trait, value, low, high (a 95 % interval).

    Filters are the layer's maps; where it gives a single one, as pyramidal layers do, they are that one's neurons.
    ``prepared`` (n, C, H, W) are pictures of ``expressions`` and ``people`` (n,), and ``right`` (n,) the probability that
    the network gives the expression that is shown. ``alike`` and ``alike across expressions`` are means over filters, each
    on its ``top`` pictures; all others are means over so many ``pictures``, drawn evenly, of what all filters see at their
    peaks: ``cosine`` and ``effective share`` (the effective number of filters by their number), ``sparsity`` of the maps,
    ``resemblance`` to the picture of what they see together, each weighted by its peak, and ``resemblance and error``, a
    rank correlation; and ``energy kept``, what a filter alone can give back of a picture, the mean over all or so many
    ``filters``, on every sixth of those. Raises ``InputError`` for layers that give no maps, and as ``project`` does.
    """
    if top < 1:
        raise InputError(f"top {top}: expected 1 or more")
    shape = layers.activations(network, layer, prepared[:1]).shape
    if len(shape) != 4:
        raise InputError(f"layer {layer!r}: gives no maps")
    named = layer
    if shape[1] == 1:
        network, layer = _NeuronByNeuron(network, layer, prepared[:1]), "neurons"
    peaks = responses(network, layer, torch.split(prepared, _BATCH))
    invariant = _on_top_pictures(network, layer, prepared, peaks, expressions, top, method, progress)
    drawn = _evenly(len(prepared), pictures)
    cosine, share, sparse, resembling = _of_pictures(network, layer, prepared[drawn], method, progress).T
    shares = _kept_of(network, layer, prepared[drawn[::_RARELY]], filters, method, progress)
    estimates = {
        "alike": estimate(invariant["alike"].dropna().to_numpy()),
        "alike across expressions": estimate(invariant["across"].dropna().to_numpy()),
        "cosine": estimate(cosine, groups=people[drawn]),
        "effective share": estimate(share, groups=people[drawn]),
        "sparsity": estimate(sparse, groups=people[drawn]),
        "energy kept": estimate(shares, groups=people[drawn[::_RARELY]]),
        "resemblance": estimate(resembling, groups=people[drawn]),
        "resemblance and error": resemblance_and_error(resembling, right[drawn], people[drawn]),
    }
    rows = [(named, trait, found.value, found.low, found.high) for trait, found in estimates.items()]
    return pd.DataFrame(rows, columns=["layer", "trait", "value", "low", "high"])


class _NeuronByNeuron(nn.Module):
    """A network up to a layer whose neurons are wanted one by one: those of its layer ``neurons``."""

    def __init__(self, network: nn.Module, layer: str, picture: Tensor) -> None:
        super().__init__()
        self.network, self.layer, self.neurons = network, layer, nn.Flatten()
        self.rectified = layers.rectified(network, layer, picture)

    def forward(self, pictures: Tensor) -> Tensor:
        """Answers (n, neurons) to pictures, as the next layer is given them."""
        made = layers.maps(self.network, self.layer, pictures)
        flat: Tensor = self.neurons(torch.relu(made) if self.rectified else made)
        return flat


def _on_top_pictures(
    network: nn.Module, layer: str, prepared: Tensor, peaks: Peaks, expressions: Classes, top: int, method: str,
    progress: Progress,
) -> pd.DataFrame:  # fmt: skip
    """How alike each filter's projections are on its top pictures."""
    best = Top(top)
    best.update(peaks)
    rows = best.compute()
    of, unit = rows["image"].to_numpy(), rows["unit"].to_numpy()
    windows = project(network, layer, prepared, unit, rows[["row", "col"]].to_numpy(), method, of=of, progress=progress)
    return invariance(windows, unit, expressions[of])


def _kept_of(
    network: nn.Module, layer: str, pictures: Tensor, filters: int | None, method: str, progress: Progress
) -> Floats:  # fmt: skip
    """What a filter keeps of each picture, the mean over filters: (n,)."""
    shares = []
    with progress("Sending filters back", len(pictures)) as advance:
        for picture in pictures:
            shares.append(_known(kept(network, layer, picture[None], method, filters)))
            advance(1)
    return np.array(shares)


def _of_pictures(network: nn.Module, layer: str, pictures: Tensor, method: str, progress: Progress) -> Floats:
    """Mean cosine, effective share, sparsity of maps, and resemblance, of all filters on each picture: (n, 4)."""
    count, size = len(pictures), (pictures.shape[2], pictures.shape[3])
    active = [_by_filter(network, layer, picture[None])[0].cpu().numpy() for picture in pictures]
    units = len(active[0])
    numbers, of = np.tile(np.arange(units), count), np.repeat(np.arange(count), units)
    windows = project(network, layer, pictures, numbers, "peak", method, of=of, progress=progress)
    rows = []
    for number, filters in enumerate(active):
        seen = windows[np.flatnonzero(of == number)].full(size).reshape(units, -1)
        cosine, effective = redundancy(seen)
        maps = filters if filters.shape[1] > 1 else filters.T
        sparse = _known(sparsity(maps))
        told = resemblance((filters.max(1) @ seen)[None], pictures[number].cpu().numpy().reshape(1, -1))
        rows.append((cosine, effective / units, sparse, float(told[0])))
    return np.array(rows)
