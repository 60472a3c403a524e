from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from duchenne.errors import InputError
from duchenne.faces import checking, protocols
from duchenne.faces.avatars import people
from duchenne.faces.avatars.basis import HeadBasis
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.folds import split
from duchenne.faces.formats import FORMATS
from duchenne.faces.formats.adapter import Contents
from duchenne.faces.geometry import landmarks
from duchenne.faces.images import decoding, stack
from duchenne.faces.table import FaceTable

from . import trees


@pytest.fixture(scope="module", autouse=True)
def _cache_of_its_own(basis: HeadBasis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUCHENNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def faces(basis: HeadBasis, studio: Studio) -> NDArray[np.uint8]:
    """Sixteen small rendered faces, all different."""
    rng = np.random.default_rng(0)
    shots = [
        Shot(people.draw_person(basis, rng), people.draw_scene(rng), {12: (1.0, 1.0)})
        for _ in range(16)
    ]
    return studio.draw(shots, 24)


@pytest.fixture(scope="module")
def ckplus(
    faces: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str | None]]:
    root = tmp_path_factory.mktemp("ckplus")
    return root, trees.ckplus(root, faces)


@pytest.mark.parametrize("name", trees.TREES)
def test_what_is_read_is_what_was_written(
    name: str, faces: NDArray[np.uint8], tmp_path: Path
) -> None:
    rows = trees.TREES[name](tmp_path, faces)
    found = FORMATS[name.partition("-")[0]].read(tmp_path)
    assert found.remarks == ()
    dataset = pd.DataFrame(rows).assign(dataset=name.partition("-")[0])
    wanted = FaceTable(dataset, tmp_path).frame
    pd.testing.assert_frame_equal(
        found.table.frame.sort_values("path", ignore_index=True),
        wanted.sort_values("path", ignore_index=True),
    )
    for path in found.table.paths:
        assert trees.fault(path) is None


def test_pictures_in_containers_are_the_pictures_written(
    faces: NDArray[np.uint8], tmp_path: Path
) -> None:
    import cv2

    for name in ("fer2013", "tfd"):
        trees.TREES[name](tmp_path / name, faces)
        table = FORMATS[name].read(tmp_path / name).table
        read = decoding.read(table.paths[3])
        np.testing.assert_array_equal(np.rint(read[0] * 255), cv2.resize(faces[3], (48, 48)))


# CK+ in full size


def test_ckplus_reads_every_sequence_and_label(ckplus: tuple[Path, dict[str, str | None]]) -> None:
    root, written = ckplus
    found = FORMATS["ckplus"].read(root)
    assert found.remarks == ()
    last = found.table.frame.groupby("sequence").tail(1).set_index("sequence")
    assert last["expression"].where(last["expression"].notna(), None).to_dict() == written
    assert len(written) == trees.SEQUENCES
    assert last.loc["S005_001", "AU04"]
    assert last.loc["S005_001", "AU04_intensity"] == 5
    odd = last[last["AU12"].fillna(False)].iloc[0]
    assert (odd["AU01"], np.isnan(odd["AU01_intensity"]), odd["AU12_intensity"]) == (
        True,
        True,
        3,
    )  # 0: not scored


@pytest.mark.parametrize(("name", "count"), [("khorrami2015-8", 1308), ("khorrami2015-6", 927)])
def test_khorrami2015_takes_as_many_pictures_as_published(
    name: str, count: int, ckplus: tuple[Path, dict[str, str | None]]
) -> None:
    table = FORMATS["ckplus"].read(ckplus[0]).table
    assert len(protocols.protocol(table, name)) == count


def test_the_folds_of_the_released_code_come_out(
    ckplus: tuple[Path, dict[str, str | None]],
) -> None:
    table = protocols.protocol(FORMATS["ckplus"].read(ckplus[0]).table, "khorrami2015-8")
    subjects = sorted(set(table.frame["subject"]))
    for number, fold in enumerate(split(table, "khorrami2015", 10)):
        tested = {name for i, name in enumerate(subjects) if i % 10 == number}
        validated = {name for i, name in enumerate(subjects) if i % 10 == (number + 1) % 10}
        assert set(table.frame["subject"][fold.test]) == tested
        assert set(table.frame["subject"][fold.validation]) == validated
        assert set(table.frame["subject"][fold.train]) == set(subjects) - tested - validated


# checking


