"""Cross-validated linear probes: best unit, best few, all units; tested on
held-out subjects.

Ridge regression on the activations of the unit that goes with the action unit
best, of the best few, and of all units. How much of the probe of all one unit
reaches tells how much of the action unit is in one unit, and how much is
spread over many. That a probe finds an action unit says little by itself: it
often does so in the untrained network too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedGroupKFold

from duchenne.errors import InputError
from duchenne.evidence import intervals
from duchenne.evidence.association import correlation
from duchenne.progress import progress

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_PENALTIES = tuple(10.0**power for power in range(-1, 6))
# penalty of few units: enough for a solution where units are alike
_FIRM = 1.0
_FEW = (2, 3, 5, 10, 20)
_FOLDS = 5
# of average precision over the base rate, below which no share of it is told
_LIFT = 0.02


def detectors(
    activations: NDArray[np.floating],
    presence: pd.DataFrame,
    intensities: pd.DataFrame,
    groups: ArrayLike,
    folds: int = _FOLDS,
    least: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """Cross-validated linear probes: how well the best unit, the best few and
    all units detect each action unit, tested on held-out subjects.

    Which units, how many of a few, the probe's penalty and the thresholds are
    found on all folds but one, by cross-validation over people, and tested on
    that one; folds that leave nothing to learn from are left out. So are
    action units with fewer than ``least`` pictures with or without them, or
    shown by fewer people than folds.

    Args:
        activations: (n, u) activations.
        presence: (n, a) nullable booleans.
        intensities: (n, a) 0 to 5 or NaN in columns of the same names.
        groups: (n,) the person of each picture.
        folds: How many the people are dealt into.
        least: Pictures with, and without, the action unit.
        seed: By which people are dealt.

    Returns:
        Three rows an action unit: ``au``; ``detector``: "best unit", "best
        few" or "all units"; ``unit``, that chosen in most folds (NA of all),
        and ``units``, how many on average; ``n_with, people, base_rate``;
        ``f1``; ``ap``, average precision, with its 95 % interval over people
        ``ap_low, ap_high`` (NaN where fewer than thirteen show the action
        unit); ``intensity_r``, correlation with the intensity; ``share``, what
        of the probe's ``ap`` above base rate is reached, NaN where the probe
        finds next to nothing.

    Raises:
        InputError: For fewer people than folds.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.random(200) < 0.5
    >>> activations = np.column_stack(
    ...     [shown + rng.normal(1, 0.1, 200), rng.random(200)]
    ... )
    >>> labels = pd.DataFrame({"AU12": shown}).astype("boolean")
    >>> found = detectors(
    ...     activations,
    ...     labels,
    ...     pd.DataFrame({"AU12": shown * 3.0}),
    ...     [f"s{i // 10}" for i in range(200)],
    ... )
    >>> found[["detector", "unit", "ap"]].round(2).values.tolist()[0]
    ['best unit', 0, 1.0]
    """
    people = _numbered(groups, folds)
    values = np.asarray(activations, np.float64)
    rows = []
    with progress(
        "Reading action units from units", presence.shape[1]
    ) as advance:
        for au in presence:
            coded = np.flatnonzero(presence[au].notna())
            shown = presence[au].iloc[coded].to_numpy(bool)
            pictures = Pictures(values[coded], shown, people[coded])
            if pictures.shown_often_enough(least, folds):
                intensity = intensities[au].iloc[coded].to_numpy(float)
                rows += _of_action_unit(au, pictures, intensity, folds, seed)
            advance(1)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"unit": "Int64"})


def _numbered(groups: ArrayLike, folds: int) -> Places:
    """A number for each person; refuses fewer people than folds."""
    names, people = np.unique(np.asarray(groups, str), return_inverse=True)
    if len(names) < folds:
        raise InputError(
            f"{folds} folds of {len(names)} people cannot be made"
        )
    return people


COLUMNS = [
    "au",
    "detector",
    "unit",
    "units",
    "n_with",
    "people",
    "base_rate",
    "f1",
    "ap",
    "ap_low",
    "ap_high",
    "intensity_r",
    "share",
]


@dataclass(frozen=True)
class Pictures:
    """Activations (n, u), whether the action unit is shown (n,), and whose
    face it is (n,).
    """

    activations: Floats
    shown: Mask
    people: Places

    def __getitem__(self, rows: Places) -> Pictures:
        return Pictures(
            self.activations[rows], self.shown[rows], self.people[rows]
        )

    def shown_often_enough(self, least: int, folds: int) -> bool:
        """Whether so many pictures show it, so many do not, and a person for
        every fold does.
        """
        with_it = self.shown.sum()
        without_it = len(self.shown) - with_it
        people = len(np.unique(self.people[self.shown]))
        return bool(min(with_it, without_it) >= least and people >= folds)

    def folds(
        self, count: int, seed: int = 0
    ) -> Iterator[tuple[Places, Places]]:
        """Rows to learn from and to judge by, people apart, such that both
        kinds of pictures are learned from.
        """
        people = len(np.unique(self.people))
        if people < 2:
            return
        dealt = StratifiedGroupKFold(
            min(count, people), shuffle=True, random_state=seed
        )
        with warnings.catch_warnings():
            # classes with fewer pictures than folds
            warnings.simplefilter("ignore")
            parts = list(
                dealt.split(self.activations, self.shown, self.people)
            )
        yield from (
            (learned, judged)
            for learned, judged in parts
            if 0 < self.shown[learned].sum() < len(learned)
        )


@dataclass(frozen=True)
class _Detector:
    """Some ``units``, and how their standardised activations are read: a
    score, and the ``threshold`` from which it says yes.
    """

    units: Places
    read: Callable[[Floats], Floats]
    threshold: float


@dataclass(frozen=True)
class _Readings:
    """What detectors read on people left out: scores (n,), NaN where none did,
    whether they said yes (n,), and the units of each fold's.
    """

    scores: Floats
    said: Mask
    units: list[Places]


def _of_action_unit(
    au: str, pictures: Pictures, intensity: Floats, folds: int, seed: int
) -> list[dict[str, Any]]:
    """The rows of one action unit; none where no fold leaves anything to learn
    from.
    """
    readings = {
        name: _out_of_fold(pictures, make, folds, seed)
        for name, make in _MAKERS.items()
    }
    tested = np.flatnonzero(np.isfinite(readings["best unit"].scores))
    judged = pictures[tested]
    if not 0 < judged.shown.sum() < len(tested):
        return []
    rows = []
    for name, reading in readings.items():
        row: dict[str, Any] = {"au": au, "detector": name}
        row |= _units_of(name, reading)
        row |= _counts(judged)
        row |= _precision(reading, tested, judged)
        row["intensity_r"] = _pearson(
            reading.scores[tested], intensity[tested]
        )
        rows.append(row)
    return _with_shares(rows)


def _with_shares(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell how much of the last one's lift over the base rate each detector
    has.
    """
    lifts = [row["ap"] - row["base_rate"] for row in rows]
    return [
        row | {"share": _share(lift, lifts[-1])}
        for row, lift in zip(rows, lifts, strict=True)
    ]


