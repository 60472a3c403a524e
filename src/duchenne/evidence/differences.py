"""Whom a network reads worse: what it makes of people against who they are,
and of twins who differ in one trait alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from duchenne.evidence.intervals import LEAST, of_mean
from duchenne.evidence.separation import holm

Floats = NDArray[np.float64]

COLUMNS = [
    "design",
    "trait",
    "measure",
    "people",
    "effect",
    "low",
    "high",
    "p",
    "p_holm",
]


def of_twins(
    of_people: Floats, traits: Sequence[str], measures: Sequence[str]
) -> pd.DataFrame:
    """Differences between twins, the mean over people.

    Args:
        of_people: (people, traits, measures) what is measured of the twin who
            has more of a trait, less that of the other; NaN where it was not
            measured.
        traits: Their names.
        measures: Their names.

    Returns:
        A row a trait and measure, of ``COLUMNS``: ``effect`` with its 95 %
        interval over people, ``p`` of Student's paired t, and ``p_holm``,
        corrected over all traits (Holm 1979), and over all measures that are
        called alike before a colon, as those of classes on neutral faces are.
        NaN for fewer than six people.

    >>> twins = np.arange(8.0)[:, None, None] + 1
    >>> of_twins(twins, ["age"], ["accuracy"])[["effect", "people"]]
       effect  people
    0     4.5       8
    """
    rows = []
    for place, trait in enumerate(traits):
        for column, measure in enumerate(measures):
            values = of_people[:, place, column]
            known = values[np.isfinite(values)]
            low, high = of_mean(known)
            row = {
                "trait": trait,
                "measure": measure,
                "people": len(known),
                "effect": known.mean() if len(known) else np.nan,
                "low": low,
                "high": high,
                "p": _paired(known),
            }
            rows.append(row)
    return _corrected(pd.DataFrame(rows).assign(design="twins"))


def _paired(differences: Floats) -> float:
    """P of the mean of differences; 1 where none differs, and never below that
    of the most extreme choice of all signs, which is all that few people and
    shares allow.
    """
    count = len(differences)
    if count < LEAST:
        return np.nan
    if not differences.any():
        return 1.0
    least = 2.0 ** (1 - count)
    if np.ptp(differences) == 0:
        return least
    found = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return max(found, least)


def of_drawn(of_people: pd.DataFrame, traits: pd.DataFrame) -> pd.DataFrame:
    """Rank correlations of what is measured of people with their traits.

    Args:
        of_people: A row a person, a column a measure.
        traits: The same people, a column a trait.

    Returns:
        A row a trait and measure, of ``COLUMNS``: ``effect`` is Spearman's ρ,
        its interval by Fisher's scale with the standard error of Bonett &
        Wright (2000), √((1 + ρ²/2) / (n − 3)); ``p_holm`` as of twins.

    >>> people = pd.DataFrame({"accuracy": [1.0, 2, 3, 4, 5, 6, 8, 7]})
    >>> traits = pd.DataFrame({"age": np.arange(8.0)})
    >>> of_drawn(people, traits)["effect"].round(3).tolist()
    [0.976]
    """
    rows = []
    for trait in traits:
        for measure in of_people:
            known = of_people[measure].notna() & traits[trait].notna()
            row = _correlated(
                traits.loc[known, trait], of_people.loc[known, measure]
            )
            rows.append({"trait": trait, "measure": measure} | row)
    return _corrected(pd.DataFrame(rows).assign(design="drawn"))


def _correlated(trait: pd.Series, measured: pd.Series) -> dict[str, float]:
    """Spearman's correlation, its interval and p."""
    count = len(trait)
    found = {"people": count, "effect": np.nan, "low": np.nan, "high": np.nan}
    if count < LEAST or min(trait.nunique(), measured.nunique()) < 2:
        return found | {"p": np.nan}
    told = stats.spearmanr(trait, measured)
    effect = float(told.statistic)
    low, high = _interval(effect, count)
    return found | {
        "effect": effect,
        "low": low,
        "high": high,
        "p": float(told.pvalue),
    }


def _interval(rho: float, count: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's correlation of so many pairs."""
    error = np.sqrt((1 + rho**2 / 2) / (count - 3))
    half = stats.norm.ppf(0.975) * error
    middle = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def _corrected(found: pd.DataFrame) -> pd.DataFrame:
    """P of the rows of each kind of measure, corrected for how many of them
    have one.
    """
    kinds = found["measure"].str.partition(":")[0]
    known = found["p"].notna()
    found["p_holm"] = np.nan
    for kind in kinds.unique():
        rows = known & (kinds == kind)
        found.loc[rows, "p_holm"] = holm(found.loc[rows, "p"].to_numpy())
    return found[COLUMNS]


LEVEL = 0.05
"""Of the corrected p of what is called sure."""


def sure(found: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Differences of twins in how often they are read right that are surely
    there, the largest first.

    Args:
        found: As ``of_twins`` gives them.
        level: Of the corrected p.

    Returns:
        These rows.
    """
    asked = found[
        (found["design"] == "twins")
        & (found["measure"] == "accuracy")
        & (found["p_holm"] <= level)
    ]
    return asked.sort_values("effect", key=np.abs, ascending=False)
