from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import f1_score

from duchenne import networks
from duchenne.faces.prepare import Preparation
from duchenne.recipes import Paper, Training
from duchenne.training import fit as fitting
from duchenne.training import precision
from duchenne.training.fit import Examples, fit, probabilities
from duchenne.training.scores import scores

SETTINGS = Training(epochs=3, batch=8, rate=0.002, optimiser="adamw", augment="shifts", precision="float32")
PREPARE = Preparation(["local_mean", "standardise"])


def bars(count: int, seed: int) -> Examples:
    """Noise with a bright bar at one of three heights."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    pixels = rng.uniform(0, 0.3, (count, 1, 24, 24)).astype(np.float32)
    for picture, place in zip(pixels, classes, strict=True):
        picture[0, 3 + 7 * place : 6 + 7 * place, 4:20] += 0.6
    return Examples(torch.from_numpy(pixels), torch.from_numpy(classes))


def trained(folder: Path, settings: Training = SETTINGS) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    network = networks.build("zero_bias", classes=3, seed=0, gain=1.0, dropout=0.2)
    history = fit(network, PREPARE, bars(48, 0), bars(24, 1), settings, 0, folder)
    return network.state_dict(), history


def test_a_network_learns_and_its_history_says_so(tmp_path: Path) -> None:
    weights, history = trained(tmp_path, SETTINGS.model_copy(update={"epochs": 6}))
    assert [entry["epoch"] for entry in history] == list(range(6))
    assert history[-1]["loss"] < history[0]["loss"]
    network = networks.build("zero_bias", classes=3)
    network.load_state_dict(weights)
    found = probabilities(network, PREPARE, bars(30, 2).pictures)
    torch.testing.assert_close(found.sum(1), torch.ones(30))
    assert (found.argmax(1) == bars(30, 2).classes).float().mean() > 0.8
    assert (tmp_path / "history.json").exists()


def test_one_seed_gives_one_result(tmp_path: Path) -> None:
    (one, first), (two, second) = trained(tmp_path / "a"), trained(tmp_path / "b")
    assert first == second
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_best_epoch_is_chosen_by_validation_accuracy_the_earliest_of_equals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Spy(fitting._Classifier):
        def on_validation_epoch_end(self) -> None:
            self._right = [torch.tensor([0.3, 0.9, 0.9, 0.1])[self.current_epoch : self.current_epoch + 1]]
            super().on_validation_epoch_end()
            seen.append({k: v.detach().clone() for k, v in self.network.state_dict().items()})

    monkeypatch.setattr(fitting, "_Classifier", Spy)
    weights, _ = trained(tmp_path, SETTINGS.model_copy(update={"epochs": 4}))
    assert all(torch.equal(weights[name], seen[1][name]) for name in weights)


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_fit_goes_on_to_the_same_end(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, history = trained(tmp_path / "whole")

    class Interrupted(fitting._Classifier):
        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], place: int) -> torch.Tensor:
            if self.current_epoch == after and place == 2:
                raise RuntimeError("power cut")
            return super().training_step(batch, place)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_Classifier", Interrupted)
        with pytest.raises(RuntimeError, match="power cut"):
            trained(tmp_path / "cut")
    resumed, again = trained(tmp_path / "cut")
    assert again == history
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_every_optimiser_and_schedule_moves_the_weights(optimiser: str, schedule: str, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": 1, "optimiser": optimiser, "schedule": schedule})
    weights, history = trained(tmp_path, settings)
    start = networks.build("zero_bias", classes=3, seed=0, gain=1.0).state_dict()
    assert not torch.equal(weights["conv1.weight"], start["conv1.weight"])
    assert np.isfinite(history[0]["loss"])


def test_bfloat16_learns_as_float32_does(tmp_path: Path) -> None:
    ends = {}
    for kind in ("float32", "bfloat16"):
        settings = SETTINGS.model_copy(update={"epochs": 6, "precision": kind})
        ends[kind] = trained(tmp_path / kind, settings)[1][-1]
    assert ends["bfloat16"]["loss"] == pytest.approx(ends["float32"]["loss"], abs=0.15)


def test_the_precision_is_what_the_machine_does_fast_unless_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert precision.choose("auto", "cpu") == "bfloat16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert precision.choose("auto", "cpu") == "float32"
    assert precision.choose("auto", "mps") == "float32"
    assert precision.choose("bfloat16", "cpu") == "bfloat16"


def probable(predicted: Sequence[str], share: float = 0.8) -> dict[str, np.ndarray]:
    """Probabilities of three classes that give the predicted one its share."""
    names = ("neutral", "anger", "fear")
    return {f"p_{name}": np.where(np.asarray(predicted) == name, share, (1 - share) / 2) for name in names}


def test_scores_count_folds_classes_and_people() -> None:
    rng = np.random.default_rng(0)
    shown = rng.choice(["anger", "fear", "neutral"], 300, p=[0.2, 0.3, 0.5])
    predicted = np.where(rng.random(300) < 0.7, shown, "neutral")
    frame = pd.DataFrame({"fold": np.repeat([0, 1, 2], 100), "subject": np.repeat(np.arange(30), 10).astype(str)})
    frame = frame.assign(attempt=0, expression=shown, predicted=predicted, **probable(predicted))
    told = scores(frame, ["neutral", "anger", "fear"], Paper(table="T2", accuracy=96.4))
    right = shown == predicted
    assert told["accuracy"] == pytest.approx(right.mean())
    assert told["folds"] == {str(f): pytest.approx(right[f * 100 : f * 100 + 100].mean()) for f in range(3)}
    assert told["sd"] == pytest.approx(np.std(list(told["folds"].values()), ddof=1))
    assert told["classes"]["fear"]["f1"] == pytest.approx(f1_score(shown == "fear", predicted == "fear"))
    assert told["majority"] == pytest.approx((shown == "neutral").mean())
    assert np.array(told["confusion"]).sum() == 300
    assert told["confusion"][1][0] == ((shown == "anger") & (predicted == "neutral")).sum()
    assert told["interval"][0] < told["accuracy"] < told["interval"][1]
    assert told["paper"]["accuracy"] == 96.4


def test_the_interval_draws_people_not_pictures() -> None:
    """Half the people are always read right and half never: twenty people's worth of doubt, not two thousand pictures'."""
    frame = pd.DataFrame({"fold": 0, "subject": np.repeat(np.arange(20), 100).astype(str), "expression": "fear"})
    frame["predicted"] = np.where(np.arange(2000) < 1000, "fear", "anger")
    frame = frame.assign(attempt=0, **probable(frame["predicted"]))
    low, high = scores(frame, ["anger", "fear"], Paper())["interval"]
    assert high - low > 0.3
    assert scores(frame[:400], ["anger", "fear"], Paper())["interval"] is None
