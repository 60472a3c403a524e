"""Several devices for one network: a process for each, which learns from its
share of every batch; gradients are averaged.

The first is the process that asks. The others are started anew for the fit and
end with it, so that a script's own calls stand below
``if __name__ == "__main__":``.

Lightning starts processes too (``ddp_spawn``), but then the one that asks
learns neither the history nor the kind of an error: it gets a
``ProcessRaisedException`` with a traceback of a hundred lines in place of the
one line that says what to change.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch
import torch.distributed
import torch.multiprocessing
from lightning.fabric.plugins.environments.lightning import (
    LightningEnvironment,
    find_free_network_port,
)
from lightning.pytorch.strategies import DDPStrategy

from duchenne.errors import ArgumentError, InputError
from duchenne.training.machine import computing

# until processes that do not meet are given up
_MEETING = timedelta(minutes=5)
_UNTIL_EXIT = 2.0  # seconds that a lost process needs to be gone
_FAILED = 1  # exit code of a process whose work raised
_Found = TypeVar("_Found")
_Things = TypeVar("_Things", bound=Sequence[Any] | torch.Tensor)


@dataclass(frozen=True)
class Share:
    """What one of several processes takes of all that there is: every
    ``of``-th thing, from the ``rank``-th on.

    >>> Share(1, 3).taken([0, 1, 2, 3, 4])
    [1, 4]
    """

    rank: int = 0
    of: int = 1
    port: int = 0

    def taken(self, things: _Things) -> _Things:
        """Take the share of a sequence."""
        return things[self.rank :: self.of]  # type: ignore[return-value]

    def told_to_lightning(self) -> dict[str, Any]:
        """Arguments of a ``Trainer`` that is one of several; none for a
        process alone.
        """
        if self.of == 1:
            return {}
        return {
            "strategy": DDPStrategy(timeout=_MEETING),
            "plugins": [_Meeting(self)],
            "use_distributed_sampler": False,
        }


ALL = Share()
"""The share of a process alone."""


class _Meeting(LightningEnvironment):
    """Tells Lightning that the processes are there, which one this is, and
    where they meet.
    """

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        return self.share.port

    def local_rank(self) -> int:
        return self.share.rank


def together(
    work: Callable[[Share], _Found], count: int, threads: int
) -> _Found:
    """Do work in so many processes at once, each on so many threads, and
    return what it returns in this one.

    Raises what it raises here, and ``InputError`` where another process cannot
    be started or was lost.
    """
    with computing.threads(threads):
        if count == 1:
            return work(ALL)
        port = find_free_network_port()
        with _accompanied(
            work,
            [Share(rank, count, port) for rank in range(1, count)],
            threads,
        ):
            return work(Share(0, count, port))


@contextmanager
def _accompanied(
    work: Callable[[Share], object], shares: Sequence[Share], threads: int
) -> Iterator[None]:
    if (
        multiprocessing.get_start_method()
        not in multiprocessing.get_all_start_methods()
    ):
        # the children of joblib's workers would not know theirs
        multiprocessing.set_start_method("spawn", force=True)
    others: list[BaseProcess] = []
    try:
        pipes = [_started(others, work, share, threads) for share in shares]
        for other, (receiver, _) in zip(others, pipes, strict=True):
            _await(other, receiver, len(others) + 1)
        yield
        for other in others:
            other.join()
    except RuntimeError as error:
        _refuse_lost(others, error)
        raise
    finally:
        for other in others:
            # on SIGTERM Lightning would write to the connection that ends here
            other.kill()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _started(
    others: list[BaseProcess],
    work: Callable[[Share], object],
    share: Share,
    threads: int,
) -> tuple[Connection, Connection]:
    """Start one more process.

    The first of what is returned tells when it works; the other end is kept
    open until then, as one that is closed would tell the same.
    """
    context = torch.multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    other = context.Process(
        target=_follow, args=(work, share, threads, sender), daemon=True
    )
    other.start()
    others.append(other)
    return receiver, sender


def _refuse_lost(others: Sequence[BaseProcess], error: RuntimeError) -> None:
    """Raise ``InputError`` where another process ended by itself."""
    for other in others:
        other.join(_UNTIL_EXIT)
    lost = [
        other.exitcode
        for other in others
        if other.exitcode not in (None, 0, _FAILED)
    ]
    if lost:
        problem = (
            f"{len(others) + 1}: a process was lost (exit code {lost[0]})"
        )
        raise ArgumentError("devices", problem) from error


def _await(other: BaseProcess, receiver: Connection, count: int) -> None:
    """Wait until a process works; one that ends before it does would leave the
    others waiting for it.
    """
    if receiver not in wait([receiver, other.sentinel]):
        other.join()
        raise ArgumentError(
            "devices",
            f"{count}: a process cannot be started (exit code {other.exitcode}); a "
            "script's own calls belong below if __name__ == '__main__':",
        )


def _follow(
    work: Callable[[Share], object],
    share: Share,
    threads: int,
    started: Connection,
) -> None:
    """Be one of the other processes, and end with the first; what that one
    says to the user is not said twice.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    started.send(None)
    try:
        with computing.threads(threads):
            work(share)
    except (InputError, KeyboardInterrupt):
        sys.exit(_FAILED)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(_FAILED)
