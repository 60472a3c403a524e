"""Where projections lie, against loops over pixels; and units that look where
an action unit acts by construction.
"""

from __future__ import annotations

import numpy as np
import pytest

from duchenne import facs
from duchenne.evidence.localisation import Localisation, localise
from duchenne.faces import acting
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.rendering import Studio
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.geometry.regions import Lattice, lattice
from duchenne.faces.images.stack import decode
from duchenne.units.projection import Windows


def scattered(seed: int, count: int, size: int = 20) -> tuple[Windows, np.ndarray]:
    rng = np.random.default_rng(seed)
    boxes = np.array([[x, y, x + 6, y + 5] for x, y in rng.integers(0, size - 6, (count, 2))])
    return Windows(
        [rng.normal(0, 1, (2, 5, 6)).astype(np.float32) for _ in boxes], boxes
    ), rng.random((3, size, size)) < 0.2


def test_energy_area_and_pointing_equal_loops_over_pixels() -> None:
    found = Localisation(2, ["AU01", "AU04", "AU12"])
    units = np.array([0, 1, 0, 1])
    told = {"energy": np.zeros((2, 3)), "area": np.zeros((2, 3)), "pointing": np.zeros((2, 3))}
    null = {"energy": np.zeros((2, 3, 6)), "pointing": np.zeros((2, 3, 6))}
    counted, own = np.zeros((2, 2, 3, 6))
    for picture in range(3):
        windows, regions = scattered(picture, 4)
        lattice = Lattice(
            np.array([2, 7, 12]) + picture, np.array([3, 9, 15]), np.arange(9).reshape(3, 3) % 4 > 0
        )
        places = [(x, y) for y in lattice.rows for x in lattice.columns]
        places = [
            place for place, inside in zip(places, lattice.inside.ravel(), strict=True) if inside
        ]
        found.update(windows, units, regions, lattice)
        for unit, pixels, (x0, y0, x1, y1) in zip(
            units, windows.pixels, windows.boxes, strict=True
        ):
            energy = np.zeros((20, 20))
            energy[y0:y1, x0:x1] = (pixels.astype(float) ** 2).sum(0)
            energy /= energy.sum()
            strongest = np.unravel_index(energy.argmax(), energy.shape)
            for au, region in enumerate(regions):
                told["energy"][unit, au] += energy[region].sum() / 6
                told["area"][unit, au] += region[y0:y1, x0:x1].mean() / 6
                told["pointing"][unit, au] += region[strongest] / 6
                middle = np.rint(np.argwhere(region).mean(0)).astype(int)
                for number, (x, y) in enumerate(places):
                    moved = np.zeros((20, 20), bool)
                    for row, column in np.argwhere(region) - middle + (y, x):
                        if 0 <= row < 20 and 0 <= column < 20:
                            moved[row, column] = True
                    inside = moved.sum() / region.sum()
                    if inside >= 0.5:
                        counted[unit, au, number] += 1
                        own[unit, au, number] += energy[region].sum()
                        null["energy"][unit, au, number] += energy[moved].sum() / inside
                        null["pointing"][unit, au, number] += moved[strongest] / inside
    frame = found.compute()
    assert frame["pictures"].eq(6).all()
    for name, values in told.items():
        np.testing.assert_allclose(frame[name], values.ravel(), atol=1e-6)
    assert (counted > 0).any()
    null = {
        name: np.divide(sums, counted, out=np.full_like(sums, np.nan), where=counted > 0)
        for name, sums in null.items()
    }
    for name, values in null.items():
        np.testing.assert_allclose(frame[f"{name}_null"], np.nanmean(values, 2).ravel(), atol=1e-6)
    reached = (null["energy"] * counted >= own).sum(2)
    np.testing.assert_allclose(frame["p"], ((1 + reached) / (1 + (counted > 0).sum(2))).ravel())
    np.testing.assert_allclose(frame["enrichment"], frame["energy"] / frame["area"])


LATTICE = Lattice(np.array([3, 4]), np.array([5, 7]), np.ones((2, 2), bool))


def test_pictures_that_tell_nothing_are_left_out() -> None:
    windows, regions = scattered(0, 2)
    regions[1] = False
    found = Localisation(3, ["AU01", "AU04", "AU12"])
    found.update(windows, np.array([0, 1]), regions, None)
    assert found.compute()["pictures"].eq(0).all()
    found.update(
        Windows([np.zeros((1, 5, 6), np.float32)], windows.boxes[:1]),
        np.array([0]),
        regions,
        LATTICE,
    )
    assert found.compute()["p"].isna().all()
    found.update(windows, np.array([0, 1]), regions, LATTICE)
    assert found.compute()["pictures"].tolist() == [1, 0, 1, 1, 0, 1, 0, 0, 0]


SETTINGS = AvatarSettings(people=2, seed=9, size=48, samples=1)


def test_regions_of_avatars_are_where_the_action_unit_moves_the_skin(studio: Studio) -> None:
    faces = decode(dataset.load(SETTINGS), 48, cut_already=np.ones(56, bool))
    where = acting.from_mesh(faces, SETTINGS)
    shots = dataset.shown(SETTINGS, studio.basis)
    for row in (0, 25):
        masks = dict(zip(where.action_units, where.of(row), strict=True))
        assert masks["AU12"].shape == (48, 48)
        for number in (1, 4, 12, 17, 26):
            moved = studio.moved(shots[faces.table.frame["path"].iloc[row]], number, 48)
            both = masks[facs.code(number)] & moved
            assert both.sum() / (masks[facs.code(number)] | moved).sum() > 0.7


