"""What all figures of a finished study share: how it is opened, what is read from it, and what a figure is."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from duchenne import cache, evidence, record, studies
from duchenne.errors import InputError
from duchenne.experiments import traits
from duchenne.progress import Progress
from duchenne.report import WIDTHS, printing
from duchenne.stages import StudyInProgress
from duchenne.study import Study
from duchenne.training.fit import probabilities
from duchenne.units import surveys
from duchenne.units.peaks import Peaks
from duchenne.units.projection import has_other_activations_only

Run = str | Path | Study
MOST = 50
"""Pictures that fit on a sheet side by side."""
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Shown:
    """What draws a figure, in a given ``width`` in inches or its own, and the ``table`` of what it shows."""

    draw: Callable[..., Figure]
    table: pd.DataFrame

    @cached_property
    def figure(self) -> Figure:
        """The figure in its own width."""
        return self.draw()

    def save(self, path: str | Path, columns: int = 0) -> Path:
        """Write the figure to a file, and its table beside it as csv; return the csv's path.

        It is as wide as so many ``columns`` of a printed page (``report.WIDTHS``), or as suits it. Raises ``InputError``
        where the name does not end in .pdf, .svg or .png, and for other numbers of columns.
        """
        path = Path(path)
        if columns and columns not in WIDTHS:
            raise InputError(f"columns {columns}: not one of {', '.join(map(str, WIDTHS))}")
        figure = self.draw(width=WIDTHS[columns]) if columns else self.figure
        printing.save(figure, path)
        beside = path.with_suffix(".csv")
        with cache.replacing(beside) as partial:
            self.table.to_csv(partial, index=False)
        return beside

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.figure.savefig(drawn, format="png", dpi=110)
        return drawn.getvalue()


def numbers(units: Sequence[int] | NDArray[np.integer] | int) -> list[int]:
    """Units by number; raises ``InputError`` for what are none."""
    given = np.atleast_1d(np.asarray(units))
    if given.size and not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"--units {units}: not numbers, as in 3,17")
    return [int(unit) for unit in given.ravel()]


def opened(run: Run, until: str, progress: Progress) -> StudyInProgress:
    """Open a study that was done ``until`` a stage, with its faces; raises ``InputError`` where it was not."""
    study = run if isinstance(run, Study) else studies.open(run, until=until)
    studies.refuse_undone(study.folder, study.state, until)
    return StudyInProgress(study, study.table, progress, lambda line: None)


def said(work: StudyInProgress, layer: str, method: str) -> str:
    """What a method is on a layer: the rules for ReLUs give the gradient where none is on the way."""
    if method not in ("guided", "deconvnet"):
        return method
    picture = prepared(work, work.shown_rows[:1])
    return "gradient" if has_other_activations_only(work.pair.trained, layer, picture) else method


def best(work: StudyInProgress, layer: str, top: int) -> pd.DataFrame:
    """The top pictures of every unit of a layer: those that the study kept, or found now.

    Columns: unit, rank, image (a row of the study's table), peak, row, col, x0, y0, x1, y1.
    """
    if not isinstance(top, int) or not 1 <= top <= MOST:
        raise InputError(f"top {top}: expected 1 to {MOST}")
    kept = work.study.units_folder / "top.parquet"
    if layer == work.recipe.units.layer and top <= work.recipe.units.top and "units" in work.study.state["stages"]:
        found = record.frame(kept)
    else:
        found = _survey(work, layer, top).top
    return found[found["rank"] < top]


def peaks(work: StudyInProgress, layer: str) -> Peaks:
    """Every unit's peak on every picture that units are shown: those that the study kept, or found now."""
    kept = work.study.units_folder / "responses.parquet"
    if layer == work.recipe.units.layer and "units" in work.study.state["stages"]:
        return Peaks.from_frame(record.frame(kept))
    return _survey(work, layer, 1).peaks


def _survey(work: StudyInProgress, layer: str, top: int) -> surveys.Survey:
    rows, pair = work.shown_rows, work.pair
    return surveys.survey(
        pair.trained, layer, work.stack.floats(rows), rows, top, pair.prepare, work.progress, work.recipe.units.activation
    )


def strongest(work: StudyInProgress, layer: str) -> pd.DataFrame:
    """The action unit that each unit answers to most, by the study's evidence: au, r, the family-wise p and whether it
    ``detects`` it, by unit; empty where it has none.
    """
    if layer != work.recipe.units.layer or "evidence" not in work.study.state["stages"] or work.study.evidence.empty:
        return pd.DataFrame(columns=["au", "r", "p", "detects"])
    found = evidence.strongest(work.study.evidence)
    found["detects"] = evidence.detecting(found, work.recipe.evidence.level)
    return found.set_index("unit")[["au", "r", "p", "detects"]]


def shares(work: StudyInProgress, rows: Rows) -> NDArray[np.float32]:
    """The probability that the network gives each class for some pictures: (k, classes)."""
    found = probabilities(work.pair.trained, work.pair.prepare, torch.from_numpy(work.stack.floats(rows)))
    return np.asarray(found.numpy())


def right(work: StudyInProgress, rows: Rows) -> NDArray[np.float32]:
    """The probability that the network gives the expression which is shown: (k,)."""
    places = {name: place for place, name in enumerate(work.study.scores["classes"])}
    shown = [places[name] for name in expressions(work, rows)]
    return shares(work, rows)[np.arange(len(rows)), shown]


def surest(work: StudyInProgress, count: int) -> Rows:
    """Of every expression so many pictures, not trained on, that it is read in most surely."""
    rows = work.not_trained_on
    sure = pd.DataFrame({"row": rows, "expression": expressions(work, rows), "right": right(work, rows)})
    first = sure.sort_values("right", ascending=False, kind="stable").groupby("expression", sort=False).head(count)
    order = {name: place for place, name in enumerate(work.study.scores["classes"])}
    inorder = first.sort_values("expression", key=lambda names: names.map(order), kind="stable")
    return np.array(inorder["row"], np.int64)


def expressions(work: StudyInProgress, rows: Rows) -> NDArray[np.str_]:
    """The expressions of some pictures."""
    named: NDArray[np.str_] = work.stack.table.frame["expression"].to_numpy(str)
    return named[rows]


def prepared(work: StudyInProgress, rows: Rows) -> Tensor:
    """Some pictures as the network is given them."""
    given: Tensor = work.pair.prepare(torch.from_numpy(work.stack.floats(rows)))
    return given


def told(work: StudyInProgress, rows: Rows) -> pd.DataFrame:
    """What a table says of some pictures: path, subject and expression."""
    return work.stack.table.frame[["path", "subject", "expression"]].iloc[rows].reset_index(drop=True)


def with_maps(work: StudyInProgress, wanted: Sequence[str] = ()) -> list[str]:
    """The layers that are wanted, by default those of the network that are worth looking at; all must give maps.

    Raises ``InputError`` for a wanted layer that is not there or gives none.
    """
    network = work.pair.trained
    wanted = (wanted,) if isinstance(wanted, str) else wanted
    named = list(dict.fromkeys(wanted)) or work.layers
    found = traits.with_maps(network, named, prepared(work, np.arange(1)))
    for name in named:
        if wanted and name not in found:
            raise InputError(f"layer {name!r}: gives no maps")
    return found
