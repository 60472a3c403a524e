from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duchenne.errors import InputError
from duchenne.faces import detector_columns
from duchenne.faces.table import FaceTable


@pytest.fixture
def table() -> FaceTable:
    frame = pd.DataFrame(
        {
            "path": ["a/1.png", "a/2.png", "b/1.png", "b/3.png"],
            "sequence": ["film", "film", "other", "other"],
            "frame": [1, 2, 1, 3],
            "AU12": [None, None, True, None],
        }
    )
    return FaceTable(frame, Path("/data"))


def csv(folder: Path, text: str, name: str = "found.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_pyfeat_gives_probabilities(table: FaceTable, tmp_path: Path) -> None:
    text = "frame,FaceScore,AU01,AU12,input\n0,0.9,0.25,0.75,/data/a/1.png\n0,0.9,1,0,3.png\n"
    found = detector_columns.join(table, csv(tmp_path, text)).frame
    assert found["AU01_probability"].tolist()[::3] == [0.25, 1.0]
    assert found["AU12_probability"].isna().tolist() == [False, True, True, False]
    assert "AU01" not in found
    assert found["AU12"].tolist() == [pd.NA, pd.NA, True, pd.NA]


def test_openface_keeps_presence_and_intensity_apart_and_codes_of_people_stay(
    table: FaceTable, tmp_path: Path
) -> None:
    csv(tmp_path, "frame, confidence, AU12_r, AU12_c\n1, 0.9, 2.5, 1\n2, 0.9, 0.1, 0\n", "film.csv")
    csv(tmp_path, "frame, confidence, AU12_r, AU12_c\n1, 0.9, 0.0, 0\n", "other.csv")
    found = detector_columns.join(table, tmp_path).frame
    assert found["AU12"].tolist() == [True, False, True, pd.NA]
    assert found["AU12_intensity"].tolist()[:3] == [2.5, 0.1, 0.0]


def test_libreface_spells_differently(table: FaceTable, tmp_path: Path) -> None:
    found = detector_columns.join(
        table, csv(tmp_path, "image,au_1,au_1_intensity\n2.png,1,3\n")
    ).frame
    assert (found["AU01"][1], found["AU01_intensity"][1]) == (True, 3)


def test_a_name_that_two_pictures_share_needs_its_folder(table: FaceTable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row belongs to a picture"):
        detector_columns.join(table, csv(tmp_path, "image,au_1\n1.png,1\n"))
    assert (
        detector_columns.join(table, csv(tmp_path, "image,au_1\nb/1.png,1\n"))
        .frame["AU01"]
        .tolist()[2]
    )


def test_of_several_faces_the_most_certain_counts(table: FaceTable, tmp_path: Path) -> None:
    text = "image,confidence,au_1\n2.png,0.3,0\n2.png,0.8,1\n2.png,0.5,0\n"
    assert detector_columns.join(table, csv(tmp_path, text)).frame["AU01"][1]


def test_where_no_face_was_found_nothing_is_known(table: FaceTable, tmp_path: Path) -> None:
    csv(
        tmp_path,
        "frame, confidence, success, AU12_r, AU12_c\n1, 0.9, 1, 2.5, 1\n2, 0.2, 0, 0, 0\n",
        "film.csv",
    )
    found = detector_columns.join(table, tmp_path).frame
    assert found["AU12"].tolist() == [True, pd.NA, True, pd.NA]
    assert found["AU12_intensity"].isna().tolist() == [False, True, True, True]


def test_whole_numbers_beside_py_feats_probabilities_are_probabilities(
    table: FaceTable, tmp_path: Path
) -> None:
    for header in ("FaceScore,AU01,AU02,input", "Score,AU01,AU02,input"):
        found = detector_columns.join(table, csv(tmp_path, f"{header}\n0.9,1.0,0.3,2.png\n")).frame
        assert (found["AU01_probability"][1], found["AU02_probability"][1]) == (1.0, 0.3)
        assert not {"AU01", "AU02"} & set(found)


def test_frames_of_a_film_that_each_row_names_are_found(table: FaceTable, tmp_path: Path) -> None:
    text = (
        "frame,FaceScore,AU01,input\n"
        "1,0.9,0.25,/films/film.mp4\n"
        "2,0.9,0.5,/films/film.mp4\n"
        "1,0.9,0.75,/films/none.mp4\n"
    )
    found = detector_columns.join(table, csv(tmp_path, text)).frame
    assert found["AU01_probability"].tolist()[:2] == [0.25, 0.5]
    assert found["AU01_probability"].isna().tolist()[2:] == [True, True]


def test_a_csv_that_is_named_after_its_picture_belongs_to_it(
    table: FaceTable, tmp_path: Path
) -> None:
    found = detector_columns.join(
        table, csv(tmp_path, "face, confidence, AU01_r\n0, 0.9, 3.5\n", "2.csv")
    ).frame
    assert found["AU01_intensity"][1] == 3.5


@given(
    st.binary(max_size=200)
    | st.text('0123456789,. \nAUau_rc"framepth', max_size=200).map(str.encode)
)
def test_no_bytes_lead_to_more_than_a_line(table: FaceTable, tmp_path: Path, noise: bytes) -> None:
    for text in (
        noise,
        b"image,AU01,AU02_r,success\n2.png," + noise,
        b"frame,AU01_c\n1,1\n" + noise,
    ):
        (tmp_path / "film.csv").write_bytes(text)
        with contextlib.suppress(InputError):
            detector_columns.join(table, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,AU01_r\n2.png,7\n", "line 2: column 'AU01_r': 7 is not between 0 and 5"),
        ("image,AU01_c\n2.png,2\n", "'AU01_c': 2 is neither 0 nor 1"),
        ("image,AU01_c\n2.png,0.5\n", "'AU01_c': 0.5 is neither 0 nor 1"),
        ("image,mood\n2.png,2\n", "holds no action units"),
        ("au_1\n1\n", "no column names a picture"),
        ("", "cannot be read as a table"),
    ],
)
def test_what_is_not_a_detectors_table_is_refused(
    text: str, message: str, table: FaceTable, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        detector_columns.join(table, csv(tmp_path, text))


def test_probabilities_become_presence_only_where_asked(table: FaceTable, tmp_path: Path) -> None:
    joined = detector_columns.join(
        table, csv(tmp_path, "image,AU12\na/1.png,0.7\na/2.png,0.2\nb/1.png,0.1\n")
    )
    assert joined.frame["AU12"].isna().tolist() == [True, True, False, True]
    assert detector_columns.thresholded(joined, 0.5).frame["AU12"].tolist() == [
        True,
        False,
        True,
        pd.NA,
    ]
