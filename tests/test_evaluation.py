from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

import duchenne
from duchenne import networks
from duchenne.analyses.transfer import evaluate, folded
from duchenne.errors import InputError
from duchenne.faces.formats import folder
from duchenne.faces.table import FaceTable
from duchenne.study.record import Study
from duchenne.training import jobs

from .small import SMALL
from .test_cli import command


@pytest.fixture(scope="module")
def study(drawings: FaceTable, tmp_path_factory: pytest.TempPathFactory) -> Study:
    changes = (*SMALL, "training.epochs=8", "folds.run=[0, 2]")
    return duchenne.run(
        "quick",
        f"folder:{drawings.root}",
        tmp_path_factory.mktemp("runs") / "a",
        changes=changes,
        until="network",
    )


@pytest.fixture
def others(drawings: FaceTable, tmp_path: Path) -> Path:
    """The same drawings a little darker, as another set; the last two show
    disgust, which the networks do not know.
    """
    root = tmp_path / "others"
    root.mkdir()
    for path in drawings.frame["path"]:
        pixels = cv2.imread(str(drawings.root / path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(root / path), (pixels * 0.9).astype(np.uint8))
    rows = drawings.frame[["path", "subject", "expression"]].copy()
    rows.loc[rows.index[-2:], "expression"] = "disgust"
    rows.to_csv(root / folder.MANIFEST, index=False)
    return root


def test_every_network_of_a_study_reads_another_set(study: Study, others: Path) -> None:
    found = evaluate(study.folder, f"folder:{others}")
    rows = found.predictions
    assert set(rows["fold"]) == {0, 2}
    assert len(rows) == 2 * 108
    known = rows[rows["expression"].notna()]
    right = (known["expression"] == known["predicted"]).groupby(known["fold"]).mean()
    assert found.scores["folds"] == {
        str(fold): pytest.approx(value) for fold, value in right.items()
    }
    assert found.scores["best"] == pytest.approx(right.max())
    assert found.scores["mean"] > 0.8
    assert found.scores["unread"] == 2
    assert json.loads((found.folder / "scores.json").read_text()) == found.scores
    pd.testing.assert_frame_equal(pd.read_parquet(found.folder / "predictions.parquet"), rows)
    assert "2 networks" in found.headline


def test_a_network_reads_a_picture_as_it_does_in_its_study(study: Study, others: Path) -> None:
    """Against the network itself, fed by hand."""
    found = evaluate(study, f"folder:{others}").predictions
    (folder,) = (folder for fold, _, folder in jobs.trained(study.folder / "training") if fold == 2)
    saved = networks.load(folder)
    picture = (
        cv2.imread(str(others / found["path"].iloc[5]), cv2.IMREAD_GRAYSCALE).astype(np.float32)[
            None, None
        ]
        / 255
    )
    prepare = duchenne.faces.preparation.steps.Preparation(saved.description.prepare)
    with torch.no_grad():
        expected = torch.softmax(saved.network(prepare(torch.from_numpy(picture))), 1)[0]
    row = found[found["fold"] == 2].iloc[5]
    np.testing.assert_allclose(
        [row[f"p_{name}"] for name in saved.description.classes], expected, atol=1e-5
    )


def test_expressions_are_folded_into_supersets_on_either_side() -> None:
    shown = pd.Series(["anger", "happiness", "contempt", None, "neutral"])
    same, found, classes = folded(shown, torch.eye(5)[:, :3], ("neutral", "positive", "negative"))
    assert same.fillna("").tolist() == ["negative", "positive", "", "", "neutral"]
    assert classes == ("neutral", "positive", "negative")
    assert torch.equal(found, torch.eye(5)[:, :3])
    given = torch.tensor([[0.1, 0.2, 0.3, 0.25, 0.15]])
    same, found, classes = folded(
        pd.Series(["negative"]), given, ("neutral", "anger", "contempt", "fear", "surprise")
    )
    assert (same.tolist(), classes) == (["negative"], ("positive", "neutral", "negative"))
    # contempt belongs to none
    torch.testing.assert_close(found, torch.tensor([[0.15, 0.1, 0.45]]))


def test_what_cannot_be_evaluated_is_told_in_one_line(
    study: Study, drawings: FaceTable, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="the faces of the study itself"):
        evaluate(study, f"folder:{drawings.root}")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 32), np.uint8))
    (tmp_path / "manifest.csv").write_text("path,expression\na.png,disgust\n")
    with pytest.raises(InputError, match="no expression that the networks know"):
        evaluate(study, f"folder:{tmp_path}")
    code, _, error = command("evaluate", tmp_path, "--data", f"folder:{tmp_path}")
    assert (code, error.count("\n"), "holds no study" in error) == (2, 1, True)


def test_the_command_ends_with_the_path_of_the_scores(study: Study, others: Path) -> None:
    code, told, _ = command("evaluate", study.folder, "--data", f"folder:{others}")
    assert code == 0
    assert Path(told.splitlines()[-1]).is_file()
