"""Where computed things are kept, and how files are written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from duchenne.errors import InputError

ABANDONED = 24 * 3600.0
"""Seconds after which what is not whole in the cache has no builder any more."""

_PARTIAL = ".partial"


def folder(name: str) -> Path:
    """Make and return a folder of the user's cache; ``DUCHENNE_CACHE`` moves the whole cache.

    Raises ``InputError`` where it cannot be made.
    """
    root = Path(os.environ.get("DUCHENNE_CACHE") or platformdirs.user_cache_dir("duchenne"))
    path = root / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({error.strerror}); name another cache in DUCHENNE_CACHE") from None
    return path


def stamp(path: Path) -> str:
    """Tell a file's state: another text after it has changed, even where its size and time were set back."""
    try:
        state = os.stat(path)
        return f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ctime_ns}\0{state.st_ino}\0"
    except (OSError, ValueError):  # a name with a null byte is no file's
        return f"{path}\0missing\0"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write a file to; it takes its place when the block ends without an error.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "scores.json"
    >>> with replacing(target) as partial:
    ...     _ = partial.write_text("{}")
    >>> target.read_text(), [p.name for p in target.parent.iterdir()]
    ('{}', ['scores.json'])
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, told: Any) -> None:
    """Write a file of JSON, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def sweep(folder: Path, older: float = 0.0) -> None:
    """Remove what a killed process left half-written in a folder, if it is ``older`` than so many seconds."""
    for path in sorted(folder.rglob(f".*{_PARTIAL}")):
        if older and time.time() - path.stat().st_mtime < older:
            continue  # another process may be at work on it
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill; it takes the place of ``path`` when the block ends without an error."""
    with _folder_beside(path) as partial:
        yield partial
        if path.exists():
            path.rename(partial.with_suffix(".old" + _PARTIAL))
        partial.replace(path)
        shutil.rmtree(partial.with_suffix(".old" + _PARTIAL), ignore_errors=True)


@contextmanager
def keeping_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill; it becomes ``path`` unless another process was first, whose folder stays."""
    with _folder_beside(path) as partial:
        yield partial
        try:
            partial.rename(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path`` and remove it if it is still there at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent))
    partial.chmod(0o755)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
