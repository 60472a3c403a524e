"""Projecting units back into the picture: what in the pixels drives one neuron.

The network itself is not touched: ReLUs are met while it runs, whether they are modules, functions
or methods named relu, or one module used twice. Where receptive fields are small against the
picture and known in closed form, neurons are computed from their fields alone (``windowed``), to
the same result; else from whole pictures, each of which is run once for all neurons that are asked
of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.progress import progress
from duchenne.units import layers, windows
from duchenne.units.graph import Way
from duchenne.units.receptive_fields import Fields
from duchenne.units.relu_rules import METHODS, Method, Passing, gradient
from duchenne.units.responses import responses

Places = NDArray[np.int64]
Floats = NDArray[np.float32]

_AT_ONCE = (
    2**24
)  # numbers on the way that are computed at once: with more than caches hold it is slower
_HELD = 2**26  # numbers of signals that are held at once
_PICTURES = 8  # whole pictures that are run at once
_PROVED = 16  # neurons
_CLOSE = 1e-3  # of the largest number on a map, in any precision


@dataclass(frozen=True)
class Windows:
    """Projections cut to their receptive fields: ``pixels`` a list of (C, h, w), ``boxes`` (n,
    4) as x0, y0, x1, y1.
    """

    pixels: list[Floats]
    boxes: Places

    def __getitem__(self, numbers: Places) -> Windows:
        """Those of some numbers."""
        return Windows([self.pixels[number] for number in numbers], self.boxes[numbers])

    def full(self, size: tuple[int, int]) -> Floats:
        """Lay each projection into a picture of zeros.

        Args:
            size: (H, W) of the pictures.

        Returns:
            (n, C, H, W).
        """
        channels = self.pixels[0].shape[0] if self.pixels else 1
        laid = np.zeros((len(self.pixels), channels, *size), np.float32)
        for picture, window, (x0, y0, x1, y1) in zip(laid, self.pixels, self.boxes, strict=True):
            picture[:, y0:y1, x0:x1] = window
        return laid


@dataclass(frozen=True)
class _Neurons:
    """Neurons, each in a picture: ``of`` its number, a unit, a row and a column; all (n,)."""

    of: Places
    unit: Places
    row: Places
    column: Places

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, chosen: Any) -> _Neurons:
        return _Neurons(self.of[chosen], self.unit[chosen], self.row[chosen], self.column[chosen])


def project(
    network: nn.Module,
    layer: str | nn.Module,
    images: Tensor,
    units: Places,
    positions: Places | Literal["max", "mean"] = "max",
    method: str = "guided",
    *,
    of: Places | None = None,
    fields: Fields | None = None,
) -> Windows:
    """Project neurons of a layer back into the images: what in the pixels drives each.

    The signal starts at 1, so nothing is scaled by the activation. A whole map is the mean over its
    neurons, each by its activation: mousavi2016 (§II-A) keeps that of the neuron which it sends
    back, and a silent one shows nothing; all at 1 would show the same for every unit, the picture.
    Layers may give maps (n, units, h, w), neurons (n, units), for which positions are ignored, or
    tokens (n, tokens, units) in place of rows. Warns where there are only activations on the way
    that the method's rule for ReLUs says nothing of.

    Args:
        network: Any network.
        layer: One of its layers, by its name or itself.
        images: (m, C, H, W), prepared.
        units: (n,) one a projection.
        positions: (n, 2) rows and columns on the units' maps; or ``"max"`` for the strongest
            neuron of each map, or ``"mean"`` for the whole map.
        method: One of ``METHODS``.
        of: (n,) the image of each unit; by default one each.
        fields: Those of the layer, found anew unless they are given.

    Returns:
        The projections, each within its receptive field.

    Raises:
        InputError: For an unknown method or layer and for units, positions or images that are not
            there.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU())
    >>> windows = project(
    ...     network, "0", torch.rand(1, 1, 8, 8), np.array([1]), np.array([[2, 4]])
    ... )
    >>> windows.boxes.tolist(), windows.pixels[0].shape
    ([[4, 2, 7, 5]], (1, 3, 3))
    """
    if method not in METHODS:
        raise InputError(f"method {method!r}: not one of {', '.join(METHODS)}")
    _refuse_other_images(images)
    units = _whole_numbers("units", units)
    of = _of_images(of, len(images), len(units))
    if not len(units):
        return Windows([], np.zeros((0, 4), np.int64))
    with torch.inference_mode(False):
        images = images.detach().clone() if images.is_inference() else images.detach()
        layer = layers.name_of(network, layer)
        _warn_without_relu(network, layer, images[:1], METHODS[method])
        known = fields or Fields(network, layer, _shape(images))
        asked = _Asked(network, layer, images, METHODS[method], known)
        if isinstance(positions, str):
            return _by_name(asked, units, of, positions)
        rows, columns = _whole_numbers("positions", positions, (len(units), 2)).T
        return asked.projected(units, rows, columns, of)


def _of_images(of: Places | None, images: int, units: int) -> Places:
    """The image of each unit, by place; the first of the first where not given."""
    of = _whole_numbers("of", np.arange(images) if of is None else of)
    if len(of) != units:
        raise InputError(f"{len(of)} images, {units} units: not one of each")
    if units and not 0 <= of.min() <= of.max() < images:
        raise InputError(f"an image lies outside the {images} that are given")
    return of


def _refuse_other_images(images: object) -> None:
    if not isinstance(images, Tensor) or images.ndim != 4:
        raise InputError("images: a tensor (n, C, H, W) is wanted")
    if not images.isfinite().all():
        raise InputError("images: some pixels are not finite")


def _by_name(asked: _Asked, units: Places, of: Places, positions: str) -> Windows:
    """Project the strongest neuron of each unit's map, or the whole map."""
    if positions not in ("max", "mean"):
        raise InputError(
            f"positions {positions!r}: neither rows and columns (n, 2), nor 'max', nor 'mean'"
        )
    nowhere = np.zeros_like(units)
    asked.fields.located(units, nowhere, nowhere)  # refuses units that are not there
    if positions == "mean":
        return _mean(asked, units, of)
    rows, columns = _activations(asked.network, asked.layer, asked.images, units, of)
    return asked.projected(units, rows, columns, of)


