"""How right and how fast the evidence is: nulls, power, and permutations
against a loop.

python -m benchmarks.evidence
"""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import stats

from benchmarks.designs import DESIGNS, Design, drawn
from benchmarks.tables import machine, markdown
from duchenne.evidence import (
    association,
    divergence,
    intervals,
    probes,
    significance,
    tail,
)
from duchenne.evidence.exchangeability import Arrangements, Exchangeability
from duchenne.evidence.labelled import beside_null
from duchenne.evidence.probes import weighted_precision
from duchenne.progress import bars

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = NDArray[np.str_]

_UNITS, _ACTION_UNITS, _PICTURES, _PERMUTATIONS = 256, 30, 1308, 10_000


def study(seed: int, effect: float = 0.0) -> tuple[Floats, Mask, Names, Names]:
    """Activations of 20 units, 6 labels, person and sequence of 24 people in 7
    sequences of 4 correlated frames.

    Labels are those of sequences, in three frames of each, and unrelated to
    activations; but unit 0 is raised by so many standard deviations where the
    first label is.
    """
    rng = np.random.default_rng(seed)
    person, sequence = (
        np.repeat(np.arange(24), 28),
        np.repeat(np.arange(168), 4),
    )
    of_sequence = rng.random((168, 6)) < (0.3, 0.2, 0.15, 0.1, 0.05, 0.5)
    labels = of_sequence[sequence] & (np.arange(672) % 4 > 0)[:, None]
    activations = (
        rng.normal(0, 1, (24, 20))[person]
        + rng.normal(0, 1, (168, 20))[sequence]
        + rng.normal(0, 0.5, (672, 20))
    )
    activations[:, 0] += effect * activations.std(0)[0] * labels[:, 0]
    return activations, labels, person.astype(str), sequence.astype(str)


def error_rates(runs: int = 1000, permutations: int = 199) -> pd.DataFrame:
    """How many of so many null studies of each design declare anything at
    0.05; permutations have seeds of their own.
    """
    rows = []
    for number, (name, design) in enumerate(DESIGNS.items()):
        with bars(name, runs) as advance:
            declared = Parallel(n_jobs=-1, return_as="generator_unordered")(
                delayed(_declares)(
                    design, 1_000_000 * number + run, permutations
                )
                for run in range(runs)
            )
            count = 0
            for found in declared:
                count += found
                advance(1)
        low, high = stats.binomtest(count, runs).proportion_ci()
        rows.append(
            (
                name,
                count,
                runs,
                f"{count / runs:.1%}",
                f"{low:.1%} – {high:.1%}",
            )
        )
    return pd.DataFrame(
        rows,
        columns=[
            "design",
            "studies that declare something",
            "of",
            "rate",
            "95 % interval",
        ],
    )


def _declares(design: Design, seed: int, permutations: int) -> bool:
    """Whether a null study has a pair at family-wise p ≤ 0.05; within
    expressions, at 0.05 for its first label and unit.
    """
    torch.set_num_threads(1)
    null = drawn(design, seed)
    faces, units, present = null.faces, null.units, null.present
    tree = Exchangeability.of(
        faces["person"],
        faces["sequence"].astype(str) + " of " + faces["person"].astype(str),
        frames=faces["frame"],
        neutral=faces["neutral"],
    )
    strata = faces["expression"].to_numpy(str) if design.within else None
    tree = tree if strata is None else tree.within(strata)
    arrangements = Arrangements(tree, permutations, seed + 500_000)
    sure = significance.against(
        units, present, np.ones_like(present), arrangements, strata=strata
    )
    return bool((sure.family <= 0.05).any())


