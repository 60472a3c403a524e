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
from duchenne.faces import checking, crop, pictures, sources, stack
from duchenne.faces.folds import split
from duchenne.faces.formats import folder
from duchenne.faces.table import FaceTable

from . import trees


def face(path: Path, value: int = 128, size: tuple[int, int] = (12, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(size, value, np.uint8))


def manifest(root: Path, text: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / folder.MANIFEST).write_text(text)
    return root


# tables


def test_a_table_gives_every_column_its_type_and_place() -> None:
    frame = pd.DataFrame({"AU12_intensity": [3, 0], "AU12": [1, None], "path": ["a", "b"], "expression": ["fear", None]})
    table = FaceTable(frame, Path())
    assert list(table.frame)[:6] == ["path", "dataset", "subject", "sequence", "frame", "expression"]
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
    first = folder.load(tmp_path).fingerprint()
    face(tmp_path / "fear/a.png", 129)
    second = folder.load(tmp_path).fingerprint()
    (tmp_path / "fear").rename(tmp_path / "anger")
    assert len({first, second, folder.load(tmp_path).fingerprint()}) == 3


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
    text = "path,subject,expression,AU1,au_12,AU12_intensity\na.png,x,happy,0,1,3\nb.png,x,neutral,0,,\nc.png,y,fear,1,0,0\n"
    table = folder.load(manifest(tmp_path, text))
    assert table.frame["AU12"].tolist() == [True, pd.NA, False]
    assert table.frame["AU12_intensity"].isna().tolist() == [False, True, False]
    assert table.frame["expression"].tolist() == ["happiness", "neutral", "fear"]
    assert table.subjects == ("x", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,subject\na.png,x\n", "column 'expression' is missing"),
        ("path,expression,mood\na.png,fear,3\n", "column 'mood' is not known"),
        ("path,expression,AU03\na.png,fear,1\n", "column 'AU03' is not known"),
        ("path,expression\na.png,fear\na.png,anger\n", "'a.png' stands there more than once"),
        ("path,expression\na.png,gleeful\n", "expression 'gleeful' is not one of"),
        ("path,expression\n../a.png,fear\n", "leaves the folder"),
        ("path,expression\n/etc/passwd,fear\n", "leaves the folder"),
        ("path,expression\nb.png,fear\n", "b.png: no such picture"),
        ("path,expression\n,fear\n", "line 2: path is empty"),
        ("path,expression,frame\na.png,fear,one\n", "frame 'one' is not a whole number"),
        ("path,expression,AU12\na.png,fear,2\n", "AU12 '2' is not 0, 1 or empty"),
        ("path,expression,AU12_intensity\na.png,fear,9\n", "AU12_intensity '9' is not 0 to 5"),
        ("path,expression\n.,fear\n", "leaves the folder"),
        ("path,expression,frame\na.png,fear,99999999999999999999\n", "not a whole number below"),
        ("path,expression,AU12,AU12_intensity\na.png,fear,0,4\n", "line 2: AU12 is absent and has an intensity"),
        ("path,expression\n", "lists no pictures"),
        ("", "cannot be read as a table"),
    ],
)
def test_each_fault_of_a_manifest_is_named_in_one_line(text: str, message: str, tmp_path: Path) -> None:
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
    picture = pictures.read(tmp_path / f"a.{suffix}")
    assert picture.shape == (1, 16, 32)
    np.testing.assert_allclose(picture[0], ramp / 255, atol=0.03)


