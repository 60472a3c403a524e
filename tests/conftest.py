"""Small faces and small networks that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, settings

import duchenne
from duchenne import facs
from duchenne.faces.avatars.basis import HeadBasis, head_basis
from duchenne.faces.avatars.rendering import Studio
from duchenne.faces.formats import folder
from duchenne.faces.table import FaceTable
from duchenne.study import Study

from .small import RENDERED

_HYPOTHESIS = {"deadline": None, "database": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
settings.register_profile("usual", max_examples=50, **_HYPOTHESIS)
settings.register_profile("thorough", max_examples=1000, **_HYPOTHESIS)
settings.load_profile("usual")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # tests run side by side already


@pytest.fixture(scope="session")
def basis() -> HeadBasis:
    return head_basis()


@pytest.fixture(scope="session")
def studio(basis: HeadBasis) -> Studio:
    return Studio(basis)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    place = tmp_path / "cache"
    monkeypatch.setenv("DUCHENNE_CACHE", str(place))
    return place


@pytest.fixture(scope="session")
def avatar_study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of rendered faces, which have action units, intensities, landmarks and a mesh; not to be changed."""
    return duchenne.run("quick", "avatars", tmp_path_factory.mktemp("runs") / "avatars", changes=RENDERED)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> FaceTable:
    """Twelve people in three expressions, drawn as a bar whose place and length give expression and action unit away."""
    root = tmp_path_factory.mktemp("drawings")
    rng = np.random.default_rng(0)
    rows = []
    for person in range(12):
        for sequence, expression in enumerate(("anger", "happiness", "surprise")):
            for frame in range(3):
                shown = expression if frame else "neutral"
                pixels = rng.integers(90, 120, (32, 32)).astype(np.uint8)
                if frame:
                    pixels[4 + 9 * sequence : 8 + 9 * sequence, 4 : 20 + 4 * frame] = 230
                name = f"p{person:02d}_{sequence}_{frame}.png"
                cv2.imwrite(str(root / name), pixels)
                row = {
                    "path": name,
                    "subject": f"p{person:02d}",
                    "sequence": f"p{person:02d}-{sequence}",
                    "frame": frame,
                }
                units = {facs.code(n): int(frame > 0 and n == (4, 12, 26)[sequence]) for n in (4, 12, 26)}
                rows.append(row | {"expression": shown} | units)
    pd.DataFrame(rows).to_csv(root / folder.MANIFEST, index=False)
    return folder.load(root)
