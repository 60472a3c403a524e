"""Warp kernels that draw heads: normals, a depth buffer, a shader; one thread
a picture and triangle or pixel.

A *look* is everything about a picture that is not geometry: colours of skin,
lips, irises, brows, hair; the light; the strength of every furrow. Brows and
furrows are painted on the rest head, so that they move with the skin.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import warp as wp


@contextmanager
def _muted() -> Iterator[None]:
    """Turn the process's error stream off: Warp's library itself writes there
    that a machine has no CUDA driver.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


wp.config.log_level = wp.LOG_ERROR
with _muted():
    wp.init()


_SKIN, _EYE, _TEETH, _TONGUE, _LASH = (wp.constant(i) for i in range(5))
_EYE_CENTRE_X = wp.constant(
    0.2885
)  # of the rest head's eyeballs, as measured on the mesh
_EYE_CENTRE_Y = wp.constant(7.2268)
_EYE_CENTRE_Z = wp.constant(1.2417)


@wp.struct
class Look:
    """Colours are linear RGB; angles of irises follow from the geometry."""

    skin: wp.vec3
    lips: wp.vec3
    iris: wp.vec3
    hair: wp.vec3
    background: wp.vec3
    light: wp.vec3  # unit vector towards the key light
    key: float
    fill: float
    gloss: float
    brow_dark: float  # 0 none … 1 opaque
    brow_thick: float  # half thickness at the inner end, dm
    brow_arch: float  # height of the arch, dm
    brow_height: float  # height of the inner end on the rest head, dm
    stubble: float
    hairline: float  # height at the middle on the rest head, dm
    lash: float
    age: float  # depth of resting folds, 0 … 1
    # distance between the lips, dm: no light falls on the teeth through a narrow one
    mouth_gap: float
    tongue_out: float  # 0 in the mouth … 1 shown as far as AU19 goes: its tip is in the light


@wp.struct
class Furrow:
    """A quadratic arc on the right half of the rest head, mirrored onto the
    left.
    """

    start: wp.vec2
    end: wp.vec2
    bend: float
    width: float
    resting: float  # share of ``Look.age`` that shows without any action


@wp.func
def _edge(a: wp.vec3, b: wp.vec3, x: float, y: float) -> float:
    return (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])


@wp.func
def _weights(
    a: wp.vec3, b: wp.vec3, c: wp.vec3, x: float, y: float
) -> wp.vec3:
    area = _edge(a, b, c[0], c[1])
    return (
        wp.vec3(_edge(b, c, x, y), _edge(c, a, x, y), _edge(a, b, x, y)) / area
    )


@wp.kernel
def add_normals(
    vertices: wp.array2d(dtype=wp.vec3),
    triangles: wp.array2d(dtype=int),
    normals: wp.array2d(dtype=wp.vec3),
) -> None:
    """Add each triangle's normal, as long as its area, to its three vertices."""
    picture, t = wp.tid()
    i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    p = vertices[picture, i]
    normal = wp.cross(vertices[picture, j] - p, vertices[picture, k] - p)
    wp.atomic_add(normals, picture, i, normal)
    wp.atomic_add(normals, picture, j, normal)
    wp.atomic_add(normals, picture, k, normal)


