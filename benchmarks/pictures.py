"""Decoding and keeping many pictures, against a plain loop of the same reads, and the memory that it takes.

    python -m benchmarks.pictures

20,000 grey pictures of 192×192, resized to 96×96, in an empty cache of their own.
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

from duchenne.faces import crop, pictures, stack
from duchenne.faces.formats import folder
from duchenne.faces.table import FaceTable

_SIDE, _SIZE = 192, 96


def measure(count: int = 20_000) -> pd.DataFrame:
    """Seconds of a plain loop, of the first read and of the second, and the peak memory of the first."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "set"
        table = _written(root, count)
        os.environ["DUCHENNE_CACHE"] = str(Path(place) / "cache")
        begun = time.perf_counter()
        plain = np.stack([_plain(path) for path in table.paths])
        loop = time.perf_counter() - begun
        begun = time.perf_counter()
        first = stack.load(table, _SIZE)
        reading = time.perf_counter() - begun
        np.testing.assert_allclose(first.floats(slice(0, 100)), plain[:100], atol=0.003)
        begun = time.perf_counter()
        stack.load(table, _SIZE)
        again = time.perf_counter() - begun
        memory = {n: _peak(root, n, Path(place) / f"cache{n}") for n in (count // 10, count)}
    rows = [("plain loop", loop, 1.0, None)]
    rows += [("first read", reading, loop / reading, memory[count]), ("second read", again, loop / again, None)]
    rows += [(f"first read of {count // 10:,}", None, None, memory[count // 10])]
    return pd.DataFrame(rows, columns=[f"{count:,} pictures", "s", "times the plain loop", "peak memory, MiB"])


def _plain(path: Path) -> np.ndarray:
    """What one writes by hand."""
    picture = pictures.read(path)
    return crop.cut(picture, crop.Box(0, 0, _SIDE, _SIDE), _SIZE)


def _written(root: Path, count: int) -> FaceTable:
    rng = np.random.default_rng(0)
    soft = [cv2.GaussianBlur(rng.integers(0, 255, (_SIDE, _SIDE)).astype(np.uint8), (0, 0), 3) for _ in range(64)]
    for number in range(count):
        path = root / ("anger", "fear")[number % 2] / f"{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.roll(soft[number % 64], number // 64, 1))
    return folder.load(root)


def _peak(root: Path, count: int, cache: Path) -> float:
    """Peak resident memory of a process of its own that reads the first ``count`` pictures, in MiB."""
    arguments = [sys.executable, "-m", "benchmarks.pictures", str(root), str(count)]
    told = subprocess.run(
        arguments, check=True, capture_output=True, text=True, env=os.environ | {"DUCHENNE_CACHE": str(cache)}
    )
    return float(told.stdout)


def _child(root: Path, count: int) -> None:
    table = folder.load(root)
    stack.load(table.where(np.arange(len(table)) < count), _SIZE)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) / 1024)  # getrusage would tell the parent's peak where that is higher


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _child(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        print(measure().to_string(index=False))
