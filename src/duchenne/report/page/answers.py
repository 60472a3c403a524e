"""The first screen of the page: the questions that someone opens it with, each
answered by a number beside its null.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.evidence import beside_dealt, detections, differences
from duchenne.evidence.reactions import LEAST, drivers
from duchenne.report import class_tables
from duchenne.study import sentences
from duchenne.study.record import Study
from duchenne.study.sentences import percent


@dataclass(frozen=True)
class Answer:
    """A question, the figure that answers it, what it says beside its null,
    and the part of the page that tells more.
    """

    question: str
    figure: str
    says: str
    part: str


def answers(study: Study) -> list[Answer]:
    """What a study found: how well expressions are read, whether units detect
    action units, whether that is true, and whether the network uses them.
    Questions that the faces cannot answer are left out.
    """
    found = [_reading(study)] if study.has_classes else []
    found += [*_driven(study), *_valued(study)]
    if "trained" in study.summary:
        found += [_detecting(study), *_true(study), *_used(study)]
    return [*found, *_worse(study), *_trusted(study)]


def _reading(study: Study) -> Answer:
    scores = study.scores
    leaked = (
        f" ({scores['leaked']} of people that it was trained on: the split leaks)"
        if scores["leaked"]
        else ""
    )
    sure = (
        f"95 % interval {percent(scores['interval'][0], 0)} to "
        f"{percent(scores['interval'][1], 0)}; "
        if scores["interval"]
        else ""
    )
    test = "test " if study.trained_here else ""
    says = (
        f"of {scores['pictures']} {test}pictures of {study.people(scores['people'])}{leaked} are "
        f"read as labelled; {sure}majority baseline {percent(scores['majority'], 0)}."
    )
    if sentences.is_no_better(scores):
        says += " That is not clearly better: what follows says little about expressions."
    return Answer(
        "How well does it read expressions?",
        percent(scores["accuracy"], 0),
        says,
        "accuracy",
    )


def _driven(study: Study) -> list[Answer]:
    """What makes a network that was made elsewhere say its classes."""
    if not study.has_classes:
        return []
    if study.trained_here or "logit_change" not in study.reactions:
        return []
    prototypes = class_tables.prototypes(study)
    driven = drivers(study.reactions, prototypes, 1)
    held = {expression for _, expression in prototypes}
    of_prototypes = driven[driven["expression"].isin(held)]
    if driven.empty:
        says = (
            "is raised by any action unit, each stimulated alone on rendered faces: by none "
            f"{LEAST} in log-odds, with a 95 % interval above 0."
        )
        return [Answer("What makes it say so?", "no class", says, "reactions")]
    if not held:
        return []
    says = (
        "with a published prototype are raised most by an action unit that it holds, each action "
        f"unit stimulated alone on rendered faces. The clearest: {_clearest(driven)}."
    )
    figure = f"{int(of_prototypes['prototype'].sum())} of {len(held)} classes"
    return [Answer("What makes it say so?", figure, says, "reactions")]


def _clearest(driven: pd.DataFrame) -> str:
    """The action unit and class of the largest change."""
    row = driven.loc[driven["logit_change"].idxmax()]
    name = facs.coded(row["au"]).name.lower()
    points = f"{100 * row['change']:+.0f}".replace("-", "−")
    return (
        f"{row['au']} ({name}) raises {row['expression']} by {row['logit_change']:.1f} in "
        f"log-odds, {points} points"
    )


def _valued(study: Study) -> list[Answer]:
    """Whether the outputs of an action-unit detector answer to their own
    action units, stimulated alone.
    """
    found = study.values
    if found.empty:
        return []
    if not found["own"].any():
        return [_moved_values(found)]
    moved = found.dropna(subset="effect")
    most = moved.loc[moved.groupby("value")["effect"].idxmax()]
    can_be = moved.loc[moved["own"], "value"]
    most = most[most["value"].isin(can_be)]
    right = int(most["own"].sum())
    chance = 1 / moved["au"].nunique()
    says = (
        f"are raised most by the action unit that they are named after, of {moved['au'].nunique()} "
        f"each stimulated alone on rendered faces; by chance {percent(chance, 0)} would be."
    )
    figure = f"{right} of {len(most)} outputs"
    return [
        Answer("Does it detect its own action units?", figure, says, "values")
    ]


def _moved_values(found: pd.DataFrame) -> Answer:
    """What moves values such as valence and arousal."""
    surely = found[(found["low"] > 0) | (found["high"] < 0)]
    figure = f"{found['value'].nunique()} values"
    if surely.empty:
        says = "are surely moved by no action unit, each stimulated alone on rendered faces."
        return Answer("What moves its values?", figure, says, "values")
    size = surely["effect"].abs()
    most = surely.loc[size.groupby(surely["value"], sort=False).idxmax()]
    told = [
        f"{row.value} by {row.au} ({facs.coded(row.au).name.lower()}), "
        f"{row.effect:+.1f} SD".replace("-", "−")
        for row in most.itertuples()
    ]
    says = f"are moved most, each action unit stimulated alone: {'; '.join(told)}."
    return Answer("What moves its values?", figure, says, "values")


def _detecting(study: Study) -> Answer:
    summary = study.summary
    says = (
        f"of {study.recipe.units.layer} detect one of {len(summary['action_units'])} action units, "
        f"on pictures{study.shown(study.recipe.units.pictures)}. By chance: "
        f"{summary['permuted_labels']['units']:.2g} under permuted labels, "
        f"{sentences.untrained(summary)}."
    )
    return Answer(
        "Does it see action units?",
        f"{summary['trained']['units']} of {summary['units']} units",
        says,
        "map",
    )


def _true(study: Study) -> list[Answer]:
    told = truth(study)
    if not told["units"].iloc[0] or np.isnan(told.loc["holds", "share"]):
        return []
    holds = told.loc["holds"]
    most = told.loc["most"]
    says = (
        f"of the {int(holds['units'])} units that detect one which can be rendered also answer "
        "more when that action unit alone is stimulated on rendered faces; by chance, were the "
        f"same names dealt to other detecting units, {percent(holds['dealt'], 0)} "
        f"({_points(holds)}). For {percent(most['share'], 0)} no other tested one moves them more; "
        f"by chance {percent(most['dealt'], 0)} ({_points(most)})."
    )
    return [Answer("Is that true?", percent(holds["share"], 0), says, "truth")]


def truth(study: Study) -> pd.DataFrame:
    """How many detections hold under stimulation, beside names dealt anew.

    Args:
        study: The study.

    Returns:
        ``evidence.beside_dealt`` by its claims.
    """
    sure = detections(study.evidence, study.recipe.evidence.level)
    return beside_dealt(
        sure, study.interventions, set(study.evidence["au"])
    ).set_index("claim")


def _points(row: pd.Series) -> str:
    """A difference of shares in percentage points, with its interval."""
    difference, low, high = (
        f"{100 * row[name]:+.0f}".replace("-", "−")
        for name in ("difference", "low", "high")
    )
    return f"{difference} points, 95 % of deals {low} to {high}"


def _used(study: Study) -> list[Answer]:
    needed = used(study.ablations)
    if needed.empty:
        return []
    points = 100 * needed["recall_beyond"].mean()
    surely = int((needed["recall_beyond_high"] < 0).sum())
    says = (
        "of recall, on average, for an expression whose prototype holds an action unit, when all "
        f"of its detectors are ablated instead of as many other units; surely lower in {surely} "
        f"of {len(needed)} pairs."
    )
    return [
        Answer(
            "Does it need them?",
            f"{points:+.0f} points".replace("-", "−"),
            says,
            "ablation",
        )
    ]


def _worse(study: Study) -> list[Answer]:
    """Whom the network reads worse, where twins were rendered."""
    found = study.people_compared
    if found.empty or not (found["design"] == "twins").any():
        return []
    accuracy = found[found["measure"] == "accuracy"]
    twins = accuracy[accuracy["design"] == "twins"]
    surely = differences.sure(found)
    largest = twins.loc[twins["effect"].abs().idxmax()]
    points = f"{100 * largest['effect']:+.0f} points".replace("-", "−")
    says = (
        f"surely change accuracy, of {int(largest['people'])} rendered "
        "people and their twins, who differ in that trait alone; the largest: "
        f"{class_tables.TRAITS[largest['trait']]} {points}{_between(largest)}. No verdict on how "
        "real people are read."
    )
    figure = f"{len(surely)} of {len(twins)} traits"
    return [Answer("Whom does it read worse?", figure, says, "people")]


def _trusted(study: Study) -> list[Answer]:
    """Whether rendered faces tell of photographs, where some were shown."""
    shown = study.photographs
    if shown is None:
        return []
    parts = []
    figure = f"{shown.summary['pictures']} photographs"
    if shown.scores:
        figure = percent(shown.scores["accuracy"], 0)
        parts.append(
            f"of {shown.scores['pictures']} photographs are read as labelled (majority baseline "
            f"{percent(shown.scores['majority'], 0)}), of the study's own faces "
            f"{percent(study.scores['accuracy'], 0)}"
        )
    parts.append(sentences.holding(shown.summary["holding"]))
    parts.append(sentences.beyond(shown.ranges["beyond"]))
    says = "; ".join(part for part in parts if part) + "."
    return [
        Answer("Does it hold on photographs?", figure, says, "photographs")
    ]


def _between(row: pd.Series) -> str:
    """The interval of a share in points, in brackets."""
    if not np.isfinite(row["low"]):
        return ""
    low, high = (
        f"{100 * row[name]:+.0f}".replace("-", "−") for name in ("low", "high")
    )
    return f" (95 % interval {low} to {high})"


def used(ablations: pd.DataFrame) -> pd.DataFrame:
    """The rows of sets of detectors and of expressions whose prototypes hold
    their action unit.

    Args:
        ablations: Of the study.

    Returns:
        These rows.
    """
    if ablations.empty:
        return ablations
    return ablations[
        (ablations["what"] == "detectors") & ablations["prototype"]
    ]
