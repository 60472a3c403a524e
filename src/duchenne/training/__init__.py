"""A recipe and faces in, a trained network and its scores out."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable

from lightning_utilities.core import imports


def _pass_over_a_broken_torchvision() -> None:
    """Let Lightning and TorchMetrics do without a torchvision that does not
    fit the installed PyTorch.

    They import it wherever it is installed, and what it raises then would end
    every command; nothing here needs it.
    """
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except Exception:
        # an operator that PyTorch lacks, a library that cannot be loaded
        known: Callable[[str], str] = vars(imports)["_version"]

        def version(name: str) -> str:
            if name == "torchvision":
                raise importlib.metadata.PackageNotFoundError(name)
            return known(name)

        vars(imports)["_version"] = version
        sys.modules["torchvision"] = None  # type: ignore[assignment]  # so that it counts as not installed


_pass_over_a_broken_torchvision()
