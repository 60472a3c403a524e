"""Where computed things are kept, and how files are written whole or not at
all, and known again.

What is kept has a length and a checksum (CRC-32, a gigabyte a second), and is
believed only where they are right: a disk that lost power leaves empty files,
and a flipped bit makes wrong pictures without a word.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

if TYPE_CHECKING:
    import pandas as pd

from duchenne.errors import InputError

ABANDONED = 24 * 3600.0
"""Seconds after which what is not whole in the cache has no builder any more."""

_PARTIAL = ".partial"


def folder(name: str) -> Path:
    """Make a folder of the user's cache; ``DUCHENNE_CACHE`` moves the whole
    cache.

    Args:
        name: Below the cache.

    Returns:
        The folder.

    Raises:
        InputError: Where it cannot be made.
    """
    root = Path(
        os.environ.get("DUCHENNE_CACHE")
        or platformdirs.user_cache_dir("duchenne")
    )
    path = root / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be made ({error.strerror}); name another cache in DUCHENNE_CACHE"
        ) from None
    if path not in _SWEPT:
        _SWEPT.add(path)
        sweep(path)
    return path


_SWEPT: set[Path] = set()


def plain(name: str) -> str:
    """Name a folder after what may hold anything, as names of layers do.

    Args:
        name: Any text.

    Returns:
        The same where it is letters, numbers, points, dashes and equal signs;
        else with dashes for what is none of these, and a long one cut, with
        a digest of all of it.

    >>> plain("layer3.0"), plain("../up"), plain("block/act:pca=8")
    ('layer3.0', '-up', 'block-act-pca=8')
    """
    found = re.sub(r"[^\w.=+]+", "-", name.replace("..", "")).lstrip(".")
    if len(found) <= _LONG:
        return found
    digest = zlib.crc32(name.encode())
    return f"{found[:_LONG]}-{digest:08x}"


_LONG = 100


def stamp(path: Path) -> str:
    """Tell a file's state: another text after it has changed, even where its
    size and time were set back.

    Args:
        path: The file.

    Returns:
        Size, times and inode as text.
    """
    try:
        state = os.stat(path)
        times = f"{state.st_mtime_ns}\0{state.st_ctime_ns}"
        return f"{path}\0{state.st_size}\0{times}\0{state.st_ino}\0"
    except (OSError, ValueError):  # a name with a null byte is no file's
        return f"{path}\0missing\0"


def checksum(path: Path) -> str:
    """Length and CRC-32 of a file, in hexadecimal.

    Args:
        path: The file.

    Returns:
        Both, in hexadecimal.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a"
    >>> _ = file.write_bytes(b"duchenne")
    >>> checksum(file)
    '8-20e6fd39'
    """
    found = 0
    length = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found = zlib.crc32(block, found)
            length += len(block)
    return f"{length:x}-{found:08x}"


_BLOCK = 1 << 22


def unsound(folder: Path, sums: Mapping[str, str]) -> list[str]:
    """Name the files of a folder that are missing, or other than their
    checksums say.

    Args:
        folder: The folder.
        sums: Checksums by path below it.

    Returns:
        Paths.
    """

    def differs(name: str) -> bool:
        try:
            return checksum(folder / name) != sums[name]
        except OSError:
            return True

    with ThreadPoolExecutor() as threads:
        odd = list(threads.map(differs, sums))
    return [name for name, other in zip(sums, odd, strict=True) if other]


def seal(folder: Path, some: Sequence[str] = ()) -> None:
    """Note the checksums of ``some`` files in a folder, or of all, for
    ``sealed`` to know that it is whole.

    Args:
        folder: The folder.
        some: Files; all where none is named.
    """
    names = some or sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )
    write_json(
        folder / _SUMS,
        {name: checksum(folder / name) for name in names if name != _SUMS},
    )


def sealed(folder: Path) -> bool:
    """Say whether a folder was sealed and every file in it is as it was; one
    that was looked at before is believed.

    Args:
        folder: The folder.

    Returns:
        True where it is whole.
    """
    state = stamp(folder / _SUMS)
    if state in _SOUND:
        return True
    try:
        sums = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        whole = not unsound(
            folder, {str(name): str(told) for name, told in sums.items()}
        )
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
    if whole:
        _SOUND.add(state)
    return whole


_SUMS = "checksums.json"
_SOUND: set[str] = set()


def remove(folder: Path) -> None:
    """Take a folder away at once, whatever is still open in it, then delete
    it.

    Args:
        folder: The folder.
    """
    gone = folder.with_name(f"{_beside(folder)}old{_PARTIAL}")
    with suppress(FileNotFoundError):  # another process may have been first
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


@contextmanager
def replacing(path: Path, checked: bool = False) -> Iterator[Path]:
    """Give a path beside ``path`` to write a file to; it takes its place when
    the block ends without an error.

    Args:
        path: The file.
        checked: Whether its checksum is kept in a file beside it, for
            ``sound`` to know it by.

    Yields:
        The path to write to.

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
    handle, name = tempfile.mkstemp(
        prefix=_beside(path), suffix=_PARTIAL, dir=path.parent
    )
    os.close(handle)
    partial = Path(name)
    try:
        with _disk_errors(path):
            yield partial
        partial.chmod(0o644)
        if checked:
            before = _sums_of(path)[:1]
            # whichever of the two a kill leaves is known
            write_json(_sum_file(path), [checksum(partial), *before])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Raise ``OSError`` for a disk that takes no more, in whatever way a
    writer of files says so.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        for number, says in _FULL.items():
            if says in str(error):
                raise OSError(
                    number, os.strerror(number), str(path)
                ) from error
        raise


