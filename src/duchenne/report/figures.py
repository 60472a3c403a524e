"""Figures fit for print: functions that take results and return a matplotlib figure; saving is the caller's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from duchenne import facs
from duchenne.evidence import detecting
from duchenne.intervals import of_mean
from duchenne.report import WIDTHS
from duchenne.report.sheets import drawn

Floats = NDArray[np.float32]
_SCALE = "RdBu_r"
_INK = "#222222"
_COLOURS = ("#777777", "#d55e00", "#cc79a7", "#009e73", "#e69f00", "#56b4e9", "#0072b2", "#000000")
"""Okabe and Ito's colours, which the colour-blind tell apart; shapes tell them apart in grey."""
_MARKERS = "os^DvPX*"
_BLUE, _RED = "#0072b2", "#d55e00"
_DOSES = ("–", *facs.INTENSITIES)
_COMPARED = ("kl", "distance", "kl_z", "r", "ap_z", "ap_lift", "information")
_THUMBNAIL = 24.0  # points along a side
_WIDE = WIDTHS[2]
_NARROW = 5.0  # inches: below it names and legends take less room


def heat_map(evidence: pd.DataFrame, level: float, width: float = _WIDE) -> Figure:
    """Correlation r of every unit with every action unit, units ordered by their strongest action unit.

    Dots mark the pairs in which the unit detects the action unit at ``level``.
    """
    values = evidence.pivot(index="au", columns="unit", values="r")
    found = evidence.assign(found=detecting(evidence, level)).pivot(index="au", columns="unit", values="found")
    order = np.lexsort((-values.to_numpy().max(0), values.to_numpy().argmax(0)))
    shown, sure = values.to_numpy()[:, order], found.to_numpy(bool)[:, order]
    figure = Figure(figsize=(width, 0.18 * len(values) + 0.7), layout="constrained")
    axes = figure.subplots()
    limit = max(0.1, float(np.abs(shown).max()))
    mesh = axes.pcolormesh(shown, cmap=_SCALE, vmin=-limit, vmax=limit, rasterized=True)
    rows, columns = np.nonzero(sure)
    axes.plot(columns + 0.5, rows + 0.5, ".", color=_INK, markersize=1.2)
    names = [f"{code} {facs.coded(code).name}" if width >= _NARROW else code for code in values.index]
    axes.set_yticks(np.arange(len(values)) + 0.5, names)
    axes.set_xlabel(f"{len(order)} units, ordered by their strongest action unit", fontsize=8)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.tick_params(labelsize=7, length=0)
    bar = figure.colorbar(mesh, ax=axes, pad=0.01)
    bar.set_label("correlation r", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def confusion(scores: Mapping[str, Any], width: float = WIDTHS[1]) -> Figure:
    """The confusion matrix in shares of each expression shown."""
    names = list(scores["classes"])
    counts = np.array(scores["confusion"], float)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    side = min(width, WIDTHS[1])
    figure = Figure(figsize=(side, 0.92 * side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            ink = "white" if shares[row, column] > 0.6 else _INK
            axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center", color=ink, fontsize=6)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("read as", fontsize=8)
    axes.set_ylabel("shown", fontsize=8)
    axes.tick_params(labelsize=7)
    return figure


def architecture(picture: tuple[int, ...], layers: pd.DataFrame, title: str = "", width: float = _WIDE) -> Figure:
    """A block a layer, as high as the root of its maps' height and as wide as the logarithm of their number.

    ``picture`` (C, H, W) goes in; ``layers`` has a row a layer: layer, channels, height, width, learned. Names of blocks
    that have learned something are black.
    """
    rows = [("input", *picture, 0), *layers[["layer", "channels", "height", "width", "learned"]].itertuples(index=False)]
    figure = Figure(figsize=(width, 2.3), layout="constrained")
    axes = figure.subplots()
    thick = [0.35 + 0.25 * np.log2(max(row[1], 1)) for row in rows]
    lefts = np.cumsum([0, *(1.1 + size for size in thick[:-1])])
    for left, size, (name, channels, high, wide, learned) in zip(lefts, thick, rows, strict=True):
        height = np.sqrt(high)
        axes.add_patch(Rectangle((left, -height / 2), size, height, facecolor="#cfe3f2" if learned else "#eeeeee",
                                 edgecolor=_INK, linewidth=0.6))  # fmt: skip
        told = f"{channels}@{high}×{wide}" if high > 1 or wide > 1 else f"{channels}"
        style: dict[str, Any] = {"fontsize": 6, "rotation": 90, "ha": "center", "color": _INK if learned else "0.45"}
        axes.text(left + size / 2, -np.sqrt(picture[1]) / 2 - 0.5, f"{name}  {told}", va="top", **style)
    axes.set(xlim=(-0.6, lefts[-1] + thick[-1] + 0.6), ylim=(-1.9 * np.sqrt(picture[1]), 0.55 * np.sqrt(picture[1])))
    axes.axis("off")
    figure.suptitle(title, fontsize=8)
    return figure


def coding(shares: pd.DataFrame, expressions: Sequence[str], width: float = _WIDE) -> Figure:
    """Which share of each expression's pictures shows each action unit; outlined where a prototype holds it.

    ``shares`` has a row an expression and action unit: expression, au, share, prototype.
    """
    wide = shares.pivot(index="expression", columns="au", values="share").reindex(list(expressions))
    in_prototype = shares.pivot(index="expression", columns="au", values="prototype").reindex_like(wide)
    figure = Figure(figsize=(width, 0.2 * len(wide) + 0.7), layout="constrained")
    axes = figure.subplots()
    mesh = axes.imshow(wide, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.argwhere(in_prototype.to_numpy() == True):  # noqa: E712  (NA where nothing is coded)
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=_RED, linewidth=0.9))
    axes.set_xticks(range(wide.shape[1]), [code[2:].lstrip("0") for code in wide])
    axes.set_yticks(range(len(wide)), list(wide.index))
    axes.set_xlabel("action unit", fontsize=8)
    axes.tick_params(labelsize=7, length=0)
    if width / wide.shape[1] < 0.2:  # inches that the numbers stand apart
        axes.tick_params("x", labelsize=6, rotation=90)
    bar = figure.colorbar(mesh, ax=axes, pad=0.01)
    bar.set_label("pictures", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def divergences(evidence: pd.DataFrame, units: Sequence[int], width: float = _WIDE) -> Figure:
    """khorrami2015's Fig. 5: for each unit, a bar an action unit with its divergence, the largest in red.

    The grey line is the mean under permuted labels.
    """
    figure, places = _panels(len(units), width, narrowest=2.2, height=1.4)
    size = min(6.0, 130 / evidence["au"].nunique())  # all labels of a panel beside each other
    for axes, unit in zip(places, units, strict=True):
        one = evidence[evidence["unit"] == unit]
        place = np.arange(len(one))
        colours = np.where(one["kl"] == one["kl"].max(), "#c1272d", "#4a6fa5")
        axes.bar(place, one["kl"], color=colours, width=0.8)
        axes.step(place, one["kl_null"], where="mid", color="0.5", linewidth=0.8)
        axes.set_title(f"unit {unit}, by KL {one.loc[one['kl'].idxmax(), 'au']}", fontsize=8)
        axes.set_xticks(place, [code[2:].lstrip("0") for code in one["au"]], fontsize=size, rotation=90)
        axes.tick_params(axis="y", labelsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("KL divergence (nats)", fontsize=8)
    figure.supxlabel("action unit", fontsize=8)
    return figure


def distances(evidence: pd.DataFrame, action_units: Sequence[str], width: float = _WIDE) -> Figure:
    """zhu2018's plot: for each action unit, the distance of every unit; the largest is named, and hollow are those whose
    nine largest answers are smaller with the action unit than without.

    The grey line is the mean under permuted labels.
    """
    wide = width >= _NARROW
    figure, places = _panels(len(action_units), width, narrowest=1.6 if wide else 1.1, height=1.25)
    for axes, au in zip(places, action_units, strict=True):
        one = evidence[evidence["au"] == au]
        less = one["distance_sign"] < 0
        axes.plot(one["unit"][~less], one["distance"][~less], "o", color=_BLUE, markersize=2)
        axes.plot(
            one["unit"][less], one["distance"][less], "o", color=_BLUE, markersize=2, fillstyle="none", markeredgewidth=0.5
        )
        axes.plot(one["unit"], one["distance_null"], color="0.6", linewidth=0.6)
        most = one.loc[one["distance"].idxmax()]
        axes.annotate(f"{most['unit']:.0f}", (most["unit"], most["distance"]), fontsize=7, ha="center", va="bottom")
        axes.set_title(f"{au} {facs.coded(au).name}" if wide else au, fontsize=7)
        axes.tick_params(labelsize=6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(0, 1.15 * max(float(most["distance"]), float(one["distance_null"].max())))
    figure.supylabel("distance of the nine largest answers", fontsize=8)
    figure.supxlabel("unit", fontsize=8)
    return figure


def doses(
    answers: NDArray[np.floating], responses: pd.DataFrame, scale: NDArray[np.floating], units: Sequence[int],
    width: float = _WIDE,
) -> Figure:  # fmt: skip
    """How units answer to growing doses of action units: the one that moves each most, with the 95 % interval over
    people, the next most dashed, and all others in grey.

    ``answers`` (people, action units, doses, units) in the order of the action units of ``responses``; ``scale`` (units,) is
    what counts as 1.
    """
    figure, places = _panels(len(units), width, narrowest=1.35, height=1.4)
    named = list(responses.loc[responses["unit"] == responses["unit"].iloc[0], "au"])
    for axes, unit in zip(places, units, strict=True):
        moved = (answers[..., unit] - answers[:, :, :1, unit]) / (scale[unit] or 1)  # (people, action units, doses)
        most, next_most = np.argsort(-np.abs(moved[:, :, -1].mean(0)))[:2]
        others = [np.column_stack([np.arange(len(_DOSES)), curve]) for curve in moved.mean(0)]
        axes.add_collection(LineCollection(others, colors="0.8", linewidths=0.5))
        low, high = of_mean(moved[:, most])
        axes.fill_between(_DOSES, low, high, color=_BLUE, alpha=0.2, linewidth=0)
        axes.plot(_DOSES, moved[:, most].mean(0), color=_BLUE, marker="o", markersize=2.5, label=named[most])
        axes.plot(_DOSES, moved[:, next_most].mean(0), color=_RED, linestyle="--", linewidth=0.9, label=named[next_most])
        axes.legend(fontsize=6, frameon=False, loc="upper left")  # wherever is best takes as long as all else
        axes.set_title(f"unit {unit}", fontsize=8)
        axes.tick_params(labelsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("change of the answer (standard deviations)", fontsize=8)
    figure.supxlabel("intensity of the action unit", fontsize=8)
    return figure


def agreements(agreement: pd.DataFrame, width: float = _WIDE) -> Figure:
    """How often each score names the action unit that moves a unit most, by the number of pictures it had; chance dotted.

    First on the study's faces, then on faces whose action units come and go by chance; hollow: behind random weights.
    The grey line is how often half of the people foretell what moves a unit most on the other half.
    """
    titles = {"study": "the study's faces", "free": "each action unit by its own coin"}
    figure, places = _panels(len(titles), width - 1, narrowest=2.4, height=3.0)
    figure.set_figwidth(width)
    for axes, (faces, title) in zip(places, titles.items(), strict=True):
        shown = agreement[(agreement["faces"] == faces) & agreement["score"].isin(_COMPARED)]
        for number, score in enumerate(_COMPARED):
            colour, marker = _COLOURS[1:][number], _MARKERS[number]
            one = shown[shown["score"] == score]
            own, random = (one[one["network"] == network] for network in ("trained", "random weights"))
            axes.plot(own["pictures"], own["agreement"], color=colour, marker=marker, markersize=4, linewidth=1, label=score)
            axes.plot(own["pictures"], own["chance"], color=colour, linestyle=":", linewidth=0.7)
            axes.plot(random["pictures"], random["agreement"], marker, color=colour, fillstyle="none", markersize=4)
        ceiling = agreement.loc[agreement["score"] == "other people", "agreement"]
        if len(ceiling):
            axes.axhline(ceiling.iloc[0], color="0.6", linewidth=0.8)
            axes.annotate("other half of the people", (1, ceiling.iloc[0]), xycoords=("axes fraction", "data"), fontsize=7,
                          ha="right", va="bottom", color="0.4")  # fmt: skip
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("pictures", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylabel("units named right", fontsize=8)
        axes.set_ylim(0, 1.05 * max([0.1, *agreement["agreement"].dropna()]))
    figure.legend(*places[-1].get_legend_handles_labels(), fontsize=7, loc="outside right center", frameon=False)
    return figure


def likenesses(alike: pd.DataFrame, title: str = "", width: float = 5.2) -> Figure:
    """How like a trained network's projections are to those of its random start, by method (Adebayo et al. 2018).

    ``alike`` has a row a method and unit: method, unit, alike (a correlation). A dot is a unit, the bar the median.
    """
    methods = list(dict.fromkeys(alike["method"]))
    figure = Figure(figsize=(width, 0.36 * len(methods) + 0.8), layout="constrained")
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for place, method in enumerate(methods):
        values = alike.loc[alike["method"] == method, "alike"].dropna().to_numpy()
        axes.plot(values, place + rng.uniform(-0.25, 0.25, len(values)), ".", color=_COLOURS[5], markersize=3)
        axes.plot([np.median(values)] * 2, [place - 0.35, place + 0.35], color=_INK, linewidth=1.5)
    axes.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(methods)), methods, fontsize=7)
    axes.tick_params(axis="x", labelsize=7)
    axes.set(xlim=(-1.02, 1.02), ylim=(len(methods) - 0.5, -0.5), xticks=(-1, -0.5, 0, 0.5, 1))
    axes.set_xlabel("correlation with the random start's projections", fontsize=8)
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def traits(table: pd.DataFrame, title: str = "", width: float = _WIDE) -> Figure:
    """The traits of layer after layer, each with its 95 % interval, trained and at the random start.

    ``table`` has a row a network, layer and trait: network, layer, trait, value, low, high.
    """
    names, layers, networks = (list(dict.fromkeys(table[name])) for name in ("trait", "layer", "network"))
    figure, places = _panels(len(names), width, narrowest=1.6, height=1.6)
    for axes, name in zip(places, names, strict=True):
        for number, network in enumerate(networks):
            rows = table[(table["trait"] == name) & (table["network"] == network)].set_index("layer").reindex(layers)
            value = rows["value"].to_numpy()
            beyond = np.clip(np.stack([value - rows["low"], rows["high"] - value]), 0, None)
            place = np.arange(len(layers)) + 0.12 * number
            style = {"color": _COLOURS[(6, 0)[number % 2]], "marker": _MARKERS[number], "label": network}
            axes.errorbar(place, value, beyond, capsize=2, markersize=4, linewidth=1, **style)
        axes.set_xticks(range(len(layers)), layers, fontsize=7)
        axes.margins(x=0.15)
        lowest, highest = axes.get_ylim()
        axes.set_ylim(min(0, lowest), max(0, highest))
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.set_title(name, fontsize=8)
        axes.tick_params(axis="y", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    places[0].legend(fontsize=6, frameon=False)
    figure.supxlabel("layer; bars are 95 % intervals", fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure


def manifold(points: pd.DataFrame, pictures: Floats, thumbnails: int = 32) -> Figure:
    """Faces (n, C, S, S) where their codes place them, some of them as thumbnails framed in the expression's colour.

    ``points`` has a row a face: expression, across, up.
    """
    places = points[["across", "up"]].to_numpy(float)
    figure, colours = Figure(figsize=(7.2, 6.4), layout="constrained"), dict[str, str]()
    axes = figure.subplots()
    for number, (expression, rows) in enumerate(points.groupby("expression", sort=False)):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        axes.scatter(rows["across"], rows["up"], s=18, color=colour, marker=marker, label=expression, linewidths=0)
        colours[str(expression)] = colour
    for place in _apart(places, thumbnails):
        face = OffsetImage(drawn(pictures[place]), zoom=_THUMBNAIL / pictures.shape[-1], cmap="gray")
        frame = {"edgecolor": colours[str(points["expression"].iloc[place])], "linewidth": 1.5}
        box = AnnotationBbox(face, places[place].tolist(), (16, 16), boxcoords="offset points", pad=0.05, bboxprops=frame)
        box.set_zorder(3)
        axes.add_artist(box)
    axes.set_xlabel("first axis of the code")
    axes.set_ylabel("second axis of the code")
    axes.margins(0.08)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8, markerscale=1.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _panels(count: int, width: float, narrowest: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes in rows, each at least as wide as the ``narrowest`` may be, in inches."""
    columns = min(count, max(1, int(width / narrowest)))
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[count:]:
        axes.set_visible(False)
    return figure, list(every[:count])


def _apart(places: NDArray[np.float64], count: int) -> list[int]:
    """Choose places that lie far from each other: each time the one farthest from all chosen before."""
    scaled = (places - places.min(0)) / np.ptp(places, axis=0).clip(1e-12)
    chosen = [0]
    nearest = np.linalg.norm(scaled - scaled[0], axis=1)
    while len(chosen) < min(count, len(places)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
    return chosen
