from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock

import duchenne
from duchenne import files, recipes
from duchenne.errors import DivergedError, InputError
from duchenne.faces.table import FaceTable
from duchenne.pipeline import stages
from duchenne.study.workspace import Workspace
from duchenne.training import jobs
from duchenne.training.machine import computing, workers
from duchenne.training.machine.computing import Computing
from duchenne.training.machine.workers import Workers

from .small import SMALL
from .tasks import do_nothing, fail, notes, write, write_slowly, write_unless_killed
from .test_cli import command

CHANGES = (
    *SMALL,
    "training.epochs=1",
    "folds.run=[0, 2]",
    "training.attempts=2",
    "network.options.dropout=0.5",
    'network.prepare=["mean_picture", "zca"]',
)


def test_jobs_are_every_attempt_on_every_fold_each_with_a_seed_of_its_own(tmp_path: Path) -> None:
    recipe = recipes.read("quick", ["training.attempts=50", "seed=3"])
    listed = jobs.listed(recipe, range(40), tmp_path)
    assert (
        len({(job.fold, job.attempt) for job in listed})
        == len({job.folder for job in listed})
        == 2000
    )
    other = jobs.listed(recipes.changed(recipe, ["seed=4"]), range(40), tmp_path)
    assert len({job.seed for job in (*listed, *other)}) == 4000
    assert all(0 <= job.seed < 2**32 for job in listed)


def test_every_attempt_starts_from_weights_of_its_own() -> None:
    """PyTorch's generator on the CPU heeds the lowest 32 binary digits of a
    seed only.
    """
    recipe = recipes.read("quick")
    starts = [
        jobs.fresh(recipes.changed(recipe, [f"seed={seed}"]), ("anger", "fear"), fold, attempt)
        .conv1.weight.sum()
        .item()
        for seed, fold, attempt in (
            (0, 0, 0),
            (0, 0, 1),
            (0, 1, 0),
            (1, 0, 0),
            (4096, 0, 0),
            (0, 0, 1024),
        )
    ]
    assert len(set(starts)) == len(starts)


def test_the_attempt_that_is_shown_is_the_best_by_its_own_choice_of_epoch(tmp_path: Path) -> None:
    listed = jobs.listed(recipes.read("quick", ["training.attempts=3"]), [0], tmp_path)
    for job, reached in zip(listed, (0.5, 0.8, 0.8), strict=True):
        job.folder.mkdir()
        (job.folder / "history.json").write_text(
            f'[{{"accuracy": {reached}}}, {{"accuracy": 0.1}}]'
        )
    assert jobs.best_of(listed) == listed[1]


def test_what_is_computed_on_is_settled_once_for_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computing.joblib, "cpu_count", lambda: 8)
    assert [computing.here(jobs=count).threads for count in (1, 3, 8, 50)] == [8, 2, 1, 1]
    settled = computing.agreed(tmp_path, "bfloat16", 2)
    assert (settled.threads, settled.precision) == (4, "bfloat16")
    monkeypatch.setattr(computing.joblib, "cpu_count", lambda: 2)
    assert computing.agreed(tmp_path, "float32", 2) == settled
    (tmp_path / "computing.json").write_text(
        '{"device": "abacus", "precision": "float32", "threads": 1}'
    )
    with pytest.raises(InputError, match="trained on 1 × abacus, which this machine lacks"):
        computing.agreed(tmp_path, "auto", 2)
    for damaged in ("{", '{"speed": 1}', "[]"):
        (tmp_path / "computing.json").write_text(damaged)
        with pytest.raises(InputError, match=r"computing.json: cannot be read"):
            computing.agreed(tmp_path, "auto", 2)


def test_this_machine_does_as_many_at_once_as_it_has_cores_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(computing.joblib, "cpu_count", lambda: 2)
    on = Computing("cpu", "float32", threads=1)
    assert Workers().side_by_side(50, on) == 2
    assert Workers(7).side_by_side(3, on) == 3


