"""Units that are not the channels of a layer but are read off what it gives:
principal components, features of a sparse autoencoder, attention heads, what
lies above and below 0, patches as a map, the class token.

A layer's name says so behind a colon, as in ``layer4:pca=16``. Each becomes a
module of the network under that very name, so that whatever reads, projects or
ablates a layer does so with it: the module is handed the features, and what it
passes on, where somebody changes it, is written back into what the layer gave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from duchenne import files
from duchenne.errors import InputError
from duchenne.networks.given import weights
from duchenne.units import layers

Arrays = Mapping[str, Tensor]

_NONE: Arrays = {}


class Features(nn.Module):
    """Passes on the features that it is handed; ``num_features`` of them."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count
        self.handle: RemovableHandle | None = None

    def forward(self, found: Tensor) -> Tensor:
        """Pass features on.

        Args:
            found: (n, features, h, w), (n, tokens, features) or (n, features).

        Returns:
            The same.
        """
        return found.view_as(found) if torch.is_grad_enabled() else found


Encode = Callable[[Tensor], Tensor]
Decode = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Code:
    """How features are read off what a layer gives, its units last, and how a
    change of them is written back.

    Attributes:
        count: How many features there are of so many units.
        encode: (…, units) -> (…, features).
        decode: (change of the features, what the layer gave) -> the change of
            what it gives.
    """

    count: Callable[[int], int]
    encode: Encode
    decode: Decode


def _signed(arrays: Arrays) -> Code:
    """What lies above 0 of every unit, then what lies below: unit u + i is
    what unit i falls below 0.
    """

    def encode(given: Tensor) -> Tensor:
        return torch.cat([given.relu(), (-given).relu()], -1)

    def decode(change: Tensor, given: Tensor) -> Tensor:
        above, below = change.chunk(2, -1)
        return above - below

    return Code(lambda units: 2 * units, encode, decode)


def _components(arrays: Arrays) -> Code:
    """Principal components: features (y − mean) W of orthonormal columns W."""
    mean = arrays["mean"]
    directions = arrays["directions"]

    def encode(given: Tensor) -> Tensor:
        found: Tensor = (given - mean.to(given)) @ directions.to(given)
        return found

    def decode(change: Tensor, given: Tensor) -> Tensor:
        back: Tensor = change @ directions.to(change).T
        return back

    return Code(lambda units: directions.shape[1], encode, decode)


def _autoencoder(arrays: Arrays) -> Code:
    """A sparse autoencoder: ReLU((y − b_dec) W_enc + b_enc), below a
    ``threshold`` 0; a change of features goes back by W_dec.
    """
    encoder = arrays["W_enc"]
    decoder = arrays["W_dec"]
    bias = arrays["b_enc"]
    centre = arrays.get("b_dec", torch.zeros(len(encoder)))
    threshold = arrays.get("threshold", torch.zeros(len(bias)))

    def encode(given: Tensor) -> Tensor:
        centred = given - centre.to(given)
        found = centred @ encoder.to(given) + bias.to(given)
        active = found > threshold.to(given)
        return torch.where(active, found, 0).relu()

    def decode(change: Tensor, given: Tensor) -> Tensor:
        back: Tensor = change @ decoder.to(change)
        return back

    return Code(lambda units: len(bias), encode, decode)


def _heads(count: int) -> Code:
    """Attention heads: the norm of each head's part at every token; a change
    scales that part.
    """

    def parts(given: Tensor) -> Tensor:
        return given.reshape(*given.shape[:-1], count, -1)

    def encode(given: Tensor) -> Tensor:
        size: Tensor = torch.linalg.vector_norm(parts(given), dim=-1)
        return size

    def decode(change: Tensor, given: Tensor) -> Tensor:
        of_heads = parts(given)
        size = encode(given)
        share = torch.where(size > 0, change / size, 0)
        return (of_heads * share[..., None]).flatten(-2)

    return Code(lambda units: count, encode, decode)


