"""Training as a table of jobs: a network for each fold and attempt, a function of its inputs in a folder of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor, nn

from duchenne import cache, networks, record
from duchenne.errors import InputError
from duchenne.faces.folds import Fold
from duchenne.faces.prepare import Preparation
from duchenne.faces.stack import Stack
from duchenne.faces.table import FaceTable
from duchenne.networks import Description
from duchenne.progress import Progress, noted, quiet, read_note
from duchenne.recipes import Recipe
from duchenne.training import computing, workers
from duchenne.training.batches import Examples
from duchenne.training.computing import Computing
from duchenne.training.fit import CHECKPOINTS, fit, forget, probabilities
from duchenne.training.workers import HERE, Workers

_DONE, _IDENTITY, _LOCK = "predictions.parquet", "identity", "lock"
_FOLDER = re.compile(r"fold-(\d+)-attempt-(\d+)")


@dataclass(frozen=True)
class Job:
    """A network to train: on which fold, in which attempt, drawn from which seed, kept in which folder; where there are
    several GPUs, networks take them in their ``turn``. ``identity`` digests all that its study's networks are made of.
    """

    fold: int
    attempt: int
    seed: int
    folder: Path
    turn: int = 0
    identity: str = ""

    @property
    def done(self) -> bool:
        """Whether it has been trained, as part of this study, and has read its test pictures, which is written last."""
        return (self.folder / _DONE).exists() and self.begun

    @property
    def sound(self) -> bool:
        """Whether it is done, and what it left is as it was written."""
        return self.done and cache.sealed(self.folder)

    @property
    def begun(self) -> bool:
        """Whether what lies in its folder was made of the same recipe and faces."""
        file = self.folder / _IDENTITY
        return (file.read_text(encoding="ascii", errors="replace") if file.exists() else "") == self.identity

    @property
    def progress(self) -> float:
        """Which share of its training is done, as whoever trains it notes it."""
        return 1.0 if self.done else read_note(self.note)

    @property
    def note(self) -> Path:
        """Where that is noted until the job is done."""
        return self.folder / CHECKPOINTS / "progress"

    def __str__(self) -> str:
        return f"fold {self.fold}, attempt {self.attempt}"


@dataclass(frozen=True)
class Materials:
    """What the jobs of a study share: the recipe, the faces and all folds."""

    recipe: Recipe
    stack: Stack
    folds: Sequence[Fold]


def listed(recipe: Recipe, folds: Sequence[int], root: Path, identity: str = "") -> list[Job]:
    """List the jobs of a recipe: every attempt on every wanted fold."""
    return [
        Job(fold, attempt, seed(recipe, fold, attempt), root / f"fold-{fold:02d}-attempt-{attempt:02d}", identity=identity)
        for fold in folds
        for attempt in range(recipe.training.attempts)
    ]


def seed(recipe: Recipe, fold: int, attempt: int = 0) -> int:
    """Number all chance of a job is drawn from, below 2³², as PyTorch's generators on the CPU heed no higher digits.

    Odd multipliers set seeds of the recipe, folds and attempts apart.
    """
    return (attempt * 2_654_435_761 + recipe.seed * 1_000_003 + fold) % 2**32


def trained(root: Path) -> list[tuple[int, int, Path]]:
    """Find the networks below a folder: fold, attempt and folder of each, in that order."""
    found = [(_FOLDER.fullmatch(path.name), path) for path in root.iterdir()]
    return sorted((int(name[1]), int(name[2]), path) for name, path in found if name)


def describe(recipe: Recipe, classes: tuple[str, ...]) -> Description:
    """All it takes to build the recipe's network for these classes."""
    faces = recipe.faces
    crop = "none" if faces.source == "avatars" else faces.crop  # avatars are rendered as a crop leaves a face
    return Description(
        recipe.network.name, classes, recipe.network.options, faces.channels, faces.size, crop,
        recipe.network.prepare,
    )  # fmt: skip


def fresh(recipe: Recipe, classes: tuple[str, ...], fold: int, attempt: int = 0) -> nn.Module:
    """The recipe's network at its random start on a fold."""
    return networks.from_description(describe(recipe, classes), seed=seed(recipe, fold, attempt))


def train_all(listed: Sequence[Job], given: Materials, progress: Progress, by: Workers = HERE) -> pd.DataFrame:
    """Do every job that is not done yet, and collect what all of them predict for their test pictures.

    Returns one row a picture, fold and attempt: fold, attempt, path, subject, expression, predicted, and a probability for
    each class. Raises ``InputError`` as ``fit`` does, naming the job, and as ``workers.do`` does.
    """
    waiting = [replace(job, turn=turn) for turn, job in enumerate(job for job in listed if not job.sound)]
    on = computing.agreed(listed[0].folder.parent, given.recipe.training.precision, len(listed), by.devices)
    by.check(on.devices)
    count = by.side_by_side(len(waiting), on)
    if by.backend == "processes" and count <= 1:
        for job in waiting:
            train(job, given, on, progress)
    elif waiting:
        with progress("Training networks", len(waiting)) as advance:
            workers.do(waiting, partial(_noting, given=given, on=on), by, count, advance)
    for job in listed:
        forget(job.folder)  # what a kill after a job's end left
    return pd.concat([record.frame(job.folder / _DONE) for job in listed], ignore_index=True)


def _noting(job: Job, given: Materials, on: Computing) -> None:
    train(job, given, on, noted(job.note))


