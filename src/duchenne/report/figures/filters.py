"""What filters have in common: mousavi2016's traits with its Figs. 7 and 8, and how like the
untrained network they see.
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
from duchenne.units.projection import project
from duchenne.units.relu_rules import METHODS
from duchenne.units.responses import responses

_COLUMNS = 8
_COMPARED = [name for name in METHODS if name != "relevance"]


@figure("training")
def invariance(
    work: Workspace, units: Sequence[int] = (), *, layer: str = "", method: str = "deconvnet"
) -> Shown:
    """Draw mousavi2016's Fig. 7, one filter on different faces: of every expression the face with
    its largest activation.

    The last face is the one of its smallest. Under each stands the mean over the projections of all
    neurons of the unit's map; before them, how alike the strongest neurons' projections are within
    their fields (the mean correlation, the last one left out; ``evidence.traits.invariance``).

    Args:
        work: A study, or its folder.
        units: Numbers, as in 3,17; by default the two that stand first in the report.
        layer: Another layer than the study's.
        method: guided, deconvnet, gradient, gradient_x_input, integrated or relevance.

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
    return Shown(partial(sheet, lines, title), pd.concat(rows, ignore_index=True))


def _on_many_faces(
    work: Workspace, layer: str, method: str, activations: Activations, unit: int
) -> tuple[list[Line], pd.DataFrame]:
    """A unit on the face of every expression with its largest activation, and on that of its
    smallest.
    """
    expressions = source.expressions(work, activations.image)
    values = pd.Series(activations.value[:, unit])
    first = [*values.groupby(expressions, sort=False).idxmax(), values.idxmin()]
    shown = expressions[first[:-1]]
    images = activations.image[first]
    prepared = source.prepared(work, images)
    numbers = np.full(len(images), unit)
    network = work.pair.trained
    maps = project(network, layer, prepared, numbers, "mean", method)
    strongest = project(network, layer, prepared, numbers, "max", method)
    responding = np.arange(len(shown))
    likenesses = measured.invariance(strongest[responding], numbers[responding], shown)
    alike = float(likenesses["alike"].iloc[0])
    lines = [
        Line(_with(f"unit {unit}", alike), list(work.stack.floats(images)), [*shown, "smallest"]),
        Line("its map", maps.pixels, signed=True),
    ]
    row = source.told(work, images)
    return lines, row.assign(unit=unit, activation=values[first].to_numpy(), alike=alike)


def _with(name: str, alike: float) -> str:
    return name if np.isnan(alike) else f"{name}\nalike {alike:.2f}"


@figure("training")
def redundancy(
    work: Workspace, *, layer: str = "", method: str = "deconvnet", top: int = 23
) -> Shown:
    """Draw mousavi2016's Fig. 8, different filters on one face: the one that is read most surely,
    and the strongest units.

    Each is the mean over the projections of all neurons of the unit's map; the title tells the mean
    cosine of those that are shown and how many filters they are worth
    (``evidence.traits.redundancy``); units that are silent are left out.

    Args:
        work: A study, or its folder.
        layer: Another layer than the study's.
        method: guided, deconvnet, gradient, gradient_x_input, integrated or relevance.
        top: How many units.

    Returns:
        The figure, and a row a unit.

    Raises:
        InputError: As ``units`` does.
    """
    if top < 2:
        raise InputError(f"top {top}: expected 2 or more")
    named = layer or work.recipe.units.layer
    surest = source.surest(work, 1)
    image = surest[[int(source.right(work, surest).argmax())]]
    path = source.told(work, image)["path"].iloc[0]
    prepared = source.prepared(work, image)
    activations = _activations_of_one(work, named, prepared)
    units = np.argsort(-activations, kind="stable")[: min(top, int((activations > 0).sum()))]
    if len(units) < 2:
        few = f"{len(units)} of its {len(activations)} units answer to {path}"
        raise InputError(f"layer {named!r}: {few}, too few to compare")
    of = np.zeros(len(units), np.int64)
    seen = project(work.pair.trained, named, prepared, units, "mean", method, of=of)
    whole = seen.full((prepared.shape[2], prepared.shape[3])).reshape(len(units), -1)
    cosine, effective = measured.redundancy(whole)
    table = pd.DataFrame({"path": path, "unit": units, "activation": activations[units]})
    table = table.assign(cosine=cosine, worth=effective)
    face = Line("", list(work.stack.floats(image)), list(source.expressions(work, image)))
    filters = Line("", seen.pixels, [f"unit {unit}" for unit in units], signed=True)
    worth = f"cosine {cosine:.2f}, {len(units)} filters are worth {effective:.1f}"
    title = f"{named}, {source.said(work, named, method)}: {worth}"
    return Shown(partial(_beside_face, face, filters, title), table)


