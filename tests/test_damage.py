"""Whatever is kept and was damaged since is made again, or told in one line:
never believed, never a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

import duchenne
from duchenne import files
from duchenne.cli.main import app
from duchenne.errors import InputError
from duchenne.faces.avatars import basis, dataset
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.formats import folder
from duchenne.faces.images import stack
from duchenne.faces.images.fingerprint import fingerprint
from duchenne.pipeline import run
from duchenne.study import integrity
from duchenne.study.record import Study

from .test_cli import command


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def overwritten(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "halved": halved,
    "flipped": flipped,
    "overwritten": overwritten,
    "lengthened": lengthened,
    "removed": Path.unlink,
    "a folder": made_a_folder,
}


def forget() -> None:
    """As a new process: nothing was looked at before."""
    files._SOUND.clear()
    basis._loaded.cache_clear()


# caches


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["pictures.bin", "onto.npy", "store.json", "checksums.json"])
def test_decoded_pictures_are_decoded_again(
    way: str, name: str, own_cache: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        path = tmp_path / "faces" / "happy" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 20), np.uint8)).save(path)
    table = folder.load(tmp_path / "faces")
    before = np.array(stack.decode(table, 16, 1).stored)
    (kept,) = (own_cache / "pictures").iterdir()
    WAYS[way](kept / name)
    forget()
    np.testing.assert_array_equal(stack.decode(table, 16, 1).stored, before)
    forget()
    assert files.sealed(kept)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_remembered_of_pictures_is_found_again(
    way: str, own_cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "faces" / "happy" / "1.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    table = folder.load(tmp_path / "faces")
    before = fingerprint(table)
    (memory,) = (file for file in (own_cache / "contents").iterdir() if file.suffix != ".sum")
    if way == "a folder":
        # its place would have to be cleared by hand: nothing of ours makes
        # folders there
        return
    WAYS[way](memory)
    assert fingerprint(table) == before


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "name", ["manifest.csv", "landmarks.parquet", "s000/00/s000_00_01.png", "checksums.json"]
)
def test_rendered_faces_are_rendered_again(way: str, name: str, own_cache: Path) -> None:
    settings = AvatarSettings(people=1, size=16, samples=1)
    before = dataset.load(settings)
    pictures = [path.read_bytes() for path in before.paths]
    WAYS[way](before.root / name)
    forget()
    again = dataset.load(settings)
    assert [path.read_bytes() for path in again.paths] == pictures
    assert again.frame.equals(before.frame)


@pytest.mark.parametrize("way", [name for name in WAYS if name != "a folder"])
def test_the_head_is_built_again(
    way: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = basis.head_basis()
    monkeypatch.setattr(basis, "_build", lambda: built)
    basis._loaded.cache_clear()
    basis.head_basis()
    (kept,) = (own_cache / "head").glob("*.npz")
    WAYS[way](kept)
    basis._loaded.cache_clear()
    np.testing.assert_array_equal(basis.head_basis().rest, built.rest)
    assert files.sound(kept)


def test_what_killed_processes_left_is_swept_and_what_others_write_is_not(own_cache: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    )
    place = own_cache / "pictures"
    place.mkdir(parents=True)
    gone = place / f".a.{ended.stdout.strip()}@{files._HOST}.x1.partial"
    alive = place / f".a.{os.getpid()}@{files._HOST}.x2.partial"
    elsewhere = place / ".a.1@another-machine.x3.partial"
    for path in (gone, alive, elsewhere):
        path.mkdir()
    files._SWEPT.clear()
    files.folder("pictures")
    assert {path.name for path in place.iterdir()} == {alive.name, elsewhere.name}


# studies


def copied(study: Study, tmp_path: Path) -> Path:
    return Path(shutil.copytree(study.folder, tmp_path / "study"))


@pytest.mark.slow
def test_every_file_of_the_record_damaged_in_every_way_is_named(
    avatar_study: Study, tmp_path: Path
) -> None:
    place = copied(avatar_study, tmp_path)
    files = [name for stage in avatar_study.state["stages"].values() for name in stage["files"]]
    assert {"faces.parquet", "scores.json", "network.safetensors", "interventions.parquet"} <= set(
        files
    )
    for name in files:
        for way in WAYS.values():
            content = (place / name).read_bytes()
            way(place / name)
            with pytest.raises(InputError) as told:
                duchenne.open(place)
            assert str(told.value).startswith(
                f"{place / name}: is missing or damaged since it was written"
            )
            if (place / name).is_dir():
                (place / name).rmdir()
            (place / name).write_bytes(content)
    assert duchenne.open(place).scores == avatar_study.scores


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_description_of_a_study_is_told(
    way: str, avatar_study: Study, tmp_path: Path
) -> None:
    place = copied(avatar_study, tmp_path)
    WAYS[way](place / "study.json")
    with pytest.raises(InputError):
        duchenne.open(place)


BESIDES = {"evaluate": ("--data", "folder:nowhere")}
"""What a command needs beside the study."""


def on_a_study() -> list[tuple[str, ...]]:
    """Every command that is given the folder of a study, but ``run`` and all
    figures but one.
    """
    every = typer.main.get_command(app).commands
    taken = {name: {each.name for each in one.params} for name, one in every.items()}
    return [(name,) for name in taken if taken[name] & {"run", "runs"}] + [("show", "units")]


@pytest.mark.slow
@pytest.mark.parametrize("asked", on_a_study(), ids=lambda asked: asked[0])
def test_every_command_tells_of_a_damaged_file_in_one_line_or_makes_it_again(
    asked: tuple[str, ...], avatar_study: Study, tmp_path: Path
) -> None:
    place = copied(avatar_study, tmp_path)
    stage, name = "units", f"units/{avatar_study.recipe.units.layer}/responses.parquet"
    if asked == ("people",):  # reads no units
        stage, name = "network", "predictions.parquet"
    before = (place / name).read_bytes()
    flipped(place / name)
    runs = [place, avatar_study.folder] if asked == ("compare",) else [place]
    code, _, error = command(*asked, *runs, *BESIDES.get(asked[0], ()))
    if code:
        assert code == 2
        assert error.splitlines()[-1].startswith("duchenne: ")
        assert f"{name}: is missing or damaged" in error
    else:
        assert (place / name).read_bytes() == before
        assert f"{stage}: {name}" in error
        assert "it is done again" in error


@pytest.mark.slow
def test_what_was_damaged_is_made_again_and_nothing_else(
    avatar_study: Study, tmp_path: Path
) -> None:
    place = copied(avatar_study, tmp_path)
    before = {path: path.read_bytes() for path in place.rglob("*.parquet")}
    halved(place / "ablations.parquet")
    lines: list[str] = []
    run.run(out=place, resume=True, announce=lines.append)
    assert "ablation: ablations.parquet is missing or damaged; it is done again" in lines
    assert (
        sum("nothing has changed, kept" in line for line in lines)
        == len(avatar_study.state["stages"]) - 2
    )
    assert {path: path.read_bytes() for path in place.rglob("*.parquet")} == before


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b'{"a": ' * 100_000, b"\xff\xfe", b"null", b"[]", b'"text"']
)
def test_json_of_any_depth_and_kind_is_told_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_bytes(content)
    with pytest.raises(InputError, match=r"scores\.json: "):
        files.read_mapping(tmp_path / "scores.json")


@pytest.mark.slow
def test_what_the_user_put_among_the_figures_stays(avatar_study: Study, tmp_path: Path) -> None:
    place = copied(avatar_study, tmp_path)
    (place / "figures" / "mine.txt").write_text("of my own")
    (place / "figures" / "old.svg").write_text("drawn by an earlier version")
    told = json.loads((place / "figures" / ".written.json").read_text())
    (place / "figures" / ".written.json").write_text(json.dumps([*told, "old.svg"]))
    assert command("report", place)[0] == 0
    assert (place / "figures" / "mine.txt").read_text() == "of my own"
    assert not (place / "figures" / "old.svg").exists()


@pytest.mark.slow
def test_a_limit_on_files_is_one_line(avatar_study: Study, tmp_path: Path) -> None:
    place = copied(avatar_study, tmp_path)
    asked = f"ulimit -f 16; exec {sys.executable} -m duchenne report {place}"
    found = subprocess.run(["bash", "-c", asked], capture_output=True, text=True)
    assert found.returncode == 2
    assert "larger than the limit on files" in found.stderr.splitlines()[-1]
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_a_torchvision_that_does_not_fit_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")'
    )
    (tmp_path / "torchvision-0.20.0.dist-info").mkdir()
    told = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.20.0\n"
    (tmp_path / "torchvision-0.20.0.dist-info" / "METADATA").write_text(told)
    there = {**os.environ, "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", "import duchenne, duchenne.training.fit"],
        env=there,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr


def test_what_a_stage_rewrote_or_took_away_is_no_other_stages_any_more(tmp_path: Path) -> None:
    stages: dict[str, dict[str, object]] = {"evidence": {}, "projections": {}}
    (tmp_path / "evidence.parquet").write_bytes(b"a")
    (tmp_path / "old.png").write_bytes(b"a")
    integrity.note(tmp_path, {}, stages, "evidence")
    before = integrity.listed(tmp_path)
    (tmp_path / "old.png").unlink()
    (tmp_path / "new.png").write_bytes(b"b")
    integrity.note(tmp_path, before, stages, "projections")
    assert not any(integrity.damaged(tmp_path, stage) for stage in stages.values())
    (tmp_path / "mine.json").write_text("{}")
    integrity.note(tmp_path, integrity.listed(tmp_path), stages, "projections")
    assert "mine.json" not in stages["projections"]["files"]  # type: ignore[operator]
