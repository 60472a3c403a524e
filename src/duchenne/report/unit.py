"""One unit of a study, as a notebook shows it: what it sees, what it answers
to, and what moves it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.evidence import ranked
from duchenne.report import printed_tables
from duchenne.report.figures.projections import units
from duchenne.report.figures.shown import Shown
from duchenne.study.record import Study, refuse_undone

_COLUMNS = (
    "au",
    "r",
    "r_low",
    "r_high",
    "r_null",
    "kl_z",
    "ap_lift",
    "p",
    "slope",
    "low",
    "high",
)
_FIRST = 5


@dataclass(frozen=True)
class Unit:
    """A unit of the study's layer, by its ``number``."""

    study: Study
    number: int

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """The evidence for every action unit, surest first, and where single
        action units were stimulated what each alone does to the unit:
        ``slope`` with its interval, ``low`` to ``high``.
        """
        found = self.study.evidence
        if found.empty:
            return found
        pairs = ranked(found[found["unit"] == self.number])
        moved = self.study.interventions
        if moved.empty:
            return pairs
        slopes = moved.loc[
            moved["unit"] == self.number, ["au", "slope", "low", "high"]
        ]
        return pairs.merge(slopes, on="au", how="left")

    @cached_property
    def picture(self) -> Shown:
        """Its receptive fields in the pictures that it answers to most, over
        its projections, and the untrained network's.
        """
        return units(
            self.study,
            [self.number],
            top=min(8, self.study.recipe.units.top),
            untrained=True,
        )

    def _repr_html_(self) -> str:
        drawn = base64.b64encode(self.picture._repr_png_()).decode()
        pairs = self.evidence
        html = ""
        if len(pairs):
            first = pairs.head(_FIRST)[
                [name for name in _COLUMNS if name in pairs]
            ]
            names = [facs.coded(code).name for code in first["au"]]
            html = printed_tables.written(first.assign(name=names)).to_html(
                index=False
            )
        return (
            f"<p><b>Unit {self.number}</b> of {self.study.recipe.units.layer}</p><img alt='What "
            f"unit {self.number} sees' src='data:image/png;base64,{drawn}'>{html}"
        )


def unit(study: Study, number: int) -> Unit:
    """One unit of a study's layer, which shows itself in a notebook.

    Args:
        study: A study whose evidence is done.
        number: Of the unit, from 0.

    Returns:
        The unit, with its evidence and a picture of what it sees.

    Raises:
        InputError: For a number that is not there, and for a study that has no
            evidence yet.
    """
    refuse_undone(study.folder, study.state, "evidence")
    count = int(study.summary["units"])
    if not 0 <= number < count:
        raise InputError(
            f"unit {number}: layer {study.recipe.units.layer!r} has units 0 to {count - 1}"
        )
    return Unit(study, number)
