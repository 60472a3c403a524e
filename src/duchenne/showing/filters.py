"""What filters have in common: mousavi2016's traits with its Figs. 7 and 8, and how like the random start they see."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from duchenne import record
from duchenne.errors import InputError
from duchenne.experiments import traits as experiment
from duchenne.progress import Progress, quiet
from duchenne.report import figures, gallery
from duchenne.report.sheets import Line, fitting, sheet
from duchenne.showing import looking
from duchenne.showing.looking import Run, Shown
from duchenne.showing.units import refuse_absent
from duchenne.stages import StudyInProgress
from duchenne.units import traits as measured
from duchenne.units.methods import METHODS
from duchenne.units.projection import likeness, project
from duchenne.units.responses import responses

_COLUMNS = 8
_COMPARED = [name for name in METHODS if name != "relevance"]


def invariance(
    run: Run, units: Sequence[int] = (), *, layer: str = "", method: str = "deconvnet", progress: Progress = quiet
) -> Shown:
    """Draw mousavi2016's Fig. 7, one filter on different faces: of every expression the face that it answers to most.

    The last face is the one that it answers to least. Under each stands the mean over the projections of all neurons of the
    unit's map; before them, how alike the strongest neurons' projections are within their fields (the mean correlation, the
    last one left out; ``units.traits.invariance``). ``units`` are numbers, by default the two that stand first in the
    report. Raises ``InputError`` as ``units`` does.
    """
    given = looking.numbers(units)
    work = looking.opened(run, "training" if layer or given else "evidence", progress)
    clearest = [] if layer or given else gallery.chosen(work.study.units_folder, 2)
    layer = layer or work.recipe.units.layer
    peaks = looking.peaks(work, layer)
    chosen = given or clearest or [0, 1][: peaks.value.shape[1]]
    refuse_absent(chosen, peaks.value.shape[1], layer)
    expressions = looking.expressions(work, peaks.image)
    lines, rows = [], []
    for unit in chosen:
        answers = pd.Series(peaks.value[:, unit])
        first = [*answers.groupby(expressions, sort=False).idxmax(), answers.idxmin()]
        images, named = peaks.image[first], [*expressions[first[:-1]], "answers least"]
        prepared, numbers = looking.prepared(work, images), np.full(len(images), unit)
        maps, strongest = (
            project(work.pair.trained, layer, prepared, numbers, which, method, progress=progress)
            for which in ("mean", "peak")
        )
        answering = np.arange(len(images) - 1)
        alike = float(
            measured.invariance(strongest[answering], numbers[answering], expressions[first[:-1]])["alike"].iloc[0]
        )
        shown = Line(_with(f"unit {unit}", alike), list(work.stack.floats(images)), named)
        lines += [shown, Line("its map", maps.pixels, signed=True)]
        rows.append(looking.told(work, images).assign(unit=unit, peak=answers[first].to_numpy(), alike=alike))
    title = f"{layer}, {looking.said(work, layer, method)}, whole maps"
    return Shown(partial(sheet, lines, title), pd.concat(rows, ignore_index=True))


def _with(name: str, alike: float) -> str:
    return name if np.isnan(alike) else f"{name}\nalike {alike:.2f}"


def redundancy(run: Run, *, layer: str = "", method: str = "deconvnet", top: int = 23, progress: Progress = quiet) -> Shown:
    """Draw mousavi2016's Fig. 8, different filters on one face: the one that is read most surely, and the strongest units.

    Each is the mean over the projections of all neurons of the unit's map; the title tells the mean cosine of those that
    are shown and how many filters they are worth (``traits.redundancy``); units that do not answer are left out. Raises
    ``InputError`` as ``units`` does.
    """
    if top < 2:
        raise InputError(f"top {top}: expected 2 or more")
    work = looking.opened(run, "training", progress)
    named = layer or work.recipe.units.layer
    rows = looking.surest(work, 1)
    image = rows[[int(looking.right(work, rows).argmax())]]
    prepared = looking.prepared(work, image)
    peaks = responses(work.pair.trained, named, [prepared], work.recipe.units.activation).value[0]
    units = np.argsort(-peaks, kind="stable")[: min(top, int((peaks > 0).sum()))]
    path = looking.told(work, image)["path"].iloc[0]
    if len(units) < 2:
        raise InputError(f"layer {named!r}: {len(units)} of its {len(peaks)} units answer to {path}, too few to compare")
    of = np.zeros(len(units), np.int64)
    seen = project(work.pair.trained, named, prepared, units, "mean", method, of=of, progress=progress)
    cosine, effective = measured.redundancy(seen.full((prepared.shape[2], prepared.shape[3])).reshape(len(units), -1))
    face = Line("", list(work.stack.floats(image)), list(looking.expressions(work, image)))
    filters = Line("", seen.pixels, [f"unit {unit}" for unit in units], signed=True)
    title = (
        f"{named}, {looking.said(work, named, method)}: cosine {cosine:.2f}, {len(units)} filters are worth {effective:.1f}"
    )
    return Shown(
        partial(_beside_face, face, filters, title),
        pd.DataFrame({"path": path, "unit": units, "peak": peaks[units], "cosine": cosine, "worth": effective}),
    )


def _beside_face(face: Line, filters: Line, title: str, width: float | None = None) -> Figure:
    """A face, and below it many filters' pictures, in as many rows as they need."""
    columns = min(_COLUMNS, fitting(width))
    rows = [
        Line("", filters.pictures[first : first + columns], filters.titles[first : first + columns], signed=True)
        for first in range(0, len(filters.pictures), columns)
    ]
    return sheet([face, *rows], title, width)