def _patches(arrays: Arrays) -> Code:
    """The tokens of patches, without those of the class and registers."""

    def encode(given: Tensor) -> Tensor:
        return given[:, _extra(given.shape[1]) :]

    def decode(change: Tensor, given: Tensor) -> Tensor:
        extra = _extra(given.shape[1])
        return nn.functional.pad(change, (0, 0, extra, 0))

    return Code(lambda units: units, encode, decode)


def _class_token(arrays: Arrays) -> Code:
    """The first token, which stands for the whole picture."""

    def encode(given: Tensor) -> Tensor:
        return given[:, :1]

    def decode(change: Tensor, given: Tensor) -> Tensor:
        return nn.functional.pad(change, (0, 0, 0, given.shape[1] - 1))

    return Code(lambda units: units, encode, decode)


_MOST_EXTRA = 8  # class tokens and registers


def _extra(tokens: int) -> int:
    """How many tokens stand before those of a square of patches."""
    for extra in range(_MOST_EXTRA + 1):
        side = round(max(tokens - extra, 0) ** 0.5)
        if side > 1 and side * side == tokens - extra:
            return extra
    raise InputError(
        f"{tokens} tokens are no square of patches behind {_MOST_EXTRA} others or fewer"
    )


_CODES: dict[str, Callable[[Arrays], Code]] = {
    "signed": _signed,
    "pca": _components,
    "sae": _autoencoder,
    "patches": _patches,
    "class": _class_token,
}

_OF_TOKENS = ("patches", "class")

_NAME = re.compile(
    r"(?P<layer>.+):(?:(?P<kind>signed|heads|patches|class)|(?P<with>pca|sae)=(?P<argument>.+))"
)


@dataclass(frozen=True)
class LayerName:
    """A layer's name, and what is read off it.

    Attributes:
        layer: What stands before the last colon; may have features itself.
        kind: A word of ``layers.FEATURES``.
        argument: What stands behind its equals sign.
    """

    layer: str
    kind: str
    argument: str = ""

    @classmethod
    def of(cls, name: str) -> LayerName | None:
        """Read a layer's name.

        Args:
            name: As in ``layer4:pca=16``.

        Returns:
            Its parts; nothing for a plain layer.

        >>> LayerName.of("layer4:pca=16")
        LayerName(layer='layer4', kind='pca', argument='16')
        >>> LayerName.of("layer4.relu")
        """
        found = _NAME.fullmatch(name)
        if not found:
            return None
        kind = found["kind"] or found["with"]
        return cls(found["layer"], kind, found["argument"] or "")


def files_of_features(name: str) -> list[str]:
    """Checksums of the files that a layer's features are read from.

    Args:
        name: As in ``fc1:sae=FILE``.

    Returns:
        One of each file; none for other layers.
    """
    found = []
    layer_name = LayerName.of(name)
    while layer_name is not None:
        path = Path(layer_name.argument).expanduser()
        if layer_name.kind == "sae" and path.is_file():
            found.append(files.checksum(path))
        layer_name = LayerName.of(layer_name.layer)
    return found


def attach(
    network: nn.Module,
    name: str,
    pictures: Iterable[Tensor],
    kept: Arrays | None = None,
) -> dict[str, Tensor]:
    """Give a network the features that a layer's name asks for, as a module of
    that name, until ``detach`` takes them away; ``attached`` does both.

    Args:
        network: It is changed: what the layer gives then passes through its
            features, and is the same until somebody changes these.
        name: As in ``layer4:pca=16``; nothing is done for a plain layer, nor
            where it is attached already.
        pictures: Batches (n, C, H, W), prepared, that components are fitted
            to and sizes are read from; gone through several times.
        kept: What an earlier call returned, instead of fitting or reading
            anew.

    Returns:
        What was fitted or read, by the name of each array and its layer.

    Raises:
        InputError: For a layer that has none of these, a file that does not
            fit it, and where ``kept`` lacks what the features need.

    >>> network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Flatten())
    >>> before = network(torch.ones(1, 1, 2, 2))
    >>> attach(network, "0:signed", [torch.ones(2, 1, 2, 2)])
    {}
    >>> layers.output(network, "0:signed", torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 6, 2, 2])
    >>> torch.equal(network(torch.ones(1, 1, 2, 2)), before)
    True
    """
    layer_name = LayerName.of(name)
    if layer_name is None or name in network._modules:
        return {}
    if isinstance(pictures, Iterator):
        pictures = list(pictures)
    found = attach(network, layer_name.layer, pictures, kept)
    first = next(iter(pictures))
    if layer_name.kind == "heads":
        _attach_heads(network, name, layer_name.layer, first)
        return found
    units = _given(network, layer_name, first).shape[-1]
    arrays = _arrays(network, name, units, pictures, kept)
    _attach_code(network, name, units, arrays)
    return found | {f"{name}/{key}": value for key, value in arrays.items()}


