"""Progress of anything that takes longer than two seconds.

A *progress* is a callable ``progress(what, total)`` that gives a context manager, which gives ``advance(count)``.
Library functions take one and default to ``quiet``; the command line passes ``bars``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]


@contextmanager
def quiet(what: str, total: int) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda count: None


@contextmanager
def bars(what: str, total: int) -> Iterator[Advance]:
    """Show a bar on the terminal's error stream, with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(what, total=total)
        yield lambda count: display.advance(task, count)
