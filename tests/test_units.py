from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import NeuronDeconvolution, NeuronGradient, NeuronGuidedBackprop
from torch import Generator, Tensor, nn

from duchenne import networks, units
from duchenne.errors import InputError
from duchenne.faces.prepare import Preparation
from duchenne.units import fields, layers
from duchenne.units.surveys import survey

CAPTUM = {"guided": NeuronGuidedBackprop, "deconvnet": NeuronDeconvolution, "gradient": NeuronGradient}


def pictures(count: int, channels: int = 1, size: int = 96) -> Tensor:
    return torch.randn(count, channels, size, size, generator=Generator().manual_seed(1))


class Small(nn.Module):
    """A small network whose ReLUs are modules, functions, or one module used twice."""

    def __init__(self, kind: str, channels: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.kind = kind
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2, bias=bias)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=bias)
        self.conv3 = nn.Conv2d(8, 5, 3, padding=1, dilation=1, bias=bias)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU(inplace=True)
        for p in self.parameters():
            nn.init.normal_(p, 0.05, 0.3, generator=Generator().manual_seed(p.numel()))

    def forward(self, x: Tensor) -> Tensor:
        first, second = {
            "modules": (self.relu1, self.relu2),
            "functions": (F.relu, torch.relu),
            "reused": (self.relu1, self.relu1),
            "methods": (Tensor.relu, Tensor.relu_),
        }[self.kind]
        return self.conv3(second(self.conv2(self.pool(first(self.conv1(x))))))


@pytest.fixture(scope="module")
def zero_bias() -> nn.Module:
    return networks.build("zero_bias", classes=8, seed=0)


# projections


@pytest.mark.parametrize("method", list(units.METHODS))
def test_projections_equal_captums_corners_included(method: str, zero_bias: nn.Module) -> None:
    rng = np.random.default_rng(0)
    count = 24
    chosen = rng.integers(0, 256, count)
    places = rng.integers(0, 24, (count, 2))
    places[:8] = [[0, 0], [0, 23], [23, 0], [23, 23], [0, 11], [11, 0], [23, 5], [2, 23]]
    given = pictures(count)
    found = units.project(zero_bias, "conv3", given, chosen, places, method).full((96, 96))
    reference = CAPTUM[method](zero_bias, zero_bias.conv3)
    with pytest.warns(UserWarning, match=".") if method != "gradient" else _nothing():
        for i in range(count):
            place = (int(chosen[i]), int(places[i, 0]), int(places[i, 1]))
            expected = reference.attribute(given[i : i + 1].clone().requires_grad_(), place).detach()[0].numpy()
            np.testing.assert_allclose(found[i], expected, atol=1e-5 * np.abs(expected).max())


def _nothing() -> object:
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.parametrize("method", list(units.METHODS))
@pytest.mark.parametrize("kind", ["functions", "reused", "methods"])
def test_however_a_relu_is_written_the_projection_is_the_same(kind: str, method: str) -> None:
    given, chosen, places = pictures(4, size=32), np.arange(4), np.array([[0, 0], [3, 3], [7, 7], [2, 5]])
    expected = units.project(Small("modules"), "conv3", given, chosen, places, method).full((32, 32))
    found = units.project(Small(kind), "conv3", given, chosen, places, method).full((32, 32))
    np.testing.assert_array_equal(found, expected)
    assert np.abs(expected).max() > 0


def test_deconvnet_follows_the_definition_step_by_step() -> None:
    """Unpool by switches, rectify, convolve with the transposed filters: written out for one convolution of each."""
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 3, padding=1))
    given = pictures(1, size=8)
    found = units.project(network, "3", given, np.array([1]), np.array([[2, 1]]), "deconvnet").full((8, 8))
    with torch.no_grad():
        pooled, switches = F.max_pool2d(F.relu(network[0](given)), 2, return_indices=True)
        signal = torch.zeros_like(network[3](pooled))
        signal[0, 1, 2, 1] = 1
        back = F.conv_transpose2d(signal, network[3].weight, padding=1)
        back = F.relu(F.max_unpool2d(back, switches, 2))
        back = F.conv_transpose2d(back, network[0].weight, padding=1)
    np.testing.assert_allclose(found, back.numpy(), atol=1e-6)


def test_nothing_lies_outside_the_receptive_field(zero_bias: nn.Module) -> None:
    places = np.array([[0, 0], [23, 23], [12, 7]])
    chosen = np.array([3, 9, 200])
    given = pictures(3).requires_grad_()
    maps = layers.output(zero_bias.eval(), "conv3", given)
    maps[np.arange(3), chosen, places[:, 0], places[:, 1]].sum().backward()
    found = units.project(zero_bias, "conv3", given.detach(), chosen, places, "gradient")
    np.testing.assert_allclose(found.full((96, 96)), given.grad.numpy(), atol=1e-6)
    assert found.boxes.tolist() == [[0, 0, 18, 18], [78, 78, 96, 96], [14, 34, 46, 66]]


