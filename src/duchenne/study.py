"""A study: what a run folder holds, read when it is asked for."""

from __future__ import annotations

import html
import json
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file

from duchenne import record
from duchenne.errors import InputError
from duchenne.faces.table import FaceTable
from duchenne.recipes import Recipe

if TYPE_CHECKING:
    from duchenne.showing.unit import Unit

NEEDS = {
    "faces": (),
    "training": ("faces",),
    "units": ("training",),
    "evidence": ("units",),
    "localisation": ("units",),
    "stimulation": ("units",),
    "ablation": ("evidence",),
    "detectors": ("units",),
    "agreement": ("evidence", "stimulation"),
    "traits": ("training",),
    "projections": ("evidence",),
    "report": ("evidence", "localisation", "ablation", "detectors", "agreement", "traits", "projections"),
}
"""The stages of a study in their order, by their names in ``study.json``, and which ones each follows from."""

STAGES = tuple(NEEDS)

_STATE = {"recipe", "identity", "versions", "device", "precision", "faces", "stages"}
_OF_FACES = ("root", "source", "summary", "fingerprint")

SHOWN = {
    "train": "that it was trained on",
    "held_out": "that it was not trained on (validation and test)",
    "all": "of which it was trained on some",
}
"""What is said of the pictures that the units were shown, by the recipe's ``units.pictures``."""


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
        return FaceTable(record.frame(self.folder / "faces.parquet"), Path(self.state["faces"]["root"]))

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Accuracy, confusion matrix and the rest of ``scores.json``."""
        return record.mapping(self.folder / "scores.json")

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """One row a unit and action unit; empty where the faces have no action units."""
        return self._frame(self.units_folder / "evidence.parquet", "evidence", "trained" in self.summary)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """How many units detect an action unit, beside the same under permuted labels and random weights."""
        return record.mapping(self.units_folder / "summary.json")

    @cached_property
    def localisation(self) -> pd.DataFrame:
        """Where each unit looks, against where each action unit acts; empty where no face's landmarks are known."""
        return self._frame(self.units_folder / "localisation.parquet", "localisation", needed=False)

    @cached_property
    def interventions(self) -> pd.DataFrame:
        """Dose and response of every unit to every action unit."""
        return self._frame(self.folder / "interventions.parquet", "stimulation")

    def doses(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """What every unit answered to every dose of every action unit, (people, action units, doses, units), and the
        standard deviation of each unit (units,) on the study's pictures.
        """
        file = self.units_folder / "doses.safetensors"
        try:
            answers = load_file(file)["answers"]
        except Exception as error:  # safetensors fails in many ways on what is not its own
            raise record.unreadable(file, error) from None
        peaks = record.frame(self.units_folder / "responses.parquet")
        return answers, peaks["peak"].to_numpy(np.float64).reshape(-1, peaks["unit"].nunique()).std(0)

    @cached_property
    def reactions(self) -> pd.DataFrame:
        """Change of every expression's probability by every action unit."""
        return self._frame(self.folder / "reactions.parquet", "stimulation")

    @cached_property
    def ablations(self) -> pd.DataFrame:
        """What becomes of each expression when units are silenced."""
        return self._frame(self.folder / "ablations.parquet", "ablation")

    @cached_property
    def detectors(self) -> pd.DataFrame:
        """Single units, few and all as detectors of each action unit; empty where the faces have none often enough."""
        return self._frame(self.units_folder / "detectors.parquet", "detectors", needed=False)

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """How often each score names the action unit that moves a unit most."""
        return self._frame(self.folder / "agreement.parquet", "agreement")

    @cached_property
    def traits(self) -> pd.DataFrame:
        """mousavi2016's traits of every layer, of the network and of its random start."""
        return self._frame(self.folder / "traits.parquet", "traits")

    def _frame(self, path: Path, stage: str, needed: bool = True) -> pd.DataFrame:
        """What a stage left; empty where it is still to do, or had nothing to tell and is not ``needed``."""
        if not path.exists() and not (needed and stage in self.state.get("stages", {})):
            return pd.DataFrame()
        return record.frame(path)

    @property
    def units_folder(self) -> Path:
        """Where the units of the recipe's layer are described."""
        return self.folder / "units" / self.recipe.units.layer

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    @property
    def headline(self) -> str:
        """The study's answer in two sentences."""
        summary, recipe, first = self.summary, self.recipe, self.reading
        if "trained" not in summary:
            return f"{first} {self.untested}"
        trained = summary["trained"]
        nulls = (
            f"under permuted labels {summary['permuted_labels']['units']:.2g} on average, "
            f"with random weights {summary['random_weights']['units']}"
        )
        second = (
            f"On {summary['pictures']} pictures {SHOWN[recipe.units.pictures]} {trained['units']} of {summary['units']} "
            f"units of {recipe.units.layer} detect at least one of {len(summary['action_units'])} action units; {nulls}."
        )
        return f"{first} {second}"

    @property
    def rendered_only(self) -> str:
        """What is to be said of photographs where the network was trained on rendered faces alone; else nothing."""
        if set(self.recipe.sources) != {"avatars"}:
            return ""
        return "This network was trained on rendered faces only: what it makes of photographs is untested, and often wrong."

    @property
    def untested(self) -> str:
        """Why no action unit was tested: none is coded, or none often enough."""
        if self.summary.get("rare"):
            return "The faces carry no action unit often enough, so units are matched with expressions only."
        return (
            "No action unit is coded on these faces, so units are matched with expressions only; a detector's table can be "
            "joined by faces.action_units, as the recipe 'photographs' does."
        )

    @property
    def truth(self) -> str:
        """What stimulating single action units says of units and of scores, in two sentences."""
        from duchenne.evidence.intervention import movers

        responses, found = self.interventions, self.agreement
        told = (
            f"Single action units on {self.recipe.stimulation.people} rendered people move {len(movers(responses))} of "
            f"{responses['unit'].nunique()} units by half a standard deviation or more."
        )
        own = found[(found["network"] == "trained") & (found["score"] != "other people")]
        own = own[own["faces"] == ("study" if (own["faces"] == "study").any() else "free")]
        share = own[own["people"] == own["people"].max()].set_index("score")
        if share.empty or not share["units"].any():
            return told
        named = {score: percent(share.loc[score, "agreement"], 0) for score in ("r", "kl", "distance")}
        coded, units = (int(share.loc["r", name]) for name in ("action_units", "units"))
        return (
            f"{told} Of the {coded} action units tested, the one that moves a unit most is named by the "
            f"correlation r for {named['r']} of {units} units, by khorrami2015's divergence for {named['kl']}, by zhu2018's "
            f"distance for {named['distance']} (r by chance: {percent(share.loc['r', 'chance'], 0)})."
        )

    @property
    def reading(self) -> str:
        """How well expressions are read, in a sentence or two."""
        scores = self.scores
        they_read = "They read" if len(scores["networks"]) > 1 else "It reads"
        told = (
            f"{they_read} {percent(scores['accuracy'], 0)} of {scores['pictures']} test pictures "
            f"of {self._people_tested()} (guessing the most frequent expression: {percent(scores['majority'], 0)})."
        )
        if scores["chosen_by"] == "test":
            told += " The epoch was chosen by these very pictures: the figure is too high."
        if (scores["interval"] or [scores["accuracy"]])[0] <= scores["majority"]:
            told += " That is not clearly better than guessing: what its units answer to says little about expressions."
        return told

    def told_of_training(self) -> list[str]:
        """How well expressions are read, by each network and beside the paper's figure, in a few lines."""
        scores, networks = self.scores, self.scores["networks"]
        lines = [self.reading]
        if len(networks) > 1:
            told = f"mean {percent(scores['mean'])} ± {percent(scores['sd'])}, best {percent(scores['best'])}"
            lines.append(f"{len(networks)} networks: {told}")
        return [*lines, self.published] if self.published else lines

    @property
    def published(self) -> str:
        """The paper's figure that the study stands beside, and whether they can be compared; empty where there is none."""
        paper = self.scores["paper"]
        if not paper["accuracy"]:
            return ""
        best = f", best {paper['best']} %" if paper["best"] else ""
        spread = f" ± {paper['spread']}" if paper["spread"] else ""
        later = f" (a later version: {paper['later']} %)" if paper["later"] else ""
        told = f"{paper['table']}: {paper['accuracy']}{spread} %{best}{later}"
        if self.recipe.sources != self.recipe.paper.faces:
            return f"{told}, on other faces than these"
        beside = {True: "; the mean here lies within its spread", False: "; the mean here lies outside its spread", None: ""}
        return told + beside[paper["within"]]

    def people(self, count: int) -> str:
        """So many people, or that nobody told who they are."""
        return f"{count} people" if self.table.people_known else "people who are not named"

    def _people_tested(self) -> str:
        people, leaked = self.people(self.scores["people"]), self.scores["leaked"]
        if not self.table.people_known:
            return people
        if leaked:
            return f"{people}, {leaked} of these pictures of people that it was trained on: the split leaks"
        return f"{people} {'they have' if len(self.scores['networks']) > 1 else 'it has'} never seen"

    def told(self) -> list[str]:
        """What the study found and where it lies, in a few lines."""
        seconds = ", ".join(f"{stage} {value:.0f} s" for stage, value in self.seconds.items())
        evidence = "evidence" if len(self.evidence) else "expressions"
        units = self.units_folder.relative_to(self.folder)
        places = f"scores.json, {units}/{evidence}.parquet, tables/, figures/ in {self.folder}"
        return [self.headline, self.truth, *([seconds] if seconds else []), places]

    def unit(self, number: int) -> Unit:
        """One unit of the study's layer, which shows itself in a notebook.

        Raises ``InputError`` for a number that is not there, and for a study that has no evidence yet.
        """
        from duchenne.showing.unit import Unit

        if "evidence" not in self.state["stages"]:
            raise InputError(f"{self.folder}: evidence is still to do: run it with --resume")
        count = int(self.summary["units"])
        if not 0 <= number < count:
            raise InputError(f"unit {number}: layer {self.recipe.units.layer!r} has units 0 to {count - 1}")
        return Unit(self, number)

    def __repr__(self) -> str:
        done = ", ".join(self.state.get("stages", {})) or "nothing yet"
        return f"Study({str(self.folder)!r}, recipe {self.recipe.name!r}; done: {done})"

    def _repr_html_(self) -> str:
        """What was found so far: the answer in words, or which stages are done."""
        done = self.state.get("stages", {})
        found = [self.headline if "evidence" in done else self.reading] if "training" in done else []
        found += [self.truth] if "agreement" in done else []
        link = f"<a href='{html.escape(str(self.report))}'>report</a>" if self.report.exists() else ""
        stages = "" if "report" in done else f"done: {', '.join(done) or 'nothing yet'}"
        texts = [
            f"<b>{html.escape(self.recipe.name)}</b>, {html.escape(self.state['faces']['summary'])}",
            *map(html.escape, found),
        ]
        return "".join(f"<p>{text}</p>" for text in (*texts, stages, link) if text)


def read_state(folder: Path) -> dict[str, Any] | None:
    """Read ``study.json`` of a run folder, or nothing where there is none.

    Raises ``InputError`` where it cannot be read or describes something else.
    """
    file = folder / "study.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise record.unreadable(file, error) from None
    if not _is_state(told):
        raise InputError(f"{file}: not the description of a study")
    if told.get("checksum", state_checksum(told)) != state_checksum(told):
        raise InputError(f"{file}: is damaged: its checksum is another; copy it back, or run the study anew elsewhere")
    return told  # type: ignore[no-any-return]  # as was seen


def state_checksum(state: dict[str, Any]) -> str:
    """CRC-32 of all that ``study.json`` holds but the checksum itself."""
    held = {name: value for name, value in state.items() if name != "checksum"}
    return f"{zlib.crc32(json.dumps(held, sort_keys=True).encode()):08x}"


def _is_state(told: object) -> bool:
    """Whether this is what ``study.json`` holds, as far as it is relied on."""
    return (
        isinstance(told, dict)
        and told.keys() >= _STATE
        and all(isinstance(told[name], dict) for name in ("recipe", "identity", "versions", "faces", "stages"))
        and all(isinstance(told["faces"].get(name), str) for name in _OF_FACES)
        and all(isinstance(stage, dict) for stage in told["stages"].values())
    )


def percent(share: float, digits: int = 1) -> str:
    """Write a share in per cent, its sign kept with it on one line.

    >>> percent(0.805, 0).replace("\u202f", " ")
    '80 %'
    """
    return f"{100 * share:.{digits}f}\u202f%"
