"""What networks make of the same action units: the reactions of several
studies side by side, class by class.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from duchenne.study.record import Study

_KEYS = ["au", "expression"]


def beside(studies: Mapping[str, Study]) -> pd.DataFrame:
    """Set the reactions of studies beside each other.

    Args:
        studies: By their names.

    Returns:
        A row an action unit and class that all networks have: ``au,
        expression``; of each study the change of log-odds by its name, and its
        interval, ``<name> low`` and ``<name> high``; and ``differ``, whether
        the intervals of some two leave a gap. Empty where a study has none, or
        the networks have no class in common.
    """
    frames = []
    for name, study in studies.items():
        if study.reactions.empty or "logit_change" not in study.reactions:
            return pd.DataFrame()
        columns = {
            "logit_change": name,
            "logit_low": f"{name} low",
            "logit_high": f"{name} high",
        }
        of_study = study.reactions.set_index(_KEYS)[list(columns)]
        frames.append(of_study.rename(columns=columns))
    found = pd.concat(frames, axis=1, join="inner")
    if found.empty:
        return pd.DataFrame()
    lows = found[[f"{name} low" for name in studies]]
    highs = found[[f"{name} high" for name in studies]]
    found["differ"] = lows.max(axis=1) > highs.min(axis=1)
    return found.reset_index()


def correlations(found: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """How alike the reactions of each two studies are.

    Args:
        found: What ``beside`` gives.
        names: Of the studies.

    Returns:
        A row a pair of studies: ``one, other, pairs`` (of an action unit and a
        class), ``r`` over these, and ``differ``, the share in which intervals
        of the two leave a gap.
    """
    rows = []
    for one, other in itertools.combinations(names, 2):
        if found.empty:
            break
        gap = np.maximum(found[f"{one} low"], found[f"{other} low"]) > (
            np.minimum(found[f"{one} high"], found[f"{other} high"])
        )
        rows.append(
            {
                "one": one,
                "other": other,
                "pairs": len(found),
                "r": float(found[one].corr(found[other])),
                "differ": float(gap.mean()),
            }
        )
    return pd.DataFrame(rows, columns=["one", "other", "pairs", "r", "differ"])
