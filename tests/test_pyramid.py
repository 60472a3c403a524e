from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator, nn

from duchenne import networks
from duchenne.errors import InputError
from duchenne.units import contributions, layers

from .convolutional import Small

PICTURES = torch.rand(3, 1, 100, 100, generator=Generator().manual_seed(0))


@pytest.mark.parametrize("layer", ["pyramid1", "pyramid2", "neurons"])
@pytest.mark.parametrize("reading", ["lateral", "surround", "output"])
def test_brightness_is_the_weighted_mean_of_the_most_active_neurons_gradients(
    layer: str, reading: str
) -> None:
    """Independent reference: neuron by neuron, as the paper tells it."""
    network = networks.build("lipnet", classes=3, seed=0, reading=reading)
    prepared = 2 * PICTURES - 1
    found = contributions.contributions(
        network, layer, prepared, PICTURES.numpy(), share=0.05
    ).brightness
    for number in range(3):
        pixels = prepared[number : number + 1].clone().requires_grad_()
        maps = network.pyramid1(pixels)
        activity = (maps if layer == "pyramid1" else network.pyramid2(maps)).flatten()
        most = activity.abs().argsort(descending=True)[: round(0.05 * len(activity))].tolist()
        summed, weights = np.zeros((100, 100)), 0.0
        for neuron in most:
            (signal,) = torch.autograd.grad(activity[neuron], pixels, retain_graph=True)
            weight = abs(activity[neuron].item())
            summed, weights = (summed + weight * signal[0, 0].numpy(), weights + weight)
        expected = np.abs(summed / weights)
        np.testing.assert_allclose(found[number], 255 * expected / expected.max(), atol=0.01)


@pytest.mark.parametrize("kind", ["modules", "functions", "reused", "methods"])
def test_neurons_that_a_relu_silences_are_not_active(kind: str) -> None:
    network, pictures = (
        Small(kind),
        torch.randn(2, 1, 16, 16, generator=Generator().manual_seed(0)),
    )
    with torch.no_grad():
        made = network.conv1(pictures)
        assert torch.equal(layers.activation_maps(network, "conv1", pictures), made.clamp_min(0))
        assert torch.equal(layers.activation_maps(network, "last", pictures), network(pictures))
    assert (made < 0).any()
    assert not network.conv1._forward_hooks


def test_of_a_rectified_layer_the_loudest_neurons_are_traced_and_not_the_most_negative() -> None:
    network, pictures = (Small(), torch.randn(1, 1, 16, 16, generator=Generator().manual_seed(0)))
    found = contributions.contributions(
        network, "conv2", pictures, pictures.numpy(), share=0.1
    ).brightness[0]
    pixels = pictures.clone().requires_grad_()
    made = network.conv2(network.pool(network.conv1(pixels).relu())).flatten()
    most = made.argsort(descending=True)[: round(0.1 * len(made))]
    weights = made[most].detach()
    (signal,) = torch.autograd.grad((weights * made[most]).sum() / weights.sum(), pixels)
    expected = signal[0, 0].abs().numpy()
    np.testing.assert_allclose(found, 255 * expected / expected.max(), atol=0.01)


def test_combined_and_thresholded_pictures_follow_from_brightness() -> None:
    brightness = np.array([[[0, 79.9], [80, 255]]], np.float32)
    seen = contributions.Contributions(brightness, np.full((1, 3, 2, 2), 0.5, np.float32))
    np.testing.assert_allclose(
        seen.combined, np.broadcast_to(0.5 * brightness / 255, (1, 3, 2, 2)), rtol=1e-6
    )
    np.testing.assert_array_equal(seen.thresholded(), [[[0, 0], [80, 255]]])


def test_a_silent_layer_is_dark_and_colours_count_by_their_largest() -> None:
    network = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False))
    network[0].weight.data = torch.tensor([1.0, -3.0, 2.0]).view(1, 3, 1, 1)
    pictures = torch.zeros(2, 3, 4, 4)
    pictures[1, 0, 2, 1] = 1
    found = contributions.contributions(
        network, "0", pictures, pictures.numpy(), share=0.01
    ).brightness
    assert (found[0] == 0).all()
    assert np.argwhere(found[1]).tolist() == [[2, 1]]
    assert found.max() == 255


def test_what_cannot_be_traced_is_refused() -> None:
    network = networks.build("lipnet", classes=3)
    with pytest.raises(InputError, match="a share of 0"):
        contributions.contributions(network, "pyramid1", PICTURES, PICTURES.numpy(), share=0)
    with pytest.raises(InputError, match="'integrated'"):
        contributions.contributions(
            network, "pyramid1", PICTURES, PICTURES.numpy(), method="integrated"
        )
    with pytest.raises(InputError, match="the nearest are"):
        contributions.contributions(network, "pyramid3", PICTURES, PICTURES.numpy())
