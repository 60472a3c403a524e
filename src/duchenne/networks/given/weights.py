"""Weights from a file, into a network: safetensors, or PyTorch's own format
read as tensors alone. No pickled object is ever made.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from duchenne.errors import InputError, printable

Weights = dict[str, Tensor]

PREFIXES = ("module.", "model.", "_orig_mod.")
"""What ``DataParallel``, Lightning and ``torch.compile`` put before names."""

_WITHIN = ("state_dict", "model_state_dict", "model")
_NAMED = 3  # in a message
_AS_STATE_DICT = "torch.save(network.state_dict(), FILE), where it was made, keeps weights alone"


def read(file: Path, inside: str = "") -> Weights:
    """Read the weights that a file holds.

    Args:
        file: ``.safetensors``, or what ``torch.save`` wrote.
        inside: The key of a checkpoint that holds them, as in ``state_dict``
            or ``ema.model``; by default the file itself, or the usual key.

    Returns:
        Tensors by their names.

    Raises:
        InputError: For a file that cannot be read, that holds pickled objects
            or no weights at ``inside``.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    held: Any = (
        _safetensors(file) if file.suffix == ".safetensors" else _pytorch(file)
    )
    held = _without_numbers(
        _inside(held, inside, file) if inside else _usual(held)
    )
    if not _are_weights(held):
        keys = ", ".join(map(str, held)) if isinstance(held, Mapping) else ""
        what = f"its keys are {printable(keys)}" if keys else "no weights"
        raise InputError(
            f"{file}: holds no tensors by name ({what[:200]}); name the key that holds them by "
            "network.inside"
        )
    return dict(held)


def _safetensors(file: Path) -> Weights:
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except Exception as error:
        # it fails in many ways on what is not its own
        raise InputError(
            f"{file}: not a file of safetensors: {_first_line(error)}"
        ) from None


def _pytorch(file: Path) -> Any:
    """What a file of PyTorch's holds, tensors and plain containers alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is told of below
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{file}: {_why_not(file, error)}") from None


def _why_not(file: Path, error: Exception) -> str:
    """Why a file cannot be read as tensors alone."""
    if "TorchScript" in str(error):
        return (
            f"holds TorchScript, whose layers cannot be read; {_AS_STATE_DICT}"
        )
    with file.open("rb") as opened:
        begins = opened.read(1)
    in_archive = begins == b"P" and isinstance(error, pickle.UnpicklingError)
    if in_archive or begins == _PICKLE:
        return (
            "holds pickled objects, which could run anything when they are read; "
            f"{_AS_STATE_DICT}"
        )
    return f"not a file of weights: {_first_line(error)}"


_PICKLE = b"\x80"  # what a pickle begins with, since protocol 2


def _first_line(error: Exception) -> str:
    return printable(
        (str(error).splitlines() or [type(error).__name__])[0][:200]
    )


def _inside(held: Any, inside: str, file: Path) -> Any:
    """What a checkpoint holds under a dotted key."""
    for part in inside.split("."):
        if not isinstance(held, Mapping) or part not in held:
            known = list(held) if isinstance(held, Mapping) else []
            there = ", ".join(map(str, known[:20])) or "none"
            raise InputError(
                f"{file}: has no key {inside!r} (network.inside); there are {printable(there)}"
            )
        held = held[part]
    return held


def _usual(held: Any) -> Any:
    """What lies under the usual key of a checkpoint that is no weights itself."""
    if _are_weights(held) or not isinstance(held, Mapping):
        return held
    return next(
        (held[key] for key in _WITHIN if _are_weights(held.get(key))), held
    )


def _without_numbers(held: Any) -> Any:
    """Weights without the numbers and texts that were kept among them, as the
    epoch.
    """
    if not isinstance(held, Mapping):
        return held
    return {
        name: each
        for name, each in held.items()
        if not isinstance(each, int | float | str) and each is not None
    }


def _are_weights(held: Any) -> bool:
    return (
        isinstance(held, Mapping)
        and bool(held)
        and all(isinstance(name, str) for name in held)
        and all(isinstance(each, Tensor) for each in held.values())
    )


def unprefixed(weights: Mapping[str, Tensor]) -> Iterator[Weights]:
    """Take the prefixes of wrappers off names, one after the other; what has
    none of a prefix, as a loss that was trained beside the network, is left
    out with it.

    Args:
        weights: By their names.

    Yields:
        The same as they are, and by ever shorter names.

    >>> given = {"module.model.a": torch.zeros(1), "loss.b": torch.zeros(1)}
    >>> [list(each) for each in unprefixed(given)]
    [['module.model.a', 'loss.b'], ['model.a'], ['a']]
    """
    left: Weights | None = dict(weights)
    while left:
        yield left
        left = next(
            filter(None, map(partial(_stripped, left), PREFIXES)), None
        )


def _stripped(weights: Weights, prefix: str) -> Weights:
    """Those whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): each
        for name, each in weights.items()
        if name.startswith(prefix)
    }


def load(
    network: nn.Module, weights: Mapping[str, Tensor], whence: str
) -> None:
    """Put weights into a network, all of them or none; prefixes that wrappers
    left are taken off where only that fits.

    Args:
        network: Whose weights are replaced.
        weights: By their names.
        whence: Where they are from, as a message names it.

    Raises:
        InputError: Where names or shapes differ; it says which.
    """
    wanted = network.state_dict()
    quantised = [name for name, each in weights.items() if each.is_quantized]
    if quantised:
        raise InputError(
            f"{whence}: {quantised[0]} is quantised, and takes no gradients; give the weights from "
            "before quantisation"
        )
    fitting = min(
        unprefixed(weights), key=partial(_count_of_differences, wanted)
    )
    differences = _differences(wanted, fitting)
    if differences:
        told = "; ".join(kind + _some(names) for kind, names in differences)
        raise InputError(f"{whence}: does not fit the network: {told}")
    network.load_state_dict(fitting, strict=False)
    left_out = len(weights) - len(fitting)
    if left_out:
        warnings.warn(
            f"{whence}: {left_out} tensors that are not the network's were left out",
            stacklevel=2,
        )


def _count_of_differences(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> int:
    return sum(len(names) for _, names in _differences(wanted, given))


def _differences(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]
) -> list[tuple[str, list[str]]]:
    """In what weights differ from those that a network has: each kind of
    difference, and the names.
    """
    # counters that old checkpoints lack, and that nothing is computed with
    counted = [name for name in wanted if name.endswith("num_batches_tracked")]
    other = {
        f"{name} {tuple(given[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted.keys() & given.keys()
        if wanted[name].shape != given[name].shape
    }
    kinds = {
        "it lacks ": wanted.keys() - given.keys() - set(counted),
        "the network lacks ": given.keys() - wanted.keys(),
        "shapes ": other,
    }
    return [(kind, sorted(names)) for kind, names in kinds.items() if names]


def _some(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(map(printable, names[:_NAMED]))
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
