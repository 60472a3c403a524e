"""How many threads a job computes on: not a matter of who else computes, as results depend on it in their last digits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import torch

from duchenne import cache


def for_each(jobs: int) -> int:
    """Share this machine's cores between so many jobs: one each where there are as many jobs as cores.

    Networks as small as the papers' train faster side by side on a core each than one after another on all of them (see
    ``benchmarks``).

    >>> for_each(10_000)
    1
    """
    return max(1, int(joblib.cpu_count()) // jobs)


def agreed(root: Path, jobs: int) -> int:
    """Recall how many threads the jobs below a folder compute on, or settle it: a study resumed elsewhere keeps to it."""
    file = root / "threads.json"
    if not file.exists():
        with cache.replacing(file) as partial:
            partial.write_text(json.dumps({"each": for_each(jobs)}) + "\n")
    return int(json.loads(file.read_text())["each"])


@contextmanager
def limited(count: int) -> Iterator[None]:
    """Compute on so many threads while it lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
