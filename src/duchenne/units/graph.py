"""The way from a picture to a layer: PyTorch's own operators, recorded while
the network runs once.

From it follows all that is known in closed form: which positions of every map
on the way a neuron of the layer can see, hence its receptive field, and how to
compute the neuron from those positions alone (see ``windows``). It does not
matter whether ReLUs and poolings are modules or functions, and branches may
part and meet again.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode

from duchenne.units import layers

Places = NDArray[np.int64]
Mask = NDArray[np.bool_]
Pair = tuple[int, int]
_Sides = Sequence[int]
_FEW = 8  # channels
aten = torch.ops.aten


class UnknownWayError(Exception):
    """On the way is an operator of which no closed form says what its
    positions see; the message names it.
    """


@dataclass(frozen=True)
class Span:
    """Positions ``low`` to ``high`` along an axis, both included: (n,) each."""

    low: Places
    high: Places

    def joined(self, other: Span | None) -> Span:
        """The span that holds both."""
        return (
            Span(
                np.minimum(self.low, other.low),
                np.maximum(self.high, other.high),
            )
            if other
            else self
        )


@dataclass(frozen=True)
class Gather:
    """How an operator's positions gather those of its input, along rows and
    columns.

    A position reaches over so many, in steps of a stride, from ``padding``
    before it, and takes every one that lies ``dilation`` further; ``beyond``
    is what lies past the border of the input. ``compute`` does it with nothing
    padded.
    """

    reach: Pair
    stride: Pair
    padding: Pair
    compute: Callable[[Tensor], Tensor]
    beyond: float = 0.0
    dilation: Pair = (1, 1)

    def leaves(self, entered: Pair, left: Pair) -> bool:
        """Whether positions of a result of some size reach beyond the border
        of an input of some size.
        """
        return any(
            padding > 0 or (count - 1) * stride - padding + reach > side
            for side, count, reach, stride, padding in zip(
                entered,
                left,
                self.reach,
                self.stride,
                self.padding,
                strict=True,
            )
        )

    def seen(self, span: Span, axis: int) -> Span:
        """What a span of the result sees of the input."""
        reach = self.reach[axis]
        stride = self.stride[axis]
        padding = self.padding[axis]
        return Span(
            span.low * stride - padding,
            span.high * stride - padding + reach - 1,
        )

    def taken(self, positions: Mask, axis: int, side: int) -> Mask:
        """Which positions of the input some positions of the result take,
        those past the border left out.

        Args:
            positions: (n, m) of the result.
            axis: 0 for rows, 1 for columns.
            side: How many positions the input has.

        Returns:
            (n, side).
        """
        reach = self.reach[axis]
        stride = self.stride[axis]
        padding = self.padding[axis]
        found = np.zeros((len(positions), side), bool)
        first = np.arange(positions.shape[1]) * stride - padding
        for tap in range(0, reach, self.dilation[axis]):
            inside = (first + tap >= 0) & (first + tap < side)
            found[:, (first + tap)[inside]] |= positions[:, inside]
        return found


class Way:
    """The operators between pictures (C, H, W) and a layer that gives maps.

    ``maps`` are the nodes of ``recorded`` that stand for maps, in the order in
    which they are computed: the picture first, the layer last; ``gathers``
    says how those among them gather that do not compute position by position.
    Raises ``UnknownWayError`` where there is an operator that is not
    understood.

    >>> way = Way(
    ...     nn.Sequential(nn.Conv2d(1, 2, 5, padding=2), nn.ReLU()),
    ...     "1",
    ...     (1, 96, 96),
    ... )
    >>> way.fields(np.array([0, 48]), np.array([0, 48])).tolist()
    [[0, 0, 3, 3], [46, 46, 51, 51]]
    """

    def __init__(
        self, network: nn.Module, layer: str, shape: tuple[int, int, int]
    ) -> None:
        self.recorded = _recorded(network, layer, shape)
        self.gathers: dict[fx.Node, Gather] = {}
        self.maps: dict[fx.Node, None] = {}
        *nodes, end = self.recorded.graph.nodes
        for node in nodes:
            if node.op == "placeholder" or any(
                source in self.maps for source in node.all_input_nodes
            ):
                self._read(node)
        if end.args[0] not in self.maps:
            raise UnknownWayError("the layer gives no map of the picture")

    @property
    def picture(self) -> fx.Node:
        """The node that stands for the picture."""
        return next(iter(self.maps))

    @property
    def layer(self) -> fx.Node:
        """The node that stands for the layer."""
        return next(reversed(self.maps))

    def spans(self, places: Places, axis: int) -> dict[fx.Node, Span]:
        """From where to where positions of the layer (n,) see every map, along
        rows (axis 0) or columns (1), also beyond its border.
        """
        seen = {self.layer: Span(places, places)}
        for node in reversed(self.maps):
            through = (
                self.gathers[node].seen(seen[node], axis)
                if node in self.gathers
                else seen[node]
            )
            for source in node.all_input_nodes:
                if source in self.maps:
                    seen[source] = through.joined(seen.get(source))
        return seen

    def taken(self, axis: int) -> Mask:
        """Which rows or columns of the picture each of the layer's takes,
        through taps that lie on every map.

        Args:
            axis: 0 for rows, 1 for columns.

        Returns:
            (rows of the layer, rows of the picture).
        """
        seen = {self.layer: np.eye(size(self.layer)[axis], dtype=bool)}
        for node in reversed(self.maps):
            for source in node.all_input_nodes:
                if source in self.maps:
                    side = size(source)[axis]
                    through = (
                        self.gathers[node].taken(seen[node], axis, side)
                        if node in self.gathers
                        else seen[node]
                    )
                    seen[source] = (
                        seen[source] | through if source in seen else through
                    )
        return seen[self.picture]

    def fields(self, rows: Places, columns: Places) -> Places:
        """Receptive field of each position: (n, 4) as x0, y0, x1, y1 in
        pixels, x1 and y1 exclusive.

        Of a position that takes nothing but what lies beyond the border, the
        nearest pixel.
        """
        top, bottom = self._extent(0)[:, rows]
        left, right = self._extent(1)[:, columns]
        return np.stack([left, top, right + 1, bottom + 1], 1)

    def _extent(self, axis: int) -> Places:
        """First and last pixel along an axis of every position, (2, n)."""
        positions = np.arange(size(self.layer)[axis])
        spans = self.spans(positions, axis)[self.picture]
        return _bounds(self.taken(axis), spans)

    def _read(self, node: fx.Node) -> None:
        """Note a map and how it gathers; refuse what is not understood."""
        target = node.target
        if len(_value(node).shape) != 4:
            raise UnknownWayError(f"{node} gives no map")
        self.maps[node] = None
        if target in _GATHERING:
            source, *more = (
                self._constant(argument) for argument in node.args
            )
            self.gathers[node] = _GATHERING[target](
                size(source), *more, **node.kwargs
            )
        elif not self._is_position_by_position(node):
            raise UnknownWayError(
                f"{target} is not computed position by position"
            )
        elif target in _BATCH_NORM and node.args[5] is not False:
            raise UnknownWayError("batch norm by the batch's own mean")
        elif self._joins_other_sizes(node):
            raise UnknownWayError(f"{target} joins maps of several sizes")

    def _is_position_by_position(self, node: fx.Node) -> bool:
        if node.op == "placeholder" or node.target in _POINTWISE:
            return True
        return _over_channels(node) or self._of_several(node)

    def _joins_other_sizes(self, node: fx.Node) -> bool:
        joined = [
            source for source in node.all_input_nodes if source in self.maps
        ]
        return any(size(source) != size(node) for source in joined)

    def _of_several(self, node: fx.Node) -> bool:
        """Whether it computes position by position, from maps and from
        constants that are maps or numbers of channels.
        """
        constants = [
            _value(source)
            for source in node.all_input_nodes
            if source not in self.maps
        ]
        if node.target is aten.div.Tensor and node.args[1] in self.maps:
            # what lies beyond a map's border is not to be divided by
            return False
        return node.target in _OF_SEVERAL and all(
            constant.numel() == 1
            or (
                constant.ndim > 1
                and tuple(constant.shape[-2:]) in ((1, 1), size(node))
            )
            for constant in constants
        )

    def _constant(self, argument: Any) -> Any:
        """An argument of an operator, with what is recorded by name, such as
        weights; refuse those that are computed.
        """
        if not isinstance(argument, fx.Node) or argument in self.maps:
            return argument
        if argument.op != "get_attr":
            raise UnknownWayError(f"{argument} is computed")
        return getattr(self.recorded, str(argument.target))


def _bounds(taken: Mask, span: Span) -> Places:
    """First and last position that each row of a table takes: (2, n)."""
    side = taken.shape[1]
    first = np.where(taken.any(1), taken.argmax(1), span.low.clip(0, side - 1))
    last = np.where(
        taken.any(1),
        side - 1 - taken[:, ::-1].argmax(1),
        span.high.clip(0, side - 1),
    )
    return np.stack([first, last])


def size(node: fx.Node) -> Pair:
    """Rows and columns of a map."""
    rows, columns = _value(node).shape[-2:]
    return int(rows), int(columns)


def channels(node: fx.Node) -> int:
    """Channels of a map."""
    return int(_value(node).shape[1])


def _value(node: fx.Node) -> Tensor:
    """What a node gave when it was recorded; of several results the first is
    the map.
    """
    value: Any = node.meta["val"]
    first: Tensor = value[0] if isinstance(value, tuple | list) else value
    return first


def _recorded(
    network: nn.Module, layer: str, shape: tuple[int, int, int]
) -> fx.GraphModule:
    first = next(network.parameters(), torch.zeros(()))
    picture = torch.zeros(1, *shape, device=first.device, dtype=first.dtype)
    with layers.evaluating(network), torch.enable_grad():
        # what fails here is the network's own fault
        layers.maps(network, layer, picture)
        try:
            recorded = make_fx(
                functionalize(lambda pixels: _watched(network, layer, pixels))
            )(picture)
        # the recorder has many ways of saying that it does not understand
        except Exception as error:
            raise UnknownWayError(str(error)) from None
    recorded.graph.eliminate_dead_code()
    return recorded


def _watched(network: nn.Module, layer: str, pixels: Tensor) -> Tensor:
    with _Watching(torch.is_grad_enabled()):
        return layers.maps(network, layer, pixels)


class _Watching(TorchFunctionMode):
    """Refuses networks that hold signals back: what they detach or compute
    without gradients.
    """

    def __init__(self, enabled: bool) -> None:
        super().__init__()
        self._enabled = enabled

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if (
            func in (Tensor.detach, Tensor.detach_, torch.detach)
            or torch.is_grad_enabled() is not self._enabled
        ):
            raise UnknownWayError("the network holds signals back")
        return func(*args, **(kwargs or {}))


# operators that gather, each from its input's size and its arguments


def _convolution(
    size: Pair,
    weight: Tensor,
    bias: Tensor | None,
    stride: _Sides,
    padding: _Sides,
    dilation: _Sides,
    *more: Any,
) -> Gather:
    transposed, _, groups = more  # between them the output's padding
    if transposed:
        raise UnknownWayError("a transposed convolution")
    convolve = (
        _FromFewChannels.apply
        if weight.shape[1] < _FEW and groups == 1
        else F.conv2d
    )
    return Gather(
        _reach(weight.shape[2:], dilation),
        _pair(stride),
        _pair(padding),
        lambda maps: convolve(
            maps, weight, bias, _pair(stride), 0, _pair(dilation), groups
        ),
        dilation=_pair(dilation),
    )


class _FromFewChannels(torch.autograd.Function):
    """``F.conv2d`` of a few channels, as a picture has: its way back is a
    matrix product, four times as fast.
    """

    @staticmethod
    def forward(
        context: Any,
        maps: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        *how: Any,
    ) -> Tensor:
        context.weight = weight
        context.size = maps.shape[2:]
        context.how = how
        return F.conv2d(maps, weight, bias, *how)

    @staticmethod
    def backward(context: Any, *signals: Tensor) -> Any:
        stride, padding, dilation, _ = context.how
        spread = context.weight.flatten(1).T @ signals[0].flatten(2)
        kernel = context.weight.shape[2:]
        return F.fold(
            spread, context.size, kernel, dilation, padding, stride
        ), *(None,) * 6


def _max_pool(
    size: Pair,
    kernel: _Sides,
    stride: _Sides = (),
    padding: _Sides = (0,),
    dilation: _Sides = (1,),
    ceil_mode: bool = False,
) -> Gather:
    by = _pair(stride or kernel)
    return Gather(
        _reach(kernel, dilation),
        by,
        _pair(padding),
        lambda maps: F.max_pool2d(maps, _pair(kernel), by, 0, _pair(dilation)),
        -math.inf,
        _pair(dilation),
    )


_AVERAGING = (False, True, None)
"""Of an average: ceil_mode, count_include_pad and divisor_override, where they
are not given.
"""


def _average_pool(
    size: Pair,
    kernel: _Sides,
    stride: _Sides = (),
    padding: _Sides = (0,),
    *more: Any,
) -> Gather:
    options = [*more, *_AVERAGING[len(more) :]]
    ceil_mode, count_include_pad, divisor_override = options
    if not divisor_override and (
        ceil_mode or (any(padding) and not count_include_pad)
    ):
        raise UnknownWayError("an average over fewer positions at the border")
    by = _pair(stride or kernel)
    return Gather(
        _pair(kernel),
        by,
        _pair(padding),
        lambda maps: F.avg_pool2d(
            maps, _pair(kernel), by, divisor_override=divisor_override
        ),
    )


def _adaptive(
    pool: Callable[..., Tensor], beyond: float
) -> Callable[..., Gather]:
    def gather(size: Pair, count: _Sides) -> Gather:
        if size[0] % count[0] or size[1] % count[1]:
            raise UnknownWayError(
                "a pooling whose fields are of several sizes"
            )
        kernel = size[0] // count[0], size[1] // count[1]
        return Gather(
            kernel, kernel, (0, 0), lambda maps: pool(maps, kernel), beyond
        )

    return gather


def _pad(size: Pair, margins: Sequence[int], value: float = 0.0) -> Gather:
    if len(margins) > 4:
        raise UnknownWayError("channels that are padded")
    left, _, top, _ = (*margins, 0, 0)[:4]
    return Gather((1, 1), (1, 1), (top, left), lambda maps: maps, value)


def _reach(kernel: _Sides, dilation: _Sides) -> Pair:
    rows, columns = (
        (side - 1) * apart + 1
        for side, apart in zip(_pair(kernel), _pair(dilation), strict=True)
    )
    return rows, columns


def _pair(sides: _Sides) -> Pair:
    """Along rows and along columns, where one number says both."""
    return int(sides[0]), int(sides[-1])


_GATHERING: dict[Any, Callable[..., Gather]] = {
    aten.convolution.default: _convolution,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _average_pool,
    aten.adaptive_max_pool2d.default: _adaptive(F.max_pool2d, -math.inf),
    aten._adaptive_avg_pool2d.default: _adaptive(F.avg_pool2d, 0.0),
    aten.constant_pad_nd.default: _pad,
}

# operators that are computed position by position

_BATCH_NORM = {
    aten.native_batch_norm.default,
    aten._native_batch_norm_legit.default,
}
_POINTWISE = _BATCH_NORM | {
    aten._native_batch_norm_legit_no_training.default,
    aten.relu.default,
    aten.leaky_relu.default,
    aten.elu.default,
    aten.gelu.default,
    aten.silu.default,
    aten.mish.default,
    aten.tanh.default,
    aten.sigmoid.default,
    aten.softplus.default,
    aten.hardtanh.default,
    aten.hardswish.default,
    aten.hardsigmoid.default,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.neg.default,
    aten.clone.default,
    aten.detach.default,
    aten.alias.default,
}
_OF_SEVERAL = {
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.rsub.Scalar,
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.maximum.default,
    aten.minimum.default,
}


def _over_channels(node: fx.Node) -> bool:
    """Whether it joins or sums over nothing but channels, or takes the first
    of several results.
    """
    if node.target is operator.getitem:
        return bool(node.args[1] == 0)
    if node.target is aten.cat.default:
        return node.args[1:] in ((1,), (-3,))
    if node.target not in (aten.sum.dim_IntList, aten.mean.dim):
        return False
    dimensions = list(node.args[1])  # type: ignore[arg-type]
    return dimensions in ([1], [-3])
