"""Projecting units back into the picture: what in the pixels drives one
neuron.

The network itself is not touched: ReLUs are met while it runs, whether they
are modules, functions or methods named relu, or one module used twice.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.progress import progress
from duchenne.units import layers
from duchenne.units.receptive_fields import Fields
from duchenne.units.relu_rules import METHODS, Method, Passing, gradient
from duchenne.units.responses import responses
from duchenne.units.signals import Neurons, ProjectionTask, sent_back

Places = NDArray[np.int64]
Floats = NDArray[np.float32]

_AT_ONCE = 8  # images whose activations are read


@dataclass(frozen=True)
class Windows:
    """Projections cut to their receptive fields: ``pixels`` a list of (C, h,
    w), ``boxes`` (n, 4) as x0, y0, x1, y1.
    """

    pixels: list[Floats]
    boxes: Places

    def __getitem__(self, numbers: Places) -> Windows:
        """Those of some numbers."""
        return Windows(
            [self.pixels[number] for number in numbers], self.boxes[numbers]
        )

    def full(self, size: tuple[int, int]) -> Floats:
        """Lay each projection into a picture of zeros.

        Args:
            size: (H, W) of the pictures.

        Returns:
            (n, C, H, W).
        """
        channels = self.pixels[0].shape[0] if self.pixels else 1
        laid = np.zeros((len(self.pixels), channels, *size), np.float32)
        for picture, window, (x0, y0, x1, y1) in zip(
            laid, self.pixels, self.boxes, strict=True
        ):
            picture[:, y0:y1, x0:x1] = window
        return laid


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
    """Project neurons of a layer back into the images: what in the pixels
    drives each.

    The signal starts at 1, so nothing is scaled by the activation. A whole map
    is the mean over its neurons, each by its activation: mousavi2016 (§II-A)
    keeps that of the neuron which it sends back, and a silent one shows
    nothing; all at 1 would show the same for every unit, the picture. Layers
    may give maps (n, units, h, w), neurons (n, units), for which positions are
    ignored, or tokens (n, tokens, units) in place of rows. Warns where there
    are only activations on the way that the method's rule for ReLUs says
    nothing of.

    Args:
        network: Any network.
        layer: One of its layers, by its name or itself.
        images: (m, C, H, W), prepared.
        units: (n,) one a projection.
        positions: (n, 2) rows and columns on the units' maps; or ``"max"`` for
            the strongest neuron of each map, or ``"mean"`` for the whole map.
        method: One of ``METHODS``.
        of: (n,) the image of each unit; by default one each.
        fields: Those of the layer, found anew unless they are given.

    Returns:
        The projections, each within its receptive field.

    Raises:
        InputError: For an unknown method or layer and for units, positions or
            images that are not there.

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
        task = _task(network, layer, images, METHODS[method], fields)
        if isinstance(positions, str):
            return _by_name(task, units, of, positions)
        rows, columns = _whole_numbers(
            "positions", positions, (len(units), 2)
        ).T
        return _projected(task, units, rows, columns, of)


def _task(
    network: nn.Module,
    layer: str | nn.Module,
    images: Tensor,
    method: Method,
    fields: Fields | None,
) -> ProjectionTask:
    """What neurons are asked of, from images that signals can be sent back
    into.
    """
    pixels = images.detach()
    if images.is_inference():
        pixels = pixels.clone()
    name = layers.name_of(network, layer)
    _warn_without_relu(network, name, pixels[:1], method)
    known = fields or Fields(network, name, _shape(pixels))
    return ProjectionTask(network, name, pixels, method, known)


def _of_images(of: Places | None, images: int, units: int) -> Places:
    """The image of each unit, by place; the first of the first where not
    given.
    """
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


def _by_name(
    task: ProjectionTask, units: Places, of: Places, positions: str
) -> Windows:
    """Project the strongest neuron of each unit's map, or the whole map."""
    if positions not in ("max", "mean"):
        raise InputError(
            f"positions {positions!r}: neither rows and columns (n, 2), nor 'max', nor 'mean'"
        )
    nowhere = np.zeros_like(units)
    # refuses units that are not there
    task.fields.located(units, nowhere, nowhere)
    if positions == "mean":
        return _mean(task, units, of)
    rows, columns = _activations(
        task.network, task.layer, task.images, units, of
    )
    return _projected(task, units, rows, columns, of)


def _whole_numbers(
    name: str, given: Any, shape: tuple[int, ...] | None = None
) -> Places:
    """What is given as whole numbers of a shape, (n,) unless told otherwise; a
    copy, as frames give what is read-only.
    """
    numbers = np.asarray(given)
    fits = numbers.ndim == 1 if shape is None else numbers.shape == shape
    if not fits or not (
        np.issubdtype(numbers.dtype, np.integer) or not numbers.size
    ):
        wanted = "(n,)" if shape is None else shape
        raise InputError(
            f"{name}: whole numbers {wanted} are wanted, not {numbers.dtype} {numbers.shape}"
        )
    return numbers.astype(np.int64)


