"""Cards: recipes for networks that were made elsewhere. A card says where the
network is, what it takes and what it gives; what a source says of itself need
not be repeated.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from duchenne import facs
from duchenne.errors import InputError
from duchenne.networks import GIVEN
from duchenne.networks.given import refuse_code_not_allowed, said_of_itself
from duchenne.recipes import loading
from duchenne.recipes.schema import Recipe

_BASE = "audit"
_ABOUT = "a network that was made elsewhere"


def read_card(
    told: str,
    changes: Sequence[str] = (),
    above: Mapping[str, Any] = MappingProxyType({}),
) -> Recipe:
    """Read a card, and change some keys.

    Args:
        told: A TOML file, which extends ``audit`` unless it says otherwise, or
            the source of a network alone, as in ``hf:FOLDER``.
        changes: Single keys, as in ``network.input.size=64``.
        above: Keys that stand in place of the card's, group by group.

    Returns:
        The recipe of an audit.

    Raises:
        InputError: As ``recipes.read`` does, for a source that cannot be read,
            and for a card that a study's folder keeps, which may be someone
            else's, where it names code that was not named on this machine.
    """
    if loading.is_file(told):
        if not Path(told).expanduser().is_file():
            raise InputError(f"card {told}: no such file")
        keys = loading.merged(told, extends=_BASE)
    else:
        keys = loading.merged(_BASE)
        keys["network"] |= {"source": told}
    if keys.get("about") == loading.merged(_BASE)["about"]:
        keys["about"] = _ABOUT
    keys = loading.over({"name": _name(told)} | keys, above)
    card = _completed(keys, changes)
    _remark_on(card.network.output.classes)
    if loading.is_of_a_study(told):
        refuse_code_not_allowed(card.network.source, card.network.options)
    return card


def from_keys(
    name: str, keys: Mapping[str, Any], changes: Sequence[str] = ()
) -> Recipe:
    """Make the recipe of an audit of single keys.

    Args:
        name: Of the study.
        keys: Those of a card, group by group.
        changes: Single keys.

    Returns:
        The recipe.

    Raises:
        InputError: As ``read_card`` does.
    """
    told = loading.over(loading.merged(_BASE), {"about": _ABOUT, **keys})
    return _completed({"name": name} | told, changes)


def _completed(keys: dict[str, Any], changes: Sequence[str]) -> Recipe:
    """A recipe of a card's keys, and of what its source says of itself."""
    loading.change(keys, changes)
    network = keys.setdefault("network", {})
    source = network.get("source")
    if network.get("name") == GIVEN and isinstance(source, str):
        keys["network"] = loading.over(said_of_itself(source), network)
    return loading.validated(keys)


def _remark_on(classes: Sequence[str]) -> None:
    """Say of classes that no face shows which expression may be meant."""
    for name in classes:
        near = facs.nearest_expression(name)
        if near and near not in classes and name not in facs.SUPERSETS:
            warnings.warn(
                f"network.output.classes {name!r}: no face shows it; is {near} meant?",
                stacklevel=3,
            )


def _name(told: str) -> str:
    """What a study of a card or a source is called."""
    if loading.is_file(told):
        return Path(told).stem
    last = Path(told.partition(":")[2] or told).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.") or GIVEN
