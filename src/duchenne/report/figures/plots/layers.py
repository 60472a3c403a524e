"""Layers of a network: how large they are, and what filters have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from duchenne.report.figures.plots import style

_GAP = 1.1  # between blocks
_BLOCK = ["layer", "channels", "height", "width", "learned"]
"""What is known of each layer."""
_UPRIGHT: dict[str, Any] = {
    "fontsize": 6,
    "rotation": 90,
    "ha": "center",
    "va": "top",
}


def architecture(
    picture: tuple[int, ...],
    layers: pd.DataFrame,
    title: str = "",
    width: float = style.WIDE,
) -> Figure:
    """A block a layer, as high as the root of its maps' height and as wide as
    the logarithm of their number.

    Names of blocks that have learned something are black.

    Args:
        picture: (C, H, W) that goes in.
        layers: A row a layer: ``layer, channels, height, width, learned``.
        title: Above it.
        width: In inches.

    Returns:
        The figure.
    """
    rows = [
        ("input", *picture, False),
        *layers[_BLOCK].itertuples(index=False),
    ]
    tallest = np.sqrt(picture[1])
    figure, axes = style.panel(width, 2.3)
    left = 0.0  # of the next block
    for name, channels, high, wide, learned in rows:
        thick = _thickness(channels)
        _add_block(axes, left, thick, high, learned)
        label = f"{name}  {_sized(channels, high, wide)}"
        _add_name(axes, left + thick / 2, tallest, label, learned)
        left += thick + _GAP
    axes.set(xlim=(-0.6, left - 0.5), ylim=(-1.9 * tallest, 0.55 * tallest))
    axes.set_axis_off()
    figure.suptitle(title, fontsize=8)
    return figure


def _thickness(channels: int) -> float:
    """Of a layer's block, as the logarithm of the number of its maps."""
    return 0.35 + 0.25 * float(np.log2(max(channels, 1)))


def _add_name(
    axes: Axes, across: float, tallest: float, label: str, learned: bool
) -> None:
    """Name a block below the tallest, in black where it has learned something."""
    colour = style.INK if learned else "0.45"
    axes.text(across, -tallest / 2 - 0.5, label, color=colour, **_UPRIGHT)


def _sized(channels: int, high: int, wide: int) -> str:
    """E.g. "64@48×48", or "300" of a layer without maps."""
    return (
        f"{channels}@{high}×{wide}" if high > 1 or wide > 1 else f"{channels}"
    )


def _add_block(
    axes: Any, left: float, thick: float, height: int, learned: bool
) -> None:
    """Add a layer's block, as high as the root of its maps; blue where it has
    learned numbers.
    """
    side = float(np.sqrt(height))
    face = "#cfe3f2" if learned else "#eeeeee"
    look: dict[str, Any] = {
        "facecolor": face,
        "edgecolor": style.INK,
        "linewidth": 0.6,
    }
    axes.add_patch(Rectangle((left, -side / 2), thick, side, **look))


def likenesses(
    alike: pd.DataFrame, title: str = "", width: float = 5.2
) -> Figure:
    """How like a trained network's projections are to those of the untrained
    network, by method (Adebayo et al. 2018).

    A dot is a unit, the bar the median.

    Args:
        alike: A row a method and unit: ``method, unit, alike`` (a
            correlation).
        title: Above it.
        width: In inches.

    Returns:
        The figure.
    """
    by_method = dict(iter(alike.groupby("method", sort=False)["alike"]))
    count = len(by_method)
    figure, axes = style.panel(width, 0.36 * count + 0.8)
    rng = np.random.default_rng(0)
    for row, values in enumerate(by_method.values()):
        _add_likenesses(axes, values.dropna().to_numpy(), row, rng)
    axes.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xlabel(
        "correlation with the untrained network's projections", fontsize=8
    )
    axes.set_title(title, fontsize=9)
    style.leave_open(axes, labels=7)
    axes.set_yticks(range(count), list(by_method), fontsize=7)
    axes.set_ylim(count - 0.5, -0.5)
    _show_correlations(axes)
    return figure


def _show_correlations(axes: Axes) -> None:
    """All of −1 … 1 on the axis across."""
    axes.set_xlim(-1.02, 1.02)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])


def _add_likenesses(
    axes: Axes,
    values: NDArray[np.floating],
    row: int,
    rng: np.random.Generator,
) -> None:
    """Add a dot a unit, side by side, and a bar at their median."""
    beside = row + rng.uniform(-0.25, 0.25, len(values))
    axes.plot(values, beside, ".", color=style.COLOURS[5], markersize=3)
    middle = np.median(values)
    axes.plot(
        [middle, middle],
        [row - 0.35, row + 0.35],
        color=style.INK,
        linewidth=1.5,
    )


def traits(
    table: pd.DataFrame, title: str = "", width: float = style.WIDE
) -> Figure:
    """The traits of layer after layer, each with its 95 % interval, trained
    and untrained.

    Args:
        table: A row a network, layer and trait:
            ``network, layer, trait, value, low, high``.
        title: Above it.
        width: In inches.

    Returns:
        The figure.
    """
    names = list(dict.fromkeys(table["trait"]))
    layers = list(dict.fromkeys(table["layer"]))
    networks = list(dict.fromkeys(table["network"]))
    figure, places = style.panels(len(names), width, narrowest=1.6, height=1.6)
    for axes, name in zip(places, names, strict=True):
        _add_trait(axes, table[table["trait"] == name], layers, networks)
        style.show_zero(axes)
        axes.set_title(name, fontsize=8)
        style.leave_open(axes, labels=7)
        axes.set_xticks(range(len(layers)), layers, fontsize=7)
    places[0].legend(fontsize=6, frameon=False)
    figure.supxlabel("layer; bars are 95 % intervals", fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure


def _add_trait(
    axes: Any,
    rows: pd.DataFrame,
    layers: Sequence[str],
    networks: Sequence[str],
) -> None:
    """One trait of every layer with its interval, a colour a network."""
    for number, network in enumerate(networks):
        one = rows[rows["network"] == network]
        by_layer = one.set_index("layer").reindex(list(layers))
        value = by_layer["value"].to_numpy()
        beyond = np.stack([value - by_layer["low"], by_layer["high"] - value])
        across = np.arange(len(layers)) + 0.12 * number
        look: dict[str, Any] = {
            "color": style.COLOURS[(6, 0)[number % 2]],
            "marker": style.MARKERS[number],
        }
        bars = {
            "capsize": 2,
            "markersize": 4,
            "linewidth": 1,
            "label": network,
        }
        axes.errorbar(across, value, np.clip(beyond, 0, None), **look, **bars)
