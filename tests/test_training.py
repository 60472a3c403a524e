from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import brier_score_loss, f1_score
from torchmetrics.functional.classification import multiclass_calibration_error

from duchenne import networks
from duchenne.errors import DivergedError
from duchenne.faces.preparation.steps import Preparation
from duchenne.recipes import Paper, Training
from duchenne.training import fit as fitting
from duchenne.training.batches import Examples, Shuffled
from duchenne.training.fit import fit, probabilities
from duchenne.training.machine import precision
from duchenne.training.metrics import calibration, scores

SETTINGS = Training(
    epochs=3, batch=8, rate=0.002, optimiser="adamw", augment="shifts", precision="float32"
)
PREPARE = Preparation(["local_mean", "standardise"])


def bars(count: int, seed: int) -> Examples:
    """Noise with a bright bar at one of three heights."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    pixels = rng.uniform(0, 0.3, (count, 1, 24, 24)).astype(np.float32)
    for picture, place in zip(pixels, classes, strict=True):
        picture[0, 3 + 7 * place : 6 + 7 * place, 4:20] += 0.6
    return Examples(torch.from_numpy(pixels), torch.from_numpy(classes))


def trained(
    folder: Path, settings: Training = SETTINGS
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
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
    (one, first), (two, second) = (trained(tmp_path / "a"), trained(tmp_path / "b"))
    assert first == second
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_best_epoch_is_chosen_by_validation_accuracy_the_earliest_of_equals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Spy(fitting._Learner):
        def on_validation_epoch_end(self) -> None:
            self._marks = [
                torch.tensor([0.3, 0.9, 0.9, 0.1])[self.current_epoch : self.current_epoch + 1]
            ]
            super().on_validation_epoch_end()
            seen.append({k: v.detach().clone() for k, v in self.network.state_dict().items()})

    monkeypatch.setattr(fitting, "_Learner", Spy)
    weights, _ = trained(tmp_path, SETTINGS.model_copy(update={"epochs": 4}))
    assert all(torch.equal(weights[name], seen[1][name]) for name in weights)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupted_fit_goes_on_to_the_same_end(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, history = trained(tmp_path / "whole")

    class Interrupted(fitting._Learner):
        def training_step(
            self, batch: tuple[torch.Tensor, torch.Tensor], place: int
        ) -> torch.Tensor:
            if self.current_epoch == after and place == 2:
                raise RuntimeError("power cut")
            return super().training_step(batch, place)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_Learner", Interrupted)
        with pytest.raises(RuntimeError, match="power cut"):
            trained(tmp_path / "cut")
    resumed, again = trained(tmp_path / "cut")
    assert again == history
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "rprop"])
@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_every_optimiser_and_schedule_moves_the_weights(
    optimiser: str, schedule: str, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(
        update={"epochs": 1, "optimiser": optimiser, "schedule": schedule}
    )
    weights, history = trained(tmp_path, settings)
    start = networks.build("zero_bias", classes=3, seed=0, gain=1.0).state_dict()
    assert not torch.equal(weights["conv1.weight"], start["conv1.weight"])
    assert np.isfinite(history[0]["loss"])


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 2, 3, 9, 10, 11, 20])
def test_one_cycle_goes_round_in_any_number_of_steps(steps: int, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"epochs": steps, "batch": 16, "schedule": "one_cycle"})
    network = networks.build("zero_bias", classes=3, seed=0, gain=1.0)
    history = fit(network, PREPARE, bars(16, 0), bars(3, 1), settings, 0, tmp_path)
    assert len(history) == steps


@pytest.mark.slow
def test_training_ends_when_patience_does_and_an_interruption_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rprop on all pictures at once: one step an epoch. The end comes three
    epochs after the best.
    """
    settings = SETTINGS.model_copy(
        update={"epochs": 60, "patience": 3, "batch": 0, "optimiser": "rprop", "augment": "off"}
    )
    whole, history = trained(tmp_path / "whole", settings)
    best = int(np.argmax([entry["accuracy"] for entry in history]))
    assert len(history) == best + 4 < 60

    class Cut(fitting._Learner):
        def on_train_end(self) -> None:
            raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_Learner", Cut)
        with pytest.raises(RuntimeError, match="power cut"):
            trained(tmp_path / "cut", settings)
    resumed, again = trained(tmp_path / "cut", settings)
    assert again == history
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.slow
def test_pictures_prepared_once_are_those_prepared_in_every_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"augment": "off"})
    once, history = trained(tmp_path / "once", settings)
    monkeypatch.setattr(fitting, "_MOST_PREPARED", 0)
    each, again = trained(tmp_path / "each", settings)
    assert history == again
    assert all(torch.equal(once[name], each[name]) for name in once)


