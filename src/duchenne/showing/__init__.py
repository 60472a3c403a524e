"""Figures of a finished study in the papers' layouts, each with the table of what it shows."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable
from typing import Any

from duchenne.errors import InputError
from duchenne.progress import Progress, quiet
from duchenne.showing.evidence import agreement, distance, divergence, doses, evidence_map
from duchenne.showing.faces import layers, sequence
from duchenne.showing.filters import invariance, random_weights, redundancy, traits
from duchenne.showing.looking import Run, Shown
from duchenne.showing.reading import architecture, coding, confusion, examples
from duchenne.showing.units import action_units, regions, units

FIGURES: dict[str, Callable[..., Shown]] = {
    "examples": examples,
    "coding": coding,
    "architecture": architecture,
    "confusion": confusion,
    "units": units,
    "action-units": action_units,
    "regions": regions,
    "layers": layers,
    "sequence": sequence,
    "invariance": invariance,
    "redundancy": redundancy,
    "traits": traits,
    "random-weights": random_weights,
    "evidence-map": evidence_map,
    "divergence": divergence,
    "distance": distance,
    "doses": doses,
    "agreement": agreement,
}
"""Every figure by its name on the command line."""

__all__ = ["FIGURES", "Shown", "show", *(name.replace("-", "_") for name in FIGURES)]


def show(run: Run, figure: str = "units", *, progress: Progress = quiet, **options: Any) -> Shown:
    """Draw one of ``FIGURES`` of a finished study; ``options`` are those of the function that draws it.

    Raises ``InputError`` for a figure that is not there, for options that it does not take, and as its function does.
    """
    if figure not in FIGURES:
        near = difflib.get_close_matches(figure, FIGURES, n=1, cutoff=0.0)[0]
        raise InputError(f"figure {figure!r}: did you mean {near}? There are {', '.join(FIGURES)}")
    taken = [name for name in inspect.signature(FIGURES[figure]).parameters if name not in ("run", "progress")]
    for name in options:
        if name not in taken:
            raise InputError(f"--{name}: not for figure {figure!r}, which takes {', '.join(f'--{each}' for each in taken)}")
    with warnings.catch_warnings(record=True) as caught:
        shown = FIGURES[figure](run, **options, progress=progress)
    for text in dict.fromkeys(str(each.message) for each in caught):  # a picture after another may warn
        warnings.warn(text, stacklevel=2)
    return shown
