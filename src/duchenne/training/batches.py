"""Pictures in batches: in an order drawn anew for every epoch while training,
in their own order while judging.

All chance of an epoch comes from generators seeded by (seed, epoch), so that
an epoch is a function of what stood before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from duchenne.training.machine.devices import ALL, Share

EVALUATION = 64
"""Pictures that are judged at once."""


@dataclass(frozen=True)
class Examples:
    """Pictures (n, C, H, W), bytes or in 0 … 1, not prepared, and the place of
    their class (n,), or shares (n, classes).
    """

    pictures: Tensor
    classes: Tensor


class Shuffled(Sampler[list[int]]):
    """Whole batches of places in an order drawn anew for every epoch; an
    incomplete last batch is dropped, 0 takes all.

    ``epoch`` is asked when the first batch is: when a fit resumes, the
    iterator is made before its epoch is known.
    """

    def __init__(
        self, count: int, batch: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        self.count = count
        self.batch = min(batch or count, count)
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.batch

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(
            self.count,
            generator=Generator().manual_seed(
                epoch_seed(self.seed, self.epoch())
            ),
        )
        yield from (
            order[: len(self) * self.batch].view(-1, self.batch).tolist()
        )


class _Shared(Sampler[list[int]]):
    def __init__(self, order: Shuffled, share: Share) -> None:
        self.order = order
        self.share = share

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[list[int]]:
        return (self.share.taken(batch) for batch in self.order)


def batched(
    examples: Examples, order: Shuffled, share: Share = ALL
) -> DataLoader[Any]:
    """Load a share of each batch; a generator of its own keeps the loader from
    drawing on the one that dropout draws on.
    """
    pairs = TensorDataset(examples.pictures, examples.classes)
    return DataLoader(
        pairs,
        batch_size=None,
        sampler=_Shared(order, share),
        generator=Generator(),
    )


def in_order(examples: Examples, share: Share = ALL) -> DataLoader[Any]:
    """Load a share of all pictures in their order."""
    pairs = TensorDataset(
        share.taken(examples.pictures), share.taken(examples.classes)
    )
    return DataLoader(pairs, batch_size=EVALUATION, generator=Generator())


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """Number from which the chance of an epoch is drawn, in one of several
    processes.
    """
    return (seed * 1_000_003 + rank * 2_246_822_519 + epoch) % 2**63
