"""The gallery: what units see, kept as pictures for the page.

projections/faces.png                  every face that drives some unit most, once, side by side
projections/faces.parquet              image, column, row: where each stands in it
projections/unit-0007-guided.png       one unit's projections by a method, a cell a top picture
projections/unit-0007-guided-untrained.png  the same at the same places from the untrained network
projections/alike.parquet              unit, method, alike: the mean correlation of the two
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne import files
from duchenne.evidence import ranked
from duchenne.experiments.pair import Pair
from duchenne.faces.images import decoding
from duchenne.faces.images.stack import Stack
from duchenne.progress import progress
from duchenne.recipes import Units
from duchenne.units.projection import (
    Windows,
    as_grey,
    has_other_activations_only,
    likeness,
    project,
)

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
SWITCHED = ("guided", "deconvnet", "gradient")
"""Methods that the page lets one switch between; the recipe's own comes first."""
_TOGETHER = 64  # units projected at once
# pixels of a side of the sheet of faces: what a page can hold as WebP
_LARGEST = 16_383


def chosen(layer: Path, count: int) -> list[int]:
    """The units worth showing first: the best unit for each action unit, then
    the second best for each, and so on.

    Where no action unit is coded, the same for expressions.

    Args:
        layer: The folder of the units' layer.
        count: How many.

    Returns:
        Units by number.
    """
    coded = (layer / "evidence.parquet").exists()
    name = "evidence.parquet" if coded else "expressions.parquet"
    best_first = ranked(files.read_frame(layer / name))
    turn = best_first.groupby("au" if coded else "expression").cumcount()
    turns = best_first.assign(turn=turn).sort_values("turn", kind="stable")
    inorder = turns.drop_duplicates("unit")
    return [int(unit) for unit in inorder["unit"].head(count)]


def methods(asked: str, alike: bool = False) -> tuple[str, ...]:
    """The methods that units are projected by, the recipe's own first; only
    that where all are ``alike``.

    >>> methods("deconvnet")
    ('deconvnet', 'guided', 'gradient')
    """
    return (
        (asked,)
        if alike
        else (asked, *(name for name in SWITCHED if name != asked))
    )


def draw(
    layer: Path, pair: Pair, stack: Stack, units: Sequence[int], asked: Units
) -> None:
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
    ways = _ways(pair, stack, every, asked)
    alike = []
    with (
        files.replacing_folder(layer / "projections") as folder,
        progress("Projecting units", len(units) * len(ways)) as advance,
    ):
        _draw_faces(folder, stack, every)
        for block in _blocks(units):
            shown = _Shown.of(
                pair, stack, asked.layer, top.loc[block].reset_index()
            )
            for method in ways:
                alike += shown.draw(folder, method)
                advance(len(block))
        pd.DataFrame(alike).to_parquet(folder / "alike.parquet", index=False)


def _blocks(units: Sequence[int]) -> Iterator[list[int]]:
    """Units, so many at once as are projected together."""
    for first in range(0, len(units), _TOGETHER):
        yield list(units[first : first + _TOGETHER])


def _ways(
    pair: Pair, stack: Stack, images: Places, asked: Units
) -> tuple[str, ...]:
    """The methods that tell anything apart on the way to the layer."""
    first = pair.prepare(torch.from_numpy(stack.floats(images[:1])))
    alike = has_other_activations_only(pair.trained, asked.layer, first)
    return methods(asked.method, alike)


@dataclass(frozen=True)
class _Shown:
    """Units of a layer with their top pictures: ``rows`` (unit, image, row,
    col), the image of each among those ``prepared``.
    """

    pair: Pair
    layer: str
    rows: pd.DataFrame
    prepared: Tensor
    image: Places

    @classmethod
    def of(
        cls, pair: Pair, stack: Stack, layer: str, rows: pd.DataFrame
    ) -> _Shown:
        images, image = np.unique(rows["image"], return_inverse=True)
        prepared = pair.prepare(torch.from_numpy(stack.floats(images)))
        return cls(pair, layer, rows, prepared, image)

    def draw(self, folder: Path, method: str) -> list[dict[str, object]]:
        """Write the projections of units and of the untrained control, by a
        method; return how alike they are.
        """
        trained = self._projected(self.pair.trained, method)
        untrained = self._projected(self.pair.untrained, method)
        alike: list[dict[str, object]] = []
        for unit in self.rows["unit"].drop_duplicates().tolist():
            places = np.flatnonzero(self.rows["unit"] == unit)
            seen = trained[places]
            control = untrained[places]
            decoding.write(folder / strip_name(unit, method), _strip(seen))
            decoding.write(
                folder / strip_name(unit, method, untrained=True),
                _strip(control),
            )
            alike.append(
                {
                    "unit": unit,
                    "method": method,
                    "alike": likeness(seen, control),
                }
            )
        return alike

    def _projected(self, network: nn.Module, method: str) -> Windows:
        return project(
            network,
            self.layer,
            self.prepared,
            self.rows["unit"].to_numpy(),
            self.rows[["row", "col"]].to_numpy(),
            method,
            of=self.image,
        )


def strip_name(unit: int, method: str, untrained: bool = False) -> str:
    """File name of a unit's projections.

    >>> strip_name(7, "guided", untrained=True)
    'unit-0007-guided-untrained.png'
    """
    return f"unit-{unit:04d}-{method}{'-untrained' if untrained else ''}.png"


def _draw_faces(folder: Path, stack: Stack, images: Places) -> None:
    """Lay faces side by side, as many in a row as there are rows; smaller
    where they would be too many.
    """
    across = int(np.ceil(np.sqrt(len(images))))
    row, column = np.divmod(np.arange(len(images)), across)
    table = pd.DataFrame({"image": images, "column": column, "row": row})
    size = min(stack.stored.shape[2], max(1, _LARGEST // across))
    decoding.write(
        folder / "faces.png", _laid(stack.floats(images), table, size)
    )
    table.to_parquet(folder / "faces.parquet")


def _laid(faces: Floats, table: pd.DataFrame, size: int) -> Floats:
    """Faces in square cells, each where the table says."""
    down = table["row"].max() + 1
    across = table["column"].max() + 1
    laid = np.zeros((faces.shape[1], down * size, across * size), np.float32)
    for picture, at in zip(faces, table.itertuples(), strict=True):
        laid[:, _cell(at.row, size), _cell(at.column, size)] = _smaller(
            picture, size
        )
    return laid


def _cell(number: int, size: int) -> slice:
    """Where one of several cells lies along a side."""
    return slice(number * size, (number + 1) * size)


def _smaller(picture: Floats, size: int) -> Floats:
    """A square picture (C, S, S) with sides of ``size``."""
    if picture.shape[-1] == size:
        return picture
    resized: Floats = cv2.resize(
        picture.transpose(1, 2, 0), (size, size), interpolation=cv2.INTER_AREA
    )
    return resized.reshape(size, size, -1).transpose(2, 0, 1)


def _strip(windows: Windows) -> Floats:
    """Projections side by side in square cells (C, side, n · side), each in
    its field's place; zero is mid grey.
    """
    sides = windows.boxes[:, 2:] - windows.boxes[:, :2]
    side = int(sides.max())
    channels = len(windows.pixels[0])
    laid = np.full(
        (channels, side, len(windows.pixels) * side), 0.5, np.float32
    )
    for index, pixels in enumerate(windows.pixels):
        height, width = pixels.shape[1:]
        left = index * side
        laid[:, :height, left : left + width] = as_grey(pixels)
    return laid
