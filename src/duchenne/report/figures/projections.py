"""Units and what they see: rows of their top pictures' receptive fields, and
of the projections within them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne import evidence, facs
from duchenne.errors import ArgumentError, InputError
from duchenne.evidence.region_energy import energies, looked_at
from duchenne.faces.geometry.regions import REGIONS
from duchenne.faces.geometry.regions import regions as regions_of
from duchenne.report.figures import source
from duchenne.report.figures.registry import figure
from duchenne.report.figures.sheets import Line, sheet
from duchenne.report.figures.shown import Shown
from duchenne.study.workspace import Workspace
from duchenne.units.projection import project

Floats = NDArray[np.float32]
_A_REGION = 6  # units, as in zhu2018 Table 2
_EVERY_REGION = 2
_SHAPES = {"mouth": (25, 26, 27)}  # zhu2018 Table 3
_ROUND_A_REGION = 0.15  # of its extent, around the landmarks


@figure("network")
def units(
    work: Workspace,
    units: Sequence[int] = (),
    *,
    layer: str = "",
    method: str = "guided",
    top: int = 10,
    untrained: bool = False,
) -> Shown:
    """Draw units as khorrami2015 does in Figs. 1, 3 and 4: receptive fields in
    their top pictures over projections.

    Args:
        work: A study, or its folder.
        units: Numbers, as in 3,17; by default the five that stand first in the
            report, or of another layer its first.
        layer: Another layer than the study's, with its own top pictures.
        method: guided, deconvnet, gradient, gradient_x_input, integrated or
            relevance.
        top: How many pictures a unit.
        untrained: Add a row from the same network, untrained, at the same
            places.

    Returns:
        The figure, and a row a unit and picture.

    Raises:
        InputError: For units, layers and methods that are not there, and where
            the study or its pictures cannot be read.
    """
    chosen = source.numbers(units)
    named = layer or work.recipe.units.layer
    best = source.best(work, named, top)
    if not chosen:
        first = best["unit"].unique()[:5].tolist()
        chosen = first if layer else source.clearest(work, 5)
    refuse_absent(chosen, int(best["unit"].max()) + 1, named)
    names = [(unit, f"unit {unit}") for unit in chosen]
    return _drawn(work, named, best, _Rows(names, method, untrained))


@figure("evidence")
def action_units(
    work: Workspace,
    *,
    by: str = "r",
    most: int = 0,
    method: str = "deconvnet",
    top: int = 9,
    untrained: bool = False,
) -> Shown:
    """Draw zhu2018's Tables 1, 4 and 5: for each action unit a unit's fields
    and projections.

    Beside the unit stand its correlation r, below 0 where it answers less with
    the action unit, and its distance; the table has the family-wise p too.

    Args:
        work: A study, or its folder.
        by: "r" for the surest unit of each action unit that is detected,
            "distance" for that of the largest distance, as the paper chooses,
            of every action unit that is coded.
        most: Only the so many of the largest scores; 0 for all.
        method: guided, deconvnet, gradient, gradient_x_input, integrated or
            relevance.
        top: How many pictures a unit.
        untrained: Add a row from the same network, untrained, at the same
            places.

    Returns:
        The figure, and a row an action unit and picture.

    Raises:
        InputError: As ``units`` does, for any other score, and where there is
            none to show.
    """
    if most < 0:
        raise ArgumentError("most", f"{most}: expected 0 or more")
    if by not in ("r", "distance"):
        raise ArgumentError("by", f"{by}: not one of r, distance")
    pairs = _surest_pairs(work, by, most)
    layer = work.recipe.units.layer
    named = []
    for row in pairs.itertuples():
        distance = f"distance {row.distance:.0f}\n" if by == "distance" else ""
        named.append(
            (
                int(row.unit),
                f"{row.au}, r {row.r:.2f}\n{distance}unit {row.unit}",
            )
        )
    columns = ["au", "distance", "distance_sign", "r", "p"]
    if by == "r":
        columns = ["au", "r", "p"]
    best = source.best(work, layer, top)
    return _drawn(
        work,
        layer,
        best,
        _Rows(named, method, untrained, beside=pairs[columns]),
    )


def _surest_pairs(work: Workspace, by: str, most: int) -> pd.DataFrame:
    """For each action unit that is detected, or coded, its unit of best
    evidence or distance.
    """
    every = work.study.evidence
    if by == "r" and len(every):
        every = evidence.ranked(
            evidence.detections(every, work.recipe.evidence.level)
        )
    if every.empty:
        layer = work.recipe.units.layer
        raise InputError(
            f"{work.study.folder}: no unit of {layer} detects an action unit"
        )
    if by == "distance":
        every = every.sort_values("distance", ascending=False, kind="stable")
    first = every.drop_duplicates("au")
    return first.nlargest(most or len(first), by).sort_values("au")


@figure("network")
def regions(
    work: Workspace,
    *,
    region: str = "",
    most: int = 0,
    layer: str = "",
    method: str = "deconvnet",
    top: int = 9,
) -> Shown:
    """Draw the units that look at a region of the face, most of their energy
    there first, or a few for every region.

    Of the mouth this is zhu2018's Table 2, beside the mouth shapes that FACS
    tells apart (its Table 3): AU25, AU26 and AU27. Where a unit detects an
    action unit the figure names it.

    Args:
        work: A study, or its folder.
        region: brow, eye, nose, cheek, mouth or chin; by default all.
        most: How many units of each; 6 of one region, 2 of every, unless
            named.
        layer: Another layer than the study's.
        method: guided, deconvnet, gradient, gradient_x_input, integrated or
            relevance.
        top: How many pictures a unit.

    Returns:
        The figure, and a row a unit, of all that see some of a face: its
        region, and which share of its projections' ``energy`` lies there, over
        the share of its fields' ``area`` (``enrichment``); and the action unit
        that it answers to most, with r, the family-wise p and whether it
        ``detects`` it.

    Raises:
        InputError: As ``units`` does, for an unknown region, and where no
            landmarks are known.
    """
    _refuse_odd(region, most)
    layer = layer or work.recipe.units.layer
    best = source.best(work, layer, top)
    looking = _looked_at(work, layer, best, method)
    _tell_what_they_detect(looking, source.strongest(work, layer))
    units = _first_of(looking, region, most)
    if units.empty:
        raise ArgumentError(
            "region", f"{region}: no unit of {layer} looks at it most"
        )
    names = [(int(row.unit), _of_region(row)) for row in units.itertuples()]
    lines: list[Line] = []
    for number in _SHAPES.get(region, ()):
        lines += _shape(work, region, number, top)
    drawn = _drawn(work, layer, best, _Rows(names, method, above=lines))
    return Shown(drawn.draw, looking)


def _refuse_odd(region: str, most: int) -> None:
    if most < 0:
        raise ArgumentError("most", f"{most}: expected 0 or more")
    if region and region not in REGIONS:
        raise ArgumentError(
            "region", f"{region}: not one of {', '.join(REGIONS)}"
        )


def _first_of(looking: pd.DataFrame, region: str, most: int) -> pd.DataFrame:
    """The units that see most of a region, or a few of each."""
    regions = [region] if region else list(REGIONS)
    count = most or (_A_REGION if region else _EVERY_REGION)
    return pd.concat(
        [looking[looking["region"] == name].head(count) for name in regions]
    )


def _tell_what_they_detect(
    looking: pd.DataFrame, strongest: pd.DataFrame
) -> None:
    """Add the action unit of each unit's largest correlation."""
    for column in strongest:
        known = strongest[column].reindex(looking["unit"]).to_numpy()
        looking[column] = known if len(strongest) else None


