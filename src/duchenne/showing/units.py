"""Units and what they see: rows of their top pictures' receptive fields, and of the projections within them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from duchenne import evidence, facs
from duchenne.errors import InputError
from duchenne.faces.regions import REGIONS
from duchenne.faces.regions import regions as regions_of
from duchenne.progress import Progress, quiet
from duchenne.report import gallery
from duchenne.report.sheets import Line, sheet
from duchenne.showing import looking
from duchenne.showing.looking import Run, Shown
from duchenne.stages import StudyInProgress
from duchenne.units.projection import Windows, project
from duchenne.units.regions import energies, looked_at

Floats = NDArray[np.float32]
_A_REGION = 6  # units, as in zhu2018 Table 2
_EVERY_REGION = 2
_SHAPES = {"mouth": (25, 26, 27)}  # zhu2018 Table 3
_ROUND_A_REGION = 0.15  # of its extent, around the landmarks


def units(
    run: Run, units: Sequence[int] = (), *, layer: str = "", method: str = "guided", top: int = 10, twin: bool = False,
    progress: Progress = quiet,
) -> Shown:  # fmt: skip
    """Draw units as khorrami2015 does in Figs. 1, 3 and 4: receptive fields in their top pictures over projections.

    ``units`` are numbers, by default the five that stand first in the report, or of another layer its first; ``layer`` is
    that of the study unless named, with its own top pictures then; ``twin`` adds a row from the same network at its
    random start, at the same places. Raises ``InputError`` for units, layers and methods that are not there, and where
    the study or its pictures cannot be read.
    """
    chosen = looking.numbers(units)
    work = looking.opened(run, "training" if layer or chosen else "evidence", progress)
    named = layer or work.recipe.units.layer
    best = looking.best(work, named, top)
    if not chosen:
        chosen = best["unit"].unique()[:5].tolist() if layer else gallery.chosen(work.study.units_folder, 5)
    refuse_absent(chosen, int(best["unit"].max()) + 1, named)
    return _drawn(work, named, best, [(unit, f"unit {unit}") for unit in chosen], method, twin)


def action_units(
    run: Run, *, by: str = "r", most: int = 0, method: str = "deconvnet", top: int = 9, twin: bool = False,
    progress: Progress = quiet,
) -> Shown:  # fmt: skip
    """Draw zhu2018's Tables 1, 4 and 5: for each action unit a unit's fields and projections.

    ``by`` "r" these are the surest units of those action units that are detected, ``by`` "distance" those of the largest
    distance, as the paper chooses them, of every action unit that is coded; ``most``, where it is not 0, limits
    them to those of the largest scores. Beside the unit stand its correlation r, below 0 where it answers less with
    the action unit, and its distance; the table has the family-wise p too. Raises ``InputError`` as
    ``units`` does, for any other score, and where there is none to show.
    """
    if most < 0:
        raise InputError(f"--most {most}: expected 0 or more")
    if by not in ("r", "distance"):
        raise InputError(f"--by {by}: not one of r, distance")
    work = looking.opened(run, "evidence", progress)
    every = work.study.evidence
    if by == "r" and len(every):
        every = evidence.ranked(evidence.detections(every, work.recipe.evidence.level))
    if every.empty:
        raise InputError(f"{work.study.folder}: no unit of {work.recipe.units.layer} detects an action unit")
    first = every if by == "r" else every.sort_values("distance", ascending=False, kind="stable")
    pairs = first.drop_duplicates("au").nlargest(most or len(first), by).sort_values("au")
    best = looking.best(work, work.recipe.units.layer, top)
    told = [f"distance {value:.0f}\n" if by == "distance" else "" for value in pairs["distance"]]
    named = [
        (int(row.unit), f"{row.au}, r {row.r:.2f}\n{more}unit {row.unit}")
        for row, more in zip(pairs.itertuples(), told, strict=True)
    ]
    beside = pairs[["au", *(["distance", "distance_sign"] if by == "distance" else []), "r", "p"]]
    return _drawn(work, work.recipe.units.layer, best, named, method, twin, beside=beside)


def regions(
    run: Run, *, region: str = "", most: int = 0, layer: str = "", method: str = "deconvnet", top: int = 9,
    progress: Progress = quiet,
) -> Shown:  # fmt: skip
    """Draw the units that look at a region of the face, most of their energy there first, or a few for every region.

    ``most`` is how many of each: 6 of one region, 2 of every, unless named.

    Of the mouth this is zhu2018's Table 2, beside the mouth shapes that FACS tells apart (its Table 3): AU25, AU26 and
    AU27. The table has a row a unit, of all that see some of a face: its region, and which share of its projections'
    ``energy`` lies there, over the share of its fields' ``area`` (``enrichment``); and the action unit that it answers
    to most, with r, the family-wise p and whether it ``detects`` it; then the figure names it. Raises ``InputError`` as
    ``units`` does, for an unknown region, and where no landmarks are known.
    """
    if most < 0:
        raise InputError(f"--most {most}: expected 0 or more")
    if region and region not in REGIONS:
        raise InputError(f"--region {region}: not one of {', '.join(REGIONS)}")
    work = looking.opened(run, "training", progress)
    named = layer or work.recipe.units.layer
    best = looking.best(work, named, top)
    found = _looked_at(work, named, best, method)
    strongest = looking.strongest(work, named)
    found[list(strongest)] = strongest.reindex(found["unit"]).to_numpy() if len(strongest) else None
    shown, count = [name for name in REGIONS if name in (region or name)], most or (_A_REGION if region else _EVERY_REGION)
    units = pd.concat([found[found["region"] == name].head(count) for name in shown])
    if units.empty:
        raise InputError(f"--region {region}: no unit of {named} looks at it most")
    names = [(int(row.unit), _of_region(row)) for row in units.itertuples()]
    lines = [
        line for name in shown for number in _SHAPES.get(name, ()) for line in _shape(work, name, number, top) if region
    ]
    drawn = _drawn(work, named, best, names, method, False, lines)
    return Shown(drawn.draw, found)


def _of_region(row: Any) -> str:
    told = f"{row.region} {row.energy:.0%}\nits area {row.area:.0%}\nunit {row.unit}"
    return f"{told}, {row.au}" if row.detects else told


def _looked_at(work: StudyInProgress, layer: str, best: pd.DataFrame, method: str) -> pd.DataFrame:
    """The region that each unit looks at, from its top pictures; those with most of their energy in theirs first."""
    images, of = np.unique(best["image"], return_inverse=True)
    maps = np.stack([regions_of(points, work.stack.stored.shape[-1]) for points in work.stack.landmarks(images)])
    if (maps < 0).all():
        raise InputError(f"{work.study.folder}: its faces have no landmarks to tell regions by")
    unit, places = best["unit"].to_numpy(), best[["row", "col"]].to_numpy()
    windows = project(
        work.pair.trained, layer, looking.prepared(work, images), unit, places, method, of=of, progress=work.progress
    )
    return looked_at(energies(windows, unit, maps[of])).sort_values("energy", ascending=False, ignore_index=True)


def _shape(work: StudyInProgress, region: str, number: int, count: int) -> list[Line]:
    """How an action unit looks in a region: that part of faces of different people who show it most."""
    code, frame = facs.code(number), work.stack.table.frame
    if code not in frame:
        return []
    strength = frame.get(f"{code}_intensity", frame[code].astype("Float64")).where(frame[code].fillna(False))
    first = strength.dropna().sort_values(ascending=False, kind="stable").index
    rows = frame.loc[first].drop_duplicates("subject").index.to_numpy()
    points = work.stack.landmarks(rows)
    known = np.isfinite(points).all((1, 2))
    parts = [
        _cut(picture, regions_of(place, picture.shape[-1]) == REGIONS.index(region))
        for picture, place in zip(work.stack.floats(rows[known][:count]), points[known][:count], strict=True)
    ]
    return [Line(f"{code}\n{facs.ACTION_UNITS[number].name}", parts)] if parts else []


def _cut(picture: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The square around a mask, within the picture (C, S, S), enlarged to the picture's size."""
    size = picture.shape[-1]
    extents = [np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0)]
    side = min(size, round((1 + 2 * _ROUND_A_REGION) * max(np.ptp(extent) for extent in extents)))
    top, left = (int(np.clip(extent.mean() - side / 2, 0, size - side)) for extent in extents)
    part = picture[:, top : top + side, left : left + side].transpose(1, 2, 0)
    enlarged = cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32).reshape(size, size, -1).transpose(2, 0, 1)


