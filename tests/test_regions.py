from __future__ import annotations

import numpy as np
import pytest

from duchenne import facs
from duchenne.evidence.region_energy import energies, looked_at
from duchenne.faces.avatars import people
from duchenne.faces.avatars.basis import HeadBasis
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.geometry import regions
from duchenne.units import Windows


@pytest.fixture(scope="module")
def face(basis: HeadBasis, studio: Studio) -> tuple[Shot, np.ndarray, np.ndarray]:
    """A neutral face, its landmarks, and the region of every pixel."""
    shot = Shot(people.draw_person(basis, np.random.default_rng(0)), people.STUDIO, {})
    (points,) = studio.landmarks([shot], size=96)
    return shot, points, regions.regions(points.astype(float), 96)


def test_landmarks_lie_in_their_regions(face: tuple[Shot, np.ndarray, np.ndarray]) -> None:
    _, points, found = face
    places = {
        "brow": (19, 24),
        "eye": (37, 44),
        "nose": (29, 33),
        "mouth": (49, 57, 62),
        "chin": (8,),
        "cheek": (3, 13),
    }
    inwards = points.mean(0)
    for name, numbers in places.items():
        for number in numbers:
            column, row = np.floor(points[number] + 0.05 * (inwards - points[number])).astype(int)
            assert regions.REGIONS[found[row, column]] == name
    assert found[0, 0] == regions.OUTSIDE
    forehead = points[19:25].mean(0) - [0, 0.3 * (points[8, 1] - points[27, 1])]
    assert regions.REGIONS[found[int(forehead[1]), int(forehead[0])]] == "brow"


@pytest.mark.parametrize("number", [1, 2, 4, 5, 9, 12, 15, 18, 25, 43])
def test_what_an_action_unit_moves_lies_in_its_region(
    number: int, studio: Studio, face: tuple[Shot, np.ndarray, np.ndarray]
) -> None:
    shot, _, found = face
    moved, own = (
        studio.moved(shot, number),
        found == regions.REGIONS.index(facs.ACTION_UNITS[number].region),
    )
    assert moved[own].mean() > moved[~own & (found >= 0)].mean()


def test_where_landmarks_are_not_known_all_is_outside() -> None:
    assert (regions.regions(np.full((68, 2), np.nan), 20) == regions.OUTSIDE).all()


def test_energies_are_shares_of_squared_projections_against_shares_of_the_field() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([[0, 0, 6, 6], [2, 1, 8, 7], [0, 0, 6, 6], [2, 2, 8, 8]])
    pixels = [rng.normal(size=(2, 6, 6)).astype(np.float32) for _ in range(4)]
    maps = rng.integers(-1, 6, (4, 8, 8)).astype(np.int8)
    maps[3] = -1  # a face that is not known
    units = np.array([5, 5, 2, 5])
    found = energies(Windows(pixels, boxes), units, maps).set_index(["unit", "region"])
    for unit, numbers in {5: (0, 1), 2: (2,)}.items():
        for region, name in enumerate(regions.REGIONS):
            inside = whole = area = 0.0
            for n in numbers:
                x0, y0, x1, y1 = boxes[n]
                for row in range(y0, y1):
                    for column in range(x0, x1):
                        energy = float(
                            (pixels[n][:, row - y0, column - x0].astype(float) ** 2).sum()
                        )
                        whole += energy
                        inside += energy * (maps[n, row, column] == region)
                        area += maps[n, row, column] == region
            row = found.loc[(unit, name)]
            assert row["energy"] == pytest.approx(inside / whole)
            assert row["area"] == pytest.approx(area / (36 * len(numbers)))
            assert row["enrichment"] == pytest.approx(inside / whole / (area / (36 * len(numbers))))
            assert row["pictures"] == len(numbers)


def test_a_unit_looks_at_the_region_that_has_most_more_of_the_energy_than_of_the_area() -> None:
    maps = np.full((1, 10, 10), regions.REGIONS.index("cheek"), np.int8)
    maps[0, 0, :2] = regions.REGIONS.index("eye")
    maps[0, 5:] = regions.REGIONS.index("mouth")
    pixels = np.where(maps == regions.REGIONS.index("mouth"), 2.0, 1.0).astype(np.float32)
    pixels[0, 0, :2] = 4
    found = energies(Windows([pixels], np.array([[0, 0, 10, 10]])), np.array([3]), maps)
    assert found.set_index("region")["enrichment"].idxmax() == "eye"
    assert looked_at(found)[["unit", "region"]].values.tolist() == [[3, "mouth"]]


def test_units_that_look_at_the_background_look_at_no_region() -> None:
    maps = np.full((2, 10, 10), -1)
    maps[:, 5:, :] = regions.REGIONS.index("mouth")
    background, mouth = (np.zeros((1, 10, 10), np.float32) for _ in range(2))
    background[0, :5], mouth[0, 5:] = 1, 1
    windows = Windows([background, mouth], np.tile([0, 0, 10, 10], (2, 1)))
    assert looked_at(energies(windows, np.array([3, 8]), maps))[
        ["unit", "region"]
    ].values.tolist() == [[8, "mouth"]]
