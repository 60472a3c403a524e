"""What other installed packages bring: networks, data sets and recipes, by the
entry points that their ``pyproject.toml`` names.

    [project.entry-points."duchenne.networks"]
    mine = "my_package.networks:Mine"

    [project.entry-points."duchenne.faces"]
    mine = "my_package.faces:MINE"

    [project.entry-points."duchenne.recipes"]
    mine = "my_package.recipes"

A network is a class that ``duchenne.testing.check_network`` accepts, a data set
a ``duchenne.faces.formats.adapter.Format``, and recipes are the TOML files
beside a package's ``__init__.py``.
"""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Container
from typing import Any

NETWORKS = "duchenne.networks"
FACES = "duchenne.faces"
RECIPES = "duchenne.recipes"


Accepts = Callable[[Any], bool]


def found(
    group: str, accepts: Accepts, taken: Container[str] = ()
) -> dict[str, Any]:
    """Load what installed packages bring.

    What cannot be loaded, is of another kind, or has a name that is taken, is
    left out with a warning that names the package.

    Args:
        group: ``NETWORKS``, ``FACES`` or ``RECIPES``.
        accepts: Whether an object is of the group's kind.
        taken: Names that are not given again.

    Returns:
        The objects by the names of their entry points.

    >>> found("duchenne.nothing", callable)
    {}
    """
    brought: dict[str, Any] = {}
    for entry in importlib.metadata.entry_points(group=group):
        package = entry.dist.name if entry.dist else entry.value
        called = f"{entry.name!r} of {package}"
        if entry.name in taken or entry.name in brought:
            left_out(called, "the name is taken")
            continue
        try:
            made = entry.load()
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            left_out(called, first)
            continue
        if accepts(made):
            brought[entry.name] = made
        else:
            left_out(called, f"{entry.value} is of another kind")
    return brought


def left_out(called: str, why: str) -> None:
    """Warn of what a package brings and cannot be used.

    Args:
        called: Its name and package.
        why: What stands against it.
    """
    warnings.warn(f"plug-in {called}: {why}; it is left out", stacklevel=3)
