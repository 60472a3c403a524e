"""The stage *network*: a network is trained here, or one that was made
elsewhere is taken in; either leaves the same files.
"""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from duchenne import files, networks
from duchenne.errors import InputError
from duchenne.experiments.pair import Pair
from duchenne.faces import folds as splitting
from duchenne.faces.classes import as_classes
from duchenne.faces.table import FaceTable
from duchenne.networks.given import code
from duchenne.recipes import Recipe
from duchenne.study import network
from duchenne.study.workspace import Workspace
from duchenne.training import jobs, metrics
from duchenne.training.machine import computing

COPIED = "given"
"""The folder that keeps what a network's architecture is read from."""


def make(work: Workspace) -> None:
    """Train every network, or take in one that was made elsewhere:
    ``network.safetensors``, ``network.json``, ``predictions.parquet``,
    ``scores.json`` and the controls' statistics.
    """
    recipe = work.recipe
    if recipe.network.given:
        take_in(work)
    else:
        train(work)
    shown = work.study.scores["shown"]
    network.fit_controls(
        recipe, work.study.folder, work.stack, shown["fold"], shown["attempt"]
    )


def digests(recipe: Recipe) -> list[str]:
    """What a network that was made elsewhere is besides its card: checksums of
    the files that it is read from.

    Args:
        recipe: With the card.

    Returns:
        Checksums; none for a network that is trained here.
    """
    if not recipe.network.given:
        return []
    card = network.card(recipe)
    paths = [Path(card.weights)] if card.weights else []
    if card.kind == "code":
        paths += code.files(card.source)
    else:
        paths += card.how.files(Path(card.place).expanduser())
    return [
        files.checksum(path.expanduser())
        for path in paths
        if path.expanduser().is_file()
    ]


def rehearse(work: Workspace) -> torch.nn.Module:
    """Make the network that is to be examined, untrained or as it is given.

    Args:
        work: The study.

    Returns:
        The network.

    Raises:
        InputError: For whatever would stop the stage after hours.
    """
    recipe = work.recipe
    if recipe.network.given:
        return network.rehearse(recipe)
    labelled = work.given.labelled()
    rule = recipe.folds
    folds = splitting.split(labelled, rule.rule, rule.count, recipe.seed)
    _refuse_absent_folds(recipe, folds)
    _rehearse_training(work)
    if recipe.training.labels == "votes":
        labelled.shares(labelled.expressions)
    return jobs.fresh(recipe, labelled.expressions, 0)


def _rehearse_training(work: Workspace) -> None:
    training = work.recipe.training
    if training.log == "tensorboard" and not importlib.util.find_spec(
        "tensorboard"
    ):
        raise InputError(
            "recipe key 'training.log': 'tensorboard': install duchenne[tensorboard]"
        )
    folder = work.study.folder / "training"
    computing.planned(folder, training.precision, 1, work.workers.devices)


def _refuse_absent_folds(recipe: Recipe, folds: list[splitting.Fold]) -> None:
    for number in recipe.folds.run:
        if not 0 <= number < len(folds):
            last = len(folds) - 1
            raise InputError(
                f"recipe key 'folds.run': {number}: there are folds 0 to {last}"
            )


def train(work: Workspace) -> None:
    """Train every network: ``predictions.parquet``, ``scores.json``,
    ``training/folds.parquet``, and the network of the first fold's best
    attempt.
    """
    folder = work.study.folder
    listed = work.networks
    given = jobs.Materials(work.recipe, work.stack, work.folds)
    found = jobs.train_all(listed, given, work.workers)
    files.write_frame(folder / "predictions.parquet", found)
    trained = {number: work.folds[number] for number in work.trained_folds}
    files.write_frame(
        folder / "training/folds.parquet",
        jobs.parts(trained, work.stack.table),
    )
    shown = jobs.best_of([job for job in listed if job.fold == listed[0].fold])
    files.write_json(
        folder / "scores.json", _scores(work, found, listed, shown)
    )
    for name in ("network.safetensors", "network.json"):
        with files.replacing(folder / name) as partial:
            shutil.copyfile(shown.folder / name, partial)


