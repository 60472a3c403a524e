from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from duchenne.networks.pyramidal import READINGS, Inhibition, LipNet, Pyramidal, PyraNet


def layer(reading: str = "lateral", strength: float = 0.0, side: int = 13) -> Pyramidal:
    inhibition = Inhibition(2, strength, reading)
    made = Pyramidal((2, side, side + 2), 5, 3, inhibition, Generator().manual_seed(0)).double()
    torch.nn.init.normal_(made.bias, generator=Generator().manual_seed(1))
    return made


def fields(maps: np.ndarray, made: Pyramidal, wider: int = 0) -> np.ndarray:
    """A slow loop over neurons and positions: the weighted input of each
    field, 0 outside of the map.
    """
    weight = made.weight.detach().numpy()
    height, width = made.bias.shape
    sums = np.zeros((len(maps), height, width))
    for n, u, v in np.ndindex(sums.shape):
        for i in range(u * made.gap - wider, u * made.gap + made.field + wider):
            for j in range(v * made.gap - wider, v * made.gap + made.field + wider):
                if 0 <= i < weight.shape[1] and 0 <= j < weight.shape[2]:
                    sums[n, u, v] += (weight[:, i, j] * maps[n, :, i, j]).sum()
    return sums


def neighbours(maps: np.ndarray, radius: int) -> np.ndarray:
    sums = np.zeros_like(maps)
    for n, u, v in np.ndindex(maps.shape):
        for i in range(max(u - radius, 0), min(u + radius + 1, maps.shape[1])):
            for j in range(max(v - radius, 0), min(v + radius + 1, maps.shape[2])):
                if (i, j) != (u, v):
                    sums[n, u, v] += maps[n, i, j]
    return sums


@pytest.mark.parametrize("side", [12, 13, 16])
@pytest.mark.parametrize("reading", list(READINGS))
@pytest.mark.parametrize("strength", [0.0, 0.05])
def test_a_layer_is_a_loop_over_neurons_and_positions(
    reading: str, strength: float, side: int
) -> None:
    made = layer(reading, strength, side)
    maps = torch.rand(
        2, 2, side, side + 2, dtype=torch.float64, generator=Generator().manual_seed(2)
    )
    own = fields(maps.numpy(), made)
    sums = own + made.bias.detach().numpy()
    inhibition = {
        "lateral": neighbours(sums, 2),
        "surround": fields(maps.numpy(), made, wider=2) - own,
        "output": neighbours(np.tanh(sums), 2),
    }[reading]
    np.testing.assert_allclose(
        made(maps)[:, 0].detach(), np.tanh(sums - strength * inhibition), atol=1e-12
    )


@pytest.mark.parametrize("reading", list(READINGS))
@pytest.mark.parametrize("strength", [0.0, 0.05])
def test_gradients_are_those_of_finite_differences(reading: str, strength: float) -> None:
    made = layer(reading, strength, 9)
    maps = torch.rand(
        1, 2, 9, 11, dtype=torch.float64, generator=Generator().manual_seed(2), requires_grad=True
    )

    def answer(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(
            made, {"weight": weight, "bias": bias}, (given,)
        )
        return found

    assert torch.autograd.gradcheck(answer, (maps, made.weight, made.bias), atol=1e-6)


def test_sizes_and_parameters_are_those_of_the_paper() -> None:
    for net in (PyraNet, LipNet):
        network = net(3)
        assert network.pyramid1.bias.shape == (30, 30)
        assert network.pyramid2.bias.shape == (10, 10)
        assert sum(p.numel() for p in network.parameters()) == 10_000 + 900 + 900 + 100 + 300 + 3


@pytest.mark.parametrize("reading", list(READINGS))
def test_without_strength_lipnet_is_pyranet(reading: str) -> None:
    pictures = torch.rand(3, 1, 100, 100, generator=Generator().manual_seed(0))
    plain = PyraNet(3, generator=Generator().manual_seed(1))
    without, inhibited = (
        LipNet(3, reading=reading, strength=strength, generator=Generator().manual_seed(1))
        for strength in (0.0, 1.0)
    )
    assert torch.equal(plain(pictures), without(pictures))
    assert not torch.allclose(plain(pictures), inhibited(pictures))


def test_probabilities_of_three_classes_stay_where_the_paper_reports_them() -> None:
    """softmax(sigmoid(s)) lies in [1 / (1 + 2e), e / (e + 2)]: its Fig. 10
    shows 38, 45 and 48 %.
    """
    network = LipNet(3, generator=Generator().manual_seed(1))
    torch.nn.init.normal_(network.output.weight, std=30, generator=Generator().manual_seed(2))
    found = torch.softmax(
        network(torch.rand(50, 1, 100, 100, generator=Generator().manual_seed(3))), 1
    )
    assert found.min() >= 1 / (1 + 2 * np.e) - 1e-6
    assert found.max() <= np.e / (np.e + 2) + 1e-6


def test_readings_and_shapes_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="'sideways'"):
        LipNet(3, reading="sideways")
    with pytest.raises(ValueError, match="do not fit"):
        Pyramidal((1, 2, 2), 5, 3)
