"""Progress of anything that takes longer than two seconds.

Whoever has something long to do says so,
``with progress("Rendering faces", 400) as advance``, and calls
``advance(count)`` meanwhile. What is shown of it is up to whoever called:
nothing, unless they are ``showing(bars)``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path

from duchenne import files

_PATIENCE = 1.0  # seconds before a bar is shown: most work ends sooner
_BETWEEN_NOTES = 1.0  # seconds
Advance = Callable[[float], None]
Display = Callable[[str, int | None], AbstractContextManager[Advance]]


@contextmanager
def quiet(what: str, total: int | None) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda count: None


_display: ContextVar[Display] = ContextVar("display", default=quiet)
_subjects: ContextVar[tuple[str, ...]] = ContextVar("subjects", default=())


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Advance]:
    """Do something long: ``advance(count)`` tells how far it is.

    Args:
        what: What is done, as in "Rendering faces".
        total: How much there is to do; None where nobody knows.

    Yields:
        A function that is called with how much more is done.
    """
    named = "".join([what, *(f" ({subject})" for subject in _subjects.get())])
    with _display.get()(named, total) as advance:
        yield advance


@contextmanager
def showing(display: Display) -> Iterator[None]:
    """Show the progress of whatever is done within: ``bars``, ``quiet``, or a
    display of one's own.

    >>> with showing(bars), progress("Counting", 3) as advance:
    ...     advance(3)
    """
    before = _display.set(display)
    try:
        yield
    finally:
        _display.reset(before)


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Say of whatever is done within what it is about: "Permuting labels
    (untrained)".

    >>> @contextmanager
    ... def said(what, total):
    ...     print(what)
    ...     yield
    >>> with showing(said), about("untrained"), progress("Permuting labels", 3):
    ...     pass
    Permuting labels (untrained)
    """
    before = _subjects.set((*_subjects.get(), subject))
    try:
        yield
    finally:
        _subjects.reset(before)


def noted(file: Path) -> Display:
    """Keep in a file which share is done, for another process to read with
    ``read_note``.

    Args:
        file: Where it is kept.

    Returns:
        A display.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "progress"
    >>> with showing(noted(file)), progress("Training", 4) as advance:
    ...     advance(1)
    >>> read_note(file)
    0.25
    """

    @contextmanager
    def note(what: str, total: int | None) -> Iterator[Advance]:
        done = 0.0
        written = -math.inf

        def advance(count: float) -> None:
            nonlocal done, written
            done += count
            if total and time.monotonic() - written > _BETWEEN_NOTES:
                written = time.monotonic()
                with files.replacing(file) as partial:
                    partial.write_text(str(done / total))

        yield advance

    return note


def read_note(file: Path) -> float:
    """Read which share is done, 0 … 1; nothing where no file is.

    Args:
        file: What ``noted`` writes.

    Returns:
        The share; 0 where there is no file.
    """
    try:
        return float(file.read_text())
    except OSError:
        return 0.0


@contextmanager
def bars(what: str, total: int | None) -> Iterator[Advance]:
    """Show a bar on the terminal's error stream, with the time left, once a
    second has passed.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    display = Progress(*columns, console=Console(stderr=True))
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
