"""The stages of a study: each a function that writes its own files from those of the stages before it and the pictures."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import nn

from duchenne import cache, gathering, record
from duchenne.errors import InputError
from duchenne.evidence import comparison, detections
from duchenne.evidence.detection import detectors
from duchenne.experiments import ablation, localisation, stimulation, traits
from duchenne.experiments.agreement import agreements
from duchenne.faces import acting, crop, stack
from duchenne.faces import folds as splitting
from duchenne.faces.acting import Acting
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.prepare import Preparation
from duchenne.faces.table import FaceTable
from duchenne.networks import TWIN
from duchenne.progress import Progress, about
from duchenne.recipes import Recipe
from duchenne.report import gallery, page, tables
from duchenne.study import NEEDS, STAGES, Study
from duchenne.training import computing, jobs, scores
from duchenne.training.workers import HERE, Workers
from duchenne.units import surveys
from duchenne.units.layers import find
from duchenne.units.peaks import Peaks
from duchenne.units.projection import has_other_activations_only

_REVISIONS = dict.fromkeys(STAGES, 1) | {
    "units": 2, "evidence": 4, "stimulation": 2, "ablation": 2, "detectors": 3, "agreement": 2, "traits": 2,
    "projections": 2,
}  # fmt: skip
"""Raised for a stage when what it computes changes, so that a resumed study does it again."""


@dataclass(frozen=True)
class StudyInProgress:
    """A study being made, the faces that were ``given``, and what stages share: decoded pictures and folds."""

    study: Study
    given: FaceTable
    progress: Progress
    announce: Callable[[str], None]
    workers: Workers = HERE

    @property
    def recipe(self) -> Recipe:
        """The study's recipe."""
        return self.study.recipe

    @cached_property
    def stack(self) -> stack.Stack:
        """The labelled faces, cut and decoded."""
        return gathering.decoded(self.recipe.faces, self.given, self.progress)

    @cached_property
    def folds(self) -> list[splitting.Fold]:
        """Every fold of the recipe's rule."""
        rule = self.recipe.folds
        return splitting.split(self.study.table, rule.rule, rule.count, self.recipe.seed)

    @property
    def trained_folds(self) -> list[int]:
        """The folds that are trained on; the first one's network is looked into."""
        return list(self.recipe.folds.run) or list(range(len(self.folds)))

    @property
    def networks(self) -> list[jobs.Job]:
        """The networks to train."""
        return jobs.listed(
            self.recipe, self.trained_folds, self.study.folder / "training", self.study.state["identity"]["training"]
        )

    @property
    def pair(self) -> jobs.Pair:
        """The network that is looked into, and its twin."""
        shown = self.study.scores["shown"]
        return jobs.trained_and_twin(self.recipe, self.study.folder, shown["fold"], shown["attempt"])

    @property
    def shown_rows(self) -> NDArray[np.int64]:
        """Rows of the table that the units are shown: those of the first fold."""
        return self.rows(self.recipe.units.pictures)

    def rows(self, pictures: str) -> NDArray[np.int64]:
        """Rows of the pictures that the first fold's network was trained on (train), those ``held_out``, or all."""
        fold = self.folds[self.trained_folds[0]]
        which = {"train": fold.train, "held_out": ~fold.train, "all": np.ones(len(self.study.table), bool)}
        return np.flatnonzero(which[pictures])

    @property
    def not_trained_on(self) -> NDArray[np.int64]:
        """Rows of the table that the network which is looked into was not trained on."""
        return np.flatnonzero(~self.folds[self.study.scores["shown"]["fold"]].train)

    @property
    def layers(self) -> list[str]:
        """The layers of the network that are worth looking at."""
        return list(getattr(self.pair.trained, "LAYERS", (self.recipe.units.layer,)))

    @property
    def stimulating(self) -> AvatarSettings:
        """The people on whom single action units are stimulated: like the study's avatars, else as large as its faces."""
        faces, asked = self.recipe.faces, self.recipe.stimulation
        like = AvatarSettings(size=max(faces.size, 16), colour=faces.channels == 3)
        drawn = faces.avatars if faces.source == "avatars" else like
        return drawn.model_copy(update={"people": asked.people, "seed": asked.seed, "protocol": "dose"})

    @property
    def acting(self) -> Acting | None:
        """Where action units act in the faces, from the mesh of avatars or by landmarks; nothing where none are known."""
        faces = self.recipe.faces
        if faces.source == "avatars" and not faces.other:
            return acting.from_mesh(self.stack, faces.avatars, self.progress)
        known = self.study.table.frame.get("landmarks")
        return None if known is None or known.isna().all() else acting.from_landmarks(self.stack)


