"""Figures fit for print: functions that take results and return a matplotlib figure; saving is
the caller's.
"""

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
from duchenne.evidence.intervals import of_mean
from duchenne.evidence.scores import COLUMNS
from duchenne.report import WIDTHS
from duchenne.report.figures.sheets import drawn

Floats = NDArray[np.float32]
_SCALE = "RdBu_r"
_INK = "#222222"
_COLOURS = ("#777777", "#d55e00", "#cc79a7", "#009e73", "#e69f00", "#56b4e9", "#0072b2", "#000000")
"""Okabe and Ito's colours, which the colour-blind tell apart; shapes tell them apart in grey."""
_MARKERS = "os^DvPX*"
_BLUE, _RED = "#0072b2", "#d55e00"
_DOSES = ("–", *facs.INTENSITIES)
_THUMBNAIL = 24.0  # points along a side
_WIDE = WIDTHS[2]
_NARROW = 5.0  # inches: below it names and legends take less room
_UPRIGHT: dict[str, Any] = {"fontsize": 6, "rotation": 90, "ha": "center", "va": "top"}
_MOST: dict[str, Any] = {"color": _BLUE, "marker": "o", "markersize": 2.5}
_NEXT: dict[str, Any] = {"color": _RED, "linestyle": "--", "linewidth": 0.9}


def heat_map(evidence: pd.DataFrame, level: float, width: float = _WIDE) -> Figure:
    """Correlation r of every unit with every action unit, units ordered by their strongest action
    unit.

    Dots mark the pairs in which the unit detects the action unit.

    Args:
        evidence: What ``match`` gives.
        level: The highest family-wise p.
        width: In inches.

    Returns:
        The figure.
    """
    values = evidence.pivot(index="au", columns="unit", values="r")
    order = np.lexsort((-values.to_numpy().max(0), values.to_numpy().argmax(0)))
    shown = values.to_numpy()[:, order]
    figure = Figure(figsize=(width, 0.18 * len(values) + 0.7), layout="constrained")
    axes = figure.subplots()
    limit = max(0.1, float(np.abs(shown).max()))
    mesh = axes.pcolormesh(shown, cmap=_SCALE, vmin=-limit, vmax=limit, rasterized=True)
    rows, columns = np.nonzero(_detected(evidence, level)[:, order])
    axes.plot(columns + 0.5, rows + 0.5, ".", color=_INK, markersize=1.2)
    names = [_named(code) if width >= _NARROW else code for code in values.index]
    axes.set_yticks(np.arange(len(values)) + 0.5, names)
    axes.set_xlabel(f"{len(order)} units, ordered by their strongest action unit", fontsize=8)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.tick_params(labelsize=7, length=0)
    _add_bar(figure, mesh, "correlation r")
    return figure


def _detected(evidence: pd.DataFrame, level: float) -> NDArray[np.bool_]:
    """Whether each action unit (rows) is detected by each unit (columns)."""
    marked = evidence.assign(detected=detecting(evidence, level))
    wide: NDArray[np.bool_] = marked.pivot(index="au", columns="unit", values="detected").to_numpy(
        bool
    )
    return wide


def _named(code: str) -> str:
    return f"{code} {facs.coded(code).name}"


def _add_bar(figure: Figure, mesh: Any, label: str) -> None:
    """Add a colour bar beside the figure's only axes."""
    bar = figure.colorbar(mesh, ax=figure.axes[0], pad=0.01)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _open(axes: Any, labels: float) -> None:
    """Take the upper and right border of a panel away, and set the size of its numbers."""
    axes.tick_params(labelsize=labels)
    axes.spines[["top", "right"]].set_visible(False)


def confusion(scores: Mapping[str, Any], width: float = WIDTHS[1]) -> Figure:
    """The confusion matrix in shares of each expression shown."""
    names = list(scores["classes"])
    counts = np.array(scores["confusion"], float)
    side = min(width, WIDTHS[1])
    figure = Figure(figsize=(side, 0.92 * side), layout="constrained")
    axes = figure.subplots()
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
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6}
    for row, column in np.argwhere(counts > 0):
        share = shares[row, column]
        ink = "white" if share > 0.6 else _INK
        axes.text(column, row, f"{share:.0%}", color=ink, **style)


