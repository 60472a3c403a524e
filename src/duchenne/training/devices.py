"""Several devices for one network: a process for each, which learns from its share of every batch; gradients are averaged.

The first is the process that asks. The others are started anew for the fit and end with it, so that a script's own calls
stand below ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch
import torch.distributed
import torch.multiprocessing
from lightning.fabric.plugins.environments.lightning import LightningEnvironment, find_free_network_port
from lightning.pytorch.strategies import DDPStrategy

from duchenne.errors import InputError
from duchenne.progress import Progress, quiet

_PATIENCE = timedelta(minutes=5)  # until a process that does not appear is given up
_LOOK = 2.0  # seconds
_Found = TypeVar("_Found")
_Things = TypeVar("_Things", bound=Sequence[Any] | torch.Tensor)


@dataclass(frozen=True)
class Share:
    """What one of several processes takes of all that there is: every ``of``-th thing, from the ``rank``-th on.

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
        """Arguments of a ``Trainer`` that is one of several; none for a process alone."""
        if self.of == 1:
            return {}
        return {"strategy": DDPStrategy(timeout=_PATIENCE), "plugins": [_Meeting(self)], "use_distributed_sampler": False}


ALL = Share()
"""The share of a process alone."""


class _Meeting(LightningEnvironment):
    """Tells Lightning that the processes are there, which one this is, and where they meet."""

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


def together(work: Callable[[Share, Progress], _Found], count: int, threads: int, progress: Progress) -> _Found:
    """Do work in so many processes at once, each on so many threads, and return what it returns in this one.

    Raises what it raises here, and ``InputError`` where another process was lost.
    """
    if count == 1:
        return work(ALL, progress)
    port = find_free_network_port()
    start = torch.multiprocessing.get_context("spawn").Process
    others = [start(target=_follow, args=(work, Share(rank, count, port), threads), daemon=True) for rank in range(1, count)]
    with _accompanied(others):
        return work(Share(0, count, port), progress)


@contextmanager
def _accompanied(others: Sequence[BaseProcess]) -> Iterator[None]:
    for other in others:
        other.start()
    try:
        yield
        for other in others:
            other.join()
    except RuntimeError as error:
        for other in others:
            other.join(_LOOK)
        lost = [other for other in others if other.exitcode]
        if lost:
            raise InputError(f"--devices {len(others) + 1}: a process was lost ({lost[0].exitcode})") from error
        raise
    finally:
        for other in others:
            other.terminate()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _follow(work: Callable[[Share, Progress], object], share: Share, threads: int) -> None:
    """Be one of the other processes; what the first one says to the user is not said twice."""
    torch.set_num_threads(threads)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            work(share, quiet)
        except InputError:
            sys.exit(1)
