"""Every command and every block of code of README and the documentation is
run, on small faces and studies.
"""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
import typer
from nbclient import NotebookClient
from safetensors.torch import save_file

import duchenne
from duchenne import recipes
from duchenne.analyses import reproduction
from duchenne.cli.main import app
from duchenne.faces.table import FaceTable
from duchenne.pipeline import run as pipeline
from duchenne.recipes import Recipe
from duchenne.report import papers
from duchenne.report.words import WORDS
from duchenne.study.record import Study

from . import dresses, trees
from .small import SMALL
from .test_audit import SMALL as AUDITED
from .test_cli import command
from .test_reproduction import tiny

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^(?: {4}.*)?\n)+", re.MULTILINE)


def blocks(language: str) -> list[tuple[Path, str]]:
    """The fenced blocks of a language, with their pages."""
    return [
        (page, body)
        for page in PAGES
        for kind, body in _FENCED.findall(page.read_text())
        if kind == language
    ]


def lines() -> dict[str, Path]:
    """Every line that is meant for a shell, without its remark, and the page
    where it stands first.
    """
    found: dict[str, Path] = {}
    for page in PAGES:
        text = page.read_text()
        indented = "".join(_INDENTED.findall(_FENCED.sub("", text)))
        for body in (indented, *(body for kind, body in _FENCED.findall(text) if kind == "sh")):
            for line in body.replace("\\\n", " ").splitlines():
                told = (
                    shlex.join(shlex.split(line, comments=True))
                    if line.strip().startswith(SHELL)
                    else ""
                )
                if told:
                    found.setdefault(told, page)
    return found


SHELL = ("duchenne ", "make ", "pip ", "python ", "source ")
LINES = lines()
COMMANDS = [line for line in LINES if line.startswith("duchenne ")]
PYTHON = blocks("python")


@pytest.fixture(scope="module")
def place(
    avatar_study: Study, drawings: FaceTable, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with all that the documentation speaks of: faces, data sets, a
    detector's table, a recipe and studies.
    """
    place = tmp_path_factory.mktemp("documentation")
    shutil.copytree(drawings.root, place / "photos")
    faces = np.random.default_rng(0).integers(0, 255, (32, 32, 32), np.uint8)
    trees.ckplus(place / "data" / "CK+", faces, frames=2)
    trees.jaffe(place / "data" / "jaffe", faces)
    pictures = drawings.frame["path"]
    pd.DataFrame({"file": pictures, "AU12_c": np.arange(len(pictures)) % 2}).to_csv(
        place / "openface.csv", index=False
    )
    for name in ("quick", "ckplus", "a", "b"):
        shutil.copytree(avatar_study.folder, place / "runs" / name)
    for _, body in blocks("toml"):
        named = re.match(r"# (\S+\.toml)\n", body)
        (place / (named[1] if named else "mine.toml")).write_text(body)
    code = dresses.SOURCE + "\n\nclass Net(Plain):\n    def __init__(self):\n"
    (place / "my_network.py").write_text(code + "        super().__init__(channels=3)\n")
    torch.manual_seed(0)
    weights = dresses.plain().state_dict()
    weights["conv1.weight"] = torch.rand(16, 3, 5, 5)
    save_file(weights, place / "weights.safetensors")
    return place


@pytest.fixture
def small(
    place: Path, avatar_study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Studies stay small: trained for an epoch on little faces, in this
    process, and no further.
    """
    real: Callable[..., Study] = pipeline.run

    def run(recipe: Any = None, data: Any = None, out: Any = None, **given: Any) -> Study:
        if given.get("resume"):
            shutil.copytree(out, tmp_path / "again")
            changes = (*given["changes"], "evidence.permutations=60")
            return real(
                None, None, tmp_path / "again", changes=changes, resume=True, until="evidence"
            )
        if isinstance(recipe, Recipe):  # of an audit
            return real(recipes.changed(recipe, AUDITED), data, out)
        changes = SMALL if recipe in (None, "quick") else tiny(recipe)
        few = ("faces.avatars.people=8",) if data is None else ()
        real(
            recipe,
            data,
            tmp_path / "run",
            changes=(*given["changes"], *changes, *few),
            until="network",
            workers=1,
        )
        return avatar_study

    monkeypatch.chdir(place)
    monkeypatch.setattr(pipeline, "run", run)
    monkeypatch.setattr(duchenne, "run", run)  # by its short name, too
    monkeypatch.setattr("duchenne.analyses.inspection._PEOPLE", 6)
    quick = tiny("khorrami2015-plain")
    monkeypatch.setattr(
        reproduction, "published", lambda: [recipes.read("khorrami2015-plain", quick)]
    )
    monkeypatch.setattr(reproduction, "run", real)
    monkeypatch.setattr(papers, "PLATES", {"confusion": papers.PLATES["confusion"]})
    monkeypatch.setattr(
        "duchenne.app.serve", lambda study, host, port, say: say(f"{study.folder} at {host}:{port}")
    )


def here(text: str, place: Path) -> str:
    """Paths of the documentation as they are in the test."""
    return re.sub(r"(?<![\w.])/(photos|data)\b", rf"{place}/\1", text)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_documentation_runs(line: str, place: Path, small: None) -> None:
    given = shlex.split(here(line, place))[1:]
    if given[0] == "manifold":
        given += ["--set", "training.epochs=1", "--out", str(place / "manifold")]
    code, _, error = command(*given)
    assert code in ((0, 1) if given[:2] == ["data", "check"] else (0,)), error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "body"),
    PYTHON,
    ids=[f"{page.stem}-{number}" for number, (page, _) in enumerate(PYTHON)],
)
def test_a_block_of_python_runs(
    page: Path, body: str, place: Path, small: None, tmp_path: Path
) -> None:
    duchenne.open(place / "runs" / "quick")
    made = 'out="runs/photos"'
    if made in body:  # the study that it goes on with is there already
        shutil.copytree(place / "runs" / "quick", place / "runs" / "photos", dirs_exist_ok=True)
    exec(compile(here(body, place), page.name, "exec"), {"__name__": "documentation"})


