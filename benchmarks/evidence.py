"""How right and how fast the evidence is: nulls, power, and permutations against a loop.

python -m benchmarks.evidence
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.tables import machine, markdown
from duchenne.evidence import association, divergence, significance
from duchenne.evidence.matching import beside_null
from duchenne.progress import bars

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = NDArray[np.str_]

_UNITS, _ACTION_UNITS, _PICTURES, _PERMUTATIONS = 256, 30, 1308, 10_000


def study(seed: int, effect: float = 0.0) -> tuple[Floats, Mask, Names, Names]:
    """Peaks of 20 units, 6 labels, person and sequence of 24 people in 7 sequences of 4 correlated frames.

    Labels are those of sequences, in three frames of each, and unrelated to peaks; but unit 0 is raised by so many standard
    deviations where the first label is.
    """
    rng = np.random.default_rng(seed)
    person, sequence = np.repeat(np.arange(24), 28), np.repeat(np.arange(168), 4)
    of_sequence = rng.random((168, 6)) < (0.3, 0.2, 0.15, 0.1, 0.05, 0.5)
    labels = of_sequence[sequence] & (np.arange(672) % 4 > 0)[:, None]
    peaks = rng.normal(0, 1, (24, 20))[person] + rng.normal(0, 1, (168, 20))[sequence] + rng.normal(0, 0.5, (672, 20))
    peaks[:, 0] += effect * peaks.std(0)[0] * labels[:, 0]
    return peaks, labels, person.astype(str), sequence.astype(str)


def error_rates(runs: int = 200, permutations: int = 199) -> pd.DataFrame:
    """How many of so many studies without anything to find declare a detection at 0.05, by what labels are moved with."""
    found = dict.fromkeys(("whole sequences within people", "single frames"), 0)
    with bars("Null studies", runs) as advance:
        for run in range(runs):
            peaks, labels, person, sequence = study(run)
            alone, everyone = np.arange(len(person)).astype(str), np.full(len(person), "all")
            for name, groups in zip(found, ((person, sequence), (everyone, alone)), strict=True):
                arrangements = significance.Arrangements(*groups, permutations, seed=run)
                sure = significance.against(peaks, labels, np.ones_like(labels), arrangements)
                found[name] += bool((sure.family <= 0.05).any())
            advance(1)
    rows = []
    for name, count in found.items():
        low, high = stats.binomtest(count, runs).proportion_ci()
        rows.append((name, count, runs, f"{count / runs:.1%}", f"{low:.1%} – {high:.1%}"))
    return pd.DataFrame(rows, columns=["labels permuted by", "studies with a detection", "of", "rate", "95 % interval"])


def power(runs: int = 100, permutations: int = 199) -> pd.DataFrame:
    """How often a planted detector is found, and how often two faults of its labels lower the scores to decide on."""
    rows = []
    for effect in (0.25, 0.5, 1.0):
        found, lowered = 0, np.zeros(4)
        with bars(f"Planted detectors, {effect}", runs) as advance:
            for run in range(runs):
                peaks, labels, person, sequence = study(run, effect)
                coded = np.ones_like(labels)
                arrangements = significance.Arrangements(person, sequence, permutations, seed=run)
                found += bool(significance.against(peaks, labels, coded, arrangements).family[0, 0] <= 0.05)
                lowered += _lowered(peaks[:, [0]], labels[:, [0]], np.random.default_rng(run))
                advance(1)
        rows.append((effect, *(f"{count / runs:.0%}" for count in (found, *lowered))))
    return pd.DataFrame(
        rows,
        columns=[
            "effect, standard deviations", "detected", "half of the labels removed: r falls", "AP falls",
            "a quarter of the others added: r falls", "lift falls",
        ],
    )  # fmt: skip


def _lowered(peaks: Floats, shown: Mask, rng: np.random.Generator) -> Floats:
    removed, added = shown & (rng.random(shown.shape) < 0.5), shown | (rng.random(shown.shape) < 0.25)
    whole, less, more = (_deciding(peaks, label) for label in (shown, removed, added))
    return np.array([less[0] < whole[0], less[1] < whole[1], more[0] < whole[0], more[2] < whole[2]], float)


def _deciding(peaks: Floats, label: Mask) -> tuple[float, float, float]:
    """r, average precision and its lift."""
    coded = np.ones_like(label)
    precision = float(association.average_precision(peaks, label, coded)[0, 0])
    return float(association.correlation(peaks, label, coded)[0, 0]), precision, precision / float(label.mean())


def divergences(units: int = 4000, permutations: int = 20) -> pd.DataFrame:
    """Raw and calibrated divergence where there is nothing to find, by how many of 3000 pictures have the label."""
    rows = []
    for kind in ("normal", "uniform"):
        rng = np.random.default_rng(0)
        for positives in (10, 30, 100, 300):
            parts = [
                _divergences(getattr(rng, kind)(size=(3000, 1000)), positives, permutations, rng)
                for _ in range(units // 1000)
            ]
            kl, z = (np.concatenate(values) for values in zip(*parts, strict=True))
            rows.append((kind, positives, kl.mean(), z.mean(), z.std() / np.sqrt(z.size)))
    return pd.DataFrame(rows, columns=["samples", "positives", "mean KL", "mean kl_z", "standard error"])


def _divergences(values: Floats, positives: int, permutations: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    peaks, present = values - values.min(0), np.arange(len(values))[:, None] < positives
    moved = [rng.permutation(len(values)) for _ in range(permutations)]
    kl, _, z = beside_null(
        lambda shown, coded: divergence.histograms(peaks, shown, coded).kl(), present, np.ones_like(present), moved
    )
    return kl, z


def permutations() -> pd.DataFrame:
    """10,000 permutations of 256 units and 30 action units on 1,308 pictures, against SciPy's pointbiserialr in a loop."""
    told = subprocess.run([sys.executable, "-c", _ALONE], check=True, capture_output=True, text=True).stdout.split()
    seconds, mebibytes = float(told[0]), float(told[1])
    peaks, labels = _large()[:2]
    rng, sample = np.random.default_rng(0), 2000
    begun = time.perf_counter()
    for unit, label in zip(rng.integers(0, _UNITS, sample), rng.integers(0, _ACTION_UNITS, sample), strict=True):
        stats.pointbiserialr(labels[:, label], peaks[:, unit])
    each = (time.perf_counter() - begun) / sample
    loop = each * _UNITS * _ACTION_UNITS * _PERMUTATIONS
    columns = ["10,000 × 256 × 30 × 1,308", "s", "peak memory, MiB", "SciPy in a loop, s (extrapolated)", "times as long"]
    return pd.DataFrame([("against()", seconds, mebibytes, loop, loop / seconds)], columns=columns)


def _large() -> tuple[Floats, Mask, Names, Names]:
    """As CK+ in khorrami2015's protocol: 327 sequences of four frames, 118 people."""
    rng = np.random.default_rng(0)
    sequence = np.arange(_PICTURES) // 4
    person = rng.integers(0, 118, sequence.max() + 1)[sequence]
    labels = (rng.random((sequence.max() + 1, _ACTION_UNITS)) < 0.2)[sequence]
    return rng.normal(0, 1, (_PICTURES, _UNITS)), labels, person.astype(str), sequence.astype(str)


def alone() -> None:
    """Print the seconds that the permutations take and the process's peak memory."""
    peaks, labels, person, sequence = _large()
    begun = time.perf_counter()
    significance.against(peaks, labels, np.ones_like(labels), significance.Arrangements(person, sequence, _PERMUTATIONS))
    print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


_ALONE = "from benchmarks import evidence; evidence.alone()"


if __name__ == "__main__":
    print(machine() + "\n")
    for measure in (permutations, error_rates, power, divergences):
        print(markdown(measure()), flush=True)
