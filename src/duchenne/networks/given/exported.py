"""A network that ``torch.export.save`` wrote (``.pt2``), as modules that can be
examined.

Such an archive can hold more than numbers: pickled objects, expressions that
are evaluated when it is loaded, and names of functions that are called when it
is run. All three are looked for first, and what is not known to be harmless is
refused.
"""

from __future__ import annotations

import ast
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from duchenne.errors import InputError, printable
from duchenne.networks.given.code import said

_LARGEST = 500_000_000  # bytes of a description
_PICKLED = ("custom_obj_", "opaque_obj_")
_ENTRIES = re.compile(
    r"models/model\.json"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt"
    r"|archive_format|archive_version|byteorder|(\.data/)?version|\.data/serialization_id"
)
"""The files of an archive of tensors and their description: whatever else it
holds, as compiled libraries, PyTorch would take too.
"""
_TARGETS = re.compile(
    r"(torch\.ops\.(aten\.(?!from_file)|prims?\.)\w+(\.\w+)*"
    r"|torch\.ops\.higher_order\.(cond|map_impl|scan|while_loop|flex_attention"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|lt|le|gt|ge|eq|ne"
    r"|and_|or_|not_)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.sym_(int|float|not|max|min|ite|sum)"
    r"|torch\._sym_sqrt)?"
)
_FUNCTIONS = frozenset(
    [
        *("Symbol", "Integer", "Float", "Rational", "Eq", "Ne", "Lt", "Le"),
        *("Gt", "Ge", "And", "Or", "Not", "Max", "Min", "Mod", "Piecewise"),
        *(
            "Mul",
            "Add",
            "FloorDiv",
            "ModularIndexing",
            "Where",
            "PythonMod",
            "CleanDiv",
        ),
        *("CeilDiv", "CeilToInt", "FloorToInt", "ToFloat", "TruncToInt"),
        *("IntTrueDiv", "FloatTrueDiv", "Abs"),
        *("RoundToInt", "RoundDecimal", "IsNonOverlappingAndDenseIndicator"),
        *("TruncToFloat", "Identity", "LShift", "RShift", "floor", "ceiling"),
    ]
)


def make(place: str, options: Mapping[str, Any]) -> nn.Module:
    """Open an exported network with its weights.

    Args:
        place: The file.
        options: None are known.

    Returns:
        The network; layers keep the names that they had.

    Raises:
        InputError: Where it cannot be read, or could run code.
    """
    file = Path(place).expanduser()
    if options:
        raise InputError(f"pt2:{file}: network.options: takes none")
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    _refuse_unsafe(file)
    try:
        with warnings.catch_warnings(), _tensors_alone():
            warnings.simplefilter("ignore")  # of PyTorch, at itself
            program = torch.export.load(file)
            network: nn.Module = torch.export.unflatten(program)
    except Exception as error:
        raise InputError(f"{file}: {said(error)}") from None
    return network


def _refuse_unsafe(file: Path) -> None:
    """Refuse an archive that could run anything when it is loaded or run."""
    try:
        with zipfile.ZipFile(file) as archive:
            _refuse_other_entries(file, archive.namelist())
            for entry in archive.infolist():
                if entry.filename.endswith(".json"):
                    _refuse_unsafe_text(file, archive, entry)
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        raise InputError(
            f"{file}: not an archive of torch.export.save"
        ) from None


def _refuse_other_entries(file: Path, entries: list[str]) -> None:
    """Refuse an archive that holds more than a network's tensors and their
    description, or anything twice.
    """
    for entry in entries:
        shown = printable(entry)[:100]
        if entry.rpartition("/")[2].startswith(_PICKLED):
            raise InputError(f"{file}: holds a pickled object, {shown}")
        below = entry.partition("/")[2]
        if not _ENTRIES.fullmatch(below):
            raise InputError(f"{file}: holds {shown}, which no network needs")
    if len(set(entries)) < len(entries):
        raise InputError(f"{file}: holds a file twice")
    if len({entry.partition("/")[0] for entry in entries}) > 1:
        raise InputError(f"{file}: holds more than one archive")


