"""Figures as files fit for print: the same bytes for the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from duchenne.report import PRINTED

_SAME: Any = {"svg.hashsalt": "duchenne", "svg.fonttype": "none", "pdf.fonttype": 42}
_NO_DATE = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure in every kind of file (``report.PRINTED``); everything stands at the same place in each."""
    with mpl.rc_context(_SAME):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for kind in PRINTED:
            figure.savefig(folder / f"{name}{kind}", dpi=200, metadata=_NO_DATE[kind])
