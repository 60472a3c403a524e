"""Activations and labels made regular: what every score of units and action
units is computed from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from duchenne.errors import InputError
from duchenne.evidence import association, distance, intervals, significance
from duchenne.evidence.exchangeability import (
    Arrangements,
    Exchangeability,
    apparent_neutral,
    named,
    refuse_unequal,
)
from duchenne.evidence.scores import Binning, Statistic, computed
from duchenne.evidence.significance import Significance
from duchenne.progress import progress

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


_CONSTANT = 1e-12  # a spread that counts as rounding


@dataclass(frozen=True)
class Labelled:
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
    ) -> Labelled:
        """Make the arguments of ``match`` regular.

        Args:
            activations: (n, v) activations.
            labels: (n, a) nullable booleans, a column an action unit.
            groups: (n,) the person of each picture.
            sequences: (n,) the sequence of each picture.
            least: Action units with fewer pictures with or without them are
                left out.

        Returns:
            What is left of them.

        Raises:
            InputError: Where they do not fit each other, or nothing is left.
        """
        _refuse_unequal(activations, labels, groups, sequences)
        _refuse_other_values(labels)
        coded = labels.notna().to_numpy()
        present = labels.fillna(False).to_numpy(bool) & coded
        enough = _often_enough(present, coded, least)
        values = np.asarray(activations, np.float64)
        finite: Mask = np.asarray(np.isfinite(values).all(0))
        if not finite.any():
            raise InputError(
                "activations: every unit has numbers that are not finite"
            )
        names = np.array(labels.columns)[enough]
        people = named(groups, sequences)
        return cls(
            values[:, finite],
            finite,
            names,
            present[:, enough],
            coded[:, enough],
            *people,
        )

    def significance(
        self,
        arrangements: Arrangements,
        level: float,
        strata: ArrayLike | None = None,
    ) -> significance.Significance:
        """Tell how sure correlations are.

        Args:
            arrangements: Of the labels.
            level: At which units under permuted labels are counted.
            strata: (n,) within which correlations are taken, where given.

        Returns:
            p of every pair.
        """
        within = None if strata is None else np.asarray(strata, str)
        labelled = (self.activations, self.present, self.coded)
        return significance.against(*labelled, arrangements, level, within)

    def scores(
        self,
        sure: Significance,
        sources: list[Places],
        binning: Binning,
        strata: ArrayLike | None,
    ) -> dict[str, Floats]:
        """Give every score, in the order of the columns of ``match``.

        Args:
            sure: How sure correlations are.
            sources: (n,) each, which picture's labels every picture is given
                under a null.
            binning: Of the histograms.
            strata: (n,) for the correlation within them.

        Returns:
            (u, a) each, by the name of its column.
        """
        scores = self.correlations(strata)
        scores |= self.intervals()
        scores["r_null"] = sure.centre
        scores |= self.calibrated(sources, binning)
        return scores | sure.columns()

    def within(
        self, arrangements: Arrangements, level: float, strata: ArrayLike
    ) -> dict[str, Floats]:
        """Tell how sure correlations within strata are.

        Args:
            arrangements: Of the labels, within strata.
            level: At which units are counted.
            strata: (n,) such as expressions.

        Returns:
            (u, a) each, by the name of its column.
        """
        return self.significance(arrangements, level, strata).columns_within()

    def intervals(self) -> dict[str, Floats]:
        """The 95 % interval of every correlation over people.

        Returns:
            ``r_low`` and ``r_high``, (u, a) each.
        """
        low, high = intervals.of_correlation(
            self.activations, self.present, self.coded, self.people
        )
        return {"r_low": low, "r_high": high}

    def tree(
        self,
        frames: ArrayLike | None,
        neutral: ArrayLike | None,
        given: Exchangeability | None,
    ) -> Exchangeability:
        """Tell who may be exchanged with whom.

        Args:
            frames: (n,) the order of the pictures of a sequence.
            neutral: (n,) whether each picture is a neutral frame; by default
                those that show no action unit.
            given: The tree, where it is given.

        Returns:
            The tree.

        Raises:
            InputError: For a tree of another number of pictures.
        """
        if given is not None:
            if given.pictures != len(self.activations):
                raise InputError(
                    f"exchangeability: of {given.pictures} pictures, and there are "
                    f"{len(self.activations)}"
                )
            return given
        resting = neutral
        if resting is None:
            resting = apparent_neutral(
                self.present, self.people, self.takes, frames
            )
        return Exchangeability.of(
            self.people, self.takes, frames=frames, neutral=resting
        )

    def unmoved(self, sources: list[Places]) -> str:
        """Name in one line the action units that rearranged labels show on the
        same pictures: their p can only be 1.

        Args:
            sources: (n,) each, which picture's labels every picture is given.

        Returns:
            The line; empty where there are none.
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
        """Lay scores out, a row a pair.

        Args:
            scores: (u, a) by the name of their column.

        Returns:
            As ``framed``; NaN for units whose activations are not all finite.
        """
        if self.finite.all():
            return framed(self.names, self.n_with, self.n_without, scores)
        every = {
            name: np.full((len(self.finite), len(self.names)), np.nan)
            for name in scores
        }
        for name, values in scores.items():
            every[name][self.finite] = values
        return framed(self.names, self.n_with, self.n_without, every)

    @property
    def n_with(self) -> Places:
        """How many pictures show each action unit, (a,)."""
        found: Places = (self.present & self.coded).sum(0)
        return found

    @property
    def n_without(self) -> Places:
        """How many pictures are coded and do not, (a,)."""
        found: Places = (~self.present & self.coded).sum(0)
        return found

    def correlations(self, strata: ArrayLike | None) -> dict[str, Floats]:
        """Correlate every unit with every action unit.

        Args:
            strata: (n,) within which that is done too, where given.

        Returns:
            ``r`` and ``r_within``, (u, a) each.
        """
        found = {
            "r": association.correlation(
                self.activations, self.present, self.coded
            )
        }
        if strata is not None:
            found["r_within"] = association.within(
                self.activations,
                self.present,
                self.coded,
                np.asarray(strata, str),
            )
        return found

    def calibrated(
        self, sources: list[Places], binning: Binning
    ) -> dict[str, Floats]:
        """Give all other scores beside the same under rearranged labels.

        Args:
            sources: (n,) each, which picture's labels every picture is given.
            binning: Of the histograms.

        Returns:
            (u, a) each, by the name of its column.
        """
        found: dict[str, Floats] = {}
        with progress(
            "Comparing units and action units", len(computed())
        ) as advance:
            for key, statistic in computed().items():
                score = partial(
                    _of_labels, statistic, self.activations, binning
                )
                value, null, z = beside_null(
                    score, self.present, self.coded, sources
                )
                found |= {key: value, f"{key}_null": null, f"{key}_z": z}
                advance(1)
        found["ap_lift"] = (
            found["ap"] * (self.n_with + self.n_without) / self.n_with
        )
        found["distance_sign"] = distance.sign(
            self.activations, self.present, self.coded
        )
        return found


