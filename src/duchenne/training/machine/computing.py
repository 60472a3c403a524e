"""On what the networks of a study are computed: device, precision, threads.
Results depend on them in their last digits.

They are settled once for a study, whoever trains its networks and wherever it
goes on.
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

from duchenne import files
from duchenne.errors import ArgumentError, InputError
from duchenne.training.machine import precision

_FILE = "computing.json"


@dataclass(frozen=True)
class Computing:
    """A kind of device (cpu, cuda or mps), a precision of the weights'
    gradients, how many devices a network is trained on, and on how many
    threads each. On the CPU a device is a process.
    """

    device: str
    precision: precision.Precision
    threads: int
    devices: int = 1

    def gpus(self, turn: int) -> list[int]:
        """Which GPUs a network takes that is trained as one of several, in its
        turn; none on another kind of device.
        """
        if self.device != "cuda":
            return []
        there = torch.cuda.device_count()
        return [
            (turn * self.devices + device) % there
            for device in range(self.devices)
        ]


def here(
    wanted: Literal["auto", "float32", "bfloat16"] = "auto",
    jobs: int = 1,
    devices: int = 1,
) -> Computing:
    """Choose what this machine does fast for so many networks, each on so many
    devices.

    There are as many threads to a device as there are cores to it, one where
    there are as many jobs as cores: networks as small as the papers' train
    faster side by side on a core each than one after another on all of them
    (see ``benchmarks``). Raises ``InputError`` for more devices than there
    are.

    >>> here("float32", jobs=10_000).threads
    1
    """
    device = precision.device()
    if devices > available(device):
        raise ArgumentError(
            "devices",
            f"{devices}: this machine has {available(device)} ({device})",
        )
    return Computing(
        device,
        precision.choose(wanted, device),
        max(1, available("cpu") // (jobs * devices)),
        devices,
    )


def available(device: str) -> int:
    """How many devices of a kind this machine has; on the CPU, how many cores."""
    if device == "cuda":
        return torch.cuda.device_count()
    return int(joblib.cpu_count()) if device == "cpu" else 1


def agreed(
    root: Path,
    wanted: Literal["auto", "float32", "bfloat16"],
    jobs: int,
    devices: int = 0,
) -> Computing:
    """Recall on what the networks below a folder are computed, or settle it:
    one device each, unless told otherwise.

    Args:
        root: The folder.
        wanted: The precision.
        jobs: How many networks are to be trained.
        devices: For each; 0 for one.

    Returns:
        Device, precision, threads and devices.

    Raises:
        InputError: As ``planned`` does.
    """
    found = planned(root, wanted, jobs, devices)
    if not (root / _FILE).exists():
        files.write_json(root / _FILE, asdict(found))
    return found


def planned(
    root: Path,
    wanted: Literal["auto", "float32", "bfloat16"],
    jobs: int,
    devices: int = 0,
) -> Computing:
    """What ``agreed`` would answer, with nothing written.

    Args:
        root: The folder.
        wanted: The precision.
        jobs: How many networks are to be trained.
        devices: For each; 0 for one.

    Returns:
        Device, precision, threads and devices.

    Raises:
        InputError: For devices that this machine lacks, for others than are
            asked for now, and where what was settled cannot be read.
    """
    file = root / _FILE
    if not file.exists():
        return here(wanted, jobs, devices or 1)
    try:
        found = Computing(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from None
    if found.device not in (
        "cpu",
        precision.device(),
    ) or found.devices > available(found.device):
        raise InputError(
            f"{file}: networks are trained on {found.devices} × {found.device}, which this machine "
            "lacks"
        )
    if devices not in (0, found.devices):
        raise ArgumentError(
            "devices",
            f"{devices}: in {root} a network is trained on {found.devices}",
        )
    return found


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on so many threads while it lasts, in PyTorch and in the
    libraries of linear algebra.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
