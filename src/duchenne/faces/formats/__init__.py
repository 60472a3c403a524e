"""Data sets on disk: one module each, and the registry of all by the name
before the colon.

To add a data set, add a module with a ``Format``; another package names one by
an entry point (``plug_ins``).
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace

from duchenne import plug_ins
from duchenne.faces.formats.adapter import Format


def _is_format(made: object) -> bool:
    return isinstance(made, Format)


def _every() -> dict[str, Format]:
    """The formats of all modules of this folder, a user's own first."""
    found = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Format):
                found[value.name] = value
    taken = {"avatars", *found}
    brought = plug_ins.found(plug_ins.FACES, _is_format, taken)
    for name, made in brought.items():
        found[name] = replace(made, name=name)
    return dict(sorted(found.items(), key=lambda pair: pair[0] != "folder"))


FORMATS: dict[str, Format]
"""Every kind of data set: found when it is first asked for, so that a package
which brings one can import this folder's modules.
"""


def __getattr__(name: str) -> dict[str, Format]:
    if name != "FORMATS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = _every()
    return found
