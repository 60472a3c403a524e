"""Which unit detects which action unit: every score for every pair, each beside its null."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from duchenne import intervals
from duchenne.errors import InputError
from duchenne.evidence import association, distance, divergence, significance
from duchenne.evidence.exchangeability import Arrangements, Exchangeability, apparent_neutral, named
from duchenne.progress import Progress, quiet

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_CONSTANT = 1e-12  # a spread that counts as rounding


@dataclass(frozen=True)
class Matched:
    """What ``compare`` gives.

    Attributes:
        frame: A row a pair, as of ``match``.
        null_units: (p,) for each permutation, how many units it would have called detectors.
        too_few: One line where there are too few distinct rearrangements for the level, or action units that these do not
            change; else nothing.
    """

    frame: pd.DataFrame
    null_units: NDArray[np.int64]
    too_few: str = ""


def match(
    peaks: NDArray[np.floating], labels: pd.DataFrame, groups: ArrayLike, sequences: ArrayLike, **options: Any
) -> pd.DataFrame:
    """Compare every unit with every action unit.

    Args:
        peaks: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit; NA = not coded, and left out.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        options: Those of ``compare``. Name the ``neutral`` frames where sequences have any and differ in length.

    Returns:
        One row a pair. Columns:

        - ``unit, au, n_with, n_without``;
        - ``r`` with its 95 % interval over people, ``r_low, r_high`` (NaN where fewer than six show the action unit), and
          its mean under permuted labels, ``r_null``;
        - ``kl``, ``kl_mean`` over bin counts, mutual ``information``, ``distance``, ``ap`` and ``auroc``, each with that
          mean (``kl_null``) and how many standard deviations lie between (``kl_z``);
        - ``ap_lift`` over prevalence; ``distance_sign``, −1 where the unit answers less with the action unit;
        - ``p_alone``, ``p`` family-wise over all pairs, ``q`` by Benjamini–Hochberg.

        All scores of a unit with a number that is not finite are NaN.

    Raises:
        InputError: Where the arguments do not fit each other, or no action unit is coded often enough.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.random(80) < 0.5
    >>> frame = match((shown + rng.normal(1, 0.1, 80))[:, None], pd.DataFrame({"AU12": shown}).astype("boolean"),
    ...               [f"s{i // 4}" for i in range(80)], [f"q{i}" for i in range(80)], permutations=99)
    >>> frame["au"].tolist(), bool(frame["p"][0] <= 0.05)
    (['AU12'], True)
    """
    found = compare(peaks, labels, groups, sequences, **options)
    if found.too_few:
        warnings.warn(found.too_few, stacklevel=2)
    return found.frame


def compare(
    peaks: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    *,
    frames: ArrayLike | None = None,
    neutral: ArrayLike | None = None,
    exchangeability: Exchangeability | None = None,
    bins: int = 64,
    epsilon: float = 1e-6,
    permutations: int = 1000,
    score_permutations: int = 20,
    least: int = 10,
    level: float = 0.05,
    seed: int = 0,
    strata: ArrayLike | None = None,
    progress: Progress = quiet,
) -> Matched:
    """Match, and keep what permuted labels would have found.

    Args:
        peaks: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit; NA = not coded, and left out.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        frames: (n,) the order of the pictures of a sequence; that of the rows where it is not given.
        neutral: (n,) whether each picture is a neutral frame; where it is not given, those that show no action unit are
            taken for it.
        exchangeability: Who may be exchanged with whom; built from the above where it is not given.
        bins: Of the divergence's histograms.
        epsilon: Added to each bin of the divergence's normalised histograms.
        permutations: Of the labels, for p.
        score_permutations: Of the labels, for the scores' nulls.
        least: Action units with fewer pictures with or without them are left out.
        level: At which ``null_units`` counts.
        seed: Of the permutations.
        strata: (n,) such as expressions, for the correlation within them and how sure that is: ``r_within, p_within,
            q_within``.
        progress: Is told how far it is.

    Returns:
        The frame of ``match``, and what permuted labels would have found.

    Raises:
        InputError: Where the arguments do not fit each other, or no action unit is coded often enough.
    """
    known = _Labelled.regular(peaks, labels, groups, sequences, least)
    tree = known.tree(frames, neutral, exchangeability)
    if permutations < 1 or score_permutations < 2:
        raise InputError(
            f"permutations {permutations}, score_permutations {score_permutations}: at least 1 and 2 are needed"
        )
    values, present, coded = known.peaks, known.present, known.coded
    arrangements = Arrangements(tree, permutations, seed)
    sources = list(itertools.islice(arrangements, score_permutations))
    cautions = [tree.too_few(level), known.unmoved(sources)]
    sure = significance.against(values, present, coded, arrangements, level, progress)
    low, high = intervals.of_correlation(values, present, coded, known.people)
    scores = known.correlations(strata) | {"r_low": low, "r_high": high, "r_null": sure.centre}
    scores |= known.calibrated(sources, bins, epsilon, progress)
    scores |= {"p_alone": sure.alone, "p": sure.family, "q": significance.benjamini_hochberg(sure.alone)}
    if strata is not None:
        inside = Arrangements(tree.within(strata), permutations, seed)
        caution = inside.tree.too_few(level)
        cautions += [f"within strata: {caution}"] if caution else []
        shown = np.asarray(strata, str)
        p_within = significance.against(values, present, coded, inside, level, progress, shown).alone
        scores |= {"p_within": p_within, "q_within": significance.benjamini_hochberg(p_within)}
    return Matched(known.framed(scores), sure.null_units, "; ".join(filter(None, cautions)))


def scored(
    peaks: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    *,
    exchangeability: Exchangeability | None = None,
    bins: int = 64,
    epsilon: float = 1e-6,
    score_permutations: int = 20,
    least: int = 10,
    seed: int = 0,
    strata: ArrayLike | None = None,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Give the scores of ``match`` and their nulls without their significance, in a fraction of the time; one row a pair.

    Arguments as of ``compare``.

    >>> shown = np.arange(40) % 2 == 0
    >>> frame = scored(shown[:, None] + 1.0, pd.DataFrame({"AU12": shown}).astype("boolean"), np.arange(40), np.arange(40))
    >>> frame["r"].round(3).tolist(), bool(frame["kl_z"][0] > 3)
    ([1.0], True)
    """
    known = _Labelled.regular(peaks, labels, groups, sequences, least)
    sources = list(Arrangements(known.tree(None, None, exchangeability), score_permutations, seed))
    scores = known.correlations(strata) | known.calibrated(sources, bins, epsilon, progress)
    return known.framed(scores)


