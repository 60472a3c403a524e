"""The stages of a study: each a function that writes its own files from those
of the stages before it and the pictures, and the line that they make.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from duchenne import files
from duchenne.evidence import detections, nulls
from duchenne.evidence.probes import detectors
from duchenne.experiments import (
    ablate,
    localise,
    measure_traits,
    stimulate,
    survey,
    values,
)
from duchenne.experiments.validate import validities
from duchenne.faces.geometry import crop
from duchenne.faces.preparation.steps import Preparation
from duchenne.faces.table import FaceTable
from duchenne.networks import UNTRAINED
from duchenne.pipeline import making, other_faces
from duchenne.pipeline.stage import Stage
from duchenne.progress import about
from duchenne.report import gallery, printed_tables
from duchenne.report.page import document
from duchenne.study import record
from duchenne.study.network import rehearse_features
from duchenne.study.record import Study
from duchenne.study.workspace import Examined, Workspace
from duchenne.units.features import files_of_features
from duchenne.units.layers import find
from duchenne.units.projection import has_other_activations_only

Floats = NDArray[np.float32]


def rehearse(work: Workspace) -> None:
    """Refuse before anything is written what would be refused after hours.

    Raises:
        InputError: For folds, devices, a network or a layer that cannot be
            had.
    """
    recipe = work.recipe
    crop.named(recipe.faces.crop)
    network = making.rehearse(work)
    rehearse_features(recipe, network)
    shape = (recipe.faces.channels, recipe.faces.size, recipe.faces.size)
    survey.rehearse(
        network, recipe.units.layer, shape, Preparation(recipe.network.steps)
    )
    for name in recipe.traits.layers:
        find(network, name)


def read_faces(work: Workspace) -> None:
    """Decode the faces: ``faces.parquet``, and ``remarks.txt`` on those that
    were left out or cut in doubt.
    """
    left_out = work.stack.table.left_out
    files.write_frame(
        work.study.folder / "faces.parquet", work.stack.table.frame
    )
    remarks = "".join(f"{line}\n" for line in (*left_out, *work.stack.notes))
    with files.replacing(work.study.folder / "remarks.txt") as partial:
        partial.write_text(remarks, encoding="utf-8")
    if left_out:
        tried = len(work.given.labelled())
        work.announce(
            f"{len(left_out)} of {tried} pictures cannot be read, or show no face, and are left "
            "out: see remarks.txt"
        )


def survey_units(work: Workspace) -> None:
    """Note what every unit of the network and of its untrained control
    answers: ``responses.parquet`` and ``top.parquet``.
    """
    rows = work.shown_rows
    work.fit_features()
    for each in work.examined():
        with about(each.network):
            found = survey.survey(
                each.layer,
                work.stack.floats(rows),
                rows,
                work.recipe.units.top,
            )
        files.write_frame(
            each.folder / "responses.parquet", found.activations.frame()
        )
        files.write_frame(each.folder / "top.parquet", found.top)
    for each in work.other_controls():
        with about(each.network):
            found = survey.survey(each.layer, work.stack.floats(rows), rows, 1)
        files.write_frame(
            each.folder / "responses.parquet", found.activations.frame()
        )


def match_units(work: Workspace) -> None:
    """Match units with action units and expressions, beside the nulls:
    ``evidence.parquet``, ``summary.json``.
    """
    folder = work.study.units_folder
    trained, untrained = (each.activations() for each in work.examined())
    others = [each.activations() for each in work.other_controls()]
    faces = work.shown_faces.frame
    found = nulls.beside_nulls(
        trained,
        [untrained, *others],
        faces,
        work.recipe.evidence,
        work.recipe.seed,
    )
    if found.summary["too_few"]:
        work.announce(f"evidence: {found.summary['too_few']}")
    _write_or_remove(folder / "evidence.parquet", found.evidence)
    _write_or_remove(folder / UNTRAINED / "evidence.parquet", found.untrained)
    _write_or_remove(folder / "expressions.parquet", found.expressions)
    files.write_json(folder / "summary.json", found.summary)


def project_units(work: Workspace) -> None:
    """Project the clearest units back into their top pictures:
    ``projections/``.
    """
    folder = work.study.units_folder
    units = gallery.chosen(folder, work.recipe.units.gallery)
    gallery.draw(folder, work.pair, work.stack, units, work.recipe.units)


def locate_units(work: Workspace) -> None:
    """Tell where units look, against where action units act:
    ``localisation.parquet``, of the network and of its untrained control.

    Where the faces are neither avatars nor have landmarks, nobody knows where
    action units act, and none is written.
    """
    acting = work.acting
    for each in work.examined():
        found = None
        if acting:
            top = files.read_frame(each.folder / "top.parquet")
            with about(each.network):
                found = localise.locate(
                    each.layer,
                    work.stack,
                    top,
                    acting,
                    work.recipe.units.method,
                )
        _write_or_remove(each.folder / "localisation.parquet", found)


def stimulate_action_units(work: Workspace) -> None:
    """Stimulate every action unit on rendered faces:
    ``interventions.parquet``, ``reactions.parquet``, and what the units
    answered, ``doses.safetensors``.
    """
    folder = work.study.folder
    size = work.recipe.faces.size
    channels = work.recipe.faces.channels
    faces = stimulate.render(work.stimulating, size, channels)
    for each in work.examined():
        with about(each.network):
            found = stimulate.stimulate(
                each.layer, work.pair, each.spread(), faces
            )
        if each.is_control:
            files.write_frame(
                each.folder / "interventions.parquet", found.units
            )
            continue
        files.write_frame(folder / "interventions.parquet", found.units)
        files.write_frame(folder / "reactions.parquet", found.expressions)
        with files.replacing(each.folder / "doses.safetensors") as partial:
            kept = {"answers": found.answers, "outputs": found.outputs}
            save_file(kept, partial)


def answer_values(work: Workspace) -> None:
    """Tell what the network's values answer to, as valence or the outputs of an
    action-unit detector: ``values.parquet``, empty where it gives none.
    """
    names = tuple(work.recipe.network.output.values)
    found = pd.DataFrame()
    if names:
        rows = work.shown_rows
        pictures = work.stack.stored[rows]
        found = values.answered(
            work.pair,
            names,
            pictures,
            work.shown_faces.frame,
            work.study.outputs(),
            work.recipe.evidence,
            work.recipe.seed,
        )
    files.write_frame(work.study.folder / "values.parquet", found)


def ablate_units(work: Workspace) -> None:
    """Ablate units, and the detectors of each action unit together:
    ``ablations.parquet``.
    """
    recipe = work.recipe
    if not work.pair.classes:
        files.write_frame(
            work.study.folder / "ablations.parquet", pd.DataFrame()
        )
        return
    trained = work.trained
    found = pd.DataFrame({"unit": [], "au": []})
    if len(work.study.evidence):
        found = detections(work.study.evidence, recipe.evidence.level)
    chosen = ablate.sets(
        found, trained.spread(), recipe.ablation.random_sets, recipe.seed
    )
    shown = _affordable(work, chosen)
    effects = ablate.ablate(trained.layer, shown, chosen, recipe.ablation.fill)
    files.write_frame(work.study.folder / "ablations.parquet", effects)


def _affordable(work: Workspace, chosen: ablate.Sets) -> ablate.Shown:
    """The pictures that units are ablated on, within the recipe's limit."""
    told = work.recipe.ablation
    every = ablate.Shown(
        work.stack, work.rows(told.pictures), work.pair.classes
    )
    shown = ablate.affordable(
        work.trained.layer, every, chosen, told.limit, work.recipe.seed
    )
    if len(shown.known) < len(every.known):
        work.announce(
            f"ablation: {len(shown.known)} of {len(every.known)} pictures, as many of each class, "
            f"are within ablation.limit={told.limit:g}"
        )
    return shown