def tails(
    repeats: int = 200, permutations: int = 500, true: float = 1e-4
) -> pd.DataFrame:
    """P at 1e-4 from 500 permutations, against 10⁶ true ones: log10 of its
    ratio to the true one over repeated draws.

    A study of 24 people and 7 sequences; "family-wise" is of the largest of 20
    units × 6 labels, "a pair" of one of them.
    """
    activations, labels, person, sequence = study(0)
    first, centred = _one_row_a_sequence(activations, labels, sequence)
    tree = Exchangeability.of(person[::4], sequence[::4])
    spread = _values(first, centred, Arrangements(tree, 20_000, 1)).std(0)
    largest, single = [], []
    for seed in range(100):
        values = (
            np.abs(
                _values(first, centred, Arrangements(tree, 10_000, 100 + seed))
            )
            / spread
        )
        largest.append(values.max((1, 2)))
        single.append(values[:, 3, 3])
    asked = {
        "family-wise": np.quantile(np.concatenate(largest), 1 - true),
        "a pair": np.quantile(np.concatenate(single), 1 - true),
    }
    errors: dict[str, list[float]] = {name: [] for name in asked}
    for seed in range(repeats):
        values = (
            np.abs(
                _values(
                    first,
                    centred,
                    Arrangements(tree, permutations, 10_000 + seed),
                )
            )
            / spread
        )
        pairs = -np.sort(-values.reshape(permutations, -1).T, axis=1)[
            :, : tail.kept(permutations)
        ]
        shape = tail.shape(pairs, permutations)
        nulls = {"family-wise": values.max((1, 2)), "a pair": values[:, 3, 3]}
        for name, null in nulls.items():
            falling = -np.sort(-null)[None, : tail.kept(permutations)]
            p = tail.tail_p(
                np.array([asked[name]]), falling, permutations, shape
            )[0]
            errors[name].append(np.log10(p / true))
    rows = [
        (
            name,
            repeats,
            f"{np.isfinite(told).mean():.0%}",
            np.nanmedian(told),
            np.nanmean(told),
            np.nanstd(told),
        )
        for name, told in errors.items()
    ]
    columns = [
        "p",
        "draws",
        "tails that fit",
        "median error of log10 p",
        "mean error",
        "standard deviation",
    ]
    return pd.DataFrame(rows, columns=columns)


def _one_row_a_sequence(
    activations: Floats, labels: Mask, sequence: Names
) -> tuple[Mask, Floats]:
    """Each sequence's labels, and its units' sums over the frames that bear
    labels, about their mean.
    """
    count = len(np.unique(sequence))
    sums = activations.reshape(count, 4, -1)[:, 1:].sum(
        1
    ) - 3 * activations.mean(0)
    return labels.reshape(count, 4, -1)[:, 3], sums


def _values(labels: Mask, sums: Floats, arrangements: Arrangements) -> Floats:
    """Covariances (permutations, units, labels), which are correlations up to
    each pair's constant.
    """
    told: Floats = np.concatenate(
        [
            np.einsum(
                "su,psa->pua", sums, labels[block].astype(float), optimize=True
            )
            for block in arrangements.blocks(200)
        ]
    )
    return told - told.mean(0)


def coverage(runs: int = 1000) -> pd.DataFrame:
    """How often 95 % intervals hold the true value, where they are given: a
    row a number of people and a base_rate.

    Labels half by person and not at all; seven sequences of neutral and three
    frames, a unit that is one standard deviation of its sequences higher with
    the label. Accuracy: of pictures read right with a chance that is the
    person's.
    """
    rows = []
    for people, base_rate in itertools.product((12, 24, 60), (0.3, 0.1, 0.03)):
        for of_person in (0.5, 0.0):
            cell = _Cell(people, base_rate, of_person)
            with bars(
                f"{people} people, {base_rate:g}, {of_person:.0%} by person",
                runs,
            ) as advance:
                held = []
                for seed in range(runs):
                    held.append(cell.held(seed))
                    advance(1)
            rows.append(
                (
                    people,
                    base_rate,
                    f"{of_person:.0%}",
                    *_rates(pd.DataFrame(held)),
                )
            )
    return pd.DataFrame(
        rows, columns=["people", "base_rate", "by person", *_MEASURED]
    )


_MEASURED = (
    "r",
    "average precision",
    "mean effect",
    "recall beyond",
    "accuracy",
    "rank correlation",
)


def _rates(held: pd.DataFrame) -> list[str]:
    """The share of given intervals that hold the truth, and how many were
    given.
    """
    told = []
    for name in _MEASURED:
        given = held[name].dropna()
        enough = len(given) >= 0.05 * len(held)
        told.append(
            f"{given.mean():.1%} ({len(given) / len(held):.0%} given)"
            if enough
            else "none given"
        )
    return told


