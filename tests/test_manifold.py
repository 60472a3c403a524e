from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial import cKDTree

from duchenne import networks
from duchenne.analyses import manifold as manifolds
from duchenne.analyses.manifold import Manifold, manifold
from duchenne.errors import InputError
from duchenne.faces.images.stack import Stack
from duchenne.faces.table import FaceTable

from . import trees
from .test_cli import command

CHANGES = (
    "faces.crop=none",
    "faces.size=32",
    "folds.count=4",
    "training.epochs=30",
    "network.options.bottleneck=3",
)


@pytest.fixture(scope="module")
def found(drawings: FaceTable, tmp_path_factory: pytest.TempPathFactory) -> Manifold:
    out = tmp_path_factory.mktemp("runs") / "manifold"
    return manifold(data=f"folder:{drawings.root}", out=out, changes=CHANGES)


def test_the_folder_holds_network_points_scores_and_both_pictures(found: Manifold) -> None:
    names = {path.name for path in found.folder.iterdir()}
    assert {
        "network.safetensors",
        "network.json",
        "points.parquet",
        "manifold.json",
        "made_of.json",
    } <= names
    assert {"manifold.pdf", "manifold.png", "walk.pdf", "walk.png"} <= names
    assert "checkpoints" not in names
    pd.testing.assert_frame_equal(pd.read_parquet(found.folder / "points.parquet"), found.points)
    assert json.loads((found.folder / "manifold.json").read_text()) == found.scores
    assert len(found.points) == 108
    assert {"code_0", "code_1", "code_2"} <= set(found.points)


def test_expressions_of_unseen_people_separate_where_they_were_drawn_apart(found: Manifold) -> None:
    assert found.scores["neighbours"] > 0.9
    assert found.scores["neighbours_permuted"] == pytest.approx(1 / 3, abs=0.1)
    assert found.scores["explained"] > 0.2
    assert "3 numbers a face" in found.headline


def test_neighbours_vote_as_a_loop_over_a_tree_does() -> None:
    rng = np.random.default_rng(0)
    codes, labels = (rng.normal(size=(60, 2)).astype(np.float32), rng.choice(["fear", "anger"], 60))
    seen = np.arange(60) < 40
    _, nearest = cKDTree(codes[seen]).query(codes[~seen], 5)
    votes = ["fear" if (labels[seen][row] == "fear").sum() > 2 else "anger" for row in nearest]
    expected = np.mean(np.array(votes) == labels[~seen])
    found = manifolds._named((codes[seen], labels[seen]), (codes[~seen], labels[~seen]))
    assert found == pytest.approx(expected)


