from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import duchenne
from duchenne.errors import InputError
from duchenne.faces import folds, joining
from duchenne.faces.formats import folder
from duchenne.faces.geometry import landmarks
from duchenne.faces.images import stack
from duchenne.faces.table import FaceTable

from .small import SMALL
from .trees import face


def manifest(root: Path, values: list[int], more: dict[str, object]) -> FaceTable:
    """Pictures 0.png, 1.png, … of these brightnesses, each a person's one
    sequence.
    """
    for number, value in enumerate(values):
        face(root / f"{number}.png", value)
    count = range(len(values))
    rows = {
        "path": [f"{n}.png" for n in count],
        "subject": [f"p{n}" for n in count],
        "sequence": [f"q{n}" for n in count],
    }
    pd.DataFrame(rows | {"expression": ["fear", "anger"] * (len(values) // 2)} | more).to_csv(
        root / folder.MANIFEST, index=False
    )
    return folder.load(root)


def test_joined_sets_keep_their_pictures_labels_and_landmarks_and_their_people_apart(
    tmp_path: Path,
) -> None:
    inline = ";".join(str(n) for n in range(136))
    points = "\n".join(f"{n} {n + 1}" for n in range(68))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "points.txt").write_text(points)
    one = manifest(
        tmp_path / "one", [10, 20], {"AU01": [1, 0], "landmarks": ["points.txt", inline]}
    )
    two = manifest(tmp_path / "deep" / "two", [30, 40], {"AU02": [0, 1]})
    both = joining.join(one, two)
    assert both.root == tmp_path.resolve()
    assert both.frame["subject"].tolist() == ["one p0", "one p1", "two p0", "two p1"]
    assert both.frame["sequence"].tolist() == ["one q0", "one q1", "two q0", "two q1"]
    assert both.frame["AU01"].tolist() == [True, False, pd.NA, pd.NA]
    assert both.frame["AU02"].tolist() == [pd.NA, pd.NA, False, True]
    np.testing.assert_array_equal(stack.decode(both, 8).stored[:, 0, 0, 0], [10, 20, 30, 40])
    read = [landmarks.read(where, both.root) for where in both.frame["landmarks"].dropna()]
    assert (read[0][67] == [67, 68]).all()
    assert (read[1][67] == [134, 135]).all()


def test_two_sets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = (manifest(tmp_path / place / "faces", [10, 20], {}) for place in ("a", "b"))
    assert joining.join(one, two).frame["dataset"].tolist() == [
        "faces",
        "faces",
        "faces-2",
        "faces-2",
    ]


def test_the_people_of_disfa_and_disfaplus_stay_the_same(tmp_path: Path) -> None:
    one = manifest(tmp_path / "a", [10, 20], {"dataset": "disfa"})
    two = manifest(tmp_path / "b", [30, 40], {"dataset": "disfaplus"})
    both = joining.join(one, two)
    assert both.subjects == ("disfa p0", "disfa p1")
    assert both.frame["sequence"].is_unique


def test_two_drives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_two_drives(paths: object) -> str:
        raise ValueError("Paths don't have the same drive")

    one, two = (manifest(tmp_path / place, [10, 20], {}) for place in ("a", "b"))
    monkeypatch.setattr("os.path.commonpath", on_two_drives)
    with pytest.raises(InputError, match="two drives"):
        joining.join(one, two)


def test_a_study_trains_on_one_set_and_tests_on_the_other(
    drawings: FaceTable, tmp_path: Path
) -> None:
    half = drawings.frame["subject"] < "p04"
    for number, rows in enumerate((~half, half)):
        root = tmp_path / f"set{number}"
        root.mkdir()
        for path in drawings.frame["path"][rows]:
            (root / path).write_bytes((drawings.root / path).read_bytes())
        told = (
            drawings.frame[rows]
            .drop(columns="dataset")
            .astype(dict.fromkeys(drawings.presence(), "Int64"))
        )
        told.to_csv(root / folder.MANIFEST, index=False)
    changes = (
        *SMALL,
        f"faces.other=folder:{tmp_path / 'set1'}",
        "folds.rule=other-set",
        "folds.run=[0]",
    )
    study = duchenne.run(
        "quick", f"folder:{tmp_path / 'set0'}", tmp_path / "run", changes=changes, until="network"
    )
    predictions = pd.read_parquet(study.folder / "predictions.parquet")
    assert set(predictions["subject"]) == {f"set1 p{n:02d}" for n in range(4)}
    (fold,) = folds.split(study.table, "other-set", 0)
    assert set(study.table.frame["dataset"][fold.train | fold.validation]) == {"set0"}
