"""Cutting the face out of a larger picture.

A *crop* is a function from a picture (C, H, W) in 0 … 1 and what the data set
says of its face to a ``FaceRegion``: the region to cut out, or None where
there is no face, and a note. ``CROPS`` names them for recipes.
"""

from __future__ import annotations

import hashlib
import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# not inside the functions: OpenCV must not be imported by several threads at
# once
import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.grey import grey

Floats = NDArray[np.float32]

# of the 68 landmarks; the subject's right is on the picture's left
_RIGHT_EYE = slice(36, 42)
_LEFT_EYE = slice(42, 48)
# of the side: where ``eyes`` puts the centres of the eyes (a reading)
_EYES_APART = 0.4
_EYES_DOWN = 0.38
# times the longer side: how large a face that sticks out of its picture may be
_MOST_ENLARGED = 4
_YUNET = "yunet:"


class Box(NamedTuple):
    """A rectangle in pixels: left, top, right, bottom; right and bottom are
    exclusive.
    """

    left: int
    top: int
    right: int
    bottom: int


class Tilted(NamedTuple):
    """A square that may be turned: its centre and side in pixels, its angle in
    degrees, clockwise as it is seen.
    """

    x: float
    y: float
    side: float
    angle: float


@dataclass(frozen=True)
class Hints:
    """What a data set says of a picture's face: its box (left, top, right,
    bottom) and its landmarks (68, 2) in pixels.
    """

    box: tuple[float, float, float, float] | None = None
    points: NDArray[np.float64] | None = None


class FaceRegion(NamedTuple):
    """Where a face is, None where there is none, and what should be known of
    it.
    """

    region: Box | Tilted | None
    note: str = ""


NOT_FOUND = FaceRegion(None, "no face found")

Crop = Callable[[Floats, Hints], FaceRegion]


def whole(picture: Floats, hints: Hints = Hints()) -> FaceRegion:
    """All of a picture; one that is not square is stretched.

    Args:
        picture: (C, H, W) in 0 … 1.
        hints: Not needed.

    Returns:
        The region.
    """
    return FaceRegion(Box(0, 0, picture.shape[2], picture.shape[1]))


def centre(picture: Floats, hints: Hints = Hints()) -> FaceRegion:
    """The largest square in the middle, as mousavi2016 cut its pictures about
    the face.

    Args:
        picture: (C, H, W) in 0 … 1.
        hints: Not needed.

    Returns:
        The region.
    """
    return FaceRegion(centred_square(picture))


def haar(picture: Floats, hints: Hints = Hints()) -> FaceRegion:
    """The largest frontal face that OpenCV's Haar cascade finds in a
    photograph.

    Args:
        picture: (C, H, W) in 0 … 1.
        hints: Not needed.

    Returns:
        The region, and a note where none or several were found.

    >>> haar(np.zeros((1, 64, 64), np.float32)).region is None
    True
    """
    return _haar(picture, scale=1.1, smallest=0.2, largest=1.0)


def haar_khorrami2015(picture: Floats, hints: Hints = Hints()) -> FaceRegion:
    """The same as the released code of khorrami2015 asks: scale 1.3, a face of
    0.5 to 0.8 of the picture's shorter side.

    Args:
        picture: (C, H, W) in 0 … 1.
        hints: Not needed.

    Returns:
        The region, and a note where none or several were found.
    """
    return _haar(picture, scale=1.3, smallest=0.5, largest=0.8)


def landmarks(picture: Floats, hints: Hints) -> FaceRegion:
    """The box of the landmarks' extremes, as zhu2018 cuts; it is stretched to
    a square.

    Args:
        picture: (C, H, W) in 0 … 1.
        hints: With the landmarks.

    Returns:
        The region, and a note where there are none.
    """
    if hints.points is None:
        return FaceRegion(None, "no landmarks")
    left, top = hints.points.min(0)
    right, bottom = hints.points.max(0)
    return _inside(picture, left, top, right, bottom)


