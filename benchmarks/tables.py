"""How benchmarks tell what they measured, and on which machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pandas as pd
import torch

from duchenne.analyses import reproduction


def machine() -> str:
    """Name processor, cores and versions."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, PyTorch "
        f"{torch.__version__}"
    )


def markdown(table: pd.DataFrame) -> str:
    """Write a table as Markdown, numbers to three digits."""

    def told(value: object) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    return reproduction.markdown(table.map(told))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    name = next(
        (
            line.partition(":")[2].strip()
            for line in lines
            if line.startswith("model name")
        ),
        "",
    )
    has = torch.cpu.get_capabilities()
    return (
        f"{name} "
        f"({', '.join(k for k in ('avx512_bf16', 'amx_bf16') if has.get(k)) or 'no bfloat16'})"
    )
