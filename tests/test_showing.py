from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import duchenne
from duchenne import showing
from duchenne.faces.table import FaceTable
from duchenne.report import figures, gallery
from duchenne.study import Study

from .test_cli import command
from .test_studies import SMALL


@pytest.fixture(scope="module")
def study(drawings: FaceTable, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return duchenne.run("quick", f"folder:{drawings.root}", tmp_path_factory.mktemp("runs") / "a", changes=SMALL)


def test_a_unit_is_shown_in_rows_of_fields_projections_and_the_random_start(study: Study) -> None:
    top = pd.read_parquet(study.units_folder / "top.parquet").query("unit == 7")
    for twin, count in ((False, 2), (True, 3)):
        figure = showing.show(study, [7], top=2, twin=twin)
        assert len(figure.axes) == 2 * count
        image = figure.axes[0].images[0].get_array()
        x0, y0, x1, y1 = top.iloc[0][["x0", "y0", "x1", "y1"]].astype(int)
        assert image.shape == (y1 - y0, x1 - x0)
    assert figure.axes[0].get_ylabel() == "unit 7"


def test_the_units_that_stand_first_in_the_report_are_shown_first(study: Study) -> None:
    labels = [axes.get_ylabel() for axes in showing.show(study, top=1).axes]
    assert labels[::2] == [f"unit {unit}" for unit in gallery.chosen(study.units_folder, 5)]


def test_another_layer_is_read_now(study: Study) -> None:
    figure = showing.show(study, [1, 2], layer="conv1", top=3, method="deconvnet")
    assert len(figure.axes) == 2 * 2 * 3
    assert max(axes.images[0].get_array().shape[0] for axes in figure.axes) == 5


def test_the_command_draws_a_file_that_prints(study: Study, tmp_path: Path) -> None:
    for kind, begins in ((".pdf", b"%PDF"), (".svg", b"<?xml"), (".png", b"\x89PNG")):
        code, told, _ = command("show", study.folder, "--units", "3, 17", "--top", 2, "--out", tmp_path / f"units{kind}")
        assert (code, Path(told.splitlines()[-1]).read_bytes()[: len(begins)]) == (0, begins)


def test_a_sequence_is_shown_frame_by_frame_with_what_is_read(study: Study, tmp_path: Path) -> None:
    name = study.table.frame["sequence"].iloc[0]
    count = int(study.table.frame["sequence"].eq(name).sum())
    figure = showing.evolution(study, name)
    assert len(figure.axes) == 4 * count
    assert all("%" in axes.get_title() for axes in figure.axes[:count])
    code, told, _ = command("show", study.folder, "--sequence", name, "--layer", "conv1", "--out", tmp_path / "a.png")
    assert (code, Path(told.splitlines()[-1]).exists()) == (0, True)


def test_how_like_the_random_start_projections_are_is_told_for_every_unit_and_method(study: Study) -> None:
    alike = showing.likenesses(study, ("guided", "gradient"), top=2)
    assert alike.groupby("method").size().tolist() == [256, 256]
    assert alike["alike"].between(-1, 1).all()
    axes = figures.likenesses(alike).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["guided", "gradient"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--sequence", "nobody"), "--sequence nobody: not among the faces of the study, such as"),
        (("--units", "99999"), "--units 99999: layer 'conv3' has units 0 to"),
        (("--units", "three"), "--units three: not numbers"),
        (("--method", "magic"), "method 'magic'"),
        (("--top", 0), "--top 0"),
        (("--layer", "konv1"), "layer 'konv1'"),
        (("--out", "units.gif"), "--out units.gif: ends in none of .pdf, .svg, .png"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(study: Study, arguments: tuple[object, ...], says: str) -> None:
    code, _, error = command("show", study.folder, *arguments)
    assert (code, error.count("\n"), says in error) == (2, 1, True)


def test_a_projections_zero_is_mid_grey() -> None:
    seen = figures.UnitSeen(0, [np.zeros((1, 3, 3), np.float32)], [np.array([[[0, -2, 1]]], np.float32)], None, ["fear"])
    shown = figures.units([seen], "title").axes[1].images[0].get_array()
    assert shown.tolist() == [[0.5, 0.0, 0.75]]
    silent = figures.UnitSeen(0, seen.fields, [np.zeros((1, 1, 3), np.float32)], None, ["fear"])
    assert (figures.units([silent], "title").axes[1].images[0].get_array() == 0.5).all()
