"""Computing neurons of a layer from nothing but the positions that they see:
hundreds of different ones as one batch.

What lies beyond a map's border is set, map by map, to what the next operator
pads with, so that neurons at the border come out as they do in the whole
picture. It is worth it where fields are small against the picture.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from duchenne.units.graph import (
    Gather,
    Places,
    Span,
    Way,
    aten,
    channels,
    size,
)

Relu = Callable[[Tensor], Tensor]


def all_numbers(way: Way) -> int:
    """How many numbers are computed on the way for a whole picture."""
    return sum(channels(node) * math.prod(size(node)) for node in way.maps)


def numbers(way: Way) -> int | None:
    """How many numbers are computed on the way for one neuron from its window.

    None where windows are of several sizes, or where branches do not meet at
    the same places in all of them.
    """
    spans = [
        way.spans(np.arange(side), axis)
        for axis, side in enumerate(size(way.layer))
    ]
    if not all(_is_even(way, along, axis) for axis, along in enumerate(spans)):
        return None
    total = 0
    for node in way.maps:
        total += channels(node) * math.prod(
            _length(along[node]) for along in spans
        )
    return total


def _is_even(way: Way, along: dict[fx.Node, Span], axis: int) -> bool:
    """Whether windows are of one length along an axis, and begin in step with
    one another.
    """
    if any(np.ptp(span.high - span.low) for span in along.values()):
        return False
    for node in way.maps:
        seen = along[node]
        if node in way.gathers:
            seen = way.gathers[node].seen(seen, axis)
        sources = [
            source for source in node.all_input_nodes if source in way.maps
        ]
        if any(np.ptp(seen.low - along[source].low) for source in sources):
            return False
    return True


class Windowed(fx.Interpreter):
    """Runs the way to a layer on windows (n, C, h, w), one for each of the
    layer's positions: (n, units, 1, 1).

    ``relu`` stands in for every ReLU on the way. The windows must be of one
    size, as ``numbers`` tells.
    """

    def __init__(
        self, way: Way, rows: Places, columns: Places, relu: Relu = torch.relu
    ) -> None:
        super().__init__(way.recorded)
        self._way = way
        self._relu = relu
        self._spans = [
            way.spans(places, axis)
            for axis, places in enumerate((rows, columns))
        ]

    def cut(self, pictures: Tensor, of: Places) -> Tensor:
        """Cut the windows out of pictures.

        Args:
            pictures: (m, C, H, W).
            of: The picture of each window.

        Returns:
            (n, C, h, w).
        """
        return _cut(
            pictures, of, *(spans[self._way.picture] for spans in self._spans)
        )

    def within(self, windows: Tensor, boxes: Places) -> list[Tensor]:
        """What of each window lies in its box.

        Args:
            windows: (n, C, h, w).
            boxes: (n, 4), as ``receptive_fields`` gives them.

        Returns:
            One (C, …) each.
        """
        x0, y0, x1, y1 = boxes.T
        rows, columns = (
            _counted(spans[self._way.picture], *ends)
            for spans, ends in zip(
                self._spans, ((y0, y1), (x0, x1)), strict=True
            )
        )
        return [
            window[:, down, across]
            for window, down, across in zip(
                windows, rows, columns, strict=True
            )
        ]

    def run_node(self, node: fx.Node) -> Any:
        """Compute a map, where it is seen."""
        if node not in self._way.maps or node is self._way.picture:
            return super().run_node(node)
        gather = self._way.gathers.get(node)
        spans = [along[node] for along in self._spans]
        seen = spans
        if gather:
            seen = [gather.seen(span, axis) for axis, span in enumerate(spans)]
        given: Any = fx.node.map_arg(
            node.args,
            lambda source: self._given(source, seen, size(node), gather),
        )
        if gather:
            made = gather.compute(given[0])
            if math.isfinite(gather.beyond):
                return made
            return _bounded(made, spans, size(node), 0.0)  # maxima of nothing
        return self._computed(node, given)

    def _computed(self, node: fx.Node, given: Any) -> Any:
        """What a node that works position by position makes of what it is
        given.
        """
        if node.target is operator.getitem:
            return given[0]
        if node.target is aten.relu.default:
            return self._relu(given[0])
        result = node.target(*given, **node.kwargs)  # type: ignore[operator]
        return result[0] if isinstance(result, tuple) else result

    def _given(
        self,
        source: fx.Node,
        seen: Seen,
        whole: tuple[int, int],
        gather: Gather | None,
    ) -> Any:
        """What an operator is given of one of its inputs: what it sees of a
        map, or a constant.
        """
        value = self.env[source]
        if source in self._way.maps:
            rows, columns = (
                _part(places, spans[source])
                for places, spans in zip(seen, self._spans, strict=True)
            )
            part = value[:, :, rows, columns]
            if gather and gather.leaves(size(source), whole):
                return _bounded(part, seen, size(source), gather.beyond)
            return part
        if (
            isinstance(value, Tensor)
            and value.ndim > 1
            and tuple(value.shape[-2:]) == whole
        ):
            maps = value.reshape(1, -1, *whole)
            return _cut(maps, np.zeros(len(seen[0].low), np.int64), *seen)
        return value


Seen = Sequence[Span]
"""Rows and columns."""


def _part(seen: Span, there: Span) -> slice:
    """Where in windows lies what is seen of them."""
    first = int(seen.low[0] - there.low[0])
    return slice(first, first + _length(seen))


def _length(span: Span) -> int:
    return int(span.high[0] - span.low[0]) + 1


def _positions(span: Span) -> Places:
    """Every position of spans of one length: (n, length)."""
    return span.low[:, None] + np.arange(_length(span))


def _counted(span: Span, first: Places, last: Places) -> list[slice]:
    """Positions from first to before last, counted from the beginning of each
    span.
    """
    counts = last - first
    # a span beyond the border has no signal anywhere
    begin = (first - span.low).clip(0, _length(span) - counts)
    return [
        slice(*ends)
        for ends in zip(begin.tolist(), (begin + counts).tolist(), strict=True)
    ]


def _cut(maps: Tensor, of: Places, down: Span, across: Span) -> Tensor:
    """Windows (n, C, h, w) of maps (m, C, H, W), each of the one of that
    number; beyond the border is what lies at it.
    """
    rows, columns = (
        torch.from_numpy(_positions(span).clip(0, side - 1)).to(maps.device)
        for span, side in zip((down, across), maps.shape[2:], strict=True)
    )
    number = torch.from_numpy(of).to(maps.device)
    channels = torch.arange(maps.shape[1], device=maps.device)
    return maps[
        number[:, None, None, None],
        channels[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def _bounded(
    windows: Tensor, seen: Seen, whole: tuple[int, int], beyond: float
) -> Tensor:
    """Windows with everything that lies outside of the whole map set to one
    value.
    """
    rows, columns = (
        torch.from_numpy((places < 0) | (places >= side)).to(windows.device)
        for places, side in zip(map(_positions, seen), whole, strict=True)
    )
    if not (rows.any() or columns.any()):
        return windows
    return windows.masked_fill(
        rows[:, None, :, None] | columns[:, None, None, :], beyond
    )
