"""What the network was shown, what it is, and how well it reads: the papers'
faces, drawings of networks and tables.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.experiments.ablate import in_prototypes
from duchenne.report import tables
from duchenne.report.figures import plots, source
from duchenne.report.figures.registry import figure
from duchenne.report.figures.sheets import Line, sheet
from duchenne.report.figures.shown import Shown
from duchenne.study.workspace import Workspace
from duchenne.units.layers import take

_SHAPES_NOTHING = (nn.Dropout, nn.Dropout2d, nn.Identity)


@figure("faces")
def examples(work: Workspace, *, top: int = 3) -> Shown:
    """Draw examples of the faces, as mousavi2016 does in Fig. 3: of every
    expression a few people, as they are cut out.

    Of a person the picture that shows the expression farthest stands, the last
    frame of a sequence.

    Args:
        work: A study, or its folder.
        top: How many people of every expression.

    Returns:
        The figure, and a row a face: its path and subject.

    Raises:
        InputError: For fewer than one.
    """
    if top < 1:
        raise InputError(f"top {top}: expected 1 or more")
    frame = work.stack.table.frame
    apex = frame.sort_values(
        "frame", ascending=False, kind="stable", na_position="last"
    )
    people = apex.drop_duplicates(
        ["expression", "subject"] if work.study.table.people_known else None
    )
    classes = [
        name
        for name in work.study.table.expressions
        if name in set(people["expression"])
    ]
    rows = [
        people.index[people["expression"] == name].to_numpy()[:top]
        for name in classes
    ]
    lines = [
        Line(name, list(work.stack.floats(of_class)))
        for name, of_class in zip(classes, rows, strict=True)
    ]
    return Shown(
        partial(_side_by_side, lines),
        source.labels(work, np.concatenate(rows)),
    )


def _side_by_side(lines: list[Line], width: float | None = None) -> Figure:
    """A column an expression, a row a person; white where an expression has no
    more people.
    """
    count = max(len(line.pictures) for line in lines)
    names = [line.name for line in lines]
    white = np.ones_like(lines[0].pictures[0])
    rows = [
        Line(
            "",
            [
                line.pictures[person] if person < len(line.pictures) else white
                for line in lines
            ],
            names if not person else (),
        )
        for person in range(count)
    ]
    return sheet(rows, width=width)


@figure("network")
def architecture(work: Workspace) -> Shown:
    """Draw the network, as khorrami2015 does in Fig. 2, mousavi2016 in Figs. 4
    and 5 and zhu2018 in its first.

    A block a layer, as high as the root of its maps' height, as wide as the
    logarithm of their number.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a layer, in the order in which they are run, but
        for those that pass on what they get: its kind with what it was made
        with, what it gives (channels, height, width) and how many numbers it
        has learned.
    """
    network = work.pair.trained
    picture = source.prepared(work, np.arange(1))
    leaves = _leaves(network)
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, result: Tensor) -> None:
        shapes[name] = tuple(result.shape[1:])

    take(network, list(leaves), picture, note)
    table = pd.DataFrame(
        [_row(name, leaves[name], shape) for name, shape in shapes.items()]
    )
    title = f"{work.study.network_name}: {table['learned'].sum():,} numbers learned"
    return Shown(
        partial(plots.architecture, tuple(picture.shape[1:]), table, title),
        table,
    )


def _row(
    name: str, layer: nn.Module, shape: tuple[int, ...]
) -> dict[str, str | int]:
    """What the table says of a layer."""
    channels, height, width = (*shape, 1, 1)[:3]
    return {
        "layer": name,
        "kind": str(layer),
        "channels": channels,
        "height": height,
        "width": width,
        "learned": sum(weights.numel() for weights in layer.parameters()),
    }


def _leaves(network: nn.Module) -> dict[str, nn.Module]:
    """The modules without others inside, but for those that pass on what they
    get.
    """
    found = {}
    for name, module in network.named_modules():
        if (
            name
            and not any(module.children())
            and not isinstance(module, _SHAPES_NOTHING)
        ):
            found[name] = module
    return found


@figure("network")
def confusion(work: Workspace) -> Shown:
    """Draw which expression is read as which in the test pictures.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and the counts.

    Raises:
        InputError: Where the network has no classes.
    """
    tables.refuse_without_classes(work.study)
    scores = work.study.scores
    counts = pd.DataFrame(
        scores["confusion"],
        columns=[f"read as {name}" for name in scores["classes"]],
    )
    counts.insert(0, "shown", list(scores["classes"]))
    return Shown(partial(plots.confusion, scores), counts)


@figure("faces")
def coding(work: Workspace) -> Shown:
    """Draw how expressions are made of action units, as zhu2018's drawing of
    FACS coding says and as the faces show.

    For each expression the share of its pictures that show each action unit,
    among those where it is coded; outlined where a published prototype of the
    expression holds it.

    Args:
        work: A study, or its folder.

    Returns:
        The figure, and a row a pair.

    Raises:
        InputError: Where no action unit is coded.
    """
    study = work.study
    table = study.table.labelled()
    codes = [
        code for code in table.presence() if table.frame[code].notna().any()
    ]
    if not codes:
        raise InputError(
            f"{study.folder}: no action unit is coded on the faces"
        )
    shown = table.frame.melt("expression", codes, "au", "present").dropna(
        subset="present"
    )
    shares = shown.assign(present=shown["present"].astype(float)).groupby(
        ["expression", "au"]
    )["present"]
    found = shares.agg(share="mean", pictures="size").reset_index()
    of_prototypes = in_prototypes(found["expression"].unique().tolist())
    found["prototype"] = [
        pair in of_prototypes
        for pair in zip(found["au"], found["expression"], strict=True)
    ]
    return Shown(partial(plots.coding, found, table.expressions), found)
