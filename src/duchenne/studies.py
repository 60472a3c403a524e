"""The whole line: faces → network → units → evidence → report, in a folder that can be resumed and opened.

A study is a recipe, faces and a folder. Its stages run in order; each has a *key*, a digest of the part of the recipe that
it depends on and of the keys before it, and is done again only where its key has changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from duchenne import cache, recipes
from duchenne.errors import InputError
from duchenne.faces import folds as splitting
from duchenne.faces import sources, stack
from duchenne.faces.table import FaceTable
from duchenne.networks import TWIN
from duchenne.progress import Progress, quiet
from duchenne.recipes import Recipe

STAGES = ("faces", "training", "units", "evidence", "projections", "report")
_VERSIONS = ("duchenne", "torch", "lightning", "numpy", "pandas", "scikit-learn", "scipy", "anny", "warp-lang")


@dataclass(frozen=True)
class Study:
    """A run folder and what it holds.

    ``run`` makes one; ``open`` finds a finished one again.
    """

    folder: Path
    recipe: Recipe
    state: dict[str, Any] = field(default_factory=dict, compare=False)
    seconds: dict[str, float] = field(default_factory=dict, compare=False)

    @cached_property
    def table(self) -> FaceTable:
        """The faces of the study."""
        return FaceTable(pd.read_parquet(self.folder / "faces.parquet"), Path(self.state["faces"]["root"]))

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Accuracy, confusion matrix and the rest of ``scores.json``."""
        told: dict[str, Any] = json.loads((self.folder / "scores.json").read_text())
        return told

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """One row a unit and action unit; empty where the faces have no action units."""
        path = self.units_folder / "evidence.parquet"
        return pd.read_parquet(path) if path.exists() else pd.DataFrame()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """How many units detect an action unit, beside the same under permuted labels and random weights."""
        told: dict[str, Any] = json.loads((self.units_folder / "summary.json").read_text())
        return told

    @property
    def units_folder(self) -> Path:
        """Where the units of the recipe's layer are described."""
        return self.folder / "units" / self.recipe.units.layer

    @property
    def report(self) -> Path:
        """The page."""
        return self.folder / "report.html"

    def told(self) -> list[str]:
        """What the study found and where it lies, in a few lines."""
        from duchenne.report import page

        seconds = ", ".join(f"{stage} {value:.0f} s" for stage, value in self.seconds.items())
        places = f"scores.json, {self.units_folder.relative_to(self.folder)}/evidence.parquet, figures/ in {self.folder}"
        return [page.headline(self), *([seconds] if seconds else []), places]

    def _repr_html_(self) -> str:
        scores = self.scores
        return (
            f"<p><b>{self.recipe.name}</b>: accuracy {scores['accuracy']:.1%} of {scores['pictures']} held-out "
            f"pictures; <a href='{self.report}'>report</a></p>"
        )


def run(
    recipe: str | Recipe | None = None,
    data: str | FaceTable | None = None,
    out: str | Path | None = None,
    *,
    changes: tuple[str, ...] = (),
    resume: bool = False,
    progress: Progress = quiet,
    announce: Callable[[str], None] = lambda line: None,
) -> Study:
    """Run a recipe from faces to report and return the study.

    ``recipe`` is ``quick`` by default; with ``resume`` and neither recipe, data nor changes, that of the study in ``out``.
    ``data`` is a source such as ``"folder:/photos"`` or a table; ``out`` a folder, ``runs/<recipe>-<date>`` by default;
    ``changes`` set single keys, as in ``("training.epochs=4",)``; ``announce`` is given a line for each stage that ends.
    Raises ``InputError`` for everything that the user gave and that cannot be used, and where ``out`` holds another
    study.
    """
    if resume and out is None:
        raise InputError("--resume: name the study's folder with --out")
    stored = _stored(Path(out), resume) if out is not None else None
    if stored and recipe is None and data is None and not changes:
        chosen, changes = recipes.validated(stored["recipe"]), tuple(stored["changes"])
    else:
        chosen = _chosen(recipe or "quick", data, changes)
    folder = Path(out) if out is not None else Path("runs") / f"{chosen.name}-{time.strftime('%Y-%m-%d')}"
    if out is None:
        _stored(folder, resume)
    if stored and stored["faces"]["source"] != chosen.faces.source:
        raise InputError(f"--out {folder}: holds another study, of the faces {stored['faces']['source']}")
    if chosen.faces.source == "table" and data is None:
        raise InputError(f"--out {folder}: its faces were given as a table; give it again")
    known = data if isinstance(data, FaceTable) else None
    table = known if known is not None else sources.load(chosen.faces.source, chosen.faces.avatars, progress)
    return _Line(folder, chosen, table, stored, changes, progress, announce).walk()


