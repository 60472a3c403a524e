"""What a study found, in sentences: pure functions of its scores, summary and
frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from duchenne.evidence.doses import movers

_SHOWN = {
    "train": " that it was trained on",
    "held_out": " that it was not trained on (validation and test)",
    "all": " of which it was trained on some",
}

_NAMED = ("r", "kl", "distance")


def percent(share: float, digits: int = 1) -> str:
    """Write a share in per cent, its sign kept with it on one line.

    >>> percent(0.805, 0).replace("\u202f", " ")
    '80 %'
    """
    return f"{100 * share:.{digits}f}\u202f%"


def shown(pictures: str, trained_here: bool) -> str:
    """What is said of pictures that units were shown, behind the word.

    Args:
        pictures: The recipe's ``units.pictures``.
        trained_here: Whether the network was; of another nobody knows what it
            was trained on.

    Returns:
        A clause, or nothing.

    >>> shown("train", True), shown("all", False)
    (' that it was trained on', '')
    """
    return _SHOWN[pictures] if trained_here else ""


def people(count: int, known: bool) -> str:
    """So many people, or that the data set does not name them.

    >>> people(12, True), people(12, False)
    ('12 people', 'people who are not named')
    """
    return f"{count} people" if known else "people who are not named"


def accuracy(scores: Mapping[str, Any], known: bool) -> str:
    """How well expressions are read.

    Args:
        scores: What ``scores.json`` holds.
        known: Whether the data set names its people.

    Returns:
        One to three sentences; nothing of a network without classes.
    """
    if scores["accuracy"] is None:
        return ""
    they_read = "They read" if len(scores["networks"]) > 1 else "It reads"
    test = "test " if trained_here(scores) else ""
    parts = [
        f"{they_read} {percent(scores['accuracy'], 0)} of {scores['pictures']} {test}pictures of "
        f"{_tested(scores, known)} (majority baseline: {percent(scores['majority'], 0)})."
    ]
    if scores.get("unread"):
        parts.append(
            f"{scores['unread']} pictures show what it has no class for."
        )
    if scores["chosen_by"] == "test":
        parts.append(
            "The epoch was chosen by these very pictures: the figure is too high."
        )
    if is_no_better(scores):
        parts.append(
            "That is not clearly better than the majority baseline: its units say little about "
            "expressions."
        )
    return " ".join(parts)


def is_no_better(scores: Mapping[str, Any]) -> bool:
    """Tell whether faces are not clearly read better than by naming the most
    frequent class.

    Args:
        scores: Of a study.

    Returns:
        Whether the interval of the accuracy reaches down to that.
    """
    interval = scores["interval"]
    lowest = interval[0] if interval else scores["accuracy"]
    return bool(lowest <= scores["majority"])


def trained_here(scores: Mapping[str, Any]) -> bool:
    """Whether the network of some scores was trained here, so that it is known
    what it was trained on.
    """
    return bool(scores.get("trained_here", True))


def _tested(scores: Mapping[str, Any], known: bool) -> str:
    """Who is in the test pictures, and whether the network was trained on
    them.
    """
    who = people(scores["people"], known)
    if not known or not trained_here(scores):
        return who
    if scores["leaked"]:
        leaked = f"{scores['leaked']} of them of people that it was trained on"
        return f"{who}, {leaked}: the split leaks"
    has = "they have" if len(scores["networks"]) > 1 else "it has"
    return f"{who} {has} never seen"


def holding(found: Mapping[str, Any]) -> str:
    """How many detections on a study's faces hold on photographs: of action
    units where they can be tested, else of expressions.

    Args:
        found: By ``action_units`` and ``expressions``, what
            ``evidence.carried.carried`` gives.

    Returns:
        A clause; nothing where none is sure.

    >>> said = holding({"expressions": {"pairs": 8, "share": 0.5, "dealt": 0.25}})
    >>> said.partition(",")[0]
    'of 8 pairs of a unit and an expression that are sure here'
    """
    nothing = {"pairs": 0}
    of_units = found.get("action_units", nothing)
    what, whose = "an action unit", "action units"
    if not of_units["pairs"]:
        of_units = found.get("expressions", nothing)
        what, whose = "an expression", "expressions"
    if not of_units["pairs"]:
        return ""
    return (
        f"of {of_units['pairs']} pairs of a unit and {what} that are sure here, "
        f"{percent(of_units['share'], 0)} are sure there too ({percent(of_units['dealt'], 0)} with "
        f"{whose} dealt to these units at random)"
    )


def beyond(shares: pd.Series) -> str:
    """How many units answer to photographs beyond what they answer to a
    study's faces.

    Args:
        shares: Of each unit, the share of photographs beyond its range.

    Returns:
        A clause.

    >>> beyond(pd.Series([0.02, 0.4, 0.02]))
    '1 of 3 units answers to more than a quarter of photographs beyond its range on these faces'
    """
    count = int((shares > _BEYOND).sum())
    verb = "answers" if count == 1 else "answer"
    its = "its" if count == 1 else "their"
    return (
        f"{count} of {len(shares)} units {verb} to more than a quarter of photographs beyond {its} "
        "range on these faces"
    )


_BEYOND = 0.25


def networks(scores: Mapping[str, Any]) -> str:
    """Mean, spread and best of several networks; empty for one."""
    count = len(scores["networks"])
    if count < 2:
        return ""
    mean, sd, best = (percent(scores[name]) for name in ("mean", "sd", "best"))
    return f"{count} networks: mean {mean} ± {sd}, best {best}"


def published(paper: Mapping[str, Any], comparable: bool) -> str:
    """The figure of a paper, and whether the study's can be set beside it.

    Args:
        paper: What ``scores.json`` holds of it.
        comparable: Whether the faces are the paper's.

    Returns:
        A line; empty where the paper has no figure.
    """
    if not paper["accuracy"]:
        return ""
    spread = f" ± {paper['spread']}" if paper["spread"] else ""
    best = f", best {paper['best']} %" if paper["best"] else ""
    later = f" (a later version: {paper['later']} %)" if paper["later"] else ""
    figure = f"{paper['table']}: {paper['accuracy']}{spread} %{best}{later}"
    if not comparable:
        return f"{figure}, on other faces than these"
    if paper["within"] is None:
        return figure
    where = "within" if paper["within"] else "outside"
    return f"{figure}; the mean here lies {where} its spread"


def detection(summary: Mapping[str, Any], layer: str, shown: str) -> str:
    """How many units detect an action unit, beside both nulls.

    Args:
        summary: What ``summary.json`` holds.
        layer: The layer's name.
        shown: A clause on the pictures, as ``shown`` gives it.

    Returns:
        A sentence; why there is none where no action unit was tested.
    """
    if "trained" not in summary:
        return untested(summary)
    by_chance = summary["permuted_labels"]["units"]
    return (
        f"On {summary['pictures']} pictures{shown} {summary['trained']['units']} of "
        f"{summary['units']} units of {layer} detect at least one of "
        f"{len(summary['action_units'])} action units; by chance {by_chance:.2g} on average "
        f"under permuted labels, {untrained(summary)}."
    )


def untrained(summary: Mapping[str, Any]) -> str:
    """How many units of the untrained controls detect an action unit.

    >>> untrained({"untrained": {"units": 2}})
    '2 in the untrained network'
    """
    counts = [each["units"] for each in summary.get("controls", ())]
    if len(counts) < 2:
        return f"{summary['untrained']['units']} in the untrained network"
    fewest, most = min(counts), max(counts)
    if fewest == most:
        return f"{most} in each of {len(counts)} untrained networks"
    return f"{fewest} to {most} in {len(counts)} untrained networks"


def untested(summary: Mapping[str, Any]) -> str:
    """Why no action unit was tested: none is coded, or none often enough."""
    if summary.get("rare"):
        return (
            "The faces carry no action unit often enough, so units are matched with expressions "
            "only."
        )
    return (
        "No action unit is coded on these faces, so units are matched with expressions only; a "
        "detector's table can be joined by faces.action_units, as the recipe 'photographs' does."
    )


def rendered_only(sources: tuple[str, ...]) -> str:
    """What is to be said of photographs where the network was trained on
    avatars alone.
    """
    if set(sources) != {"avatars"}:
        return ""
    return (
        "This network was trained on rendered faces only: what it makes of photographs is "
        "untested, and often wrong."
    )


def stimulation(
    people: int, responses: pd.DataFrame, validity: pd.DataFrame
) -> str:
    """What stimulating single action units says of units and of scores.

    Args:
        people: How many were rendered.
        responses: Dose and response of every unit to every action unit.
        validity: Of the scores.

    Returns:
        One or two sentences.
    """
    moved = (
        f"Single action units on {people} rendered people move {len(movers(responses))} of "
        f"{responses['unit'].nunique()} units by half a standard deviation or more."
    )
    share = _of_all_people(validity)
    if share.empty or not share["units"].any():
        return moved
    where = "on these faces"
    if (share["faces"] == "free").all():
        where = "on rendered faces, where all are coded"
    named = {
        score: percent(share.loc[score, "validity"], 0) for score in _NAMED
    }
    return (
        f"{moved} Of the {int(share.loc['r', 'action_units'])} action units tested {where}, the "
        f"one that moves a unit most is named by the correlation r for {named['r']} of "
        f"{int(share.loc['r', 'units'])} units, by khorrami2015's divergence for {named['kl']}, by "
        f"zhu2018's distance for {named['distance']} (r by chance: "
        f"{percent(share.loc['r', 'chance'], 0)})."
    )


def _of_all_people(validity: pd.DataFrame) -> pd.DataFrame:
    """The scores of the trained network on all people, on the study's faces
    where it has any.
    """
    is_trained = validity["network"] == "trained"
    trained = validity[is_trained & (validity["score"] != "split-half")]
    where = "study" if (trained["faces"] == "study").any() else "free"
    on_faces = trained[trained["faces"] == where]
    return on_faces[on_faces["people"] == on_faces["people"].max()].set_index(
        "score"
    )
