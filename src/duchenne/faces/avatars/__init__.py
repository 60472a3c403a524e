"""Faces rendered from action units: the data set that needs no licence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from duchenne.errors import ArgumentError, refused_value
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.table import FaceTable


def render_with_sheet(out: Path, **settings: Any) -> FaceTable:
    """Render avatars into a new folder, with a contact sheet.

    Args:
        out: The folder.
        settings: Those of ``AvatarSettings``.

    Returns:
        The faces, as ``folder:`` reads them.

    Raises:
        InputError: For a setting that cannot be used, and where the folder
            exists and is not empty.
    """
    from duchenne.faces.avatars import dataset
    from duchenne.faces.previews import contact_sheet

    try:
        chosen = AvatarSettings(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise ArgumentError(
            str(first["loc"][0]), refused_value(first)
        ) from None
    table = dataset.render(out, chosen)
    contact_sheet.of_table(table, out / "contact_sheet.png")
    return table
