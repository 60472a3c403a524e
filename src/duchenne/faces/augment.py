"""Augmenting pictures while training: functions from batch to batch, on the batch's device, drawn from a generator.

``KHORRAMI2015`` holds the ranges of the released code: the paper names translation, flip, rotation, scaling and
intensity without figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from duchenne.faces.normalise import stretched


@dataclass(frozen=True)
class Ranges:
    """How far a picture may be changed.

    ``rotation`` in degrees to either side; ``scale`` the range of its factor; ``shift`` in pixels of a 96-pixel side: along
    each axis at most this times the change of scale (khorrami2015); ``jitter`` the same whatever the scale; ``flip`` its
    chance; ``gamma`` the range of the exponent of intensity.
    """

    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    jitter: float = 0.0
    flip: float = 0.0
    gamma: tuple[float, float] = (1.0, 1.0)


OFF = Ranges()
SHIFTS = Ranges(jitter=4.0, flip=0.5)
MODERATE = Ranges(rotation=8.0, scale=(0.9, 1.15), jitter=4.0, flip=0.5)
KHORRAMI2015 = Ranges(rotation=5.0, scale=(0.7, 1.4), shift=48.0, flip=0.5, gamma=(0.25, 4.0))

AUGMENTATIONS: dict[str, Ranges] = {
    "off": OFF,
    "shifts": SHIFTS,
    "moderate": MODERATE,
    "khorrami2015": KHORRAMI2015,
}
"""Every augmentation by its name in recipes."""


def augment(pictures: Tensor, ranges: Ranges, generator: Generator) -> Tensor:
    """Change each picture (n, C, H, W) in 0 … 1 at random within ``ranges``; what moves in from outside repeats the edge.

    The released code also multiplies intensity by a and adds b before it stretches each picture to its full range,
    which cancels both: only the exponent and the stretch are left here.

    >>> faces = torch.rand(2, 1, 8, 8)
    >>> torch.equal(augment(faces, OFF, Generator()), faces)
    True
    """
    if ranges == OFF:
        return pictures
    moved = _warp(pictures, ranges, generator)
    if ranges.gamma == (1.0, 1.0):
        return moved
    low, high = ranges.gamma
    gamma = low + (high - low) * _uniform(len(pictures), generator, pictures)
    return stretched(moved.clamp_min(0) ** gamma[:, None, None, None])


def _warp(pictures: Tensor, ranges: Ranges, generator: Generator) -> Tensor:
    count, side = len(pictures), pictures.shape[-1]
    low, high = ranges.scale
    scale = low + (high - low) * _uniform(count, generator, pictures)
    angle = math.radians(ranges.rotation) * (2 * _uniform(count, generator, pictures) - 1)
    mirror = 1 - 2 * (_uniform(count, generator, pictures) < ranges.flip).to(pictures)
    reach = (ranges.shift * (1 - scale).abs() + ranges.jitter) / 48  # in units of half a 96-pixel side
    across, down = ((2 * _uniform(count, generator, pictures) - 1) * reach for _ in range(2))
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    top = torch.stack([mirror * cosine, -sine, across], 1)
    bottom = torch.stack([mirror * sine, cosine, down], 1)
    grid = F.affine_grid(torch.stack([top, bottom], 1), [count, 1, side, side], align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _uniform(count: int, generator: Generator, like: Tensor) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device).to(like)
