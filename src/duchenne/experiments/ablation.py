"""What becomes of expressions when units are silenced: each alone, and the detectors of each action unit together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne import facs
from duchenne.evidence import comparison
from duchenne.evidence.ablation import Reading, effects
from duchenne.faces.prepare import Preparation
from duchenne.faces.stack import Stack
from duchenne.intervals import numbered
from duchenne.progress import Progress, quiet
from duchenne.units import layers
from duchenne.units.silencing import Silencer

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

_BATCH = 16


@dataclass(frozen=True)
class Sets:
    """Sets of units to silence: ``asked`` names those that are asked for (what, unit, au, units), the first rows of
    ``silent`` (k, u); the others are controls, used by the asked ones in the shares ``controls`` (s, k).
    """

    asked: pd.DataFrame
    silent: Mask
    controls: NDArray[np.float64]


def sets(detections: pd.DataFrame, spread: NDArray[np.floating], random_sets: int, seed: int = 0) -> Sets:
    """Each unit alone, beside all others; and all detectors of an action unit, beside random sets of as many other units.

    Args:
        detections: A row a unit and action unit that it detects. Action units that all units or none detect have no set.
        spread: (u,) standard deviation of each unit's activation. A random set has for each detector a unit that varies
            about as much: one of the eight others, not yet drawn, whose spread is nearest. Where a layer has fewer other
            units than detectors, random sets are drawn from all units, the detectors among them.
        random_sets: How many random sets each set of detectors is compared with.
        seed: Of the random sets.
    """
    units = len(spread)
    of_au = {au: np.sort(own["unit"].to_numpy(int)) for au, own in detections.groupby("au") if len(own) < units}
    rng = np.random.default_rng(seed)
    rows = [{"what": "unit", "unit": unit, "au": None, "units": 1} for unit in range(units)]
    rows += [{"what": "detectors", "unit": None, "au": au, "units": len(own)} for au, own in of_au.items()]
    silent = [np.eye(units, dtype=bool), *(_mask(own, units)[None] for own in of_au.values())]
    for own in of_au.values():
        silent += [_mask(_alike(own, spread, rng), units)[None] for _ in range(random_sets)]
    controls = np.zeros((len(rows), len(rows) + random_sets * len(of_au)))
    if units > 1:
        controls[:units, :units] = (1 - np.eye(units)) / (units - 1)
    for number in range(len(of_au)):
        first = len(rows) + number * random_sets
        controls[units + number, first : first + random_sets] = 1 / random_sets
    asked = pd.DataFrame(rows).astype({"unit": "Int64", "au": "string"})
    return Sets(asked, np.concatenate(silent), controls)


def _alike(own: Places, spread: NDArray[np.floating], rng: np.random.Generator) -> Places:
    """Draw as many other units as there are ``own``, each of about the spread of one of these."""
    left = np.setdiff1d(np.arange(len(spread)), own)
    if len(left) < len(own):
        return rng.choice(len(spread), len(own), replace=False)
    drawn = []
    for unit in rng.permutation(own):
        nearest = np.argsort(np.abs(spread[left] - spread[unit]), kind="stable")[:_NEAREST]
        place = rng.choice(nearest)
        drawn.append(left[place])
        left = np.delete(left, place)
    return np.array(drawn)


_NEAREST = 8


def _mask(chosen: Places, units: int) -> Mask:
    found = np.zeros(units, bool)
    found[chosen] = True
    return found


def ablate(
    network: nn.Module,
    prepare: Preparation,
    layer: str,
    stack: Stack,
    rows: Places,
    detections: pd.DataFrame,
    spread: NDArray[np.floating],
    fill: str = "zero",
    random_sets: int = 20,
    seed: int = 0,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Silence units on some rows of a stack and tell what becomes of the expressions, as ``evidence.ablation.effects`` does.

    ``spread`` (u,) is the standard deviation of each unit's activation. Beside its columns: ``what`` ("unit" or
    "detectors"), ``unit`` or ``au``, ``units``, how many are silenced, and ``prototype``, whether a published prototype
    of the expression holds the action unit.
    """
    faces, classes = stack.table.frame.iloc[rows], stack.table.expressions
    people, count = numbered(comparison.who(faces)[0])
    shown = np.array([classes.index(name) for name in faces["expression"]])
    first = next(_batches(prepare, stack, rows))
    filled = _means(network, layer, _batches(prepare, stack, rows)) if fill == "mean" else None
    silencer = Silencer(network, layer, first, filled)
    chosen = sets(detections, spread, random_sets, seed)
    silent = np.concatenate([np.zeros((1, silencer.units), bool), chosen.silent])
    reading = Reading(len(silent), count, len(classes))
    done = 0
    with progress("Silencing units", len(rows)) as advance:
        for batch in _batches(prepare, stack, rows):
            part = slice(done, done + len(batch))
            reading.update(silencer(batch, silent), people[part], shown[part])
            done += len(batch)
            advance(len(batch))
    found = effects(reading, chosen.asked, chosen.controls, classes)
    of_prototypes = held(classes)
    found.insert(4, "prototype", [pair in of_prototypes for pair in zip(found["au"], found["expression"], strict=True)])
    return found


def held(classes: Sequence[str]) -> set[tuple[str, str]]:
    """Action units and the classes whose published prototypes hold them, of any expression where a class joins several."""
    of_class = {name: facs.SUPERSETS.get(name, (name,)) for name in classes}
    return {
        (facs.code(number), name)
        for name, expressions in of_class.items()
        for prototype in facs.PROTOTYPES
        if prototype.expression in expressions
        for number in prototype.required | prototype.optional
    }


def _batches(prepare: Preparation, stack: Stack, rows: Places) -> Iterator[Tensor]:
    for first in range(0, len(rows), _BATCH):
        yield prepare(torch.from_numpy(stack.floats(rows[first : first + _BATCH])))


def _means(network: nn.Module, layer: str, batches: Iterator[Tensor]) -> Tensor:
    """What every unit passes on (u,), the mean over pictures and over its map or tokens."""
    total, count = torch.zeros(()), 0
    for batch in batches:
        given = layers.activations(network, layer, batch)
        by_unit = given.movedim(2, 1) if given.ndim == 3 else given
        total = total + by_unit.flatten(2).mean(2).sum(0) if by_unit.ndim > 2 else total + by_unit.sum(0)
        count += len(batch)
    return total / count
