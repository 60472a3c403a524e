"""Labelled pictures: where they come from, how they are cut, prepared,
augmented and split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from duchenne.faces.images.stack import decode
    from duchenne.faces.joining import join
    from duchenne.faces.preparation.steps import Preparation
    from duchenne.faces.protocols import protocol
    from duchenne.faces.sources import load
    from duchenne.faces.table import FaceTable

__all__ = ["FaceTable", "Preparation", "decode", "join", "load", "protocol"]

# processes that only cut pictures need neither pandas nor PyTorch
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "images.stack": ["decode"],
        "joining": ["join"],
        "preparation.steps": ["Preparation"],
        "protocols": ["protocol"],
        "sources": ["load"],
        "table": ["FaceTable"],
    },
)
