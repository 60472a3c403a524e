"""On what the networks of a study are computed: device, precision, threads. Results depend on them in their last digits.

They are settled once for a study, whoever trains its networks and wherever it goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import joblib
import torch
from threadpoolctl import threadpool_limits

from duchenne import cache
from duchenne.errors import InputError
from duchenne.training import precision


@dataclass(frozen=True)
class Computing:
    """A device (cpu, cuda or mps), a precision of the weights' gradients, and how many threads a network is trained on."""

    device: str
    precision: precision.Precision
    threads: int


def here(wanted: Literal["auto", "float32", "bfloat16"] = "auto", jobs: int = 1) -> Computing:
    """Choose what this machine does fast for so many networks.

    There are as many threads to a network as there are cores to a job, one where there are as many jobs as cores:
    networks as small as the papers' train faster side by side on a core each than one after another on all of them (see
    ``benchmarks``).

    >>> here("float32", jobs=10_000).threads
    1
    """
    device = precision.device()
    return Computing(device, precision.choose(wanted, device), max(1, int(joblib.cpu_count()) // jobs))


def agreed(root: Path, wanted: Literal["auto", "float32", "bfloat16"], jobs: int) -> Computing:
    """Recall on what the networks below a folder are computed, or settle it.

    Raises ``InputError`` where that was a device that this machine lacks.
    """
    file = root / "computing.json"
    if not file.exists():
        cache.write_json(file, asdict(here(wanted, jobs)))
    found = Computing(**json.loads(file.read_text(encoding="utf-8")))
    if found.device not in ("cpu", precision.device()):
        raise InputError(f"{file}: the networks are trained on {found.device}, which this machine lacks")
    return found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on so many threads while it lasts, in PyTorch and in the libraries of linear algebra."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
