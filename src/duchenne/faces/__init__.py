"""Labelled pictures: where they come from, how they are cut, prepared, augmented and split."""

from duchenne.faces import prepare, stack
from duchenne.faces.protocols import protocol
from duchenne.faces.sources import load
from duchenne.faces.table import FaceTable

__all__ = ["FaceTable", "load", "prepare", "protocol", "stack"]
