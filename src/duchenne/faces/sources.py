"""Where faces come from: one string, ``NAME`` or ``NAME:PATH``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from duchenne.errors import InputError
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.formats import FORMATS
from duchenne.faces.formats.adapter import (
    Contents,
    Format,
    files,
    folders,
    is_picture,
    usable,
)
from duchenne.faces.table import FaceTable
from duchenne.progress import progress


def load(spec: str, avatars: AvatarSettings | None = None) -> FaceTable:
    """Load the table that a string names: ``avatars`` renders one,
    ``ckplus:/data/CK+`` reads one.

    Raises ``InputError`` for an unknown name, a missing path, and for faults
    that make the set unusable.
    """
    if spec == "avatars":
        from duchenne.faces.avatars import dataset

        return dataset.load(avatars)
    return usable(read(*named(spec)))


def read(format_: Format, path: Path) -> Contents:
    """Read what a data set's files say of its pictures, while a progress shows
    that something happens.

    An archive that was unpacked into folders of their own is found where these
    hold nothing else.

    Args:
        format_: Of the data set.
        path: Where it lies.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where nothing can be read.
    """
    with progress(f"Reading {format_.title}", None):
        return _unwrapped(format_, path)


def _unwrapped(format_: Format, path: Path) -> Contents:
    """Read a folder, or the only one that it holds, down to three deeper; what
    is wrong is said of the first.
    """
    try:
        return format_.read(path)
    except InputError as error:
        inside = path
        for _ in range(_DEEPEST):
            below = folders(inside) if inside.is_dir() else []
            if len(below) != 1 or any(
                _is_data(name) for name in files(inside)
            ):
                break
            inside = below[0]
            with suppress(InputError):
                return format_.read(inside)
        raise error from None


_DEEPEST = 3


def _is_data(name: str) -> bool:
    """Whether a file may be what a data set is read from, rather than what
    comes with an archive.
    """
    return is_picture(name) or name.lower().endswith(
        (".csv", ".parquet", ".mat")
    )


def named(spec: str) -> tuple[Format, Path]:
    """Split ``NAME:PATH`` into the format of that name and the path.

    Args:
        spec: As in ``ckplus:/data/CK+``.

    Returns:
        Both.

    >>> named("folder:/photos")[1].as_posix()
    '/photos'
    """
    name, colon, path = spec.partition(":")
    if name == "avatars":
        raise InputError(
            "faces 'avatars' are rendered and take no path; rendered pictures are read as "
            "folder:PATH"
        )
    if name not in FORMATS:
        if Path(spec).expanduser().exists():
            raise InputError(
                f"faces {spec!r}: name its format before it, as in folder:{spec}"
            )
        raise InputError(
            f"faces {spec!r}: not one of avatars, {', '.join(f'{n}:PATH' for n in FORMATS)}"
        )
    if not colon or not path:
        raise InputError(
            f"faces {spec!r}: the path is missing, as in {name}:/data/faces"
        )
    try:
        return FORMATS[name], Path(path).expanduser()
    except RuntimeError:
        raise InputError(
            f"faces {spec!r}: no home folder is known that ~ could stand for"
        ) from None
