"""Photographs beside a study's own faces, and ablation within a limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import duchenne
from duchenne.app.reader import Reader
from duchenne.errors import InputError
from duchenne.evidence import carried
from duchenne.evidence.ablation_effects import log_odds
from duchenne.experiments import ablate
from duchenne.faces import avatars
from duchenne.faces.avatars import scripts
from duchenne.pipeline.run import go_on
from duchenne.report.page.answers import answers
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace
from duchenne.units.ablation import Ablation

from . import dresses
from .test_audit import SMALL, WEIGHTS

SEVERAL = tuple(change for change in SMALL if not change.startswith("evidence.level"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """An audit beside photographs, which are avatars of other people here."""
    folder = tmp_path_factory.mktemp("photographs")
    dresses.write(folder)
    avatars.render_with_sheet(folder / "photos", people=7, size=64, seed=77, protocol="apexes")
    card = dresses.card(folder, "small_network.py:Plain", WEIGHTS)
    return duchenne.audit(
        card,
        folder / "run",
        data=f"folder:{folder / 'photos'}",
        changes=(*SEVERAL, "people.twins=6", "ablation.limit=5e-7"),
    )


@pytest.mark.slow
def test_photographs_are_read_as_the_network_reads_them(study: Study) -> None:
    work = Workspace(study, study.table)
    shown = work.photographs
    assert shown is not None
    with torch.no_grad():
        given = dresses.plain()(torch.from_numpy(shown.floats(slice(None))))
    names = np.array(study.recipe.network.output.classes)
    wanted = pd.Series(names[given.argmax(1).numpy()], shown.table.frame["path"])
    read = pd.read_parquet(study.folder / "photographs" / "predictions.parquet")
    assert (read["predicted"].to_numpy() == wanted[read["path"]].to_numpy()).all()
    right = (read["predicted"] == read["expression"]).mean()
    assert study.photographs is not None
    assert study.photographs.scores["accuracy"] == pytest.approx(right)
    assert study.photographs.scores["unread"] == 7  # contempt


@pytest.mark.slow
def test_ranges_are_those_of_the_units_on_either_faces(study: Study) -> None:
    work = Workspace(study, study.table)
    own = work.trained.activations()
    assert work.photographs is not None
    assert study.photographs is not None
    with torch.no_grad():
        maps = dresses.plain().features(torch.from_numpy(work.photographs.floats(slice(None))))
    there = maps.amax((2, 3)).numpy()
    for row in study.photographs.ranges.itertuples():
        low, high = np.quantile(own[:, row.unit], [0.01, 0.99])
        beyond = [not low <= value <= high for value in there[:, row.unit]]
        assert row.beyond == pytest.approx(np.mean(beyond), abs=0.03)
        spread = own[:, row.unit].std()
        shift = there[:, row.unit].mean() - own[:, row.unit].mean()
        if spread > 0:
            assert row.shift == pytest.approx(shift / spread, rel=1e-3, abs=1e-3)


@pytest.mark.slow
def test_the_report_and_the_live_page_tell_of_photographs(study: Study) -> None:
    page = study.report.read_text()
    assert 'id="photographs"' in page
    assert 'id="people"' in page
    said = {answer.question: answer.figure for answer in answers(study)}
    assert study.photographs is not None
    assert said["Does it hold on photographs?"].startswith(
        f"{100 * study.photographs.scores['accuracy']:.0f}"
    )
    assert said["Whom does it read worse?"].endswith("of 7 traits")
    stripes = (np.indices((32, 32)).sum(0)[None] % 2).astype(np.float32)
    odd = Reader(study).face(stripes)
    assert "answer beyond their range on the study's faces" in odd.note


@pytest.mark.slow
def test_a_limit_draws_as_many_pictures_of_each_class_and_says_so(study: Study) -> None:
    counts = study.ablations.drop_duplicates("expression").set_index("expression")["pictures"]
    assert counts.max() - counts.min() <= 1
    assert counts.sum() < 168
    assert f"on {counts.sum()} pictures" in study.report.read_text()


@pytest.mark.slow
def test_twins_stand_beside_who_the_studys_people_are(study: Study) -> None:
    found = study.people_compared
    assert set(found["design"]) == {"twins", "drawn"}
    measure = "neutral face: happiness"
    drawn = found[(found["design"] == "drawn") & (found["measure"] == measure)]
    assert (drawn["people"] == 8).all()
    read = pd.read_parquet(study.folder / "predictions.parquet")
    neutral = read[read["expression"] == "neutral"]
    shares = neutral["p_happiness"]
    of_people = np.log(shares / (1 - shares)).groupby(neutral["subject"]).mean()
    age = study.table.frame.groupby("subject")["person_age"].first()
    wanted = of_people.corr(age, method="spearman")
    assert drawn.set_index("trait").loc["age", "effect"] == pytest.approx(wanted)


@pytest.mark.slow
def test_stages_that_need_no_photographs_go_on_while_they_are_away(study: Study) -> None:
    photos = study.folder.parent / "photos"
    away = photos.rename(study.folder.parent / "away")
    try:
        said: list[str] = []
        again = go_on(study.folder, "evidence", announce=said.append)
        assert set(again.state["stages"]) == set(study.state["stages"])
        assert all("kept" in line for line in said)
        with pytest.raises(InputError, match="photos"):
            go_on(study.folder, "photographs")
    finally:
        away.rename(photos)
    said.clear()
    go_on(study.folder, "report", announce=said.append)
    assert all("kept" in line for line in said)


def test_photographs_that_are_not_there_are_told_in_a_line(tmp_path: Path) -> None:
    dresses.write(tmp_path)
    card = dresses.card(tmp_path, "small_network.py:Plain", WEIGHTS)
    with pytest.raises(InputError, match="nowhere"):
        duchenne.audit(card, tmp_path / "run", data="folder:/nowhere", changes=SMALL)


def test_what_is_carried_is_what_a_loop_counts() -> None:
    rng = np.random.default_rng(0)
    pairs = [(unit, au) for unit in range(30) for au in ("AU01", "AU04", "AU12")]
    frames = []
    for _ in range(2):
        frame = pd.DataFrame(pairs, columns=["unit", "au"])
        frames.append(frame.assign(r=rng.normal(0.1, 0.2, 90), r_null=0.0, p=rng.random(90)))
    here, there = frames
    there.loc[there["au"] == "AU04", "p"] = np.nan
    found = carried.carried(here, there, "au", 0.5)
    held, count = 0, 0
    for row in here.itertuples():
        if row.au != "AU04" and row.p <= 0.5 and row.r > 0:
            count += 1
            other = there[(there["unit"] == row.unit) & (there["au"] == row.au)].iloc[0]
            held += other["p"] <= 0.5 and other["r"] > 0
    assert found["pairs"] == count
    assert found["share"] == pytest.approx(held / count)
    assert 0 < found["dealt"] < 1


def test_a_unit_that_never_varied_has_no_shift() -> None:
    found = carried.ranges(np.ones((5, 1)), np.full((5, 1), 3.0))
    assert np.isnan(found["shift"][0])
    assert found["beyond"][0] == 1


def test_operations_are_those_of_what_lies_behind_a_set() -> None:
    network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)).eval()
    pictures = torch.rand(8, 1, 8, 8)
    assert Ablation(network, "0", pictures).operations(pictures[:1]) == 2 * 216 * 4


def test_pictures_are_drawn_evenly_over_classes() -> None:
    places = np.repeat([0, 1, 2], [50, 5, 20])
    drawn = ablate._balanced(places, 24, 0)
    assert np.bincount(places[drawn]).tolist() == [10, 5, 9] or np.bincount(
        places[drawn]
    ).tolist() == [9, 5, 10]
    assert (np.diff(drawn) > 0).all()


def test_apexes_are_the_last_pictures_of_posed_sequences_and_one_neutral() -> None:
    posed = list(scripts.posed(3, 5))
    found = list(scripts.apexes(3, 5))
    assert len(found) == 3 * 8
    assert all(script in posed for script in found)
    of_one = [script for script in found if script.subject == 1]
    assert sum(script.expression == "neutral" for script in of_one) == 1
    assert {script.frame for script in of_one} == {0, 3}


def test_log_odds_are_those_of_shares() -> None:
    logits = torch.randn(4, 3, dtype=torch.float64)
    shares = logits.softmax(1)
    assert torch.allclose(log_odds(logits), (shares / (1 - shares)).log())
