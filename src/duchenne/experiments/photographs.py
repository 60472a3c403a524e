"""Photographs beside a study's own faces: how well the network reads them, and
whether its units answer to them as they do to rendered faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne.evidence import carried, nulls
from duchenne.experiments import survey
from duchenne.faces.images.stack import Stack
from duchenne.progress import about
from duchenne.recipes import Evidence
from duchenne.units.layers import Layer

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class OnPhotographs:
    """What units answer to photographs.

    Attributes:
        top: Each unit's photographs of the largest activations.
        activations: (photographs, units).
        matched: With action units where these are coded, and expressions.
        ranges: A row a unit, as ``evidence.carried.ranges`` gives them.
        holding: By ``action_units`` and ``expressions``, how many detections
            hold (``evidence.carried.carried``).
    """

    top: pd.DataFrame
    activations: Floats
    matched: nulls.NetworkEvidence
    ranges: pd.DataFrame
    holding: dict[str, Any]


@dataclass(frozen=True)
class OwnFaces:
    """What is known of a study's own faces: activations (n, u), and the
    evidence of action units, empty where there is none, and of expressions.
    """

    activations: Floats
    evidence: pd.DataFrame
    expressions: pd.DataFrame


def show(
    layer: Layer,
    control: Layer,
    photographs: Stack,
    known: OwnFaces,
    settings: Evidence,
    seed: int = 0,
    count: int = 10,
) -> OnPhotographs:
    """Show photographs to a layer and to its control.

    Args:
        layer: Whose units are read.
        control: The same of the untrained network.
        photographs: Cut as the network takes them.
        known: Of the study's own faces.
        settings: How units are matched with labels.
        seed: Of the permutations.
        count: How many top photographs are kept a unit.

    Returns:
        What the units answer, beside the study's own faces.

    Raises:
        InputError: For a layer that cannot be read.
    """
    pictures = photographs.floats(slice(None))
    rows = np.arange(len(pictures))
    with about("photographs"):
        found = survey.survey(layer, pictures, rows, count)
        untrained = survey.survey(control, pictures, rows, 1)
    activations = found.activations.value
    faces = photographs.table.frame
    matched = nulls.beside_nulls(
        activations, [untrained.activations.value], faces, settings, seed
    )
    ranges = carried.ranges(known.activations, activations)
    holding = _holding(known, matched, faces, settings)
    return OnPhotographs(found.top, activations, matched, ranges, holding)


def _holding(
    known: OwnFaces,
    matched: nulls.NetworkEvidence,
    faces: pd.DataFrame,
    settings: Evidence,
) -> dict[str, Any]:
    """How many detections of the study's own faces hold on photographs, of
    whatever enough labels can be exchanged for.
    """
    found = {}
    level = settings.level
    tree = nulls.exchangeable(faces, stills=True)
    if tree.smallest_p(settings.permutations) <= level:
        found["expressions"] = carried.carried(
            known.expressions, matched.expressions, "expression", level
        )
    coded = matched.evidence is not None and len(known.evidence)
    if coded and matched.summary["smallest_p"] <= level:
        found["action_units"] = carried.carried(
            known.evidence, matched.evidence, "au", level
        )
    return found
