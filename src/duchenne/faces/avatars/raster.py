"""Drawing heads in batches: vertices and looks in, pictures out, on CPU or
CUDA.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from duchenne.faces.avatars import kernels
from duchenne.faces.avatars.furrows import FURROWS

Floats = NDArray[np.float32]
_PARSING = Lock()
"""Warp and NumPy parse descriptions of records as Python, which CPython 3.11
does not survive in two threads at once.
"""

NEAR = 6.0
"""Distance from the camera to the middle of the head, in decimetres: a
portrait lens.
"""


def blank_look() -> NDArray[Any]:
    """Make a look of zeros.

    Returns:
        A record with the fields of ``kernels.Look``.
    """
    return np.zeros((), _record(kernels.Look))


def visible_share(
    points: Floats, triangles: NDArray[np.int32], directions: int
) -> Floats:
    """Cosine-weighted share of the hemisphere above each vertex that nothing
    blocks within 1 dm.

    Args:
        points: (v, 3) vertices.
        triangles: (t, 3) of their numbers.
        directions: How many are tried.

    Returns:
        (v,) in 0 … 1.
    """
    with wp.ScopedDevice("cpu"):
        positions = wp.array(points, dtype=wp.vec3)
        mesh = wp.Mesh(positions, wp.array(triangles.ravel(), dtype=int))
        share = wp.zeros(len(points), dtype=float)
        inputs = [
            mesh.id,
            positions,
            wp.array(_normals(points, triangles), dtype=wp.vec3),
            wp.array(_fibonacci_sphere(directions), dtype=wp.vec3),
            share,
        ]
        wp.launch(kernels.open_directions, len(points), inputs)
        result: Floats = share.numpy().astype(np.float32)
    return result


def _normals(points: Floats, triangles: NDArray[np.int32]) -> Floats:
    """A direction out of the surface at each vertex (v, 3), as long as its
    triangles are large.
    """
    corners = points[triangles]
    faces = np.cross(
        corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    )
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    return normals.astype(np.float32)


def _fibonacci_sphere(count: int) -> Floats:
    """Spread ``count`` unit vectors evenly over the sphere."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - height**2)
    return np.stack(
        [radius * np.cos(angle), height, radius * np.sin(angle)], 1
    ).astype(np.float32)


@cache
def _record(struct: Any) -> Any:
    """The NumPy type of a Warp struct."""
    return struct.numpy_dtype()


