"""Where faces come from: one string, ``NAME`` or ``NAME:PATH``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from duchenne.errors import InputError
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.formats import folder
from duchenne.faces.table import FaceTable
from duchenne.progress import Progress, quiet


@dataclass(frozen=True)
class Source:
    """A kind of data set on disk.

    ``load`` reads its table, ``faults`` lists what is wrong with its labels, ``pictures`` every picture that it lists.
    """

    about: str
    load: Callable[[Path], FaceTable]
    faults: Callable[[Path], list[str]]
    pictures: Callable[[Path], list[Path]]


SOURCES: dict[str, Source] = {
    "folder": Source(
        about=f"a folder with one sub-folder an expression, or with a {folder.MANIFEST}",
        load=folder.load,
        faults=lambda path: list(folder.faults(path)),
        pictures=folder.pictures,
    ),
}
"""Every kind of data set by the name before the colon."""


def load(spec: str, avatars: AvatarSettings | None = None, progress: Progress = quiet) -> FaceTable:
    """Load the table that a string names: ``avatars`` renders one, ``folder:/photos`` reads one.

    Raises ``InputError`` for an unknown name, a missing path, and for faults of the set.
    """
    if spec == "avatars":
        from duchenne.faces.avatars import dataset

        return dataset.load(avatars, progress)
    source, path = named(spec)
    return source.load(path)


def named(spec: str) -> tuple[Source, Path]:
    """Split ``NAME:PATH`` into the source of that name and the path.

    >>> named("folder:/photos")[1].as_posix()
    '/photos'
    """
    name, colon, path = spec.partition(":")
    if name == "avatars":
        raise InputError("faces 'avatars' are rendered and take no path; rendered pictures are read as folder:PATH")
    if name not in SOURCES:
        raise InputError(f"faces {spec!r}: not one of avatars, {', '.join(f'{n}:PATH' for n in SOURCES)}")
    if not colon or not path:
        raise InputError(f"faces {spec!r}: the path is missing, as in {name}:/data/faces")
    return SOURCES[name], Path(path).expanduser()
