"""What growing doses of action units do to units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from duchenne import facs
from duchenne.evidence.intervals import of_mean
from duchenne.report.figures.plots import style

_DOSES = ("–", *facs.INTENSITIES)
_MOST: dict[str, Any] = {"color": style.BLUE, "marker": "o", "markersize": 2.5}
_NEXT: dict[str, Any] = {
    "color": style.RED,
    "linestyle": "--",
    "linewidth": 0.9,
}


def doses(
    answers: NDArray[np.floating],
    responses: pd.DataFrame,
    scale: NDArray[np.floating],
    units: Sequence[int],
    width: float = style.WIDE,
) -> Figure:
    """How units answer to growing doses of action units: the one that moves
    each most, with the 95 % interval over people, the next most dashed, and
    all others in grey.

    Args:
        answers: (people, action units, doses, units) in the order of the
            action units of ``responses``.
        responses: What ``dose_response`` gives.
        scale: (units,) what counts as 1.
        units: By number.
        width: In inches.

    Returns:
        The figure.
    """
    figure, places = style.panels(
        len(units), width, narrowest=1.35, height=1.4
    )
    named = list(
        responses.loc[responses["unit"] == responses["unit"].iloc[0], "au"]
    )
    for axes, unit in zip(places, units, strict=True):
        # (people, action units, doses)
        moved = (answers[..., unit] - answers[:, :, :1, unit]) / (
            scale[unit] or 1
        )
        _add_doses(axes, moved, named)
        axes.set_title(f"unit {unit}", fontsize=8)
        style.leave_open(axes, labels=6)
    figure.supylabel("change in activation (SD)", fontsize=8)
    figure.supxlabel("intensity of the action unit", fontsize=8)
    return figure


def _add_doses(
    axes: Any, moved: NDArray[np.float64], named: Sequence[str]
) -> None:
    """One unit's change at every dose of every action unit, the two of largest
    effect named.
    """
    curves = moved.mean(0)
    most, next_most = np.argsort(-np.abs(curves[:, -1]))[:2]
    others = [
        np.column_stack([np.arange(len(_DOSES)), curve]) for curve in curves
    ]
    axes.add_collection(LineCollection(others, colors="0.8", linewidths=0.5))
    low, high = of_mean(moved[:, most])
    axes.fill_between(
        _DOSES, low, high, color=style.BLUE, alpha=0.2, linewidth=0
    )
    axes.plot(_DOSES, curves[most], label=named[most], **_MOST)
    axes.plot(_DOSES, curves[next_most], label=named[next_most], **_NEXT)
    # wherever is best takes as long as all else
    axes.legend(fontsize=6, frameon=False, loc="upper left")
