"""Plots fit for print: functions that take results and return a matplotlib
figure; saving is the caller's.
"""

from duchenne.report.figures.plots.doses import doses
from duchenne.report.figures.plots.expressions import (
    coding,
    confusion,
    manifold,
    reactions,
    values,
)
from duchenne.report.figures.plots.layers import (
    architecture,
    likenesses,
    traits,
)
from duchenne.report.figures.plots.people import photographs, twins
from duchenne.report.figures.plots.scores import (
    distances,
    divergences,
    heat_map,
    validities,
)

__all__ = [
    "architecture",
    "coding",
    "confusion",
    "distances",
    "divergences",
    "doses",
    "heat_map",
    "likenesses",
    "manifold",
    "photographs",
    "reactions",
    "traits",
    "twins",
    "validities",
    "values",
]
