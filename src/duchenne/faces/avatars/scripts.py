"""Who shows what, frame by frame: the protocols ``posed``, ``apexes``,
``free``, ``dose`` and ``sides``, over the same people.

A protocol is a function ``(people, seed) -> scripts``. A *script* is one
picture to be: subject, sequence, frame, expression, FACS intensities on the
left and right, and the stream of chance that its scene is drawn from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from duchenne import facs

Generator = np.random.Generator
Grades = tuple[int, int]
"""FACS intensity on the subject's left and right: 0 absent, 1 to 5 = A to E."""

FRAMES = 4
"""Pictures of a posed sequence: the neutral first frame and three towards the
apex, as khorrami2015 takes from CK+.
"""

DOSES = (0, 1, 2, 3, 4, 5)
# a person: as many as in the posed protocol, seven sequences of four
_FREE_PICTURES = 28
_EXTRA_CHANCE = 0.25
_UNEVEN_CHANCE = 0.15
_ONE_SIDED = {
    "both": 0.05,
    "either": 0.5,
    "one": 1.0,
}  # chance that lip corners move on one side only
_EXTRAS = (1, 2, 4, 5, 7, 12, 14, 17, 18, 24, 25, 28, 34, 43)
_GAZE = (61, 62, 63, 64)


@dataclass(frozen=True)
class Script:
    """One picture to be: what the labels say of it, and ``scene``, the numbers
    that seed how it is taken.
    """

    subject: int
    sequence: int
    frame: int
    expression: str | None
    grades: Mapping[int, Grades]
    scene: tuple[int, ...]
    still: bool = field(default=False, kw_only=True)


def posed(people: int, seed: int) -> Iterator[Script]:
    """Like CK+: every person poses each of the seven expressions, from neutral
    to the apex.

    The apex holds the action units of one published prototype, some of its
    optional ones, and now and then one that does not belong; the three frames
    towards it start at intensity B or above.
    """
    for subject in range(people):
        for sequence, expression in enumerate(facs.EXPRESSIONS[1:]):
            rng = np.random.default_rng((seed, 1, subject, sequence))
            apex = _pose(expression, rng)
            gaze = (
                {int(rng.choice(_GAZE)): _even(int(rng.integers(1, 4)))}
                if rng.uniform() < 0.15
                else {}
            )
            for frame, share in enumerate(
                (0.0, *sorted(rng.uniform(0.6, 0.95, FRAMES - 2)), 1.0)
            ):
                grades = _along(apex, share) | gaze
                shown = expression if frame else "neutral"
                yield Script(
                    subject,
                    sequence,
                    frame,
                    shown,
                    grades,
                    (seed, 2, subject, sequence),
                )


def apexes(people: int, seed: int) -> Iterator[Script]:
    """Of ``posed`` the last picture of every sequence, and one neutral
    picture of every person.
    """
    for script in posed(people, seed):
        neutral = not script.sequence and not script.frame
        if neutral or script.frame == FRAMES - 1:
            yield script


def free(people: int, seed: int) -> Iterator[Script]:
    """Each action unit on or off by its own coin, so that no action unit
    stands for another; no expression.
    """
    for subject in range(people):
        for sequence in range(_FREE_PICTURES):
            rng = np.random.default_rng((seed, 3, subject, sequence))
            grades: dict[int, Grades] = {}
            for number in rng.permutation(facs.rendered()).tolist():
                if rng.uniform() < 0.15 and _fits(number, grades):
                    grades = (
                        with_implied(
                            {number: _sides(int(rng.integers(1, 6)), rng)}
                        )
                        | grades
                    )
            yield Script(
                subject,
                sequence,
                0,
                None,
                grades,
                (seed, 4, subject, sequence),
            )


def dose(people: int, seed: int) -> Iterator[Script]:
    """One action unit at 0, A … E on one face, all else held still but for
    those that it brings with it at the same intensity: 25 comes with 26, 27
    and 19, and 26 with 19; a sequence for each.
    """
    for subject in range(people):
        for sequence, number in enumerate(facs.rendered()):
            for frame, grade in enumerate(DOSES):
                grades = with_implied({number: _even(grade)}) if grade else {}
                yield Script(
                    subject,
                    sequence,
                    frame,
                    None,
                    grades,
                    (seed, 5, subject),
                    still=True,
                )


