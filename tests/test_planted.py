"""An audit of a network of which everything is known: one of its units is AU12,
its classes are in an odd order, and so are range, mean and standard deviation
of what it takes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import duchenne
from duchenne import facs
from duchenne.analyses import inspection
from duchenne.analyses.compare import compare
from duchenne.app.reader import Reader
from duchenne.errors import InputError
from duchenne.evidence import detections
from duchenne.report import class_tables
from duchenne.report.page.answers import answers
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace

from .test_audit import SMALL
from .test_cli import command
from .test_known_network import MEASURED, READ, SIZE, Known, known

SOURCE = f'''
from torch import nn


class Planted(nn.Module):
    def __init__(self):
        super().__init__()
        self.units = nn.Conv2d(1, 16, {SIZE})
        self.relu = nn.ReLU()
        self.output = nn.Linear(16, {len(READ)})

    def forward(self, pictures):
        return self.output(self.relu(self.units(pictures)).flatten(1))


class Detector(Planted):
    """Gives what four of its units answer: a detector of action units."""

    def forward(self, pictures):
        return self.relu(self.units(pictures)).flatten(1)[:, [3, 8, 5, 14]]


class Embedding(Planted):
    def forward(self, pictures):
        return self.relu(self.units(pictures)).flatten(1)
'''

PLACES = {"AU01": 3, "AU04": 8, "AU12": 5, "AU09": 14}
"""The units that are planted; all others are noise."""

CLASSES = ("surprise", "happiness", "neutral", "disgust", "anger")
SPELT = ("surprised", "happy", "neutral", "disgusted", "angry")
LOW, HIGH, MEAN, STD = -3.0, 250.0, 87.0, 41.0
STILL = tuple(change for change in SMALL if "control" not in change and "evidence" not in change)


def weights_of(whole: Known) -> dict[str, torch.Tensor]:
    """The known network's weights, at odd places and for odd input:
    z = (LOW + (HIGH − LOW) x − MEAN) / STD in place of x.
    """
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(16, 1, SIZE, SIZE, generator=generator) / 40
    bias = torch.zeros(16)
    output = torch.zeros(len(CLASSES), 16)
    rows = [list(READ).index(name) for name in CLASSES]
    for row, au in enumerate(MEASURED):
        place = PLACES[au]
        weight[place] = whole.units.weight[row]
        bias[place] = whole.units.bias[row]
        output[:, place] = whole.output.weight[rows, row]
    bias = bias + weight.sum((1, 2, 3)) * (MEAN - LOW) / (HIGH - LOW)
    return {
        "units.weight": weight * STD / (HIGH - LOW),
        "units.bias": bias,
        "output.weight": output,
        "output.bias": whole.output.bias[rows],
    }


def write(folder: Path, name: str, **changed: object) -> Path:
    told = {"range": [LOW, HIGH], "mean": [MEAN], "std": [STD], "classes": list(SPELT)} | changed
    lines = [
        "[network]",
        'source = "planted.py:Planted"',
        'weights = "planted.safetensors"',
        f"[network.input]\nsize = {SIZE}",
        *(f"{key} = {json.dumps(told[key])}" for key in ("range", "mean", "std")),
        f"[network.output]\nclasses = {json.dumps(told['classes'])}",
    ]
    card = folder / f"{name}.toml"
    card.write_text("\n".join(lines) + "\n")
    return card


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    (folder / "planted.py").write_text(SOURCE)
    found = {name: each.detach().contiguous() for name, each in weights_of(known()).items()}
    save_file(found, folder / "planted.safetensors")
    return folder


@pytest.fixture(scope="module")
def study(planted: Path) -> Study:
    changes = (
        *STILL,
        "faces.avatars.still=true",
        "faces.avatars.people=24",
        "evidence.permutations=199",
        "evidence.score_permutations=3",
        "stimulation.people=8",
        "network.control.seeds=2",
    )
    return duchenne.audit(write(planted, "right"), planted / "run", changes=changes)


@pytest.mark.slow
def test_it_reads_expressions_by_their_names(study: Study) -> None:
    assert study.scores["accuracy"] > 0.6
    assert set(study.scores["classes"]) == set(CLASSES)
    assert study.scores["accuracy"] > study.scores["majority"] + 0.2


@pytest.mark.slow
def test_it_says_which_unit_is_au12(study: Study) -> None:
    sure = detections(study.evidence, 0.05)
    best = sure[sure["au"] == "AU12"].nlargest(1, "r").iloc[0]
    assert best["unit"] == PLACES["AU12"]
    moved = study.interventions.set_index(["au", "unit"])["slope"]
    assert moved["AU12"].idxmax() == PLACES["AU12"]


@pytest.mark.slow
def test_it_says_what_makes_it_say_happiness(study: Study) -> None:
    happy = study.reactions[study.reactions["expression"] == "happiness"]
    assert happy.set_index("au")["logit_change"].idxmax() == "AU12"
    said = {answer.question: answer.figure for answer in answers(study)}
    assert said["What makes it say so?"] == "4 of 4 classes"
    driven = class_tables.driven(study).drop_duplicates("read as").set_index("read as")
    assert driven.loc["happiness", "raised most by"] == "AU12 Lip Corner Puller"


@pytest.mark.slow
def test_it_says_that_happiness_needs_the_unit(study: Study) -> None:
    alone = study.ablations[study.ablations["what"] == "unit"]
    happy = alone[alone["expression"] == "happiness"].set_index("unit")
    assert happy["recall_change"].idxmin() == PLACES["AU12"]
    assert happy.loc[PLACES["AU12"], "recall_change"] < -0.5


WRONG = {
    "classes": {"classes": ["happy", "surprised", "neutral", "disgusted", "angry"]},
    "range": {"range": [0, 1]},
}


@pytest.mark.slow
def test_the_check_is_content_with_the_right_card(planted: Path) -> None:
    found = inspection.inspect(str(write(planted, "right")))
    assert all("no other" in line for line in found.verdicts), found.verdicts


@pytest.mark.slow
@pytest.mark.parametrize("fault", WRONG)
def test_the_check_finds_what_is_wrong_with_others(planted: Path, fault: str) -> None:
    found = inspection.inspect(str(write(planted, f"wrong-{fault}", **WRONG[fault])))
    checked = found.checked["avatars"]
    if fault == "classes":
        assert checked.order == CLASSES
    else:
        tried = checked.tried.set_index("change")
        best = tried[tried["surely_better"]]["accuracy"].idxmax()
        assert best.startswith("network.input.range=[0, 255]")
    assert any("would surely read better" in line for line in found.verdicts), found.verdicts


# networks without classes

FEW = (
    *STILL,
    "faces.avatars.still=true",
    "faces.avatars.people=12",
    "evidence.permutations=99",
    "evidence.score_permutations=3",
    "evidence.level=0.05",
    "stimulation.people=6",
    "people.twins=2",
    "network.control.kind=permuted",
    "network.control.seeds=1",
)


def without_classes(folder: Path, kind: str, values: str) -> Path:
    card = folder / f"{kind}.toml"
    text = write(folder, kind).read_text().replace("Planted", kind)
    card.write_text(text[: text.index("classes")] + values)
    return card


@pytest.fixture(scope="module")
def detector(planted: Path) -> Study:
    """A detector of action units, its outputs named by any spelling."""
    card = without_classes(planted, "Detector", 'values = ["AU1", "AU04", "au_12", "9"]')
    return duchenne.audit(card, planted / "detector", changes=FEW)


@pytest.mark.slow
def test_an_output_of_a_detector_is_judged_by_its_own_action_unit(detector: Study) -> None:
    found = detector.values
    own = found[found["own"]].set_index("value")
    assert dict(own["au"]) == {"AU1": "AU01", "AU04": "AU04", "au_12": "AU12", "9": "AU09"}
    assert (own["r"] > own["r_untrained"].abs() + 0.1).all()
    assert (own["low"] > 0).all()
    most = found.loc[found.groupby("value")["effect"].idxmax()]
    assert most["own"].sum() >= 3
    said = {answer.question: answer for answer in answers(detector)}
    assert "Does it detect its own action units?" in said
    assert "How well does it read expressions?" not in said


@pytest.mark.slow
def test_what_a_detector_answers_to_is_what_its_outputs_do(detector: Study) -> None:
    """r, effect and slope beside NumPy's, from the outputs themselves."""
    work = Workspace(detector, detector.table)
    with torch.no_grad():
        given = work.pair.trained(work.pair.prepare(torch.from_numpy(work.stack.pictures)))
    row = detector.values.set_index(["value", "au"]).loc[("au_12", "AU12")]
    labels = detector.table.frame["AU12"].to_numpy(float)
    assert row["r"] == pytest.approx(np.corrcoef(given[:, 2], labels)[0, 1], abs=1e-5)
    dosed = detector.outputs()[:, facs.rendered().index(12), :, 2]
    effect = (dosed[:, -1] - dosed[:, 0]).mean() / given[:, 2].numpy().std()
    assert row["effect"] == pytest.approx(effect, rel=1e-4)


