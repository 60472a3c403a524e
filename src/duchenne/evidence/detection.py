"""Units as detectors of action units on people that they were not chosen by: one unit, a few, or all that a layer tells.

Linear readings of the peaks by ridge regression: of the unit that goes with the action unit best, of the best few, and
of all units, the linear probe. How much of the probe one unit reaches tells how much of the action unit is in one unit,
and how much is spread over many. That a probe finds an action unit says little by itself: it often does so behind
random weights too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedGroupKFold

from duchenne import intervals
from duchenne.errors import InputError
from duchenne.evidence.association import correlation
from duchenne.progress import Progress, quiet

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_PENALTIES = tuple(10.0**power for power in range(-1, 6))
_FIRM = 1.0  # penalty of few units: enough for a solution where units are alike
_FEW = (2, 3, 5, 10, 20)
_FOLDS = 5
_LIFT = 0.02  # of average precision over prevalence, below which no share of it is told


def detectors(
    peaks: NDArray[np.floating],
    presence: pd.DataFrame,
    intensities: pd.DataFrame,
    groups: ArrayLike,
    folds: int = _FOLDS,
    least: int = 10,
    seed: int = 0,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """How well peaks (n, u) tell each action unit on people who had no say in the choice: three rows an action unit.

    ``presence`` (n, a) are nullable booleans, ``intensities`` (n, a) 0 to 5 or NaN in columns of the same names,
    ``groups`` (n,) the people, who are dealt into ``folds`` by ``seed``. Which units, how many of a few, the probe's
    penalty and the thresholds are found on all folds but one, by cross-validation over people, and judged on that one;
    folds that leave nothing to learn from are left out. Columns: ``au``; ``detector``: "one unit", "few units" or "all
    units"; ``unit``, that chosen in most folds (NA of all), and ``units``, how many on average; ``n_with, people,
    prevalence``; ``f1``; ``ap``, average precision, with its 95 % interval over people ``ap_low, ap_high`` (NaN where
    fewer than thirteen show the action unit);
    ``intensity_r``, correlation with the intensity; ``share``, what of the probe's ``ap`` above prevalence is reached,
    NaN where the probe finds next to nothing. Action units with fewer than ``least``
    pictures with or without them, or shown by fewer people than folds, are left out. Raises ``InputError`` for fewer
    people than folds.

    >>> rng = np.random.default_rng(0)
    >>> shown = rng.random(200) < 0.5
    >>> peaks = np.column_stack([shown + rng.normal(1, 0.1, 200), rng.random(200)])
    >>> labels = pd.DataFrame({"AU12": shown}).astype("boolean")
    >>> found = detectors(peaks, labels, pd.DataFrame({"AU12": shown * 3.0}), [f"s{i // 10}" for i in range(200)])
    >>> found[["detector", "unit", "ap"]].round(2).values.tolist()[0]
    ['one unit', 0, 1.0]
    """
    people = np.unique(np.asarray(groups, str), return_inverse=True)[1]
    if people.max() + 1 < folds:
        raise InputError(f"{folds} folds of {people.max() + 1} people cannot be made")
    values = np.asarray(peaks, np.float64)
    rows = []
    with progress("Reading action units from units", presence.shape[1]) as advance:
        for au in presence:
            coded = presence[au].notna().to_numpy()
            shown = presence[au].fillna(False).to_numpy(bool)[coded]
            enough = min(shown.sum(), (~shown).sum()) >= least and len(np.unique(people[coded][shown])) >= folds
            if enough:
                of_au = Pictures(values[coded], shown, people[coded])
                rows += [{"au": au, **told} for told in _told(of_au, intensities[au].to_numpy(float)[coded], folds, seed)]
            advance(1)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"unit": "Int64"})


COLUMNS = [
    "au", "detector", "unit", "units", "n_with", "people", "prevalence", "f1", "ap", "ap_low", "ap_high", "intensity_r",
    "share",
]  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """Peaks (n, u), whether the action unit is shown (n,), and whose face it is (n,)."""

    peaks: Floats
    shown: Mask
    people: Places

    def __getitem__(self, rows: Places) -> Pictures:
        return Pictures(self.peaks[rows], self.shown[rows], self.people[rows])

    def folds(self, count: int, seed: int = 0) -> Iterator[tuple[Places, Places]]:
        """Rows to learn from and to judge by, people apart, such that both kinds of pictures are learned from."""
        people = len(np.unique(self.people))
        if people < 2:
            return
        dealt = StratifiedGroupKFold(min(count, people), shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # classes with fewer pictures than folds
            parts = list(dealt.split(self.peaks, self.shown, self.people))
        yield from ((learned, judged) for learned, judged in parts if 0 < self.shown[learned].sum() < len(learned))


@dataclass(frozen=True)
class _Detector:
    """Some ``units``, and how their standardised peaks are read: a score, and the ``threshold`` from which it says yes."""

    units: Places
    read: Callable[[Floats], Floats]
    threshold: float


@dataclass(frozen=True)
class _Readings:
    """What detectors read on people left out: scores (n,), NaN where none did, whether they said yes (n,), and the units
    of each fold's.
    """

    scores: Floats
    said: Mask
    units: list[Places]


def _told(of_au: Pictures, intensity: Floats, folds: int, seed: int) -> list[dict[str, object]]:
    """The rows of one action unit; none where no fold leaves anything to learn from."""
    read = {name: _out_of_fold(of_au, make, folds, seed) for name, make in _MAKERS.items()}
    rows = np.flatnonzero(np.isfinite(read["one unit"].scores))
    judged, shown = of_au[rows], of_au.shown[rows]
    if not 0 < shown.sum() < len(rows):
        return []
    prevalence = float(shown.mean())
    precision = {name: average_precision_score(shown, found.scores[rows]) for name, found in read.items()}
    probe = precision["all units"] - prevalence
    told = []
    for name, found in read.items():
        low, high = interval(found.scores[rows], judged)
        told.append({
            "detector": name, "unit": pd.NA if name == "all units" else _most_often(found.units),
            "units": float(np.mean([len(units) for units in found.units])), "n_with": int(shown.sum()),
            "people": len(np.unique(judged.people)), "prevalence": prevalence, "f1": _f1(found.said[rows], shown),
            "ap": precision[name], "ap_low": low, "ap_high": high,
            "intensity_r": _pearson(found.scores[rows], intensity[rows]),
            "share": (precision[name] - prevalence) / probe if probe > _LIFT else np.nan,
        })  # fmt: skip
    return told


def interval(scores: Floats, judged: Pictures) -> tuple[float, float]:
    """95 % interval over people of the average precision of scores (n,); NaN where fewer than thirteen show it."""
    person, people = intervals.numbered(judged.people.astype(str))
    showing = min(len(np.unique(person[judged.shown])), len(np.unique(person[~judged.shown])))

    def precision(counts: Floats) -> Floats:
        return weighted_precision(scores, judged.shown, counts[:, person])

    return intervals.of_average_precision(precision, people, showing)


def _out_of_fold(of_au: Pictures, make: Callable[[Pictures], _Detector], folds: int, seed: int) -> _Readings:
    """What detectors of one kind read in each fold's people, made from those of all others."""
    read = _Readings(np.full(len(of_au.shown), np.nan), np.zeros(len(of_au.shown), bool), [])
    for learned, judged in of_au.folds(folds, seed):
        learning, judging = _standardised(of_au[learned], of_au[judged])
        detector = make(learning)
        read.scores[judged] = detector.read(judging.peaks)
        read.said[judged] = read.scores[judged] >= detector.threshold
        read.units.append(detector.units)
    return read


