from __future__ import annotations

import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

import duchenne
from duchenne import evidence, units
from duchenne.errors import InputError
from duchenne.evidence import traits
from duchenne.experiments import measure_traits
from duchenne.faces.images import decoding
from duchenne.report import figures, gallery
from duchenne.report.figures import FIGURES, sheets, source
from duchenne.report.figures.registry import Drawing, figure, opened
from duchenne.report.figures.sheets import Line
from duchenne.report.figures.shown import Shown
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace

from .small import SMALL
from .test_cli import command
from .test_papers import inches


@pytest.fixture(scope="module")
def study(drawn_study: Study) -> Study:
    return drawn_study


@pytest.fixture(scope="module")
def avatars(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of rendered faces, which have landmarks and action units."""
    changes = (*SMALL, "faces.avatars.people=12", "training.epochs=1", "training.augment=off")
    return duchenne.run(
        "quick",
        "avatars",
        tmp_path_factory.mktemp("runs") / "a",
        changes=changes,
        until="projections",
    )


def drawn(figure: Figure) -> list[list[np.ndarray]]:
    """The pictures of a figure, row by row."""
    rows: dict[float, list[np.ndarray]] = {}
    figure.canvas.draw()
    for axes in figure.axes:
        if axes.images:
            rows.setdefault(round(axes.get_position().y0, 2), []).append(
                np.asarray(axes.images[0].get_array())
            )
    return list(rows.values())


# rows of pictures


def test_a_projections_zero_is_mid_grey_and_each_is_scaled_by_its_own_largest_value() -> None:
    figure = sheets.sheet(
        [
            Line(
                "a",
                [np.array([[[0, -2, 1]]], np.float32), np.zeros((1, 1, 3), np.float32)],
                signed=True,
            )
        ]
    )
    first, second = drawn(figure)[0]
    assert first.tolist() == [[0.5, 0.0, 0.75]]
    assert (second == 0.5).all()


def test_pictures_of_a_row_are_of_one_scale() -> None:
    figure = sheets.sheet([Line("a", [np.zeros((5, 5), np.float32), np.zeros((3, 2), np.float32)])])
    assert {axes.get_xlim() for axes in figure.axes} == {(-0.5, 4.5)}


# units


def test_a_unit_is_shown_in_rows_of_fields_projections_and_the_random_start(study: Study) -> None:
    top = pd.read_parquet(study.units_folder / "top.parquet").query("unit == 7")
    for untrained, count in ((False, 2), (True, 3)):
        shown = figures.units(study, [7], top=2, untrained=untrained)
        assert len(shown.figure.axes) == 2 * count
        image = shown.figure.axes[0].images[0].get_array()
        x0, y0, x1, y1 = top.iloc[0][["x0", "y0", "x1", "y1"]].astype(int)
        assert image.shape == (y1 - y0, x1 - x0)
    assert shown.figure.axes[0].get_ylabel() == "unit 7"
    assert (
        shown.table["path"].tolist()
        == study.table.frame["path"].iloc[top["image"].head(2)].tolist()
    )


def test_the_units_that_stand_first_in_the_report_are_shown_first(study: Study) -> None:
    labels = [axes.get_ylabel() for axes in figures.units(study, top=1).figure.axes]
    assert labels[::2] == [f"unit {unit}" for unit in gallery.chosen(study.units_folder, 5)]


def test_another_layer_is_read_now(study: Study) -> None:
    shown = figures.units(study, [1, 2], layer="conv1", top=3, method="deconvnet")
    assert len(shown.figure.axes) == 2 * 2 * 3
    assert max(axes.images[0].get_array().shape[0] for axes in shown.figure.axes) == 5


def test_every_detected_action_unit_is_shown_by_its_surest_detector(study: Study) -> None:
    found = evidence.detections(study.evidence, study.recipe.evidence.level)
    surest = evidence.ranked(found).drop_duplicates("au").set_index("au")
    shown = figures.action_units(study, top=2)
    labels = [axes.get_ylabel() for axes in shown.figure.axes if axes.get_ylabel().startswith("AU")]
    assert labels == [
        f"{row.Index}, r {row.r:.2f}\nunit {row.unit}" for row in surest.sort_index().itertuples()
    ]
    assert labels
    assert len(shown.table) == 2 * len(surest)


def test_where_nothing_is_detected_no_action_units_are_shown(avatars: Study) -> None:
    assert evidence.detections(avatars.evidence, avatars.recipe.evidence.level).empty
    with pytest.raises(InputError, match="no unit of conv3 detects"):
        figures.action_units(avatars)


def test_units_of_the_mouth_stand_below_the_mouths_shapes(avatars: Study) -> None:
    shown = figures.regions(avatars, region="mouth", layer="conv1", top=4)
    labels = [
        axes.get_ylabel()
        for axes in shown.figure.axes
        if axes.get_ylabel() not in ("", "projection")
    ]
    assert [label.split("\n")[0] for label in labels[:3]] == ["AU25", "AU26", "AU27"]
    mouth = shown.table[shown.table["region"] == "mouth"]
    assert mouth["energy"].is_monotonic_decreasing
    assert [label.split("unit ")[1] for label in labels[3:]] == [
        f"{unit}" for unit in mouth["unit"].head(6)
    ]
    assert shown.table["unit"].is_unique
    assert set(shown.table["unit"]) <= set(range(64))


def test_regions_need_landmarks(study: Study) -> None:
    with pytest.raises(InputError, match="no landmarks"):
        figures.regions(study)


# faces


def test_a_sequence_is_shown_frame_by_frame_with_what_is_read(study: Study) -> None:
    name = study.table.frame["sequence"].iloc[0]
    count = int(study.table.frame["sequence"].eq(name).sum())
    shown = figures.sequence(study, name)
    assert len(shown.figure.axes) == 4 * count
    probabilities = shown.table.filter(like="p_")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    titles = [axes.get_title() for axes in shown.figure.axes[:count]]
    assert titles == [
        f"{expression}\nread {row.idxmax()[2:]}\n{row.max():.0%}"
        for expression, (_, row) in zip(
            shown.table["expression"], probabilities.iterrows(), strict=True
        )
    ]


def test_layers_are_shown_on_the_faces_that_are_read_most_surely(study: Study) -> None:
    shown = figures.layers(study, layers=["conv1", "conv2"])
    predictions = pd.read_parquet(study.folder / "predictions.parquet")
    classes = list(study.scores["classes"])
    assert shown.table["expression"].tolist() == classes
    for row in shown.table.itertuples():
        own = predictions[predictions["expression"] == row.expression]
        assert getattr(row, f"p_{row.expression}") >= own[f"p_{row.expression}"].max() - 1e-4
    assert len(shown.figure.axes) == (1 + 2 * 5) * len(classes)


# filters


def test_a_filter_is_shown_on_the_face_of_every_expression_that_it_answers_to_most(
    study: Study,
) -> None:
    shown = figures.invariance(study, [3])
    activations = source.activations(opened(study, "network"), "conv3")
    frame = study.table.frame.iloc[activations.image].assign(activation=activations.value[:, 3])
    best = frame.loc[frame.groupby("expression")["activation"].idxmax()].set_index("expression")[
        "activation"
    ]
    table = shown.table.iloc[:-1].set_index("expression")["activation"]
    pd.testing.assert_series_equal(table.sort_index(), best.sort_index(), check_dtype=False)
    assert shown.table["activation"].iloc[-1] == frame["activation"].min()


def test_redundancy_is_that_of_the_maps_that_are_shown(study: Study) -> None:
    shown = figures.redundancy(study, layer="conv2", top=6)
    rows = drawn(shown.figure)
    seen = np.stack([picture for row in rows[1:] for picture in row]) - 0.5
    cosine, effective = traits.redundancy(seen.reshape(len(seen), -1))
    told = shown.figure.get_suptitle()
    assert f"cosine {cosine:.2f}, {len(seen)} filters are worth {effective:.1f}" in told
    assert shown.table["activation"].is_monotonic_decreasing


def test_traits_are_those_of_pictures_not_trained_on(study: Study) -> None:
    shown = figures.traits(study, layers=["conv1"], top=3)
    fold = pd.read_parquet(study.folder / "training" / "folds.parquet")
    rows = study.table.frame["path"].isin(fold.loc[fold["part"] != "train", "path"]).to_numpy()
    work = opened(study, "network")
    prepared = source.prepared(work, np.flatnonzero(rows))
    frame = study.table.frame[rows]
    with torch.no_grad():
        found = torch.softmax(work.pair.trained(prepared), 1).numpy()
    right = found[
        np.arange(len(frame)),
        [list(study.scores["classes"]).index(name) for name in frame["expression"]],
    ]
    faces = measure_traits.Pictures(
        prepared, frame["expression"].to_numpy(str), frame["subject"].to_numpy(str), right
    )
    for name, network in (("trained", work.pair.trained), ("untrained", work.pair.untrained)):
        expected = measure_traits.of_layer(
            network, "conv1", faces, counts=measure_traits.Counts(top=3)
        )
        found = (
            shown.table[shown.table["network"] == name]
            .drop(columns="network")
            .reset_index(drop=True)
        )
        pd.testing.assert_frame_equal(found, expected, atol=1e-4)
    titles = [axes.get_title() for axes in shown.figure.axes if axes.get_title()]
    assert titles == expected["trait"].tolist()


def test_how_like_the_random_start_projections_are_is_told_for_every_unit_and_method(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duchenne.report.figures.filters._COMPARED", ["gradient"])
    table = figures.likeness(study, top=1).table
    assert table["method"].eq("gradient").all()
    assert table["unit"].tolist() == list(range(256))
    assert table["alike"].dropna().between(-1, 1).all()
    one = opened(study, "network")
    best = source.best(one, "conv3", 1).query("unit == 9")
    prepared = source.prepared(one, best["image"].to_numpy())
    trained, untrained = (
        units.project(
            network, "conv3", prepared, best["unit"], best[["row", "col"]].to_numpy(), "gradient"
        ).pixels
        for network in (one.pair.trained, one.pair.untrained)
    )
    expected = np.mean(
        [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(trained, untrained, strict=True)]
    )
    assert table.loc[9, "alike"] == pytest.approx(expected, abs=1e-5)


# the command


def test_the_command_draws_a_file_that_prints_and_its_table(study: Study, tmp_path: Path) -> None:
    """All three are as large, and hold the figure that Python draws."""
    drawn = duchenne.show(study, "units", units=[3, 17], top=2).figure
    written = {}
    for kind in (".pdf", ".svg", ".png"):
        code, told, _ = command(
            "show",
            "units",
            study.folder,
            "--units",
            "3, 17",
            "--top",
            2,
            "--out",
            tmp_path / f"units{kind}",
        )
        table, written[kind] = map(Path, told.splitlines())
        assert code == 0
        assert pd.read_csv(table)["unit"].tolist() == [3, 3, 17, 17]
    size = drawn.get_size_inches()
    assert inches(written[".pdf"]) == pytest.approx(size, abs=0.01)
    vector = ElementTree.parse(written[".svg"]).getroot()
    _, _, wide, high = map(float, vector.get("viewBox", "").split())
    assert (wide / 72, high / 72) == pytest.approx(size, abs=0.01)
    pictures = len(vector.findall(".//{http://www.w3.org/2000/svg}image"))
    assert pictures == sum(len(axes.images) for axes in drawn.axes) == 8
    pixels = decoding.read(written[".png"], 3)
    assert pixels.shape[2] / pixels.shape[1] == pytest.approx(size[0] / size[1], rel=0.01)
    assert 0.02 < pixels.std() < 0.5


@pytest.mark.parametrize(
    "arguments",
    [("sequence", "--layer", "conv1", "--sequence", "p00-0"), ("layers", "--layers", "conv1")],
    ids=lambda a: a[0],
)
def test_the_command_draws_what_it_is_asked_for(
    study: Study, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, told, _ = command(
        "show", arguments[0], study.folder, *arguments[1:], "--out", tmp_path / "a.png"
    )
    assert code == 0
    table, picture = map(Path, told.splitlines())
    names = [name.removeprefix("--") for name in arguments[1::2]]
    options = dict(zip(names, arguments[2::2], strict=True))
    shown = duchenne.show(study, arguments[0], **options)
    pd.testing.assert_frame_equal(pd.read_csv(table), shown.table, check_dtype=False)
    shown.save(tmp_path / "b.png")
    np.testing.assert_array_equal(decoding.read(picture, 3), decoding.read(tmp_path / "b.png", 3))


def test_every_figure_is_a_command_whose_help_explains_every_option() -> None:
    told = command("show", "--help")[1]
    for name, drawing in FIGURES.items():
        assert name in told
        _, own, _ = command("show", name, "--help")
        assert "Example:" in own
        for option in drawing.options.values():
            assert f"--{option.name}" in own
            assert option.says, (name, option.name)


def test_a_figure_registers_itself_and_is_drawn_by_its_name_and_by_its_command(
    study: Study, tmp_path: Path
) -> None:
    held = dict(FIGURES)
    try:

        @figure("network")
        def accuracies(work: Workspace, *, top: int = 1) -> Shown:
            """Draw accuracies.

            Args:
                work: A study.
                top: How many networks.
            """
            networks = pd.DataFrame(work.study.scores["networks"]).head(top)
            return Shown(lambda width=3.0: Figure(figsize=(width, 1)), networks)

        assert len(duchenne.show(study, "accuracies").table) == 1
        out = tmp_path / "a.png"
        assert command("show", "accuracies", study.folder, "--top", 1, "--out", out)[0] == 0
        assert out.exists()
    finally:
        FIGURES.clear()
        FIGURES.update(held)


def test_a_figure_shows_itself_in_a_notebook(study: Study, tmp_path: Path) -> None:
    shown = duchenne.show(study, "units", units=[3], top=1)
    (tmp_path / "shown.png").write_bytes(shown._repr_png_())
    shown.save(tmp_path / "saved.png")
    in_notebook = decoding.read(tmp_path / "shown.png", 3)
    saved = decoding.read(tmp_path / "saved.png", 3)
    share = in_notebook.shape[1] / saved.shape[1]
    assert in_notebook.shape[2] == pytest.approx(share * saved.shape[2], abs=1)
    assert in_notebook.mean() == pytest.approx(saved.mean(), abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("unts",), "figure 'unts': did you mean units?"),
        (
            ("sequence", "--sequence", "nobody"),
            "--sequence nobody: not among the faces of the study, such as",
        ),
        (("layers", "--layers", "conv1,hidden"), "layer 'hidden': gives no maps"),
        (
            ("layers", "--method", "integrated"),
            "method 'integrated': not one of guided, deconvnet, gradient",
        ),
        (("regions", "--region", "ear"), "--region ear: not one of brow"),
        (("redundancy", "--top", 1), "top 1: expected 2"),
        (("invariance", "--units", "99999"), "--units 99999: layer 'conv3' has units 0 to"),
        (("units", "--units", "99999"), "--units 99999: layer 'conv3' has units 0 to"),
        (("units", "--units", "three"), "--units three: not numbers"),
        (("units", "--method", "magic"), "method 'magic'"),
        (("units", "--top", 0), "top 0"),
        (("units", "--layer", "konv1"), "layer 'konv1'"),
        (("units", "--out", "units.gif"), "--out units.gif: ends in none of .pdf, .svg, .png"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(
    study: Study, arguments: tuple[object, ...], says: str
) -> None:
    figure, *options = arguments
    code, _, error = command("show", figure, study.folder, *options)
    assert (code, error.count("\n"), says in error) == (2, 1, True), error


def test_options_from_python_may_be_arrays_single_numbers_and_names(study: Study) -> None:
    for given in (np.array([3, 4]), [3, 4]):
        assert figures.show(study, "units", units=given).table["unit"].unique().tolist() == [3, 4]
    assert figures.show(study, "units", units=3).table["unit"].unique().tolist() == [3]
    assert "layer" not in figures.show(study, "layers", layers="conv1").table
    for options, says in (
        ({"units": [3.7]}, "3.7"),
        ({"top": 2.5}, "top 2.5"),
        ({"top": 51}, "top 51: expected 1 to 50"),
        ({"region": "mouth"}, "region: not for figure 'units', which takes units, layer, method"),
    ):
        with pytest.raises(InputError, match=says):
            figures.show(study, "units", **options)


@pytest.mark.slow
def test_tables_hold_what_figures_tell(study: Study) -> None:
    table = figures.redundancy(study).table
    assert {"path", "unit", "activation", "cosine", "worth"} <= set(table)
    assert table[["path", "cosine", "worth"]].drop_duplicates().shape[0] == 1


def test_a_warning_is_told_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def warns(run: object) -> str:
        for _ in range(3):
            warnings.warn("no ReLU", stacklevel=1)
        return "shown"

    monkeypatch.setitem(figures.FIGURES, "units", Drawing("units", "network", warns))
    with pytest.warns(UserWarning, match="no ReLU") as caught:
        assert figures.show(study, "units") == "shown"
    assert len(caught) == 1