def test_regions_from_landmarks_hold_those_of_the_mesh() -> None:
    faces = decode(dataset.load(SETTINGS), 48, cut_already=np.ones(56, bool))
    mesh, landmarks = (acting.from_mesh(faces, SETTINGS), acting.from_landmarks(faces))
    assert (mesh.source, landmarks.source) == ("mesh", "landmarks")
    mine = dict(zip(mesh.action_units, mesh.of(3), strict=True))
    theirs = dict(zip(landmarks.action_units, landmarks.of(3), strict=True))
    face = np.logical_or.reduce(list(theirs.values())).sum()
    for code in ("AU01", "AU05", "AU10", "AU16"):
        assert (mine[code] & theirs[code]).sum() / mine[code].sum() > 1.5 * theirs[
            code
        ].sum() / face
    assert not (theirs["AU01"] & mine["AU12"]).sum() > 0.1 * mine["AU12"].sum()


def test_points_lie_on_the_face_and_at_the_same_places_of_every_face() -> None:
    faces = decode(dataset.load(SETTINGS), 48, cut_already=np.ones(56, bool))
    for known in faces.landmarks([0, 30]):
        found = lattice(known)
        assert found is not None
        assert 100 < found.inside.sum() < 144
        assert len(set(np.diff(found.columns))) == len(set(np.diff(found.rows))) == 1
        eyes, mouth = known[36:48].mean(0), known[48:68].mean(0)
        for place in (eyes, mouth, known[30]):
            near = [
                np.abs(axis - at).argmin()
                for axis, at in ((found.rows, place[1]), (found.columns, place[0]))
            ]
            assert found.inside[near[0], near[1]]
    assert lattice(np.full((68, 2), np.nan)) is None


@pytest.mark.slow
@pytest.mark.parametrize("looks_at", ["AU01", "AU12", "AU26"])
def test_a_unit_that_looks_where_an_action_unit_acts_is_placed_there(looks_at: str) -> None:
    faces = decode(dataset.load(SETTINGS), 48, cut_already=np.ones(56, bool))
    where, known = (acting.from_mesh(faces, SETTINGS), faces.landmarks(range(56)))
    number = where.action_units.index(looks_at)
    pictures = np.arange(0, 56, 3)
    drawn = [where.of(int(row))[number].astype(np.float32)[None] for row in pictures]
    whole = np.tile([0, 0, 48, 48], (len(pictures), 1))
    frame = localise(
        Windows(drawn, whole),
        np.zeros(len(pictures), int),
        pictures,
        1,
        where.action_units,
        [(where.of(row), lattice(known[row])) for row in pictures],
    )
    told = frame.set_index("au")
    assert told.loc[looks_at, "energy"] == pytest.approx(1)
    assert told.loc[looks_at, "pointing"] == 1
    assert told.loc[looks_at, "p"] < 0.02
    assert told.loc[looks_at, "energy_null"] < 0.6
    apart = {"AU01": "AU17", "AU12": "AU01", "AU26": "AU01"}[looks_at]
    assert told.loc[apart, "energy"] < 0.1
    assert told.loc[apart, "p"] > 0.2


def test_what_sees_everything_alike_is_placed_nowhere() -> None:
    faces = decode(dataset.load(SETTINGS), 48, cut_already=np.ones(56, bool))
    where, known = (acting.from_mesh(faces, SETTINGS), faces.landmarks(range(56)))
    pictures, rng = (np.arange(0, 56, 4), np.random.default_rng(0))
    whole = np.tile([0, 0, 48, 48], (2 * len(pictures), 1))
    drawn = [np.ones((1, 48, 48), np.float32) for _ in pictures]
    drawn += [rng.normal(0, 1, (1, 48, 48)).astype(np.float32) for _ in pictures]
    units = np.repeat([0, 1], len(pictures))
    frame = localise(
        Windows(drawn, whole),
        units,
        np.tile(pictures, 2),
        2,
        where.action_units,
        [(where.of(row), lattice(known[row])) for row in pictures],
    ).dropna()
    alike, noise = (frame[frame["unit"] == unit] for unit in (0, 1))
    np.testing.assert_allclose(alike["enrichment"], 1)
    assert (alike["p"] > 0.9).all()
    assert (noise["p"] < 0.05).mean() < 0.15


@pytest.mark.parametrize("times", [3, 5, 8])
def test_landmarks_far_beside_the_picture_tell_nothing_or_little(times: float) -> None:
    faces = decode(dataset.load(SETTINGS), 48, cut_already=np.ones(56, bool))
    regions = acting.from_mesh(faces, SETTINGS).of(0)
    found = Localisation(1, [str(number) for number in range(len(regions))])
    window = Windows([np.ones((1, 48, 48), np.float32)], np.array([[0, 0, 48, 48]]))
    found.update(
        window, np.array([0]), regions, lattice((faces.landmarks([0])[0] - 24) * times + 24)
    )
    frame = found.compute().dropna()
    assert (frame["p"] > 0.5).all()
