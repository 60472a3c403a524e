"""Ablation of units against networks whose weights are cut, and effects
against loops.
"""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from duchenne import networks
from duchenne.errors import InputError
from duchenne.evidence import ablation_effects
from duchenne.experiments.ablate import sets
from duchenne.units.ablation import Ablation

SIZES = {"zero_bias": 96, "zhu": 96, "sparse": 128, "lipnet": 100}


class Residual(nn.Module):
    """A block whose input goes round the layer, as in ResNets; ``joined``:
    side by side, as in DenseNets.
    """

    def __init__(self, joined: bool = False) -> None:
        super().__init__()
        self.joined = joined
        self.stem, self.inside = (nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1))
        self.after, self.output = (nn.Conv2d(8 if joined else 4, 4, 3), nn.Linear(4, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        stem = torch.relu(self.stem(pictures))
        inside = self.inside(stem)
        both = torch.cat([stem, inside], 1) if self.joined else stem + inside
        logits: Tensor = self.output(self.after(torch.relu(both)).mean((2, 3)))
        return logits


class Tokens(nn.Module):
    """Patches as tokens, (n, t, u)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.mix, self.output = (
            nn.Conv2d(1, 6, 4, stride=4),
            nn.Linear(6, 5),
            nn.Linear(5, 3),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = torch.relu(self.mix(self.patches(pictures).flatten(2).mT))
        logits: Tensor = self.output(tokens.amax(1))
        return logits


def cut(network: nn.Module, layer: str, ablated: np.ndarray, fill: np.ndarray) -> nn.Module:
    """A copy in which ablated units have no weights, and what they pass on as
    their bias.
    """
    changed = copy.deepcopy(network)
    module = changed.get_submodule(layer)
    with torch.no_grad():
        module.weight[ablated] = 0
        if module.bias is None:
            module.bias = nn.Parameter(torch.zeros(len(module.weight)))
        module.bias[ablated] = torch.from_numpy(fill[ablated]).float()
    return changed.eval()


torch.manual_seed(0)
CASES = [
    *(
        (name, layer, networks.build(name, classes=3, seed=1), SIZES[name])
        for name, layer in (
            ("zero_bias", "conv3"),
            ("zero_bias", "conv1"),
            ("zero_bias", "hidden"),
            ("zhu", "conv2"),
            ("sparse", "conv2"),
            ("sparse", "hidden1"),
        )
    ),
    ("residual", "inside", Residual(), 12),
    ("joined", "inside", Residual(joined=True), 12),
    ("tokens", "mix", Tokens(), 16),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "network", "size"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES]
)
@pytest.mark.parametrize("filled", [False, True], ids=["zero", "mean"])
def test_ablated_units_are_units_without_weights(
    name: str, layer: str, network: nn.Module, size: int, filled: bool
) -> None:
    network.train()
    rng = np.random.default_rng(0)
    pictures = torch.from_numpy(rng.normal(0, 1, (3, 1, size, size)).astype(np.float32))
    units = len(network.get_submodule(layer).weight)
    fill = rng.uniform(0, 0.5, units) if filled else np.zeros(units)
    ablated = np.concatenate([np.zeros((1, units), bool), rng.random((4, units)) < 0.4])
    found = Ablation(network, layer, pictures, torch.from_numpy(fill))(pictures, ablated)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())
    for number, which in enumerate(ablated):
        with torch.no_grad():
            wanted = cut(network, layer, which, fill)(pictures)
        torch.testing.assert_close(found[:, number], wanted, atol=2e-5, rtol=1e-4)
    assert (found[:, :1] - found[:, 1:]).abs().max() > 1e-4


def test_a_layer_of_a_single_unit_is_ablated_as_a_whole() -> None:
    network, pictures = (
        networks.build("lipnet", classes=3, seed=1).eval(),
        torch.rand(3, 1, 100, 100),
    )
    found = Ablation(network, "pyramid1", pictures)(pictures, np.array([[False], [True]]))
    with torch.no_grad():
        torch.testing.assert_close(found[:, 0], network(pictures))
        network.pyramid1.register_forward_hook(
            lambda module, inputs, given: torch.zeros_like(given)
        )
        torch.testing.assert_close(found[:, 1], network(pictures))


@pytest.mark.slow
def test_where_units_are_ablated() -> None:
    places = {
        f"{name}-{layer}": Ablation(network, layer, torch.rand(2, 1, size, size)).ablated_at
        for name, layer, network, size in CASES
    }
    assert places["zero_bias-conv3"] == "quadrants"
    assert places["zero_bias-conv1"] == "pool1"
    assert places["zero_bias-hidden"] == "relu4"
    assert (
        places["residual-inside"] == places["joined-inside"] == "inside"
    )  # what follows mixes units


def test_networks_and_numbers_that_cannot_be_ablated() -> None:
    network = networks.build("zero_bias", classes=3)
    with pytest.raises(InputError, match="has 256 units, and there are 3"):
        Ablation(network, "conv3", torch.rand(1, 1, 96, 96), torch.zeros(3))
    with pytest.raises(InputError, match="nearest are"):
        Ablation(network, "conv9", torch.rand(1, 1, 96, 96))
    with pytest.raises(InputError, match="no row of classes"):
        Ablation(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()), "0", torch.rand(1, 1, 8, 8))
    assert not any(module._forward_hooks for module in network.modules())


def test_log_odds_are_those_of_the_probability() -> None:
    logits = torch.randn(5, 4, 7, dtype=torch.float64) * 4
    shares = torch.softmax(logits, -1)
    torch.testing.assert_close(ablation_effects.log_odds(logits), (shares / (1 - shares)).log())
    torch.testing.assert_close(
        ablation_effects.log_odds(logits + 3), ablation_effects.log_odds(logits)
    )


def readout(logits: Tensor, people: np.ndarray, shown: np.ndarray) -> ablation_effects.Readout:
    found = ablation_effects.Readout(logits.shape[1], 6, logits.shape[2])
    found.update(logits, people, shown)
    return found


def answers(
    seed: int = 0, sets: int = 7, classes: int = 3
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    people, shown = (rng.integers(0, 6, 90), rng.integers(0, classes, 90))
    logits = rng.normal(0, 1, (90, sets, classes)) + 2 * np.eye(classes)[shown][:, None]
    # the first set silences what reads class 0
    logits[:, 1, 0] -= 3.0 * (shown == 0)
    return torch.from_numpy(logits), people, shown


def test_effects_equal_loops_over_pictures() -> None:
    logits, people, shown = answers()
    controls = np.array([[0, 0, 0.25, 0.25, 0.25, 0.25], [0, 0, 0, 0, 0.5, 0.5]])
    asked = pd.DataFrame({"au": ["AU12", "AU04"]})
    frame = ablation_effects.effects(
        readout(logits, people, shown), asked, controls, ["a", "b", "c"]
    )
    assert len(frame) == 6
    odds = ablation_effects.log_odds(logits).numpy()
    for row in frame.itertuples():
        expression, number = ("abc".index(row.expression), asked["au"].tolist().index(row.au))
        own = shown == expression
        assert row.pictures == own.sum()
        right = logits.numpy().argmax(2)[own] == expression
        changes = {"recall": right[:, 1:].mean(0) - right[:, 0].mean()}
        changes["logit"] = (odds[own, 1:, expression] - odds[own, :1, expression]).mean(0)
        assert row.recall == pytest.approx(right[:, 0].mean())
        used = np.flatnonzero(controls[number])
        for name, change in changes.items():
            assert getattr(row, f"{name}_change") == pytest.approx(change[number], abs=1e-9)
            assert getattr(row, f"{name}_beyond") == pytest.approx(
                change[number] - change[used].mean(), abs=1e-9
            )
        every = changes["logit"][[*used, number]]
        far = np.abs(every - every.mean())
        assert row.p == pytest.approx((far >= far[-1] - 1e-12).mean())
    first = frame[(frame["au"] == "AU12") & (frame["expression"] == "a")].iloc[0]
    assert first["logit_beyond_high"] < 0 < frame["recall_beyond_high"].max()


def test_intervals_leave_out_people_with_all_their_pictures() -> None:
    logits, people, shown = answers(1)
    frame = ablation_effects.effects(
        readout(logits, people, shown),
        pd.DataFrame({"unit": [0]}),
        np.zeros((1, 6)),
        ["a", "b", "c"],
    )
    odds = ablation_effects.log_odds(logits).numpy()
    for expression, row in enumerate(frame.itertuples()):
        change = odds[:, 1, expression] - odds[:, 0, expression]
        own = shown == expression
        if len(np.unique(people[own])) < 6:
            assert np.isnan([row.logit_change_low, row.logit_change_high]).all()
            continue
        without = [change[own & (people != who)].mean() for who in range(6)]
        error = np.sqrt(5 / 6 * ((np.array(without) - np.mean(without)) ** 2).sum())
        bounds = change[own].mean() + np.array([-1, 1]) * stats.t.ppf(0.975, 5) * error
        assert (row.logit_change_low, row.logit_change_high) == pytest.approx(tuple(bounds))


def test_what_is_beyond_the_controls_varies_with_their_choice_too() -> None:
    logits, people, shown = answers(1)
    asked, controls = (pd.DataFrame({"unit": [0]}), np.array([[0, 0.5, 0.5, 0, 0, 0]]))
    row = ablation_effects.effects(
        readout(logits, people, shown), asked, controls, ["a", "b", "c"]
    ).iloc[0]
    odds = ablation_effects.log_odds(logits).numpy()
    change = (odds[:, 1:, 0] - odds[:, [0], 0])[shown == 0]
    whose = people[shown == 0]
    beyond = change[:, 0] - change[:, 1:3].mean(1)
    without = [beyond[whose != who].mean() for who in range(6)]
    of_people = 5 / 6 * ((np.array(without) - np.mean(without)) ** 2).sum()
    of_sets = np.var(change[:, 1:3].mean(0), ddof=1) / 2
    half = stats.t.ppf(0.975, 5) * np.sqrt(of_people + of_sets)
    assert row["logit_beyond_high"] - row["logit_beyond"] == pytest.approx(half)


def test_random_sets_vary_as_much_as_the_detectors() -> None:
    spread = np.linspace(0, 10, 60)
    loud = pd.DataFrame({"unit": [50, 53, 56, 59], "au": "AU12"})
    chosen = sets(loud, spread, 20)
    drawn = np.array([spread[ablated].mean() for ablated in chosen.ablated[61:]])
    assert len(drawn) == 20
    assert np.abs(drawn - spread[loud["unit"]].mean()).max() < 1.2
    assert not chosen.ablated[61:, loud["unit"]].any()


def test_readings_merge_in_any_order_and_refuse_others() -> None:
    logits, people, shown = answers()
    whole, parts = (readout(logits, people, shown), [slice(50, 90), slice(0, 20), slice(20, 50)])
    joined = ablation_effects.Readout(7, 6, 3)
    for part in parts:
        joined.merge(readout(logits[part], people[part], shown[part]))
    for name in ("count", "right", "logit"):
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), atol=1e-9)
    with pytest.raises(InputError, match="cannot be merged"):
        whole.merge(ablation_effects.Readout(2, 6, 3))


@pytest.mark.parametrize("controls", [2, 5, 20])
def test_p_is_uniform_where_a_set_is_like_its_controls(controls: int) -> None:
    rng = np.random.default_rng(controls)
    shares = np.full((1, controls + 1), 1 / controls)
    shares[0, 0] = 0
    found = [
        ablation_effects._share_as_far(rng.normal(0, 1, controls + 1), shares)[0]
        for _ in range(4000)
    ]
    for level in np.arange(1, controls + 1) / (controls + 1):
        assert np.mean(np.array(found) <= level + 1e-9) == pytest.approx(level, abs=0.03)