_FULL = {
    errno.ENOSPC: "No space left",
    errno.EFBIG: "File too large",
    errno.EDQUOT: "quota exceeded",
    errno.EIO: "failed writing file",
}


def sound(path: Path) -> bool:
    """Say whether a file is there, and as it was written; see ``replacing``.

    Args:
        path: The file.

    Returns:
        True where it is.
    """
    try:
        return checksum(path) in _sums_of(path)
    except OSError:
        return False


def _sums_of(path: Path) -> list[str]:
    try:
        told = json.loads(_sum_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [str(each) for each in told] if isinstance(told, list) else []


def _sum_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.sum")


def _beside(path: Path) -> str:
    """How what is written beside ``path`` begins: it names the process, which
    may be gone when it is found.
    """
    return f".{path.name}.{os.getpid()}@{_HOST}."


_HOST = re.sub(r"[^A-Za-z0-9-]", "-", platform.node())


def write_json(path: Path, contents: Any) -> None:
    """Write a file of JSON, whole or not at all.

    Args:
        path: The file.
        contents: What JSON can hold.
    """
    with replacing(path) as partial:
        partial.write_text(
            json.dumps(contents, indent=2) + "\n", encoding="utf-8"
        )


def sweep(folder: Path, every: bool = False) -> None:
    """Remove what killed processes left half-written in a folder; what any
    process did, in it and below, where ``every``.

    Args:
        folder: The folder.
        every: Whether what processes that run have half-written goes too, in
            it and below.
    """
    found = (
        folder.rglob(f".*{_PARTIAL}")
        if every
        else folder.glob(f".*{_PARTIAL}")
    )
    for path in sorted(found):
        if not (every or _abandoned(path)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    """Whether whoever wrote it is gone: a process of this machine that is no
    more, or anybody a day ago.
    """
    named = _WRITER.search(path.name)
    if (
        named and named[2] == _HOST and os.name == "posix"
    ):  # elsewhere asking for a process may end it
        return not _runs(int(named[1]))
    try:
        return time.time() - path.stat().st_mtime > ABANDONED
    except OSError:
        return False


_WRITER = re.compile(r"\.(\d+)@([^.]*)\.[^.]*\.partial$")


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill; it takes the place of ``path``
    when the block ends without an error.

    Args:
        path: The folder.

    Yields:
        The folder to fill.
    """
    with _folder_beside(path) as partial:
        yield partial
        if path.exists():
            remove(path)
        partial.replace(path)


@contextmanager
def replacing_files(folder: Path) -> Iterator[Path]:
    """Give a folder to fill whose files take the place of those of their names
    in ``folder`` when the block ends without an error, and of those that were
    put there so before; what else lies there stays.

    Args:
        folder: Where they go.

    Yields:
        The folder to fill.
    """
    with _folder_beside(folder) as partial:
        yield partial
        folder.mkdir(exist_ok=True)
        names = sorted(
            path.name for path in partial.iterdir() if path.is_file()
        )
        for name in _put_before(folder) - set(names):
            (folder / name).unlink(missing_ok=True)
        for name in names:
            (partial / name).replace(folder / name)
        write_json(folder / _PUT, names)


def _put_before(folder: Path) -> set[str]:
    """The files that ``replacing_files`` put into a folder the last time."""
    try:
        contents = json.loads((folder / _PUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return set()
    return (
        {Path(str(name)).name for name in contents}
        if isinstance(contents, list)
        else set()
    )


_PUT = ".written.json"


@contextmanager
def keeping_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside ``path`` to fill; it becomes ``path`` unless
    another process was first, whose folder stays.

    Args:
        path: The folder.

    Yields:
        The folder to fill.
    """
    with _folder_beside(path) as partial:
        yield partial
        try:
            partial.rename(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path`` and remove it if it is still there at the
    end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(
        tempfile.mkdtemp(
            prefix=_beside(path), suffix=_PARTIAL, dir=path.parent
        )
    )
    partial.chmod(0o755)
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as Parquet, whole or not at all.

    Args:
        path: The file.
        frame: What it holds; its index is left out.
    """
    with replacing(path) as partial:
        frame.to_parquet(partial, index=False)


def read_frame(path: Path) -> pd.DataFrame:
    """Read a table.

    Args:
        path: A parquet file.

    Returns:
        The table.

    Raises:
        InputError: Where it is missing or damaged.
    """
    # takes half a second, which processes that only cut pictures do without
    import pandas

    try:
        return pandas.read_parquet(path)
    except FileNotFoundError:
        raise lost(path) from None
    except Exception as error:
        # PyArrow fails in many ways on what is not a table
        raise unreadable(path, error) from None


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.

    Returns:
        The object.

    Raises:
        InputError: Where it is missing or damaged.
    """
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise lost(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error) from None
    if not isinstance(contents, dict):
        raise InputError(f"{path}: holds no JSON object")
    return contents


def lost(path: Path) -> InputError:
    """What is said of a file that is not there.

    Args:
        path: The file.

    Returns:
        The error to raise.
    """
    return InputError(
        f"{path}: is missing; copy it back, or run the study anew in another folder"
    )


def unreadable(path: Path, error: Exception) -> InputError:
    """What is said of a file that cannot be read.

    Args:
        path: The file.
        error: What was raised.

    Returns:
        The error to raise.
    """
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return InputError(
        f"{path}: cannot be read: {reason}; copy it back, or run the study anew in another folder"
    )
