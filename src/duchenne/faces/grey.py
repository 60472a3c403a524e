"""Colour pictures as grey ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# ITU-R BT.601, as OpenCV and Pillow turn colour into grey
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def grey(picture: Floats) -> Floats:
    """Turn a picture into one band: 0.299 R + 0.587 G + 0.114 B (ITU-R
    BT.601).

    Args:
        picture: (C, H, W).

    Returns:
        (1, H, W).

    >>> grey(np.ones((3, 2, 2), np.float32)).shape
    (1, 2, 2)
    """
    if len(picture) < 3:
        return picture[:1]
    mixed: Floats = np.tensordot(LUMA, picture[:3], 1)[None]
    return mixed
