from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator

from duchenne import networks
from duchenne.errors import InputError
from duchenne.networks import NETWORKS, Description
from duchenne.networks.zero_bias import ZeroBias

CLASSES = ("neutral", "anger", "fear")
READERS = [name for name in NETWORKS if name != "autoencoder"]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_is_saved_and_comes_back_the_same(
    name: str, channels: int, tmp_path: Path
) -> None:
    size = NETWORKS[name].SIZE  # type: ignore[attr-defined]
    classes = CLASSES if name in READERS else ()
    description = Description(name, classes, channels=channels, size=size, prepare=("local_mean",))
    network = networks.from_description(description, seed=1).eval()
    networks.save(tmp_path, network, description)
    found = networks.load(tmp_path)
    assert found.description == description
    assert not found.preparation
    pictures = torch.rand(2, channels, size, size)
    assert torch.equal(network(pictures), found.network(pictures))
    assert not found.network.training


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_network_takes_one_picture_or_many_and_has_the_layers_it_names(name: str) -> None:
    network = networks.build(name, classes=7 * (name in READERS), seed=0).eval()
    size = NETWORKS[name].SIZE  # type: ignore[attr-defined]
    many = torch.rand(5, 1, size, size)
    torch.testing.assert_close(network(many[:1]), network(many)[:1], atol=1e-5, rtol=1e-4)
    assert set(NETWORKS[name].LAYERS) <= {key for key, _ in network.named_modules()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_seed_decides_the_weights(name: str) -> None:
    classes = 3 * (name in READERS)
    one, same, other = (networks.build(name, classes, seed=s).state_dict() for s in (4, 4, 5))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not all(torch.equal(one[key], other[key]) for key in one)


def test_zero_bias_has_the_papers_parameters() -> None:
    convolutions = 25 * (64 + 64 * 128 + 128 * 256)
    hidden = 4 * 256 * 300 + 300
    for classes in (6, 7, 8):
        network = ZeroBias(classes)
        assert (
            sum(p.numel() for p in network.parameters())
            == convolutions + hidden + 300 * classes + classes
        )
        assert all(getattr(network, f"conv{i}").bias is None for i in (1, 2, 3))


def test_zhu_and_sparse_have_the_parameters_of_their_layers() -> None:
    for classes in (3, 8):
        zhu = (
            25 * (64 + 64 * 128 + 128 * 256)
            + 64
            + 128
            + 256
            + 12 * 12 * 256 * 1024
            + 1024
            + 1024 * classes
            + classes
        )
        assert sum(p.numel() for p in networks.build("zhu", classes).parameters()) == zhu
        sparse = (
            121 * (10 + 2 * 10 * 10)
            + 30
            + 7 * 7 * 10 * 500
            + 500
            + 500 * 250
            + 250
            + 250 * classes
            + classes
        )
        assert sum(p.numel() for p in networks.build("sparse", classes).parameters()) == sparse


def test_weights_as_printed_by_zhu2018_have_deviation_1() -> None:
    printed, scaled = (
        networks.build("zhu", 8, 0, initialisation=name) for name in ("as_printed", "scaled")
    )
    assert printed.conv2.weight.std().item() == pytest.approx(1, abs=0.01)
    assert scaled.conv2.weight.std().item() == pytest.approx((2 / (64 * 25)) ** 0.5, rel=0.01)


@pytest.mark.parametrize(("name", "size"), [("zhu", 7), ("sparse", 77), ("lipnet", 10)])
def test_pictures_that_are_too_small_for_a_network_are_refused(name: str, size: int) -> None:
    with pytest.raises(InputError, match=name):
        networks.build(name, 3, size=size)


def test_quadrant_pooling_takes_the_maximum_of_each_quadrant() -> None:
    maps = torch.rand(2, 3, 24, 24)
    pooled = ZeroBias(2).quadrants(maps)
    for row in range(2):
        for column in range(2):
            quadrant = maps[:, :, 12 * row : 12 * row + 12, 12 * column : 12 * column + 12]
            assert torch.equal(pooled[:, :, row, column], quadrant.amax((2, 3)))


@pytest.mark.parametrize("initialisation", ["root", "as_printed"])
def test_weights_are_drawn_with_one_gain_for_the_whole_network(initialisation: str) -> None:
    network = ZeroBias(8, initialisation=initialisation, generator=Generator().manual_seed(7))  # type: ignore[arg-type]
    gains = []
    for layer in (network.conv1, network.conv2, network.conv3, network.hidden):
        fan_in = layer.weight[0].numel()
        gains.append(
            layer.weight.std().item() * (fan_in**0.5 if initialisation == "root" else fan_in)
        )
    assert max(gains) / min(gains) < 1.1
    assert min(gains) > 0.19
    assert max(gains) < 1.25
    assert (network.hidden.bias == 1).all()


def test_unknown_networks_and_options_are_refused() -> None:
    with pytest.raises(InputError, match="'resnet'"):
        networks.build("resnet", classes=3)
    with pytest.raises(InputError, match="'depth'"):
        networks.build("zero_bias", classes=3, depth=4)
    with pytest.raises(InputError, match="how many classes"):
        networks.build("zero_bias")
    with pytest.raises(InputError, match="duchenne manifold"):
        networks.build("autoencoder", classes=3)


def test_what_is_not_a_saved_network_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"network\.json"):
        networks.load(tmp_path)
    description = Description("zero_bias", CLASSES)
    networks.save(tmp_path, networks.from_description(description), description)
    told = json.loads((tmp_path / "network.json").read_text())
    for change in ({"classes": ["a", "b"]}, {"name": "resnet"}, {"extra": 1}):
        (tmp_path / "network.json").write_text(json.dumps(told | change))
        with pytest.raises(InputError, match="not") as caught:
            networks.load(tmp_path)
        assert "\n" not in str(caught.value)
    networks.save(tmp_path, networks.from_description(description), description)
    (tmp_path / "network.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match="not a saved network"):
        networks.load(tmp_path)


def test_a_half_written_save_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = Description("zero_bias", CLASSES)
    network = networks.from_description(description, seed=0)
    networks.save(tmp_path, network, description)
    before = (tmp_path / "network.safetensors").read_bytes()

    def full_disk(weights: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        networks.save(tmp_path, network, replace(description, size=48))
    assert (tmp_path / "network.safetensors").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["network.json", "network.safetensors"]


def test_the_documentation_counts_what_the_networks_have_learned() -> None:
    told = Path("docs/recipes.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (`[^|]*) \|[^|]*\| ([\d,]+) \((?:(\d) classes)?[^|]*\| (\d+)×\d+ \| ([^|]*) \|$",
        told,
        re.MULTILINE,
    )
    found = [(name, *rest) for names, *rest in rows for name in re.findall(r"`(\w+)`", names)]
    assert {name for name, *_ in found} == set(NETWORKS)
    for name, count, classes, size, layers in found:
        network = networks.build(name, int(classes or 0))
        assert sum(p.numel() for p in network.parameters()) == int(count.replace(",", ""))
        assert int(size) == NETWORKS[name].SIZE  # type: ignore[attr-defined]
        first, *_, last = NETWORKS[name].LAYERS  # type: ignore[attr-defined]
        assert re.findall(r"`([\w.]+)`", layers)[:: len(layers)] == [first]
        assert layers.endswith(f"`{last}`")