def test_colour_and_linear_layers_are_projected_whole() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5), nn.ReLU(), nn.Linear(5, 4))
    windows = units.project(network, "3", pictures(2, 3, 8), np.array([0, 3]), np.zeros((2, 2), int), "gradient")
    assert windows.boxes.tolist() == [[0, 0, 8, 8]] * 2
    assert windows.full((8, 8)).shape == (2, 3, 8, 8)


def test_what_a_projection_cannot_use_is_refused(zero_bias: nn.Module) -> None:
    given, unit, place = pictures(1), np.array([0]), np.array([[0, 0]])
    with pytest.raises(InputError, match="'magic'"):
        units.project(zero_bias, "conv3", given, unit, place, "magic")
    with pytest.raises(InputError, match="conv3"):
        units.project(zero_bias, "conv4", given, unit, place)
    with pytest.raises(InputError, match="outside"):
        units.project(zero_bias, "conv3", given, np.array([256]), place)
    with pytest.raises(InputError, match="outside"):
        units.project(zero_bias, "conv3", given, unit, np.array([[24, 0]]))
    with pytest.raises(InputError, match="1 images, 2 units"):
        units.project(zero_bias, "conv3", given, np.array([0, 1]), place)


@pytest.mark.parametrize("fails", [False, True])
def test_a_network_is_left_as_it_was_found(fails: bool) -> None:
    network = Small("modules").train()
    network.conv2.eval()
    network.conv1.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flags = [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in network.modules()]
    if fails:
        with pytest.raises(InputError):
            units.project(network, "conv3", pictures(1, size=32), np.array([99]), np.array([[0, 0]]))
        with pytest.raises(RuntimeError):
            units.responses(network, "conv3", [torch.rand(1, 2, 32, 32)])
    else:
        units.project(network, "conv3", pictures(1, size=32), np.array([1]), np.array([[0, 0]]))
        units.responses(network, "conv3", [pictures(1, size=32)])
    assert flags == [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in network.modules()]
    assert next(p.requires_grad for p in network.parameters()) is False
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


# receptive fields


