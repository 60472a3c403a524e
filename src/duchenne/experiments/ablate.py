"""What becomes of expressions when units are ablated: each alone, and the
detectors of each action unit together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne import facs
from duchenne.errors import InputError
from duchenne.evidence import nulls
from duchenne.evidence.ablation_effects import Readout, effects
from duchenne.evidence.intervals import numbered
from duchenne.faces.classes import as_classes
from duchenne.faces.images.stack import Stack
from duchenne.progress import progress
from duchenne.units import layers
from duchenne.units.ablation import Ablation
from duchenne.units.layers import Layer

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]

_BATCH = 16


@dataclass(frozen=True)
class Sets:
    """Sets of units to ablate: ``asked`` names those that are asked for (what,
    unit, au, units), the first rows of ``ablated`` (k, u); the others are
    controls, used by the asked ones in the shares ``controls`` (s, k).
    """

    asked: pd.DataFrame
    ablated: Mask
    controls: NDArray[np.float64]


def sets(
    detections: pd.DataFrame,
    spread: NDArray[np.floating],
    random_sets: int,
    seed: int = 0,
) -> Sets:
    """Each unit alone, beside all others; and all detectors of an action unit,
    beside random sets of as many other units.

    Args:
        detections: A row a unit and action unit that it detects. Action units
            that all units or none detect have no set.
        spread: (u,) standard deviation of each unit's activation. A random set
            has for each detector a unit that varies about as much: one of the
            eight others, not yet drawn, whose spread is nearest. Where a layer
            has fewer other units than detectors, random sets are drawn from
            all units, the detectors among them.
        random_sets: How many random sets each set of detectors is compared
            with.
        seed: Of the random sets.
    """
    units = len(spread)
    of_au = _detectors(detections, units)
    rng = np.random.default_rng(seed)
    masks = [*np.eye(units, dtype=bool)]
    for detectors in of_au.values():
        masks.append(_mask(detectors, units))
    for detectors in of_au.values():
        for _ in range(random_sets):
            alike = _alike(detectors, spread, rng)
            masks.append(_mask(alike, units))
    controls = _controls(units, len(of_au), random_sets)
    return Sets(_set_names(units, of_au), np.stack(masks), controls)


def _detectors(detections: pd.DataFrame, units: int) -> dict[str, Places]:
    """The detectors of each action unit that not all units detect."""
    of_au = {}
    for au, detecting in detections.groupby("au"):
        if len(detecting) < units:
            of_au[au] = np.sort(detecting["unit"].to_numpy(int))
    return of_au


def _set_names(units: int, of_au: Mapping[str, Places]) -> pd.DataFrame:
    """A row a set that is asked for: every unit, then the detectors of every
    action unit.
    """
    single = pd.DataFrame(
        {"what": "unit", "unit": range(units), "au": None, "units": 1}
    )
    together = pd.DataFrame(
        {
            "what": "detectors",
            "unit": None,
            "au": list(of_au),
            "units": [len(detectors) for detectors in of_au.values()],
        }
    )
    kinds = {"unit": "Int64", "au": "string", "units": "int64"}
    parts = [part.astype(kinds) for part in (single, together)]
    return pd.concat(parts, ignore_index=True)


def _controls(
    units: int, action_units: int, random_sets: int
) -> NDArray[np.float64]:
    """The shares in which sets serve as controls: all other units of each
    unit, and of each set of detectors its random sets.
    """
    asked = units + action_units
    controls = np.zeros((asked, asked + random_sets * action_units))
    if units > 1:
        controls[:units, :units] = (1 - np.eye(units)) / (units - 1)
    for number in range(action_units):
        first = asked + number * random_sets
        controls[units + number, first : first + random_sets] = 1 / random_sets
    return controls


def _alike(
    detectors: Places, spread: NDArray[np.floating], rng: np.random.Generator
) -> Places:
    """Draw as many other units as there are ``detectors``, each of about the spread
    of one of these.
    """
    left = np.setdiff1d(np.arange(len(spread)), detectors)
    if len(left) < len(detectors):
        return rng.choice(len(spread), len(detectors), replace=False)
    drawn = []
    for unit in rng.permutation(detectors):
        nearest = np.argsort(
            np.abs(spread[left] - spread[unit]), kind="stable"
        )[:_NEAREST]
        index = rng.choice(nearest)
        drawn.append(left[index])
        left = np.delete(left, index)
    return np.array(drawn)


_NEAREST = 8


def _mask(chosen: Places, units: int) -> Mask:
    found = np.zeros(units, bool)
    found[chosen] = True
    return found


@dataclass(frozen=True)
class Shown:
    """The pictures of a stack that units are ablated on, and the classes that
    the network reads them as, in the order of its output; pictures of what it
    has no class for are left out.
    """

    stack: Stack
    rows: Places
    classes: tuple[str, ...]

    @cached_property
    def read_as(self) -> pd.Series:
        """The class that each of the rows shows."""
        expressions = self.stack.table.frame["expression"].iloc[self.rows]
        return as_classes(expressions, self.classes)

    @cached_property
    def known(self) -> Places:
        """The rows that show a class."""
        known: Places = self.rows[self.read_as.notna().to_numpy(bool)]
        return known

    @property
    def people(self) -> tuple[Places, int]:
        """Who is in each known row, by number, and how many there are."""
        faces = self.stack.table.frame.iloc[self.known]
        return numbered(nulls.who(faces)[0])

    @cached_property
    def places(self) -> Places:
        """Where what each known row shows stands among the classes."""
        shown = self.read_as.dropna()
        return np.array([self.classes.index(name) for name in shown], int)


def ablate(
    layer: Layer, shown: Shown, chosen: Sets, fill: str = "zero"
) -> pd.DataFrame:
    """Ablate units on some pictures and tell what becomes of the expressions.

    Args:
        layer: Whose units are ablated.
        shown: The pictures, and what the network tells apart.
        chosen: Which units are ablated together, as ``sets`` makes them.
        fill: What an ablated unit passes on: "zero", or its "mean" over the
            pictures.

    Returns:
        What ``evidence.ablation_effects.effects`` tells, beside ``what``
        ("unit" or "detectors"), ``unit`` or ``au``, ``units``, how many are
        ablated, and ``prototype``, whether a published prototype of the
        expression holds the action unit.

    Raises:
        InputError: Where no picture shows a class of the network.
    """
    if not len(shown.known):
        raise InputError(
            f"ablation: no picture shows one of {', '.join(shown.classes)}"
        )
    readout = _readout(layer, shown, chosen, fill)
    found = effects(readout, chosen.asked, chosen.controls, shown.classes)
    of_prototypes = in_prototypes(shown.classes)
    pairs = zip(found["au"], found["expression"], strict=True)
    found.insert(4, "prototype", [pair in of_prototypes for pair in pairs])
    return found


def affordable(
    layer: Layer, shown: Shown, chosen: Sets, limit: float, seed: int = 0
) -> Shown:
    """As many of some pictures as units can be ablated on within a limit.

    Args:
        layer: Whose units are ablated.
        shown: The pictures.
        chosen: Which units are ablated together.
        limit: On floating-point operations, in 10¹²; 0 for none.
        seed: Of the pictures that are drawn: as many of each class, as far as
            there are.

    Returns:
        All of them where they are within it; one of each class at least.
    """
    if not limit or not len(shown.known):
        return shown
    first = next(_batches(layer, shown.stack, shown.known))[:1]
    ablation = Ablation(layer.network, layer.name, first)
    each = ablation.operations(first) * (1 + len(chosen.ablated))
    count = int(limit * 10**12 / max(each, 1))
    if count >= len(shown.known):
        return shown
    least = len(np.unique(shown.places))
    drawn = _balanced(shown.places, max(count, least), seed)
    return replace(shown, rows=shown.known[drawn])


def _balanced(places: Places, count: int, seed: int) -> Places:
    """Draw so many pictures, as many of each class as of any other while there
    are some left.
    """
    order = np.random.default_rng(seed).permutation(len(places))
    turn = pd.Series(places[order]).groupby(places[order]).cumcount()
    first = np.argsort(turn.to_numpy(), kind="stable")[:count]
    drawn: Places = np.sort(order[first])
    return drawn


def _readout(layer: Layer, shown: Shown, chosen: Sets, fill: str) -> Readout:
    """What the network gives for every picture under every set."""
    rows = shown.known
    people, count = shown.people
    ablation = _ablation(layer, shown.stack, rows, fill)
    ablated = _beside_none(chosen.ablated)
    readout = Readout(len(ablated), count, len(shown.classes))
    first = 0
    with progress("Ablating units", len(rows)) as advance:
        for batch in _batches(layer, shown.stack, rows):
            part = slice(first, first + len(batch))
            logits = ablation(batch, ablated)[..., : len(shown.classes)]
            readout.update(logits, people[part], shown.places[part])
            first = part.stop
            advance(len(batch))
    return readout


def _beside_none(ablated: Mask) -> Mask:
    """Sets of units, the first of which is empty: the network as it is."""
    nothing = np.zeros((1, ablated.shape[1]), bool)
    return np.concatenate([nothing, ablated])


def _ablation(layer: Layer, stack: Stack, rows: Places, fill: str) -> Ablation:
    """The layer's ablation, filled with 0 or with each unit's mean over
    pictures.
    """
    filled = None
    if fill == "mean":
        filled = _means(layer, _batches(layer, stack, rows))
    first = next(_batches(layer, stack, rows))
    return Ablation(layer.network, layer.name, first, filled)


def in_prototypes(classes: Sequence[str]) -> set[tuple[str, str]]:
    """Action units and the classes whose published prototypes hold them, of
    any expression where a class joins several.
    """
    pairs = set()
    for name in classes:
        expressions = facs.SUPERSETS.get(name, (name,))
        for prototype in facs.PROTOTYPES:
            if prototype.expression in expressions:
                numbers = prototype.required | prototype.optional
                pairs |= {(facs.code(number), name) for number in numbers}
    return pairs


def _batches(layer: Layer, stack: Stack, rows: Places) -> Iterator[Tensor]:
    for first in range(0, len(rows), _BATCH):
        batch = stack.floats(rows[first : first + _BATCH])
        yield layer.prepare(torch.from_numpy(batch))


def _means(layer: Layer, batches: Iterator[Tensor]) -> Tensor:
    """What every unit passes on (u,), the mean over pictures and over its map
    or tokens.
    """
    total = torch.zeros(())
    count = 0
    for batch in batches:
        given = layers.activation_maps(layer.network, layer.name, batch)
        by_unit = given.movedim(2, 1) if given.ndim == 3 else given
        if by_unit.ndim > 2:
            by_unit = by_unit.flatten(2).mean(2)
        total = total + by_unit.sum(0)
        count += len(batch)
    return total / count
