"""Reading one face with a study's network: where it is, what it shows, which
units fire, and what these see in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from duchenne import facs
from duchenne.evidence import detections, strongest
from duchenne.faces.avatars import people
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.geometry import crop
from duchenne.faces.images import decoding
from duchenne.study.record import Study
from duchenne.study.sentences import percent
from duchenne.study.workspace import Workspace
from duchenne.units.activations import Activations
from duchenne.units.projection import project
from duchenne.units.receptive_fields import Fields
from duchenne.units.responses import answers

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

MOST_PIXELS = 40_000_000
"""A photograph that says it is larger is not decoded."""
FIRING = 8
"""How many units are told of."""
_MANY = 0.25  # of units that lie beyond their range, as 2 % do anyway
_LOOKED_AT = 1024  # pixels of the longer side in which a face is looked for
_DRAWN = 256  # pixels of the side of a slider face as it is shown
_FINDERS = ("haar", "haar-khorrami2015")
_RED = (178, 34, 24)
_BLUE = (30, 86, 160)


@dataclass(frozen=True)
class Firing:
    """A unit that answers more to this face than to most: by how many standard
    deviations of its answers to the study's faces, the action unit that it is
    evidence of and whether that is sure (``detects``), and what it sees, (S,
    S, 4) to be laid over.
    """

    unit: int
    above: float
    action_unit: str
    detects: bool
    seen: NDArray[np.uint8]


@dataclass(frozen=True)
class Answer:
    """What the network makes of a face (C, S, S): the probability of every
    class, the units that fire most, and how long the network itself took, in
    seconds. ``note`` says what is odd about where the face was found, or how
    it is answered to; ``values`` are numbers beside the classes.
    """

    face: Floats
    shares: dict[str, float]
    firing: tuple[Firing, ...]
    seconds: float
    note: str = ""
    values: Mapping[str, float] = field(default_factory=dict)


class Reader:
    """A study's network, ready to read face after face; it is not changed, and
    calls must not overlap.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self._pair = Workspace(study, study.table).pair
        self._units = study.recipe.units
        self._values = tuple(study.recipe.network.output.values)
        self._size = study.recipe.faces.size
        self._channels = study.recipe.faces.channels
        self._crop = _finder(study.recipe.faces.crop)
        activations = Activations.from_frame(study.responses).value.astype(
            np.float64
        )
        self._know(activations)
        shape = (self._channels, self._size, self._size)
        self._fields = Fields(self._pair.trained, self._units.layer, shape)
        self._named, self._sure = _evidence(study, activations.shape[1])

    def _know(self, activations: NDArray[np.float64]) -> None:
        """Note how units answer to the study's faces (n, u)."""
        deviations = activations.std(0)
        self._low, self._high = np.quantile(activations, [0.01, 0.99], axis=0)
        self._mean = activations.mean(0)
        # what never varied is mute
        self._deviations = np.where(deviations > 0, deviations, np.inf)

    def photograph(self, content: bytes) -> Answer:
        """Read the largest face of a photograph; raises ``InputError`` for
        what is none, or too large.
        """
        whole = decoding.from_bytes(
            content, "the picture", self._channels, MOST_PIXELS, _LOOKED_AT
        )
        picture = _smaller(whole)
        found = self._crop(picture, crop.Hints())
        note = (
            found.note
            if found.region
            else "no face found: its middle was taken"
        )
        region = found.region or crop.centred_square(picture)
        return self.face(crop.cut(picture, region, self._size), note)

    def face(self, face: Floats, note: str = "") -> Answer:
        """Read a face that fills the picture.

        Args:
            face: (C, S, S) in 0 … 1, as large as the network's.
            note: On how it was cut.

        Returns:
            What it shows and which units fire.
        """
        prepared = self._pair.prepare(torch.from_numpy(face[None]))
        layer = self._units.layer
        began = time.perf_counter()
        read = answers(
            self._pair.trained, layer, [prepared], self._units.activation
        )
        ((responses, outputs),) = read
        seconds = time.perf_counter() - began
        firing = self._firing(prepared, responses)
        note = "; ".join(filter(None, [note, self._beyond(responses)]))
        shares, values = self._read(outputs)
        return Answer(face, shares, firing, seconds, note, values)

    def _read(
        self, outputs: Tensor
    ) -> tuple[dict[str, float], dict[str, float]]:
        """What each class gets, and each value, of one picture's outputs."""
        classes = self._pair.classes
        of_classes = self._pair.shares(outputs)[0].tolist()
        of_values = outputs[0, len(classes) :].tolist()
        return (
            dict(zip(classes, of_classes, strict=True)),
            dict(zip(self._values, of_values, strict=False)),
        )

    def _beyond(self, responses: Activations) -> str:
        """That units answer to a face as they seldom do to the study's, where
        many do.
        """
        activations = responses.value[0]
        outside = (activations < self._low) | (activations > self._high)
        share = float(outside.mean())
        if share <= _MANY:
            return ""
        return (
            f"{percent(share, 0)} of units answer beyond their range on the study's faces: read "
            "them with care"
        )

    def _firing(
        self, prepared: Tensor, responses: Activations
    ) -> tuple[Firing, ...]:
        """The units that answer most, beside their answers to the study's
        faces.
        """
        activations = responses.value[0]
        above = (activations - self._mean) / self._deviations
        first = np.argsort(-above, kind="stable")[:FIRING]
        first = first[activations[first] > 0]
        pictures = self._projected(prepared, responses, first)
        firing = []
        for unit, seen in zip(first, pictures, strict=True):
            firing.append(self._fired(int(unit), float(above[unit]), seen))
        return tuple(firing)

    def _projected(
        self, prepared: Tensor, responses: Activations, units: Places
    ) -> Floats:
        """What units see in the one picture, (units, C, S, S)."""
        rows = responses.row[0, units]
        columns = responses.column[0, units]
        windows = project(
            self._pair.trained,
            self._units.layer,
            prepared,
            units,
            np.column_stack([rows, columns]),
            self._units.method,
            of=np.zeros(len(units), np.int64),
            fields=self._fields,
        )
        return windows.full((self._size, self._size))

    def _fired(self, unit: int, above: float, seen: Floats) -> Firing:
        detects = bool(self._sure[unit])
        return Firing(unit, above, self._named[unit], detects, _overlay(seen))