@pytest.mark.parametrize(("layer", "side"), [("conv1", 96), ("conv2", 48), ("conv3", 24)])
def test_the_fields_of_zero_bias_are_those_that_gradients_reach(layer: str, side: int, zero_bias: nn.Module) -> None:
    """With positive weights and pictures every pixel of the field has a gradient or loses a pooling by ties only."""
    way = fields.windows(zero_bias, layer, (1, 96, 96))
    reach = {"conv1": 5, "conv2": 14, "conv3": 32}[layer]
    middle = fields.boxes(way, np.array([side // 2]), np.array([side // 2]))[0]
    assert (middle[2] - middle[0], middle[3] - middle[1]) == (reach, reach)


@pytest.mark.parametrize("place", [(0, 0), (7, 7), (3, 4), (0, 7)])
def test_a_field_holds_exactly_the_pixels_that_can_change_the_position(place: tuple[int, int]) -> None:
    """Independent reference: change one pixel at a time and see whether the position's value changes."""
    network = Small("modules", bias=False).double().eval()
    for p in network.parameters():
        p.data.abs_().add_(0.01)
    network.pool = nn.AvgPool2d(3, 2, padding=1)  # an average feels every pixel; a maximum only the largest
    given = torch.rand(1, 1, 32, 32, dtype=torch.float64) + 0.5
    way = _windows_double(network)
    x0, y0, x1, y1 = fields.boxes(way, np.array([place[0]]), np.array([place[1]]))[0]
    with torch.no_grad():
        value = network(given)[0, 0, place[0], place[1]]
        touched = torch.zeros(32, 32, dtype=torch.bool)
        for row in range(32):
            for column in range(32):
                other = given.clone()
                other[0, 0, row, column] += 1
                touched[row, column] = network(other)[0, 0, place[0], place[1]] != value
    rows, columns = touched.nonzero(as_tuple=True)
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (x0, y0, x1, y1)
    assert touched[y0:y1, x0:x1].all()


def _windows_double(network: nn.Module) -> list[fields.Window]:
    single = network.float()
    way = fields.windows(single, "conv3", (1, 32, 32))
    network.double()
    return way


def test_layers_whose_field_is_not_known_are_named() -> None:
    network = nn.Sequential(nn.AdaptiveMaxPool2d(4), nn.Conv2d(1, 1, 3))
    with pytest.raises(InputError, match="AdaptiveMaxPool2d"):
        fields.windows(network, "1", (1, 8, 8))


class Pooled(nn.Module):
    """Pools by a function, which no hook sees."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.max_pool2d(self.first(x), 2))


class Branched(nn.Module):
    """Adds a wide and a narrow convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide, self.last = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 3, stride=2, padding=1), nn.Conv2d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.narrow(x)[:, :, ::2, ::2] + self.wide(x.flip(3)))


@pytest.mark.parametrize("kind", [Pooled, Branched])
def test_a_field_that_gradients_leave_is_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(InputError, match="not known"):
        fields.windows(kind(), "last", (1, 24, 24))


# responses


def test_peaks_are_the_maxima_after_relu_and_stand_where_they_say(zero_bias: nn.Module) -> None:
    given = pictures(5)
    peaks = units.responses(zero_bias, "conv2", given.split(2))
    with torch.no_grad():
        maps = layers.output(zero_bias.eval(), "conv2", given)
    np.testing.assert_allclose(peaks.value, maps.amax((2, 3)).clamp_min(0), rtol=1e-5, atol=1e-6)
    image, unit = np.ogrid[:5, :128]
    np.testing.assert_allclose(maps.numpy()[image, unit, peaks.row, peaks.column], maps.amax((2, 3)), rtol=1e-5)
    frame = peaks.frame()
    assert list(frame) == ["image", "unit", "peak", "row", "col"]
    assert len(frame) == 5 * 128
    back = units.Peaks.from_frame(frame)
    for name in ("image", "value", "row", "column"):
        np.testing.assert_array_equal(getattr(back, name), getattr(peaks, name))


def test_top_pictures_merge_in_any_order() -> None:
    rng = np.random.default_rng(0)
    value = rng.integers(0, 6, (40, 7)).astype(np.float32)  # many ties
    place = np.zeros((40, 7), int)
    parts = [units.Peaks(np.arange(a, a + 10), value[a : a + 10], place[:10], place[:10]) for a in range(0, 40, 10)]
    whole = units.Top(5)
    for part in parts:
        whole.update(part)
    halves = [units.Top(5), units.Top(5)]
    for number, part in enumerate(reversed(parts)):
        halves[number % 2].update(part)
    halves[1].merge(halves[0])
    halves[1].merge(units.Top(5))
    assert whole.compute().equals(halves[1].compute())
    for unit in range(7):
        expected = sorted(range(40), key=lambda i: (-value[i, unit], i))[:5]
        assert whole.compute().query("unit == @unit")["image"].tolist() == expected


def test_neurons_of_linear_layers_are_units_too(zero_bias: nn.Module) -> None:
    peaks = units.responses(zero_bias, "hidden", [pictures(3)])
    assert peaks.value.shape == (3, 300)
    assert (peaks.row == 0).all()


def test_layers_that_are_not_there_or_never_run_are_named(zero_bias: nn.Module) -> None:
    with pytest.raises(InputError, match="conv1"):
        units.responses(zero_bias, "convol1", [pictures(1)])
    idle = nn.ModuleDict({"used": nn.Conv2d(1, 1, 1), "idle": nn.ReLU()})
    idle.forward = lambda x: idle["used"](x)  # type: ignore[method-assign,assignment]
    with pytest.raises(InputError, match="never runs"):
        units.responses(idle, "idle", [pictures(1)])
    with pytest.raises(InputError, match="no pictures"):
        units.responses(zero_bias, "conv1", [])


def test_a_survey_boxes_the_field_of_every_top_picture(zero_bias: nn.Module) -> None:
    given = pictures(6).numpy()
    found = survey(zero_bias, "conv3", given, np.arange(10, 16), 2, Preparation(["local_mean"]))
    assert len(found.top) == 2 * 256
    assert set(found.top["image"]) <= set(range(10, 16))
    inside = (found.top[["x0", "y0"]].to_numpy() >= 0).all() and (found.top[["x1", "y1"]].to_numpy() <= 96).all()
    assert inside
    assert (found.top["x1"] - found.top["x0"]).max() == 32
    whole = survey(zero_bias, "hidden", given, np.arange(6), 1, Preparation())
    assert whole.top[["x0", "y0", "x1", "y1"]].drop_duplicates().to_numpy().tolist() == [[0, 0, 96, 96]]


def test_likeness_is_the_mean_correlation_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    one, other = ([rng.normal(size=(1, 5, 7)).astype(np.float32) for _ in range(3)] for _ in range(2))
    boxes = np.tile([0, 0, 7, 5], (3, 1))
    expected = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)])
    assert units.likeness(units.Windows(one, boxes), units.Windows(other, boxes)) == pytest.approx(expected, abs=1e-6)
    assert units.likeness(units.Windows(one, boxes), units.Windows(one, boxes)) == pytest.approx(1.0)
