"""Opening a network from where its maker keeps it: a callable, or a folder or
file in a format that holds no code.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from duchenne.errors import InputError
from duchenne.networks.given import (
    code,
    exported,
    held,
    hugging_face,
    onnx_file,
    permission,
    timm_name,
    weights,
)
from duchenne.networks.given.outputs import Outputs, read_through

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})

Maker = Callable[[str, Mapping[str, Any]], nn.Module]
"""(what stands behind the colon, options) -> network."""


@dataclass(frozen=True)
class Source:
    """A kind of place where a network is.

    Attributes:
        make: Opens it, with the weights that it has.
        anew: Makes the same architecture with fresh weights; nothing where
            only the weights themselves are kept.
        is_file: Whether what stands behind the colon is a path.
        says: What it says of the network itself, as keys of a card.
        files: Lists the files that it is read from.
        copy: Copies what the architecture is read from, one file into
            another.
    """

    make: Maker
    anew: Maker | None = None
    is_file: bool = True
    says: Callable[[str], dict[str, Any]] = lambda place: {}
    files: Callable[[Path], list[Path]] = lambda place: [place]
    copy: Callable[[Path, Path], object] = shutil.copyfile


SOURCES = {
    "hf": Source(
        hugging_face.make,
        hugging_face.anew,
        says=hugging_face.keys,
        files=hugging_face.files,
    ),
    "timm": Source(
        timm_name.make, timm_name.make, is_file=False, files=lambda place: []
    ),
    "pt2": Source(exported.make),
    "onnx": Source(onnx_file.make, files=onnx_file.files, copy=onnx_file.copy),
    "python": Source(held.make, is_file=False, files=lambda place: []),
}
"""Every source by what stands before its colon; all others are a callable,
``module:callable`` or ``file.py:callable``.
"""


@dataclass(frozen=True)
class Card:
    """Where a network is, and how its output is read.

    Attributes:
        source: As in ``file.py:Net``, ``hf:FOLDER`` or ``onnx:FILE``.
        options: Passed to the callable.
        weights: A file of weights; none where the source has them.
        inside: The key of a checkpoint that holds them.
        outputs: How the output is read.
    """

    source: str
    options: Mapping[str, Any] = field(default_factory=lambda: _NO_OPTIONS)
    weights: str = ""
    inside: str = ""
    outputs: Outputs = field(default_factory=Outputs)

    @property
    def kind(self) -> str:
        """A key of ``SOURCES``, or ``code``."""
        before = self.source.partition(":")[0]
        return before if before in SOURCES else "code"

    @property
    def place(self) -> str:
        """What stands behind the colon; all of a callable's."""
        if self.kind == "code":
            return self.source
        return self.source.partition(":")[2]

    def below(self, folder: Path) -> Card:
        """The same card, whose relative paths begin at a folder.

        Args:
            folder: Where they begin.

        Returns:
            The card.
        """
        source = self.source
        file = code.file(source)
        if file is not None:
            source = f"{folder / file}:{source.rpartition(':')[2]}"
        elif self.how.is_file:
            source = f"{self.kind}:{folder / Path(self.place).expanduser()}"
        kept = str(folder / Path(self.weights).expanduser())
        return replace(
            self, source=source, weights=kept if self.weights else ""
        )

    @property
    def how(self) -> Source:
        """How such a source is opened."""
        return SOURCES.get(self.kind, _CODE)

    @property
    def can_be_made_anew(self) -> bool:
        """Whether the architecture can be had with fresh weights: a callable
        that is given none may load its own.
        """
        if self.kind == "code":
            return bool(self.weights)
        return self.how.anew is not None


_CODE = Source(code.make, code.make, is_file=False)


def said_of_itself(source: str) -> dict[str, Any]:
    """What a source says of its network.

    Args:
        source: As in ``hf:FOLDER``.

    Returns:
        Keys of a card, as far as they are said.

    Raises:
        InputError: Where its description cannot be read.
    """
    card = Card(source)
    return card.how.says(card.place)


def open_card(card: Card) -> nn.Module:
    """Open the network of a card, in evaluation mode, giving what
    ``card.outputs`` reads.

    Args:
        card: Where it is.

    Returns:
        The network; its layers keep their names.

    Raises:
        InputError: For whatever cannot be opened safely, and for weights that
            do not fit.
    """
    network = _regular(_made(card, card.how.make), card.source)
    if card.kind == "timm" and not card.weights:
        raise InputError(
            f"{card.source}: timm makes the architecture alone, and nothing is downloaded; name a "
            "file as network.weights"
        )
    if card.weights:
        file = Path(card.weights).expanduser()
        weights.load(network, weights.read(file, card.inside), str(file))
    return read_through(network, card.outputs)