def _of_labels(
    statistic: Statistic,
    activations: Floats,
    binning: Binning,
    present: Mask,
    coded: Mask,
) -> Floats:
    return statistic(activations, present, coded, binning)


def _refuse_unequal(
    activations: NDArray[np.floating],
    labels: pd.DataFrame,
    groups: ArrayLike,
    sequences: ArrayLike,
) -> None:
    if not isinstance(labels, pd.DataFrame):
        given = type(labels).__name__
        raise InputError(
            f"labels: a frame with a column an action unit is needed, not {given}"
        )
    if not len(labels.columns):
        raise InputError("labels: no action unit is coded")
    lengths = {
        "activations": len(activations),
        "labels": len(labels),
        "groups": np.size(groups),
        "sequences": np.size(sequences),
    }
    refuse_unequal(lengths)


def _refuse_other_values(labels: pd.DataFrame) -> None:
    """Refuse whatever is neither true, false nor NA, such as FACS's 9 for an
    action unit that cannot be seen.
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
    return pd.DataFrame(
        columns | {name: score.ravel() for name, score in scores.items()}
    )


def beside_null(
    score: Callable[[Mask, Mask], Floats],
    present: Mask,
    coded: Mask,
    sources: list[Places],
) -> list[Floats]:
    """A score beside its mean under rearranged labels.

    Args:
        score: From presence and coding (n, a) to (u, a).
        present: (n, a) whether each action unit is present.
        coded: (n, a) whether it was coded.
        sources: (n,) each, which picture's labels every picture is given.

    Returns:
        The score, that mean, and how many standard deviations lie between,
        each (u, a).
    """
    every = score(_rearranged(present, sources), _rearranged(coded, sources))
    every = every.reshape(len(every), -1, present.shape[1])
    observed = every[:, 0]
    null = every[:, 1:]
    mean = null.mean(1)
    spread = null.std(1, ddof=1)
    still = np.zeros_like(mean)
    z = np.divide(observed - mean, spread, out=still, where=spread > _CONSTANT)
    return [observed, mean, z]


def _rearranged(table: Mask, sources: list[Places]) -> Mask:
    """A table (n, a) beside itself with other pictures' rows: (n, (1 +
    sources)·a).
    """
    others = [table[source] for source in sources]
    return np.concatenate([table, *others], 1)


def _often_enough(present: Mask, coded: Mask, least: int) -> Mask:
    """Which action units have so many pictures with them, and without."""
    if not coded.any():
        raise InputError("labels: no action unit is coded")
    absent = ~present & coded
    enough: Mask = (present.sum(0) >= least) & (absent.sum(0) >= least)
    if not enough.any():
        raise InputError(
            f"no action unit has {least} pictures with it and {least} without"
        )
    return enough