def architecture(
    picture: tuple[int, ...], layers: pd.DataFrame, title: str = "", width: float = _WIDE
) -> Figure:
    """A block a layer, as high as the root of its maps' height and as wide as the logarithm of
    their number.

    Names of blocks that have learned something are black.

    Args:
        picture: (C, H, W) that goes in.
        layers: A row a layer: ``layer, channels, height, width, learned``.
        title: Above it.
        width: In inches.

    Returns:
        The figure.
    """
    columns = ["layer", "channels", "height", "width", "learned"]
    rows = [("input", *picture, 0), *layers[columns].itertuples(index=False)]
    tallest = np.sqrt(picture[1])
    figure = Figure(figsize=(width, 2.3), layout="constrained")
    axes = figure.subplots()
    left = 0.0
    for name, channels, high, wide, learned in rows:
        thick = 0.35 + 0.25 * np.log2(max(channels, 1))
        _add_block(axes, left, thick, np.sqrt(high), bool(learned))
        label = f"{name}  {_sized(channels, high, wide)}"
        at = (left + thick / 2, -tallest / 2 - 0.5)
        axes.text(*at, label, color=_INK if learned else "0.45", **_UPRIGHT)
        left += thick + 1.1
    axes.set(xlim=(-0.6, left - 0.5), ylim=(-1.9 * tallest, 0.55 * tallest))
    axes.axis("off")
    figure.suptitle(title, fontsize=8)
    return figure


def _sized(channels: int, high: int, wide: int) -> str:
    """E.g. "64@48×48", or "300" of a layer without maps."""
    return f"{channels}@{high}×{wide}" if high > 1 or wide > 1 else f"{channels}"


def _add_block(axes: Any, left: float, thick: float, height: float, learned: bool) -> None:
    """Add a layer's block; in blue where it has learned numbers."""
    face = "#cfe3f2" if learned else "#eeeeee"
    style: dict[str, Any] = {"facecolor": face, "edgecolor": _INK, "linewidth": 0.6}
    axes.add_patch(Rectangle((left, -height / 2), thick, height, **style))


def coding(shares: pd.DataFrame, expressions: Sequence[str], width: float = _WIDE) -> Figure:
    """Which share of each expression's pictures shows each action unit; outlined where a prototype
    holds it.

    Args:
        shares: A row an expression and action unit: ``expression, au, share, prototype``.
        expressions: In their order.
        width: In inches.

    Returns:
        The figure.
    """
    wide = shares.pivot(index="expression", columns="au", values="share").reindex(list(expressions))
    prototypes = shares.pivot(index="expression", columns="au", values="prototype")
    figure = Figure(figsize=(width, 0.2 * len(wide) + 0.7), layout="constrained")
    axes = figure.subplots()
    mesh = axes.imshow(wide, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    _frame_cells(axes, prototypes.reindex_like(wide).fillna(False).to_numpy(bool))
    axes.set_xticks(range(wide.shape[1]), [_number(code) for code in wide])
    axes.set_yticks(range(len(wide)), list(wide.index))
    axes.set_xlabel("action unit", fontsize=8)
    axes.tick_params(labelsize=7, length=0)
    if width / wide.shape[1] < 0.2:  # inches that the numbers stand apart
        axes.tick_params("x", labelsize=6, rotation=90)
    _add_bar(figure, mesh, "pictures")
    return figure


def _frame_cells(axes: Axes, framed: NDArray[np.bool_]) -> None:
    """Frame the cells of a picture (rows, columns) that are marked."""
    frame: dict[str, Any] = {"fill": False, "edgecolor": _RED, "linewidth": 0.9}
    for row, column in np.argwhere(framed):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **frame))


def _number(code: str) -> str:
    """An action unit's number, as in 6 of AU06."""
    return code[2:].lstrip("0")


def divergences(evidence: pd.DataFrame, units: Sequence[int], width: float = _WIDE) -> Figure:
    """khorrami2015's Fig. 5: for each unit, a bar an action unit with its divergence, the largest
    in red.

    The grey line is the mean under permuted labels.

    Args:
        evidence: What ``match`` gives.
        units: By number.
        width: In inches.

    Returns:
        The figure.
    """
    figure, places = _panels(len(units), width, narrowest=2.2, height=1.4)
    size = min(6.0, 130 / evidence["au"].nunique())  # all labels of a panel beside each other
    for axes, unit in zip(places, units, strict=True):
        one = evidence[evidence["unit"] == unit]
        largest = one.loc[one["kl"].idxmax(), "au"]
        _add_divergences(axes, one)
        axes.set_title(f"unit {unit}, by KL {largest}", fontsize=8)
        _open(axes, labels=6)
        numbers = [_number(code) for code in one["au"]]
        axes.set_xticks(range(len(one)), numbers, fontsize=size, rotation=90)
    figure.supylabel("KL divergence (nats)", fontsize=8)
    figure.supxlabel("action unit", fontsize=8)
    return figure


