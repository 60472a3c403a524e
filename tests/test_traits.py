from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from duchenne import networks, units
from duchenne.evidence import traits
from duchenne.experiments import measure_traits
from duchenne.units import Windows

from .convolutional import Small

RNG = np.random.default_rng(0)


def test_invariance_is_the_mean_correlation_over_pairs_of_whole_fields() -> None:
    pixels = [RNG.normal(size=(1, 5, 7)).astype(np.float32) for _ in range(9)]
    boxes = np.tile([0, 0, 7, 5], (9, 1))
    # cut short by the border
    pixels[4], boxes[4] = (pixels[4][:, :3], np.array([0, 0, 7, 3]))
    units = np.array([3, 3, 3, 3, 3, 8, 8, 5, 5])
    classes = np.array(["fear", "fear", "anger", "fear", "anger", "fear", "fear", "fear", "anger"])
    found = traits.invariance(Windows(pixels, boxes), units, classes).set_index("unit")
    for unit, numbers in {3: [0, 1, 2, 3], 8: [5, 6], 5: [7, 8]}.items():
        pairs = list(itertools.combinations(numbers, 2))
        values = {
            pair: np.corrcoef(pixels[pair[0]].ravel(), pixels[pair[1]].ravel())[0, 1]
            for pair in pairs
        }
        other = [values[a, b] for a, b in pairs if classes[a] != classes[b]]
        assert found.loc[unit, "pictures"] == len(numbers)
        assert found.loc[unit, "alike"] == pytest.approx(np.mean(list(values.values())), abs=1e-6)
        assert found.loc[unit, "across"] == pytest.approx(
            np.mean(other) if other else np.nan, abs=1e-6, nan_ok=True
        )


def test_the_effective_number_of_filters_is_the_participation_ratio() -> None:
    projections = RNG.normal(size=(12, 40)) + RNG.normal(size=40)
    projections[7] = 0  # silent
    heard = np.delete(projections, 7, 0)
    unit = heard / np.linalg.norm(heard, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(unit @ unit.T)
    cosine, effective = traits.redundancy(projections)
    assert effective == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-9)
    pairs = [unit[a] @ unit[b] for a, b in itertools.combinations(range(11), 2)]
    assert cosine == pytest.approx(np.mean(pairs), abs=1e-9)


def test_sparsity_and_resemblance_follow_their_formulas() -> None:
    maps = RNG.exponential(size=(6, 30))
    expected = [(30**0.5 - np.abs(row).sum() / (row @ row) ** 0.5) / (30**0.5 - 1) for row in maps]
    np.testing.assert_allclose(traits.sparsity(maps), expected, rtol=1e-12)
    assert np.isnan(traits.sparsity(np.zeros((1, 4)))[0])
    pictures = RNG.normal(size=(6, 30))
    expected = [stats.pearsonr(a, b).statistic ** 2 for a, b in zip(maps, pictures, strict=True)]
    np.testing.assert_allclose(traits.resemblance(maps, pictures), expected, rtol=1e-9)
    np.testing.assert_allclose(traits.resemblance(3 - 2 * pictures, pictures), 1, rtol=1e-12)


def test_intervals_are_over_groups() -> None:
    """Student's where every row is a group of its own, and wider where rows
    repeat a few people.
    """
    values = RNG.normal(size=200)
    found = traits.estimate(values, np.mean)
    expected = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(expected)
    people = np.repeat(np.arange(10), 20)
    grouped = traits.estimate(values + RNG.normal(size=10)[people], np.mean, people)
    assert grouped.high - grouped.low > 3 * (found.high - found.low)


def test_that_resembling_projections_go_with_small_errors_would_be_found() -> None:
    resembling, people = (RNG.random(120), np.repeat(np.arange(24), 5))
    right = np.clip(resembling + 0.2 * RNG.normal(size=120), 0, 1)
    found = traits.resemblance_and_error(resembling, right, people)
    assert found.value == pytest.approx(stats.spearmanr(resembling, 1 - right).statistic)
    assert found.high < -0.5
    other = traits.resemblance_and_error(resembling, RNG.permutation(right), people)
    assert other.low < 0 < other.high