def _of_region(row: Any) -> str:
    lines = [
        f"{row.region} {row.energy:.0%}",
        f"its area {row.area:.0%}",
        f"unit {row.unit}, {row.au}" if row.detects else f"unit {row.unit}",
    ]
    return "\n".join(lines)


def _looked_at(
    work: Workspace, layer: str, best: pd.DataFrame, method: str
) -> pd.DataFrame:
    """The region that each unit looks at, from its top pictures; those with
    most of their energy in theirs first.
    """
    images, of = np.unique(best["image"], return_inverse=True)
    maps = np.stack(
        [
            regions_of(points, work.stack.stored.shape[-1])
            for points in work.stack.landmarks(images)
        ]
    )
    if (maps < 0).all():
        raise InputError(
            f"{work.study.folder}: its faces have no landmarks to tell regions by"
        )
    unit = best["unit"].to_numpy()
    places = best[["row", "col"]].to_numpy()
    windows = project(
        work.pair.trained,
        layer,
        source.prepared(work, images),
        unit,
        places,
        method,
        of=of,
    )
    return looked_at(energies(windows, unit, maps[of])).sort_values(
        "energy", ascending=False, ignore_index=True
    )


def _shape(
    work: Workspace, region: str, number: int, count: int
) -> list[Line]:
    """How an action unit looks in a region: that part of faces of different
    people who show it most.
    """
    code = facs.code(number)
    rows = _strongest_faces(work.stack.table.frame, code)
    points = work.stack.landmarks(rows)
    known = np.isfinite(points).all((1, 2))
    faces = work.stack.floats(rows[known][:count])
    parts = []
    for picture, points_of_face in zip(
        faces, points[known][:count], strict=True
    ):
        mask = regions_of(points_of_face, picture.shape[-1]) == REGIONS.index(
            region
        )
        parts.append(_cut(picture, mask))
    return (
        [Line(f"{code}\n{facs.ACTION_UNITS[number].name}", parts)]
        if parts
        else []
    )


