from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from duchenne import networks
from duchenne.errors import InputError
from duchenne.units import Fields

from .convolutional import Residual, Small


@pytest.mark.parametrize(
    ("layer", "side", "reach"), [("conv1", 96, 5), ("conv2", 48, 14), ("conv3", 24, 32)]
)
def test_the_fields_of_zero_bias_are_those_of_its_kernels(
    layer: str, side: int, reach: int
) -> None:
    found = Fields(networks.build("zero_bias", classes=8, seed=0), layer, (1, 96, 96))
    x0, y0, x1, y1 = found.of(*(np.array([place]) for place in (0, side // 2, side // 2)))[0]
    assert (x1 - x0, y1 - y0) == (reach, reach)
    assert found.way is not None


class Flipped(Small):
    """Mirrors the picture, which no closed form is kept for."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flip(3))


@pytest.mark.slow
@pytest.mark.parametrize("place", [(0, 0), (7, 7), (3, 4), (0, 7)])
@pytest.mark.parametrize("kind", [Small, Flipped, Residual])
def test_a_field_holds_exactly_the_pixels_that_can_change_the_position(
    kind: type[nn.Module], place: tuple[int, int]
) -> None:
    """Independent reference: change one pixel at a time and see whether the
    position's value changes.
    """
    network = kind().double().eval()
    for p in network.parameters():
        p.data.abs_().add_(0.01)
    network.pool = nn.AvgPool2d(
        3, 2, padding=1
    )  # an average feels every pixel; a maximum only the largest
    given = (
        torch.rand(1, 1, 32, 32, dtype=torch.float64, generator=Generator().manual_seed(0)) + 0.5
    )
    found = Fields(network, "last", (1, 32, 32))
    x0, y0, x1, y1 = found.of(*(np.array([number]) for number in (0, *place)))[0]
    changed = given.repeat(32 * 32, 1, 1, 1)
    changed.view(32 * 32, -1)[torch.arange(32 * 32), torch.arange(32 * 32)] += 1
    with torch.no_grad():
        touched = (network(changed) != network(given))[:, 0, *place].view(32, 32)
    rows, columns = touched.nonzero(as_tuple=True)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x0, y0, x1, y1)
    assert (found.way is None) == (kind is Flipped)


class Deciding(nn.Module):
    """Convolves by what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = (nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 3))

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        return self.last(first if first.mean() > 0 else F.relu(first))


@pytest.mark.parametrize(
    "network",
    [
        Deciding(),
        nn.Sequential(nn.AdaptiveMaxPool2d(5), nn.Conv2d(1, 1, 3)),
        nn.Sequential(nn.ConvTranspose2d(1, 1, 3), nn.Conv2d(1, 1, 3)),
        nn.Sequential(nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), nn.Conv2d(1, 1, 3)),
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4)),
        nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Conv2d(4, 1, 3)
        ),
    ],
)
def test_of_a_way_that_is_not_understood_the_field_holds_all_that_can_change_the_position(
    network: nn.Module,
) -> None:
    network = network.double().eval()
    last = [name for name, _ in network.named_modules()][-1]
    found = Fields(network, last, (1, 16, 16))
    assert found.way is None
    given = torch.randn(1, 1, 16, 16, dtype=torch.float64, generator=Generator().manual_seed(0))
    for row, column in ((0, 0), (1, 2)):
        ((x0, y0, x1, y1),) = found.of(*(np.array([number]) for number in (0, row, column)))
        pixels = given.clone().requires_grad_()
        (signal,) = torch.autograd.grad(network(pixels)[0, 0, row, column], pixels)
        rows, columns = signal[0, 0].nonzero(as_tuple=True)
        assert len(rows)
        assert (x0, y0) <= (columns.min(), rows.min())
        assert (x1, y1) >= (columns.max() + 1, rows.max() + 1)


def test_neurons_see_the_whole_picture_and_flattened_ones_their_maps_field() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 5))
    nowhere = np.zeros(2, int)
    assert (
        Fields(network, "2", (1, 8, 8)).of(np.array([0, 4]), nowhere, nowhere).tolist()
        == [[0, 0, 8, 8]] * 2
    )
    assert Fields(network, "1", (1, 8, 8)).of(np.array([0, 71]), nowhere, nowhere).tolist() == [
        [0, 0, 3, 3],
        [5, 5, 8, 8],
    ]


def test_what_is_not_there_is_refused() -> None:
    found, one = (Fields(Small(), "last", (1, 32, 32)), np.array([0]))
    for unit, row, column in ((5, 0, 0), (-1, 0, 0), (0, 8, 0), (0, 0, 8)):
        with pytest.raises(InputError, match=r"outside of layer 'last', which gives \(5, 8, 8\)"):
            found.of(one + unit, one + row, one + column)
    with pytest.raises(InputError, match="4 dimensions"):
        Fields(nn.Sequential(nn.Unflatten(1, (1, 1))), "0", (1, 8, 8))


@pytest.mark.parametrize("seed", range(12))
def test_fields_of_dilated_layers_are_those_of_the_taps_that_fall_inside(seed: int) -> None:
    """Every weight positive and averages in place of maxima: a pixel is in the
    field where its gradient is not 0.
    """
    rng = np.random.default_rng(seed)
    parts: list[nn.Module] = []
    for _ in range(3):
        dilation, stride, side = (int(rng.integers(1, 4)) for _ in range(3))
        padding = int(rng.integers(0, dilation * (side - 1) // 2 + 1))
        parts.append(nn.Conv2d(1, 1, side, stride, padding, dilation, bias=False))
    network = nn.Sequential(*parts).double()
    for weight in network.parameters():
        weight.data.fill_(1.0)
    pixels = torch.ones(1, 1, 24, 24, dtype=torch.float64, requires_grad=True)
    made = network(pixels)
    height, width = made.shape[2:]
    rows, columns = (places.ravel() for places in np.mgrid[:height, :width])
    found = Fields(network, "2", (1, 24, 24)).of(np.zeros(len(rows), int), rows, columns)
    for row, column, box in zip(rows, columns, found.tolist(), strict=True):
        (signal,) = torch.autograd.grad(made[0, 0, row, column], pixels, retain_graph=True)
        down, across = signal[0, 0].nonzero(as_tuple=True)
        if len(down):
            assert box == [across.min(), down.min(), across.max() + 1, down.max() + 1]
