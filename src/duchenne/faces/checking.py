"""Checking a data set: everything that cannot be used, not only the first fault."""

from __future__ import annotations

from dataclasses import dataclass

from duchenne.faces import pictures, sources
from duchenne.progress import Progress, quiet


@dataclass(frozen=True)
class Checked:
    """``faults``, a line each, and ``summary``, which is empty where the table could not be read."""

    faults: tuple[str, ...]
    summary: str


def check(spec: str, progress: Progress = quiet) -> Checked:
    """List the faults of a data set's labels and of every picture that it lists.

    Raises ``InputError`` where the string names no data set.
    """
    source, path = sources.named(spec)
    found = source.faults(path)
    broken = pictures.faults(source.pictures(path), progress)
    return Checked((*found, *broken.values()), "" if found else source.load(path).summary())