def detach(network: nn.Module, name: str) -> None:
    """Take the features of a layer's name away again, and those that they are
    read off.

    Args:
        network: It is left as it was before ``attach``.
        name: As in ``layer4:pca=16``.
    """
    layer_name = LayerName.of(name)
    while layer_name is not None:
        features = network._modules.pop(name, None)
        if isinstance(features, Features) and features.handle:
            features.handle.remove()
        name = layer_name.layer
        layer_name = LayerName.of(name)
    left = any(isinstance(each, Features) for each in network.children())
    if isinstance(network, _Row) and not left:
        network.__class__ = type(network).__mro__[2]


@contextmanager
def attached(
    network: nn.Module,
    name: str,
    pictures: Iterable[Tensor],
    kept: Arrays | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Give a network features for as long as a block lasts.

    Args:
        network: It is left as it was, also after an error.
        name: As ``attach`` takes it, and the others.
        pictures: Batches (n, C, H, W).
        kept: What an earlier call returned.

    Yields:
        What was fitted or read.
    """
    try:
        yield attach(network, name, pictures, kept)
    finally:
        detach(network, name)


def _attach_code(
    network: nn.Module, name: str, units: int, arrays: Arrays
) -> None:
    """Let what a layer gives pass through the features of a code."""
    layer, kind = _parts(name)
    code = _CODES[kind](arrays)
    features = _registered(network, name, code.count(units))
    rearranged = _Rearranged(network, layer, kind == "patches")
    hook = _written_back(features, code, rearranged)
    features.handle = layers.find(network, layer).register_forward_hook(hook)


def _parts(name: str) -> tuple[str, str]:
    """The layer that features are read off, and their kind."""
    layer_name = LayerName.of(name)
    if layer_name is None:
        raise InputError(f"layer {name!r}: names no features")
    return layer_name.layer, layer_name.kind


def _given(
    network: nn.Module, layer_name: LayerName, pictures: Tensor
) -> Tensor:
    """What the layer gives, its units last."""
    with layers.evaluating(network), torch.no_grad():
        given = layers.output(network, layer_name.layer, pictures)
    if layer_name.kind in _OF_TOKENS and given.ndim != 3:
        raise InputError(
            f"layer {layer_name.layer!r}: gives no tokens, of which ':{layer_name.kind}' takes some"
        )
    if layer_name.kind in _OF_TOKENS:
        extra = _extra(given.shape[1])
        if layer_name.kind == "class" and not extra:
            raise InputError(
                f"layer {layer_name.layer!r}: its {given.shape[1]} tokens are all of patches: none "
                "stands for the class"
            )
    axis = layers.unit_axis(network, layer_name.layer, given)
    return given.movedim(axis, -1)


def _arrays(
    network: nn.Module,
    name: str,
    units: int,
    pictures: Iterable[Tensor],
    kept: Arrays | None,
) -> dict[str, Tensor]:
    """What the features are computed with: as it was kept, else fitted to
    pictures or read from a file.
    """
    layer_name = LayerName.of(name)
    if layer_name is None or layer_name.kind not in ("pca", "sae"):
        return {}
    if kept is not None:
        return _kept(name, kept)
    argument = layer_name.argument
    if layer_name.kind == "sae":
        return _read(Path(argument).expanduser(), units)
    if not argument.isdigit() or not 0 < int(argument) <= units:
        raise InputError(
            f"layer {name!r}: pca takes how many components, 1 to {units}"
        )
    return _fitted(network, layer_name, int(argument), pictures)


def _kept(name: str, kept: Arrays) -> dict[str, Tensor]:
    """The arrays of a layer's name among all that were kept."""
    before = f"{name}/"
    found = {
        key.removeprefix(before): value
        for key, value in kept.items()
        if key.startswith(before)
    }
    if not found:
        raise InputError(
            f"layer {name!r}: what it is computed with is missing"
        )
    return found


def _fitted(
    network: nn.Module,
    layer_name: LayerName,
    count: int,
    batches: Iterable[Tensor],
) -> dict[str, Tensor]:
    """The principal components of what a layer gives for pictures, at all
    places: eigenvectors of the covariance, the largest first, the largest
    loading of each above 0.
    """
    seen = 0
    total: Tensor | float = 0.0
    products: Tensor | float = 0.0
    for batch in batches:
        rows = _given(network, layer_name, batch).flatten(0, -2).double()
        seen += len(rows)
        total = total + rows.sum(0)
        products = products + rows.T @ rows
    mean = torch.as_tensor(total) / seen
    covariance = torch.as_tensor(products) / seen - torch.outer(mean, mean)
    directions = _eigenvectors(covariance, count)
    return {"mean": mean.float(), "directions": directions.float()}


def _eigenvectors(covariance: Tensor, count: int) -> Tensor:
    """Those of the largest eigenvalues (units, count), the largest loading of
    each above 0.
    """
    found = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :count]
    largest = found.abs().argmax(0)
    signs = found[largest, torch.arange(count)].sign()
    inorder: Tensor = (found * signs).contiguous()
    return inorder


