"""The stages that show a network other faces than the study's: rendered twins,
and photographs beside avatars.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from duchenne import files
from duchenne.evidence import differences
from duchenne.experiments import photographs, twins
from duchenne.faces.classes import as_classes
from duchenne.faces.images.fingerprint import fingerprint
from duchenne.faces.images.stack import Stack
from duchenne.recipes import Recipe
from duchenne.study.faces import gather_photographs
from duchenne.study.record import PHOTOGRAPHS
from duchenne.study.workspace import Workspace
from duchenne.training import jobs, metrics


def compare_people(work: Workspace) -> None:
    """Compare what the network makes of people who differ in who they are:
    ``people.parquet``, empty where nobody knows.
    """
    parts: list[pd.DataFrame] = []
    if not work.pair.classes:
        _write_people(work, parts)
        return
    of_avatars = twins.drawn(work.pair, work.stack, work.not_trained_on)
    if of_avatars is not None:
        parts.append(of_avatars)
    count = work.recipe.people.twins
    if count:
        faces = work.recipe.faces
        people = work.stimulating.model_copy(update={"people": count})
        rendered = twins.render(people, faces.size, faces.channels)
        parts.append(twins.compare(work.pair, rendered))
    _write_people(work, parts)


def _write_people(work: Workspace, parts: list[pd.DataFrame]) -> None:
    nothing = pd.DataFrame(columns=differences.COLUMNS)
    found = pd.concat(parts, ignore_index=True) if parts else nothing
    files.write_frame(work.study.folder / "people.parquet", found)


def show_photographs(work: Workspace) -> None:
    """Show the network the recipe's photographs, where it names any:
    ``photographs/``.
    """
    folder = work.study.folder / PHOTOGRAPHS
    shown = work.photographs
    if shown is None:
        files.remove(folder)
        return
    found = _answered(work, shown)
    with files.replacing_folder(folder) as partial:
        files.write_frame(partial / "faces.parquet", shown.table.frame)
        files.write_frame(partial / "top.parquet", found.top)
        files.write_frame(partial / "ranges.parquet", found.ranges)
        files.write_frame(
            partial / "expressions.parquet", found.matched.expressions
        )
        if found.matched.evidence is not None:
            files.write_frame(
                partial / "evidence.parquet", found.matched.evidence
            )
        summary = found.matched.summary | {"holding": found.holding}
        files.write_json(partial / "summary.json", summary)
        _read_expressions(work, shown, partial)


def _answered(work: Workspace, shown: Stack) -> photographs.OnPhotographs:
    """What units answer to photographs, beside the study's own faces."""
    trained, control = work.examined()
    study = work.study
    known = photographs.OwnFaces(
        trained.activations(), study.evidence, study.expressions
    )
    recipe = work.recipe
    return photographs.show(
        trained.layer,
        control.layer,
        shown,
        known,
        recipe.evidence,
        recipe.seed,
        recipe.units.top,
    )


def _read_expressions(work: Workspace, shown: Stack, folder: Path) -> None:
    """How well expressions are read from photographs: ``predictions.parquet``
    and ``scores.json``, where any shows a class of the network.
    """
    pair = work.pair
    expressions = as_classes(shown.table.frame["expression"], pair.classes)
    known = expressions.notna().to_numpy(bool)
    if not known.any():
        return
    found = jobs.predictions(
        shown.table, pair.classes, pair.read(shown.stored), 0, 0
    )
    found["expression"] = expressions.to_numpy()
    found = found[known]
    files.write_frame(folder / "predictions.parquet", found)
    scores = metrics.scores(found, pair.classes, work.recipe.paper)
    scores["unread"] = int((~known).sum())
    files.write_json(folder / "scores.json", scores)


def of_photographs(recipe: Recipe) -> list[str]:
    """What the photographs of a recipe are.

    Args:
        recipe: Any.

    Returns:
        Their fingerprint; nothing where it names none.

    Raises:
        InputError: Where they cannot be read.
    """
    table = gather_photographs(recipe.faces)
    return [] if table is None else [fingerprint(table)]
