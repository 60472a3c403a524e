from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from duchenne.errors import InputError
from duchenne.faces import checking, sources
from duchenne.faces.formats import folder
from duchenne.faces.images import decoding, stack
from duchenne.faces.images.fingerprint import fingerprint
from duchenne.faces.table import FaceTable

from . import trees
from .trees import face


def manifest(root: Path, text: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / folder.MANIFEST).write_text(text)
    return root


# tables


def test_shares_of_votes_leave_out_those_for_other_things_and_fall_back_on_the_label() -> None:
    votes = {
        "votes_fear": [0.5, 0.0, np.nan],
        "votes_anger": [0.25, 0.0, np.nan],
        "votes_unknown": [0.25, 1.0, np.nan],
    }
    table = FaceTable(
        pd.DataFrame({"path": list("abc"), "expression": ["fear", "anger", "fear"]} | votes), Path()
    )
    np.testing.assert_allclose(table.shares(["anger", "fear"]), [[1 / 3, 2 / 3], [1, 0], [0, 1]])
    with pytest.raises(InputError, match="no votes"):
        FaceTable(pd.DataFrame({"path": ["a"], "expression": ["fear"]}), Path()).shares(["fear"])


def test_a_table_gives_every_column_its_type_and_place() -> None:
    frame = pd.DataFrame(
        {
            "AU12_intensity": [3, 0],
            "AU12": [1, None],
            "path": ["a", "b"],
            "expression": ["fear", None],
        }
    )
    table = FaceTable(frame, Path())
    assert list(table.frame)[:6] == [
        "path",
        "dataset",
        "subject",
        "sequence",
        "frame",
        "expression",
    ]
    assert list(table.frame)[6:] == ["AU12", "AU12_intensity"]
    assert table.frame["AU12"].tolist() == [True, pd.NA]
    assert len(table.labelled()) == 1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"expression": ["fear"]}, "column 'path'"),
        ({"path": ["a"], "expression": ["joyful"]}, "'joyful'"),
        ({"path": ["a"], "AU01_intensity": [7]}, "AU01_intensity"),
    ],
)
def test_a_table_refuses_what_it_cannot_mean(frame: dict[str, list[object]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FaceTable(pd.DataFrame(frame), Path())


def test_the_fingerprint_changes_with_labels_and_with_pictures(tmp_path: Path) -> None:
    face(tmp_path / "fear/a.png")
    first = fingerprint(folder.load(tmp_path))
    face(tmp_path / "fear/a.png", 129)
    second = fingerprint(folder.load(tmp_path))
    (tmp_path / "fear").rename(tmp_path / "anger")
    assert len({first, second, fingerprint(folder.load(tmp_path))}) == 3


# folders and manifests


def test_sub_folders_name_expressions_in_any_usual_spelling(tmp_path: Path) -> None:
    for name in ("Happy", "sad", "ANGER", "neutral"):
        face(tmp_path / name / "a.png")
    (tmp_path / "Happy" / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden").mkdir()
    table = folder.load(tmp_path)
    assert table.expressions == ("neutral", "anger", "happiness", "sadness")
    assert len(table) == 4
    assert len(table.subjects) == 4


def test_a_manifest_keeps_not_coded_apart_from_absent(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        face(tmp_path / name)
    text = (
        "path,subject,expression,AU1,au_12,AU12_intensity\n"
        "a.png,x,happy,0,1,3\n"
        "b.png,x,neutral,0,,\n"
        "c.png,y,fear,1,0,0\n"
    )
    table = folder.load(manifest(tmp_path, text))
    assert table.frame["AU12"].tolist() == [True, pd.NA, False]
    assert table.frame["AU12_intensity"].isna().tolist() == [False, True, False]
    assert table.frame["expression"].tolist() == ["happiness", "neutral", "fear"]
    assert table.subjects == ("x", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,subject\na.png,x\n", "column 'expression' is missing"),
        (
            "path,expresion\na.png,fear\n",
            "column 'expression' is missing; the nearest is 'expresion'",
        ),
        (
            "path,expression,subjct\na.png,fear,x\n",
            "column 'subjct' is not known; the nearest is 'subject'",
        ),
        ("path,expression,mood\na.png,fear,3\n", "column 'mood' is not known"),
        ("path,expression,AU03\na.png,fear,1\n", "column 'AU03' is not known"),
        ("path,expression\na.png,fear\na.png,anger\n", "'a.png' stands there more than once"),
        ("path,expression\na.png,gleeful\n", "expression 'gleeful' is not one of"),
        ("path,expression\n../a.png,fear\n", "leaves the folder"),
        ("path,expression\n/etc/passwd,fear\n", "is a full path"),
        ("path,expression\nb.png,fear\n", "b.png: no such picture"),
        ("path,expression\n,fear\n", "line 2: path is empty"),
        ("path,expression,frame\na.png,fear,one\n", "frame 'one' is not a whole number"),
        ("path,expression,AU12\na.png,fear,2\n", "AU12 '2' is not 0, 1 or empty"),
        ("path,expression,AU12_intensity\na.png,fear,9\n", "AU12_intensity '9' is not 0 to 5"),
        ("path,expression\n.,fear\n", "leaves the folder"),
        ("path,expression,frame\na.png,fear,99999999999999999999\n", "not a whole number below"),
        (
            "path,expression,AU12,AU12_intensity\na.png,fear,0,4\n",
            "line 2: AU12 is absent and has an intensity",
        ),
        (
            "path,expression,AU12,AU12_intensity\na.png,fear,1,0\n",
            "line 2: AU12 is present at intensity 0",
        ),
        ("path,expression\n", "lists no pictures"),
        ("", "cannot be read as a table"),
    ],
)
def test_each_fault_of_a_manifest_is_named_in_one_line(
    text: str, message: str, tmp_path: Path
) -> None:
    face(tmp_path / "a.png")
    with pytest.raises(InputError, match=message) as caught:
        folder.load(manifest(tmp_path, text))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    face(tmp_path / "outside.png")
    root = manifest(tmp_path / "set", "path,expression\na.png,fear\n")
    (root / "a.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(InputError, match="leaves the folder"):
        folder.load(root)


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.write_text(""), lambda p: p.mkdir()])
def test_folders_that_hold_no_faces_are_refused(make: object, tmp_path: Path) -> None:
    make(tmp_path / "set")  # type: ignore[operator]
    with pytest.raises(InputError, match="set"):
        folder.load(tmp_path / "set")


def test_an_unknown_sub_folder_is_named(tmp_path: Path) -> None:
    face(tmp_path / "bored" / "a.png")
    with pytest.raises(InputError, match="'bored' is not one of"):
        folder.load(tmp_path)


@pytest.mark.parametrize("spec", ["unheard-of:/x", "folder", "folder:", "avatars:/x", "", ":"])
def test_sources_that_are_not_understood_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match="faces"):
        sources.load(spec)


def test_checking_lists_all_faults_and_is_silent_on_a_clean_set(tmp_path: Path) -> None:
    face(tmp_path / "clean/fear/a.png")
    assert checking.check(f"folder:{tmp_path / 'clean'}").verdict == checking.CLEAN
    labels = manifest(tmp_path / "labels", "path,expression,AU12\na.png,gleeful,2\nb.png,fear,1\n")
    face(labels / "a.png")
    (labels / "a.png").write_bytes(b"nothing")
    checked = checking.check(f"folder:{labels}")
    assert (len(checked.remarks), checked.verdict) == (4, checking.UNUSABLE)
    for name in ("a.png", "b.png"):
        (tmp_path / "broken/fear").mkdir(parents=True, exist_ok=True)
        (tmp_path / "broken/fear" / name).write_bytes(b"nothing")
    assert len(checking.check(f"folder:{tmp_path / 'broken'}").remarks) == 2


# pictures


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff", "webp", "pgm"])
def test_every_usual_format_is_read(suffix: str, tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (16, 1))
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), ramp)
    picture = decoding.read(tmp_path / f"a.{suffix}")
    assert picture.shape == (1, 16, 32)
    np.testing.assert_allclose(picture[0], ramp / 255, atol=0.03)