def eyes(picture: Floats, hints: Hints) -> FaceRegion:
    """A turned square that puts the eyes level and at fixed places, as the
    pictures of TFD are.

    Args:
        picture: (C, H, W) in 0 … 1.
        hints: With the landmarks.

    Returns:
        The region, and a note where there are none.
    """
    if hints.points is None:
        return FaceRegion(None, "no landmarks")
    right = hints.points[_RIGHT_EYE].mean(0)
    left = hints.points[_LEFT_EYE].mean(0)
    across, sideways = left - right
    apart = float(np.hypot(across, sideways))
    side = apart / _EYES_APART
    if apart < 1:
        return FaceRegion(None, "the landmarks put both eyes in one place")
    if _lies_outside(side, picture):
        return FaceRegion(None, "the landmarks lie far outside of the picture")
    upright = np.array([-sideways, across]) / apart
    middle = (right + left) / 2 + upright * (0.5 - _EYES_DOWN) * side
    angle = math.degrees(math.atan2(sideways, across))
    return FaceRegion(Tilted(float(middle[0]), float(middle[1]), side, angle))


def _lies_outside(side: float, picture: Floats) -> bool:
    """Whether a square is so much larger than its picture that it shows
    nothing.
    """
    return bool(side > _MOST_ENLARGED * max(picture.shape[1:]))


def box(picture: Floats, hints: Hints) -> FaceRegion:
    """The box that the data set itself gives (columns
    ``left, top, right, bottom``).

    Args:
        picture: (C, H, W) in 0 … 1.
        hints: With the box.

    Returns:
        The region, and a note where there is none.
    """
    return (
        FaceRegion(None, "no box")
        if hints.box is None
        else _inside(picture, *hints.box)
    )


CROPS: dict[str, Crop] = {
    "none": whole,
    "centre": centre,
    "haar": haar,
    "haar-khorrami2015": haar_khorrami2015,
    "landmarks": landmarks,
    "eyes": eyes,
    "box": box,
}
"""Every crop by its name in recipes; beside them ``yunet:FILE.onnx`` runs that
detector.
"""


def with_margin(name: str, margin: float) -> str:
    """Name a crop that takes in more around the face.

    Args:
        name: One of ``CROPS``, or a detector's file.
        margin: Share of the region's side added on every side; taken off where
            it lies below 0.

    Returns:
        The name, as ``named`` takes it.

    >>> with_margin("haar", 0.15), with_margin("haar", 0), with_margin("haar", 1)
    ('haar+0.15', 'haar', 'haar+1')
    """
    return f"{name}{margin:+g}" if margin else name


def without_margin(name: str) -> str:
    """The crop itself, of a name as ``with_margin`` makes it.

    >>> without_margin("haar+0.15")
    'haar'
    """
    found = _MARGIN.fullmatch(name)
    return found["crop"] if found else name


def named(name: str) -> Crop:
    """Find a crop by its name, or load the detector of ``yunet:FILE.onnx``;
    either with a margin, as in ``haar+0.15``.

    Raises ``InputError`` for an unknown name, and for a file that is not such
    a detector.
    """
    found = _MARGIN.fullmatch(name)
    if found:
        return partial(
            _widened,
            within=named(found["crop"]),
            margin=float(found["margin"]),
        )
    if name.startswith(_YUNET):
        model = Path(name.removeprefix(_YUNET)).expanduser()
        if not model.is_file():
            raise InputError(f"crop {name!r}: no such detector")
        _yunet_detector(model)
        return partial(_yunet, model=model)
    if name not in CROPS:
        raise InputError(
            f"crop {name!r}: not one of {', '.join(CROPS)}, {_YUNET}FILE.onnx"
        )
    return CROPS[name]


_MARGIN = re.compile(r"(?P<crop>.+?)(?P<margin>[+-]\d+(?:\.\d+)?)")


