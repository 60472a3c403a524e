"""The faces that a recipe asks for: its data sets as one table, with what
detectors say, selected, cut and decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from duchenne.errors import InputError
from duchenne.faces import detector_columns, joining, protocols, sources
from duchenne.faces.images import stack
from duchenne.faces.table import FaceTable
from duchenne.recipes import Faces


def gather(
    faces: Faces,
    given: FaceTable | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> FaceTable:
    """Gather the table that a recipe's ``faces`` describe, or take a given one
    for its source.

    ``announce`` is told of what is passed over. Raises ``InputError`` for
    whatever cannot be read, and where the protocol leaves no picture.
    """
    found = (
        given
        if given is not None
        else sources.load(faces.source, faces.avatars)
    )
    if faces.other:
        _refuse_as_other(faces)
        found = joining.join(
            found, sources.load(faces.other, faces.other_avatars)
        )
    if faces.action_units and not faces.photographs:
        found = detector_columns.join(
            found, Path(faces.action_units).expanduser(), announce
        )
    if faces.probable is not None:
        found = detector_columns.thresholded(found, faces.probable)
    chosen = protocols.protocol(found, faces.protocol)
    lost = sorted(
        set(found.frame["dataset"].dropna())
        - set(chosen.frame["dataset"].dropna())
    )
    if faces.other and lost:
        raise InputError(
            f"protocol {faces.protocol!r}: no picture of {lost[0]} has an expression that it uses"
        )
    return chosen


def gather_photographs(faces: Faces) -> FaceTable | None:
    """Gather the photographs that a recipe's ``faces`` name beside its source,
    with the action units that it borrows.

    Args:
        faces: The recipe's.

    Returns:
        Those whose expression is labelled; nothing where none are named.

    Raises:
        InputError: For whatever cannot be read.
    """
    if not faces.photographs:
        return None
    found = sources.load(faces.photographs, faces.avatars)
    if faces.action_units:
        file = Path(faces.action_units).expanduser()
        found = detector_columns.join(found, file, lambda line: None)
    if faces.probable is not None:
        found = detector_columns.thresholded(found, faces.probable)
    return protocols.protocol(found, "labelled")


def _refuse_as_other(faces: Faces) -> None:
    if faces.other == "avatars" and faces.source != "avatars":
        raise InputError(
            f"faces.other: avatars beside {faces.source}; name the other data set, as in "
            "faces.other=jaffe:PATH"
        )
    if (
        faces.other == faces.source == "avatars"
        and faces.avatars.seed == faces.other_avatars.seed
    ):
        raise InputError(
            f"faces.other_avatars.seed {faces.avatars.seed}: the same people as faces.avatars; "
            "give another seed"
        )


def decode(faces: Faces, table: FaceTable) -> stack.Stack:
    """Cut and decode the labelled pictures of a table as a recipe's ``faces``
    say.

    Raises ``InputError`` as ``stack.decode`` does.
    """
    rendered = table.frame["dataset"].isin(_rendered(faces)).to_numpy(bool)
    labelled = table.frame["expression"].notna().to_numpy(bool)
    return stack.decode(
        table.labelled(),
        faces.size,
        faces.channels,
        faces.crop,
        faces.no_face,
        cut_already=rendered[labelled],
    )


def _rendered(faces: Faces) -> list[str]:
    """Data sets that need no crop: avatars are rendered as a crop leaves a
    face; a second set of them has a number.
    """
    return (
        ["avatars", "avatars-2"]
        if "avatars" in (faces.source, faces.other)
        else []
    )