def _share(lift: float, probe: float) -> float:
    """How much of the probe's lift over the base rate a detector has; NaN
    where that is nothing.
    """
    return lift / probe if probe > _LIFT else np.nan


def _counts(judged: Pictures) -> dict[str, object]:
    """How many pictures show the action unit, of how many people, and its base
    rate.
    """
    return {
        "n_with": int(judged.shown.sum()),
        "people": len(np.unique(judged.people)),
        "base_rate": float(judged.shown.mean()),
    }


def _units_of(name: str, readings: _Readings) -> dict[str, object]:
    """The unit that was chosen in most folds, and how many on average."""
    chosen = pd.NA if name == "all units" else _most_often(readings.units)
    counts = [len(units) for units in readings.units]
    return {"unit": chosen, "units": float(np.mean(counts))}


def _precision(
    readings: _Readings, rows: Places, judged: Pictures
) -> dict[str, float]:
    """F1 and average precision with its interval."""
    scores = readings.scores[rows]
    low, high = interval(scores, judged)
    return {
        "f1": _f1(readings.said[rows], judged.shown),
        "ap": average_precision_score(judged.shown, scores),
        "ap_low": low,
        "ap_high": high,
    }


def interval(scores: Floats, judged: Pictures) -> tuple[float, float]:
    """95 % interval over people of an average precision.

    Args:
        scores: (n,) of a detector.
        judged: The pictures, who shows them, and which show the action unit.

    Returns:
        Low and high; NaN where fewer than thirteen people show it.
    """
    person, people = intervals.numbered(judged.people.astype(str))
    showing = min(
        len(np.unique(person[judged.shown])),
        len(np.unique(person[~judged.shown])),
    )

    def precision(counts: Floats) -> Floats:
        return weighted_precision(scores, judged.shown, counts[:, person])

    return intervals.of_average_precision(precision, people, showing)