def _refuse_unsafe_text(
    file: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo
) -> None:
    if entry.file_size > _LARGEST:
        raise InputError(f"{file}: {entry.filename} is too large")
    try:
        held = json.loads(archive.read(entry))
    except (ValueError, RecursionError):
        raise InputError(f"{file}: {entry.filename}: not JSON") from None
    for key, value in _leaves(held):
        odd = _unsafe(key, value)
        if odd:
            raise InputError(f"{file}: {odd}")


def _unsafe(key: str, value: Any) -> str:
    """What is dangerous in one value of a description; empty where nothing is."""
    shown = str(value)[:100]
    if key == "use_pickle" and value:
        return "holds pickled weights; export it anew"
    if key in ("target", "as_operator") and not _TARGETS.fullmatch(str(value)):
        return f"calls {shown!r}, which is no operation of a network"
    if key == "expr_str" and not _is_arithmetic(str(value)):
        return f"holds {shown!r}, which is no arithmetic of sizes"
    if key == "symbol" and not re.fullmatch(r"\w+", str(value)):
        return f"{shown!r} names no size"
    return ""


def _is_arithmetic(text: str) -> bool:
    """Whether an expression is made of numbers, names and known functions.

    >>> _is_arithmetic("FloorDiv(Symbol('s0') + 1, 2)"), _is_arithmetic("exit(1)")
    (True, False)
    """
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(map(_is_part_of_arithmetic, ast.walk(tree)))


def _is_part_of_arithmetic(node: ast.AST) -> bool:
    """Whether one node of an expression computes sizes and nothing else."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[_, exponent]) if (
            name in _POWERS
        ):
            return _is_small(exponent)
        case ast.Call(func=ast.Name(id=name)):
            return name in _FUNCTIONS
        case ast.BinOp(op=ast.Pow(), right=exponent):
            return _is_small(exponent)
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return bool(_NAME.fullmatch(name)) and "__" not in name
        case ast.Constant(value=number):
            return isinstance(number, int | float)
    return isinstance(node, _ARITHMETIC)


def _is_small(exponent: ast.expr) -> bool:
    """Whether an exponent is a size, or a number that a power stays small
    with.
    """
    match exponent:
        case ast.Call(func=ast.Name(id="Symbol")) | ast.Name():
            return True
        case (
            ast.UnaryOp(operand=inner)
            | ast.Call(func=ast.Name(id="Integer"), args=[inner])
        ):
            return _is_small(inner)
        case ast.Constant(value=int(number)):
            return number <= _LARGEST_EXPONENT
    return False


_LARGEST_EXPONENT = 16
_NAME = re.compile(r"\w+")
_POWERS = ("Pow", "PowByNatural", "FloatPow")
_ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare),
    *(ast.keyword, ast.expr_context, ast.operator, ast.unaryop),
    *(ast.boolop, ast.cmpop),
)
"""Nodes of expressions that hold others and run nothing themselves."""


def _leaves(held: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a description with the key that it stands under; keys of
    tables of sizes are expressions themselves.
    """
    if isinstance(held, Mapping):
        for name, value in held.items():
            if key in ("range_constraints", "guards"):
                yield "expr_str", name
            yield from _leaves(value, str(name))
    elif isinstance(held, list):
        for value in held:
            yield from _leaves(value, key)
    else:
        yield key, held


@contextmanager
def _tensors_alone() -> Iterator[None]:
    """Let whatever is loaded meanwhile be tensors, never objects."""
    loading = torch.load

    def tensors(source: Any, **how: Any) -> Any:
        return loading(source, **{**how, "weights_only": True})

    refused = partial(_refuse, "a pickled object")
    with ExitStack() as patched:
        for holder, name, instead in (
            (torch, "load", tensors),
            (pickle, "loads", refused),
            (torch._C, "_pickle_load_obj", refused),
        ):
            patched.enter_context(mock.patch.object(holder, name, instead))
        yield


def _refuse(what: str, *given: Any, **how: Any) -> None:
    raise InputError(f"holds {what}")