def keys(recipe: Recipe, fingerprint: str) -> dict[str, str]:
    """Digest, for each stage, what it depends on: its part of the recipe, and the stages that it follows from."""
    told = recipe.model_dump(mode="json")
    evidence = told["evidence"]
    parts: dict[str, Any] = {
        "faces": [
            fingerprint,
            crop.identity(recipe.faces.crop),
            *(told["faces"][name] for name in ("no_face", "size", "channels")),
        ],
        "training": [told["seed"], told["folds"], told["network"], _without(told["training"], "log"), told["paper"]],
        "units": [told["units"][name] for name in ("layer", "pictures", "top", "activation")],
        "evidence": [evidence],
        "localisation": [told["units"]["method"]],
        "stimulation": [told["stimulation"], told["faces"]["avatars"], told["faces"]["source"] == "avatars"],
        "ablation": [told["ablation"]],
        "detectors": [told["detectors"], evidence["least"]],
        "agreement": [],
        "traits": [told["traits"], told["units"]["layer"], told["units"]["top"]],
        "projections": [told["units"]],
        "report": [importlib.metadata.version("duchenne"), told["name"], told["about"]],
    }
    found: dict[str, str] = {}
    for stage, before in NEEDS.items():
        told_before = "".join(found[name] for name in before)
        found[stage] = hashlib.sha256(json.dumps([told_before, _REVISIONS[stage], parts[stage]]).encode()).hexdigest()[:16]
    return found


def _without(told: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != key}


def rehearse(work: StudyInProgress) -> None:
    """Refuse before anything is written what would be refused after hours: folds, devices, network, layer."""
    recipe, labelled = work.recipe, work.given.labelled()
    crop.named(recipe.faces.crop)
    rule, faces = recipe.folds, recipe.faces
    folds = splitting.split(labelled, rule.rule, rule.count, recipe.seed)
    for number in rule.run:
        if not 0 <= number < len(folds):
            raise InputError(f"recipe key 'folds.run': {number}: there are folds 0 to {len(folds) - 1}")
    if recipe.training.log == "tensorboard" and not importlib.util.find_spec("tensorboard"):
        raise InputError("recipe key 'training.log': 'tensorboard': install duchenne[tensorboard]")
    computing.planned(work.study.folder / "training", recipe.training.precision, 1, work.workers.devices)
    if recipe.training.labels == "votes":
        labelled.shares(labelled.expressions)
    network = jobs.fresh(recipe, labelled.expressions, 0)
    shape = (faces.channels, faces.size, faces.size)
    surveys.rehearse(network, recipe.units.layer, shape, Preparation(recipe.network.prepare))
    for name in recipe.traits.layers:
        find(network, name)


def read_faces(work: StudyInProgress) -> None:
    """Decode the faces: ``faces.parquet``, and ``remarks.txt`` on those that were left out or cut in doubt."""
    left_out = work.stack.table.left_out
    _write_frame(work.study.folder / "faces.parquet", work.stack.table.frame)
    with cache.replacing(work.study.folder / "remarks.txt") as partial:
        partial.write_text("".join(f"{line}\n" for line in (*left_out, *work.stack.notes)), encoding="utf-8")
    if left_out:
        tried = len(work.given.labelled())
        work.announce(
            f"{len(left_out)} of {tried} pictures cannot be read, or show no face, and are left out: see remarks.txt"
        )


def train(work: StudyInProgress) -> None:
    """Train every network: ``predictions.parquet``, ``scores.json``, ``training/folds.parquet``, and the network of the
    first fold's best attempt.
    """
    folder, listed = work.study.folder, work.networks
    given = jobs.Materials(work.recipe, work.stack, work.folds)
    found = jobs.train_all(listed, given, work.progress, work.workers)
    _write_frame(folder / "predictions.parquet", found)
    trained = {number: work.folds[number] for number in work.trained_folds}
    _write_frame(folder / "training" / "folds.parquet", jobs.parts(trained, work.stack.table))
    shown = jobs.best_of([job for job in listed if job.fold == listed[0].fold])
    told = scores.scores(found, work.stack.table.expressions, work.recipe.paper)
    if work.recipe.sources != work.recipe.paper.faces:
        told["paper"]["within"] = None  # other faces than the paper's
    by_place = {(job.fold, job.attempt): job for job in listed}
    for row in told["networks"]:
        job = by_place[row["fold"], row["attempt"]]
        row |= {"seed": job.seed, "epoch": jobs.chosen_epoch(job)["epoch"]}
    told["shown"] = {"fold": shown.fold, "attempt": shown.attempt}
    told["chosen_by"] = work.recipe.training.chosen_by
    told["leaked"] = sum(work.folds[number].leaked(work.study.table) for number in work.trained_folds)
    cache.write_json(folder / "scores.json", told)
    for name in ("network.safetensors", "network.json"):
        with cache.replacing(folder / name) as partial:
            shutil.copyfile(shown.folder / name, partial)


