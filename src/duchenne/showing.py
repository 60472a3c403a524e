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
from duchenne.units import surveys
from duchenne.units.projection import Windows, project


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
