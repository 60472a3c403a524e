"""What filters have in common: mousavi2016's traits with its Figs. 7 and 8,
and how like the untrained network they see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from duchenne import files
from duchenne.errors import InputError
from duchenne.evidence import traits as measured
from duchenne.experiments import measure_traits as experiment
from duchenne.report.figures import plots, source
from duchenne.report.figures.projections import refuse_absent
from duchenne.report.figures.registry import figure
from duchenne.report.figures.sheets import Line, fitting, sheet
from duchenne.report.figures.shown import Shown
from duchenne.study.workspace import Workspace
from duchenne.units import projection
from duchenne.units.activations import Activations
from duchenne.units.projection import Windows, project
from duchenne.units.relu_rules import METHODS
from duchenne.units.responses import responses

_COLUMNS = 8
_COMPARED = [name for name in METHODS if name != "relevance"]


@figure("network")
def invariance(
    work: Workspace,
    units: Sequence[int] = (),
    *,
    layer: str = "",
    method: str = "deconvnet",
) -> Shown:
    """Draw mousavi2016's Fig. 7, one filter on different faces: of every
    expression the face with its largest activation.

    The last face is the one of its smallest. Under each stands the mean over
    the projections of all neurons of the unit's map; before them, how alike
    the strongest neurons' projections are within their fields (the mean
    correlation, the last one left out; ``evidence.traits.invariance``).

    Args:
        work: A study, or its folder.
        units: Numbers, as in 3,17; by default the two that stand first in the
            report.
        layer: Another layer than the study's.
        method: guided, deconvnet, gradient, gradient_x_input, integrated or
            relevance.

    Returns:
        The figure, and a row a unit and face.

    Raises:
        InputError: As ``units`` does.
    """
    given = source.numbers(units)
    clearest = [] if layer or given else source.clearest(work, 2)
    layer = layer or work.recipe.units.layer
    activations = source.activations(work, layer)
    count = activations.value.shape[1]
    chosen = given or clearest or [0, 1][:count]
    refuse_absent(chosen, count, layer)
    lines: list[Line] = []
    rows = []
    for unit in chosen:
        of_unit, row = _on_many_faces(work, layer, method, activations, unit)
        lines += of_unit
        rows.append(row)
    title = f"{layer}, {source.said(work, layer, method)}, whole maps"
    return Shown(
        partial(sheet, lines, title), pd.concat(rows, ignore_index=True)
    )


def _on_many_faces(
    work: Workspace,
    layer: str,
    method: str,
    activations: Activations,
    unit: int,
) -> tuple[list[Line], pd.DataFrame]:
    """A unit on the face of every expression with its largest activation, and
    on that of its smallest.
    """
    expressions = source.expressions(work, activations.image)
    values = pd.Series(activations.value[:, unit])
    largest = values.groupby(expressions, sort=False).idxmax()
    first = [*largest, values.idxmin()]
    images = activations.image[first]
    shown = expressions[largest]
    maps, alike = _maps_of(work, layer, method, unit, images, shown)
    faces = list(work.stack.floats(images))
    lines = [
        Line(_with(f"unit {unit}", alike), faces, [*shown, "smallest"]),
        Line("its map", maps.pixels, signed=True),
    ]
    row = source.labels(work, images)
    return lines, row.assign(
        unit=unit, activation=values[first].to_numpy(), alike=alike
    )


def _maps_of(
    work: Workspace,
    layer: str,
    method: str,
    unit: int,
    images: NDArray[np.int64],
    shown: NDArray[np.str_],
) -> tuple[Windows, float]:
    """A unit's whole map on some faces, and how alike its strongest neurons'
    projections are on those of all expressions, which come first.
    """
    prepared = source.prepared(work, images)
    units = np.full(len(images), unit)
    network = work.pair.trained
    maps = project(network, layer, prepared, units, "mean", method)
    strongest = project(network, layer, prepared, units, "max", method)
    expressive = np.arange(len(shown))
    found = measured.invariance(
        strongest[expressive], units[expressive], shown
    )
    return maps, float(found["alike"].iloc[0])


def _with(name: str, alike: float) -> str:
    if np.isnan(alike):
        return name
    return f"{name}\nalike {alike:.2f}"


@figure("network")
def redundancy(
    work: Workspace,
    *,
    layer: str = "",
    method: str = "deconvnet",
    top: int = 23,
) -> Shown:
    """Draw mousavi2016's Fig. 8, different filters on one face: the one that
    is read most surely, and the strongest units.

    Each is the mean over the projections of all neurons of the unit's map; the
    title tells the mean cosine of those that are shown and how many filters
    they are worth (``evidence.traits.redundancy``); units that are silent are
    left out.

    Args:
        work: A study, or its folder.
        layer: Another layer than the study's.
        method: guided, deconvnet, gradient, gradient_x_input, integrated or
            relevance.
        top: How many units.

    Returns:
        The figure, and a row a unit.

    Raises:
        InputError: As ``units`` does.
    """
    if top < 2:
        raise InputError(f"top {top}: expected 2 or more")
    layer = layer or work.recipe.units.layer
    image = _read_most_surely(work)
    table = _strongest(work, layer, image, top)
    seen = _whole_maps(work, layer, image, table["unit"].to_numpy(), method)
    cosine, worth = _redundancy_of(seen)
    table = table.assign(cosine=cosine, worth=worth)
    face = _face(work, image)
    filters = Line(
        "",
        seen.pixels,
        [f"unit {unit}" for unit in table["unit"]],
        signed=True,
    )
    title = f"{layer}, {source.said(work, layer, method)}: {_worth(table)}"
    return Shown(partial(_beside_face, face, filters, title), table)


def _face(work: Workspace, image: NDArray[np.int64]) -> Line:
    """A picture by what it shows."""
    return Line(
        "",
        list(work.stack.floats(image)),
        list(source.expressions(work, image)),
    )


def _whole_maps(
    work: Workspace,
    layer: str,
    image: NDArray[np.int64],
    units: NDArray[np.int64],
    method: str,
) -> Windows:
    """What the whole maps of some units see of one picture."""
    of = np.zeros(len(units), np.int64)
    prepared = source.prepared(work, image)
    return project(
        work.pair.trained, layer, prepared, units, "mean", method, of=of
    )


def _read_most_surely(work: Workspace) -> NDArray[np.int64]:
    """The one picture, by its row, that is read right most surely."""
    surest = source.surest(work, 1)
    index = int(source.right(work, surest).argmax())
    return surest[[index]]


def _redundancy_of(seen: Windows) -> tuple[float, float]:
    """The mean cosine of what filters see of one picture, and how many they
    are worth.
    """
    whole = np.stack(seen.pixels)
    return measured.redundancy(whole.reshape(len(whole), -1))


def _strongest(
    work: Workspace, layer: str, image: NDArray[np.int64], most: int
) -> pd.DataFrame:
    """The units of largest activation on a picture, without those that are
    silent.
    """
    path = source.labels(work, image)["path"].iloc[0]
    activations = _activations_of_one(
        work, layer, source.prepared(work, image)
    )
    awake = int((activations > 0).sum())
    if awake < 2:
        few = f"{awake} of its {len(activations)} units answer to {path}"
        raise InputError(f"layer {layer!r}: {few}, too few to compare")
    units = np.argsort(-activations, kind="stable")[: min(most, awake)]
    return pd.DataFrame(
        {"path": path, "unit": units, "activation": activations[units]}
    )


def _worth(table: pd.DataFrame) -> str:
    """How alike filters see, and how many they are worth."""
    first = table.iloc[0]
    return f"cosine {first.cosine:.2f}, {len(table)} filters are worth {first.worth:.1f}"


def _activations_of_one(
    work: Workspace, layer: str, prepared: Tensor
) -> NDArray[np.float32]:
    """Every unit's activation on one picture, (units,)."""
    examined = replace(work.trained.layer, name=layer)
    found = responses(examined.network, layer, [prepared], examined.activation)
    activations: NDArray[np.float32] = found.value[0]
    return activations


