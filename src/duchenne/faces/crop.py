"""Cutting the face out of a larger picture.

A *crop* is a function from a picture (C, H, W) in 0 … 1 to the box to cut out, or None where it finds no face. ``CROPS``
names them for recipes; ``haar`` is khorrami2015's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2  # not inside the functions: OpenCV must not be imported by several threads at once
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_SCALE, _NEIGHBOURS = 1.1, (5, 3)  # a strict look first, then a more lenient one
_SMALLEST = 0.2  # of the shorter side: what is smaller is not the portrait's face


class Box(NamedTuple):
    """A square in pixels: left, top, right, bottom; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def haar(picture: Floats) -> Box | None:
    """The largest frontal face that OpenCV's Haar cascade finds; None where it finds none.

    >>> haar(np.zeros((1, 64, 64), np.float32)) is None
    True
    """
    grey = np.rint(picture.mean(0) * 255).astype(np.uint8)
    least = int(_SMALLEST * min(grey.shape))
    for neighbours in _NEIGHBOURS:
        found = _detector().detectMultiScale(grey, _SCALE, neighbours, minSize=(least, least))
        if len(found):
            left, top, width, height = max(found, key=lambda box: box[2] * box[3])
            return Box(int(left), int(top), int(left + width), int(top + height))
    return None


def centred_square(picture: Floats) -> Box:
    """The largest square in the middle of a picture (C, H, W)."""
    height, width = picture.shape[1:]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return Box(left, top, left + side, top + side)


def whole(picture: Floats) -> Box:
    """All of a picture (C, H, W); one that is not square is stretched."""
    return Box(0, 0, picture.shape[2], picture.shape[1])


CROPS: dict[str, Callable[[Floats], Box | None]] = {"none": whole, "centre": centred_square, "haar": haar}
"""Every crop by its name in recipes."""


def cut(picture: Floats, box: Box, size: int) -> Floats:
    """Cut a box out of a picture (C, H, W) and resize it to (C, size, size)."""
    part = picture[:, box.top : box.bottom, box.left : box.right].transpose(1, 2, 0)
    shrinking = part.shape[0] > size
    resized = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized.reshape(size, size, -1).transpose(2, 0, 1))


_own = threading.local()  # a cascade keeps state while it looks: threads must not share one


def _detector() -> Any:
    if not hasattr(_own, "cascade"):
        _own.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")  # type: ignore[attr-defined]
    return _own.cascade
