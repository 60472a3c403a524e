"""From shots to pictures: a shot is a person, a scene and action units at
intensities.

``Studio`` holds the head basis on a device and draws shots in batches:
pictures, landmarks, and for each action unit the mask of the pixels that it
moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from duchenne import facs
from duchenne.faces.avatars import landmark_vertices, raster
from duchenne.faces.avatars.basis import HeadBasis
from duchenne.faces.avatars.furrows import FURROWS
from duchenne.faces.avatars.people import Floats, Person, Scene

Sides = tuple[float, float]
"""Strength of an action unit on the subject's left and right, each 0 … 1."""

_GAMMA = 1 / 2.2
# ITU-R BT.709, on linear light
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
# half the picture's width in distances from eyes to mouth: forehead to chin,
# as a face detector cuts
_HALF_WIDTH = 1.28
_MIDDLE = 0.42  # the picture's middle between eyes (0) and mouth (1)
# a pixel counts as moved where the surface shifts by this share of the action
# unit's largest shift
_MOVED = 0.15


@dataclass(frozen=True)
class Shot:
    """One picture to draw."""

    person: Person
    scene: Scene
    action_units: Mapping[int, Sides]


class Studio:
    """Draws shots of heads of one basis.

    >>> from duchenne.faces.avatars.basis import head_basis
    >>> from duchenne.faces.avatars.people import STUDIO, draw_person
    >>> basis = head_basis()
    >>> shot = Shot(
    ...     draw_person(basis, np.random.default_rng(0)), STUDIO, {12: (1.0, 1.0)}
    ... )
    >>> Studio(basis).draw([shot], size=48).shape
    (1, 48, 48)
    """

    def __init__(self, basis: HeadBasis, device: str = "cpu") -> None:
        self.basis = basis
        self._canvas = raster.Canvas(
            basis.rest,
            basis.triangles,
            basis.part,
            basis.paint,
            basis.occlusion,
            device=device,
        )
        self._actions = _action_matrix(basis)
        self._limits = np.max(
            [sides.sum(0) for sides in self._actions.values()], axis=0
        )

    def draw(
        self,
        shots: Sequence[Shot],
        size: int = 96,
        samples: int = 2,
        colour: bool = False,
    ) -> NDArray[np.uint8]:
        """Draw shots as 8-bit pictures.

        Args:
            shots: What is drawn, n.
            size: Pixels along a side.
            samples: Along a side of each pixel.
            colour: RGB in place of grey.

        Returns:
            (n, size, size) or (n, size, size, 3).
        """
        vertices, half = self._placed(shots)
        looks = _looks(shots)
        looks["mouth_gap"] = landmark_vertices.mouth_gap(vertices, self.basis)
        light = self._canvas.draw(
            vertices, looks, _furrow_strengths(shots), half, size, samples
        )
        if not colour:
            light = light @ _LUMA
        drawn: NDArray[np.uint8] = np.rint(
            np.clip(light, 0, 1) ** _GAMMA * 255
        ).astype(np.uint8)
        return drawn

    def landmarks(self, shots: Sequence[Shot], size: int = 96) -> Floats:
        """Place the 68 landmarks in pixels; pixel centres lie at
        half-integers.

        Args:
            shots: What is drawn, n.
            size: Pixels along a side.

        Returns:
            (n, 68, 2) as x, y.
        """
        vertices, half = self._placed(shots)
        return raster.on_screen(
            vertices[:, landmark_vertices.vertices(self.basis)], half, size
        )[..., :2]

    def moved(
        self, shot: Shot, action_unit: int, size: int = 96, samples: int = 2
    ) -> NDArray[np.bool_]:
        """Mark the pixels of a shot whose surface the action unit moves at
        intensity E.

        Both the places that the moving skin leaves and those that it reaches
        are marked.

        Args:
            shot: Who is drawn, and how.
            action_unit: Its number.
            size: Pixels along a side.
            samples: Along a side of each pixel.

        Returns:
            (size, size).
        """
        if not facs.ACTION_UNITS[action_unit].rendered:
            raise ValueError(
                f"{facs.code(action_unit)}: the face model cannot show it"
            )
        without = {
            number: sides
            for number, sides in shot.action_units.items()
            if number != action_unit
        }
        ends = [
            Shot(
                shot.person,
                shot.scene,
                without | {action_unit: (strength, strength)},
            )
            for strength in (0.0, 1.0)
        ]
        vertices, half = self._placed(ends)
        shift = np.linalg.norm(vertices[1] - vertices[0], axis=1)
        spread = self._canvas.spread(
            np.stack([shift, shift]), vertices, half, size, samples
        )
        marked: NDArray[np.bool_] = (spread > _MOVED * shift.max()).any(0)
        return marked

    def regions(self, shot: Shot, size: int = 96) -> NDArray[np.bool_]:
        """Mark, for every action unit that is rendered, where it moves the
        surface that a shot shows.

        Pixels are marked where it shifts the surface by a share of its largest
        shift, whatever else the face does; unlike ``moved``, which also marks
        the places that the surface would reach.

        Args:
            shot: Who is drawn, and how.
            size: Pixels along a side.

        Returns:
            (a, size, size).
        """
        seen = self._canvas.seen(*self._placed([shot]), size)[0]
        marked: NDArray[np.bool_] = self._moving[
            :, seen
        ]  # −1, the background, is the last, which nothing moves
        return marked

    @cached_property
    def _moving(self) -> NDArray[np.bool_]:
        """Which triangles every action unit that is rendered moves, and a last
        one that none does: (a, t + 1).
        """
        weights = np.stack(
            [self._actions[number].sum(0) for number in facs.rendered()]
        )
        # (a, v)
        shift = np.linalg.norm(
            np.tensordot(weights, self.basis.actions, 1), axis=2
        )
        of_triangle = shift[:, self.basis.triangles].mean(2)
        return np.pad(
            of_triangle > _MOVED * shift.max(1, keepdims=True),
            ((0, 0), (0, 1)),
        )

    def _placed(self, shots: Sequence[Shot]) -> tuple[Floats, Floats]:
        """Compute vertices before the camera (n, v, 3) and half the picture's
        width (n,), both in dm.
        """
        rest = np.stack([shot.person.shape for shot in shots])
        eyes, mouth = landmark_vertices.eyes_and_mouth(rest, self.basis)
        middle = _MIDDLE * mouth + (1 - _MIDDLE) * eyes
        # the axis on which a head turns, in front of the neck
        middle[:, 2] = 0.9
        about_axis = self._moved(rest, shots) - middle[:, None]
        turns = np.stack([shot.scene.turn for shot in shots]).astype(
            np.float32
        )
        turned = np.einsum("nvx,nyx->nvy", about_axis, turns, optimize=True)
        shift = np.array(
            [(*shot.scene.shift, 0.0) for shot in shots], np.float32
        )
        placed = turned + shift[:, None]
        return placed.astype(np.float32), _half_widths(shots, eyes, mouth)

    def _moved(self, rest: Floats, shots: Sequence[Shot]) -> Floats:
        """Heads (n, v, 3) with their action units."""
        strengths = np.stack(
            [self._strengths(shot.action_units) for shot in shots]
        )
        motion = np.einsum(
            "na,avx->nvx", strengths, self.basis.actions, optimize=True
        )
        moved: Floats = rest + motion
        return moved

    def _strengths(
        self, action_units: Mapping[int, Sides]
    ) -> NDArray[np.float64]:
        """Add up the shapes of all action units; a shape that several share
        stops where one alone would take it.
        """
        total = np.zeros(len(self.basis.action_names))
        for number, sides in action_units.items():
            total += np.asarray(sides) @ self._actions[number]
        limited: NDArray[np.float64] = np.minimum(total, self._limits)
        return limited


