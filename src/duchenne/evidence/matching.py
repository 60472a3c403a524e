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

from duchenne.errors import InputError
from duchenne.evidence import association, distance, intervals, significance
from duchenne.evidence.exchangeability import Arrangements, Exchangeability, apparent_neutral, named
from duchenne.evidence.scores import Binning, Statistic, computed
from duchenne.progress import progress

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
        too_few: One line where there are too few distinct rearrangements for the level, or action
            units that these do not change; else nothing.
    """

    frame: pd.DataFrame
    null_units: NDArray[np.int64]
    too_few: str = ""


def match(
    activations: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
    **options: Any,
) -> pd.DataFrame:
    """Compare every unit with every action unit.

    Args:
        activations: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit; NA = not coded, and left out.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        options: Those of ``compare``. Name the ``neutral`` frames where sequences have any and
            differ in length.

    Returns:
        One row a pair. Columns:

        - ``unit, au, n_with, n_without``;
        - ``r`` with its 95 % interval over people, ``r_low, r_high`` (NaN where fewer than six show
          the action unit), and its mean under permuted labels, ``r_null``;
        - ``kl``, ``kl_mean`` over bin counts, mutual ``information``, ``distance``, ``ap`` and
          ``auroc``, each with that mean (``kl_null``) and how many standard deviations lie between
          (``kl_z``);
        - ``ap_lift`` over the base rate; ``distance_sign``, −1 where the unit answers less with the
          action unit;
        - ``p_uncorrected``, ``p`` family-wise over all pairs, ``q`` by Benjamini–Hochberg.

        All scores of a unit with a number that is not finite are NaN.

    Raises:
        InputError: Where the arguments do not fit each other, or no action unit is coded often
            enough.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.random(80) < 0.5
    >>> frame = match(
    ...     (shown + rng.normal(1, 0.1, 80))[:, None],
    ...     pd.DataFrame({"AU12": shown}).astype("boolean"),
    ...     [f"s{i // 4}" for i in range(80)],
    ...     [f"q{i}" for i in range(80)],
    ...     permutations=99,
    ... )
    >>> frame["au"].tolist(), bool(frame["p"][0] <= 0.05)
    (['AU12'], True)
    """
    found = compare(activations, labels, groups, sequences, **options)
    if found.too_few:
        warnings.warn(found.too_few, stacklevel=2)
    return found.frame


def compare(
    activations: NDArray[np.floating],
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
) -> Matched:
    """Match, and keep what permuted labels would have found.

    Args:
        activations: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit; NA = not coded, and left out.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        frames: (n,) the order of the pictures of a sequence; that of the rows where it is not
            given.
        neutral: (n,) whether each picture is a neutral frame; where it is not given, those that
            show no action unit are taken for it.
        exchangeability: Who may be exchanged with whom; built from the above where it is not given.
        bins: Of the divergence's histograms.
        epsilon: Added to each bin of the divergence's normalised histograms.
        permutations: Of the labels, for p.
        score_permutations: Of the labels, for the scores' nulls.
        least: Action units with fewer pictures with or without them are left out.
        level: At which ``null_units`` counts.
        seed: Of the permutations.
        strata: (n,) such as expressions, for the correlation within them and how sure that is:
            ``r_within, p_within, q_within``.

    Returns:
        The frame of ``match``, and what permuted labels would have found.

    Raises:
        InputError: Where the arguments do not fit each other, or no action unit is coded often
            enough.
    """
    _refuse_few_permutations(permutations, score_permutations)
    known = _Labelled.regular(activations, labels, groups, sequences, least)
    tree = known.tree(frames, neutral, exchangeability)
    arrangements = Arrangements(tree, permutations, seed)
    sources = list(itertools.islice(arrangements, score_permutations))
    sure = known.significance(arrangements, level)
    scores = known.correlations(strata) | known.intervals() | {"r_null": sure.centre}
    scores |= known.calibrated(sources, bins, epsilon)
    scores |= {"p_uncorrected": sure.alone, "p": sure.family}
    scores["q"] = significance.benjamini_hochberg(sure.alone)
    cautions = [tree.too_few(level), known.unmoved(sources)]
    if strata is not None:
        inside = Arrangements(tree.within(strata), permutations, seed)
        cautions.append(_within_strata(inside.tree.too_few(level)))
        scores["p_within"] = known.significance(inside, level, strata).alone
        scores["q_within"] = significance.benjamini_hochberg(scores["p_within"])
    told = "; ".join(caution for caution in cautions if caution)
    return Matched(known.framed(scores), sure.null_units, told)


def _refuse_few_permutations(permutations: int, score_permutations: int) -> None:
    if permutations < 1 or score_permutations < 2:
        given = f"permutations {permutations}, score_permutations {score_permutations}"
        raise InputError(f"{given}: at least 1 and 2 are needed")


def _within_strata(caution: str) -> str:
    return f"within strata: {caution}" if caution else ""


def scored(
    activations: NDArray[np.floating],
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
) -> pd.DataFrame:
    """Give the scores of ``match`` and their nulls without their significance, in a fraction of the
    time.

    Arguments are those of ``compare``.

    Args:
        activations: (n, u) activations.
        labels: (n, a) nullable booleans, a column an action unit.
        groups: (n,) the person of each picture.
        sequences: (n,) the sequence of each picture.
        exchangeability: Who may be exchanged with whom.
        bins: Of the histograms.
        epsilon: Added to every bin.
        score_permutations: Of the nulls.
        least: Pictures with, and without, an action unit, below which it is left out.
        seed: Of the permutations.
        strata: (n,) for ``r_within``.

    Returns:
        One row a pair.

    >>> shown = np.arange(40) % 2 == 0
    >>> frame = scored(
    ...     shown[:, None] + 1.0,
    ...     pd.DataFrame({"AU12": shown}).astype("boolean"),
    ...     np.arange(40),
    ...     np.arange(40),
    ... )
    >>> frame["r"].round(3).tolist(), bool(frame["kl_z"][0] > 3)
    ([1.0], True)
    """
    known = _Labelled.regular(activations, labels, groups, sequences, least)
    sources = list(Arrangements(known.tree(None, None, exchangeability), score_permutations, seed))
    scores = known.correlations(strata) | known.calibrated(sources, bins, epsilon)
    return known.framed(scores)


@dataclass(frozen=True)
class _Labelled:
    """Activations and labels made regular.

    Attributes:
        activations: (n, u) of the units all of whose activations are finite.
        finite: (v,) which of all units these are.
        names: (a,) the action units.
        present, coded: (n, a) which are present, and which were coded.
        people, takes: (n,) the person and the sequence of each picture.
    """

    activations: Floats
    finite: Mask
    names: NDArray[Any]
    present: Mask
    coded: Mask
    people: NDArray[np.str_]
    takes: NDArray[np.str_]

    @classmethod
    def regular(
        cls,
        activations: NDArray[np.floating],
        labels: pd.DataFrame,
        groups: ArrayLike,
        sequences: ArrayLike,
        least: int,
    ) -> _Labelled:
        """Make the arguments regular, without action units of fewer than ``least`` pictures with
        or without them.
        """
        _refuse_unequal(activations, labels, groups, sequences)
        _refuse_other_values(labels)
        coded = labels.notna().to_numpy()
        present = labels.fillna(False).to_numpy(bool) & coded
        enough = _often_enough(present, coded, least)
        values = np.asarray(activations, np.float64)
        finite: Mask = np.asarray(np.isfinite(values).all(0))
        if not finite.any():
            raise InputError("activations: every unit has numbers that are not finite")
        names = np.array(labels.columns)[enough]
        people = named(groups, sequences)
        return cls(values[:, finite], finite, names, present[:, enough], coded[:, enough], *people)

    def significance(
        self, arrangements: Arrangements, level: float, strata: ArrayLike | None = None
    ) -> significance.Significance:
        """How sure correlations are, within strata where they are given."""
        within = None if strata is None else np.asarray(strata, str)
        labelled = (self.activations, self.present, self.coded)
        return significance.against(*labelled, arrangements, level, within)

    def intervals(self) -> dict[str, Floats]:
        """The 95 % interval of every correlation over people."""
        low, high = intervals.of_correlation(
            self.activations, self.present, self.coded, self.people
        )
        return {"r_low": low, "r_high": high}

    def tree(
        self, frames: ArrayLike | None, neutral: ArrayLike | None, given: Exchangeability | None
    ) -> Exchangeability:
        """Who may be exchanged with whom, where it is not given."""
        if given is not None:
            if given.pictures != len(self.activations):
                raise InputError(
                    f"exchangeability: of {given.pictures} pictures, and there are "
                    f"{len(self.activations)}"
                )
            return given
        resting = neutral
        if resting is None:
            resting = apparent_neutral(self.present, self.people, self.takes, frames)
        return Exchangeability.of(self.people, self.takes, frames=frames, neutral=resting)

    def unmoved(self, sources: list[Places]) -> str:
        """Name in one line the action units that rearranged labels show on the same pictures:
        their p can only be 1.
        """
        moved = np.zeros(len(self.names), bool)
        for source in sources:
            for table in (self.present, self.coded):
                moved |= (table[source] != table).any(0)
        if moved.all():
            return ""
        names = ", ".join(map(str, self.names[~moved]))
        return (
            f"{names}: exchanging labels changes none of them, so that nothing can be tested (p is "
            "1)"
        )

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
        """Correlation of every unit with every action unit, and where ``strata`` are given the
        same within them.
        """
        found = {"r": association.correlation(self.activations, self.present, self.coded)}
        if strata is not None:
            found["r_within"] = association.within(
                self.activations, self.present, self.coded, np.asarray(strata, str)
            )
        return found

    def calibrated(self, sources: list[Places], bins: int, epsilon: float) -> dict[str, Floats]:
        """All other scores beside the same under labels rearranged by ``sources``."""
        binning = Binning(bins, epsilon)
        found: dict[str, Floats] = {}
        with progress("Comparing units and action units", len(computed())) as advance:
            for key, statistic in computed().items():
                score = partial(_of_labels, statistic, self.activations, binning)
                value, null, z = beside_null(score, self.present, self.coded, sources)
                found |= {key: value, f"{key}_null": null, f"{key}_z": z}
                advance(1)
        found["ap_lift"] = found["ap"] * (self.n_with + self.n_without) / self.n_with
        found["distance_sign"] = distance.sign(self.activations, self.present, self.coded)
        return found


def _of_labels(
    statistic: Statistic, activations: Floats, binning: Binning, present: Mask, coded: Mask
) -> Floats:
    return statistic(activations, present, coded, binning)


def _refuse_unequal(
    activations: NDArray[np.floating], labels: pd.DataFrame, groups: ArrayLike, sequences: ArrayLike
) -> None:
    if not isinstance(labels, pd.DataFrame):
        raise InputError(
            f"labels: a frame with a column an action unit is needed, not {type(labels).__name__}"
        )
    if not len(labels.columns):
        raise InputError("labels: no action unit is coded")
    lengths = {
        "activations": len(activations),
        "labels": len(labels),
        "groups": np.size(groups),
        "sequences": np.size(sequences),
    }
    if len(set(lengths.values())) > 1:
        raise InputError(
            "one row a picture is needed: "
            + ", ".join(f"{name} {n}" for name, n in lengths.items())
        )


def _refuse_other_values(labels: pd.DataFrame) -> None:
    """Refuse whatever is neither true, false nor NA, such as FACS's 9 for an action unit that
    cannot be seen.
    """
    for name, column in labels.items():
        odd = column[column.notna() & ~column.isin([0, 1])]
        if len(odd):
            raise InputError(
                f"labels: column {name!r}: {odd.iloc[0]!r}; expected true or false, or NA where "
                "not coded"
            )


def framed(
    names: NDArray[Any],
    n_with: NDArray[np.int64],
    n_without: NDArray[np.int64],
    scores: dict[str, Floats],
) -> pd.DataFrame:
    """Lay scores of units and action units out, a row a pair.

    Args:
        names: (a,) the action units.
        n_with: (a,) how many pictures show each.
        n_without: (a,) how many do not.
        scores: (u, a) by the name of their column.

    Returns:
        ``unit, au, n_with, n_without`` and the scores.
    """
    units = len(scores["r"])
    columns = {
        "unit": np.repeat(np.arange(units), len(names)),
        "au": np.tile(names, units),
        "n_with": np.tile(n_with, units),
        "n_without": np.tile(n_without, units),
    }
    return pd.DataFrame(columns | {name: score.ravel() for name, score in scores.items()})


def beside_null(
    score: Callable[[Mask, Mask], Floats], present: Mask, coded: Mask, sources: list[Places]
) -> list[Floats]:
    """A score beside its mean under rearranged labels.

    Args:
        score: From presence and coding (n, a) to (u, a).
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        sources: (n,) each, which picture's labels every picture is given.

    Returns:
        The score, that mean, and how many standard deviations lie between, each (u, a).
    """
    tables = [
        np.concatenate([table, *(table[source] for source in sources)], 1)
        for table in (present, coded)
    ]
    every = score(*tables)
    every = every.reshape(len(every), -1, present.shape[1])
    observed, null = every[:, 0], every[:, 1:]
    mean, spread = null.mean(1), null.std(1, ddof=1)
    z = np.divide(observed - mean, spread, out=np.zeros_like(mean), where=spread > _CONSTANT)
    return [observed, mean, z]


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
    return ranked(known.loc[known.groupby("unit")["r"].idxmax()])


def detecting(evidence: pd.DataFrame, level: float) -> pd.Series:
    """Mark the pairs in which a unit detects the action unit: it answers more with it, surely.

    Args:
        evidence: What ``match`` gives.
        level: The highest family-wise p.

    Returns:
        Booleans by the rows of ``evidence``.

    >>> frame = pd.DataFrame({"r": [0.5, 0.5, -0.5], "r_null": 0.1, "p": [0.01, 0.2, 0.01]})
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
    """Mark the pairs in which a unit answers more with the action unit than without, and than under
    permuted labels.

    A unit that answers to any movement of the face, but less to this one, is no detector of it.
    """
    return (evidence["r"] > 0) & (evidence["r"] > evidence["r_null"])


def _often_enough(present: Mask, coded: Mask, least: int) -> Mask:
    """Which action units have so many pictures with them, and without."""
    if not coded.any():
        raise InputError("labels: no action unit is coded")
    absent = ~present & coded
    enough: Mask = (present.sum(0) >= least) & (absent.sum(0) >= least)
    if not enough.any():
        raise InputError(f"no action unit has {least} pictures with it and {least} without")
    return enough
