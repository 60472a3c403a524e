"""What a network of another package must do to be trained and examined here: a
check for its own tests.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from duchenne.units import layers

_CLASSES = 3


def check_network(
    kind: type[nn.Module], *, channels: int = 1, classes: int = _CLASSES
) -> None:
    """Check that a class of networks keeps the contract of recipes.

    It is made by ``kind(classes, channels=…, size=…, generator=…)``, of which
    it may leave out ``size``; ``SIZE`` is the side of the pictures that it
    takes, in pixels, and ``LAYERS`` names those worth looking at. It gives
    logits (n, classes), each picture's alone; its weights are decided by the
    generator; they go into a state dict and come back; and it can be trained.

    Args:
        kind: The class.
        channels: 1 for grey, 3 for RGB.
        classes: How many it is to tell apart.

    Raises:
        AssertionError: Where it does not, saying in what.

    >>> from duchenne.networks.zero_bias import ZeroBias
    >>> check_network(ZeroBias)
    """
    _refuse(not hasattr(kind, "SIZE"), kind, "has no SIZE, in pixels")
    _refuse(not getattr(kind, "LAYERS", ()), kind, "names no LAYERS")
    for name in ("classes", "channels", "generator"):
        _refuse(not _takes(kind, name), kind, f"takes no {name!r}")
    network = _made(kind, channels, classes, 0)
    shape = (4, channels, kind.SIZE, kind.SIZE)  # type: ignore[attr-defined]
    pictures = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    _check_outputs(kind, network, pictures, classes)
    _check_layers(kind, network, pictures)
    _check_weights(kind, channels, classes, pictures)
    _check_training(kind, network, pictures)


def _refuse(problem: bool, kind: type[nn.Module], says: str) -> None:
    if problem:
        raise AssertionError(f"{kind.__name__}: {says}")


def _takes(kind: type[nn.Module], name: str) -> bool:
    """Whether a class is made with an argument of a name, or with any."""
    known = inspect.signature(kind).parameters.values()
    every = inspect.Parameter.VAR_KEYWORD
    return any(each.name == name or each.kind is every for each in known)


def _made(
    kind: type[nn.Module], channels: int, classes: int, seed: int
) -> nn.Module:
    options: dict[str, Any] = {"channels": channels}
    if _takes(kind, "size"):
        options["size"] = kind.SIZE  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(seed)
    return kind(classes, generator=generator, **options)


def _check_outputs(
    kind: type[nn.Module], network: nn.Module, pictures: Tensor, classes: int
) -> None:
    """Logits, a row a picture, that no other picture changes."""
    network.eval()
    with torch.no_grad():
        given = network(pictures)
        alone = network(pictures[:1])
    _refuse(not isinstance(given, Tensor), kind, "gives no tensor")
    wanted = (len(pictures), classes)
    gives = f"gives {tuple(given.shape)}, not {wanted}"
    _refuse(given.shape != wanted, kind, gives)
    _refuse(not given.isfinite().all(), kind, "gives what is not finite")
    same = torch.allclose(given[:1], alone, atol=1e-4, rtol=1e-3)
    _refuse(not same, kind, "reads a picture otherwise beside others")


def _check_layers(
    kind: type[nn.Module], network: nn.Module, pictures: Tensor
) -> None:
    """Every layer that it names is there and gives a row a picture."""
    names = dict(network.named_modules())
    for name in kind.LAYERS:  # type: ignore[attr-defined]
        _refuse(name not in names, kind, f"has no layer {name!r}")
        with torch.no_grad():
            given = layers.maps(network, name, pictures)
        rows = given.ndim in (2, 3, 4) and len(given) == len(pictures)
        _refuse(not rows, kind, f"layer {name!r} gives no row a picture")


def _check_weights(
    kind: type[nn.Module], channels: int, classes: int, pictures: Tensor
) -> None:
    """Weights are decided by the generator, and can be kept."""
    one, same, other = (
        _made(kind, channels, classes, seed).eval() for seed in (4, 4, 5)
    )
    weights, again = one.state_dict(), same.state_dict()
    equal = all(torch.equal(weights[name], again[name]) for name in weights)
    _refuse(
        not equal, kind, "draws weights that its generator does not decide"
    )
    others = other.state_dict()
    differ = any(
        not torch.equal(weights[name], others[name]) for name in weights
    )
    _refuse(not differ, kind, "draws the same weights from every seed")
    other.load_state_dict(weights)
    with torch.no_grad():
        kept = torch.equal(other(pictures), one(pictures))
    _refuse(not kept, kind, "is another once its state dict is loaded")


def _check_training(
    kind: type[nn.Module], network: nn.Module, pictures: Tensor
) -> None:
    """A step of gradient descent reaches its weights."""
    network.train()
    loss = network(pictures).logsumexp(1).mean()
    loss.backward()
    reached = {
        name: weights.grad is not None and weights.grad.isfinite().all()
        for name, weights in network.named_parameters()
        if weights.requires_grad
    }
    _refuse(not reached, kind, "has no weights that can be trained")
    missed = [name for name, trained in reached.items() if not trained]
    _refuse(bool(missed), kind, f"{missed[:1]} is reached by no gradient")