@pytest.mark.slow
def test_a_log_holds_every_epoch_also_of_a_fit_that_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = networks.build("zero_bias", classes=3, seed=0, gain=1.0)

    class Interrupted(fitting._Learner):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 2:
                raise RuntimeError("power cut")
            super().on_train_epoch_start()

    def go_on() -> list[dict[str, float]]:
        return fit(network, PREPARE, bars(48, 0), bars(24, 1), SETTINGS, 0, tmp_path)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_Learner", Interrupted)
        with pytest.raises(RuntimeError, match="power cut"):
            go_on()
    history = go_on()
    log = pd.read_csv(tmp_path / "log" / "metrics.csv")
    assert log["step"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(log["accuracy"], [entry["accuracy"] for entry in history])


@pytest.mark.slow
def test_a_log_for_tensorboard_is_one(tmp_path: Path) -> None:
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    network = networks.build("zero_bias", classes=3, seed=0)
    settings = SETTINGS.model_copy(update={"log": "tensorboard", "epochs": 2})
    history = fit(network, PREPARE, bars(48, 0), bars(24, 1), settings, 0, tmp_path)
    events = event_accumulator.EventAccumulator(str(tmp_path / "log")).Reload()
    found = [scalar.value for scalar in events.Scalars("accuracy")]
    np.testing.assert_allclose(found, [entry["accuracy"] for entry in history], rtol=1e-6)


def test_a_loss_that_leaves_the_numbers_is_told(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"optimiser": "sgd", "rate": 1e30})
    with pytest.raises(DivergedError, match=r"diverged in epoch 0: lower training\.rate"):
        trained(tmp_path, settings)


def test_gradient_descent_is_that_of_a_loop(tmp_path: Path) -> None:
    """Momentum and decay by hand, on the first two batches that the fit takes."""
    settings = SETTINGS.model_copy(
        update={
            "optimiser": "sgd",
            "rate": 0.05,
            "decay": 1.0,
            "epochs": 1,
            "batch": 24,
            "augment": "off",
        }
    )
    network = networks.build("zero_bias", classes=3, seed=0, gain=1.0, dropout=0.0)
    slow = networks.build("zero_bias", classes=3, seed=0, gain=1.0, dropout=0.0)
    examples = bars(48, 0)
    fit(network, PREPARE, examples, bars(24, 1), settings, 0, tmp_path)
    velocity = [torch.zeros_like(weights) for weights in slow.parameters()]
    for rows in Shuffled(48, 24, 0, lambda: 0):
        loss = torch.nn.functional.cross_entropy(
            slow(PREPARE(examples.pictures[rows])), examples.classes[rows]
        )
        gradients = torch.autograd.grad(loss, list(slow.parameters()))
        with torch.no_grad():
            for weights, moving, gradient in zip(
                slow.parameters(), velocity, gradients, strict=True
            ):
                moving.mul_(0.9).add_(gradient + 1.0 * weights)
                weights.sub_(0.05 * moving)
    start = networks.build("zero_bias", classes=3, seed=0, gain=1.0).state_dict()
    for name, weights in slow.state_dict().items():
        difference = (network.state_dict()[name] - weights).norm() / (weights - start[name]).norm()
        assert difference < 1e-3, name


@pytest.mark.slow
def test_bfloat16_learns_as_float32_does(tmp_path: Path) -> None:
    ends = {}
    for kind in ("float32", "bfloat16"):
        settings = SETTINGS.model_copy(update={"epochs": 6, "precision": kind})
        ends[kind] = trained(tmp_path / kind, settings)[1][-1]
    assert ends["bfloat16"]["loss"] == pytest.approx(ends["float32"]["loss"], abs=0.15)


def test_the_precision_is_what_the_machine_does_fast_unless_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert precision.choose("auto", "cpu") == "bfloat16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert precision.choose("auto", "cpu") == "float32"
    assert precision.choose("auto", "mps") == "float32"
    assert precision.choose("bfloat16", "cpu") == "bfloat16"


def probable(predicted: Sequence[str], share: float = 0.8) -> dict[str, np.ndarray]:
    """Probabilities of three classes that give the predicted one its share."""
    names = ("neutral", "anger", "fear")
    return {
        f"p_{name}": np.where(np.asarray(predicted) == name, share, (1 - share) / 2)
        for name in names
    }


