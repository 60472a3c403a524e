"""Faces, and what whole layers see in them: mousavi2016's Figs. 6, 9 and 10."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from duchenne.errors import InputError
from duchenne.progress import Progress, quiet
from duchenne.report.sheets import Line, sheet
from duchenne.showing import looking
from duchenne.showing.looking import Rows, Run, Shown
from duchenne.stages import StudyInProgress
from duchenne.units import pyramid
from duchenne.units.layers import activations
from duchenne.units.projection import project


def layers(
    run: Run, *, layers: Sequence[str] = (), method: str = "deconvnet", top: int = 1, progress: Progress = quiet
) -> Shown:
    """Draw what layer after layer sees of faces, as mousavi2016 does in Figs. 6 and 9.

    The faces are, of every expression, the ``top`` ones that are read most surely, not trained on. Under them stand, for
    each of the ``layers`` (by default those of the network that are worth looking at and have maps), what its most active
    neurons contribute together, the face combined with that, and the part above 30 % (``units.pyramid``); for layers of
    several units also what the strongest neuron sees, and the mean over all neurons of its map. Raises ``InputError`` for
    layers that are not there or have no maps, and for methods other than guided, deconvnet and gradient.
    """
    work = looking.opened(run, "training", progress)
    named = looking.with_maps(work, layers)
    if top < 1:
        raise InputError(f"top {top}: expected 1 or more")
    rows = looking.surest(work, top)
    titles, table = _read(work, rows)
    lines = [Line("shown", list(work.stack.floats(rows)), titles)]
    for layer in named:
        lines += _whole_layer(work, layer, rows, method)
        lines += _strongest_unit(work, layer, rows, method)
    return Shown(
        partial(sheet, lines, f"{work.recipe.network.name}, {looking.said(work, work.recipe.units.layer, method)}"), table
    )


def sequence(
    run: Run, sequence: str = "", *, layer: str = "", method: str = "deconvnet", progress: Progress = quiet
) -> Shown:
    """Draw a sequence frame by frame, as mousavi2016 does in Fig. 10: what a layer sees of each, and what is read in it.

    Above each face stands the class that is read, with its probability; under it what the layer's most active neurons
    contribute together, the face combined with it, and the part above 30 % (``units.pyramid``). Unless named, the sequence
    is that of the face, not trained on, that is read most surely. Raises ``InputError`` for sequences that are not there,
    and as ``layers`` does.
    """
    work = looking.opened(run, "training", progress)
    frame = work.stack.table.frame
    known = frame["sequence"] if "sequence" in frame else pd.Series(pd.NA, frame.index)
    sequence = sequence or _read_most_surely(work, known)
    rows = np.flatnonzero(known.eq(sequence).fillna(False))
    if not len(rows):
        some = ", ".join(sorted(known.dropna().unique())[:3]) or "none, as they tell of no sequences"
        raise InputError(f"--sequence {sequence}: not among the faces of the study, such as {some}")
    rows = rows[np.argsort(frame["frame"].to_numpy()[rows], kind="stable")]
    titles, table = _read(work, rows)
    lines = [Line("shown", list(work.stack.floats(rows)), titles)]
    layer = layer or work.recipe.units.layer
    lines += _whole_layer(work, layer, rows, method)
    return Shown(partial(sheet, lines, f"{sequence}: {layer}, {looking.said(work, layer, method)}"), table)


def _read_most_surely(work: StudyInProgress, sequences: pd.Series) -> str:
    """The sequence of the face that is read most surely of those that belong to one; raises ``InputError`` for none."""
    rows = work.not_trained_on
    rows = rows[sequences.iloc[rows].notna().to_numpy()]
    if not len(rows):
        raise InputError(f"{work.study.folder}: its faces tell of no sequences")
    return str(sequences.iloc[rows[looking.right(work, rows).argmax()]])


def _read(work: StudyInProgress, rows: Rows) -> tuple[list[str], pd.DataFrame]:
    """What faces show and what is read in them: as titles, and as a table with every class's probability."""
    found, classes = looking.shares(work, rows), list(work.study.scores["classes"])
    titles = [
        f"{shown}\nread {classes[int(share.argmax())]}\n{share.max():.0%}"
        for shown, share in zip(looking.expressions(work, rows), found, strict=True)
    ]
    return titles, pd.concat(
        [looking.told(work, rows), pd.DataFrame(found, columns=[f"p_{name}" for name in classes])], axis=1
    )


def _whole_layer(work: StudyInProgress, layer: str, rows: Rows, method: str) -> list[Line]:
    """What a layer's most active neurons contribute together, combined with the faces, and thresholded."""
    prepared, shown = looking.prepared(work, rows), work.stack.floats(rows)
    seen = pyramid.contributions(work.pair.trained, layer, prepared, shown, method=method)
    return [
        Line(f"{layer} sees", list(seen.brightness / pyramid.BRIGHTEST)),
        Line("combined", list(seen.combined)),
        Line("above 30 %", list(seen.thresholded() / pyramid.BRIGHTEST)),
    ]


def _strongest_unit(work: StudyInProgress, layer: str, rows: Rows, method: str) -> list[Line]:
    """What the strongest neuron of a layer of several units sees of each face, and the mean over all neurons of its map."""
    prepared = looking.prepared(work, rows)
    active = activations(work.pair.trained, layer, prepared)
    if active.shape[1] == 1:
        return []
    unit, size = active.amax((2, 3)).argmax(1).cpu().numpy(), (prepared.shape[2], prepared.shape[3])
    one, every = (
        project(work.pair.trained, layer, prepared, unit, which, method, progress=work.progress).full(size)
        for which in ("peak", "mean")
    )
    named = [f"unit {number}" for number in unit]
    return [Line("strongest\nneuron", list(one), named, signed=True), Line("its map", list(every), signed=True)]
