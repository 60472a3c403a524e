"""Find out which facial action units your expression network has learned.

The line: ``faces`` → ``networks`` → ``training`` → ``units`` → ``evidence`` →
``report``; ``run`` walks it, ``open`` finds a finished study again.
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from duchenne import (
        evidence,
        faces,
        facs,
        networks,
        recipes,
        training,
        units,
    )
    from duchenne.analyses.compare import compare
    from duchenne.analyses.transfer import evaluate
    from duchenne.errors import InputError
    from duchenne.pipeline.audit import audit
    from duchenne.pipeline.run import run
    from duchenne.report.figures import show
    from duchenne.report.unit import unit
    from duchenne.study.record import Study, open

__version__ = importlib.metadata.version("duchenne")
__all__ = [
    "InputError",
    "Study",
    "audit",
    "compare",
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

# PyTorch and Lightning take seconds: parts are imported when first asked for
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules=[
        "evidence",
        "faces",
        "facs",
        "networks",
        "recipes",
        "training",
        "units",
    ],
    submod_attrs={
        "analyses.compare": ["compare"],
        "analyses.transfer": ["evaluate"],
        "errors": ["InputError"],
        "pipeline.audit": ["audit"],
        "pipeline.run": ["run"],
        "report.figures": ["show"],
        "report.unit": ["unit"],
        "study.record": ["Study", "open"],
    },
)
