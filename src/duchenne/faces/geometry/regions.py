"""The regions of a face in a picture: brow (with the forehead), eye, nose,
cheek, mouth and chin, from the 68 landmarks.

Also a lattice of points all over a face. A pixel of the face belongs to the
region of the nearest of some points: landmarks, and a few places between
landmarks where the cheeks and the chin have none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Points = NDArray[np.float64]
Map = NDArray[np.int8]

REGIONS = ("brow", "eye", "nose", "cheek", "mouth", "chin")
OUTSIDE = -1

_LANDMARKS = {
    "brow": range(17, 27),
    "eye": range(36, 48),
    "nose": range(27, 36),
    "cheek": (1, 2, 3, 4, 12, 13, 14, 15),
    "mouth": range(48, 68),
    "chin": (6, 7, 8, 9, 10),
}
_BETWEEN = {
    "cheek": (
        (41, 31, 2),
        (46, 35, 14),
        (31, 48, 3),
        (35, 54, 13),
        (48, 4, 4),
        (54, 12, 12),
    ),
    "chin": tuple(
        (lip, lip, jaw)
        for lip, jaw in ((57, 8), (58, 7), (56, 9), (59, 6), (55, 10))
    ),
}
"""Landmarks in whose middle lies another point of a region."""
# of the way from the mouth to the eyes: how far it rises above the brows
_FOREHEAD = 0.6


def regions(points: Points, size: int) -> Map:
    """Tell the region of every pixel of a picture (size, size), as a number in
    ``REGIONS`` or ``OUTSIDE``, from (68, 2).

    Landmarks are x and y in pixels; pixel centres lie at half-integers. Where
    they are not known, all is outside.
    """
    found = np.full((size, size), OUTSIDE, np.int8)
    if not np.isfinite(points).all():
        return found
    above = forehead(points)
    rows, columns = np.nonzero(_face(np.concatenate([points, above]), size))
    anchors, named = _anchors(points, above)
    _, nearest = KDTree(anchors).query(np.column_stack([columns, rows]) + 0.5)
    found[rows, columns] = named[nearest]
    return found


def _anchors(points: Points, above: Points) -> tuple[Points, NDArray[np.int8]]:
    """Points (n, 2), and the number of the region that each belongs to."""
    parts = [above]
    named = [REGIONS.index("brow")] * len(above)
    for number, name in enumerate(REGIONS):
        anchors = [points[landmark] for landmark in _LANDMARKS[name]]
        anchors += [
            points[list(places)].mean(0) for places in _BETWEEN.get(name, ())
        ]
        parts.append(np.array(anchors))
        named += [number] * len(anchors)
    return np.concatenate(parts), np.array(named, np.int8)


def forehead(points: Points) -> Points:
    """Places (10, 2) on the forehead above the brows of 68 landmarks."""
    found: Points = points[17:27] + _FOREHEAD * (
        points[36:48].mean(0) - points[48:68].mean(0)
    )
    return found


def _face(points: Points, size: int) -> NDArray[np.bool_]:
    """The pixels within the convex hull of points."""
    hull = cv2.convexHull((points - 0.5).astype(np.float32))
    filled = cv2.fillConvexPoly(
        np.zeros((size, size), np.uint8), np.rint(hull).astype(np.int32), 1
    )
    return np.asarray(filled, bool)


@dataclass(frozen=True)
class Lattice:
    """Points all over a face in even steps of whole pixels: ``columns`` (k,)
    and ``rows`` (k,), of which those ``inside`` (k, k) count; the same places
    on every face.
    """

    columns: NDArray[np.int64]
    rows: NDArray[np.int64]
    inside: NDArray[np.bool_]

    def on(self, size: int) -> bool:
        """Whether it lies on a picture of this size, or at most half beside
        it.
        """
        points = np.concatenate([self.columns, self.rows])
        return bool(
            (points >= -size / 2).all() and (points <= 1.5 * size).all()
        )


def lattice(landmarks: Points) -> Lattice | None:
    """Points within the ellipse around the 68 landmarks and the forehead;
    nothing where they are not known.
    """
    if not np.isfinite(landmarks).all():
        return None
    around = np.concatenate([landmarks, forehead(landmarks)])
    columns, rows = (_evenly(along) for along in around.T)
    places = np.arange(_SIDE) - (_SIDE - 1) / 2
    squares = places**2
    within = squares[:, None] + squares < (_SIDE / 2) ** 2
    return Lattice(columns, rows, within)


def _evenly(along: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places in even steps of whole pixels, about the middle of some places
    along an axis.
    """
    middle = (along.max() + along.min()) / 2
    step = max(int(np.rint(np.ptp(along) / _SIDE)), 1)
    half = (_SIDE - 1) / 2 * step
    first = int(np.floor(middle - half))
    return first + step * np.arange(_SIDE)


_SIDE = 12  # points along a side of the lattice that a face is covered with
