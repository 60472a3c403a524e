"""What a network is trained for: a loss that falls, and a mark for each
picture by which the best epoch is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

Judge = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(what the network gives, the prepared pictures, their classes) -> a number,
or one a picture.
"""


@dataclass(frozen=True)
class Objective:
    """``loss`` of a batch; ``mark`` of each picture (n,), the higher the
    better; ``name`` of the mean mark in histories.
    """

    name: str
    loss: Judge
    mark: Judge


def _cross_entropy(given: Tensor, pictures: Tensor, classes: Tensor) -> Tensor:
    return F.cross_entropy(given, classes)


def _right(given: Tensor, pictures: Tensor, classes: Tensor) -> Tensor:
    return (given.argmax(1) == classes).float()


def _squared_error(given: Tensor, pictures: Tensor, classes: Tensor) -> Tensor:
    """Σ‖x − ψ(φ(x))‖², of each picture, and their mean (zhu2018, part 2,
    section 2.2).
    """
    return (given - pictures).square().flatten(1).sum(1).mean()


def _likeness(given: Tensor, pictures: Tensor, classes: Tensor) -> Tensor:
    return -(given - pictures).square().flatten(1).sum(1)


EXPRESSION = Objective("accuracy", _cross_entropy, _right)
RECONSTRUCTION = Objective("likeness", _squared_error, _likeness)
