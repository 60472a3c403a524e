"""Faces rendered from action units: the data set that needs no licence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from duchenne.errors import InputError
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.table import FaceTable
from duchenne.progress import Progress, quiet


def render_with_sheet(out: Path, progress: Progress = quiet, **settings: Any) -> FaceTable:
    """Render avatars into a new folder, with a contact sheet; settings are those of ``AvatarSettings``."""
    from duchenne.faces import contact_sheet
    from duchenne.faces.avatars import dataset

    try:
        chosen = AvatarSettings(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"--{first['loc'][0]} {first['input']!r}: {message}") from None
    table = dataset.render(out, chosen, progress)
    contact_sheet.of_table(table, out / "contact_sheet.png")
    return table