def survey_units(work: StudyInProgress) -> None:
    """Note what every unit of the network and of its twin answers: ``responses.parquet`` and ``top.parquet``."""
    rows, units, pair = work.shown_rows, work.recipe.units, work.pair
    for name, folder, network in _networks(work):
        progress = about(work.progress, name)
        survey = surveys.survey(network, units.layer, work.stack.floats(rows), rows, units.top, pair.prepare, progress,
                                units.activation)  # fmt: skip
        _write_frame(folder / "responses.parquet", survey.peaks.frame())
        _write_frame(folder / "top.parquet", survey.top)


def match_units(work: StudyInProgress) -> None:
    """Match units with action units and expressions, beside the nulls: ``evidence.parquet``, ``summary.json``."""
    layer = work.study.units_folder
    table = work.study.table.where(np.isin(np.arange(len(work.study.table)), work.shown_rows))
    peaks, twin = (_peaks(folder) for folder in (layer, layer / TWIN))
    found = comparison.beside_nulls(peaks, twin, table.frame, work.recipe.evidence, work.recipe.seed, work.progress)
    if found.summary["too_few"]:
        work.announce(f"evidence: {found.summary['too_few']}")
    for path, frame in {
        layer / "evidence.parquet": found.evidence,
        layer / TWIN / "evidence.parquet": found.twin,
        layer / "expressions.parquet": found.expressions,
    }.items():
        _write_or_remove(path, frame)
    cache.write_json(layer / "summary.json", found.summary)


def project_units(work: StudyInProgress) -> None:
    """Project the clearest units back into their top pictures: ``projections/``."""
    layer = work.study.units_folder
    units = gallery.chosen(layer, work.recipe.units.gallery)
    gallery.draw(layer, work.pair, work.stack, units, work.recipe.units, work.progress)


def locate_units(work: StudyInProgress) -> None:
    """Tell where units look, against where action units act: ``localisation.parquet``, of the network and of its twin.

    Where the faces are neither avatars nor have landmarks, nobody knows where action units act, and none is written.
    """
    acting = work.acting
    for name, folder, network in _networks(work):
        found = acting and localisation.locate(
            network, work.pair.prepare, work.recipe.units.layer, work.stack, record.frame(folder / "top.parquet"), acting,
            work.recipe.units.method, about(work.progress, name),
        )  # fmt: skip
        _write_or_remove(folder / "localisation.parquet", found)


def stimulate_action_units(work: StudyInProgress) -> None:
    """Stimulate every action unit on rendered faces: ``interventions.parquet``, ``reactions.parquet``, and what the units
    answered, ``doses.safetensors``.
    """
    layer, recipe, classes = work.study.units_folder, work.recipe, work.study.table.expressions
    faces = stimulation.render(work.stimulating, recipe.faces.size, recipe.faces.channels, work.progress)
    for name, folder, network in _networks(work):
        scale = _peaks(folder).std(0, dtype=np.float64)
        found = stimulation.stimulate(
            network,
            work.pair.prepare,
            recipe.units.layer,
            classes,
            scale,
            faces,
            recipe.units.activation,
            about(work.progress, name),
        )
        if folder == layer:
            _write_frame(work.study.folder / "interventions.parquet", found.units)
            _write_frame(work.study.folder / "reactions.parquet", found.expressions)
            with cache.replacing(layer / "doses.safetensors") as partial:
                save_file({"answers": found.answers}, partial)
        else:
            _write_frame(folder / "interventions.parquet", found.units)


def ablate_units(work: StudyInProgress) -> None:
    """Silence units, and the detectors of each action unit together: ``ablations.parquet``."""
    recipe, evidence = work.recipe, work.study.evidence
    found = detections(evidence, recipe.evidence.level) if len(evidence) else pd.DataFrame({"unit": [], "au": []})
    _write_frame(
        work.study.folder / "ablations.parquet",
        ablation.ablate(
            work.pair.trained, work.pair.prepare, recipe.units.layer, work.stack, work.rows(recipe.ablation.pictures),
            found, _peaks(work.study.units_folder).std(0, dtype=np.float64), recipe.ablation.fill,
            recipe.ablation.random_sets, recipe.seed, work.progress,
        ),
    )  # fmt: skip


