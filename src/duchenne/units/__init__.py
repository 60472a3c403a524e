"""A network and faces in, what each of its units responds to out."""

from duchenne.units.accumulators import Every, Histogram, Moments, Quantiles, Top
from duchenne.units.fields import Fields
from duchenne.units.methods import METHODS
from duchenne.units.peaks import Peaks
from duchenne.units.projection import Windows, likeness, project
from duchenne.units.responses import read, responses

__all__ = [
    "METHODS", "Every", "Fields", "Histogram", "Moments", "Peaks", "Quantiles", "Top", "Windows", "likeness", "project",
    "read", "responses",
]  # fmt: skip