def _add_divergences(axes: Axes, one: pd.DataFrame) -> None:
    """Add a unit's divergence by each action unit, over that under permuted labels."""
    place = np.arange(len(one))
    colours = np.where(one["kl"] == one["kl"].max(), "#c1272d", "#4a6fa5")
    axes.bar(place, one["kl"], color=colours, width=0.8)
    axes.step(place, one["kl_null"], where="mid", color="0.5", linewidth=0.8)


def distances(evidence: pd.DataFrame, action_units: Sequence[str], width: float = _WIDE) -> Figure:
    """zhu2018's plot: for each action unit, the distance of every unit; the largest is named, and
    hollow are those whose nine largest answers are smaller with the action unit than without.

    The grey line is the mean under permuted labels.

    Args:
        evidence: What ``match`` gives.
        action_units: In their order.
        width: In inches.

    Returns:
        The figure.
    """
    wide = width >= _NARROW
    figure, places = _panels(len(action_units), width, narrowest=1.6 if wide else 1.1, height=1.25)
    for axes, au in zip(places, action_units, strict=True):
        _add_distances(axes, evidence[evidence["au"] == au])
        axes.set_title(_named(au) if wide else au, fontsize=7)
        _open(axes, labels=6)
    figure.supylabel("distance of the nine largest activations", fontsize=8)
    figure.supxlabel("unit", fontsize=8)
    return figure


def _add_distances(axes: Any, one: pd.DataFrame) -> None:
    """The distance of every unit for one action unit, over its null."""
    filled: dict[str, Any] = {"color": _BLUE, "markersize": 2}
    hollow = {**filled, "fillstyle": "none", "markeredgewidth": 0.5}
    less = one["distance_sign"] < 0
    for rows, style in ((one[~less], filled), (one[less], hollow)):
        axes.plot(rows["unit"], rows["distance"], "o", **style)
    axes.plot(one["unit"], one["distance_null"], color="0.6", linewidth=0.6)
    most = one.loc[one["distance"].idxmax()]
    at = (most["unit"], most["distance"])
    axes.annotate(f"{most['unit']:.0f}", at, fontsize=7, ha="center", va="bottom")
    highest = np.nanmax(one[["distance", "distance_null"]].to_numpy())
    axes.set_ylim(0, 1.15 * highest)


def doses(
    answers: NDArray[np.floating],
    responses: pd.DataFrame,
    scale: NDArray[np.floating],
    units: Sequence[int],
    width: float = _WIDE,
) -> Figure:
    """How units answer to growing doses of action units: the one that moves each most, with the 95
    % interval over people, the next most dashed, and all others in grey.

    Args:
        answers: (people, action units, doses, units) in the order of the action units of
            ``responses``.
        responses: What ``dose_response`` gives.
        scale: (units,) what counts as 1.
        units: By number.
        width: In inches.

    Returns:
        The figure.
    """
    figure, places = _panels(len(units), width, narrowest=1.35, height=1.4)
    named = list(responses.loc[responses["unit"] == responses["unit"].iloc[0], "au"])
    for axes, unit in zip(places, units, strict=True):
        # (people, action units, doses)
        moved = (answers[..., unit] - answers[:, :, :1, unit]) / (scale[unit] or 1)
        _add_doses(axes, moved, named)
        axes.set_title(f"unit {unit}", fontsize=8)
        _open(axes, labels=6)
    figure.supylabel("change in activation (SD)", fontsize=8)
    figure.supxlabel("intensity of the action unit", fontsize=8)
    return figure


def _add_doses(axes: Any, moved: NDArray[np.float64], named: Sequence[str]) -> None:
    """One unit's change at every dose of every action unit, the two of largest effect named."""
    curves = moved.mean(0)
    most, next_most = np.argsort(-np.abs(curves[:, -1]))[:2]
    others = [np.column_stack([np.arange(len(_DOSES)), curve]) for curve in curves]
    axes.add_collection(LineCollection(others, colors="0.8", linewidths=0.5))
    low, high = of_mean(moved[:, most])
    axes.fill_between(_DOSES, low, high, color=_BLUE, alpha=0.2, linewidth=0)
    axes.plot(_DOSES, curves[most], label=named[most], **_MOST)
    axes.plot(_DOSES, curves[next_most], label=named[next_most], **_NEXT)
    # wherever is best takes as long as all else
    axes.legend(fontsize=6, frameon=False, loc="upper left")


