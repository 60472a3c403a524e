"""Units as detectors of action units on people that they were not chosen by: one unit, a few, or all that a layer tells.

Linear readings of the peaks by ridge regression: of the unit that goes with the action unit best, of the best few, and
of all units, the linear probe. How much of the probe one unit reaches tells how much of the action unit is in one unit,
and how much is spread over many. That a probe finds an action unit says little by itself: it often does so behind
random weights too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GroupKFold

from duchenne.errors import InputError
from duchenne.evidence.association import correlation
from duchenne.progress import Progress, quiet

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_PENALTIES = np.logspace(-2, 6, 9)
_FEW = (2, 3, 5, 10, 20)
_FOLDS = 5
_DRAWS = 1000
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
    ``groups`` (n,) the people, who are dealt into ``folds``. Units, how many of them, penalties and thresholds are
    found on all folds but one, by cross-validation over people, and judged on that one. Columns: ``au``; ``detector``:
    "one unit", "few units" or "all units"; ``unit``, that chosen in most folds, and ``units``, how many on average;
    ``n_with, people, prevalence``; ``f1``; ``ap``, average precision, with its 95 % bootstrap interval over people
    ``ap_low, ap_high``; ``intensity_r``, correlation with the intensity; ``share``, what of the probe's ``ap`` above
    prevalence is reached, with ``share_low, share_high``, NaN where the probe finds next to nothing. Action units with
    fewer than ``least`` pictures with or without them, or shown by fewer people than folds, are left out. Raises
    ``InputError`` for fewer people than folds.

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
                of_au = _Pictures(values[coded], shown, people[coded])
                rows += [{"au": au, **told} for told in _told(of_au, intensities[au].to_numpy(float)[coded], folds, seed)]
            advance(1)
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "au", "detector", "unit", "units", "n_with", "people", "prevalence", "f1", "ap", "ap_low", "ap_high", "intensity_r",
    "share", "share_low", "share_high",
]  # fmt: skip


@dataclass(frozen=True)
class _Pictures:
    """Peaks (n, u), whether the action unit is shown (n,), and whose face it is (n,)."""

    peaks: Floats
    shown: Mask
    people: Places

    def __getitem__(self, rows: Places) -> _Pictures:
        return _Pictures(self.peaks[rows], self.shown[rows], self.people[rows])

    def folds(self, count: int) -> Iterator[tuple[Places, Places]]:
        """Rows to learn from and rows to judge by, people apart."""
        yield from GroupKFold(min(count, len(np.unique(self.people)))).split(self.peaks, self.shown, self.people)


@dataclass(frozen=True)
class _Detector:
    """Some ``units``, and how their standardised peaks are read: a score, and the ``threshold`` from which it says yes."""

    units: Places
    read: Callable[[Floats], Floats]
    threshold: float


def _told(of_au: _Pictures, intensity: Floats, folds: int, seed: int) -> list[dict[str, object]]:
    """The rows of one action unit."""
    makers = {"one unit": _one, "few units": _few, "all units": _all}
    scores = {name: np.zeros(len(of_au.shown)) for name in makers}
    said = {name: np.zeros(len(of_au.shown), bool) for name in makers}
    chosen: dict[str, list[Places]] = {name: [] for name in makers}
    for learned, judged in of_au.folds(folds):
        if of_au.shown[learned].all() or not of_au.shown[learned].any():
            continue  # nothing to learn from: it says no
        learning, judging = _standardised(of_au[learned], of_au[judged])
        for name, make in makers.items():
            detector = make(learning)
            scores[name][judged] = detector.read(judging.peaks)
            said[name][judged] = scores[name][judged] >= detector.threshold
            chosen[name].append(detector.units)
    drawn = _people_drawn(of_au.people, seed)
    prevalence = drawn @ of_au.shown / drawn.sum(1)
    precision = {name: weighted_precision(score, of_au.shown, drawn) for name, score in scores.items()}
    lift = {name: each - prevalence for name, each in precision.items()}
    probe = np.where(lift["all units"] > _LIFT, lift["all units"], np.nan)
    rows = []
    for name in makers:
        share, low, high = _with_interval(lift[name] / probe)
        ap, ap_low, ap_high = _with_interval(precision[name])
        rows.append({
            "detector": name, "unit": _most_often(chosen[name]), "units": float(np.mean([len(units) for units in
            chosen[name]])), "n_with": int(of_au.shown.sum()), "people": len(np.unique(of_au.people)), "prevalence":
            of_au.shown.mean(), "f1": _f1(said[name], of_au.shown), "ap": ap, "ap_low": ap_low, "ap_high": ap_high,
            "intensity_r": _pearson(scores[name], intensity), "share": share, "share_low": low, "share_high": high,
        })  # fmt: skip
    return rows


def _standardised(learned: _Pictures, judged: _Pictures) -> tuple[_Pictures, _Pictures]:
    """Peaks in standard deviations of those learned from."""
    mean, spread = learned.peaks.mean(0), learned.peaks.std(0)
    scale = np.where(spread > 0, spread, 1)
    return tuple(  # type: ignore[return-value]  # two of them
        _Pictures((part.peaks - mean) / scale, part.shown, part.people) for part in (learned, judged)
    )


def _one(learned: _Pictures) -> _Detector:
    """The unit of largest correlation, whichever its sign."""
    r = _correlations(learned)
    unit = int(np.abs(r).argmax())
    sign = 1.0 if r[unit] >= 0 else -1.0
    return _Detector(
        np.array([unit]), lambda peaks: sign * peaks[:, unit], _threshold(sign * learned.peaks[:, unit], learned.shown)
    )


def _few(learned: _Pictures) -> _Detector:
    """So many of the units of largest correlation as read the action unit best on other people."""
    inorder = np.argsort(-np.abs(_correlations(learned)))
    tried = [inorder[:count] for count in _FEW if count <= len(inorder)] or [inorder]
    out_of_fold = [_out_of_fold(learned, units, 1.0) for units in tried]
    best = int(np.argmax([average_precision_score(learned.shown, scores) for scores in out_of_fold]))
    return _fitted(learned, tried[best], 1.0, out_of_fold[best])


def _all(learned: _Pictures) -> _Detector:
    """The linear probe: all units, penalised as leaving single pictures out says."""
    units = np.arange(learned.peaks.shape[1])
    penalty = float(RidgeCV(_PENALTIES).fit(learned.peaks, learned.shown.astype(float)).alpha_)
    return _fitted(learned, units, penalty, _out_of_fold(learned, units, penalty))


def _fitted(learned: _Pictures, units: Places, penalty: float, out_of_fold: Floats) -> _Detector:
    """Units read by ridge regression; the threshold is that of people left out."""
    model = Ridge(penalty).fit(learned.peaks[:, units], learned.shown.astype(float))
    return _Detector(units, lambda peaks: model.predict(peaks[:, units]), _threshold(out_of_fold, learned.shown))


def _out_of_fold(learned: _Pictures, units: Places, penalty: float) -> Floats:
    """Scores of every picture by a reading that was learned from other people."""
    scores, some = np.zeros(len(learned.shown)), learned.peaks[:, units]
    for rows, left in learned.folds(_FOLDS):
        scores[left] = Ridge(penalty).fit(some[rows], learned.shown[rows].astype(float)).predict(some[left])
    return scores


def _correlations(pictures: _Pictures) -> Floats:
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


def _people_drawn(people: Places, seed: int) -> Floats:
    """How often each picture is drawn (d, n), people drawn with all their pictures; first every one once."""
    numbers = np.unique(people, return_inverse=True)[1]
    count = int(numbers.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), _DRAWS)
    return np.concatenate([np.ones((1, count)), drawn])[:, numbers].astype(np.float64)


def weighted_precision(scores: Floats, shown: Mask, weights: Floats) -> Floats:
    """Average precision of scores (n,), pictures counted by each row of ``weights`` (d, n): (d,); 0 where none is shown."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(weights[:, order] * shown[order], 1)[:, ends]
    seen = np.cumsum(weights[:, order], 1)[:, ends]
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    found: Floats = (np.diff(hits, axis=1, prepend=0) * precision).sum(1) / np.maximum(hits[:, -1], 1)
    return found


def _with_interval(drawn: Floats) -> tuple[float, float, float]:
    """The first of many values, and the 95 % interval of the others; NaN where most are not told."""
    if np.isnan(drawn[0]) or np.isnan(drawn).mean() > 0.5:
        return np.nan, np.nan, np.nan
    low, high = np.nanquantile(drawn[1:], [0.025, 0.975])
    return float(drawn[0]), float(low), float(high)


def _most_often(chosen: list[Places]) -> int:
    """The unit that stands first in most folds."""
    return int(np.bincount([units[0] for units in chosen]).argmax())


def _pearson(scores: Floats, intensity: Floats) -> float:
    told = np.isfinite(intensity)
    if told.sum() < 3 or np.ptp(intensity[told]) == 0 or np.ptp(scores[told]) == 0:
        return np.nan
    return float(np.corrcoef(scores[told], intensity[told])[0, 1])
