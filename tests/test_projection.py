from __future__ import annotations

import sys
import types
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import (
    NeuronDeconvolution,
    NeuronGradient,
    NeuronGuidedBackprop,
    NeuronIntegratedGradients,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from duchenne import networks, units
from duchenne.errors import InputError
from duchenne.units import layers, signals, windows
from duchenne.units.receptive_fields import Fields

from .convolutional import Residual, Small, drawn


def captum(
    method: str, network: nn.Module, layer: str, picture: Tensor, neuron: tuple[int, ...]
) -> np.ndarray:
    kinds = {
        "guided": NeuronGuidedBackprop,
        "deconvnet": NeuronDeconvolution,
        "integrated": NeuronIntegratedGradients,
    }
    reference: Any = kinds.get(method, NeuronGradient)(network.eval(), layers.find(network, layer))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = reference.attribute(picture[None].clone().requires_grad_(), neuron)[0].detach()
    return (found * picture if method == "gradient_x_input" else found).numpy()


NETWORKS = {
    "zero_bias": (networks.build("zero_bias", classes=8, seed=0), "conv3", 96),
    "zhu": (networks.build("zhu", classes=8, seed=0), "conv3", 96),
    "sparse": (networks.build("sparse", classes=3, seed=0), "conv3", 128),
    "residual": (Residual(), "last", 48),
}


def neurons(layer: units.Fields, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Units and positions drawn of a layer; the first four are corners, the
    next four lie on edges.
    """
    rng = np.random.default_rng(seed)
    channels, rows, columns = layer.shape
    places = rng.integers(0, (rows, columns), (count, 2))
    places[:4] = [[0, 0], [0, columns - 1], [rows - 1, 0], [rows - 1, columns - 1]]
    places[4:6, 0], places[6:8, 1] = (0, rows - 1), (0, columns - 1)
    return rng.integers(0, channels, count), places


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(
            name,
            method,
            marks=[pytest.mark.slow] if method == "integrated" and name != "residual" else [],
        )
        for name in NETWORKS
        for method in units.METHODS
        if method != "relevance"
    ],
)
def test_projections_equal_captums_corners_and_edges_included(name: str, method: str) -> None:
    network, layer, side = NETWORKS[name]
    count = 8 if method == "integrated" else 16
    pictures = torch.randn(count, 1, side, side, generator=Generator().manual_seed(1))
    chosen, places = neurons(Fields(network, layer, (1, side, side)), count, seed=0)
    found = units.project(network, layer, pictures, chosen, places, method).full((side, side))
    for i in range(count):
        expected = captum(
            method, network, layer, pictures[i], (int(chosen[i]), *places[i].tolist())
        )
        np.testing.assert_allclose(found[i], expected, atol=1e-5 * np.abs(expected).max())


def convolved(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """mousavi2016's equation (1), its sums as loops, over maps (m, h, w)
    padded with zeros: (n, h, w).
    """
    count, channels, side, _ = weights.shape
    padded = np.pad(maps, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    found = np.zeros((count, *maps.shape[1:]))
    for n, m, x, y, h, w in np.ndindex(count, channels, *maps.shape[1:], side, side):
        found[n, x, y] += weights[n, m, h, w] * padded[m, x + h, y + w]
    return found


def test_deconvnet_is_what_equations_1_to_3_say_in_loops() -> None:
    """Equation (2): filters flipped, from the upper maps to the lower; (3):
    the largest, whose place is kept as a switch.
    """
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 2, 3, padding=1),
    )
    picture = torch.randn(1, 1, 8, 8)
    first, second = (network[0].weight.detach().numpy(), network[3].weight.detach().numpy())
    below = np.maximum(convolved(picture[0].numpy(), first), 0)
    switches = {
        (n, x, y): max(
            (below[n, i, j], -i, -j) for i in (2 * x, 2 * x + 1) for j in (2 * y, 2 * y + 1)
        )[1:]
        for n, x, y in np.ndindex(3, 4, 4)
    }
    for unit, row, column in ((0, 0, 0), (1, 2, 1), (1, 3, 3)):
        chosen = np.zeros((2, 4, 4))
        chosen[unit, row, column] = 1
        pooled = convolved(chosen, second[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        unpooled = np.zeros((3, 8, 8))
        for (n, x, y), (i, j) in switches.items():
            unpooled[n, -i, -j] = pooled[n, x, y]
        expected = convolved(np.maximum(unpooled, 0), first[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
        found = units.project(
            network, "3", picture, np.array([unit]), np.array([[row, column]]), "deconvnet"
        )
        np.testing.assert_allclose(found.full((8, 8))[0], expected, atol=1e-6)


def test_of_equal_answers_the_first_takes_the_signal_by_windows_and_by_whole_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ties in pooling, in numbers that are exact: a flat picture, and whole
    weights.
    """
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3, padding=1)
    )
    for layer in (network[0], network[3]):
        nn.init.constant_(layer.weight, 1)
        nn.init.constant_(layer.bias, 2)
    chosen, places = (np.array([0, 1, 0]), np.array([[0, 0], [4, 4], [7, 3]]))
    by_windows = units.project(network, "3", torch.ones(3, 1, 16, 16), chosen, places).full(
        (16, 16)
    )
    monkeypatch.setattr(windows, "all_numbers", lambda way: 0)
    by_pictures = units.project(network, "3", torch.ones(3, 1, 16, 16), chosen, places).full(
        (16, 16)
    )
    np.testing.assert_array_equal(by_windows, by_pictures)
    for i in range(3):
        expected = captum(
            "guided", network, "3", torch.ones(1, 16, 16), (int(chosen[i]), *places[i].tolist())
        )
        np.testing.assert_array_equal(by_pictures[i], expected)


