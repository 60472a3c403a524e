"""A network that was made elsewhere, looked at before anything is written: its
layers, what it makes of a few faces, and whether its card can be right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from duchenne.errors import InputError
from duchenne.experiments.check import WIDE, Checked, Faces, check
from duchenne.faces import sources
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.geometry import crop
from duchenne.faces.images import stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.recipes import Recipe
from duchenne.recipes.cards import read_card
from duchenne.study import network, record
from duchenne.study.sentences import percent
from duchenne.units import listing
from duchenne.units.layers import find

_PEOPLE = 72
_SEED = 2000  # other people than a study's
_PIXELS = 160
_MOST_PHOTOGRAPHS = 800
_SHOWN = 8


def layers(card: str, changes: tuple[str, ...] = ()) -> pd.DataFrame:
    """List the layers of a card's network that have units.

    Args:
        card: Its path, or a source.
        changes: Single keys of it.

    Returns:
        As ``units.listing.listed`` does, and ``auto``: whether it is the one
        that is looked at where none is named.

    Raises:
        InputError: Where the network cannot be opened, or is not as the card
            says.
    """
    recipe, opened = _opened(card, changes)
    if recipe.units.layer != "auto":
        network.rehearse_features(recipe, opened)
        find(opened, recipe.units.layer)
    found = listing.listed(opened, network.noise_for(recipe))
    return found.assign(auto=found["layer"] == _chosen(found))


def _chosen(found: pd.DataFrame) -> str:
    """The layer that ``auto`` stands for; empty where none has units enough."""
    try:
        return listing.chosen(found)
    except InputError:
        return ""


def _opened(card: str, changes: tuple[str, ...]) -> tuple[Recipe, nn.Module]:
    recipe = read_card(card, changes)
    network.allow_typed(recipe)
    return recipe, network.rehearse(recipe)


@dataclass(frozen=True)
class Inspection:
    """What a network gives, and whether its card can be right.

    Attributes:
        about: The network in a line: what it takes and gives, its layer.
        faces: A row a face: ``shown``, what it is ``read_as``, ``share``.
        checked: By the name of the faces, what was tried on them.
        unshown: The classes that no rendered face shows.
    """

    about: str
    faces: pd.DataFrame
    checked: dict[str, Checked]
    unshown: tuple[str, ...] = ()

    @property
    def verdicts(self) -> list[str]:
        """What would surely read better, a line each; or that nothing would."""
        lines = []
        for name, found in self.checked.items():
            lines += _verdicts(name, found)
        if self.unshown:
            unshown = ", ".join(self.unshown)
            lines.append(
                f"No rendered face shows {unshown}; nothing is said of these"
            )
        return lines


def inspect(
    card: str, changes: tuple[str, ...] = (), data: str | None = None
) -> Inspection:
    """Show a card's network some faces, and try whether another input or order
    of classes would surely read better; nothing is written.

    Args:
        card: Its path, or a source.
        changes: Single keys of it.
        data: Labelled photographs, as in ``folder:PATH``, beside avatars.

    Returns:
        What it gives, and what was tried.

    Raises:
        InputError: Where the network cannot be opened, is not as the card
            says, or tells no expressions apart.
    """
    recipe, opened = _opened(card, changes)
    classes = recipe.network.output.classes
    if len(classes) < 2:
        raise InputError(
            "network.output.classes: the check needs two classes or more"
        )
    shown = {}
    if data is not None:
        shown[data] = _photographs(recipe, data)
    avatars = _avatars(recipe)
    checked = {
        name: _checked(recipe, opened, faces)
        for name, faces in ({"avatars": avatars} | shown).items()
    }
    present = set(avatars.shown.tolist())
    unshown = tuple(
        name for place, name in enumerate(classes) if place not in present
    )
    read = _read(recipe, opened, avatars)
    return Inspection(_about(recipe, opened), read, checked, unshown)


def _checked(recipe: Recipe, opened: nn.Module, faces: Faces) -> Checked:
    if not len(faces):
        classes = recipe.network.output.classes
        raise InputError(
            f"network.output.classes: the faces show none of {', '.join(classes)}"
        )
    told = recipe.network
    return check(opened, told.input, told.output.classes, faces)


def _avatars(recipe: Recipe) -> Faces:
    """Rendered faces with a wide margin, of people whom no study shows."""
    wanted = recipe.network.input
    margin = max(WIDE, wanted.margin)
    settings = AvatarSettings(
        people=_PEOPLE,
        seed=_SEED,
        size=_PIXELS,
        samples=1,
        colour=wanted.channels == 3,
        margin=margin,
    )
    table = dataset.load(settings).labelled()
    whole = np.ones(len(table), bool)
    decoded = stack.decode(table, _PIXELS, wanted.channels, cut_already=whole)
    classes = recipe.network.output.classes
    return Faces.of(decoded, classes, margin=margin)


def _photographs(recipe: Recipe, data: str) -> Faces:
    """Photographs cut by the network's own crop, with a wide margin; as they
    are, where it takes them whole.
    """
    table = sources.load(data, recipe.faces.avatars).labelled()
    wanted = recipe.network.input
    margin = wanted.margin
    if crop.without_margin(wanted.crop) != "none":
        margin = max(WIDE, margin)
    name = crop.with_margin(wanted.crop, margin)
    size = min(2 * wanted.size, 448)
    decoded = stack.decode(table, size, wanted.channels, name)
    classes = recipe.network.output.classes
    return Faces.of(decoded, classes, _MOST_PHOTOGRAPHS, margin)


def _read(recipe: Recipe, opened: nn.Module, faces: Faces) -> pd.DataFrame:
    """What the network makes of one face of each class, eight at most."""
    told = recipe.network
    classes = np.array(told.output.classes)
    _, firsts = np.unique(faces.shown[::-1], return_index=True)
    some = faces[(len(faces) - 1 - firsts)[:_SHOWN]]
    prepare = Preparation(told.input.steps)
    (cut,) = some.cut(told.input.margin, told.input.size)
    with torch.inference_mode():
        given = opened(prepare(cut))
    best = network.as_pair(recipe, opened).shares(given).max(1)
    return pd.DataFrame(
        {
            "shown": classes[some.shown],
            "read_as": classes[best.indices.numpy()],
            "share": best.values.numpy(),
        }
    )


def _about(recipe: Recipe, opened: nn.Module) -> str:
    told = recipe.network
    found = listing.listed(opened, network.noise_for(recipe))
    size = told.input.size
    return (
        f"{told.source}: takes {size} × {size} {told.input.colours}, gives {told.output.gives} of "
        f"{len(told.output.classes)} classes; {_of_layer(recipe, found)}{len(found)} layers have "
        "units"
    )


def _of_layer(recipe: Recipe, found: pd.DataFrame) -> str:
    """The layer that is looked at, and how many units it has."""
    wanted = recipe.units.layer
    layer = _chosen(found) if wanted == "auto" else wanted
    units = found.set_index("layer")["units"].get(layer)
    if units is None:  # read off a layer, or none is chosen
        return f"layer {layer}; " if layer else ""
    return f"layer {layer} ({units} units); "


def _verdicts(name: str, found: Checked) -> list[str]:
    """What would surely read better on some faces."""
    tried = found.tried
    stated = tried.iloc[0]
    sure = tried[tried["surely_better"]].sort_values(
        "separation", ascending=False
    )
    lines = [
        f"{name}: {row.change} would surely read better: {percent(row.accuracy, 0)} in place of "
        f"{percent(stated['accuracy'], 0)}; is the card right?"
        for row in sure.itertuples()
    ]
    if found.order is not None:
        classes = ", ".join(f'"{each}"' for each in found.order)
        lines.append(
            f"{name}: network.output.classes=[{classes}] would surely read better: "
            f"{percent(found.accuracy, 0)} in place of {percent(stated['accuracy'], 0)} "
            f"(p = {found.order_p:.2g}){_together(lines)}; is the order right?"
        )
    return lines or [
        f"{name}: reads {percent(stated['accuracy'], 0)} of {stated['pictures']} faces; no other "
        "input and no other order of classes would surely read better"
    ]


def _together(lines: list[str]) -> str:
    """Say that an order's accuracy is had with another input besides."""
    return ", together with the best of these inputs" if lines else ""


def trust(run: str | Path) -> str:
    """Let the callable that a study names be run on this machine.

    Args:
        run: The study's folder.

    Returns:
        The callable.

    Raises:
        InputError: Where the folder holds no study, or one of a network that
            is made by no callable.
    """
    recipe = record.open(run, until="faces").recipe
    card = network.card(recipe)
    if not recipe.network.given or card.kind != "code":
        raise InputError(f"{run}: its network is made by no code of its own")
    network.allow_typed(recipe)
    return card.source