def _widened(
    picture: Floats, hints: Hints, within: Crop, margin: float
) -> FaceRegion:
    """What a crop finds, with a margin on every side; beyond the picture its
    edge goes on.
    """
    found = within(picture, hints)
    region = found.region
    if region is None:
        return found
    if isinstance(region, Box):
        if region.right - region.left != region.bottom - region.top:
            return _box_with_margin(picture, region, margin)
        region = _as_tilted(region)
    side = region.side * (1 + 2 * margin)
    return FaceRegion(region._replace(side=side), found.note)


def _as_tilted(square: Box) -> Tilted:
    """A square that is not turned."""
    x = (square.left + square.right) / 2
    y = (square.top + square.bottom) / 2
    return Tilted(x, y, float(square.right - square.left), 0.0)


def _box_with_margin(picture: Floats, box: Box, margin: float) -> FaceRegion:
    """A box with a margin, as far as the picture goes."""
    across = margin * (box.right - box.left)
    down = margin * (box.bottom - box.top)
    left, top = box.left - across, box.top - down
    return _inside(picture, left, top, box.right + across, box.bottom + down)


def identity(name: str) -> str:
    """Tell a crop apart from all others: its name, and the content of the
    detector that it runs.

    >>> identity("haar")
    'haar'
    """
    found = _MARGIN.fullmatch(name)
    crop, margin = found.groups() if found else (name, "")
    model = Path(crop.removeprefix(_YUNET)).expanduser()
    if not crop.startswith(_YUNET) or not model.is_file():
        return name
    return _YUNET + hashlib.sha256(model.read_bytes()).hexdigest() + margin


def centred_square(picture: Floats) -> Box:
    """The largest square in the middle of a picture.

    Args:
        picture: (C, H, W).

    Returns:
        The square, in pixels.
    """
    height, width = picture.shape[1:]
    side = min(height, width)
    left = (width - side) // 2
    top = (height - side) // 2
    return Box(left, top, left + side, top + side)


def cut(picture: Floats, region: Box | Tilted, size: int) -> Floats:
    """Cut a region out of a picture and resize it; outside of the picture its
    edge goes on.

    Args:
        picture: (C, H, W).
        region: Upright or turned, in pixels.
        size: Pixels along a side.

    Returns:
        (C, size, size).
    """
    pixels = picture.transpose(1, 2, 0)
    if isinstance(region, Tilted):
        return _shaped(_resized(_turned_upright(pixels, region, size), size))
    return _shaped(
        _resized(
            pixels[region.top : region.bottom, region.left : region.right],
            size,
        )
    )


def onto(region: Box | Tilted, size: int) -> NDArray[np.float64]:
    """The map from a place in a picture to where it lies in the cut one, both
    in pixels.

    Args:
        region: What is cut out.
        size: Pixels along a side.

    Returns:
        (2, 3), to be multiplied by (x, y, 1).

    >>> (onto(Box(10, 20, 30, 60), 40) @ [10, 40, 1]).tolist()
    [0.0, 20.0]
    """
    if isinstance(region, Tilted):
        turn = size / region.side * _rotation(-region.angle)
        centre = np.array([region.x, region.y])
        return np.column_stack([turn, size / 2 - turn @ centre])
    across = size / (region.right - region.left)
    down = size / (region.bottom - region.top)
    return np.array(
        [[across, 0, -across * region.left], [0, down, -down * region.top]]
    )


