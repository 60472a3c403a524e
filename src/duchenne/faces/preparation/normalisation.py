"""Normalising pictures (n, C, H, W), each by itself: pure functions from batch
to batch, on the batch's device.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from duchenne.faces.grey import LUMA

_PATCH = 5
# of the local standard deviation: keeps flat skin from being blown up to full
# contrast
_EPSILON = 1e-2


def local_mean(pictures: Tensor) -> Tensor:
    """Subtract the mean of each pixel's 5×5 patch: what khorrami2015's
    released code did.

    The code divides by ``variance ** (1/2)``, and 1/2 is 0 in Python 2.
    Patches are cut off at the border.

    Args:
        pictures: (n, C, H, W).

    Returns:
        (n, C, H, W).

    >>> import torch
    >>> local_mean(torch.ones(1, 1, 8, 8)).abs().max().item()
    0.0
    """
    return pictures - _patch_mean(pictures)


def local_contrast(pictures: Tensor) -> Tensor:
    """Subtract the mean of each pixel's 5×5 patch and divide by the patch's
    deviation: khorrami2015 as printed.

    d = x − μ; y = d / sqrt(mean of d² + ε²).

    Args:
        pictures: (n, C, H, W).

    Returns:
        (n, C, H, W).
    """
    deviation = local_mean(pictures)
    return deviation / (_patch_mean(deviation**2) + _EPSILON**2).sqrt()


def grey(pictures: Tensor) -> Tensor:
    """Turn pictures of three channels grey, and keep three: 0.299 R + 0.587 G
    + 0.114 B in each (ITU-R BT.601).

    Args:
        pictures: (n, 3, H, W), red, green and blue.

    Returns:
        (n, 3, H, W).

    >>> import torch
    >>> red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    >>> grey(red).flatten().tolist() == [0.29899999499320984] * 3
    True
    """
    luma = torch.from_numpy(LUMA).to(pictures)
    return torch.einsum("nchw,c->nhw", pictures, luma)[:, None].expand_as(
        pictures
    )


def standardise(pictures: Tensor) -> Tensor:
    """Give each picture mean 0 and standard deviation 1 over its pixels and
    channels.

    Args:
        pictures: (n, C, H, W).

    Returns:
        (n, C, H, W).
    """
    centred = pictures - pictures.mean((1, 2, 3), keepdim=True)
    spread = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
    return centred / spread.clamp_min(1e-6)


def equalise(pictures: Tensor) -> Tensor:
    """Equalise the histogram of each channel of each picture over 256 levels,
    as OpenCV's ``equalizeHist`` does.

    Args:
        pictures: (n, C, H, W) in 0 … 1.

    Returns:
        (n, C, H, W) in 0 … 1.

    >>> import torch
    >>> (
    ...     255 * equalise(torch.tensor([[[[0.2, 0.4], [0.4, 0.9]]]]))
    ... ).round().tolist()
    [[[[0.0, 170.0], [170.0, 255.0]]]]
    """
    levels = (pictures.clamp(0, 1) * 255).round().long().flatten(2)
    counts = torch.zeros(
        *levels.shape[:2], 256, device=pictures.device
    ).scatter_add_(2, levels, torch.ones_like(levels).float())
    reached = counts.cumsum(2)
    lowest = counts.gather(2, levels.amin(2, keepdim=True))
    pixels = levels.shape[2]
    flat = lowest >= pixels
    steps = (
        (reached - lowest) * (255 / (pixels - lowest).clamp_min(1))
    ).round().clamp(0, 255) / 255
    equal = torch.where(flat, levels / 255, steps.gather(2, levels))
    return equal.to(pictures.dtype).reshape(pictures.shape)


def scale(pictures: Tensor) -> Tensor:
    """Bring pictures from 0 … 1 to −1 … 1, as the networks of mousavi2016 take
    them (a reading).

    Args:
        pictures: (n, C, H, W) in 0 … 1.

    Returns:
        (n, C, H, W) in −1 … 1.

    >>> import torch
    >>> scale(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return 2 * pictures - 1


def in_unit_range(pictures: Tensor) -> Tensor:
    """Turn bytes into numbers in 0 … 1; numbers stay as they are.

    Args:
        pictures: Bytes, or numbers.

    Returns:
        Numbers, of the same shape.

    >>> in_unit_range(torch.tensor([0, 51], dtype=torch.uint8)).tolist()
    [0.0, 0.20000000298023224]
    """
    return pictures if pictures.is_floating_point() else pictures / 255


def stretched(pictures: Tensor) -> Tensor:
    """Bring each picture to its full range, 0 … 1.

    Args:
        pictures: (n, C, H, W).

    Returns:
        (n, C, H, W) in 0 … 1.

    >>> stretched(torch.tensor([[[[-1.0, 0.0, 3.0]]]])).tolist()
    [[[[0.0, 0.25, 1.0]]]]
    """
    low = pictures.amin((1, 2, 3), keepdim=True)
    high = pictures.amax((1, 2, 3), keepdim=True)
    return (pictures - low) / (high - low).clamp_min(1e-6)


def _patch_mean(pictures: Tensor) -> Tensor:
    return F.avg_pool2d(
        pictures,
        _PATCH,
        stride=1,
        padding=_PATCH // 2,
        count_include_pad=False,
    )