def refuse_absent(units: Sequence[int], known: int, layer: str) -> None:
    """Raise ``InputError`` for units that a layer does not have."""
    for unit in units:
        if not 0 <= unit < known:
            raise InputError(f"--units {unit}: layer {layer!r} has units 0 to {known - 1}")


def _drawn(
    work: StudyInProgress, layer: str, best: pd.DataFrame, named: Sequence[tuple[int, str]], method: str, twin: bool,
    above: Sequence[Line] = (), beside: pd.DataFrame | None = None,
) -> Shown:  # fmt: skip
    """Units by number and name, each in two or three rows, with the table of their top pictures.

    ``beside`` has a row for each of them, which the table repeats for all of its pictures.
    """
    parts = [best[best["unit"] == unit].sort_values("rank") for unit, _ in named]
    blocks = [_lines(work, layer, part, name, method, twin) for part, (_, name) in zip(parts, named, strict=True)]
    lines = [*above, *(line for block in blocks for line in block)]
    if beside is not None:
        parts = [part.assign(**row) for part, row in zip(parts, beside.to_dict("records"), strict=True)]
    rows = pd.concat(parts, ignore_index=True)
    table = pd.concat([rows.drop(columns="image"), looking.told(work, rows["image"].to_numpy())], axis=1)
    return Shown(partial(sheet, lines, f"{layer}, {looking.said(work, layer, method)}"), table)


def _lines(work: StudyInProgress, layer: str, best: pd.DataFrame, name: str, method: str, twin: bool) -> list[Line]:
    """What a unit's top pictures show within its receptive field, and what it and, if wanted, its twin see there."""
    images = best["image"].to_numpy()
    prepared, unit, places = looking.prepared(work, images), best["unit"].to_numpy(), best[["row", "col"]].to_numpy()

    def seen(network: nn.Module) -> Windows:
        return project(network, layer, prepared, unit, places, method)

    projected = seen(work.pair.trained)
    fields = [
        picture[:, y0:y1, x0:x1]
        for picture, (x0, y0, x1, y1) in zip(work.stack.floats(images), projected.boxes, strict=True)
    ]
    lines = [
        Line(name, fields, list(looking.expressions(work, images))), Line("projection", projected.pixels, signed=True)
    ]  # fmt: skip
    return [*lines, Line("random start", seen(work.pair.twin).pixels, signed=True)] if twin else lines