def _scores(
    work: Workspace,
    predictions: pd.DataFrame,
    listed: list[jobs.Job],
    shown: jobs.Job,
) -> dict[str, Any]:
    """What ``scores.json`` holds: ``metrics.scores``, and which network is
    examined.
    """
    recipe = work.recipe
    scores = metrics.scores(
        predictions, work.stack.table.expressions, recipe.paper
    )
    if recipe.sources != recipe.paper.faces:
        scores["paper"]["within"] = None  # other faces than the paper's
    by_place = {(job.fold, job.attempt): job for job in listed}
    for row in scores["networks"]:
        job = by_place[row["fold"], row["attempt"]]
        row |= {"seed": job.seed, "epoch": jobs.chosen_epoch(job)["epoch"]}
    leaked = [
        work.folds[number].leaked(work.study.table)
        for number in work.trained_folds
    ]
    scores["shown"] = {"fold": shown.fold, "attempt": shown.attempt}
    scores["chosen_by"] = recipe.training.chosen_by
    scores["leaked"] = sum(leaked)
    return scores


def take_in(work: Workspace) -> None:
    """Keep a network that was made elsewhere, with all that it is read from,
    and note what it makes of the faces.
    """
    recipe = work.recipe
    folder = work.study.folder
    opened = network.rehearse(recipe)
    told = network.describe(recipe)
    told = replace(told, card=told.card | _copied(recipe, folder))
    networks.save(folder, opened, told)
    alone = network.as_pair(recipe, opened)
    outputs = alone.outputs(work.stack.stored)
    read = _read(recipe, work.stack.table, alone, outputs)
    files.write_frame(folder / "predictions.parquet", read)
    scores = _scores_of_classes(recipe, read)
    scores["unread"] = len(work.stack) - len(read)
    files.write_json(folder / "scores.json", scores | _NOT_TRAINED)


def _read(
    recipe: Recipe, table: FaceTable, alone: Pair, outputs: torch.Tensor
) -> pd.DataFrame:
    """What a network makes of each picture that shows one of its classes, its
    values beside it; of one without classes, of every picture.
    """
    told = recipe.network.output
    if told.classes:
        found = jobs.predictions(
            table, told.classes, alone.shares(outputs), 0, 0
        )
    else:
        found = table.frame[["path", "subject", "expression"]].copy()
    for place, name in enumerate(told.values, len(told.classes)):
        found[f"value_{name}"] = outputs[:, place].numpy()
    return _of_classes(found, table, told.classes) if told.classes else found


def _scores_of_classes(recipe: Recipe, read: pd.DataFrame) -> dict[str, Any]:
    """How well classes are read; without classes, of whom pictures are."""
    classes = recipe.network.output.classes
    if classes:
        return metrics.scores(read, classes, recipe.paper)
    return {
        "accuracy": None,
        "interval": None,
        "majority": None,
        "networks": [],
        "classes": {},
        "confusion": [],
        "pictures": len(read),
        "people": int(read["subject"].nunique()),
        "paper": recipe.paper.model_dump(mode="json") | {"within": None},
    }


_NOT_TRAINED = {
    "shown": {"fold": 0, "attempt": 0},
    "chosen_by": None,
    "leaked": 0,
    "trained_here": False,
}


def _of_classes(
    predictions: pd.DataFrame, table: FaceTable, classes: tuple[str, ...]
) -> pd.DataFrame:
    """The rows of pictures that show one of a network's classes, by its
    name.
    """
    shown = as_classes(table.frame["expression"], classes)
    predictions["expression"] = shown.to_numpy()
    known = predictions[shown.notna().to_numpy()]
    if known.empty:
        raise InputError(
            f"network.output.classes: the faces show none of {', '.join(classes)}"
        )
    return known


def _copied(recipe: Recipe, folder: Path) -> dict[str, str]:
    """Copy what the architecture is read from into the study's folder, so that
    it can be opened without the original; what the card says of it there.
    """
    card = network.card(recipe)
    kept = {
        "weights": str(Path(card.weights).absolute()) if card.weights else ""
    }
    if card.kind == "code":
        file = code.file(card.source)
        if file is not None:
            name = card.source.rpartition(":")[2]
            kept["source"] = f"{file.absolute()}:{name}"
    elif card.how.is_file:
        path = Path(card.place).expanduser()
        inside = COPIED
        if path.is_dir():
            path = path / "config.json"
        else:
            inside = f"{COPIED}/{path.name}"
        with files.replacing(folder / COPIED / path.name) as partial:
            card.how.copy(path, partial)
        kept["source"] = f"{card.kind}:{inside}"
    return kept
