"""Sheets of pictures in rows, fit for print: the layout of khorrami2015's
Figs. 1, 3, 4 and mousavi2016's Figs. 6 to 10.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne.units.projection import as_grey

Floats = NDArray[np.float32]
_CELL = 0.8  # inches
_NARROWEST = 0.53  # what a title above a picture takes
_NAMES = 0.8


@dataclass(frozen=True)
class Line:
    """A row of pictures (C, h, w) or (h, w): the name before it and the titles
    above them.

    Pictures lie in 0 … 1; ``signed`` ones may have any values: their zero is
    mid grey, and each is scaled by its own largest value.
    """

    name: str
    pictures: Sequence[Floats]
    titles: Sequence[str] = ()
    signed: bool = False


def sheet(
    lines: Sequence[Line], title: str = "", width: float | None = None
) -> Figure:
    """Draw rows of pictures; those of one row are of one scale, so that a
    field cut short by the border is seen as such.

    Where a ``width`` in inches is given that they do not fit into, they go on
    below.
    """
    longest = max(len(line.pictures) for line in lines)
    columns = min(fitting(width), longest)
    parts = _broken(lines, longest, columns)
    cell = _CELL if width is None else min(_CELL, (width - _NAMES) / columns)
    height = (
        cell * len(parts)
        + 0.13 * _title_lines(parts)
        + (0.35 if title else 0.1)
    )
    figure = Figure(
        figsize=(width or cell * columns + _NAMES, height),
        layout="constrained",
    )
    rows = figure.subplots(len(parts), columns, squeeze=False)
    for line, row in zip(parts, rows, strict=True):
        _add_line(line, row)
    figure.suptitle(title, fontsize=9, parse_math=False)
    return figure


def _broken(lines: Sequence[Line], longest: int, columns: int) -> list[Line]:
    """Lines that are longer than a row, in parts."""
    parts = []
    for first in range(0, longest, columns):
        for line in lines:
            part = _part(line, slice(first, first + columns))
            if part.pictures:
                parts.append(part)
    return parts


def _title_lines(lines: Sequence[Line]) -> int:
    """How many lines of text stand above pictures, over all rows."""
    tallest = [
        [text.count("\n") + 1 for text in line.titles if text]
        for line in lines
    ]
    return sum(max(each, default=0) for each in tallest)


def _add_line(line: Line, row: Sequence[Any]) -> None:
    """Draw the pictures of a line into a row of axes."""
    for axes in row:
        _bare(axes)
    row[0].set_ylabel(line.name, fontsize=7)
    side = max(max(picture.shape[-2:]) for picture in line.pictures)
    for axes, picture in zip(row, line.pictures, strict=False):
        shown = _signed(picture) if line.signed else drawn(picture)
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
        axes.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))
    for axes, text in zip(row, line.titles, strict=False):
        axes.set_title(text, fontsize=6.5, pad=2, parse_math=False)


def fitting(width: float | None) -> int:
    """How many pictures with titles fit side by side into a width in inches;
    any number where there is none.

    >>> fitting(7.0)
    11
    """
    return (
        sys.maxsize
        if width is None
        else max(1, int((width - _NAMES) / _NARROWEST))
    )


def _part(line: Line, some: slice) -> Line:
    return replace(
        line, pictures=line.pictures[some], titles=line.titles[some]
    )


def walk(walks: Mapping[str, Floats]) -> Figure:
    """A row an expression: the neutral face, what a decoder makes of the way
    to the apex, and the apex.

    Args:
        walks: (k, C, S, S) by expression.

    Returns:
        The figure.
    """
    steps = len(next(iter(walks.values())))
    titles = [""] * steps
    titles[0] = "neutral"
    titles[(steps - 1) // 2] = "decoded, from neutral to apex"
    titles[-1] = "apex"
    return sheet(
        [
            Line(name, list(pictures), () if number else titles)
            for number, (name, pictures) in enumerate(walks.items())
        ]
    )


def drawn(picture: Floats) -> Floats:
    """A picture as matplotlib takes it.

    Args:
        picture: (C, H, W) or (H, W).

    Returns:
        (H, W) or (H, W, 3).
    """
    if picture.ndim == 2:
        return picture
    return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)


def _signed(picture: Floats) -> Floats:
    return drawn(as_grey(picture))


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
