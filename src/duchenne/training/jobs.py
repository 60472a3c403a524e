"""Training as a table of jobs: a network for each fold and attempt, a function
of its inputs in a folder of its own.
"""

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

from duchenne import files, networks
from duchenne.errors import ArgumentError, InputError
from duchenne.faces.folds import Fold, Mask
from duchenne.faces.images.stack import Stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.faces.table import FaceTable
from duchenne.networks import Description
from duchenne.progress import noted, progress, read_note, showing
from duchenne.recipes import Recipe
from duchenne.training.batches import Examples
from duchenne.training.fit import CHECKPOINTS, fit, forget, probabilities
from duchenne.training.machine import computing, workers
from duchenne.training.machine.computing import Computing
from duchenne.training.machine.workers import HERE, Workers

_DONE = "predictions.parquet"
_IDENTITY = "identity"
_LOCK = "lock"
_FOLDER = re.compile(r"fold-(\d+)-attempt-(\d+)")


@dataclass(frozen=True)
class Job:
    """A network to train: on which fold, in which attempt, drawn from which
    seed, kept in which folder; where there are several GPUs, networks take
    them in their ``turn``. ``identity`` digests all that its study's networks
    are made of.
    """

    fold: int
    attempt: int
    seed: int
    folder: Path
    turn: int = 0
    identity: str = ""

    @property
    def done(self) -> bool:
        """Whether it has been trained, as part of this study, and has read its
        test pictures, which is written last.
        """
        return (self.folder / _DONE).exists() and self.begun

    @property
    def sound(self) -> bool:
        """Whether it is done, and what it left is as it was written."""
        return self.done and files.sealed(self.folder)

    @property
    def begun(self) -> bool:
        """Whether what lies in its folder was made of the same recipe and
        faces.
        """
        file = self.folder / _IDENTITY
        if not file.exists():
            return not self.identity
        return (
            file.read_text(encoding="ascii", errors="replace") == self.identity
        )

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


def listed(
    recipe: Recipe, folds: Sequence[int], root: Path, identity: str = ""
) -> list[Job]:
    """List the jobs of a recipe: every attempt on every wanted fold.

    Args:
        recipe: Says how many attempts are made.
        folds: Their numbers.
        root: The folder below which each job has its own.
        identity: Of the study's training, which each folder notes.

    Returns:
        The jobs, fold after fold.
    """
    return [
        Job(
            fold,
            attempt,
            seed(recipe, fold, attempt),
            root / f"fold-{fold:02d}-attempt-{attempt:02d}",
            identity=identity,
        )
        for fold in folds
        for attempt in range(recipe.training.attempts)
    ]


def seed(recipe: Recipe, fold: int, attempt: int = 0) -> int:
    """Number all chance of a job is drawn from, below 2³², as PyTorch's
    generators on the CPU heed no higher digits.

    Odd multipliers set seeds of the recipe, folds and attempts apart.
    """
    return (attempt * 2_654_435_761 + recipe.seed * 1_000_003 + fold) % 2**32


def trained(root: Path) -> list[tuple[int, int, Path]]:
    """Find the networks below a folder.

    Args:
        root: The folder.

    Returns:
        Fold, attempt and folder of each, in that order.
    """
    found = [(_FOLDER.fullmatch(path.name), path) for path in root.iterdir()]
    return sorted(
        (int(name[1]), int(name[2]), path) for name, path in found if name
    )


def describe(recipe: Recipe, classes: tuple[str, ...]) -> Description:
    """All it takes to build the recipe's network for these classes."""
    faces = recipe.faces
    # avatars are rendered as a crop leaves a face
    crop = "none" if faces.source == "avatars" else faces.crop
    return Description(
        name=recipe.network.name,
        classes=classes,
        options=recipe.network.options,
        channels=faces.channels,
        size=faces.size,
        crop=crop,
        prepare=recipe.network.steps,
    )


