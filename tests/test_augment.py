from __future__ import annotations

import pytest
import torch
from torch import Generator

from duchenne.faces.augment import AUGMENTATIONS, KHORRAMI2015, OFF, Ranges, augment


def pictures(channels: int = 1, count: int = 3, size: int = 17) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=Generator().manual_seed(0))


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
