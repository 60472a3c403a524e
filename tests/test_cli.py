from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import duchenne
from duchenne.cli.main import app
from duchenne.cli.terminal import show
from duchenne.faces.formats import FORMATS, folder
from duchenne.faces.table import FaceTable
from duchenne.pipeline.stages import LINE

from .small import SMALL

RUNNER = CliRunner()


def command(*arguments: object) -> tuple[int, str, str]:
    done = RUNNER.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return done.exit_code, done.stdout, done.stderr


def commands(
    found: Any, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Every command by its words, with the commands below it."""
    below: list[str] = []
    if hasattr(found, "list_commands"):
        context = found.make_context("duchenne", [], resilient_parsing=True)
        below = found.list_commands(context)
    yield words, below
    for name in below:
        yield from commands(found.get_command(context, name), (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_the_commands_are_found() -> None:
    assert {("run",), ("data", "check"), ("show", "units")} <= set(COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    """A group of commands names each of them in its place."""
    code, out, _ = command(*words, "--help")
    assert code == 0
    if words and COMMANDS[words]:
        assert all(name in out for name in COMMANDS[words])
    else:
        assert "Example:" in out


def test_help_does_not_load_heavy_libraries() -> None:
    code = (
        "import sys; from duchenne.cli.main import app; print(sorted({'torch', 'pandas', 'numpy', "
        "'warp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_an_interruption_says_how_to_go_on(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("duchenne.experiments.survey.survey", interrupted)
    code, _, error = command(
        "run", "quick", "--data", f"folder:{drawings.root}", "--out", tmp_path / "a"
    )
    assert code == 130
    assert "--resume" in error


def test_recipes_are_listed_with_their_tables() -> None:
    code, out, _ = command("recipes")
    assert code == 0
    assert "khorrami2015" in out
    assert "Table 2" in out
    assert "96.4" in out


def test_render_writes_pictures_a_manifest_and_a_contact_sheet_that_read_back(
    tmp_path: Path,
) -> None:
    out = tmp_path / "faces"
    code, told, _ = command(
        "data", "render", out, "--people", 2, "--protocol", "posed", "--size", 32
    )
    assert code == 0
    assert "56 pictures of 2 people" in told
    assert (out / "contact_sheet.png").stat().st_size > 1000
    assert len(folder.load(out)) == 56
    assert command("data", "check", f"folder:{out}")[0] == 0
    code, _, error = command("data", "render", out)
    assert (code, str(out) in error) == (2, True)


def test_cropping_writes_faces_that_read_back_and_shows_what_was_in_doubt(
    drawings: FaceTable, tmp_path: Path
) -> None:
    out = tmp_path / "faces"
    code, told, error = command(
        "data", "crop", f"folder:{drawings.root}", out, "--crop", "haar", "--size", 24
    )
    assert code == 0
    assert "108 of 108 pictures cut, 108 in doubt" in told
    assert error.count("no face found, its middle was taken") == 40
    assert "… and 68 more" in error
    assert (out / "uncertain.png").stat().st_size > 1000
    read = folder.load(out)
    assert read.frame["expression"].tolist() == drawings.frame["expression"].tolist()
    assert read.frame["AU12"].tolist() == drawings.frame["AU12"].tolist()
    code, _, error = command("data", "crop", f"folder:{drawings.root}", out)
    assert (code, "not an empty folder" in error) == (2, True)
    code, _, error = command("data", "crop", f"folder:{drawings.root}", drawings.root / "in")
    assert (code, "lies within the data set" in error) == (2, True)
    code, _, error = command(
        "data", "crop", f"folder:{drawings.root}", tmp_path / "b", "--no-face", "maybe"
    )
    assert (code, "'maybe'" in error) == (2, True)


def test_augmented_faces_are_shown_with_what_the_network_is_given(
    drawings: FaceTable, tmp_path: Path
) -> None:
    sheet = tmp_path / "augmented.png"
    steps = 'network.prepare=["mean_picture", "zca"]'
    code, told, _ = command(
        "data",
        "augmented",
        f"folder:{drawings.root}",
        sheet,
        "--set",
        "faces.size=32",
        "--set",
        steps,
        "--set",
        "training.augment=khorrami2015",
    )
    assert (code, told.strip()) == (0, str(sheet))
    shown = np.asarray(Image.open(sheet).convert("L"))
    side, caption = 96, shown.shape[0] // 12 - 96
    assert shown.shape[1] == 8 * side
    first = shown[caption : caption + side, :side]
    picture = cv2.imread(str(drawings.root / drawings.frame["path"].iloc[0]), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(first, picture.repeat(3, 0).repeat(3, 1))
    second = shown[caption : caption + side, side : 2 * side]
    assert np.abs(first.astype(int) - second).mean() > 5
    code, _, error = command(
        "data", "augmented", f"folder:{drawings.root}", sheet, "--recipe", "slow"
    )
    assert (code, "'slow'" in error) == (2, True)


def test_formats_name_layout_licence_and_where_to_apply() -> None:
    code, told, _ = command("data", "formats")
    assert code == 0
    for name, format_ in FORMATS.items():
        assert f"{name}:PATH" in told
        assert format_.licence in told
        assert format_.apply in told
    machines = json.loads(command("data", "formats", "--json")[1])
    assert machines["ckplus"]["apply"].startswith("https://")


def test_checking_tells_machines_and_draws_a_sheet(drawings: FaceTable, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    code, told, _ = command("data", "check", f"folder:{drawings.root}", "--json", "--sheet", sheet)
    found = json.loads(told)
    assert (code, found["verdict"], found["remarks"]) == (0, 0, [])
    assert {"what": "pictures", "found": 108, "published": None} in found["counts"]
    assert sheet.stat().st_size > 1000


@pytest.mark.slow
def test_a_run_ends_with_the_path_of_its_report_and_resumes_with_the_recipe_that_lies_there(
    drawings: FaceTable, tmp_path: Path
) -> None:
    changes = [part for change in SMALL for part in ("--set", change)]
    code, out, error = command(
        "run", "quick", "--data", f"folder:{drawings.root}", "--out", tmp_path / "a", *changes
    )
    assert code == 0
    assert out.splitlines()[-1] == str((tmp_path / "a" / "report.html").resolve())
    assert Path(out.splitlines()[-1]).exists()
    assert "people it has never seen" in out
    assert "network: " in error
    assert "--out" in command("run", "--resume")[2]
    code, out, error = command("run", "--resume", "--out", tmp_path / "a")
    assert code == 0
    assert error.count("kept") == len(LINE)
    assert out.splitlines()[-1].endswith("report.html")
    code, _, error = command("run", "quick", "--resume", "--out", tmp_path / "a")
    assert (code, "of the faces folder:" in error) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "fast"), "'fast'"),
        (("run", "quick", "--data", "folder:/nowhere"), "/nowhere: no such folder"),
        (("run", "quick", "--data", "unheard-of:/x"), "'unheard-of:/x'"),
        (("run", "quick", "--set", "training.epoch=1"), "'training.epoch'"),
        (("data", "check", "folder:/nowhere"), "/nowhere"),
        (
            ("data", "render", "{tmp}/new", "--protocol", "danced"),
            "--protocol 'danced': not one of",
        ),
        (("data", "render", "{tmp}/new", "--people", "0"), "--people 0"),
    ],
)
def test_a_users_mistake_gets_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    code, _, error = command(*(a.format(tmp=tmp_path) for a in arguments))
    assert code == 2
    assert message in error
    last = error.strip().splitlines()[-1]
    assert last.startswith("duchenne: ")
    assert "Traceback" not in error


def test_a_layer_that_is_not_there_is_named_with_those_that_are(
    drawings: FaceTable, tmp_path: Path
) -> None:
    changes = [part for change in SMALL for part in ("--set", change)]
    arguments = (
        "run",
        "quick",
        "--data",
        f"folder:{drawings.root}",
        "--out",
        tmp_path / "a",
        "--layer",
        "conv9",
    )
    code, _, error = command(*arguments, *changes)
    assert code == 2
    assert "'conv9'" in error
    assert "conv3" in error


def test_a_full_disk_gets_one_line(
    drawings: FaceTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    code, _, error = command(
        "run", "quick", "--data", f"folder:{drawings.root}", "--out", tmp_path / "a"
    )
    assert code == 2
    assert "no space left on the disk" in error


def test_check_prints_every_fault(tmp_path: Path) -> None:
    (tmp_path / "fear").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "fear" / name).write_bytes(b"nothing")
    code, _, error = command("data", "check", f"folder:{tmp_path}")
    assert code == 2
    assert sum("not a picture" in line for line in error.splitlines()) == 2


def test_the_keys_of_a_recipe_and_the_version_are_told() -> None:
    code, told, _ = command("recipes", "khorrami2015")
    assert code == 0
    assert 'faces.crop="haar-khorrami2015"  # "none", "centre"' in told
    assert command("--version")[1] == f"duchenne {duchenne.__version__}\n"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--data", "folder:{root}"), "--data is given twice"),
        (("--set", "faces.other=folder:{root}"), "stands in both data sets"),
        (("--set", "faces.crop=yunet:nothing.onnx"), "no such detector"),
        (("--set", "network.prepare=zca"), '["zca"]'),
        (("--set", "folds.rule=other-set"), "faces.other"),
    ],
)
def test_a_wrong_choice_of_faces_is_told_before_anything_is_written(
    more: tuple[str, str], message: str, drawings: FaceTable, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    arguments = (
        "run",
        "quick",
        "--data",
        f"folder:{drawings.root}",
        "--out",
        out,
        more[0],
        more[1].format(root=drawings.root),
    )
    code, _, error = command(*arguments)
    assert (code, error.count("\n")) == (2, 1)
    assert message in error
    assert not out.exists()


def test_resuming_what_is_not_there_is_refused(tmp_path: Path) -> None:
    code, _, error = command("run", "--resume", "--out", tmp_path / "nothing")
    assert (code, "holds no study" in error) == (2, True)


def test_a_grade_alone_says_that_an_action_unit_is_there(tmp_path: Path) -> None:
    for name in "abcd":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((8, 8), np.uint8))
    rows = [
        "path,expression,AU12_intensity,AU04,AU04_intensity",
        "a.png,fear,3,,",
        "b.png,fear,0,1,2",
        "c.png,fear,,0,",
    ]
    (tmp_path / "manifest.csv").write_text("\n".join([*rows, "d.png,fear,nan,,1"]))
    frame = folder.load(tmp_path).frame
    assert frame["AU12"].tolist() == [True, False, pd.NA, pd.NA]
    assert frame["AU04"].tolist() == [pd.NA, True, False, True]


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show(pd.DataFrame({"study [b]": ["a [old]"]}))
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "study [b]",
        "a [old]",
    ]
