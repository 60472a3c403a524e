"""The activation of a unit on a picture: the strongest answer of its map,
after ReLU, and where it lies.

Where no ReLU follows a layer, as with tanh, sigmoid or GELU, answers may lie
below 0. Three readings: ``positive``, the maximum, which counts as 0 where it
lies below; ``signed``, the maximum as it is; ``magnitude``, the largest
absolute value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from duchenne.errors import InputError

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

ACTIVATIONS = ("positive", "signed", "magnitude")
"""How a unit's answers are read."""


@dataclass(frozen=True)
class Activations:
    """Activations of n pictures and u units: ``image`` (n,), ``value``,
    ``row`` and ``column`` (n, u) on the layer's map.

    Rows are tokens where a layer gives tokens; rows and columns are 0 for
    neurons of a linear layer.
    """

    image: Places
    value: Floats
    row: Places
    column: Places

    def frame(self) -> pd.DataFrame:
        """All activations as a frame.

        Returns:
            One row an image and unit: ``image, unit, activation, row, col``.
        """
        units = self.value.shape[1]
        return pd.DataFrame(
            {
                "image": np.repeat(self.image, units).astype(np.int32),
                "unit": np.tile(
                    np.arange(units, dtype=np.int32), len(self.image)
                ),
                "activation": self.value.ravel(),
                "row": self.row.ravel().astype(np.int16),
                "col": self.column.ravel().astype(np.int16),
            }
        )

    @staticmethod
    def of(
        given: Tensor, first: int = 0, activation: str = "positive"
    ) -> Activations:
        """Activations of what a layer gives for n pictures.

        Args:
            given: Maps (n, u, h, w), tokens (n, t, u) or neurons (n, u).
            first: The number of the first picture.
            activation: One of ``ACTIVATIONS``.

        Returns:
            Activations (n, u) and where they lie.

        Raises:
            InputError: For anything else, and for what is not finite.
        """
        if activation not in ACTIVATIONS:
            raise InputError(
                f"activation {activation!r}: not one of {', '.join(ACTIVATIONS)}"
            )
        if given.ndim not in (2, 3, 4):
            dimensions = f"a layer of {given.ndim - 1} dimensions"
            raise InputError(
                f"{dimensions}: maps, tokens or neurons are understood"
            )
        value, position = _largest(_by_unit(given).float(), activation)
        width = given.shape[3] if given.ndim == 4 else 1
        return Activations(
            np.arange(first, first + len(given)),
            value.cpu().numpy(),
            (position // width).cpu().numpy(),
            (position % width).cpu().numpy(),
        )

    @staticmethod
    def from_frame(frame: pd.DataFrame) -> Activations:
        """Take back what ``frame`` gave.

        Args:
            frame: One row an image and unit.

        Returns:
            The activations.
        """
        shape = (-1, frame["unit"].nunique())
        value, row, column = (
            frame[name].to_numpy().reshape(shape)
            for name in ("activation", "row", "col")
        )
        return Activations(
            frame["image"].to_numpy().reshape(shape)[:, 0], value, row, column
        )

    @staticmethod
    def joined(parts: Iterable[Activations]) -> Activations:
        """Put the activations of several batches one after another."""
        every = list(parts)
        if not every:
            raise InputError("no pictures to look at")
        names = ("image", "value", "row", "column")
        return Activations(
            **{
                name: np.concatenate([getattr(part, name) for part in every])
                for name in names
            }
        )


def _largest(answers: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """The answer (n, u, places) that counts of every unit, and its place."""
    sizes = answers.abs() if activation == "magnitude" else answers
    value, position = sizes.max(2)
    if not value.isfinite().all():
        raise InputError("the network gives numbers that are not finite")
    if activation == "positive":
        value = value.clamp_min(0)
    return value, position


def _by_unit(given: Tensor) -> Tensor:
    """Maps, tokens or neurons as (n, u, positions)."""
    if given.ndim == 4:
        return given.flatten(2)
    return given.mT if given.ndim == 3 else given[..., None]