def _strongest_faces(frame: pd.DataFrame, code: str) -> NDArray[np.int64]:
    """Rows of faces that show an action unit, the strongest of each person,
    strongest first.
    """
    if code not in frame:
        return np.zeros(0, np.int64)
    strength = frame.get(f"{code}_intensity", frame[code].astype("Float64"))
    shown = strength.where(frame[code].fillna(False)).dropna()
    first = shown.sort_values(ascending=False, kind="stable").index
    rows: NDArray[np.int64] = (
        frame.loc[first].drop_duplicates("subject").index.to_numpy()
    )
    return rows


def _cut(picture: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The square around a mask, within the picture (C, S, S), enlarged to the
    picture's size.
    """
    size = picture.shape[-1]
    extents = [np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0)]
    longest = max(np.ptp(extent) for extent in extents)
    side = min(size, round((1 + 2 * _ROUND_A_REGION) * longest))
    corners = [extent.mean() - side / 2 for extent in extents]
    top, left = np.clip(corners, 0, size - side).astype(int)
    part = picture[:, top : top + side, left : left + side]
    return _enlarged(part, size)


def _enlarged(part: Floats, size: int) -> Floats:
    pixels = cv2.resize(
        part.transpose(1, 2, 0), (size, size), interpolation=cv2.INTER_LINEAR
    )
    return (
        np.asarray(pixels, np.float32)
        .reshape(size, size, -1)
        .transpose(2, 0, 1)
    )


def refuse_absent(units: Sequence[int], known: int, layer: str) -> None:
    """Raise ``InputError`` for units that a layer does not have."""
    for unit in units:
        if not 0 <= unit < known:
            raise ArgumentError(
                "units", f"{unit}: layer {layer!r} has units 0 to {known - 1}"
            )


@dataclass(frozen=True)
class _Rows:
    """Units to draw, by number and name, and how.

    Attributes:
        named: Number and name of each.
        method: How they are projected.
        untrained: Whether the untrained control is shown as well.
        above: Lines that stand above them.
        beside: A row for each unit, which the table repeats for all of its
            pictures.
    """

    named: Sequence[tuple[int, str]]
    method: str
    untrained: bool = False
    above: Sequence[Line] = ()
    beside: pd.DataFrame | None = None

    @property
    def more(self) -> list[dict[str, Any]]:
        """The columns that each unit's rows of the table have more."""
        if self.beside is None:
            return [{} for _ in self.named]
        records: list[dict[str, Any]] = self.beside.to_dict("records")
        return records


def _drawn(
    work: Workspace, layer: str, best: pd.DataFrame, rows: _Rows
) -> Shown:
    """Units, each in two or three rows, with the table of their top pictures."""
    lines = list(rows.above)
    parts = []
    for (unit, name), columns in zip(rows.named, rows.more, strict=True):
        part = best[best["unit"] == unit].sort_values("rank")
        lines += _lines(work, layer, part, name, rows.method, rows.untrained)
        parts.append(part.assign(**columns))
    pictures = pd.concat(parts, ignore_index=True)
    known = source.labels(work, pictures["image"].to_numpy())
    table = pd.concat([pictures.drop(columns="image"), known], axis=1)
    title = f"{layer}, {source.said(work, layer, rows.method)}"
    return Shown(partial(sheet, lines, title), table)


def _lines(
    work: Workspace,
    layer: str,
    best: pd.DataFrame,
    name: str,
    method: str,
    untrained: bool,
) -> list[Line]:
    """What a unit's top pictures show within its receptive field, and what it
    and, if wanted, the untrained control see there.
    """
    images = best["image"].to_numpy()
    prepared = source.prepared(work, images)
    neurons = (best["unit"].to_numpy(), best[["row", "col"]].to_numpy())
    projected = project(work.pair.trained, layer, prepared, *neurons, method)
    faces = zip(work.stack.floats(images), projected.boxes, strict=True)
    fields = [_within(picture, box) for picture, box in faces]
    lines = [
        Line(name, fields, list(source.expressions(work, images))),
        Line("projection", projected.pixels, signed=True),
    ]
    if untrained:
        control = project(
            work.pair.untrained, layer, prepared, *neurons, method
        )
        lines.append(Line("untrained", control.pixels, signed=True))
    return lines


def _within(picture: Floats, box: NDArray[np.int64]) -> Floats:
    x0, y0, x1, y1 = box
    return picture[:, y0:y1, x0:x1]
