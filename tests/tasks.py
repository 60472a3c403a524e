"""Tasks for workers to do, in a module that a new process imports at once."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from duchenne.errors import InputError


@dataclass(frozen=True)
class Note:
    """A job that is done when its note is written."""

    folder: Path

    @property
    def done(self) -> bool:
        return (self.folder / "note").exists()

    @property
    def progress(self) -> float:
        return 1.0 if self.done else 0.3 * (self.folder / "half").exists()


def write(job: Note) -> None:
    job.folder.mkdir(exist_ok=True)
    (job.folder / "note").write_text("done")


def write_unless_killed(job: Note, times: int) -> None:
    """Kill the own process the first so many times."""
    before = len(list(job.folder.parent.glob("killed-*")))
    if before < times:
        (job.folder.parent / f"killed-{before}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write(job)


def write_slowly(job: Note) -> None:
    job.folder.mkdir(exist_ok=True)
    (job.folder / "half").touch()
    time.sleep(1.5)
    write(job)


def live(job: Note) -> None:
    """Let the heart beat for five minutes."""
    job.folder.mkdir(exist_ok=True)
    for _ in range(3000):
        (job.folder / "heart").touch()
        time.sleep(0.1)


def do_nothing(job: Note) -> None:
    """Write where nobody looks."""


def fail(job: Note) -> None:
    raise InputError("this job cannot be done")


def notes(folder: Path) -> list[Note]:
    return [Note(folder / str(number)) for number in range(4)]
