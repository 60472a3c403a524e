"""The first screen of the page: the questions that someone opens it with, each answered by a number beside its null."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from duchenne.evidence import confirmed, detections
from duchenne.study import SHOWN, Study, percent


@dataclass(frozen=True)
class Answer:
    """A question, the figure that answers it, what it says beside its null, and the part of the page that tells more."""

    question: str
    figure: str
    says: str
    part: str


def answers(study: Study) -> list[Answer]:
    """What a study found: how well expressions are read, whether units detect action units, whether that is true, and
    whether the network uses them. Questions that the faces cannot answer are left out.
    """
    found = [_reading(study)]
    if "trained" not in study.summary:
        return found
    return [*found, _detecting(study), *_true(study), *_used(study)]


def _reading(study: Study) -> Answer:
    scores = study.scores
    leaked = f" ({scores['leaked']} of people that it was trained on: the split leaks)" if scores["leaked"] else ""
    sure = (
        f"95 % interval {percent(scores['interval'][0], 0)} to {percent(scores['interval'][1], 0)}; "
        if scores["interval"]
        else ""
    )
    says = (
        f"of {scores['pictures']} test pictures of {study.people(scores['people'])}{leaked} are read right; {sure}"
        f"always guessing the most frequent expression gives {percent(scores['majority'], 0)}."
    )
    return Answer("How well does it read expressions?", percent(scores["accuracy"], 0), says, "accuracy")


def _detecting(study: Study) -> Answer:
    summary = study.summary
    says = (
        f"of {study.recipe.units.layer} detect one of {len(summary['action_units'])} action units, on pictures "
        f"{SHOWN[study.recipe.units.pictures]}. By chance: "
        f"{summary['permuted_labels']['units']:.2g} under permuted labels, {summary['random_weights']['units']} with random "
        "weights."
    )
    return Answer("Does it see action units?", f"{summary['trained']['units']} of {summary['units']} units", says, "map")


def _true(study: Study) -> list[Answer]:
    sure = detections(study.evidence, study.recipe.evidence.level)
    found = confirmed(sure, study.interventions, set(study.evidence["au"]))
    if found.empty:
        return []
    says = (
        f"of the {len(found)} units that detect one which can be rendered also answer more when that action unit alone is "
        f"stimulated on rendered faces; for {percent(found['most'].mean(), 0)} no other tested one moves them more."
    )
    return [Answer("Is that true?", percent(found["holds"].mean(), 0), says, "truth")]


def _used(study: Study) -> list[Answer]:
    own = used(study.ablations)
    if own.empty:
        return []
    points = 100 * own["recall_beyond"].mean()
    surely = int((own["recall_beyond_high"] < 0).sum())
    says = (
        "of recall, on average, for an expression whose prototype holds an action unit, when all that detect it are "
        f"silenced instead of as many other units; surely lower in {surely} of {len(own)} pairs."
    )
    return [Answer("Does it need them?", f"{points:+.0f} points".replace("-", "−"), says, "ablation")]


def used(ablations: pd.DataFrame) -> pd.DataFrame:
    """The rows of sets of detectors and of expressions whose prototypes hold their action unit."""
    return ablations[(ablations["what"] == "detectors") & ablations["prototype"]]
