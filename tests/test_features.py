"""Units that are read off what a layer gives: each beside a slow reference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.decomposition import PCA
from torch import Tensor, nn

import duchenne
from duchenne.errors import InputError
from duchenne.recipes.cards import read_card
from duchenne.study.workspace import Workspace
from duchenne.units import features, layers, project, responses
from duchenne.units.ablation import Ablation

from . import dresses
from .test_audit import SMALL, WEIGHTS


class Attention(nn.Module):
    """Two heads over tokens, their parts mixed by ``proj``."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 2
        self.qkv = nn.Linear(8, 24)
        self.proj = nn.Linear(8, 8)

    def parts(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(tokens).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / 2).softmax(-1)
        return (weights @ v).transpose(1, 2)  # (n, tokens, heads, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.proj(self.parts(tokens).flatten(2))


class Tokens(nn.Module):
    """A class token and 4 × 4 patches, one block of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.cls = nn.Parameter(torch.randn(1, 1, 8))
        self.attention = Attention()
        self.norm = nn.LayerNorm(8)
        self.output = nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patches(pictures).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(patches), -1, -1), patches], 1)
        return self.output(self.norm(tokens + self.attention(tokens)).mean(1))


def tokens() -> tuple[Tokens, Tensor]:
    torch.manual_seed(0)
    return Tokens().eval(), torch.rand(5, 1, 16, 16)


def row() -> tuple[nn.Sequential, Tensor]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(216, 4))
    return network.eval(), torch.rand(5, 1, 8, 8)


def ablated(network: nn.Module, name: str, pictures: Tensor, units: list[int]) -> Tensor:
    count = responses(network, name, [pictures]).value.shape[1]
    mask = np.zeros((1, count), bool)
    mask[0, units] = True
    return Ablation(network, name, pictures)(pictures, mask)[:, 0]


def test_a_network_gives_the_same_until_its_features_are_changed() -> None:
    for network, pictures in (row(), tokens()):
        before = network(pictures)
        name = "1" if isinstance(network, nn.Sequential) else "norm"
        for kind in ("signed", "pca=3"):
            features.attach(network, f"{name}:{kind}", [pictures])
        with torch.no_grad():
            assert torch.equal(network(pictures), before)
        assert torch.allclose(network(pictures), before, atol=1e-6)


def test_components_are_those_of_scikit_learn() -> None:
    network, pictures = row()
    given = layers.output(network, "1", pictures)
    flat = given.movedim(1, -1).flatten(0, -2).detach().numpy()
    features.attach(network, "1:pca=3", pictures.split(2))
    found = layers.output(network, "1:pca=3", pictures).detach().movedim(1, -1)
    wanted = PCA(3).fit_transform(flat)
    signs = np.sign((wanted * found.flatten(0, -2).numpy()).sum(0))
    np.testing.assert_allclose(found.flatten(0, -2).numpy(), wanted * signs, atol=1e-5)


def test_without_a_component_the_layer_passes_on_what_is_left() -> None:
    network, pictures = row()
    fitted = features.attach(network, "1:pca=3", [pictures])
    direction = fitted["1:pca=3/directions"][:, 1]
    given = layers.output(network, "1", pictures).detach().movedim(1, -1)
    left = given - ((given - fitted["1:pca=3/mean"]) @ direction)[..., None] * direction
    wanted = network[3](left.movedim(-1, 1).flatten(1))
    assert torch.allclose(ablated(network, "1:pca=3", pictures, [1]), wanted, atol=1e-5)


def test_signed_units_are_what_lies_above_and_below() -> None:
    network, pictures = row()
    given = layers.output(network, "1", pictures).detach()
    features.attach(network, "1:signed", [pictures])
    found = layers.output(network, "1:signed", pictures).detach()
    assert torch.equal(found, torch.cat([given.clamp_min(0), (-given).clamp_min(0)], 1))
    only_above = given.clone()
    only_above[:, 2] = only_above[:, 2].clamp_min(0)
    wanted = network[3](only_above.flatten(1))
    assert torch.allclose(ablated(network, "1:signed", pictures, [8]), wanted, atol=1e-5)


@pytest.mark.parametrize("threshold", [False, True])
def test_features_of_a_sparse_autoencoder(tmp_path: Path, threshold: bool) -> None:
    network, pictures = row()
    torch.manual_seed(1)
    arrays = {
        "W_enc": torch.randn(6, 20),
        "b_enc": torch.randn(20),
        "W_dec": torch.randn(20, 6),
        "b_dec": torch.randn(6),
    }
    if threshold:
        arrays["threshold"] = torch.rand(20)
    save_file(arrays, tmp_path / "sae.safetensors")
    name = f"1:sae={tmp_path / 'sae.safetensors'}"
    given = layers.output(network, "1", pictures).detach().movedim(1, -1)
    kept = features.attach(network, name, [pictures])
    found = layers.output(network, name, pictures).detach().movedim(1, -1)
    wanted = (given - arrays["b_dec"]) @ arrays["W_enc"] + arrays["b_enc"]
    wanted = torch.where(wanted > arrays.get("threshold", torch.zeros(20)), wanted, 0).relu()
    assert torch.allclose(found, wanted, atol=1e-6)
    left = given - wanted[..., 4:5] * arrays["W_dec"][4]
    passed = network[3](left.movedim(-1, 1).flatten(1))
    assert torch.allclose(ablated(network, name, pictures, [4]), passed, atol=1e-5)
    again, _ = row()
    (tmp_path / "sae.safetensors").unlink()
    assert features.attach(again, name, [pictures], kept).keys() == kept.keys()
    assert torch.equal(layers.output(again, name, pictures).movedim(1, -1), found)


def test_a_head_is_the_norm_of_its_part_and_goes_with_it() -> None:
    network, pictures = tokens()
    kept: list[Tensor] = []
    network.attention.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    network(pictures)
    parts = network.attention.parts(kept[0]).detach()
    features.attach(network, "attention:heads", [pictures])
    found = layers.output(network, "attention:heads", pictures).detach()
    assert torch.allclose(found, parts.norm(dim=-1), atol=1e-6)
    parts[:, :, 1] = 0
    mixed = network.attention.proj(parts.flatten(2))
    wanted = network.output(network.norm(kept[0] + mixed).mean(1))
    assert torch.allclose(ablated(network, "attention:heads", pictures, [1]), wanted, atol=1e-5)


def test_patches_are_a_map_and_the_class_token_stands_alone() -> None:
    network, pictures = tokens()
    given = layers.output(network, "norm", pictures).detach()
    features.attach(network, "norm:patches", [pictures])
    features.attach(network, "norm:class", [pictures])
    patches = layers.output(network, "norm:patches", pictures).detach()
    assert torch.equal(patches, given[:, 1:].transpose(1, 2).unflatten(2, (4, 4)))
    assert torch.equal(layers.output(network, "norm:class", pictures), given[:, :1])
    left = given.clone()
    left[:, 1:, 3] = 0
    wanted = network.output(left.mean(1))
    assert torch.allclose(ablated(network, "norm:patches", pictures, [3]), wanted, atol=1e-5)


def test_features_of_features() -> None:
    network, pictures = row()
    features.attach(network, "1:pca=2:signed", [pictures])
    found = layers.output(network, "1:pca=2", pictures)
    both = layers.output(network, "1:pca=2:signed", pictures)
    assert torch.equal(both, torch.cat([found.clamp_min(0), (-found).clamp_min(0)], 1))


def test_the_largest_loading_of_a_component_is_above_0() -> None:
    network, pictures = row()
    directions = features.attach(network, "1:pca=4", [pictures])["1:pca=4/directions"]
    assert (directions.max(0).values == directions.abs().max(0).values).all()
    torch.testing.assert_close(directions.T @ directions, torch.eye(4), atol=1e-5, rtol=0)


def test_what_a_component_sees_is_its_gradient() -> None:
    network, pictures = row()
    features.attach(network, "1:pca=2", [pictures])
    asked = pictures[:1].clone().requires_grad_()
    kept: list[Tensor] = []
    handle = layers.find(network, "1:pca=2").register_forward_hook(
        lambda module, inputs, given: kept.append(given)
    )
    network(asked)
    handle.remove()
    (wanted,) = torch.autograd.grad(kept[0][0, 1, 3, 2], asked)
    places = np.array([[3, 2]])
    found = project(network, "1:pca=2", pictures[:1], np.array([1]), places, "gradient")
    seen = found.full((8, 8))[0, 0]
    np.testing.assert_allclose(seen, wanted[0, 0].numpy(), atol=1e-6)


def test_what_a_network_gives_depends_on_a_feature_as_ablation_says() -> None:
    """The gradient by a feature of a linear read-out is what taking it away
    changes, by its size.
    """
    network, pictures = row()
    features.attach(network, "1:pca=3", [pictures])
    kept: list[Tensor] = []
    handle = layers.find(network, "1:pca=3").register_forward_hook(
        lambda module, inputs, given: kept.append(given)
    )
    given = network(pictures)
    handle.remove()
    (by_feature,) = torch.autograd.grad(given[:, 0].sum(), kept[0])
    expected = (by_feature[:, 1] * kept[0][:, 1]).sum((1, 2)).detach()
    without = ablated(network, "1:pca=3", pictures, [1])[:, 0]
    torch.testing.assert_close(given[:, 0].detach() - without.detach(), expected)


def test_features_of_features_are_ablated_in_the_layer_itself() -> None:
    network, pictures = row()
    fitted = features.attach(network, "1:pca=2:signed", [pictures])
    direction = fitted["1:pca=2/directions"][:, 0]
    given = layers.output(network, "1", pictures).detach().movedim(1, -1)
    size = ((given - fitted["1:pca=2/mean"]) @ direction).clamp_max(0)
    left = given - size[..., None] * direction
    wanted = network[3](left.movedim(-1, 1).flatten(1))
    assert torch.allclose(ablated(network, "1:pca=2:signed", pictures, [2]), wanted, atol=1e-5)


@pytest.mark.parametrize("make", [row, tokens])
def test_features_that_are_taken_away_leave_nothing_behind(
    make: Callable[[], tuple[nn.Module, Tensor]],
) -> None:
    network, pictures = make()
    names = [name for name, _ in network.named_modules()]
    kind = type(network)
    name = "1:pca=2:signed" if kind is nn.Sequential else "attention:heads"
    attached = features.attached(network, name, [pictures])
    with pytest.raises(ZeroDivisionError), attached:  # noqa: PT012
        assert name in dict(network.named_modules())
        raise ZeroDivisionError
    assert [name for name, _ in network.named_modules()] == names
    assert type(network) is kind
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert torch.equal(copy.deepcopy(network)(pictures), network(pictures))


def test_a_head_without_a_part_stays_without_one() -> None:
    network, pictures = tokens()
    with torch.no_grad():
        network.attention.qkv.weight[16:20] = 0
        network.attention.qkv.bias[16:20] = 0
    features.attach(network, "attention:heads", [pictures])
    fill = torch.tensor([9.0, 0.0])
    mask = np.array([[True, False]])
    found = Ablation(network, "attention:heads", pictures, fill)(pictures, mask)
    assert torch.isfinite(found).all()


class Inner(nn.Module):
    """The layout in which the module that has heads does not mix them."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 2
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.query(tokens) * self.key(tokens) + self.value(tokens)


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.inner = Inner()
        self.dense = nn.Linear(8, 8)
        self.output = nn.Linear(8, 3)

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        return self.output(self.dense(self.inner(tokens)).mean(1))


