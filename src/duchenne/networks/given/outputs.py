"""What a network gives, made regular: whatever it returns becomes one row of
numbers a picture, its classes first, as logits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from duchenne.errors import InputError

GIVES = ("logits", "probabilities", "log-probabilities", "sigmoid", "scores")
"""What numbers of classes are: before softmax, after it, its logarithm, each
after a sigmoid of its own, or numbers that none of these belongs to.
"""

_CLOSE = 1e-3  # to 1, of probabilities that are to sum to it


@dataclass(frozen=True)
class Outputs:
    """How the output of a network is read.

    Attributes:
        classes: Names of the classes, in the network's order.
        gives: One of ``GIVES``.
        take: The key, attribute or place of what holds the classes; by itself
            where there is one tensor (n, classes).
        values: What else is read, by name: the column among the classes'
            numbers, or the key or attribute that holds it, as of valence.
    """

    classes: tuple[str, ...] = ()
    gives: str = "logits"
    take: str | int = ""
    values: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all that is read, in order."""
        return (*self.classes, *self.values)

    @property
    def columns(self) -> int:
        """How many numbers lie beside the classes in one tensor with them."""
        within = [
            place for place in self.values.values() if isinstance(place, int)
        ]
        return len(self.classes) + len(within)

    def read(self, given: Any) -> Tensor:
        """Read what a network gave.

        Args:
            given: A tensor (n, k), or a tuple, mapping or object that holds
                it.

        Returns:
            (n, names): logits of the classes in their order, then the values
            as they are; where nothing is named, as of an embedding, all of
            them (n, k).

        Raises:
            InputError: Where that is not there, or of another shape.
        """
        if self.values and not self.columns:
            beside = [self._beside(given, name) for name in self.values]
            return torch.cat(beside, 1)
        rows = _as_rows(self._taken(given))
        if not self.names:
            return rows
        if rows.shape[1] != self.columns:
            named = f"{self.columns} are named by network.output.classes and values"
            raise InputError(
                f"network.output: it gives {rows.shape[1]} numbers a picture, and {named}"
            )
        return torch.cat([self._logits(rows), *self._others(rows, given)], 1)

    def _logits(self, rows: Tensor) -> Tensor:
        """Logits of the classes: of the columns that no value has."""
        taken = set(self._within.values())
        own = [
            column for column in range(rows.shape[1]) if column not in taken
        ]
        return _as_logits(rows[:, own], self.gives)

    def _others(self, rows: Tensor, given: Any) -> Iterator[Tensor]:
        """Each value (n, 1), in their order."""
        columns = self._within
        for name in self.values:
            if name in columns:
                yield rows[:, [columns[name]]]
            else:
                yield self._beside(given, name)

    @property
    def _within(self) -> dict[str, int]:
        """The columns of values that lie in one tensor with the classes."""
        count = self.columns
        return {
            name: place % count
            for name, place in self.values.items()
            if isinstance(place, int)
        }

    def _beside(self, given: Any, name: str) -> Tensor:
        """A value (n, 1) that lies beside the classes in what was given."""
        place = self.values[name]
        rows = _as_rows(_member(given, place, f"network.output.values.{name}"))
        if rows.shape[1] != 1:
            raise InputError(
                f"network.output.values.{name}: {rows.shape[1]} numbers a picture, not one"
            )
        return rows

    def _taken(self, given: Any) -> Tensor:
        if self.take != "":
            return _member(given, self.take, "network.output.take")
        if isinstance(given, Tensor):
            return given
        members = dict(_members(given))
        fitting = {
            name: each
            for name, each in members.items()
            if each.numel() == len(each) * self.columns
        }
        if not self.names and len(members) == 1:
            return next(iter(members.values()))
        if "logits" in fitting:
            return fitting["logits"]
        if len(fitting) == 1:
            return next(iter(fitting.values()))
        listed = ", ".join(
            f"{name} {tuple(each.shape)}" for name, each in members.items()
        )
        raise InputError(
            f"network.output.take: it gives {type(given).__name__} of {listed or 'no tensors'}; "
            "name the one with the classes"
        )


def read_through(network: nn.Module, outputs: Outputs) -> nn.Module:
    """Let a network give what ``outputs`` reads of it, its layers and their
    names unchanged.

    Args:
        network: It is changed; give a copy of one that is not yours.
        outputs: How its output is read.

    Returns:
        The network.
    """

    def read(module: nn.Module, inputs: Any, given: Any) -> Tensor:
        return outputs.read(given)

    network.register_forward_hook(read)
    return network