def _beside_face(
    face: Line, filters: Line, title: str, width: float | None = None
) -> Figure:
    """A face, and below it many filters' pictures, in as many rows as they
    need.
    """
    columns = min(_COLUMNS, fitting(width))
    rows = [face]
    for first in range(0, len(filters.pictures), columns):
        part = slice(first, first + columns)
        rows.append(
            Line("", filters.pictures[part], filters.titles[part], signed=True)
        )
    return sheet(rows, title, width)


@figure("network")
def traits(
    work: Workspace,
    *,
    layers: Sequence[str] = (),
    method: str = "",
    top: int = 0,
) -> Shown:
    """Draw mousavi2016's traits, layer after layer, on pictures that the
    network was not trained on.

    Without options those that the study has measured, if it has come so far;
    else they are measured now, on all of these. Of a layer with a single map,
    as of LIPNet, filters are its neurons. Errors are those of the trained
    network in both.

    Args:
        work: A study, or its folder.
        layers: Names, as in conv2,conv3; by default all that have maps.
        method: deconvnet unless named.
        top: How many pictures a filter's invariance is measured on; 10 by
            default.

    Returns:
        The figure, and a row a network (trained and untrained), layer and
        trait.

    Raises:
        InputError: As ``layers`` does.
    """
    name = work.study.network_name
    as_the_study = not (layers or method or top)
    done = "traits" in work.study.state["stages"]
    if as_the_study and done and len(work.study.traits):
        return Shown(
            partial(plots.traits, work.study.traits, name), work.study.traits
        )
    named = source.with_maps(work, layers)
    method = method or "deconvnet"
    rows = work.not_trained_on
    counts = experiment.Counts(top or 10)
    table = experiment.measure(
        work.pair, named, work.stack, rows, method, counts
    )
    title = f"{name}, {source.said(work, named[-1], method)}"
    return Shown(partial(plots.traits, table, title), table)


