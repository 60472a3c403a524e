from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator

from duchenne import networks, recipes
from duchenne.errors import InputError
from duchenne.faces.folds import Fold
from duchenne.faces.images.stack import Stack
from duchenne.faces.preparation import whitening
from duchenne.faces.preparation.steps import STEPS, Preparation
from duchenne.faces.table import FaceTable
from duchenne.networks import Description
from duchenne.training import jobs

LEARNING = [name for name, step in STEPS.items() if step.learn]


def pictures(channels: int = 1, count: int = 40, size: int = 9, seed: int = 0) -> torch.Tensor:
    """Soft noise in 0 … 1: neighbouring pixels, and channels, vary together."""
    drawn = (
        torch.randn(count, 1, size, size, generator=Generator().manual_seed(seed))
        .cumsum(2)
        .cumsum(3)
    )
    tinted = drawn + 0.5 * torch.randn(
        count, channels, size, size, generator=Generator().manual_seed(seed + 1)
    )
    return ((tinted - tinted.min()) / (tinted.max() - tinted.min())).contiguous()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list(STEPS))
def test_every_step_keeps_shape_bears_a_flat_picture_and_looks_at_each_picture_alone(
    name: str, channels: int
) -> None:
    given = pictures(channels)
    prepare = Preparation([name]).fit(given)
    done = prepare(given)
    assert done.shape == given.shape
    torch.testing.assert_close(prepare(given[1:2]), done[1:2], atol=1e-4, rtol=1e-4)
    assert torch.isfinite(prepare(torch.full((1, channels, 9, 9), 0.3))).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list(STEPS))
def test_every_step_undoes_itself_for_display(name: str, channels: int) -> None:
    given = pictures(channels)
    prepare = Preparation([name]).fit(given)
    seen = prepare.undo(prepare(given))
    assert seen.min() >= 0
    assert seen.max() <= 1
    if name in ("scale", *LEARNING):
        torch.testing.assert_close(seen, given, atol=1e-4, rtol=1e-4)
    else:  # what was taken away is gone; what is left still looks like the picture
        alike = [
            np.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]
            for a, b in zip(seen, given, strict=True)
        ]
        assert min(alike) > 0.5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "names", [["mean_picture"], ["equalise", "scale", "zca"], ["standardise", "zca_fourier"]]
)
def test_what_was_learned_is_saved_with_the_network_and_comes_back(
    names: list[str], channels: int, tmp_path: Path
) -> None:
    given = pictures(channels)
    prepare = Preparation(names).fit(given)
    description = Description(
        "zero_bias", ("fear", "anger"), channels=channels, prepare=tuple(names)
    )
    networks.save(
        tmp_path, networks.from_description(description, seed=0), description, prepare.state_dict()
    )
    found = networks.load(tmp_path)
    back = Preparation(found.description.prepare).restore(found.preparation)
    assert torch.equal(back(given), prepare(given))


def test_what_was_not_learned_or_is_missing_is_refused() -> None:
    with pytest.raises(InputError, match="'whiten'"):
        Preparation(["whiten"])
    for name in LEARNING:
        with pytest.raises(InputError, match=f"{name}.*not been fitted"):
            Preparation([name])(pictures())
        with pytest.raises(InputError, match=f"{name}.*not been fitted"):
            Preparation(["scale", name]).restore({})
        learned = Preparation([name]).fit(pictures()).state_dict()
        for key in learned:
            broken = {kept: values for kept, values in learned.items() if kept != key}
            with pytest.raises(InputError, match=f"{name}.*not"):
                Preparation([name]).restore(broken)
    with pytest.raises(InputError, match="1 pictures are too few"):
        Preparation(["zca"]).fit(pictures(count=1))


def test_a_step_learns_from_what_the_steps_before_it_leave() -> None:
    given = pictures()
    learned = Preparation(["scale", "mean_picture"]).fit(given).state_dict()
    torch.testing.assert_close(learned["learned.1.mean"], (2 * given - 1).mean(0))