def fresh(
    recipe: Recipe, classes: tuple[str, ...], fold: int, attempt: int = 0
) -> nn.Module:
    """The recipe's network untrained on a fold."""
    return networks.from_description(
        describe(recipe, classes), seed=seed(recipe, fold, attempt)
    )


def train_all(
    listed: Sequence[Job], given: Materials, by: Workers = HERE
) -> pd.DataFrame:
    """Do every job that is not done yet, and collect what all of them predict
    for their test pictures.

    Args:
        listed: The jobs.
        given: The recipe, pictures and folds.
        by: Who trains.

    Returns:
        One row a picture, fold and attempt:
        ``fold, attempt, path, subject, expression, predicted``, and a
        probability for each class.

    Raises:
        InputError: As ``fit`` does, naming the job, and as ``workers.do``
            does.
    """
    _train_unfinished(listed, given, by)
    for job in listed:
        forget(job.folder)  # what a kill after a job's end left
    frames = [files.read_frame(job.folder / _DONE) for job in listed]
    return pd.concat(frames, ignore_index=True)


def _train_unfinished(
    listed: Sequence[Job], given: Materials, by: Workers
) -> None:
    """Do every job that is not done yet, here or by workers."""
    unfinished = [job for job in listed if not job.sound]
    waiting = [replace(job, turn=turn) for turn, job in enumerate(unfinished)]
    root = listed[0].folder.parent
    on = computing.agreed(
        root, given.recipe.training.precision, len(listed), by.devices
    )
    by.check(on.devices)
    count = by.side_by_side(len(waiting), on)
    if by.backend == "processes" and count <= 1:
        for job in waiting:
            train(job, given, on)
    elif waiting:
        work = partial(_noting, given=given, on=on)
        with progress("Training networks", len(waiting)) as advance:
            workers.do(waiting, work, by, count, advance)


def _noting(job: Job, given: Materials, on: Computing) -> None:
    with showing(noted(job.note)):
        train(job, given, on)


def train(job: Job, given: Materials, on: Computing) -> None:
    """Train the network of a job and predict its test pictures; one that was
    interrupted goes on from its last epoch.

    Its folder then holds the network, ``history.json``, the log, and
    ``predictions.parquet``. Where another process trains in the folder, its
    end is awaited. Raises ``InputError`` as ``fit`` does, naming the job.
    """
    with _alone(job):
        if not job.sound:
            if (
                job.done
                or not (job.folder / _IDENTITY).exists()
                or not job.begun
            ):
                _begin(job)
            _train(job, given, on)
    forget(job.folder)


def _begin(job: Job) -> None:
    """Clear the folder of what another study left in it, and note whose it is
    now.
    """
    for path in job.folder.iterdir():
        if path.is_file():
            path.unlink()
    for path in (job.folder / CHECKPOINTS).iterdir():
        if path.is_file() and path.name != _LOCK:
            path.unlink()
    with files.replacing(job.folder / _IDENTITY) as partial:
        partial.write_text(job.identity, encoding="ascii")


def _train(job: Job, given: Materials, on: Computing) -> None:
    classes = given.stack.table.expressions
    network = fresh(given.recipe, classes, job.fold, job.attempt)
    with computing.threads(on.threads):
        prepare = _fitted(network, job, given, on)
        read = _read_test_pictures(network, prepare, job, given)
    networks.save(
        job.folder,
        network,
        describe(given.recipe, classes),
        prepare.state_dict(),
    )
    with files.replacing(job.folder / _DONE) as half_written:
        read.to_parquet(half_written, index=False)
    names = (
        _IDENTITY,
        "history.json",
        "network.json",
        "network.safetensors",
        _DONE,
    )
    files.seal(job.folder, names)


def _read_test_pictures(
    network: nn.Module, prepare: Preparation, job: Job, given: Materials
) -> pd.DataFrame:
    """What a job's network makes of the pictures that its fold leaves out."""
    stack = given.stack
    test = given.folds[job.fold].test
    found = probabilities(
        network, prepare, torch.from_numpy(stack.stored[test])
    )
    table = stack.table.where(test)
    return predictions(
        table, stack.table.expressions, found, job.fold, job.attempt
    )


