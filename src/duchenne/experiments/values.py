"""What the values of a network answer to: numbers that are no classes, as
valence and arousal, or the outputs of an action-unit detector, each of which
is to answer to its own action unit and to no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne import facs
from duchenne.evidence import doses, nulls
from duchenne.experiments.pair import Pair
from duchenne.experiments.stimulate import STRENGTHS
from duchenne.recipes import Evidence

_LABELLED = ["r", "r_low", "r_high", "auroc", "ap_lift", "p"]
_STIMULATED = ["slope", "low", "high", "monotone", "effect", "selectivity"]


def answered(
    pair: Pair,
    names: Sequence[str],
    pictures: NDArray[np.uint8],
    faces: pd.DataFrame,
    dosed: NDArray[np.float32],
    settings: Evidence,
    seed: int = 0,
) -> pd.DataFrame:
    """Match values with action units, by labels and by stimulation.

    Args:
        pair: The network, its first control, and how both are given pictures.
        names: Of the values, which stand behind the classes.
        pictures: (n, C, S, S) bytes, of the study.
        faces: The frame of their table.
        dosed: (people, action units, doses, outputs) what the network gave
            while action units were stimulated.
        settings: How values are matched with labels.
        seed: Of the permutations.

    Returns:
        A row a value and action unit: ``value, au``; ``own``, whether it is
        the action unit that the value is named after; of labels ``r`` with its
        interval, ``auroc, ap_lift, p`` and ``r_untrained``, that of the
        control; of stimulation ``slope`` with its interval, ``low, high``,
        ``monotone, effect`` and ``selectivity``, in standard deviations of the
        value on the study's pictures. NaN where an action unit is not labelled
        or not stimulated.

    Raises:
        InputError: As ``evidence.match`` does.
    """
    first = len(pair.classes)
    trained = pair.outputs(pictures)[:, first:].numpy()
    control = replace(pair, trained=pair.untrained).outputs(pictures)
    untrained = control[:, first:].numpy()
    labelled = _labelled(trained, untrained, faces, settings, seed)
    scale = trained.std(0, dtype=np.float64)
    moved = _moved(dosed[..., first:], scale)
    found = moved.merge(labelled, on=["unit", "au"], how="outer")
    return _named(found, names)


def _named(found: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Rows by the names of their values, and whether they are of the action
    unit that a value is named after.
    """
    inorder = found.sort_values(["unit", "au"], ignore_index=True)
    values = [names[unit] for unit in inorder.pop("unit")]
    own = [own_code(name) for name in values]
    inorder.insert(0, "value", values)
    inorder.insert(2, "own", inorder["au"] == pd.Series(own, dtype=object))
    return inorder


def _moved(
    dosed: NDArray[np.float32], scale: NDArray[np.float64]
) -> pd.DataFrame:
    """Dose and response of every value to every action unit."""
    codes = [facs.code(number) for number in facs.rendered()]
    found = doses.dose_response(
        dosed.astype(np.float64), codes, STRENGTHS, scale
    )
    return found[["unit", "au", *_STIMULATED]]


def _labelled(
    trained: NDArray[np.float32],
    untrained: NDArray[np.float32],
    faces: pd.DataFrame,
    settings: Evidence,
    seed: int,
) -> pd.DataFrame:
    """How values come with the action units that pictures are labelled with."""
    matched = nulls.beside_nulls(trained, [untrained], faces, settings, seed)
    if matched.evidence is None or matched.untrained is None:
        numbers = dict.fromkeys([*_LABELLED, "r_untrained"], "float64")
        kinds = {"unit": "int64", "au": "str"} | numbers
        return pd.DataFrame(columns=list(kinds)).astype(kinds)
    keys = ["unit", "au"]
    by_chance = matched.untrained[[*keys, "r"]]
    by_chance = by_chance.rename(columns={"r": "r_untrained"})
    return matched.evidence[[*keys, *_LABELLED]].merge(by_chance, on=keys)


def own_code(name: str) -> str:
    """The action unit that a value is named after.

    Args:
        name: As in "AU12", "au_12" or "12".

    Returns:
        Its code; nothing for other names.

    >>> own_code("au_4"), own_code("valence")
    ('AU04', '')
    """
    number = name.lower().removeprefix("au").strip(" _-")
    if not number.isdecimal() or int(number) not in facs.ACTION_UNITS:
        return ""
    return facs.code(int(number))
