"""The page: what it says is what the study's frames hold, and every part of it
can be reached and stands on its own.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from duchenne import facs
from duchenne.evidence import detections
from duchenne.faces.images import stack
from duchenne.report import gallery, legends
from duchenne.report.page import answers, cards, document, drawings
from duchenne.report.words import WORDS, explained
from duchenne.study.record import Study

from .test_cli import command


class Parts(HTMLParser):
    """Ids, links and sources of a page, also of what lies in its templates."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "poster", "data"):
                self.sources.append(value or "")


@pytest.fixture(scope="module")
def html(avatar_study: Study) -> str:
    return avatar_study.report.read_text(encoding="utf-8")


# the first screen


def test_the_first_screen_answers_with_the_studys_own_numbers(avatar_study: Study) -> None:
    reading, detecting, true, used = answers.answers(avatar_study)
    scores, summary = avatar_study.scores, avatar_study.summary
    assert reading.figure == document.percent(scores["accuracy"], 0)
    assert detecting.figure == f"{summary['trained']['units']} of {summary['units']} units"
    assert f"{summary['untrained']['units']} in the untrained network" in detecting.says
    strongest = {}
    for row in detections(avatar_study.evidence, avatar_study.recipe.evidence.level).itertuples():
        strongest.setdefault(row.unit, (-1.0, ""))
        strongest[row.unit] = max(strongest[row.unit], (row.r, row.au))
    low = avatar_study.interventions.set_index(["unit", "au"])["low"]
    holds = [low[unit, au] > 0 for unit, (_, au) in strongest.items()]
    assert true.figure == document.percent(float(np.mean(holds)), 0)
    own = answers.used(avatar_study.ablations)
    assert used.figure == f"{100 * own['recall_beyond'].mean():+.0f} points".replace("-", "−")


# words


def test_every_column_of_the_tables_is_explained() -> None:
    plain = {
        "action unit",
        "expression",
        "pictures",
        "unit",
        "units",
        "score",
        "ablated",
        "units there",
        "name",
        "twins",
        "trait",
        "people",
        "neutral faces look more like",
        "value",
        "AUROC",
        "raised most by",
    }
    for stage, columns in legends.CONDENSED.items():
        assert {explained(column, stage) for column in set(columns) - plain} <= set(WORDS)
    assert (
        explained("p", "evidence") != explained("p", "localisation") != explained("p", "ablation")
    )


def test_words_are_sentences_under_anchors_of_their_own() -> None:
    anchors = [word.anchor for word in WORDS.values()]
    assert len(set(anchors)) == len(anchors)
    for word in WORDS.values():
        assert re.match(r"[A-Z0-9]|(khorrami2015|zhu2018)'s", word.says)
        assert word.says.endswith(".")


# drawings


def test_every_action_unit_has_a_face_and_those_that_are_rendered_a_place_of_their_own() -> None:
    rendered = [facs.code(number) for number in facs.rendered()]
    drawn = {code: drawings.face(code) for code in (*rendered, "AU11")}
    assert all('class="rest"' in face for face in drawn.values())
    assert all('class="moved"' in drawn[code] for code in rendered)
    assert 'class="moved"' not in drawn["AU11"]
    assert len(
        {face.partition('class="moved"')[2] for face in (drawn[code] for code in rendered)}
    ) == len(rendered)
    down = {code: _down(drawn[code]) for code in ("AU01", "AU05", "AU09", "AU12", "AU17")}
    # brows above cheeks and mouth
    assert max(down["AU01"]) < min(down["AU12"])
    assert np.mean(down["AU01"]) < np.mean(down["AU05"]) < np.mean(down["AU12"])
    assert np.mean(down["AU09"]) < np.mean(down["AU17"])


def _down(face: str) -> list[float]:
    """How far below the top the outline of an action unit's place lies, point
    by point.
    """
    outline = re.findall(r'class="place" d="([^"]*)"', face)[0]
    return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", outline)]