@wp.kernel
def keep_nearest(
    screen: wp.array2d(dtype=wp.vec3),
    triangles: wp.array2d(dtype=int),
    part: wp.array(dtype=int),
    depth: wp.array3d(dtype=float),
    winner: wp.array3d(dtype=int),
    second_pass: bool,
) -> None:
    """Keep the nearest depth of each sample; in the second pass, the triangle
    that has it.
    """
    picture, t = wp.tid()
    a = screen[picture, triangles[t, 0]]
    b = screen[picture, triangles[t, 1]]
    c = screen[picture, triangles[t, 2]]
    area = _edge(a, b, c[0], c[1])
    facing_away = area >= 0.0 and part[triangles[t, 0]] != _LASH
    if wp.abs(area) < 1.0e-9 or facing_away:
        return
    side = depth.shape[1]
    left = wp.max(int(wp.ceil(wp.min(wp.min(a[0], b[0]), c[0]) - 0.5)), 0)
    right = wp.min(
        int(wp.floor(wp.max(wp.max(a[0], b[0]), c[0]) - 0.5)), side - 1
    )
    top = wp.max(int(wp.ceil(wp.min(wp.min(a[1], b[1]), c[1]) - 0.5)), 0)
    bottom = wp.min(
        int(wp.floor(wp.max(wp.max(a[1], b[1]), c[1]) - 0.5)), side - 1
    )
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            w = _weights(a, b, c, float(column) + 0.5, float(row) + 0.5)
            if w[0] >= 0.0 and w[1] >= 0.0 and w[2] >= 0.0:
                z = w[0] * a[2] + w[1] * b[2] + w[2] * c[2]
                if second_pass:
                    if z == depth[picture, row, column]:
                        wp.atomic_max(winner, picture, row, column, t)
                else:
                    wp.atomic_max(depth, picture, row, column, z)


@wp.func
def _smooth(low: float, high: float, x: float) -> float:
    t = wp.clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def _noise(p: wp.vec3, seed: wp.uint32) -> float:
    return wp.noise(seed, p)


@wp.func
def _brow(look: Look, p: wp.vec3) -> float:
    """Share of brow hair at a point of the rest head."""
    along = (wp.abs(p[0]) - 0.09) / 0.40
    if along <= -0.1 or along >= 1.1 or p[2] < 0.7:
        return 0.0
    t = wp.clamp(along, 0.0, 1.0)
    middle = look.brow_height + look.brow_arch * wp.sin(2.3 * t) - 0.06 * t * t
    thick = look.brow_thick * (1.0 - 0.65 * t * t)
    across = (p[1] - middle) / thick
    ends = _smooth(-0.08, 0.10, along) * (1.0 - _smooth(0.85, 1.08, along))
    strands = 0.82 + 0.35 * _noise(
        wp.vec3(p[0] * 70.0 + p[1] * 40.0, p[1] * 25.0, 0.0), wp.uint32(7)
    )
    return ends * wp.exp(-across * across * across * across) * strands


@wp.func
def _iris_colour(look: Look, p: wp.vec3) -> wp.vec3:
    x = wp.abs(p[0]) - _EYE_CENTRE_X
    y = p[1] - _EYE_CENTRE_Y
    r = wp.sqrt(x * x + y * y)
    white = wp.vec3(0.78, 0.75, 0.72) * (1.0 - 2.2 * wp.max(r - 0.07, 0.0))
    if p[2] < _EYE_CENTRE_Z:
        return white
    ring = wp.lerp(
        look.iris * 1.25, look.iris * 0.45, _smooth(0.045, 0.066, r)
    )
    colour = wp.lerp(
        wp.vec3(0.005, 0.005, 0.005), ring, _smooth(0.022, 0.030, r)
    )
    return wp.lerp(colour, white, _smooth(0.062, 0.070, r))


@wp.kernel
def shade(
    screen: wp.array2d(dtype=wp.vec3),
    normals: wp.array2d(dtype=wp.vec3),
    rest: wp.array(dtype=wp.vec3),
    triangles: wp.array2d(dtype=int),
    part: wp.array(dtype=int),
    paint: wp.array(dtype=wp.vec3),
    occlusion: wp.array(dtype=float),
    winner: wp.array3d(dtype=int),
    looks: wp.array(dtype=Look),
    furrows: wp.array(dtype=Furrow),
    strengths: wp.array3d(dtype=float),
    samples: int,
    colours: wp.array3d(dtype=wp.vec3),
) -> None:
    """Light every pixel: the mean over its samples of background or surface."""
    picture, row, column = wp.tid()
    look = looks[picture]
    total = wp.vec3(0.0, 0.0, 0.0)
    for k in range(samples * samples):
        y = row * samples + k // samples
        x = column * samples + k % samples
        t = winner[picture, y, x]
        if t < 0:
            total += look.background
        else:
            i, j, l = triangles[t, 0], triangles[t, 1], triangles[t, 2]  # noqa: E741
            w = _weights(
                screen[picture, i],
                screen[picture, j],
                screen[picture, l],
                float(x) + 0.5,
                float(y) + 0.5,
            )
            p = w[0] * rest[i] + w[1] * rest[j] + w[2] * rest[l]
            n = wp.normalize(
                w[0] * normals[picture, i]
                + w[1] * normals[picture, j]
                + w[2] * normals[picture, l]
            )
            m = w[0] * paint[i] + w[1] * paint[j] + w[2] * paint[l]
            open_sky = (
                w[0] * occlusion[i] + w[1] * occlusion[j] + w[2] * occlusion[l]
            )
            total += _colour(
                look, part[i], p, n, m, open_sky, furrows, strengths, picture
            )
    colours[picture, row, column] = total / float(samples * samples)