def test_what_workers_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'slurm': not one of processes, ray, dask"):
        Workers(backend="slurm")
    with pytest.raises(InputError, match="workers -1"):
        Workers(-1)
    with pytest.raises(InputError, match="name the backend ray or dask"):
        Workers(address="tcp://here:1")
    with pytest.raises(InputError, match="a Dask cluster decides itself"):
        Workers(2, "dask", "tcp://here:1")
    for arguments, says in ((("--workers", 0), "--workers 0"), (("--backend", "slurm"), "'slurm'")):
        code, _, error = command("train", "quick", "--out", tmp_path / "a", *arguments)
        assert (code, error.count("\n"), says in error) == (2, 1, True)


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_is_done_again(tmp_path: Path) -> None:
    seen: list[float] = []
    workers.do(notes(tmp_path), partial(write_unless_killed, times=2), Workers(), 2, seen.append)
    assert all(job.done for job in notes(tmp_path))
    assert sum(seen) == 4


@pytest.mark.slow
def test_how_far_jobs_are_is_told_while_they_are_done(tmp_path: Path) -> None:
    seen: list[float] = []
    workers.do(notes(tmp_path), write_slowly, Workers(), 2, seen.append)
    assert sum(seen) == pytest.approx(4)
    assert any(count % 1 for count in seen)


@pytest.mark.slow
def test_a_worker_ends_with_the_process_that_asked_it(tmp_path: Path) -> None:
    """What a killed study leaves would else go on writing into the folders of
    the one that is resumed.
    """
    asking = subprocess.Popen(
        [sys.executable, "-c", _ASKING, str(tmp_path)], cwd=Path(__file__).parent.parent
    )
    try:
        wait_until(lambda: len(beating(tmp_path)) == 2, seconds=120)
    finally:
        asking.kill()
        asking.wait()
    wait_until(lambda: not beating(tmp_path), seconds=20)


def beating(folder: Path) -> list[Path]:
    """The heartbeats of the last second."""
    return [path for path in folder.glob("*/heart") if time.time() - path.stat().st_mtime < 1]


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


_ASKING = """
import sys
from pathlib import Path
from duchenne.training.machine import workers
from tests.tasks import live, notes
workers.do(notes(Path(sys.argv[1])), live, workers.Workers(), 2, lambda count: None)
"""


def test_a_job_that_another_process_does_is_awaited_and_not_done_again(tmp_path: Path) -> None:
    job, *_ = jobs.listed(recipes.read("quick"), [0], tmp_path)
    given = jobs.Materials(recipes.read("quick"), None, ())  # type: ignore[arg-type]  # nothing is to be trained
    ended: list[float] = []

    def other() -> None:
        jobs.train(job, given, computing.here())
        ended.append(time.monotonic())

    waiting = threading.Thread(target=other)
    with jobs._alone(job):
        waiting.start()
        time.sleep(0.5)
        assert not ended
        (job.folder / "predictions.parquet").touch()
        files.seal(job.folder, ("predictions.parquet",))
        released = time.monotonic()
    waiting.join(timeout=20)
    assert ended[0] > released
    assert sorted(path.name for path in job.folder.iterdir()) == [
        "checksums.json",
        "predictions.parquet",
    ]


