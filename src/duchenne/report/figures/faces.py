"""Faces, and what whole layers see in them: mousavi2016's Figs. 6, 9 and 10."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import ArgumentError, InputError
from duchenne.report.figures import source
from duchenne.report.figures.registry import figure
from duchenne.report.figures.sheets import Line, sheet
from duchenne.report.figures.shown import Shown
from duchenne.report.figures.source import Rows
from duchenne.report.tables import refuse_without_classes
from duchenne.study.workspace import Workspace
from duchenne.units import contributions
from duchenne.units.layers import activation_maps
from duchenne.units.projection import project


@figure("network")
def layers(
    work: Workspace,
    *,
    layers: Sequence[str] = (),
    method: str = "deconvnet",
    top: int = 1,
) -> Shown:
    """Draw what layer after layer sees of faces, as mousavi2016 does in Figs.
    6 and 9.

    Under each face stands, for each layer, what its most active neurons
    contribute together, the face combined with that, and the part above 30 %
    (``units.contributions``); for layers of several units also what the
    strongest neuron sees, and the mean over all neurons of its map.

    Args:
        work: A study, or its folder.
        layers: Names, as in conv2,conv3; by default all that have maps.
        method: guided, deconvnet or gradient.
        top: How many faces of every expression: those that are read most
            surely, not trained on.

    Returns:
        The figure, and a row a face: what is shown and what is read.

    Raises:
        InputError: For layers that are not there or have no maps, and for
            other methods.
    """
    named = source.with_maps(work, layers)
    if top < 1:
        raise InputError(f"top {top}: expected 1 or more")
    rows = source.surest(work, top)
    titles, table = _read(work, rows)
    lines = [Line("shown", list(work.stack.floats(rows)), titles)]
    for layer in named:
        lines += _whole_layer(work, layer, rows, method)
        lines += _strongest_unit(work, layer, rows, method)
    return Shown(
        partial(
            sheet,
            lines,
            f"{work.study.network_name}, {source.said(work, work.recipe.units.layer, method)}",
        ),
        table,
    )


@figure("network")
def sequence(
    work: Workspace,
    sequence: str = "",
    *,
    layer: str = "",
    method: str = "deconvnet",
) -> Shown:
    """Draw a sequence frame by frame, as mousavi2016 does in Fig. 10: what a
    layer sees of each, and what is read in it.

    Above each face stands the class that is read, with its probability; under
    it what the layer's most active neurons contribute together, the face
    combined with it, and the part above 30 % (``units.contributions``).

    Args:
        work: A study, or its folder.
        sequence: Its name; by default that of the face, not trained on, that
            is read most surely.
        layer: Another layer than the study's.
        method: guided, deconvnet or gradient.

    Returns:
        The figure, and a row a frame: what is shown and what is read.

    Raises:
        InputError: For sequences that are not there, and as ``layers`` does.
    """
    frame = work.stack.table.frame
    known = (
        frame["sequence"]
        if "sequence" in frame
        else pd.Series(pd.NA, frame.index)
    )
    sequence = sequence or _read_most_surely(work, known)
    rows = _in_order(frame, known.eq(sequence).fillna(False))
    if not len(rows):
        raise ArgumentError("sequence", _absent(sequence, known))
    titles, table = _read(work, rows)
    layer = layer or work.recipe.units.layer
    lines = [Line("shown", list(work.stack.floats(rows)), titles)]
    lines += _whole_layer(work, layer, rows, method)
    title = f"{sequence}: {layer}, {source.said(work, layer, method)}"
    return Shown(partial(sheet, lines, title), table)


def _in_order(frame: pd.DataFrame, chosen: pd.Series) -> NDArray[np.int64]:
    """The rows that are chosen, in the order of their frames."""
    rows = np.flatnonzero(chosen)
    order = np.argsort(frame["frame"].to_numpy()[rows], kind="stable")
    return rows[order]


def _absent(sequence: str, known: pd.Series) -> str:
    some = ", ".join(sorted(known.dropna().unique())[:3])
    such_as = some or "none, as they tell of no sequences"
    return f"{sequence}: not among the faces of the study, such as {such_as}"


def _read_most_surely(work: Workspace, sequences: pd.Series) -> str:
    """The sequence of the face that is read most surely of those that belong
    to one; raises ``InputError`` for none.
    """
    rows = work.not_trained_on
    rows = rows[sequences.iloc[rows].notna().to_numpy()]
    if not len(rows):
        raise InputError(
            f"{work.study.folder}: its faces tell of no sequences"
        )
    return str(sequences.iloc[rows[source.right(work, rows).argmax()]])


def _read(work: Workspace, rows: Rows) -> tuple[list[str], pd.DataFrame]:
    """What faces show and what is read in them: as titles, and as a table with
    every class's probability.
    """
    found = source.shares(work, rows)
    refuse_without_classes(work.study)
    classes = list(work.study.scores["classes"])
    titles = [
        f"{shown}\nread {classes[int(share.argmax())]}\n{share.max():.0%}"
        for shown, share in zip(
            source.expressions(work, rows), found, strict=True
        )
    ]
    return titles, pd.concat(
        [
            source.labels(work, rows),
            pd.DataFrame(found, columns=[f"p_{name}" for name in classes]),
        ],
        axis=1,
    )


def _whole_layer(
    work: Workspace, layer: str, rows: Rows, method: str
) -> list[Line]:
    """What a layer's most active neurons contribute together, combined with
    the faces, and thresholded.
    """
    prepared = source.prepared(work, rows)
    shown = work.stack.floats(rows)
    seen = contributions.contributions(
        work.pair.trained, layer, prepared, shown, method=method
    )
    return [
        Line(f"{layer} sees", list(seen.brightness / contributions.BRIGHTEST)),
        Line("combined", list(seen.combined)),
        Line("above 30 %", list(seen.thresholded() / contributions.BRIGHTEST)),
    ]


def _strongest_unit(
    work: Workspace, layer: str, rows: Rows, method: str
) -> list[Line]:
    """What the strongest neuron of a layer of several units sees of each face,
    and the mean over all neurons of its map.
    """
    prepared = source.prepared(work, rows)
    active = activation_maps(work.pair.trained, layer, prepared)
    if active.shape[1] == 1:
        return []
    unit = active.amax((2, 3)).argmax(1).cpu().numpy()
    size = (prepared.shape[2], prepared.shape[3])
    one, every = (
        project(work.pair.trained, layer, prepared, unit, which, method).full(
            size
        )
        for which in ("max", "mean")
    )
    named = [f"unit {number}" for number in unit]
    return [
        Line("strongest\nneuron", list(one), named, signed=True),
        Line("its map", list(every), signed=True),
    ]
