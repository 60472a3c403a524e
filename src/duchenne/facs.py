"""The vocabulary of the Facial Action Coding System: action units,
intensities, expressions, prototypes.

Data and look-ups only. Numbers, names and muscles follow the FACS manual
(Ekman, Friesen & Hager 2002); 41, 42 and 44 are codes of its first edition
(1978), which the second grades as 43 (to droop, slit) and 7. The face-model
shapes are those that the packaged head knows, named as in ARKit, and two that
``faces.avatars.basis`` makes of them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Region = Literal[
    "brow",
    "eye",
    "nose",
    "cheek",
    "mouth",
    "chin",
    "jaw",
    "neck",
    "head",
    "gaze",
]

EXPRESSIONS = (
    "neutral",
    "anger",
    "contempt",
    "disgust",
    "fear",
    "happiness",
    "sadness",
    "surprise",
)
"""The eight expressions in the order of CK+ (codes 0 to 7)."""

SPELLINGS = {
    "angry": "anger",
    "happy": "happiness",
    "joy": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "disgusted": "disgust",
    "contemptuous": "contempt",
    "calm": "neutral",
    "normal": "neutral",
    "neutrality": "neutral",
    "suprise": "surprise",
} | {name: name for name in EXPRESSIONS}
"""Names of expressions that are understood, lower case."""


def nearest_expression(name: str) -> str | None:
    """Find the expression that a name which is not understood may mean.

    Args:
        name: As in ``happyness``.

    Returns:
        The expression; nothing where the name is near none.

    >>> nearest_expression("happyness"), nearest_expression("awake")
    ('happiness', None)
    """
    near = difflib.get_close_matches(name.lower(), SPELLINGS, 1, cutoff=0.75)
    return SPELLINGS[near[0]] if near else None


SUPERSETS = {
    "positive": ("happiness", "surprise"),
    "neutral": ("neutral",),
    "negative": ("anger", "disgust", "fear", "sadness"),
}
"""The three classes of mousavi2016, and the expressions that each holds;
contempt belongs to none.
"""

SUPERSET_OF = {
    name: superset for superset, names in SUPERSETS.items() for name in names
}
"""The class of mousavi2016 that an expression belongs to."""

INTENSITIES = {"A": 0.2, "B": 0.4, "C": 0.6, "D": 0.8, "E": 1.0}
"""FACS intensity letters and the share of a full contraction that they stand
for when a face is rendered.
"""


@dataclass(frozen=True)
class ActionUnit:
    """One code of FACS.

    ``shapes`` holds the weight of each face-model shape at intensity E; it is
    empty where the model has none. Weights above 1 were set by eye, where the
    model's own full action falls short of what FACS calls maximal (the brows
    rise 5 mm at weight 1).
    """

    number: int
    name: str
    muscles: tuple[str, ...]
    region: Region
    shapes: dict[str, float] = field(default_factory=dict, hash=False)
    implies: tuple[int, ...] = ()
    excludes: tuple[int, ...] = ()

    @property
    def code(self) -> str:
        """The code as it is written in tables.

        >>> ACTION_UNITS[1].code
        'AU01'
        """
        return code(self.number)

    @property
    def rendered(self) -> bool:
        """Whether the face model can show this action unit."""
        return bool(self.shapes)

    @property
    def sided(self) -> bool:
        """Whether the face model can show this action unit on one side of the
        face alone.

        >>> ACTION_UNITS[12].sided, ACTION_UNITS[26].sided, ACTION_UNITS[61].sided
        (True, False, False)
        """
        sides = {
            shape.removesuffix("Left").removesuffix("Right")
            for shape in self.shapes
        }
        return 2 * len(sides) == len(self.shapes) and self.region != "gaze"


def code(number: int) -> str:
    """Spell an action unit's number as a column name.

    >>> code(4)
    'AU04'
    """
    return f"AU{number:02d}"


def coded(code: str) -> ActionUnit:
    """The action unit of a column's name.

    >>> coded("AU04").name
    'Brow Lowerer'
    """
    return ACTION_UNITS[int(code.removeprefix("AU"))]


def _both(*shapes: str, weight: float = 1.0) -> dict[str, float]:
    return {
        shape + side: weight for shape in shapes for side in ("Left", "Right")
    }


_ORBICULARIS_ORIS = "orbicularis oris"

ACTION_UNITS: dict[int, ActionUnit] = {
    unit.number: unit
    for unit in (
        ActionUnit(
            1,
            "Inner Brow Raiser",
            ("frontalis, pars medialis",),
            "brow",
            {"browInnerUp": 1.6},
        ),
        ActionUnit(
            2,
            "Outer Brow Raiser",
            ("frontalis, pars lateralis",),
            "brow",
            _both("browOuterUp", weight=1.5),
        ),
        ActionUnit(
            4,
            "Brow Lowerer",
            ("corrugator supercilii", "depressor supercilii", "procerus"),
            "brow",
            _both("browDown", weight=1.4),
        ),
        ActionUnit(
            5,
            "Upper Lid Raiser",
            ("levator palpebrae superioris",),
            "eye",
            _both("eyeWide", weight=1.25),
            excludes=(43,),
        ),
        ActionUnit(
            6,
            "Cheek Raiser",
            ("orbicularis oculi, pars orbitalis",),
            "cheek",
            _both("cheekSquint", weight=0.9),
        ),
        ActionUnit(
            7,
            "Lid Tightener",
            ("orbicularis oculi, pars palpebralis",),
            "eye",
            _both("eyeSquint", weight=1.3),
        ),
        ActionUnit(8, "Lips Toward Each Other", (_ORBICULARIS_ORIS,), "mouth"),
        ActionUnit(
            9,
            "Nose Wrinkler",
            ("levator labii superioris alaeque nasi",),
            "nose",
            _both("noseWrinkle", weight=1.8),
        ),
        ActionUnit(
            10,
            "Upper Lip Raiser",
            ("levator labii superioris",),
            "mouth",
            _both("mouthUpperUp"),
        ),
        ActionUnit(11, "Nasolabial Deepener", ("zygomaticus minor",), "cheek"),
        ActionUnit(
            12,
            "Lip Corner Puller",
            ("zygomaticus major",),
            "mouth",
            _both("mouthSmile", weight=0.7),
        ),
        ActionUnit(13, "Sharp Lip Puller", ("levator anguli oris",), "mouth"),
        ActionUnit(
            14,
            "Dimpler",
            ("buccinator",),
            "mouth",
            _both("mouthDimple", weight=1.4),
        ),
        ActionUnit(
            15,
            "Lip Corner Depressor",
            ("depressor anguli oris",),
            "mouth",
            _both("mouthFrown"),
        ),
        ActionUnit(
            16,
            "Lower Lip Depressor",
            ("depressor labii inferioris",),
            "mouth",
            _both("mouthLowerDown"),
            excludes=(24, 28),
        ),
        ActionUnit(
            17,
            "Chin Raiser",
            ("mentalis",),
            "chin",
            {"mouthShrugLower": 1.0, "mouthShrugUpper": 1.0, "chinRaise": 1.0},
            excludes=(27,),
        ),
        ActionUnit(
            18,
            "Lip Pucker",
            ("incisivii labii superioris", "incisivii labii inferioris"),
            "mouth",
            {"mouthPucker": 1.3},
        ),
        ActionUnit(
            19,
            "Tongue Show",
            ("genioglossus",),
            "mouth",
            {"tongueOut": 1.0},
            implies=(25, 26),
        ),
        ActionUnit(
            20,
            "Lip Stretcher",
            ("risorius", "platysma"),
            "mouth",
            _both("mouthStretch", weight=1.4),
            excludes=(18,),
        ),
        ActionUnit(21, "Neck Tightener", ("platysma",), "neck"),
        ActionUnit(
            22,
            "Lip Funneler",
            (_ORBICULARIS_ORIS,),
            "mouth",
            {"mouthFunnel": 1.0},
            excludes=(24, 28),
        ),
        ActionUnit(23, "Lip Tightener", (_ORBICULARIS_ORIS,), "mouth"),
        ActionUnit(
            24,
            "Lip Pressor",
            (_ORBICULARIS_ORIS,),
            "mouth",
            _both("mouthPress", weight=0.8)
            | {
                "mouthRollLower": 0.45,
                "mouthRollUpper": 0.45,
                "mouthPucker": 0.35,
            },
            excludes=(25, 26, 27, 28),
        ),
        ActionUnit(
            25,
            "Lips Part",
            (
                "depressor labii inferioris",
                "relaxation of mentalis",
                "relaxation of orbicularis oris",
            ),
            "mouth",
            _both("mouthLowerDown", weight=0.35)
            | _both("mouthUpperUp", weight=0.2)
            | {"jawOpen": 0.06},
            excludes=(28,),
        ),
        ActionUnit(
            26,
            "Jaw Drop",
            (
                "relaxation of masseter",
                "relaxation of temporalis",
                "relaxation of internal pterygoid",
            ),
            "jaw",
            {"jawOpen": 0.4},
            implies=(25,),
            excludes=(27,),
        ),
        ActionUnit(
            27,
            "Mouth Stretch",
            ("pterygoids", "digastric"),
            "jaw",
            {"jawOpen": 1.0},
            implies=(25,),
        ),
        ActionUnit(
            28,
            "Lip Suck",
            (_ORBICULARIS_ORIS,),
            "mouth",
            {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
        ),
        ActionUnit(
            29, "Jaw Thrust", ("pterygoids",), "jaw", {"jawForward": 1.6}
        ),
        ActionUnit(
            30,
            "Jaw Sideways",
            ("pterygoids", "temporalis"),
            "jaw",
            {"jawLeft": 1.8},
        ),
        ActionUnit(31, "Jaw Clencher", ("masseter",), "jaw"),
        ActionUnit(32, "Lip Bite", (_ORBICULARIS_ORIS, "temporalis"), "mouth"),
        ActionUnit(33, "Cheek Blow", ("buccinator",), "cheek"),
        ActionUnit(
            34,
            "Cheek Puff",
            ("buccinator", _ORBICULARIS_ORIS),
            "cheek",
            {"cheekPuff": 1.3},
            excludes=(25,),
        ),
        ActionUnit(35, "Cheek Suck", ("buccinator",), "cheek"),
        ActionUnit(36, "Tongue Bulge", ("genioglossus",), "cheek"),
        ActionUnit(37, "Lip Wipe", ("genioglossus",), "mouth"),
        ActionUnit(38, "Nostril Dilator", ("nasalis, pars alaris",), "nose"),
        ActionUnit(
            39,
            "Nostril Compressor",
            ("nasalis, pars transversa", "depressor septi nasi"),
            "nose",
        ),
        ActionUnit(40, "Sniff", (), "nose"),
        ActionUnit(
            41,
            "Lid Droop",
            ("relaxation of levator palpebrae superioris",),
            "eye",
        ),
        ActionUnit(42, "Slit", ("orbicularis oculi",), "eye"),
        ActionUnit(
            43,
            "Eyes Closed",
            (
                "relaxation of levator palpebrae superioris",
                "orbicularis oculi",
            ),
            "eye",
            _both("eyeBlink"),
        ),
        ActionUnit(
            44, "Squint", ("orbicularis oculi, pars palpebralis",), "eye"
        ),
        ActionUnit(
            45,
            "Blink",
            (
                "relaxation of levator palpebrae superioris",
                "orbicularis oculi",
            ),
            "eye",
        ),
        ActionUnit(46, "Wink", ("orbicularis oculi",), "eye"),
        ActionUnit(
            51,
            "Head Turn Left",
            ("sternocleidomastoid", "splenius"),
            "head",
            excludes=(52,),
        ),
        ActionUnit(
            52, "Head Turn Right", ("sternocleidomastoid", "splenius"), "head"
        ),
        ActionUnit(
            53, "Head Up", ("splenius", "semispinalis"), "head", excludes=(54,)
        ),
        ActionUnit(
            54, "Head Down", ("longus capitis", "sternocleidomastoid"), "head"
        ),
        ActionUnit(
            55,
            "Head Tilt Left",
            ("scalenes", "sternocleidomastoid"),
            "head",
            excludes=(56,),
        ),
        ActionUnit(
            56, "Head Tilt Right", ("scalenes", "sternocleidomastoid"), "head"
        ),
        ActionUnit(
            57,
            "Head Forward",
            ("sternocleidomastoid",),
            "head",
            excludes=(58,),
        ),
        ActionUnit(58, "Head Back", ("splenius",), "head"),
        ActionUnit(
            61,
            "Eyes Turn Left",
            ("lateral rectus", "medial rectus"),
            "gaze",
            {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
            excludes=(62,),
        ),
        ActionUnit(
            62,
            "Eyes Turn Right",
            ("lateral rectus", "medial rectus"),
            "gaze",
            {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
        ),
        ActionUnit(
            63,
            "Eyes Up",
            ("superior rectus",),
            "gaze",
            _both("eyeLookUp", weight=1.4),
            excludes=(64,),
        ),
        ActionUnit(
            64,
            "Eyes Down",
            ("inferior rectus",),
            "gaze",
            _both("eyeLookDown", weight=1.2),
        ),
    )
}
"""Every code from 1 to 46 and the head and eye codes 51 to 64, by number; 3 is
none.
"""


def rendered() -> tuple[int, ...]:
    """List the action units that the face model can show.

    >>> 12 in rendered(), 11 in rendered()
    (True, False)
    """
    return tuple(
        number for number, unit in ACTION_UNITS.items() if unit.rendered
    )


def excluded(first: int, second: int) -> bool:
    """Say whether two action units cannot be shown at once.

    >>> excluded(26, 27), excluded(27, 26), excluded(1, 2)
    (True, True, False)
    """
    return (
        second in ACTION_UNITS[first].excludes
        or first in ACTION_UNITS[second].excludes
    )


@dataclass(frozen=True)
class Prototype:
    """The action units that one source gives for one expression.

    ``required`` must all be shown, ``optional`` may be. ``grades`` bounds
    intensities (lowest, highest; 1 to 5 = A to E) where the source does, of
    action units that are shown. ``sides``: whether the expression is one of
    both halves of the face, of one, or of either kind.
    """

    expression: str
    source: str
    required: frozenset[int]
    optional: frozenset[int] = frozenset()
    grades: dict[int, tuple[int, int]] = field(
        default_factory=dict, hash=False
    )
    sides: Literal["both", "one", "either"] = "both"

    def matches(
        self,
        action_units: Iterable[int],
        intensities: Mapping[int, int] | None = None,
    ) -> bool:
        """Say whether a face shows all that the prototype asks for, and
        nothing stronger or weaker than it allows.

        Args:
            action_units: The action units that are shown.
            intensities: Of these, 1 to 5 = A to E; bounds of those that are
                not named here are not checked.

        >>> prototypes("happiness", "ckplus")[0].matches({6, 12})
        True
        >>> [
        ...     prototypes("surprise", "ckplus")[0].matches({1, 2, 5}, {5: grade})
        ...     for grade in (2, 4)
        ... ]
        [True, False]
        """
        if not self.required <= set(action_units):
            return False
        known = intensities or {}
        bounds = [
            (known[number], *bound)
            for number, bound in self.grades.items()
            if number in known
        ]
        return all(
            lowest <= grade <= highest for grade, lowest, highest in bounds
        )


SOURCES = {
    "ckplus": (
        "Lucey, Cohn, Kanade, Saragih, Ambadar & Matthews (2010), The Extended Cohn-Kanade Dataset "
        "(CK+): A complete dataset for action unit and emotion-specified expression, CVPR "
        "Workshops, Table 1"
    ),
    "facs1978": (
        "Ekman & Friesen (1978), Facial Action Coding System, Table 11-1, of which these are 'the "
        "most intense combinations' as a paper in Methods of Psychological Research Online, issue "
        "4, chose them; surprise with 27 besides"
    ),
    "emfacs": (
        "Ekman's EMFACS combinations as tabulated by Snoek et al. (2023), Testing, explaining, and "
        "exploring models of facial expressions of emotions, Science Advances 9, eabq8421"
    ),
}
"""Where each list of prototypes was published."""


def _listed(
    source: str, *entries: tuple[str, set[int], set[int]]
) -> tuple[Prototype, ...]:
    return tuple(
        Prototype(name, source, frozenset(required), frozenset(optional))
        for name, required, optional in entries
    )


PROTOTYPES: tuple[Prototype, ...] = (
    *_listed(
        "ckplus",
        ("anger", {23, 24}, set()),
        ("disgust", {9}, set()),
        ("disgust", {10}, set()),
        ("fear", {1, 2, 4}, set()),
        ("happiness", {12}, set()),
        ("sadness", {1, 4, 15}, set()),
        ("sadness", {11}, set()),
        ("sadness", {6, 15}, set()),
    ),
    Prototype("contempt", "ckplus", frozenset({14}), sides="either"),
    Prototype("fear", "ckplus", frozenset({1, 2, 5}), grades={5: (5, 5)}),
    Prototype("surprise", "ckplus", frozenset({1, 2}), grades={5: (1, 2)}),
    Prototype("surprise", "ckplus", frozenset({5}), grades={5: (1, 2)}),
    *_listed(
        "facs1978",
        ("anger", {4, 5, 7, 24}, set()),
        ("disgust", {4, 10, 17}, set()),
        ("fear", {1, 2, 4, 5, 20, 25}, set()),
        ("happiness", {6, 12, 25}, set()),
        ("sadness", {1, 4, 15}, set()),
    ),
    Prototype(
        "surprise", "facs1978", frozenset({1, 2, 5, 26}), grades={5: (1, 2)}
    ),
    Prototype(
        "surprise", "facs1978", frozenset({1, 2, 5, 27}), grades={5: (2, 2)}
    ),
    *_listed(
        "emfacs",
        ("anger", {4, 5, 7, 23}, {17}),
        ("disgust", {9}, {17}),
        ("disgust", {10}, {17}),
        ("fear", {1, 2, 4, 5}, {26}),
        ("happiness", {6, 12}, set()),
        ("sadness", {1, 4, 15}, {17}),
    ),
)
"""Published prototypes, several for an expression where the source lists
several.
"""


def prototypes(
    expression: str, source: str | None = None
) -> tuple[Prototype, ...]:
    """Find the published prototypes of an expression.

    Raises ``KeyError`` for an expression or a source that is not known.

    >>> [sorted(p.required) for p in prototypes("surprise")]
    [[1, 2], [5], [1, 2, 5, 26], [1, 2, 5, 27]]
    >>> sorted(prototypes("fear", "emfacs")[0].optional)
    [26]
    """
    if expression not in EXPRESSIONS:
        raise KeyError(
            f"expression {expression!r}: not one of {', '.join(EXPRESSIONS)}"
        )
    if source is not None and source not in SOURCES:
        raise KeyError(f"source {source!r}: not one of {', '.join(SOURCES)}")
    return tuple(
        p
        for p in PROTOTYPES
        if p.expression == expression and source in (None, p.source)
    )
