"""How well networks read expressions on people they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence import intervals
from duchenne.recipes import Paper

_BINS = 10  # of confidence


def scores(
    predictions: pd.DataFrame, classes: Sequence[str], paper: Paper
) -> dict[str, Any]:
    """Summarise predictions of held-out pictures.

    Args:
        predictions:
            ``fold, attempt, path, subject, expression, predicted, p_<class>``
            of held-out pictures.
        classes: What is told apart, in their order.
        paper: The figure that the study stands beside.

    Returns:
        Accuracy of each network (a fold's attempt) with their mean, standard
        deviation and best, and over all pictures with a 95 % interval over
        people; precision, recall and F1 of each class; the confusion matrix
        (rows: shown), which counts answers: a picture once for every network
        that read it; how far probabilities can be taken at their word; the
        share of the most frequent class, which is what guessing reaches; the
        paper's figure, and whether the mean lies ``within`` its spread.

    >>> frame = pd.DataFrame(
    ...     {
    ...         "fold": [0, 0],
    ...         "attempt": [0, 0],
    ...         "path": ["a", "b"],
    ...         "subject": ["a", "b"],
    ...         "expression": ["fear", "fear"],
    ...         "predicted": ["fear", "anger"],
    ...         "p_anger": [0.2, 0.6],
    ...         "p_fear": [0.8, 0.4],
    ...     }
    ... )
    >>> scores(frame, ["anger", "fear"], Paper())["accuracy"]
    0.5
    """
    right = pd.Series(
        predictions["expression"].to_numpy(str)
        == predictions["predicted"].to_numpy(str),
        index=predictions.index,
    )
    shows = predictions.drop_duplicates("path")["expression"].value_counts()
    networks = right.groupby(
        [predictions["fold"], predictions["attempt"]]
    ).mean()
    return {
        "accuracy": float(right.mean()),
        "interval": _interval(right, predictions["subject"]),
        **_of_networks(networks),
        "attempts": int(predictions["attempt"].nunique()),
        "pictures": int(shows.sum()),
        "people": int(predictions["subject"].nunique()),
        **_of_classes(predictions, classes),
        "calibration": calibration(predictions, classes),
        "paper": paper.model_dump(mode="json")
        | {"within": _within(float(networks.mean()), paper)},
    }


def _of_networks(networks: pd.Series) -> dict[str, Any]:
    """Accuracy of each network, of each fold, and over networks."""
    rows = [
        {"fold": int(fold), "attempt": int(attempt), "accuracy": float(value)}
        for (fold, attempt), value in networks.items()
    ]
    folds = networks.groupby("fold").mean()
    return {
        "networks": rows,
        "folds": {str(fold): float(value) for fold, value in folds.items()},
        "mean": float(networks.mean()),
        "sd": float(networks.std(ddof=1)) if len(networks) > 1 else None,
        "best": float(networks.max()),
    }


def _of_classes(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> dict[str, Any]:
    """Precision, recall and F1 of each class, and the confusion matrix."""
    from sklearn.metrics import (
        confusion_matrix,
        precision_recall_fscore_support,
    )

    names = list(classes)
    pair = (
        predictions["expression"].to_numpy(str),
        predictions["predicted"].to_numpy(str),
    )
    scored = precision_recall_fscore_support(
        *pair, labels=names, zero_division=0.0
    )
    shows = predictions.drop_duplicates("path")["expression"].value_counts()
    per_class = {}
    for name, precision, recall, f1 in zip(names, *scored[:3], strict=True):
        per_class[name] = {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "pictures": int(shows.get(name, 0)),
        }
    confusion = confusion_matrix(*pair, labels=names).tolist()
    support = scored[3]
    majority = float(max(support) / support.sum())
    return {"majority": majority, "classes": per_class, "confusion": confusion}


def calibration(
    predictions: pd.DataFrame, classes: Sequence[str]
) -> dict[str, Any]:
    """Tell how far probabilities can be taken at their word.

    Args:
        predictions: As ``scores`` takes them.
        classes: What is told apart, in their order.

    Returns:
        ``error``, the expected calibration error: the mean distance of
        confidence (the predicted class's probability) and accuracy over ten
        bins of confidence of equal width, weighed by their pictures (Guo et
        al. 2017, equation 3); ``brier``, the mean squared distance of the
        probabilities from the truth, 0 … 2; ``bins`` have both, and pictures.

    >>> frame = pd.DataFrame(
    ...     {
    ...         "expression": ["fear", "anger"],
    ...         "p_anger": [0.25, 0.25],
    ...         "p_fear": [0.75, 0.75],
    ...     }
    ... )
    >>> calibration(frame, ["anger", "fear"])["error"]
    0.25
    """
    given = predictions[[f"p_{name}" for name in classes]].to_numpy(float)
    shown = pd.Categorical(
        predictions["expression"], categories=list(classes)
    ).codes
    right = given.argmax(1) == shown
    bins = _by_confidence(given.max(1), right)
    distance = (bins["confidence"] - bins["accuracy"]).abs()
    squared = (given - np.eye(len(classes))[shown]) ** 2
    return {
        "error": float((distance * bins["pictures"]).sum() / len(given)),
        "brier": float(squared.sum(1).mean()),
        "bins": bins.to_dict("records"),
    }


def _by_confidence(
    confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> pd.DataFrame:
    """Mean confidence, accuracy and pictures of each bin of confidence."""
    frame = pd.DataFrame({"confidence": confidence, "accuracy": right})
    number = (frame["confidence"] * _BINS).astype(int).clip(upper=_BINS - 1)
    groups = frame.groupby(number)
    return groups.mean().assign(pictures=groups.size())


def _within(mean: float, paper: Paper) -> bool | None:
    """Whether the mean lies within the paper's spread of its figure; None
    where it prints none.
    """
    if paper.accuracy is None or paper.spread is None:
        return None
    return abs(100 * mean - paper.accuracy) <= paper.spread


def _interval(right: pd.Series, subjects: pd.Series) -> list[float] | None:
    """95 % interval of accuracy over people, as pictures of one person are
    alike; None for fewer than six of them.
    """
    person, _ = intervals.numbered(subjects.to_numpy(str))
    people = right.groupby(person).agg(["sum", "count"]).to_numpy(float)

    def accuracy(counted: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = counted @ people
        share: NDArray[np.float64] = sums[:, 0] / sums[:, 1]
        return share

    low, high = intervals.of_share(accuracy, len(people), len(people))
    return None if np.isnan(low) else [low, high]