def test_scores_count_folds_classes_and_people() -> None:
    rng = np.random.default_rng(0)
    shown = rng.choice(["anger", "fear", "neutral"], 300, p=[0.2, 0.3, 0.5])
    predicted = np.where(rng.random(300) < 0.7, shown, "neutral")
    frame = pd.DataFrame(
        {
            "fold": np.repeat([0, 1, 2], 100),
            "path": np.arange(300),
            "subject": np.repeat(np.arange(30), 10).astype(str),
        }
    )
    frame = frame.assign(attempt=0, expression=shown, predicted=predicted, **probable(predicted))
    told = scores(frame, ["neutral", "anger", "fear"], Paper(table="T2", accuracy=96.4))
    right = shown == predicted
    assert told["accuracy"] == pytest.approx(right.mean())
    assert told["folds"] == {
        str(f): pytest.approx(right[f * 100 : f * 100 + 100].mean()) for f in range(3)
    }
    assert told["sd"] == pytest.approx(np.std(list(told["folds"].values()), ddof=1))
    assert told["classes"]["fear"]["f1"] == pytest.approx(
        f1_score(shown == "fear", predicted == "fear")
    )
    assert told["majority"] == pytest.approx((shown == "neutral").mean())
    assert np.array(told["confusion"]).sum() == 300
    assert told["confusion"][1][0] == ((shown == "anger") & (predicted == "neutral")).sum()
    assert told["interval"][0] < told["accuracy"] < told["interval"][1]
    assert told["paper"]["accuracy"] == 96.4


def test_scores_are_of_networks_whatever_fold_and_attempt() -> None:
    frame = pd.DataFrame(
        {
            "fold": np.repeat([0, 1], 20),
            "attempt": np.tile(np.repeat([0, 1], 10), 2),
            "subject": "s",
        }
    )
    frame["path"] = [
        f"{fold}{place % 10}" for place, fold in enumerate(frame["fold"])
    ]  # both attempts read the same
    frame["expression"] = "fear"
    frame["predicted"] = np.where(np.arange(40) % 10 < np.repeat([9, 5, 7, 7], 10), "fear", "anger")
    told = scores(
        frame.assign(**probable(frame["predicted"])),
        ["anger", "fear"],
        Paper(accuracy=60.0, spread=11.0),
    )
    assert [entry["accuracy"] for entry in told["networks"]] == pytest.approx([0.9, 0.5, 0.7, 0.7])
    assert (told["mean"], told["best"]) == (pytest.approx(0.7), pytest.approx(0.9))
    assert told["sd"] == pytest.approx(np.std([0.9, 0.5, 0.7, 0.7], ddof=1))
    assert told["folds"] == {"0": pytest.approx(0.7), "1": pytest.approx(0.7)}
    assert (told["pictures"], told["classes"]["fear"]["pictures"]) == (20, 20)
    assert told["paper"]["within"]
    for paper, within in ((Paper(accuracy=60.0, spread=9.0), False), (Paper(accuracy=70.0), None)):
        assert (
            scores(frame.assign(**probable(frame["predicted"])), ["anger", "fear"], paper)["paper"][
                "within"
            ]
            is within
        )


def test_calibration_is_torchmetrics_and_brier_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    names = ("neutral", "anger", "fear")
    given = rng.dirichlet([0.7, 0.7, 0.7], 400)
    shown = rng.integers(0, 3, 400)
    frame = pd.DataFrame(given, columns=[f"p_{name}" for name in names]).assign(
        expression=np.array(names)[shown]
    )
    told = calibration(frame, names)
    expected = multiclass_calibration_error(
        torch.from_numpy(given), torch.from_numpy(shown), 3, n_bins=10, norm="l1"
    )
    assert told["error"] == pytest.approx(
        expected.item(), abs=1e-6
    )  # the other computes in float32
    each = [brier_score_loss(shown == place, given[:, place]) for place in range(3)]
    assert told["brier"] == pytest.approx(sum(each), abs=1e-9)
    assert sum(row["pictures"] for row in told["bins"]) == 400


def test_the_interval_draws_people_not_pictures() -> None:
    """Half the people are always read right and half never: twenty people's
    worth of doubt, not two thousand pictures'.
    """
    frame = pd.DataFrame(
        {"fold": 0, "subject": np.repeat(np.arange(20), 100).astype(str), "expression": "fear"}
    )
    frame["predicted"] = np.where(np.arange(2000) < 1000, "fear", "anger")
    frame = frame.assign(attempt=0, path=np.arange(2000), **probable(frame["predicted"]))
    low, high = scores(frame, ["anger", "fear"], Paper())["interval"]
    assert high - low > 0.3
    assert scores(frame[:400], ["anger", "fear"], Paper())["interval"] is None