def doubts(outputs: Outputs, given: Tensor) -> str:
    """Tell why what a network gave of some pictures is not what its
    description says.

    Args:
        outputs: The description.
        given: (n, names) what ``read`` made of it, for pictures that differ.

    Returns:
        A sentence; empty where nothing speaks against it.

    >>> two = Outputs(("anger", "fear"))
    >>> doubts(two, torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    "network.output.gives: 'logits', but they sum to 1 on every picture, as probabilities do"
    """
    if not torch.isfinite(given).all():
        return "network.output: it gives numbers that are not finite"
    logits = given[:, : len(outputs.classes)]
    if len(outputs.classes) < 2:
        return ""
    says = f"network.output.gives: {outputs.gives!r}, but they"
    if outputs.gives == "logits":
        as_what = _no_logits(logits)
        return f"{says} {as_what}" if as_what else ""
    if outputs.gives in ("probabilities", "log-probabilities"):
        shares = logits.exp()
        if not _sum_to_one(shares):
            return f"{says} sum to {float(shares.sum(1)[0]):.3g}, not to 1"
    return ""


def _no_logits(numbers: Tensor) -> str:
    """As what numbers (n, classes) look, if not as logits."""
    if _sum_to_one(numbers):
        return "sum to 1 on every picture, as probabilities do"
    if _sum_to_one(numbers / 100):
        return "sum to 100 on every picture, as probabilities in percent do"
    return ""


def remark(outputs: Outputs, given: Tensor) -> str:
    """Tell what is odd about what a network gave, and may be right.

    Args:
        outputs: The description.
        given: As ``doubts`` takes it.

    Returns:
        A sentence; empty where nothing is.
    """
    numbers = given[:, : len(outputs.classes)]
    within = bool((numbers >= 0).all() and (numbers <= 1).all())
    if outputs.gives != "logits" or len(outputs.classes) < _SEVERAL:
        return ""
    return (
        "network.output.gives: 'logits', but they all lie between 0 and 1; is it 'sigmoid'?"
        if within
        else ""
    )


_SEVERAL = 3  # classes, whose logits hardly all lie between 0 and 1


def _sum_to_one(shares: Tensor) -> bool:
    sums = shares.sum(1)
    return bool(
        (shares >= -_CLOSE).all() and ((sums - 1).abs() < _CLOSE).all()
    )


def _as_logits(numbers: Tensor, gives: str) -> Tensor:
    """Numbers of classes as what softmax is taken of; a probability of 0 is
    taken for the smallest that there is.
    """
    smallest = torch.finfo(numbers.dtype).tiny
    if gives == "log-probabilities":
        return numbers.clamp_min(math.log(smallest))
    if gives not in _UP_TO_ONE:
        return numbers
    odd = numbers[(numbers < 0) | (numbers > _UP_TO_ONE[gives])]
    if len(odd):
        raise InputError(
            f"network.output.gives: {gives!r}, but one is {float(odd[0]):.3g}"
        )
    if gives == "sigmoid":
        return numbers.double().logit(_LEAST_SHARE).float()
    return numbers.clamp_min(smallest).log()


_UP_TO_ONE = {"probabilities": math.inf, "sigmoid": 1.0}
"""What lies between 0 and some number, which rounding may pass."""

_LEAST_SHARE = 1e-9  # of what a sigmoid gives, to either end


def _as_rows(given: Tensor) -> Tensor:
    """A row a picture, of what may have further dimensions of one."""
    if given.is_complex():
        raise InputError("network.output: gives complex numbers")
    if given.ndim == 1:
        return given[:, None].float()
    if given.ndim > 2 and given[0, :].numel() == given.shape[1]:
        given = given.flatten(1)
    if given.ndim != 2:
        raise InputError(
            f"network.output: gives {tuple(given.shape)}, not a row a picture"
        )
    return given.float()


def _member(given: Any, name: str | int, key: str) -> Tensor:
    """One of the tensors that a network gave, by its key, attribute or place."""
    members = dict(_members(given))
    if isinstance(name, int) and isinstance(given, Sequence):
        held = dict(enumerate(given)).get(name % max(1, len(given)))
        within = -len(given) <= name < len(given)
        found = held if within and isinstance(held, Tensor) else None
    else:
        found = members.get(str(name))
    if found is None:
        there = ", ".join(members)
        holds = f"there are {there}" if there else "it gives one tensor alone"
        raise InputError(f"{key}: {name!r} is not there; {holds}")
    return found


def _members(given: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a tuple, mapping or object, by name; those of tuples
    within by both.
    """
    if isinstance(given, Mapping):
        parts = [(str(name), each) for name, each in given.items()]
    elif isinstance(given, Sequence):
        fields = getattr(given, "_fields", range(len(given)))
        parts = [
            (str(name), each) for name, each in zip(fields, given, strict=True)
        ]
    else:
        parts = list(vars(given).items()) if hasattr(given, "__dict__") else []
    for name, each in parts:
        if isinstance(each, Tensor):
            if each.ndim:
                yield name, each
        elif isinstance(each, Sequence | Mapping) and not isinstance(
            each, str
        ):
            yield from (
                (f"{name}.{inner}", tensor) for inner, tensor in _members(each)
            )
