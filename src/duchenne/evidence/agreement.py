"""How far scores can be trusted: how often the action unit that a score names for a unit is the one that moves it most."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from duchenne.evidence.intervention import movers

RARE = 0.05
"""Share of the coded pictures below which an action unit counts as rare."""

_COLUMNS = ("kl", "kl_z", "information", "information_z", "distance", "distance_z", "ap", "ap_lift", "ap_z")
SCORES: Mapping[str, Callable[[pd.DataFrame], pd.Series]] = {
    **{name: lambda evidence, name=name: evidence[name] for name in _COLUMNS},  # type: ignore[misc]
    "r": lambda evidence: evidence["r"].abs(),
    "r, signed": lambda evidence: evidence["r"],
    "r_within": lambda evidence: evidence["r_within"].abs(),
    "auroc": lambda evidence: (evidence["auroc"] - 0.5).abs(),
}
"""What each score goes by: of a unit's action units it names the one for which this is largest."""


def agreement(evidence: pd.DataFrame, responses: pd.DataFrame, least: float = 0.5) -> pd.DataFrame:
    """How often each score names the action unit that moves a unit most, over all units that respond at all; one row a
    score.

    ``evidence`` is what ``match`` gives, ``responses`` what ``dose_response`` does for the same units. The truth of a
    unit is, of the action units that both know, the one of largest effect, where that is ``least`` or more. Columns:
    ``score, units, action_units`` that could be named; ``agreement``; ``chance``, the agreement were the same names
    dealt to other units; ``percentile``, asked the other way round, as zhu2018 does: the share of units that an action
    unit moves less than the unit of largest score for it, the mean over action units, 0.5 by chance; ``named_rare``, the
    share of units for which a rare action unit is named, and ``moved_by_rare``, of those that one moves: rare is what
    fewer than 5 % of the coded pictures show.

    >>> evidence = pd.DataFrame({"unit": [0, 0, 1, 1], "au": ["AU01", "AU12"] * 2, "n_with": 9, "n_without": 9,
    ...                          "r": [0.1, 0.5, 0.2, 0.1]})
    >>> responses = pd.DataFrame({"unit": [0, 0, 1, 1], "au": ["AU01", "AU12"] * 2, "effect": [0.1, 1.0, 0.1, -2.0]})
    >>> agreement(evidence, responses)[["score", "units", "agreement", "chance"]].values.tolist()[0]
    ['r', 2, 0.5, 0.5]
    """
    evidence = evidence[evidence["au"].isin(responses["au"])]
    known = responses[responses["au"].isin(evidence["au"])]
    truth = movers(known, least).set_index("unit")["au"]
    n_with = evidence.groupby("au")[["n_with", "n_without"]].first()
    rare = set(n_with.index[n_with["n_with"] / n_with.sum(axis=1) < RARE])
    rows = []
    for score, size in SCORES.items():
        if score.partition(",")[0] not in evidence:
            continue
        named = evidence.loc[size(evidence).groupby(evidence["unit"]).idxmax()].set_index("unit")["au"].reindex(truth.index)
        rows.append({
            "score": score, "action_units": len(n_with), **_compared(named, truth),
            "percentile": _percentile(evidence.assign(size=size(evidence)), known),
            "named_rare": float(named.isin(rare).mean()), "moved_by_rare": float(truth.isin(rare).mean()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def repeatability(one: pd.DataFrame, other: pd.DataFrame, least: float = 0.5) -> pd.DataFrame:
    """How often half of the people foretell which action unit moves a unit most on the other half; one row.

    ``one`` and ``other`` are what ``dose_response`` gives for two halves of the people; the units are those that
    anything moves by ``least`` in the other. Columns as of ``agreement``, with "other people" for the score.
    """
    truth = movers(other, least).set_index("unit")["au"]
    named = movers(one, 0.0).set_index("unit")["au"].reindex(truth.index)
    return pd.DataFrame([{"score": "other people", "action_units": one["au"].nunique(), **_compared(named, truth)}])


def _compared(named: pd.Series, truth: pd.Series) -> dict[str, float]:
    """How often the action units named for units are the true ones, and how often by chance."""
    hits, count = int((named == truth).sum()), len(truth)
    shares = [each.value_counts(normalize=True) for each in (named, truth)]
    return {
        "units": count, "agreement": hits / count if count else np.nan,
        "chance": float(shares[0].mul(shares[1], fill_value=0).sum()) if count else np.nan,
    }  # fmt: skip


def _percentile(evidence: pd.DataFrame, responses: pd.DataFrame) -> float:
    """For each action unit, the rank of its unit of largest ``size`` by how far it moves units: 0 … 1, the mean."""
    chosen = evidence.loc[evidence.groupby("au")["size"].idxmax()].set_index("au")["unit"]
    moved = responses.pivot(index="unit", columns="au", values="effect").abs()
    ranks = (moved.rank() - 1) / max(len(moved) - 1, 1)
    return float(np.mean([ranks.loc[unit, au] for au, unit in chosen.items()])) if len(chosen) else np.nan