def test_sixteen_bit_and_colour_and_palettes_mean_the_same_grey(tmp_path: Path) -> None:
    grey = np.full((8, 8), 51, np.uint8)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "colour.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(grey).convert("LA").save(tmp_path / "alpha.png")
    for name in ("deep", "colour", "palette", "alpha"):
        np.testing.assert_allclose(decoding.read(tmp_path / f"{name}.png"), 0.2, atol=1e-3)
        assert decoding.read(tmp_path / f"{name}.png", channels=3).shape == (3, 8, 8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff"])
def test_colour_turns_grey_as_opencv_turns_it_and_keeps_its_bands_in_order(
    suffix: str, tmp_path: Path
) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (16, 12, 3)).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / f"a.{suffix}")
    grey = decoding.read(tmp_path / f"a.{suffix}")[0]
    np.testing.assert_allclose(grey * 255, cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY), atol=0.51)
    np.testing.assert_array_equal(
        decoding.read(tmp_path / f"a.{suffix}", 3) * 255, colour.transpose(2, 0, 1)
    )


def test_pictures_stand_upright_as_exif_says(tmp_path: Path) -> None:
    lying = np.zeros((8, 16), np.uint8)
    lying[:, :8] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at its right
    Image.fromarray(lying).save(tmp_path / "a.jpg", exif=exif)
    picture = decoding.read(tmp_path / "a.jpg")
    assert picture.shape == (1, 16, 8)
    assert picture[0, :6].mean() > 0.7 > picture[0, 10:].mean()