def _out_of_fold(
    pictures: Pictures,
    make: Callable[[Pictures], _Detector],
    folds: int,
    seed: int,
) -> _Readings:
    """What detectors of one kind read in each fold's people, made from those
    of all others.
    """
    count = len(pictures.shown)
    read = _Readings(np.full(count, np.nan), np.zeros(count, bool), [])
    for learned, judged in pictures.folds(folds, seed):
        learning, judging = _standardised(pictures[learned], pictures[judged])
        detector = make(learning)
        scores = detector.read(judging.activations)
        read.scores[judged] = scores
        read.said[judged] = scores >= detector.threshold
        read.units.append(detector.units)
    return read


def _standardised(
    learned: Pictures, judged: Pictures
) -> tuple[Pictures, Pictures]:
    """Activations in standard deviations of those learned from."""
    mean = learned.activations.mean(0)
    spread = learned.activations.std(0)
    scale = np.where(spread > 0, spread, 1)
    learning = replace(
        learned, activations=(learned.activations - mean) / scale
    )
    judging = replace(judged, activations=(judged.activations - mean) / scale)
    return learning, judging


def _one(learned: Pictures) -> _Detector:
    """The unit of largest correlation, whichever its sign."""
    r = _correlations(learned)
    unit = int(np.abs(r).argmax())
    sign = 1.0 if r[unit] >= 0 else -1.0
    threshold = _threshold(sign * learned.activations[:, unit], learned.shown)

    def read(activations: Floats) -> Floats:
        scores: Floats = sign * activations[:, unit]
        return scores

    return _Detector(np.array([unit]), read, threshold)


def _few(learned: Pictures) -> _Detector:
    """As many of the units of largest correlation as have the highest average
    precision in cross-validation.
    """
    units = learned.activations.shape[1]
    counts = [count for count in _FEW if count <= units] or [units]

    def of(part: Pictures) -> list[tuple[Places, float]]:
        inorder = np.argsort(-np.abs(_correlations(part)))
        return [(inorder[:count], _FIRM) for count in counts]

    return _best(learned, of)


def _all(learned: Pictures) -> _Detector:
    """The linear probe: all units, under the penalty that reads other people
    best.
    """
    every = np.arange(learned.activations.shape[1])
    return _best(
        learned, lambda part: [(every, penalty) for penalty in _PENALTIES]
    )


_MAKERS = {"best unit": _one, "best few": _few, "all units": _all}


def _best(
    learned: Pictures, of: Callable[[Pictures], list[tuple[Places, float]]]
) -> _Detector:
    """Of several ways to read, each some units and a penalty that are found
    ``of`` the people learned from, the one of highest average precision on
    people left out; the threshold is theirs too.
    """
    candidates = of(learned)
    tried, judged = _tried(learned, of, len(candidates))
    shown = learned.shown[judged]
    best = 0
    threshold = np.inf
    if 0 < shown.sum() < len(shown):
        precisions = [
            average_precision_score(shown, scores[judged]) for scores in tried
        ]
        best = int(np.argmax(precisions))
        threshold = _threshold(tried[best, judged], shown)
    units, penalty = candidates[best]
    weights = ridge(
        learned.activations[:, units], _centred(learned.shown), [penalty]
    )[0]
    return _Detector(
        units, lambda activations: activations[:, units] @ weights, threshold
    )


