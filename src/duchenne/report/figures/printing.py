"""Figures as files fit for print: the same bytes for the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine

from duchenne import files
from duchenne.errors import InputError
from duchenne.report import PRINTED

_SAME: Any = {
    "svg.hashsalt": "duchenne",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}
_NO_DATE = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}


def save(figure: Figure, path: Path) -> None:
    """Write a figure, whole or not at all; everything stands at the same place
    in every kind of file.

    Args:
        figure: The figure.
        path: The file.

    Raises:
        InputError: Where the name ends in none of ``report.PRINTED``.
    """
    if path.suffix not in PRINTED:
        raise InputError(f"{path}: ends in none of {', '.join(PRINTED)}")
    with mpl.rc_context(_SAME), files.replacing(path) as partial:
        _lay_out(figure)
        figure.savefig(
            partial,
            format=path.suffix[1:],
            dpi=200,
            metadata=_NO_DATE[path.suffix],
        )


def _lay_out(figure: Figure) -> None:
    """Lay out a figure that is not laid out yet, once for all kinds of file."""
    if not isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def save_all(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure in every kind of file.

    Args:
        figure: The figure.
        folder: Of the files.
        name: Of the files, but for their ends.
    """
    for kind in PRINTED:
        save(figure, folder / f"{name}{kind}")
