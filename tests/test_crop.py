from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from duchenne.errors import InputError
from duchenne.faces.formats import folder
from duchenne.faces.geometry import crop
from duchenne.faces.images import stack
from duchenne.faces.table import FaceTable
from duchenne.recipes import Faces
from duchenne.study.faces import decode

from .trees import face


def test_cutting_takes_the_box_and_resizes_it() -> None:
    ramp = np.arange(100, dtype=np.float32).reshape(1, 10, 10) / 100
    np.testing.assert_array_equal(crop.cut(ramp, crop.Box(2, 3, 6, 7), 4), ramp[:, 3:7, 2:6])
    assert crop.cut(np.repeat(ramp, 3, 0), crop.centred_square(ramp), 5).shape == (3, 5, 5)
    assert crop.centred_square(np.zeros((1, 10, 30), np.float32)) == (10, 0, 20, 10)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_smaller_picture_is_the_mean_of_what_each_pixel_covers(channels: int) -> None:
    """Against a slow loop, also where the sides do not divide."""
    picture = np.random.default_rng(0).random((channels, 45, 45)).astype(np.float32)
    done = crop.cut(picture, crop.Box(0, 0, 45, 45), 20)
    fine = picture.repeat(20, 1).repeat(
        20, 2
    )  # each pixel of the small picture covers 45×45 of these
    expected = np.empty((channels, 20, 20))
    for row, column in np.ndindex(20, 20):
        expected[:, row, column] = fine[
            :, 45 * row : 45 * row + 45, 45 * column : 45 * column + 45
        ].mean((1, 2))
    np.testing.assert_allclose(done, expected, atol=1e-4)


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
        across = rng.uniform(20, 40) * np.array(
            [np.cos(angle := rng.uniform(-0.6, 0.6)), np.sin(angle)]
        )
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


def test_of_several_faces_the_largest_is_taken_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Cascade:
        def detectMultiScale(  # noqa: N802
            self, grey: np.ndarray, *args: object, **options: object
        ) -> np.ndarray:
            return np.array([[1, 1, 5, 5], [10, 10, 20, 20], [2, 2, 9, 9]])

    monkeypatch.setattr(crop, "_cascade", Cascade)
    found = crop.haar(np.zeros((1, 50, 50), np.float32))
    assert found == ((10, 10, 30, 30), "3 faces found, the largest was taken")


@pytest.mark.parametrize(
    ("name", "message"), [("face", "'face': not one of"), ("yunet:/none.onnx", "no such detector")]
)
def test_crops_that_are_not_there_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        crop.named(name)


def test_a_file_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.onnx: not a detector"):
        crop.named(f"yunet:{tmp_path / 'a.onnx'}")


def test_yunet_gives_the_largest_face_that_the_users_detector_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.onnx").write_bytes(b"a detector")

    class Detector:
        def setInputSize(  # noqa: N802
            self, size: tuple[int, int]
        ) -> None:
            self.size = size

        def detect(self, picture: np.ndarray) -> tuple[int, np.ndarray | None]:
            assert picture.shape == (*self.size[::-1], 3)
            assert (picture[..., 0] == 30).all()  # blue comes first
            faces = np.zeros((2, 15), np.float32)
            faces[:, :4] = [[1, 2, 5, 6], [10, 4, 20, 12]]
            return 1, faces if self.size[0] == 50 else None

    monkeypatch.setattr(crop, "_yunet_detector", lambda model: Detector())
    yunet = crop.named(f"yunet:{tmp_path / 'a.onnx'}")
    picture = (
        np.full((3, 40, 50), 10 / 255, np.float32) * np.array([1, 2, 3], np.float32)[:, None, None]
    )
    assert yunet(picture, crop.Hints()) == ((10, 4, 30, 16), "2 faces found, the largest was taken")
    assert yunet(picture[:, :, :30], crop.Hints()) == (None, "no face found")


def test_another_detector_is_another_crop(tmp_path: Path) -> None:
    name = f"yunet:{tmp_path / 'a.onnx'}"
    (tmp_path / "a.onnx").write_bytes(b"one")
    before = crop.identity(name)
    (tmp_path / "a.onnx").write_bytes(b"two")
    assert crop.identity(name) != before


def test_eyes_far_apart_are_no_face() -> None:
    points = np.zeros((68, 2))
    points[42:48] = (100_000, 0)
    assert crop.eyes(np.zeros((1, 50, 50), np.float32), crop.Hints(points=points)).region is None


@pytest.mark.parametrize("name", ["landmarks", "eyes", "box"])
def test_crops_by_what_the_faces_lack_are_refused(name: str, tmp_path: Path) -> None:
    face(tmp_path / "fear/a.png")
    with pytest.raises(InputError, match=f"crop '{name}'.*no column"):
        stack.decode(folder.load(tmp_path), 16, crop_name=name)


