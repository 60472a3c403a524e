"""Who trains: tasks one after another, side by side in processes, or on a
cluster; whoever does a task, it ends the same.

A *task* has a folder that its worker writes, and tells whether it is done.
Workers share a file system. Ray and Dask start on this machine where no
address of a cluster is given; Dask then asks that a script's own calls stand
below ``if __name__ == "__main__":``, as everything does that starts Python
anew.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from duchenne.errors import ArgumentError, InputError
from duchenne.progress import Advance
from duchenne.training.machine import computing
from duchenne.training.machine.computing import Computing

_LOOK = 0.5  # seconds
_KNOCK = 5.0  # seconds
# workers lost in a row, no task done between, before it is the tasks that are
# at fault
_LOSSES = 3


class LostError(Exception):
    """A worker ended before its task did."""


class Task(Protocol):
    """What a worker is given."""

    @property
    def folder(self) -> Path:
        """Where the worker writes."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""

    @property
    def progress(self) -> float:
        """How much of it is done, 0 … 1."""


_Task = TypeVar("_Task", bound=Task)


@dataclass(frozen=True)
class Workers:
    """How many work side by side (0: as many as the machine or the cluster is
    best used by), by which of ``BACKENDS``, at which address, and on how many
    devices each (0: on one, or as was settled before); raises ``InputError``
    for what does not go together.
    """

    count: int = 0
    backend: str = "processes"
    address: str = ""
    devices: int = 0

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ArgumentError(
                "backend",
                f"{self.backend!r}: not one of {', '.join(BACKENDS)}",
            )
        if find_spec(BACKENDS[self.backend].module) is None:
            raise ArgumentError(
                "backend",
                f"{self.backend}: is not installed; install duchenne[{self.backend}]",
            )
        for option, number in (
            ("workers", self.count),
            ("devices", self.devices),
        ):
            if number < 0:
                raise ArgumentError(option, f"{number}: expected 1 or more")
        if self.address and self.backend == "processes":
            raise ArgumentError(
                "address",
                f"{self.address}: processes run on this machine; name the backend ray or dask",
            )
        if self.address and self.backend == "dask" and self.count:
            raise ArgumentError(
                "workers",
                f"{self.count}: a Dask cluster decides itself how many; leave it out",
            )
        self.check(self.devices)

    def check(self, devices: int) -> None:
        """Raise ``InputError`` where they cannot train a network on so many
        devices.
        """
        if devices > 1 and self.backend == "dask":
            raise ArgumentError(
                "devices",
                f"{devices}: Dask's workers start no processes; name the backend processes or ray",
            )

    def side_by_side(self, tasks: int, on: Computing) -> int:
        """How many of so many tasks this machine does at once; an accelerator
        is not shared unasked.
        """
        each = on.devices * (on.threads if on.device == "cpu" else 1)
        return max(
            1, min(tasks, self.count or computing.available(on.device) // each)
        )


def do(
    tasks: Sequence[_Task],
    work: Callable[[_Task], None],
    workers: Workers,
    count: int,
    advance: Advance,
) -> None:
    """Do every task, ``count`` at once where this machine does them; one whose
    worker was lost is done again.

    Raises what a task raises, and ``InputError`` where workers cannot be
    reached, are lost again and again, or write elsewhere.
    """
    waiting = list(tasks)
    lost = 0
    with (
        BACKENDS[workers.backend].start(count, workers) as do_each,
        _watched(waiting, advance),
    ):
        while waiting:
            before = len(waiting)
            try:
                do_each(waiting, work)
            except LostError as error:
                lost = lost + 1 if len(_undone(waiting)) == before else 0
                if lost == _LOSSES:
                    raise ArgumentError(
                        "workers",
                        f"{count}: workers are lost again and again ({error})",
                    ) from None
            else:
                _refuse_elsewhere(_undone(waiting))
            waiting = _undone(waiting)


@contextmanager
def _watched(tasks: Sequence[Task], advance: Advance) -> Iterator[None]:
    """Advance by what becomes done of every task, whoever does it: not all
    backends say.
    """
    ended = threading.Event()

    def watch() -> None:
        before = 0.0
        last = False
        while not last:
            last = ended.wait(_LOOK)
            now = sum(task.progress for task in tasks)
            advance(now - before)
            before = now

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _undone(tasks: Sequence[_Task]) -> list[_Task]:
    return [task for task in tasks if not task.done]


def _refuse_elsewhere(undone: Sequence[Task]) -> None:
    if undone:
        raise InputError(
            f"{undone[0].folder}: workers write elsewhere; all machines must share the file system "
            "of --out"
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


DoEach = Callable[[Sequence[Any], Callable[[Any], None]], None]
"""Does some work on every task; raises what a task raises, and ``LostError``
for a worker that is lost.
"""


@contextmanager
def _processes(count: int, workers: Workers) -> Iterator[DoEach]:
    """Joblib's own processes, which end with this one."""
    try:
        with joblib.parallel_config("loky", n_jobs=count):
            yield partial(_guarded, asker=os.getpid())
    finally:
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _by_joblib(
    tasks: Sequence[_Task],
    work: Callable[[_Task], None],
    losses: type[Exception],
) -> None:
    try:
        joblib.Parallel()(joblib.delayed(work)(task) for task in tasks)
    except losses as error:
        raise LostError(_first_line(error)) from None


def _guarded(
    tasks: Sequence[_Task], work: Callable[[_Task], None], asker: int
) -> None:
    """Do tasks in processes of this machine, each of which ends with the one
    that asked.
    """
    _by_joblib(
        tasks,
        partial(_ending_with, work=work, asker=asker),
        TerminatedWorkerError,
    )


def _ending_with(
    task: _Task, work: Callable[[_Task], None], asker: int
) -> None:
    """Do a task in a process that heeds no Ctrl-C of its own, and ends with
    the one that asked.
    """
    if os.getppid() == asker:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_with(asker)
    work(task)


@cache
def _end_with(asker: int) -> None:
    """End this process when the one that asked does, which a kill leaves no
    time to tell.
    """

    def watch() -> None:
        while os.getppid() == asker:
            time.sleep(_LOOK)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _ray(count: int, workers: Workers) -> Iterator[DoEach]:
    """Tasks in Ray's own processes; a Ray that the caller has started already
    is used, and left running.
    """
    import ray
    from ray.util.joblib import register_ray

    ours = not ray.is_initialized()
    if ours:
        here: dict[str, Any] = (
            {}
            if workers.address
            else {"num_cpus": count, "include_dashboard": False}
        )
        with warnings.catch_warnings(), _reached(workers.address):
            warnings.simplefilter("ignore")  # Ray's own, on versions to come
            _knock(workers.address)
            ray.init(
                address=workers.address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                **here,
            )
    register_ray()
    try:
        cores = int(ray.cluster_resources().get("CPU", 1))
        many = workers.count or (cores if workers.address else count)
        with joblib.parallel_config(
            "ray", n_jobs=max(many, 2)
        ):  # a single one would be done by this process
            yield partial(_by_joblib, losses=ray.exceptions.RayError)
    finally:
        if ours:
            ray.shutdown()


@contextmanager
def _dask(count: int, workers: Workers) -> Iterator[DoEach]:
    from distributed import Client, KilledWorker, LocalCluster

    with contextlib.ExitStack() as stack:
        with _reached(workers.address):
            cluster = workers.address or stack.enter_context(
                LocalCluster(
                    count, threads_per_worker=1, dashboard_address=":0"
                )
            )
            client = stack.enter_context(Client(cluster))
        if any(threads > 1 for threads in client.nthreads().values()):
            raise ArgumentError(
                "address",
                f"{workers.address}: its workers have several threads; start them with "
                "--nthreads 1",
            )
        stack.enter_context(joblib.parallel_config("dask", n_jobs=count))
        yield partial(_by_joblib, losses=KilledWorker)


def _knock(address: str) -> None:
    """Raise ``OSError`` where nobody listens: Ray itself would wait for
    minutes.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _KNOCK).close()


@contextmanager
def _reached(address: str) -> Iterator[None]:
    """Tell in one line that a cluster does not answer."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise ArgumentError(
            "address",
            f"{address or 'of a cluster here'}: does not answer ({_first_line(error)})",
        ) from None


@dataclass(frozen=True)
class Backend:
    """Who does tasks: the ``module`` it needs, and ``start``: (how many at
    once here, the workers) -> a context that gives what does tasks.
    """

    module: str
    start: Callable[[int, Workers], AbstractContextManager[DoEach]]


BACKENDS = {
    "processes": Backend("multiprocessing", _processes),
    "ray": Backend("ray", _ray),
    "dask": Backend("distributed", _dask),
}
"""Every backend by its name."""

HERE = Workers()
"""As many processes as this machine is best used by."""