def _whole_numbers(name: str, given: Any, shape: tuple[int, ...] | None = None) -> Places:
    """What is given as whole numbers of a shape, (n,) unless told otherwise; a copy, as frames
    give what is read-only.
    """
    numbers = np.asarray(given)
    fits = numbers.ndim == 1 if shape is None else numbers.shape == shape
    if not fits or not (np.issubdtype(numbers.dtype, np.integer) or not numbers.size):
        wanted = "(n,)" if shape is None else shape
        raise InputError(
            f"{name}: whole numbers {wanted} are wanted, not {numbers.dtype} {numbers.shape}"
        )
    return numbers.astype(np.int64)


@dataclass(frozen=True)
class _Asked:
    """What neurons are asked of: a layer of a network, its fields, pictures, and a method."""

    network: nn.Module
    layer: str
    images: Tensor
    method: Method
    fields: Fields

    def projected(self, units: Places, rows: Places, columns: Places, of: Places) -> Windows:
        """Project neurons, each in the image of a number."""
        if not len(units):
            return Windows([], np.zeros((0, 4), np.int64))
        boxes = self.fields.of(units, rows, columns)
        neurons = _Neurons(of, *self.fields.located(units, rows, columns))
        pixels = [np.zeros(0, np.float32)] * len(units)
        with layers.evaluating(self.network), progress("Projecting units", len(units)) as advance:
            for numbers, parts in _signals(self, neurons, boxes):
                for number, part in zip(numbers.tolist(), parts, strict=True):
                    pixels[number] = part.float().cpu().numpy()
                advance(len(numbers))
        return Windows(pixels, boxes)


def _warn_without_relu(network: nn.Module, layer: str, picture: Tensor, method: Method) -> None:
    """Tell that other activations pass their own derivative, where a rule for ReLUs meets
    nothing else.
    """
    if method.rule is not gradient and has_other_activations_only(network, layer, picture):
        warnings.warn(
            f"no ReLU is on the way to layer {layer!r}: this is its gradient", stacklevel=3
        )


def has_other_activations_only(network: nn.Module, layer: str, picture: Tensor) -> bool:
    """Whether activations, but no ReLU, are on the way to a layer, so that every rule for ReLUs
    gives the gradient.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        picture: (1, C, H, W), prepared.

    Returns:
        True where it is so.

    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh())
    >>> has_other_activations_only(network, "1", torch.zeros(1, 1, 8, 8))
    True
    """
    passing = Passing(gradient)
    with layers.evaluating(network), torch.no_grad(), passing:
        layers.maps(network, layer, picture.clone())
    return bool(passing.others) and not passing.met


Parts = Iterator[tuple[Places, list[Tensor]]]
"""Numbers of neurons, and what of each one's signal lies in its field: (C, h, w)."""


