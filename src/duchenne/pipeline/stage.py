"""A stage of a study as data: its name, what it follows from, what it reads of
the recipe, what it does and writes.

A stage's *identity* is a digest of the recipe's keys that it reads and of the
stages before it; a resumed study does it again only where that has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from duchenne.errors import InputError
from duchenne.recipes import Recipe
from duchenne.study.workspace import Workspace


@dataclass(frozen=True)
class Stage:
    """One stage of the line.

    Attributes:
        name: In ``study.json``, in messages and in ``--until``.
        needs: Names of the stages whose files it reads.
        reads: Keys of the recipe that its files depend on, as in
            ``units.layer``; a table's name stands for all its keys.
        do: Writes the stage's files.
        writes: The files, below the study's folder; ``{layer}`` is the folder
            of the units' layer.
        revision: Raised when what the stage computes changes, so that a
            resumed study does it again.
        passes_over: Keys within ``reads`` that change nothing.
        beside: Whatever else its files depend on, from the recipe.
    """

    name: str
    needs: tuple[str, ...]
    reads: tuple[str, ...]
    do: Callable[[Workspace], None]
    writes: tuple[str, ...]
    revision: int = 1
    passes_over: tuple[str, ...] = ()
    beside: Callable[[Recipe], Sequence[object]] = lambda recipe: ()

    def depends_on(self, key: str) -> bool:
        """Tell whether a key of the recipe is among those that the stage
        itself reads.

        >>> Stage("units", (), ("units.layer",), print, ()).depends_on("units.layer")
        True
        """
        if _within(key, self.passes_over):
            return False
        return _within(key, self.reads)


def _within(key: str, tables: Sequence[str]) -> bool:
    return any(key == table or key.startswith(f"{table}.") for table in tables)


def leaves(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Every key of a recipe by its dotted name.

    >>> leaves({"seed": 0, "units": {"layer": "conv3"}})
    {'seed': 0, 'units.layer': 'conv3'}
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = value
    return found


def identities(
    line: Sequence[Stage],
    recipe: Recipe,
    fingerprint: str,
    unwanted: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """Digest, for each stage of the line, whatever it depends on.

    Args:
        line: The stages.
        recipe: The study's.
        fingerprint: Of the faces.
        unwanted: The identities that stages had which are not wanted now: they
            stay where what these depend on, as photographs on another disk,
            cannot be read.

    Returns:
        By their names.

    Raises:
        InputError: Where what a wanted stage depends on cannot be read.
    """
    every = leaves(recipe.model_dump(mode="json"))
    found: dict[str, str] = {}
    for stage in line:
        try:
            beside = list(stage.beside(recipe))
        except InputError:
            if stage.name not in unwanted:
                raise
            found[stage.name] = unwanted[stage.name]
            continue
        before = [found[name] for name in stage.needs] or [fingerprint]
        read = {
            key: value for key, value in every.items() if stage.depends_on(key)
        }
        identity = [before, stage.revision, read, beside]
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        found[stage.name] = digest.hexdigest()[:16]
    return found
