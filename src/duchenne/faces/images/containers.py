"""Pictures that lie many to a file: rows of FER2013's csv and arrays of MATLAB
files, read one at a time.

Such a picture is named ``file#number``, counted from 0.
"""

from __future__ import annotations

import hashlib
import mmap
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from duchenne import files
from duchenne.errors import InputError

Pixels = NDArray[np.generic]

_SIDE = 48  # of FER2013's pictures
_lock = threading.Lock()


def member(name: str, number: int) -> str:
    """Name a picture in a container.

    >>> member("fer2013.csv", 12)
    'fer2013.csv#12'
    """
    return f"{name}#{number}"


def split_member(path: Path) -> tuple[Path, int] | None:
    """Tell a container and a number apart.

    Args:
        path: As a table names it.

    Returns:
        Both; None where the path names an ordinary file.

    >>> split_member(Path("/data/fer2013.csv#12")) == (
    ...     Path("/data/fer2013.csv"),
    ...     12,
    ... )
    True
    """
    name, hash_, number = path.name.rpartition("#")
    if (
        not hash_
        or not number.isascii()
        or not number.isdigit()
        or len(number) > 9
    ):
        return None
    container = path.with_name(name)
    return (
        (container, int(number))
        if container.suffix.lower() in DECODERS
        else None
    )


def decode(container: Path, number: int) -> Pixels:
    """Read one picture of a container.

    Args:
        container: The file.
        number: Of the picture.

    Returns:
        (H, W).

    Raises:
        InputError: Where the container or the picture cannot be read.
    """
    return DECODERS[container.suffix.lower()](container, number)


def pixel_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield emotion and usage of each row of a csv like FER2013's, without
    decoding the pixels.

    Args:
        path: The csv.

    Yields:
        Emotion and usage.

    Raises:
        InputError: Where its first line does not name ``emotion``, ``pixels``
            and ``Usage``.
    """
    rows = _Rows.of(path)
    for number in range(len(rows)):
        fields = rows.fields(number)
        yield (fields["emotion"], fields["Usage"]) if fields else ("", "")


def matlab(path: Path) -> dict[str, Any]:
    """Read the arrays of a MATLAB file like TFD's, but for its pictures.

    Args:
        path: The file.

    Returns:
        Arrays by their names.

    Raises:
        InputError: Where it cannot be read as one.
    """
    return _matlab(path, _state(path))


def stacked(path: Path) -> Pixels:
    """Map the pictures of a MATLAB file like TFD's into memory, whichever axis
    counts them.

    They are unpacked into the user's cache once: the file packs all into one
    piece, 0.9 GB in TFD.

    Args:
        path: The file.

    Returns:
        (n, H, W).

    Raises:
        InputError: Where it holds none, or not one for each of ``labs_ex``.
    """
    state = _state(path.resolve()).encode(errors="surrogateescape")
    unpacked = (
        files.folder("containers") / hashlib.sha256(state).hexdigest()[:32]
    )
    with _lock:
        if unpacked not in _SOUND:
            if not files.sound(unpacked):
                _unpack(path, unpacked)
            _SOUND.add(unpacked)
    return _mapped(unpacked)


_SOUND: set[Path] = set()


def _unpack(path: Path, unpacked: Path) -> None:
    images = np.asarray(_loaded(path, ["images"]).get("images", ()))
    count = np.size(matlab(path).get("labs_ex", ()))
    if (
        images.ndim != 3
        or images.dtype.kind not in "uif"
        or count not in (images.shape[0], images.shape[2])
    ):
        raise InputError(
            f"{path}: 'images' are not {count} pictures, as many as 'labs_ex' has labels"
        )
    inorder = images if images.shape[0] == count else images.transpose(2, 0, 1)
    with (
        files.replacing(unpacked, checked=True) as partial,
        partial.open("wb") as file,
    ):
        np.save(file, np.ascontiguousarray(inorder), allow_pickle=False)


@lru_cache(maxsize=4)
def _mapped(unpacked: Path) -> Pixels:
    pictures: Pixels = np.load(unpacked, mmap_mode="r", allow_pickle=False)
    return pictures


class _Rows:
    """A csv like FER2013's, mapped into memory: where its lines begin, and
    what its columns are.

    The 282 MiB of FER2013 are shared by all processes that decode pictures;
    ``pandas.read_csv`` holds 685 MiB in each (and is read in 0.6 s, this in
    1.4 s).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self.text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.ends = _line_ends(self.text)
        self.names = [
            name.strip().strip('"')
            for name in self._line(-1).lstrip("\ufeff").split(",")
        ]
        missing = [
            name
            for name in ("emotion", "pixels", "Usage")
            if name not in self.names
        ]
        if missing:
            raise InputError(f"{path}: column {missing[0]!r} is missing")

    @classmethod
    def of(cls, path: Path) -> _Rows:
        state = _state(path)
        if not path.stat().st_size:
            raise InputError(f"{path}: the file is empty")
        with _lock:
            return _rows(path, state)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def fields(self, number: int) -> dict[str, str] | None:
        """Split a row into its named fields, or None where it has not as many
        as the first line names.
        """
        values = self._line(number).split(",")
        return (
            dict(zip(self.names, values, strict=True))
            if len(values) == len(self.names)
            else None
        )

    def _line(self, number: int) -> str:
        begin = self.ends[number] + 1 if number >= 0 else 0
        return (
            self.text[begin : self.ends[number + 1]]
            .decode("utf-8", "replace")
            .strip()
        )