def refuse_code_not_allowed(source: str, options: Mapping[str, Any]) -> None:
    """Refuse a source that is code which the user never named on this
    machine.

    Args:
        source: As in ``file.py:Net`` or ``hf:FOLDER``.
        options: Passed to the callable.

    Raises:
        InputError: For such code.
    """
    if source and Card(source).kind == "code":
        permission.refuse_unless_allowed(source, options)


def reopen(
    card: Card, weights_of: Mapping[str, Tensor], whence: str
) -> nn.Module:
    """Open the network of a card with weights that were kept elsewhere.

    Args:
        card: Where it is.
        weights_of: By their names.
        whence: Where they are from, as a message names it.

    Returns:
        As ``open_card`` does.

    Raises:
        InputError: As ``open_card`` does.
    """
    network = _regular(
        _made(card, card.how.anew or card.how.make), card.source
    )
    weights.load(network, weights_of, whence)
    return read_through(network, card.outputs)


def _made(card: Card, make: Maker) -> nn.Module:
    if card.kind == "code":
        code.refuse_other_forms(card.source)
        permission.refuse_unless_allowed(card.source, card.options)
    return make(card.place, card.options)


def is_made_anew(card: Card, kind: str) -> bool:
    """Tell whether the control of a card's network is its architecture with
    fresh weights, or else its own weights permuted.

    Args:
        card: Where it is.
        kind: "fresh", "permuted", or "auto" for fresh where that can be had.

    Returns:
        Whether it is made anew.

    Raises:
        InputError: For fresh weights of a network that is only kept with its
            own.
    """
    if kind == "fresh" and not card.can_be_made_anew:
        raise InputError(
            f"network.control.kind: 'fresh': {card.source} is kept with its weights alone; say "
            "'permuted'"
        )
    return kind != "permuted" and card.can_be_made_anew


def anew(card: Card, seed: int) -> nn.Module:
    """Make the architecture of a card's network with fresh weights.

    Args:
        card: Where it is.
        seed: Of the weights.

    Returns:
        The network; its normalisation is not fitted yet.

    Raises:
        InputError: Where it cannot be made.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = _made(card, card.how.anew or card.how.make)
    network = _regular(made, card.source)
    return read_through(network, card.outputs)


def given_module(network: object, outputs: Outputs, whence: str) -> nn.Module:
    """Take a module as it stands, or refuse what cannot be examined.

    Args:
        network: It is changed; give a copy.
        outputs: How its output is read.
        whence: Where it is from, as a message names it.

    Returns:
        The network, giving what ``outputs`` reads.

    Raises:
        InputError: For what is no module, TorchScript, and quantised layers.
    """
    return read_through(_regular(network, whence), outputs)


def _regular(network: object, whence: str) -> nn.Module:
    """A module that can be examined, out of the wrapper that trained it."""
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{whence}: gives {type(network).__name__}, not a torch.nn.Module"
        )
    if isinstance(network, torch.jit.ScriptModule):
        raise InputError(
            f"{whence}: is TorchScript, which runs no hooks, so that its layers cannot be read; "
            "export the network by torch.export.save and name it as pt2:FILE"
        )
    inner = _unwrapped(network)
    if any(map(is_lazy, inner.parameters())):
        raise InputError(
            f"{whence}: has layers whose sizes are not set yet; run it on a picture before it is "
            "returned"
        )
    for name, module in inner.named_modules():
        if "quantized" in type(module).__module__:
            raise InputError(
                f"{whence}: layer {name!r} is quantised, and takes no gradients; give the network "
                "from before quantisation"
            )
    return inner.float().eval().requires_grad_(False)


def _unwrapped(network: nn.Module) -> nn.Module:
    """The module within ``DataParallel`` and what ``torch.compile`` makes."""
    for name in ("module", "_orig_mod"):
        inner = getattr(network, name, None)
        is_wrapper = name == "_orig_mod" or isinstance(
            network, nn.DataParallel
        )
        if is_wrapper and isinstance(inner, nn.Module):
            return _unwrapped(inner)
    return network
