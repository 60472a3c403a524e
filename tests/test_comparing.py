"""Studies beside each other: counts are the studies' own, and units that
answer alike are found.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from duchenne import files
from duchenne.analyses import reactions
from duchenne.analyses.compare import Comparison, compare
from duchenne.errors import InputError
from duchenne.evidence import detections
from duchenne.evidence.counterparts import counterparts
from duchenne.evidence.reactions import LEAST, drivers, unheeded
from duchenne.report.page import answers
from duchenne.study.record import Study, read_state, state_checksum

from .browser import opened
from .test_cli import command

ORDER = np.random.default_rng(0).permutation(256)


def test_counterparts_are_those_of_largest_correlation() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(40, 7)), rng.normal(size=(40, 5)).astype(np.float32))
    one[:, 3], other[:, 2] = 4.0, 0.0  # these never vary
    found = counterparts(one, other).set_index("unit")
    every = np.array(
        [[np.corrcoef(a, b)[0, 1] if a.std() and b.std() else -2 for b in other.T] for a in one.T]
    )
    assert pd.isna(found.loc[3, "counterpart"])
    assert np.isnan(found.loc[3, "r"])
    for unit in (0, 1, 2, 4, 5, 6):
        assert found.loc[unit, "counterpart"] == every[unit].argmax()
        assert found.loc[unit, "r"] == pytest.approx(every[unit].max())
        assert found.loc[unit, "mutual"] == (every[:, every[unit].argmax()].argmax() == unit)


@pytest.fixture(scope="module")
def compared(avatar_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A study beside itself, the units of the copy in another order."""
    root = tmp_path_factory.mktemp("compared")
    copy = shutil.copytree(avatar_study.folder, root / "shuffled")
    weights = load_file(copy / "network.safetensors")
    name = next(key for key in weights if key.endswith("conv3.weight"))
    hidden = next(key for key in weights if key.endswith("hidden.weight"))
    weights[name] = weights[name][ORDER]
    flat = weights[hidden]
    weights[hidden] = flat.reshape(len(flat), 256, -1)[:, ORDER].reshape(flat.shape)
    save_file(weights, copy / "network.safetensors")
    path = copy / "units/conv3/evidence.parquet"
    evidence = pd.read_parquet(path)
    evidence.assign(unit=np.argsort(ORDER)[evidence["unit"]]).to_parquet(path)
    state = read_state(copy)
    assert state
    for stage in state["stages"].values():
        stage["files"] = {name: files.checksum(copy / name) for name in stage["files"]}
    (copy / "study.json").write_text(json.dumps(state | {"checksum": state_checksum(state)}))
    return compare([avatar_study, copy], root / "out")


def test_the_same_units_in_another_order_are_found_again(compared: Comparison) -> None:
    pairs = compared.pairs[compared.pairs["one"] == "avatars"].dropna(subset=["counterpart"])
    assert len(pairs) > 100
    back = np.argsort(ORDER)
    assert (pairs["counterpart"].to_numpy(int) == back[pairs["unit"]]).mean() > 0.99
    assert pairs["r"].min() > 0.999
    assert pairs["mutual"].mean() > 0.99
    alike = compared.alike.iloc[0]
    assert alike["r"] > 0.999 > alike["r_untrained"]


def test_the_same_units_have_the_same_strongest_action_unit(
    compared: Comparison, avatar_study: Study
) -> None:
    evidence = avatar_study.evidence
    strongest = evidence.loc[evidence.groupby("unit")["r"].idxmax()].set_index("unit")["au"]
    pairs = compared.pairs[compared.pairs["one"] == "avatars"]
    assert pairs["au"].tolist() == strongest[pairs["unit"]].tolist()
    found = pairs.dropna(subset=["counterpart"])
    assert (
        found["counterpart_au"].tolist()
        == strongest[ORDER[found["counterpart"].to_numpy(int)]].tolist()
    )
    alike = compared.alike.iloc[0]
    assert alike["same"] == (found["au"] == found["counterpart_au"]).mean() > 0.99
    one, other = (found[name].value_counts(normalize=True) for name in ("au", "counterpart_au"))
    assert alike["chance"] == pytest.approx(sum(one[au] * other.get(au, 0) for au in one.index))
    assert alike["chance"] < 0.9


def test_detectors_are_counted_as_the_studies_count_them(
    compared: Comparison, avatar_study: Study
) -> None:
    sure = detections(avatar_study.evidence, avatar_study.recipe.evidence.level)[
        "au"
    ].value_counts()
    told = compared.detectors.set_index("action unit")["avatars"]
    assert {au: count for au, count in told.items() if count} == sure.to_dict()
    assert compared.studies["accuracy"].tolist() == [avatar_study.scores["accuracy"]] * 2


