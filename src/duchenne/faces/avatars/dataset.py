"""Avatars as a labelled data set: scripts drawn, written as pictures with a
manifest that ``folder:`` reads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from duchenne import facs, files
from duchenne.errors import InputError
from duchenne.faces.avatars import people
from duchenne.faces.avatars.basis import HeadBasis, head_basis
from duchenne.faces.avatars.rendering import Shot, Studio
from duchenne.faces.avatars.scripts import PROTOCOLS, Script
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.formats import folder
from duchenne.faces.table import PERSON, FaceTable
from duchenne.progress import progress

_BATCH = 64
_SPLITS = 5  # as TFD has


def load(settings: AvatarSettings | None = None) -> FaceTable:
    """Render the avatars that ``settings`` ask for into the user's cache, or
    find them there.
    """
    settings = settings or AvatarSettings()
    out = files.folder("avatars") / settings.fingerprint()
    if not files.sealed(out):
        # another process may be rendering the same
        with FileLock(out.with_name(f".{out.name}.lock")):
            if not files.sealed(out):
                files.remove(out)
                render(out, settings, kept=True)
    return folder.load(out)


def render(
    out: Path, settings: AvatarSettings, kept: bool = False
) -> FaceTable:
    """Render avatars into a new folder: pictures, ``manifest.csv`` and
    ``landmarks.parquet``, whole or not at all.

    Args:
        out: The folder.
        settings: What is rendered.
        kept: Whether it is the user's cache, whose folders are sealed with
            their checksums.

    Returns:
        The faces, as ``folder:`` reads them.

    Raises:
        InputError: Where ``out`` exists and is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder")
    scripts = _scripts(settings)
    with files.replacing_folder(out) as partial:
        landmarks = _drawn(scripts, settings, partial)
        table = _manifest(scripts).join(_persons(scripts, settings))
        table.to_csv(partial / folder.MANIFEST, index=False)
        points = _landmark_frame(scripts, landmarks)
        points.to_parquet(partial / "landmarks.parquet")
        if kept:
            files.seal(partial)
    return folder.load(out)


def _drawn(
    scripts: list[Script], settings: AvatarSettings, out: Path
) -> NDArray[np.float32]:
    """Draw all scripts into a folder; their landmarks (n, 68, 2)."""
    studio = Studio(head_basis())
    with progress("Rendering faces", len(scripts)) as advance:

        def draw(
            directed: tuple[list[Script], list[Shot]],
        ) -> NDArray[np.float32]:
            batch, shots = directed
            pictures = studio.draw(
                shots, settings.size, settings.samples, settings.colour
            )
            for script, picture in zip(batch, pictures, strict=True):
                _write_picture(out / _path(script), picture)
            advance(len(batch))
            return studio.landmarks(shots, settings.size)

        # kernels run without the interpreter's lock
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            batches = _directed(scripts, studio.basis, settings)
            return np.concatenate(list(threads.map(draw, batches)))


def _persons(
    scripts: Sequence[Script], settings: AvatarSettings
) -> pd.DataFrame:
    """Who is in each picture, as columns of the table."""
    population = people.POPULATIONS[settings.population]
    basis = head_basis()
    traits = {}
    for subject in {script.subject for script in scripts}:
        chance = _chance(settings.seed, subject)
        person = people.draw_person(basis, chance, population, settings.traits)
        traits[subject] = person.traits
    drawn = [traits[script.subject] for script in scripts]
    return pd.DataFrame(drawn).round(4).add_prefix(PERSON)


def shown(settings: AvatarSettings, basis: HeadBasis) -> dict[str, Shot]:
    """The shot that each picture is of, by its path in the table that ``load``
    gives.
    """
    scripts = _scripts(settings)
    return {
        _path(script): shot
        for script, shot in zip(
            scripts, _taken(scripts, basis, settings), strict=True
        )
    }


def _taken(
    scripts: Sequence[Script], basis: HeadBasis, settings: AvatarSettings
) -> Iterator[Shot]:
    """The shots that settings ask for."""
    population = people.POPULATIONS[settings.population]
    traits = settings.traits
    for shot in shots(scripts, basis, settings.seed, population, traits):
        scene = people.further(shot.scene, settings.margin)
        yield replace(shot, scene=scene)


