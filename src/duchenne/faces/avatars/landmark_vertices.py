"""The 68 landmarks of the iBUG annotation, as fixed vertices of the rest head.

Each is the vertex of the visible skin nearest to a place given in decimetres
on the rest head's left half; the right half mirrors it. Lips are closed at
rest, so that nearness alone does not tell them apart: a vertex of the lower
lip falls with the jaw, one of the upper lip does not. Order: jaw 0–16, brows
17–26, nose 27–35, eyes 36–47, outer lips 48–59, inner lips 60–67; 0 is at the
picture's left, the subject's right.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from duchenne.faces.avatars.basis import HeadBasis

# the subject's left half, from the ear or the outer end towards the midline
_JAW = (
    (0.63, 7.18),
    (0.62, 7.00),
    (0.61, 6.82),
    (0.58, 6.64),
    (0.51, 6.47),
    (0.40, 6.32),
    (0.27, 6.22),
    (0.13, 6.16),
)
_CHIN = (0.0, 6.13)
_BROW = ((0.48, 7.37), (0.40, 7.42), (0.30, 7.43), (0.20, 7.41), (0.10, 7.38))
_NOSE_RIDGE = ((0.0, 7.22), (0.0, 7.10), (0.0, 6.98), (0.0, 6.86))
_NOSE_BASE = ((0.13, 6.80), (0.065, 6.78))
_NOSE_MIDDLE = (0.0, 6.76)
_EYE_OUTER = (0.415, 7.20)
_EYE_UPPER = ((0.345, 7.255), (0.255, 7.255))
_EYE_INNER = (0.175, 7.185)
_EYE_LOWER = ((0.255, 7.155), (0.345, 7.15))
_LIP_CORNER = (0.228, 6.545)
_LIP_UPPER = ((0.14, 6.61), (0.06, 6.635))
_LIP_UPPER_MIDDLE = (0.0, 6.62)
_LIP_LOWER = ((0.15, 6.48), (0.07, 6.45))
_LIP_LOWER_MIDDLE = (0.0, 6.445)
_INNER_CORNER = (0.19, 6.545)
_INNER_UPPER = (0.08, 6.56)
_INNER_LOWER = (0.08, 6.535)
_INNER_UPPER_MIDDLE = (0.0, 6.56)
_INNER_LOWER_MIDDLE = (0.0, 6.53)

Place = tuple[float, float]


def _right(*places: Place) -> list[Place]:
    return [(-x, y) for x, y in places]


def _places() -> list[Place]:
    mirror = _right
    return [
        *mirror(*_JAW), _CHIN, *reversed(_JAW),
        *mirror(*_BROW), *reversed(_BROW),
        *_NOSE_RIDGE,
        *mirror(*_NOSE_BASE), _NOSE_MIDDLE, *reversed(_NOSE_BASE),
        *mirror(_EYE_OUTER, *_EYE_UPPER, _EYE_INNER, *_EYE_LOWER),
        _EYE_INNER, *reversed(_EYE_UPPER), _EYE_OUTER, *reversed(_EYE_LOWER),
        *mirror(_LIP_CORNER, *_LIP_UPPER), _LIP_UPPER_MIDDLE, *reversed(_LIP_UPPER), _LIP_CORNER,
        *_LIP_LOWER, _LIP_LOWER_MIDDLE, *mirror(*reversed(_LIP_LOWER)),
        *mirror(_INNER_CORNER, _INNER_UPPER), _INNER_UPPER_MIDDLE, _INNER_UPPER, _INNER_CORNER,
        _INNER_LOWER, _INNER_LOWER_MIDDLE, *mirror(_INNER_LOWER),
    ]  # fmt: skip


def vertices(basis: HeadBasis) -> NDArray[np.int64]:
    """Find the vertex of each landmark.

    Args:
        basis: The head.

    Returns:
        (68,) numbers of vertices.

    >>> from duchenne.faces.avatars.basis import head_basis
    >>> len(set(vertices(head_basis())))
    68
    """
    jaw = basis.actions[basis.action_names.index("jawOpen")]
    return _vertices(
        basis.rest.tobytes(),
        basis.part.tobytes(),
        basis.paint.tobytes(),
        jaw.tobytes(),
    )


@lru_cache(maxsize=2)
def _vertices(
    rest: bytes, part: bytes, paint: bytes, jaw: bytes
) -> NDArray[np.int64]:
    positions = _triples(rest)
    falls = -_triples(jaw)[:, 1]
    skin = np.frombuffer(part, np.int32) == 0
    outside = _triples(paint)[:, 1] < 0.9
    visible = skin & outside & (positions[:, 2] > 0.3)
    taken: list[int] = []
    for number, point in enumerate(_places()):
        candidates = np.flatnonzero(visible & _of_its_lip(number, falls))
        distance = _distance(positions[candidates], point)
        distance[np.isin(candidates, taken)] = np.inf
        taken.append(int(candidates[distance.argmin()]))
    return np.array(taken)


def _distance(
    positions: NDArray[np.float32], point: Place
) -> NDArray[np.float64]:
    """From a place on the picture; of two as far the one in front is nearer."""
    distance: NDArray[np.float64] = np.linalg.norm(
        positions[:, :2] - point, axis=1
    )
    return distance - 0.03 * positions[:, 2]


def _triples(held: bytes) -> NDArray[np.float32]:
    return np.frombuffer(held, np.float32).reshape(-1, 3)


_UPPER_LIP = (*range(49, 54), 61, 62, 63)
_LOWER_LIP = (*range(55, 60), 65, 66, 67)
_STAYS, _FALLS = 0.04, 0.2  # dm, with the jaw dropped as far as it goes


def _of_its_lip(number: int, falls: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which vertices may stand for a landmark, by how far each falls with the
    jaw (v,).
    """
    if number in _UPPER_LIP:
        return falls < _STAYS
    if number in _LOWER_LIP:
        return falls > _FALLS
    return np.ones(len(falls), bool)


def eyes_and_mouth(
    shapes: NDArray[np.float32], basis: HeadBasis
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centre of both eyes and centre of the mouth of heads.

    Args:
        shapes: (n, v, 3) heads, in dm.
        basis: The head that they are made of.

    Returns:
        Two arrays (n, 3).
    """
    found = shapes[:, vertices(basis)]
    return found[:, 36:48].mean(1), found[:, 48:60].mean(1)


def mouth_gap(
    shapes: NDArray[np.float32], basis: HeadBasis
) -> NDArray[np.float32]:
    """Height between the inner lips at the midline of heads.

    Args:
        shapes: (n, v, 3) heads, in dm.
        basis: The head that they are made of.

    Returns:
        (n,) in dm.
    """
    found = shapes[:, vertices(basis)]
    gap: NDArray[np.float32] = np.linalg.norm(
        found[:, 62] - found[:, 66], axis=1
    )
    return gap