@wp.func
def _colour(
    look: Look,
    part: int,
    p: wp.vec3,
    n: wp.vec3,
    m: wp.vec3,
    open_sky: float,
    furrows: wp.array(dtype=Furrow),
    strengths: wp.array3d(dtype=float),
    picture: int,
) -> wp.vec3:
    """Light of one sample of the surface: rest position p, normal n, paint m,
    share of open sky.
    """
    if part == _LASH:
        return wp.lerp(look.skin * 0.45, look.hair * 0.25, look.lash)
    gloss = look.gloss
    sharp = 24.0
    albedo = look.skin
    normal = n
    sky = open_sky
    if part == _EYE:
        albedo = _iris_colour(look, p)
        gloss = 0.55
        sharp = 120.0
        sky = 0.62
    elif part == _TEETH:
        albedo = wp.vec3(0.74, 0.70, 0.62) * (
            1.0 - 0.55 * wp.clamp((1.42 - p[2]) / 0.35, 0.0, 1.0)
        )
        sky = 0.62 * _smooth(0.015, 0.09, look.mouth_gap)
        gloss = gloss * _smooth(0.015, 0.09, look.mouth_gap)
    elif part == _TONGUE:
        tip = _smooth(1.05, 1.36, p[2])
        shown = look.tongue_out * tip
        albedo = wp.lerp(
            wp.vec3(0.22, 0.075, 0.07) * (0.35 + 0.65 * tip),
            wp.vec3(0.52, 0.20, 0.19),
            shown,
        )
        sky = 0.38 + 0.5 * shown
    else:
        mottle = (
            _noise(p * 9.0, wp.uint32(3)) * 0.05
            + _noise(p * 31.0, wp.uint32(5)) * 0.04
        )
        albedo = albedo * (1.0 + mottle)
        ax = wp.abs(p[0])
        jaw = (
            1.0 - _smooth(6.35, 6.62, p[1] - 0.35 * wp.max(ax - 0.25, 0.0))
        ) * (1.0 - m[0])
        lip = (
            _smooth(6.60, 6.67, p[1])
            * (1.0 - _smooth(6.68, 6.78, p[1]))
            * (1.0 - _smooth(0.10, 0.30, ax))
            * (1.0 - m[0])
        )
        albedo = albedo * (1.0 - 0.6 * look.stubble * wp.max(jaw, lip))
        edge = look.hairline - 0.55 * wp.max(ax - 0.30, 0.0)
        ear = _smooth(0.705, 0.735, ax) * (1.0 - _smooth(7.32, 7.40, p[1]))
        side = (
            _smooth(0.60, 0.68, ax)
            * (1.0 - _smooth(0.75, 0.95, p[2]))
            * _smooth(6.90, 7.10, p[1])
            * (1.0 - ear)
        )
        scalp = wp.max(_smooth(edge - 0.03, edge + 0.05, p[1]), side)
        albedo = wp.lerp(albedo, look.hair, scalp)
        albedo = wp.lerp(albedo, look.hair, look.brow_dark * _brow(look, p))
        albedo = wp.lerp(albedo, look.skin * 0.86, 0.6 * m[2])
        albedo = wp.lerp(albedo, look.lips, m[0])
        albedo = wp.lerp(
            albedo, wp.vec3(0.035, 0.010, 0.010), _smooth(0.35, 0.75, m[1])
        )
        gloss = gloss * (1.0 - scalp) + 0.10 * m[0]
        hand = 0
        mirror = 1.0
        if p[0] < 0.0:
            hand = 1
            mirror = -1.0
        for f in range(furrows.shape[0]):
            furrow = furrows[f]
            depth = strengths[picture, f, hand] + furrow.resting * look.age
            if depth > 0.01 and p[2] > 0.55:
                chord = furrow.end - furrow.start
                length = wp.length(chord)
                along = chord / length
                across = wp.vec2(-along[1], along[0])
                q = wp.vec2(mirror * p[0], p[1]) - furrow.start
                t = wp.dot(q, along) / length
                if t > -0.15 and t < 1.15:
                    s = wp.clamp(t, 0.0, 1.0)
                    d = (
                        wp.dot(q, across) - furrow.bend * 4.0 * s * (1.0 - s)
                    ) / furrow.width
                    if wp.abs(d) < 3.0:
                        ends = _smooth(-0.12, 0.22, t) * (
                            1.0 - _smooth(0.78, 1.12, t)
                        )
                        groove = depth * ends * wp.exp(-d * d)
                        tilt = 1.3 * groove * d
                        normal = (
                            normal
                            + wp.vec3(mirror * across[0], across[1], 0.0)
                            * tilt
                        )
                        sky = sky * (1.0 - 0.45 * groove)
                        albedo = albedo * (1.0 - 0.22 * groove)
        normal = wp.normalize(normal)
    wrap = 0.25
    facing = wp.max((wp.dot(normal, look.light) + wrap) / (1.0 + wrap), 0.0)
    half = wp.normalize(look.light + wp.vec3(0.0, 0.0, 1.0))
    shine = gloss * wp.pow(wp.max(wp.dot(normal, half), 0.0), sharp)
    above = 0.55 + 0.45 * normal[1]
    lit = look.key * facing * (0.35 + 0.65 * sky) + look.fill * sky * above
    return albedo * lit + wp.vec3(1.0, 1.0, 1.0) * (shine * look.key * sky)