def _action_matrix(basis: HeadBasis) -> dict[int, NDArray[np.float64]]:
    """For each action unit, the weight of each shape for its left and its
    right side: (2, shapes).
    """
    matrices = {}
    for number in facs.rendered():
        matrix = np.zeros((2, len(basis.action_names)))
        for shape, weight in facs.ACTION_UNITS[number].shapes.items():
            column = basis.action_names.index(shape)
            left = shape.endswith("Left")
            right = shape.endswith("Right")
            matrix[:, column] = weight * np.array(
                [left, right] if left != right else [0.5, 0.5]
            )
        matrices[number] = matrix
    return matrices


def _looks(shots: Iterable[Shot]) -> NDArray[np.void]:
    looks = np.stack([shot.person.look for shot in shots])
    for look, shot in zip(looks, shots, strict=True):
        scene = shot.scene
        look["light"] = scene.light
        look["key"] = scene.key
        look["fill"] = scene.fill
        look["background"] = scene.background
        look["tongue_out"] = max(shot.action_units.get(19, (0.0, 0.0)))
    return looks


def _furrow_strengths(shots: Sequence[Shot]) -> Floats:
    """Depth of each furrow on the left and the right: (n, furrows, 2)."""
    depths = np.zeros((len(shots), len(FURROWS), 2), np.float32)
    for depth, shot in zip(depths, shots, strict=True):
        for index, furrow in enumerate(FURROWS):
            for number, share in furrow.deepens.items():
                depth[index] += share * np.asarray(
                    shot.action_units.get(number, (0.0, 0.0))
                )
    return (
        np.minimum(depths, 1.2)
        * np.array([0.6 + 0.6 * s.person.age for s in shots], np.float32)[
            :, None, None
        ]
    )


def _half_widths(shots: Sequence[Shot], eyes: Floats, mouth: Floats) -> Floats:
    """Half the width of each shot's picture at the head, in dm."""
    zoom = np.array([shot.scene.zoom for shot in shots], np.float32)
    half: Floats = (
        _HALF_WIDTH * np.linalg.norm(eyes - mouth, axis=1) / zoom
    ).astype(np.float32)
    return half
