"""Preparing pictures for a network: named steps from batch to batch, on the
batch's device.

A *step* maps float pictures (n, C, H, W), at first in 0 … 1, to pictures of
the same shape. Some *learn* from the training pictures first, what they learn
is saved with the network. Turning grey and resizing come before: that is how
pictures are read (``stack``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.faces.preparation import normalisation, whitening
from duchenne.faces.preparation.normalisation import in_unit_range
from duchenne.faces.preparation.whitening import Blocks, Learned
from duchenne.progress import progress

_BLOCK = 256  # pictures prepared at once


@dataclass(frozen=True)
class Step:
    """How a step is applied to pictures with what it has learned, undone for
    display, and what it learns, if anything.
    """

    apply: Callable[[Tensor, Learned], Tensor]
    undo: Callable[[Tensor, Learned], Tensor]
    learn: Callable[[Blocks, int], Learned] | None = None


def _alone(
    apply: Callable[[Tensor], Tensor], undo: Callable[[Tensor], Tensor]
) -> Step:
    """Make a step that learns nothing."""
    return Step(
        lambda pictures, _: apply(pictures), lambda prepared, _: undo(prepared)
    )


STEPS: dict[str, Step] = {
    "local_mean": _alone(normalisation.local_mean, normalisation.stretched),
    "local_contrast": _alone(
        normalisation.local_contrast, normalisation.stretched
    ),
    "standardise": _alone(normalisation.standardise, normalisation.stretched),
    "equalise": _alone(normalisation.equalise, lambda prepared: prepared),
    "bgr": _alone(
        lambda pictures: pictures.flip(1), lambda prepared: prepared.flip(1)
    ),
    "grey3": _alone(normalisation.grey, lambda prepared: prepared),
    "scale": _alone(normalisation.scale, lambda prepared: (prepared + 1) / 2),
    "mean_picture": Step(
        lambda pictures, learned: pictures - learned["mean"],
        lambda prepared, learned: prepared + learned["mean"],
        whitening.learn_mean,
    ),
    "zca": Step(whitening.zca, whitening.undo_zca, whitening.learn_zca),
    "zca_fourier": Step(
        whitening.zca_fourier,
        whitening.undo_zca_fourier,
        whitening.learn_zca_fourier,
    ),
}
"""Every step by its name in recipes."""

WITH_NUMBERS: dict[str, Callable[[Tensor], Step]] = {
    "range": lambda ends: _alone(
        lambda pictures: ends[0] + (ends[1] - ends[0]) * pictures,
        lambda prepared: (prepared - ends[0]) / (ends[1] - ends[0]),
    ),
    "subtract": lambda mean: _alone(
        lambda pictures: pictures - _by_channel(mean, pictures),
        lambda prepared: prepared + _by_channel(mean, prepared),
    ),
    "divide": lambda deviation: _alone(
        lambda pictures: pictures / _by_channel(deviation, pictures),
        lambda prepared: prepared * _by_channel(deviation, prepared),
    ),
}
"""Steps that take numbers, as in ``range:-1,1``: the ends that 0 and 1 become,
or a number for all channels or for each.
"""


def _by_channel(numbers: Tensor, pictures: Tensor) -> Tensor:
    return numbers.to(pictures)[:, None, None]


@cache
def step(name: str) -> Step:
    """Find a step by its name, with its numbers where it takes some.

    Args:
        name: As in ``local_mean`` or ``subtract:0.5,0.5,0.5``.

    Returns:
        The step.

    Raises:
        InputError: For a name that is not known, or numbers that are none.

    >>> step("range:-1,1").apply(torch.tensor([0.0, 0.5, 1.0]), {}).tolist()
    [-1.0, 0.0, 1.0]
    """
    if name in STEPS:
        return STEPS[name]
    kind, colon, told = name.partition(":")
    try:
        numbers = torch.tensor([float(each) for each in told.split(",")])
    except ValueError:
        numbers = torch.tensor([])
    fits = len(numbers) == 2 if kind == "range" else len(numbers) in (1, 3)
    if kind not in WITH_NUMBERS or not colon or not fits:
        known = [*STEPS, *(f"{each}:NUMBERS" for each in WITH_NUMBERS)]
        raise InputError(
            f"preparation step {name!r}: not one of {', '.join(known)}"
        )
    return WITH_NUMBERS[kind](numbers)


class Preparation(nn.Module):
    """Named steps, one after the other, and what they have learned.

    Raises ``InputError`` for a name that is not known.

    >>> prepare = Preparation(["mean_picture", "scale"]).fit(
    ...     torch.full((2, 1, 8, 8), 0.25)
    ... )
    >>> prepare(torch.full((1, 1, 8, 8), 0.5)).unique().tolist()
    [-0.5]
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        super().__init__()
        if isinstance(names, str):
            raise InputError(
                f"preparation {names!r}: a list is wanted, as in [{names!r}]"
            )
        for name in names:
            step(name)
        self.names = tuple(names)
        self.learned = nn.ModuleList(nn.Module() for _ in names)

    @property
    def _steps(self) -> list[Step]:
        """The steps, found anew: another process is sent names alone."""
        return [step(name) for name in self.names]

    def fit(self, pictures: Tensor) -> Preparation:
        """Let the steps learn from training pictures, each from what the steps
        before it leave.

        Args:
            pictures: (n, C, H, W) in 0 … 1, or bytes, which become numbers
                block by block.

        Returns:
            Itself.

        Raises:
            InputError: Where they are too few.
        """
        learning = {
            index: learn
            for index, step in enumerate(self._steps)
            if (learn := step.learn)
        }
        if learning:
            with progress(
                "Learning the preparation", len(learning)
            ) as advance:
                for index, learn in learning.items():
                    self._keep(
                        index,
                        learn(
                            partial(self._blocks, pictures, index),
                            len(pictures),
                        ),
                    )
                    advance(1)
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        """Prepare pictures, in full precision whatever the network runs in.

        Args:
            pictures: (n, C, H, W) in 0 … 1, or bytes.

        Returns:
            (n, C, H, W), the network's input.

        Raises:
            InputError: Where a step has not learned yet.
        """
        return self._applied(in_unit_range(pictures), len(self.names))

    def undo(self, prepared: Tensor) -> Tensor:
        """Give prepared pictures back in 0 … 1, to be looked at.

        Where a step has forgotten what it took away, as ``local_mean`` has,
        they are stretched to their full range.

        Args:
            prepared: (n, C, H, W), the network's input.

        Returns:
            (n, C, H, W) in 0 … 1.
        """
        for index in reversed(range(len(self.names))):
            prepared = self._steps[index].undo(prepared, self._learned(index))
        return prepared.clamp(0, 1)

    def restore(self, state: Mapping[str, Tensor]) -> Preparation:
        """Take over what was learned.

        Args:
            state: As ``state_dict`` gave it.

        Returns:
            Itself.

        Raises:
            InputError: Where a step's share is missing, or is not what that
                step learns.
        """
        for index, name in enumerate(self.names):
            start = f"learned.{index}."
            self._keep(
                index,
                {
                    key.removeprefix(start): kept
                    for key, kept in state.items()
                    if key.startswith(start)
                },
            )
            learned = self._learned(index)
            try:
                if learned:
                    self._steps[index].undo(
                        self._steps[index].apply(
                            torch.zeros(1, *learned["mean"].shape), learned
                        ),
                        learned,
                    )
            except (KeyError, RuntimeError):
                raise InputError(
                    f"preparation step {name!r}: what it had learned is not whole"
                ) from None
        return self

    def _blocks(self, pictures: Tensor, steps: int) -> Iterator[Tensor]:
        """Apply the first steps to many pictures, block by block."""
        return (
            self._applied(in_unit_range(block), steps)
            for block in torch.split(pictures, _BLOCK)
        )

    def _applied(self, pictures: Tensor, steps: int) -> Tensor:
        with torch.autocast(pictures.device.type, enabled=False):
            for index, step in enumerate(self._steps[:steps]):
                pictures = step.apply(pictures, self._learned(index))
        return pictures

    def _keep(self, index: int, learned: Learned) -> None:
        for name, values in learned.items():
            # as they are when they are read back
            self.learned[index].register_buffer(name, values.contiguous())

    def _learned(self, index: int) -> Learned:
        learned = dict(self.learned[index].named_buffers())
        if not learned and self._steps[index].learn:
            raise InputError(
                f"preparation step {self.names[index]!r}: has not been fitted to training pictures"
            )
        return learned
