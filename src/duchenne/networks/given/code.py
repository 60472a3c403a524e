"""A network by the callable that makes it: ``module:callable`` or
``file.py:callable``. This alone runs code of the user's.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import PathFinder
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
    at = file(source)
    with _importing_from(at.resolve().parent if at else None):
        called = _named(source)
        try:
            network: nn.Module = called(**options)
        except Exception as error:
            raise InputError(f"{source}: raised {said(error)}") from None
    return network


@contextmanager
def _importing_from(folder: Path | None) -> Iterator[None]:
    """Search a folder first for what is imported, and forget afterwards what
    was found there: the file of another network may have a neighbour of the
    same name.
    """
    if folder is None:
        yield
        return
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if _lies_in(folder, name):
                del sys.modules[name]


def _lies_in(folder: Path, name: str) -> bool:
    """Whether a module is one of a folder's own, or within a package of it."""
    at = getattr(sys.modules[name], "__file__", None)
    if at is None:
        return False
    top = folder / name.partition(".")[0]
    return Path(at) == top.with_suffix(".py") or Path(at).is_relative_to(top)


def file(source: str) -> Path | None:
    """The file that a callable is in.

    Args:
        source: ``module:callable``, or ``file.py:callable``.

    Returns:
        The file; nothing where a module is named.
    """
    where = source.rpartition(":")[0]
    return Path(where).expanduser() if where.endswith(".py") else None


def files(source: str) -> list[Path]:
    """List the files that a callable is read from: its own, not those that it
    imports.

    Args:
        source: ``module:callable``, or ``file.py:callable``.

    Returns:
        The file of the callable, or of its module where that can be found.
    """
    at = file(source)
    if at is not None:
        return [at]
    origin = _origin(source.rpartition(":")[0])
    return [] if origin is None else [origin]


def _origin(name: str) -> Path | None:
    """The file of a module, found on the path without running anything."""
    within = None
    origin = None
    parts = name.split(".")
    for depth in range(len(parts)):
        whole = ".".join(parts[: depth + 1])
        spec = PathFinder.find_spec(whole, within)
        if spec is None:
            return None
        within = spec.submodule_search_locations
        origin = spec.origin
    is_python = origin is not None and origin.endswith(".py")
    return Path(str(origin)) if is_python else None


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
        there = f"{where} has no callable {name!r}"
        raise InputError(f"{source}: {there}{_nearest(module, name)}")
    called: Callable[..., Any] = found
    return called


def _nearest(module: Any, name: str) -> str:
    """The callables of a module whose names are nearest to one."""
    own = [
        each
        for each, held in vars(module).items()
        if callable(held) and not each.startswith("_")
    ]
    near = difflib.get_close_matches(name, own, n=3, cutoff=0.0)
    return f"; the nearest are {', '.join(near)}" if near else ""


def _module(name: str, source: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise InputError(
            f"{source}: importing {name} raised {said(error)}"
        ) from None


def _module_in(path: Path, source: str) -> Any:
    """Run a file as a module of its own."""
    if not path.is_file():
        raise InputError(f"{source}: no such file")
    name = f"duchenne_given_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{source}: not a file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{source}: raised {said(error)}") from None
    return module
