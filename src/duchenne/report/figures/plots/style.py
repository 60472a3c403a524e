"""What plots share: colours, panels, axes, and names of action units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from duchenne import facs
from duchenne.report import WIDTHS

SCALE = "RdBu_r"
INK = "#222222"
COLOURS = (
    "#777777",
    "#d55e00",
    "#cc79a7",
    "#009e73",
    "#e69f00",
    "#56b4e9",
    "#0072b2",
    "#000000",
)
"""Okabe and Ito's colours, which the colour-blind tell apart; shapes tell them
apart in grey.
"""
MARKERS = "os^DvPX*"
BLUE, RED = "#0072b2", "#d55e00"
WIDE = WIDTHS[2]
NARROW = 5.0  # inches: below it names and legends take less room


def panel(width: float, height: float) -> tuple[Figure, Axes]:
    """One panel of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def panels(
    count: int, width: float, narrowest: float, height: float
) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes in rows, each at least as wide as the
    ``narrowest`` may be, in inches.
    """
    columns = min(count, max(1, int(width / narrowest)))
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[count:]:
        axes.set_visible(False)
    return figure, list(every[:count])


def leave_open(axes: Any, labels: float) -> None:
    """Take the upper and right border of a panel away, and set the size of its
    numbers.
    """
    axes.tick_params(labelsize=labels)
    axes.spines[["top", "right"]].set_visible(False)


def add_bar(figure: Figure, mesh: Any, label: str) -> None:
    """Add a colour bar beside the figure's only axes."""
    bar = figure.colorbar(mesh, ax=figure.axes[0], pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def name_axes(places: Sequence[Axes], across: str, up: str) -> None:
    """Name the axes across and up of some panels."""
    for axes in places:
        axes.set_xlabel(across, fontsize=8)
        axes.set_ylabel(up, fontsize=8)


def named(code: str) -> str:
    """An action unit's code and name."""
    return f"{code} {facs.coded(code).name}"


def number(code: str) -> str:
    """An action unit's number, as in 6 of AU06."""
    return code[2:].lstrip("0")


def show_zero(axes: Axes) -> None:
    """Let the values' axis reach from or to zero, with a line there and room
    beyond the values.
    """
    axes.margins(x=0.15, y=0.1)
    lowest, highest = axes.get_ylim()
    room = 0.1 * max(abs(lowest), abs(highest))
    axes.set_ylim(min(0, lowest - room), max(0, highest + room))
    axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
