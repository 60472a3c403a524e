"""Units of two networks that answer alike: to the same pictures, most when and
where the other does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def counterparts(one: Floats, other: Floats) -> pd.DataFrame:
    """For each unit of one network the unit of another whose activations
    correlate with it most.

    Args:
        one: (n, u) activations of one network.
        other: (n, v) those of another on the same pictures.

    Returns:
        One row a unit of ``one``: ``unit``; ``counterpart``, the unit of
        largest correlation, with that ``r``; ``mutual``, whether the first is
        also the counterpart's own. Units that never vary have none (NA, NaN).

    >>> activations = np.array([[0.0, 2.0], [1.0, 1.0], [3.0, 0.0]])
    >>> counterparts(activations, activations[:, ::-1])[
    ...     ["unit", "counterpart", "mutual"]
    ... ].values.tolist()
    [[0, 1, True], [1, 0, True]]
    """
    r = _correlations(one, other)
    varies = np.isfinite(r).any(1)
    ranked = np.where(np.isfinite(r), r, -np.inf)
    best = ranked.argmax(1)
    back = ranked.argmax(0)
    units = np.arange(len(r))
    return pd.DataFrame(
        {
            "unit": units,
            "counterpart": pd.Series(best, dtype="Int64").where(varies),
            "r": np.where(varies, ranked[units, best], np.nan),
            "mutual": varies & (back[best] == units),
        }
    )


def _correlations(one: Floats, other: Floats) -> NDArray[np.float64]:
    """Pearson's r of all columns of one (n, u) with all of other (n, v): (u,
    v), NaN where either never varies.
    """
    standard = []
    for activations in (one, other):
        centred = np.asarray(activations, np.float64) - activations.mean(
            0, dtype=np.float64
        )
        length = np.linalg.norm(centred, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            standard.append(
                np.where(
                    length > _CONSTANT * np.abs(activations).max(initial=1),
                    centred / length,
                    np.nan,
                )
            )
    found: NDArray[np.float64] = standard[0].T @ standard[1]
    return found.clip(-1, 1)


# a spread, as a share of the largest activation, that counts as rounding
_CONSTANT = 1e-6