def try_detectors(work: StudyInProgress) -> None:
    """Judge units as detectors of action units on people left out: ``detectors.parquet``, of the network and of its twin."""
    recipe = work.recipe
    table = work.study.table.where(np.isin(np.arange(len(work.study.table)), work.shown_rows))
    presence, people = table.presence(), comparison.who(table.frame)[0]
    intensities = table.frame.reindex(columns=[f"{au}_intensity" for au in presence]).set_axis(list(presence), axis=1)
    for name, folder, _ in _networks(work):
        found = None
        if presence.notna().to_numpy().any() and len(set(people)) > 1:
            found = detectors(
                _peaks(folder), presence, intensities, people, min(recipe.detectors.folds, len(set(people))),
                recipe.evidence.least, recipe.seed, about(work.progress, name),
            )  # fmt: skip
        _write_or_remove(folder / "detectors.parquet", found)


def judge_scores(work: StudyInProgress) -> None:
    """Judge every score by what moves the units, on the study's faces and on others: ``agreement.parquet``."""
    layer, recipe, seed = work.study.units_folder, work.recipe, work.recipe.seed
    shown = work.study.table.frame.iloc[work.shown_rows]
    by_coin = work.stimulating.model_copy(update={"protocol": "free"})
    pictures = stimulation.loaded(by_coin, recipe.faces.size, recipe.faces.channels, work.progress)
    found = [stimulation.repeated(*work.study.doses()).assign(network="trained", faces="dose")]
    for name, folder, network in _networks(work):
        moved = work.study.interventions if folder == layer else record.frame(folder / "interventions.parquet")
        free = surveys.survey(
            network, recipe.units.layer, pictures.pictures, np.arange(len(pictures)), 1, work.pair.prepare,
            about(work.progress, f"{name}, free faces"),
            recipe.units.activation,
        )  # fmt: skip
        shares = (0.25, 0.5, 1.0) if folder == layer else (1.0,)
        for where, peaks, faces in (("study", _peaks(folder), shown), ("free", free.peaks.value, pictures.table.frame)):
            told = agreements(peaks, faces, moved, recipe.evidence, seed, shares, about(work.progress, name))
            found.append(told.assign(network=name, faces=where))
    _write_frame(work.study.folder / "agreement.parquet", pd.concat(found, ignore_index=True))


def measure_traits(work: StudyInProgress) -> None:
    """Measure the traits of every layer that has maps, of the network and of its twin: ``traits.parquet``."""
    pair, rows = work.pair, work.not_trained_on
    first = pair.prepare(torch.from_numpy(work.stack.floats(rows[:1])))
    layers = traits.with_maps(pair.trained, work.recipe.traits.layers or work.layers, first)
    same = layers and has_other_activations_only(pair.trained, layers[-1], first)
    asked = work.recipe.traits
    found = traits.measure(
        pair.named, pair.prepare, layers, work.stack, rows, "gradient" if same else "deconvnet", work.progress,
        top=work.recipe.units.top, pictures=asked.pictures, filters=asked.filters,
    )  # fmt: skip
    _write_frame(work.study.folder / "traits.parquet", found)


def write_report(work: StudyInProgress) -> None:
    """Write the page, its figures and tables from the files of the other stages."""
    page.write(work.study, work.progress)
    tables.write_all(work.study)


STAGE_FUNCTIONS: dict[str, Callable[[StudyInProgress], None]] = {
    "faces": read_faces,
    "training": train,
    "units": survey_units,
    "evidence": match_units,
    "localisation": locate_units,
    "stimulation": stimulate_action_units,
    "ablation": ablate_units,
    "detectors": try_detectors,
    "agreement": judge_scores,
    "traits": measure_traits,
    "projections": project_units,
    "report": write_report,
}
"""What does each stage, in the order of the line."""


def _networks(work: StudyInProgress) -> Iterator[tuple[str, Path, nn.Module]]:
    """The trained network and its twin: what each is called, the folder of its units, and itself."""
    layer, pair = work.study.units_folder, work.pair
    yield "trained", layer, pair.trained
    yield "random weights", layer / TWIN, pair.twin


def _write_frame(path: Path, frame: pd.DataFrame) -> None:
    with cache.replacing(path) as partial:
        frame.to_parquet(partial, index=False)


def _write_or_remove(path: Path, frame: pd.DataFrame | None) -> None:
    if frame is None:
        path.unlink(missing_ok=True)
    else:
        _write_frame(path, frame)


def _peaks(folder: Path) -> NDArray[np.float32]:
    """What every unit answered to each picture that it was shown: (n, u)."""
    return Peaks.from_frame(record.frame(folder / "responses.parquet")).value
