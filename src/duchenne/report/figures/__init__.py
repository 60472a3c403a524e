"""Figures of a finished study in the papers' layouts, each with the table of
what it shows.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import warnings
from collections.abc import Callable
from typing import Any

from duchenne.errors import InputError
from duchenne.report.figures.registry import FIGURES, Run
from duchenne.report.figures.shown import Shown

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)  # each registers its figures

__all__ = ["FIGURES", "Shown", "show"]


def __getattr__(name: str) -> Callable[..., Shown]:
    """Every figure's function, as in ``figures.units(study, [3])``."""
    if name.replace("_", "-") in FIGURES:
        return FIGURES[name.replace("_", "-")].draw
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def show(run: Run, figure: str = "units", **options: Any) -> Shown:
    """Draw one of ``FIGURES`` of a finished study.

    Args:
        run: A study, or its folder.
        figure: The name of the figure.
        options: Those of the function that draws it.

    Returns:
        The figure, and the table of what it shows.

    Raises:
        InputError: For a figure that is not there, for options that it does
            not take, and as its function does.
    """
    if figure not in FIGURES:
        near = difflib.get_close_matches(figure, FIGURES, n=1, cutoff=0.0)[0]
        raise InputError(
            f"figure {figure!r}: did you mean {near}? There are {', '.join(FIGURES)}"
        )
    drawing = FIGURES[figure]
    for name in options:
        if name not in drawing.options:
            taken = ", ".join(drawing.options) or "no options"
            raise InputError(
                f"{name}: not for figure {figure!r}, which takes {taken}"
            )
    with warnings.catch_warnings(record=True) as caught:
        shown = drawing.draw(run, **options)
    # one picture after another may warn
    once = dict.fromkeys(str(each.message) for each in caught)
    for text in once:
        warnings.warn(text, stacklevel=2)
    return shown