class Canvas:
    """The unchanging parts of a head on a device, and the drawing of batches
    of it.
    """

    def __init__(
        self,
        rest: Floats,
        triangles: NDArray[np.int32],
        part: NDArray[np.int32],
        paint: Floats,
        occlusion: Floats,
        device: str = "cpu",
    ) -> None:
        self.device = device
        # not by the first threads that draw: see _PARSING
        wp.load_module(kernels, device=device)
        self._triangles = self._array(triangles, int)
        self._part = self._array(part, int)
        self._rest = self._array(rest, wp.vec3)
        self._paint = self._array(paint, wp.vec3)
        self._occlusion = self._array(occlusion, float)
        furrows = np.zeros(len(FURROWS), _record(kernels.Furrow))
        for row, furrow in zip(furrows, FURROWS, strict=True):
            row["start"] = furrow.start
            row["end"] = furrow.end
            row["bend"] = furrow.bend
            row["width"] = furrow.width
            row["resting"] = furrow.resting
        self._furrows = self._array(furrows, kernels.Furrow)

    def _array(self, values: NDArray[Any], dtype: Any) -> Any:
        with _PARSING:
            return wp.array(
                np.ascontiguousarray(values), dtype=dtype, device=self.device
            )

    def draw(
        self,
        vertices: Floats,
        looks: NDArray[Any],
        strengths: Floats,
        half: Floats,
        size: int,
        samples: int,
    ) -> Floats:
        """Draw heads that look along +z.

        Args:
            vertices: (p, v, 3) heads.
            looks: (p,) colours, light and the rest of ``kernels.Look``.
            strengths: (p, furrows) how deep each furrow is.
            half: (p,) half the picture's width in dm at the head.
            size: Pixels along a side.
            samples: Along a side of each pixel.

        Returns:
            Linear RGB (p, size, size, 3).
        """
        heads = len(vertices)
        screen, winner = self._visible(vertices, half, size * samples)
        colours = wp.zeros(
            (heads, size, size), dtype=wp.vec3, device=self.device
        )
        inputs = [
            screen,
            self._normals(vertices),
            self._rest,
            self._triangles,
            self._part,
            self._paint,
            self._occlusion,
            winner,
            self._array(looks, kernels.Look),
            self._furrows,
            self._array(strengths, float),
            samples,
            colours,
        ]
        self._launch(kernels.shade, (heads, size, size), inputs)
        drawn: Floats = colours.numpy()
        return drawn

    def _normals(self, vertices: Floats) -> Any:
        """Directions out of the surface at each vertex of heads (p, v, 3)."""
        normals = wp.zeros(
            vertices.shape[:2], dtype=wp.vec3, device=self.device
        )
        placed = self._array(vertices.astype(np.float32), wp.vec3)
        count = (len(vertices), len(self._triangles))
        self._launch(
            kernels.add_normals, count, [placed, self._triangles, normals]
        )
        return normals

    def spread(
        self,
        values: Floats,
        vertices: Floats,
        half: Floats,
        size: int,
        samples: int,
    ) -> Floats:
        """Interpolate a value of each vertex over the visible surface.

        Args:
            values: (p, v).
            vertices: (p, v, 3) heads.
            half: (p,) half the picture's width in dm at the head.
            size: Pixels along a side.
            samples: Along a side of each pixel.

        Returns:
            (p, size, size), 0 in the background.
        """
        screen, winner = self._visible(vertices, half, size * samples)
        out = wp.zeros(
            (len(vertices), size, size), dtype=float, device=self.device
        )
        self._launch(
            kernels.spread,
            (len(vertices), size, size),
            [
                screen,
                self._triangles,
                winner,
                self._array(values.astype(np.float32), float),
                samples,
                out,
            ],
        )
        result: Floats = out.numpy()
        return result

    def seen(
        self, vertices: Floats, half: Floats, size: int
    ) -> NDArray[np.int32]:
        """The triangle that each pixel of pictures of heads shows.

        Args:
            vertices: (p, v, 3) heads.
            half: (p,) half the picture's width in dm at the head.
            size: Pixels along a side.

        Returns:
            (p, size, size), −1 in the background.
        """
        found: NDArray[np.int32] = self._visible(vertices, half, size)[
            1
        ].numpy()
        return found

    def _visible(
        self, vertices: Floats, half: Floats, side: int
    ) -> tuple[Any, Any]:
        screen = self._array(on_screen(vertices, half, side), wp.vec3)
        depth = wp.full(
            (len(vertices), side, side), -1e9, dtype=float, device=self.device
        )
        winner = wp.full(
            (len(vertices), side, side), -1, dtype=int, device=self.device
        )
        for second_pass in (False, True):
            self._launch(
                kernels.keep_nearest,
                (len(vertices), len(self._triangles)),
                [
                    screen,
                    self._triangles,
                    self._part,
                    depth,
                    winner,
                    second_pass,
                ],
            )
        return screen, winner

    def _launch(
        self, kernel: Any, dim: tuple[int, ...], inputs: list[Any]
    ) -> None:
        wp.launch(kernel, dim, inputs, device=self.device)


def on_screen(vertices: Floats, half: Floats, side: int) -> Floats:
    """Project vertices in perspective onto pictures.

    Args:
        vertices: (p, v, 3).
        half: (p,) half the picture's width in dm at the head.
        side: Samples along a side of the picture.

    Returns:
        (p, v, 3): column, row, depth.
    """
    nearer = NEAR / (NEAR - vertices[..., 2])
    scale = side / (2 * half[:, None]) * nearer
    column = side / 2 + vertices[..., 0] * scale
    row = side / 2 - vertices[..., 1] * scale
    return np.stack([column, row, vertices[..., 2]], -1).astype(np.float32)