def test_a_study_that_another_process_is_at_work_on_is_refused(
    drawings: FaceTable, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    with (
        FileLock(tmp_path / "a" / ".lock"),
        pytest.raises(InputError, match="another process is at work on this study"),
    ):
        duchenne.run("quick", drawings, tmp_path / "a", changes=CHANGES, until="faces")
    duchenne.run("quick", drawings, tmp_path / "a", changes=CHANGES, until="faces")


def test_a_study_that_another_process_made_meanwhile_is_not_taken_for_ones_own(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins and ends while this one still gathers its faces."""
    out = tmp_path / "a"
    rehearse = stages.rehearse

    def meanwhile(work: Workspace) -> None:
        monkeypatch.setattr(stages, "rehearse", rehearse)
        duchenne.run("quick", drawings, out, changes=(*CHANGES, "seed=5"), until="faces")
        rehearse(work)

    monkeypatch.setattr(stages, "rehearse", meanwhile)
    with pytest.raises(
        InputError, match="another process has made or changed a study there meanwhile"
    ):
        duchenne.run("quick", drawings, out, changes=CHANGES, until="faces")
    assert duchenne.open(out, until="faces").recipe.seed == 5


def test_networks_of_another_study_are_trained_anew(drawings: FaceTable, tmp_path: Path) -> None:
    """Left in the folder of a job: what a study of another seed made, all of
    it or its checkpoints.
    """
    changes = (*CHANGES, "folds.run=[0]", "training.attempts=1")
    one, other = (tmp_path / name for name in ("one", "other"))
    faces = f"folder:{drawings.root}"
    duchenne.run("quick", faces, one, changes=changes, until="network", workers=1)
    duchenne.run("quick", faces, other, changes=changes, until="faces", workers=1)
    shutil.copytree(one / "training", other / "training")
    assert (other / "training" / "fold-00-attempt-00" / "identity").read_text()
    (other / "training" / "fold-00-attempt-00" / "identity").write_text("another")
    duchenne.run(out=other, resume=True, until="network", workers=1)
    made = other / "training" / "fold-00-attempt-00"
    assert (made / "identity").read_text() == duchenne.open(other, until="network").state[
        "identity"
    ]["network"]
    assert (made / "network.safetensors").stat().st_mtime > (one / "training").stat().st_mtime


@pytest.mark.slow
@pytest.mark.parametrize("name", ["predictions.parquet", "network.safetensors", "history.json"])
def test_a_damaged_network_is_trained_anew_to_the_same_end(
    name: str, drawings: FaceTable, tmp_path: Path
) -> None:
    changes = (*CHANGES, "folds.run=[0]", "training.attempts=1")
    duchenne.run(
        "quick", f"folder:{drawings.root}", tmp_path, changes=changes, until="network", workers=1
    )
    file = tmp_path / "training" / "fold-00-attempt-00" / name
    before = file.read_bytes()
    file.write_bytes(before[: len(before) // 2])
    with pytest.raises(InputError, match=f"{name}: is missing or damaged since it was written"):
        duchenne.open(tmp_path, until="network")
    lines: list[str] = []
    duchenne.run(out=tmp_path, resume=True, until="network", workers=1, announce=lines.append)
    assert file.read_bytes() == before
    assert any("is missing or damaged; it is done again" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_how_to_go_on(
    kind: signal.Signals, drawings: FaceTable, tmp_path: Path
) -> None:
    """In the middle of a network's training, which Lightning would end without
    a word; heeding Ctrl-C, as in a terminal.
    """
    out, sets = (
        tmp_path / "a",
        [part for change in (*SMALL, "training.epochs=9999") for part in ("--set", change)],
    )
    told = [
        "train",
        "quick",
        "--data",
        f"folder:{drawings.root}",
        "--out",
        str(out),
        "--workers",
        "1",
        *sets,
    ]
    heeding = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from "
        "duchenne.cli.main import main; main()"
    )
    working = subprocess.Popen(
        [sys.executable, "-c", heeding, *told], stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: any(out.glob("training/*/checkpoints/last.ckpt")), seconds=120)
        working.send_signal(kind)
        _, error = working.communicate(timeout=60)
    finally:
        working.kill()
    assert working.returncode == 130
    assert (
        error.splitlines()[-1]
        == "duchenne: interrupted; the same command with --resume and --out goes on"
    )


def test_what_every_picture_was_to_each_fold_is_kept(one_by_one: Path) -> None:
    told = pd.read_parquet(one_by_one / "training" / "folds.parquet")
    faces = pd.read_parquet(one_by_one / "faces.parquet")
    predicted = pd.read_parquet(one_by_one / "predictions.parquet")
    assert told["fold"].unique().tolist() == [0, 2]
    for fold, rows in told.groupby("fold"):
        assert sorted(rows["path"]) == sorted(faces["path"])
        tested = set(rows["path"][rows["part"] == "test"])
        assert tested == set(predicted["path"][predicted["fold"] == fold])
        people = (
            faces.set_index("path")["subject"][rows["path"]]
            .groupby(rows["part"].to_numpy())
            .unique()
        )
        assert not set(people["train"]) & set(people["test"])


def test_of_every_network_seed_and_epoch_are_kept(one_by_one: Path) -> None:
    rows = duchenne.open(one_by_one, until="network").scores["networks"]
    listed = jobs.listed(
        recipes.read("quick", ["training.attempts=2"]), [0, 2], one_by_one / "training"
    )
    assert [(row["fold"], row["attempt"], row["seed"]) for row in rows] == [
        (j.fold, j.attempt, j.seed) for j in listed
    ]
    assert {row["epoch"] for row in rows} == {0}


def test_workers_that_die_again_and_again_or_write_elsewhere_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lost again and again"):
        workers.do(
            notes(tmp_path)[:1],
            partial(write_unless_killed, times=99),
            Workers(),
            2,
            lambda count: None,
        )
    with pytest.raises(InputError, match="write elsewhere"):
        workers.do(notes(tmp_path), do_nothing, Workers(), 2, lambda count: None)
    with pytest.raises(InputError, match="cannot be done"):
        workers.do(notes(tmp_path), fail, Workers(), 2, lambda count: None)


@pytest.fixture(scope="module")
def one_by_one(drawings: FaceTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    duchenne.run(
        "quick", f"folder:{drawings.root}", out, changes=CHANGES, until="network", workers=1
    )
    return out


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "ray", "dask"])
def test_results_are_the_same_whoever_computed_them(
    backend: str, one_by_one: Path, drawings: FaceTable, tmp_path: Path
) -> None:
    if backend != "processes":
        pytest.importorskip({"ray": "ray", "dask": "distributed"}[backend])
    out = tmp_path / backend
    duchenne.run(
        "quick",
        f"folder:{drawings.root}",
        out,
        changes=CHANGES,
        until="network",
        workers=2,
        backend=backend,
    )
    assert contents(out) == contents(one_by_one)


def contents(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_backend_that_is_not_installed_is_named(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for backend, module in (("ray", "ray"), ("dask", "distributed")):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(InputError, match=rf"install duchenne\[{backend}\]"):
            duchenne.run(
                "quick",
                drawings,
                tmp_path / backend,
                changes=CHANGES,
                until="network",
                backend=backend,
            )


def test_the_command_train_stops_at_scores_and_others_walk_on(
    drawings: FaceTable, tmp_path: Path
) -> None:
    out, sets = (
        tmp_path / "a",
        [part for change in (*CHANGES, "folds.run=[0]") for part in ("--set", change)],
    )
    again = (
        "train",
        "quick",
        "--data",
        f"folder:{drawings.root}",
        "--out",
        out,
        *sets,
        "--workers",
        1,
    )
    code, told, _ = command(*again)
    assert code == 0
    assert "2 networks: mean" in told
    assert Path(told.splitlines()[-1]).read_text().startswith("{")
    assert not (out / "report.html").exists()
    with pytest.raises(InputError, match="has not ended; units is still to do"):
        duchenne.open(out)
    code, told, said = command("match", out)
    assert code == 0
    assert "network: nothing has changed, kept" in said
    assert Path(told.splitlines()[-1]).name == "evidence.tex"
    assert command(*again, "--resume")[0] == 0  # what was done beyond it stays
    assert len(duchenne.open(out, until="evidence").evidence)


def test_a_cluster_that_does_not_answer_is_told_in_one_line(
    drawings: FaceTable, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="address nowhere: does not answer"):
        workers.do(
            notes(tmp_path),
            write,
            Workers(backend="dask", address="nowhere"),
            1,
            lambda count: None,
        )


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["ray", "dask"])
def test_a_clusters_lost_worker_is_replaced(backend: str, tmp_path: Path) -> None:
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[backend])
    workers.do(
        notes(tmp_path),
        partial(write_unless_killed, times=1),
        Workers(2, backend),
        2,
        lambda count: None,
    )
    assert all(job.done for job in notes(tmp_path))


def test_a_job_that_diverges_is_named(drawings: FaceTable, tmp_path: Path) -> None:
    wild = (*CHANGES, "training.optimiser=sgd", "training.rate=1e30", "training.schedule=constant")
    with pytest.raises(DivergedError, match=r"^fold 0, attempt 0: training diverged in epoch 0"):
        duchenne.run("quick", drawings, tmp_path / "a", changes=wild, until="network", workers=1)