def test_the_page_and_its_tables_lie_in_the_folder(compared: Comparison) -> None:
    folder = compared.page.parent
    assert {path.name for path in folder.iterdir()} == {
        "compare.html",
        "studies.csv",
        "detectors.csv",
        "alike.csv",
        "pairs.csv",
        "reactions.csv",
        "reactions_alike.csv",
        "reactions-avatars.svg",
        "reactions-shuffled.svg",
    }
    with opened(compared.page.as_uri()) as browser:
        assert "shuffled" in browser.page.inner_text("h1 + p")
        assert (
            browser.page.locator("a[href^='#word']").count() == 0
        )  # words are explained in the reports
        assert browser.violations() == []
        assert browser.errors == []


def test_reactions_stand_side_by_side_by_name(compared: Comparison, avatar_study: Study) -> None:
    found = compared.reactions.set_index(["au", "expression"])
    own = avatar_study.reactions.set_index(["au", "expression"])["logit_change"]
    assert found["avatars"].to_dict() == own.to_dict()
    assert found["shuffled"].to_dict() == own.to_dict()
    assert not found["differ"].any()
    (alike,) = compared.reactions_alike.to_dict("records")
    assert (alike["pairs"], alike["differ"]) == (len(own), 0)
    assert alike["r"] == pytest.approx(1)


def test_reactions_of_other_classes_are_those_that_both_have(avatar_study: Study) -> None:
    @dataclass
    class Other:
        reactions: pd.DataFrame

    own = avatar_study.reactions
    happy = own[own["expression"] == "happiness"].sample(frac=1, random_state=0)
    moved = happy.assign(**{name: happy[name] + 9 for name in BOUNDS})
    studies = {"one": avatar_study, "other": Other(moved)}
    found = reactions.beside(studies)  # type: ignore[arg-type]
    assert set(found["expression"]) == {"happiness"}
    assert len(found) == len(happy)
    assert (found["other"] - found["one"]).to_numpy() == pytest.approx(9)
    wide = found["one high"] - found["one low"]
    assert (found["differ"] == (wide < 9)).all()
    bare = Other(own.drop(columns="logit_change"))
    assert reactions.beside({"one": bare}).empty  # type: ignore[dict-item]
    assert reactions.correlations(pd.DataFrame(), ["one", "other"]).empty


BOUNDS = ("logit_change", "logit_low", "logit_high")


def test_what_raises_a_class_by_hardly_anything_does_not_count() -> None:
    found = pd.DataFrame(
        {
            "au": ["AU01", "AU06", "AU12"],
            "expression": "happiness",
            "change": [0.0, 0.02, 0.4],
            "logit_change": [0.0003, LEAST - 1e-9, LEAST],
            "logit_low": [0.0002, 0.09, 0.01],
        }
    )
    prototype = {("AU06", "happiness"), ("AU12", "happiness")}
    assert drivers(found, prototype)["au"].tolist() == ["AU12"]
    assert unheeded(found, prototype)["au"].tolist() == ["AU06"]


@dataclass(frozen=True)
class Reading:
    """As much of a study of a network from elsewhere as tells what drives it."""

    reactions: pd.DataFrame
    scores: dict[str, object]
    has_classes: bool = True
    trained_here: bool = False

    def people(self, count: int) -> str:
        return f"{count} people"


def test_the_first_screen_says_where_nothing_is_read() -> None:
    names = ["AU12", "AU04"]
    still = pd.DataFrame({"au": names, "expression": ["happiness", "anger"]})
    still = still.assign(change=0.0, logit_change=0.001, logit_low=0.0005, logit_high=0.002)
    scores = {"pictures": 90, "people": 9, "leaked": 0, "accuracy": 0.12, "majority": 0.28}
    study = Reading(still, scores | {"interval": (0.12, 0.12)})
    (driven,) = answers._driven(study)  # type: ignore[arg-type]
    assert driven.figure == "no class"
    assert "by none 0.1 in log-odds" in driven.says
    told = answers._reading(study).says  # type: ignore[arg-type]
    assert "That is not clearly better" in told
    better = Reading(still, scores | {"interval": (0.29, 0.4)})
    assert "not clearly better" not in answers._reading(better).says  # type: ignore[arg-type]
    moved = still.assign(logit_change=2.0, logit_low=1.0)
    (driven,) = answers._driven(Reading(moved, {}))  # type: ignore[arg-type]
    assert driven.figure == "2 of 2 classes"


def test_what_cannot_be_compared_is_named(avatar_study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two studies or more"):
        compare([avatar_study], tmp_path)
    with pytest.raises(InputError, match="is named twice"):
        compare([avatar_study, avatar_study.folder], tmp_path)
    code, _, error = command("compare", avatar_study.folder, tmp_path)
    assert (code, "holds no study" in error) == (2, True)