def traits(run: Run, *, layers: Sequence[str] = (), method: str = "", top: int = 0, progress: Progress = quiet) -> Shown:
    """Draw mousavi2016's traits, layer after layer, on pictures that the network was not trained on.

    Without options those that the study has measured, if it has come so far; else they are measured now, on all of these:
    ``layers`` are by default those of the network that are worth looking at and have maps, ``method`` the deconvnet, and
    ``top``, how many pictures a filter's invariance is measured on, 10. Of a layer with a single map, as of LIPNet, filters
    are its neurons. The table has a row a network (trained, and at its random start), layer and trait
    (``units.traits.of_layer``); errors are those of the trained network in both. Raises ``InputError`` as ``layers`` does.
    """
    work = looking.opened(run, "training", progress)
    if not (layers or method or top) and "traits" in work.study.state["stages"] and len(work.study.traits):
        return Shown(partial(figures.traits, work.study.traits, work.recipe.network.name), work.study.traits)
    named, method = looking.with_maps(work, layers), method or "deconvnet"
    rows = work.not_trained_on
    table = experiment.measure(work.pair.named, work.pair.prepare, named, work.stack, rows, method, progress, top=top or 10)
    return Shown(
        partial(figures.traits, table, f"{work.recipe.network.name}, {looking.said(work, named[-1], method)}"), table
    )


def random_weights(run: Run, *, method: str = "", top: int = 0, progress: Progress = quiet) -> Shown:
    """Draw how like each unit's projections are to those of the same network at its random start, at the same places.

    Without options by the methods, and for the units, that the study keeps pictures of, if it has come so far. Else it is
    measured now for all units on ``top`` pictures of each, 4 by default: by one method, or by "all" but for relevance, which
    needs another library. The table has a row a method and
    unit: method, unit, alike, the mean correlation over those of the unit's ``top`` pictures in which both see anything.
    Methods whose pictures stay alike show the picture rather than what was learned (Adebayo et al. 2018). Raises
    ``InputError`` as ``units`` does.
    """
    work = looking.opened(run, "training", progress)
    layer = work.recipe.units.layer
    if not (method or top) and "projections" in work.study.state["stages"]:
        kept = record.frame(work.study.units_folder / "projections" / "alike.parquet")
        return _like_random_start(work, kept)
    best = looking.best(work, layer, top or 4)
    images, of = np.unique(best["image"], return_inverse=True)
    prepared = looking.prepared(work, images)
    unit, places = best["unit"].to_numpy(), best[["row", "col"]].to_numpy()
    rows = []
    for each in _COMPARED if method in ("", "all") else [method]:
        seen, of_twin = (
            project(network, layer, prepared, unit, places, each, of=of, progress=progress)
            for network in (work.pair.trained, work.pair.twin)
        )
        for number in np.unique(unit):
            own = np.flatnonzero(unit == number)
            rows.append((each, int(number), likeness(seen[own], of_twin[own])))
    return _like_random_start(work, pd.DataFrame(rows, columns=["method", "unit", "alike"]))


def _like_random_start(work: StudyInProgress, table: pd.DataFrame) -> Shown:
    title = f"{work.recipe.network.name}, {work.recipe.units.layer}, {table['unit'].nunique()} units"
    return Shown(partial(figures.likenesses, table, title), table)
