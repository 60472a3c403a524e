"""Stages as data: what each reads, what a change redoes, and where new things
go.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from torch import Tensor, nn

import duchenne
from duchenne import networks, recipes
from duchenne.evidence import match, scores
from duchenne.evidence.scores import Column, Score
from duchenne.faces import formats
from duchenne.faces.table import FaceTable
from duchenne.pipeline import other_faces, stages
from duchenne.pipeline.stage import Stage, identities, leaves
from duchenne.pipeline.stages import LINE
from duchenne.recipes import loading, schema
from duchenne.report.words import WORDS
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace

from .conftest import Once
from .small import SMALL

QUICK = recipes.read("quick")
LEAVES = leaves(QUICK.model_dump(mode="json"))
TABLES = {"faces", "folds", "network", "training", "units", "evidence", "stimulation", "ablation"}
OF_THE_FACES = {key for key in LEAVES if key.startswith("faces.")}
"""Keys that decide which pictures are given, which the fingerprint of the
faces stands for.
"""
NAMES_ONLY = {"training.log"}
"""Keys that change where something is told, and no number."""


def above(name: str) -> set[str]:
    """A stage, and all that it follows from."""
    (stage,) = (each for each in LINE if each.name == name)
    return {name}.union(*(above(before) for before in stage.needs))


@pytest.mark.parametrize("study", ["avatar_study", "drawn_study"])
def test_what_a_stage_reads_is_among_what_it_says_that_it_reads(
    study: str, once: Once, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(study)
    name = {"avatar_study": "avatars", "drawn_study": "drawn"}[study]
    read = json.loads((once(name, lambda out: None).parent / f"{name}-reads.json").read_text())
    assert set(read) == {stage.name for stage in LINE}
    for stage, keys in read.items():
        own = [each for each in LINE if each.name in above(stage)]
        for key in set(keys) & set(LEAVES) - OF_THE_FACES - NAMES_ONLY:
            assert any(each.depends_on(key) for each in own), f"{stage} reads {key}"


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of values not checked
@pytest.mark.parametrize("key", sorted(LEAVES))
def test_a_change_of_a_key_redoes_the_stages_that_depend_on_it_and_no_others(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_faces, "gather_photographs", lambda faces: None)
    before = identities(LINE, QUICK, "faces")
    after = identities(LINE, changed(key), "faces")
    redone = {stage for stage in before if before[stage] != after[stage]}
    reading = {stage.name for stage in LINE if stage.depends_on(key)}
    reading |= {"faces"} if key == "faces.crop" else set()
    reading |= {"stimulation", "people"} if key == "faces.source" else set()
    assert redone == {stage.name for stage in LINE if above(stage.name) & reading}


def test_every_key_but_those_of_the_faces_belongs_to_a_stage() -> None:
    for key in set(LEAVES) - OF_THE_FACES - NAMES_ONLY:
        assert any(stage.depends_on(key) for stage in LINE), key


def test_every_stage_writes_what_it_says_and_all_that_is_there_is_some_stages(
    avatar_study: Study,
) -> None:
    layer = avatar_study.units_folder.relative_to(avatar_study.folder).as_posix()
    told = {name.format(layer=layer) for stage in LINE for name in stage.writes}
    told |= {"study.json", "recipe.toml", ".lock"}
    for path in avatar_study.folder.rglob("*"):
        if path.is_file():
            place = path.relative_to(avatar_study.folder).as_posix()
            alike = (place, place.replace("untrained/", ""))
            assert any(
                each == name or each.startswith(f"{name}/") for name in told for each in alike
            ), place
    of_some = {".lock", "photographs"}  # where the recipe names any
    for name in told - of_some:
        assert (avatar_study.folder / name).exists(), name


def changed(key: str) -> recipes.Recipe:
    """The quick recipe with another value of a key, not checked."""
    *tables, leaf = key.split(".")
    return updated(QUICK, tables, {leaf: other(LEAVES[key])})


def updated(part: Any, tables: list[str], change: dict[str, Any]) -> Any:
    if not tables:
        return part.model_copy(update=change)
    inner = getattr(part, tables[0])
    if isinstance(inner, dict):
        return part.model_copy(update={tables[0]: inner | change})
    return part.model_copy(update={tables[0]: updated(inner, tables[1:], change)})


def other(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if value is None:
        return 0.5
    return [*value, 1] if isinstance(value, list | tuple) else value


# one thing, one place


def test_a_stage_is_one_entry_of_the_line(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(work: Workspace) -> None:
        (work.study.folder / "count.json").write_text(str(len(work.stack)))

    mine = Stage("count", needs=("faces",), reads=(), do=count, writes=("count.json",))
    monkeypatch.setattr(stages, "LINE", (LINE[0], mine, *LINE[1:]))
    study = duchenne.run("quick", drawings, tmp_path / "a", changes=SMALL, until="count")
    assert list(study.state["stages"]) == ["faces", "count"]
    assert int((study.folder / "count.json").read_text()) == len(study.table)
    with pytest.raises(duchenne.InputError, match="network is still to do"):
        duchenne.open(study.folder, until="units")


def test_a_score_is_one_entry_of_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "SCORES", dict(scores.SCORES))
    monkeypatch.setattr(scores, "COLUMNS", dict(scores.COLUMNS))
    column = Column("gap", "gap", "Difference of means.", names=scores._largest("gap"))

    def gap(values: Any, present: Any, coded: Any, binning: object) -> np.ndarray:
        with_it = values.T @ (present & coded) / (present & coded).sum(0)
        return with_it - values.T @ (~present & coded) / (~present & coded).sum(0)

    scores.add(Score("gap", (column,), gap))
    shown = np.arange(40) % 2 == 0
    labels = pd.DataFrame({"AU12": shown}).astype("boolean")
    found = match(shown[:, None] * 2.0, labels, np.arange(40), np.arange(40), permutations=9)
    assert found["gap"].tolist() == [2.0]
    assert found["gap_z"][0] > 3
    assert "gap" in scores.sizes()


def test_every_column_of_a_score_is_explained() -> None:
    assert set(scores.COLUMNS) <= set(WORDS)


def test_a_data_set_is_one_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        "from duchenne.faces.formats import folder\n"
        "from duchenne.faces.formats.adapter import Format\n"
        "MINE = Format('mine', 'Mine', 'a folder', 'my own', '', folder.read)\n"
    )
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    assert {"mine", "ckplus", "folder"} <= set(formats._every())


def test_a_network_is_one_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks.registry, "NETWORKS", dict(networks.NETWORKS))

    @networks.registry.network("line")
    class Line(nn.Module):
        def __init__(self, classes: int, generator: object = None) -> None:
            super().__init__()
            self.output = nn.LazyLinear(classes)

        def forward(self, pictures: Tensor) -> Tensor:
            return self.output(pictures.flatten(1))

    assert isinstance(networks.build("line", classes=3), Line)


def test_a_key_of_the_recipe_is_one_field(monkeypatch: pytest.MonkeyPatch) -> None:
    class Units(schema.Units):
        """Units."""

        mine: int = 3

    class Recipe(schema.Recipe):
        """A recipe."""

        units: Units = Units()

    monkeypatch.setattr(loading, "Recipe", Recipe)
    read = recipes.read("quick", ["units.mine=5"])
    assert read.units.mine == 5
    assert any("mine" in line for line in recipes.described(read))
    before, after = (identities(LINE, recipes.read("quick", c), "") for c in ((), ["units.mine=5"]))
    assert before["projections"] != after["projections"]
