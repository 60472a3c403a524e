"""Which arithmetic a machine does fast: bfloat16 where its processor has
instructions for it, float32 otherwise.
"""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def choose(
    wanted: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "cpu",
) -> Precision:
    """Choose the precision of training on a device.

    bfloat16 is chosen on processors with AMX or AVX-512 BF16 and on GPUs that
    support it.

    >>> choose("float32")
    'float32'
    """
    if wanted != "auto":
        return wanted
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device == "cpu":
        has = torch.cpu.get_capabilities()
        return (
            "bfloat16"
            if has.get("amx_bf16") or has.get("avx512_bf16")
            else "float32"
        )
    return "float32"


def device() -> str:
    """Name the fastest device of this machine: cuda, mps or cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