class _Cell:
    """Faces of so many people, and the truth from very many."""

    def __init__(
        self, people: int, base_rate: float, of_person: float
    ) -> None:
        self._people, self._prevalence, self._of_person = (
            people,
            base_rate,
            of_person,
        )
        rng = np.random.default_rng(123)
        units, shown, _ = self._faces(rng, 20_000)
        self._r = np.corrcoef(units.ravel(), shown.ravel())[0, 1]
        every = np.ones((1, units.size))
        self._ap = weighted_precision(units.ravel(), shown.ravel(), every)[0]
        numbers = rng.normal(size=(2, 200_000))
        self._rho = stats.spearmanr(
            numbers[0], numbers[0] + 2 * numbers[1]
        ).statistic

    def _faces(
        self, rng: np.random.Generator, people: int
    ) -> tuple[Floats, Mask, Floats]:
        """Activations, presence (people, 28), and each picture's chance to be
        read right.
        """
        own = np.sqrt(self._of_person) * rng.normal(size=(people, 1))
        often = own + np.sqrt(1 - self._of_person) * rng.normal(
            size=(people, 7)
        )
        shown = np.repeat(
            (often < stats.norm.ppf(self._prevalence))[..., None], 4, 2
        ) & (np.arange(4) > 0)
        level = rng.normal(size=(people, 1, 1)) + rng.normal(
            size=(people, 7, 1)
        )
        units = level + 0.5 * rng.normal(size=(people, 7, 4)) + shown
        chance = rng.beta(8, 2, (people, 1)) * np.ones((people, 28))
        return units.reshape(people, 28), shown.reshape(people, 28), chance

    def held(self, seed: int) -> dict[str, float]:
        """Whether each interval holds the truth: 0 or 1, NaN where none is
        given.
        """
        rng = np.random.default_rng(seed)
        units, shown, chance = self._faces(rng, self._people)
        person = np.repeat(np.arange(self._people), 28)
        label = shown.reshape(-1, 1)
        low, high = intervals.of_correlation(
            units.reshape(-1, 1),
            label,
            np.ones_like(label),
            person.astype(str),
        )
        right = rng.random(chance.shape) < chance
        effects = rng.gamma(4, size=self._people)
        counts = 1.0 + rng.integers(0, 4, self._people)
        moved = counts * rng.normal(-0.2, 0.3, self._people)
        numbers = rng.normal(size=(2, self._people))
        return {
            "r": _holds((low[0, 0], high[0, 0]), self._r),
            "average precision": _holds(
                self._precision(units, shown), self._ap
            ),
            "mean effect": _holds(tuple(intervals.of_mean(effects)), 4.0),
            "recall beyond": _holds(
                tuple(intervals.of_mean(moved, counts)), -0.2
            ),
            "accuracy": _holds(
                intervals.of_share(
                    lambda counted: counted @ right.mean(1) / counted.sum(1),
                    self._people,
                    self._people,
                ),
                0.8,
            ),
            "rank correlation": _holds(
                intervals.of_statistic(
                    lambda one, other: stats.spearmanr(one, other).statistic,
                    [numbers[0], numbers[0] + 2 * numbers[1]],
                    np.arange(self._people),
                    correlation=True,
                ),
                self._rho,
            ),
        }

    def _precision(self, units: Floats, shown: Mask) -> tuple[float, float]:
        pictures = probes.Pictures(
            units.reshape(-1, 1),
            shown.ravel(),
            np.repeat(np.arange(self._people), 28),
        )
        return probes.interval(units.ravel(), pictures)


def _holds(bounds: tuple[float, float], true: float) -> float:
    return (
        np.nan
        if np.isnan(bounds[0])
        else float(bounds[0] <= true <= bounds[1])
    )


def power(runs: int = 100, permutations: int = 199) -> pd.DataFrame:
    """How often a planted detector is found, and how often two faults of its
    labels lower the scores to decide on.
    """
    rows = []
    for effect in (0.25, 0.5, 1.0):
        found, lowered = 0, np.zeros(4)
        with bars(f"Planted detectors, {effect}", runs) as advance:
            for run in range(runs):
                activations, labels, person, sequence = study(run, effect)
                coded = np.ones_like(labels)
                arrangements = Arrangements(
                    Exchangeability.of(person, sequence),
                    permutations,
                    seed=run + 500_000,
                )
                found += bool(
                    significance.against(
                        activations, labels, coded, arrangements
                    ).family[0, 0]
                    <= 0.05
                )
                lowered += _lowered(
                    activations[:, [0]],
                    labels[:, [0]],
                    np.random.default_rng(run),
                )
                advance(1)
        rows.append(
            (effect, *(f"{count / runs:.0%}" for count in (found, *lowered)))
        )
    return pd.DataFrame(
        rows,
        columns=[
            "effect, standard deviations",
            "detected",
            "half of the labels removed: r falls",
            "AP falls",
            "a quarter of the others added: r falls",
            "lift falls",
        ],
    )


