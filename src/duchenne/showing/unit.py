"""One unit of a study, as a notebook shows it: what it sees, what it answers to, and what moves it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from duchenne import facs
from duchenne.evidence import ranked
from duchenne.report import tables
from duchenne.showing.looking import Shown
from duchenne.showing.units import units
from duchenne.study import Study

_COLUMNS = ("au", "r", "r_low", "r_high", "r_null", "kl_z", "ap_lift", "p", "slope", "low", "high")
_FIRST = 5


@dataclass(frozen=True)
class Unit:
    """A unit of the study's layer, by its ``number``."""

    study: Study
    number: int

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """The evidence for every action unit, surest first, and where single action units were stimulated what each alone
        does to the unit: ``slope`` with its interval, ``low`` to ``high``.
        """
        found = self.study.evidence
        if found.empty:
            return found
        own, moved = ranked(found[found["unit"] == self.number]), self.study.interventions
        if moved.empty:
            return own
        slopes = moved.loc[moved["unit"] == self.number, ["au", "slope", "low", "high"]]
        return own.merge(slopes, on="au", how="left")

    @cached_property
    def picture(self) -> Shown:
        """Its receptive fields in the pictures that it answers to most, over its projections, and the random start's."""
        return units(self.study, [self.number], top=min(8, self.study.recipe.units.top), twin=True)

    def _repr_html_(self) -> str:
        drawn = base64.b64encode(self.picture._repr_png_()).decode()
        own = self.evidence
        told = ""
        if len(own):
            first = own.head(_FIRST)[[name for name in _COLUMNS if name in own]]
            names = [facs.coded(code).name for code in first["au"]]
            told = tables.written(first.assign(name=names)).to_html(index=False)
        return (
            f"<p><b>Unit {self.number}</b> of {self.study.recipe.units.layer}</p>"
            f"<img alt='What unit {self.number} sees' src='data:image/png;base64,{drawn}'>{told}"
        )
