"""The gallery: what units see, kept as pictures for the page.

projections/faces.png                  every face that drives some unit most, once, side by side
projections/faces.parquet              image, column, row: where each stands in it
projections/unit-0007-guided.png       one unit's projections by a method, a cell a top picture
projections/unit-0007-guided-untrained.png  the same at the same places from the untrained network
projections/alike.parquet              unit, method, alike: the mean correlation of the two
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne import files
from duchenne.evidence import ranked
from duchenne.faces.images import decoding
from duchenne.faces.images.stack import Stack
from duchenne.progress import progress
from duchenne.recipes import Units
from duchenne.training.jobs import Pair
from duchenne.units.projection import Windows, has_other_activations_only, likeness, project

Floats = NDArray[np.float32]
SWITCHED = ("guided", "deconvnet", "gradient")
"""Methods that the page lets one switch between; the recipe's own comes first."""
_TOGETHER = 64  # units projected at once
_LARGEST = 16_383  # pixels of a side of the sheet of faces: what a page can hold as WebP


def chosen(layer: Path, count: int) -> list[int]:
    """The units worth showing first: the best unit for each action unit, then the second best for
    each, and so on.

    Where no action unit is coded, the same for expressions.

    Args:
        layer: The folder of the units' layer.
        count: How many.

    Returns:
        Units by number.
    """
    path = layer / "evidence.parquet"
    evidence = files.read_frame(path if path.exists() else layer / "expressions.parquet")
    best_first = ranked(evidence)
    turns = best_first.assign(
        turn=best_first.groupby("au" if path.exists() else "expression").cumcount()
    )
    inorder = turns.sort_values("turn", kind="stable").drop_duplicates("unit")
    return [int(unit) for unit in inorder["unit"].head(count)]


def methods(asked: str, alike: bool = False) -> tuple[str, ...]:
    """The methods that units are projected by, the recipe's own first; only that where all are
    ``alike``.

    >>> methods("deconvnet")
    ('deconvnet', 'guided', 'gradient')
    """
    return (asked,) if alike else (asked, *(name for name in SWITCHED if name != asked))


def draw(layer: Path, pair: Pair, stack: Stack, units: Sequence[int], asked: Units) -> None:
    """Draw what units see into ``<layer>/projections``, whole or not at all.

    Args:
        layer: The folder of the units' layer.
        pair: The network and its untrained control.
        stack: The study's pictures.
        units: By number.
        asked: The recipe's ``units``.
    """
    top = files.read_frame(layer / "top.parquet").set_index("unit")
    every = np.unique(top.loc[list(units), "image"])
    first = pair.prepare(torch.from_numpy(stack.floats(every[:1])))
    ways = methods(asked.method, has_other_activations_only(pair.trained, asked.layer, first))
    alike = []
    with (
        files.replacing_folder(layer / "projections") as folder,
        progress("Projecting units", len(units) * len(ways)) as advance,
    ):
        _draw_faces(folder, stack, every)
        for start in range(0, len(units), _TOGETHER):
            block = list(units[start : start + _TOGETHER])
            shown = top.loc[block].reset_index()
            images, of = np.unique(shown["image"], return_inverse=True)
            prepared = pair.prepare(torch.from_numpy(stack.floats(images)))
            for method in ways:
                faces = shown.assign(of=of)
                alike += _draw_units(folder, pair, asked.layer, prepared, faces, method)
                advance(len(block))
        pd.DataFrame(alike).to_parquet(folder / "alike.parquet", index=False)


def strip_name(unit: int, method: str, untrained: bool = False) -> str:
    """File name of a unit's projections.

    >>> strip_name(7, "guided", untrained=True)
    'unit-0007-guided-untrained.png'
    """
    return f"unit-{unit:04d}-{method}{'-untrained' if untrained else ''}.png"


def _draw_faces(folder: Path, stack: Stack, images: NDArray[np.int64]) -> None:
    """Lay faces side by side, as many in a row as there are rows; smaller where they would be
    too many.
    """
    across = int(np.ceil(np.sqrt(len(images))))
    size = min(stack.stored.shape[2], max(1, _LARGEST // across))
    rows, columns = np.divmod(np.arange(len(images)), across)
    shape = (stack.stored.shape[1], (rows[-1] + 1) * size, across * size)
    laid = np.zeros(shape, np.float32)
    for picture, row, column in zip(stack.floats(images), rows, columns, strict=True):
        top, left = row * size, column * size
        laid[:, top : top + size, left : left + size] = _smaller(picture, size)
    decoding.write(folder / "faces.png", laid)
    table = pd.DataFrame({"image": images, "column": columns, "row": rows})
    table.to_parquet(folder / "faces.parquet")


def _smaller(picture: Floats, size: int) -> Floats:
    """A square picture (C, S, S) with sides of ``size``."""
    if picture.shape[-1] == size:
        return picture
    resized: Floats = cv2.resize(
        picture.transpose(1, 2, 0), (size, size), interpolation=cv2.INTER_AREA
    )
    return resized.reshape(size, size, -1).transpose(2, 0, 1)


def _draw_units(
    folder: Path, pair: Pair, layer: str, prepared: Tensor, shown: pd.DataFrame, method: str
) -> list[dict[str, object]]:
    """Write the projections of units and of the untrained control, by a method; return how alike
    they are.
    """
    unit = shown["unit"].to_numpy()
    where = shown[["row", "col"]].to_numpy()
    of = shown["of"].to_numpy()
    trained = project(pair.trained, layer, prepared, unit, where, method, of=of)
    untrained = project(pair.untrained, layer, prepared, unit, where, method, of=of)
    alike: list[dict[str, object]] = []
    for number in dict.fromkeys(unit.tolist()):
        places = np.flatnonzero(unit == number)
        seen, control = trained[places], untrained[places]
        decoding.write(folder / strip_name(number, method), _strip(seen))
        decoding.write(folder / strip_name(number, method, untrained=True), _strip(control))
        row = {"unit": number, "method": method, "alike": likeness(seen, control)}
        alike.append(row)
    return alike


def _strip(windows: Windows) -> Floats:
    """Projections side by side in square cells (C, side, n · side), each in its field's place;
    zero is mid grey.
    """
    side = int((windows.boxes[:, 2:] - windows.boxes[:, :2]).max())
    laid = np.full((windows.pixels[0].shape[0], side, len(windows.pixels) * side), 0.5, np.float32)
    for place, pixels in enumerate(windows.pixels):
        laid[:, : pixels.shape[1], place * side : place * side + pixels.shape[2]] = _signed(pixels)
    return laid


def _signed(pixels: Floats) -> Floats:
    """Map a projection to 0 … 1 with its zero at mid grey; each is scaled by its own largest
    value.
    """
    largest = float(np.abs(pixels).max())
    return 0.5 + 0.5 * pixels / largest if largest > 0 else np.full_like(pixels, 0.5)
