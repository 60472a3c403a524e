"""Data sets, tables, pictures and layers as people have them: each kind of
oddity is read rightly, or told in one line.
"""

from __future__ import annotations

import io
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from duchenne import files, units
from duchenne.errors import InputError
from duchenne.evidence import match
from duchenne.faces import checking, detector_columns, load, sources
from duchenne.faces.formats.adapter import action_unit
from duchenne.faces.images import decoding
from duchenne.units.responses import answers

RNG = np.random.default_rng(0)


def picture(path: Path, format: str | None = None, colour: bool = True, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (48, 64, 3) if colour else (48, 48)
    Image.fromarray(RNG.integers(0, 255, shape, dtype=np.uint8)).save(path, format, **how)
    return path


# pictures


def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
    return struct.pack("<HHL", tag, kind, count) + value


ORIENTATION_6 = entry(0x112, 3, 1, struct.pack("<HH", 6, 0))
DAMAGED = {
    "a pointer that is text": struct.pack("<LH", 8, 2)
    + ORIENTATION_6
    + entry(0xA005, 2, 4, b"abc\0")
    + struct.pack("<L", 0),
    "cut off": b"",
    "entries beyond the end": struct.pack("<LH", 8, 900) + ORIENTATION_6,
    "an orientation that is text": struct.pack("<LH", 8, 1)
    + entry(0x112, 2, 4, b"six\0")
    + struct.pack("<L", 0),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
def test_a_damaged_exif_block_costs_no_picture(kind: str, ending: str, tmp_path: Path) -> None:
    path = picture(tmp_path / f"odd{ending}", exif=b"Exif\0\0II*\0"[:8] + DAMAGED[kind])
    shape = decoding.read(path).shape
    assert shape in ((1, 48, 64), (1, 64, 48))


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_stand_upright_however_they_were_held(turn: int, tmp_path: Path) -> None:
    upright = Image.fromarray(RNG.integers(0, 255, (4, 6), dtype=np.uint8))
    held = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[
        turn
    ]  # Pillow's transposes that undo each
    stored = upright if held is None else upright.transpose(Image.Transpose(held))
    exif = Image.Exif()
    exif[0x112] = turn
    for name, how in (("held.png", {}), ("held.tif", {"compression": "tiff_lzw"})):
        stored.save(tmp_path / name, exif=exif, **how)
        np.testing.assert_array_equal(decoding.decoded(tmp_path / name), np.asarray(upright))


@pytest.mark.parametrize("name", ["figure.png", "figure.jpg", "figure.eps"])
def test_a_file_that_would_have_a_program_run_is_no_picture(name: str, tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    (tmp_path / name).write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n%%EOF\n"
    )
    with pytest.raises(InputError, match="not a picture"):
        decoding.read(tmp_path / name)


def test_whatever_a_decoder_raises_leaves_the_picture_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    path = picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", broken)
    with pytest.raises(InputError, match=r"a\.png: cannot be read: too deep"):
        decoding.read(path)


@pytest.mark.parametrize(
    "ending", ["jfif", "jpe", "tga", "avif", "bmp", "webp", "tif", "ppm", "jp2"]
)
def test_pictures_of_every_ending_are_read(ending: str, tmp_path: Path) -> None:
    picture(tmp_path / "happy" / f"1.{ending}", {"jfif": "JPEG", "jpe": "JPEG"}.get(ending))
    picture(tmp_path / "sad" / "1.png")
    assert len(load(f"folder:{tmp_path}")) == 2
    assert decoding.read(tmp_path / "happy" / f"1.{ending}").shape == (1, 48, 64)


def test_what_is_not_read_is_remarked_on(tmp_path: Path) -> None:
    faces, elsewhere = tmp_path / "faces", tmp_path / "elsewhere"
    picture(faces / "happy" / "1.jpg")
    picture(faces / "sad" / "deep" / "2.jpg")
    picture(elsewhere / "3.jpg")
    picture(faces / "loose.jpg")
    picture(faces / "happy" / "noending", "PNG")
    (faces / "happy" / "4.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (faces / "happy" / "more").symlink_to(elsewhere)
    found = checking.check(f"folder:{faces}")
    told = {remark.file: remark.says for remark in found.remarks}
    assert set(told) == {"loose.jpg", "happy/noending", "happy/4.heic", "happy/more"}
    assert "linked folder" in told["happy/more"]
    assert found.verdict == checking.REMARKS


def test_a_folder_that_may_not_be_read_is_remarked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "happy" / "1.jpg")
    (tmp_path / "happy" / "locked").mkdir()
    scan = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    told = {
        remark.file: remark.says
        for remark in sources.read(*sources.named(f"folder:{tmp_path}")).remarks
    }
    assert told == {"happy/locked": "cannot be read: Permission denied"}


def test_names_that_are_not_utf8_are_left_out_with_a_line(tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "1.png")
    odd = os.fsencode(tmp_path / "happy") + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes((tmp_path / "happy" / "1.png").read_bytes())
    found = sources.read(*sources.named(f"folder:{tmp_path}"))
    assert found.table.frame["path"].tolist() == ["happy/1.png"]
    assert [str(remark) for remark in found.remarks] == [
        r"happy/caf\udce9.png: its name is not UTF-8; it is left out"
    ]


# data sets


def disfa(root: Path, names: tuple[str, ...]) -> Path:
    (root / "ActionUnit_Labels" / "SN001").mkdir(parents=True)
    lines = "".join(f"{frame},{frame % 6}\n" for frame in range(1, 12))
    (root / "ActionUnit_Labels" / "SN001" / "SN001_au1.txt").write_text(lines)
    for name in names:
        picture(root / "SN001" / name)
    return root


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("00001.png", "00002.png", "00010.png", "00010_2.png"), "00010_2.png"),
        (("00001.png", "00002.png", "00003_2.png"), "00003_2.png"),
        (("face_0001.png", "face_0002.png", "face_0002 (1).png"), "face_0002 (1).png"),
        (("00001.jpg", "00002.jpg", "00002.png"), "00002.png"),
    ],
)
def test_a_second_picture_of_a_frame_is_left_out(
    names: tuple[str, ...], left: str, tmp_path: Path
) -> None:
    found = sources.read(*sources.named(f"disfa:{disfa(tmp_path, names)}"))
    assert sorted(Path(path).name for path in found.table.frame["path"]) == sorted(
        set(names) - {left}
    )
    assert any(Path(remark.file).name == left for remark in found.remarks)
    assert (found.table.frame["AU01_intensity"] == found.table.frame["frame"] % 6).all()


