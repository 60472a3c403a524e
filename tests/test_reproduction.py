from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from duchenne import recipes
from duchenne.analyses import reproduction
from duchenne.analyses.reproduction import SHORT, published, reproduce
from duchenne.errors import DivergedError, InputError

from .test_cli import command

TINY = (
    "training.epochs=1",
    "training.batch=32",
    "training.attempts=2",
    "evidence.permutations=19",
    "evidence.score_permutations=2",
    "evidence.least=2",
    "units.gallery=2",
    "units.top=2",
    "stimulation.people=2",
    "faces.avatars.samples=1",
    "ablation.random_sets=2",
    "detectors.folds=2",
)
SMALL_FACES = {"zero_bias": 32, "zhu": 32, "sparse": 80, "pyranet": 40, "lipnet": 40}


def tiny(name: str) -> tuple[str, ...]:
    """Changes that let a recipe end within seconds: small faces of just as
    many people as its split asks for.
    """
    recipe = recipes.read(name)
    people = 22 if recipe.folds.rule.endswith("200") else 12
    folds = "[0]" if recipe.folds.rule != "official" else "[1]"
    size = f"faces.size={SMALL_FACES[recipe.network.name]}"
    return (*TINY, f"folds.run={folds}", f"faces.avatars.people={people}", size)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name for name in recipes.names() if name not in ("zhu2018-manifold", "zhu2018-printed")],
)
def test_every_recipe_trains_on_avatars_from_the_command_line(name: str, tmp_path: Path) -> None:
    sets = [part for change in tiny(name) for part in ("--set", change)]
    code, told, error = command(
        "train", name, "--data", "avatars", "--out", tmp_path / "a", "--workers", 1, *sets
    )
    assert (code, Path(told.splitlines()[-1]).name) == (0, "scores.json"), error


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mousavi2016-lipnet-jaffe",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("khorrami2015-tfd-plain", "zhu2018", "mousavi2016-cnn")
        ),
    ],
)
def test_a_recipe_of_every_network_runs_to_its_report(name: str, tmp_path: Path) -> None:
    sets = [part for change in tiny(name) for part in ("--set", change)]
    code, told, error = command("run", name, "--out", tmp_path / "a", "--workers", 1, *sets)
    assert (code, Path(told.splitlines()[-1]).name) == (0, "report.html"), error


def test_weights_as_printed_by_zhu2018_leave_the_numbers(tmp_path: Path) -> None:
    sets = [part for change in tiny("zhu2018-printed") for part in ("--set", change)]
    code, _, error = command(
        "train", "zhu2018-printed", "--out", tmp_path / "a", "--workers", 1, *sets
    )
    assert code == 2
    assert "training diverged in epoch 0" in error


def test_every_row_of_a_papers_table_is_in_the_reproduction() -> None:
    rows = {recipe.paper.table: recipe.paper for recipe in published()}
    assert sum("khorrami2015 Table 1" in row for row in rows) == 4
    assert sum("khorrami2015 Table 2" in row for row in rows) == 4
    assert sum("khorrami2015 Table 3" in row for row in rows) == 1
    assert sum("mousavi2016 Table II" in row for row in rows) == 4
    assert {recipe.network.name for recipe in published()} == set(SHORT)


@pytest.mark.slow
def test_a_reproduction_sets_our_figures_beside_the_papers_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = (
        *TINY,
        "faces.avatars.people=12",
        "faces.size=32",
        "folds.run=[0, 1]",
        "training.attempts=1",
    )
    monkeypatch.setitem(reproduction.SHORT, "zero_bias", fast)
    said: list[str] = []
    found = reproduce(
        tmp_path / "papers", rows="khorrami2015-[ap]*", workers=1, announce=said.append
    )
    assert found.table["recipe"].tolist() == [
        "khorrami2015-a",
        "khorrami2015-plain",
        "khorrami2015-printed",
    ]
    assert found.table["paper"].tolist() == ["96.3 ± 2.8", "81.8 ± 4.8", "96.4 ± 3.1"]
    assert set(found.table["faces"]) == {"avatars"}
    assert set(found.table["networks"]) == {"2"}
    text = found.file.read_text()
    assert text.count("| khorrami2015-") == 3
    assert "their figures cannot" in text
    assert "`faces.size=32`" in text
    pd.testing.assert_frame_equal(
        pd.read_csv(found.folder / "papers.csv", dtype=str, keep_default_na=False),
        found.table,
        check_dtype=False,
    )
    # nothing is trained twice
    monkeypatch.setattr("duchenne.training.jobs.train", None)
    again = reproduce(tmp_path / "papers", rows="khorrami2015-[ap]*", workers=1)
    pd.testing.assert_frame_equal(again.table, found.table)


def test_a_row_that_diverges_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*args: object, **kwargs: object) -> None:
        raise DivergedError(
            "fold 0, attempt 0: training diverged in epoch 0: lower training.rate 0.1"
        )

    monkeypatch.setattr("duchenne.analyses.reproduction.run", diverge)
    found = reproduce(tmp_path, rows="zhu2018-*")
    assert found.table["recipe"].tolist() == ["zhu2018-honest", "zhu2018-printed"]
    assert set(found.table["remark"]) == {"fold 0, attempt 0: training diverged in epoch 0"}


def test_a_row_runs_in_full_where_all_its_data_sets_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def note(
        recipe: recipes.Recipe, source: str, out: Path, *, changes: tuple[str, ...], **rest: object
    ) -> None:
        asked.append((recipe.name, source, changes))
        raise DivergedError("training diverged")

    monkeypatch.setattr("duchenne.analyses.reproduction.run", note)
    reproduce(tmp_path, {"ckplus": "/data/CK+"}, rows="mousavi2016-cnn*")
    assert asked == [
        ("mousavi2016-cnn", "ckplus:/data/CK+", ()),
        ("mousavi2016-cnn-jaffe", "avatars", SHORT["sparse"]),
    ]
    asked.clear()
    reproduce(tmp_path, {"ckplus": "/data/CK+", "jaffe": "/j"}, rows="mousavi2016-cnn-jaffe")
    assert asked == [("mousavi2016-cnn-jaffe", "ckplus:/data/CK+", ("faces.other=jaffe:/j",))]


def test_rows_that_no_recipe_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'lecun\*': no recipe"):
        reproduce(tmp_path, rows="lecun*")
    code, _, error = command("reproduce", "--rows", "lecun*", "--out", tmp_path)
    assert (code, error.count("\n")) == (2, 1)
