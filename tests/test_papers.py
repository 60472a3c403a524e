"""The figures and tables of the papers from one study: as wide as is asked, all in one document, and true to the study."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import duchenne
from duchenne import showing
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable
from duchenne.report import WIDTHS, tables
from duchenne.showing import papers
from duchenne.study import Study

from .small import SMALL
from .test_cli import command


@pytest.fixture(scope="module")
def study(avatar_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("papers") / "a"
    shutil.copytree(avatar_study.folder, folder)
    return duchenne.open(folder)


@pytest.fixture(scope="module")
def sheet(study: Study) -> Path:
    code, told, error = command("report", study.folder, "--figures", "--columns", 1)
    assert code == 0, error
    return Path(told.splitlines()[-1])


def inches(file: Path) -> float:
    """How wide a PDF is."""
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", file.read_bytes())
    assert box
    return float(box[1]) / 72


def test_every_figure_and_table_is_printed_as_wide_as_a_column(sheet: Path) -> None:
    for name in papers.PLATES:
        assert inches(sheet.with_name(f"{name}.pdf")) == pytest.approx(WIDTHS[1], abs=0.01)
        assert {".svg", ".png", ".csv"} <= {path.suffix for path in sheet.parent.glob(f"{name}.*")}
    for name in papers.TABLES:
        assert "\\toprule" in sheet.with_name(f"{name}.tex").read_text()


def test_the_sheet_and_the_document_hold_all_of_them(sheet: Path) -> None:
    page, document = sheet.read_text(), sheet.with_name("papers.tex").read_text()
    for name in papers.PLATES:
        assert f'src="{name}.svg"' in page
        assert f"keepaspectratio]{{{name}}}" in document
    for name in papers.TABLES:
        assert f'id="{name}"' in page
        assert f"\\input{{{name}}}" in document
    assert "Left out" not in page
    assert document.count("\\begin{") == document.count("\\end{")
    assert not re.search(
        r"(?<!\\)[&#_](?=[^}\]]*$)", re.sub(r"\\(?:label|input|includegraphics).*", "", document), re.MULTILINE
    )


def test_every_figure_of_the_three_papers_that_holds_a_result_is_among_them() -> None:
    told = "; ".join([plate.like for plate in papers.PLATES.values()] + [like for like, *_ in papers.TABLES.values()])
    for printed in (
        "khorrami2015, Figs. 1, 3, 4", "khorrami2015, Fig. 2", "khorrami2015, Fig. 5", "khorrami2015, Tables 1 to 3",
        "khorrami2015, Table 4", "mousavi2016, Fig. 3", "mousavi2016, Figs. 4, 5 and Table I", "mousavi2016, Table II",
        "mousavi2016, Figs. 6, 9", "mousavi2016, Fig. 7", "mousavi2016, Fig. 8", "mousavi2016, Fig. 10", "zhu2018, Fig. 1",
        "zhu2018, Fig. 2", "zhu2018, Tables 1, 5", "zhu2018, Tables 2, 3", "zhu2018, Figs. 5, 6", "zhu2018, Tables 4, 5",
    ):  # fmt: skip
        assert printed in told


def test_what_a_study_cannot_show_is_left_out_with_the_reason(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = FaceTable(drawings.frame.drop(columns=[*drawings.presence(), "sequence", "frame"]), drawings.root)
    study = duchenne.run("quick", bare, tmp_path / "a", changes=SMALL, until="projections")
    kept = ("examples", "coding", "sequence", "confusion")
    monkeypatch.setattr(papers, "PLATES", {name: papers.PLATES[name] for name in kept})
    page = papers.write(study).read_text()
    assert 'src="confusion.svg"' in page
    assert "<li>coding: " in page
    assert "no action unit is coded on the faces" in page
    assert "<li>sequence: " in page


def test_nothing_is_half_written(study: Study, sheet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path.name for path in sheet.parent.iterdir())

    def fails(*arguments: object) -> None:
        raise RuntimeError("full")

    monkeypatch.setattr(papers, "_told", fails)
    monkeypatch.setattr(papers, "PLATES", {"confusion": papers.PLATES["confusion"]})
    with pytest.raises(RuntimeError, match="full"):
        papers.write(study)
    assert sorted(path.name for path in sheet.parent.iterdir()) == before
    assert not list(study.folder.glob(".papers*"))


def test_a_figure_is_drawn_as_wide_as_it_is_asked_for(study: Study, tmp_path: Path) -> None:
    for columns, wide in WIDTHS.items():
        showing.show(study, "confusion").save(tmp_path / "a.pdf", columns)
        assert inches(tmp_path / "a.pdf") <= wide + 0.01
        showing.divergence(study, top=3).save(tmp_path / "b.pdf", columns)
        assert inches(tmp_path / "b.pdf") == pytest.approx(wide, abs=0.01)
    with pytest.raises(InputError, match="columns 3: not one of 1, 2"):
        showing.show(study, "confusion").save(tmp_path / "a.pdf", 3)


# what they show


def test_the_architecture_has_every_layer_that_learns(study: Study) -> None:
    layers = showing.architecture(study).table.set_index("layer")
    assert layers.loc["conv3", ["channels", "learned"]].tolist() == [256, 5 * 5 * 128 * 256]
    assert layers["learned"].sum() == sum(len(values.ravel()) for values in _weights(study))
    assert layers.loc["output", "channels"] == 8


def _weights(study: Study) -> list[np.ndarray]:
    from safetensors.numpy import load_file

    return [value for name, value in load_file(study.folder / "network.safetensors").items() if "preparation" not in name]


def test_coding_counts_pictures_where_the_action_unit_is_coded(study: Study) -> None:
    found = showing.coding(study).table.set_index(["expression", "au"])
    frame = study.table.labelled().frame
    happy = frame[frame["expression"] == "happiness"]
    assert found.loc[("happiness", "AU12"), "share"] == happy["AU12"].mean()
    assert found.loc[("happiness", "AU12"), "pictures"] == len(happy)
    assert found.loc[("happiness", "AU12"), "prototype"]
    assert not found.loc[("happiness", "AU04"), "prototype"]


def test_confusion_has_the_counts_of_the_scores(study: Study) -> None:
    assert showing.confusion(study).table.iloc[:, 1:].to_numpy().tolist() == study.scores["confusion"]


def test_examples_show_every_expression_by_different_people(study: Study) -> None:
    shown = showing.examples(study, top=2)
    assert set(shown.table["expression"]) == set(study.table.expressions)
    assert not shown.table.duplicated(["expression", "subject"]).any()


def test_units_are_chosen_by_distance_as_zhu2018_does(study: Study) -> None:
    table = showing.action_units(study, by="distance", top=1).table.set_index("au")
    evidence = study.evidence
    for au, own in evidence.groupby("au"):
        assert table.loc[au, "unit"] == own.loc[own["distance"].idxmax(), "unit"]
    with pytest.raises(InputError, match="--by kl: not one of r, distance"):
        showing.action_units(study, by="kl")


def test_the_table_of_correspondences_names_the_largest_divergence(study: Study) -> None:
    table = tables.correspondences(study, 4)
    for row in table.itertuples():
        own = study.evidence[study.evidence["unit"] == row.unit]
        assert row[2] == own.loc[own["kl"].idxmax(), "au"]


def test_the_table_of_reading_holds_the_scores(study: Study) -> None:
    row = tables.reading(study).iloc[0]
    assert row["accuracy"] == study.scores["accuracy"]
    assert row["paper"] == pytest.approx(study.scores["paper"]["accuracy"] / 100)
    assert tables.expressions(study)["recall"].tolist() == [one["recall"] for one in study.scores["classes"].values()]


# in a notebook


def test_a_unit_shows_what_it_sees_and_what_it_answers_to(study: Study) -> None:
    unit = study.unit(3)
    shown = unit._repr_html_()
    assert "data:image/png;base64," in shown
    assert unit.evidence["au"].iloc[0] in shown
    own = study.interventions.set_index(["unit", "au"]).loc[(3, unit.evidence["au"].iloc[0]), "slope"]
    assert unit.evidence["slope"].iloc[0] == own
    with pytest.raises(InputError, match="unit 256: layer 'conv3' has units 0 to 255"):
        study.unit(256)


def test_a_study_shows_its_answer_or_how_far_it_has_come(study: Study) -> None:
    assert study.headline.split(".")[0] in study._repr_html_()
    begun = replace(study, state=study.state | {"stages": {"faces": {}}})
    assert "done: faces" in begun._repr_html_()