def test_sixteen_bit_and_colour_and_palettes_mean_the_same_grey(tmp_path: Path) -> None:
    grey = np.full((8, 8), 51, np.uint8)
    cv2.imwrite(str(tmp_path / "deep.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "colour.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(grey).convert("LA").save(tmp_path / "alpha.png")
    for name in ("deep", "colour", "palette", "alpha"):
        np.testing.assert_allclose(pictures.read(tmp_path / f"{name}.png"), 0.2, atol=1e-3)
        assert pictures.read(tmp_path / f"{name}.png", channels=3).shape == (3, 8, 8)


def test_pictures_stand_upright_as_exif_says(tmp_path: Path) -> None:
    lying = np.zeros((8, 16), np.uint8)
    lying[:, :8] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at its right
    Image.fromarray(lying).save(tmp_path / "a.jpg", exif=exif)
    picture = pictures.read(tmp_path / "a.jpg")
    assert picture.shape == (1, 16, 8)
    assert picture[0, :6].mean() > 0.7 > picture[0, 10:].mean()


def bomb(path: Path) -> None:
    """A PNG that says it is 60,000 × 60,000 pixels and holds a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


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


def test_a_picture_without_permission_gets_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    face(tmp_path / "whole.png")
    monkeypatch.setattr("PIL.Image.open", locked)
    monkeypatch.setattr(Path, "read_bytes", locked)
    assert trees.fault(tmp_path / "whole.png") == f"{tmp_path / 'whole.png'}: no permission to read it"
    assert FaceTable(pd.DataFrame({"path": ["whole.png"]}), tmp_path).fingerprint()


# stacks


def test_single_unreadable_pictures_are_left_out_and_listed(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        face(tmp_path / f"fear/{name}.png", size=(20, 30))
    (tmp_path / "fear/b.png").write_bytes(b"nothing")
    loaded = stack.load(folder.load(tmp_path), size=16)
    assert loaded.pictures.shape == (2, 1, 16, 16)
    assert [Path(p).name for p in loaded.table.frame["path"]] == ["a.png", "c.png"]
    assert len(loaded.table.left_out) == 1
    assert "b.png" in loaded.table.left_out[0]


def test_a_set_without_a_single_readable_picture_is_refused(tmp_path: Path) -> None:
    face(tmp_path / "fear/a.png")
    (tmp_path / "fear/a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png"):
        stack.load(folder.load(tmp_path), size=16)


def test_cutting_takes_the_box_and_resizes_it() -> None:
    ramp = np.arange(100, dtype=np.float32).reshape(1, 10, 10) / 100
    np.testing.assert_array_equal(crop.cut(ramp, crop.Box(2, 3, 6, 7), 4), ramp[:, 3:7, 2:6])
    assert crop.cut(np.repeat(ramp, 3, 0), crop.centred_square(ramp), 5).shape == (3, 5, 5)
    assert crop.centred_square(np.zeros((1, 10, 30), np.float32)) == (10, 0, 20, 10)


def test_a_turned_square_is_sampled_where_it_lies() -> None:
    rows, columns = np.mgrid[0:60, 0:80].astype(np.float32) / 100
    picture = np.stack([rows, columns, rows])
    straight = crop.cut(picture, crop.Tilted(x=40, y=30, side=20, angle=0), 20)
    np.testing.assert_allclose(straight, picture[:, 20:40, 30:50], atol=1e-6)
    quarter = crop.cut(picture, crop.Tilted(x=40, y=30, side=20, angle=90), 20)
    np.testing.assert_allclose(quarter, np.rot90(picture[:, 20:40, 30:50], axes=(1, 2)), atol=1e-6)
    assert crop.cut(picture, crop.Tilted(x=40, y=30, side=40, angle=0), 20).shape == (3, 20, 20)


def test_eyes_come_to_lie_level_and_at_fixed_places() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        right = rng.uniform(60, 80, 2)
        across = rng.uniform(20, 40) * np.array([np.cos(angle := rng.uniform(-0.6, 0.6)), np.sin(angle)])
        points = np.zeros((68, 2))
        points[36:42], points[42:48] = right, right + across
        picture = np.zeros((1, 160, 160), np.float32)
        for x, y in (right, right + across):
            rows, columns = np.mgrid[0:160, 0:160]
            picture[0] += np.exp(-((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2) / 8)
        found = crop.eyes(picture, crop.Hints(points=points))
        assert found.region is not None
        upright = crop.cut(picture, found.region, 100)[0]
        for half, wanted in ((slice(0, 50), 30), (slice(50, 100), 70)):
            weight = upright[:, half]
            y, x = (np.mgrid[0:100, half] * weight).sum((1, 2)) / weight.sum() + 0.5
            assert (x, y) == pytest.approx((wanted, 38), abs=0.5)


def test_boxes_and_landmarks_are_cut_off_at_the_border() -> None:
    picture = np.zeros((1, 50, 40), np.float32)
    assert crop.box(picture, crop.Hints(box=(-3.0, 4.4, 20.6, 70.0))).region == (0, 4, 21, 50)
    assert crop.box(picture, crop.Hints(box=(60.0, 4.0, 80.0, 20.0))).region is None
    assert crop.box(picture, crop.Hints()) == (None, "no box")
    points = np.random.default_rng(0).uniform(5, 35, (68, 2))
    region = crop.landmarks(picture, crop.Hints(points=points)).region
    assert region == (*np.rint(points.min(0)).astype(int), *np.rint(points.max(0)).astype(int))


def test_of_several_faces_the_largest_is_taken_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cascade:
        def detectMultiScale(self, grey: np.ndarray, *args: object, **options: object) -> np.ndarray:  # noqa: N802
            return np.array([[1, 1, 5, 5], [10, 10, 20, 20], [2, 2, 9, 9]])

    monkeypatch.setattr(crop, "_cascade", Cascade)
    found = crop.haar(np.zeros((1, 50, 50), np.float32))
    assert found == ((10, 10, 30, 30), "3 faces found, the largest was taken")


@pytest.mark.parametrize(("name", "message"), [("face", "'face': not one of"), ("yunet:/none.onnx", "no such detector")])
def test_crops_that_are_not_there_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        crop.named(name)


def test_a_file_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.onnx: not a detector"):
        crop.named(f"yunet:{tmp_path / 'a.onnx'}")


def test_pictures_without_a_face_are_kept_or_left_out_as_asked(tmp_path: Path) -> None:
    face(tmp_path / "fear/a.png", size=(64, 64))
    face(tmp_path / "fear/b.png", size=(64, 64), value=3)
    table = folder.load(tmp_path)
    kept = stack.load(table, 16, crop_name="haar")
    assert [line.rpartition(": ")[2] for line in kept.notes] == ["no face found, its middle was taken"] * 2
    with pytest.raises(InputError, match=r"a\.png: no face found"):
        stack.load(table, 16, crop_name="haar", no_face="leave out")


def test_the_haar_detector_finds_a_rendered_face_in_a_larger_picture(studio: object, basis: object) -> None:
    from duchenne.faces.avatars import people
    from duchenne.faces.avatars.rendering import Shot

    scene = people.STUDIO.__class__(**{**people.STUDIO.__dict__, "zoom": 0.75})
    shot = Shot(people.draw_person(basis, np.random.default_rng((0, 0, 3))), scene, {})  # type: ignore[arg-type]
    drawn = studio.draw([shot], size=128)[0].astype(np.float32) / 255  # type: ignore[attr-defined]
    picture = np.full((1, 240, 320), 0.2, np.float32)
    picture[0, 60:188, 100:228] = drawn
    box = crop.haar(picture).region
    assert isinstance(box, crop.Box)
    assert box.left < 164 < box.right
    assert box.top < 130 < box.bottom


# folds


def people_table(pictures_each: list[int]) -> FaceTable:
    rows = [
        {"path": f"{person}-{i}", "subject": f"s{person:02d}", "expression": ("fear", "anger")[i % 2]}
        for person, count in enumerate(pictures_each)
        for i in range(count)
    ]
    return FaceTable(pd.DataFrame(rows), Path())


def test_khorrami2015_puts_the_ith_subject_into_part_i_modulo_ten() -> None:
    table = people_table([4] * 23)
    folds = split(table, "khorrami2015", 10)
    for number, fold in enumerate(folds):
        tested = sorted(set(table.frame["subject"][fold.test]))
        assert tested == [f"s{i:02d}" for i in range(23) if i % 10 == number]
        validated = sorted(set(table.frame["subject"][fold.validation]))
        assert validated == [f"s{i:02d}" for i in range(23) if i % 10 == (number + 1) % 10]


@pytest.mark.parametrize("rule", ["khorrami2015", "stratified"])
def test_no_person_stands_on_two_sides_and_every_picture_is_tested_once(rule: str) -> None:
    table = people_table([2, 5, 3, 8, 4, 6, 2, 9, 7, 4])
    folds = split(table, rule, 5)
    assert (sum(fold.test.astype(int) for fold in folds) == 1).all()
    for fold in folds:
        sides = [set(table.frame["subject"][side]) for side in (fold.train, fold.validation, fold.test)]
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]
        assert fold.train.any()


@pytest.mark.parametrize(
    ("table", "rule", "count", "message"),
    [
        (people_table([2] * 4), "khorrami2015", 5, "only 4 people"),
        (people_table([2] * 4), "khorrami2015", 2, "at least 3"),
        (people_table([1] * 5), "khorrami2015", 3, "only one expression"),
        (people_table([2] * 5), "by_mood", 3, "'by_mood'"),
    ],
)
def test_tables_that_cannot_be_split_are_refused(table: FaceTable, rule: str, count: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(table, rule, count)


def test_an_expression_that_no_training_picture_shows_is_named() -> None:
    frame = people_table([2] * 5).frame
    frame.loc[frame["subject"] == "s00", "expression"] = "sadness"
    with pytest.raises(InputError, match="train without sadness"):
        split(FaceTable(frame, Path()), "khorrami2015", 5)


def test_faces_are_cut_out_the_same_by_many_threads_as_by_one(studio: object, basis: object, tmp_path: Path) -> None:
    from duchenne.faces.avatars import people
    from duchenne.faces.avatars.rendering import Shot

    rng = np.random.default_rng(0)
    shots = [Shot(people.draw_person(basis, rng), people.draw_scene(rng), {}) for _ in range(24)]  # type: ignore[arg-type]
    (tmp_path / "neutral").mkdir()
    for number, drawn in enumerate(studio.draw(shots, size=160)):  # type: ignore[attr-defined]
        cv2.imwrite(str(tmp_path / "neutral" / f"{number:02d}.png"), np.pad(drawn, 40, mode="edge"))
    table = folder.load(tmp_path)
    together = stack.load(table, 48, crop_name="haar").pictures
    alone = np.concatenate([stack.load(table.where(np.arange(24) == i), 48, crop_name="haar").pictures for i in range(24)])
    np.testing.assert_array_equal(together, alone)


def test_without_subjects_the_frames_of_one_film_show_one_person(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        face(tmp_path / name)
    table = folder.load(manifest(tmp_path, "path,expression,sequence\na.png,fear,q\nb.png,fear,q\nc.png,anger,\n"))
    assert table.frame["subject"].tolist() == ["q", "q", "c.png"]
    assert table.frame["sequence"].isna().tolist() == [False, False, True]
    assert table.people_known
    assert not folder.load(manifest(tmp_path, "path,expression\na.png,fear\nb.png,anger\n")).people_known


def test_stratified_folds_with_too_few_pictures_are_refused() -> None:
    frame = pd.DataFrame({"path": list("abcdefgh"), "subject": list("abcdefgh")})
    frame["expression"] = ["fear", "fear", "anger", "anger", "sadness", "sadness", "neutral", "neutral"]
    with pytest.raises(InputError, match="fewer pictures"):
        split(FaceTable(frame, Path()), "stratified", 5)


def test_floating_point_pixels_lie_between_0_and_1(tmp_path: Path) -> None:
    for name, value in (("fine", 0.5), ("white", 200.0)):
        Image.fromarray(np.full((4, 4), value, np.float32)).save(tmp_path / f"{name}.tiff")
    np.testing.assert_allclose(pictures.read(tmp_path / "fine.tiff"), 0.5)
    assert "between 0 and 1" in str(trees.fault(tmp_path / "white.tiff"))
