"""Processes of this machine that do tasks, by joblib."""

from __future__ import annotations

import contextlib
import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from duchenne.errors import InputError
from duchenne.training.machine import workers
from duchenne.training.machine.workers import Workers


class Numbered:
    """A task that is done when its note is written."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number

    @property
    def done(self) -> bool:
        return (self.folder / str(self.number)).exists()

    @property
    def progress(self) -> float:
        return float(self.done)


def write(task: Numbered) -> None:
    (task.folder / str(task.number)).write_text(str(os.getpid()))


def write_but_die(task: Numbered, deadly: int) -> None:
    if task.number == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    write(task)


def refuse(task: Numbered) -> None:
    raise InputError(f"task {task.number} cannot be done")


def add_up(task: Numbered, pictures: np.ndarray) -> None:
    (task.folder / str(task.number)).write_text(str(pictures.sum()))


def done(folder: Path, work: object, count: int = 6) -> None:
    tasks = [Numbered(folder, number) for number in range(count)]
    workers.do(tasks, work, Workers(), 2, lambda share: None)


@pytest.mark.slow
def test_every_task_is_done_by_no_more_processes_than_asked_for(tmp_path: Path) -> None:
    done(tmp_path, write)
    assert sorted(path.name for path in tmp_path.iterdir()) == list("012345")
    assert 1 <= len({path.read_text() for path in tmp_path.iterdir()} - {str(os.getpid())}) <= 2


@pytest.mark.slow
def test_a_task_that_kills_its_process_each_time_is_named_at_last(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers 2: workers are lost again and again"):
        done(tmp_path, partial(write_but_die, deadly=1), 2)


@pytest.mark.slow
def test_an_error_is_raised_where_it_was_asked() -> None:
    with pytest.raises(InputError, match="cannot be done"):
        done(Path("nowhere"), refuse, 2)


@pytest.mark.slow
def test_no_process_is_left(tmp_path: Path) -> None:
    for work in (write, partial(write_but_die, deadly=1), refuse):
        with contextlib.suppress(InputError):
            done(tmp_path, work, 3)
        running = psutil.Process().children(recursive=True)
        assert not [each for each in running if "LokyProcess" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_an_array_that_is_mapped_is_not_copied_to_the_processes(tmp_path: Path) -> None:
    np.arange(100_000, dtype=np.uint8).tofile(tmp_path / "pictures")
    mapped = np.memmap(tmp_path / "pictures", np.uint8, "r", shape=(100, 1000))
    (tmp_path / "sums").mkdir()
    done(tmp_path / "sums", partial(add_up, pictures=mapped), 2)
    sums = {path.read_text() for path in (tmp_path / "sums").iterdir()}
    assert sums == {str(mapped.sum())}