def _signals(asked: _Asked, neurons: _Neurons, boxes: Places) -> Parts:
    """Pass signals back by windows where that is less work, and proves right, else by whole
    pictures.
    """
    passing, way = Passing(asked.method.rule), asked.fields.way
    numbers = windows.numbers(way) if way and not asked.method.around else None
    if (
        way
        and numbers
        and 2 * numbers < windows.all_numbers(way)
        and _proves_right(way, asked, neurons)
    ):
        yield from _by_windows(
            way, asked.images, neurons, asked.method, passing, boxes, max(1, _AT_ONCE // numbers)
        )
    else:
        compiled = any(
            isinstance(module, torch.jit.ScriptModule) for module in asked.network.modules()
        )
        if compiled and asked.method.rule is not gradient:
            raise InputError(
                "the network holds compiled modules, whose ReLUs cannot be met: give it as it was "
                "written"
            )
        with asked.method.within(asked.network):
            yield from _by_pictures(asked, neurons, passing, boxes)


def _proves_right(way: Way, asked: _Asked, neurons: _Neurons) -> bool:
    """Whether windows give some of the neurons what the whole picture gives them: the way was
    recorded on another one.
    """
    some = neurons[np.unique(np.linspace(0, len(neurons) - 1, _PROVED).astype(np.int64))]
    image = asked.images[some.of[:1]]
    with torch.no_grad():
        whole = layers.maps(asked.network, asked.layer, image)[0]
        run = windows.Windowed(way, some.row, some.column)
        found = run.run(run.cut(image, np.zeros_like(some.of)))
    value = whole[some.unit, some.row, some.column]
    own = found[np.arange(len(some)), some.unit, 0, 0]
    return bool(((own - value).abs() <= _CLOSE * whole.abs().max()).all())


def _by_windows(
    way: Way,
    images: Tensor,
    neurons: _Neurons,
    method: Method,
    passing: Passing,
    boxes: Places,
    at_once: int,
) -> Parts:
    """Neurons one by one from the windows that they see, many at once."""
    sides = boxes[:, 2:] - boxes[:, :2]
    inwards = np.argsort(
        (sides < sides.max(0)).any(1), kind="stable"
    )  # those at the border together: others need no bounds
    for first in range(0, len(neurons), at_once):
        numbers = inwards[first : first + at_once]
        some = neurons[numbers]
        run = windows.Windowed(way, some.row, some.column, passing.relu)
        nowhere = np.zeros_like(some.row)
        alone = _Neurons(np.arange(len(some)), some.unit, nowhere, nowhere)
        (signals,) = method.signals(run.run, run.cut(images, some.of), [partial(_started, alone)])
        yield numbers, run.within(signals, boxes[numbers])


def _by_pictures(asked: _Asked, neurons: _Neurons, passing: Passing, boxes: Places) -> Parts:
    """Pictures a few at once, those of which most is asked first: each is run once, and gives one
    neuron a turn.

    Where fields are not known in closed form, ``boxes`` are widened to all that signals reach.
    """
    pictures, which, counts = np.unique(neurons.of, return_inverse=True, return_counts=True)
    turns = _turns(which)
    most = np.argsort(-counts, kind="stable")
    # turns, whose signals are held together
    at_once = max(1, _HELD // (_PICTURES * asked.images[0].numel()))
    for first in range(0, len(pictures), _PICTURES):
        batch = most[first : first + _PICTURES]
        place = np.full(len(pictures), -1)
        place[batch] = np.arange(len(batch))
        among = np.isin(which, batch)
        images = asked.images[pictures[batch]]
        last = int(counts[batch].max())
        for turn in range(0, last, at_once):
            together = range(turn, min(turn + at_once, last))
            wanted = [np.flatnonzero(among & (turns == each)) for each in together]
            local = [place[which[numbers]] for numbers in wanted]
            with passing:
                signals = _signals_of_turns(asked, neurons, images, wanted, local)
            for numbers, of, signal in zip(wanted, local, signals, strict=True):
                if asked.fields.way is None:
                    boxes[numbers] = _widened(boxes[numbers], signal[of])
                yield numbers, _cut_out(signal, of, boxes[numbers])


def _signals_of_turns(
    asked: _Asked,
    neurons: _Neurons,
    images: Tensor,
    wanted: Sequence[Places],
    local: Sequence[Places],
) -> list[Tensor]:
    """What every turn's neurons see in a batch of images."""
    run = partial(layers.maps, asked.network, asked.layer)
    return asked.method.signals(run, images, _starts(neurons, wanted, local))


def _starts(
    neurons: _Neurons, wanted: Sequence[Places], local: Sequence[Places]
) -> list[Callable[[Tensor], Tensor]]:
    """Where signals start: some neurons, each in its picture of the batch."""
    pairs = zip(wanted, local, strict=True)
    return [partial(_started, replace(neurons[numbers], of=of)) for numbers, of in pairs]


def _cut_out(signal: Tensor, of: Places, boxes: Places) -> list[Tensor]:
    """What of the signals lies in each neuron's receptive field."""
    pairs = zip(of, boxes, strict=True)
    return [signal[picture, :, y0:y1, x0:x1] for picture, (x0, y0, x1, y1) in pairs]


def _widened(boxes: Places, signals: Tensor) -> Places:
    """Boxes (n, 4) that hold all of signals (n, C, H, W) as well."""
    there = (signals != 0).any(1)
    ends = []
    for along in (there.any(1), there.any(2)):  # columns, then rows
        numbers = np.arange(along.shape[1])
        mask = along.cpu().numpy()
        ends.append(
            (np.where(mask, numbers, along.shape[1]).min(1), np.where(mask, numbers + 1, 0).max(1))
        )
    (x0, x1), (y0, y1) = ends
    first, last = np.stack([x0, y0], 1), np.stack([x1, y1], 1)
    return np.concatenate([np.minimum(boxes[:, :2], first), np.maximum(boxes[:, 2:], last)], 1)


def _shape(images: Tensor) -> tuple[int, int, int]:
    _, channels, height, width = images.shape
    return channels, height, width


def _turns(which: Places) -> Places:
    """How many before it are equal, for every number."""
    order = np.argsort(which, kind="stable")
    turns = np.empty_like(order)
    inorder = which[order]
    turns[order] = np.arange(len(which)) - np.searchsorted(inorder, inorder)
    return turns


def _started(neurons: _Neurons, made: Tensor) -> Tensor:
    """1 at neurons of what a layer made of pictures, 0 elsewhere."""
    start = torch.zeros_like(made)
    places = {
        2: (neurons.unit,),
        3: (neurons.row, neurons.unit),
        4: (neurons.unit, neurons.row, neurons.column),
    }
    start[(neurons.of, *places[made.ndim])] = 1
    return start


def _activations(
    network: nn.Module, layer: str, images: Tensor, units: Places, of: Places
) -> tuple[Places, Places]:
    """Row and column of the strongest neuron of each unit's map."""
    activations = responses(network, layer, torch.split(images, _PICTURES))
    return activations.row[of, units], activations.column[of, units]


def _mean(asked: _Asked, units: Places, of: Places) -> Windows:
    """The mean over the neurons of each unit's map of their projections times their activations,
    in the whole picture.
    """
    height, width = asked.images.shape[2:]
    summed = np.zeros((len(units), *asked.images.shape[1:]), np.float32)
    with progress("Projecting units", len(units)) as advance:
        for picture in np.unique(of):
            active = _active(asked, asked.images[picture : picture + 1])
            for number in np.flatnonzero(of == picture):
                own = _of_unit(active, units[number])
                _add_map(asked, summed[number], own, units[number], picture)
                advance(1)
    whole = np.tile([0, 0, width, height], (len(units), 1))
    return Windows(list(summed), whole)


def _active(asked: _Asked, image: Tensor) -> Tensor:
    """Activations of every unit on one image; of neurons where the layer flattens maps."""
    active = layers.activation_maps(asked.network, asked.layer, image)[0]
    return active.flatten() if asked.fields.flattens else active


def _add_map(asked: _Asked, summed: Floats, active: Floats, unit: int, picture: int) -> None:
    """Add the projections of all neurons of a unit's map, each by its activation."""
    shape = asked.fields.shape
    columns = shape[2] if len(shape) == 3 else 1
    (awake,) = np.nonzero(active)
    rows, across = np.divmod(awake, columns)
    units = np.full(len(awake), unit)
    every = asked.projected(units, rows, across, np.full(len(awake), picture))
    weighted = zip(active[awake], every.pixels, every.boxes, strict=True)
    for weight, pixels, (x0, y0, x1, y1) in weighted:
        summed[:, y0:y1, x0:x1] += weight / len(active) * pixels


def _of_unit(given: Tensor, unit: int) -> Floats:
    """The values of one unit, of what a layer gives for a picture: maps (u, h, w), tokens (t, u)
    or neurons (u,).
    """
    own = given[:, unit] if given.ndim == 2 else given[unit]
    return np.asarray(own.flatten().float().cpu().numpy())


def likeness(first: Windows, second: Windows) -> float:
    """Mean correlation between the pixels of two sets of projections of the same places.

    Near 1 the projections show the picture rather than what was learned (Adebayo et al. 2018).
    Pairs of which one does not vary, as where a unit sees nothing, are left out; NaN where none is
    left.
    """
    values = []
    for one, other in zip(first.pixels, second.pixels, strict=True):
        a, b = one.ravel() - one.mean(), other.ravel() - other.mean()
        scale = float(np.linalg.norm(a) * np.linalg.norm(b))
        if scale > 0:
            values.append(float(a @ b) / scale)
    return float(np.mean(values)) if values else float("nan")
