"""How well the outputs of a network tell expressions apart, whatever order its
classes are named in and however its outputs are scaled; and whether another
input, or another order, does surely better.

The separation of a picture is the output of the class that it shows, in
standard deviations above that output's mean over pictures. Adding a number to
an output, or multiplying it, changes nothing: a network that always leans to
one class is not taken for a better or a worse one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import linear_sum_assignment

from duchenne.evidence.intervals import numbered

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def standardised(logits: Floats) -> Floats:
    """Log-probabilities of classes in standard deviations from their mean over
    pictures.

    Args:
        logits: (n, c) before softmax.

    Returns:
        (n, c); 0 for a class that never varies.

    >>> standardised(np.array([[0.0, 1.0], [1.0, 0.0]])).round(2).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    shifted = logits - logits.max(1, keepdims=True)
    log_shares = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    centred = log_shares - log_shares.mean(0)
    spread = log_shares.std(0)
    scores: Floats = centred / np.where(spread > 0, spread, np.inf)
    return scores


def best_order(scores: Floats, shown: Places) -> Places:
    """Find the order of outputs under which pictures are told apart best: the
    assignment of outputs to classes of the largest mean separation (Kuhn
    1955).

    Args:
        scores: (n, c) as ``standardised`` gives them.
        shown: (n,) the class of each picture.

    Returns:
        (c,) the output that belongs to each class; its own for classes that no
        picture shows, as far as no other class takes it.

    >>> swapped = np.eye(3)[[1, 0, 2, 1, 0, 2]]
    >>> best_order(swapped, np.array([0, 1, 2, 0, 1, 2])).tolist()
    [1, 0, 2]
    """
    count = scores.shape[1]
    means = np.zeros((count, count))
    for class_ in range(count):
        own = shown == class_
        if own.any():
            means[class_] = scores[own].mean(0)
    means += 1e-9 * np.eye(count)  # the stated one of equals
    order: Places = linear_sum_assignment(means, maximize=True)[1]
    return order


def separation(
    scores: Floats, shown: Places, people: NDArray[np.generic]
) -> Floats:
    """Separation of each picture, under the order of outputs that the other
    half of the people is told apart best by.

    Args:
        scores: (n, c) as ``standardised`` gives them.
        shown: (n,) the class of each picture.
        people: (n,) who shows it.

    Returns:
        (n,).
    """
    found = np.zeros(len(shown))
    for half, others in _halves(people):
        order = best_order(scores[others], shown[others])
        found[half] = scores[half, order[shown[half]]]
    return found


def _halves(
    people: NDArray[np.generic],
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    number, _ = numbered(people.astype(str))
    even = number % 2 == 0
    return [(even, ~even), (~even, even)]


def p_better(
    stated: Floats, other: Floats, people: NDArray[np.generic]
) -> float:
    """Test whether another way tells pictures apart better than the stated
    one: a paired t over people, one-sided.

    Args:
        stated: (n,) separation of each picture.
        other: (n,) the same, the other way.
        people: (n,) who shows it.

    Returns:
        p; 1 for fewer than three people or where nothing differs.

    >>> people = np.repeat(np.arange(6), 2)
    >>> gains = np.arange(12) / 10
    >>> bool(p_better(np.zeros(12), gains, people) < 0.01)
    True
    """
    number, count = numbered(people.astype(str))
    pictures = np.bincount(number, minlength=count)
    gains = np.bincount(number, other - stated, count) / pictures
    if count < 3 or not gains.std():
        return 1.0
    return float(stats.ttest_1samp(gains, 0, alternative="greater").pvalue)


def other_order(
    scores: Floats, shown: Places, people: NDArray[np.generic]
) -> tuple[Places, float] | None:
    """Find an order of classes under which a network surely reads better.

    An order that half of the people is told apart best by must do better than
    the stated one on the other half. Of the best order on all of them, those
    classes that change places with each other are kept that the other half is
    surely told apart better for, corrected for how many classes there are.

    Args:
        scores: (n, c) as ``standardised`` gives them.
        shown: (n,) the class of each picture.
        people: (n,) who shows it.

    Returns:
        (c,) the output that belongs to each class, and the p of such an order
        against the stated one; nothing where the stated one stands.
    """
    rows = np.arange(len(shown))
    own = scores[rows, shown]
    elsewhere = separation(scores, shown, people)
    p = p_better(own, elsewhere, people)
    if p > _LEVEL:
        return None
    order = best_order(scores, shown)
    for cycle in _cycles(order):
        of = np.isin(shown, cycle)
        p_own = p_better(own[of], elsewhere[of], people[of])
        if p_own > _LEVEL / len(order):
            order[cycle] = cycle
    if (order == np.arange(len(order))).all():
        return None
    return order, p


def _cycles(order: Places) -> list[Places]:
    """The classes that change places with each other, those that stay left
    out.

    >>> [cycle.tolist() for cycle in _cycles(np.array([1, 0, 2, 4, 5, 3]))]
    [[0, 1], [3, 4, 5]]
    """
    left = set(range(len(order)))
    cycles = []
    while left:
        cycle = [min(left)]
        while order[cycle[-1]] != cycle[0]:
            cycle.append(int(order[cycle[-1]]))
        left -= set(cycle)
        if len(cycle) > 1:
            cycles.append(np.array(cycle))
    return cycles


_LEVEL = 0.01


def holm(values: Floats) -> Floats:
    """Correct p-values for how many there are (Holm 1979).

    Args:
        values: (k,) p.

    Returns:
        (k,) corrected.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    inorder = np.argsort(values)
    weights = len(values) - np.arange(len(values))
    raised = np.maximum.accumulate(values[inorder] * weights)
    found = np.empty(len(values))
    found[inorder] = np.minimum(raised, 1)
    return found
