"""What counts as a detector: which unit answers more to an action unit, and how
surely.
"""

from __future__ import annotations

import pandas as pd


def ranked(evidence: pd.DataFrame) -> pd.DataFrame:
    """Order pairs by how surely the unit answers more to the action unit.

    Args:
        evidence: What ``match`` gives.

    Returns:
        The same rows; those in which the unit answers less come last.
    """
    ordered = evidence.assign(less=~_answers_more(evidence)).sort_values(
        ["less", "p", "r"], ascending=[True, True, False]
    )
    return ordered.drop(columns="less").reset_index(drop=True)


def strongest(evidence: pd.DataFrame) -> pd.DataFrame:
    """For each unit the action unit of highest r.

    Args:
        evidence: What ``match`` gives.

    Returns:
        One row a unit, best evidence first.
    """
    known = evidence.dropna(subset=["r"])
    largest = known.groupby("unit")["r"].idxmax()
    return ranked(known.loc[largest])


def detecting(evidence: pd.DataFrame, level: float) -> pd.Series:
    """Mark the pairs in which a unit detects the action unit: it answers more
    with it, surely.

    Args:
        evidence: What ``match`` gives.
        level: The highest family-wise p.

    Returns:
        Booleans by the rows of ``evidence``.

    >>> frame = pd.DataFrame(
    ...     {"r": [0.5, 0.5, -0.5], "r_null": 0.1, "p": [0.01, 0.2, 0.01]}
    ... )
    >>> detecting(frame, 0.05).tolist()
    [True, False, False]
    """
    return (evidence["p"] <= level) & _answers_more(evidence)


def detections(evidence: pd.DataFrame, level: float) -> pd.DataFrame:
    """The pairs in which a unit detects the action unit.

    Args:
        evidence: What ``match`` gives.
        level: The highest family-wise p.

    Returns:
        The rows of these.
    """
    found = evidence[detecting(evidence, level)]
    return found.sort_values("r", ascending=False).reset_index(drop=True)


def _answers_more(evidence: pd.DataFrame) -> pd.Series:
    """Mark the pairs in which a unit answers more with the action unit than
    without, and than under permuted labels.

    A unit that answers to any movement of the face, but less to this one, is
    no detector of it.
    """
    positive = evidence["r"] > 0
    above_chance = evidence["r"] > evidence["r_null"]
    return positive & above_chance
