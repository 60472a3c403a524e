"""The figures and tables of the papers from one study: as wide as is asked,
all in one document, and true to the study.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import duchenne
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable
from duchenne.report import WIDTHS, figures, papers, tables
from duchenne.study.record import Study

from .small import RENDERED
from .test_cli import command


@pytest.fixture(scope="module")
def study(avatar_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("papers") / "a"
    shutil.copytree(avatar_study.folder, folder)
    return duchenne.open(folder)


@pytest.fixture(
    scope="module",
    params=[
        [
            "examples",
            "coding",
            "architecture",
            "confusion",
            "divergence",
            "more-units",
            "distance",
            "doses",
            "validities",
        ],
        pytest.param(sorted(set(papers.PLATES) - set(papers.OF_SOME)), marks=pytest.mark.slow),
    ],
    ids=["some", "all"],
)
def printed(request: pytest.FixtureRequest, study: Study) -> tuple[Path, list[str]]:
    """The sheet, and the names of the figures on it; all of them take a
    minute.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(papers, "PLATES", {name: papers.PLATES[name] for name in request.param})
        code, told, error = command("report", study.folder, "--figures", "--columns", 1)
    assert code == 0, error
    return Path(told.splitlines()[-1]), request.param


@pytest.fixture(scope="module")
def sheet(printed: tuple[Path, list[str]]) -> Path:
    return printed[0]


@pytest.fixture(scope="module")
def plates(printed: tuple[Path, list[str]]) -> list[str]:
    return printed[1]


TALLEST = 9.5  # inches of a page with a caption


def inches(file: Path) -> tuple[float, float]:
    """How wide and high a PDF is."""
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", file.read_bytes())
    assert box
    return float(box[1]) / 72, float(box[2]) / 72


def test_every_figure_and_table_is_printed_as_wide_as_a_column_and_fits_a_page(
    sheet: Path, plates: list[str]
) -> None:
    assert not papers.PLATES.keys() & papers.TABLES.keys()
    for name in plates:
        wide, high = inches(sheet.with_name(f"{name}.pdf"))
        assert wide == pytest.approx(WIDTHS[1], abs=0.01)
        assert high < TALLEST, name
        assert {".svg", ".png", ".csv"} <= {path.suffix for path in sheet.parent.glob(f"{name}.*")}
    for name in set(papers.TABLES) - set(papers.OF_SOME):
        assert "\\toprule" in sheet.with_name(f"{name}.tex").read_text()


def test_the_sheet_and_the_document_hold_all_of_them(sheet: Path, plates: list[str]) -> None:
    page, document = (sheet.read_text(), sheet.with_name("papers.tex").read_text())
    for name in plates:
        assert f'src="{name}.svg"' in page
        assert f"totalheight=0.85\\textheight]{{{name}}}" in document
    printed_tables = set(papers.TABLES) - set(papers.OF_SOME)
    for name in printed_tables:
        assert f'id="{name}"' in page
        assert f"\\input{{{name}}}" in document
    assert "Left out" not in page
    assert document.count("\\begin{") == document.count("\\end{")
    captions = re.findall(r"\\caption\{(.*)\}$", document, re.MULTILINE)
    assert len(captions) == len(plates) + len(printed_tables)
    assert not any(re.search(r"(?<!\\)[&#_%$]|--", caption) for caption in captions)
    assert 'href="#word' not in page  # words are explained in the report


PRINTED: dict[str, tuple[set[int], set[str]]] = {
    "khorrami2015": ({1, 2, 3, 4, 5}, {"1", "2", "3", "4"}),
    "mousavi2016": (
        {3, 4, 5, 6, 7, 8, 9, 10},
        {"I", "II"},
    ),  # 1 and 2 are drawings that hold no result
    "zhu2018": ({1, 2, 4, 5, 6}, {"1", "2", "3", "4", "5"}),  # 3 is one
}
"""The numbers of every figure and table of the papers that holds a result."""