@dataclass(frozen=True)
class _Labelled:
    """Activations and labels made regular.

    Attributes:
        peaks: (n, u) of the units all of whose activations are finite.
        finite: (v,) which of all units these are.
        names: (a,) the action units.
        present, coded: (n, a) which are present, and which were coded.
        people, takes: (n,) the person and the sequence of each picture.
    """

    peaks: Floats
    finite: Mask
    names: NDArray[Any]
    present: Mask
    coded: Mask
    people: NDArray[np.str_]
    takes: NDArray[np.str_]

    @classmethod
    def regular(
        cls, peaks: NDArray[np.floating], labels: pd.DataFrame, groups: ArrayLike, sequences: ArrayLike, least: int
    ) -> _Labelled:
        """Make the arguments regular, without action units of fewer than ``least`` pictures with or without them."""
        _refuse_unequal(peaks, labels, groups, sequences)
        _refuse_other_values(labels)
        coded = labels.notna().to_numpy()
        present = labels.fillna(False).to_numpy(bool) & coded
        enough = (present.sum(0) >= least) & ((~present & coded).sum(0) >= least)
        if not coded.any():
            raise InputError("labels: no action unit is coded")
        if not enough.any():
            raise InputError(f"no action unit has {least} pictures with it and {least} without")
        values = np.asarray(peaks, np.float64)
        finite: Mask = np.asarray(np.isfinite(values).all(0))
        if not finite.any():
            raise InputError("peaks: every unit has numbers that are not finite")
        names = np.array(labels.columns)[enough]
        people = named(groups, sequences)
        return cls(values[:, finite], finite, names, present[:, enough], coded[:, enough], *people)

    def tree(self, frames: ArrayLike | None, neutral: ArrayLike | None, given: Exchangeability | None) -> Exchangeability:
        """Who may be exchanged with whom, where it is not given."""
        if given is not None:
            if given.pictures != len(self.peaks):
                raise InputError(f"exchangeability: of {given.pictures} pictures, and there are {len(self.peaks)}")
            return given
        resting = neutral
        if resting is None:
            resting = apparent_neutral(self.present, self.people, self.takes, frames)
        return Exchangeability.of(self.people, self.takes, frames=frames, neutral=resting)

    def unmoved(self, sources: list[Places]) -> str:
        """Name in one line the action units that rearranged labels show on the same pictures: their p can only be 1."""
        moved = np.zeros(len(self.names), bool)
        for source in sources:
            for table in (self.present, self.coded):
                moved |= (table[source] != table).any(0)
        if moved.all():
            return ""
        names = ", ".join(map(str, self.names[~moved]))
        return f"{names}: exchanging labels changes none of them, so that nothing can be tested (p is 1)"

    def framed(self, scores: dict[str, Floats]) -> pd.DataFrame:
        """Scores (u, a), a row a pair; NaN for the units whose activations are not all finite."""
        if self.finite.all():
            return framed(self.names, self.n_with, self.n_without, scores)
        every = {name: np.full((len(self.finite), len(self.names)), np.nan) for name in scores}
        for name, values in scores.items():
            every[name][self.finite] = values
        return framed(self.names, self.n_with, self.n_without, every)

    @property
    def n_with(self) -> Places:
        found: Places = (self.present & self.coded).sum(0)
        return found

    @property
    def n_without(self) -> Places:
        found: Places = (~self.present & self.coded).sum(0)
        return found

    def correlations(self, strata: ArrayLike | None) -> dict[str, Floats]:
        """Correlation of every unit with every action unit, and where ``strata`` are given the same within them."""
        found = {"r": association.correlation(self.peaks, self.present, self.coded)}
        if strata is not None:
            found["r_within"] = association.within(self.peaks, self.present, self.coded, np.asarray(strata, str))
        return found

    def calibrated(self, sources: list[Places], bins: int, epsilon: float, progress: Progress) -> dict[str, Floats]:
        """All other scores beside the same under labels rearranged by ``sources``."""
        values, present, coded = self.peaks, self.present, self.coded
        functions: dict[str, Callable[[Mask, Mask], Floats]] = {
            "kl": lambda shown, known: divergence.histograms(values, shown, known, bins).kl(epsilon),
            "kl_mean": lambda shown, known: divergence.mean_over_bins(values, shown, known),
            "information": lambda shown, known: divergence.histograms(values, shown, known, bins).information(),
            "distance": lambda shown, known: distance.distance(values, shown, known),
            "ap": partial(association.average_precision, values),
            "auroc": partial(association.auroc, values),
        }
        scores: dict[str, Floats] = {}
        with progress("Comparing units and action units", len(functions)) as advance:
            for name, score in functions.items():
                found = beside_null(score, present, coded, sources)
                scores |= dict(zip((name, f"{name}_null", f"{name}_z"), found, strict=True))
                advance(1)
        scores["ap_lift"] = scores["ap"] * (self.n_with + self.n_without) / self.n_with
        return scores | {"distance_sign": distance.sign(values, present, coded)}


