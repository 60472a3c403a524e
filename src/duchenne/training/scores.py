"""How well networks read expressions on people they have not seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from duchenne.recipes import Paper

_RESAMPLES = 2000
_FEWEST = 5  # people for whom an interval is given


def scores(predictions: pd.DataFrame, classes: Sequence[str], paper: Paper, seed: int = 0) -> dict[str, Any]:
    """Summarise predictions of held-out pictures (columns fold, subject, expression, predicted).

    Accuracy per fold with mean and standard deviation over folds, and over all pictures with a 95 % bootstrap
    interval over people; precision, recall and F1 of each class; the confusion matrix (rows: shown); the share of the
    most frequent class, which is what guessing reaches; the paper's figure.

    >>> frame = pd.DataFrame({"fold": [0, 0], "subject": ["a", "b"], "expression": ["fear"] * 2,
    ...                       "predicted": ["fear", "anger"]})
    >>> scores(frame, ["anger", "fear"], Paper())["accuracy"]
    0.5
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    shown, predicted = predictions["expression"].to_numpy(str), predictions["predicted"].to_numpy(str)
    right = pd.Series(shown == predicted, index=predictions.index)
    per_fold = right.groupby(predictions["fold"]).mean()
    precision, recall, f1, count = precision_recall_fscore_support(shown, predicted, labels=list(classes), zero_division=0.0)
    per_class = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "pictures": int(n)}
        for name, p, r, f, n in zip(classes, precision, recall, f1, count, strict=True)
    }
    return {
        "accuracy": float(right.mean()),
        "interval": _interval(right, predictions["subject"], seed),
        "folds": {str(fold): float(value) for fold, value in per_fold.items()},
        "mean": float(per_fold.mean()),
        "sd": float(per_fold.std(ddof=1)) if len(per_fold) > 1 else None,
        "majority": float(max(count) / count.sum()),
        "pictures": len(predictions),
        "people": int(predictions["subject"].nunique()),
        "classes": per_class,
        "confusion": confusion_matrix(shown, predicted, labels=list(classes)).tolist(),
        "paper": paper.model_dump(),
    }


def _interval(right: pd.Series, subjects: pd.Series, seed: int) -> list[float] | None:
    """95 % percentile bootstrap of accuracy; whole people are drawn, as pictures of one person are alike.

    None for fewer than five people, whom no drawing could make tell more.
    """
    if subjects.nunique() < _FEWEST:
        return None
    people = right.groupby(subjects).agg(["sum", "count"]).to_numpy()
    rng = np.random.default_rng(seed)
    drawn = people[rng.integers(0, len(people), (_RESAMPLES, len(people)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return [float(low), float(high)]