def _chosen(recipe: str | Recipe, data: str | FaceTable | None, changes: tuple[str, ...]) -> Recipe:
    chosen = recipes.read(recipe, changes) if isinstance(recipe, str) else recipe
    if data is None:
        return chosen
    source = data if isinstance(data, str) else "table"
    return chosen.model_copy(update={"faces": chosen.faces.model_copy(update={"source": source})})


def open(folder: str | Path) -> Study:
    """Find a finished study again.

    Raises ``InputError`` where the folder holds none, or one that has not ended.
    """
    path = Path(folder)
    state = _read_state(path)
    if state is None:
        raise InputError(f"{path}: holds no study (no study.json)")
    missing = [stage for stage in STAGES if stage not in state["stages"]]
    if missing:
        raise InputError(f"{path}: the study has not ended; {missing[0]} is still to do (run it again with --resume)")
    return Study(path, recipes.validated(state["recipe"]), state)


def _read_state(folder: Path) -> dict[str, Any] | None:
    file = folder / "study.json"
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None
    if not isinstance(told, dict) or not {"recipe", "stages", "faces", "identity"} <= told.keys():
        raise InputError(f"{file}: not the description of a study")
    return told


def _stored(folder: Path, resume: bool) -> dict[str, Any] | None:
    """What an earlier run left in the folder, or refuse the folder."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: a file of that name exists")
    state = _read_state(folder)
    if state is None:
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise InputError(f"--out {folder}: holds files that are not a study")
        return None
    if not resume:
        done = all(stage in state["stages"] for stage in STAGES)
        kind = "a finished study" if done else "an unfinished study"
        raise InputError(f"--out {folder}: holds {kind}; add --resume to go on with it, or name another folder")
    return state


@dataclass
class _Line:
    """One walk along the stages; each method below that a stage names writes the stage's files."""

    folder: Path
    recipe: Recipe
    table: FaceTable
    stored: dict[str, Any] | None
    changes: tuple[str, ...]
    progress: Progress
    announce: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    def walk(self) -> Study:
        """Do every stage whose key has changed, and those after it.

        ``study.json`` is written before a stage begins, without it and those after it: what a kill leaves half done is
        never taken for done.
        """
        self._check()
        keys, state = self._keys, self._state
        earlier = (self.stored or {}).get("stages", {})
        for part, other in (("faces", "other faces"), ("training", "a network trained by another recipe")):
            if (self.stored or state)["identity"][part] != state["identity"][part]:
                raise InputError(f"--out {self.folder}: holds another study, with {other}")
        for stage in STAGES:
            if earlier.get(stage) == keys[stage]:
                state["stages"][stage] = keys[stage]
                self.announce(f"{stage}: nothing has changed, kept")
                continue
            begun = time.monotonic()
            self._write_state()
            getattr(self, f"_{stage}")()
            state["stages"][stage] = keys[stage]
            self.seconds[stage] = time.monotonic() - begun
            self.announce(f"{stage}: {self.seconds[stage]:.1f} s")
        self._write_state()
        cache.sweep(self.folder)
        return Study(self.folder, self.recipe, state, self.seconds)

    def _check(self) -> None:
        """Refuse before anything is written what would be refused after hours: folds, network, layer."""
        from duchenne.training import jobs
        from duchenne.units import surveys

        rule, labelled = self.recipe.folds, self.table.labelled()
        splitting.split(labelled, rule.rule, rule.count, self.recipe.seed)
        for number in self._wanted:
            if not 0 <= number < rule.count:
                raise InputError(f"recipe key 'folds.run': {number}: there are folds 0 to {rule.count - 1}")
        network, faces = jobs.fresh(self.recipe, labelled.expressions, 0), self.recipe.faces
        surveys.rehearse(
            network, self.recipe.units.layer, (faces.channels, faces.size, faces.size), self.recipe.network.prepare
        )

    @cached_property
    def _fingerprint(self) -> str:
        return self.table.fingerprint()

    @cached_property
    def _keys(self) -> dict[str, str]:
        told = self.recipe.model_dump(mode="json")
        parts = {
            "faces": [self._fingerprint, told["faces"]["crop"], told["faces"]["size"], told["faces"]["channels"]],
            "training": [told["seed"], told["folds"], told["network"], told["training"], told["paper"]],
            "units": [told["units"]["layer"], told["units"]["pictures"], told["units"]["top"]],
            "evidence": [told["evidence"]],
            "projections": [told["units"]],
            "report": [importlib.metadata.version("duchenne"), told["name"], told["about"]],
        }
        keys, before = {}, ""
        for stage in STAGES:
            before = hashlib.sha256(json.dumps([before, parts[stage]]).encode()).hexdigest()[:16]
            keys[stage] = before
        return keys

    @cached_property
    def _state(self) -> dict[str, Any]:
        from duchenne.training import precision

        device = precision.device()
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "changes": list(self.changes),
            "identity": {stage: self._keys[stage] for stage in ("faces", "training")},
            "seed": self.recipe.seed,
            "versions": {name: importlib.metadata.version(name) for name in _VERSIONS}
            | {"python": platform.python_version()},
            "device": device,
            "precision": precision.choose(self.recipe.training.precision, device),
            "faces": {
                "source": self.recipe.faces.source,
                "root": str(self.table.root.resolve()),
                "fingerprint": self._fingerprint,
                "summary": self.table.summary(),
            },
            "stages": {},
        }

    def _write_state(self) -> None:
        with cache.replacing(self.folder / "study.json") as partial:
            partial.write_text(json.dumps(self._state, indent=2) + "\n", encoding="utf-8")

    @cached_property
    def _stack(self) -> stack.Stack:
        faces = self.recipe.faces
        return stack.load(self.table.labelled(), faces.size, faces.channels, faces.crop, self.progress)

    @cached_property
    def _folds(self) -> list[splitting.Fold]:
        rule = self.recipe.folds
        return splitting.split(self._stack.table, rule.rule, rule.count, self.recipe.seed)

    @property
    def _wanted(self) -> list[int]:
        return list(self.recipe.folds.run) or list(range(self.recipe.folds.count))

    @property
    def _layer(self) -> Path:
        return self.folder / "units" / self.recipe.units.layer

    def _faces(self) -> None:
        _write_frame(self.folder / "faces.parquet", self._stack.table.frame)
        left_out, uncut = self._stack.table.left_out, self._stack.uncut
        lines = [*left_out, *([f"{uncut} pictures: no face found, their middle was taken"] if uncut else [])]
        if left_out:
            self.announce(f"{len(left_out)} of {len(self.table)} pictures cannot be read and are left out: see left_out.txt")
        with cache.replacing(self.folder / "left_out.txt") as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _training(self) -> None:
        from duchenne.training import jobs, scores

        found = jobs.train_folds(
            self.recipe, self._stack, self._folds, self._wanted, self.folder / "training", self.progress
        )
        _write_frame(self.folder / "predictions.parquet", found)
        told = scores.scores(found, self._stack.table.expressions, self.recipe.paper, self.recipe.seed)
        with cache.replacing(self.folder / "scores.json") as partial:
            partial.write_text(json.dumps(told, indent=2) + "\n")
        for name in ("network.safetensors", "network.json"):
            with cache.replacing(self.folder / name) as partial:
                shutil.copyfile(jobs.job_folder(self.folder / "training", self._wanted[0]) / name, partial)

    def _seen(self) -> np.ndarray:
        """Rows of the stack that the units are shown: those of the first fold."""
        fold = self._folds[self._wanted[0]]
        which = {"train": fold.train, "held_out": ~fold.train, "all": np.ones(len(self._stack), bool)}
        return np.flatnonzero(which[self.recipe.units.pictures])

    def _units(self) -> None:
        from duchenne.training import jobs
        from duchenne.units import surveys

        rows = self._seen()
        for place, network in jobs.trained_and_twin(self.recipe, self.folder, self._wanted[0]).items():
            survey = surveys.survey(
                network, self.recipe.units.layer, self._stack.pictures[rows], rows, self.recipe.units.top,
                self.recipe.network.prepare, self.progress,
            )  # fmt: skip
            folder = self._layer / TWIN if place == TWIN else self._layer
            _write_frame(folder / "responses.parquet", survey.peaks.frame())
            _write_frame(folder / "top.parquet", survey.top)

    def _evidence(self) -> None:
        from duchenne.evidence import comparison
        from duchenne.units.responses import Peaks

        table = self._stack.table.where(np.isin(np.arange(len(self._stack)), self._seen()))
        peaks, twin = (
            Peaks.from_frame(pd.read_parquet(folder / "responses.parquet")).value
            for folder in (self._layer, self._layer / TWIN)
        )
        found = comparison.beside_nulls(peaks, twin, table.frame, self.recipe.evidence, self.recipe.seed, self.progress)
        for path, frame in {
            self._layer / "evidence.parquet": found.evidence,
            self._layer / TWIN / "evidence.parquet": found.twin,
            self._layer / "expressions.parquet": found.expressions,
        }.items():
            if frame is None:
                path.unlink(missing_ok=True)
            else:
                _write_frame(path, frame)
        with cache.replacing(self._layer / "summary.json") as partial:
            partial.write_text(json.dumps(found.summary, indent=2) + "\n")

    def _projections(self) -> None:
        from duchenne.report import gallery
        from duchenne.training import jobs

        networks = jobs.trained_and_twin(self.recipe, self.folder, self._wanted[0])
        units = gallery.chosen(self._layer, self.recipe.units.gallery)
        gallery.draw(
            self._layer, networks["trained"], networks[TWIN], self._stack.pictures, units, self.recipe, self.progress
        )

    def _report(self) -> None:
        from duchenne.report import page

        page.write(Study(self.folder, self.recipe, self._state), self.progress)


def _write_frame(path: Path, frame: pd.DataFrame) -> None:
    with cache.replacing(path) as partial:
        frame.to_parquet(partial, index=False)
