"""Training as a table of jobs: one network a fold, each a function of its inputs in a folder of its own."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from duchenne import cache, networks
from duchenne.faces.folds import Fold
from duchenne.faces.prepare import Preparation
from duchenne.faces.stack import Stack
from duchenne.faces.table import FaceTable
from duchenne.networks import Description
from duchenne.progress import Progress
from duchenne.recipes import Recipe
from duchenne.training.fit import Examples, fit, probabilities


def describe(recipe: Recipe, classes: tuple[str, ...]) -> Description:
    """All it takes to build the recipe's network for these classes."""
    faces = recipe.faces
    crop = "none" if faces.source == "avatars" else faces.crop  # avatars are rendered as a crop leaves a face
    return Description(
        recipe.network.name, classes, recipe.network.options, faces.channels, faces.size, crop,
        recipe.network.prepare,
    )  # fmt: skip


def fresh(recipe: Recipe, classes: tuple[str, ...], fold: int) -> nn.Module:
    """The recipe's network at its random start on a fold."""
    return networks.from_description(describe(recipe, classes), seed=_seed(recipe, fold))


def job_folder(root: Path, fold: int) -> Path:
    """Where the network of a fold is kept."""
    return root / f"fold-{fold:02d}"


def train_folds(
    recipe: Recipe, stack: Stack, folds: list[Fold], wanted: list[int], root: Path, progress: Progress
) -> pd.DataFrame:
    """Train a network on each wanted fold and predict its held-out people; folds that are done are not done twice.

    Returns one row a picture and fold: fold, path, subject, expression, predicted, and a probability for each class.
    """
    parts = []
    for number in wanted:
        folder = job_folder(root, number)
        done = folder / "predictions.parquet"
        if not done.exists():
            _train(recipe, stack, folds[number], number, folder, progress)
        parts.append(pd.read_parquet(done))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Pair:
    """The trained network of a study, its twin (the same network at its random start) and how both are given pictures."""

    trained: nn.Module
    twin: nn.Module
    prepare: Preparation


def trained_and_twin(recipe: Recipe, folder: Path, fold: int) -> Pair:
    """Read the network of a study's fold back, and make its twin."""
    found = networks.load(folder)
    prepare = Preparation(found.description.prepare).restore(found.preparation)
    return Pair(found.network, fresh(recipe, found.description.classes, fold).eval(), prepare)


def _train(recipe: Recipe, stack: Stack, fold: Fold, number: int, folder: Path, progress: Progress) -> None:
    classes = stack.table.expressions
    network = fresh(recipe, classes, number)
    places = torch.tensor([classes.index(name) for name in stack.table.frame["expression"]])
    targets = torch.from_numpy(stack.table.shares(classes)) if recipe.training.labels == "votes" else places
    train, validation = (
        Examples(torch.from_numpy(stack.stored[mask]), labels[torch.from_numpy(mask)])
        for mask, labels in ((fold.train, targets), (fold.validation, places))
    )
    prepare = Preparation(recipe.network.prepare).fit(train.pictures, progress)
    checkpoints = folder / "checkpoints"
    fit(network, prepare, train, validation, recipe.training, _seed(recipe, number), checkpoints, progress)
    networks.save(folder, network, describe(recipe, classes), prepare.state_dict())
    shutil.copyfile(checkpoints / "history.json", folder / "history.json")
    found = probabilities(network, prepare, torch.from_numpy(stack.stored[fold.test]))
    with cache.replacing(folder / "predictions.parquet") as partial:
        predictions(stack.table.where(fold.test), classes, found, number).to_parquet(partial, index=False)
    shutil.rmtree(checkpoints)


def predictions(table: FaceTable, classes: tuple[str, ...], found: Tensor, fold: int) -> pd.DataFrame:
    """Tell what a fold's network makes of each picture, from its probabilities (n, classes)."""
    frame = table.frame[["path", "subject", "expression"]].copy()
    frame.insert(0, "fold", fold)
    frame["predicted"] = [classes[place] for place in found.argmax(1).tolist()]
    for place, name in enumerate(classes):
        frame[f"p_{name}"] = found[:, place].numpy()
    return frame


def _seed(recipe: Recipe, fold: int) -> int:
    return recipe.seed * 1000 + fold
