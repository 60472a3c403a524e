"""What makes a network say each of its classes: the action units that raise it
most when they alone are stimulated, beside published prototypes.
"""

from __future__ import annotations

from collections.abc import Set

import pandas as pd

Pairs = Set[tuple[str, str]]


LEAST = 0.1
"""Log-odds by which an action unit must raise a class to count: a probability
rises by 2.5 points at the most with it (p(1 − p) is at most 1/4).
"""


def drivers(
    reactions: pd.DataFrame, prototypes: Pairs, count: int = 3
) -> pd.DataFrame:
    """Find the action units that raise each class most, of those whose own
    95 % interval over people lies above 0, and that raise its log-odds by
    ``LEAST`` or more.

    Args:
        reactions: A row an action unit and class: ``au, expression, change,
            logit_change, logit_low, logit_high``.
        prototypes: Action units and the classes whose published prototypes
            hold them.
        count: How many are kept of a class.

    Returns:
        These rows, the strongest of a class first: ``expression, rank, au,
        prototype`` (whether one holds it), and the changes.

    >>> reactions = pd.DataFrame(
    ...     {
    ...         "au": ["AU12", "AU04"],
    ...         "expression": ["happiness", "happiness"],
    ...         "logit_change": [2.0, -1.0],
    ...         "logit_low": [1.5, -2.0],
    ...         "logit_high": [2.5, 0.5],
    ...         "change": [0.4, -0.1],
    ...     }
    ... )
    >>> drivers(reactions, {("AU12", "happiness")})[["au", "rank", "prototype"]]
         au  rank  prototype
    0  AU12     1       True
    """
    surely = reactions[_raises(reactions)]
    inorder = surely.sort_values("logit_change", ascending=False)
    found = inorder.groupby("expression", sort=False).head(count)
    order = {name: place for place, name in enumerate(_classes(reactions))}
    found = found.sort_values(
        ["expression", "logit_change"],
        ascending=[True, False],
        key=lambda column: (
            column.map(order) if column.name == "expression" else column
        ),
        ignore_index=True,
    )
    pairs = zip(found["au"], found["expression"], strict=True)
    found["prototype"] = [pair in prototypes for pair in pairs]
    found["rank"] = found.groupby("expression").cumcount() + 1
    return found


def unheeded(reactions: pd.DataFrame, prototypes: Pairs) -> pd.DataFrame:
    """Find the action units of published prototypes that do not raise their
    class, as ``drivers`` counts it.

    Args:
        reactions: As ``drivers`` takes them.
        prototypes: Action units and classes.

    Returns:
        These rows.
    """
    pairs = zip(reactions["au"], reactions["expression"], strict=True)
    held = pd.Series(
        [pair in prototypes for pair in pairs], reactions.index, bool
    )
    return reactions[held & ~_raises(reactions)].reset_index(drop=True)


def _raises(reactions: pd.DataFrame) -> pd.Series:
    """Which action units raise which class, row by row."""
    enough = reactions["logit_change"] >= LEAST
    return enough & (reactions["logit_low"] > 0)


def _classes(reactions: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(reactions["expression"]))
