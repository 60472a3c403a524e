"""Where faces come from: one string, ``NAME`` or ``NAME:PATH``."""

from __future__ import annotations

from pathlib import Path

from duchenne.errors import InputError
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.formats import FORMATS
from duchenne.faces.formats.reading import Format, Reading, usable
from duchenne.faces.table import FaceTable
from duchenne.progress import Progress, quiet


def load(spec: str, avatars: AvatarSettings | None = None, progress: Progress = quiet) -> FaceTable:
    """Load the table that a string names: ``avatars`` renders one, ``ckplus:/data/CK+`` reads one.

    Raises ``InputError`` for an unknown name, a missing path, and for faults that make the set unusable.
    """
    if spec == "avatars":
        from duchenne.faces.avatars import dataset

        return dataset.load(avatars, progress)
    return usable(read(*named(spec), progress))


def read(format_: Format, path: Path, progress: Progress = quiet) -> Reading:
    """Read what a data set's files say of its pictures, while a progress shows that something happens."""
    with progress(f"Reading {format_.title}", None):
        return format_.read(path)


def named(spec: str) -> tuple[Format, Path]:
    """Split ``NAME:PATH`` into the format of that name and the path.

    >>> named("folder:/photos")[1].as_posix()
    '/photos'
    """
    name, colon, path = spec.partition(":")
    if name == "avatars":
        raise InputError("faces 'avatars' are rendered and take no path; rendered pictures are read as folder:PATH")
    if name not in FORMATS:
        if Path(spec).expanduser().exists():
            raise InputError(f"faces {spec!r}: name its format before it, as in folder:{spec}")
        raise InputError(f"faces {spec!r}: not one of avatars, {', '.join(f'{n}:PATH' for n in FORMATS)}")
    if not colon or not path:
        raise InputError(f"faces {spec!r}: the path is missing, as in {name}:/data/faces")
    return FORMATS[name], Path(path).expanduser()
