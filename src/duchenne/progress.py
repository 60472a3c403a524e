"""Progress of anything that takes longer than two seconds.

A *progress* is a callable ``progress(what, total)`` that gives a context manager, which gives ``advance(count)``; total is
None where nobody knows how much there is to do.
Library functions take one and default to ``quiet``; the command line passes ``bars``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from duchenne import cache

_PATIENCE = 1.0  # seconds before a bar is shown: most work ends sooner
_BETWEEN_NOTES = 1.0  # seconds
Advance = Callable[[float], None]
Progress = Callable[[str, int | None], AbstractContextManager[Advance]]


@contextmanager
def quiet(what: str, total: int | None) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda count: None


def about(progress: Progress, what: str) -> Progress:
    """The same progress, which says what it is about: "Permuting labels (untrained)".

    >>> about(lambda told, total: print(told), "untrained")("Permuting labels", 3)
    Permuting labels (untrained)
    """
    return lambda told, total: progress(f"{told} ({what})", total)


def noted(file: Path) -> Progress:
    """Keep in a file which share is done, for another process to read with ``read_note``.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "progress"
    >>> with noted(file)("Training", 4) as advance:
    ...     advance(1)
    >>> read_note(file)
    0.25
    """

    @contextmanager
    def note(what: str, total: int | None) -> Iterator[Advance]:
        done, written = 0.0, -math.inf

        def advance(count: float) -> None:
            nonlocal done, written
            done += count
            if total and time.monotonic() - written > _BETWEEN_NOTES:
                written = time.monotonic()
                with cache.replacing(file) as partial:
                    partial.write_text(str(done / total))

        yield advance

    return note


def read_note(file: Path) -> float:
    """Read which share is done, 0 … 1; nothing where no file is."""
    try:
        return float(file.read_text())
    except OSError:
        return 0.0


@contextmanager
def bars(what: str, total: int | None) -> Iterator[Advance]:
    """Show a bar on the terminal's error stream, with the time left, once a second has passed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    display = RichProgress(*columns, console=Console(stderr=True))
    task = display.add_task(what, total=total)
    later = threading.Timer(_PATIENCE, display.start)
    later.daemon = True
    later.start()
    try:
        yield lambda count: display.advance(task, count)
    finally:
        later.cancel()
        later.join()
        if display.live.is_started:
            display.stop()
