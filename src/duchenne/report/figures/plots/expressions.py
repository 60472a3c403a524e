"""Expressions: how they are read, what they are coded with, where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from duchenne.report import WIDTHS
from duchenne.report.figures.plots import style
from duchenne.report.figures.sheets import drawn

Floats = NDArray[np.float32]


def confusion(scores: Mapping[str, Any], width: float = WIDTHS[1]) -> Figure:
    """The confusion matrix in shares of each expression shown."""
    names = list(scores["classes"])
    counts = np.array(scores["confusion"], float)
    side = min(width, WIDTHS[1])
    figure, axes = style.panel(side, 0.92 * side)
    _add_shares(axes, counts)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("read as", fontsize=8)
    axes.set_ylabel("shown", fontsize=8)
    axes.tick_params(labelsize=7)
    return figure


def _add_shares(axes: Axes, counts: NDArray[np.floating]) -> None:
    """Add shares of every row's pictures, written where there are any."""
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6}
    for row, column in np.argwhere(counts > 0):
        share = shares[row, column]
        ink = "white" if share > 0.6 else style.INK
        axes.text(column, row, f"{share:.0%}", color=ink, **look)


def coding(
    shares: pd.DataFrame, expressions: Sequence[str], width: float = style.WIDE
) -> Figure:
    """Which share of each expression's pictures shows each action unit;
    outlined where a prototype holds it.

    Args:
        shares: A row an expression and action unit:
            ``expression, au, share, prototype``.
        expressions: In their order.
        width: In inches.

    Returns:
        The figure.
    """
    wide = shares.pivot(index="expression", columns="au").reindex(
        list(expressions)
    )
    share = wide["share"]
    figure, axes = style.panel(width, 0.2 * len(share) + 0.7)
    mesh = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _frame_cells(axes, wide["prototype"].eq(True).to_numpy())
    axes.set_xticks(range(share.shape[1]), list(map(style.number, share)))
    axes.set_yticks(range(len(share)), list(share.index))
    axes.set_xlabel("action unit", fontsize=8)
    axes.tick_params(labelsize=7, length=0)
    if width < 0.2 * len(share.columns):  # inches that the numbers stand apart
        axes.tick_params("x", labelsize=6, rotation=90)
    style.add_bar(figure, mesh, "pictures")
    return figure


def reactions(
    changes: pd.DataFrame,
    prototypes: Set[tuple[str, str]],
    width: float = style.WIDE,
) -> Figure:
    """How far each action unit, stimulated alone, raises the log-odds of each
    class; a dot where that is sure, outlined where a prototype holds it.

    Args:
        changes: A row an action unit and class:
            ``au, expression, logit_change, logit_low, logit_high``.
        prototypes: Action units and the classes whose prototypes hold them.
        width: In inches.

    Returns:
        The figure.
    """
    called = {
        "expression": "name",
        "logit_change": "change",
        "logit_low": "low",
        "logit_high": "high",
    }
    drawn = changes[["au", *called]].rename(columns=called)
    pairs = zip(drawn["au"], drawn["name"], strict=True)
    drawn["framed"] = [pair in prototypes for pair in pairs]
    return _changes(drawn, "log-odds", width)


def values(found: pd.DataFrame, width: float = style.WIDE) -> Figure:
    """How far each action unit, stimulated alone, raises each value that a
    network gives, in its standard deviations; a dot where that is sure,
    outlined where the value is named after it.

    Args:
        found: A row a value and action unit: ``value, au, own, effect``, and
            the interval of the slope, ``low, high``.
        width: In inches.

    Returns:
        The figure.
    """
    called = {"value": "name", "effect": "change", "own": "framed"}
    moved = found.dropna(subset="effect").rename(columns=called)
    return _changes(moved, "SD", width)