def _standardised(learned: Pictures, judged: Pictures) -> tuple[Pictures, Pictures]:
    """Peaks in standard deviations of those learned from."""
    mean, spread = learned.peaks.mean(0), learned.peaks.std(0)
    scale = np.where(spread > 0, spread, 1)
    return tuple(  # type: ignore[return-value]  # two of them
        Pictures((part.peaks - mean) / scale, part.shown, part.people) for part in (learned, judged)
    )


def _one(learned: Pictures) -> _Detector:
    """The unit of largest correlation, whichever its sign."""
    r = _correlations(learned)
    unit = int(np.abs(r).argmax())
    sign = 1.0 if r[unit] >= 0 else -1.0
    return _Detector(
        np.array([unit]), lambda peaks: sign * peaks[:, unit], _threshold(sign * learned.peaks[:, unit], learned.shown)
    )


def _few(learned: Pictures) -> _Detector:
    """So many of the units of largest correlation as read the action unit best on people who had no say in either."""
    counts = [count for count in _FEW if count <= learned.peaks.shape[1]] or [learned.peaks.shape[1]]

    def of(part: Pictures) -> list[tuple[Places, float]]:
        inorder = np.argsort(-np.abs(_correlations(part)))
        return [(inorder[:count], _FIRM) for count in counts]

    return _best(learned, of)


