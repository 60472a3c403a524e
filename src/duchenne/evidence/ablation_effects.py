"""What becomes of the reading of expressions when units are ablated: change of
recall and log-odds, beside other units.

Answers of a network in, frames out; the ablating itself is ``units.ablation``.
A class's logit stands here for its log-odds, log p / (1 − p): a number added
to what the network gives for every class changes nothing, nor does it them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne.errors import InputError
from duchenne.evidence import intervals

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


def log_odds(logits: Tensor) -> Tensor:
    """Log-odds of every class.

    Args:
        logits: (…, c) what a network gives before softmax.

    Returns:
        log p − log(1 − p) of each class, (…, c).

    >>> log_odds(torch.tensor([0.0, 0.0, np.log(2.0)])).round(decimals=4).tolist()
    [-1.0986, -1.0986, 0.0]
    """
    classes = logits.shape[-1]
    every = logits[..., None, :].expand(*logits.shape, classes)
    itself = torch.eye(classes, dtype=torch.bool, device=logits.device)
    others = every.masked_fill(itself, -torch.inf)
    return logits - others.logsumexp(-1)


class Readout:
    """How well expressions are read with each of k sets of units ablated, of
    which the first is empty.

    For every set, person and expression it counts what is read right and sums
    the log-odds of what is shown, from one batch of pictures after another, in
    any order; memory does not grow with pictures.

    >>> readout = Readout(sets=2, people=1, classes=2)
    >>> readout.update(
    ...     torch.tensor([[[2.0, 0.0], [0.0, 2.0]]]), np.array([0]), np.array([0])
    ... )
    >>> readout.right.tolist(), readout.logit.tolist()
    ([[[1.0, 0.0]], [[0.0, 0.0]]], [[[2.0, 0.0]], [[-2.0, 0.0]]])
    """

    def __init__(self, sets: int, people: int, classes: int) -> None:
        shape = (sets, people, classes)
        self.count = np.zeros((people, classes))
        self.right = np.zeros(shape)
        self.logit = np.zeros(shape)

    def update(self, logits: Tensor, people: Places, shown: Places) -> None:
        """Take in what the network gives for some pictures under every set of
        ablated units.

        Args:
            logits: (n, k, classes) before softmax.
            people: (n,) the person of each picture.
            shown: (n,) the expression of each picture, by its place among the
                classes.
        """
        rows = np.arange(len(people))
        right = (
            (
                logits.argmax(2)
                == torch.from_numpy(shown)[:, None].to(logits.device)
            )
            .double()
            .cpu()
            .numpy()
        )
        # (n, k)
        of_shown = log_odds(logits.double()).cpu().numpy()[rows, :, shown]
        cell = people * self.count.shape[1] + shown
        np.add.at(self.count.reshape(-1), cell, 1)
        for sums, values in ((self.right, right), (self.logit, of_shown)):
            np.add.at(sums.reshape(len(sums), -1).T, cell, values)

    def merge(self, other: Readout) -> None:
        """Take in what another took in, of the same sets, people and
        expressions.
        """
        if self.right.shape != other.right.shape:
            raise InputError(
                "readings of other sets, people or expressions cannot be merged"
            )
        self.count, self.right, self.logit = (
            ours + theirs
            for ours, theirs in (
                (self.count, other.count),
                (self.right, other.right),
                (self.logit, other.logit),
            )
        )


def effects(
    readout: Readout,
    asked: pd.DataFrame,
    controls: Floats,
    expressions: Sequence[str],
) -> pd.DataFrame:
    """What ablation does to each expression.

    The p of a set is the share of sets, itself and its controls, whose change
    of log-odds lies as far from the mean of all of them.

    Args:
        readout: Of the network with every set ablated.
        asked: (s rows) names sets 1 to s of the readout, which stand behind
            the empty one.
        controls: (s, k) the shares in which sets of as many other units serve
            each as control, 0 where they do not.
        expressions: The classes in their order.

    Returns:
        One row a set and expression that has pictures: the columns of
        ``asked``, ``expression, pictures``; ``recall`` with nothing ablated;
        ``recall_change`` and ``logit_change`` (log-odds of the expression on
        its own pictures); both ``beyond`` the mean of the controls; all with
        95 % intervals over people, ``…_low`` and ``…_high``, those beyond the
        controls with the spread of these too; ``p``. NaN where a set has no
        controls.
    """
    names = asked.reset_index(drop=True)
    frames = []
    for number, expression in enumerate(expressions):
        pictures = readout.count[:, number]
        if not pictures.any():
            continue
        columns = {"expression": expression, "pictures": int(pictures.sum())}
        columns |= _of_expression(readout, number, len(asked), controls)
        effect = pd.DataFrame(columns, index=range(len(asked)))
        frames.append(pd.concat([names, effect], axis=1))
    return pd.concat(frames, ignore_index=True)


def _of_expression(
    readout: Readout, number: int, asked: int, controls: Floats
) -> dict[str, object]:
    """What ablation does to one expression, by column."""
    pictures = readout.count[:, number]
    columns: dict[str, object] = {
        "recall": readout.right[0, :, number].sum() / pictures.sum(),
        **_changed(
            "recall", readout.right[:, :, number], pictures, asked, controls
        ),
        **_changed(
            "logit", readout.logit[:, :, number], pictures, asked, controls
        ),
    }
    of_all = _moved(readout.logit[:, :, number]).sum(0) / pictures.sum()
    columns["p"] = _share_as_far(of_all, controls)
    return columns


def _moved(sums: Floats) -> Floats:
    """Change under every set of what people sum to, (people, sets)."""
    moved: Floats = (sums[1:] - sums[0]).T
    return moved


def _changed(
    name: str, sums: Floats, pictures: Floats, asked: int, controls: Floats
) -> dict[str, Floats]:
    """The change that each set makes, and beyond its controls, with intervals
    over people.
    """
    moved = _moved(sums)
    change = moved[:, :asked]
    beyond = np.where(controls.any(1), change - moved @ controls.T, np.nan)
    of_controls = _variance(moved.sum(0) / pictures.sum(), controls)
    columns = _mean_with_interval(f"{name}_change", change, pictures)
    columns |= _mean_with_interval(
        f"{name}_beyond", beyond, pictures, of_controls
    )
    return columns


def _variance(every: Floats, controls: Floats) -> Floats:
    """Variance of the mean of each set's controls (s,), from how these differ;
    0 where there is one or none.
    """
    count = (controls > 0).sum(1)
    mean = controls @ every
    squares = ((every - mean[:, None]) ** 2 * (controls > 0)).sum(1)
    variance: Floats = (
        squares / np.maximum(count - 1, 1) / np.maximum(count, 1)
    )
    return variance


def _mean_with_interval(
    name: str,
    of_people: Floats,
    pictures: Floats,
    besides: Floats | float = 0.0,
) -> dict[str, Floats]:
    """Sums of people (p, s) as a mean over pictures (p,), with its interval."""
    low, high = intervals.of_mean(of_people, pictures, besides)
    return {
        name: of_people.sum(0) / pictures.sum(),
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _share_as_far(every: Floats, controls: Floats) -> Floats:
    """Share, of the controls of each set and itself, that lie as far from the
    mean of all of them: p.
    """
    found = np.full(len(controls), np.nan)
    for number, shares in enumerate(controls):
        if shares.any():
            exchangeable = np.append(every[shares > 0], every[number])
            distance = np.abs(exchangeable - exchangeable.mean())
            found[number] = (distance >= distance[-1] - _ROUNDING).mean()
    return found


_ROUNDING = 1e-12