def _scripts(settings: AvatarSettings) -> list[Script]:
    scripts = PROTOCOLS[settings.protocol](settings.people, settings.seed)
    return [
        replace(script, still=True) if settings.still else script
        for script in scripts
    ]


def shots(
    scripts: Sequence[Script],
    basis: HeadBasis,
    seed: int,
    population: people.Population = people.POPULATIONS["mixed"],
    traits: Mapping[str, float] = MappingProxyType({}),
) -> Iterator[Shot]:
    """Turn scripts into shots: find the person, draw the scene, fix the
    strength within each grade.
    """
    person: dict[int, people.Person] = {}
    for script in scripts:
        if script.subject not in person:
            person[script.subject] = people.draw_person(
                basis, _chance(seed, script.subject), population, traits
            )
        rng = np.random.default_rng(script.scene)
        scene = (
            people.STUDIO
            if script.still
            else people.draw_scene(rng, population)
        )
        moment = np.random.default_rng((*script.scene, script.frame))
        if not script.still:
            scene = people.drift(scene, moment)
        yield Shot(person[script.subject], scene, _strengths(script, moment))


def _chance(seed: int, subject: int) -> np.random.Generator:
    """What a person is drawn from."""
    return np.random.default_rng((seed, 0, subject))


def _directed(
    scripts: list[Script], basis: HeadBasis, settings: AvatarSettings
) -> Iterator[tuple[list[Script], list[Shot]]]:
    pairs = zip(scripts, _taken(scripts, basis, settings), strict=True)
    while batch := list(itertools.islice(pairs, _BATCH)):
        yield [script for script, _ in batch], [shot for _, shot in batch]


def _strengths(
    script: Script, rng: np.random.Generator
) -> dict[int, tuple[float, float]]:
    """Place each action unit within its grade: at the grade's middle when
    still, else up to 0.08 off it.
    """
    strengths = {}
    for number, grades in script.grades.items():
        offset = 0.0 if script.still else rng.uniform(-0.08, 0.08)
        left, right = (
            max(0.0, grade / 5 + offset) if grade else 0.0 for grade in grades
        )
        strengths[number] = (min(left, 1.0), min(right, 1.0))
    return strengths


def _path(script: Script) -> str:
    subject = f"s{script.subject:03d}"
    sequence = f"{script.sequence:02d}"
    return f"{subject}/{sequence}/{subject}_{sequence}_{script.frame:02d}.png"


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def _manifest(scripts: Sequence[Script]) -> pd.DataFrame:
    """The table of rendered faces, a row a script."""
    table = pd.DataFrame([_row(script) for script in scripts])
    for number in range(_SPLITS):
        table[f"split_{number + 1}"] = [
            _side(script.subject, number) for script in scripts
        ]
    grades = {
        facs.code(number): _grades(scripts, number)
        for number in facs.rendered()
    }
    presence = {
        code: np.greater(values, 0).astype(int)
        for code, values in grades.items()
    }
    intensities = {
        f"{code}_intensity": values for code, values in grades.items()
    }
    coded = pd.DataFrame(presence | intensities)
    return pd.concat([table, coded], axis=1)


def _row(script: Script) -> dict[str, object]:
    """What a script says of its picture, but for action units."""
    subject = f"s{script.subject:03d}"
    return {
        "path": _path(script),
        "dataset": "avatars",
        "subject": subject,
        "sequence": f"{subject}_{script.sequence:02d}",
        "frame": script.frame,
        "expression": script.expression,
    }


def _grades(scripts: Sequence[Script], number: int) -> list[int]:
    """An action unit's intensity on the stronger side, 0 … 5."""
    sides = [script.grades.get(number, (0, 0)) for script in scripts]
    return [max(grades) for grades in sides]


def _side(subject: int, split: int) -> str:
    """Which side of an official split a person is on: two of ten test, one
    validates, and all test in one of five splits.
    """
    turn = (subject - 2 * split) % 10
    if turn < 2:
        return "test"
    return "validation" if turn == 2 else "train"


def _landmark_frame(
    scripts: Sequence[Script], points: NDArray[np.float32]
) -> pd.DataFrame:
    names = [f"{axis}{i}" for i in range(points.shape[1]) for axis in "xy"]
    frame = pd.DataFrame(points.reshape(len(points), -1), columns=names)
    frame.insert(0, "path", [_path(s) for s in scripts])
    return frame
