"""The evidence of a study: the trained network beside its untrained control
and beside permuted labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne import facs
from duchenne.evidence.detection import detections, ranked
from duchenne.evidence.exchangeability import Exchangeability, named
from duchenne.evidence.matching import Matched, compare, correlated
from duchenne.progress import about
from duchenne.recipes import Evidence

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class NetworkEvidence:
    """Frames of ``match``: for action units (trained and untrained; None where
    none are coded) and for expressions.
    """

    evidence: pd.DataFrame | None
    untrained: pd.DataFrame | None
    expressions: pd.DataFrame
    summary: dict[str, Any]


def beside_nulls(
    activations: Floats,
    controls: Sequence[Floats],
    faces: pd.DataFrame,
    settings: Evidence,
    seed: int = 0,
) -> NetworkEvidence:
    """Match units of a network and of its untrained controls with the labels
    of their pictures.

    Where no action unit is coded often enough, only expressions are matched
    and the summary says so.

    Args:
        activations: (n, u) activations of the trained network's units.
        controls: (n, u) those of every untrained control.
        faces: The frame of a face table, one row a picture.
        settings: Bins, permutations, level and least pictures.
        seed: Of the permutations.

    Returns:
        The evidence of the network and of its first control, and the summary.
    """
    pictures = _Pictures.of(faces, settings)
    expressions = _expressions(activations, faces, settings, seed)
    summary = _of_pictures(pictures, settings)
    summary["units"] = activations.shape[1]
    if pictures.labels.empty:
        return NetworkEvidence(None, None, expressions, summary)
    options = _options(settings, seed, strata=faces["expression"])
    trained = _matched("trained", activations, pictures, options)
    control = _matched("untrained", controls[0], pictures, options)
    summary |= _detecting(trained, control, settings.level)
    frames = [control.frame]
    frames += _others(controls[1:], pictures, settings, seed)
    summary["controls"] = _of_controls(frames, controls, settings.level)
    return NetworkEvidence(trained.frame, control.frame, expressions, summary)


@dataclass(frozen=True)
class _Pictures:
    """The frame of a face table, labels of what its pictures show, who may be
    exchanged with whom, and the action units that are coded but are too rare.
    """

    faces: pd.DataFrame
    labels: pd.DataFrame
    tree: Exchangeability
    rare: tuple[str, ...] = ()

    @classmethod
    def of(cls, faces: pd.DataFrame, settings: Evidence) -> _Pictures:
        """Label pictures with the action units that are shown often enough."""
        labels, rare = often_enough(faces, settings.least)
        return cls(faces, labels, exchangeable(faces), tuple(rare))


def _of_controls(
    frames: Sequence[pd.DataFrame], controls: Sequence[Floats], level: float
) -> list[dict[str, Any]]:
    """What the summary says of each control."""
    return [
        _of_control(frame, activations, level)
        for frame, activations in zip(frames, controls, strict=True)
    ]


def _others(
    controls: Sequence[Floats],
    pictures: _Pictures,
    settings: Evidence,
    seed: int,
) -> list[pd.DataFrame]:
    """The correlations of the controls that stand beside the first, and how
    sure they are: of them nothing else is told.
    """
    options = _options(settings, seed)
    for name in ("bins", "epsilon", "score_permutations"):
        del options[name]
    found = []
    for number, activations in enumerate(controls, start=2):
        with about(f"untrained {number}"):
            frame = correlated(
                activations,
                pictures.labels,
                *who(pictures.faces),
                exchangeability=pictures.tree,
                **options,
            )
            found.append(frame)
    return found


def _of_control(
    found: pd.DataFrame, activations: Floats, level: float
) -> dict[str, Any]:
    """How many units of a control detect anything, how far its units' largest
    correlations reach, and how many answer the same to every picture.
    """
    largest = found.groupby("unit")["r"].max()
    reached = {
        f"{share:g}": float(largest.quantile(share)) for share in _QUANTILES
    }
    return {
        "units": int(detections(found, level)["unit"].nunique()),
        "dead": int((np.ptp(activations, axis=0) == 0).sum()),
        "largest_r": float(found["r"].max()),
        "largest_r_quantiles": reached,
    }


_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def _matched(
    name: str,
    activations: Floats,
    pictures: _Pictures,
    options: dict[str, Any],
) -> Matched:
    """The units of a network matched with the labels of pictures; by its name
    in what is told of progress.
    """
    people, takes = who(pictures.faces)
    with about(name):
        return compare(
            activations,
            pictures.labels,
            people,
            takes,
            exchangeability=pictures.tree,
            **options,
        )


def _detecting(
    trained: Matched, control: Matched, level: float
) -> dict[str, Any]:
    """How many units detect anything, in either network and under permuted
    labels.
    """
    return {
        "too_few": trained.too_few,
        "trained": _counted(trained.frame, level),
        "untrained": _counted(control.frame, level),
        "permuted_labels": _of_permutations(trained.null_units),
    }


def _of_permutations(units: NDArray[np.integer]) -> dict[str, float]:
    """How many units detect anything under permuted labels."""
    return {
        "units": float(units.mean()),
        "share_of_runs": float((units > 0).mean()),
        "runs": len(units),
    }


def _of_pictures(pictures: _Pictures, settings: Evidence) -> dict[str, Any]:
    """What the summary says of the pictures and of who may be exchanged with
    whom.
    """
    people, _ = who(pictures.faces)
    tree = pictures.tree
    return {
        "pictures": len(people),
        "people": len(set(people)),
        "action_units": list(pictures.labels.columns),
        "rare": list(pictures.rare),
        "level": settings.level,
        "permutations": settings.permutations,
        "smallest_p": tree.smallest_p(settings.permutations),
        "rearrangements": tree.distinct,
        "too_few": tree.too_few(settings.level),
    }


def _expressions(
    activations: Floats, faces: pd.DataFrame, settings: Evidence, seed: int
) -> pd.DataFrame:
    """Units matched with expressions in place of action units."""
    labels = _one_hot(faces["expression"])
    tree = exchangeable(faces, stills=True)
    options = _options(settings, seed, least=2)
    pictures = _Pictures(faces, labels, tree)
    matched = _matched("expressions", activations, pictures, options)
    return matched.frame.rename(columns={"au": "expression"})


def _options(settings: Evidence, seed: int, **others: Any) -> dict[str, Any]:
    names = (
        "bins",
        "epsilon",
        "permutations",
        "score_permutations",
        "level",
        "least",
    )
    found = {name: getattr(settings, name) for name in names}
    return found | {"seed": seed} | others


def who(faces: pd.DataFrame) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Person and sequence of each picture; a picture without either stands
    alone.

    Args:
        faces: The frame of a face table.

    Returns:
        People and sequences, each (n,).
    """
    sequence = faces["sequence"].fillna(faces["path"])
    return named(faces["subject"].fillna(sequence), sequence)