def _refuse_unequal(peaks: NDArray[np.floating], labels: pd.DataFrame, groups: ArrayLike, sequences: ArrayLike) -> None:
    if not isinstance(labels, pd.DataFrame):
        raise InputError(f"labels: a frame with a column an action unit is needed, not {type(labels).__name__}")
    if not len(labels.columns):
        raise InputError("labels: no action unit is coded")
    lengths = {"peaks": len(peaks), "labels": len(labels), "groups": np.size(groups), "sequences": np.size(sequences)}
    if len(set(lengths.values())) > 1:
        raise InputError("one row a picture is needed: " + ", ".join(f"{name} {n}" for name, n in lengths.items()))


def _refuse_other_values(labels: pd.DataFrame) -> None:
    """Refuse whatever is neither true, false nor NA, such as FACS's 9 for an action unit that cannot be seen."""
    for name, column in labels.items():
        odd = column[column.notna() & ~column.isin([0, 1])]
        if len(odd):
            raise InputError(f"labels: column {name!r}: {odd.iloc[0]!r}; expected true or false, or NA where not coded")


def framed(
    names: NDArray[Any], n_with: NDArray[np.int64], n_without: NDArray[np.int64], scores: dict[str, Floats]
) -> pd.DataFrame:
    """Scores (u, a) of units and named action units, and how many pictures have each and do not (a,), a row a pair."""
    units = len(scores["r"])
    columns = {
        "unit": np.repeat(np.arange(units), len(names)),
        "au": np.tile(names, units),
        "n_with": np.tile(n_with, units),
        "n_without": np.tile(n_without, units),
    }
    return pd.DataFrame(columns | {name: score.ravel() for name, score in scores.items()})


