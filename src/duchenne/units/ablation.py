"""Ablating units: what a network makes of pictures when some units of a layer
pass on a fixed number instead of theirs.

Many sets of units are ablated in one run of a picture. The maps are multiplied
as late as can be: ReLUs and poolings act on each unit alone, so that ablating
behind them is the same and far less work; that it is the same is proved on
some pictures, else the units are ablated at the layer itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from duchenne.errors import InputError
from duchenne.units import layers

Mask = NDArray[np.bool_]

_AT_ONCE = 2**24  # numbers that are held at once
_PROVED = 8  # random halves of the units
_CLOSE = 1e-4  # of the spread of what the network gives


class Ablation:
    """A network of which any units of a layer can be ablated.

    ``fill`` (u,) is what an ablated unit passes on everywhere, 0 by default.
    ``pictures`` (n, C, H, W), a few prepared ones, serve to prove where units
    can be ablated. Raises ``InputError`` as ``layers.output`` does, and for a
    ``fill`` of another number of units.

    >>> network = nn.Sequential(
    ...     nn.Conv2d(1, 3, 1),
    ...     nn.ReLU(),
    ...     nn.AdaptiveMaxPool2d(1),
    ...     nn.Flatten(),
    ...     nn.Linear(3, 2),
    ... )
    >>> pictures = torch.rand(4, 1, 8, 8)
    >>> ablation = Ablation(network, "0", pictures)
    >>> ablation.ablated_at, ablation(pictures, np.eye(3, dtype=bool)).shape
    ('3', torch.Size([4, 3, 2]))
    """

    def __init__(
        self,
        network: nn.Module,
        layer: str,
        pictures: Tensor,
        fill: Tensor | None = None,
    ) -> None:
        self.network = network
        self.layer = layer
        with layers.evaluating(network), torch.no_grad():
            given = layers.output(network, layer, pictures[:1])
            self._square = layers.are_square(pictures)
            axis = layers.unit_axis(network, layer, given, self._square)
            self.units = given.shape[axis]
            filled = self._filling(fill).to(given)[None]
            everywhere = _shaped(filled, given.ndim, axis)
            fill = everywhere.expand(1, *given.shape[1:])[0]
            at_layer = _Point(layer, fill, axis)
            self._largest = _largest(network, pictures[:1])
            self._point, self._behind = self._latest(
                pictures[:_PROVED], at_layer
            )

    def _filling(self, fill: Tensor | None) -> Tensor:
        """A number for each unit that is ablated; 0 where none are given."""
        filled = (
            torch.zeros(self.units) if fill is None else torch.as_tensor(fill)
        )
        if filled.shape != (self.units,):
            has = f"has {self.units} units, and there are {len(filled)} numbers to fill in"
            raise InputError(f"layer {self.layer!r}: {has}")
        return filled

    @property
    def ablated_at(self) -> str:
        """The module behind which units are ablated."""
        return self._point.module

    def __call__(self, pictures: Tensor, ablated: Mask) -> Tensor:
        """What the network gives for pictures (n, C, H, W) with each of k sets
        of units ablated, ``ablated`` (k, u): (n, k, classes).
        """
        sets = torch.from_numpy(np.ascontiguousarray(ablated))
        run = self._expanded if self._behind else self._repeated
        numbers = self._point.fill.numel() if self._behind else self._largest
        parts = torch.split(sets, max(1, _AT_ONCE // numbers))
        with layers.evaluating(self.network), torch.no_grad():
            given = []
            for picture in pictures:
                of_parts = [
                    run(self._point, picture[None], part) for part in parts
                ]
                given.append(torch.cat(of_parts))
        return torch.stack(given)

    def operations(self, picture: Tensor) -> int:
        """How many floating-point operations one more set of units takes for a
        picture.

        Args:
            picture: (1, C, H, W), prepared.

        Returns:
            Multiplications and additions of convolutions and matrix products.
        """
        counted = []
        for sets in (2, 3):
            with FlopCounterMode(display=False) as counter:
                self(picture, np.zeros((sets, self.units), bool))
            counted.append(counter.get_total_flops())
        return int(counted[1] - counted[0])

    def _latest(
        self, pictures: Tensor, at_layer: _Point
    ) -> tuple[_Point, bool]:
        """The last place behind which ablating is the same, and whether sets
        can share a run up to it.

        Where it is not the same behind a place, it is not behind later ones:
        the units have been mixed by then. So the last one is found by halving.
        """
        halves = (
            torch.rand(
                _PROVED, self.units, generator=torch.Generator().manual_seed(0)
            )
            < 0.5
        )
        repeated = [
            self._repeated(at_layer, picture[None], halves)
            for picture in pictures
        ]
        wanted = torch.stack(repeated)
        places = self._places(pictures[:1], at_layer)
        first, beyond = 0, len(places)
        while (
            first < beyond
        ):  # up to here it is the same, from there it is not
            middle = (first + beyond) // 2
            if self._is_the_same(places[middle], pictures, halves, wanted):
                first = middle + 1
            else:
                beyond = middle
        if not first:
            return at_layer, False
        return places[first - 1], True

    def _is_the_same(
        self, point: _Point, pictures: Tensor, halves: Tensor, wanted: Tensor
    ) -> bool:
        """Whether ablating behind a place gives what ablating at the layer
        does.
        """
        close = _CLOSE * wanted.std().item() + torch.finfo(wanted.dtype).tiny
        # a network may join what it gave before, or count pictures
        with suppress(RuntimeError, InputError):
            expanded = [
                self._expanded(point, picture[None], halves)
                for picture in pictures
            ]
            found = torch.stack(expanded)
            return (
                found.shape == wanted.shape
                and (found - wanted).abs().max().item() <= close
            )
        return False

    def _places(self, picture: Tensor, at_layer: _Point) -> list[_Point]:
        """The layer, and the modules run once behind it that give as many
        units, with what they give once all are ablated.
        """
        seen: list[tuple[str, Tensor]] = []
        every = torch.ones(1, self.units, dtype=torch.bool)
        with self._watched(seen):
            self._repeated(at_layer, picture, every, seen)
        names = [name for name, _ in seen]
        places = [at_layer]
        for name, given in seen:
            axis = self._axis_of_units(name, given)
            if names.count(name) == 1 and axis is not None:
                places.append(_Point(name, given[0].clone(), axis))
        return places

    @contextmanager
    def _watched(self, seen: list[tuple[str, Tensor]]) -> Iterator[None]:
        """Note what every module but the layer gives, in the order in which
        they are run.
        """

        def watch(
            name: str, module: nn.Module, inputs: object, given: Tensor
        ) -> None:
            seen.append((name, given))

        with ExitStack() as hooks:
            for name, module in self.network.named_modules():
                if name and name != self.layer and not any(module.children()):
                    handle = module.register_forward_hook(partial(watch, name))
                    hooks.callback(handle.remove)
            yield

    def _axis_of_units(self, name: str, given: object) -> int | None:
        """Along which axis what a module gives has its units, if they are as
        many as the layer's.
        """
        if not isinstance(given, Tensor) or given.ndim < 2:
            return None
        axis = layers.unit_axis(self.network, name, given, self._square)
        return axis if given.shape[axis] == self.units else None

    def _expanded(
        self, point: _Point, picture: Tensor, ablated: Tensor
    ) -> Tensor:
        """What one picture gives, run once as far as the place and as often as
        there are sets behind it.
        """
        with _ablated(self.network, point, ablated):
            return self._run(picture, len(ablated))

    def _repeated(
        self,
        point: _Point,
        picture: Tensor,
        ablated: Tensor,
        seen: list[Any] | None = None,
    ) -> Tensor:
        """The same with every set run from the start; ``seen`` is emptied
        where the place is reached.
        """
        with _ablated(self.network, point, ablated, seen):
            return self._run(
                picture.expand(len(ablated), -1, -1, -1), len(ablated)
            )

    def _run(self, pictures: Tensor, count: int) -> Tensor:
        given = self.network(pictures.clone())
        if (
            not isinstance(given, Tensor)
            or given.ndim != 2
            or len(given) != count
        ):
            raise InputError(
                f"layer {self.layer!r}: the network gives no row of classes a picture behind it"
            )
        return given


@dataclass(frozen=True)
class _Point:
    """A module, what it gives of a picture where every unit is ablated, and
    along which axis of that, pictures first, it has its units.
    """

    module: str
    fill: Tensor
    axis: int


def _largest(network: nn.Module, picture: Tensor) -> int:
    """How many numbers the largest that any module gives of a picture has."""
    sizes = [picture.numel()]

    def note(module: nn.Module, inputs: Any, given: Any) -> None:
        sizes.append(given.numel() if isinstance(given, Tensor) else 0)

    handles = [
        module.register_forward_hook(note) for module in network.modules()
    ]
    try:
        network(picture.clone())
    finally:
        for handle in handles:
            handle.remove()
    return max(sizes)


def _shaped(of_units: Tensor, dimensions: int, axis: int) -> Tensor:
    """Numbers (n, u) shaped to be used with what a module gives, in so many
    dimensions, units along an axis.
    """
    shape = [1] * dimensions
    shape[0], shape[axis] = of_units.shape
    return of_units.reshape(shape)


@contextmanager
def _ablated(
    network: nn.Module,
    point: _Point,
    ablated: Tensor,
    seen: list[Any] | None = None,
) -> Iterator[None]:
    """Ablate a set of units for each picture, or each set for the only one,
    the first time that a module is run.
    """
    ran: list[bool] = []

    def hook(module: nn.Module, inputs: Any, given: Tensor) -> Tensor | None:
        if ran:
            return None
        ran.append(True)
        if seen is not None:
            seen.clear()
        mask = _shaped(ablated.to(given.device), given.ndim, point.axis)
        return torch.where(mask, point.fill.to(given), given)

    handle = layers.find(network, point.module).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