def numbers(told: str) -> list[str]:
    """Numbers as they are listed: "1 to 3, 5" is 1, 2, 3, 5."""
    spans = re.sub(
        r"(\d+) to (\d+)", lambda m: ", ".join(map(str, range(int(m[1]), int(m[2]) + 1))), told
    )
    return re.findall(r"\d+|[IVX]+", spans)


def test_every_figure_and_table_of_the_three_papers_that_holds_a_result_is_among_them() -> None:
    found: dict[str, tuple[set[int], set[str]]] = {name: (set(), set()) for name in PRINTED}
    for like in (each.like for each in (*papers.PLATES.values(), *papers.TABLES.values())):
        for part in filter(None, like.split("; ")):
            paper, _, rest = part.partition(", ")
            for kind, listed in re.findall(r"(Fig|Table)s?\.? ([\dIVX, to]+)", rest):
                if kind == "Fig":
                    found[paper][0].update(map(int, numbers(listed)))
                else:
                    found[paper][1].update(numbers(listed))
    assert found == PRINTED


def test_what_a_study_cannot_show_is_left_out_with_the_reason(
    bare_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = duchenne.open(shutil.copytree(bare_study.folder, tmp_path / "a"))
    kept = ("examples", "coding", "sequence", "confusion")
    monkeypatch.setattr(papers, "PLATES", {name: papers.PLATES[name] for name in kept})
    page = papers.write(study).read_text()
    assert 'src="confusion.svg"' in page
    assert "<li>coding: " in page
    assert "no action unit is coded on the faces" in page
    assert "<li>sequence: " in page
    assert "<li>evidence: " not in page  # of expressions
    assert "<li>detectors: " in page


def test_a_study_whose_stages_are_to_be_done_again_is_refused(study: Study) -> None:
    rest = {name: key for name, key in study.state["stages"].items() if name != "validity"}
    begun = replace(study, state=study.state | {"stages": rest})
    with pytest.raises(InputError, match="validity is still to do"):
        papers.write(begun)
    with pytest.raises(InputError, match="validity is still to do"):
        figures.validity(begun)
    with pytest.raises(InputError, match="faces is still to do"):
        duchenne.unit(replace(study, state=study.state | {"stages": {}}), 3)
    assert command("report", study.folder, "--columns", 1)[0] == 2


def test_nothing_is_half_written(
    study: Study, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in sheet.parent.iterdir())

    def fails(*arguments: object) -> None:
        raise RuntimeError("full")

    monkeypatch.setattr(papers, "_printed_table", fails)
    monkeypatch.setattr(papers, "PLATES", {"confusion": papers.PLATES["confusion"]})
    with pytest.raises(RuntimeError, match="full"):
        papers.write(study)
    assert sorted(path.name for path in sheet.parent.iterdir()) == before
    assert not list(study.folder.glob(".papers*"))


def test_a_figure_is_drawn_as_wide_as_it_is_asked_for(study: Study, tmp_path: Path) -> None:
    for columns, wide in WIDTHS.items():
        figures.show(study, "confusion").save(tmp_path / "a.pdf", columns)
        assert inches(tmp_path / "a.pdf")[0] <= wide + 0.01
        figures.divergence(study, top=3).save(tmp_path / "b.pdf", columns)
        assert inches(tmp_path / "b.pdf")[0] == pytest.approx(wide, abs=0.01)
    with pytest.raises(InputError, match="columns 3: not one of 1, 2"):
        figures.show(study, "confusion").save(tmp_path / "a.pdf", 3)


# what they show


def test_the_architecture_has_every_layer_that_learns(study: Study) -> None:
    layers = figures.architecture(study).table.set_index("layer")
    assert layers.loc["conv3", ["channels", "learned"]].tolist() == [256, 5 * 5 * 128 * 256]
    assert layers["learned"].sum() == sum(len(values.ravel()) for values in _weights(study))
    assert layers.loc["output", "channels"] == 8


def _weights(study: Study) -> list[np.ndarray]:
    from safetensors.numpy import load_file

    return [
        value
        for name, value in load_file(study.folder / "network.safetensors").items()
        if "preparation" not in name
    ]


def test_coding_counts_pictures_where_the_action_unit_is_coded(study: Study) -> None:
    found = figures.coding(study).table.set_index(["expression", "au"])
    frame = study.table.labelled().frame
    happy = frame[frame["expression"] == "happiness"]
    assert found.loc[("happiness", "AU12"), "share"] == happy["AU12"].mean()
    assert found.loc[("happiness", "AU12"), "pictures"] == len(happy)
    assert found.loc[("happiness", "AU12"), "prototype"]
    assert not found.loc[("happiness", "AU04"), "prototype"]


def test_confusion_has_the_counts_of_the_scores(study: Study) -> None:
    assert (
        figures.confusion(study).table.iloc[:, 1:].to_numpy().tolist() == study.scores["confusion"]
    )


def test_examples_show_every_expression_by_different_people(study: Study) -> None:
    shown = figures.examples(study, top=2)
    assert set(shown.table["expression"]) == set(study.table.expressions)
    assert not shown.table.duplicated(["expression", "subject"]).any()


def test_examples_stand_under_their_own_expression(study: Study, tmp_path: Path) -> None:
    frame = study.table.labelled().frame
    some = frame["subject"].drop_duplicates()[:6]
    kept = frame["expression"].ne("anger") | frame["subject"].isin(some)
    faces = FaceTable(frame[kept].reset_index(drop=True), study.table.root)
    uneven = duchenne.run("quick", faces, tmp_path / "a", changes=RENDERED, until="faces")
    axes = figures.examples(uneven, top=7).figure.axes
    blank = [bool((np.asarray(each.images[0].get_array()) == 1).all()) for each in axes]
    assert blank == [False] * 6 * len(faces.expressions) + [
        name == "anger" for name in faces.expressions
    ]


def test_units_are_chosen_by_distance_as_zhu2018_does(study: Study) -> None:
    table = figures.action_units(study, by="distance", top=1).table.set_index("au")
    evidence = study.evidence
    for au, own in evidence.groupby("au"):
        assert table.loc[au, "unit"] == own.loc[own["distance"].idxmax(), "unit"]
    with pytest.raises(InputError, match="by kl: not one of r, distance"):
        figures.action_units(study, by="kl")


def test_the_table_of_correspondences_names_the_largest_divergence(study: Study) -> None:
    table = tables.correspondences(study, 4)
    for row in table.itertuples():
        own = study.evidence[study.evidence["unit"] == row.unit]
        assert row[2] == own.loc[own["kl"].idxmax(), "au"]


def test_the_table_of_reading_holds_the_scores(study: Study) -> None:
    row = tables.accuracy(study).iloc[0]
    assert row["accuracy"] == study.scores["accuracy"]
    assert row["paper"] == pytest.approx(study.scores["paper"]["accuracy"] / 100)
    assert tables.expressions(study)["recall"].tolist() == [
        one["recall"] for one in study.scores["classes"].values()
    ]


# in a notebook


def test_a_unit_shows_what_it_sees_and_what_it_answers_to(study: Study) -> None:
    unit = duchenne.unit(study, 3)
    shown = unit._repr_html_()
    assert "data:image/png;base64," in shown
    assert unit.evidence["au"].iloc[0] in shown
    own = study.interventions.set_index(["unit", "au"]).loc[
        (3, unit.evidence["au"].iloc[0]), "slope"
    ]
    assert unit.evidence["slope"].iloc[0] == own
    with pytest.raises(InputError, match="unit 256: layer 'conv3' has units 0 to 255"):
        duchenne.unit(study, 256)


def test_a_study_shows_its_answer_or_how_far_it_has_come(study: Study) -> None:
    assert study.headline.split(".")[0] in study._repr_html_()
    begun = replace(study, state=study.state | {"stages": {"faces": {}}})
    assert "done: faces" in begun._repr_html_()
