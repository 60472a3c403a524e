"""Ways of passing a neuron's signal back to the pixels: rules for ReLUs, and
what methods make of them.

A rule is a function ``(signal, input) -> signal``. Max pooling passes the
signal to the position that won, which is unpooling by recorded switches; every
other operator passes its own derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from duchenne.errors import InputError
from duchenne.units.layers import RELUS

Rule = Callable[[Tensor, Tensor], Tensor]


def gradient(signal: Tensor, entered: Tensor) -> Tensor:
    """Pass the signal where the ReLU was open: the derivative itself (Simonyan
    et al. 2014).

    Args:
        signal: What comes back to the ReLU.
        entered: What entered it, of the same shape.

    Returns:
        What is passed on, of the same shape.
    """
    return _where_open(signal, entered)


def deconvnet(signal: Tensor, entered: Tensor) -> Tensor:
    """Rectify the signal, whatever entered (Zeiler & Fergus 2014).

    Args:
        signal: What comes back to the ReLU.
        entered: What entered it, of the same shape.

    Returns:
        What is passed on, of the same shape.
    """
    return signal.clamp_min(0)


def guided(signal: Tensor, entered: Tensor) -> Tensor:
    """Rectify the signal and pass it where the ReLU was open (Springenberg et
    al. 2015).

    Args:
        signal: What comes back to the ReLU.
        entered: What entered it, of the same shape.

    Returns:
        What is passed on, of the same shape.
    """
    return _where_open(signal.clamp_min(0), entered)


def _where_open(signal: Tensor, entered: Tensor) -> Tensor:
    """The signal where the input was above 0, and 0 elsewhere; PyTorch's own
    kernel takes half the time of a product.
    """
    passed: Tensor = torch.ops.aten.threshold_backward(signal, entered, 0)
    return passed


def _relevance(network: nn.Module) -> AbstractContextManager[Any]:
    """Relevance instead of signals, by Zennit's rules: ε for linear layers, z⁺
    for convolutions (Bach et al. 2015).
    """
    try:
        from zennit.composites import EpsilonPlus
    except ImportError as error:
        raise InputError(
            f"method 'relevance': needs Zennit ({error}); install duchenne[relevance]"
        ) from None
    context: AbstractContextManager[Any] = EpsilonPlus().context(network)
    return context


def _from_black(points: int = 50) -> tuple[tuple[float, float], ...]:
    places, weights = np.polynomial.legendre.leggauss(points)
    return tuple(
        zip(((1 + places) / 2).tolist(), (weights / 2).tolist(), strict=True)
    )


@dataclass(frozen=True)
class Method:
    """A rule for ReLUs; the ``path`` of (share of the picture, weight) along
    which signals are summed; whether the sum is multiplied by the picture; and
    what is to be done to the whole network ``around`` it.
    """

    rule: Rule
    path: tuple[tuple[float, float], ...] = ((1.0, 1.0),)
    times_picture: bool = False
    around: Callable[[nn.Module], AbstractContextManager[Any]] | None = None

    def within(self, network: nn.Module) -> AbstractContextManager[Any]:
        """What is done to the network while signals are passed."""
        return self.around(network) if self.around else nullcontext()

    def signals(
        self,
        run: Callable[[Tensor], Tensor],
        pictures: Tensor,
        starts: Sequence[Callable[[Tensor], Tensor]],
    ) -> list[Tensor]:
        """Pass signals back to pictures.

        Args:
            run: From pictures to what the signals start at.
            pictures: (n, C, H, W).
            starts: Functions of what was made, each to the same shape: 1 at a
                neuron of each picture, and 0 elsewhere.

        Returns:
            For each start one (n, C, H, W).
        """
        summed = [torch.zeros_like(pictures) for _ in starts]
        for share, weight in self.path:
            given = (share * pictures).detach().requires_grad_()
            with torch.enable_grad():
                # the network may write into what it is given
                made = run(given.clone())
            for number, start in enumerate(starts):
                more = number + 1 < len(starts)
                # it does not where the network lets no signal back
                if made.requires_grad:
                    (signal,) = torch.autograd.grad(
                        made,
                        given,
                        start(made),
                        retain_graph=more,
                        allow_unused=True,
                        materialize_grads=True,
                    )
                    summed[number] += weight * signal
        return (
            [signal * pictures for signal in summed]
            if self.times_picture
            else summed
        )


METHODS: dict[str, Method] = {
    "guided": Method(guided),
    "deconvnet": Method(deconvnet),
    "gradient": Method(gradient),
    "gradient_x_input": Method(gradient, times_picture=True),
    "integrated": Method(gradient, _from_black(), times_picture=True),
    "relevance": Method(gradient, around=_relevance),
}
"""Every method by its name in recipes and commands: ``gradient_x_input`` as
Shrikumar et al. (2016), ``integrated`` as Sundararajan et al. (2017), from a
picture of zeros by Gauss and Legendre's rule of 50 points; ``relevance`` needs
Zennit.
"""


class Passing(TorchFunctionMode):
    """While it lasts, every ReLU that is run passes signals by a rule.

    ``met`` counts them, and ``others`` the activations of other kinds.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self._rule = rule
        self.met = 0
        self.others = 0

    def relu(self, entered: Tensor, inplace: bool = False) -> Tensor:
        """A ReLU that passes signals by the rule.

        Args:
            entered: Of any shape.
            inplace: Whatever it says, nothing is written over.

        Returns:
            Of the same shape.
        """
        self.met += 1
        passed: Tensor = _Relu.apply(entered, self._rule, inplace)  # type: ignore[no-untyped-call]
        return passed

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func in RELUS:
            given = dict(zip(("input", "inplace"), args, strict=False)) | (
                kwargs or {}
            )
            return self.relu(
                given["input"],
                func in _IN_PLACE or given.get("inplace", False),
            )
        self.others += func in _OTHERS
        return func(*args, **(kwargs or {}))


_IN_PLACE = {torch.relu_, Tensor.relu_}
_OTHERS = {
    F.gelu,
    F.silu,
    F.mish,
    F.elu,
    F.selu,
    F.celu,
    F.leaky_relu,
    F.hardswish,
    F.softplus,
    F.relu6,
    F.hardtanh,
    F.prelu,
    F.tanh,
    torch.tanh,
    Tensor.tanh,
    F.sigmoid,
    torch.sigmoid,
    Tensor.sigmoid,
    F.threshold,
    torch.clamp,
    Tensor.clamp,
    torch.clamp_min,
    Tensor.clamp_min,
    torch.where,
    Tensor.where,
    torch.maximum,
    Tensor.masked_fill,
}


class _Relu(torch.autograd.Function):
    @staticmethod
    def forward(
        context: Any, entered: Tensor, rule: Rule, inplace: bool
    ) -> Tensor:
        context.rule = rule
        if not inplace:
            context.save_for_backward(entered)
            return entered.clamp_min(0)
        # what others read of it has been rectified as well
        context.save_for_backward(entered.clone())
        context.mark_dirty(entered)
        return entered.clamp_min_(0)

    @staticmethod
    def backward(context: Any, *signals: Tensor) -> Any:
        (entered,) = context.saved_tensors
        return context.rule(signals[0], entered), None, None