def _projected(
    task: ProjectionTask,
    units: Places,
    rows: Places,
    columns: Places,
    of: Places,
) -> Windows:
    """Project neurons, each in the image of a number."""
    if not len(units):
        return Windows([], np.zeros((0, 4), np.int64))
    boxes = task.fields.of(units, rows, columns)
    neurons = Neurons(of, *task.fields.located(units, rows, columns))
    pixels = [np.zeros(0, np.float32)] * len(units)
    with (
        layers.evaluating(task.network),
        progress("Projecting units", len(units)) as advance,
    ):
        for numbers, parts in sent_back(task, neurons, boxes):
            for number, part in zip(numbers.tolist(), parts, strict=True):
                pixels[number] = part.float().cpu().numpy()
            advance(len(numbers))
    return Windows(pixels, boxes)


def _warn_without_relu(
    network: nn.Module, layer: str, picture: Tensor, method: Method
) -> None:
    """Tell that other activations pass their own derivative, where a rule for
    ReLUs meets nothing else.
    """
    if method.rule is not gradient and has_other_activations_only(
        network, layer, picture
    ):
        warnings.warn(
            f"no ReLU is on the way to layer {layer!r}: this is its gradient",
            stacklevel=4,
        )


def has_other_activations_only(
    network: nn.Module, layer: str, picture: Tensor
) -> bool:
    """Whether activations, but no ReLU, are on the way to a layer, so that
    every rule for ReLUs gives the gradient.

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


def _shape(images: Tensor) -> tuple[int, int, int]:
    _, channels, height, width = images.shape
    return channels, height, width


def _activations(
    network: nn.Module, layer: str, images: Tensor, units: Places, of: Places
) -> tuple[Places, Places]:
    """Row and column of the strongest neuron of each unit's map."""
    batches = torch.split(images, _AT_ONCE)
    activations = responses(network, layer, batches)
    rows = activations.row[of, units]
    columns = activations.column[of, units]
    return rows, columns


def _mean(task: ProjectionTask, units: Places, of: Places) -> Windows:
    """The mean over the neurons of each unit's map of their projections times
    their activations, in the whole picture.
    """
    height, width = task.images.shape[2:]
    summed = np.zeros((len(units), *task.images.shape[1:]), np.float32)
    with progress("Projecting units", len(units)) as advance:
        for picture in np.unique(of):
            active = _active(task, task.images[picture : picture + 1])
            for number in np.flatnonzero(of == picture):
                activations = _of_unit(active, units[number])
                _add_map(
                    task, summed[number], activations, units[number], picture
                )
                advance(1)
    whole = np.tile([0, 0, width, height], (len(units), 1))
    return Windows(list(summed), whole)


def _active(task: ProjectionTask, image: Tensor) -> Tensor:
    """Activations of every unit on one image; of neurons where the layer
    flattens maps.
    """
    active = layers.activation_maps(task.network, task.layer, image)[0]
    return active.flatten() if task.fields.flattens else active


def _add_map(
    task: ProjectionTask,
    summed: Floats,
    active: Floats,
    unit: int,
    picture: int,
) -> None:
    """Add the projections of all neurons of a unit's map, each by its
    activation.
    """
    shape = task.fields.shape
    columns = shape[2] if len(shape) == 3 else 1
    (awake,) = np.nonzero(active)
    rows, across = np.divmod(awake, columns)
    units = np.full(len(awake), unit)
    every = _projected(task, units, rows, across, np.full(len(awake), picture))
    weighted = zip(active[awake], every.pixels, every.boxes, strict=True)
    for weight, pixels, (x0, y0, x1, y1) in weighted:
        summed[:, y0:y1, x0:x1] += weight / len(active) * pixels


def _of_unit(given: Tensor, unit: int) -> Floats:
    """The values of one unit, of what a layer gives for a picture: maps (u, h,
    w), tokens (t, u) or neurons (u,).
    """
    values = given[:, unit] if given.ndim == 2 else given[unit]
    return np.asarray(values.flatten().float().cpu().numpy())


def likeness(first: Windows, second: Windows) -> float:
    """Mean correlation between the pixels of two sets of projections of the
    same places.

    Near 1 the projections show the picture rather than what was learned
    (Adebayo et al. 2018). Pairs of which one does not vary, as where a unit
    sees nothing, are left out; NaN where none is left.
    """
    values = []
    for one, other in zip(first.pixels, second.pixels, strict=True):
        a = one.ravel() - one.mean()
        b = other.ravel() - other.mean()
        scale = float(np.linalg.norm(a) * np.linalg.norm(b))
        if scale > 0:
            values.append(float(a @ b) / scale)
    return float(np.mean(values)) if values else float("nan")


def as_grey(pixels: Floats) -> Floats:
    """Map a projection to 0 … 1 with its zero at mid grey, scaled by its own
    largest value.

    Args:
        pixels: (C, h, w).

    Returns:
        The same shape.
    """
    largest = float(np.abs(pixels).max())
    if not largest > 0:
        return np.full_like(pixels, 0.5)
    return 0.5 + 0.5 * pixels / largest