def sides(people: int, seed: int) -> Iterator[Script]:
    """One action unit at E on the subject's left alone, then on the right
    alone, on the faces of ``dose``; for those that have sides.
    """
    sided = [
        number for number in facs.rendered() if facs.ACTION_UNITS[number].sided
    ]
    for subject in range(people):
        for sequence, number in enumerate(sided):
            for frame, grades in enumerate(((DOSES[-1], 0), (0, DOSES[-1]))):
                yield Script(
                    subject,
                    sequence,
                    frame,
                    None,
                    {number: grades},
                    (seed, 5, subject),
                    still=True,
                )


PROTOCOLS: dict[str, Callable[[int, int], Iterator[Script]]] = {
    "posed": posed,
    "apexes": apexes,
    "free": free,
    "dose": dose,
    "sides": sides,
}
"""Every protocol by its name in recipes and commands."""


def _pose(expression: str, rng: Generator) -> dict[int, Grades]:
    """Draw the apex of one expression."""
    prototype = _prototype(expression, rng)
    optional = [
        number for number in sorted(prototype.optional) if rng.uniform() < 0.5
    ]
    numbers = [*sorted(prototype.required), *optional]
    one_sided = rng.uniform() < _ONE_SIDED[prototype.sides]
    left = rng.uniform() < 0.5
    grades: dict[int, Grades] = {}
    for number in filter(_is_rendered, numbers):
        grade = _grade(prototype.grades.get(number), rng)
        if one_sided and number in (12, 14):
            grades[number] = (grade, 0) if left else (0, grade)
        else:
            grades[number] = _sides(grade, rng)
    if rng.uniform() < _EXTRA_CHANCE:
        _add_extra(grades, prototype, rng)
    return with_implied(grades)


def _add_extra(
    grades: dict[int, Grades], prototype: facs.Prototype, rng: Generator
) -> None:
    """Add an action unit that is not of the prototype, where it fits."""
    extra = int(rng.choice(_EXTRAS))
    if _fits(extra, grades):
        _, highest = prototype.grades.get(extra, (1, 3))
        grade = int(rng.integers(1, min(3, highest) + 1))
        grades[extra] = _sides(grade, rng)


def _is_rendered(number: int) -> bool:
    return facs.ACTION_UNITS[number].rendered


def _prototype(expression: str, rng: Generator) -> facs.Prototype:
    """Draw one of an expression's prototypes; those of the FACS manual three
    times as often.
    """
    known = facs.prototypes(expression)
    shown = [each for each in known if any(map(_is_rendered, each.required))]
    weights = np.array(
        [3.0 if each.source == "facs1978" else 1.0 for each in shown]
    )
    return shown[rng.choice(len(shown), p=weights / weights.sum())]


def _grade(bounds: tuple[int, int] | None, rng: Generator) -> int:
    """Draw an intensity: C to E, D most often, or any within the prototype's
    bounds.
    """
    if bounds is None:
        return int(rng.choice((3, 4, 5), p=(0.3, 0.4, 0.3)))
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _fits(number: int, grades: Mapping[int, Grades]) -> bool:
    """Say whether an action unit, with those that it brings along, can join
    those already shown.
    """
    joining = {number, *facs.ACTION_UNITS[number].implies}
    shown = {
        *grades,
        *(other for n in grades for other in facs.ACTION_UNITS[n].implies),
    }
    return number not in grades and not any(
        facs.excluded(a, b) for a in joining for b in shown
    )


def _sides(grade: int, rng: Generator) -> Grades:
    """Give both sides the grade, or now and then one side a lower one, as
    faces are rarely even.
    """
    if rng.uniform() < _UNEVEN_CHANCE:
        weaker = max(1, grade - int(rng.integers(1, 3)))
        return (grade, weaker) if rng.uniform() < 0.5 else (weaker, grade)
    return _even(grade)


def _even(grade: int) -> Grades:
    return grade, grade


def with_implied(grades: Mapping[int, Grades]) -> dict[int, Grades]:
    """Add the action units that others bring with them: lips part when the jaw
    drops.

    >>> with_implied({26: (3, 3)})
    {25: (3, 3), 26: (3, 3)}
    """
    brought = {
        other: sides
        for n, sides in grades.items()
        for other in facs.ACTION_UNITS[n].implies
    }
    return brought | dict(grades)


def _along(apex: Mapping[int, Grades], share: float) -> dict[int, Grades]:
    """Grade a frame on the way to the apex: from B upwards, and never beyond
    the apex's own grade.
    """
    if share == 0:
        return {}
    return {
        n: (_rising(left, share), _rising(right, share))
        for n, (left, right) in apex.items()
    }


def _rising(grade: int, share: float) -> int:
    return min(grade, max(2, round(grade * share)))
