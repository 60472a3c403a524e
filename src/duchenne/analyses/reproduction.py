"""Every row of the papers' tables in one table of ours: on the papers' own
data sets where one has them, else on avatars.

On avatars the rows are trained in hours rather than weeks, as ``SHORT`` says:
their order can be set beside the papers', their figures cannot, and the table
says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from duchenne import files, recipes
from duchenne.errors import ArgumentError, DivergedError
from duchenne.pipeline.run import run
from duchenne.recipes import Recipe

_PEOPLE = "faces.avatars.people=40"
_FAST = (
    "training.epochs=16",
    "training.batch=16",
    "training.optimiser=adamw",
    "training.rate=5e-4",
    "training.schedule=one_cycle",
    "training.decay=0.01",
)

SHORT: dict[str, tuple[str, ...]] = {
    "zero_bias": (
        _PEOPLE,
        *_FAST,
        "faces.size=48",
        "network.options.gain=1.0",
    ),
    "zhu": (_PEOPLE, "training.epochs=24", "training.batch=16"),
    "sparse": (_PEOPLE,),
    "lipnet": (_PEOPLE,),
}
"""What is changed on avatars, by network: faces of 40 people; pictures of half
the side and an optimiser that needs a hundredth of the passes where
khorrami2015's takes days; for zhu2018 small batches, as few passes are few
steps.
"""


_COLUMNS = [
    "recipe",
    "row",
    "paper",
    "faces",
    "ours",
    "networks",
    "guessing",
    "error of probabilities",
    "remark",
]


@dataclass(frozen=True)
class Reproduction:
    """Where it is kept, and ``table``: a row a recipe, figures in per cent as
    the papers print them.
    """

    folder: Path
    table: pd.DataFrame

    @property
    def file(self) -> Path:
        """The table as people read it."""
        return self.folder / "papers.md"


def reproduce(
    out: str | Path = "runs/papers",
    sets: Mapping[str, str] | None = None,
    *,
    rows: str = "*",
    announce: Callable[[str], None] = lambda line: None,
    **machine: Any,
) -> Reproduction:
    """Train every row of the papers' tables and set its figure beside theirs.

    A row whose sets are all there is run as its recipe says, another on
    avatars as ``SHORT`` says; those that are done are not done twice. Each is
    a study in a folder of its own, which ``duchenne run --resume`` walks to
    its report; the table is ``papers.md`` and ``papers.csv``.

    Args:
        out: The folder.
        sets: Where the papers' data sets are, as in
            ``{"ckplus": "/data/CK+"}``.
        rows: Picks recipes, as in ``"mousavi2016*"``.
        announce: Is told of every row.
        machine: Who trains and on what: ``workers``, ``backend``, ``address``
            and ``devices``, as ``run`` takes them.

    Returns:
        The table, and where it lies.

    Raises:
        InputError: As ``pipeline.run`` does.
    """
    _refuse_unknown(machine)
    folder = Path(out)
    given = dict(sets or {})
    chosen = [recipe for recipe in published() if fnmatch(recipe.name, rows)]
    if not chosen:
        raise ArgumentError(
            "rows", f"{rows!r}: no recipe of a paper is called that"
        )
    found = []
    for number, recipe in enumerate(chosen, 1):
        announce(f"{recipe.name} ({number} of {len(chosen)})")
        row = _reproduced(recipe, folder, given, machine)
        announce("    " + _summary(row))
        found.append(row)
        _keep(folder, _framed(found))
    return Reproduction(folder, _framed(found))


_MACHINE = ("workers", "backend", "address", "devices")


def _refuse_unknown(machine: Mapping[str, Any]) -> None:
    for name in machine:
        if name not in _MACHINE:
            raise ArgumentError(
                name, f"is not known; there are {', '.join(_MACHINE)}"
            )


def _summary(row: Mapping[str, Any]) -> str:
    """What a row of the table says, in a line."""
    names = ("ours", "paper", "remark")
    return "; ".join(f"{name} {row[name]}" for name in names if row[name])


def _reproduced(
    recipe: Recipe,
    folder: Path,
    given: Mapping[str, str],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """Train what a recipe says and set our figure beside the paper's."""
    source, changes = _faces(recipe, given)
    sources = (
        recipes.changed(recipe, changes).sources
        if ":" in source
        else (source,)
    )
    out = folder / "-".join((recipe.name, *sources))
    options: dict[str, Any] = {
        "changes": changes,
        "resume": True,
        "until": "network",
    }
    try:
        study = run(recipe, source, out, **options, **machine)
    except DivergedError as error:
        return _paper_row(recipe, source) | {
            "ours": "",
            "remark": str(error).rpartition(":")[0],
        }
    return _paper_row(recipe, source) | _row(
        study.scores, recipe.training.attempts > 1
    )


