from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import duchenne
from duchenne import recipes
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable
from duchenne.pipeline import run
from duchenne.pipeline.stage import identities
from duchenne.pipeline.stages import LINE
from duchenne.report.page import document
from duchenne.study.record import Study, state_checksum

from .small import SMALL
from .test_cli import command

FOLLOW_FROM_EVIDENCE = {
    "values",
    "photographs",
    "evidence",
    "ablation",
    "validity",
    "projections",
    "report",
}
RESULTS = (
    "faces.parquet",
    "predictions.parquet",
    "scores.json",
    "network.safetensors",
    "network.json",
    "report.html",
    "units/conv3/responses.parquet",
    "units/conv3/top.parquet",
    "units/conv3/evidence.parquet",
    "units/conv3/summary.json",
    "study.json",
    "interventions.parquet",
    "reactions.parquet",
    "ablations.parquet",
    "validity.parquet",
    "units/conv3/detectors.parquet",
    "units/conv3/untrained/detectors.parquet",
    "units/conv3/doses.safetensors",
)


def results(folder: Path) -> dict[str, bytes]:
    """Bytes of everything that must be the same when a study is repeated."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert set(RESULTS) <= set(found)
    return found


@pytest.fixture(scope="module")
def study(drawn_study: Study) -> Study:
    return drawn_study


def test_a_study_fills_the_run_folder(study: Study) -> None:
    assert set(RESULTS) <= set(results(study.folder))
    top = pd.read_parquet(study.folder / "units/conv3/top.parquet")
    assert list(top) == [
        "unit",
        "rank",
        "image",
        "activation",
        "row",
        "col",
        "x0",
        "y0",
        "x1",
        "y1",
    ]
    predictions = pd.read_parquet(study.folder / "predictions.parquet")
    shown = [f"p_{name}" for name in ("neutral", "anger", "happiness", "surprise")]
    assert set(shown) <= set(predictions)
    assert predictions[shown].sum(axis=1).to_numpy() == pytest.approx(1)
    assert {"unit", "au", "kl", "kl_null", "kl_z", "r", "ap", "ap_lift", "auroc", "p", "q"} <= set(
        study.evidence
    )
    assert study.summary["action_units"] == ["AU04", "AU12", "AU26"]
    assert {path.name for path in study.folder.rglob(".*")} <= {".lock", ".written.json"}
    assert not list(study.folder.rglob("checkpoints"))


def test_a_finished_study_opens_again(study: Study) -> None:
    again = duchenne.open(study.folder)
    assert again.recipe == study.recipe
    assert again.scores == study.scores
    assert len(again.table) == 108
    assert "report" in again._repr_html_()
    assert str(study.summary["units"]) in " ".join(study.summary_lines())


@pytest.mark.slow
def test_two_runs_with_one_seed_write_the_same_files(
    study: Study, drawings: FaceTable, tmp_path: Path
) -> None:
    duchenne.run("quick", f"folder:{drawings.root}", tmp_path / "b", changes=SMALL)
    one, two = results(study.folder), results(tmp_path / "b")
    assert {name for name in one if one[name] != two.get(name)} == set()
    assert one.keys() == two.keys()


def test_what_has_not_changed_is_not_done_again(study: Study, drawings: FaceTable) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in study.folder.rglob("*.parquet")}
    lines: list[str] = []
    duchenne.run(
        "quick",
        f"folder:{drawings.root}",
        study.folder,
        changes=SMALL,
        resume=True,
        announce=lines.append,
    )
    assert [line.split(":")[0] for line in lines] == [stage.name for stage in LINE]
    assert all("kept" in line for line in lines)
    assert stamps == {path: path.stat().st_mtime_ns for path in study.folder.rglob("*.parquet")}


@pytest.mark.slow
def test_a_redo_that_is_killed_is_not_taken_for_done(
    study: Study, drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, again = f"folder:{drawings.root}", (*SMALL, "evidence.bins=16")
    shutil.copytree(study.folder, tmp_path / "a")

    def power_cut(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("duchenne.report.gallery.draw", power_cut)
        with pytest.raises(KeyboardInterrupt):
            duchenne.run("quick", spec, tmp_path / "a", changes=again, resume=True)
    with pytest.raises(InputError, match="projections is still to do"):
        duchenne.open(tmp_path / "a")
    lines: list[str] = []
    duchenne.run(
        "quick",
        spec,
        tmp_path / "a",
        changes=SMALL,
        resume=True,
        until="evidence",
        announce=lines.append,
    )
    assert [line for line in lines if line.startswith("evidence") and "kept" not in line]


@pytest.mark.slow
def test_a_changed_stage_and_those_that_follow_from_it_are_done_again_as_the_recipe_says(
    study: Study, tmp_path: Path
) -> None:
    shutil.copytree(study.folder, tmp_path / "a")
    lines: list[str] = []
    again = duchenne.run(
        out=tmp_path / "a", changes=("evidence.bins=16",), resume=True, announce=lines.append
    )
    assert again.recipe.evidence.bins == 16
    assert again.recipe.training == study.recipe.training
    assert {line.partition(":")[0] for line in lines if "kept" not in line} == FOLLOW_FROM_EVIDENCE


@pytest.mark.parametrize("change", ["units.top=5", "units.layer=conv2"])
def test_traits_are_measured_again_where_what_they_read_of_units_changes(change: str) -> None:
    """They are measured on as many top pictures a filter, and of the layer
    where a network names none.
    """
    before, after = (
        identities(LINE, recipes.read("quick", changes), "faces") for changes in ((), (change,))
    )
    assert before["traits"] != after["traits"]
    assert before["network"] == after["network"]


def test_versions_are_those_that_made_each_stage(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(study.folder, tmp_path / "a")
    monkeypatch.setattr(run, "_versions", lambda: {"torch": "9", "duchenne": "9"})
    state = duchenne.run(
        out=tmp_path / "a", changes=("evidence.bins=16",), resume=True, until="evidence"
    ).state
    assert state["versions"]["torch"] != "9"
    assert state["stages"]["network"]["versions"]["torch"] != "9"
    assert state["stages"]["evidence"]["versions"]["torch"] == "9"


def test_a_recipe_object_is_changed_and_its_command_repeats_it(
    drawings: FaceTable, tmp_path: Path
) -> None:
    recipe = recipes.changed(recipes.read("quick"), SMALL)
    spec = f"folder:{drawings.root}"
    study = duchenne.run(
        recipe, spec, tmp_path / "a", changes=("evidence.bins=16",), until="network"
    )
    assert study.recipe.evidence.bins == 16
    command = document.command(study)
    assert command.startswith(f"duchenne run quick --data {spec} --set ")
    told = [part for part in shlex.split(command) if "=" in part]
    again = recipes.read("quick", told)
    assert again.model_copy(update={"faces": study.recipe.faces}) == study.recipe


def test_the_command_of_a_recipe_of_ones_own_is_its_file_in_the_run_folder(
    drawings: FaceTable, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'extends = "quick"\nnetwork.name = "pyranet"\nunits.layer = "neurons"\nfaces.size = 100\n'
    )
    study = duchenne.run(
        file,
        f"folder:{drawings.root}",
        tmp_path / "a",
        changes=("training.epochs=1",),
        until="network",
    )
    *told, kept = shlex.split(document.command(study))
    assert (told, kept) == (["duchenne", "run"], str(tmp_path / "a" / "recipe.toml"))
    assert recipes.read(kept) == study.recipe
    assert study.recipe.name == "mine"


def stages_before(stage: str) -> list[str]:
    names = [each.name for each in LINE]
    return names[: names.index(stage)]


KILLER = """
import os, signal, sys
from duchenne.pipeline.run import run
place, after = sys.argv[1], int(sys.argv[2])
module, _, name = place.rpartition(".")
owner = __import__("importlib").import_module(module.partition(":")[0])
for part in filter(None, module.partition(":")[2].split(".")):
    owner = getattr(owner, part)
