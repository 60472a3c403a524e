"""Every unit's ten top pictures projected: against Captum, neuron by neuron,
and against whole pictures in batches.

python -m benchmarks.projections      # with the equality of a thousand neurons a network and method
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from captum.attr import (
    NeuronDeconvolution,
    NeuronGradient,
    NeuronGuidedBackprop,
    NeuronIntegratedGradients,
)
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.resnet import ResNet18
from benchmarks.tables import machine, markdown
from duchenne import networks, units
from duchenne.units import layers
from duchenne.units.relu_rules import METHODS, Passing

_CAPTUM = {
    "guided": NeuronGuidedBackprop,
    "deconvnet": NeuronDeconvolution,
    "gradient": NeuronGradient,
    "gradient_x_input": NeuronGradient,
    "integrated": NeuronIntegratedGradients,
}
_TOP = 10
_PER_PICTURE = 4  # neurons that a picture is among the top ten of, on average
_EQUAL = 1e-5
_BATCH = 32  # whole pictures, each with a neuron of its own
_COUNTED = 200  # projections whose operations are counted
_MEASURED = {
    "`zero_bias`, conv3, 96×96": 2560,
    "ResNet-18, layer2, 224×224": 1280,
    "ResNet-18, layer4, 224×224": 320,
}
"""How many projections are timed of each; the time of all is in proportion."""


@dataclass(frozen=True)
class Case:
    """A layer of a network, and pictures, units and positions to project: a
    unit's ten top pictures one after another.
    """

    network: nn.Module
    layer: str
    pictures: Tensor
    of: NDArray[np.int64]
    unit: NDArray[np.int64]
    place: NDArray[np.int64]

    def in_float64(self) -> Case:
        """The same in double precision."""
        return replace(
            self,
            network=deepcopy(self.network).double(),
            pictures=self.pictures.double(),
        )

    def projected(self, method: str, count: int) -> units.Windows:
        """The first so many neurons, by duchenne."""
        chosen = slice(count)
        return units.project(
            self.network,
            self.layer,
            self.pictures,
            self.unit[chosen],
            self.place[chosen],
            method,
            of=self.of[chosen],
        )

    def by_captum(self, method: str, count: int) -> Iterator[Tensor]:
        """The first so many, one call a neuron: (C, H, W) each."""
        reference = _CAPTUM[method](
            self.network, layers.find(self.network, self.layer)
        )
        for of, unit, place in zip(
            self.of[:count], self.unit, self.place, strict=False
        ):
            picture = self.pictures[of : of + 1].clone()
            found = reference.attribute(
                picture.requires_grad_(), (int(unit), *place.tolist())
            )[0].detach()
            yield (
                found * picture[0].detach()
                if method == "gradient_x_input"
                else found
            )

    def captums(self, method: str, count: int) -> list[Tensor]:
        """All of them."""
        return list(self.by_captum(method, count))

    def by_whole_pictures(self, method: str, count: int) -> None:
        """The first so many, from whole pictures in batches, one neuron each:
        forward and backward through all of it.
        """
        for first in range(0, count, _BATCH):
            numbers = np.arange(first, min(first + _BATCH, count))
            pixels = self.pictures[self.of[numbers]].clone().requires_grad_()
            with Passing(METHODS[method].rule):
                maps = layers.output(self.network, self.layer, pixels)
                rows, columns = self.place[numbers].T
                maps[
                    np.arange(len(numbers)), self.unit[numbers], rows, columns
                ].sum().backward()


def cases() -> dict[str, Callable[[], Case]]:
    """The layers that are measured, by their names."""
    return {
        "`zero_bias`, conv3, 96×96": lambda: _case(
            networks.build("zero_bias", classes=8, seed=0),
            "conv3",
            (1, 96, 96),
        ),
        "`zhu`, conv3, 96×96": lambda: _case(
            networks.build("zhu", classes=8, seed=0), "conv3", (1, 96, 96)
        ),
        "`sparse`, conv3, 128×128": lambda: _case(
            networks.build("sparse", classes=3, seed=0), "conv3", (1, 128, 128)
        ),
        "ResNet-18, layer4, 224×224": lambda: _case(
            ResNet18(), "layer4", (3, 224, 224)
        ),
        "ResNet-18, layer2, 224×224": lambda: _case(
            ResNet18(), "layer2", (3, 224, 224)
        ),
        "ResNet-18, layer2, 64×64": lambda: _case(
            ResNet18(), "layer2", (3, 64, 64)
        ),
    }


def _case(network: nn.Module, layer: str, shape: tuple[int, int, int]) -> Case:
    rng = np.random.default_rng(0)
    network = network.eval()
    channels, rows, columns = units.Fields(network, layer, shape).shape
    count = _TOP * channels
    pictures = torch.randn(
        -(-count // _PER_PICTURE), *shape, generator=Generator().manual_seed(0)
    )
    place = rng.integers(0, (rows, columns), (count, 2))
    place[:4] = [
        [0, 0],
        [0, columns - 1],
        [rows - 1, 0],
        [rows - 1, columns - 1],
    ]
    of = rng.integers(0, len(pictures), count)
    return Case(
        network,
        layer,
        pictures,
        of,
        np.repeat(np.arange(channels), _TOP),
        place,
    )


def measure(sample: int = 60) -> pd.DataFrame:
    """Time projections of every unit's top pictures, of the larger network
    some hundreds, and both others on a sample.
    """
    warnings.simplefilter("ignore")
    rows, activation = [], _peak()
    for name, most in _MEASURED.items():
        case = cases()[name]()
        for method in ("guided", "deconvnet"):
            count = len(case.unit)
            with FlopCounterMode(display=False) as counter:
                case.projected(method, _COUNTED)
            ours, captum, whole = (
                _timed(partial(work, method, some)) / some * count
                for work, some in (
                    (case.projected, min(most, count)),
                    (case.captums, sample),
                    (case.by_whole_pictures, 2 * _BATCH),
                )
            )
            share = (
                counter.get_total_flops()
                / _COUNTED
                * count
                / ours
                / activation
            )
            rows.append(
                (
                    name,
                    method,
                    count,
                    ours,
                    captum / ours,
                    whole / ours,
                    f"{100 * share:.0f} %",
                )
            )
    return pd.DataFrame(
        rows,
        columns=[
            "layer",
            "method",
            "projections",
            "s",
            "Captum, times as long",
            "whole pictures, times as long",
            "of the arithmetic peak",
        ],
    )


def equality(count: int = 1000) -> pd.DataFrame:
    """The largest relative difference to Captum on random neurons of each
    network, corners among them.

    Where some differ by more than 1e-5 all are computed again in float64:
    there a ReLU is entered by what is 0 but for rounding, which differs
    between a window and a whole picture and decides whether a signal passes.
    """
    warnings.simplefilter("ignore")
    rows = []
    for name in [*list(cases())[:3], "ResNet-18, layer2, 64×64"]:
        case = _drawn(cases()[name](), count)
        for method in _CAPTUM:
            some = count if method != "integrated" else count // 10
            differing = _differences(case, method, some)
            more = int((differing > _EQUAL).sum())
            exact = (
                f"{_differences(case.in_float64(), method, some).max():.0e}"
                if more
                else ""
            )
            rows.append(
                (
                    name,
                    method,
                    some,
                    f"{np.median(differing):.0e}",
                    f"{differing.max():.0e}",
                    more,
                    exact,
                )
            )
            print(rows[-1], flush=True)
    return pd.DataFrame(
        rows,
        columns=[
            "layer",
            "method",
            "neurons",
            "median",
            "largest",
            f"above {_EQUAL:.0e}",
            "largest in float64",
        ],
    )


def _differences(case: Case, method: str, count: int) -> NDArray[np.float64]:
    """Largest difference of each projection to Captum's, over the largest
    number in it.
    """
    found = case.projected(method, count).full(
        (case.pictures.shape[2], case.pictures.shape[3])
    )
    pairs = zip(found, case.by_captum(method, count), strict=True)
    return np.array(
        [
            np.abs(ours - theirs.numpy()).max()
            / max(theirs.abs().max().item(), 1e-30)
            for ours, theirs in pairs
        ]
    )


def _drawn(case: Case, count: int) -> Case:
    """Neurons drawn at random; the first four stay at the corners."""
    rng = np.random.default_rng(1)
    place = np.concatenate(
        [
            case.place[:4],
            case.place[rng.integers(4, len(case.place), count - 4)],
        ]
    )
    of, unit = (
        rng.integers(0, len(case.pictures), count),
        rng.integers(0, case.unit.max() + 1, count),
    )
    return Case(case.network, case.layer, case.pictures, of, unit, place)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _peak(side: int = 2048) -> float:
    """Operations a second of the fastest of ten matrix products in float32."""
    matrix = torch.rand(side, side)
    return (
        2 * side**3 / min(_timed(lambda: matrix @ matrix) for _ in range(10))
    )


def main() -> None:
    """Print both tables."""
    print(machine() + "\n")
    print(markdown(measure()), flush=True)
    print(markdown(equality()))


if __name__ == "__main__":
    main()