def published() -> list[Recipe]:
    """The recipes that stand for a row of a paper's table."""
    return [
        recipe
        for recipe in map(recipes.read, recipes.names())
        if recipe.paper.faces
    ]


def _faces(
    recipe: Recipe, given: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """Where a row's faces come from, and what is changed for them."""
    wanted = recipe.paper.faces
    if not all(name in given for name in wanted):
        return "avatars", SHORT[recipe.network.name]
    first, *others = (f"{name}:{given[name]}" for name in wanted)
    return first, tuple(f"faces.other={other}" for other in others)


def _framed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [{name: row.get(name, "") for name in _COLUMNS} for row in rows]
    )


def _paper_row(recipe: Recipe, source: str) -> dict[str, Any]:
    paper = recipe.paper
    return {
        "recipe": recipe.name,
        "row": paper.table,
        "paper": _figure(paper.accuracy, paper.spread, paper.best),
        "faces": source.partition(":")[0],
    }


def _row(scores: Mapping[str, Any], attempts: bool) -> dict[str, Any]:
    """What a study found; the best of its networks where they are attempts at
    the same thing.
    """
    spread = "" if scores["sd"] is None else f" ± {100 * scores['sd']:.1f}"
    return {
        "ours": f"{100 * scores['mean']:.1f}{spread}"
        + (f", best {100 * scores['best']:.1f}" if attempts else ""),
        "networks": str(len(scores["networks"])),
        "guessing": f"{100 * scores['majority']:.1f}",
        "error of probabilities": f"{100 * scores['calibration']['error']:.1f}",
        "remark": _remark(scores),
    }


def _figure(
    mean: float | None, spread: float | None, best: float | None
) -> str:
    parts = [
        f"{mean}" if mean else "",
        f" ± {spread}" if spread else "",
        f", best {best}" if best else "",
    ]
    return "".join(parts)


def _remark(scores: Mapping[str, Any]) -> str:
    remarks = [
        f"{scores['leaked']} of {scores['pictures']} test pictures show people trained on"
        if scores["leaked"]
        else "",
        "epoch chosen by the test pictures"
        if scores["chosen_by"] == "test"
        else "",
    ]
    return "; ".join(remark for remark in remarks if remark)


def _keep(folder: Path, table: pd.DataFrame) -> None:
    with files.replacing(folder / "papers.csv") as partial:
        table.to_csv(partial, index=False)
    with files.replacing(folder / "papers.md") as partial:
        partial.write_text(
            f"{_explained(table)}\n{markdown(table)}", encoding="utf-8"
        )


def _explained(table: pd.DataFrame) -> str:
    """What must be known of the rows that were trained on avatars."""
    rows = table["faces"].eq("avatars")
    if not rows.any():
        return (
            "Accuracy on held-out pictures in per cent: mean ± standard "
            "deviation over networks.\n"
        )
    wanted = {
        recipes.read(name).network.name for name in table["recipe"][rows]
    }
    changes = "".join(
        f"- `{name}`: {', '.join(f'`{change}`' for change in SHORT[name])}\n"
        for name in SHORT
        if name in wanted
    )
    return (
        "Accuracy on held-out pictures in per cent: mean ± standard deviation over networks. Rows "
        "on avatars show other\n"
        "faces than the papers', and fewer, and are trained for hours instead of weeks: how they "
        "compare with each other\n"
        "can be set beside the papers, their figures cannot. What is changed of the "
        f"recipes:\n\n{changes}"
    )


def markdown(table: pd.DataFrame) -> str:
    """Write a table as Markdown.

    Args:
        table: Of texts and numbers.

    Returns:
        Its lines.

    >>> print(markdown(pd.DataFrame({"row": ["plain"], "ours": ["80.0"]})))
    | row | ours |
    | --- | --- |
    | plain | 80.0 |
    <BLANKLINE>
    """
    rows = [
        list(table),
        ["---"] * table.shape[1],
        *table.astype(str).to_numpy().tolist(),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
