"""Labelled pictures: where they come from, how they are cut, prepared, augmented and split."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duchenne.faces.images.stack import decode
    from duchenne.faces.joining import join
    from duchenne.faces.preparation.steps import Preparation
    from duchenne.faces.protocols import protocol
    from duchenne.faces.sources import load
    from duchenne.faces.table import FaceTable

__all__ = ["FaceTable", "Preparation", "decode", "join", "load", "protocol"]

_WHERE = {
    "FaceTable": "table",
    "Preparation": "preparation.steps",
    "decode": "images.stack",
    "join": "joining",
    "load": "sources",
    "protocol": "protocols",
}


def __getattr__(name: str) -> Any:
    """Import parts when they are first asked for: processes that only cut pictures need neither
    pandas nor PyTorch.
    """
    if name in _WHERE:
        return getattr(importlib.import_module(f"duchenne.faces.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'duchenne.faces' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
