"""Which unit detects which action unit: every score for every pair, each beside its null."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.evidence import association, divergence, significance
from duchenne.progress import Progress, quiet

_KL_PERMUTATIONS = 20


def match(
    peaks: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    *,
    bins: int = 64,
    epsilon: float = 1e-6,
    permutations: int = 1000,
    kl_permutations: int = _KL_PERMUTATIONS,
    least: int = 10,
    seed: int = 0,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Compare every unit with every action unit; one row a pair.

    ``peaks`` (n, u); ``labels`` nullable booleans (n, a), NA = not coded and left out; ``groups`` and ``sequences`` (n,)
    name the person and the sequence of each picture. Action units with fewer than ``least`` pictures with or without
    them are left out. Columns: ``unit, au, n_with, n_without``; ``kl`` with ``kl_null``, its mean under permuted labels,
    and ``kl_z``, its distance from that in standard deviations; ``r``; ``ap`` and ``ap_lift`` over prevalence;
    ``auroc``; ``p_alone``, ``p`` family-wise over all pairs, ``q`` by Benjamini–Hochberg.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.random(80) < 0.5
    >>> frame = match((shown + rng.normal(1, 0.1, 80))[:, None], pd.DataFrame({"AU12": shown}).astype("boolean"),
    ...               [f"s{i // 4}" for i in range(80)], [f"q{i}" for i in range(80)], permutations=99)
    >>> frame["au"].tolist(), bool(frame["p"][0] <= 0.05)
    (['AU12'], True)
    """
    coded = labels.notna().to_numpy()
    present = labels.fillna(False).to_numpy(bool)
    n_with, n_without = (present & coded).sum(0), (~present & coded).sum(0)
    enough = (n_with >= least) & (n_without >= least)
    if not enough.any():
        raise InputError(f"no action unit has {least} pictures with it and {least} without")
    names = np.array(labels.columns)[enough]
    present, coded = present[:, enough], coded[:, enough]
    values = np.asarray(peaks, np.float64)
    people, takes = np.asarray(groups, str), np.asarray(sequences, str)
    with progress("Comparing units and action units", 4) as advance:
        sources = list(significance.permutations(people, takes, permutations, seed))
        r = association.correlation(values, present, coded)
        p_alone, p = significance.p_values(r, significance.permuted_correlations(values, present, coded, sources))
        advance(1)
        kl, null, z = _calibrated(values, present, coded, bins, epsilon, sources[:kl_permutations])
        advance(1)
        ap = association.average_precision(values, present, coded)
        advance(1)
        roc = association.auroc(values, present, coded)
        advance(1)
    prevalence = n_with[enough] / (n_with + n_without)[enough]
    scores = {
        "kl": kl, "kl_null": null, "kl_z": z, "r": r, "ap": ap, "ap_lift": ap / prevalence, "auroc": roc,
        "p_alone": p_alone, "p": p, "q": significance.benjamini_hochberg(p_alone),
    }  # fmt: skip
    units = values.shape[1]
    frame = pd.DataFrame(
        {
            "unit": np.repeat(np.arange(units), len(names)),
            "au": np.tile(names, units),
            "n_with": np.tile(n_with[enough], units),
            "n_without": np.tile(n_without[enough], units),
        }
    )
    return frame.assign(**{name: score.ravel() for name, score in scores.items()})


def _calibrated(
    values: NDArray[np.float64], present: NDArray[np.bool_], coded: NDArray[np.bool_], bins: int, epsilon: float,
    sources: list[NDArray[np.int64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """The divergence, its mean under rearranged labels, and how many standard deviations lie between."""
    labels = present.shape[1]
    tables = [np.concatenate([table, *(table[source] for source in sources)], 1) for table in (present, coded)]
    every = divergence.kl(values, tables[0], tables[1], bins, epsilon).reshape(len(values.T), -1, labels)
    observed, null = every[:, 0], every[:, 1:]
    mean, spread = null.mean(1), null.std(1, ddof=1)
    z = np.divide(observed - mean, spread, out=np.zeros_like(mean), where=spread > 1e-12)
    return observed, mean, z


def strongest(evidence: pd.DataFrame) -> pd.DataFrame:
    """For each unit the action unit of highest r, best evidence first."""
    best = evidence.loc[evidence.groupby("unit")["r"].idxmax()]
    return best.sort_values(["p", "r"], ascending=[True, False]).reset_index(drop=True)


def detections(evidence: pd.DataFrame, level: float) -> pd.DataFrame:
    """The pairs in which a unit answers more to pictures with the action unit, family-wise p at most ``level``."""
    found = evidence[(evidence["p"] <= level) & (evidence["r"] > 0)]
    return found.sort_values("r", ascending=False).reset_index(drop=True)