whole, calls = getattr(owner, name), [0]
def deadly(*args, **kwargs):
    calls[0] += 1
    if calls[0] > after:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **kwargs)
setattr(owner, name, deadly)
run("quick", sys.argv[3], sys.argv[4], changes=tuple(sys.argv[5:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "place", "after"),
    [
        pytest.param("faces", "pandas:DataFrame.to_parquet", 0, marks=pytest.mark.slow),
        ("network", "duchenne.training.fit:_Learner.training_step", 4),
        pytest.param("network", "duchenne.training.jobs.predictions", 0, marks=pytest.mark.slow),
        pytest.param("network", "lightning:Trainer.save_checkpoint", 1, marks=pytest.mark.slow),
        pytest.param("units", "duchenne.experiments.survey.survey", 2, marks=pytest.mark.slow),
        ("evidence", "duchenne.evidence.nulls.compare", 2),
        pytest.param(
            "stimulation", "duchenne.experiments.stimulate.stimulate", 1, marks=pytest.mark.slow
        ),
        pytest.param("validity", "duchenne.pipeline.stages.validities", 2, marks=pytest.mark.slow),
        pytest.param(
            "projections", "duchenne.faces.images.decoding.write", 5, marks=pytest.mark.slow
        ),
        pytest.param("report", "duchenne.report.page.document._content", 0, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_to_the_same_results(
    stage: str, place: str, after: int, study: Study, drawings: FaceTable, tmp_path: Path
) -> None:
    out, spec = tmp_path / "killed", f"folder:{drawings.root}"
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        KILLER,
        place,
        str(after),
        spec,
        str(out),
        *SMALL,
    ]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(torch.get_num_threads())
    }  # sums are rounded by how they are shared
    assert (
        subprocess.run(command, check=False, capture_output=True, env=environment).returncode
        == -signal.SIGKILL
    )
    state = json.loads((out / "study.json").read_text())
    assert list(state["stages"]) == stages_before(stage)
    with pytest.raises(InputError, match="another study"):
        duchenne.run("quick", spec, out, changes=(*SMALL, "training.rate=0.01"), resume=True)
    duchenne.run("quick", spec, out, changes=SMALL, resume=True)
    one, two = results(study.folder), results(out)
    assert {name for name in one if one[name] != two.get(name)} == set()


def test_a_set_without_action_units_still_runs_and_says_so(bare_study: Study) -> None:
    assert bare_study.evidence.empty
    assert bare_study.untested in bare_study.summary_lines()[0]
    assert "No action unit is coded" in bare_study.untested
    assert "No action unit is coded" in bare_study.report.read_text()


# folders that are refused


def test_a_folder_that_holds_something_else_is_refused(
    study: Study, drawings: FaceTable, tmp_path: Path
) -> None:
    spec = f"folder:{drawings.root}"
    with pytest.raises(InputError, match="finished study; --resume goes on"):
        duchenne.run("quick", spec, study.folder, changes=SMALL)
    with pytest.raises(InputError, match="another study"):
        duchenne.run(
            "quick", spec, study.folder, changes=(*SMALL, "training.rate=0.01"), resume=True
        )
    with pytest.raises(InputError, match="another study"):
        duchenne.run("quick", spec, study.folder, changes=(*SMALL, "faces.size=40"), resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not a study"):
        duchenne.run("quick", spec, tmp_path / "mine", changes=SMALL)
    with pytest.raises(InputError, match="a file of that name"):
        duchenne.run("quick", spec, tmp_path / "mine/notes.txt", changes=SMALL)


def test_what_is_not_a_finished_study_does_not_open(study: Study, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no study"):
        duchenne.open(tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        duchenne.open(tmp_path)
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(InputError, match="not the description"):
        duchenne.open(tmp_path)
    state = json.loads((study.folder / "study.json").read_text())
    del state["stages"]["report"]
    (tmp_path / "study.json").write_text(json.dumps(state | {"checksum": state_checksum(state)}))
    with pytest.raises(InputError, match="report is still to do"):
        duchenne.open(tmp_path)


def test_a_study_that_cannot_be_split_writes_nothing(drawings: FaceTable, tmp_path: Path) -> None:
    for change, message in (
        ("folds.count=20", "only 12 people"),
        ("folds.run=[9]", "'folds.run': 9"),
    ):
        with pytest.raises(InputError, match=message):
            duchenne.run(
                "quick", f"folder:{drawings.root}", tmp_path / "a", changes=(*SMALL, change)
            )
        assert not (tmp_path / "a").exists()


def test_a_full_disk_leaves_no_half_written_file(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(frame: pd.DataFrame, path: Path, **options: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space"):
        duchenne.run("quick", f"folder:{drawings.root}", tmp_path / "a", changes=SMALL)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        "study.json",
        "recipe.toml",
        ".lock",
    }


def test_the_package_names_its_parts() -> None:
    for name in duchenne.__all__:
        assert getattr(duchenne, name) is not None
    assert duchenne.run is run.run
    with pytest.raises(AttributeError, match="magic"):
        duchenne.magic  # noqa: B018


def test_a_layer_or_an_option_that_is_not_there_is_refused_before_anything_is_written(
    drawings: FaceTable, tmp_path: Path
) -> None:
    for change, message in (
        ("units.layer=conv9", "conv3"),
        ("network.options.dropout=2.0", "dropout"),
        ("network.options.initialisation=rooot", "rooot"),
        ("network.name=resnet", "resnet"),
    ):
        with pytest.raises(InputError, match=message):
            duchenne.run(
                "quick", f"folder:{drawings.root}", tmp_path / "a", changes=(*SMALL, change)
            )
        assert not (tmp_path / "a").exists()


def test_a_training_that_diverges_is_named(drawings: FaceTable, tmp_path: Path) -> None:
    wild = (*SMALL, "training.optimiser=sgd", "training.rate=1e6", "training.schedule=constant")
    with pytest.raises(InputError, match=r"training\.rate"):
        duchenne.run("quick", f"folder:{drawings.root}", tmp_path / "a", changes=wild)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("scores.json", b'{"accuracy"', "is missing or damaged since it was written"),
        ("interventions.parquet", None, "is missing"),
        ("interventions.parquet", b"PAR1", "is missing or damaged since it was written"),
        ("units/conv3/evidence.parquet", None, "is missing"),
        ("study.json", b"[]", "not the description of a study"),
        ("study.json", {"stages": []}, "not the description of a study"),
        ("study.json", {"faces": {}}, "not the description of a study"),
        ("study.json", {"seed": 7}, "is damaged: its checksum is another"),
        ("study.json", b"[" * 100_000, "cannot be read"),
    ],
)
def test_a_damaged_study_names_the_file(
    avatar_study: Study,
    tmp_path: Path,
    file: str,
    content: bytes | dict[str, object] | None,
    says: str,
) -> None:
    folder = shutil.copytree(avatar_study.folder, tmp_path / "study")
    path = folder / file
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_bytes(content)
    code, _, error = command("report", folder)
    assert (code, len(error.splitlines()), f"{path}: {says}" in error) == (2, 1, True), error


def test_a_papers_figure_is_told_to_be_of_other_faces_where_it_is(avatar_study: Study) -> None:
    study = replace(
        avatar_study, recipe=recipes.read("khorrami2015", ("faces.source=ckplus:/data/ckplus",))
    )
    paper = study.recipe.paper.model_dump(mode="json") | {"within": True}
    study.__dict__["scores"] = avatar_study.scores | {"paper": paper}
    assert "the mean here lies within its spread" in study.published
    assert "on other faces" not in study.published
    other = replace(study, recipe=recipes.changed(study.recipe, ("faces.source=avatars",)))
    other.__dict__["scores"] = study.scores
    assert other.published.endswith(", on other faces than these")


@pytest.mark.slow
def test_a_set_that_names_no_people_and_a_picture_that_cannot_be_read_are_told(
    drawings: FaceTable, tmp_path: Path
) -> None:
    frame = drawings.frame.assign(subject=drawings.frame["path"], sequence=drawings.frame["path"])
    frame.loc[3, "path"] = "gone.png"
    root = shutil.copytree(drawings.root, tmp_path / "drawings")
    (root / "gone.png").write_bytes(b"")
    study = duchenne.run("quick", FaceTable(frame, root), tmp_path / "a", changes=SMALL)
    assert "people who are not named" in study.summary_lines()[0]
    assert "a person may stand in both" in study.report.read_text()
    assert "given as a table" in study.report.read_text()
    for file in (study.folder / "remarks.txt", study.report):
        assert "gone.png: the file is empty" in file.read_text()


@pytest.mark.slow
def test_a_network_learns_from_shares_of_votes(drawings: FaceTable, tmp_path: Path) -> None:
    frame = drawings.frame.copy()
    rivals = {
        "anger": "surprise",
        "happiness": "anger",
        "surprise": "happiness",
        "neutral": "anger",
    }
    shown = frame["expression"].to_numpy(str)
    rival = frame["expression"].map(rivals).to_numpy(str)
    for name in rivals:
        frame[f"votes_{name}"] = 0.6 * (shown == name) + 0.4 * (rival == name)
    voted = FaceTable(frame, drawings.root)
    changes = (*SMALL, "training.epochs=8", "folds.run=[0]")
    plain = duchenne.run("quick", voted, tmp_path / "plain", changes=changes, until="network")
    shared = duchenne.run(
        "quick",
        voted,
        tmp_path / "shared",
        changes=(*changes, "training.labels=votes"),
        until="network",
    )
    surest = [
        pd.read_parquet(s.folder / "predictions.parquet").filter(like="p_").max(axis=1).mean()
        for s in (plain, shared)
    ]
    assert shared.scores["accuracy"] > 0.8
    assert surest[1] < 0.75 < surest[0]
    with pytest.raises(InputError, match="no votes"):
        duchenne.run(
            "quick", drawings, tmp_path / "none", changes=(*SMALL, "training.labels=votes")
        )
    assert not (tmp_path / "none").exists()
