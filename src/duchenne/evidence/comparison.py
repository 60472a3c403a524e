"""The evidence of a study: the trained network beside its random twin and beside permuted labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne import facs
from duchenne.evidence.exchangeability import Exchangeability, named
from duchenne.evidence.matching import Matched, compare, detections, ranked
from duchenne.progress import Progress, about, quiet
from duchenne.recipes import Evidence


@dataclass(frozen=True)
class Found:
    """Frames of ``match``: for action units (trained and twin; None where none are coded) and for expressions."""

    evidence: pd.DataFrame | None
    twin: pd.DataFrame | None
    expressions: pd.DataFrame
    summary: dict[str, Any]


def beside_nulls(
    peaks: NDArray[np.floating],
    twin: NDArray[np.floating],
    faces: pd.DataFrame,
    settings: Evidence,
    seed: int = 0,
    progress: Progress = quiet,
) -> Found:
    """Match units (n, u) of a trained network and of its twin with the labels of their pictures.

    ``faces`` is the frame of a face table, one row a picture. Where it codes no action unit often enough, only
    expressions are matched and the summary says so.
    """
    people, takes = who(faces)
    tree = exchangeable(faces)
    options: dict[str, Any] = {
        "bins": settings.bins, "epsilon": settings.epsilon, "permutations": settings.permutations,
        "score_permutations": settings.score_permutations, "level": settings.level, "least": settings.least, "seed": seed,
    }  # fmt: skip

    def matched(values: NDArray[np.floating], labels: pd.DataFrame, what: str, **more: Any) -> Matched:
        more["progress"] = about(progress, what)
        return compare(values, labels, people, takes, **{"exchangeability": tree} | options | more)

    shown = matched(
        peaks, _one_hot(faces["expression"]), "expressions", least=2, exchangeability=exchangeable(faces, stills=True)
    )
    expressions = shown.frame.rename(columns={"au": "expression"})
    labels, rare = often_enough(faces, settings.least)
    summary: dict[str, Any] = {
        "pictures": len(faces), "people": len(set(people)), "units": peaks.shape[1],
        "level": settings.level, "permutations": settings.permutations,
        "smallest_p": tree.smallest_p(settings.permutations), "rearrangements": tree.distinct,
        "too_few": tree.too_few(settings.level),
        "action_units": list(labels.columns), "rare": rare,
    }  # fmt: skip
    if labels.empty or not len(labels.columns):
        return Found(None, None, expressions, summary)
    networks = {"trained": peaks, "random weights": twin}
    trained, random = (matched(values, labels, name, strata=faces["expression"]) for name, values in networks.items())
    summary["too_few"] = trained.too_few
    summary["trained"] = _counted(trained.frame, settings.level)
    summary["random_weights"] = _counted(random.frame, settings.level)
    summary["permuted_labels"] = {
        "units": float(trained.null_units.mean()),
        "share_of_runs": float((trained.null_units > 0).mean()),
        "runs": len(trained.null_units),
    }
    return Found(trained.frame, random.frame, expressions, summary)


def who(faces: pd.DataFrame) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Person and sequence of each picture; a picture without either stands alone."""
    sequence = faces["sequence"].fillna(faces["path"])
    return named(faces["subject"].fillna(sequence), sequence)


def exchangeable(faces: pd.DataFrame, stills: bool = False) -> Exchangeability:
    """Who may be exchanged with whom in the frame of a face table.

    Where the pictures are nothing but ``stills``, neutral ones are like any other if that is asked for: what is matched is
    then the expressions themselves.
    """
    people, takes = who(faces)
    neutral = faces["expression"].eq("neutral").fillna(False).to_numpy(bool)
    if stills and len(np.unique(takes)) == len(takes):
        neutral = np.zeros(len(faces), bool)
    return Exchangeability.of(people, takes, frames=faces.get("frame"), neutral=neutral)


def _one_hot(expression: pd.Series) -> pd.DataFrame:
    shown = [name for name in facs.EXPRESSIONS if (expression == name).any()]
    return pd.DataFrame({name: (expression == name).astype("boolean") for name in shown}).reset_index(drop=True)


def often_enough(faces: pd.DataFrame, least: int) -> tuple[pd.DataFrame, list[str]]:
    """Labels with at least ``least`` pictures on both sides, and the names of those that were coded but are rarer."""
    coded = faces[[facs.code(n) for n in facs.ACTION_UNITS if facs.code(n) in faces]].reset_index(drop=True)
    coded = coded.dropna(axis=1, how="all")
    present, absent = coded.eq(True).sum(), coded.eq(False).sum()
    enough = (present >= least) & (absent >= least)
    return coded.loc[:, enough], list(coded.columns[~enough])


def _counted(evidence: pd.DataFrame, level: float) -> dict[str, Any]:
    found = detections(evidence, level)
    best = ranked(found).drop_duplicates("au").sort_values("au")
    return {
        "pairs": len(found),
        "units": int(found["unit"].nunique()),
        "action_units": {row.au: {"unit": int(row.unit), "r": float(row.r)} for row in best.itertuples()},
        "largest_r": float(evidence["r"].max()),
    }
