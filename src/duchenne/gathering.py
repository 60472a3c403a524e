"""The faces that a recipe asks for: its data sets as one table, with what detectors say, selected, cut and decoded."""

from __future__ import annotations

from pathlib import Path

from duchenne.faces import detected, joining, protocols, sources, stack
from duchenne.faces.table import FaceTable
from duchenne.progress import Progress, quiet
from duchenne.recipes import Faces


def table(faces: Faces, given: FaceTable | None = None, progress: Progress = quiet) -> FaceTable:
    """Gather the table that a recipe's ``faces`` describe, or take a given one for its source.

    Raises ``InputError`` for whatever cannot be read, and where the protocol leaves no picture.
    """
    found = given if given is not None else sources.load(faces.source, faces.avatars, progress)
    if faces.other:
        found = joining.join(found, sources.load(faces.other, faces.avatars, progress))
    if faces.action_units:
        found = detected.join(found, Path(faces.action_units).expanduser())
    if faces.probable is not None:
        found = detected.thresholded(found, faces.probable)
    return protocols.protocol(found, faces.protocol)


def decoded(faces: Faces, table: FaceTable, progress: Progress = quiet) -> stack.Stack:
    """Cut and decode the labelled pictures of a table as a recipe's ``faces`` say.

    Raises ``InputError`` as ``stack.load`` does.
    """
    crop = "none" if faces.source == "avatars" else faces.crop  # avatars are rendered as a crop leaves a face
    return stack.load(table.labelled(), faces.size, faces.channels, crop, progress, faces.no_face)
