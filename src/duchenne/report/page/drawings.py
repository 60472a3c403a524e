"""Small drawings for the page, as SVG: a face with the place where an action
unit acts, bars beside their null, and answers to doses. Each takes numbers and
returns markup whose colours are those of the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from numpy.typing import NDArray

from duchenne import facs
from duchenne.evidence import detecting
from duchenne.faces.acting import PLACES
from duchenne.faces.avatars.basis import head_basis
from duchenne.faces.avatars.people import STUDIO, Person
from duchenne.faces.avatars.raster import blank_look
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.geometry.regions import REGIONS, regions

Points = NDArray[np.floating]
_SIZE = 160  # of the drawn face, in pixels of its own
_LINES = (
    (range(17), False),
    (range(17, 22), False),
    (range(22, 27), False),
    (range(27, 31), False),
    (range(31, 36), False),
    (range(36, 42), True),
    (range(42, 48), True),
    (range(48, 60), True),
    (range(60, 68), True),
)
"""The 68 landmarks as lines: jaw, brows, nose, eyes, lips; and whether each
closes.
"""


# a face


@dataclass(frozen=True)
class _MeanFace:
    """The mean head from the front: its landmarks (68, 2) at rest and under
    each action unit at its strongest, and where each of these moves the skin
    (size, size).
    """

    rest: Points
    moved: dict[str, Points]
    places: dict[str, NDArray[np.bool_]]


@lru_cache(maxsize=1)
def _mean_face() -> _MeanFace:
    basis = head_basis()
    studio = Studio(basis)
    person = Person(basis.rest, blank_look(), 0.5)
    at_rest = Shot(person, STUDIO, {})
    strongest = {
        facs.code(number): Shot(person, STUDIO, {number: (1.0, 1.0)})
        for number in facs.rendered()
    }
    rest, *moved = studio.landmarks([at_rest, *strongest.values()], _SIZE)
    skin = dict(zip(strongest, studio.regions(at_rest, _SIZE), strict=True))
    return _MeanFace(
        rest=rest,
        moved=dict(zip(strongest, moved, strict=True)),
        places=_named_regions(rest) | skin,
    )


def _named_regions(landmarks: Points) -> dict[str, NDArray[np.bool_]]:
    """Where action units that are not rendered act: regions between landmarks."""
    where = regions(landmarks.astype(np.float64), _SIZE)
    named = {
        facs.code(number): [
            REGIONS.index(name) for name in PLACES[unit.region]
        ]
        for number, unit in facs.ACTION_UNITS.items()
        if unit.region in PLACES
    }
    return {code: np.isin(where, parts) for code, parts in named.items()}


def face(action_unit: str) -> Markup:
    """Draw a face at rest in thin lines, the same under an action unit in
    thick ones, and the skin that it moves.

    Where the face model cannot show the action unit, the region that FACS
    names is marked.

    >>> drawn = face("AU12")
    >>> drawn.count("<svg"), "Lip Corner Puller" in drawn
    (1, True)
    """
    found = _mean_face()
    lines = {"rest": _lines(found.rest)}
    if action_unit in found.places:
        lines = {"place": _outline(found.places[action_unit]), **lines}
    if action_unit in found.moved:
        lines["moved"] = _lines(found.moved[action_unit])
    path = Markup('<path class="{}" d="{}"/>')
    drawn = Markup("").join(
        path.format(kind, line) for kind, line in lines.items()
    )
    label = f"A face at rest and under {action_unit} {facs.coded(action_unit).name}"
    return Markup(
        '<svg class="face" viewBox="12 4 136 152" role="img" aria-label="{}">{}</svg>'
    ).format(label, drawn)


def _lines(points: Points) -> str:
    return "".join(
        _path(points[list(line)], closed) for line, closed in _LINES
    )


def _path(points: Iterable[Sequence[float]], closed: bool) -> str:
    return (
        "M"
        + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        + ("Z" if closed else "")
    )


def _outline(mask: NDArray[np.bool_]) -> str:
    """The outlines of a mask, simplified to a pixel."""
    contours, _ = cv2.findContours(
        mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    simpler = (
        cv2.approxPolyDP(contour, 0.8, True)[:, 0] + 0.5
        for contour in contours
        if cv2.contourArea(contour) > 8
    )
    return "".join(_path(points, True) for points in simpler)


# bars

_STEP = 22
_HEIGHT = 54
_BELOW = 34


def bars(pairs: pd.DataFrame, level: float) -> Markup:
    """A bar for each of one unit's action units: r, hollow where negative,
    over a line at r under permuted labels; those that are detected have a dot.

    Args:
        pairs: Rows of ``match`` of one unit.
        level: The highest family-wise p.

    Returns:
        SVG.

    >>> row = {"au": "AU12", "r": 0.5, "r_null": 0.1, "p": 0.001}
    >>> bars(pd.DataFrame([row]), 0.05).count("<rect")
    1
    """
    largest = max(0.3, float(pairs["r"].abs().max()))
    strongest = pairs["r"].idxmax()
    found = detecting(pairs, level)
    parts = []
    for index, (number, row) in enumerate(pairs.iterrows()):
        kind = "less" if row["r"] < 0 else "bar"
        if number == strongest:
            kind = "most"
        parts.append(
            _bar(row, index * _STEP, kind, bool(found[number]), largest)
        )
    label = f"Correlation with each action unit, at most {largest:.2f}"
    return Markup(  # noqa: S704  (numbers and escaped names only)
        f'<svg class="bars" viewBox="0 0 {len(pairs) * _STEP} {_HEIGHT + _BELOW - 6}" '
        f'role="img" aria-label="{label}">' + "".join(parts) + "</svg>"
    )


def _bar(row: pd.Series, x: int, kind: str, sure: bool, largest: float) -> str:
    """One bar, over a line at r under permuted labels, with a dot where the
    pair is detected.
    """
    height = _HEIGHT * abs(row["r"]) / largest
    null = _HEIGHT * abs(row["r_null"]) / largest
    top = _HEIGHT - height
    middle = x + 11
    parts = [
        f"<g><title>{escape(_title(row))}</title>",
        f'<rect class="{kind}" x="{x + 3}" y="{top + 8:.1f}" ',
        f'width="16" height="{max(height, 0.5):.1f}"/>',
        f'<path class="null" d="M{x + 1} {_HEIGHT - null + 8:.1f}h20"/>',
    ]
    if sure:
        parts.append(
            f'<circle class="sure" cx="{middle}" cy="{top + 3:.1f}" r="2.5"/>'
        )
    number = row["au"][2:].lstrip("0")
    parts.append(f'<text x="{middle}" y="{_HEIGHT + 22}">{number}</text></g>')
    return "".join(parts)


def _title(row: pd.Series) -> str:
    """What a bar says when it is pointed at."""
    code = row["au"]
    return (
        f"{code} {facs.coded(code).name}: r {row['r']:.2f}, p {row['p']:.3f}"
    )


# curves

_WIDE = 150
_HIGH = 78


@dataclass(frozen=True)
class Doses:
    """What one unit answers to growing doses: ``mean`` (action units, doses)
    in its standard deviations, the 95 % interval over people of the one that
    moves it most, ``low`` and ``high`` (doses,), and the names (action
    units,).
    """

    mean: Points
    low: Points
    high: Points
    names: tuple[str, ...]

    @property
    def order(self) -> NDArray[np.int64]:
        """Action units by how far their strongest dose moves the unit."""
        return np.argsort(-np.abs(self.mean[:, -1]), kind="stable")


def curves(doses: Doses) -> Markup:
    """Answers of one unit to growing doses of every action unit: the one that
    moves it most with its interval, the next dashed, all others thin.

    >>> mean = np.array([[0.0, 1.0, 2.0], [0.0, 0.1, 0.1]])
    >>> curves(Doses(mean, mean[0] - 0.1, mean[0] + 0.1, ("AU12", "AU25"))).count(
    ...     "<path"
    ... )
    4
    """
    most, *others = doses.order
    frame = _Frame.around(doses)
    strongest = doses.mean[most]
    parts = [
        _thin(frame, doses.mean[others[1:]]),
        f'<path class="null" d="M0 {frame.zero:.1f}h{_WIDE}"/>',
        f'<path class="band" d="{_band(frame, doses)}"/>',
    ]
    if others:
        parts.append(_curve("next", frame, doses.mean[others[0]]))
    parts.append(_curve("most", frame, strongest))
    end = _between(frame.placed(strongest)[-1, 1])
    parts += _labels(frame, doses.names[most], end)
    return _drawing(
        "curves",
        f"Answers to growing doses; most to {doses.names[most]}",
        parts,
    )


def _drawing(kind: str, label: str, parts: Sequence[str]) -> Markup:
    """A drawing of curves, to be described by a label."""
    box = f"-30 -4 {_WIDE + 66} {_HIGH + 22}"
    return Markup(  # noqa: S704  (numbers and names of action units only)
        f'<svg class="{kind}" viewBox="{box}" '
        f'role="img" aria-label="{label}">' + "".join(parts) + "</svg>"
    )


def _labels(frame: _Frame, name: str, end: float) -> list[str]:
    """The doses below the curves, the name where the strongest one ends, and
    the range.
    """
    below = _HIGH + 14
    return [
        f'<text x="0" y="{below}">–</text>',
        f'<text x="{_WIDE}" y="{below}" class="end">E</text>',
        f'<text x="{_WIDE + 5}" y="{end:.1f}" class="most">{name}</text>',
        f'<text x="-5" y="8" class="end">{_signed(frame.highest)}</text>',
        f'<text x="-5" y="{_HIGH}" class="end">{_signed(frame.lowest)}</text>',
    ]


@dataclass(frozen=True)
class _Frame:
    """The range of answers that the curves are drawn in."""

    lowest: float
    highest: float

    @classmethod
    def around(cls, doses: Doses) -> _Frame:
        lowest = min(0.0, doses.mean.min(), doses.low.min())
        highest = max(0.0, doses.mean.max(), doses.high.max())
        return cls(float(lowest), float(highest))

    @property
    def zero(self) -> float:
        """How far down an answer of nothing stands."""
        return self.highest / self._range * _HIGH

    @property
    def _range(self) -> float:
        return max(self.highest - self.lowest, 1e-6)

    def placed(self, values: Points) -> Points:
        """Points (doses, 2) of a curve."""
        across = np.linspace(0, _WIDE, len(values))
        down = (self.highest - values) / self._range * _HIGH
        return np.column_stack([across, down])


def _band(frame: _Frame, doses: Doses) -> str:
    low = frame.placed(doses.low)
    high = frame.placed(doses.high)
    around = np.concatenate([low, high[::-1]])
    return _path(around, closed=True)


def _curve(kind: str, frame: _Frame, values: Points) -> str:
    line = _path(frame.placed(values), closed=False)
    return f'<path class="{kind}" d="{line}"/>'


def _thin(frame: _Frame, curves: Points) -> str:
    """All other curves, as one path."""
    drawn = "".join(_path(frame.placed(curve), False) for curve in curves)
    return f'<path class="thin" d="{drawn}"/>' if drawn else ""


def _between(height: float) -> float:
    return float(np.clip(height + 3, 8, _HIGH))


def _signed(value: float) -> str:
    return f"{value:.1f}".replace("-", "−")