def exchangeable(faces: pd.DataFrame, stills: bool = False) -> Exchangeability:
    """Who may be exchanged with whom in the frame of a face table.

    Args:
        faces: The frame.
        stills: Whether neutral pictures are like any other where there are
            nothing but stills: what is matched is then the expressions
            themselves.

    Returns:
        The tree that every permutation respects.
    """
    people, takes = who(faces)
    neutral = faces["expression"].eq("neutral").fillna(False).to_numpy(bool)
    if stills and len(np.unique(takes)) == len(takes):
        neutral = np.zeros(len(faces), bool)
    return Exchangeability.of(
        people, takes, frames=faces.get("frame"), neutral=neutral
    )


def _one_hot(expression: pd.Series) -> pd.DataFrame:
    shown = [name for name in facs.EXPRESSIONS if (expression == name).any()]
    columns = {name: (expression == name).astype("boolean") for name in shown}
    return pd.DataFrame(columns).reset_index(drop=True)


def often_enough(
    faces: pd.DataFrame, least: int
) -> tuple[pd.DataFrame, list[str]]:
    """Labels of the action units that are shown, and not shown, often enough.

    Args:
        faces: The frame of a face table.
        least: Pictures on either side.

    Returns:
        Their nullable booleans, a column an action unit; and the names of
        those that were coded but are rarer.
    """
    codes = [facs.code(number) for number in facs.ACTION_UNITS]
    present = [code for code in codes if code in faces]
    coded = faces[present].reset_index(drop=True).dropna(axis=1, how="all")
    with_it = coded.eq(True).sum()
    without_it = coded.eq(False).sum()
    enough = (with_it >= least) & (without_it >= least)
    return coded.loc[:, enough], list(coded.columns[~enough])


def _counted(evidence: pd.DataFrame, level: float) -> dict[str, Any]:
    found = detections(evidence, level)
    best = ranked(found).drop_duplicates("au").sort_values("au")
    return {
        "pairs": len(found),
        "units": int(found["unit"].nunique()),
        "action_units": {
            row.au: {"unit": int(row.unit), "r": float(row.r)}
            for row in best.itertuples()
        },
        "largest_r": float(evidence["r"].max()),
    }