def train(job: Job, given: Materials, on: Computing, progress: Progress = quiet) -> None:
    """Train the network of a job and predict its test pictures; one that was interrupted goes on from its last epoch.

    Its folder then holds the network, ``history.json``, the log, and ``predictions.parquet``. Where another process trains
    in the folder, its end is awaited. Raises ``InputError`` as ``fit`` does, naming the job.
    """
    with _alone(job):
        if not job.sound:
            if job.done or not (job.folder / _IDENTITY).exists() or not job.begun:
                _begin(job)
            _train(job, given, on, progress)
    forget(job.folder)


def _begin(job: Job) -> None:
    """Clear the folder of what another study left in it, and note whose it is now."""
    for path in job.folder.iterdir():
        if path.is_file():
            path.unlink()
    for path in (job.folder / CHECKPOINTS).iterdir():
        if path.is_file() and path.name != _LOCK:
            path.unlink()
    with cache.replacing(job.folder / _IDENTITY) as partial:
        partial.write_text(job.identity, encoding="ascii")


def _train(job: Job, given: Materials, on: Computing, progress: Progress) -> None:
    recipe, stack, fold = given.recipe, given.stack, given.folds[job.fold]
    classes = stack.table.expressions
    network = fresh(recipe, classes, job.fold, job.attempt)
    learned, judge = _examples(recipe, stack, fold)
    with computing.threads(on.threads):
        prepare = Preparation(recipe.network.prepare).fit(learned.pictures, progress)
        try:
            fit(network, prepare, learned, judge, recipe.training, job.seed, job.folder, progress, on=on, turn=job.turn)
        except InputError as error:
            raise type(error)(f"{job}: {error}") from None
        found = probabilities(network, prepare, torch.from_numpy(stack.stored[fold.test]))
    networks.save(job.folder, network, describe(recipe, classes), prepare.state_dict())
    with cache.replacing(job.folder / _DONE) as half_written:
        told = predictions(stack.table.where(fold.test), classes, found, job.fold, job.attempt)
        told.to_parquet(half_written, index=False)
    cache.seal(job.folder, (_IDENTITY, "history.json", "network.json", "network.safetensors", _DONE))


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Wait until no other process trains in the job's folder: a killed study's worker, or one that seemed lost."""
    held = job.folder / CHECKPOINTS / _LOCK
    held.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(held):
        yield


def best_of(jobs: Sequence[Job]) -> Job:
    """The job whose network did best on the pictures that its epoch was chosen by; the first of equals."""
    return jobs[int(np.argmax([chosen_epoch(job)["accuracy"] for job in jobs]))]


def chosen_epoch(job: Job) -> dict[str, float]:
    """The entry of a job's history that its network was kept from."""
    file = job.folder / "history.json"
    try:
        history: list[dict[str, float]] = json.loads(file.read_text(encoding="utf-8"))
        return max(history, key=lambda entry: entry["accuracy"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise record.unreadable(file, error) from None


def parts(folds: Mapping[int, Fold], table: FaceTable) -> pd.DataFrame:
    """Tell what pictures are to numbered folds: rows of fold, path and part (train, validation or test)."""
    names = ("train", "validation", "test")
    frames = [
        pd.DataFrame({"fold": number, "path": table.frame["path"][getattr(fold, part)], "part": part})
        for number, fold in folds.items()
        for part in names
    ]
    return pd.concat(frames, ignore_index=True)


@dataclass(frozen=True)
class Pair:
    """The trained network of a study, its twin (the same network at its random start) and how both are given pictures."""

    trained: nn.Module
    twin: nn.Module
    prepare: Preparation

    @property
    def named(self) -> dict[str, nn.Module]:
        """Both by what tables call them."""
        return {"trained": self.trained, "random start": self.twin}


def trained_and_twin(recipe: Recipe, folder: Path, fold: int, attempt: int = 0) -> Pair:
    """Read the network of a study's fold and attempt back, and make its twin."""
    found = networks.load(folder)
    prepare = Preparation(found.description.prepare).restore(found.preparation)
    return Pair(found.network, fresh(recipe, found.description.classes, fold, attempt).eval(), prepare)


def predictions(table: FaceTable, classes: tuple[str, ...], found: Tensor, fold: int, attempt: int) -> pd.DataFrame:
    """Tell what a network makes of each picture, from its probabilities (n, classes)."""
    frame = table.frame[["path", "subject", "expression"]].copy()
    frame.insert(0, "fold", fold)
    frame.insert(1, "attempt", attempt)
    frame["predicted"] = [classes[place] for place in found.argmax(1).tolist()]
    for place, name in enumerate(classes):
        frame[f"p_{name}"] = found[:, place].numpy()
    return frame


def _examples(recipe: Recipe, stack: Stack, fold: Fold) -> tuple[Examples, Examples]:
    """The pictures to train on, and those that the best epoch is chosen by."""
    classes = stack.table.expressions
    places = torch.tensor([classes.index(name) for name in stack.table.frame["expression"]])
    targets = torch.from_numpy(stack.table.shares(classes)) if recipe.training.labels == "votes" else places
    judge = fold.validation if recipe.training.chosen_by == "validation" else fold.test
    return tuple(  # type: ignore[return-value]  # two of them
        Examples(torch.from_numpy(stack.stored[mask]), labels[torch.from_numpy(mask)])
        for mask, labels in ((fold.train, targets), (judge, places))
    )
