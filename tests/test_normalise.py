from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator

from duchenne.faces.preparation.normalisation import (
    equalise,
    local_contrast,
    local_mean,
    scale,
    standardise,
    stretched,
)


def pictures(channels: int = 1, count: int = 3, size: int = 17) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=Generator().manual_seed(0))


def patch_mean(picture: np.ndarray) -> np.ndarray:
    """A slow loop: the mean over the part of the 5×5 patch that lies in the
    picture.
    """
    mean = np.empty_like(picture)
    for row, column in np.ndindex(*picture.shape):
        mean[row, column] = picture[
            max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3
        ].mean()
    return mean


@pytest.mark.parametrize("channels", [1, 3])
def test_local_mean_subtracts_the_mean_of_each_patch(channels: int) -> None:
    given = pictures(channels).double()
    for before, after in zip(
        given.flatten(0, 1).numpy(), local_mean(given).flatten(0, 1).numpy(), strict=True
    ):
        np.testing.assert_allclose(after, before - patch_mean(before), atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_local_contrast_divides_by_the_deviation_of_each_patch(channels: int) -> None:
    given = pictures(channels).double()
    for before, after in zip(
        given.flatten(0, 1).numpy(), local_contrast(given).flatten(0, 1).numpy(), strict=True
    ):
        d = before - patch_mean(before)
        np.testing.assert_allclose(after, d / np.sqrt(patch_mean(d**2) + 1e-4), atol=1e-12)


def test_inside_the_border_local_mean_is_scipys_uniform_filter() -> None:
    (before,), (after,) = (
        pictures(count=1).double()[0].numpy(),
        local_mean(pictures(count=1).double())[0].numpy(),
    )
    expected = before - ndimage.uniform_filter(before, 5)
    np.testing.assert_allclose(after[2:-2, 2:-2], expected[2:-2, 2:-2], atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_standardised_pictures_have_mean_0_and_deviation_1(channels: int) -> None:
    done = standardise(pictures(channels) * 7 + 3)
    torch.testing.assert_close(done.mean((1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(done.std((1, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_equalised_pictures_are_opencvs(channels: int) -> None:
    rng = np.random.default_rng(0)
    for spread in (3.0, 20.0, 60.0):
        levels = np.clip(rng.normal(100, spread, (4, channels, 31, 29)), 0, 255).astype(np.uint8)
        done = equalise(torch.from_numpy(levels).float() / 255) * 255
        for before, after in zip(
            levels.reshape(-1, 31, 29), done.flatten(0, 1).numpy(), strict=True
        ):
            np.testing.assert_allclose(after, cv2.equalizeHist(before), atol=0.01)
    flat = torch.full((1, channels, 8, 8), 100 / 255)
    torch.testing.assert_close(equalise(flat), flat)


@pytest.mark.parametrize("channels", [1, 3])
def test_scaled_and_stretched_pictures_are_opencvs(channels: int) -> None:
    given = pictures(channels) * 0.5 + 0.2
    torch.testing.assert_close(scale(given), given * 2 - 1)
    for before, after in zip(given.numpy(), stretched(given).numpy(), strict=True):
        expected = cv2.normalize(before.reshape(1, -1), None, 0, 1, cv2.NORM_MINMAX).reshape(
            before.shape
        )
        np.testing.assert_allclose(after, expected, atol=1e-5)
