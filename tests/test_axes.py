"""Along which axis of what a layer gives its units are counted: channels first
or last, joined branches, lines and rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from duchenne import units
from duchenne.networks import given
from duchenne.networks.given import Card, Outputs
from duchenne.units import layers, listing
from duchenne.units.ablation import Ablation

from . import dresses

OUTPUTS = Outputs(tuple("abcdefghij"))


class Last(nn.Module):
    """Keeps channels last inside, as ConvNeXt and Swin do."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 6, 4, 4)
        self.block = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 10), nn.GELU())
        self.output = nn.Linear(10, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        maps: Tensor = self.block(self.patches(pixels).permute(0, 2, 3, 1))
        return self.output(maps.mean((1, 2)))


class First(nn.Module):
    """The same network with channels first."""

    def __init__(self, last: Last) -> None:
        super().__init__()
        self.last, self.maps = last, nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        made = self.maps(
            self.last.block(self.last.patches(pixels).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        )
        return self.last.output(made.mean((2, 3)))


@pytest.mark.parametrize("layer", ["block", "block.1", "block.2"])
def test_units_of_layers_that_keep_channels_last_are_their_channels(layer: str) -> None:
    torch.manual_seed(0)
    network = Last()
    if layer == "block.1":
        network.block[2] = nn.Identity()
    same = First(network)
    given = torch.rand(3, 1, 32, 24)
    expected = units.responses(same, same.maps, [given], "signed")
    found = units.responses(network, layer, [given], "signed")
    assert found.value.shape == (3, 10)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-5)
    np.testing.assert_array_equal(found.column, expected.column)
    one, other = (
        units.project(*asked, given[:1], np.array([4]), np.array([[5, 2]]), "gradient")
        for asked in ((network, layer), (same, "maps"))
    )
    assert one.boxes.tolist() == other.boxes.tolist()
    np.testing.assert_allclose(one.pixels[0], other.pixels[0], rtol=1e-4, atol=1e-7)
    silent = np.eye(10, dtype=bool)
    np.testing.assert_allclose(
        Ablation(network, layer, given)(given, silent),
        Ablation(same, "maps", given)(given, silent),
        atol=1e-5,
    )


class Joined(nn.Module):
    """Joins branches, the last of as many channels as its maps are wide."""

    def __init__(self, *counts: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(1, count, 3, 1, 1) for count in counts)

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([branch(pixels) for branch in self.branches], 1)


@pytest.mark.parametrize("counts", [(16, 8, 8), (24, 8), (3, 8)])
def test_units_of_branches_that_are_joined_are_their_channels(counts: tuple[int, ...]) -> None:
    network = nn.Sequential(Joined(*counts), nn.ReLU(), nn.Flatten())
    given = network[:2](torch.rand(2, 1, 8, 8))
    for layer in ("0", "1"):
        assert layers.unit_axis(network, layer, given) == 1
    found = listing.listed(network, torch.rand(2, 1, 8, 8)).set_index("layer")
    assert found.loc["1", "units"] == sum(counts)


def test_units_of_convolutions_along_a_line_are_their_channels() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 5, 3), nn.BatchNorm1d(5), nn.ReLU()).eval()
    pictures = torch.rand(2, 1, 4, 4)
    for layer in ("1", "2", "3"):
        found = units.responses(network, layer, [pictures])
        given = layers.output(network, layer, pictures)
        largest = given.clamp_min(0).amax(2).detach()
        np.testing.assert_allclose(found.value, largest, rtol=1e-6)


@pytest.mark.parametrize(("module", "axis"), [(nn.Conv2d(1, 9, 1), 1), (nn.Linear(1, 9), 3)])
def test_units_of_no_declared_size_are_counted_as_the_nearest_module_does(
    module: nn.Module, axis: int
) -> None:
    network = nn.Sequential(module, nn.Identity())
    assert layers.unit_axis(network, "1", torch.zeros(2, 4, 5, 6)) == axis


@pytest.mark.parametrize("after", [nn.MaxPool2d(1), nn.ReLU(), nn.Dropout2d(0.5)])
@pytest.mark.parametrize("counts", [(4,), (3, 1)])
def test_channels_stay_channels_where_there_are_as_many_rows(
    after: nn.Module, counts: tuple[int, ...]
) -> None:
    network = nn.Sequential(Joined(*counts), after).eval()
    pictures = torch.rand(2, 1, 4, 7)
    assert network(pictures).shape == (2, 4, 4, 7)
    for layer in ("0", "1"):
        found = layers.maps(network, layer, pictures)
        assert torch.equal(found, network[: int(layer) + 1](pictures))
        places = units.project(network, layer, pictures[:1], np.array([3]))
        assert places.boxes.shape == (1, 4)


class Inside(nn.Module):
    """Maps whose channels come last in the middle, with nothing that says so."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 6, 4, 4)
        self.turned = nn.Identity()
        self.weights = nn.Parameter(torch.randn(6, 10))
        self.wider = nn.Sigmoid()

    def forward(self, pixels: Tensor) -> Tensor:
        maps = self.turned(self.patches(pixels).permute(0, 2, 3, 1))
        return self.wider(maps @ self.weights).mean((1, 2))


@pytest.mark.parametrize("dress", ["module", "pt2", "onnx"])
def test_maps_that_are_square_where_channels_come_last_are_read_so(
    dress: str, tmp_path: Path
) -> None:
    network = Inside().eval()
    pictures = torch.rand(2, 1, 32, 32)
    dresses.let_torchvision_import()
    opened: nn.Module = network
    if dress != "module":
        dresses.export(network, tmp_path / f"small.{dress}")
        opened = given.open_card(Card(f"{dress}:{tmp_path / f'small.{dress}'}", outputs=OUTPUTS))
    wide = network.turned(network.patches(pictures).permute(0, 2, 3, 1)) @ network.weights
    expected = wide.detach().sigmoid().amax((1, 2))
    listed = listing.listed(opened, pictures)
    found = [
        units.responses(opened, layer, [pictures], "signed").value
        for layer in listed["layer"][(listed["units"] == 10) & (listed["gives"] == "maps")]
    ]
    assert any(np.allclose(each, expected, atol=1e-5) for each in found)
    assert not set(listed["units"][listed["gives"] == "maps"]) & {8}


class Squeezed(nn.Module):
    """Channels weighted by a linear layer's say, as in squeeze-and-excitation:
    as many as its maps have columns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.say = nn.Linear(16, 16)

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.say(maps.mean((2, 3))).sigmoid()[:, :, None, None]


def test_channels_stay_channels_where_there_are_as_many_columns() -> None:
    network = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), Squeezed(), nn.ReLU())
    given = torch.rand(2, 1, 16, 16)
    for layer in ("1", "2"):
        expected = network[:2](given).clamp_min(0).amax((2, 3)).detach()
        np.testing.assert_allclose(
            units.responses(network, layer, [given]).value, expected, rtol=1e-5
        )