_WANTED = ("W_enc", "b_enc", "W_dec")


def _read(file: Path, units: int) -> dict[str, Tensor]:
    """The arrays of a sparse autoencoder, refused where they do not fit."""
    held = weights.read(file)
    missing = [name for name in _WANTED if name not in held]
    if missing:
        raise InputError(
            f"{file}: holds no {missing[0]}; a sparse autoencoder is kept as W_enc (units, "
            "features), b_enc (features,) and W_dec (features, units)"
        )
    features = held["b_enc"].numel()
    shapes = {
        "W_enc": (units, features),
        "b_enc": (features,),
        "W_dec": (features, units),
        "b_dec": (units,),
        "threshold": (features,),
    }
    found = {}
    for name, shape in shapes.items():
        if name not in held:
            continue
        if tuple(held[name].shape) != shape:
            raise InputError(
                f"{file}: {name} is {tuple(held[name].shape)}; {shape} is wanted for a layer of "
                f"{units} units"
            )
        found[name] = held[name].detach().float().contiguous()
    return found


@dataclass(frozen=True)
class _Rearranged:
    """How what a layer gives is laid out: its units last while features are
    read, and features as ``layers.units_first`` has them.
    """

    network: nn.Module
    layer: str
    as_map: bool

    def units_last(self, given: Tensor) -> tuple[Tensor, int]:
        axis = layers.unit_axis(self.network, self.layer, given)
        return given.movedim(axis, -1), axis

    def out(self, features: Tensor) -> Tensor:
        """Features (…, features) as a layer's own units are laid out."""
        if self.as_map:
            side = round(features.shape[1] ** 0.5)
            features = features.reshape(len(features), side, side, -1)
        return features.movedim(-1, 1) if features.ndim == 4 else features

    def back(self, features: Tensor) -> Tensor:
        last = features.movedim(1, -1) if features.ndim == 4 else features
        return last.flatten(1, 2) if self.as_map else last


