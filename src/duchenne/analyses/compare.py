"""Studies beside each other: accuracies, detectors of each action unit, and
units that answer alike on the same faces.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from duchenne import files
from duchenne.analyses import reactions
from duchenne.errors import InputError
from duchenne.evidence import detections, strongest
from duchenne.evidence.counterparts import counterparts
from duchenne.faces.images.stack import Stack
from duchenne.faces.table import FaceTable
from duchenne.progress import progress
from duchenne.report import class_tables
from duchenne.report.figures import plots, printing
from duchenne.report.page import comparison
from duchenne.study import record
from duchenne.study.faces import decode
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace
from duchenne.units.layers import Layer
from duchenne.units.responses import responses

Floats = NDArray[np.float32]
_BATCH = 64


@dataclass(frozen=True)
class Comparison:
    """What several studies have in common, as frames; ``page`` is where it can
    be looked at.

    ``studies``: a row a study: study, network, layer, accuracy with low and
    high, units, detecting, untrained. ``detectors``: a row an action unit, a
    column a study: how many units detect it; NA where it is not coded often
    enough. ``alike``: a row a pair of studies: one, other, units; r, the
    median correlation of units of one with their counterparts in the other;
    r_untrained, the same with the other untrained; mutual, the share that are
    each other's; same, the share of counterparts whose strongest action unit
    is the same, and chance, that were they dealt anew. ``pairs``: a row a unit
    of one and pair of studies: one, other, unit, counterpart, r, mutual, au,
    counterpart_au. ``reactions``: a row an action unit and class, what
    ``analyses.reactions.beside`` tells of all studies; and
    ``reactions_alike``, how alike those of each two are.
    """

    studies: pd.DataFrame
    detectors: pd.DataFrame
    alike: pd.DataFrame
    pairs: pd.DataFrame
    reactions: pd.DataFrame
    reactions_alike: pd.DataFrame
    page: Path


def compare(runs: Sequence[str | Path | Study], out: str | Path) -> Comparison:
    """Set finished studies beside each other; write ``compare.html`` and its
    tables as csv.

    Units are matched by their activations on the pictures that the first
    study's network was not trained on.

    Args:
        runs: Studies, or their folders.
        out: The folder of the page and its tables.

    Returns:
        What was found.

    Raises:
        InputError: For fewer than two studies, for one that is named twice,
            and as ``open`` does.
    """
    opened = [
        run if isinstance(run, Study) else record.open(run, until="evidence")
        for run in runs
    ]
    names = _names(opened)
    studies = pd.DataFrame(
        [_study_row(name, study) for name, study in names.items()]
    )
    counts = pd.DataFrame(
        {name: _detectors(study) for name, study in names.items()}
    )
    detectors = (
        counts.astype("Int64")
        .rename_axis("action unit")
        .sort_index()
        .reset_index()
    )
    pairs, alike = _counterparts(names)
    page = Path(out) / "compare.html"
    together = reactions.beside(names)
    comparison = Comparison(
        studies,
        detectors,
        alike,
        pairs,
        together,
        reactions.correlations(together, list(names)),
        page,
    )
    _write(comparison, names)
    return comparison


def _counterparts(
    names: dict[str, Study],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every unit's counterpart in every other study, and how alike each two
    studies are.
    """
    activations, untrained = _answers(names)
    pairs = []
    alike = []
    for one, other in itertools.permutations(names, 2):
        matched = counterparts(activations[one], activations[other])
        by_chance = counterparts(activations[one], untrained[other])[
            "r"
        ].median()
        frame = _with_action_units(matched, names[one], names[other])
        pairs.append(frame.assign(one=one, other=other))
        row = {
            "one": one,
            "other": other,
            "units": len(frame),
            **_alike(frame),
        }
        alike.append(row | {"r_untrained": by_chance})
    return pd.concat(pairs, ignore_index=True), pd.DataFrame(alike)


def _names(opened: Sequence[Study]) -> dict[str, Study]:
    """Studies by the names of their folders, with the parent's where that does
    not tell them apart.
    """
    folders = [study.folder.resolve() for study in opened]
    if len(folders) < 2:
        raise InputError("name two studies or more to compare")
    twice = [folder for folder in folders if folders.count(folder) > 1]
    if twice:
        raise InputError(f"{twice[0]}: is named twice")
    short = [folder.name for folder in folders]
    names = [
        name if short.count(name) == 1 else f"{folder.parent.name}/{name}"
        for name, folder in zip(short, folders, strict=True)
    ]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    return dict(zip(names, opened, strict=True))


def _study_row(name: str, study: Study) -> dict[str, object]:
    scores = study.scores
    summary = study.summary
    low, high = scores["interval"] or (np.nan, np.nan)
    counted = {
        key: summary[key]["units"] if key in summary else pd.NA
        for key in ("trained", "untrained")
    }
    return {
        "study": name,
        "network": study.network_name,
        "layer": study.recipe.units.layer,
        "accuracy": scores["accuracy"] if study.has_classes else np.nan,
        "low": low,
        "high": high,
        "units": summary["units"],
        "detecting": counted["trained"],
        "untrained": counted["untrained"],
    }


