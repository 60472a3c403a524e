"""Every figure of a study by its name: a function that draws one registers
itself.

The Python call, the command's sub-commands and the documentation read
``FIGURES``. To add a figure, write a function from a workspace to what is
shown, in a module of this folder, and decorate it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, cast

from duchenne.report.figures.shown import Shown
from duchenne.study import record
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace

Run = str | Path | Study
_Options = ParamSpec("_Options")


@dataclass(frozen=True)
class Option:
    """What can be asked of a figure: its name, type and default, and what it
    says.
    """

    name: str
    kind: Any
    default: Any
    says: str


@dataclass(frozen=True)
class Drawing:
    """A figure: its name, the stage that a study must have come to, and the
    function that draws.
    """

    name: str
    needs: str
    draw: Callable[..., Shown]

    @property
    def says(self) -> str:
        """Its first sentence."""
        text = inspect.getdoc(self.draw) or ""
        return " ".join(text.split("\n\n")[0].split())

    @property
    def options(self) -> dict[str, Option]:
        """What can be asked of it, as its docstring explains."""
        signature = inspect.signature(self.draw, eval_str=True)
        _, *parameters = signature.parameters.values()
        says = _arguments(inspect.getdoc(self.draw) or "")
        return {
            each.name: Option(
                each.name,
                each.annotation,
                each.default,
                says.get(each.name, ""),
            )
            for each in parameters
        }


FIGURES: dict[str, Drawing] = {}
"""Every figure by its name."""


def figure(
    needs: str,
) -> Callable[
    [Callable[Concatenate[Workspace, _Options], Shown]],
    Callable[Concatenate[Run, _Options], Shown],
]:
    """Register a function that draws a figure, under its own name.

    Args:
        needs: The stage that the study must have come to.

    Returns:
        A decorator: the function then takes a study, or its folder, in place
        of a workspace.
    """

    def register(
        draw: Callable[Concatenate[Workspace, _Options], Shown],
    ) -> Callable[Concatenate[Run, _Options], Shown]:
        name = draw.__name__.replace("_", "-")

        @wraps(draw)
        def of_run(
            run: Run, *given: _Options.args, **options: _Options.kwargs
        ) -> Shown:
            return draw(opened(run, needs), *given, **options)

        FIGURES[name] = Drawing(name, needs, of_run)
        return cast(Callable[Concatenate[Run, _Options], Shown], of_run)

    return register


def opened(run: Run, until: str) -> Workspace:
    """Open a study, with its faces.

    Raises:
        InputError: Where it was not done ``until`` a stage.
    """
    study = run if isinstance(run, Study) else record.open(run, until=until)
    record.refuse_undone(study.folder, study.state, until)
    return Workspace(study, study.table)


def _arguments(docstring: str) -> dict[str, str]:
    """What the section Args of a docstring says of each.

    >>> _arguments(inspect.getdoc(figure))
    {'needs': 'The stage that the study must have come to.'}
    """
    section = re.search(
        r"^Args:\n((?:    .*\n?|\n)*)", docstring, flags=re.MULTILINE
    )
    if section is None:
        return {}
    entries = re.findall(
        r"^    (\w+): ((?:.|\n {8})*)", section.group(1), flags=re.MULTILINE
    )
    return {name: " ".join(text.split()) for name, text in entries}