def _rotation(degrees: float) -> NDArray[np.float64]:
    """The matrix (2, 2) that turns x towards y."""
    angle = math.radians(degrees)
    cosine = math.cos(angle)
    sine = math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _resized(pixels: Floats, size: int) -> Floats:
    """Resize to (size, size): each side that shrinks by the mean of what is
    covered, each that grows linearly.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > size:
        pixels = cv2.resize(
            pixels,
            (min(width, size), min(height, size)),
            interpolation=cv2.INTER_AREA,
        )
    if min(height, width) < size:
        pixels = cv2.resize(
            pixels, (size, size), interpolation=cv2.INTER_LINEAR
        )
    return pixels


def _shaped(pixels: Floats) -> Floats:
    return np.ascontiguousarray(
        pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)
    )


def _turned_upright(pixels: Floats, region: Tilted, size: int) -> Floats:
    """Sample a turned square at a whole multiple of ``size`` that is at least
    as fine as the picture.
    """
    fine = size * max(1, math.ceil(region.side / size))
    turn = region.side / fine * _rotation(region.angle)
    centre = np.array([region.x, region.y])
    first_pixel = np.full(2, 0.5)
    corner = centre - turn @ np.full(2, fine / 2) + turn @ first_pixel - 0.5
    upright: Floats = cv2.warpAffine(
        pixels,
        np.column_stack([turn, corner]),
        (fine, fine),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return upright


def _inside(
    picture: Floats, left: float, top: float, right: float, bottom: float
) -> FaceRegion:
    """The part of a box that lies in the picture; none where that is less than
    two pixels wide or high.
    """
    height, width = picture.shape[1:]
    edges = (
        max(0, round(left)),
        max(0, round(top)),
        min(width, round(right)),
        min(height, round(bottom)),
    )
    found = Box(*(int(edge) for edge in edges))
    if found.right - found.left < 2 or found.bottom - found.top < 2:
        return FaceRegion(None, "the face lies outside of the picture")
    return FaceRegion(found)


def _grey(picture: Floats) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(grey(picture)[0] * 255).astype(
        np.uint8
    )
    return levels


def _haar(
    picture: Floats, scale: float, smallest: float, largest: float
) -> FaceRegion:
    """Look strictly first (5 neighbours), then more leniently (3)."""
    grey = _grey(picture)
    least, most = (
        int(share * min(grey.shape)) for share in (smallest, largest)
    )
    for neighbours in (5, 3):
        found = _cascade().detectMultiScale(
            grey,
            scale,
            neighbours,
            minSize=(least, least),
            maxSize=(most, most),
        )
        if len(found):
            return _largest(
                picture, [tuple(map(float, face)) for face in found]
            )
    return NOT_FOUND


def _largest(picture: Floats, faces: list[tuple[float, ...]]) -> FaceRegion:
    """Take the largest of faces (left, top, width, height, …), and note that
    there are others.
    """
    left, top, width, height = max(faces, key=lambda face: face[2] * face[3])[
        :4
    ]
    found = _inside(picture, left, top, left + width, top + height)
    return (
        found
        if len(faces) == 1
        else found._replace(
            note=f"{len(faces)} faces found, the largest was taken"
        )
    )


def _yunet(picture: Floats, hints: Hints, model: Path) -> FaceRegion:
    height, width = picture.shape[1:]
    detector = _yunet_detector(model)
    detector.setInputSize((width, height))
    colour = np.rint(
        np.broadcast_to(picture, (3, height, width)).transpose(1, 2, 0)[
            ..., ::-1
        ]
        * 255
    ).astype(np.uint8)
    _, faces = detector.detect(np.ascontiguousarray(colour))
    return (
        NOT_FOUND
        if faces is None
        else _largest(picture, [tuple(map(float, face)) for face in faces])
    )


# detectors keep state while they look: threads must not share one
_own = threading.local()


def _cascade() -> Any:
    if not hasattr(_own, "cascade"):
        folder: str = cv2.data.haarcascades  # type: ignore[attr-defined]
        _own.cascade = cv2.CascadeClassifier(
            folder + "haarcascade_frontalface_default.xml"
        )
    return _own.cascade


def _yunet_detector(model: Path) -> Any:
    if getattr(_own, "model", None) != model:
        try:
            _own.yunet = cv2.FaceDetectorYN.create(str(model), "", (320, 320))
        except cv2.error:
            raise InputError(
                f"{model}: not a detector that OpenCV's FaceDetectorYN reads"
            ) from None
        _own.model = model
    return _own.yunet