@pytest.mark.slow
def test_a_report_of_a_detector_speaks_of_values_and_of_no_class(detector: Study) -> None:
    page = detector.report.read_text()
    assert 'id="values"' in page
    for part in ("accuracy", "ablation", "reactions", "people"):
        assert f'id="{part}"' not in page
    assert (detector.folder / "tables" / "values.csv").exists()
    predictions = pd.read_parquet(detector.folder / "predictions.parquet")
    assert {"value_AU1", "value_AU04", "value_au_12", "value_9"} <= set(predictions)


@pytest.mark.slow
def test_what_needs_classes_says_so_in_a_line(detector: Study) -> None:
    run = str(detector.folder)
    for words in (
        ("ablate", run),
        ("evaluate", run, "--data", "avatars"),
        ("show", "confusion", run, "--out", str(detector.folder / "a.png")),
        ("audit", str(detector.folder.parent / "Detector.toml"), "--check"),
    ):
        code, _, error = command(*words)
        assert code == 2, words
        assert "classes" in error.splitlines()[-1], error


@pytest.mark.slow
def test_the_figures_of_a_detector_are_drawn_and_the_others_left_out(detector: Study) -> None:
    code, told, error = command("report", detector.folder, "--figures")
    assert code == 0, error
    sheet = Path(told.splitlines()[-1]).read_text()
    assert 'src="value-changes.svg"' in sheet
    assert "its network has no classes" in sheet


