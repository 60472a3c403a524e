"""The control of a network: the same architecture without what it has
learned, its normalisation fitted to the same pictures.

Weights are drawn anew, or permuted within every tensor. Batch normalisation
keeps running statistics of what it is given: those of the trained weights, or
0 and 1, belong to no control, and a control that keeps them detects too little
or too much.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from duchenne.errors import InputError


def control(network: nn.Module, seed: int) -> nn.Module:
    """Permute a network's weights in place, each tensor's within itself.

    Args:
        network: It is changed.
        seed: Of the permutations.

    Returns:
        The network.

    Raises:
        InputError: Where it has no weights to permute.

    >>> before = nn.Linear(8, 1, bias=False)
    >>> sorted(before.weight[0].tolist()) == sorted(
    ...     control(before, 0).weight[0].tolist()
    ... )
    True
    """
    if all(weights.numel() < 2 for weights in network.parameters()):
        raise InputError(
            "network.control: the network has no weights to permute"
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in network.parameters():
            order = torch.randperm(weights.numel(), generator=generator)
            shuffled = weights.flatten()[order.to(weights.device)]
            weights.copy_(shuffled.view_as(weights))
    return network


def fit_statistics(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Fit the running statistics of normalisation to pictures: the mean over
    batches of what each layer is given, as cumulative averages do.

    Whatever keeps a running mean and variance is fitted, also a layer of an
    exported network, which is no module of PyTorch's batch normalisation any
    more.

    Args:
        network: It is changed, and run in evaluation mode.
        batches: Prepared pictures (n, C, H, W).

    Returns:
        How many layers have such statistics; without any, no batch is read.
    """
    fitted = [_Fitting(module) for module in _with_statistics(network)]
    if not fitted:
        return 0
    network.eval()
    handles = [
        fitting.module.register_forward_pre_hook(fitting.take)
        for fitting in fitted
    ]
    try:
        with torch.no_grad():
            for batch in batches:
                network(batch.clone())
    finally:
        for handle in handles:
            handle.remove()
    for fitting in fitted:
        fitting.write()
    return len(fitted)


class _Fitting:
    """The running statistics of one ``module``, from what it is given: while
    they are fitted it normalises every batch by its own.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._batches = 0
        self._mean: Tensor | float = 0.0
        self._variance: Tensor | float = 0.0

    def take(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take in what the module is about to be given."""
        channels_last = inputs[0].movedim(1, -1).flatten(0, -2)
        mean = channels_last.mean(0)
        variance = channels_last.var(0, correction=0)
        count = len(channels_last)
        self._batches += 1
        self._mean = self._mean + mean.double()
        unbiased = variance.double() * count / max(count - 1, 1)
        self._variance = self._variance + unbiased  # as PyTorch keeps it
        self._set(mean, variance)

    def write(self) -> None:
        """Leave the means over batches in the module."""
        if self._batches:
            mean = torch.as_tensor(self._mean) / self._batches
            variance = torch.as_tensor(self._variance) / self._batches
            self._set(mean, variance)

    def _set(self, mean: Tensor, variance: Tensor) -> None:
        with torch.no_grad():
            self.module.get_buffer("running_mean").copy_(mean)
            self.module.get_buffer("running_var").copy_(variance)


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """The running statistics of a network's normalisation.

    Args:
        network: Any network.

    Returns:
        By their names in its state dict; none where it has none.
    """
    kept = set(map(id, _with_statistics(network)))
    return {
        f"{name}.{buffer}": values
        for name, module in network.named_modules()
        if id(module) in kept
        for buffer, values in module.named_buffers(recurse=False)
    }


def _with_statistics(network: nn.Module) -> list[nn.Module]:
    """The modules that keep a running mean and variance."""
    wanted = {"running_mean", "running_var"}
    return [
        module
        for module in network.modules()
        if wanted <= {name for name, _ in module.named_buffers(recurse=False)}
    ]