def bomb(path: Path) -> None:
    """A PNG that says it is 60,000 × 60,000 pixels and holds a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def test_each_picture_that_cannot_be_read_gets_one_line(tmp_path: Path) -> None:
    face(tmp_path / "whole.png", size=(64, 64))
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    (tmp_path / "truncated.png").write_bytes((tmp_path / "noise.png").read_bytes()[:900])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    bomb(tmp_path / "bomb.png")
    wanted = {
        "truncated": "cannot be read",
        "empty": "empty",
        "text": "not a picture",
        "bomb": "pixels",
        "gone": "no such",
    }
    for name, message in wanted.items():
        line = trees.fault(tmp_path / f"{name}.png")
        assert line is not None
        assert message in line
        assert name in line
        assert "\n" not in line
    assert trees.fault(tmp_path / "whole.png") is None


def test_a_picture_without_permission_gets_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(path: Path, formats: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    face(tmp_path / "whole.png")
    monkeypatch.setattr("PIL.Image.open", locked)
    monkeypatch.setattr(Path, "read_bytes", locked)
    assert (
        trees.fault(tmp_path / "whole.png") == f"{tmp_path / 'whole.png'}: no permission to read it"
    )
    assert fingerprint(FaceTable(pd.DataFrame({"path": ["whole.png"]}), tmp_path))


# stacks


def test_single_unreadable_pictures_are_left_out_and_listed(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        face(tmp_path / f"fear/{name}.png", size=(20, 30))
    (tmp_path / "fear/b.png").write_bytes(b"nothing")
    loaded = stack.decode(folder.load(tmp_path), size=16)
    assert loaded.pictures.shape == (2, 1, 16, 16)
    assert [Path(p).name for p in loaded.table.frame["path"]] == ["a.png", "c.png"]
    assert len(loaded.table.left_out) == 1
    assert "b.png" in loaded.table.left_out[0]


def test_a_set_without_a_single_readable_picture_is_refused(tmp_path: Path) -> None:
    face(tmp_path / "fear/a.png")
    (tmp_path / "fear/a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png"):
        stack.decode(folder.load(tmp_path), size=16)


def test_without_subjects_the_frames_of_one_film_show_one_person(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        face(tmp_path / name)
    table = folder.load(
        manifest(tmp_path, "path,expression,sequence\na.png,fear,q\nb.png,fear,q\nc.png,anger,\n")
    )
    assert table.frame["subject"].tolist() == ["q", "q", "c.png"]
    assert table.frame["sequence"].isna().tolist() == [False, False, True]
    assert table.people_known
    assert not folder.load(
        manifest(tmp_path, "path,expression\na.png,fear\nb.png,anger\n")
    ).people_known


def test_floating_point_pixels_lie_between_0_and_1(tmp_path: Path) -> None:
    for name, value in (("fine", 0.5), ("white", 200.0)):
        Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / f"{name}.tiff")
    np.testing.assert_allclose(decoding.read(tmp_path / "fine.tiff"), 0.5)
    assert "between 0 and 1" in str(trees.fault(tmp_path / "white.tiff"))