def _tried(
    learned: Pictures,
    of: Callable[[Pictures], list[tuple[Places, float]]],
    candidates: int,
) -> tuple[Floats, Mask]:
    """Scores of every candidate on people left out (k, n), and which pictures
    have any.
    """
    scores = np.zeros((candidates, len(learned.shown)))
    judged = np.zeros(len(learned.shown), bool)
    for rows, left in learned.folds(_FOLDS):
        part = learned[rows]
        judged[left] = True
        scores[:, left] = _read(part, of(part), learned.activations[left])
    return scores, judged


def _read(
    learned: Pictures, ways: list[tuple[Places, float]], activations: Floats
) -> Floats:
    """How each way to read, learned from some people, reads the activations
    (m, u) of others: (ways, m).
    """
    target = _centred(learned.shown)
    found = np.empty((len(ways), len(activations)))
    for units in {units.tobytes(): units for units, _ in ways}.values():
        alike = [
            number
            for number, way in enumerate(ways)
            if np.array_equal(way[0], units)
        ]
        penalties = [ways[number][1] for number in alike]
        weights = ridge(learned.activations[:, units], target, penalties)
        found[alike] = weights @ activations[:, units].T
    return found


def ridge(
    values: Floats, target: Floats, penalties: Sequence[float]
) -> Floats:
    """Ridge regression without intercept for several penalties.

    Args:
        values: (n, u) activations.
        target: (n,) what is to be told.
        penalties: As many as there are to be results, p; above 0 where
            units are alike.

    Returns:
        Weights (p, u).

    >>> ridge(
    ...     np.array([[1.0], [1.0]]), np.array([1.0, 3.0]), [0.0, 2.0]
    ... ).ravel().tolist()
    [2.0, 1.0]
    """
    products = values.T @ values
    along = values.T @ target
    found = np.empty((len(penalties), len(products)))
    for number, penalty in enumerate(penalties):
        penalised = products + penalty * np.eye(len(products))
        found[number] = solve(penalised, along, assume_a="pos")
    return found


def _centred(shown: Mask) -> Floats:
    """Presence about its mean, so that scores learned from people who show it
    often are not higher for that.
    """
    found: Floats = shown - shown.mean()
    return found


def _correlations(pictures: Pictures) -> Floats:
    shown = pictures.shown[:, None]
    return correlation(pictures.activations, shown, np.ones_like(shown))[:, 0]


def _threshold(scores: Floats, shown: Mask) -> float:
    """The score from which saying yes gives the highest F1."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    hits = np.cumsum(shown[order])
    said = np.arange(1, len(hits) + 1)
    f1 = 2 * hits / (said + shown.sum())
    last_of_equal = np.append(np.diff(falling) != 0, True)
    best = np.where(last_of_equal, f1, -1).argmax()
    return float(falling[best])


def _f1(said: Mask, shown: Mask) -> float:
    hits = (said & shown).sum()
    either = said.sum() + shown.sum()
    return float(2 * hits / max(either, 1))


def weighted_precision(scores: Floats, shown: Mask, weights: Floats) -> Floats:
    """Average precision of scores, pictures counted as weights say.

    Args:
        scores: (n,) of a detector.
        shown: (n,) which pictures show the action unit.
        weights: (d, n) how often each picture counts in each of d draws.

    Returns:
        (d,); 0 where none is shown.
    """
    order = np.argsort(-scores, kind="stable")
    last_of_equal = np.flatnonzero(np.diff(scores[order]))
    ends = np.append(last_of_equal, len(order) - 1)
    weighed = weights[:, order]
    hits = np.cumsum(weighed * shown[order], 1)[:, ends]
    seen = np.cumsum(weighed, 1)[:, ends]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    new_hits = np.diff(hits, axis=1, prepend=0)
    total = np.maximum(hits[:, -1], 1)
    found: Floats = (new_hits * precision).sum(1) / total
    return found


def _most_often(chosen: list[Places]) -> int:
    """The unit that stands first in most folds."""
    first = [units[0] for units in chosen]
    return int(np.bincount(first).argmax())


def _pearson(scores: Floats, intensity: Floats) -> float:
    graded = np.isfinite(intensity)
    if (
        graded.sum() < 3
        or np.ptp(intensity[graded]) == 0
        or np.ptp(scores[graded]) == 0
    ):
        return np.nan
    return float(np.corrcoef(scores[graded], intensity[graded])[0, 1])
