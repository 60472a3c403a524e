"""Showing single units of a finished study: their top pictures' receptive fields, and the projections within them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from duchenne import stages, studies
from duchenne.errors import InputError
from duchenne.progress import Progress, quiet
from duchenne.report import figures, gallery
from duchenne.report.figures import UnitSeen
from duchenne.study import Study
from duchenne.training.fit import probabilities
from duchenne.units import pyramid, surveys
from duchenne.units.projection import Windows, likeness, project


def show(
    run: str | Path | Study,
    units: Sequence[int] = (),
    *,
    layer: str = "",
    method: str = "guided",
    top: int = 10,
    twin: bool = False,
    progress: Progress = quiet,
) -> Figure:
    """Draw units as khorrami2015 does in Figs. 3 and 4: a row of receptive fields in top pictures, and one of projections.

    ``units`` are numbers, by default the five that stand first in the report; ``layer`` is that of the study unless named,
    with its own top pictures then; ``twin`` adds a row from the same network at its random start, at the same places. Raises
    ``InputError`` for units, layers and methods that are not there, and where the study or its pictures cannot be read.
    """
    study = run if isinstance(run, Study) else studies.open(run, until="units" if layer or units else "evidence")
    work = stages.StudyInProgress(study, study.table, progress, lambda line: None)
    named = layer or study.recipe.units.layer
    best = _best(work, named, top, progress)
    known = int(best["unit"].max()) + 1
    chosen = list(units) or gallery.chosen(study.units_folder, 5)
    for unit in chosen:
        if not 0 <= unit < known:
            raise InputError(f"--units {unit}: layer {named!r} has units 0 to {known - 1}")
    return figures.units([_seen(work, named, best, unit, method, twin) for unit in chosen], f"{named}, {method}")


def evolution(run: str | Path | Study, sequence: str, *, layer: str = "", progress: Progress = quiet) -> Figure:
    """Draw a sequence frame by frame, as mousavi2016 does in Fig. 10: what a layer sees of each, and what is read in it.

    Under each face stand what all neurons of the layer contribute together, the face combined with it, and the part above
    30 % (see ``units.pyramid``); above it the class that is read, with its probability. Raises ``InputError`` for sequences
    that are not there, and as ``show`` does.
    """
    study = run if isinstance(run, Study) else studies.open(run, until="training")
    work = stages.StudyInProgress(study, study.table, progress, lambda line: None)
    frames = work.stack.table.frame
    rows = np.flatnonzero(frames["sequence"].eq(sequence).fillna(False)) if "sequence" in frames else np.zeros(0, int)
    if not len(rows):
        named = ", ".join(sorted(frames["sequence"].dropna().unique())[:3]) if "sequence" in frames else "none"
        raise InputError(f"--sequence {sequence}: not among the faces of the study, such as {named}")
    rows = rows[np.argsort(frames["frame"].to_numpy()[rows], kind="stable")]
    shown = work.stack.floats(rows)
    prepared = work.pair.prepare(torch.from_numpy(shown))
    named = layer or study.recipe.units.layer
    seen = pyramid.contributions(work.pair.trained, named, prepared, shown)
    found = probabilities(work.pair.trained, work.pair.prepare, torch.from_numpy(shown))
    classes = list(study.scores["classes"])
    titles = [f"{classes[int(place)]}\n{share:.0%}" for share, place in zip(*found.max(1), strict=True)]
    return figures.sheet(
        {
            "shown": list(shown),
            f"{named} sees": list(seen.brightness / pyramid.BRIGHTEST),
            "combined": list(seen.combined),
            "above 30 %": list(seen.thresholded() / pyramid.BRIGHTEST),
        },
        titles,
    )


def likenesses(
    run: str | Path | Study, methods: Sequence[str] = ("guided", "deconvnet", "gradient", "gradient_x_input", "integrated"),
    top: int = 4, *, progress: Progress = quiet,
) -> pd.DataFrame:  # fmt: skip
    """How like each unit's projections are to those of the same network at its random start, at the same places.

    Returns a row a method and unit: method, unit, alike, the mean correlation over the unit's ``top`` pictures. Methods
    whose pictures stay alike show the picture rather than what was learned (Adebayo et al. 2018). Raises ``InputError`` as
    ``show`` does.
    """
    study = run if isinstance(run, Study) else studies.open(run, until="units")
    work = stages.StudyInProgress(study, study.table, progress, lambda line: None)
    layer = study.recipe.units.layer
    best = _best(work, layer, top, progress)
    images, of = np.unique(best["image"], return_inverse=True)
    prepared = work.pair.prepare(torch.from_numpy(work.stack.floats(images)))
    unit, places = best["unit"].to_numpy(), best[["row", "col"]].to_numpy()
    rows = []
    for method in methods:
        seen, of_twin = (
            project(network, layer, prepared, unit, places, method, of=of, progress=progress)
            for network in (work.pair.trained, work.pair.twin)
        )
        for each in np.unique(unit):
            numbers = np.flatnonzero(unit == each)
            rows.append((method, int(each), likeness(seen[numbers], of_twin[numbers])))
    return pd.DataFrame(rows, columns=["method", "unit", "alike"])


def _best(work: stages.StudyInProgress, layer: str, top: int, progress: Progress) -> pd.DataFrame:
    """The top pictures of every unit of a layer: those that the study kept, or found now."""
    if top < 1:
        raise InputError(f"--top {top}: expected 1 or more")
    if layer == work.recipe.units.layer and top <= work.recipe.units.top:
        kept = pd.read_parquet(work.study.units_folder / "top.parquet")
    else:
        rows = work.shown_rows
        kept = surveys.survey(work.pair.trained, layer, work.stack.floats(rows), rows, top, work.pair.prepare, progress).top
    return kept[kept["rank"] < top]


def _seen(work: stages.StudyInProgress, layer: str, best: pd.DataFrame, unit: int, method: str, twin: bool) -> UnitSeen:
    rows = best[best["unit"] == unit].sort_values("rank")
    shown = work.stack.floats(rows["image"].to_numpy())
    prepared = work.pair.prepare(torch.from_numpy(shown))
    places = rows[["row", "col"]].to_numpy()

    def seen(network: torch.nn.Module) -> Windows:
        return project(network, layer, prepared, np.full(len(rows), unit), places, method)

    projected = seen(work.pair.trained)
    fields = [picture[:, y0:y1, x0:x1] for picture, (x0, y0, x1, y1) in zip(shown, projected.boxes, strict=True)]
    expressions = work.stack.table.frame["expression"].to_numpy()[rows["image"]]
    return UnitSeen(
        unit, fields, projected.pixels, seen(work.pair.twin).pixels if twin else None, [str(name) for name in expressions]
    )