def validities(validity: pd.DataFrame, width: float = _WIDE) -> Figure:
    """How often each score names the action unit that moves a unit most, by the number of pictures
    it had; chance dotted.

    First on the study's faces, then on faces whose action units come and go by chance; hollow: in
    the untrained network. The grey line is how often half of the people foretell what moves a unit
    most on the other half.

    Args:
        validity: A row a score, network, set of faces and number of people.
        width: In inches.

    Returns:
        The figure.
    """
    titles = {"study": "the study's faces", "free": "independent action units"}
    figure, places = _panels(len(titles), width - 1, narrowest=2.4, height=3.0)
    figure.set_figwidth(width)
    half = validity.loc[validity["score"] == "split-half", "validity"]
    for axes, (faces, title) in zip(places, titles.items(), strict=True):
        _add_validities(axes, validity[validity["faces"] == faces])
        if len(half):
            _add_ceiling(axes, float(half.iloc[0]))
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("pictures", fontsize=8)
        axes.set_ylabel("validity", fontsize=8)
        axes.set_ylim(0, 1.05 * max([0.1, *validity["validity"].dropna()]))
        _open(axes, labels=7)
    handles = places[-1].get_legend_handles_labels()
    figure.legend(*handles, fontsize=7, loc="outside right center", frameon=False)
    return figure


def _add_validities(axes: Any, validity: pd.DataFrame) -> None:
    """Every score of the trained network by the number of pictures, over chance and the untrained
    network.
    """
    compared = [column.key for column in COLUMNS.values() if column.in_figure]
    for number, score in enumerate(compared):
        line = _line(number)
        one = validity[validity["score"] == score]
        trained = one[one["network"] == "trained"]
        untrained = one[one["network"] == "untrained"]
        axes.plot(trained["pictures"], trained["validity"], linewidth=1, label=score, **line)
        chance = {"color": line["color"], "linewidth": 0.7}
        axes.plot(trained["pictures"], trained["chance"], ":", **chance)
        hollow = {**line, "fillstyle": "none", "linestyle": "none"}
        axes.plot(untrained["pictures"], untrained["validity"], **hollow)


