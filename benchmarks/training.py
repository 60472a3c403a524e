"""Training pictures per second as the project trains, against a plain float32 loop of the same network, and the accuracy
of both on the same held-out people.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from duchenne import recipes
from duchenne.faces import folds, sources, stack
from duchenne.faces.augment import AUGMENTATIONS, augment
from duchenne.faces.prepare import Preparation
from duchenne.progress import bars
from duchenne.training import jobs, precision
from duchenne.training.fit import Examples, fit, probabilities


def measure(people: int = 60, epochs: int = 3) -> pd.DataFrame:
    """Train the quick recipe's network both ways on the same pictures, seed and settings."""
    recipe = recipes.read("quick", [f"faces.avatars.people={people}", f"training.epochs={epochs}"])
    faces = stack.load(sources.load("avatars", recipe.faces.avatars, bars), recipe.faces.size)
    fold = folds.split(faces.table, recipe.folds.rule, recipe.folds.count)[0]
    classes = faces.table.expressions
    places = torch.tensor([classes.index(name) for name in faces.table.frame["expression"]])
    pictures = torch.from_numpy(faces.pictures)
    train, held_out = (
        Examples(pictures[m], places[m]) for m in (torch.from_numpy(fold.train), ~torch.from_numpy(fold.train))
    )
    prepare = Preparation(recipe.network.prepare)
    rows = []
    for name, work in (("plain float32 loop", _plain), (f"duchenne ({precision.choose()}, channels last)", _ours)):
        network = jobs.fresh(recipe, classes, 0)
        begun = time.perf_counter()
        work(network, prepare, train, held_out, recipe)
        seconds = time.perf_counter() - begun
        right = probabilities(network, prepare, held_out.pictures).argmax(1) == held_out.classes
        rows.append((name, len(train.classes) * epochs / seconds, f"{right.float().mean().item():.1%}"))
    return pd.DataFrame(rows, columns=["training zero_bias", "pictures/s", "held-out accuracy"])


def _ours(network: nn.Module, prepare: Preparation, train: Examples, held_out: Examples, recipe: recipes.Recipe) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fit(network, prepare, train, held_out, recipe.training, 0, Path(folder))


def _plain(network: nn.Module, prepare: Preparation, train: Examples, held_out: Examples, recipe: recipes.Recipe) -> None:
    """What one writes by hand: float32, the usual memory format, the same optimiser and schedule; no checkpoints."""
    settings, chance = recipe.training, torch.Generator().manual_seed(0)
    steps = len(train.classes) // settings.batch
    optimiser = torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.rate, total_steps=steps * settings.epochs, pct_start=0.1, cycle_momentum=False
    )
    network.train()
    for _ in range(settings.epochs):
        order = torch.randperm(len(train.classes), generator=chance)
        for rows in order[: steps * settings.batch].view(steps, -1):
            given = augment(train.pictures[rows], AUGMENTATIONS[settings.augment], chance)
            loss = F.cross_entropy(network(prepare(given)), train.classes[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
