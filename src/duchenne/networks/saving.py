"""A network in a folder: weights, and all it takes to build it and to prepare
its input.

``network.safetensors`` beside a ``network.json``; no pickle is written or
read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from torch import Tensor, nn

from duchenne import files
from duchenne.errors import InputError
from duchenne.networks.given import Card, Outputs, reopen
from duchenne.networks.registry import GIVEN, Description, from_description

UNTRAINED = "untrained"
"""What the same network before training is called, in folders and tables."""

_PREPARATION = "preparation."


@dataclass(frozen=True)
class Saved:
    """A network that was read back, its description, and what the steps that
    prepare its input had learned.
    """

    network: nn.Module
    description: Description
    preparation: dict[str, Tensor]


def save(
    folder: Path,
    network: nn.Module,
    description: Description,
    preparation: Mapping[str, Tensor] = MappingProxyType({}),
) -> None:
    """Write ``network.safetensors`` and ``network.json`` into a folder, each
    whole or not at all.

    Args:
        folder: Where to.
        network: Whose weights are kept.
        description: How it is built again.
        preparation: What the steps that prepare the input have learned; kept
            with "preparation." before their names.
    """
    from safetensors.torch import save_file

    kept = network.state_dict() | {
        _PREPARATION + name: values for name, values in preparation.items()
    }
    weights = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in kept.items()
    }
    with files.replacing(folder / "network.safetensors") as partial:
        save_file(weights, partial)
    files.write_json(folder / "network.json", asdict(description))


def load(folder: str | Path) -> Saved:
    """Read a network back, in evaluation mode.

    Args:
        folder: What ``save`` wrote into.

    Returns:
        The network, its description and its preparation.

    Raises:
        InputError: Where a file is missing or does not fit the network that it
            describes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    try:
        told = json.loads((folder / "network.json").read_text())
        description = Description(
            **(
                told
                | {key: tuple(told[key]) for key in ("classes", "prepare")}
            )
        )
        kept = load_file(folder / "network.safetensors")
        learned = {
            name.removeprefix(_PREPARATION): kept.pop(name)
            for name in list(kept)
            if name.startswith(_PREPARATION)
        }
        network = _with_weights(description, kept, folder)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename or folder / 'network.safetensors'}: no such file"
        ) from None
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        RecursionError,
        SafetensorError,
    ) as error:
        raise InputError(
            f"{folder}: not a saved network: {str(error).splitlines()[0]}"
        ) from None
    return Saved(network.eval(), description, learned)


def card_of(description: Description, folder: Path) -> Card:
    """Where a network that was made elsewhere is, as a folder describes it.

    Args:
        description: That the folder keeps.
        folder: At which relative paths begin.

    Returns:
        Its card.
    """
    told = dict(description.card)
    outputs = dict(told.pop("outputs"))
    outputs["classes"] = tuple(outputs["classes"])
    return Card(**told, outputs=Outputs(**outputs)).below(folder)


def _with_weights(
    description: Description, kept: dict[str, Tensor], folder: Path
) -> nn.Module:
    """The described network, trained here or made elsewhere, with its
    weights.
    """
    if description.name == GIVEN:
        card = card_of(description, folder)
        return reopen(card, kept, str(folder / "network.safetensors"))
    network = from_description(description)
    network.load_state_dict(kept)
    return network
