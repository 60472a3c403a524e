"""Data sets on disk: one module each, and the registry of all by the name
before the colon.

To add a data set, add a module with a ``Format``.
"""

from __future__ import annotations

import importlib
import pkgutil

from duchenne.faces.formats.adapter import Format


def _every() -> dict[str, Format]:
    """The formats of all modules of this folder, a user's own first."""
    found = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Format):
                found[value.name] = value
    return dict(sorted(found.items(), key=lambda pair: pair[0] != "folder"))


FORMATS = _every()
"""Every kind of data set."""