def test_a_layers_traits_are_those_of_its_projections() -> None:
    network, count = Small(), 12
    pictures = torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    people, expressions = (np.repeat(np.arange(6), 2), np.tile(["fear", "anger"], 6))
    right = RNG.random(count)
    faces = measure_traits.Pictures(pictures, expressions, people, right)
    counts = measure_traits.Counts(top=4, pictures=count)
    found = measure_traits.of_layer(network, "last", faces, counts=counts).set_index("trait")
    cosines, shares, resembling = [], [], []
    for picture in pictures:
        seen = units.project(
            network, "last", picture[None].repeat(5, 1, 1, 1), np.arange(5), "max", "deconvnet"
        ).full((32, 32))
        cosine, effective = traits.redundancy(seen.reshape(5, -1))
        cosines.append(cosine)
        shares.append(effective / 5)
        activations = network(picture[None]).detach().flatten(2).amax(2)[0].numpy()
        together = sum(
            activation * projection
            for activation, projection in zip(activations, seen, strict=True)
        )
        resembling.append(np.corrcoef(together.ravel(), picture.numpy().ravel())[0, 1] ** 2)
    assert found.loc["cosine", "value"] == pytest.approx(np.mean(cosines), rel=1e-5)
    assert found.loc["effective share", "value"] == pytest.approx(np.mean(shares), rel=1e-5)
    assert found.loc["resemblance", "value"] == pytest.approx(np.mean(resembling), rel=1e-4)
    expected = stats.spearmanr(resembling, 1 - right).statistic
    assert found.loc["resemblance and error", "value"] == pytest.approx(expected, abs=1e-6)
    shares = [
        np.nanmean(measure_traits.kept(network, "last", picture[None])) for picture in pictures[::6]
    ]
    assert found.loc["energy kept", "value"] == pytest.approx(np.mean(shares), rel=1e-5)
    known = found.dropna()
    assert len(known) >= 5
    assert (known["low"] <= known["value"] + 1e-9).all()
    assert (known["value"] <= known["high"] + 1e-9).all()


def test_what_a_map_keeps_is_what_it_alone_gives_back() -> None:
    network, picture = (
        Small(),
        torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0)),
    )
    found = measure_traits.kept(network, "last", picture, "gradient")
    pixels = picture.clone().requires_grad_()
    made = network(pixels)
    for unit in range(5):
        (signal,) = torch.autograd.grad(
            (made[0, unit].detach() * made[0, unit]).sum(), pixels, retain_graph=True
        )
        expected = np.corrcoef(signal.flatten(), picture.flatten())[0, 1] ** 2
        assert found[unit] == pytest.approx(expected, rel=1e-4)
    network.conv1.weight.data.zero_()
    network.conv1.bias.data.fill_(-1)
    assert np.isnan(measure_traits.kept(network, "conv2", picture)).all()


def test_filters_that_are_all_the_same_are_one() -> None:
    network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3))
    for layer in (network[0], network[2]):
        layer.weight.data = layer.weight.data[:1].abs().repeat(len(layer.weight), 1, 1, 1)
    pictures = torch.rand(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    same = np.array(["fear"] * 4)
    faces = measure_traits.Pictures(pictures, same, np.arange(4), np.ones(4))
    found = measure_traits.of_layer(network, "2", faces).set_index("trait")["value"]
    assert found["effective share"] == pytest.approx(1 / 4, rel=1e-5)
    assert found["cosine"] == pytest.approx(1, rel=1e-5)


@pytest.mark.slow
def test_where_a_layer_gives_a_single_map_its_neurons_are_the_filters() -> None:
    """As in pyramidal layers: against weights written out, which a layer
    without overlap makes alike on all pictures.
    """
    network = networks.build("pyranet", classes=3, seed=0).eval()
    pictures = torch.rand(3, 1, 100, 100, generator=torch.Generator().manual_seed(0))
    drawn = (np.array(["fear", "anger", "fear"]), np.arange(3), np.ones(3))
    faces = measure_traits.Pictures(pictures, *drawn)
    found = measure_traits.of_layer(network, "pyramid1", faces, "gradient")
    found = found.set_index("trait")["value"]
    layer = network.pyramid1
    cosines, resembling = [], []
    for picture in pictures:
        made = layer(picture[None])[0, 0].detach().numpy()
        seen = np.zeros((30, 30, 100, 100))
        for row, column in np.ndindex(30, 30):
            rows, columns = (slice(3 * row, 3 * row + 15), slice(3 * column, 3 * column + 15))
            weights = layer.weight[0, rows, columns].detach().numpy()
            seen[row, column, rows, columns] = (1 - made[row, column] ** 2) * weights
        flat = seen.reshape(900, -1)
        cosines.append(traits.redundancy(flat)[0])
        resembling.append(np.corrcoef(made.ravel() @ flat, picture.numpy().ravel())[0, 1] ** 2)
    assert found["alike"] == pytest.approx(1, abs=1e-6)
    assert found["cosine"] == pytest.approx(np.mean(cosines), rel=1e-4)
    assert found["resemblance"] == pytest.approx(np.mean(resembling), rel=1e-4)
    assert 0.02 < found["effective share"] < 1
    assert found["energy kept"] > 0
