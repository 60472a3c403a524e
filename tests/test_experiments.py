"""A study's experiments on its units: what the stages leave, what the commands
say, and what figures show of it.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import duchenne
from duchenne import facs
from duchenne.errors import InputError
from duchenne.evidence import detections, movers
from duchenne.experiments import ablate
from duchenne.report import tables
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace

from .test_cli import command


def test_every_unit_is_stimulated_by_every_action_unit(avatar_study: Study) -> None:
    rendered = [facs.code(number) for number in facs.rendered()]
    found, answers = (
        avatar_study.interventions,
        load_file(avatar_study.units_folder / "doses.safetensors")["answers"],
    )
    assert answers.shape == (6, len(rendered), 6, 256)
    assert found.groupby("unit")["au"].apply(list).map(lambda own: own == rendered).all()
    sided = {facs.code(number) for number in facs.rendered() if facs.ACTION_UNITS[number].sided}
    assert set(found.loc[found["laterality"].notna(), "au"]) == sided
    untrained = pd.read_parquet(avatar_study.units_folder / "untrained/interventions.parquet")
    assert not np.allclose(untrained["effect"], found["effect"])
    reactions = avatar_study.reactions
    assert set(reactions["expression"]) == set(avatar_study.table.expressions)
    assert reactions.groupby("au")["change"].sum().abs().max() < 1e-5


def test_ablations_are_of_each_unit_and_of_the_detectors_of_each_action_unit(
    avatar_study: Study,
) -> None:
    found = avatar_study.ablations
    expressions = len(avatar_study.table.expressions)
    assert len(found[found["what"] == "unit"]) == 256 * expressions
    sure = detections(avatar_study.evidence, 0.5)["au"].value_counts()
    together = found[found["what"] == "detectors"]
    assert dict(together.groupby("au")["units"].first()) == dict(sure)
    assert len(together) == len(sure) * expressions
    # of two test people nothing can be told
    assert together["logit_beyond_low"].isna().all()
    held = ablate.in_prototypes(avatar_study.table.expressions)
    assert found["prototype"].tolist() == [
        pair in held for pair in zip(found["au"], found["expression"], strict=True)
    ]


def test_prototypes_hold_action_units_of_classes_that_join_expressions_too() -> None:
    held = ablate.in_prototypes(
        ("contempt", "happiness", "sadness", "surprise", "positive", "negative")
    )
    assert {name for au, name in held if au == "AU12"} == {"happiness", "positive"}
    assert {name for au, name in held if au == "AU15"} == {"sadness", "negative"}
    assert {name for au, name in held if au == "AU26"} == {
        "surprise",
        "positive",
        "negative",
    }  # optional in fear and disgust
    assert not {name for au, name in held if au == "AU63"}


def test_where_action_units_act_is_known_of_avatars_and_by_landmarks(
    avatar_study: Study, drawn_study: Study
) -> None:
    by_mesh = Workspace(avatar_study, avatar_study.table).acting
    assert by_mesh is not None
    assert by_mesh.source == "mesh"
    assert Workspace(drawn_study, drawn_study.table).acting is None
    table = avatar_study.table
    of_others = avatar_study.recipe.faces.model_copy(update={"source": f"folder:{table.root}"})
    recipe = avatar_study.recipe.model_copy(update={"faces": of_others})
    study = replace(avatar_study, recipe=recipe)
    by_landmarks = Workspace(study, table).acting
    assert by_landmarks is not None
    assert by_landmarks.source == "landmarks"
    without = replace(table, frame=table.frame.drop(columns="landmarks"))
    study.__dict__["table"] = without
    assert Workspace(study, without).acting is None


def test_localisation_is_told_for_the_network_and_its_untrained(avatar_study: Study) -> None:
    for folder in (avatar_study.units_folder, avatar_study.units_folder / "untrained"):
        found = pd.read_parquet(folder / "localisation.parquet")
        known = found[found["pictures"] > 0]
        assert len(known) > 0.9 * 256 * 29  # the tongue is seen on no face
        assert known["energy"].between(0, 1 + 1e-9).all()
        assert known["p"].between(0, 1).all()


def test_validity_is_of_both_networks_on_both_kinds_of_faces(avatar_study: Study) -> None:
    found = avatar_study.validity
    both = {(network, faces) for network in ("trained", "untrained") for faces in ("study", "free")}
    assert set(found.groupby(["network", "faces"]).size().index) == both | {("trained", "dose")}
    own = found[(found["network"] == "trained") & (found["faces"] == "study")]
    whole = own[own["people"] == own["people"].max()]
    assert whole["units"].max() <= len(movers(avatar_study.interventions))
    assert "Single action units on 6 rendered people move" in avatar_study.truth


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("match", "AU12 Lip Corner Puller"),
        ("stimulate", "AU12 Lip Corner Puller"),
        ("ablate", "happiness"),
        ("detectors", "AU12 Lip Corner Puller"),
        ("validity", "kl_z"),
    ],
)
def test_a_command_prints_its_table_and_where_it_lies(
    avatar_study: Study, name: str, said: str
) -> None:
    code, out, error = command(name, avatar_study.folder)
    stage = {"match": "evidence", "stimulate": "stimulation", "ablate": "ablation"}.get(name, name)
    assert code == 0
    assert f"{stage}: nothing has changed, kept" in error
    assert said in out
    last = Path(out.splitlines()[-1])
    assert last == (avatar_study.folder / "tables" / f"{stage}.tex").resolve()
    assert last.read_text().startswith("\\begin{tabular}")
    kept = pd.read_csv(last.with_suffix(".csv"))
    first = kept.iloc[:, 0].astype(str)
    assert all(name in out for name in first)


@pytest.mark.slow
def test_a_command_does_what_a_change_asks_for_and_what_follows_from_it(
    avatar_study: Study, tmp_path: Path
) -> None:
    folder = shutil.copytree(avatar_study.folder, tmp_path / "a")
    before = pd.read_parquet(folder / "ablations.parquet")
    code, _, error = command("ablate", folder, "--set", "ablation.fill=mean")
    assert code == 0
    assert "ablation: nothing" not in error
    assert not pd.read_parquet(folder / "ablations.parquet")["logit_change"].equals(
        before["logit_change"]
    )
    with pytest.raises(InputError, match="report is still to do"):
        duchenne.open(folder)
    assert command("ablate", folder, "--set", "ablation.fill=zero")[0] == 0
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "ablations.parquet"), before)


@pytest.mark.parametrize("name", ["match", "stimulate", "ablate", "detectors", "validity"])
def test_commands_on_units_say_what_is_wrong(
    name: str, avatar_study: Study, tmp_path: Path
) -> None:
    assert "Example:" in command(name, "--help")[1]
    says = (
        f"{tmp_path}: holds no study (no study.json); 'duchenne run RECIPE --out {tmp_path}' makes "
        "one"
    )
    assert command(name, tmp_path)[::2] == (2, f"duchenne: {says}\n")
    code, _, error = command(name, avatar_study.folder, "--set", "stimulation.seed=0")
    assert (code, len(error.splitlines())) == (2, 1)
    assert "the network would have seen these people" in error


@pytest.mark.parametrize(
    ("stage", "said"),
    [("localisation", "the faces carry no landmarks"), ("detectors", "No action unit is coded")],
)
def test_tables_say_where_there_is_nothing_to_tell(
    stage: str, said: str, bare_study: Study
) -> None:
    with pytest.raises(InputError, match=said):
        tables.TABLES[stage](bare_study)


@pytest.mark.parametrize(
    ("figure", "panels", "rows"),
    [
        ("divergence", 10, "au"),
        ("distance", 0, "au"),
        ("doses", 10, "au"),
        ("validity", 2, "score"),
    ],
)
def test_figures_of_the_evidence_show_what_their_tables_hold(
    avatar_study: Study, figure: str, panels: int, rows: str
) -> None:
    shown = duchenne.show(avatar_study, figure)
    visible = [axes for axes in shown.figure.axes if axes.get_visible()]
    assert len(visible) == (panels or avatar_study.evidence["au"].nunique())
    assert shown.table[rows].nunique() > 3
    shown.figure.canvas.draw()


def test_doses_are_drawn_as_the_units_answered(avatar_study: Study) -> None:
    shown = duchenne.show(avatar_study, "doses", units=[7])
    lines = {line.get_label(): line.get_ydata() for line in shown.figure.axes[0].lines}
    own = shown.table.set_index("au")
    most = own["effect"].abs().idxmax()
    assert lines[most][-1] == pytest.approx(own.loc[most, "effect"], abs=1e-4)
    with pytest.raises(InputError, match="999"):
        duchenne.show(avatar_study, "doses", units=[999])


def test_the_distances_largest_is_named(avatar_study: Study) -> None:
    shown = duchenne.show(avatar_study, "distance")
    axes, au = (shown.figure.axes[0], sorted(avatar_study.evidence["au"].unique())[0])
    one = avatar_study.evidence[avatar_study.evidence["au"] == au].set_index("unit")["distance"]
    assert axes.texts[0].get_text() == str(one.idxmax())
    assert axes.get_title().startswith(au)


def test_all_detectors_of_an_action_unit_are_listed_with_what_moves_them(
    avatar_study: Study,
) -> None:
    sure = detections(avatar_study.evidence, avatar_study.recipe.evidence.level)
    au = sorted(sure["au"])[0]
    code, out, _ = command("match", avatar_study.folder, "--au", au)
    assert code == 0
    found = tables.detectors_of(avatar_study, au)
    assert set(found["unit"]) == set(sure.loc[sure["au"] == au, "unit"])
    assert out.splitlines()[0].split()[:2] == ["unit", "r"]
    for row in found.to_dict("records"):
        own = avatar_study.interventions[
            avatar_study.interventions["unit"] == row["unit"]
        ].set_index("au")["effect"]
        assert (row["moved by it"], row["moved most by"]) == (own[au], own.abs().idxmax())
    for written in (au.lower(), au[2:].lstrip("0")):
        pd.testing.assert_frame_equal(tables.detectors_of(avatar_study, written), found)
    silent = sorted(set(avatar_study.evidence["au"]) - set(sure["au"]))
    assert silent
    code, out, _ = command("match", avatar_study.folder, "--au", silent[0])
    assert (code, out.splitlines()[0]) == (
        0,
        f"No unit detects {silent[0]}: at family-wise p ≤ 0.5 none is sure.",
    )
    untested = {facs.code(number) for number in facs.ACTION_UNITS}
    untested -= set(avatar_study.evidence["au"])
    for written, problem in (
        (min(untested), "not tested, which takes"),
        ("AU99", "no action unit; there are AU01, "),
        ("smile", "no action unit; there are AU01, "),
    ):
        code, _, error = command("match", avatar_study.folder, "--au", written)
        assert (code, f"--au {written}: {problem}" in error) == (2, True)