@pytest.mark.parametrize("name", ["zero_bias", "zhu", "sparse"])
def test_the_papers_networks_are_projected_by_windows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That they are is seen, and that it is the same."""
    network, layer, side = NETWORKS[name]
    picture = torch.rand(1, 1, side, side)
    neuron = (np.array([1]), np.array([[2, 3]]))
    ways: list[str] = []
    for way in ("_by_windows", "_by_pictures"):
        monkeypatch.setattr(signals, way, noting(getattr(signals, way), ways))
    by_windows = units.project(network, layer, picture, *neuron)
    assert ways == ["_by_windows"]
    monkeypatch.setattr(signals, "_windowed", lambda way, asked: 0)
    by_pictures = units.project(network, layer, picture, *neuron)
    assert ways == ["_by_windows", "_by_pictures"]
    np.testing.assert_allclose(by_windows.pixels[0], by_pictures.pixels[0], rtol=1e-4, atol=1e-7)


def noting(way: Any, ways: list[str]) -> Any:
    """The same, which notes that it was gone."""

    def gone(*arguments: Any) -> Any:
        ways.append(way.__name__)
        return way(*arguments)

    return gone


LAYERS = st.sampled_from(
    [
        lambda c: nn.Conv2d(c, 6, 3, padding=1),
        lambda c: nn.Conv2d(c, 4, (3, 5), stride=(2, 1), padding=(0, 2)),
        lambda c: nn.Conv2d(c, 4, 3, dilation=2, padding=2, bias=False),
        lambda c: nn.Conv2d(c, 2 * c, 1, groups=c),
        lambda c: nn.MaxPool2d(2),
        lambda c: nn.MaxPool2d(3, 2, padding=1),
        lambda c: nn.MaxPool2d(3, 2, ceil_mode=True),
        lambda c: nn.AvgPool2d(3, 1, padding=1),
        lambda c: nn.BatchNorm2d(c),
        lambda c: nn.ReLU(),
        lambda c: nn.GELU(),
        lambda c: nn.ZeroPad2d((1, 0, 2, 1)),
        lambda c: nn.ConstantPad2d(1, 0.7),
        lambda c: nn.Tanh(),
        lambda c: Twice(nn.Conv2d(c, c, 3, padding=1), nn.Identity()),
        lambda c: Twice(nn.Conv2d(c, 3, 3, stride=2, padding=1), nn.Conv2d(c, 3, 1, stride=2)),
        lambda c: Twice(nn.MaxPool2d(3, 1, 1), nn.Conv2d(c, 2, 5, padding=2), torch.cat),
    ]
)


class Twice(nn.Module):
    """Two branches that meet again."""

    def __init__(self, one: nn.Module, other: nn.Module, joined: Any = None) -> None:
        super().__init__()
        self.one, self.other, self.joined = one, other, joined

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.one(x), self.other(x)
        return one + other if self.joined is None else self.joined([one, other], 1)


def stacked(makers: list[Any], pictures: Tensor) -> nn.Module:
    """Layers one after another, as far as maps are not too small."""
    network, maps = nn.Sequential(), pictures[:1]
    for make in makers:
        layer = make(maps.shape[1]).eval()
        if min(maps.shape[2:]) < 6:
            break
        network.append(layer)
        maps = layer(maps)
    drawn(network)
    return network.eval()


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(LAYERS, min_size=1, max_size=6),
    st.sampled_from(["guided", "deconvnet", "gradient"]),
    st.integers(0, 99),
)
def test_windows_give_what_whole_pictures_give(makers: list[Any], method: str, seed: int) -> None:
    pictures = torch.randn(12, 2, 30, 26, generator=Generator().manual_seed(seed))
    network = stacked(makers, pictures)
    layer, name = (Fields(network, name := str(len(network) - 1), (2, 30, 26)), name)
    chosen, places = neurons(layer, len(pictures), seed)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert layer.way is not None
        assert windows.numbers(layer.way)
        patch.setattr(windows, "all_numbers", lambda way: 10**9)
        by_windows = units.project(network, name, pictures, chosen, places, method)
        patch.setattr(windows, "all_numbers", lambda way: 0)
        by_pictures = units.project(network, name, pictures, chosen, places, method)
    largest = max(float(np.abs(pixels).max()) for pixels in by_pictures.pixels)
    np.testing.assert_array_equal(by_windows.boxes, by_pictures.boxes)
    np.testing.assert_allclose(
        by_windows.full((30, 26)), by_pictures.full((30, 26)), atol=1e-5 * largest
    )
    with torch.enable_grad():  # nothing lies outside the fields
        pixels = pictures.clone().requires_grad_()
        maps = network(pixels.clone())[np.arange(12), chosen, places[:, 0], places[:, 1]]
        (whole,) = torch.autograd.grad(maps.sum(), pixels)
    if method == "gradient":
        np.testing.assert_allclose(by_pictures.full((30, 26)), whole, atol=1e-5 * largest)


def test_images_that_serve_several_neurons_are_run_once() -> None:
    network, pictures = (
        Small(channels=3),
        torch.randn(5, 3, 32, 32, generator=Generator().manual_seed(0)),
    )
    of = np.array([3, 0, 3, 3, 1, 0, 4, 3])
    chosen, places = neurons(Fields(network, "last", (3, 32, 32)), len(of), 1)
    expected = units.project(network, "last", pictures[of], chosen, places)
    found = units.project(network, "last", pictures, chosen, places, of=of)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_allclose(found.full((32, 32)), expected.full((32, 32)), atol=1e-6)


def test_the_peak_is_projected_unless_told_otherwise() -> None:
    network, pictures = (Small(), torch.randn(4, 1, 32, 32, generator=Generator().manual_seed(0)))
    activations = units.responses(network, "last", [pictures])
    chosen, image = (np.array([0, 4, 2, 2]), np.arange(4))
    places = np.stack([activations.row[image, chosen], activations.column[image, chosen]], 1)
    expected = units.project(network, "last", pictures, chosen, places)
    np.testing.assert_array_equal(
        units.project(network, "last", pictures, chosen).full((32, 32)), expected.full((32, 32))
    )


@pytest.mark.parametrize("rectified", [True, False])
def test_a_whole_map_is_the_mean_of_its_neurons_projections_by_their_activations(
    rectified: bool,
) -> None:
    network, pictures = (Small(), torch.randn(2, 1, 16, 16, generator=Generator().manual_seed(0)))
    if rectified:
        network = nn.Sequential(OrderedDict(last=network, relu=nn.ReLU()))
    found = units.project(network, "last", pictures, np.array([1, 4]), "mean", "deconvnet")
    every = np.array([[row, column] for row in range(4) for column in range(4)])
    with torch.no_grad():
        given = network(pictures) if rectified else network(pictures).abs()
    for i, unit in enumerate((1, 4)):
        alone = units.project(
            network, "last", pictures[[i] * 16], np.full(16, unit), every, "deconvnet"
        ).full((16, 16))
        expected = np.mean(
            [given[i, unit, *place].item() * one for place, one in zip(every, alone, strict=True)],
            0,
        )
        np.testing.assert_allclose(found.pixels[i], expected, rtol=1e-5, atol=1e-5)
    assert found.boxes.tolist() == [[0, 0, 16, 16]] * 2


def test_no_relu_on_the_way_is_said_and_the_gradient_given() -> None:
    network, picture = (
        nn.Sequential(nn.Conv2d(1, 2, 3), nn.GELU(), nn.Conv2d(2, 2, 3)),
        torch.rand(1, 1, 8, 8),
    )
    with pytest.warns(
        UserWarning, match="no ReLU is on the way to layer '2': this is its gradient"
    ):
        found = units.project(network, "2", picture, np.array([0]), np.array([[1, 1]]), "guided")
    plain = units.project(network, "2", picture, np.array([0]), np.array([[1, 1]]), "gradient")
    np.testing.assert_array_equal(found.pixels[0], plain.pixels[0])


@pytest.fixture
def zennit(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Zennit, which asks torchvision for four classes that it tells networks
    by; here they are empty.
    """
    for name, classes in {
        "": (),
        ".models": (),
        ".models.resnet": ("Bottleneck", "BasicBlock", "ResNet"),
        ".models.vgg": ("VGG",),
    }.items():
        module = types.ModuleType(f"torchvision{name}")
        vars(module).update({each: type(each, (), {}) for each in classes})
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return pytest.importorskip("zennit")


