"""Studies beside each other: accuracies, detectors of each action unit, and units that answer alike on the same faces."""

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

from duchenne import cache, gathering, studies
from duchenne.errors import InputError
from duchenne.evidence import detections, strongest
from duchenne.progress import Progress, quiet
from duchenne.report import comparison
from duchenne.stages import StudyInProgress
from duchenne.study import Study
from duchenne.units.counterparts import counterparts
from duchenne.units.responses import responses

Floats = NDArray[np.float32]
_BATCH = 64


@dataclass(frozen=True)
class Comparison:
    """What several studies have in common, as frames; ``page`` is where it can be looked at.

    ``studies``: a row a study: study, network, layer, accuracy with low and high, units, detecting, random_weights.
    ``detectors``: a row an action unit, a column a study: how many units detect it; NA where it is not coded often enough.
    ``alike``: a row a pair of studies: one, other, units; r, the median correlation of units of one with their counterparts
    in the other; r_random_weights, the same with the other at its random start; mutual, the share that are each other's;
    same, the share of counterparts whose strongest action unit is the same, and chance, that were they dealt anew.
    ``pairs``: a row a unit of one and pair of studies: one, other, unit, counterpart, r, mutual, au, counterpart_au.
    """

    studies: pd.DataFrame
    detectors: pd.DataFrame
    alike: pd.DataFrame
    pairs: pd.DataFrame
    page: Path


def compare(runs: Sequence[str | Path | Study], out: str | Path, progress: Progress = quiet) -> Comparison:
    """Set finished studies beside each other; write ``compare.html`` and its tables as csv into the folder ``out``.

    Units are matched by their answers to the pictures that the first study's network was not trained on. Raises
    ``InputError`` for fewer than two studies, for one that is named twice, and as ``open`` does.
    """
    opened = [run if isinstance(run, Study) else studies.open(run, until="evidence") for run in runs]
    names = _names(opened)
    told = pd.DataFrame([_told(name, study) for name, study in names.items()])
    detectors = pd.DataFrame({name: _detectors(study) for name, study in names.items()}).astype("Int64")
    peaks, twins = _answers(names, progress)
    pairs, alike = [], []
    for one, other in itertools.permutations(names, 2):
        matched = counterparts(peaks[one], peaks[other])
        random = counterparts(peaks[one], twins[other])["r"].median()
        frame = _with_action_units(matched, names[one], names[other])
        pairs.append(frame.assign(one=one, other=other))
        alike.append({"one": one, "other": other, "units": len(frame), **_alike(frame), "r_random_weights": random})
    found = Comparison(
        told, detectors.rename_axis("action unit").sort_index().reset_index(), pd.DataFrame(alike),
        pd.concat(pairs, ignore_index=True), Path(out) / "compare.html",
    )  # fmt: skip
    _write(found, names)
    return found


def _names(opened: Sequence[Study]) -> dict[str, Study]:
    """Studies by the names of their folders, with the parent's where that does not tell them apart."""
    folders = [study.folder.resolve() for study in opened]
    if len(folders) < 2:
        raise InputError("name two studies or more to compare")
    twice = [folder for folder in folders if folders.count(folder) > 1]
    if twice:
        raise InputError(f"{twice[0]}: is named twice")
    short = [folder.name for folder in folders]
    told = [
        name if short.count(name) == 1 else f"{folder.parent.name}/{name}"
        for name, folder in zip(short, folders, strict=True)
    ]
    return dict(zip(told if len(set(told)) == len(told) else map(str, folders), opened, strict=True))


def _told(name: str, study: Study) -> dict[str, object]:
    scores, summary = study.scores, study.summary
    low, high = scores["interval"] or (np.nan, np.nan)
    counted = {key: summary[key]["units"] if key in summary else pd.NA for key in ("trained", "random_weights")}
    return {
        "study": name, "network": study.recipe.network.name, "layer": study.recipe.units.layer,
        "accuracy": scores["accuracy"], "low": low, "high": high, "units": summary["units"],
        "detecting": counted["trained"], "random_weights": counted["random_weights"],
    }  # fmt: skip


def _detectors(study: Study) -> pd.Series:
    """How many units detect each action unit that is coded often enough."""
    if study.evidence.empty:
        return pd.Series(dtype="Int64")
    counted = detections(study.evidence, study.recipe.evidence.level)["au"].value_counts()
    return counted.reindex(sorted(study.evidence["au"].unique()), fill_value=0)


def _answers(names: dict[str, Study], progress: Progress) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Every network's peaks on the same pictures, trained and at its random start: (n, units) each."""
    first = next(iter(names.values()))
    known = StudyInProgress(first, first.table, quiet, lambda line: None)
    mask = np.isin(np.arange(len(first.table)), known.not_trained_on)
    table = first.table.where(mask)
    peaks, twins = dict[str, Floats](), dict[str, Floats]()
    with progress("Showing every network the same faces", len(names)) as advance:
        for name, study in names.items():
            pair = StudyInProgress(study, study.table, quiet, lambda line: None).pair
            size = {"size": study.recipe.faces.size, "channels": study.recipe.faces.channels}
            shown = gathering.decoded(first.recipe.faces.model_copy(update=size), table)
            if len(shown) != len(table):
                raise InputError(f"{shown.table.left_out[0]}; the pictures of {first.folder} cannot all be read")
            batches = [
                pair.prepare(torch.from_numpy(shown.floats(slice(at, at + _BATCH)))) for at in range(0, len(shown), _BATCH)
            ]
            asked = study.recipe.units
            peaks[name] = responses(pair.trained, asked.layer, batches, asked.activation).value
            twins[name] = responses(pair.twin, asked.layer, batches, asked.activation).value
            advance(1)
    return peaks, twins


def _with_action_units(matched: pd.DataFrame, one: Study, other: Study) -> pd.DataFrame:
    """Counterparts with the action unit that each is strongest evidence of; NA where the faces code none."""
    of_one, of_other = (
        strongest(study.evidence).set_index("unit")["au"] if len(study.evidence) else pd.Series(dtype=str)
        for study in (one, other)
    )
    return matched.assign(
        au=of_one.reindex(matched["unit"]).to_numpy(),
        counterpart_au=of_other.reindex(matched["counterpart"].fillna(-1)).to_numpy(),
    )


def _alike(pairs: pd.DataFrame) -> dict[str, float]:
    known = pairs.dropna(subset=["au", "counterpart_au"])
    shares = [known[name].value_counts(normalize=True) for name in ("au", "counterpart_au")]
    chance = float(shares[0].mul(shares[1], fill_value=0).sum()) if len(known) else np.nan
    same = float((known["au"] == known["counterpart_au"]).mean()) if len(known) else np.nan
    return {"r": float(pairs["r"].median()), "mutual": float(pairs["mutual"].mean()), "same": same, "chance": chance}


def _write(found: Comparison, names: dict[str, Study]) -> None:
    folder = found.page.parent
    for name in ("studies", "detectors", "alike", "pairs"):
        with cache.replacing(folder / f"{name}.csv") as partial:
            getattr(found, name).to_csv(partial, index=False)
    reports = {
        name: quote(Path(os.path.relpath(study.report.resolve(), folder.resolve())).as_posix())
        for name, study in names.items()
        if study.report.exists()
    }
    with cache.replacing(found.page) as partial:
        partial.write_text(comparison.page(found.studies, found.detectors, found.alike, found.pairs, reports), "utf-8")