def _all(learned: Pictures) -> _Detector:
    """The linear probe: all units, under the penalty that reads other people best."""
    every = np.arange(learned.peaks.shape[1])
    return _best(learned, lambda part: [(every, penalty) for penalty in _PENALTIES])


_MAKERS = {"one unit": _one, "few units": _few, "all units": _all}


def _best(learned: Pictures, of: Callable[[Pictures], list[tuple[Places, float]]]) -> _Detector:
    """Of several ways to read, each some units and a penalty that are found ``of`` the people learned from, the one of
    highest average precision on people left out; the threshold is theirs too.
    """
    tried, judged = np.zeros((len(of(learned)), len(learned.shown))), np.zeros(len(learned.shown), bool)
    for rows, left in learned.folds(_FOLDS):
        judged[left] = True
        tried[:, left] = _read(learned[rows], of(learned[rows]), learned.peaks[left])
    shown = learned.shown[judged]
    some = 0 < shown.sum() < len(shown)
    best = int(np.argmax([average_precision_score(shown, scores[judged]) for scores in tried])) if some else 0
    units, penalty = of(learned)[best]
    weights = ridge(learned.peaks[:, units], _centred(learned.shown), [penalty])[0]
    threshold = _threshold(tried[best, judged], shown) if some else np.inf
    return _Detector(units, lambda peaks: peaks[:, units] @ weights, threshold)


def _read(learned: Pictures, ways: list[tuple[Places, float]], peaks: Floats) -> Floats:
    """How each way to read, learned from some people, reads the peaks (m, u) of others: (ways, m)."""
    found = np.empty((len(ways), len(peaks)))
    for units in {way[0].tobytes(): way[0] for way in ways}.values():
        alike = [number for number, way in enumerate(ways) if np.array_equal(way[0], units)]
        weights = ridge(learned.peaks[:, units], _centred(learned.shown), [ways[number][1] for number in alike])
        found[alike] = weights @ peaks[:, units].T
    return found


def ridge(values: Floats, target: Floats, penalties: Sequence[float]) -> Floats:
    """Weights (p, u) of ridge regression without intercept for several penalties, from one decomposition of (n, u).

    >>> ridge(np.array([[1.0], [1.0]]), np.array([1.0, 3.0]), [0.0, 2.0]).ravel().tolist()
    [2.0, 1.0]
    """
    squares, axes = np.linalg.eigh(values.T @ values)
    along = axes.T @ (values.T @ target)
    found: Floats = (along / (squares.clip(0) + np.asarray(penalties)[:, None])) @ axes.T
    return found


def _centred(shown: Mask) -> Floats:
    """Presence about its mean, so that scores learned from people who show it often are not higher for that."""
    found: Floats = shown - shown.mean()
    return found


def _correlations(pictures: Pictures) -> Floats:
    shown = pictures.shown[:, None]
    return correlation(pictures.peaks, shown, np.ones_like(shown))[:, 0]


def _threshold(scores: Floats, shown: Mask) -> float:
    """The score from which saying yes gives the highest F1."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(shown[order])
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + shown.sum())
    last = np.append(np.diff(scores[order]) != 0, True)  # of equal scores
    return float(scores[order][np.where(last, f1, -1).argmax()])


def _f1(said: Mask, shown: Mask) -> float:
    return float(2 * (said & shown).sum() / max(said.sum() + shown.sum(), 1))


def weighted_precision(scores: Floats, shown: Mask, weights: Floats) -> Floats:
    """Average precision of scores (n,), pictures counted by each row of ``weights`` (d, n): (d,); 0 where none is shown."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(weights[:, order] * shown[order], 1)[:, ends]
    seen = np.cumsum(weights[:, order], 1)[:, ends]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    found: Floats = (np.diff(hits, axis=1, prepend=0) * precision).sum(1) / np.maximum(hits[:, -1], 1)
    return found


def _most_often(chosen: list[Places]) -> int:
    """The unit that stands first in most folds."""
    return int(np.bincount([units[0] for units in chosen]).argmax())


def _pearson(scores: Floats, intensity: Floats) -> float:
    told = np.isfinite(intensity)
    if told.sum() < 3 or np.ptp(intensity[told]) == 0 or np.ptp(scores[told]) == 0:
        return np.nan
    return float(np.corrcoef(scores[told], intensity[told])[0, 1])