@pytest.mark.parametrize("size", [0, 7, 2049])
def test_sizes_that_no_picture_can_have_are_refused(size: int, tmp_path: Path) -> None:
    face(tmp_path / "fear/a.png")
    with pytest.raises(InputError, match=f"size {size}"):
        stack.decode(folder.load(tmp_path), size)


def test_avatars_are_taken_whole_beside_photographs_that_are_cut(tmp_path: Path) -> None:
    wide = np.zeros((24, 48), np.uint8)
    wide[:, 12:36] = 200
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), wide)
    frame = pd.DataFrame(
        {"path": ["a.png", "b.png"], "dataset": ["avatars", "photos"], "expression": "fear"}
    )
    faces = Faces(source="avatars", other="folder:photos", crop="centre", size=24)
    avatar, photograph = decode(faces, FaceTable(frame, tmp_path)).stored
    assert (photograph == 200).all()
    assert (avatar[0, :, :5] == 0).all()


def test_pictures_without_a_face_are_kept_or_left_out_as_asked(tmp_path: Path) -> None:
    face(tmp_path / "fear/a.png", size=(64, 64))
    face(tmp_path / "fear/b.png", size=(64, 64), value=3)
    table = folder.load(tmp_path)
    kept = stack.decode(table, 16, crop_name="haar")
    assert [line.rpartition(": ")[2] for line in kept.notes] == [
        "no face found, its middle was taken"
    ] * 2
    with pytest.raises(InputError, match=r"a\.png: no face found"):
        stack.decode(table, 16, crop_name="haar", no_face="leave out")


def test_the_haar_detector_finds_a_rendered_face_in_a_larger_picture(
    studio: object, basis: object
) -> None:
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


def test_faces_are_cut_out_the_same_by_many_threads_as_by_one(
    studio: object, basis: object, tmp_path: Path
) -> None:
    from duchenne.faces.avatars import people
    from duchenne.faces.avatars.rendering import Shot

    rng = np.random.default_rng(0)
    shots = [Shot(people.draw_person(basis, rng), people.draw_scene(rng), {}) for _ in range(24)]  # type: ignore[arg-type]
    (tmp_path / "neutral").mkdir()
    for number, drawn in enumerate(studio.draw(shots, size=160)):  # type: ignore[attr-defined]
        cv2.imwrite(str(tmp_path / "neutral" / f"{number:02d}.png"), np.pad(drawn, 40, mode="edge"))
    table = folder.load(tmp_path)
    together = stack.decode(table, 48, crop_name="haar").pictures
    alone = np.concatenate(
        [
            stack.decode(table.where(np.arange(24) == i), 48, crop_name="haar").pictures
            for i in range(24)
        ]
    )
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("region", [crop.Box(10, 20, 70, 50), crop.Tilted(45.0, 38.0, 40.0, 25.0)])
def test_places_are_taken_to_where_they_lie_in_the_cut_picture(
    region: crop.Box | crop.Tilted,
) -> None:
    """A bright spot is drawn, and found again in what was cut."""
    for x, y in ((40.0, 35.0), (48.0, 41.0), (36.5, 33.5)):
        rows, columns = np.mgrid[:80, :90] + 0.5
        picture = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8).astype(np.float32)[None]
        cut = crop.cut(picture, region, 64)[0].astype(float)
        rows, columns = np.mgrid[:64, :64] + 0.5
        found = np.array([(columns * cut).sum(), (rows * cut).sum()]) / cut.sum()
        np.testing.assert_allclose(crop.onto(region, 64) @ [x, y, 1], found, atol=0.1)


def test_a_margin_is_added_all_round() -> None:
    picture = np.zeros((1, 100, 100), np.float32)
    square = crop.Hints(box=(20, 30, 40, 50))
    found = crop.named("box+0.5")(picture, square).region
    assert found == crop.Tilted(30, 40, 40, 0)
    tighter = crop.named("box-0.25")(picture, square).region
    assert tighter == crop.Tilted(30, 40, 10, 0)
    assert crop.named("box")(picture, square).region == crop.Box(20, 30, 40, 50)
    oblong = crop.Hints(box=(20, 30, 40, 70))
    assert crop.named("box+0.5")(picture, oblong).region == crop.Box(10, 10, 50, 90)
    beyond = crop.Hints(box=(0, 0, 40, 80))
    assert crop.named("box+0.5")(picture, beyond).region == crop.Box(0, 0, 60, 100)
    assert crop.named("box+0.5")(picture, crop.Hints()).region is None
    assert crop.with_margin("box", 0.5) == "box+0.5"
    assert crop.identity("box+0.5") != crop.identity("box")


def test_what_a_margin_takes_in_is_what_lies_around() -> None:
    picture = np.zeros((1, 60, 60), np.float32)
    picture[:, 20:40, 20:40] = 1
    region = crop.named("box+0.5")(picture, crop.Hints(box=(20, 20, 40, 40))).region
    assert region is not None
    cut = crop.cut(picture, region, 40)
    assert cut[:, 12:28, 12:28].min() == 1
    assert cut[:, :8].max() == cut[:, :, 32:].max() == 0
