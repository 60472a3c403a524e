"""Augmenting pictures while training: functions from batch to batch, on the
batch's device, drawn from a generator.

khorrami2015 names translation, flip, rotation, scaling and intensity without
figures. ``KHORRAMI2015`` is what its released code does: shifts grow with the
change of scale, and each picture is stretched to its full range at the end,
which leaves of intensity the exponent only. ``KHORRAMI2015_PRINTED`` takes the
five as the paper names them, each on its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from duchenne.faces.preparation.normalisation import stretched


@dataclass(frozen=True)
class Ranges:
    """How far a picture may be changed.

    ``rotation`` in degrees to either side; ``scale`` the range of its factor;
    ``shift`` in pixels of a 96-pixel side: along each axis at most this times
    the change of scale (khorrami2015); ``jitter`` the same whatever the scale;
    ``flip`` its chance. Intensity x becomes ``gain`` · x ** ``gamma`` +
    ``offset``, cut off at 0 and 1, or ``stretch``ed to them.
    """

    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    jitter: float = 0.0
    flip: float = 0.0
    gamma: tuple[float, float] = (1.0, 1.0)
    gain: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    stretch: bool = False


OFF = Ranges()
SHIFTS = Ranges(jitter=4.0, flip=0.5)
MODERATE = Ranges(rotation=8.0, scale=(0.9, 1.15), jitter=4.0, flip=0.5)
KHORRAMI2015 = Ranges(
    rotation=5.0,
    scale=(0.7, 1.4),
    shift=48.0,
    flip=0.5,
    gamma=(0.25, 4.0),
    stretch=True,
)
# the code's ranges, and a shift of 8 pixels, about the code's mean (a reading)
KHORRAMI2015_PRINTED = Ranges(
    rotation=5.0,
    scale=(0.7, 1.4),
    jitter=8.0,
    flip=0.5,
    gamma=(0.25, 4.0),
    gain=(0.7, 1.4),
    offset=(-0.1, 0.1),
)
ZHU2018 = Ranges(
    rotation=15.0, scale=(99 / 96, 99 / 96), jitter=1.5 * 96 / 99, flip=0.5
)
"""96 of 99 pixels at random are shifts of up to 1.5 of them; the
standardisation after it is a step of the preparation.
"""

AUGMENTATIONS: dict[str, Ranges] = {
    "off": OFF,
    "shifts": SHIFTS,
    "moderate": MODERATE,
    "khorrami2015": KHORRAMI2015,
    "khorrami2015-printed": KHORRAMI2015_PRINTED,
    "zhu2018": ZHU2018,
}
"""Every augmentation by its name in recipes."""


def augment(pictures: Tensor, ranges: Ranges, generator: Generator) -> Tensor:
    """Change each picture at random; what moves in from outside repeats the
    edge.

    Args:
        pictures: (n, C, H, W) in 0 … 1.
        ranges: Within which it is changed.
        generator: That draws.

    Returns:
        (n, C, H, W).

    >>> faces = torch.rand(2, 1, 8, 8)
    >>> torch.equal(augment(faces, OFF, Generator()), faces)
    True
    """
    if ranges == OFF:
        return pictures
    moved = _warp(pictures, ranges, generator)
    if (ranges.gamma, ranges.gain, ranges.offset) == (
        OFF.gamma,
        OFF.gain,
        OFF.offset,
    ):
        return moved
    gamma, gain, offset = (
        _between(each, generator, pictures)[:, None, None, None]
        for each in (ranges.gamma, ranges.gain, ranges.offset)
    )
    changed = gain * moved.clamp_min(0) ** gamma + offset
    return stretched(changed) if ranges.stretch else changed.clamp(0, 1)


def _warp(pictures: Tensor, ranges: Ranges, generator: Generator) -> Tensor:
    affine = _affine(pictures, ranges, generator)
    side = pictures.shape[-1]
    size = [len(pictures), 1, side, side]
    grid = F.affine_grid(affine, size, align_corners=False)
    return F.grid_sample(
        pictures, grid, padding_mode="border", align_corners=False
    )


def _affine(pictures: Tensor, ranges: Ranges, generator: Generator) -> Tensor:
    """Draw how each picture is turned, scaled, mirrored and moved: (n, 2, 3)."""
    scale = _between(ranges.scale, generator, pictures)
    angle = math.radians(ranges.rotation) * _to_either_side(
        generator, pictures
    )
    flipped = _uniform(len(pictures), generator, pictures) < ranges.flip
    mirror = 1 - 2 * flipped.to(pictures)
    reach = ranges.shift * (1 - scale).abs() + ranges.jitter
    reach = reach / 48  # in units of half a 96-pixel side
    across = _to_either_side(generator, pictures) * reach
    down = _to_either_side(generator, pictures) * reach
    turn = _turn(angle, scale)
    turn[:, :, 0] *= mirror[:, None]
    shift = torch.stack([across, down], 1)
    return torch.cat([turn, shift[:, :, None]], 2)


def _turn(angle: Tensor, scale: Tensor) -> Tensor:
    """Matrices (n, 2, 2) that turn by an angle and shrink by a scale."""
    cosine = angle.cos() / scale
    sine = angle.sin() / scale
    top = torch.stack([cosine, -sine], 1)
    bottom = torch.stack([sine, cosine], 1)
    return torch.stack([top, bottom], 1)


def _to_either_side(generator: Generator, like: Tensor) -> Tensor:
    """Draw one number a picture from −1 … 1."""
    return 2 * _uniform(len(like), generator, like) - 1


def _between(
    bounds: tuple[float, float], generator: Generator, like: Tensor
) -> Tensor:
    """Draw one number a picture."""
    low, high = bounds
    return low + (high - low) * _uniform(len(like), generator, like)


def _uniform(count: int, generator: Generator, like: Tensor) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device).to(
        like
    )