def test_a_clean_tree_is_silent(ckplus: tuple[Path, dict[str, str | None]]) -> None:
    checked = checking.check(f"ckplus:{ckplus[0]}")
    assert checked.remarks == ()
    assert checked.verdict == checking.CLEAN
    published = checked.counts.dropna(subset="published")
    assert published["found"].tolist() == published["published"].tolist()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean CK+ of twenty sequences with four frames of noise each; its
    counts are not held against the published ones.
    """
    rng = np.random.default_rng(0)
    for number in range(20):
        place, stem = f"S{100 + number}/001", f"S{100 + number}_001"
        for frame in range(1, 5):
            noise = rng.integers(0, 255, (24, 24)).astype(np.uint8)
            trees.picture(
                tmp_path / "cohn-kanade-images" / place / f"{stem}_{frame:08d}.png", noise
            )
            trees.write(
                tmp_path / "Landmarks" / place / f"{stem}_{frame:08d}_landmarks.txt",
                "1.5 2.25\n" * 68,
            )
        trees.write(
            tmp_path / "Emotion" / place / f"{stem}_00000004_emotion.txt", "3.0000000e+00\n"
        )
        trees.write(
            tmp_path / "FACS" / place / f"{stem}_00000004_facs.txt", "9.0000000e+00 0.0000000e+00\n"
        )
    monkeypatch.setitem(FORMATS, "ckplus", replace(FORMATS["ckplus"], published={}))
    return tmp_path


def plant_twenty_faults(root: Path) -> list[tuple[str, str]]:
    """Spoil one thing in each of twenty sequences; gives the file that must be
    named and what must be said of it.
    """
    images, emotion, facs, points = (
        root / name for name in ("cohn-kanade-images", "Emotion", "FACS", "Landmarks")
    )

    def frame(number: int, which: int = 4) -> Path:
        return images / f"S{number}/001/S{number}_001_{which:08d}.png"

    def label(part: Path, number: int, kind: str) -> Path:
        return part / f"S{number}/001/S{number}_001_00000004_{kind}.txt"

    label(emotion, 100, "emotion").write_text("")
    label(emotion, 101, "emotion").write_text("9.0")
    label(emotion, 102, "emotion").write_text("happy")
    label(emotion, 103, "emotion").rename(emotion / "S103/001/S103_001_00000002_emotion.txt")
    (emotion / "S104/001/S104_001_00000004_second_emotion.txt").write_text("3.0")
    (images / "S105/001/notes.txt").write_text("mine")
    frame(106).with_name("S107_001_00000009.png").write_bytes(frame(106).read_bytes())
    frame(107, 2).unlink()
    (images / "S108/002").mkdir()
    (images / "old").mkdir()
    frame(110).write_bytes(frame(110).read_bytes()[:300])
    frame(111).write_bytes(b"")
    trees.picture(frame(112), np.arange(144, dtype=np.uint8).reshape(12, 12))
    frame(113).write_bytes(frame(113, 3).read_bytes())
    label(facs, 114, "facs").unlink()
    label(facs, 115, "facs").write_text("9.0 0.0\n99.0 1.0\n")
    label(facs, 116, "facs").write_text("9.0 7.0\n")
    (points / "S117/001/S117_001_00000004_landmarks.txt").unlink()
    (points / "S118/001/S118_001_00000004_landmarks.txt").write_text("1.5 2.25\n" * 67)
    (points / "S119/001/S119_001_00000004_landmarks.txt").write_text(
        "1.5 2.25\n" * 67 + "30.0 2.0\n"
    )
    return [
        ("Emotion/S100/001/S100_001_00000004_emotion.txt", "the file is empty"),
        ("Emotion/S101/001/S101_001_00000004_emotion.txt", "expression 9 is not 0 to 7"),
        ("Emotion/S102/001/S102_001_00000004_emotion.txt", "'happy'"),
        ("Emotion/S103/001/S103_001_00000002_emotion.txt", "not belong to the last frame"),
        ("Emotion/S104/001/S104_001_00000004_second_emotion.txt", "a second label"),
        ("cohn-kanade-images/S105/001/notes.txt", "a stray file"),
        ("cohn-kanade-images/S106/001/S107_001_00000009.png", "named after another sequence"),
        ("cohn-kanade-images/S107/001/S107_001_00000003.png", "frames between them are missing"),
        ("cohn-kanade-images/S108/002", "holds no frames"),
        ("cohn-kanade-images/old", "not a subject's folder"),
        ("cohn-kanade-images/S110/001/S110_001_00000004.png", "cannot be read"),
        ("cohn-kanade-images/S111/001/S111_001_00000004.png", "the file is empty"),
        ("cohn-kanade-images/S112/001/S112_001_00000004.png", "12×12 pixels"),
        ("cohn-kanade-images/S113/001/S113_001_00000004.png", "the same picture as"),
        ("FACS/S114/001", "FACS codes are missing"),
        ("FACS/S115/001/S115_001_00000004_facs.txt", "line 2: action unit 99 is not one of FACS"),
        ("FACS/S116/001/S116_001_00000004_facs.txt", "intensity 7 is not 0 to 5"),
        ("Landmarks/S117/001/S117_001_00000004_landmarks.txt", "landmarks are missing"),
        ("Landmarks/S118/001/S118_001_00000004_landmarks.txt", "67 landmarks are not 68"),
        ("cohn-kanade-images/S119/001/S119_001_00000004.png", "1 of 68 landmarks lie outside"),
    ]


def test_checking_finds_twenty_planted_faults_and_nothing_else(small: Path) -> None:
    assert checking.check(f"ckplus:{small}").remarks == ()
    planted = plant_twenty_faults(small)
    checked = checking.check(f"ckplus:{small}")
    assert checked.verdict == checking.REMARKS
    for file, says in planted:
        found = [remark for remark in checked.remarks if remark.file == file]
        assert len(found) == 1, file
        assert says in found[0].says
    assert len(checked.remarks) == 20


def test_a_picture_on_two_sides_of_the_split_and_one_in_colour_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        trees.picture(tmp_path / f"{number}.png", rng.integers(0, 255, (24, 24)).astype(np.uint8))
    (tmp_path / "11.png").write_bytes((tmp_path / "0.png").read_bytes())
    trees.picture(tmp_path / "5.png", rng.integers(0, 255, (24, 24, 3)).astype(np.uint8))
    rows = "".join(f"{n}.png,fear,{'test' if n > 9 else 'train'}\n" for n in range(12))
    (tmp_path / "manifest.csv").write_text("path,expression,split\n" + rows)
    remarks = checking.check(f"folder:{tmp_path}").remarks
    assert [str(remark) for remark in remarks] == [
        "5.png: in colour, where others are grey",
        "11.png: the same picture as 0.png, on two sides of the split: test and train",
    ]


def test_frames_of_a_second_camera_are_left_out_with_a_remark(
    faces: NDArray[np.uint8], tmp_path: Path
) -> None:
    trees.disfa(tmp_path, faces)
    before = FORMATS["disfa"].read(tmp_path).table
    path = Path(before.frame["path"][0])
    trees.picture(tmp_path / "Right" / path.parent.name / path.name, faces[0])
    found = FORMATS["disfa"].read(tmp_path)
    taken, left = sorted(
        [path.parent.as_posix(), f"Right/{path.parent.name}"], key=lambda folder: folder.split("/")
    )
    assert next(remark.says for remark in found.remarks if remark.file == left).startswith(
        "1 more frames of"
    )
    assert any(name.startswith(taken) for name in found.table.frame["path"])


def test_a_readme_in_a_wrapping_folder_hides_no_label(small: Path) -> None:
    before = FORMATS["ckplus"].read(small).table
    (small / "Emotion").rename(small / "inner")
    (small / "Emotion").mkdir()
    (small / "inner").rename(small / "Emotion/Emotion")
    trees.write(small / "Emotion/ReadMe.txt", "from the makers")
    assert (
        FORMATS["ckplus"].read(small).table.frame["expression"].equals(before.frame["expression"])
    )


def test_votes_that_belong_to_other_rows_are_fatal(
    faces: NDArray[np.uint8], tmp_path: Path
) -> None:
    trees.ferplus(tmp_path, faces)
    header, *lines = (tmp_path / "fer2013new.csv").read_text().splitlines()
    (tmp_path / "fer2013new.csv").write_text("\n".join([header, *lines[1:], lines[0]]))
    assert [remark.fatal for remark in FORMATS["ferplus"].read(tmp_path).remarks] == [True]


# damaged files

LABELS = [
    ("rafdb", "EmoLabel/list_patition_label.txt"),
    ("fer2013", "fer2013.csv"),
    ("ferplus", "fer2013new.csv"),
    ("affectnet", "training.csv"),
    ("affectnet-folders", "train_set/annotations/0_exp.npy"),
    ("disfa", "ActionUnit_Labels/SN001/SN001_au1.txt"),
    ("disfaplus", "Labels/SN001/A1_AU1_TrailNo_1/AU4.txt"),
    ("bp4d", "AUCoding/AU_OCC/F001_T1.csv"),
    ("bp4d", "AUCoding/AU_INT/AU06/F001_T1_AU06.csv"),
    ("tfd", "TFD_48x48.mat"),
]
_LIKE_LABELS = st.text(alphabet='0123456789,.;#" \t\n-+eEnNaAuU_xyz/\\\0é', max_size=200).map(
    lambda text: text.encode()
)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file"), LABELS)
def test_no_bytes_lead_to_more_than_a_line(
    name: str, file: str, faces: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp(name)
    trees.TREES[name](root, faces)
    whole = (root / file).read_bytes()

    @given(st.binary(max_size=200), _LIKE_LABELS, st.integers(0, len(whole)))
    def read(noise: bytes, labels: bytes, place: int) -> None:
        for damaged in (
            noise,
            labels,
            whole[:place] + noise,
            whole[:place] + labels + whole[place:],
        ):
            (root / file).write_bytes(damaged)
            assert_a_table_or_a_line(name.partition("-")[0], root)

    read()


@given(st.binary(max_size=200) | _LIKE_LABELS, _LIKE_LABELS, _LIKE_LABELS)
def test_no_bytes_in_ckplus_lead_to_more_than_a_line(
    small: Path, emotion: bytes, facs: bytes, points: bytes
) -> None:
    (small / "Emotion/S100/001/S100_001_00000004_emotion.txt").write_bytes(emotion)
    (small / "FACS/S100/001/S100_001_00000004_facs.txt").write_bytes(facs)
    (small / "Landmarks/S100/001/S100_001_00000004_landmarks.txt").write_bytes(points)
    table = assert_a_table_or_a_line("ckplus", small)
    assert table is not None
    assert "\n" not in (refusal(lambda: landmarks.read(table.frame["landmarks"][3], small)) or "")


@pytest.mark.slow
@given(st.binary(max_size=200) | _LIKE_LABELS, _LIKE_LABELS)
def test_no_bytes_in_a_manifest_lead_to_more_than_a_line(
    tmp_path: Path, whole: bytes, row: bytes
) -> None:
    trees.picture(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    header = (
        b"path,expression,subject,frame,split,left,landmarks,AU12,AU12_intensity,AU12_probability\n"
        b"a.png,fear,x,,,,,,,\n"
    )
    for text in (whole, header + row, header + b"a.png," + row):
        (tmp_path / "manifest.csv").write_bytes(text)
        assert_a_table_or_a_line("folder", tmp_path)


@given(
    st.binary(max_size=120),
    st.integers(0, 2000),
    st.sampled_from([".png", ".jpg", ".bmp", ".tiff", ".webp", ".gif"]),
)
def test_no_bytes_in_a_picture_lead_to_more_than_a_line(
    tmp_path: Path, noise: bytes, place: int, ending: str
) -> None:
    file = tmp_path / f"a{ending}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)).save(file)
    whole = file.read_bytes()
    for damaged in (
        noise,
        whole[: place % len(whole)],
        whole[: place % len(whole)] + noise + whole[place % len(whole) :],
    ):
        file.write_bytes(damaged)
        assert "\n" not in (refusal(lambda: decoding.read(file)) or "")


@given(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=40
    )
)
@pytest.mark.parametrize("name", ["jaffe", "kdef"])
def test_no_file_name_leads_to_more_than_a_line(name: str, text: str) -> None:
    known = {"jaffe": "KA.AN1.39.tiff", "kdef": "AF01ANS.JPG"}[name]
    for odd in (
        text,
        text + known,
        known[:4] + text + known[4:],
        known[: len(text)] + text[:3] + ".jpg",
    ):
        with tempfile.TemporaryDirectory() as root:
            # not every text may name a file
            with contextlib.suppress(OSError, ValueError):
                (Path(root) / odd).write_bytes(b"")
            assert_a_table_or_a_line(name, Path(root))


@given(st.binary(max_size=60), st.integers(0, 10_000))
def test_no_bytes_in_a_parquet_manifest_lead_to_more_than_a_line(
    tmp_path: Path, noise: bytes, place: int
) -> None:
    trees.picture(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    file = tmp_path / "manifest.parquet"
    pd.DataFrame(
        {"path": ["a.png"], "expression": ["fear"], "frame": [1], "AU12": [True]}
    ).to_parquet(file)
    whole = file.read_bytes()
    at = place % len(whole)
    for damaged in (
        noise,
        whole[:at] + noise + whole[at:],
        whole[:at] + noise + whole[at + len(noise) :],
    ):
        file.write_bytes(damaged)
        assert_a_table_or_a_line("folder", tmp_path)


def assert_a_table_or_a_line(name: str, root: Path) -> FaceTable | None:
    read: list[Contents] = []
    refused = refusal(lambda: read.append(FORMATS[name].read(root)))
    if refused is not None:
        assert "\n" not in refused
        return None
    found = read[0]
    some = found.table.where(np.arange(len(found.table)) < 3)
    assert "\n" not in (refusal(lambda: stack.decode(some, 8, crop_name="eyes")) or "")
    assert "\n" not in (refusal(lambda: stack.decode(some, 8, crop_name="box")) or "")
    assert all("\n" not in str(remark) for remark in found.remarks)
    return found.table


def refusal(work: Callable[[], object]) -> str | None:
    try:
        work()
    except InputError as error:
        return str(error)
    return None
