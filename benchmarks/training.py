"""Training pictures per second as the project trains, against a plain float32
loop of the same network and settings.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from duchenne import recipes
from duchenne.faces import folds
from duchenne.faces.preparation.augmentation import AUGMENTATIONS, augment
from duchenne.faces.preparation.normalisation import in_unit_range
from duchenne.faces.preparation.steps import Preparation
from duchenne.recipes import Recipe
from duchenne.study.faces import decode, gather
from duchenne.training import jobs
from duchenne.training.batches import Examples
from duchenne.training.fit import fit, probabilities
from duchenne.training.machine import precision

NETWORKS = {
    "zero_bias": ("quick", "training.epochs=3"),
    "zhu": ("zhu2018-honest", "training.epochs=2", "training.batch=16"),
    "sparse": ("mousavi2016-cnn", "training.epochs=4"),
    "pyranet": (
        "mousavi2016-lipnet",
        "network.name=pyranet",
        "training.epochs=60",
        "training.patience=0",
    ),
    "lipnet": (
        "mousavi2016-lipnet",
        "training.epochs=60",
        "training.patience=0",
    ),
}
"""For each network a recipe and what is changed: as few passes as a
measurement needs.
"""

Work = Callable[[nn.Module, Preparation, Examples, Examples, Recipe], object]


def measure(people: int = 60) -> pd.DataFrame:
    """Train every network both ways on the same pictures, seed and settings,
    one after the other on all cores.
    """
    rows = []
    for name, (recipe, *changes) in NETWORKS.items():
        chosen = recipes.read(
            recipe, [f"faces.avatars.people={people}", *changes]
        )
        (plain, before), (ours, after) = (
            _timed(chosen, work) for work in (_plain, _ours)
        )
        kind = precision.choose(chosen.training.precision)
        rows.append(
            (
                f"`{name}`, batch {chosen.training.batch or 'all'}, {kind}",
                plain,
                ours,
                ours / plain,
                before,
                after,
            )
        )
    names = [
        "plain loop, pictures/s",
        "duchenne, pictures/s",
        "ratio",
        "held-out accuracy, plain loop",
        "duchenne",
    ]
    return pd.DataFrame(rows, columns=["training", *names])


def _timed(recipe: Recipe, work: Work) -> tuple[float, str]:
    """Pictures per second, passes over validation pictures included, and the
    accuracy on test pictures.
    """
    faces = decode(recipe.faces, gather(recipe.faces))
    fold = folds.split(faces.table, recipe.folds.rule, recipe.folds.count)[0]
    classes = faces.table.expressions
    places = torch.tensor(
        [classes.index(name) for name in faces.table.frame["expression"]]
    )
    train, judge, test = (
        Examples(
            torch.from_numpy(faces.stored[mask]),
            places[torch.from_numpy(mask)],
        )
        for mask in (fold.train, fold.validation, fold.test)
    )
    prepare = Preparation(recipe.network.prepare).fit(train.pictures)
    network = jobs.fresh(recipe, classes, 0)
    begun = time.perf_counter()
    work(network, prepare, train, judge, recipe)
    rate = (
        len(train.classes)
        * recipe.training.epochs
        / (time.perf_counter() - begun)
    )
    right = (
        probabilities(network, prepare, test.pictures).argmax(1)
        == test.classes
    )
    return rate, f"{right.float().mean().item():.1%}"


def _ours(
    network: nn.Module,
    prepare: Preparation,
    train: Examples,
    judge: Examples,
    recipe: Recipe,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fit(network, prepare, train, judge, recipe.training, 0, Path(folder))


def _plain(
    network: nn.Module,
    prepare: Preparation,
    train: Examples,
    judge: Examples,
    recipe: Recipe,
) -> None:
    """What one writes by hand: float32, the usual memory format, every batch
    prepared, validated after every pass; the last pass counts and nothing is
    kept on disk.
    """
    settings, chance = recipe.training, torch.Generator().manual_seed(0)
    batch = settings.batch or len(train.classes)
    steps = len(train.classes) // batch
    optimiser = _optimiser(network, recipe)
    schedule = _schedule(optimiser, recipe, steps * settings.epochs)
    for _ in range(settings.epochs):
        network.train()
        order = torch.randperm(len(train.classes), generator=chance)
        for rows in order[: steps * batch].view(steps, -1):
            given = augment(
                in_unit_range(train.pictures[rows]),
                AUGMENTATIONS[settings.augment],
                chance,
            )
            loss = F.cross_entropy(
                network(prepare(given)), train.classes[rows]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        probabilities(network, prepare, judge.pictures)
    network.eval()


def _schedule(
    optimiser: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if recipe.training.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
    rate = recipe.training.rate
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )


def _optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    settings = recipe.training
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(
            network.parameters(), settings.rate, weight_decay=settings.decay
        )
    if settings.optimiser == "rprop":
        return torch.optim.Rprop(network.parameters(), settings.rate)
    return torch.optim.SGD(
        network.parameters(),
        settings.rate,
        settings.momentum,
        weight_decay=settings.decay,
    )