def test_a_preparation_keeps_full_precision_where_the_network_does_not() -> None:
    given = pictures()
    prepare = Preparation(["zca"]).fit(given)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(prepare(given), prepare.float()(given))
        assert prepare(given).dtype == torch.float32


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_picture_is_numpys(channels: int) -> None:
    given = pictures(channels)
    done = Preparation(["mean_picture"]).fit(given)(given)
    np.testing.assert_allclose(done.numpy(), given.numpy() - given.numpy().mean(0), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_zca_of_every_direction_is_the_inverse_root_of_the_covariance(channels: int) -> None:
    given = pictures(channels, count=2000, size=6)
    flat = given.flatten(1).double().numpy()
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    expected = (flat - flat.mean(0)) @ vectors @ np.diag((values + 1e-4) ** -0.5) @ vectors.T
    done = Preparation(["zca"]).fit(given)(given).flatten(1)
    np.testing.assert_allclose(done, expected, atol=2e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_pictures_have_the_identity_as_their_covariance(channels: int) -> None:
    given = 50 * pictures(
        channels, count=3000, size=6
    )  # so that no direction varies as little as noise does
    white = Preparation(["zca"]).fit(given)(given).flatten(1)
    np.testing.assert_allclose(np.cov(white.T.double().numpy()), np.eye(white.shape[1]), atol=1e-3)


def test_truncated_zca_whitens_its_directions_and_leaves_the_rest_unit_variance_on_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whitening, "_DIRECTIONS", 20)
    given = 50 * pictures(count=3000, size=12)
    prepare = Preparation(["zca"]).fit(given)
    directions = prepare.state_dict()["learned.0.directions"]
    white = prepare(given).flatten(1)
    assert directions.shape == (20, 144)
    np.testing.assert_allclose(np.cov((white @ directions.T).T), np.eye(20), atol=0.01)
    rest = white - white @ directions.T @ directions
    assert (rest.var(0).sum() / (144 - 20)).item() == pytest.approx(1, abs=0.01)


def test_truncated_zca_of_fewer_pictures_than_pixels_leaves_the_rest_unit_variance_on_average() -> (
    None
):
    given = 50 * pictures(count=100, size=20)
    prepare = Preparation(["zca"]).fit(given)
    directions = prepare.state_dict()["learned.0.directions"]
    assert directions.shape == (25, 400)
    white = prepare(given).flatten(1)
    rest = white - white @ directions.T @ directions
    assert (rest.var(0).sum() / (400 - 25)).item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_in_the_fourier_domain_every_frequency_has_the_identity_as_its_covariance(
    channels: int,
) -> None:
    given = 50 * pictures(channels, count=400, size=8)
    white = Preparation(["zca_fourier"]).fit(given)(given).double().numpy()
    waves = np.fft.fft2(white, norm="ortho")
    for row, column in np.ndindex(8, 8):
        at = waves[:, :, row, column]
        covariance = at.T @ at.conj() / (len(at) - 1)
        np.testing.assert_allclose(covariance, np.eye(channels), atol=1e-3)


def test_whitening_in_the_fourier_domain_is_exact_where_pictures_vary_alike_everywhere() -> None:
    """White noise, smoothed around a ring: its covariance is a circulant
    matrix, which the Fourier domain diagonalises.
    """
    noise = torch.randn(60_000, 1, 1, 8, generator=Generator().manual_seed(0))
    given = 10 * (noise + 0.6 * noise.roll(1, 3) + 0.3 * noise.roll(2, 3))
    white = Preparation(["zca_fourier"]).fit(given)(given).flatten(1)
    covariance = np.cov(given.flatten(1).T.double().numpy())
    values, vectors = np.linalg.eigh(covariance)
    expected = (
        (given.flatten(1).numpy() - given.flatten(1).numpy().mean(0))
        @ (vectors * values**-0.5)
        @ vectors.T
    )
    assert np.abs(white.numpy() - expected).mean() < 0.03
    np.testing.assert_allclose(np.cov(white.T), np.eye(8), atol=0.03)


def stack(test_pictures: np.ndarray) -> tuple[Stack, Fold]:
    """Ten people to train on, five to validate, five to test."""
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 256, (60, 1, 24, 24)).astype(np.uint8)
    subject = np.repeat([f"s{i:02d}" for i in range(20)], 3)
    train, validation, test = (np.isin(subject, [f"s{i:02d}" for i in people]) for people in _SIDES)
    stored[test] = test_pictures
    frame = pd.DataFrame({"path": [f"{i}.png" for i in range(60)], "subject": subject})
    frame["expression"] = np.tile(["fear", "anger"], 30)
    return Stack(
        stored, FaceTable(frame, Path()), np.tile(np.eye(2, 3), (len(stored), 1, 1))
    ), Fold(train, validation, test)


_SIDES = (range(10), range(10, 15), range(15, 20))


def test_nothing_is_fitted_on_test_pictures(tmp_path: Path) -> None:
    changes = [
        "training.epochs=1",
        "training.augment='off'",
        "faces.size=24",
        'network.prepare=["mean_picture", "zca"]',
    ]
    recipe = recipes.read("quick", changes)
    learned = []
    for number, test_pictures in enumerate((0, 255)):
        faces, fold = stack(np.full((15, 1, 24, 24), test_pictures, np.uint8))
        (job,) = jobs.listed(recipe, [0], tmp_path / str(number))
        jobs.train_all([job], jobs.Materials(recipe, faces, [fold]))
        learned.append(networks.load(job.folder).preparation)
    one, two = learned
    assert set(one) == {
        f"learned.{n}" for n in ("0.mean", "1.mean", "1.directions", "1.deviations", "1.rest")
    }
    assert all(torch.equal(one[name], two[name]) for name in one)
    np.testing.assert_allclose(one["learned.0.mean"], faces.floats(fold.train).mean(0), atol=1e-6)
    assert not np.allclose(one["learned.0.mean"], faces.floats(~fold.test).mean(0), atol=1e-3)


@pytest.mark.parametrize("name", [*STEPS, "range:-1,1", "subtract:0.5", "divide:0.2"])
def test_a_preparation_can_be_sent_to_another_process(name: str) -> None:
    pictures = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    prepare = Preparation([name]).fit(pictures)
    sent = pickle.loads(pickle.dumps(prepare))
    assert torch.equal(sent(pictures), prepare(pictures))
    assert sent.undo(sent(pictures)).shape == pictures.shape


def test_steps_with_numbers_are_what_they_say() -> None:
    pictures = torch.rand(2, 3, 4, 4)
    steps = ["bgr", "range:0,255", "subtract:1,2,3", "divide:4,5,6"]
    prepare = Preparation(steps)
    mean, deviation = (torch.tensor(each)[:, None, None] for each in ([1, 2, 3], [4, 5, 6]))
    found = prepare(pictures)
    assert torch.allclose(found, (255 * pictures[:, [2, 1, 0]] - mean) / deviation)
    assert torch.allclose(prepare.undo(found), pictures, atol=1e-6)
    for wrong in ("range", "range:", "range:a,b", "range:1", "subtract:1,2", "odd:1"):
        with pytest.raises(InputError, match="not one of"):
            Preparation([wrong])
