import contextlib
import multiprocessing
import os
import pickle
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from duchenne.errors import InputError
from duchenne.training import processes


class OddError(Exception):
    """An error that cannot be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.held = lambda: None


def write(task: int, folder: Path) -> None:
    (folder / str(task)).write_text(str(os.getpid()))


def write_but_die_of(task: int, folder: Path, deadly: int) -> None:
    if task == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    write(task, folder)


def refuse(task: int) -> None:
    raise InputError(f"task {task} cannot be done")


def fail_oddly(task: int) -> None:
    raise OddError


def add_up(task: int, pictures: np.ndarray, folder: Path) -> None:
    (folder / str(task)).write_text(str(pictures.sum()))


def test_every_task_is_done_by_no_more_processes_than_asked_for(tmp_path: Path) -> None:
    processes.do_each(range(6), partial(write, folder=tmp_path), 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == list("012345")
    assert len({path.read_text() for path in tmp_path.iterdir()}) <= 2
    processes.do_each([], partial(write, folder=tmp_path), 2)


def test_a_process_that_is_lost_takes_only_its_own_task_along(tmp_path: Path) -> None:
    with pytest.raises(processes.LostError, match="exit code -9"):
        processes.do_each(range(5), partial(write_but_die_of, folder=tmp_path, deadly=1), 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == list("0234")


def test_an_error_is_raised_where_it_was_asked_with_where_it_was_raised() -> None:
    with pytest.raises(InputError, match="task 0 cannot be done") as caught:
        processes.do_each([0], refuse, 1)
    assert "in refuse" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="in fail_oddly"):
        processes.do_each([0], fail_oddly, 1)


def test_no_process_is_left(tmp_path: Path) -> None:
    for work in (partial(write, folder=tmp_path), partial(write_but_die_of, folder=tmp_path, deadly=1), refuse):
        with contextlib.suppress(InputError, processes.LostError):
            processes.do_each(range(3), work, 2)
        assert not multiprocessing.active_children()


def test_an_array_that_is_mapped_is_not_copied_to_the_processes(tmp_path: Path) -> None:
    np.arange(100_000, dtype=np.uint8).tofile(tmp_path / "pictures")
    mapped = np.memmap(tmp_path / "pictures", np.uint8, "r", shape=(100, 1000))
    assert len(processes._pickled(mapped)) < 1000 < len(pickle.dumps(mapped))
    for task, array in enumerate((mapped, mapped[1:], np.array(mapped))):
        processes.do_each([task], partial(add_up, pictures=array, folder=tmp_path), 1)
        assert (tmp_path / str(task)).read_text() == str(array.sum())
