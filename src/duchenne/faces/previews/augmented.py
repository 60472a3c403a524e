"""A picture of what augmentation does: faces as they are cut, changed at random, and as a
network is given them.
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
    """Take pictures evenly from a table: enough to show, and for a preparation to learn from."""
    return table.where(
        np.isin(np.arange(len(table)), np.linspace(0, len(table) - 1, count).astype(int))
    )


def sheet(
    path: Path,
    faces: Stack,
    augmentation: str,
    steps: Sequence[str],
    seed: int = 0,
    rows: int = 6,
    across: int = 8,
) -> None:
    """Write a sheet with two rows a face: as cut and augmented, then the same as prepared,
    stretched to be seen.

    Steps that learn do so from these faces.

    Args:
        path: The file.
        faces: Of which ``rows`` are shown, taken evenly.
        augmentation: Its name in recipes.
        steps: Of the preparation, by their names in recipes.
        seed: Of the augmentation.
        rows: How many faces.
        across: How many pictures of each.

    Raises:
        InputError: For unknown names.
    """
    if augmentation not in AUGMENTATIONS:
        raise InputError(f"augmentation {augmentation!r}: not one of {', '.join(AUGMENTATIONS)}")
    prepare = Preparation(steps).fit(torch.from_numpy(faces.pictures))
    chance = Generator().manual_seed(seed)
    cells: contact_sheet.Cells = []
    for row in np.unique(np.linspace(0, len(faces) - 1, rows).astype(int)):
        face = torch.from_numpy(faces.floats([row]))
        copies = face.repeat(across - 1, 1, 1, 1)
        shown = torch.cat([face, augment(copies, AUGMENTATIONS[augmentation], chance)])
        cells += zip(["cut"] + ["augmented"] * (across - 1), _thumbnails(shown), strict=True)
        cells += [
            ("prepared, stretched", picture) for picture in _thumbnails(stretched(prepare(shown)))
        ]
    contact_sheet.write(path, cells, across)


def _thumbnails(pictures: Tensor) -> list[contact_sheet.Bytes]:
    """Turn pictures (n, C, H, W) in 0 … 1 into RGB bytes (H, W, 3)."""
    times = max(1, -(-_ENLARGED // pictures.shape[-1]))
    large = pictures.repeat_interleave(times, 2).repeat_interleave(times, 3).expand(-1, 3, -1, -1)
    bytes_: contact_sheet.Bytes = (
        (large * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    )
    return list(bytes_)