@pytest.mark.slow
def test_a_live_page_tells_values(detector: Study) -> None:
    answer = Reader(detector).face(np.full((1, SIZE, SIZE), 0.5, np.float32))
    assert not answer.shares
    assert list(answer.values) == ["AU1", "AU04", "au_12", "9"]


@pytest.mark.slow
def test_an_embedding_is_audited_by_its_units(planted: Path, detector: Study) -> None:
    card = without_classes(planted, "Embedding", "")
    study = duchenne.audit(card, planted / "embedding", changes=FEW)
    sure = detections(study.evidence, 0.05)
    assert sure[sure["au"] == "AU12"].nlargest(1, "r")["unit"].item() == PLACES["AU12"]
    assert study.values.empty
    assert study.report.exists()
    compared = compare([detector, study], planted / "compared")
    assert compared.studies["accuracy"].isna().all()


@pytest.mark.slow
def test_values_that_cannot_be_are_refused(planted: Path) -> None:
    for values, says in (
        ('values = ["a", "a", "b", "c"]', "one is named twice"),
        ("values = [1, 2]", "names, or a table of names and columns"),
        ('values = ["a", "b"]', "it gives 4 numbers a picture, and 2 are named"),
    ):
        card = without_classes(planted, "Detector", values)
        with pytest.raises(InputError, match=says):
            duchenne.audit(card, planted / "refused", changes=FEW)