class Sitter:
    """A rendered person whose action units are set one by one."""

    def __init__(self, study: Study) -> None:
        self._basis = head_basis()
        self._studio = Studio(self._basis)
        faces = study.recipe.faces
        self._size = faces.size
        self._samples = faces.avatars.samples
        self._colour = faces.channels == 3
        self._margin = faces.avatars.margin
        self._population = people.POPULATIONS[faces.avatars.population]
        self._people: dict[int, people.Person] = {}

    def draw(
        self, person: int, strengths: dict[int, float]
    ) -> tuple[Floats, NDArray[np.uint8]]:
        """Draw a person as the network is shown it, and larger, in colour, to
        look at.

        Args:
            person: Its number.
            strengths: Of action units, 0 … 1.

        Returns:
            (C, S, S) in 0 … 1, and (256, 256, 3) bytes.
        """
        if person not in self._people:
            rng = np.random.default_rng((person, 1))
            drawn = people.draw_person(self._basis, rng, self._population)
            self._people = {person: drawn}  # the last one only
        shot = self._shot(person, strengths)
        small = self._studio.draw(
            [shot], self._size, self._samples, self._colour
        )[0]
        shown = self._studio.draw([shot], _DRAWN, 1, colour=True)[0]
        face = (
            (small / np.float32(255))
            .reshape(self._size, self._size, -1)
            .transpose(2, 0, 1)
        )
        return np.ascontiguousarray(face), shown

    def _shot(self, person: int, strengths: dict[int, float]) -> Shot:
        """The person whose action units act on both sides alike, seen as the
        study's avatars are.
        """
        both_sides = {
            number: (value, value) for number, value in strengths.items()
        }
        scene = people.further(people.STUDIO, self._margin)
        return Shot(self._people[person], scene, both_sides)


def _finder(name: str) -> crop.Crop:
    """The crop that finds a face by itself: the study's where it does, else
    OpenCV's.
    """
    finds = crop.without_margin(name) in _FINDERS or name.startswith("yunet:")
    return crop.named(name if finds else "haar")


def _evidence(study: Study, units: int) -> tuple[list[str], NDArray[np.bool_]]:
    """The action unit that each unit is strongest evidence of, with its name,
    and whether it is sure.
    """
    named = [""] * units
    sure = np.zeros(units, bool)
    if not len(study.evidence):
        return named, sure
    for row in strongest(study.evidence).itertuples():
        named[int(row.unit)] = f"{row.au} {facs.coded(str(row.au)).name}"
    detecting = detections(study.evidence, study.recipe.evidence.level)
    sure[detecting["unit"].to_numpy(int)] = True
    return named, sure


def _smaller(picture: Floats) -> Floats:
    """A picture of which no side is longer than a face is looked for in."""
    height, width = picture.shape[1:]
    share = _LOOKED_AT / max(height, width)
    if share >= 1:
        return picture
    size = (max(2, round(width * share)), max(2, round(height * share)))
    smaller = cv2.resize(
        picture.transpose(1, 2, 0), size, interpolation=cv2.INTER_AREA
    )
    return np.ascontiguousarray(
        smaller.reshape(size[1], size[0], -1).transpose(2, 0, 1)
    )


def _overlay(seen: Floats) -> NDArray[np.uint8]:
    """A projection (C, S, S), red where it drives the unit up and blue where
    it holds it down, the clearer the stronger.
    """
    signed = seen[np.abs(seen).sum((1, 2)).argmax()]
    strength = np.abs(signed)
    largest = float(strength.max()) or 1.0
    laid = np.zeros((*signed.shape, 4), np.uint8)
    laid[..., :3] = np.where(signed[..., None] > 0, _RED, _BLUE)
    laid[..., 3] = np.rint(255 * np.sqrt(strength / largest))
    return laid
