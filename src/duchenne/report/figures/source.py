"""What figures draw from: a finished study, opened, and what is read from it
for any of its layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne import evidence, facs, files
from duchenne.errors import ArgumentError, InputError
from duchenne.experiments import measure_traits, survey
from duchenne.faces.classes import as_classes
from duchenne.report import gallery
from duchenne.report.tables import refuse_without_classes
from duchenne.study import record
from duchenne.study.workspace import Workspace
from duchenne.units.activations import Activations
from duchenne.units.projection import has_other_activations_only

MOST = 50
"""Pictures that fit on a sheet side by side."""
Rows = NDArray[np.int64]


def numbers(units: Sequence[int] | NDArray[np.integer] | int) -> list[int]:
    """Units by number.

    Args:
        units: One or several.

    Returns:
        A list.

    Raises:
        InputError: For what are none.
    """
    given = np.atleast_1d(np.asarray(units))
    if given.size and not np.issubdtype(given.dtype, np.integer):
        raise ArgumentError("units", f"{units}: not numbers, as in 3,17")
    return [int(unit) for unit in given.ravel()]


def clearest(work: Workspace, count: int) -> list[int]:
    """The units that stand first in the report.

    Raises:
        InputError: Where the study has no evidence yet.
    """
    record.refuse_undone(work.study.folder, work.study.state, "evidence")
    return gallery.chosen(work.study.units_folder, count)


def said(work: Workspace, layer: str, method: str) -> str:
    """What a method is on a layer: the rules for ReLUs give the gradient where
    none is on the way.
    """
    if method not in ("guided", "deconvnet"):
        return method
    picture = prepared(work, work.shown_rows[:1])
    return (
        "gradient"
        if has_other_activations_only(work.pair.trained, layer, picture)
        else method
    )


def best(work: Workspace, layer: str, top: int) -> pd.DataFrame:
    """The top pictures of every unit of a layer: those that the study kept, or
    found now.

    Args:
        work: The study.
        layer: Any of its network's.
        top: How many a unit.

    Returns:
        ``unit, rank, image`` (a row of the study's table),
        ``activation, row, col, x0, y0, x1, y1``.
    """
    if not isinstance(top, int) or not 1 <= top <= MOST:
        raise InputError(f"top {top}: expected 1 to {MOST}")
    kept = work.study.units_folder / "top.parquet"
    if (
        layer == work.recipe.units.layer
        and top <= work.recipe.units.top
        and "units" in work.study.state["stages"]
    ):
        found = files.read_frame(kept)
    else:
        found = _survey(work, layer, top).top
    return found[found["rank"] < top]


def activations(work: Workspace, layer: str) -> Activations:
    """Every unit's activation on every picture that units are shown: those
    that the study kept, or found now.
    """
    kept = work.study.units_folder / "responses.parquet"
    if (
        layer == work.recipe.units.layer
        and "units" in work.study.state["stages"]
    ):
        return Activations.from_frame(files.read_frame(kept))
    return _survey(work, layer, 1).activations


def _survey(work: Workspace, layer: str, top: int) -> survey.Survey:
    rows = work.shown_rows
    examined = replace(work.trained.layer, name=layer)
    return survey.survey(examined, work.stack.floats(rows), rows, top)


def strongest(work: Workspace, layer: str) -> pd.DataFrame:
    """The action unit that each unit answers to most, by the study's evidence.

    Args:
        work: The study.
        layer: Any of its network's.

    Returns:
        By unit ``au, r, p`` (family-wise) and whether it ``detects`` it; empty
        where it has none.
    """
    if (
        layer != work.recipe.units.layer
        or "evidence" not in work.study.state["stages"]
        or work.study.evidence.empty
    ):
        return pd.DataFrame(columns=["au", "r", "p", "detects"])
    found = evidence.strongest(work.study.evidence)
    found["detects"] = evidence.detecting(found, work.recipe.evidence.level)
    return found.set_index("unit")[["au", "r", "p", "detects"]]


def shares(work: Workspace, rows: Rows) -> NDArray[np.float32]:
    """The probability that the network gives each class for some pictures.

    Args:
        work: The study.
        rows: Of its pictures, k.

    Returns:
        (k, classes).
    """
    return np.asarray(work.pair.read(work.stack.floats(rows)).numpy())


def right(work: Workspace, rows: Rows) -> NDArray[np.float32]:
    """The probability that the network gives the expression which is shown.

    Args:
        work: The study.
        rows: Of its pictures, k.

    Returns:
        (k,); NaN where it has no class for what is shown.

    Raises:
        InputError: Where it has no classes at all.
    """
    refuse_without_classes(work.study)
    classes = list(work.study.scores["classes"])
    read_as = as_classes(pd.Series(expressions(work, rows)), classes)
    places = pd.Index(classes).get_indexer(read_as)
    found = shares(work, rows)[np.arange(len(rows)), places]
    return np.where(places >= 0, found, np.float32(np.nan))


def surest(work: Workspace, count: int) -> Rows:
    """Of every expression so many pictures, not trained on, that it is read in
    most surely; the first ones where the network has no classes.
    """
    rows = work.not_trained_on
    sure = pd.DataFrame(
        {"row": rows, "expression": expressions(work, rows), "right": 0.0}
    )
    if work.study.has_classes:
        sure = sure.assign(right=right(work, rows)).dropna(subset="right")
    first = (
        sure.sort_values("right", ascending=False, kind="stable")
        .groupby("expression", sort=False)
        .head(count)
    )
    classes = work.study.scores["classes"] or facs.EXPRESSIONS
    order = {name: index for index, name in enumerate(classes)}
    inorder = first.sort_values(
        "expression", key=lambda names: names.map(order), kind="stable"
    )
    return np.array(inorder["row"], np.int64)


def expressions(work: Workspace, rows: Rows) -> NDArray[np.str_]:
    """The expressions of some pictures.

    Args:
        work: The study.
        rows: Of its pictures, k.

    Returns:
        (k,).
    """
    named: NDArray[np.str_] = work.stack.table.frame["expression"].to_numpy(
        str
    )
    return named[rows]


def prepared(work: Workspace, rows: Rows) -> Tensor:
    """Some pictures as the network is given them.

    Args:
        work: The study.
        rows: Of its pictures, k.

    Returns:
        (k, C, H, W).
    """
    given: Tensor = work.pair.prepare(
        torch.from_numpy(work.stack.floats(rows))
    )
    return given


def labels(work: Workspace, rows: Rows) -> pd.DataFrame:
    """What a table says of some pictures.

    Args:
        work: The study.
        rows: Of its pictures.

    Returns:
        ``path, subject, expression``.
    """
    return (
        work.stack.table.frame[["path", "subject", "expression"]]
        .iloc[rows]
        .reset_index(drop=True)
    )


def with_maps(work: Workspace, wanted: Sequence[str] = ()) -> list[str]:
    """The layers that are wanted, by default those of the network that are
    worth looking at; all must give maps.

    Raises ``InputError`` for a wanted layer that is not there or gives none.
    """
    network = work.pair.trained
    wanted = (wanted,) if isinstance(wanted, str) else wanted
    named = list(dict.fromkeys(wanted)) or work.layers
    found = measure_traits.with_maps(
        network, named, prepared(work, np.arange(1))
    )
    for name in named:
        if wanted and name not in found:
            raise InputError(f"layer {name!r}: gives no maps")
    return found