def test_a_second_picture_of_a_frame_of_ckplus_is_left_out(tmp_path: Path) -> None:
    for ending in ("png", "jpg"):
        picture(tmp_path / "cohn-kanade-images" / "S005" / "001" / f"S005_001_00000001.{ending}")
    picture(tmp_path / "cohn-kanade-images" / "S005" / "001" / "S005_001_00000002.png")
    (tmp_path / "Emotion").mkdir()
    found = sources.read(*sources.named(f"ckplus:{tmp_path}"))
    assert found.table.frame["frame"].tolist() == [1, 2]
    assert any("a second picture of frame 1" in remark.says for remark in found.remarks)


@pytest.mark.parametrize("folder", ["F001/T10", "F001_T12", "XF001/T1", "F001/T1b"])
def test_other_tasks_of_bp4d_take_no_codes_of_t1(folder: str, tmp_path: Path) -> None:
    (tmp_path / "AU_OCC").mkdir()
    (tmp_path / "AU_OCC" / "F001_T1.csv").write_text("0,1,12\n1,0,1\n2,0,1\n")
    picture(tmp_path / "2D" / folder / "1.jpg")
    with pytest.raises(InputError, match="no frames lie beside these codes"):
        load(f"bp4d:{tmp_path}")
    picture(tmp_path / "2D" / "F001" / "T1" / "2.jpg")
    assert load(f"bp4d:{tmp_path}").frame["path"].tolist() == ["2D/F001/T1/2.jpg"]


