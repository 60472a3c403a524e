from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from duchenne import networks, units
from duchenne.errors import InputError
from duchenne.experiments.survey import survey
from duchenne.faces.preparation.steps import Preparation
from duchenne.units import layers
from duchenne.units.layers import Layer

from .convolutional import Small


def pictures(count: int, channels: int = 1, size: int = 96) -> Tensor:
    return torch.randn(count, channels, size, size, generator=Generator().manual_seed(1))


@pytest.fixture(scope="module")
def zero_bias() -> nn.Module:
    return networks.build("zero_bias", classes=8, seed=0)


# projections


@pytest.mark.parametrize("method", ["guided", "deconvnet", "gradient"])
@pytest.mark.parametrize("kind", ["functions", "reused", "methods"])
def test_however_a_relu_is_written_the_projection_is_the_same(kind: str, method: str) -> None:
    given, chosen, places = (
        pictures(4, size=32),
        np.arange(4),
        np.array([[0, 0], [3, 3], [7, 7], [2, 5]]),
    )
    expected = units.project(Small("modules"), "last", given, chosen, places, method).full((32, 32))
    found = units.project(Small(kind), "last", given, chosen, places, method).full((32, 32))
    np.testing.assert_array_equal(found, expected)
    assert np.abs(expected).max() > 0


def test_deconvnet_follows_the_definition_step_by_step() -> None:
    """Unpool by switches, rectify, convolve with the transposed filters:
    written out for one convolution of each.
    """
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 3, padding=1)
    )
    given = pictures(1, size=8)
    found = units.project(network, "3", given, np.array([1]), np.array([[2, 1]]), "deconvnet").full(
        (8, 8)
    )
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
    windows = units.project(
        network, "3", pictures(2, 3, 8), np.array([0, 3]), np.zeros((2, 2), int), "gradient"
    )
    assert windows.boxes.tolist() == [[0, 0, 8, 8]] * 2
    assert windows.full((8, 8)).shape == (2, 3, 8, 8)


def test_what_a_projection_cannot_use_is_refused(zero_bias: nn.Module) -> None:
    given, unit, place = (pictures(1), np.array([0]), np.array([[0, 0]]))
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
            units.project(network, "last", pictures(1, size=32), np.array([99]), np.array([[0, 0]]))
        with pytest.raises(RuntimeError):
            units.responses(network, "last", [torch.rand(1, 2, 32, 32)])
    else:
        units.project(network, "last", pictures(1, size=32), np.array([1]), np.array([[0, 0]]))
        units.responses(network, "last", [pictures(1, size=32)])
    assert flags == [
        (m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in network.modules()
    ]
    assert next(p.requires_grad for p in network.parameters()) is False
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


# responses


def test_peaks_are_the_maxima_after_relu_and_stand_where_they_say(zero_bias: nn.Module) -> None:
    given = pictures(5)
    activations = units.responses(zero_bias, "conv2", given.split(2))
    with torch.no_grad():
        maps = layers.output(zero_bias.eval(), "conv2", given)
    np.testing.assert_allclose(
        activations.value, maps.amax((2, 3)).clamp_min(0), rtol=1e-5, atol=1e-6
    )
    image, unit = np.ogrid[:5, :128]
    np.testing.assert_allclose(
        maps.numpy()[image, unit, activations.row, activations.column], maps.amax((2, 3)), rtol=1e-5
    )
    frame = activations.frame()
    assert list(frame) == ["image", "unit", "activation", "row", "col"]
    assert len(frame) == 5 * 128
    back = units.Activations.from_frame(frame)
    for name in ("image", "value", "row", "column"):
        np.testing.assert_array_equal(getattr(back, name), getattr(activations, name))


def test_neurons_of_linear_layers_are_units_too(zero_bias: nn.Module) -> None:
    activations = units.responses(zero_bias, "hidden", [pictures(3)])
    assert activations.value.shape == (3, 300)
    assert (activations.row == 0).all()


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
    found = survey(
        Layer(zero_bias, "conv3", Preparation(["local_mean"])), given, np.arange(10, 16), 2
    )
    assert len(found.top) == 2 * 256
    assert set(found.top["image"]) <= set(range(10, 16))
    inside = (found.top[["x0", "y0"]].to_numpy() >= 0).all() and (
        found.top[["x1", "y1"]].to_numpy() <= 96
    ).all()
    assert inside
    assert (found.top["x1"] - found.top["x0"]).max() == 32
    whole = survey(Layer(zero_bias, "hidden", Preparation()), given, np.arange(6), 1)
    assert whole.top[["x0", "y0", "x1", "y1"]].drop_duplicates().to_numpy().tolist() == [
        [0, 0, 96, 96]
    ]


def test_likeness_is_the_mean_correlation_of_the_pixels() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        [rng.normal(size=(1, 5, 7)).astype(np.float32) for _ in range(3)] for _ in range(2)
    )
    boxes = np.tile([0, 0, 7, 5], (3, 1))
    expected = np.mean(
        [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]
    )
    assert units.likeness(units.Windows(one, boxes), units.Windows(other, boxes)) == pytest.approx(
        expected, abs=1e-6
    )
    assert units.likeness(units.Windows(one, boxes), units.Windows(one, boxes)) == pytest.approx(
        1.0
    )


def test_what_are_no_batches_of_pictures_or_gives_no_row_for_each_is_refused() -> None:
    network, pictures = (
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3)),
        torch.rand(4, 1, 12, 12),
    )
    for batches in (pictures, [(pictures, torch.zeros(4))], [pictures[0]]):
        with pytest.raises(InputError, match="batches: tensors"):
            units.responses(network, "2", batches)
    tokens_first = nn.Sequential(nn.Conv2d(1, 8, 4, 4), nn.Flatten(2), TokensFirst())
    with pytest.raises(InputError, match="gives 16 rows for 5 pictures"):
        units.responses(tokens_first, "2", [torch.rand(5, 1, 16, 16)])
    with pytest.raises(InputError, match="not finite"):
        units.project(network, "2", torch.full((2, 1, 12, 12), torch.nan), np.array([0, 1]))


class TokensFirst(nn.Module):
    """(n, channels, tokens) to (tokens, n, channels), as PyTorch's
    transformers have them by default.
    """

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given.permute(2, 0, 1)
