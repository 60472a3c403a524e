from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator

from duchenne.errors import InputError
from duchenne.faces.augment import AUGMENTATIONS, KHORRAMI2015, OFF, Ranges, augment
from duchenne.faces.prepare import STEPS, equalise, local_contrast, local_mean, preparation, standardise


def pictures(channels: int = 1, count: int = 3, size: int = 17) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=Generator().manual_seed(0))


def patch_mean(picture: np.ndarray) -> np.ndarray:
    """A slow loop: the mean over the part of the 5×5 patch that lies in the picture."""
    mean = np.empty_like(picture)
    for row, column in np.ndindex(*picture.shape):
        mean[row, column] = picture[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].mean()
    return mean


@pytest.mark.parametrize("channels", [1, 3])
def test_local_mean_subtracts_the_mean_of_each_patch(channels: int) -> None:
    given = pictures(channels).double()
    for before, after in zip(given.flatten(0, 1).numpy(), local_mean(given).flatten(0, 1).numpy(), strict=True):
        np.testing.assert_allclose(after, before - patch_mean(before), atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_local_contrast_divides_by_the_deviation_of_each_patch(channels: int) -> None:
    given = pictures(channels).double()
    for before, after in zip(given.flatten(0, 1).numpy(), local_contrast(given).flatten(0, 1).numpy(), strict=True):
        d = before - patch_mean(before)
        np.testing.assert_allclose(after, d / np.sqrt(patch_mean(d**2) + 1e-4), atol=1e-12)


def test_inside_the_border_local_mean_is_scipys_uniform_filter() -> None:
    (before,), (after,) = pictures(count=1).double()[0].numpy(), local_mean(pictures(count=1).double())[0].numpy()
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
        for before, after in zip(levels.reshape(-1, 31, 29), done.flatten(0, 1).numpy(), strict=True):
            np.testing.assert_allclose(after, cv2.equalizeHist(before), atol=0.01)
    flat = torch.full((1, channels, 8, 8), 100 / 255)
    torch.testing.assert_close(equalise(flat), flat)


@pytest.mark.parametrize("name", list(STEPS))
def test_every_step_keeps_shape_bears_a_flat_picture_and_looks_at_each_picture_alone(name: str) -> None:
    given = pictures(3)
    done = STEPS[name](given)
    assert done.shape == given.shape
    torch.testing.assert_close(STEPS[name](given[1:2]), done[1:2])
    assert torch.isfinite(STEPS[name](torch.full((1, 1, 9, 9), 0.3))).all()


def test_unknown_steps_are_refused() -> None:
    with pytest.raises(InputError, match="'whiten'"):
        preparation(["whiten"])


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_augmentation_is_a_function_of_its_generator(name: str) -> None:
    given = pictures()
    one, two, other = (augment(given, AUGMENTATIONS[name], Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert one.shape == given.shape
    assert AUGMENTATIONS[name] == OFF or not torch.equal(one, other)
    assert one.min() >= 0
    assert one.max() <= 1


def test_a_flip_alone_mirrors_the_picture() -> None:
    given = pictures()
    done = augment(given, Ranges(flip=1.0), Generator())
    torch.testing.assert_close(done, given.flip(3), atol=1e-5, rtol=0)


def test_scale_magnifies_and_rotation_turns_about_the_middle() -> None:
    spot = torch.zeros(1, 1, 97, 97)
    spot[..., 48, 68] = 1.0
    near = augment(spot, Ranges(scale=(2.0, 2.0)), Generator())
    row, column = divmod(int(near.flatten().argmax()), 97)
    assert (row, column) == pytest.approx((48, 88), abs=1)
    turned = augment(torch.nn.functional.max_pool2d(spot, 5, 1, 2), Ranges(rotation=5.0), Generator().manual_seed(3))
    row, column = divmod(int(turned.flatten().argmax()), 97)
    assert abs(row - 48) <= 4
    assert column == pytest.approx(68, abs=3)


def test_khorrami2015_shifts_by_at_most_48_pixels_times_the_change_of_scale() -> None:
    spot = torch.zeros(400, 1, 96, 96)
    spot[..., 47:49, 47:49] = 1.0
    done = augment(spot, Ranges(scale=KHORRAMI2015.scale, shift=48.0), Generator().manual_seed(0))
    seen = done.flatten(1).max(1).values > 0.2
    places = done.flatten(1).argmax(1)[seen]
    far = ((places % 96) - 47.5).abs()
    assert far.max() <= 48 * 0.4 * 1.4 + 2
    assert far.max() > 10


def test_intensity_is_raised_to_a_power_and_stretched_to_the_full_range() -> None:
    given = pictures() * 0.5 + 0.2
    done = augment(given, Ranges(gamma=(2.0, 2.0)), Generator())
    powered = given**2
    low, high = powered.amin((1, 2, 3), keepdim=True), powered.amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(done, (powered - low) / (high - low), atol=1e-4, rtol=0)