@wp.kernel
def spread(
    screen: wp.array2d(dtype=wp.vec3),
    triangles: wp.array2d(dtype=int),
    winner: wp.array3d(dtype=int),
    values: wp.array2d(dtype=float),
    samples: int,
    out: wp.array3d(dtype=float),
) -> None:
    """Spread a value per vertex over the pixels that see it."""
    picture, row, column = wp.tid()
    total = float(0.0)
    for k in range(samples * samples):
        y = row * samples + k // samples
        x = column * samples + k % samples
        t = winner[picture, y, x]
        if t >= 0:
            i, j, l = triangles[t, 0], triangles[t, 1], triangles[t, 2]  # noqa: E741
            w = _weights(
                screen[picture, i],
                screen[picture, j],
                screen[picture, l],
                float(x) + 0.5,
                float(y) + 0.5,
            )
            total += (
                w[0] * values[picture, i]
                + w[1] * values[picture, j]
                + w[2] * values[picture, l]
            )
    out[picture, row, column] = total / float(samples * samples)


@wp.kernel
def open_directions(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    normals: wp.array(dtype=wp.vec3),
    directions: wp.array(dtype=wp.vec3),
    share: wp.array(dtype=float),
) -> None:
    """Share of directions above a vertex, weighted by their cosine, that
    nothing blocks.
    """
    i = wp.tid()
    n = wp.normalize(normals[i])
    seen = float(0.0)
    weight = float(0.0)
    for k in range(directions.shape[0]):
        d = directions[k]
        cosine = wp.dot(n, d)
        if cosine > 0.0:
            weight += cosine
            hit = wp.mesh_query_ray(mesh, points[i] + n * 0.01, d, 1.0)
            if not hit.result:
                seen += cosine
    share[i] = seen / wp.max(weight, 1.0e-6)