def affectnet(root: Path) -> None:
    picture(root / "train_set" / "images" / "0.jpg")
    (root / "train_set" / "annotations").mkdir()
    np.save(root / "train_set" / "annotations" / "0_exp.npy", np.array("1"))


def fer2013(root: Path) -> None:
    root.mkdir(parents=True)
    (root / "fer2013.csv").write_text(
        "emotion,pixels,Usage\n0," + " ".join(["7"] * 2304) + ",Training\n"
    )


def rafdb(root: Path) -> None:
    (root / "basic" / "EmoLabel").mkdir(parents=True)
    (root / "basic" / "EmoLabel" / "list_patition_label.txt").write_text("train_00001.jpg 5\n")
    picture(root / "basic" / "Image" / "aligned" / "train_00001_aligned.jpg")


def jaffe(root: Path) -> None:
    picture(root / "KA.AN1.39.tiff", colour=False)


def kdef(root: Path) -> None:
    picture(root / "AF01" / "AF01ANS.JPG")


def own(root: Path) -> None:
    picture(root / "happy" / "1.png")
    picture(root / "sad" / "1.png")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("affectnet", affectnet),
        ("fer2013", fer2013),
        ("rafdb", rafdb),
        ("jaffe", jaffe),
        ("kdef", kdef),
        ("folder", own),
    ],
)
@pytest.mark.parametrize("wrapped", ["{name}", "{name}/{name}", "archive/data set"])
def test_archives_unpacked_deeper_are_found(
    name: str, make: object, wrapped: str, tmp_path: Path
) -> None:
    make(tmp_path / wrapped.format(name=name))  # type: ignore[operator]
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "read me.txt").write_text("of the archive")
    assert len(load(f"{name}:{tmp_path}")) >= 1


def test_a_manifest_that_is_refused_is_not_passed_over(tmp_path: Path) -> None:
    own(tmp_path / "pics")
    (tmp_path / "manifest.csv").write_text("path,expression,AU99\npics/happy/1.png,happy,1\n")
    with pytest.raises(InputError, match="column 'AU99' is not known"):
        load(f"folder:{tmp_path}")


def test_frames_whose_names_hold_several_running_numbers_are_all_kept(tmp_path: Path) -> None:
    names = tuple(f"img_{number:03d}_{33 * number}ms.png" for number in range(5))
    found = sources.read(*sources.named(f"disfa:{disfa(tmp_path, names)}"))
    assert len(found.table) == 5


def test_one_of_several_folders_is_not_taken_for_all(tmp_path: Path) -> None:
    own(tmp_path / "batch 1")
    own(tmp_path / "batch 2")
    with pytest.raises(InputError, match="expression 'batch 1'"):
        load(f"folder:{tmp_path}")


# manifests


def test_one_sided_codes_say_that_an_action_unit_is_there(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"{number}.png")
    (tmp_path / "manifest.csv").write_text(
        "path,expression,AU12L,AU12R,AU14L,AU06_left_intensity,AU06_right_intensity\n"
        "0.png,contempt,1,0,1,2,0\n1.png,contempt,0,1,0,0,3\n2.png,neutral,0,0,,0,0\n3.png,neutral,,,,,\n"
    )
    table = load(f"folder:{tmp_path}")
    frame = table.frame
    assert frame["AU12"].tolist() == [True, True, False, pd.NA]
    assert frame["AU14"].tolist() == [True, pd.NA, pd.NA, pd.NA]
    assert frame["AU12_left"].tolist() == [True, False, False, pd.NA]
    assert frame["AU06"].tolist()[:3] == [True, True, False]
    assert frame["AU06_intensity"].tolist()[:3] == [2, 3, 0]
    assert frame["AU06_right"].tolist()[:3] == [False, True, False]
    assert table.action_units == (6, 12, 14)


