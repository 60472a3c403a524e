"""A network that is examined, and its controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.evidence.ablation_effects import log_odds
from duchenne.faces.preparation.steps import Preparation


@dataclass(frozen=True)
class Pair:
    """A network, its controls (the same architecture without what it has
    learned), and how all are given pictures.

    Attributes:
        trained: The network.
        controls: One or several, from a seed each.
        prepare: From pictures in 0 … 1 to their input.
        classes: What the network tells apart, in the order of its output.
        normalised: Whether the classes' numbers are logits of probabilities
            that sum to 1, else scores of their own.
    """

    trained: nn.Module
    controls: tuple[nn.Module, ...]
    prepare: Preparation
    classes: tuple[str, ...] = ()
    normalised: bool = True

    @property
    def untrained(self) -> nn.Module:
        """The first control."""
        return self.controls[0]

    @property
    def named(self) -> dict[str, nn.Module]:
        """The network and its first control, by what tables call them."""
        return {"trained": self.trained, "untrained": self.untrained}

    def shares(self, outputs: Tensor) -> Tensor:
        """What each class gets of what the network gave.

        Args:
            outputs: (n, outputs), the classes first.

        Returns:
            (n, classes) probabilities, or scores where they are none.
        """
        of_classes = outputs[:, : len(self.classes)]
        return torch.softmax(of_classes, 1) if self.normalised else of_classes

    def logits(self, outputs: Tensor) -> Tensor:
        """Log-odds of each class, log p − log(1 − p), which a number added to
        all outputs does not change.

        Args:
            outputs: (n, outputs), the classes first.

        Returns:
            (n, classes); scores as they are where they are no logits.
        """
        of_classes = outputs[:, : len(self.classes)]
        alone = len(self.classes) < 2
        if not self.normalised or alone:
            return of_classes
        return log_odds(of_classes.double()).float()

    def outputs(self, pictures: NDArray[Any]) -> Tensor:
        """What the network gives for pictures.

        Args:
            pictures: (n, C, H, W), bytes or in 0 … 1.

        Returns:
            (n, outputs).
        """
        self.trained.eval()
        with torch.inference_mode():
            found = []
            for first in range(0, len(pictures), _BATCH):
                # what is mapped into memory cannot be written
                batch = np.array(pictures[first : first + _BATCH])
                prepared = self.prepare(torch.from_numpy(batch))
                found.append(self.trained(prepared))
        return torch.cat(found)

    def read(self, pictures: NDArray[Any]) -> Tensor:
        """What the network makes of pictures.

        Args:
            pictures: (n, C, H, W), bytes or in 0 … 1.

        Returns:
            (n, classes), as ``shares`` gives them.
        """
        return self.shares(self.outputs(pictures))


_BATCH = 64
