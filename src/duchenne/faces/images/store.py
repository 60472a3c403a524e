"""The store: decoded pictures of a data set, cut out and of one size, in one
memory-mapped file of the user's cache.

A store is named after the content of the pictures and after how they were cut.
What the content is, is remembered for as long as no file changes (its size,
its times of change, its place on the disk); then opening a store reads no
picture. Stores are written beside their place and renamed when they are whole:
of two processes that build one, both write the same, and what a killed one
leaves is never opened.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from duchenne import files
from duchenne.errors import InputError
from duchenne.faces.images import containers
from duchenne.progress import progress

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float64]

VERSION = 4
"""Raised when the same pictures would be decoded or cut otherwise, or more is
kept of them.
"""

Task = TypeVar("Task")

_SMALL = 1 << 24  # bytes up to which a file is read at once, which is quicker
_CONTENTS = "store.json"
_PICTURES = "pictures.bin"
_ONTO = "onto.npy"
_BLOCK = 64  # pictures that a worker decodes at once
_MANY = 3000  # pictures from which on processes decode them


@dataclass(frozen=True)
class Entry:
    """One picture as it is stored: (C, S, S) bytes and what should be known of
    it, or None and why it is left out.

    ``onto`` (2, 3) takes a place (x, y, 1) in the picture's file to where it
    lies in ``pixels``.
    """

    pixels: Bytes | None
    note: str = ""
    onto: Floats | None = None

    @property
    def affine(self) -> Floats:
        """``onto``, or where that is not known the map that changes nothing."""
        return np.eye(2, 3) if self.onto is None else self.onto


@dataclass(frozen=True)
class Store:
    """Pictures (n, C, S, S), the places of the list that they stand for, and
    place and note of each in doubt or left out.

    ``onto`` (n, 2, 3) takes places in the files to places in the pictures.
    """

    pictures: Bytes
    onto: Floats
    places: tuple[int, ...]
    notes: tuple[tuple[int, str], ...]
    faults: tuple[tuple[int, str], ...]


def content(paths: Sequence[Path]) -> str:
    """Digest many pictures, wherever they lie: the bytes of their files, empty
    for one that cannot be read.

    Bytes are read again only where a file has changed since they were last
    read.

    Args:
        paths: Of the pictures.

    Returns:
        32 hexadecimal digits.
    """
    held = [_container(path) for path in paths]
    stamp = _stamp(held)
    memory = files.folder("contents") / stamp
    if memory.exists() and files.sound(memory):
        return memory.read_text(encoding="ascii")
    digests = _digests([file for file, _ in held])
    whole = hashlib.sha256()
    for file, number in held:
        whole.update(digests[file] + number)
    digest = whole.hexdigest()[:32]
    # else a file changed while it was read: nothing is remembered
    if _stamp(held) == stamp:
        with files.replacing(memory, checked=True) as partial:
            partial.write_text(digest, encoding="ascii")
    return digest


def _digests(paths: Sequence[Path]) -> dict[Path, bytes]:
    """Digest every file once, however many pictures of a container are asked
    for.
    """
    distinct = list(dict.fromkeys(paths))
    digests = {}
    with progress("Fingerprinting pictures", len(distinct)) as advance:
        # threads are slower here: most of it is waiting for the interpreter
        for path in distinct:
            digests[path] = _digest(path)
            advance(1)
    return digests


def build(
    paths: Sequence[Path],
    tasks: Sequence[Task],
    recipe: str,
    shape: tuple[int, int, int],
    decode: Callable[[Task], Entry],
) -> Store:
    """Open the store of pictures cut in one way, or decode them into it.

    Args:
        paths: Of the pictures.
        tasks: One for each, sent to other processes where there are many.
        recipe: The way, which names the store.
        shape: (C, S, S) of each picture.
        decode: From a task to a picture; sent along.

    Returns:
        The store.

    Raises:
        InputError: Where files change while they are read.
    """
    key = _key(paths, recipe, shape)
    folder = files.folder("pictures") / key
    if not files.sealed(folder):
        files.remove(folder)
        with files.keeping_folder(folder) as partial:
            _write(partial, tasks, decode)
            files.seal(partial)
            if _key(paths, recipe, shape) != key:
                raise InputError(
                    f"{paths[0].parent}: pictures have changed while they were read; run it again"
                )
    return _open(folder, shape)


def _key(
    paths: Sequence[Path], recipe: str, shape: tuple[int, int, int]
) -> str:
    identity = json.dumps([VERSION, content(paths), recipe, shape])
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _write(
    folder: Path, tasks: Sequence[Task], decode: Callable[[Task], Entry]
) -> None:
    contents: dict[str, list[Any]] = {"places": [], "notes": [], "faults": []}
    onto: list[Floats] = []
    with (folder / _PICTURES).open("wb") as file:
        for index, entry in enumerate(_in_order(tasks, decode)):
            if entry.pixels is None:
                contents["faults"].append((index, entry.note))
                continue
            file.write(entry.pixels.tobytes())
            contents["places"].append(index)
            onto.append(entry.affine)
            if entry.note:
                contents["notes"].append((index, entry.note))
    np.save(folder / _ONTO, np.reshape(onto, (-1, 2, 3)))
    (folder / _CONTENTS).write_text(json.dumps(contents), encoding="utf-8")


def _in_order(
    tasks: Sequence[Task], decode: Callable[[Task], Entry]
) -> Iterator[Entry]:
    """Decode block by block, a few blocks ahead of what is used: memory does
    not grow with the number of pictures.

    Threads serve until processes are worth the second that they need to start.
    """
    from joblib import Parallel, delayed

    prefer = "processes" if len(tasks) >= _MANY else "threads"
    parallel = Parallel(
        n_jobs=-1,
        prefer=prefer,
        return_as="generator",
        batch_size=1,
        pre_dispatch="4*n_jobs",
    )
    blocks = (
        tasks[start : start + _BLOCK] for start in range(0, len(tasks), _BLOCK)
    )
    with progress("Reading pictures", len(tasks)) as advance:
        for block in parallel(
            delayed(_decoded)(decode, block) for block in blocks
        ):
            yield from block
            advance(len(block))


def _decoded(
    decode: Callable[[Task], Entry], block: Sequence[Task]
) -> list[Entry]:
    return [decode(task) for task in block]


def _open(folder: Path, shape: tuple[int, int, int]) -> Store:
    contents = json.loads((folder / _CONTENTS).read_text(encoding="utf-8"))
    count = len(contents["places"])
    pictures: Bytes = np.zeros((0, *shape), np.uint8)
    if count:
        pictures = np.memmap(
            folder / _PICTURES, np.uint8, "r", shape=(count, *shape)
        )
    notes, faults = (
        tuple((int(index), str(note)) for index, note in contents[name])
        for name in ("notes", "faults")
    )
    return Store(
        pictures,
        np.load(folder / _ONTO),
        tuple(contents["places"]),
        notes,
        faults,
    )


def _container(path: Path) -> tuple[Path, bytes]:
    """The file that holds a picture, and which of its pictures it is."""
    member = containers.split_member(path)
    return (
        (member[0], str(member[1]).encode())
        if member and not path.exists()
        else (path, b"")
    )


def _stamp(held: Sequence[tuple[Path, bytes]]) -> str:
    """Digest what changes whenever a file does, for every picture in order."""
    digest = hashlib.sha256()
    stats = dict[Path, bytes]()
    for file, number in held:
        if file not in stats:
            stats[file] = files.stamp(file).encode(errors="surrogateescape")
        digest.update(stats[file] + number + b"\0")
    return digest.hexdigest()[:32]


def _digest(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_size < _SMALL:
                return hashlib.sha256(opened.read()).digest()
            return hashlib.file_digest(opened, "sha256").digest()
    except (OSError, ValueError):
        # missing, locked, or a name that no file has: left out when it is
        # decoded
        return b""