def _fitted(
    network: nn.Module, job: Job, given: Materials, on: Computing
) -> Preparation:
    """Train a network in place; return what prepares its input."""
    recipe = given.recipe
    learned, judge = _examples(recipe, given.stack, given.folds[job.fold])
    prepare = Preparation(recipe.network.prepare).fit(learned.pictures)
    settings = (recipe.training, job.seed, job.folder)
    try:
        fit(network, prepare, learned, judge, *settings, on=on, turn=job.turn)
    except ArgumentError:
        raise
    except InputError as error:
        raise type(error)(f"{job}: {error}") from None
    return prepare


@contextmanager
def _alone(job: Job) -> Iterator[None]:
    """Wait until no other process trains in the job's folder: a killed study's
    worker, or one that seemed lost.
    """
    held = job.folder / CHECKPOINTS / _LOCK
    held.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(held):
        yield


def best_of(jobs: Sequence[Job]) -> Job:
    """The job whose network did best on the pictures that its epoch was chosen
    by; the first of equals.
    """
    return jobs[
        int(np.argmax([chosen_epoch(job)["accuracy"] for job in jobs]))
    ]


def chosen_epoch(job: Job) -> dict[str, float]:
    """The entry of a job's history that its network was kept from."""
    file = job.folder / "history.json"
    try:
        history: list[dict[str, float]] = json.loads(
            file.read_text(encoding="utf-8")
        )
        return max(history, key=lambda entry: entry["accuracy"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise files.unreadable(file, error) from None


def parts(folds: Mapping[int, Fold], table: FaceTable) -> pd.DataFrame:
    """Tell what pictures are to numbered folds.

    Args:
        folds: By their number.
        table: The pictures.

    Returns:
        Rows of ``fold, path, part`` (train, validation or test).
    """
    names = ("train", "validation", "test")
    frames = [
        pd.DataFrame(
            {
                "fold": number,
                "path": table.frame["path"][getattr(fold, part)],
                "part": part,
            }
        )
        for number, fold in folds.items()
        for part in names
    ]
    return pd.concat(frames, ignore_index=True)


def predictions(
    table: FaceTable,
    classes: tuple[str, ...],
    found: Tensor,
    fold: int,
    attempt: int,
) -> pd.DataFrame:
    """Tell what a network makes of each picture.

    Args:
        table: The pictures, n.
        classes: In the order of the probabilities.
        found: Probabilities (n, classes).
        fold: Of the network.
        attempt: Of the network.

    Returns:
        One row a picture:
        ``fold, attempt, path, subject, expression, predicted``, and a
        probability for each class.
    """
    frame = table.frame[["path", "subject", "expression"]].copy()
    frame.insert(0, "fold", fold)
    frame.insert(1, "attempt", attempt)
    frame["predicted"] = [classes[index] for index in found.argmax(1).tolist()]
    for index, name in enumerate(classes):
        frame[f"p_{name}"] = found[:, index].numpy()
    return frame


def _examples(
    recipe: Recipe, stack: Stack, fold: Fold
) -> tuple[Examples, Examples]:
    """The pictures to train on, and those that the best epoch is chosen by."""
    classes = stack.table.expressions
    places = torch.tensor(
        [classes.index(name) for name in stack.table.frame["expression"]]
    )
    targets = places
    if recipe.training.labels == "votes":
        targets = torch.from_numpy(stack.table.shares(classes))
    judge = (
        fold.validation
        if recipe.training.chosen_by == "validation"
        else fold.test
    )
    return _of(stack, fold.train, targets), _of(stack, judge, places)


def _of(stack: Stack, mask: Mask, labels: Tensor) -> Examples:
    """The pictures that a mask chooses, with their labels."""
    pictures = torch.from_numpy(stack.stored[mask])
    return Examples(pictures, labels[torch.from_numpy(mask)])
