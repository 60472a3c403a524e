"""How features are read off what a layer gives, and how a change of them is
written back: one function a kind, each of which makes a ``Code`` of the arrays
that it is computed with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from duchenne.errors import InputError

Arrays = Mapping[str, Tensor]
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


def heads(count: int) -> Code:
    """Read attention heads: the norm of each head's part at every token; a
    change scales that part.

    Args:
        count: Of heads.

    Returns:
        Their code.

    >>> heads(2).encode(torch.tensor([3.0, 4.0, 0.0, 1.0]))
    tensor([5., 1.])
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


_MOST_BEFORE = 8  # class tokens and registers


def tokens_before_patches(tokens: int) -> int:
    """Count the tokens that stand before those of a square of patches.

    Args:
        tokens: How many there are.

    Returns:
        How many are of the class or registers.

    Raises:
        InputError: Where no square of 2 × 2 or more is left.

    >>> tokens_before_patches(197)
    1
    """
    for before in range(_MOST_BEFORE + 1):
        side = round(max(tokens - before, 0) ** 0.5)
        if side > 1 and side * side == tokens - before:
            return before
    raise InputError(
        f"{tokens} tokens are no square of patches behind {_MOST_BEFORE} others or fewer"
    )


def _patches(arrays: Arrays) -> Code:
    """The tokens of patches, without those of the class and registers."""

    def encode(given: Tensor) -> Tensor:
        return given[:, tokens_before_patches(given.shape[1]) :]

    def decode(change: Tensor, given: Tensor) -> Tensor:
        before = tokens_before_patches(given.shape[1])
        return nn.functional.pad(change, (0, 0, before, 0))

    return Code(lambda units: units, encode, decode)


def _class_token(arrays: Arrays) -> Code:
    """The first token, which stands for the whole picture."""

    def encode(given: Tensor) -> Tensor:
        return given[:, :1]

    def decode(change: Tensor, given: Tensor) -> Tensor:
        return nn.functional.pad(change, (0, 0, 0, given.shape[1] - 1))

    return Code(lambda units: units, encode, decode)


CODES: dict[str, Callable[[Arrays], Code]] = {
    "signed": _signed,
    "pca": _components,
    "sae": _autoencoder,
    "patches": _patches,
    "class": _class_token,
}
"""By the word of a layer's name, what makes the code of its arrays; heads are
read elsewhere (``features.heads``).
"""

TOKEN_KINDS = ("patches", "class")
