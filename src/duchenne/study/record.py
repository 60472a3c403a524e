"""A study: what a run folder holds, read when it is asked for."""

from __future__ import annotations

import html
import json
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import nn

from duchenne import files, recipes
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable
from duchenne.networks import UNTRAINED
from duchenne.networks.given import hold
from duchenne.recipes import Recipe
from duchenne.study import integrity, sentences

_STATE = {
    "line",
    "recipe",
    "identity",
    "versions",
    "device",
    "precision",
    "faces",
    "stages",
}
_OLDER = _STATE - {"line"}
_OF_FACES = ("root", "source", "summary", "fingerprint")


PHOTOGRAPHS = "photographs"
"""The folder of what a network makes of photographs beside a study's faces."""


@dataclass(frozen=True)
class Photographs:
    """What a network makes of photographs beside a study's own faces.

    Attributes:
        scores: As in ``scores.json``; empty where none shows a class.
        summary: How units match their labels, and what of the study's
            detections holds (``holding``).
        ranges: A row a unit: how far it answers beyond the study's faces.
    """

    scores: dict[str, Any]
    summary: dict[str, Any]
    ranges: pd.DataFrame


@dataclass(frozen=True, repr=False)
class Study:
    """A run folder and what it holds.

    ``duchenne.run`` makes one; ``duchenne.open`` finds a finished one again.
    """

    folder: Path
    recipe: Recipe
    state: dict[str, Any] = field(default_factory=dict, compare=False)
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    @cached_property
    def table(self) -> FaceTable:
        """The faces of the study."""
        return FaceTable(
            files.read_frame(self.folder / "faces.parquet"),
            Path(self.state["faces"]["root"]),
        )

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Accuracy, confusion matrix and the rest of ``scores.json``."""
        return files.read_mapping(self.folder / "scores.json")

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """One row a unit and action unit; empty where the faces have no action
        units.
        """
        return self._frame(
            self.units_folder / "evidence.parquet",
            "evidence",
            "trained" in self.summary,
        )

    @cached_property
    def expressions(self) -> pd.DataFrame:
        """One row a unit and expression, scored as action units are."""
        return files.read_frame(self.units_folder / "expressions.parquet")

    @property
    def responses(self) -> pd.DataFrame:
        """One row a unit and picture: its max activation, and where."""
        return files.read_frame(self.units_folder / "responses.parquet")

    @cached_property
    def top(self) -> pd.DataFrame:
        """Every unit's pictures of the largest activations."""
        return files.read_frame(self.units_folder / "top.parquet")

    def untrained(self, name: str) -> pd.DataFrame:
        """Read what was measured of the untrained network's units.

        Args:
            name: Of a frame that the trained network's units have too, e.g.
                "evidence".

        Returns:
            That frame.
        """
        return files.read_frame(
            self.units_folder / UNTRAINED / f"{name}.parquet"
        )

    @cached_property
    def summary(self) -> dict[str, Any]:
        """How many units detect an action unit, beside the same under permuted
        labels and by the untrained network.
        """
        return files.read_mapping(self.units_folder / "summary.json")

    @cached_property
    def localisation(self) -> pd.DataFrame:
        """Where each unit looks, against where each action unit acts; empty
        where no face's landmarks are known.
        """
        return self._frame(
            self.units_folder / "localisation.parquet",
            "localisation",
            needed=False,
        )

    @cached_property
    def interventions(self) -> pd.DataFrame:
        """Dose and response of every unit to every action unit."""
        return self._frame(
            self.folder / "interventions.parquet", "stimulation"
        )

    def doses(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """What every unit answered to every dose of every action unit.

        Returns:
            Activations (people, action units, doses, units), and the standard
            deviation of each unit (units,) on the study's pictures.
        """
        responses = self.responses
        units = responses["unit"].nunique()
        activations = (
            responses["activation"].to_numpy(np.float64).reshape(-1, units)
        )
        return self._dosed("answers"), activations.std(0)

    def outputs(self) -> NDArray[np.float32]:
        """What the network gave for every dose of every action unit.

        Returns:
            (people, action units, doses, outputs).
        """
        return self._dosed("outputs")

    def _dosed(self, name: str) -> NDArray[np.float32]:
        file = self.units_folder / "doses.safetensors"
        try:
            found: NDArray[np.float32] = load_file(file)[name]
        except Exception as error:
            # safetensors fails in many ways on what is not its own
            raise files.unreadable(file, error) from None
        return found

    @cached_property
    def reactions(self) -> pd.DataFrame:
        """Change of every expression's probability by every action unit."""
        return self._frame(self.folder / "reactions.parquet", "stimulation")

    @cached_property
    def people_compared(self) -> pd.DataFrame:
        """What the network makes of people against who they are: a row a
        trait and measure; empty where nobody knows who they are.
        """
        return self._frame(self.folder / "people.parquet", "people")

    @cached_property
    def photographs(self) -> Photographs | None:
        """Photographs beside the study's own faces; nothing where none were
        shown.
        """
        folder = self.folder / PHOTOGRAPHS
        if not (folder / "summary.json").exists():
            return None
        scores = folder / "scores.json"
        return Photographs(
            files.read_mapping(scores) if scores.exists() else {},
            files.read_mapping(folder / "summary.json"),
            files.read_frame(folder / "ranges.parquet"),
        )

    @cached_property
    def ablations(self) -> pd.DataFrame:
        """What becomes of each expression when units are ablated."""
        return self._frame(self.folder / "ablations.parquet", "ablation")

    @cached_property
    def detectors(self) -> pd.DataFrame:
        """Single units, few and all as detectors of each action unit; empty
        where the faces have none often enough.
        """
        return self._frame(
            self.units_folder / "detectors.parquet", "detectors", needed=False
        )

    @cached_property
    def validity(self) -> pd.DataFrame:
        """How often each score names the action unit that moves a unit most."""
        return self._frame(self.folder / "validity.parquet", "validity")

    @cached_property
    def traits(self) -> pd.DataFrame:
        """mousavi2016's traits of every layer, of the network and of the
        untrained one.
        """
        return self._frame(self.folder / "traits.parquet", "traits")

    def _frame(
        self, path: Path, stage: str, needed: bool = True
    ) -> pd.DataFrame:
        """What a stage left; empty where it is still to do, or had nothing to
        tell and is not ``needed``.
        """
        if not path.exists() and not (
            needed and stage in self.state.get("stages", {})
        ):
            return pd.DataFrame()
        return files.read_frame(path)

    @property
    def units_folder(self) -> Path:
        """Where the units of the recipe's layer are described."""
        return self.folder / "units" / files.plain(self.recipe.units.layer)

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    @property
    def headline(self) -> str:
        """The study's answer: how well expressions are read, and how many
        units detect what.
        """
        units = self.recipe.units
        shown = self.shown(units.pictures)
        detection = sentences.detection(self.summary, units.layer, shown)
        return f"{self.accuracy_sentence} {detection}".strip()

    @property
    def trained_here(self) -> bool:
        """Whether its network was; else it was made elsewhere."""
        return not self.recipe.network.given

    @property
    def has_classes(self) -> bool:
        """Whether its network tells classes apart; one that gives values or an
        embedding does not.
        """
        return bool(self.scores["classes"])

    @cached_property
    def values(self) -> pd.DataFrame:
        """What the network's values, as valence or an action unit's own
        output, answer to; empty where it gives none.
        """
        return self._frame(self.folder / "values.parquet", "values")

    @property
    def network_name(self) -> str:
        """What its network is called: one that was made elsewhere as its
        card.
        """
        recipe = self.recipe
        return recipe.network.name if self.trained_here else recipe.name

    def shown(self, pictures: str) -> str:
        """What is said of the pictures that units were shown.

        Args:
            pictures: The recipe's ``units.pictures`` or ``ablation.pictures``.

        Returns:
            A clause to stand behind the word, or nothing.
        """
        return sentences.shown(pictures, self.trained_here)

    @property
    def accuracy_sentence(self) -> str:
        """How well expressions are read."""
        return sentences.accuracy(self.scores, self.table.people_known)

    @property
    def untested(self) -> str:
        """Why no action unit was tested: none is coded, or none often enough."""
        return sentences.untested(self.summary)

    @property
    def rendered_only(self) -> str:
        """What is to be said of photographs where the network was trained on
        avatars alone.
        """
        return (
            sentences.rendered_only(self.recipe.sources)
            if self.trained_here
            else ""
        )

    @property
    def truth(self) -> str:
        """What stimulating single action units says of units and of scores."""
        rendered = self.recipe.stimulation.people
        return sentences.stimulation(
            rendered, self.interventions, self.validity
        )

    @property
    def published(self) -> str:
        """The paper's figure that the study stands beside; empty where there
        is none.
        """
        comparable = self.recipe.sources == self.recipe.paper.faces
        return sentences.published(self.scores["paper"], comparable)

    def told_of_training(self) -> list[str]:
        """How well expressions are read, by each network and beside the
        paper's figure.
        """
        lines = (
            self.accuracy_sentence,
            sentences.networks(self.scores),
            self.published,
        )
        return [line for line in lines if line]

    def people(self, count: int) -> str:
        """So many people, or that the data set does not name them."""
        return sentences.people(count, self.table.people_known)

    def summary_lines(self) -> list[str]:
        """What the study found and where it lies, in a few lines."""
        seconds = [
            f"{stage} {value:.0f} s" for stage, value in self.seconds.items()
        ]
        evidence = "evidence" if len(self.evidence) else "expressions"
        units = self.units_folder.relative_to(self.folder)
        places = f"scores.json, {units}/{evidence}.parquet, tables/, figures/ in {self.folder}"
        lines = [self.headline, self.truth, ", ".join(seconds), places]
        return [line for line in lines if line]

    def __repr__(self) -> str:
        done = ", ".join(self.state.get("stages", {})) or "nothing yet"
        return f"Study({str(self.folder)!r}, recipe {self.recipe.name!r}; done: {done})"

    def _repr_html_(self) -> str:
        """What was found so far: the answer in words, or which stages are
        done.
        """
        name = html.escape(self.recipe.name)
        faces = html.escape(self.state["faces"]["summary"])
        texts = [
            f"<b>{name}</b>, {faces}",
            *map(html.escape, self._found_so_far()),
        ]
        if self.report.exists():
            texts.append(
                f"<a href='{html.escape(str(self.report))}'>report</a>"
            )
        return "".join(f"<p>{text}</p>" for text in texts)

    def _found_so_far(self) -> list[str]:
        done = self.state.get("stages", {})
        found = []
        if "evidence" in done:
            found.append(self.headline)
        elif "network" in done:
            found.append(self.accuracy_sentence)
        if "validity" in done:
            found.append(self.truth)
        if "report" not in done:
            found.append(f"done: {', '.join(done) or 'nothing yet'}")
        return found


def no_study(folder: str | Path) -> InputError:
    """What is said of a folder without a study.

    Args:
        folder: That was given.

    Returns:
        The error to raise.
    """
    if not Path(folder).exists():
        return InputError(f"{folder}: no such folder, so it holds no study")
    return InputError(
        f"{folder}: holds no study (no study.json); 'duchenne run RECIPE --out {folder}' makes one"
    )


def open(
    folder: str | Path,
    until: str = "report",
    network: nn.Module | None = None,
) -> Study:
    """Find a finished study again, or one that was done up to a stage.

    Args:
        folder: Of the study.
        until: The stage.
        network: The one that the study is of, where it was given from Python.

    Returns:
        The study.

    Raises:
        InputError: Where the folder holds none, or one that has not come so
            far.
    """
    if network is not None:
        hold(network)
    path = Path(folder)
    state = read_state(path)
    if state is None:
        raise no_study(path)
    refuse_undone(path, state, until)
    refuse_damaged(path, state)
    return Study(path, recipes.validated(state["recipe"]), state)


def refuse_damaged(folder: Path, state: dict[str, Any]) -> None:
    """Refuse a study of which a file is missing, or not as its stage wrote it.

    Args:
        folder: Of the study.
        state: What ``study.json`` holds.

    Raises:
        InputError: For such a study.
    """
    for stage in state["stages"].values():
        odd = integrity.damaged(folder, stage)
        if odd:
            again = f"'duchenne run --resume --out {folder}' makes it again"
            raise InputError(
                f"{folder / odd[0]}: is missing or damaged since it was written; {again}"
            )


def refuse_undone(folder: Path, state: dict[str, Any], until: str) -> None:
    """Refuse a study that was not done up to a stage.

    Args:
        folder: Of the study.
        state: What ``study.json`` holds.
        until: The stage.

    Raises:
        InputError: For such a study.
    """
    line = state["line"]
    if until not in line:
        raise InputError(f"stage {until!r}: not one of {', '.join(line)}")
    wanted = {until}
    for stage in reversed(line):
        if stage in wanted:
            wanted |= set(line[stage])
    missing = [
        stage
        for stage in line
        if stage in wanted and stage not in state["stages"]
    ]
    if missing:
        raise InputError(
            f"{folder}: the study has not ended; {missing[0]} is still to do, or to do again: run "
            "it with --resume"
        )


def read_state(folder: Path) -> dict[str, Any] | None:
    """Read ``study.json`` of a run folder.

    Args:
        folder: Of the study.

    Returns:
        What it holds; nothing where there is none.

    Raises:
        InputError: Where it cannot be read or describes something else.
    """
    file = folder / "study.json"
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise files.unreadable(file, error) from None
    if not _is_state(state):
        raise InputError(f"{file}: {_other(state)}")
    if state.get("checksum", state_checksum(state)) != state_checksum(state):
        raise InputError(
            f"{file}: is damaged: its checksum is another; copy it back, or run the study anew "
            "elsewhere"
        )
    return state  # type: ignore[no-any-return]  # as was seen


def _other(state: object) -> str:
    """What is said of what is not the description of a study that this version
    reads.
    """
    if (
        isinstance(state, dict)
        and state.keys() >= _OLDER
        and "line" not in state
    ):
        versions = (
            state["versions"] if isinstance(state["versions"], dict) else {}
        )
        version = versions.get("duchenne", "0.1.0")
        return f"made by duchenne {version}, whose files have other names; that version reads it"
    return "not the description of a study"


def state_checksum(state: dict[str, Any]) -> str:
    """CRC-32 of all that ``study.json`` holds but the checksum itself."""
    held = {name: value for name, value in state.items() if name != "checksum"}
    text = json.dumps(held, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"


def _is_state(state: object) -> bool:
    """Whether this is what ``study.json`` holds, as far as it is relied on."""
    return (
        isinstance(state, dict)
        and state.keys() >= _STATE
        and all(
            isinstance(state[name], dict)
            for name in (
                "line",
                "recipe",
                "identity",
                "versions",
                "faces",
                "stages",
            )
        )
        and all(isinstance(needs, list) for needs in state["line"].values())
        and all(
            isinstance(state["faces"].get(name), str) for name in _OF_FACES
        )
        and all(isinstance(stage, dict) for stage in state["stages"].values())
    )
