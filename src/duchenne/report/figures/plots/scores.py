"""Scores of units and action units, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne.evidence import detecting
from duchenne.evidence.scores import COLUMNS
from duchenne.report.figures.plots import style


def heat_map(
    evidence: pd.DataFrame, level: float, width: float = style.WIDE
) -> Figure:
    """Correlation r of every unit with every action unit, units ordered by
    their strongest action unit.

    Dots mark the pairs in which the unit detects the action unit.

    Args:
        evidence: What ``match`` gives.
        level: The highest family-wise p.
        width: In inches.

    Returns:
        The figure.
    """
    values = evidence.pivot(index="au", columns="unit", values="r")
    order = _by_strongest(values.to_numpy())
    shown = values.to_numpy()[:, order]
    figure, axes = style.panel(width, 0.18 * len(values) + 0.7)
    mesh = _add_cells(axes, shown)
    rows, columns = np.nonzero(_detected(evidence, level)[:, order])
    axes.plot(columns + 0.5, rows + 0.5, ".", color=style.INK, markersize=1.2)
    _name_rows(axes, list(values.index), narrow=width < style.NARROW)
    axes.set_xlabel(
        f"{len(order)} units, ordered by their strongest action unit",
        fontsize=8,
    )
    axes.set_xticks([])
    style.add_bar(figure, mesh, "correlation r")
    return figure


def _add_cells(axes: Axes, values: NDArray[np.float64]) -> QuadMesh:
    """A cell a value, in colours whose middle is 0."""
    limit = max(0.1, float(np.abs(values).max()))
    return axes.pcolormesh(
        values, cmap=style.SCALE, vmin=-limit, vmax=limit, rasterized=True
    )


def _name_rows(axes: Axes, codes: list[str], narrow: bool) -> None:
    """Name a row for each action unit, from the top, by its code alone where
    axes are narrow.
    """
    names = codes if narrow else [style.named(code) for code in codes]
    axes.set_yticks(np.arange(len(codes)) + 0.5, names)
    axes.invert_yaxis()
    axes.tick_params(labelsize=7, length=0)


def _by_strongest(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """The order of units (action units, units) by their strongest action unit,
    and by how strong that is.
    """
    strongest = values.argmax(0)
    return np.lexsort((-values.max(0), strongest))


def _detected(evidence: pd.DataFrame, level: float) -> NDArray[np.bool_]:
    """Whether each action unit (rows) is detected by each unit (columns)."""
    marked = evidence.assign(detected=detecting(evidence, level))
    wide: NDArray[np.bool_] = marked.pivot(
        index="au", columns="unit", values="detected"
    ).to_numpy(bool)
    return wide


def divergences(
    evidence: pd.DataFrame, units: Sequence[int], width: float = style.WIDE
) -> Figure:
    """khorrami2015's Fig. 5: for each unit, a bar an action unit with its
    divergence, the largest in red.

    The grey line is the mean under permuted labels.

    Args:
        evidence: What ``match`` gives.
        units: By number.
        width: In inches.

    Returns:
        The figure.
    """
    figure, places = style.panels(len(units), width, narrowest=2.2, height=1.4)
    # all labels of a panel beside each other
    size = min(6.0, 130 / evidence["au"].nunique())
    for axes, unit in zip(places, units, strict=True):
        one = evidence[evidence["unit"] == unit]
        largest = one.loc[one["kl"].idxmax(), "au"]
        _add_divergences(axes, one)
        axes.set_title(f"unit {unit}, by KL {largest}", fontsize=8)
        style.leave_open(axes, labels=6)
        numbers = [style.number(code) for code in one["au"]]
        axes.set_xticks(range(len(one)), numbers, fontsize=size, rotation=90)
    figure.supylabel("KL divergence (nats)", fontsize=8)
    figure.supxlabel("action unit", fontsize=8)
    return figure


def _add_divergences(axes: Axes, one: pd.DataFrame) -> None:
    """Add a unit's divergence by each action unit, over that under permuted
    labels.
    """
    across = np.arange(len(one))
    colours = np.where(one["kl"] == one["kl"].max(), "#c1272d", "#4a6fa5")
    axes.bar(across, one["kl"], color=colours, width=0.8)
    axes.step(across, one["kl_null"], where="mid", color="0.5", linewidth=0.8)


def distances(
    evidence: pd.DataFrame,
    action_units: Sequence[str],
    width: float = style.WIDE,
) -> Figure:
    """zhu2018's plot: for each action unit, the distance of every unit; the
    largest is named, and hollow are those whose nine largest answers are
    smaller with the action unit than without.

    The grey line is the mean under permuted labels.

    Args:
        evidence: What ``match`` gives.
        action_units: In their order.
        width: In inches.

    Returns:
        The figure.
    """
    wide = width >= style.NARROW
    figure, places = style.panels(
        len(action_units), width, narrowest=1.6 if wide else 1.1, height=1.25
    )
    for axes, au in zip(places, action_units, strict=True):
        _add_distances(axes, evidence[evidence["au"] == au])
        axes.set_title(style.named(au) if wide else au, fontsize=7)
        style.leave_open(axes, labels=6)
    figure.supylabel("distance of the nine largest activations", fontsize=8)
    figure.supxlabel("unit", fontsize=8)
    return figure


def _add_distances(axes: Any, one: pd.DataFrame) -> None:
    """The distance of every unit for one action unit, over its null."""
    filled: dict[str, Any] = {"color": style.BLUE, "markersize": 2}
    hollow = {**filled, "fillstyle": "none", "markeredgewidth": 0.5}
    less = one["distance_sign"] < 0
    for rows, look in ((one[~less], filled), (one[less], hollow)):
        axes.plot(rows["unit"], rows["distance"], "o", **look)
    axes.plot(one["unit"], one["distance_null"], color="0.6", linewidth=0.6)
    most = one.loc[one["distance"].idxmax()]
    at = (most["unit"], most["distance"])
    axes.annotate(
        f"{most['unit']:.0f}", at, fontsize=7, ha="center", va="bottom"
    )
    highest = np.nanmax(one[["distance", "distance_null"]].to_numpy())
    axes.set_ylim(0, 1.15 * highest)


def validities(validity: pd.DataFrame, width: float = style.WIDE) -> Figure:
    """How often each score names the action unit that moves a unit most, by
    the number of pictures it had; chance dotted.

    First on the study's faces, then on faces whose action units come and go by
    chance; hollow: in the untrained network. The grey line is how often half
    of the people foretell what moves a unit most on the other half.

    Args:
        validity: A row a score, network, set of faces and number of people.
        width: In inches.

    Returns:
        The figure.
    """
    titles = {"study": "the study's faces", "free": "independent action units"}
    figure, places = style.panels(
        len(titles), width - 1, narrowest=2.4, height=3.0
    )
    figure.set_figwidth(width)
    highest = 1.05 * max([0.1, *validity["validity"].dropna()])
    for axes, (faces, title) in zip(places, titles.items(), strict=True):
        _add_validities(axes, validity[validity["faces"] == faces])
        _add_ceiling(axes, validity)
        axes.set_title(title, fontsize=9)
        axes.set_ylim(0, highest)
        style.leave_open(axes, labels=7)
    style.name_axes(places, "pictures", "validity")
    handles = places[-1].get_legend_handles_labels()
    figure.legend(
        *handles, fontsize=7, loc="outside right center", frameon=False
    )
    return figure


def _add_validities(axes: Any, validity: pd.DataFrame) -> None:
    """Every score of the trained network by the number of pictures, over
    chance and the untrained network.
    """
    compared = [column.key for column in COLUMNS.values() if column.in_figure]
    for number, score in enumerate(compared):
        line = _line(number)
        one = validity[validity["score"] == score]
        trained = one[one["network"] == "trained"]
        untrained = one[one["network"] == "untrained"]
        axes.plot(
            trained["pictures"],
            trained["validity"],
            linewidth=1,
            label=score,
            **line,
        )
        chance = {"color": line["color"], "linewidth": 0.7}
        axes.plot(trained["pictures"], trained["chance"], ":", **chance)
        hollow = {**line, "fillstyle": "none", "linestyle": "none"}
        axes.plot(untrained["pictures"], untrained["validity"], **hollow)


def _line(number: int) -> dict[str, Any]:
    """Colour and marker of one of several lines."""
    colours = style.COLOURS[1:]
    return {
        "color": colours[number % len(colours)],
        "marker": style.MARKERS[number % len(style.MARKERS)],
        "markersize": 4,
    }


def _add_ceiling(axes: Any, validity: pd.DataFrame) -> None:
    """A line at the split-half reliability, where that was measured."""
    halves = validity.loc[validity["score"] == "split-half", "validity"]
    if halves.empty:
        return
    height = float(halves.iloc[0])
    axes.axhline(height, color="0.6", linewidth=0.8)
    look = {"fontsize": 7, "ha": "right", "va": "bottom", "color": "0.4"}
    at = ("axes fraction", "data")
    axes.annotate("split-half reliability", (1, height), xycoords=at, **look)
