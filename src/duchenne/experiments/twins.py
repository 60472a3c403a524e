"""Whom a network reads worse: the same people, expressions and light, rendered
with one trait of theirs held at two levels, all else equal.

What differs between twins is caused by that trait. It tells of rendered heads,
and is no verdict on how real people are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence import differences
from duchenne.evidence.nulls import who
from duchenne.experiments.pair import Pair
from duchenne.experiments.stimulate import loaded
from duchenne.faces.avatars.people import ANCESTRIES
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.classes import as_classes
from duchenne.faces.images.stack import Stack
from duchenne.faces.table import PERSON
from duchenne.progress import progress

Floats = NDArray[np.float64]

LEVELS = {
    "sex": (0.0, 1.0),
    "age": (0.1, 0.9),
    "weight": (-0.8, 0.8),
    "skin": (0.12, 0.45),
}
"""What the twins of a trait are held at: female and male, young and old, light
and heavy, dark and light of skin.
"""

SKIN = 0.3
"""The luminance of skin of all twins of ancestries, so that these differ in
shape, hair and eyes alone.
"""

TRAITS = (*LEVELS, *ANCESTRIES)
"""What twins differ in; those of an ancestry against those of the others."""

NEUTRAL = "neutral face: "
"""What stands before a class in the name of a measure: its log-odds on
neutral faces.
"""


SHOWN = "log-odds of what is shown"


@dataclass(frozen=True)
class Twins:
    """Rendered people by what they are held at, as in ``("age", 0.1)``: equal
    in everything else, picture by picture.
    """

    sets: Mapping[tuple[str, float], Stack]


def render(people: AvatarSettings, size: int, channels: int) -> Twins:
    """Render people at both levels of every trait.

    Args:
        people: Whom, and from which seed.
        size: Pixels along a side.
        channels: 1 for grey, else 3.

    Returns:
        Every expression of each of them, at each level.

    Raises:
        InputError: Where what was rendered before cannot be read.
    """
    settings = people.model_copy(update={"protocol": "apexes"})
    sets = {}
    for key, traits in _held().items():
        held = settings.model_copy(update={"traits": traits})
        sets[key] = loaded(held, size, channels)
    return Twins(sets)


def _held() -> dict[tuple[str, float], dict[str, float]]:
    """What people are held at in each set of twins."""
    found = {
        (trait, level): {trait: level}
        for trait, levels in LEVELS.items()
        for level in levels
    }
    for ancestry in ANCESTRIES:
        found[ancestry, 1.0] = {ancestry: 1.0, "skin": SKIN}
    return found


def measured(
    pair: Pair, faces: Stack, rows: NDArray[np.int64] | None = None
) -> pd.DataFrame:
    """Tell what a network makes of each person.

    Args:
        pair: The network.
        faces: Of some people.
        rows: Which of them; all by default.

    Returns:
        A row a person: ``accuracy``, the share of their pictures that is read
        as shown; ``log-odds of what is shown``, their mean; and the log-odds
        of every class on their neutral pictures.
    """
    chosen = slice(None) if rows is None else rows
    outputs = pair.outputs(faces.stored[chosen])
    logits = pair.logits(outputs).double().numpy()
    return _of_people(logits, faces.table.frame.iloc[chosen], pair.classes)


def _of_people(
    logits: Floats, frame: pd.DataFrame, classes: tuple[str, ...]
) -> pd.DataFrame:
    """What is measured of each person, of log-odds (n, classes)."""
    names = [NEUTRAL + name for name in classes]
    neutral = (frame["expression"] == "neutral").to_numpy(bool)
    of_neutral = np.where(neutral[:, None], logits, np.nan)
    of_shown = _of_shown(logits, frame["expression"], classes)
    found = of_shown.join(pd.DataFrame(of_neutral, columns=names))
    return found.groupby(who(frame)[0]).mean()


def _of_shown(
    logits: Floats, expressions: pd.Series, classes: tuple[str, ...]
) -> pd.DataFrame:
    """Whether each picture is read as what it shows, and the log-odds of that;
    NaN where it shows no class.
    """
    shown = as_classes(expressions, classes)
    rows = np.flatnonzero(shown.notna())
    places = [classes.index(name) for name in shown.iloc[rows]]
    found = np.full((len(logits), 2), np.nan)
    found[rows, 0] = logits[rows].argmax(1) == places
    found[rows, 1] = logits[rows, places]
    return pd.DataFrame(found, columns=["accuracy", SHOWN])


def compare(pair: Pair, twins: Twins) -> pd.DataFrame:
    """Compare twins.

    Args:
        pair: The network.
        twins: As ``render`` gives them.

    Returns:
        As ``evidence.differences.of_twins`` does.
    """
    of_sets = {}
    count = sum(len(faces) for faces in twins.sets.values())
    with progress("Reading twins", count) as advance:
        for key, faces in twins.sets.items():
            of_sets[key] = measured(pair, faces)
            advance(len(faces))
    contrasts = [_contrast(of_sets, trait) for trait in TRAITS]
    values = np.stack([each.to_numpy() for each in contrasts], 1)
    return differences.of_twins(values, TRAITS, list(contrasts[0]))


def _contrast(
    of_sets: Mapping[tuple[str, float], pd.DataFrame], trait: str
) -> pd.DataFrame:
    """More of a trait less little of it; an ancestry less the mean of the
    others.
    """
    if trait in LEVELS:
        low, high = LEVELS[trait]
        return of_sets[trait, high] - of_sets[trait, low]
    others = [name for name in ANCESTRIES if name != trait]
    mean = sum(of_sets[name, 1.0] for name in others) / len(others)
    return of_sets[trait, 1.0] - mean


def drawn(
    pair: Pair, faces: Stack, rows: NDArray[np.int64]
) -> pd.DataFrame | None:
    """Correlate what a network makes of a study's people with who they are.

    Args:
        pair: The network.
        faces: The study's.
        rows: Those of people that the network was not trained on.

    Returns:
        As ``evidence.differences.of_drawn`` does; nothing where the faces do
        not say who is who.
    """
    frame = faces.table.frame
    columns = [name for name in frame if str(name).startswith(PERSON)]
    if not columns:
        return None
    traits = frame[columns].groupby(who(frame)[0]).mean()
    traits.columns = [name.removeprefix(PERSON) for name in columns]
    of_people = measured(pair, faces, rows)
    return differences.of_drawn(of_people, traits.reindex(of_people.index))