def test_sides_that_contradict_the_whole_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "0.png")
    (tmp_path / "manifest.csv").write_text("path,expression,AU12,AU12L\n0.png,contempt,0,1\n")
    with pytest.raises(InputError, match="line 2: AU12 is absent and AU12_left is present"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AU12L", "AU12_left"),
        ("au_6r", "AU06_right"),
        ("AU12_r", "AU12_intensity"),
        ("AU14_left_intensity", "AU14_left_intensity"),
    ],
)
def test_spellings_of_columns(name: str, expected: str) -> None:
    column = action_unit(name)
    assert column is not None
    assert column.name == expected


@pytest.mark.parametrize(
    "text",
    {
        "from Windows": b"path,expression,AU12\r\nhappy\\1.png,happy,1\r\n",
        "from Excel in German": (b"path;expression;AU12;AU12_intensity\nhappy/1.png;happy;1;2,5\n"),
        "with umlauts": "path;expression;subject\nhappy/1.png;happy;Jürgen\n".encode("cp1252"),
        "from Excel, UTF-8 with a mark": "﻿path,expression\nhappy/1.png,happy\n".encode(),
        "UTF-16": "path\texpression\nhappy/1.png\thappy\n".encode("utf-16"),
        "from to_csv": b",path,expression,AU12\n0,happy/1.png,happy,True\n",
        "with its folder": b"path,expression\n{root}/happy/1.png,happy\n",
    }.values(),
)
def test_manifests_as_programs_write_them(text: bytes, tmp_path: Path) -> None:
    picture(tmp_path / "happy" / "1.png")
    (tmp_path / "manifest.csv").write_bytes(
        text.replace(b"{root}", str(tmp_path.resolve()).encode())
    )
    frame = load(f"folder:{tmp_path}").frame
    assert frame["path"].tolist() == ["happy/1.png"]
    if "AU12_intensity" in frame:
        assert frame["AU12_intensity"].tolist() == [2.5]


