"""Of whom, and of which faces, a network says what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from duchenne.evidence.differences import LEVEL
from duchenne.report.figures.plots import style


def twins(
    found: pd.DataFrame,
    called: Mapping[str, str],
    neutral: str,
    width: float = style.WIDE,
) -> Figure:
    """What changes between twins who differ in one trait: on the left how
    often they are read right, with the interval over people; on the right the
    log-odds of each class on their neutral faces, a dot where that is sure.

    Args:
        found: A row a trait and measure, as ``evidence.differences.of_twins``
            gives them.
        called: Traits in words.
        neutral: What the names of measures on neutral faces begin with.
        width: In inches.

    Returns:
        The figure.
    """
    traits = list(dict.fromkeys(found["trait"]))
    figure = Figure(
        figsize=(width, 0.26 * len(traits) + 0.9), layout="constrained"
    )
    left, right = figure.subplots(1, 2, width_ratios=(2, 3), sharey=True)
    accuracy = found[found["measure"] == "accuracy"].set_index("trait")
    _add_differences(left, accuracy.loc[traits])
    left.set_yticks(range(len(traits)), [called[trait] for trait in traits])
    left.invert_yaxis()
    wide = _of_classes(found, neutral).loc[traits]
    _add_changes(figure, right, wide)
    return figure


def _of_classes(found: pd.DataFrame, neutral: str) -> pd.DataFrame:
    """What was measured on neutral faces, a row a trait, a column a class."""
    rows = found[found["measure"].str.startswith(neutral)]
    classes = rows["measure"].str.removeprefix(neutral)
    order = list(dict.fromkeys(classes))
    wide = rows.assign(measure=classes).pivot(index="trait", columns="measure")
    return wide.reindex(columns=order, level="measure")


def _add_differences(axes: Axes, accuracy: pd.DataFrame) -> None:
    """Differences in accuracy, in points, a row a trait."""
    effect = 100 * accuracy["effect"].to_numpy()
    rows = np.arange(len(effect))
    low = 100 * accuracy["low"].to_numpy()
    high = 100 * accuracy["high"].to_numpy()
    surely = (accuracy["p_holm"] <= LEVEL).to_numpy()
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.hlines(rows, low, high, color=style.BLUE, linewidth=1)
    for chosen, filled in ((surely, style.BLUE), (~surely, "white")):
        axes.plot(
            effect[chosen],
            rows[chosen],
            "o",
            color=style.BLUE,
            markerfacecolor=filled,
            markersize=4,
        )
    axes.set_xlabel("accuracy (points)", fontsize=8)
    style.leave_open(axes, labels=7)


def _add_changes(figure: Figure, axes: Axes, wide: pd.DataFrame) -> None:
    """A cell a trait (rows) and class."""
    values = wide["effect"]
    limit = max(0.1, float(np.nanmax(values.abs().to_numpy(float))))
    mesh = axes.imshow(
        values, cmap=style.SCALE, vmin=-limit, vmax=limit, aspect="auto"
    )
    rows, columns = np.nonzero(wide["p_holm"].to_numpy() <= LEVEL)
    axes.plot(columns, rows, ".", color=style.INK, markersize=2)
    axes.set_xticks(
        range(values.shape[1]), list(values), rotation=40, ha="right"
    )
    axes.tick_params(labelsize=7, length=0)
    axes.tick_params("y", labelleft=False)
    bar = figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("log-odds on neutral faces", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def photographs(
    own: Mapping[str, Any],
    shown: Mapping[str, Any],
    beyond: pd.Series,
    width: float = style.WIDE,
) -> Figure:
    """A study's own faces beside photographs: the recall of each class on
    both, and how many units answer to photographs beyond their range.

    Args:
        own: Scores on the study's own faces.
        shown: Those on photographs.
        beyond: Of each unit, the share of photographs beyond its range.
        width: In inches.

    Returns:
        The figure.
    """
    classes = [
        name
        for name, row in own["classes"].items()
        if row["pictures"] and shown["classes"][name]["pictures"]
    ]
    figure = Figure(
        figsize=(width, 0.22 * len(classes) + 1.1), layout="constrained"
    )
    left, right = figure.subplots(1, 2)
    _add_recalls(left, classes, own, shown)
    right.hist(beyond, bins=np.linspace(0, 1, 21).tolist(), color=style.BLUE)
    right.axvline(0.02, color="0.5", linewidth=0.8, linestyle=":")
    style.leave_open(right, labels=7)
    right.set_xlabel("share of photographs beyond its range", fontsize=8)
    right.set_ylabel("units", fontsize=8)
    return figure


def _add_recalls(
    axes: Axes,
    classes: list[str],
    own: Mapping[str, Any],
    shown: Mapping[str, Any],
) -> None:
    """The recall of each class (rows) on both sets of faces, joined."""
    rows = np.arange(len(classes))
    here = [own["classes"][name]["recall"] for name in classes]
    there = [shown["classes"][name]["recall"] for name in classes]
    axes.plot(here, rows, "o", color=style.BLUE, ms=4, label="own faces")
    axes.plot(there, rows, "s", color=style.RED, ms=4, label="photographs")
    axes.hlines(rows, here, there, color="0.7", linewidth=0.8, zorder=0)
    axes.set_yticks(rows, classes)
    axes.invert_yaxis()
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("recall", fontsize=8)
    axes.legend(
        fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1)
    )
    style.leave_open(axes, labels=7)
