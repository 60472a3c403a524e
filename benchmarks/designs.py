"""Studies in which there is nothing to find: faces as data sets hold them;
units and labels know nothing of each other.

Units follow people, sequences and whether the face moves; labels follow people
and sequences, and never stand on a neutral frame. What a design loses or
mixes, it loses and mixes at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

UNITS = 10
PREVALENCE = np.array([0.3, 0.2, 0.15, 0.1, 0.5])


@dataclass(frozen=True)
class Design:
    """How the faces of a null study are made.

    Attributes:
        faces: From a generator to a frame with
            ``person, sequence, frame, neutral, expression``, a row a picture.
        movement: By how many standard deviations of its sequences a unit
            answers more to any frame that is not neutral.
        of_person: The share of a label's variance, and of a unit's, that is
            the person's.
        within: Whether detectors are looked for within expressions.
    """

    faces: Callable[[np.random.Generator], pd.DataFrame]
    movement: float = 2.0
    of_person: float = 0.5
    within: bool = False


@dataclass(frozen=True)
class Null:
    """One null study: ``faces``, activations (n, u) and presence (n, a)."""

    faces: pd.DataFrame
    units: Floats
    present: Mask


def drawn(design: Design, seed: int) -> Null:
    """Draw a null study; labels that too few pictures show or do not show are
    left out by ``match``.
    """
    rng = np.random.default_rng(seed)
    faces = design.faces(rng)
    person = faces["person"].to_numpy()
    sequence = np.unique(
        faces["person"].astype(str) + " " + faces["sequence"].astype(str),
        return_inverse=True,
    )[1]
    moving = ~faces["neutral"].to_numpy()
    often = _mixed(rng, person, sequence, len(PREVALENCE), design.of_person)
    present = (often < norm.ppf(PREVALENCE)) & moving[:, None]
    level = _mixed(rng, person, sequence, UNITS, design.of_person)
    units = (
        level
        + design.movement * moving[:, None]
        + 0.3 * rng.normal(size=(len(faces), UNITS))
    )
    return Null(faces, units, present)


def _mixed(
    rng: np.random.Generator,
    person: Rows,
    sequence: Rows,
    columns: int,
    of_person: float,
) -> Floats:
    """Normal numbers (n, c) of variance 1, so much of it the person's and the
    rest the sequence's.
    """
    own = rng.normal(size=(person.max() + 1, columns))[person]
    of_sequence = rng.normal(size=(sequence.max() + 1, columns))[sequence]
    mixed: Floats = (
        np.sqrt(of_person) * own + np.sqrt(1 - of_person) * of_sequence
    )
    return mixed


def complete(people: int, sequences: int, frames: int) -> pd.DataFrame:
    """Sequences of neutral and as many more frames less one, an expression
    each.
    """
    index = pd.MultiIndex.from_product(
        [range(people), range(sequences), range(frames)]
    )
    faces = index.to_frame(index=False, name=["person", "sequence", "frame"])
    faces["neutral"] = faces["frame"] == 0
    faces["expression"] = "expression " + faces["sequence"].astype(str)
    return faces


def lost(
    faces: pd.DataFrame, rng: np.random.Generator, share: float
) -> pd.DataFrame:
    """The faces without such a share of the frames, at random."""
    return faces[rng.random(len(faces)) >= share].reset_index(drop=True)


def mixed_with_stills(rng: np.random.Generator) -> pd.DataFrame:
    """Half of a person's sequences are stills of the apex."""
    faces = complete(24, 8, 4)
    whole = rng.random((24, 8)) < 0.5
    kept = whole[faces["person"], faces["sequence"]] | (faces["frame"] == 3)
    return faces[kept].reset_index(drop=True)


def one_sequence_each(rng: np.random.Generator) -> pd.DataFrame:
    """One sequence a person, of neutral and one to seven more frames."""
    length = rng.integers(2, 9, 150)
    faces = complete(150, 1, 8)
    return faces[faces["frame"] < length[faces["person"]]].reset_index(
        drop=True
    )


def ckplus(rng: np.random.Generator) -> pd.DataFrame:
    """CK+ in khorrami2015's protocol: 118 people, 327 sequences, neutral and
    three frames of each; a tenth is lost.
    """
    count = np.bincount(
        np.append(np.arange(118), rng.integers(0, 118, 327 - 118)),
        minlength=118,
    )
    person = np.repeat(np.arange(118), count)
    number = np.arange(327) - np.repeat(np.cumsum(count) - count, count)
    faces = complete(1, 327, 4)
    faces = faces.assign(
        person=person[faces["sequence"]], sequence=number[faces["sequence"]]
    )
    return lost(faces, rng, 0.1)


def one_picture_an_expression(rng: np.random.Generator) -> pd.DataFrame:
    """24 people with one picture of each of seven expressions, as in JAFFE or
    KDEF.
    """
    return complete(24, 7, 1).assign(neutral=False)


def _sequences(share: float) -> Callable[[np.random.Generator], pd.DataFrame]:
    return lambda rng: lost(complete(24, 7, 4), rng, share)


DESIGNS = {
    "equal sequences": Design(_sequences(0.0)),
    "10 % of frames lost": Design(_sequences(0.1)),
    "30 % of frames lost": Design(_sequences(0.3)),
    "stills mixed with sequences": Design(mixed_with_stills),
    "one sequence a person, 2 to 8 frames": Design(
        one_sequence_each, of_person=0.0
    ),
    "CK+, 10 % lost, weak movement": Design(ckplus, movement=0.5),
    "CK+, 10 % lost, strong movement": Design(ckplus, movement=3.0),
    "within an expression, 0 % by person": Design(
        one_picture_an_expression, of_person=0.0, within=True
    ),
    "within an expression, 50 % by person": Design(
        one_picture_an_expression, of_person=0.5, within=True
    ),
    "within an expression, 100 % by person": Design(
        one_picture_an_expression, of_person=1.0, within=True
    ),
}