def test_relevance_is_zennits_and_none_is_lost(zennit: Any) -> None:
    from zennit.attribution import Gradient
    from zennit.composites import EpsilonPlus

    network, pictures = (networks.build("zero_bias", classes=8, seed=0), torch.rand(2, 1, 96, 96))
    chosen, places = (np.array([3, 100]), np.array([[3, 4], [23, 23]]))
    found = units.project(network, "conv3", pictures, chosen, places, "relevance").full((96, 96))

    def start(maps: Tensor) -> Tensor:
        signal = torch.zeros_like(maps)
        signal[np.arange(2), chosen, places[:, 0], places[:, 1]] = 1
        return signal

    before = list(network.children())[:7]
    with Gradient(model=nn.Sequential(*before), composite=EpsilonPlus()) as attribute:
        _, expected = attribute(pictures, start)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_allclose(found.sum((1, 2, 3)), 1, rtol=1e-4)
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in network.modules()
    )


def test_relevance_without_zennit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zennit.composites", None)
    with pytest.raises(InputError, match=r"needs Zennit .* install duchenne\[relevance\]"):
        units.project(
            Small(),
            "last",
            torch.rand(1, 1, 32, 32),
            np.array([0]),
            np.array([[1, 1]]),
            "relevance",
        )


class Attending(nn.Module):
    """A small vision transformer: 16 patches, a block of attention, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.patches(x).flatten(2).mT)


def test_the_tokens_of_a_transformer_are_places_of_its_units() -> None:
    torch.manual_seed(0)
    network, pictures = (Attending().eval(), torch.rand(3, 1, 16, 16))
    found = units.project(
        network,
        "block",
        pictures,
        np.array([7, 0, 3]),
        np.array([[0, 0], [15, 0], [4, 0]]),
        "gradient",
    )
    pixels = pictures.clone().requires_grad_()
    tokens = network(pixels)
    (tokens[0, 0, 7] + tokens[1, 15, 0] + tokens[2, 4, 3]).backward()
    np.testing.assert_allclose(found.full((16, 16)), pixels.grad, atol=1e-6)
    activations = units.responses(network, "block", [pictures])
    np.testing.assert_array_equal(activations.row, tokens.detach().argmax(1))
    assert (activations.column == 0).all()
