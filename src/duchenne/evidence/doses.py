"""What moves a unit: its answers to one action unit at growing intensity on
the same face, all else held still.

Labels only tell what comes together; this tells what causes what, and is the
truth that scores of association are judged by. Everything here is pure:
answers in, frames out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.evidence import intervals

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def dose_response(
    answers: NDArray[np.floating],
    action_units: Sequence[str],
    doses: Sequence[float],
    scale: Floats,
) -> pd.DataFrame:
    """Dose and response of every unit to every action unit.

    A unit that nothing moves has 0 everywhere.

    Args:
        answers: (people, action units, doses, units) activations on the same
            faces.
        action_units: Their names.
        doses: From 0 (absent) to 1 (E), rising.
        scale: (units,) what counts as much for a unit, such as its standard
            deviation over the pictures of a study.

    Returns:
        One row a pair: ``unit, au``; ``slope`` of the activation over the
        dose, through that at 0, and its 95 % interval over people, ``low`` and
        ``high`` (NaN for fewer than six), all in units of ``scale``;
        ``monotone``, Kendall's τ of activation and dose, the mean over people;
        ``effect`` at the highest dose, in the same units; ``selectivity``,
        (|e| − |e'|) / (|e| + |e'|) of the effects e of this action unit and e'
        of the strongest other one: 1 where nothing else moves the unit, below
        0 where another moves it more.

    Raises:
        InputError: For doses that do not rise from 0.

    >>> strength = np.linspace(0, 1, 6)
    >>> answers = np.stack([2 * strength, 0 * strength])[None, :, :, None] + 1
    >>> dose_response(answers, ["AU12", "AU26"], strength, np.ones(1)).round(3)[
    ...     ["au", "slope", "monotone", "selectivity"]
    ... ]
         au  slope  monotone  selectivity
    0  AU12    2.0       1.0          1.0
    1  AU26    0.0       0.0         -1.0
    """
    strength = np.asarray(doses, np.float64)
    if strength[0] != 0 or (np.diff(strength) <= 0).any():
        raise InputError(f"doses {list(doses)}: expected to rise from 0")
    # (people, action units, doses, units)
    moved = (answers - answers[:, :, :1]) / np.where(scale > 0, scale, 1)
    slopes = np.einsum("padu,d->pau", moved, strength) / (strength**2).sum()
    low, high = intervals.of_mean(slopes)
    effect = moved[:, :, -1].mean(0)
    columns = {
        "slope": slopes.mean(0),
        "low": low,
        "high": high,
        "monotone": _kendall(moved).mean(0),
        "effect": effect,
        "selectivity": _selectivity(effect),
    }
    return _by_pair(answers.shape[3], action_units, columns)


def _by_pair(
    units: int, action_units: Sequence[str], columns: dict[str, Floats]
) -> pd.DataFrame:
    """A row a unit and action unit, of columns (action units, units)."""
    frame = {
        "unit": np.repeat(np.arange(units), len(action_units)),
        "au": np.tile(list(action_units), units),
    }
    return pd.DataFrame(
        frame | {name: values.T.ravel() for name, values in columns.items()}
    )


def sides(
    answers: NDArray[np.floating],
    rest: Floats,
    action_units: Sequence[str],
    scale: Floats,
) -> pd.DataFrame:
    """Response of every unit to an action unit on one side of the face alone.

    Args:
        answers: (people, action units, 2, units) activations on faces that
            show it at full dose on the subject's left, and on the right.
        rest: (people, units) those on the same faces at rest.
        action_units: Their names.
        scale: (units,) what counts as much for each unit.

    Returns:
        One row a pair: ``unit, au``; ``left, right``, mean effects in units of
        ``scale``; ``laterality``, (|left| − |right|) / (|left| + |right|): 1
        where only the left side counts.

    >>> told = sides(
    ...     np.array([[[[3.0], [1.5]]]]), np.ones((1, 1)), ["AU12"], np.ones(1)
    ... )
    >>> told[["left", "right", "laterality"]].values.tolist()
    [[2.0, 0.5, 0.6]]
    """
    of_people = (answers - rest[:, None, None]) / np.where(scale > 0, scale, 1)
    moved = of_people.mean(0)  # (action units, 2, units)
    left = moved[:, 0]
    right = moved[:, 1]
    total = np.abs(left) + np.abs(right)
    more_left = np.abs(left) - np.abs(right)
    laterality = np.divide(
        more_left, total, out=np.zeros_like(total), where=total > 0
    )
    columns = {"left": left, "right": right, "laterality": laterality}
    return _by_pair(answers.shape[3], action_units, columns)


def changes(
    of_people: Floats, action_units: Sequence[str], expressions: Sequence[str]
) -> pd.DataFrame:
    """Mean change of each expression's probability by each action unit.

    Args:
        of_people: (people, action units, expressions) the change of each
            person's probability.
        action_units: Their names.
        expressions: Their names.

    Returns:
        One row a pair: ``au, expression, change``, and its 95 % interval over
        people, ``low, high``.

    >>> changes(
    ...     np.full((6, 1, 2), [0.5, -0.5]), ["AU12"], ["happiness", "neutral"]
    ... )
         au expression  change  low  high
    0  AU12  happiness     0.5  0.5   0.5
    1  AU12    neutral    -0.5 -0.5  -0.5
    """
    low, high = intervals.of_mean(of_people)
    columns = {"change": of_people.mean(0), "low": low, "high": high}
    frame = {
        "au": np.repeat(list(action_units), len(expressions)),
        "expression": np.tile(list(expressions), len(action_units)),
    }
    return pd.DataFrame(
        frame | {name: values.ravel() for name, values in columns.items()}
    )


def _kendall(moved: Floats) -> Floats:
    """Kendall's τ-a of answers (people, action units, doses, units) with the
    dose: (people, action units, units).
    """
    first, second = np.triu_indices(moved.shape[2], 1)
    found: Floats = np.sign(moved[:, :, second] - moved[:, :, first]).mean(2)
    return found


def _selectivity(effect: Floats) -> Floats:
    """Of effects (action units, units), each against the strongest other one
    of its unit.
    """
    size = np.abs(effect)
    if len(size) < 2:
        alone: Floats = (size > 0).astype(np.float64)
        return alone
    second, most = np.sort(size, 0)[-2:]
    other = np.where(
        np.arange(len(size))[:, None] == size.argmax(0), second, most
    )
    total = size + other
    found: Floats = np.divide(
        size - other, total, out=np.zeros_like(size), where=total > 0
    )
    return found


def movers(responses: pd.DataFrame, least: float = 0.5) -> pd.DataFrame:
    """For each unit that anything moves, the action unit that moves it most.

    Args:
        responses: What ``dose_response`` gives.
        least: The effect that counts, in standard deviations.

    Returns:
        The rows of these.
    """
    size = responses["effect"].abs()
    most = responses.loc[size.groupby(responses["unit"]).idxmax()]
    return most[most["effect"].abs() >= least].reset_index(drop=True)


def confirmed(
    found: pd.DataFrame, responses: pd.DataFrame, among: Collection[str]
) -> pd.DataFrame:
    """Whether detections hold when the action unit is stimulated alone.

    Action units that were not stimulated are left out.

    Args:
        found: Detections: ``unit, au, r``.
        responses: What ``dose_response`` gives.
        among: The action units that are coded.

    Returns:
        One row a detecting unit, of its strongest pair: ``unit, au``;
        ``holds``, whether the interval of the slope lies above 0; ``most``,
        whether none among the coded action units moves the unit more.

    >>> found = pd.DataFrame(
    ...     {"unit": [0, 0], "au": ["AU01", "AU12"], "r": [0.4, 0.6]}
    ... )
    >>> responses = pd.DataFrame(
    ...     {
    ...         "unit": 0,
    ...         "au": ["AU01", "AU12"],
    ...         "effect": [2.0, 1.0],
    ...         "low": [1.5, 0.5],
    ...     }
    ... )
    >>> confirmed(found, responses, ["AU01", "AU12"]).values.tolist()
    [[0, 'AU12', True, False]]
    """
    stimulated = found[found["au"].isin(responses["au"])]
    strongest = stimulated.loc[
        stimulated.groupby("unit")["r"].idxmax(), ["unit", "au"]
    ].reset_index(drop=True)
    low = responses.set_index(["unit", "au"])["low"].reindex(
        pd.MultiIndex.from_frame(strongest)
    )
    most = (
        movers(responses[responses["au"].isin(among)], 0.0)
        .set_index("unit")["au"]
        .reindex(strongest["unit"])
    )
    return strongest.assign(
        holds=low.gt(0).to_numpy(),
        most=strongest["au"].to_numpy() == most.to_numpy(),
    )


def beside_dealt(
    found: pd.DataFrame,
    responses: pd.DataFrame,
    among: Collection[str],
    deals: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Set how many detections hold under stimulation beside the same for names
    dealt anew among the same units.

    A unit that moves with much of the face moves with many action units; what
    says that a detection is true is how much more often it holds than the name
    of another detecting unit does.

    Args:
        found: Detections (unit, au, r).
        responses: What ``dose_response`` gives.
        among: The action units that are coded.
        deals: How often the names are dealt.
        seed: Of the dealing.

    Returns:
        A row for each claim of ``confirmed`` (``holds``, ``most``):
        ``claim, units, share, dealt``, the mean over deals, ``difference`` of
        the two, and ``low, high``, within which it lies for 95 % of deals. NaN
        of ``holds`` where too few people were stimulated for intervals.

    >>> found = pd.DataFrame(
    ...     {"unit": [0, 1], "au": ["AU01", "AU12"], "r": [0.4, 0.6]}
    ... )
    >>> responses = pd.DataFrame(
    ...     {
    ...         "unit": [0, 0, 1, 1],
    ...         "au": ["AU01", "AU12"] * 2,
    ...         "effect": [2.0, 0.0, 0.0, 1.0],
    ...         "low": [1.5, -1.0, -1.0, 0.5],
    ...     }
    ... )
    >>> beside_dealt(found, responses, ["AU01", "AU12"])[
    ...     ["claim", "share", "dealt"]
    ... ].round(1).values.tolist()
    [['holds', 1.0, 0.5], ['most', 1.0, 0.5]]
    """
    detecting = confirmed(found, responses, among)
    names = np.unique(detecting["au"], return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    dealt = np.array([rng.permutation(names) for _ in range(deals)]).reshape(
        deals, len(names)
    )
    holding = _holding(detecting, responses)
    if responses["low"].isna().all():  # too few people for intervals
        holding = np.full(np.shape(holding), np.nan)
    claims = {
        "holds": holding,
        "most": _moving_most(detecting, responses, among),
    }
    rows = [
        {"claim": claim, **_dealt(claims[claim], names, dealt)}
        for claim in claims
    ]
    columns = ["claim", "units", "share", "dealt", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _dealt(
    of_pairs: NDArray[np.generic],
    names: NDArray[np.int64],
    dealt: NDArray[np.int64],
) -> dict[str, float]:
    """The share of detections that a claim is true of, beside names dealt
    anew.
    """
    share, shares = _shares(of_pairs, names, dealt)
    low, high = share - np.quantile(shares, [0.975, 0.025])
    mean = shares.mean()
    return {
        "units": len(names),
        "share": share,
        "dealt": mean,
        "difference": share - mean,
        "low": low,
        "high": high,
    }


def _shares(
    of_pairs: NDArray[np.generic],
    names: NDArray[np.int64],
    dealt: NDArray[np.int64],
) -> tuple[float, Floats]:
    """The share of units of which a claim holds, and the same with names dealt
    anew.
    """
    if not len(names):
        return np.nan, np.full(len(dealt), np.nan)
    units = np.arange(len(names))
    held = of_pairs.astype(np.float64)
    return float(held[units, names].mean()), held[units, dealt].mean(1)


def _holding(detecting: pd.DataFrame, responses: pd.DataFrame) -> Mask:
    """Whether each detecting unit is surely moved by each of the names (units,
    names).
    """
    low = responses.pivot(index="unit", columns="au", values="low")
    holding: Mask = (
        low.reindex(
            index=detecting["unit"], columns=sorted(set(detecting["au"]))
        )
        .gt(0)
        .to_numpy()
    )
    return holding


def _moving_most(
    detecting: pd.DataFrame, responses: pd.DataFrame, among: Collection[str]
) -> Mask:
    """Whether each of the names is what moves each detecting unit most (units,
    names).
    """
    most = (
        movers(responses[responses["au"].isin(among)], 0.0)
        .set_index("unit")["au"]
        .reindex(detecting["unit"])
    )
    most_of_all: Mask = most.to_numpy()[:, None] == np.array(
        sorted(set(detecting["au"])), object
    )
    return most_of_all