def test_heads_are_not_read_where_none_are_mixed() -> None:
    network, pictures = Outer().eval(), torch.rand(2, 1, 16, 16)
    with pytest.raises(InputError, match="holds no linear layer that mixes its heads"):
        features.attach(network, "inner:heads", [pictures])
    with pytest.raises(InputError, match="its 16 tokens are all of patches"):
        features.attach(network, "inner:class", [pictures])


def test_what_was_kept_must_hold_what_is_needed() -> None:
    network, pictures = row()
    with pytest.raises(InputError, match="what it is computed with is missing"):
        features.attach(network, "1:pca=2", [pictures], {})


def test_a_file_of_features_begins_at_the_cards_folder(tmp_path: Path) -> None:
    card = dresses.card(tmp_path, "small_network.py:Plain", WEIGHTS)
    card.write_text(card.read_text() + '[units]\nlayer = "conv2:sae=sae.safetensors"\n')
    recipe = read_card(str(card))
    assert recipe.units.layer == f"conv2:sae={tmp_path / 'sae.safetensors'}"
    recipe = read_card(str(card), ['units.layer="conv2:sae=other.safetensors"'])
    assert recipe.units.layer == f"conv2:sae={Path.cwd() / 'other.safetensors'}"


REFUSED = {
    "1:pca=0": "layer '1:pca=0': pca takes how many components, 1 to 6",
    "1:pca=seven": "pca takes how many components, 1 to 6",
    "1:pca=7": "pca takes how many components, 1 to 6",
    "1:sae=there.is.none": "there.is.none: no such file",
    "1:patches": "layer '1': gives no tokens",
    "0:heads": "layer '0': runs no linear layer, and is no attention",
    "3:heads": "layer '3': holds no linear layer that mixes its heads",
    "7:signed": "layer '7': the network has none of that name",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_layer_has_not_is_told_in_a_line(name: str) -> None:
    network, pictures = row()
    with pytest.raises(InputError, match=REFUSED[name].split("'")[-1]) as refused:
        features.attach(network, name, [pictures])
    assert REFUSED[name] in str(refused.value)


def test_what_is_no_feature_is_told_with_those_that_are() -> None:
    network, _ = row()
    with pytest.raises(InputError, match="':foo=3' names no features; there are signed, pca="):
        layers.find(network, "1:foo=3")


def test_a_file_that_does_not_fit_is_told_with_its_shapes(tmp_path: Path) -> None:
    network, pictures = row()
    file = tmp_path / "sae.safetensors"
    arrays = {"W_enc": torch.zeros(5, 9), "b_enc": torch.zeros(9), "W_dec": torch.zeros(9, 5)}
    save_file(arrays, file)
    with pytest.raises(InputError, match=r"W_enc is \(5, 9\); \(6, 9\) is wanted"):
        features.attach(network, f"1:sae={file}", [pictures])
    save_file({"W_enc": torch.zeros(6, 9)}, file)
    with pytest.raises(InputError, match="holds no b_enc"):
        features.attach(network, f"1:sae={file}", [pictures])


@pytest.mark.slow
def test_a_study_of_components_from_faces_to_report(tmp_path: Path) -> None:
    dresses.write(tmp_path)
    card = dresses.card(tmp_path, "small_network.py:Plain", WEIGHTS)
    changes = (*SMALL, 'units.layer="conv2:pca=4:signed"', "network.control.seeds=1")
    study = duchenne.audit(card, tmp_path / "run", changes=changes)
    assert study.summary["units"] == 8
    assert study.report.exists()
    kept = sorted(each.name for each in study.units_folder.iterdir())
    assert "features.safetensors" in kept
    pair = Workspace(study, study.table).pair
    name = study.recipe.units.layer
    of_both = [layers.output(each, name, torch.ones(1, 1, 32, 32)) for each in pair.named.values()]
    assert of_both[0].shape[1] == of_both[1].shape[1] == 8
    assert not torch.allclose(*of_both)
