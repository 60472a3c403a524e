"""How far scores can be trusted: how often the action unit that a score names
for a unit is the one that moves it most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from duchenne.evidence import scores
from duchenne.evidence.doses import movers

RARE = 0.05
"""Share of the coded pictures below which an action unit counts as rare."""


def validity(
    evidence: pd.DataFrame, responses: pd.DataFrame, least: float = 0.5
) -> pd.DataFrame:
    """How often each score names the action unit that moves a unit most, over
    all units that respond at all.

    The truth of a unit is, of the action units that both frames know, the one
    of largest effect, where that is ``least`` or more.

    Args:
        evidence: What ``match`` gives.
        responses: What ``dose_response`` gives for the same units.
        least: The effect that counts, in standard deviations.

    Returns:
        One row a score: ``score, units, action_units`` that could be named;
        ``validity``; ``chance``, the validity were the same names dealt to
        other units; ``percentile``, asked the other way round, as zhu2018
        does: the share of units that an action unit moves less than the unit
        of largest score for it, the mean over action units, 0.5 by chance;
        ``named_rare``, the share of units for which a rare action unit is
        named, and ``moved_by_rare``, of those that one moves: rare is what
        fewer than 5 % of the coded pictures show.

    >>> evidence = pd.DataFrame(
    ...     {
    ...         "unit": [0, 0, 1, 1],
    ...         "au": ["AU01", "AU12"] * 2,
    ...         "n_with": 9,
    ...         "n_without": 9,
    ...         "r": [0.1, 0.5, 0.2, 0.1],
    ...     }
    ... )
    >>> responses = pd.DataFrame(
    ...     {
    ...         "unit": [0, 0, 1, 1],
    ...         "au": ["AU01", "AU12"] * 2,
    ...         "effect": [0.1, 1.0, 0.1, -2.0],
    ...     }
    ... )
    >>> validity(evidence, responses)[
    ...     ["score", "units", "validity", "chance"]
    ... ].values.tolist()[0]
    ['r', 2, 0.5, 0.5]
    """
    evidence = evidence[evidence["au"].isin(responses["au"])]
    known = responses[responses["au"].isin(evidence["au"])]
    truth = movers(known, least).set_index("unit")["au"]
    rows = []
    for score, size in scores.sizes().items():
        measured_by = score.partition(",")[0]
        if measured_by in evidence:
            sized = evidence.assign(size=size(evidence))
            row = {"score": score, "action_units": evidence["au"].nunique()}
            rows.append(row | _of_score(sized, known, truth))
    return pd.DataFrame(rows)


def _of_score(
    sized: pd.DataFrame, known: pd.DataFrame, truth: pd.Series
) -> dict[str, Any]:
    """How a score whose ``size`` is given names what moves units."""
    rare = _rare(sized)
    named = _named(sized).reindex(truth.index)
    row = _compared(named, truth)
    row["percentile"] = _percentile(sized, known)
    row["named_rare"] = float(named.isin(rare).mean())
    row["moved_by_rare"] = float(truth.isin(rare).mean())
    return row


def _named(sized: pd.DataFrame) -> pd.Series:
    """The action unit of largest score for each unit."""
    largest = sized.groupby("unit")["size"].idxmax()
    return sized.loc[largest].set_index("unit")["au"]


def _rare(evidence: pd.DataFrame) -> set[str]:
    """The action units that few of the coded pictures show."""
    counts = evidence.groupby("au")[["n_with", "n_without"]].first()
    base_rate = counts["n_with"] / counts.sum(axis=1)
    return set(counts.index[base_rate < RARE])


def repeatability(
    one: pd.DataFrame, other: pd.DataFrame, least: float = 0.5
) -> pd.DataFrame:
    """How often half of the people foretell which action unit moves a unit
    most on the other half.

    Args:
        one: What ``dose_response`` gives for one half of the people.
        other: The same for the other half; the units are those that anything
            moves here.
        least: The effect that counts, in standard deviations.

    Returns:
        One row, columns as of ``validity``, with "split-half" for the score.
    """
    truth = movers(other, least).set_index("unit")["au"]
    named = movers(one, 0.0).set_index("unit")["au"].reindex(truth.index)
    return pd.DataFrame(
        [
            {
                "score": "split-half",
                "action_units": one["au"].nunique(),
                **_compared(named, truth),
            }
        ]
    )


def _compared(named: pd.Series, truth: pd.Series) -> dict[str, float]:
    """How often the action units named for units are the true ones, and how
    often by chance.
    """
    hits = int((named == truth).sum())
    count = len(truth)
    shares = [each.value_counts(normalize=True) for each in (named, truth)]
    return {
        "units": count,
        "validity": hits / count if count else np.nan,
        "chance": float(shares[0].mul(shares[1], fill_value=0).sum())
        if count
        else np.nan,
    }


def _percentile(evidence: pd.DataFrame, responses: pd.DataFrame) -> float:
    """For each action unit, the rank of its unit of largest ``size`` by how
    far it moves units: 0 … 1, the mean.
    """
    chosen = evidence.loc[evidence.groupby("au")["size"].idxmax()].set_index(
        "au"
    )["unit"]
    moved = responses.pivot(index="unit", columns="au", values="effect").abs()
    ranks = (moved.rank() - 1) / max(len(moved) - 1, 1)
    return (
        float(np.mean([ranks.loc[unit, au] for au, unit in chosen.items()]))
        if len(chosen)
        else np.nan
    )