@pytest.mark.parametrize("path", ["C:\\photos\\1.png", "/home/somebody/faces/1.png"])
def test_full_paths_of_another_machine_are_told_plainly(path: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text(f"path,expression\n{path},happy\n")
    with pytest.raises(
        InputError,
        match=r"line 2: .* is a full path: write it as it is below the manifest's folder",
    ):
        load(f"folder:{tmp_path}")


# detectors


def film(root: Path, frames: tuple[int, ...]) -> Path:
    for frame in frames:
        picture(root / "film" / f"{frame:05d}.png")
    rows = "".join(f"film/{frame:05d}.png,s,happiness,film,{frame}\n" for frame in frames)
    (root / "manifest.csv").write_text("path,subject,expression,sequence,frame\n" + rows)
    return root


@pytest.mark.parametrize(
    ("frames", "told", "expected"),
    [
        ((1, 2, 3), (0, 1, 2), [0.0, 0.1, 0.2]),  # counts from 0
        ((1, 3, 4), (1, 2, 3), [0.1, 0.2, 0.3]),  # numbers the pictures that are there
        ((0, 1, 2), (1, 2, 3), [0.1, 0.2, 0.3]),  # pictures count from 0, the detector from 1
        ((1, 2), (0, 1, 2, 3), [0.0, 0.1]),  # counts from 0, and the film is longer
        ((2, 4), (1, 2, 3, 4), [0.2, 0.4]),
        ((5, 6), (5, 6, 7), [0.5, 0.6]),
        ((1, 2, 3), (0, 2), [0.0, np.nan, 0.2]),  # a row is missing
    ],
)
def test_frames_are_those_that_the_detector_meant(
    frames: tuple[int, ...], told: tuple[int, ...], expected: list[float], tmp_path: Path
) -> None:
    table = load(f"folder:{film(tmp_path, frames)}")
    rows = "".join(f"0.99,{frame / 10},film.mp4,{frame}\n" for frame in told)
    (tmp_path / "fex.csv").write_text("FaceScore,AU12,input,frame\n" + rows)
    found = detector_columns.join(table, tmp_path / "fex.csv").frame["AU12_probability"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("frames", "first", "without", "expected"),
    [
        ((1, 2, 3, 4, 5), 0, {0}, [np.nan, 0.1, 0.2, 0.3, 0.4]),
        ((1, 3, 5, 7, 9), 1, {1, 3, 7, 8, 10}, [np.nan, np.nan, 0.5, np.nan, 0.9]),
        ((1, 3, 4), 1, {1}, [np.nan, 0.2, 0.3]),
    ],
)
def test_frames_without_a_face_count_where_they_are_numbered(
    frames: tuple[int, ...], first: int, without: set[int], expected: list[float], tmp_path: Path
) -> None:
    table = load(f"folder:{film(tmp_path, frames)}")
    count = 10 if len(frames) == 5 and first else len(frames)
    rows = "".join(f"{n},{int(n not in without)},{n / 10}\n" for n in range(first, first + count))
    (tmp_path / "film.csv").write_text("frame,success,AU12_r\n" + rows)
    found = detector_columns.join(table, tmp_path / "film.csv").frame["AU12_intensity"]
    np.testing.assert_array_equal(found, expected)


def test_libreface_tables_of_a_film_are_read(tmp_path: Path) -> None:
    table = load(f"folder:{film(tmp_path, (1, 2))}")
    columns = "frame_idx,frame_time_in_ms,pitch,au_1,au_12,au_1_intensity,facial_expression\n"
    (tmp_path / "film.csv").write_text(
        columns + "0,0.0,1,0,1,0.2,Happiness\n1,0.04,1,1,0,1.2,Happiness\n"
    )
    frame = detector_columns.join(table, tmp_path / "film.csv").frame
    assert frame["AU01"].tolist() == [False, True]
    assert frame["AU12"].tolist() == [True, False]
    assert frame["AU01_intensity"].tolist() == [0.2, 1.2]


@pytest.mark.parametrize(
    "odd", ["-nan(ind)", "-nan", "nan", "NaN", "-1.#IND", "None", "-0.12", "99", ""]
)
def test_rows_in_which_no_face_was_found_say_nothing(odd: str, tmp_path: Path) -> None:
    table = load(f"folder:{film(tmp_path, (1, 2))}")
    (tmp_path / "film.csv").write_text(
        f"frame, confidence, success, AU12_r\n1, 0.98, 1, 2.5\n2, 0.02, 0, {odd}\n"
    )
    np.testing.assert_array_equal(
        detector_columns.join(table, tmp_path / "film.csv").frame["AU12_intensity"], [2.5, np.nan]
    )


def test_a_value_that_counts_and_cannot_be_meant_is_told_with_its_line(tmp_path: Path) -> None:
    table = load(f"folder:{film(tmp_path, (1, 2))}")
    (tmp_path / "film.csv").write_text("frame, success, AU12_r\n1, 1, nan\n2, 1, -0.12\n")
    with pytest.raises(
        InputError, match=r"film\.csv: line 3: column 'AU12_r': -0\.12 is not between 0 and 5"
    ):
        detector_columns.join(table, tmp_path / "film.csv")


def test_one_sided_columns_of_a_detector_are_joined(tmp_path: Path) -> None:
    table = load(f"folder:{film(tmp_path, (1, 2))}")
    (tmp_path / "film.csv").write_text("frame,AU12L,AU12R\n1,0,1\n2,0,0\n")
    frame = detector_columns.join(table, tmp_path / "film.csv").frame
    assert frame["AU12"].tolist() == [True, False]
    assert frame["AU12_right"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gone.csv", "face, confidence, AU12_r, AU12_c\n0, 0.9, 2.0, 1\n"),
        ("2.csv", "face, confidence, AU12_r, AU12_c\n0, 0.9, 2.0, 1\n"),
        ("._1.csv", "\0\5\26\7Mac OS X"),
        ("9.csv", ""),
        ("summary.csv", "pictures,seconds\n3,12\n"),
    ],
)
def test_one_stray_csv_of_a_folder_is_passed_over(name: str, text: str, tmp_path: Path) -> None:
    for path in ("happy/1.png", "happy/2.png", "sad/2.png"):
        picture(tmp_path / "faces" / path)
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "1.csv").write_text("face, confidence, AU12_r, AU12_c\n0, 0.9, 2.0, 1\n")
    (tmp_path / "found" / name).write_text(text)
    lines: list[str] = []
    frame = detector_columns.join(
        load(f"folder:{tmp_path / 'faces'}"), tmp_path / "found", lines.append
    ).frame
    assert frame["AU12"].tolist() == [True, pd.NA, pd.NA]
    assert len(lines) == (0 if name.startswith(".") else 1)


