"""Who is in the picture and how it is taken: people and scenes, drawn from a
seeded generator.

A person is a point in the head basis with the colours of skin, hair, brows,
lips and irises; a scene is a light, a turn of the head and a camera.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from duchenne.faces.avatars import raster
from duchenne.faces.avatars.basis import HeadBasis

Floats = NDArray[np.float32]
Generator = np.random.Generator

_MOUTH_SPREAD = 0.17 / 0.27  # of the spread of other shapes
_UNUSED_LOCALS = (
    "ear-wing",
    "ear-flap",
    "neck-double",
    "measure-neck",
    "eye-trans",
    "head-fat",
    "mouth-angles",
    "trans-in-out",
)
"""Changes that hide the face, pull the eyes off their sockets, read as an
action unit at rest, or move a part sideways.
"""

_SKINS = np.array(
    [[0.66, 0.44, 0.34], [0.44, 0.265, 0.18], [0.16, 0.085, 0.055]]
)
_HAIRS = np.array(
    [
        [0.012, 0.010, 0.009],
        [0.045, 0.025, 0.015],
        [0.13, 0.075, 0.035],
        [0.30, 0.21, 0.11],
    ]
)
_IRISES = np.array(
    [
        [0.055, 0.026, 0.012],
        [0.13, 0.075, 0.03],
        [0.11, 0.13, 0.07],
        [0.12, 0.19, 0.27],
    ]
)


@dataclass(frozen=True)
class Population:
    """Whom chance draws and how they are lit, each range as (low, high).

    ``sex``: parameters of a beta distribution over female 0 … male 1; ``age``
    and ``weight``: ranges in the model's units; ``ancestry``: parameters of a
    Dirichlet distribution over African, Asian, Caucasian; ``spread``: of the
    local shapes, beyond 0.27 of which chance builds faces that nobody has;
    ``across``, ``up``, ``ahead``: where the lamp is; ``key``, ``fill``: its
    strength and that of the light from all around; ``background``: its
    brightness.
    """

    sex: tuple[float, float] = (0.5, 0.5)
    age: tuple[float, float] = (0.0, 1.0)
    ancestry: tuple[float, float, float] = (0.45, 0.45, 0.45)
    weight: tuple[float, float] = (-0.9, 0.9)
    spread: float = 0.27
    across: tuple[float, float] = (-0.8, 0.8)
    up: tuple[float, float] = (0.0, 0.9)
    ahead: tuple[float, float] = (0.7, 1.1)
    key: tuple[float, float] = (0.6, 1.15)
    fill: tuple[float, float] = (0.3, 0.65)
    background: tuple[float, float] = (0.02, 0.6)


POPULATIONS = {
    "mixed": Population(),
    "shifted": Population(
        sex=(0.5, 5.0),
        age=(0.25, 0.5),
        ancestry=(0.05, 3.0, 0.1),
        weight=(-0.8, 0.2),
        spread=0.2,
        across=(-1.3, -0.5),
        up=(-0.4, 0.3),
        ahead=(0.4, 0.8),
        key=(0.6, 0.9),
        fill=(0.12, 0.3),
        background=(0.6, 0.95),
    ),
}
"""Every population by its name. "shifted" stands to "mixed" as JAFFE, ten
Japanese women, does to CK+: others, lit otherwise (from the side, and harder).
"""


@dataclass(frozen=True)
class Person:
    """One face at rest: ``shape`` (v, 3) in dm, and its colours and hair as a
    ``Look`` without light; and who that is, by the names of ``TRAITS``.
    """

    shape: Floats
    look: NDArray[Any]
    age: float
    traits: dict[str, float] = field(default_factory=dict)


TRAITS = ("sex", "age", "weight", "african", "asian", "caucasian", "skin")
"""What a person is drawn by: sex, female 0 … male 1; age, young 0 … old 1;
weight −1 … 1; shares of three ancestries; and the luminance of the skin, 0
dark … 1 light.
"""

ANCESTRIES = ("african", "asian", "caucasian")

RANGES = {
    "sex": (0.0, 1.0),
    "age": (0.0, 1.0),
    "weight": (-1.0, 1.0),
    "african": (0.0, 1.0),
    "asian": (0.0, 1.0),
    "caucasian": (0.0, 1.0),
    "skin": (0.1, 0.47),
}
"""The least and the most that each trait may be held at."""

_NO_TRAITS: Mapping[str, float] = MappingProxyType({})

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of linear RGB, ITU-R BT.709


@dataclass(frozen=True)
class Scene:
    """One shot: ``light`` towards the lamp, strengths, ``turn`` (3, 3) of the
    head, ``zoom`` and ``shift`` of the camera.
    """

    light: NDArray[np.float64]
    key: float
    fill: float
    background: float
    turn: NDArray[np.float64]
    zoom: float
    shift: tuple[float, float]


def draw_person(
    basis: HeadBasis,
    rng: Generator,
    population: Population = POPULATIONS["mixed"],
    traits: Mapping[str, float] = _NO_TRAITS,
) -> Person:
    """Draw a person: ancestry, sex, age, weight and some hundred local shapes,
    the same on the left and the right.

    Args:
        basis: The head basis.
        rng: What is drawn from.
        population: Whom chance draws.
        traits: Those of ``TRAITS`` that are held at a number; everything else
            is drawn as it is without them, so that two people from equal
            ``rng`` differ in these alone.

    Returns:
        The person.
    """
    drawn = _draw_traits(rng, population)
    held = drawn.holding(traits)
    shape = _built(basis, held)
    local = _local_weights(basis, rng, population.spread)
    shape = shape + np.tensordot(local, basis.locals, 1)
    look = _draw_look(rng, drawn, held)
    measured = held.traits(look)
    return Person(shape.astype(np.float32), look, held.age, measured)


@dataclass(frozen=True)
class _Drawn:
    """What a person is built by; ``skin`` is nothing where chance draws it."""

    sex: float
    age: float
    weight: float
    ancestry: NDArray[np.float64]
    skin: float | None = None

    def holding(self, traits: Mapping[str, float]) -> _Drawn:
        """The same with some traits held."""
        own = {k: v for k, v in traits.items() if k not in ANCESTRIES}
        ancestry = _shared(self.ancestry, traits)
        return replace(self, ancestry=ancestry, **own)

    def traits(self, look: NDArray[Any]) -> dict[str, float]:
        """Who that is, by the names of ``TRAITS``."""
        luminance = np.asarray(look["skin"]).ravel() @ _LUMINANCE
        drawn = (self.sex, self.age, self.weight, *self.ancestry, luminance)
        return dict(zip(TRAITS, map(float, drawn), strict=True))


def _draw_traits(rng: Generator, population: Population) -> _Drawn:
    youngest, oldest = population.age
    sex = rng.beta(*population.sex)
    age = youngest + (oldest - youngest) * rng.uniform() ** 1.4
    ancestry = rng.dirichlet(population.ancestry)
    weight = rng.uniform(*population.weight)
    return _Drawn(sex, age, weight, ancestry)


def _shared(
    drawn: NDArray[np.float64], traits: Mapping[str, float]
) -> NDArray[np.float64]:
    """Shares of ancestries, some of which are held; the others share what is
    left as they were drawn.
    """
    held = np.array([traits.get(name, np.nan) for name in ANCESTRIES])
    free = np.isnan(held)
    if free.all():
        return drawn
    left = 1 - held[~free].sum()
    total = drawn[free].sum()
    rest = drawn[free] / total if total > 0 else 1 / max(free.sum(), 1)
    found = held.copy()
    found[free] = left * rest
    return found


def _built(basis: HeadBasis, held: _Drawn) -> NDArray[np.float64]:
    """The head (v, 3) of a sex, age, weight and ancestry, without shapes of
    its own.
    """
    sexes = _hat(2 * held.sex - 1, 2)
    ages = _hat(2 * held.age - 1, 2)
    weights = _hat(held.weight, 3)
    macro = np.einsum("s,a,w->saw", sexes, ages, weights).ravel()
    peoples = np.einsum("p,s,a->psa", held.ancestry, sexes, ages).ravel()
    shape = (
        basis.rest
        + np.tensordot(macro, basis.macros, 1)
        - basis.macros.mean(0)
    )
    shape = (
        shape
        + np.tensordot(peoples, basis.ancestries, 1)
        - basis.ancestries.mean(0)
    )
    built: NDArray[np.float64] = shape
    return built


def _hat(position: float, count: int) -> NDArray[np.float64]:
    """Share a position in -1 … 1 between ``count`` evenly spaced ends."""
    ends = np.linspace(-1, 1, count)
    shares: NDArray[np.float64] = np.clip(
        1 - np.abs(position - ends) / (ends[1] - ends[0]), 0, None
    )
    return shares


def _local_weights(
    basis: HeadBasis, rng: Generator, spread: float
) -> NDArray[np.float64]:
    spreads = [
        _MOUTH_SPREAD * spread if name.startswith("mouth") else spread
        for name in basis.local_names
    ]
    drawn = np.clip(rng.normal(0, spreads), -0.8, 0.8)
    unused = [
        any(part in name for part in _UNUSED_LOCALS)
        for name in basis.local_names
    ]
    drawn[unused] = 0
    return np.concatenate([np.maximum(drawn, 0), np.maximum(-drawn, 0)])


def _draw_look(rng: Generator, drawn: _Drawn, held: _Drawn) -> NDArray[Any]:
    """Draw colours, brows, beard and hairline of who is ``held``; what chance
    gives depends on who was ``drawn`` alone.
    """
    look = raster.blank_look()
    _draw_colours(look, rng, held)
    look["gloss"] = rng.uniform(0.02, 0.09)
    look["brow_dark"] = rng.uniform(0.55, 0.95)
    look["brow_thick"] = rng.uniform(0.028, 0.042) + 0.010 * held.sex
    look["brow_arch"] = rng.uniform(0.02, 0.065)
    look["brow_height"] = 7.375 + rng.uniform(-0.012, 0.02)
    stubble = _draw_stubble(rng, drawn.sex)
    look["stubble"] = stubble if held.sex > _MALE else 0.0
    look["hairline"] = rng.uniform(7.72, 7.92)
    look["lash"] = rng.uniform(0.3, 0.8) - 0.25 * held.sex
    look["age"] = held.age
    return look


_MALE = 0.5


def _draw_colours(look: NDArray[Any], rng: Generator, held: _Drawn) -> None:
    """Draw the colours of skin, hair, lips and irises; hair turns grey with
    age.
    """
    darkness = float(held.ancestry @ [0.80, 0.32, 0.12]) + rng.normal(0, 0.09)
    skin = _skin(darkness, rng.normal(1, 0.03, 3), held.skin)
    caucasian = held.ancestry[2]
    grey = np.clip(1.6 * held.age - 0.8 + rng.normal(0, 0.15), 0, 1)
    hair = _mixed(_HAIRS, caucasian * rng.uniform(0.1, 1.1))
    look["skin"] = skin
    look["lips"] = skin * np.array([0.80, 0.52, 0.54]) * rng.uniform(0.85, 1.1)
    look["iris"] = _mixed(_IRISES, caucasian * rng.uniform(0, 1.4))
    look["hair"] = hair * (1 - grey) + 0.38 * grey


def _skin(
    darkness: float, tint: NDArray[np.float64], luminance: float | None
) -> NDArray[np.float64]:
    """The colour of a skin, of a luminance where one is held, as light or dark
    as skins are at most.
    """
    if luminance is None:
        return _mixed(_SKINS, darkness) * tint
    tinted = _SKINS * tint
    there = (tinted @ _LUMINANCE)[::-1]
    of_luminance = np.interp(luminance, there, np.linspace(1, 0, len(there)))
    return _mixed(tinted, of_luminance)


def _mixed(
    stops: NDArray[np.float64], position: ArrayLike
) -> NDArray[np.float64]:
    """The colour between stops at a position, of which what lies beyond 0 … 1
    is cut off.
    """
    return _between(stops, float(np.clip(position, 0, 1)))


def _draw_stubble(rng: Generator, sex: float) -> float:
    """How dark the beard is; none for women, and for two men of five."""
    if sex <= 0.5 or rng.uniform() >= 0.6:
        return 0.0
    return rng.uniform(0, 0.45)


def _between(
    stops: NDArray[np.float64], position: float | np.floating[Any]
) -> NDArray[np.float64]:
    """Interpolate linearly between evenly spaced colours; position in 0 … 1."""
    grid = np.linspace(0, 1, len(stops))
    return np.array(
        [np.interp(position, grid, channel) for channel in stops.T]
    )


STUDIO = Scene(
    light=np.array([-0.32, 0.42, 0.85]),
    key=1.0,
    fill=0.45,
    background=0.12,
    turn=np.eye(3),
    zoom=1.0,
    shift=(0.0, 0.0),
)
"""A frontal face under a fixed light: what the ``dose`` protocol holds still."""


def draw_scene(
    rng: Generator, population: Population = POPULATIONS["mixed"]
) -> Scene:
    """Draw a light from the front hemisphere, a small turn of the head and a
    slightly misplaced camera.
    """
    light = np.array(
        [
            rng.uniform(*side)
            for side in (population.across, population.up, population.ahead)
        ]
    )
    return Scene(
        light=light / np.linalg.norm(light),
        key=rng.uniform(*population.key),
        fill=rng.uniform(*population.fill),
        background=rng.uniform(*population.background),
        turn=_turn(*np.radians(rng.normal(0, (5.0, 3.5, 2.5)))),
        zoom=rng.uniform(0.94, 1.08),
        shift=(rng.normal(0, 0.02), rng.normal(0, 0.02)),
    )


def further(scene: Scene, margin: float) -> Scene:
    """Take a scene from so far that more is seen around the face.

    Args:
        scene: The scene.
        margin: A share of the picture's side, added all round.

    Returns:
        The same from further away.

    >>> further(STUDIO, 0.5).zoom
    0.5
    """
    return replace(scene, zoom=scene.zoom / (1 + 2 * margin))


def drift(scene: Scene, rng: Generator) -> Scene:
    """Move head and camera a little, as between two frames of one film; the
    light stays.
    """
    return replace(
        scene,
        turn=_turn(*np.radians(rng.normal(0, (1.5, 1.2, 0.8)))) @ scene.turn,
        zoom=scene.zoom * rng.uniform(0.99, 1.01),
        shift=(
            scene.shift[0] + rng.normal(0, 0.006),
            scene.shift[1] + rng.normal(0, 0.006),
        ),
    )


def _turn(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    matrix: NDArray[np.float64] = Rotation.from_euler(
        "yxz", [yaw, pitch, roll]
    ).as_matrix()
    return matrix
