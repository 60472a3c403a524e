"""The gallery: for chosen units, strips of top pictures' receptive fields and the projections within them.

One strip is a row of cells of one size, left to right by rank; a field that the picture's border cuts short is padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne import cache
from duchenne.evidence import ranked
from duchenne.faces import pictures as files
from duchenne.faces.stack import Stack
from duchenne.progress import Progress, quiet
from duchenne.recipes import Units
from duchenne.training.jobs import Pair
from duchenne.units.projection import Windows, likeness, project

Floats = NDArray[np.float32]
KINDS = ("pictures", "fields", "projections", "twin")
_GAP = 2


@dataclass(frozen=True)
class Row:
    """One unit in the gallery: its strips, grey or RGB in 0 … 1, and how like the two projections are."""

    unit: int
    strips: dict[str, Floats]
    alike: float


def chosen(layer: Path, count: int) -> list[int]:
    """The units worth showing first: the best unit for each action unit, then the second best for each, and so on.

    Where no action unit is coded, the same for expressions.
    """
    path = layer / "evidence.parquet"
    evidence = pd.read_parquet(path if path.exists() else layer / "expressions.parquet")
    best_first = ranked(evidence)
    turns = best_first.assign(turn=best_first.groupby("au" if path.exists() else "expression").cumcount())
    inorder = turns.sort_values("turn", kind="stable").drop_duplicates("unit")
    return [int(unit) for unit in inorder["unit"].head(count)]


def draw(
    layer: Path,
    pair: Pair,
    stack: Stack,
    units: Sequence[int],
    asked: Units,
    progress: Progress = quiet,
) -> None:
    """Draw the strips of units into ``<layer>/projections`` with ``alike.parquet``, whole or not at all."""
    top = pd.read_parquet(layer / "top.parquet")
    shown = top[top["unit"].isin(units)]
    images, of = np.unique(shown["image"], return_inverse=True)
    prepared = pair.prepare(torch.from_numpy(stack.floats(images)))
    where, numbers = shown[["row", "col"]].to_numpy(), shown["unit"].to_numpy()
    projected, twins = (
        project(network, asked.layer, prepared, numbers, where, asked.method, of=of, progress=progress)
        for network in (pair.trained, pair.twin)
    )
    with cache.replacing_folder(layer / "projections") as folder:
        alike = []
        for unit in units:
            places = np.flatnonzero(numbers == unit)
            row = _row(unit, stack.floats(images[of[places]]), projected[places], twins[places])
            for kind, strip in row.strips.items():
                files.write(folder / strip_name(unit, kind), strip)
            alike.append({"unit": unit, "alike": row.alike})
        pd.DataFrame(alike).to_parquet(folder / "alike.parquet", index=False)


def strip_name(unit: int, kind: str) -> str:
    """File name of a strip.

    >>> strip_name(7, "fields")
    'unit-0007-fields.png'
    """
    return f"unit-{unit:04d}-{kind}.png"


def _row(unit: int, shown: Floats, projected: Windows, twin: Windows) -> Row:
    """A unit's strips: its top pictures (n, C, H, W), and what it and its twin see at the same places of them."""
    side = _side(projected.boxes)
    fields = [picture[:, y0:y1, x0:x1] for picture, (x0, y0, x1, y1) in zip(shown, projected.boxes, strict=True)]
    strips = {
        "pictures": _strip([_framed(p, box) for p, box in zip(shown, projected.boxes, strict=True)], shown.shape[2]),
        "fields": _strip(fields, side),
        "projections": _strip([_signed(pixels) for pixels in projected.pixels], side, 0.5),
        "twin": _strip([_signed(pixels) for pixels in twin.pixels], side, 0.5),
    }
    return Row(unit, strips, likeness(projected, twin))


def _side(boxes: NDArray[np.int64]) -> int:
    return int((boxes[:, 2:] - boxes[:, :2]).max())


def _signed(pixels: Floats) -> Floats:
    """Map a projection to 0 … 1 with its zero at mid grey; each is scaled by its own largest value."""
    largest = float(np.abs(pixels).max())
    return 0.5 + 0.5 * pixels / largest if largest > 0 else np.full_like(pixels, 0.5)


def _framed(picture: Floats, box: NDArray[np.int64]) -> Floats:
    """Draw the receptive field's outline into a copy of a picture."""
    x0, y0, x1, y1 = box
    framed = np.repeat(picture, 3, 0) if picture.shape[0] == 1 else picture.copy()
    line = np.array([1.0, 0.75, 0.0], np.float32)[:, None]
    framed[:, [y0, y1 - 1], x0:x1] = line[:, None]
    framed[:, y0:y1, x0] = framed[:, y0:y1, x1 - 1] = line
    return framed


def _strip(cells: Sequence[Floats], side: int, background: float = 1.0) -> Floats:
    """Lay cells (C, h, w) in a row with white gaps: (C, side, n · (side + gap))."""
    channels = cells[0].shape[0]
    laid = np.ones((channels, side, len(cells) * (side + _GAP) - _GAP), np.float32)
    for place, cell in enumerate(cells):
        left = place * (side + _GAP)
        laid[:, :, left : left + side] = background
        top, inset = (side - cell.shape[1]) // 2, (side - cell.shape[2]) // 2
        laid[:, top : top + cell.shape[1], left + inset : left + inset + cell.shape[2]] = cell
    return laid
