"""A network and faces in, what each of its units responds to out."""

from duchenne.units.fields import Fields
from duchenne.units.methods import METHODS
from duchenne.units.projection import Windows, likeness, project
from duchenne.units.responses import Peaks, Top, responses, stream

__all__ = ["METHODS", "Fields", "Peaks", "Top", "Windows", "likeness", "project", "responses", "stream"]
