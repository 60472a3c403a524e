"""A network and faces in, what each of its units responds to out."""

from duchenne.units.accumulators import (
    Every,
    Histogram,
    Moments,
    Quantiles,
    Top,
)
from duchenne.units.activations import Activations
from duchenne.units.projection import Windows, likeness, project
from duchenne.units.receptive_fields import Fields
from duchenne.units.relu_rules import METHODS
from duchenne.units.responses import read, responses

__all__ = [
    "METHODS",
    "Activations",
    "Every",
    "Fields",
    "Histogram",
    "Moments",
    "Quantiles",
    "Top",
    "Windows",
    "likeness",
    "project",
    "read",
    "responses",
]