# calls


def test_evidence_without_action_units_says_so() -> None:
    for labels in (
        pd.DataFrame(index=range(20)),
        pd.DataFrame({"AU12": pd.array([pd.NA] * 20, "boolean")}),
    ):
        with pytest.raises(InputError, match="labels: no action unit is coded"):
            match(np.ones((20, 2)), labels, ["a"] * 20, range(20))


def test_a_unit_with_a_number_that_is_not_finite_has_no_scores() -> None:
    activations = RNG.normal(size=(40, 3))
    activations[3, 1], activations[4, 2] = np.nan, np.inf
    labels = pd.DataFrame({"AU12": np.arange(40) % 2 == 0}).astype("boolean")
    frame = match(activations, labels, np.arange(40), np.arange(40), permutations=99).set_index(
        "unit"
    )
    scores = frame.drop(columns=["au", "n_with", "n_without"])
    assert scores.loc[[1, 2]].isna().all(axis=None)
    assert scores.loc[0, ["r", "p", "kl", "ap"]].notna().all()


def test_a_layer_may_be_given_as_the_module_itself() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    given = torch.rand(2, 1, 8, 8)
    by_name = units.responses(network, "0", [given])
    np.testing.assert_array_equal(
        units.responses(network, network[0], [given]).value, by_name.value
    )
    windows = units.project(network, network[0], given[:1], np.array([1]))
    assert (
        windows.boxes.tolist()
        == units.project(network, "0", given[:1], np.array([1])).boxes.tolist()
    )
    with pytest.raises(InputError, match="layer ReLU: not one of the network's own modules"):
        units.responses(network, nn.ReLU(), [given])


def test_two_threads_ask_one_network() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 5),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 400, 3),
    )
    given = [torch.rand(1, 3, 28, 28) * (number + 1) for number in range(3)]
    right = [units.responses(network, "2", [pixels]).value for pixels in given]
    wrong: list[object] = []

    def ask(who: int) -> None:
        for _ in range(20):
            found = units.responses(network, "2", [given[who]]).value
            ((activations, _),) = answers(network, "2", [given[who]])
            units.project(network, "2", given[who], np.array([who]))
            wrong.extend(
                [who]
                * (
                    not np.array_equal(found, right[who])
                    or not np.array_equal(activations.value, right[who])
                )
            )

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("how", "lowest"), [("positive", 0.0), ("signed", -1.0), ("magnitude", 0.0)]
)
def test_answers_below_0_are_read_as_asked(how: str, lowest: float) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 5, 8), nn.Tanh())
    given = torch.randn(40, 1, 8, 8)
    made = network(given).detach().numpy()[:, :, 0, 0]
    expected = {"positive": made.clip(0), "signed": made, "magnitude": np.abs(made)}[how]
    found = units.responses(network, "1", [given], how).value
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.min() >= lowest
    rectified = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU())
    np.testing.assert_array_equal(
        units.responses(rectified, "0", [given], how).value,
        units.responses(rectified, "1", [given]).value,
    )


def test_without_a_home_the_cache_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DUCHENNE_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="name another cache in DUCHENNE_CACHE"):
        files.folder("pictures")


def test_an_upload_of_another_kind_is_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, "TGA")
    with pytest.raises(InputError, match="not a picture"):
        decoding.from_bytes(buffer.getvalue(), "the upload")
