"""A network that was made elsewhere, looked at before anything is written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from duchenne.errors import InputError
from duchenne.recipes.cards import read_card
from duchenne.study import network, record
from duchenne.units import listing


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
    recipe = read_card(card, changes)
    network.allow_typed(recipe)
    opened = network.rehearse(recipe)
    found = listing.listed(opened, network.noise_for(recipe))
    return found.assign(auto=found["layer"] == listing.chosen(found))


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
