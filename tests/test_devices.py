from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import duchenne
from duchenne import networks
from duchenne.errors import DivergedError, InputError
from duchenne.faces.table import FaceTable
from duchenne.recipes import Training
from duchenne.training import fit
from duchenne.training.machine import computing, devices
from duchenne.training.machine.computing import Computing
from duchenne.training.machine.devices import Share
from duchenne.training.machine.workers import Workers

from .small import SMALL
from .test_cli import command
from .test_training import PREPARE, SETTINGS, bars

ALONE = Computing("cpu", "float32", threads=1)
PLAIN = SETTINGS.model_copy(
    update={"optimiser": "sgd", "rate": 1e-3, "batch": 7, "augment": "off", "epochs": 2}
)


CHANCE = PLAIN.model_copy(update={"augment": "shifts", "epochs": 3})
TWO = replace(ALONE, devices=2)


def trained(
    folder: Path, on: Computing, settings: Training = PLAIN, dropout: float = 0.0
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    # from a start at which rounding, which differs by processor, decides on no
    # maximum of a pooling
    network = networks.build("zero_bias", classes=3, seed=1, gain=1.0, dropout=dropout)
    history = fit.fit(network, PREPARE, bars(48, 0), bars(25, 1), settings, 0, folder, on=on)
    return network.state_dict(), history


@pytest.mark.slow
def test_on_two_devices_a_network_learns_what_it_learns_on_one(tmp_path: Path) -> None:
    """Batches of 7 and 25 pictures to judge by are not halved evenly; all
    chance but the order is off.
    """
    one, history = trained(tmp_path / "one", ALONE)
    two, of_two = trained(tmp_path / "two", TWO)
    for name, weights in one.items():
        torch.testing.assert_close(two[name], weights, rtol=1e-4, atol=1e-6)
    for told, again in zip(history, of_two, strict=True):
        assert told == pytest.approx(again, rel=1e-5)
    left = {path.name.removesuffix(".sum") for path in (tmp_path / "two" / "checkpoints").iterdir()}
    assert left == {"best.safetensors", "last.ckpt"}


@pytest.mark.slow
def test_a_fit_on_two_devices_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout and augmentation, of which each process draws its own."""

    class Interrupted(fit._Learner):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 2:
                raise KeyError("power cut")
            super().on_train_epoch_start()

    through, history = trained(tmp_path / "through", TWO, CHANCE, 0.2)
    with monkeypatch.context() as patch:
        patch.setattr(fit, "_Learner", Interrupted)
        with pytest.raises(KeyError, match="power cut"):
            trained(tmp_path / "interrupted", TWO, CHANCE, 0.2)
    resumed, whole = trained(tmp_path / "interrupted", TWO, CHANCE, 0.2)
    assert whole == history
    assert all(torch.equal(resumed[name], weights) for name, weights in through.items())


@pytest.mark.slow
def test_a_loss_that_leaves_the_numbers_on_two_devices_is_told_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DivergedError, match="diverged in epoch 0"):
        trained(tmp_path, TWO, PLAIN.model_copy(update={"rate": 1e30}))
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_networks_side_by_side_on_two_devices_each(drawings: FaceTable, tmp_path: Path) -> None:
    changes = (*SMALL, "training.epochs=1", "training.attempts=2")
    told = {
        count: duchenne.run(
            "quick",
            drawings,
            tmp_path / str(count),
            changes=changes,
            until="network",
            workers=count,
            devices=2,
        ).scores["networks"]
        for count in (1, 2)
    }
    assert told[1] == told[2]


def test_more_devices_than_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="devices 2: a batch, or the pictures to judge by, are only 1"
    ):
        trained(tmp_path, TWO, PLAIN.model_copy(update={"batch": 1}))


def die_unless_first(share: Share) -> str:
    if share.rank:
        os._exit(3)
    for other in multiprocessing.active_children():
        other.join()
    raise RuntimeError("connection closed by peer")


def fail_everywhere(share: Share) -> None:
    if share.rank:
        raise RuntimeError("no memory")
    die_unless_first(share)


def diverge_while_the_other_waits(share: Share, ready: Path) -> None:
    if share.rank:
        signal.signal(signal.SIGTERM, lambda *_: print("Traceback", file=sys.stderr, flush=True))
        ready.touch()
        time.sleep(60)
    while not ready.exists():
        time.sleep(0.01)
    raise DivergedError("training diverged")


def answer(share: Share) -> Share:
    return share


@pytest.mark.slow
def test_a_process_that_is_lost_is_told() -> None:
    with pytest.raises(InputError, match=r"devices 2: a process was lost \(exit code 3\)"):
        devices.together(die_unless_first, 2, 1)


@pytest.mark.slow
def test_a_process_that_waits_when_the_first_ends_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lightning answers SIGTERM by writing to a connection that is no more."""
    work = functools.partial(diverge_while_the_other_waits, ready=tmp_path / "ready")
    with pytest.raises(DivergedError):
        devices.together(work, 2, 1)
    for other in multiprocessing.active_children():
        other.join()
    assert not capfd.readouterr().err


@pytest.mark.slow
def test_an_error_that_all_processes_run_into_is_not_taken_for_a_loss() -> None:
    with pytest.raises(RuntimeError, match="connection closed by peer"):
        devices.together(fail_everywhere, 2, 1)


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from duchenne.training.machine import devices\n"
        "from tests.test_devices import answer\ndevices.together(answer, 2, 1)\n"
    )
    ended = subprocess.run(
        [sys.executable, script],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    assert ended.returncode == 1
    assert "devices 2: a process cannot be started (exit code 1)" in ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_the_first_process_answers_for_all() -> None:
    found = devices.together(answer, 2, 1)
    assert (found.rank, found.of) == (0, 2)
    assert devices.together(answer, 1, 1) == devices.ALL


@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_shares_are_everything_once(of: int) -> None:
    assert sorted(thing for rank in range(of) for thing in Share(rank, of).taken(range(7))) == list(
        range(7)
    )


def test_networks_side_by_side_take_turns_on_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    on = Computing("cuda", "bfloat16", threads=1, devices=2)
    assert [on.gpus(turn) for turn in range(3)] == [[0, 1], [2, 3], [0, 1]]
    assert TWO.gpus(1) == []
    assert Workers().side_by_side(50, on) == 2
    assert Workers().side_by_side(50, replace(on, devices=1)) == 4
    assert Workers(1).side_by_side(50, on) == 1


def test_devices_that_are_not_there_or_not_those_of_before_are_refused(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing.joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(computing.precision, "device", lambda: "cpu")
    assert [computing.here(jobs=jobs, devices=2).threads for jobs in (1, 2, 50)] == [4, 2, 1]
    with pytest.raises(InputError, match=r"devices 9: this machine has 8 \(cpu\)"):
        computing.agreed(tmp_path, "auto", 1, 9)
    assert computing.agreed(tmp_path, "auto", 1, 2).devices == 2
    assert computing.agreed(tmp_path, "auto", 1).devices == 2
    with pytest.raises(InputError, match=r"devices 4: in .* a network is trained on 2"):
        computing.agreed(tmp_path, "auto", 1, 4)
    with pytest.raises(InputError, match="Dask's workers start no processes"):
        Workers(backend="dask", devices=2)
    with pytest.raises(InputError, match="Dask's workers start no processes"):
        Workers(backend="dask").check(2)
    for count in (0, 10_000):
        code, _, error = command(
            "train",
            "quick",
            "--data",
            f"folder:{drawings.root}",
            "--out",
            tmp_path / "a",
            "--devices",
            count,
        )
        assert (code, f"--devices {count}" in error.splitlines()[-1]) == (2, True)
        assert not (tmp_path / "a").exists()
