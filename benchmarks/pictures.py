"""Decoding and keeping many pictures, against a plain loop of the same reads,
and the memory that it takes.

    python -m benchmarks.pictures

20,000 grey PNG pictures as large as CK+'s frames, and as many of 192×192,
resized to 96×96, in empty caches of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from duchenne.faces.formats import folder
from duchenne.faces.geometry import crop
from duchenne.faces.images import decoding, stack, store
from duchenne.faces.table import FaceTable

SIZES = ((640, 490), (192, 192))
_SIZE = 96


def measure(width: int, height: int, count: int = 20_000) -> pd.DataFrame:
    """Seconds of a plain loop, of the first read and of the second, and the
    peak memory of the first.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "set"
        table = _written(root, width, height, count)
        os.environ["DUCHENNE_CACHE"] = str(Path(place) / "cache")
        begun = time.perf_counter()
        plain = np.stack([_plain(path) for path in table.paths])
        loop = time.perf_counter() - begun
        begun = time.perf_counter()
        first = stack.decode(table, _SIZE)
        reading = time.perf_counter() - begun
        np.testing.assert_array_equal(first.stored, plain)
        begun = time.perf_counter()
        stack.decode(table, _SIZE)
        again = time.perf_counter() - begun
        memory = {
            n: _peak(root, n, Path(place) / f"cache{n}")
            for n in (count // 10, count)
        }
    rows = [("plain loop", loop, 1.0, None)]
    rows += [
        ("first read", reading, loop / reading, memory[count]),
        ("second read", again, loop / again, None),
    ]
    rows += [
        (f"first read of {count // 10:,}", None, None, memory[count // 10])
    ]
    return pd.DataFrame(
        rows,
        columns=[
            f"{count:,} pictures, {width}×{height}",
            "s",
            "times the plain loop",
            "peak memory, MiB",
        ],
    )


def _plain(path: Path) -> np.ndarray:
    """What one writes by hand."""
    picture = decoding.read(path)
    resized = crop.cut(
        picture, crop.Box(0, 0, picture.shape[2], picture.shape[1]), _SIZE
    )
    return np.rint(resized * 255).astype(np.uint8)


def _written(root: Path, width: int, height: int, count: int) -> FaceTable:
    rng = np.random.default_rng(0)
    soft = [
        cv2.GaussianBlur(
            rng.integers(0, 255, (height, width)).astype(np.uint8), (0, 0), 3
        )
        for _ in range(64)
    ]
    for number in range(count):
        path = root / ("anger", "fear")[number % 2] / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.roll(soft[number % 64], number // 64, 1))
    return folder.load(root)


def _peak(root: Path, count: int, cache: Path) -> float:
    """Activation resident memory of a process of its own that reads the first
    ``count`` pictures and of its workers, in MiB.
    """
    arguments = [
        sys.executable,
        "-m",
        "benchmarks.pictures",
        str(root),
        str(count),
    ]
    told = subprocess.run(
        arguments,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"DUCHENNE_CACHE": str(cache)},
    )
    return float(told.stdout)


def _child(root: Path, count: int) -> None:
    table = folder.load(root)
    store._MANY = 1  # the same way of working for few and for many
    stack.decode(table.where(np.arange(len(table)) < count), _SIZE)
    print(sum(most_resident(process) for process in ["self", *_workers()]))


def _workers() -> list[str]:
    parents = {
        path.parent.name: _status(path.parent.name).get("PPid", "").strip()
        for path in Path("/proc").glob("[0-9]*/status")
    }
    return [
        process
        for process, parent in parents.items()
        if parent == str(os.getpid())
    ]


def most_resident(process: str) -> float:
    """Activation resident memory of a process in MiB."""
    return (
        int(_status(process)["VmHWM"].split()[0]) / 1024
    )  # getrusage would tell the parent's peak where that is higher


def _status(process: str) -> dict[str, str]:
    try:
        return dict(
            line.split(":", 1)
            for line in Path(f"/proc/{process}/status")
            .read_text()
            .splitlines()
        )
    except FileNotFoundError:  # it has ended
        return {}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _child(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        for shape in SIZES:
            print(measure(*shape).to_string(index=False))
