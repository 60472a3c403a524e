"""How often ``--check`` doubts a right card, and finds a wrong one: small
networks of five kinds, trained on rendered faces from several seeds, each with
colours, range, mean, margin and an order of classes of its own.

python -m benchmarks.cards [SEEDS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.tables import machine, markdown
from duchenne import facs
from duchenne.experiments.check import WIDE, Checked, Faces, check
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.images import stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.recipes.schema import Input

SIZE = 48
_PIXELS = 96
_PEOPLE = 72
_EPOCHS = 12
_TAUGHT = 3000  # the seed of people that networks are trained on
_WRONG = 3  # seeds of which wrong cards are tried too
_CLASSES = facs.EXPRESSIONS[:8]


def _plain(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, 2, 2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(512, len(_CLASSES)),
    )


def _normalised(channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    for given, made in ((channels, 16), (16, 32), (32, 64)):
        layers += [
            nn.Conv2d(given, made, 3, padding=1, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(64 * 36, len(_CLASSES))
    )


def _separable(channels: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(channels, 24, 3, 2, 1), nn.SiLU()]
    for given, made in ((24, 48), (48, 96)):
        layers += [
            nn.Conv2d(given, given, 3, 2, 1, groups=given),
            nn.Conv2d(given, made, 1),
            nn.BatchNorm2d(made),
            nn.SiLU(),
        ]
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Linear(96 * 36, len(_CLASSES))
    )


def _fully_connected(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(channels * 576, 128),
        nn.ReLU(),
        nn.Linear(128, len(_CLASSES)),
    )


class _Patches(nn.Module):
    """One block of attention over 6 × 6 patches."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, 64, 8, 8)
        self.places = nn.Parameter(torch.zeros(1, 36, 64))
        self.block = nn.TransformerEncoderLayer(
            64, 4, 128, 0.0, "gelu", batch_first=True
        )
        self.output = nn.Linear(64 * 36, len(_CLASSES))

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        given: Tensor = self.output(
            self.block(tokens + self.places).flatten(1)
        )
        return given


class _Centred(nn.Module):
    """What a network does first with the numbers that it takes: brings them
    to about mean 0 and deviation 1.
    """

    def __init__(self, wanted: Input) -> None:
        super().__init__()
        low, high = wanted.range
        self.mean = 0.0 if wanted.mean else (low + high) / 2
        self.std = 1.0 if wanted.std else (high - low) / 4

    def forward(self, pictures: Tensor) -> Tensor:
        return (pictures - self.mean) / self.std


KINDS: dict[str, Callable[[int], nn.Module]] = {
    "plain": _plain,
    "batch normalised": _normalised,
    "depthwise separable": _separable,
    "fully connected": _fully_connected,
    "attention": _Patches,
}


def _input(rng: np.random.Generator) -> Input:
    """What a network takes, drawn from what is usual."""
    colours = str(rng.choice(["grey", "rgb", "bgr"]))
    low, high = [(0, 1), (-1, 1), (0, 255)][rng.integers(3)]
    centred = bool(rng.integers(2))
    mean = ((low + high) / 2 - 0.05 * (high - low),) if centred else ()
    std = (0.25 * (high - low),) if centred else ()
    margin = float(rng.choice([0.0, 0.1, 0.2]))
    return Input(
        size=SIZE,
        colours=colours,  # type: ignore[arg-type]
        range=(low, high),
        mean=mean,
        std=std,
        margin=margin,
    )


def _faces(seed: int, channels: int, classes: tuple[str, ...]) -> Faces:
    found = _decoded(seed, channels)
    places = [classes.index(_CLASSES[place]) for place in found.shown]
    return replace(found, shown=np.array(places))


@cache
def _decoded(seed: int, channels: int) -> Faces:
    """Faces with a wide margin, by the order of ``_CLASSES``."""
    settings = AvatarSettings(
        people=_PEOPLE,
        seed=seed,
        size=_PIXELS,
        samples=1,
        colour=channels == 3,
        margin=WIDE,
    )
    table = dataset.load(settings).labelled()
    whole = np.ones(len(table), bool)
    decoded = stack.decode(table, _PIXELS, channels, cut_already=whole)
    return Faces.of(decoded, _CLASSES)