def _changes(found: pd.DataFrame, unit: str, width: float) -> Figure:
    """A cell a name (rows) and action unit: its ``change``, a dot where the
    interval ``low, high`` leaves out 0, outlined where ``framed``.
    """
    names = list(dict.fromkeys(found["name"]))
    wide = found.pivot(index="name", columns="au").reindex(names)
    shown = wide["change"]
    figure, axes = style.panel(width, 0.2 * len(shown) + 0.7)
    mesh = _add_changes(axes, shown)
    surely = (wide["low"] > 0) | (wide["high"] < 0)
    rows, columns = np.nonzero(surely.to_numpy())
    axes.plot(columns, rows, ".", color=style.INK, markersize=1.5)
    _frame_cells(axes, wide["framed"].to_numpy(bool))
    axes.set_xlabel("action unit, stimulated alone", fontsize=8)
    style.add_bar(figure, mesh, unit)
    return figure


def _add_changes(axes: Axes, values: pd.DataFrame) -> AxesImage:
    """A cell a class (rows) and action unit, in colours whose middle is 0."""
    limit = max(0.1, float(values.abs().to_numpy().max()))
    mesh = axes.imshow(
        values, cmap=style.SCALE, vmin=-limit, vmax=limit, aspect="auto"
    )
    axes.set_xticks(range(values.shape[1]), list(map(style.number, values)))
    axes.set_yticks(range(len(values)), list(values.index))
    axes.tick_params(labelsize=7, length=0)
    return mesh


def _frame_cells(axes: Axes, framed: NDArray[np.bool_]) -> None:
    """Frame the cells of a picture (rows, columns) that are marked."""
    frame: dict[str, Any] = {
        "fill": False,
        "edgecolor": style.RED,
        "linewidth": 0.9,
    }
    for row, column in np.argwhere(framed):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **frame))


_THUMBNAIL = 24.0  # points along a side


def manifold(
    points: pd.DataFrame, pictures: Floats, thumbnails: int = 32
) -> Figure:
    """Faces where their codes place them, some of them as thumbnails framed in
    the expression's colour.

    Args:
        points: A row a face: ``expression, across, up``.
        pictures: (n, C, S, S) the faces.
        thumbnails: How many.

    Returns:
        The figure.
    """
    expressions = list(dict.fromkeys(points["expression"]))
    styles = {name: _dots(number) for number, name in enumerate(expressions)}
    figure, axes = style.panel(7.2, 6.4)
    for expression, rows in points.groupby("expression", sort=False):
        axes.scatter(
            rows["across"], rows["up"], label=expression, **styles[expression]
        )
    places = points[["across", "up"]].to_numpy(float)
    for index in _apart(places, thumbnails):
        look = styles[points["expression"].iloc[index]]
        axes.add_artist(
            _thumbnail(pictures[index], tuple(places[index]), look["color"])
        )
    axes.set(xlabel="first axis of the code", ylabel="second axis of the code")
    axes.margins(0.08)
    _add_legend_beside(axes)
    return figure


def _add_legend_beside(axes: Axes) -> None:
    """A legend on the right of axes that are open on that side and above."""
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1, 1),
        frameon=False,
        fontsize=8,
        markerscale=1.6,
    )
    axes.spines[["top", "right"]].set_visible(False)


def _dots(number: int) -> dict[str, Any]:
    """Colour and shape of one of several groups of dots."""
    return {
        "s": 18,
        "color": style.COLOURS[number % len(style.COLOURS)],
        "marker": style.MARKERS[number % len(style.MARKERS)],
        "linewidths": 0,
    }


def _thumbnail(
    picture: Floats, at: tuple[float, float], colour: str
) -> AnnotationBbox:
    """A small face beside its place, framed in a colour."""
    face = OffsetImage(
        drawn(picture), zoom=_THUMBNAIL / picture.shape[-1], cmap="gray"
    )
    frame = {"edgecolor": colour, "linewidth": 1.5}
    offset: dict[str, Any] = {
        "boxcoords": "offset points",
        "pad": 0.05,
        "bboxprops": frame,
    }
    box = AnnotationBbox(face, at, (16, 16), **offset)
    box.set_zorder(3)
    return box


def _apart(places: NDArray[np.float64], count: int) -> list[int]:
    """Choose places that lie far from each other: each time the one farthest
    from all chosen before.
    """
    scaled = (places - places.min(0)) / np.ptp(places, axis=0).clip(1e-12)
    chosen = [0]
    nearest = np.linalg.norm(scaled - scaled[0], axis=1)
    while len(chosen) < min(count, len(places)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(
            nearest, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1)
        )
    return chosen