def test_bars_are_as_high_as_correlations_and_hollow_below_zero() -> None:
    pairs = pd.DataFrame(
        {"au": ["AU01", "AU12"], "r": [-0.2, 0.4], "r_null": [0.0, 0.1], "p": [1.0, 0.001]}
    )
    drawn = drawings.bars(pairs, 0.05)
    found = re.findall(
        r'<rect class="(\w+)" x="\d+" y="[\d.]+" width="16" height="([\d.]+)"', drawn
    )
    assert [kind for kind, _ in found] == ["less", "most"]
    heights = [float(height) for _, height in found]
    assert heights[0] == pytest.approx(heights[1] / 2, abs=0.1)
    assert drawn.count('class="sure"') == 1


# cards


def test_a_units_card_tells_what_the_frames_hold(avatar_study: Study) -> None:
    found = cards.units(avatar_study)
    assert [card.unit for card in found] == list(range(avatar_study.summary["units"]))
    evidence, responses = avatar_study.evidence, avatar_study.interventions
    for card in found[::40]:
        own = evidence[evidence["unit"] == card.unit]
        assert card.best is not None
        assert card.best["r"] == own["r"].max()
        moved = responses[responses["unit"] == card.unit]
        assert card.moved is not None
        assert abs(card.moved["effect"]) == moved["effect"].abs().max()
        assert {*card.surest_for} <= {*card.detects}
    alone = avatar_study.ablations[avatar_study.ablations["what"] == "unit"]
    least = alone.groupby("unit")["logit_beyond"].min()
    assert {card.unit for card in found if card.needed} == set(least.index[least < 0])
    for card in found:
        assert card.needed is None or card.needed["logit_beyond"] == least[card.unit]


def test_large_sheets_are_shrunk_to_what_a_page_can_hold(
    avatar_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "_LARGEST", 40)
    packed = base64.b64decode(cards.sheet(avatar_study).source.partition(",")[2])
    assert max(Image.open(io.BytesIO(packed)).size) == 40
    table = avatar_study.table
    stored = np.stack([np.asarray(Image.open(path))[None] for path in table.paths[:5]])
    monkeypatch.setattr(gallery, "_LARGEST", 50)
    gallery._draw_faces(
        tmp_path,
        stack.Stack(stored, table.where(np.arange(len(table)) < 5), np.zeros((5, 2, 3))),
        np.arange(5),
    )
    with Image.open(tmp_path / "faces.png") as drawn:
        assert drawn.size == (48, 32)  # three across, 16 pixels each


def test_units_of_the_gallery_have_their_pictures_and_others_have_none(avatar_study: Study) -> None:
    found = cards.units(avatar_study)
    with_pictures = {card.unit for card in found if card.faces}
    settings = avatar_study.recipe.units
    assert with_pictures == set(gallery.chosen(avatar_study.units_folder, settings.gallery))
    card = next(card for card in found if card.faces)
    assert len(card.faces) == settings.top
    assert list(card.strips) == list(card.alike) == list(gallery.methods(settings.method))
    for strips in card.strips.values():
        for strip in strips:
            picture = Image.open(io.BytesIO(base64.b64decode(strip.partition(",")[2])))
            assert picture.width == settings.top * picture.height


def test_faces_on_the_sheet_are_those_of_the_top_pictures(avatar_study: Study) -> None:
    layer, size = avatar_study.units_folder, avatar_study.recipe.faces.size
    places = pd.read_parquet(layer / "projections/faces.parquet")
    sheet = np.asarray(Image.open(layer / "projections/faces.png"))
    card = next(card for card in cards.units(avatar_study) if card.faces)
    top = pd.read_parquet(layer / "top.parquet")
    own = top[top["unit"] == card.unit].sort_values("rank")
    for face, image in zip(card.faces, own["image"], strict=True):
        place = places[places["image"] == image].iloc[0]
        assert (face.column, face.row) == (place["column"], place["row"])
        shown = sheet[
            face.row * size : (face.row + 1) * size, face.column * size : (face.column + 1) * size
        ]
        given = np.asarray(Image.open(avatar_study.table.paths[image]))
        np.testing.assert_array_equal(shown, given)


