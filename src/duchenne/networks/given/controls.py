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

_Normalising = nn.modules.batchnorm._BatchNorm


def control(network: nn.Module, seed: int) -> nn.Module:
    """Permute a network's weights in place, each tensor's within itself.

    Args:
        network: It is changed.
        seed: Of the permutations.

    Returns:
        The network.

    >>> before = nn.Linear(8, 1, bias=False)
    >>> sorted(before.weight[0].tolist()) == sorted(
    ...     control(before, 0).weight[0].tolist()
    ... )
    True
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in network.parameters():
            order = torch.randperm(weights.numel(), generator=generator)
            shuffled = weights.flatten()[order.to(weights.device)]
            weights.copy_(shuffled.view_as(weights))
    return network


def fit_statistics(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Fit the running statistics of batch normalisation to pictures: the mean
    over batches of what each layer is given, as cumulative averages do.

    Args:
        network: It is changed; nothing else in it is in training.
        batches: Prepared pictures (n, C, H, W), of one size each.

    Returns:
        How many layers have such statistics; without any, no batch is read.
    """
    fitted = _with_statistics(network)
    if not fitted:
        return 0
    network.eval()
    momenta = [module.momentum for module in fitted]
    for module in fitted:
        module.reset_running_stats()
        module.momentum = None  # the mean of all batches
        module.train()
    try:
        with torch.no_grad():
            for batch in batches:
                network(batch.clone())
    finally:
        for module, momentum in zip(fitted, momenta, strict=True):
            module.momentum = momentum
        network.eval()
    return len(fitted)


def statistics(network: nn.Module) -> dict[str, Tensor]:
    """The running statistics of a network's batch normalisation.

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


def _with_statistics(network: nn.Module) -> list[_Normalising]:
    return [
        module
        for module in network.modules()
        if isinstance(module, _Normalising) and module.running_mean is not None
    ]
