"""Who trains: jobs one after another, side by side in processes, or on a cluster; whoever does a job, it ends the same.

A *job* has a folder that its worker writes, and tells whether it is done. Workers share a file system. Ray and Dask start on
this machine where no address of a cluster is given; Dask then asks that a script's own calls stand below
``if __name__ == "__main__":``, as everything does that starts Python anew.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import joblib

from duchenne.errors import InputError
from duchenne.progress import Advance
from duchenne.training import precision

_LOOK = 0.5  # seconds
_LOSSES = 3  # workers lost in a row, no job done between, before it is the jobs that are at fault


class Job(Protocol):
    """What a worker is given."""

    @property
    def folder(self) -> Path:
        """Where the worker writes."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""


_Job = TypeVar("_Job", bound=Job)


@dataclass(frozen=True)
class Workers:
    """How many work side by side (0: as many as the machine is best used by), by which of ``BACKENDS``, at which address."""

    count: int = 0
    backend: str = "processes"
    address: str = ""

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise InputError(f"--backend {self.backend!r}: not one of {', '.join(BACKENDS)}")
        if self.count < 0:
            raise InputError(f"--workers {self.count}: expected 1 or more")
        if self.address and self.backend == "processes":
            raise InputError(f"--address {self.address}: processes run on this machine; name --backend ray or dask")

    def side_by_side(self, jobs: int, threads: int) -> int:
        """How many of so many jobs, each on so many threads, are done at once; an accelerator is not shared unasked."""
        if self.count or precision.device() != "cpu":
            return min(jobs, self.count or 1)
        return max(1, min(jobs, int(joblib.cpu_count()) // threads))


def do(jobs: Sequence[_Job], work: Callable[[_Job], None], count: int, workers: Workers, advance: Advance) -> None:
    """Do every job, ``count`` at once; a job whose worker was lost is done again.

    Raises what a job raises, and ``InputError`` where workers are lost again and again, or write elsewhere.
    """
    waiting, lost = list(jobs), 0
    with BACKENDS[workers.backend](count, workers.address) as losses, _watched(waiting, advance):
        while waiting:
            before = len(waiting)
            try:
                joblib.Parallel()(joblib.delayed(work)(job) for job in waiting)
            except losses as error:
                lost = lost + 1 if len(_undone(waiting)) == before else 0
                if lost == _LOSSES:
                    raise InputError(f"--workers {count}: workers are lost again and again ({_first_line(error)})") from None
            else:
                _refuse_elsewhere(_undone(waiting))
            waiting = _undone(waiting)


@contextmanager
def _watched(jobs: Sequence[Job], advance: Advance) -> Iterator[None]:
    """Advance for every job that becomes done, whoever does it: not all backends say when one is."""
    ended = threading.Event()

    def watch() -> None:
        left, last = list(jobs), False
        while left and not last:
            last = ended.wait(_LOOK)
            undone = _undone(left)
            advance(len(left) - len(undone))
            left = undone

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _undone(jobs: Sequence[_Job]) -> list[_Job]:
    return [job for job in jobs if not job.done]


def _refuse_elsewhere(undone: Sequence[Job]) -> None:
    if undone:
        raise InputError(f"{undone[0].folder}: workers write elsewhere; all machines must share the file system of --out")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


Losses = tuple[type[Exception], ...]
"""What a backend raises for a worker that is lost."""


@contextmanager
def _processes(count: int, address: str) -> Iterator[Losses]:
    with joblib.parallel_config("loky", n_jobs=count):
        yield (BrokenExecutor,)


@contextmanager
def _ray(count: int, address: str) -> Iterator[Losses]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise InputError("--backend ray: Ray is missing; install duchenne[ray]") from None
    local = {} if address else {"num_cpus": count, "include_dashboard": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, on versions to come
        ray.init(address=address or None, log_to_driver=False, logging_level="ERROR", **local)
    register_ray()
    try:
        with joblib.parallel_config("ray", n_jobs=count):
            yield (ray.exceptions.RayError,)
    finally:
        ray.shutdown()


@contextmanager
def _dask(count: int, address: str) -> Iterator[Losses]:
    try:
        from distributed import Client, KilledWorker, LocalCluster
    except ImportError:
        raise InputError("--backend dask: Dask is missing; install duchenne[dask]") from None
    with contextlib.ExitStack() as stack:
        cluster = address or stack.enter_context(LocalCluster(count, threads_per_worker=1, dashboard_address=None))
        stack.enter_context(Client(cluster))
        stack.enter_context(joblib.parallel_config("dask", n_jobs=count))
        yield (KilledWorker,)


BACKENDS: dict[str, Callable[[int, str], AbstractContextManager[Losses]]] = {
    "processes": _processes,
    "ray": _ray,
    "dask": _dask,
}
"""Where jobs are done, by name: (how many at once, address) -> a context that gives what is raised for a lost worker."""

HERE = Workers()
"""As many processes as this machine is best used by."""
