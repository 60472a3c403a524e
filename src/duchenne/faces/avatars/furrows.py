"""Lines, folds and furrows that an action unit draws into the skin, as arcs on
the rest head.

The mesh is too coarse to show them, and FACS coders read them. Positions are
in decimetres on the subject's left half (x > 0) of the rest head; the other
half mirrors them. ``deepens`` gives the depth that each action unit adds at
intensity E; ``resting`` the depth that an old face shows at rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Furrow:
    """One arc: a chord from start to end, bent by ``bend`` at its middle,
    ``width`` dm to 1/e.
    """

    name: str
    start: tuple[float, float]
    end: tuple[float, float]
    bend: float
    width: float
    deepens: dict[int, float] = field(default_factory=dict)
    resting: float = 0.0


FURROWS: tuple[Furrow, ...] = (
    Furrow(
        "forehead, low, middle",
        (-0.02, 7.60),
        (0.24, 7.61),
        0.012,
        0.020,
        {1: 0.9},
        0.12,
    ),
    Furrow(
        "forehead, high, middle",
        (-0.02, 7.70),
        (0.26, 7.71),
        0.012,
        0.020,
        {1: 0.8},
        0.16,
    ),
    Furrow(
        "forehead, low, side",
        (0.20, 7.61),
        (0.47, 7.56),
        0.02,
        0.020,
        {2: 0.9},
        0.10,
    ),
    Furrow(
        "forehead, high, side",
        (0.22, 7.71),
        (0.50, 7.66),
        0.02,
        0.020,
        {2: 0.8},
        0.12,
    ),
    Furrow(
        "glabella",
        (0.050, 7.33),
        (0.070, 7.50),
        0.012,
        0.016,
        {4: 1.0, 9: 0.3},
        0.15,
    ),
    Furrow(
        "root of the nose",
        (-0.01, 7.24),
        (0.080, 7.22),
        0.01,
        0.016,
        {9: 1.0, 4: 0.2},
        0.05,
    ),
    Furrow(
        "side of the nose",
        (0.045, 7.16),
        (0.110, 7.05),
        -0.012,
        0.016,
        {9: 0.9},
    ),
    Furrow(
        "lower lid",
        (0.19, 7.125),
        (0.43, 7.15),
        -0.045,
        0.020,
        {6: 0.8, 7: 0.55},
        0.25,
    ),
    Furrow(
        "crow's foot, upper",
        (0.47, 7.25),
        (0.56, 7.30),
        0.0,
        0.013,
        {6: 0.8},
        0.15,
    ),
    Furrow(
        "crow's foot, lower",
        (0.47, 7.18),
        (0.57, 7.15),
        0.0,
        0.013,
        {6: 0.9},
        0.15,
    ),
    Furrow(
        "nasolabial fold",
        (0.165, 6.88),
        (0.315, 6.58),
        0.035,
        0.034,
        {6: 0.25, 9: 0.5, 10: 0.6, 12: 0.7, 20: 0.15},
        0.30,
    ),
    Furrow(
        "dimple", (0.290, 6.61), (0.300, 6.49), 0.0, 0.018, {14: 1.0, 12: 0.3}
    ),
    Furrow(
        "below the lip corner",
        (0.235, 6.49),
        (0.270, 6.36),
        0.02,
        0.020,
        {15: 0.9, 20: 0.4},
        0.15,
    ),
    Furrow(
        "chin boss",
        (-0.02, 6.375),
        (0.150, 6.33),
        0.03,
        0.020,
        {17: 1.0, 15: 0.3},
        0.10,
    ),
)
