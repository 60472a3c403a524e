"""What the classes of a network are to the expressions that faces show:
matched by name, never by order.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from duchenne import facs

COARSE = frozenset(facs.SUPERSETS) - frozenset(facs.EXPRESSIONS)
"""Names of supersets that are no expressions themselves."""


def as_classes(shown: pd.Series, classes: Sequence[str]) -> pd.Series:
    """Match expressions with the classes of a network: each with the class of
    its name, or with the superset that holds it.

    Args:
        shown: (n,) expressions.
        classes: Of the network.

    Returns:
        (n,) names of classes; NA where the network has none for what is shown.

    >>> as_classes(
    ...     pd.Series(["anger", "contempt"]), ["happiness", "anger"]
    ... ).tolist()
    ['anger', nan]
    >>> as_classes(pd.Series(["anger"]), ["positive", "negative"]).tolist()
    ['negative']
    """
    if COARSE & set(classes):
        supersets = {**facs.SUPERSET_OF, **{name: name for name in classes}}
        shown = shown.map(supersets.get, na_action="ignore")
    return shown.where(shown.isin(list(classes)))