def beside_null(score: Callable[[Mask, Mask], Floats], present: Mask, coded: Mask, sources: list[Places]) -> list[Floats]:
    """A score of labels (n, a), its mean under rearranged labels, and how many standard deviations lie between: (u, a)."""
    tables = [np.concatenate([table, *(table[source] for source in sources)], 1) for table in (present, coded)]
    every = score(*tables)
    every = every.reshape(len(every), -1, present.shape[1])
    observed, null = every[:, 0], every[:, 1:]
    mean, spread = null.mean(1), null.std(1, ddof=1)
    z = np.divide(observed - mean, spread, out=np.zeros_like(mean), where=spread > _CONSTANT)
    return [observed, mean, z]


def ranked(evidence: pd.DataFrame) -> pd.DataFrame:
    """Order pairs by how surely the unit answers more to the action unit; those in which it does not come last."""
    ordered = evidence.assign(less=~_answers_more(evidence)).sort_values(["less", "p", "r"], ascending=[True, True, False])
    return ordered.drop(columns="less").reset_index(drop=True)


def strongest(evidence: pd.DataFrame) -> pd.DataFrame:
    """For each unit the action unit of highest r, best evidence first."""
    known = evidence.dropna(subset=["r"])
    return ranked(known.loc[known.groupby("unit")["r"].idxmax()])


def detecting(evidence: pd.DataFrame, level: float) -> pd.Series:
    """Mark the pairs in which a unit detects the action unit: it answers more with it, family-wise p at most ``level``.

    >>> frame = pd.DataFrame({"r": [0.5, 0.5, -0.5], "r_null": 0.1, "p": [0.01, 0.2, 0.01]})
    >>> detecting(frame, 0.05).tolist()
    [True, False, False]
    """
    return (evidence["p"] <= level) & _answers_more(evidence)


def detections(evidence: pd.DataFrame, level: float) -> pd.DataFrame:
    """The pairs in which a unit answers more to pictures with the action unit, family-wise p at most ``level``."""
    found = evidence[detecting(evidence, level)]
    return found.sort_values("r", ascending=False).reset_index(drop=True)


def _answers_more(evidence: pd.DataFrame) -> pd.Series:
    """Mark the pairs in which a unit answers more with the action unit than without, and than under permuted labels.

    A unit that answers to any movement of the face, but less to this one, is no detector of it.
    """
    return (evidence["r"] > 0) & (evidence["r"] > evidence["r_null"])
