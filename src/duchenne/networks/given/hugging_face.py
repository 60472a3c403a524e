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


def files(folder: Path) -> list[Path]:
    """List the files that a network is read from.

    Args:
        folder: That holds them.

    Returns:
        Its descriptions, and its weights.
    """
    return [
        path
        for kind in ("*.json", "*.safetensors", "pytorch_model.bin")
        for path in sorted(folder.glob(kind))
    ]


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
    file = folder / "preprocessor_config.json"
    processor = _described(file) if file.is_file() else {}
    try:
        classes = _classes(config)
        wanted = _input(config, processor)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"{folder}: its descriptions are not as Hugging Face writes them: {said(error)}"
        ) from None
    return {
        "input": wanted,
        "output": {"gives": "logits", "take": "logits", **classes},
    }


def _classes(config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the classes in their order, where they are said."""
    names = config.get("id2label")
    if not isinstance(names, Mapping) or not names:
        return {}
    numbers = sorted(names, key=int)
    return {"classes": [str(names[number]) for number in numbers]}


def _input(
    config: Mapping[str, Any], processor: Mapping[str, Any]
) -> dict[str, Any]:
    """Size, colours, range, mean and deviation, as keys of a card."""
    channels = int(config.get("num_channels", 3))
    found = {"colours": _colours(processor, channels)}
    sizes = [processor.get("size"), config.get("image_size")]
    if processor.get("do_center_crop", True):
        sizes.insert(0, processor.get("crop_size"))
    size = next((side for side in map(_side, sizes) if side), None)
    if size:
        found["size"] = size
    kept = _kept_of_the_middle(processor)
    if kept < 1:
        found["margin"] = round((kept - 1) / 2, 6)
    return found | _numbers(processor, channels)


def _kept_of_the_middle(processor: Mapping[str, Any]) -> float:
    """Which share of a picture's side is left where its middle is cut out."""
    kind = str(processor.get("image_processor_type", ""))
    resized = _side(processor.get("size"))
    if kind.startswith("Levit"):  # 224 of the 256 that 224 is resized to
        return 224 / 256
    if kind.startswith("ConvNext") and resized and resized >= _UNCUT:
        return 1.0
    if "crop_pct" in processor:
        return float(processor["crop_pct"] or 1)
    cropped = _side(processor.get("crop_size"))
    if not processor.get("do_center_crop") or not cropped or not resized:
        return 1.0
    return cropped / resized


_UNCUT = 384  # pixels, from which ConvNeXt's pictures are not cut


def _colours(processor: Mapping[str, Any], channels: int) -> Any:
    if channels == 1:
        return "grey"
    return "bgr" if processor.get("do_flip_channel_order") else "rgb"


def _numbers(processor: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """Range, mean and deviation, as keys of a card.

    EfficientNet's takes 1 off what is rescaled (``rescale_offset``), and with
    ``include_top`` divides by the deviation twice.
    """
    found: dict[str, Any] = {}
    lowest, highest = _range(processor)
    if lowest or abs(highest - 1) > _ROUNDING:
        found["range"] = [lowest, highest]
    kind = str(processor.get("image_processor_type", ""))
    usual = bool(processor) and not kind.startswith("MobileViT")
    if not processor.get("do_normalize", usual):
        return found
    for key, name in (("image_mean", "mean"), ("image_std", "std")):
        numbers = processor.get(key)
        if isinstance(numbers, list):
            found[name] = [float(number) for number in numbers[:channels]]
    if processor.get("include_top") and "std" in found:
        found["std"] = [number**2 for number in found["std"]]
    return found


def _range(processor: Mapping[str, Any]) -> tuple[float, float]:
    """What black and white become."""
    factor = 1.0
    if processor.get("do_rescale", True):
        factor = float(processor.get("rescale_factor", 1 / 255))
    lowest = -1.0 if processor.get("rescale_offset") else 0.0
    return lowest, lowest + factor * 255


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