def try_detectors(work: Workspace) -> None:
    """Judge units as detectors of action units on people left out:
    ``detectors.parquet``, of the network and of its untrained control.
    """
    recipe = work.recipe
    faces = work.shown_faces
    presence = faces.presence()
    people = nulls.who(faces.frame)[0]
    folds = min(recipe.detectors.folds, len(set(people)))
    columns = [f"{au}_intensity" for au in presence]
    intensities = faces.frame.reindex(columns=columns).set_axis(
        list(presence), axis=1
    )
    can_be_tried = presence.notna().to_numpy().any() and folds > 1
    for each in work.examined():
        found = None
        if can_be_tried:
            with about(each.network):
                found = detectors(
                    each.activations(),
                    presence,
                    intensities,
                    people,
                    folds=folds,
                    least=recipe.evidence.least,
                    seed=recipe.seed,
                )
        _write_or_remove(each.folder / "detectors.parquet", found)


def judge_scores(work: Workspace) -> None:
    """Judge every score by what moves the units, on the study's faces and on
    others: ``validity.parquet``.
    """
    by_coin = work.stimulating.model_copy(update={"protocol": "free"})
    free = stimulate.loaded(
        by_coin, work.recipe.faces.size, work.recipe.faces.channels
    )
    repeated = stimulate.repeated(*work.study.doses())
    parts = [repeated.assign(network="trained", faces="dose")]
    for each in work.examined():
        with about(f"{each.network}, free faces"):
            surveyed = survey.survey(
                each.layer, free.pictures, np.arange(len(free)), 1
            )
        parts.append(_on_study(work, each))
        on_free = surveyed.activations.value
        parts.append(_validity(work, each, "free", on_free, free.table))
    validity = pd.concat(parts, ignore_index=True)
    files.write_frame(work.study.folder / "validity.parquet", validity)


