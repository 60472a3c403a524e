from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from duchenne.faces.preparation.augmentation import (
    AUGMENTATIONS,
    KHORRAMI2015,
    OFF,
    ZHU2018,
    Ranges,
    augment,
)


def pictures(channels: int = 1, count: int = 3, size: int = 17) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=Generator().manual_seed(0))


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_augmentation_is_a_function_of_its_generator(name: str) -> None:
    given = pictures()
    one, two, other = (
        augment(given, AUGMENTATIONS[name], Generator().manual_seed(s)) for s in (1, 1, 2)
    )
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
    turned = augment(
        torch.nn.functional.max_pool2d(spot, 5, 1, 2),
        Ranges(rotation=5.0),
        Generator().manual_seed(3),
    )
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
    done = augment(given, Ranges(gamma=(2.0, 2.0), stretch=True), Generator())
    powered = given**2
    low, high = (powered.amin((1, 2, 3), keepdim=True), powered.amax((1, 2, 3), keepdim=True))
    torch.testing.assert_close(done, (powered - low) / (high - low), atol=1e-4, rtol=0)


def test_what_is_not_stretched_is_multiplied_shifted_and_cut_off() -> None:
    given = pictures()
    done = augment(
        given, Ranges(gamma=(0.5, 0.5), gain=(1.4, 1.4), offset=(-0.1, -0.1)), Generator()
    )
    torch.testing.assert_close(done, (1.4 * given**0.5 - 0.1).clamp(0, 1), atol=1e-4, rtol=0)


def test_the_released_codes_stretch_cancels_gain_and_offset() -> None:
    given = pictures()
    plain = augment(given, Ranges(gamma=(2.0, 2.0), stretch=True), Generator())
    changed = augment(
        given,
        Ranges(gamma=(2.0, 2.0), gain=(1.4, 1.4), offset=(0.1, 0.1), stretch=True),
        Generator(),
    )
    torch.testing.assert_close(plain, changed, atol=1e-5, rtol=0)


def test_zhu2018_takes_96_of_99_pixels() -> None:
    """Against OpenCV: without a turn and a mirror, every crop is a cut of the
    picture resized to 99.
    """
    given = F.avg_pool2d(pictures(count=1, size=100), 5, 1)  # 96×96, soft
    done = augment(
        given.repeat(50, 1, 1, 1),
        replace(ZHU2018, rotation=0.0, flip=0.0),
        Generator().manual_seed(0),
    )
    large = cv2.resize(given[0, 0].numpy(), (99, 99), interpolation=cv2.INTER_LINEAR)
    cuts = np.stack([large[y : y + 96, x : x + 96] for y in range(4) for x in range(4)])
    nearest = np.abs(done.numpy() - cuts[None, :]).mean((2, 3)).min(1)
    assert nearest.max() < 0.02  # shifts between whole pixels are interpolated
    assert np.abs(done.numpy() - given.numpy()).mean((1, 2, 3)).min() > nearest.max() / 2
    places = np.abs(done.numpy() - cuts[None, :]).mean((2, 3)).argmin(1)
    assert len(set(places.tolist())) > 8
