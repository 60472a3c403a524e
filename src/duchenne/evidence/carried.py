"""Whether what is found on one set of faces holds on another: rendered faces
and photographs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence.detection import detecting

Floats = NDArray[np.floating]


def ranges(here: Floats, there: Floats) -> pd.DataFrame:
    """How far units answer elsewhere beyond what they answer here.

    Args:
        here: (n, u) activations on one set of faces.
        there: (m, u) on another.

    Returns:
        A row a unit: ``unit``; ``low, high``, the 1st and 99th percentile
        here; ``beyond``, the share of pictures there that lie outside, 0.02
        where the two are alike; and ``shift`` of the mean, in standard
        deviations here, NaN of a unit that never varies.

    >>> here = np.arange(101.0)[:, None]
    >>> ranges(here, here + 50)[["low", "high", "beyond"]].round(2)
       low  high  beyond
    0  1.0  99.0     0.5
    """
    low, high = np.quantile(here, [0.01, 0.99], axis=0)
    outside = (there < low) | (there > high)
    spread = here.std(0)
    shift = there.mean(0) - here.mean(0)
    return pd.DataFrame(
        {
            "unit": np.arange(here.shape[1]),
            "low": low,
            "high": high,
            "beyond": outside.mean(0),
            "shift": np.divide(
                shift,
                spread,
                out=np.full_like(shift, np.nan),
                where=spread > 0,
            ),
        }
    )


def carried(
    here: pd.DataFrame,
    there: pd.DataFrame,
    label: str,
    level: float,
    deals: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """How many detections of one set of faces hold on another, beside the same
    with their labels dealt anew among the detecting units.

    Args:
        here: Evidence on one set, a row a unit and label.
        there: On the other; labels that it has not are left out.
        label: The column that names what is detected: ``au`` or
            ``expression``.
        level: The highest family-wise p.
        deals: How often labels are dealt.
        seed: Of the dealing.

    Returns:
        ``pairs`` that are detected here and are tested there; the ``share``
        that is detected there too; and ``dealt``, that share with labels dealt
        anew, the mean. Shares are nothing where there are no pairs.

    >>> here = pd.DataFrame(
    ...     {
    ...         "unit": [0, 1],
    ...         "au": ["AU01", "AU12"],
    ...         "r": 0.5,
    ...         "r_null": 0.0,
    ...         "p": 0.01,
    ...     }
    ... )
    >>> there = here.assign(p=[0.01, 0.9])
    >>> carried(here, there, "au", 0.05)["share"]
    0.5
    """
    keys = ["unit", label]
    tested = there.loc[there["p"].notna(), keys]
    found = here[detecting(here, level)].merge(tested, on=keys)
    if not len(found):
        return {"pairs": 0, "share": None, "dealt": None}
    holds = _holds(found["unit"], there, label, level)
    names = list(holds)
    labels = np.array([names.index(name) for name in found[label]])
    rng = np.random.default_rng(seed)
    dealt = np.array([rng.permutation(labels) for _ in range(deals)])
    return {"pairs": len(found)} | _shares(holds.to_numpy(), labels, dealt)


def _shares(
    held: NDArray[np.bool_],
    labels: NDArray[np.int64],
    dealt: NDArray[np.int64],
) -> dict[str, float]:
    """The share of pairs that hold, of ``held`` (pairs, labels), and the same
    with labels dealt anew (deals, pairs).
    """
    rows = np.arange(len(labels))
    return {
        "share": float(held[rows, labels].mean()),
        "dealt": float(held[rows, dealt].mean()),
    }


def _holds(
    units: pd.Series, there: pd.DataFrame, label: str, level: float
) -> pd.DataFrame:
    """Whether each of some units (rows) detects each label (columns)."""
    marked = there.assign(holds=detecting(there, level))
    wide = marked.pivot(index="unit", columns=label, values="holds")
    return wide.reindex(units).eq(True)
