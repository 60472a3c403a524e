"""The networks of a finished study on another data set, as mousavi2016 takes
its networks from CK+ to JAFFE.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from duchenne import facs, files, recipes
from duchenne.errors import InputError
from duchenne.faces.classes import COARSE, as_classes
from duchenne.faces.images.fingerprint import fingerprint
from duchenne.faces.images.stack import Stack
from duchenne.progress import progress
from duchenne.recipes import Paper, Recipe
from duchenne.study import network, record
from duchenne.study.faces import decode, gather
from duchenne.study.record import Study
from duchenne.study.sentences import percent
from duchenne.training import jobs
from duchenne.training.metrics import scores


@dataclass(frozen=True)
class Evaluation:
    """Where it is kept, ``scores`` as in a study's ``scores.json``, and
    ``predictions``, a row a picture and network.
    """

    folder: Path
    scores: dict[str, Any]
    predictions: pd.DataFrame

    @property
    def headline(self) -> str:
        """The answer in a sentence."""
        found = self.scores
        each = (
            f", the mean of {len(found['networks'])} networks, the best {percent(found['best'])}"
            if len(found["networks"]) > 1
            else ""
        )
        unread = (
            f"; {found['unread']} pictures show what the networks know no class for"
            if found["unread"]
            else ""
        )
        return (
            f"{percent(found['mean'])} of {found['pictures']} pictures are read right{each} "
            f"(guessing the most frequent expression: {percent(found['majority'])}){unread}."
        )


def evaluate(
    run: str | Path | Study, data: str, *, changes: tuple[str, ...] = ()
) -> Evaluation:
    """Show another data set to every network that a study has trained; its
    ``evaluations/<data>/`` keeps the result.

    Faces are selected, cut and prepared as in the study. Classes are matched
    by name; where one side has the three supersets of mousavi2016 and the
    other expressions, expressions are folded into supersets.

    Args:
        run: A study, or its folder.
        data: A source, as in ``jaffe:/data/JAFFE``.
        changes: Single keys of the recipe that are other for these faces.

    Returns:
        What was read.

    Raises:
        InputError: Where the study or the faces cannot be used, where they are
            the faces of the study, and where no picture shows a class that the
            networks know.
    """
    study = (
        run if isinstance(run, Study) else record.open(run, until="network")
    )
    faces = _other_faces(study, data, changes)
    predictions = _of_every_network(study, faces)
    known = predictions[predictions["expression"].notna()]
    if known.empty:
        raise InputError(f"{data}: shows no expression that the networks know")
    columns = [name for name in predictions if name.startswith("p_")]
    classes = [name.removeprefix("p_") for name in columns]
    found = scores(known, classes, Paper())
    found["unread"] = len(faces) - found["pictures"]
    found["data"] = data
    found["changes"] = list(changes)
    folder = _keep(study, " ".join([data, *changes]), found, predictions)
    return Evaluation(folder, found, predictions)


def _other_faces(study: Study, data: str, changes: Sequence[str]) -> Stack:
    """Faces that are not the study's, selected and cut as its own were; refused
    where the network has no classes.
    """
    if not study.has_classes:
        raise InputError(
            f"{study.folder}: its network has no classes that faces could be read as"
        )
    source = f"faces.source={json.dumps(data, ensure_ascii=False)}"
    recipe = recipes.changed(study.recipe, [*changes, "faces.other=", source])
    table = gather(recipe.faces)
    if fingerprint(table) == study.state["faces"]["fingerprint"]:
        where = "how well they are read stands in its scores.json"
        raise InputError(f"{data}: the faces of the study itself; {where}")
    return decode(recipe.faces, table)


def _of_every_network(study: Study, faces: Stack) -> pd.DataFrame:
    """What every network of a study makes of the faces."""
    trained = [(0, 0, study.folder)]
    if not study.recipe.network.given:
        trained = jobs.trained(study.folder / "training")
    parts = []
    with progress("Reading expressions", len(trained)) as advance:
        for fold, attempt, folder in trained:
            parts.append(_read(study.recipe, folder, faces, fold, attempt))
            advance(1)
    return pd.concat(parts, ignore_index=True)


def folded(
    shown: pd.Series, found: Tensor, classes: tuple[str, ...]
) -> tuple[pd.Series, Tensor, tuple[str, ...]]:
    """Match the expressions shown with a network's classes, folding one side
    where it takes it.

    Args:
        shown: (n,) expressions.
        found: (n, classes) probabilities.
        classes: In their order.

    Returns:
        Expressions, probabilities and classes as they match; an expression
        that no class stands for is NA.

    >>> found = torch.tensor([[0.5, 0.3, 0.2]])
    >>> folded(pd.Series(["positive"]), found, ("anger", "happiness", "surprise"))[
    ...     1:
    ... ]
    (tensor([[0.5000, 0.5000]]), ('positive', 'negative'))
    """
    if COARSE & set(shown.dropna()) and not COARSE & set(classes):
        found, classes = _summed(found, classes)
    return as_classes(shown, classes), found, classes


def _summed(
    found: Tensor, classes: tuple[str, ...]
) -> tuple[Tensor, tuple[str, ...]]:
    """Probabilities (n, classes) of expressions as those of their supersets."""
    members: dict[str, list[int]] = {}
    for superset in facs.SUPERSETS:
        for index, name in enumerate(classes):
            if facs.SUPERSET_OF.get(name) == superset:
                members.setdefault(superset, []).append(index)
    sums = [found[:, places].sum(1) for places in members.values()]
    return torch.stack(sums, 1), tuple(members)


def _read(
    recipe: Recipe, folder: Path, faces: Stack, fold: int, attempt: int
) -> pd.DataFrame:
    """The predictions of one network, a row a picture."""
    read = network.alone(recipe, folder)
    shown, found, classes = folded(
        faces.table.frame["expression"],
        read.read(faces.stored),
        read.classes,
    )
    return jobs.predictions(faces.table, classes, found, fold, attempt).assign(
        expression=shown.to_numpy()
    )


def _called(name: str) -> str:
    """A folder's name for a data set and changes; where letters had to be left
    out, a digest tells it from others.

    >>> _called("jaffe:/data/jaffe")
    'jaffe-data-jaffe'
    >>> _called("folder:/データ") == _called("folder:/写真")
    False
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    if name.isascii() and len(plain) <= _LONGEST:
        return plain
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[
        :8
    ]
    return f"{plain[-_LONGEST:]}-{digest}".lstrip("-")


_LONGEST = 80


def _keep(
    study: Study, name: str, told: dict[str, Any], found: pd.DataFrame
) -> Path:
    folder = study.folder / "evaluations" / _called(name)
    with files.replacing(folder / "predictions.parquet") as partial:
        found.to_parquet(partial, index=False)
    files.write_json(folder / "scores.json", told)
    return folder
