"""Find out which facial action units your expression network has learned.

The line: ``faces`` → ``networks`` → ``training`` → ``units`` → ``evidence`` → ``report``; ``run``
walks it, ``open`` finds a finished study again.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duchenne import evidence, faces, facs, networks, recipes, training, units
    from duchenne.analyses.transfer import evaluate
    from duchenne.errors import InputError
    from duchenne.pipeline.run import run
    from duchenne.report.figures import show
    from duchenne.report.unit import unit
    from duchenne.study.record import Study, open

__version__ = importlib.metadata.version("duchenne")
__all__ = [
    "InputError",
    "Study",
    "evaluate",
    "evidence",
    "faces",
    "facs",
    "networks",
    "open",
    "recipes",
    "run",
    "show",
    "training",
    "unit",
    "units",
]

_WHERE = {
    "run": "pipeline.run",
    "show": "report.figures",
    "open": "study.record",
    "evaluate": "analyses.transfer",
    "Study": "study.record",
    "InputError": "errors",
    "unit": "report.unit",
}


def __getattr__(name: str) -> Any:
    """Import parts when they are first asked for: PyTorch and Lightning take seconds."""
    if name in _WHERE:
        return getattr(importlib.import_module(f"duchenne.{_WHERE[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"duchenne.{name}")
    raise AttributeError(f"module 'duchenne' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
