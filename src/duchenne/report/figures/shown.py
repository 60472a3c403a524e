"""A figure of a study and the table of what it shows; whoever asks for it
saves it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from duchenne import files
from duchenne.errors import InputError
from duchenne.report import WIDTHS
from duchenne.report.figures import printing


@dataclass(frozen=True)
class Shown:
    """What draws a figure, in a given ``width`` in inches or its own, and the
    ``table`` of what it shows.
    """

    draw: Callable[..., Figure]
    table: pd.DataFrame

    @cached_property
    def figure(self) -> Figure:
        """The figure in its own width."""
        return self.draw()

    def save(self, path: str | Path, columns: int = 0) -> Path:
        """Write the figure to a file, and its table beside it as csv.

        Args:
            path: Ends in .pdf, .svg or .png.
            columns: Of a printed page, that it is as wide as
                (``report.WIDTHS``); 0, as suits it.

        Returns:
            The csv's path.

        Raises:
            InputError: Where the name ends otherwise, and for other numbers of
                columns.
        """
        path = Path(path)
        if columns and columns not in WIDTHS:
            raise InputError(
                f"columns {columns}: not one of {', '.join(map(str, WIDTHS))}"
            )
        figure = self.draw(width=WIDTHS[columns]) if columns else self.figure
        printing.save(figure, path)
        beside = path.with_suffix(".csv")
        with files.replacing(beside) as partial:
            self.table.to_csv(partial, index=False)
        return beside

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        self.figure.savefig(drawn, format="png", dpi=110)
        return drawn.getvalue()