def test_an_action_units_card_tells_what_the_frames_hold(avatar_study: Study) -> None:
    sure = detections(avatar_study.evidence, avatar_study.recipe.evidence.level)
    found = {card.code: card for card in cards.action_units(avatar_study)}
    assert set(found) == set(avatar_study.interventions["au"]) | set(avatar_study.evidence["au"])
    for code, card in found.items():
        assert set(card.units) == set(sure.loc[sure["au"] == code, "unit"])
        assert card.name == facs.ACTION_UNITS[int(code[2:])].name
        assert (card.best is None) == (code not in set(avatar_study.evidence["au"]))


# the page


def test_every_link_of_the_page_leads_somewhere_and_nothing_comes_from_elsewhere(
    html: str, avatar_study: Study
) -> None:
    parts = Parts(html)
    assert len(set(parts.ids)) == len(parts.ids)
    units = {f"#unit-{unit}" for unit in range(avatar_study.summary["units"])}
    lead = {f"#{name}" for name in parts.ids} | units | {"data:,"}
    assert set(parts.links) <= lead
    assert not parts.sources
    assert not re.findall(r"url\((?!data:|#)", html)
    assert not re.findall(
        r"@import|https?://(?!www\.w3\.org)", re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    )


def test_the_map_holds_the_evidence(html: str, avatar_study: Study) -> None:
    told = json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1]
    )  # type: ignore[index]
    values = {score["key"]: score["values"] for score in told["scores"]}
    assert {
        "r",
        "slope",
        "kl_z",
        "kl",
        "distance",
        "ap_lift",
        "auroc",
        "r_within",
        "energy",
    } == set(values)
    for row in avatar_study.evidence.sample(30, random_state=0).itertuples():
        assert values["r"][row.unit][told["codes"].index(row.au)] == pytest.approx(row.r, abs=6e-4)
    sure = detections(avatar_study.evidence, avatar_study.recipe.evidence.level)
    assert sum(len(unit["detects"]) for unit in told["units"]) == len(sure)


def test_a_score_that_is_nowhere_known_is_not_in_the_map(avatar_study: Study) -> None:
    study = replace(avatar_study)
    study.__dict__["interventions"] = avatar_study.interventions.assign(slope=np.nan)
    told = document._map(study)
    assert told is not None
    assert {score["key"] for score in told["scores"]} == {*document._shown()} - {"slope"}
    assert "NaN" not in json.dumps(told)


def test_every_unit_has_its_card_on_the_page_once(html: str, avatar_study: Study) -> None:
    found = [int(number) for number in re.findall(r'data-unit="(\d+)"', html)]
    assert sorted(found) == list(range(avatar_study.summary["units"]))


@pytest.mark.slow
def test_the_page_is_written_anew_from_the_run_folder_alone(
    avatar_study: Study, html: str, tmp_path: Path
) -> None:
    assert command("report", tmp_path)[0] == 2
    old = shutil.copytree(avatar_study.folder, tmp_path / "old")
    report = old / "report.html"
    report.unlink()
    shutil.rmtree(old / "tables")
    code, told, error = command("report", old)
    assert (code, told.splitlines()[-1]) == (0, str(report.resolve())), error
    assert report.read_text(encoding="utf-8") == html
    assert (old / "tables/evidence.csv").read_text() == (
        avatar_study.folder / "tables/evidence.csv"
    ).read_text()
    (old / "units/conv3/projections/faces.parquet").unlink()
    code, _, error = command("report", old)
    assert (code, "faces.parquet: is missing or damaged" in error) == (2, True)