def _line_ends(text: mmap.mmap, step: int = 1 << 24) -> NDArray[np.int64]:
    """Find every line's end, block by block; blank lines at the end do not
    count.
    """
    length = len(text)
    while length and text[length - 1 : length].isspace():
        length -= 1
    blocks = (
        np.frombuffer(text[at : min(at + step, length)], np.uint8)
        for at in range(0, length, step)
    )
    found = [
        np.flatnonzero(block == ord("\n")) + number * step
        for number, block in enumerate(blocks)
    ]
    return np.concatenate([*found, [length]]).astype(np.int64)


@lru_cache(maxsize=4)
def _rows(path: Path, state: str) -> _Rows:
    return _Rows(path)


@lru_cache(maxsize=2)
def _matlab(path: Path, state: str) -> dict[str, Any]:
    return _loaded(path, ["folds", "labs_ex", "labs_id"])


def _loaded(path: Path, names: list[str]) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        held: dict[str, Any] = loadmat(path, variable_names=names)
    except NotImplementedError:
        raise InputError(
            f"{path}: MATLAB 7.3 is not read; save it with -v7"
        ) from None
    except Exception as error:  # SciPy's reader fails in many ways on what is not a MATLAB file
        raise InputError(
            f"{path}: not a MATLAB file: {type(error).__name__}"
        ) from None
    return held


def _state(path: Path) -> str:
    """Tell a file's state; raises ``InputError`` where there is none."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return files.stamp(path)


def _from_csv(container: Path, number: int) -> Pixels:
    rows = _Rows.of(container)
    fields = rows.fields(number) if number < len(rows) else None
    if fields is None:
        raise InputError(f"{member(str(container), number)}: no such picture")
    try:
        pixels = np.array(
            fields["pixels"].strip().strip('"').split(), np.uint8
        )
    except (ValueError, OverflowError):
        raise InputError(
            f"{member(str(container), number)}: pixels are not numbers from 0 to 255"
        ) from None
    if len(pixels) != _SIDE**2:
        raise InputError(
            f"{member(str(container), number)}: {len(pixels)} pixels are not {_SIDE}×{_SIDE}"
        )
    return pixels.reshape(_SIDE, _SIDE)


def _from_matlab(container: Path, number: int) -> Pixels:
    pictures = stacked(container)
    if number >= len(pictures):
        raise InputError(f"{member(str(container), number)}: no such picture")
    picture: Pixels = pictures[number]
    return picture


DECODERS: dict[str, Callable[[Path, int], Pixels]] = {
    ".csv": _from_csv,
    ".mat": _from_matlab,
}
"""Reads one picture of a container, by the container's ending."""
