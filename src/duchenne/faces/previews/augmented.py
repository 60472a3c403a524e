"""A picture of what augmentation does: faces as they are cut, changed at
random, and as a network is given them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from duchenne.errors import InputError
from duchenne.faces.images.stack import Stack
from duchenne.faces.preparation.augmentation import AUGMENTATIONS, augment
from duchenne.faces.preparation.normalisation import stretched
from duchenne.faces.preparation.steps import Preparation
from duchenne.faces.previews import contact_sheet
from duchenne.faces.table import FaceTable

_ENLARGED = 96  # smaller faces are shown larger


def some(table: FaceTable, count: int = 400) -> FaceTable:
    """Take pictures evenly from a table: enough to show, and for a preparation
    to learn from.
    """
    return table.where(
        np.isin(
            np.arange(len(table)),
            np.linspace(0, len(table) - 1, count).astype(int),
        )
    )


def sheet(
    path: Path,
    faces: Stack,
    augmentation: str,
    steps: Sequence[str],
    seed: int = 0,
    shape: tuple[int, int] = (6, 8),
) -> None:
    """Write a sheet with two rows a face: as cut and augmented, then the same
    as prepared, stretched to be seen.

    Steps that learn do so from these faces.

    Args:
        path: The file.
        faces: Of which some are shown, taken evenly.
        augmentation: Its name in recipes.
        steps: Of the preparation, by their names in recipes.
        seed: Of the augmentation.
        shape: How many faces, and how many pictures of each.

    Raises:
        InputError: For unknown names.
    """
    if augmentation not in AUGMENTATIONS:
        raise InputError(
            f"augmentation {augmentation!r}: not one of {', '.join(AUGMENTATIONS)}"
        )
    rows, across = shape
    ranges = AUGMENTATIONS[augmentation]
    prepare = Preparation(steps).fit(torch.from_numpy(faces.pictures))
    chance = Generator().manual_seed(seed)
    cells: contact_sheet.Cells = []
    for face in _evenly(faces, rows):
        copies = face.repeat(across - 1, 1, 1, 1)
        shown = torch.cat([face, augment(copies, ranges, chance)])
        cells += _captioned("cut", "augmented", shown)
        seen = stretched(prepare(shown))
        cells += _captioned("prepared, stretched", "prepared, stretched", seen)
    contact_sheet.write(path, cells, across)


def _evenly(faces: Stack, count: int) -> list[Tensor]:
    """So many faces (1, C, H, W), from the first to the last."""
    rows = np.unique(np.linspace(0, len(faces) - 1, count).astype(int))
    return [torch.from_numpy(faces.floats([row])) for row in rows]


def _captioned(
    first: str, others: str, pictures: Tensor
) -> contact_sheet.Cells:
    """Pictures with a caption each."""
    thumbnails = _thumbnails(pictures)
    names = [first] + [others] * (len(thumbnails) - 1)
    return list(zip(names, thumbnails, strict=True))


def _thumbnails(pictures: Tensor) -> list[contact_sheet.Bytes]:
    """Turn pictures (n, C, H, W) in 0 … 1 into RGB bytes (H, W, 3)."""
    times = max(1, -(-_ENLARGED // pictures.shape[-1]))
    large = (
        pictures.repeat_interleave(times, 2)
        .repeat_interleave(times, 3)
        .expand(-1, 3, -1, -1)
    )
    bytes_: contact_sheet.Bytes = (
        (large * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    )
    return list(bytes_)
