from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from duchenne import files
from duchenne.errors import InputError
from duchenne.faces.formats import FORMATS, folder
from duchenne.faces.images import containers, decoding, stack, store

from . import trees

SIZE = 20


@pytest.fixture
def photographs(tmp_path: Path, own_cache: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(40):
        trees.picture(
            tmp_path / f"set/{'fear' if number % 2 else 'anger'}/{number:02d}.png",
            rng.integers(0, 255, (SIZE, SIZE)).astype(np.uint8),
        )
    return tmp_path / "set"


def served(root: Path) -> stack.Stack:
    """Load a folder through the store, and hold every picture against its
    file.
    """
    found = stack.decode(folder.load(root), SIZE)
    for picture, path in zip(found.pictures, found.table.paths, strict=True):
        np.testing.assert_allclose(picture, decoding.read(path), atol=1e-7)
    return found


def test_the_second_load_reads_no_picture(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = served(photographs)

    def unread(*args: object) -> None:
        raise AssertionError("a picture was read")

    monkeypatch.setattr(decoding, "read", unread)
    monkeypatch.setattr(store, "_digest", unread)
    np.testing.assert_array_equal(stack.decode(folder.load(photographs), SIZE).stored, first.stored)


def test_a_changed_picture_is_read_again(photographs: Path) -> None:
    before = served(photographs).stored.copy()
    changed = photographs / "anger/00.png"
    state = changed.stat()
    pixels = np.full((SIZE, SIZE), 7, np.uint8)
    trees.picture(changed, pixels)
    os.utime(changed, ns=(state.st_atime_ns, state.st_mtime_ns))
    after = served(photographs).stored
    assert (before != after).any()


def test_a_copy_of_a_set_shares_nothing_but_is_the_same(photographs: Path, tmp_path: Path) -> None:
    first = served(photographs)
    shutil.copytree(photographs, tmp_path / "copy")
    np.testing.assert_array_equal(served(tmp_path / "copy").stored, first.stored)


def test_unreadable_pictures_are_remembered_as_such(photographs: Path) -> None:
    (photographs / "fear/01.png").write_bytes(b"nothing")
    for _ in range(2):
        found = served(photographs)
        assert len(found) == 39
        assert "01.png: not a picture" in found.table.left_out[0]


def test_a_set_that_changes_while_it_is_read_is_refused_and_not_stored(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = decoding.read, [0]

    def meddling(path: Path, channels: int = 1) -> np.ndarray:
        calls[0] += 1
        if calls[0] == 10:
            trees.picture(photographs / "anger/00.png", np.zeros((SIZE, SIZE), np.uint8))
        return read(path, channels)

    monkeypatch.setattr(decoding, "read", meddling)
    with pytest.raises(InputError, match="changed while they were read"):
        stack.decode(folder.load(photographs), SIZE)
    assert not list(files.folder("pictures").iterdir())


def test_pictures_of_one_container_are_told_apart(own_cache: Path, tmp_path: Path) -> None:
    faces = np.random.default_rng(0).integers(0, 255, (16, 24, 24)).astype(np.uint8)
    trees.fer2013(tmp_path, faces)
    table = FORMATS["fer2013"].read(tmp_path).table
    whole = stack.decode(table, 48)
    for rows in (np.arange(9) % 2 == 0, np.arange(9) > 5):
        np.testing.assert_array_equal(
            stack.decode(table.where(rows), 48).stored, whole.stored[rows]
        )


def test_a_table_of_pixels_without_its_columns_is_told_from_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_text("emotion,Usage\n0,Training\n")
    with pytest.raises(InputError, match="column 'pixels' is missing"):
        FORMATS["fer2013"].read(tmp_path)
    (tmp_path / "fer2013.csv").write_text("")
    with pytest.raises(InputError, match="the file is empty"):
        FORMATS["fer2013"].read(tmp_path)


def test_a_digit_that_is_no_number_is_no_emotion(tmp_path: Path) -> None:
    pixels = " ".join(["7"] * 48 * 48)
    text = f"emotion,pixels,Usage\n²,{pixels},Training\n3,{pixels},Training\n"
    (tmp_path / "fer2013.csv").write_text(text, encoding="utf-8")
    found = FORMATS["fer2013"].read(tmp_path)
    assert found.table.frame["expression"].tolist() == ["happiness"]
    assert [remark.says[:6] for remark in found.remarks] == ["line 2"]


def test_the_pictures_of_a_matlab_file_are_unpacked_once(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = np.random.default_rng(0).integers(0, 255, (16, 24, 24)).astype(np.uint8)
    trees.tfd(tmp_path, faces)
    first = stack.decode(FORMATS["tfd"].read(tmp_path).table, 24).stored

    def unread(*args: object) -> None:
        raise AssertionError("the file was read again")

    monkeypatch.setattr(containers, "_loaded", unread)
    (path,) = tmp_path.glob("*.mat")
    assert isinstance(containers.stacked(path), np.memmap)
    monkeypatch.undo()
    state = path.stat()
    trees.tfd(tmp_path, faces[::-1])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (stack.decode(FORMATS["tfd"].read(tmp_path).table, 24).stored != first).any()


def test_processes_decode_what_threads_decode(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photographs / "fear/01.png").write_bytes(b"nothing")
    one = stack.decode(folder.load(photographs), 16)
    monkeypatch.setattr(store, "_MANY", 1)
    monkeypatch.setattr(store, "_BLOCK", 7)
    monkeypatch.setenv("DUCHENNE_CACHE", str(photographs.parent / "other cache"))
    two = stack.decode(folder.load(photographs), 16)
    np.testing.assert_array_equal(one.stored, two.stored)
    assert one.table.left_out == two.table.left_out


BUILD = """
import os, signal, sys, time
from pathlib import Path
from duchenne.faces.images import decoding, stack
from duchenne.faces.formats import folder
root, kill, ready, go = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
read, calls = decoding.read, [0]
def slow(path, channels=1):
    ready.touch()
    while not go.exists():
        time.sleep(0.01)
    calls[0] += 1
    if kill and calls[0] >= kill:
        os.kill(os.getpid(), signal.SIGKILL)
    return read(path, channels)
decoding.read = slow
stack.decode(folder.load(root), 20)
"""


def test_two_processes_at_once_and_one_killed_serve_no_wrong_picture(
    photographs: Path, tmp_path: Path
) -> None:
    def started(number: int, kill: int) -> subprocess.Popen[bytes]:
        arguments = [
            str(photographs),
            str(kill),
            str(tmp_path / f"ready{number}"),
            str(tmp_path / "go"),
        ]
        return subprocess.Popen([sys.executable, "-W", "ignore", "-c", BUILD, *arguments])

    processes = [started(number, kill) for number, kill in enumerate((25, 0, 0))]
    while not all(
        (tmp_path / f"ready{number}").exists() for number in range(3)
    ):  # all have begun: none found a store
        time.sleep(0.02)
    (tmp_path / "go").touch()
    assert [process.wait() for process in processes] == [-signal.SIGKILL, 0, 0]
    assert len(served(photographs)) == 40
    stores = [path for path in files.folder("pictures").iterdir() if not path.name.startswith(".")]
    assert len(stores) == 1
