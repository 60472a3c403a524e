"""A data set cut out: its faces as small pictures with a manifest, in a folder
that ``folder:`` reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from duchenne import files
from duchenne.errors import InputError
from duchenne.faces.formats import folder
from duchenne.faces.images import decoding, stack
from duchenne.faces.previews import contact_sheet
from duchenne.faces.table import BOX, FaceTable
from duchenne.progress import progress

UNCERTAIN = "uncertain.png"
_SHOWN, _ACROSS = 80, 10  # pictures on the sheet of uncertain ones


def write(
    table: FaceTable,
    out: Path,
    crop_name: str,
    size: int,
    channels: int = 1,
    no_face: str = "keep",
) -> stack.Stack:
    """Cut the face out of every picture of a table into a new folder, whole or
    not at all.

    ``uncertain.png`` shows the pictures in which no face or several were
    found, as they were before.

    Args:
        table: The pictures.
        out: The folder.
        crop_name: One of ``CROPS``, or a detector's file.
        size: Pixels along a side.
        channels: 1 for grey, 3 for RGB.
        no_face: "keep" or "leave out", where a crop finds none.

    Returns:
        The faces, as they were written.

    Raises:
        InputError: Where ``out`` exists and is not empty, and as
            ``stack.decode`` does.
    """
    _refuse_taken(out, table)
    cut = stack.decode(table, size, channels, crop_name, no_face)
    names = [
        f"{path.replace('#', '_')}.png" for path in cut.table.frame["path"]
    ]
    with (
        files.replacing_folder(out) as partial,
        progress("Writing faces", len(names)) as advance,
    ):
        for place, name in enumerate(names):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            decoding.write(partial / name, cut.floats([place])[0])
            advance(1)
        _manifest(cut.table, names).to_csv(
            partial / folder.MANIFEST, index=False
        )
        _write_doubtful(partial / UNCERTAIN, table, uncertain(table, cut))
    return cut


def _refuse_taken(out: Path, table: FaceTable) -> None:
    """Refuse a folder that holds something, or that lies within the pictures'
    own.
    """
    if out.exists() and not _is_empty(out):
        raise InputError(f"{out}: exists and is not an empty folder")
    if out.resolve().is_relative_to(table.root.resolve()):
        raise InputError(f"{out}: lies within the data set that is to be cut")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _write_doubtful(
    path: Path, table: FaceTable, doubtful: Sequence[str]
) -> None:
    """Draw pictures whose face is in doubt, as far as they can be read."""
    thumbnails = [
        (Path(name).name, contact_sheet.thumbnail(table.root / name))
        for name in doubtful[:_SHOWN]
    ]
    if any(thumbnail is not None for _, thumbnail in thumbnails):
        contact_sheet.write(path, thumbnails, _ACROSS)


def uncertain(table: FaceTable, found: stack.Stack) -> list[str]:
    """The pictures that cannot be read, or in which no face, or more than one,
    was found: paths as in the table.
    """
    lines = (*found.table.left_out, *found.notes)
    named = {line.partition(": ")[0] for line in lines}
    return [
        str(path)
        for path in table.frame["path"]
        if str(table.root / path) in named
    ]


def _manifest(table: FaceTable, names: list[str]) -> pd.DataFrame:
    """The labels of the table; boxes and landmarks, which belong to the larger
    picture, are left away.
    """
    frame = table.frame.drop(
        columns=[*BOX, "landmarks"], errors="ignore"
    ).assign(path=names)
    flags = frame.select_dtypes("boolean").columns
    return frame.astype(dict.fromkeys(flags, "Int64"))