def test_other_lines_name_what_there_is() -> None:
    made = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for line in LINES:
        words = line.split()
        if words[0] == "make":
            assert all(f"\n{target}:" in made for target in words[1:] if "=" not in target), line
        elif words[0] == "pip":
            assert set(re.findall(r"\w+", "".join(re.findall(r"\[(.*?)\]", line)))) <= set(
                extras
            ), line
        elif words[:2] == ["python", "-m"]:
            assert (ROOT / Path(*words[2].split("."))).with_suffix(".py").exists() or words[2] in (
                "benchmarks",
                "pytest",
            ), line
        else:
            assert words[0] == "duchenne" or line == "source .venv/bin/activate", line


def test_every_recipe_block_is_a_recipe(place: Path) -> None:
    assert recipes.read(str(place / "mine.toml")).network.name == "pyranet"


def test_the_manifests_of_the_documentation_are_read(tmp_path: Path) -> None:
    for _, body in blocks("csv"):
        (tmp_path / "manifest.csv").write_text(body)
        for name in pd.read_csv(tmp_path / "manifest.csv")["path"]:
            trees.face(tmp_path / name)
        assert 12 in duchenne.faces.load(f"folder:{tmp_path}").action_units


@pytest.mark.slow
def test_the_tutorial_runs(place: Path) -> None:
    (place / "docs").mkdir()
    notebook = nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4)
    done = NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(place / "docs")}}
    ).execute()
    shown = [
        kind
        for cell in done.cells
        for out in cell.get("outputs", ())
        for kind in out.get("data", {})
    ]
    assert {"text/html", "image/png"} <= set(shown)
    assert not any(
        cell.get("outputs")
        for cell in nbformat.read(ROOT / "docs" / "tutorial.ipynb", as_version=4).cells
    )


@pytest.mark.slow
def test_the_site_has_every_command_and_every_number() -> None:
    code = "import site_pages as site; print(site._commands(), site._numbers())"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT / "docs"
    )
    found = done.stdout
    for path, each in named(typer.main.get_command(app)):
        told = found.split(f"\n## duchenne{path}\n")[1].split("\n## ")[0]
        assert all(
            option.opts[0] in told or str(option.name).upper() in told for option in each.params
        )
    assert all(f"| {word.name} | {word.says} |" in found for word in WORDS.values())


def named(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """The commands below one that have none below themselves."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        each = command.get_command(context, name)
        assert each is not None
        yield from named(each, f"{path} {name}")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks").glob("[a-z]*.py")), ids=lambda path: path.stem
)
def test_what_a_benchmark_imports_is_there(path: Path) -> None:
    importlib.import_module(f"benchmarks.{path.stem}")
