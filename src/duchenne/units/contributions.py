"""What a pyramidal layer sees in a picture, all neurons together (mousavi2016
§II-B).

Every neuron of PyraNet and LIPNet has weights of its own, so that one or two
say little. The most active ones are traced back to the pixels and averaged,
weighted by how active they are; the amount is the picture. It serves any
network's layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from duchenne.errors import InputError
from duchenne.units import layers
from duchenne.units.relu_rules import METHODS, Passing

Floats = NDArray[np.float32]

BRIGHTEST = 255.0
THRESHOLD = 80.0
"""Below it, 30 % of the contribution, nothing is shown in a thresholded
picture (mousavi2016 Fig. 9).
"""
_PICTURES = 32  # at once
_SENT_BACK = ("guided", "deconvnet", "gradient")


@dataclass(frozen=True)
class Contributions:
    """How much pixels contribute to the activity of a layer, and the pictures
    (n, C, H, W) that were shown to it.

    ``brightness`` (n, H, W) is 0 … 255, of which 255 is the pixel of each
    picture that contributes most.
    """

    brightness: Floats
    pictures: Floats

    @property
    def combined(self) -> Floats:
        """The pictures, darker where pixels contribute less: (n, C, H, W)."""
        return self.pictures * (self.brightness / BRIGHTEST)[:, None]

    def thresholded(self, least: float = THRESHOLD) -> Floats:
        """Brightness with all that is less removed.

        Args:
            least: Less than what, as a share of the largest.

        Returns:
            (n, H, W).
        """
        return np.where(
            self.brightness < least, np.float32(0), self.brightness
        )


def contributions(
    network: nn.Module,
    layer: str,
    prepared: Tensor,
    pictures: Floats,
    share: float = 0.25,
    method: str = "gradient",
) -> Contributions:
    """Trace the most active neurons of a layer back to the pixels of pictures,
    and average them.

    Where a ReLU takes what the layer gives, neurons that it silences are not
    active. A pixel's brightness is |Σ |aᵢ| ∂aᵢ/∂x| / Σ |aᵢ|, the largest of
    its colours', brought to 0 … 255 in proportion. How many neurons the paper
    takes it does not say (a reading). By ``"guided"`` and ``"deconvnet"``,
    which differ from it where ReLUs are on the way, the neurons' signals are
    sent back together, and rectified where they meet.

    Args:
        network: Any network.
        layer: The name of one of its layers.
        prepared: (n, C, H, W) what the network is given of the pictures.
        pictures: (n, C, H, W) in 0 … 1.
        share: Of the layer's neurons those with the largest |a|, of each
            picture its own.
        method: "gradient", "guided" or "deconvnet".

    Returns:
        Brightness, and pictures combined with it.

    Raises:
        InputError: For a share out of (0, 1], and for layers and methods as
            ``project`` does.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> network[1].weight.data = torch.tensor(
    ...     [[0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 4.0]]
    ... )
    >>> picture = torch.ones(1, 1, 2, 2)
    >>> contributions(
    ...     network, "1", picture, picture.numpy(), share=0.5
    ... ).brightness[0].round().tolist()
    [[0.0, 0.0], [0.0, 255.0]]
    """
    if not 0 < share <= 1:
        raise InputError(f"a share of {share}: not above 0 and at most 1")
    if method not in _SENT_BACK:
        raise InputError(
            f"method {method!r}: not one of {', '.join(_SENT_BACK)}"
        )
    traced = [
        _traced(network, layer, batch, share, method)
        for batch in torch.split(prepared, _PICTURES)
    ]
    found = (
        np.concatenate(traced)
        if traced
        else np.zeros((0, *pictures.shape[2:]), np.float32)
    )
    brightest = found.max((1, 2), keepdims=True)
    return Contributions(
        (BRIGHTEST * found / np.where(brightest > 0, brightest, 1)).astype(
            np.float32
        ),
        pictures,
    )


def _traced(
    network: nn.Module, layer: str, prepared: Tensor, share: float, method: str
) -> Floats:
    """|weighted mean of the most active neurons' signals|: (n, H, W)."""
    way = METHODS[method]
    weights = _weights(
        layers.activation_maps(network, layer, prepared).abs(), share
    )
    with layers.evaluating(network), Passing(way.rule):
        (signals,) = way.signals(
            lambda given: layers.maps(network, layer, given),
            prepared,
            [lambda made: weights],
        )
    found: Floats = signals.abs().amax(1).cpu().numpy()
    return found


def _weights(active: Tensor, share: float) -> Tensor:
    """How active the most active neurons of each picture are, which sum to 1;
    0 at all others.
    """
    activity = active.flatten(1)
    count = max(1, round(share * activity.shape[1]))
    most, where = activity.topk(count, 1)
    weights = torch.zeros_like(activity).scatter_(1, where, most)
    return (
        weights
        / weights.sum(1, keepdim=True).clamp_min(
            torch.finfo(weights.dtype).tiny
        )
    ).view_as(active)