def _detectors(study: Study) -> pd.Series:
    """How many units detect each action unit that is coded often enough."""
    if study.evidence.empty:
        return pd.Series(dtype="Int64")
    counted = detections(study.evidence, study.recipe.evidence.level)[
        "au"
    ].value_counts()
    return counted.reindex(sorted(study.evidence["au"].unique()), fill_value=0)


def _answers(
    names: dict[str, Study],
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Every network's activations on the same pictures, trained and untrained:
    (n, units) each.
    """
    first = next(iter(names.values()))
    not_trained_on = Workspace(first, first.table).not_trained_on
    table = first.table.where(
        np.isin(np.arange(len(first.table)), not_trained_on)
    )
    activations: dict[str, Floats] = {}
    untrained: dict[str, Floats] = {}
    with progress(
        "Showing every network the same faces", len(names)
    ) as advance:
        for name, study in names.items():
            faces = _as_large_as(study, first, table)
            trained, control = Workspace(study, study.table).examined()
            activations[name] = _responses(trained.layer, faces)
            untrained[name] = _responses(control.layer, faces)
            advance(1)
    return activations, untrained


def _as_large_as(study: Study, first: Study, table: FaceTable) -> Stack:
    """The first study's faces, of the size that another study's network takes."""
    size = {
        "size": study.recipe.faces.size,
        "channels": study.recipe.faces.channels,
    }
    faces = decode(first.recipe.faces.model_copy(update=size), table)
    if len(faces) != len(table):
        lost = faces.table.left_out[0]
        raise InputError(
            f"{lost}; the pictures of {first.folder} cannot all be read"
        )
    return faces


def _responses(layer: Layer, faces: Stack) -> Floats:
    batches = (
        faces.floats(slice(at, at + _BATCH))
        for at in range(0, len(faces), _BATCH)
    )
    prepared = (layer.prepare(torch.from_numpy(batch)) for batch in batches)
    return responses(
        layer.network, layer.name, prepared, layer.activation
    ).value


def _with_action_units(
    matched: pd.DataFrame, one: Study, other: Study
) -> pd.DataFrame:
    """Counterparts with the action unit that each is strongest evidence of; NA
    where the faces code none.
    """
    of_one, of_other = (
        strongest(study.evidence).set_index("unit")["au"]
        if len(study.evidence)
        else pd.Series(dtype=str)
        for study in (one, other)
    )
    return matched.assign(
        au=of_one.reindex(matched["unit"]).to_numpy(),
        counterpart_au=of_other.reindex(
            matched["counterpart"].fillna(-1)
        ).to_numpy(),
    )


def _alike(pairs: pd.DataFrame) -> dict[str, float]:
    known = pairs.dropna(subset=["au", "counterpart_au"])
    shares = [
        known[name].value_counts(normalize=True)
        for name in ("au", "counterpart_au")
    ]
    chance = (
        float(shares[0].mul(shares[1], fill_value=0).sum())
        if len(known)
        else np.nan
    )
    same = (
        float((known["au"] == known["counterpart_au"]).mean())
        if len(known)
        else np.nan
    )
    return {
        "r": float(pairs["r"].median()),
        "mutual": float(pairs["mutual"].mean()),
        "same": same,
        "chance": chance,
    }


_TABLES = (
    "studies",
    "detectors",
    "alike",
    "pairs",
    "reactions",
    "reactions_alike",
)


def _write(found: Comparison, names: dict[str, Study]) -> None:
    folder = found.page.parent
    for name in _TABLES:
        with files.replacing(folder / f"{name}.csv") as partial:
            getattr(found, name).to_csv(partial, index=False)
    reports = {
        name: quote(
            Path(
                os.path.relpath(study.report.resolve(), folder.resolve())
            ).as_posix()
        )
        for name, study in names.items()
        if study.report.exists()
    }
    with files.replacing(found.page) as partial:
        partial.write_text(
            comparison.page(
                found.studies,
                found.detectors,
                found.alike,
                found.pairs,
                reports,
                _drawn(names, folder) if len(found.reactions) else {},
                comparison.reacting(found.reactions, found.reactions_alike),
            ),
            "utf-8",
        )


def _drawn(names: dict[str, Study], folder: Path) -> dict[str, Path]:
    """Draw the reactions of each study beside the page."""
    drawn = {}
    for name, study in names.items():
        held = class_tables.prototypes(study)
        figure = plots.reactions(study.reactions, held)
        drawn[name] = folder / f"reactions-{files.plain(name)}.svg"
        printing.save(figure, drawn[name])
    return drawn
