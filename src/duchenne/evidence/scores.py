"""Every score that says how well a unit detects an action unit, as data.

``SCORES`` is the one registry: ``match`` computes whatever is in it, beside
its null; validity, tables, figures, the page's map and the documentation read
the columns that each gives. To add a score, add an entry here, or ``add`` one
of your own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence import association, distance, divergence

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Size = Callable[[pd.DataFrame], pd.Series]


@dataclass(frozen=True)
class Binning:
    """What scores on histograms take besides: how many bins, and what is added
    to each.
    """

    bins: int = 64
    epsilon: float = 1e-6


Statistic = Callable[[Floats, Mask, Mask, Binning], Floats]


@dataclass(frozen=True)
class Column:
    """A column of the evidence that a score gives.

    Attributes:
        key: Its name in the frame.
        label: What tables and figures call it.
        says: One or two sentences: what it is.
        uninformative: Its value where a unit and an action unit have nothing
            to do with each other.
        digits: How many are written.
        names: From the frame to a size (its rows): of a unit's action units
            the column names the one for which this is largest; by the key
            under which validity judges it.
        on_map: Whether the page's map of units and action units can show it.
        in_figure: Whether the figure of validity compares it.
    """

    key: str
    label: str
    says: str
    uninformative: float = 0.0
    digits: int = 2
    names: dict[str, Size] | None = None
    on_map: bool = False
    in_figure: bool = False


@dataclass(frozen=True)
class Score:
    """A score: the columns that it gives, and how it is computed.

    Attributes:
        key: The name of its own column.
        columns: Those that it gives, its own first.
        of: From activations (n, u), presence and coding (n, a) to scores (u,
            a); None where ``match`` computes it with its significance.
    """

    key: str
    columns: tuple[Column, ...]
    of: Statistic | None = None


def _kl(
    activations: Floats, present: Mask, coded: Mask, binning: Binning
) -> Floats:
    return divergence.histograms(activations, present, coded, binning.bins).kl(
        binning.epsilon
    )


def _kl_mean(
    activations: Floats, present: Mask, coded: Mask, binning: Binning
) -> Floats:
    return divergence.mean_over_bins(activations, present, coded)


def _information(
    activations: Floats, present: Mask, coded: Mask, binning: Binning
) -> Floats:
    return divergence.histograms(
        activations, present, coded, binning.bins
    ).information()


def _distance(
    activations: Floats, present: Mask, coded: Mask, binning: Binning
) -> Floats:
    return distance.distance(activations, present, coded)


def _average_precision(
    activations: Floats, present: Mask, coded: Mask, binning: Binning
) -> Floats:
    return association.average_precision(activations, present, coded)


def _auroc(
    activations: Floats, present: Mask, coded: Mask, binning: Binning
) -> Floats:
    return association.auroc(activations, present, coded)


def _column(evidence: pd.DataFrame, key: str) -> pd.Series:
    return evidence[key]


def _magnitude(
    evidence: pd.DataFrame, key: str, uninformative: float = 0.0
) -> pd.Series:
    return (evidence[key] - uninformative).abs()


def _largest(key: str) -> dict[str, Size]:
    """Named by the largest value of a column."""
    return {key: partial(_column, key=key)}


def _beside_null(
    key: str,
    label: str,
    what: str,
    *,
    judged: bool = True,
    on_map: bool = False,
) -> tuple[Column, Column]:
    """The mean of a score under permuted labels, and how far the score lies
    from it.
    """
    null = Column(
        f"{key}_null",
        f"{label}, permuted",
        f"The mean of {what} under permuted labels.",
    )
    z = Column(
        f"{key}_z",
        f"{label} z",
        f"How many standard deviations {what} lies above permuted labels.",
        digits=1,
        names=_largest(f"{key}_z") if judged else None,
        on_map=on_map,
        in_figure=key in ("kl", "ap"),
    )
    return null, z


_OWN = (
    Score(
        "kl",
        (
            Column(
                "kl",
                "KL",
                "khorrami2015's score: how far the histogram of activations with the action unit "
                "lies from that without, in nats. It grows by itself as an action unit gets rarer.",
                names=_largest("kl"),
                on_map=True,
                in_figure=True,
            ),
            *_beside_null(
                "kl", "KL", "khorrami2015's divergence", on_map=True
            ),
        ),
        _kl,
    ),
    Score(
        "kl_mean",
        (
            Column(
                "kl_mean",
                "KL, mean",
                "khorrami2015's divergence, the mean over numbers of bins, in nats.",
            ),
            *_beside_null("kl_mean", "KL, mean", "that mean", judged=False),
        ),
        _kl_mean,
    ),
    Score(
        "information",
        (
            Column(
                "information",
                "information",
                "Mutual information of activation and action unit, in nats.",
                names=_largest("information"),
                in_figure=True,
            ),
            *_beside_null("information", "information", "mutual information"),
        ),
        _information,
    ),
    Score(
        "distance",
        (
            Column(
                "distance",
                "distance",
                "zhu2018's score: the symmetric divergence of the unit's nine largest activations "
                "with the action unit from its nine largest without it. It grows with the unit's "
                "scale and does not tell which side is larger.",
                digits=1,
                names=_largest("distance"),
                on_map=True,
                in_figure=True,
            ),
            *_beside_null("distance", "distance", "zhu2018's distance"),
        ),
        _distance,
    ),
    Score(
        "ap",
        (
            Column(
                "ap",
                "AP",
                "Average precision of the unit as a detector: 1 is perfect, the share of pictures "
                "with the action unit (its base rate) is chance.",
                names=_largest("ap"),
            ),
            Column(
                "ap_lift",
                "AP lift",
                "Average precision over the base rate of the action unit: 1 is chance.",
                uninformative=1.0,
                digits=1,
                names=_largest("ap_lift"),
                on_map=True,
                in_figure=True,
            ),
            *_beside_null("ap", "AP", "average precision"),
        ),
        _average_precision,
    ),
    Score(
        "r",
        (
            Column(
                "r",
                "r",
                "Correlation, −1 to 1, of the unit's activations with the presence of the action "
                "unit.",
                names={
                    "r": partial(_magnitude, key="r"),
                    "r, signed": partial(_column, key="r"),
                },
                on_map=True,
                in_figure=True,
            ),
        ),
    ),
    Score(
        "r_within",
        (
            Column(
                "r_within",
                "r within",
                "The same correlation among pictures of one expression only, pooled: what is left "
                "when the expression cannot explain it.",
                names={"r_within": partial(_magnitude, key="r_within")},
                on_map=True,
            ),
        ),
    ),
    Score(
        "auroc",
        (
            Column(
                "auroc",
                "AUROC",
                "How often the activation is larger on a picture with the action unit than on one "
                "without it: 0.5 is chance.",
                uninformative=0.5,
                names={
                    "auroc": partial(
                        _magnitude, key="auroc", uninformative=0.5
                    )
                },
                on_map=True,
            ),
            *_beside_null("auroc", "AUROC", "the AUROC", judged=False),
        ),
        _auroc,
    ),
)

SCORES: dict[str, Score] = {}
"""Every score by the name of its own column."""

COLUMNS: dict[str, Column] = {}
"""Every column that scores give, by its name in the frame."""


def add(score: Score) -> None:
    """Add a score: it is computed by ``match`` and known to whatever reads its
    columns.
    """
    SCORES[score.key] = score
    COLUMNS.update({column.key: column for column in score.columns})


for _score in _OWN:
    add(_score)


def computed() -> dict[str, Statistic]:
    """How those scores are computed that ``match`` sets beside permuted labels
    one by one.
    """
    return {
        key: score.of for key, score in SCORES.items() if score.of is not None
    }


def sizes() -> dict[str, Size]:
    """What each score goes by: of a unit's action units it names the one for
    which this is largest.
    """
    named = (column.names or {} for column in COLUMNS.values())
    return {name: size for names in named for name, size in names.items()}