def _line(number: int) -> dict[str, Any]:
    """Colour and marker of one of several lines."""
    colours = _COLOURS[1:]
    return {
        "color": colours[number % len(colours)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "markersize": 4,
    }


def _add_ceiling(axes: Any, height: float) -> None:
    """A line at the split-half reliability."""
    axes.axhline(height, color="0.6", linewidth=0.8)
    style = {"fontsize": 7, "ha": "right", "va": "bottom", "color": "0.4"}
    at = ("axes fraction", "data")
    axes.annotate("split-half reliability", (1, height), xycoords=at, **style)


def likenesses(alike: pd.DataFrame, title: str = "", width: float = 5.2) -> Figure:
    """How like a trained network's projections are to those of the untrained network, by method
    (Adebayo et al. 2018).

    A dot is a unit, the bar the median.

    Args:
        alike: A row a method and unit: ``method, unit, alike`` (a correlation).
        title: Above it.
        width: In inches.

    Returns:
        The figure.
    """
    methods = list(dict.fromkeys(alike["method"]))
    figure = Figure(figsize=(width, 0.36 * len(methods) + 0.8), layout="constrained")
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for place, method in enumerate(methods):
        values = alike.loc[alike["method"] == method, "alike"].dropna().to_numpy()
        _add_likenesses(axes, values, place, rng)
    axes.axvline(0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xlabel("correlation with the untrained network's projections", fontsize=8)
    axes.set_title(title, fontsize=9)
    _open(axes, labels=7)
    axes.set_yticks(range(len(methods)), methods, fontsize=7)
    axes.set(xlim=(-1.02, 1.02), ylim=(len(methods) - 0.5, -0.5), xticks=(-1, -0.5, 0, 0.5, 1))
    return figure


def _add_likenesses(
    axes: Axes, values: NDArray[np.floating], place: int, rng: np.random.Generator
) -> None:
    """Add a dot a unit, side by side, and a bar at their median."""
    beside = place + rng.uniform(-0.25, 0.25, len(values))
    axes.plot(values, beside, ".", color=_COLOURS[5], markersize=3)
    middle = np.median(values)
    axes.plot([middle, middle], [place - 0.35, place + 0.35], color=_INK, linewidth=1.5)


def traits(table: pd.DataFrame, title: str = "", width: float = _WIDE) -> Figure:
    """The traits of layer after layer, each with its 95 % interval, trained and at the random
    start.

    Args:
        table: A row a network, layer and trait: ``network, layer, trait, value, low, high``.
        title: Above it.
        width: In inches.

    Returns:
        The figure.
    """
    names = list(dict.fromkeys(table["trait"]))
    layers = list(dict.fromkeys(table["layer"]))
    networks = list(dict.fromkeys(table["network"]))
    figure, places = _panels(len(names), width, narrowest=1.6, height=1.6)
    for axes, name in zip(places, names, strict=True):
        _add_trait(axes, table[table["trait"] == name], layers, networks)
        _show_zero(axes)
        axes.set_title(name, fontsize=8)
        _open(axes, labels=7)
        axes.set_xticks(range(len(layers)), layers, fontsize=7)
    places[0].legend(fontsize=6, frameon=False)
    figure.supxlabel("layer; bars are 95 % intervals", fontsize=8)
    figure.suptitle(title, fontsize=9)
    return figure


def _show_zero(axes: Axes) -> None:
    """Let the values' axis reach from or to zero, with a line there and room beyond the values."""
    axes.margins(x=0.15, y=0.1)
    lowest, highest = axes.get_ylim()
    room = 0.1 * max(abs(lowest), abs(highest))
    axes.set_ylim(min(0, lowest - room), max(0, highest + room))
    axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)


def _add_trait(
    axes: Any, rows: pd.DataFrame, layers: Sequence[str], networks: Sequence[str]
) -> None:
    """One trait of every layer with its interval, a colour a network."""
    for number, network in enumerate(networks):
        one = rows[rows["network"] == network]
        by_layer = one.set_index("layer").reindex(list(layers))
        value = by_layer["value"].to_numpy()
        beyond = np.stack([value - by_layer["low"], by_layer["high"] - value])
        place = np.arange(len(layers)) + 0.12 * number
        style: dict[str, Any] = {"color": _COLOURS[(6, 0)[number % 2]], "marker": _MARKERS[number]}
        bars = {"capsize": 2, "markersize": 4, "linewidth": 1, "label": network}
        axes.errorbar(place, value, np.clip(beyond, 0, None), **style, **bars)


def manifold(points: pd.DataFrame, pictures: Floats, thumbnails: int = 32) -> Figure:
    """Faces where their codes place them, some of them as thumbnails framed in the expression's
    colour.

    Args:
        points: A row a face: ``expression, across, up``.
        pictures: (n, C, S, S) the faces.
        thumbnails: How many.

    Returns:
        The figure.
    """
    places = points[["across", "up"]].to_numpy(float)
    expressions = list(dict.fromkeys(points["expression"]))
    styles = {name: _dots(number) for number, name in enumerate(expressions)}
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    axes = figure.subplots()
    for expression, rows in points.groupby("expression", sort=False):
        axes.scatter(rows["across"], rows["up"], label=expression, **styles[expression])
    for place in _apart(places, thumbnails):
        across, up = places[place]
        colour = styles[points["expression"].iloc[place]]["color"]
        axes.add_artist(_thumbnail(pictures[place], (across, up), colour))
    axes.set_xlabel("first axis of the code")
    axes.set_ylabel("second axis of the code")
    axes.margins(0.08)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=8, markerscale=1.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _dots(number: int) -> dict[str, Any]:
    """Colour and shape of one of several groups of dots."""
    return {
        "s": 18,
        "color": _COLOURS[number % len(_COLOURS)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linewidths": 0,
    }


def _thumbnail(picture: Floats, at: tuple[float, float], colour: str) -> AnnotationBbox:
    """A small face beside its place, framed in a colour."""
    face = OffsetImage(drawn(picture), zoom=_THUMBNAIL / picture.shape[-1], cmap="gray")
    frame = {"edgecolor": colour, "linewidth": 1.5}
    offset: dict[str, Any] = {"boxcoords": "offset points", "pad": 0.05, "bboxprops": frame}
    box = AnnotationBbox(face, at, (16, 16), **offset)
    box.set_zorder(3)
    return box


def _panels(count: int, width: float, narrowest: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes in rows, each at least as wide as the ``narrowest`` may be, in
    inches.
    """
    columns = min(count, max(1, int(width / narrowest)))
    rows = -(-count // columns)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[count:]:
        axes.set_visible(False)
    return figure, list(every[:count])


def _apart(places: NDArray[np.float64], count: int) -> list[int]:
    """Choose places that lie far from each other: each time the one farthest from all chosen
    before.
    """
    scaled = (places - places.min(0)) / np.ptp(places, axis=0).clip(1e-12)
    chosen = [0]
    nearest = np.linalg.norm(scaled - scaled[0], axis=1)
    while len(chosen) < min(count, len(places)) and nearest.max() > 0:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[chosen[-1]], axis=1))
    return chosen