def _written_back(
    features: Features, code: Code, rearranged: _Rearranged
) -> Callable[[nn.Module, Any, Any], Tensor | None]:
    """A hook that reads features off what a layer gives, and writes back what
    became of them.
    """

    def hook(module: nn.Module, inputs: Any, given: Any) -> Tensor | None:
        if not isinstance(given, Tensor):
            return None
        last, axis = rearranged.units_last(given)
        found = rearranged.out(code.encode(last))
        passed = features(found)
        if passed is found:
            return None
        change = rearranged.back(passed - found)
        return given + code.decode(change, last).movedim(-1, axis)

    return hook


def _registered(network: nn.Module, name: str, count: int) -> Features:
    """Give a network a module of a name, dots and all; one that runs its own
    modules in a row passes it over.
    """
    kind = type(network)
    if isinstance(network, nn.Sequential) and not issubclass(kind, _Row):
        network.__class__ = type(kind.__name__, (_Row, kind), {})
    features = Features(count)
    network._modules[name] = features
    return features


class _Row:
    """Goes through the modules that are run in a row, features left out."""

    _modules: dict[str, nn.Module]

    def __iter__(self) -> Iterator[nn.Module]:
        for module in self._modules.values():
            if not isinstance(module, Features):
                yield module


def _attach_heads(
    network: nn.Module, name: str, layer: str, pictures: Tensor
) -> None:
    """Attach the heads of an attention module: read off what its last linear
    layer takes.
    """
    attention = layers.find(network, layer)
    mixing = _mixing(network, layer, pictures)
    count = _head_count(attention, layer, network)
    if mixing.in_features % count:
        raise InputError(
            f"layer {layer!r}: {mixing.in_features} numbers are no {count} heads"
        )
    features = _registered(network, name, count)
    code = _heads(count)

    def hook(module: nn.Module, inputs: Any) -> Any:
        found = code.encode(inputs[0])
        passed = features(found)
        if passed is found:
            return None
        return (inputs[0] + code.decode(passed - found, inputs[0]),)

    features.handle = mixing.register_forward_pre_hook(hook)


def _mixing(network: nn.Module, layer: str, pictures: Tensor) -> nn.Linear:
    """The linear layer of an attention module that mixes its heads: the last
    that is run, and that takes what no other takes.
    """
    attention = layers.find(network, layer)
    if isinstance(attention, nn.MultiheadAttention):
        raise InputError(
            f"layer {layer!r}: nn.MultiheadAttention computes its heads in one call, so that "
            "nothing can be read before they are mixed"
        )
    ran = _linear_runs(network, layer, pictures)
    if not ran:
        raise InputError(
            f"layer {layer!r}: runs no linear layer, and is no attention"
        )
    last, taken = ran[-1]
    if any(taken is other for _, other in ran[:-1]) or len(ran) == 1:
        raise InputError(
            f"layer {layer!r}: holds no linear layer that mixes its heads; name the module around "
            "it that does"
        )
    return last


def _linear_runs(
    network: nn.Module, layer: str, pictures: Tensor
) -> list[tuple[nn.Linear, Any]]:
    """The linear layers inside a module in the order in which they are run,
    with what each takes.
    """
    ran: list[tuple[nn.Linear, Any]] = []

    def note(module: nn.Module, inputs: Any, given: Any) -> None:
        if isinstance(module, nn.Linear):
            ran.append((module, inputs[0]))

    attention = layers.find(network, layer)
    handles = [
        module.register_forward_hook(note) for module in attention.modules()
    ]
    try:
        with layers.evaluating(network), torch.no_grad():
            network(pictures.clone())
    finally:
        for handle in handles:
            handle.remove()
    return ran


_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")


def _head_count(attention: nn.Module, layer: str, network: nn.Module) -> int:
    """How many heads an attention module, or one inside or around it, says
    that it has.
    """
    parents = layer.split(".")
    around = [
        layers.find(network, ".".join(parents[:depth]))
        for depth in range(len(parents) - 1, 0, -1)
    ]
    for module in (*attention.modules(), *around):
        for attribute in _COUNTS:
            count = getattr(module, attribute, None)
            if isinstance(count, int) and count > 0:
                return count
    raise InputError(f"layer {layer!r}: says nowhere how many heads it has")
