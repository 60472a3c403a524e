"""A network by the callable that makes it: ``module:callable`` or
``file.py:callable``. This alone runs code of the user's.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from duchenne.errors import InputError, printable


def make(source: str, options: Mapping[str, Any]) -> nn.Module:
    """Call what makes a network.

    Args:
        source: ``module:callable``, or ``file.py:callable``.
        options: Passed on by name.

    Returns:
        What it returned.

    Raises:
        InputError: Where it is not there, or raises.
    """
    called = _named(source)
    try:
        network: nn.Module = called(**options)
    except Exception as error:
        raise InputError(f"{source}: raised {said(error)}") from None
    return network


def file(source: str) -> Path | None:
    """The file that a callable is in.

    Args:
        source: ``module:callable``, or ``file.py:callable``.

    Returns:
        The file; nothing where a module is named.
    """
    where = source.rpartition(":")[0]
    return Path(where).expanduser() if where.endswith(".py") else None


def said(error: Exception) -> str:
    """What an exception says, on one line."""
    says = (str(error).splitlines() or [""])[0]
    return printable(f"{type(error).__name__}: {says}"[:300])


def refuse_other_forms(source: str) -> None:
    """Refuse what names no callable.

    Args:
        source: ``module:callable``, or ``file.py:callable``.

    Raises:
        InputError: For anything else.
    """
    where, _, name = source.rpartition(":")
    is_module = all(part.isidentifier() for part in where.split("."))
    is_name = all(part.isidentifier() for part in name.split("."))
    if not is_name or not (is_module or where.endswith(".py")):
        raise InputError(
            f"network.source {source!r}: expected module:callable, file.py:callable, hf:FOLDER, "
            "timm:NAME, pt2:FILE or onnx:FILE"
        )


def _named(source: str) -> Callable[..., Any]:
    where, _, name = source.rpartition(":")
    at = file(source)
    module = _module(where, source) if at is None else _module_in(at, source)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise InputError(f"{source}: {where} has no callable {name!r}")
    called: Callable[..., Any] = found
    return called


def _module(name: str, source: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise InputError(
            f"{source}: importing {name} raised {said(error)}"
        ) from None


def _module_in(path: Path, source: str) -> Any:
    """Run a file as a module of its own; its folder is searched for what it
    imports.
    """
    if not path.is_file():
        raise InputError(f"{source}: no such file")
    name = f"duchenne_given_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{source}: not a file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    beside = str(path.resolve().parent)
    sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{source}: raised {said(error)}") from None
    finally:
        sys.path.remove(beside)
    return module