def test_a_face_is_taken_less_the_neutral_faces_of_its_sequence_or_else_of_its_person() -> None:
    pictures = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 8, 8), np.uint8)
    frame = pd.DataFrame(
        {
            "path": list("abcdef"),
            "subject": ["s", "s", "s", "s", "t", "t"],
            "sequence": ["1", "1", None, None, None, None],
            "expression": ["neutral", "fear", "neutral", "fear", "anger", "fear"],
        }
    )
    faces = manifolds._with_neutral(
        Stack(pictures, FaceTable(frame, Path()), np.tile(np.eye(2, 3), (len(pictures), 1, 1)))
    )
    # t shows no neutral face
    assert faces.table.frame["path"].tolist() == ["a", "b", "c", "d"]
    less = manifolds._less_neutral(faces)[:, 0, 0, 0] * 255
    np.testing.assert_allclose(less, [0, 1, 2 - (0 + 2) / 2, 3 - (0 + 2) / 2], atol=1e-4)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_a_finished_one_is_not_trained_again(
    found: Manifold, drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"folder:{drawings.root}"
    with monkeypatch.context() as patch:
        patch.setattr(
            "duchenne.networks.save", lambda *args: (_ for _ in ()).throw(RuntimeError("power cut"))
        )
        with pytest.raises(RuntimeError, match="power cut"):
            manifold(data=source, out=tmp_path / "a", changes=CHANGES)
    again = manifold(data=source, out=tmp_path / "a", changes=CHANGES)
    assert again.scores == found.scores
    monkeypatch.setattr(manifolds, "fit", None)
    assert manifold(data=source, out=tmp_path / "a", changes=CHANGES).scores == found.scores


def test_what_makes_no_manifold_is_refused_in_one_line(
    found: Manifold, drawings: FaceTable, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="'zero_bias': a manifold is made with 'autoencoder'"):
        manifold("quick", out=tmp_path / "a")
    with pytest.raises(InputError, match="holds something else"):
        manifold(data=f"folder:{drawings.root}", out=found.folder, changes=("faces.size=40",))
    for change, key in (
        ("folds.run=[1]", "folds.run"),
        ('network.prepare=["standardise"]', "network.prepare"),
    ):
        with pytest.raises(InputError, match=key):
            manifold(out=tmp_path / "a", changes=(change,))
    loud = FaceTable(drawings.frame[drawings.frame["expression"].ne("neutral")], drawings.root)
    with pytest.raises(InputError, match="no neutral face"):
        manifolds._with_neutral(
            Stack(
                np.zeros((len(loud), 1, 8, 8), np.uint8),
                loud,
                np.tile(np.eye(2, 3), (len(loud), 1, 1)),
            )
        )
    code, _, error = command(
        "manifold", "--data", f"folder:{tmp_path / 'gone'}", "--out", tmp_path / "b"
    )
    assert (code, error.count("\n")) == (2, 1)


def test_the_command_ends_with_the_path_of_the_picture(drawings: FaceTable, tmp_path: Path) -> None:
    sets = [part for change in (*CHANGES, "training.epochs=1") for part in ("--set", change)]
    code, told, _ = command(
        "manifold", "--data", f"folder:{drawings.root}", "--out", tmp_path / "a", *sets
    )
    assert code == 0
    assert Path(told.splitlines()[-1]).is_file()


@pytest.mark.parametrize(("size", "bottleneck"), [(20, 2), (48, 0)])
def test_sizes_that_an_autoencoder_cannot_halve_are_refused(size: int, bottleneck: int) -> None:
    with pytest.raises(InputError, match="autoencoder"):
        networks.build("autoencoder", size=size, bottleneck=bottleneck)


def test_an_autoencoder_decodes_what_it_encodes() -> None:
    network = networks.build("autoencoder", seed=0, size=16, channels=3, bottleneck=5)
    pictures = torch.rand(4, 3, 16, 16)
    assert network.encode(pictures).shape == (4, 5)
    assert torch.equal(network(pictures), network.decode(network.encode(pictures)))


def test_a_manifold_of_another_sets_faces_is_not_gone_on_with(
    found: Manifold, drawings: FaceTable, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(drawings.root, copy)
    shutil.copytree(found.folder, tmp_path / "a")
    with pytest.raises(InputError, match="holds something else"):
        manifold(data=f"folder:{copy}", out=tmp_path / "a", changes=CHANGES)


@pytest.mark.slow
def test_ckplus_is_mapped_as_the_recipe_says(tmp_path: Path, own_cache: Path) -> None:
    """The recipe's own protocol names neutral frames, and its crop cuts by
    landmarks.
    """
    faces = np.random.default_rng(0).integers(0, 256, (16, 24, 24)).astype(np.uint8)
    trees.ckplus(tmp_path / "ck", faces, frames=2)
    changes = ("training.epochs=1", "folds.count=3", "faces.size=16")
    found = manifold(data=f"ckplus:{tmp_path / 'ck'}", out=tmp_path / "a", changes=changes)
    assert len(found.points) == 2 * 327
    assert set(found.points["expression"]) > {"neutral", "contempt"}


@pytest.mark.slow
def test_avatars_are_mapped_from_the_command_line(tmp_path: Path) -> None:
    sets = [
        part
        for change in ("faces.avatars.people=12", "faces.size=16", "training.epochs=1")
        for part in ("--set", change)
    ]
    code, told, error = command("manifold", "--out", tmp_path / "a", *sets)
    assert (code, Path(told.splitlines()[-1]).name) == (0, "manifold.png"), error