@figure("network")
def likeness(work: Workspace, *, method: str = "", top: int = 0) -> Shown:
    """Draw how like each unit's projections are to those of the same network,
    untrained, at the same places.

    Without options by the methods, and for the units, that the study keeps
    pictures of, if it has come so far; else it is measured now for all units.
    Methods whose pictures stay alike show the picture rather than what was
    learned (Adebayo et al. 2018).

    Args:
        work: A study, or its folder.
        method: One, or "all" but for relevance, which needs another library.
        top: On how many pictures of each unit; 4 by default.

    Returns:
        The figure, and a row a method and unit: method, unit, alike, the mean
        correlation over those of the unit's top pictures in which both see
        anything.

    Raises:
        InputError: As ``units`` does.
    """
    if not (method or top) and "projections" in work.study.state["stages"]:
        kept = files.read_frame(
            work.study.units_folder / "projections" / "alike.parquet"
        )
        return _beside_untrained(work, kept)
    best = source.best(work, work.recipe.units.layer, top or 4)
    rows = []
    for each in _COMPARED if method in ("", "all") else [method]:
        rows += _alike(work, best, each)
    return _beside_untrained(
        work, pd.DataFrame(rows, columns=["method", "unit", "alike"])
    )


def _alike(
    work: Workspace, best: pd.DataFrame, method: str
) -> list[tuple[str, int, float]]:
    """How like every unit's projections by a method are to those of the
    untrained network.
    """
    images, of = np.unique(best["image"], return_inverse=True)
    prepared = source.prepared(work, images)
    unit = best["unit"].to_numpy()
    places = best[["row", "col"]].to_numpy()
    trained, untrained = (
        project(
            network,
            work.recipe.units.layer,
            prepared,
            unit,
            places,
            method,
            of=of,
        )
        for network in (work.pair.trained, work.pair.untrained)
    )
    rows = []
    for number in np.unique(unit):
        which = np.flatnonzero(unit == number)
        alike = projection.likeness(trained[which], untrained[which])
        rows.append((method, int(number), alike))
    return rows


def _beside_untrained(work: Workspace, table: pd.DataFrame) -> Shown:
    named = f"{work.study.network_name}, {work.recipe.units.layer}"
    title = f"{named}, {table['unit'].nunique()} units"
    return Shown(partial(plots.likenesses, table, title), table)
