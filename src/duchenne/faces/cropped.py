"""A data set cut out: its faces as small pictures with a manifest, in a folder that ``folder:`` reads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from duchenne import cache
from duchenne.errors import InputError
from duchenne.faces import contact_sheet, pictures, stack
from duchenne.faces.formats import folder
from duchenne.faces.table import BOX, FaceTable
from duchenne.progress import Progress, quiet

UNCERTAIN = "uncertain.png"
_SHOWN, _ACROSS = 80, 10  # pictures on the sheet of uncertain ones


def write(
    table: FaceTable,
    out: Path,
    crop_name: str,
    size: int,
    channels: int = 1,
    no_face: str = "keep",
    progress: Progress = quiet,
) -> stack.Stack:
    """Cut the face out of every picture of a table into a new folder, whole or not at all.

    ``uncertain.png`` shows the pictures in which no face or several were found, as they were before. Raises ``InputError``
    where ``out`` exists and is not empty, and as ``stack.load`` does.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder")
    if out.resolve().is_relative_to(table.root.resolve()):
        raise InputError(f"{out}: lies within the data set that is to be cut")
    found = stack.load(table, size, channels, crop_name, progress, no_face)
    names = [f"{path.replace('#', '_')}.png" for path in found.table.frame["path"]]
    with cache.replacing_folder(out) as partial, progress("Writing faces", len(names)) as advance:
        for place, name in enumerate(names):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            pictures.write(partial / name, found.floats([place])[0])
            advance(1)
        _manifest(found.table, names).to_csv(partial / folder.MANIFEST, index=False)
        doubtful = uncertain(table, found)
        if doubtful:
            thumbnails = [(Path(name).name, contact_sheet.thumbnail(table.root / name)) for name in doubtful[:_SHOWN]]
            if any(thumbnail is not None for _, thumbnail in thumbnails):
                contact_sheet.write(partial / UNCERTAIN, thumbnails, _ACROSS)
    return found


def uncertain(table: FaceTable, found: stack.Stack) -> list[str]:
    """The pictures that cannot be read, or in which no face, or more than one, was found: paths as in the table."""
    lines = (*found.table.left_out, *found.notes)
    named = {line.partition(": ")[0] for line in lines}
    return [str(path) for path in table.frame["path"] if str(table.root / path) in named]


def _manifest(table: FaceTable, names: list[str]) -> pd.DataFrame:
    """The labels of the table; boxes and landmarks, which belong to the larger picture, are left away."""
    frame = table.frame.drop(columns=[*BOX, "landmarks"], errors="ignore").assign(path=names)
    flags = frame.select_dtypes("boolean").columns
    return frame.astype(dict.fromkeys(flags, "Int64"))
