"""Processes of this machine that are sent tasks, one at a time each.

They are started as joblib starts its own, so that a script needs no ``if __name__ == "__main__":``. Each has a pipe and
shares nothing: no queue, no lock, no thread. One that is killed takes only its own task along, and its end is never missed.
"""

from __future__ import annotations

import contextlib
import io
import mmap
import os
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import numpy as np
from joblib.externals.loky.backend import get_context

_LOOK = 0.5  # seconds
_LEAVE = 5.0  # seconds to end in, once nothing is left to do
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # the second on Windows, where it is the same
_Task = TypeVar("_Task")


class LostError(Exception):
    """A process ended before its task did."""


def do_each(tasks: Sequence[_Task], work: Callable[[_Task], None], count: int) -> None:
    """Do every task, so many at once.

    Raises what a task raises, and at once; ``LostError`` where a process was lost, when the other tasks are done.
    """
    told, waiting, lost = _pickled(work), deque(tasks), ""
    idle, busy = list[_Process](), list[_Process]()
    try:
        while waiting or busy:
            while waiting and len(busy) < count:
                busy.append(idle.pop() if idle else _Process(told))
                busy[-1].send(waiting.popleft())
            for process in _ended(busy):
                if process.answered():
                    idle.append(process)
                else:
                    lost = process.end()
                busy.remove(process)
    finally:
        for process in busy:
            process.kill()
        for process in idle:
            process.end()
    if lost:
        raise LostError(lost)


def _ended(busy: Sequence[_Process]) -> list[_Process]:
    """Wait a while for those that are done with their task, or lost."""
    wait([process.pipe for process in busy], _LOOK)
    return [process for process in busy if process.pipe.poll() or not process.alive]


class _Process:
    """A process that does what it is told to every task that it is sent."""

    def __init__(self, told: bytes) -> None:
        context = get_context("loky")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, os.getpid()))
        self._process.start()
        theirs.close()
        self._say(self.pipe.send_bytes, told)

    @property
    def alive(self) -> bool:
        return bool(self._process.is_alive())

    def send(self, task: object) -> None:
        """Send a task."""
        self._say(self.pipe.send, task)

    @staticmethod
    def _say(send: Callable[[Any], None], thing: object) -> None:
        with contextlib.suppress(OSError):  # it is lost, which is seen when an answer is waited for
            send(thing)

    def answered(self) -> bool:
        """Whether the task was done, or the process was lost before; raises what the task raised."""
        error = None
        try:
            if not self.pipe.poll():
                return False
            error = self.pipe.recv()
        except (EOFError, OSError):
            return False
        if error is not None:
            raise error
        return True

    def end(self) -> str:
        """Send no more tasks, wait for the end, and tell of it."""
        self.pipe.close()
        self._process.join(_LEAVE)
        self.kill()
        return f"exit code {self._process.exitcode}"

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.alive:
            os.kill(self._process.pid, _KILL)
            self._process.join()
        self.pipe.close()


def _serve(pipe: Connection, asker: int) -> None:
    """Be one of the processes. Ctrl-C is the asker's to heed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(asker,), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):  # the asker has no more to ask
        work = pipe.recv()
        while True:
            _answer(pipe, work, pipe.recv())


def _answer(pipe: Connection, work: Callable[[object], None], task: object) -> None:
    """Do a task, and tell that it is done, or the error with where it was raised."""
    try:
        work(task)
    except BaseException as error:  # also SystemExit, which Lightning raises
        where = "".join(traceback.format_exception(error))
        error.add_note(where)
        try:
            pipe.send(error)
        except (pickle.PicklingError, TypeError, AttributeError):
            pipe.send(RuntimeError(where))
    else:
        pipe.send(None)


def _end_with(asker: int) -> None:
    """End this process when the asker does, which a kill leaves no time to tell; Windows does not say."""
    while os.getppid() == asker:
        time.sleep(_LOOK)
    os._exit(1)


class _ByFile(pickle.Pickler):
    """Pickles an array that is mapped from a file by its place there."""

    def reducer_override(self, thing: object) -> Any:
        if isinstance(thing, np.memmap) and isinstance(thing.base, mmap.mmap) and thing.filename is not None:
            return np.memmap, (thing.filename, thing.dtype, "r", thing.offset, thing.shape)
        return NotImplemented


def _pickled(work: object) -> bytes:
    written = io.BytesIO()
    _ByFile(written, pickle.HIGHEST_PROTOCOL).dump(work)
    return written.getvalue()
