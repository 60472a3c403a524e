"""``python -m benchmarks``: measure speed and print the tables of ``benchmarks/README.md``."""

from __future__ import annotations

import os
import platform
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from benchmarks import avatars, pictures, projections, training


def main() -> None:
    """Print one table a measurement, under the machine that it was taken on."""
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, PyTorch {torch.__version__}\n")
    reads = [partial(pictures.measure, *size) for size in pictures.SIZES]
    for measure in (avatars.measure, training.measure, projections.measure, *reads):
        print(_markdown(measure()), flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    has = torch.cpu.get_capabilities()
    return f"{name} ({', '.join(k for k in ('avx512_bf16', 'amx_bf16') if has.get(k)) or 'no bfloat16'})"


def _markdown(table: pd.DataFrame) -> str:
    def told(value: object) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    rows = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy(object).tolist()]
    return "\n".join("| " + " | ".join(told(cell) for cell in row) + " |" for row in rows) + "\n"


if __name__ == "__main__":
    main()
