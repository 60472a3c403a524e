"""A network in a folder of Hugging Face's: ``config.json``, weights, and what
``preprocessor_config.json`` says of its input. Nothing is downloaded and no
code of the folder is run.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from duchenne.errors import InputError
from duchenne.networks.given import weights
from duchenne.networks.given.code import said
from duchenne.networks.given.extras import extra

_LARGEST = 10_000_000  # bytes of a description


def make(place: str, options: Mapping[str, Any]) -> nn.Module:
    """Open a folder with its weights.

    Args:
        place: The folder.
        options: Passed to the configuration.

    Returns:
        The network.

    Raises:
        InputError: Where it cannot be read, or the extra is not installed.
    """
    folder = Path(place).expanduser()
    kind, config = _architecture(folder, options)
    try:
        with _in_safetensors(folder) as safe:
            # it knows the names that weights had in its earlier versions
            network, loaded = kind.from_pretrained(
                safe,
                config=config,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{folder}: {said(error)}") from None
    missing = sorted(loaded["missing_keys"])
    if missing:
        more = len(missing) - 1
        raise InputError(
            f"{folder}: does not fit the network: it lacks {missing[0]} and {more} more"
        )
    opened: nn.Module = network
    return opened


@contextmanager
def _in_safetensors(folder: Path) -> Iterator[Path]:
    """A folder whose weights are safetensors: a copy where they are PyTorch's,
    read as tensors alone.
    """
    if list(folder.glob("*.safetensors")):
        yield folder
        return
    file = folder / "pytorch_model.bin"
    if not file.is_file():
        raise InputError(
            f"{folder}: holds neither model.safetensors nor pytorch_model.bin"
        )
    kept = {name: each.clone() for name, each in weights.read(file).items()}
    with tempfile.TemporaryDirectory() as copy:
        shutil.copy(folder / "config.json", copy)
        save_file(kept, Path(copy) / "model.safetensors", {"format": "pt"})
        yield Path(copy)


def anew(place: str, options: Mapping[str, Any]) -> nn.Module:
    """Make the architecture that a folder describes, with fresh weights.

    Args:
        place: The folder.
        options: Passed to the configuration.

    Returns:
        The network.

    Raises:
        InputError: Where it cannot be made.
    """
    folder = Path(place).expanduser()
    kind, config = _architecture(folder, options)
    try:
        network: nn.Module = kind.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise InputError(f"{folder}: {said(error)}") from None
    return network


def _architecture(folder: Path, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """The class that classifies pictures, and the folder's configuration."""
    _described(folder / "config.json")
    transformers = extra("transformers", "hf")
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **options
        )
    except Exception as error:
        raise InputError(f"{folder}: {said(error)}") from None
    return transformers.AutoModelForImageClassification, config


def keys(place: str) -> dict[str, Any]:
    """What a folder says of its network, as keys of a card.

    Args:
        place: The folder.

    Returns:
        ``input`` and ``output``, as far as they are said.

    Raises:
        InputError: Where its descriptions cannot be read.
    """
    folder = Path(place).expanduser()
    config = _described(folder / "config.json")
    named = config.get("id2label")
    output = {}
    if isinstance(named, Mapping) and named:
        output["classes"] = [
            str(named[key]) for key in sorted(named, key=lambda key: int(key))
        ]
    file = folder / "preprocessor_config.json"
    said_of_input = _described(file) if file.is_file() else {}
    return {
        "input": _input(config, said_of_input),
        "output": {"gives": "logits", "take": "logits", **output},
    }


def _input(
    config: Mapping[str, Any], said_of_input: Mapping[str, Any]
) -> dict[str, Any]:
    """Size, colours, range, mean and deviation, as keys of a card."""
    found: dict[str, Any] = {}
    sizes = (
        said_of_input.get("crop_size"),
        said_of_input.get("size"),
        config.get("image_size"),
    )
    size = next((side for side in map(_side, sizes) if side), None)
    if size:
        found["size"] = size
    channels = config.get("num_channels", 3)
    found["colours"] = "grey" if channels == 1 else "rgb"
    return found | _numbers(said_of_input, channels)


def _numbers(
    said_of_input: Mapping[str, Any], channels: int
) -> dict[str, Any]:
    """Range, mean and deviation, as keys of a card."""
    found: dict[str, Any] = {}
    factor = said_of_input.get("rescale_factor", 1 / 255)
    if not said_of_input.get("do_rescale", True):
        factor = 1.0
    if abs(factor * 255 - 1) > _ROUNDING:
        found["range"] = [0, factor * 255]
    if said_of_input.get("do_normalize", bool(said_of_input)):
        for key, name in (("image_mean", "mean"), ("image_std", "std")):
            if isinstance(said_of_input.get(key), list):
                found[name] = said_of_input[key][:channels]
    return found


_ROUNDING = 1e-6


def _side(size: object) -> int | None:
    """The side of a square, of what a description may say of it."""
    if isinstance(size, Mapping):
        size = size.get("height", size.get("shortest_edge"))
    if isinstance(size, list | tuple) and size:
        size = size[0]
    return size if isinstance(size, int) and size > 0 else None


def _described(file: Path) -> dict[str, Any]:
    """A description in JSON, of bounded size."""
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    if file.stat().st_size > _LARGEST:
        raise InputError(f"{file}: is too large for a description")
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{file}: not a file of JSON") from None
    if not isinstance(held, dict):
        raise InputError(f"{file}: not a description")
    return held