def _activations_of_one(work: Workspace, layer: str, prepared: Tensor) -> NDArray[np.float32]:
    """Every unit's activation on one picture, (units,)."""
    examined = replace(work.trained.layer, name=layer)
    found = responses(examined.network, layer, [prepared], examined.activation)
    activations: NDArray[np.float32] = found.value[0]
    return activations


def _beside_face(face: Line, filters: Line, title: str, width: float | None = None) -> Figure:
    """A face, and below it many filters' pictures, in as many rows as they need."""
    columns = min(_COLUMNS, fitting(width))
    rows = [
        Line(
            "",
            filters.pictures[first : first + columns],
            filters.titles[first : first + columns],
            signed=True,
        )
        for first in range(0, len(filters.pictures), columns)
    ]
    return sheet([face, *rows], title, width)


@figure("training")
def traits(work: Workspace, *, layers: Sequence[str] = (), method: str = "", top: int = 0) -> Shown:
    """Draw mousavi2016's traits, layer after layer, on pictures that the network was not trained
    on.

    Without options those that the study has measured, if it has come so far; else they are measured
    now, on all of these. Of a layer with a single map, as of LIPNet, filters are its neurons.
    Errors are those of the trained network in both.

    Args:
        work: A study, or its folder.
        layers: Names, as in conv2,conv3; by default all that have maps.
        method: deconvnet unless named.
        top: How many pictures a filter's invariance is measured on; 10 by default.

    Returns:
        The figure, and a row a network (trained and untrained), layer and trait.

    Raises:
        InputError: As ``layers`` does.
    """
    if (
        not (layers or method or top)
        and "traits" in work.study.state["stages"]
        and len(work.study.traits)
    ):
        return Shown(
            partial(plots.traits, work.study.traits, work.recipe.network.name), work.study.traits
        )
    named, method = source.with_maps(work, layers), method or "deconvnet"
    rows = work.not_trained_on
    table = experiment.measure(
        work.pair.named, work.pair.prepare, named, work.stack, rows, method, top=top or 10
    )
    return Shown(
        partial(
            plots.traits,
            table,
            f"{work.recipe.network.name}, {source.said(work, named[-1], method)}",
        ),
        table,
    )


@figure("training")
def likeness(work: Workspace, *, method: str = "", top: int = 0) -> Shown:
    """Draw how like each unit's projections are to those of the same network, untrained,
    at the same places.

    Without options by the methods, and for the units, that the study keeps pictures of, if it has
    come so far; else it is measured now for all units. Methods whose pictures stay alike show the
    picture rather than what was learned (Adebayo et al. 2018).

    Args:
        work: A study, or its folder.
        method: One, or "all" but for relevance, which needs another library.
        top: On how many pictures of each unit; 4 by default.

    Returns:
        The figure, and a row a method and unit: method, unit, alike, the mean correlation over
        those of the unit's top pictures in which both see anything.

    Raises:
        InputError: As ``units`` does.
    """
    if not (method or top) and "projections" in work.study.state["stages"]:
        kept = files.read_frame(work.study.units_folder / "projections" / "alike.parquet")
        return _like_random_start(work, kept)
    best = source.best(work, work.recipe.units.layer, top or 4)
    rows = []
    for each in _COMPARED if method in ("", "all") else [method]:
        rows += _alike(work, best, each)
    return _like_random_start(work, pd.DataFrame(rows, columns=["method", "unit", "alike"]))


def _alike(work: Workspace, best: pd.DataFrame, method: str) -> list[tuple[str, int, float]]:
    """How like every unit's projections by a method are to those of the untrained network."""
    images, of = np.unique(best["image"], return_inverse=True)
    prepared = source.prepared(work, images)
    unit = best["unit"].to_numpy()
    places = best[["row", "col"]].to_numpy()
    trained, untrained = (
        project(network, work.recipe.units.layer, prepared, unit, places, method, of=of)
        for network in (work.pair.trained, work.pair.untrained)
    )
    rows = []
    for number in np.unique(unit):
        which = np.flatnonzero(unit == number)
        alike = projection.likeness(trained[which], untrained[which])
        rows.append((method, int(number), alike))
    return rows


def _like_random_start(work: Workspace, table: pd.DataFrame) -> Shown:
    title = (
        f"{work.recipe.network.name}, {work.recipe.units.layer}, {table['unit'].nunique()} units"
    )
    return Shown(partial(plots.likenesses, table, title), table)