def _trained(kind: str, wanted: Input, faces: Faces, seed: int) -> nn.Module:
    """Train a network on faces as a card prepares them, mirrored and shifted
    by chance.
    """
    torch.manual_seed(seed)
    network = nn.Sequential(_Centred(wanted), KINDS[kind](wanted.channels))
    prepare = Preparation(wanted.steps)
    cut = torch.cat(list(faces.cut(wanted.margin, SIZE)))
    shown = torch.from_numpy(faces.shown)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(_EPOCHS):
        for rows in torch.randperm(len(cut)).split(64):
            batch = cut[rows]
            if torch.rand(()) < 0.5:
                batch = batch.flip(3)
            move = torch.randint(-2, 3, (2,)).tolist()
            batch = batch.roll(move, (2, 3))
            loss = nn.functional.cross_entropy(
                network(prepare(batch)), shown[rows]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


def _faults(
    wanted: Input, rng: np.random.Generator
) -> Iterator[tuple[str, Input, NDArray[np.int64]]]:
    """Cards with one thing wrong."""
    order = np.arange(len(_CLASSES))
    one, other = rng.choice(len(_CLASSES), 2, replace=False)
    swapped = order.copy()
    swapped[[one, other]] = [other, one]
    yield "two classes exchanged", wanted, swapped
    yield "classes in another order", wanted, np.roll(order, 3)
    turned = {"rgb": "bgr", "bgr": "rgb"}
    if wanted.colours in turned:
        update = {"colours": turned[wanted.colours]}
        yield "colours", wanted.model_copy(update=update), order
    ranges = {(0.0, 1.0): (0.0, 255.0), (0.0, 255.0): (0.0, 1.0)}
    if wanted.range in ranges:
        update = {"range": ranges[wanted.range]}
        yield "range", wanted.model_copy(update=update), order


def _alarm(found: Checked) -> bool:
    return found.order is not None or bool(found.tried["surely_better"].any())


def _said(found: Checked) -> str:
    better = found.tried[found.tried["surely_better"]]["change"].tolist()
    return "; ".join([*better, *(found.order or ())])


class _InOrder(nn.Module):
    """A network whose classes a card names in some order."""

    def __init__(self, network: nn.Module, order: NDArray[np.int64]) -> None:
        super().__init__()
        self.network = network
        self.order = torch.from_numpy(order)

    def forward(self, pictures: Tensor) -> Tensor:
        given: Tensor = self.network(pictures)[:, self.order]
        return given


def measure(seeds: int = 10) -> pd.DataFrame:
    """Check right and wrong cards of every kind of network.

    Args:
        seeds: Of each kind.

    Returns:
        A row a network and card.
    """
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        for seed in range(seeds):
            rng = np.random.default_rng((seed, list(KINDS).index(kind)))
            wanted = _input(rng)
            classes = tuple(rng.permutation(_CLASSES).tolist())
            taught = _faces(_TAUGHT, wanted.channels, classes)
            network = _trained(kind, wanted, taught, seed)
            shown = _faces(2000 + seed, wanted.channels, classes)
            cards = [("none", wanted, np.arange(len(classes)))]
            if seed < _WRONG:
                cards += _faults(wanted, rng)
            for fault, told, order in cards:
                found = check(_InOrder(network, order), told, classes, shown)
                row = {
                    "network": kind,
                    "seed": seed,
                    "fault": fault,
                    "accuracy": float(found.tried["accuracy"].iloc[0]),
                    "alarm": _alarm(found),
                }
                row["says"] = _said(found)
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def main(seeds: int) -> None:
    """Print how many cards were doubted, by kind of network and fault."""
    print(machine() + "\n")
    found = measure(seeds)
    right = found[found["fault"] == "none"].groupby("network", sort=False)
    told = right.agg(
        cards=("alarm", "size"),
        doubted=("alarm", "sum"),
        accuracy=("accuracy", "mean"),
    )
    print(markdown(told.reset_index()))
    wrong = found[found["fault"] != "none"].groupby("fault", sort=False)
    told = wrong.agg(
        cards=("alarm", "size"),
        found=("alarm", "sum"),
        accuracy=("accuracy", "mean"),
    )
    print(markdown(told.reset_index()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
