"""Small faces and small networks that many tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, settings

import duchenne
from duchenne import facs
from duchenne.faces.avatars.basis import HeadBasis, head_basis
from duchenne.faces.avatars.rendering import Studio
from duchenne.faces.formats import folder
from duchenne.faces.table import FaceTable
from duchenne.study.record import Study

from .reads import recorded
from .small import RENDERED, SMALL

_HYPOTHESIS = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}
settings.register_profile("usual", max_examples=50, **_HYPOTHESIS)
settings.register_profile("thorough", max_examples=1000, **_HYPOTHESIS)
settings.load_profile("usual")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # tests run side by side already


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that need the study of rendered faces first, those that
    need the other studies last: of two processes each then makes studies that
    the other does not wait for.
    """
    first = {item.path for item in items if _needs(item, "avatar_study")}
    last = {item.path for item in items if _needs(item, "drawn_study", "bare_study")}
    items.sort(key=lambda item: (item.path not in first, item.path in last))


def _needs(item: pytest.Item, *studies: str) -> bool:
    return not set(studies).isdisjoint(getattr(item, "fixturenames", ()))


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


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Give the folder of a name, which the first process that needs it fills
    for all; not to be changed.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent / "shared" if "PYTEST_XDIST_WORKER" in os.environ else own / "shared"
    shared.mkdir(exist_ok=True)

    def folder(name: str, fill: Callable[[Path], object]) -> Path:
        with FileLock(shared / f"{name}.lock"):
            if not (shared / name).exists():
                fill(shared / name)
        return shared / name

    return folder


@pytest.fixture(scope="session")
def studied(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Study]:
    """Give this process's copy of a finished study: commands on one and the
    same would wait for each other.
    """

    def study(name: str, faces: FaceTable | str, changes: Sequence[str]) -> Study:
        def fill(out: Path) -> None:
            with recorded(out.parent / f"{name}-reads.json"):
                duchenne.run("quick", faces, out, changes=changes)

        shared = once(name, fill)
        return duchenne.open(shutil.copytree(shared, tmp_path_factory.mktemp("runs") / name))

    return study


@pytest.fixture(scope="session")
def avatar_study(studied: Callable[..., Study]) -> Study:
    """A finished study of rendered faces, which have action units,
    intensities, landmarks and a mesh; not to be changed.
    """
    return studied("avatars", "avatars", RENDERED)


@pytest.fixture(scope="session")
def drawn_study(studied: Callable[..., Study], drawings: FaceTable) -> Study:
    """A finished study of ``drawings``; not to be changed."""
    return studied("drawn", f"folder:{drawings.root}", SMALL)


@pytest.fixture(scope="session")
def bare_study(studied: Callable[..., Study], drawings: FaceTable) -> Study:
    """A finished study of the same without action units and sequences, given
    as a table; not to be changed.
    """
    bare = FaceTable(
        drawings.frame.drop(columns=[*drawings.presence(), "sequence", "frame"]), drawings.root
    )
    return studied("bare", bare, SMALL)


@pytest.fixture(scope="session")
def drawings(once: Once) -> FaceTable:
    """Twelve people in three expressions, drawn as a bar whose place and
    length give expression and action unit away.
    """
    return folder.load(once("drawings", _draw))


def _draw(root: Path) -> None:
    root.mkdir()
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
                units = {
                    facs.code(n): int(frame > 0 and n == (4, 12, 26)[sequence]) for n in (4, 12, 26)
                }
                rows.append(row | {"expression": shown} | units)
    pd.DataFrame(rows).to_csv(root / folder.MANIFEST, index=False)