def _lowered(
    activations: Floats, shown: Mask, rng: np.random.Generator
) -> Floats:
    removed, added = (
        shown & (rng.random(shown.shape) < 0.5),
        shown | (rng.random(shown.shape) < 0.25),
    )
    whole, less, more = (
        _deciding(activations, label) for label in (shown, removed, added)
    )
    return np.array(
        [
            less[0] < whole[0],
            less[1] < whole[1],
            more[0] < whole[0],
            more[2] < whole[2],
        ],
        float,
    )


def _deciding(activations: Floats, label: Mask) -> tuple[float, float, float]:
    """r, average precision and its lift."""
    coded = np.ones_like(label)
    precision = float(
        association.average_precision(activations, label, coded)[0, 0]
    )
    return (
        float(association.correlation(activations, label, coded)[0, 0]),
        precision,
        precision / float(label.mean()),
    )


def divergences(units: int = 4000, permutations: int = 20) -> pd.DataFrame:
    """Raw and calibrated divergence where there is nothing to find, by how
    many of 3000 pictures have the label.
    """
    rows = []
    for kind in ("normal", "uniform"):
        rng = np.random.default_rng(0)
        for positives in (10, 30, 100, 300):
            parts = [
                _divergences(
                    getattr(rng, kind)(size=(3000, 1000)),
                    positives,
                    permutations,
                    rng,
                )
                for _ in range(units // 1000)
            ]
            kl, z = (
                np.concatenate(values) for values in zip(*parts, strict=True)
            )
            rows.append(
                (
                    kind,
                    positives,
                    kl.mean(),
                    z.mean(),
                    z.std() / np.sqrt(z.size),
                )
            )
    return pd.DataFrame(
        rows,
        columns=[
            "samples",
            "positives",
            "mean KL",
            "mean kl_z",
            "standard error",
        ],
    )


def _divergences(
    values: Floats, positives: int, permutations: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    activations, present = (
        values - values.min(0),
        np.arange(len(values))[:, None] < positives,
    )
    moved = [rng.permutation(len(values)) for _ in range(permutations)]
    kl, _, z = beside_null(
        lambda shown, coded: divergence.histograms(
            activations, shown, coded
        ).kl(),
        present,
        np.ones_like(present),
        moved,
    )
    return kl, z


def permutations() -> pd.DataFrame:
    """10,000 permutations of 256 units and 30 action units on 1,308 pictures,
    against SciPy's pointbiserialr in a loop.
    """
    told = subprocess.run(
        [sys.executable, "-c", _ALONE],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    seconds, mebibytes = float(told[0]), float(told[1])
    activations, labels = _large()[:2]
    rng, sample = np.random.default_rng(0), 2000
    begun = time.perf_counter()
    for unit, label in zip(
        rng.integers(0, _UNITS, sample),
        rng.integers(0, _ACTION_UNITS, sample),
        strict=True,
    ):
        stats.pointbiserialr(labels[:, label], activations[:, unit])
    each = (time.perf_counter() - begun) / sample
    loop = each * _UNITS * _ACTION_UNITS * _PERMUTATIONS
    columns = [
        "10,000 × 256 × 30 × 1,308",
        "s",
        "peak memory, MiB",
        "SciPy in a loop, s (extrapolated)",
        "times as long",
    ]
    return pd.DataFrame(
        [("against()", seconds, mebibytes, loop, loop / seconds)],
        columns=columns,
    )


def _large() -> tuple[Floats, Mask, Names, Names]:
    """As CK+ in khorrami2015's protocol: 327 sequences of four frames, 118
    people.
    """
    rng = np.random.default_rng(0)
    sequence = np.arange(_PICTURES) // 4
    person = rng.integers(0, 118, sequence.max() + 1)[sequence]
    labels = (rng.random((sequence.max() + 1, _ACTION_UNITS)) < 0.2)[sequence]
    return (
        rng.normal(0, 1, (_PICTURES, _UNITS)),
        labels,
        person.astype(str),
        sequence.astype(str),
    )


def alone() -> None:
    """Print the seconds that the permutations take and the process's
    peak memory.
    """
    activations, labels, person, sequence = _large()
    begun = time.perf_counter()
    arrangements = Arrangements(
        Exchangeability.of(person, sequence), _PERMUTATIONS
    )
    significance.against(
        activations, labels, np.ones_like(labels), arrangements
    )
    print(
        time.perf_counter() - begun,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


_ALONE = "from benchmarks import evidence; evidence.alone()"


if __name__ == "__main__":
    print(machine() + "\n")
    for measure in (
        permutations,
        error_rates,
        tails,
        coverage,
        power,
        divergences,
    ):
        print(markdown(measure()), flush=True)