def _on_study(work: Workspace, each: Examined) -> pd.DataFrame:
    """Validity of every score on the study's own faces, those of all people as
    the stage *evidence* found them.
    """
    known = None
    if len(work.study.evidence):
        known = files.read_frame(each.folder / "evidence.parquet")
    activations = each.activations()
    return _validity(work, each, "study", activations, work.shown_faces, known)


def _validity(
    work: Workspace,
    each: Examined,
    name: str,
    activations: Floats,
    faces: FaceTable,
    known: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Validity of every score of a network on some faces, by what moves its
    units.
    """
    moved = work.study.interventions
    shares: tuple[float, ...] = (0.25, 0.5, 1.0)
    if each.is_control:
        moved = files.read_frame(each.folder / "interventions.parquet")
        shares = (1.0,)
    settings = work.recipe.evidence
    with about(each.network):
        found = validities(
            activations,
            faces.frame,
            moved,
            settings,
            work.recipe.seed,
            shares,
            known,
        )
    return found.assign(network=each.network, faces=name)


def measure_unit_traits(work: Workspace) -> None:
    """Measure the traits of every layer that has maps, of the network and of
    its untrained control: ``traits.parquet``, empty where they are left out
    and where the network has no classes, which some of them are told by.
    """
    asked = work.recipe.traits
    if not asked.pictures or not work.pair.classes:
        files.write_frame(work.study.folder / "traits.parquet", pd.DataFrame())
        return
    pair = work.pair
    rows = work.not_trained_on
    first = pair.prepare(torch.from_numpy(work.stack.floats(rows[:1])))
    layers = measure_traits.with_maps(
        pair.trained, asked.layers or work.layers, first
    )
    same = layers and has_other_activations_only(
        pair.trained, layers[-1], first
    )
    found = measure_traits.measure(
        pair,
        layers,
        work.stack,
        rows,
        "gradient" if same else "deconvnet",
        measure_traits.Counts(
            work.recipe.units.top, asked.pictures, asked.filters
        ),
    )
    files.write_frame(work.study.folder / "traits.parquet", found)


def write_report(work: Workspace) -> None:
    """Write the page, its figures and tables from the files of the other
    stages.
    """
    document.write(work.study)
    printed_tables.write_all(work.study)


def _write_or_remove(path: Path, frame: pd.DataFrame | None) -> None:
    if frame is None:
        path.unlink(missing_ok=True)
    else:
        files.write_frame(path, frame)


LINE = (
    Stage(
        "faces",
        needs=(),
        reads=("faces.no_face", "faces.size", "faces.channels"),
        do=read_faces,
        writes=("faces.parquet", "remarks.txt"),
        beside=lambda recipe: [crop.identity(recipe.faces.crop)],
    ),
    Stage(
        "network",
        needs=("faces",),
        reads=("seed", "folds", "network", "training", "paper"),
        passes_over=("training.log",),
        do=making.make,
        writes=(
            "training",
            "predictions.parquet",
            "scores.json",
            "network.safetensors",
            "network.json",
            "controls.safetensors",
        ),
        beside=lambda recipe: making.digests(recipe),
    ),
    Stage(
        "units",
        needs=("network",),
        reads=(
            "units.layer",
            "units.pictures",
            "units.top",
            "units.activation",
        ),
        do=survey_units,
        writes=(
            "{layer}/responses.parquet",
            "{layer}/top.parquet",
            "{layer}/features.safetensors",
        ),
        revision=2,
        beside=lambda recipe: files_of_features(recipe.units.layer),
    ),
    Stage(
        "evidence",
        needs=("units",),
        reads=("evidence",),
        do=match_units,
        writes=(
            "{layer}/evidence.parquet",
            "{layer}/expressions.parquet",
            "{layer}/summary.json",
        ),
        revision=4,
    ),
    Stage(
        "localisation",
        needs=("units",),
        reads=("units.method",),
        do=locate_units,
        writes=("{layer}/localisation.parquet",),
    ),
    Stage(
        "stimulation",
        needs=("units",),
        reads=("stimulation", "faces.avatars"),
        do=stimulate_action_units,
        writes=(
            "interventions.parquet",
            "reactions.parquet",
            "{layer}/doses.safetensors",
            "{layer}/untrained/interventions.parquet",
        ),
        revision=2,
        beside=lambda recipe: [recipe.faces.source == "avatars"],
    ),
    Stage(
        "values",
        needs=("stimulation",),
        reads=("evidence",),
        do=answer_values,
        writes=("values.parquet",),
    ),
    Stage(
        "people",
        needs=("network",),
        reads=("people", "stimulation.seed", "faces.avatars"),
        do=other_faces.compare_people,
        writes=("people.parquet",),
        beside=lambda recipe: [recipe.faces.source == "avatars"],
    ),
    Stage(
        "photographs",
        needs=("evidence",),
        reads=("faces.photographs", "faces.action_units", "units.top"),
        do=other_faces.show_photographs,
        writes=("photographs",),
        beside=lambda recipe: other_faces.of_photographs(recipe),
    ),
    Stage(
        "ablation",
        needs=("evidence",),
        reads=("ablation",),
        do=ablate_units,
        writes=("ablations.parquet",),
        revision=2,
    ),
    Stage(
        "detectors",
        needs=("units",),
        reads=("detectors", "evidence.least"),
        do=try_detectors,
        writes=("{layer}/detectors.parquet",),
        revision=3,
    ),
    Stage(
        "validity",
        needs=("evidence", "stimulation"),
        reads=(),
        do=judge_scores,
        writes=("validity.parquet",),
        revision=3,
    ),
    Stage(
        "traits",
        needs=("network",),
        reads=("traits", "units.layer", "units.top"),
        do=measure_unit_traits,
        writes=("traits.parquet",),
        revision=2,
    ),
    Stage(
        "projections",
        needs=("evidence",),
        reads=("units",),
        do=project_units,
        writes=("{layer}/projections",),
        revision=2,
    ),
    Stage(
        "report",
        needs=(
            "evidence",
            "localisation",
            "values",
            "people",
            "photographs",
            "ablation",
            "detectors",
            "validity",
            "traits",
            "projections",
        ),
        reads=("name", "about"),
        do=write_report,
        writes=("report.html", "figures", "tables"),
        beside=lambda recipe: [importlib.metadata.version("duchenne")],
    ),
)
"""The stages of a study, in their order."""


def open_reportable(folder: str | Path) -> Study:
    """Find a study of which everything that its report tells of is done.

    Args:
        folder: Of the study.

    Returns:
        The study.

    Raises:
        InputError: Where the folder holds none, or one that has not come so
            far.
    """
    first, *others = LINE[-1].needs
    study = record.open(folder, until=first)
    for stage in others:
        record.refuse_undone(study.folder, study.state, stage)
    return study
