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
from collections.abc import Container, Iterator
from typing import Any

NETWORKS = "duchenne.networks"
FACES = "duchenne.faces"
RECIPES = "duchenne.recipes"


def found(group: str, taken: Container[str] = ()) -> Iterator[tuple[str, Any]]:
    """Load what installed packages bring.

    What cannot be loaded, or has a name that is ``taken``, is left out with a
    warning that names the package.

    Args:
        group: ``NETWORKS``, ``FACES`` or ``RECIPES``.
        taken: Names that are not given again.

    Yields:
        Name and object of each entry point.

    >>> list(found("duchenne.nothing"))
    []
    """
    for entry in importlib.metadata.entry_points(group=group):
        package = entry.dist.name if entry.dist else entry.value
        if entry.name in taken:
            _left_out(f"{entry.name!r} of {package}: the name is taken")
            continue
        try:
            made = entry.load()
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            _left_out(f"{entry.name!r} of {package}: {first}")
            continue
        yield entry.name, made


def _left_out(what: str) -> None:
    warnings.warn(f"plug-in {what}; it is left out", stacklevel=3)
