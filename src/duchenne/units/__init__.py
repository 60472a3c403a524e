"""A network and faces in, what each of its units responds to out."""

from duchenne.units.fields import boxes, windows
from duchenne.units.projection import METHODS, Windows, likeness, project
from duchenne.units.responses import Peaks, Top, responses, stream

__all__ = ["METHODS", "Peaks", "Top", "Windows", "boxes", "likeness", "project", "responses", "stream", "windows"]
