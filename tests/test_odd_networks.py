"""Networks written in ways by which windows, fields or single passes could be
misled: each against plain autograd.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from duchenne import units
from duchenne.errors import InputError
from duchenne.units import contributions, layers, windows

from .convolutional import Small, drawn


class Written(nn.Module):
    """Three convolutions ``a``, ``b`` and ``last``, and a function of them and
    of the picture.
    """

    def __init__(
        self, forward: Callable[[Any, Tensor], Tensor], kernels: tuple[int, int, int] = (3, 3, 3)
    ) -> None:
        super().__init__()
        a, b, last = kernels
        self.a = nn.Conv2d(1, 3, a, padding=a // 2)
        self.b = nn.Conv2d(3, 3, b, padding=b // 2)
        self.c = nn.Conv2d(1, 3, b, padding=b // 2)
        self.last = nn.Conv2d(3, 2, last, padding=last // 2)
        self.norm, self.relu, self._forward = (nn.BatchNorm2d(3), nn.ReLU(inplace=True), forward)
        drawn(self)

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def in_place(rectify: Callable[[Tensor], Any]) -> Callable[[Any, Tensor], Tensor]:
    """Rectifies in place, and goes on with the tensor that was given."""

    def forward(net: Any, x: Tensor) -> Tensor:
        first = net.a(x)
        rectify(first)
        return net.last(first)

    return forward


def before_activation(net: Any, x: Tensor) -> Tensor:
    first = net.a(x)
    return net.last(first + net.b(net.relu(first)))


def without_gradient(net: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        held = net.a(x)
    return net.last(net.c(x) + held)


def by_counts(net: Any, x: Tensor) -> Tensor:
    return net.last(net.a(x) * len(x[:1].nonzero()))


def unpooled(net: Any, x: Tensor) -> Tensor:
    most, where = F.max_pool2d(net.a(x), 3, 3, return_indices=True)
    return net.last(F.max_unpool2d(most, where, 3, 3))


def strided(net: Any, x: Tensor) -> Tensor:
    return net.last(net.a(x)[:, :, ::2, ::2] + net.b(net.c(x))[:, :, :15, :15])


def normalised(net: Any, x: Tensor) -> Tensor:
    return net.last(F.layer_norm(net.a(x).permute(0, 2, 3, 1), (3,)).permute(0, 3, 1, 2))


WRITTEN: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "F.relu(inplace=True)": in_place(lambda maps: F.relu(maps, inplace=True)),
    "F.relu_": in_place(F.relu_),
    "torch.relu_": in_place(torch.relu_),
    "Tensor.relu_": in_place(Tensor.relu_),
    "nn.ReLU(True)": in_place(nn.ReLU(True)),
    "a ReLU in place on what a shortcut carries": before_activation,
    "a gate with a maximum": lambda net, x: net.last(net.c(x) * F.max_pool2d(net.a(x), 3, 1, 1)),
    "division by a local mean": lambda net, x: net.last(
        net.c(x) / F.avg_pool2d(net.a(x).sigmoid(), 3, 1, 1)
    ),
    "a part without gradient": without_gradient,
    "a detached part": lambda net, x: net.last(net.c(x) + net.a(x).detach()),
    "a frozen beginning": lambda net, x: net.last(net.b(net.a(x).detach())),
    "by how much is counted": by_counts,
    "a maximum put back": unpooled,
    "branches of several strides": strided,
    "layer norm": normalised,
    "where": lambda net, x: net.last(torch.where(net.a(x) > 0, net.a(x), torch.zeros(()))),
    "times its sign": lambda net, x: net.last(net.a(x) * (net.a(x) > 0)),
    "threshold": lambda net, x: net.last(F.threshold(net.a(x), 0.1, 0)),
    "unfolded": lambda net, x: net.last(
        F.unfold(net.a(x), 3, padding=1).view(-1, 3, 9, 30, 30).amax(2)
    ),
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", list(WRITTEN))
def test_gradients_are_those_of_autograd_however_a_network_is_written(
    name: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Written(WRITTEN[name], (3, 5, 5)).eval()
    pictures = torch.randn(4, 1, 30, 30, generator=Generator().manual_seed(0))
    monkeypatch.setattr(windows, "all_numbers", lambda way: 0 if whole else 10**9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for chosen, places in (
            ([0, 1, 0, 1], [[0, 0], [5, 9], [7, 14], [14, 2]]),
            ([1, 1, 1, 0], [[3, 3]] * 4),
        ):
            found = units.project(network, "last", pictures, chosen, places, "gradient").full(
                (30, 30)
            )
            for i, (unit, place) in enumerate(zip(chosen, places, strict=True)):
                pixels = pictures[i : i + 1].clone().requires_grad_()
                made = network(pixels.clone())
                expected = torch.zeros_like(pixels)
                if made.requires_grad:
                    (expected,) = torch.autograd.grad(
                        made[0, unit, *place], pixels, allow_unused=True, materialize_grads=True
                    )
                np.testing.assert_allclose(
                    found[i], expected[0].numpy(), atol=1e-5 * float(expected.abs().max() + 1e-9)
                )


@pytest.mark.parametrize("method", ["guided", "deconvnet"])
@pytest.mark.parametrize("name", [name for name in WRITTEN if "elu" in name or "ReLU" in name])
def test_rules_for_relus_in_place_are_the_same_by_windows_and_by_whole_pictures(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, pictures = (
        Written(WRITTEN[name]),
        torch.randn(3, 1, 30, 30, generator=Generator().manual_seed(0)),
    )
    found = []
    for numbers in (10**9, 0):
        monkeypatch.setattr(windows, "all_numbers", lambda way, numbers=numbers: numbers)
        found.append(
            units.project(
                network, "last", pictures, [0, 1, 1], [[0, 0], [9, 9], [29, 4]], method
            ).full((30, 30))
        )
    np.testing.assert_allclose(found[0], found[1], atol=1e-5 * np.abs(found[1]).max())
    assert np.abs(found[1]).max() > 0


def test_windows_are_not_taken_where_branches_meet_at_other_places() -> None:
    class Meeting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.last = (
                nn.Conv2d(1, 3, 1, stride=2),
                nn.Conv2d(1, 3, 6),
                nn.Identity(),
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.one(x) + self.other(x))

    found = units.Fields(Meeting(), "last", (1, 11, 11))
    assert found.way is not None
    assert windows.numbers(found.way) is None


@pytest.mark.parametrize(
    "layer",
    [
        weight_norm(nn.Conv2d(3, 2, 3, padding=1)),
        nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.GroupNorm(1, 2)),
    ],
)
def test_layers_that_are_not_understood_are_projected_from_whole_pictures(layer: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), layer)
    pictures = torch.randn(1, 1, 12, 12, generator=Generator().manual_seed(0))
    assert units.Fields(network, "2", (1, 12, 12)).way is None
    found = units.project(network, "2", pictures, [1], [[4, 5]], "gradient").full((12, 12))
    pixels = pictures.clone().requires_grad_()
    (expected,) = torch.autograd.grad(network(pixels)[0, 1, 4, 5], pixels)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


# what networks write into


class Residuals(nn.Module):
    """Writes into its picture, into what a layer gave (as torchvision's ResNet
    does), and uses a ReLU twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.norm = (
            nn.Conv2d(1, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.BatchNorm2d(4),
        )
        self.relu, self.last = (nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3))
        drawn(self)

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.5
        first = self.relu(self.conv1(x))
        out = self.norm(self.conv2(first))
        out += first
        return self.last(self.relu(out))


def test_several_layers_read_in_one_pass_are_what_each_is_alone() -> None:
    network, pictures = (
        Residuals().eval(),
        torch.rand(6, 1, 16, 16, generator=Generator().manual_seed(0)),
    )
    names = ["conv1", "relu", "norm", "last"]
    every: dict[str, list[units.Every]] = {name: [units.Every()] for name in names}
    list(units.read(network, every, pictures.split(4)))
    for name in names:
        alone, (together,) = (units.responses(network, name, pictures.split(4)), every[name])
        for part in ("value", "row", "column"):
            np.testing.assert_array_equal(getattr(together.compute(), part), getattr(alone, part))


def test_pictures_are_left_as_they_were_given() -> None:
    network, pictures = (
        Residuals().eval(),
        torch.rand(3, 1, 16, 16, generator=Generator().manual_seed(0)),
    )
    before = pictures.clone()
    activations = units.responses(network, "last", [pictures])
    chosen, image = (np.array([0, 1, 2]), np.arange(3))
    places = np.stack([activations.row[image, chosen], activations.column[image, chosen]], 1)
    found = units.project(network, "last", pictures, chosen, "max").full((16, 16))
    layers.activation_maps(network, "last", pictures)
    contributions.contributions(network, "last", pictures, pictures.numpy())
    assert torch.equal(pictures, before)
    np.testing.assert_array_equal(
        found, units.project(network, "last", pictures, chosen, places).full((16, 16))
    )


class Failing(nn.Module):
    """Fails from the so manieth time on that it is run."""

    def __init__(self, network: nn.Module, times: int) -> None:
        super().__init__()
        self.network, self.times, self.last = network, times, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.times -= 1
        if self.times <= 0:
            raise ValueError("out of patience")
        return self.last(self.network(x))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("times", range(1, 8))
def test_a_network_that_fails_on_the_way_is_left_as_it_was_found(
    times: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if whole:
        monkeypatch.setattr(windows, "all_numbers", lambda way: 0)
    network = Failing(Small().train(), times)
    network.network.conv1.eval()

    def state() -> list[tuple[object, ...]]:
        return [
            (m.training, len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in network.modules()
        ]

    before, pictures = (state(), torch.rand(2, 1, 32, 32))
    failed = False
    for work in (
        lambda: units.project(network, "last", pictures, [0, 1], "max"),
        lambda: units.project(network, "last", pictures, [0, 1], "mean"),
        lambda: contributions.contributions(network, "last", pictures, pictures.numpy()),
    ):
        try:
            work()
        except ValueError:
            failed = True
        assert state() == before
    assert failed


def test_between_two_batches_a_network_is_as_it_was() -> None:
    network = Small().train()
    reading = units.read(network, {"last": [units.Moments()]}, torch.rand(4, 1, 32, 32).split(2))
    next(reading)
    assert all(module.training for module in network.modules())


# what cannot be used


@pytest.mark.parametrize(
    ("units_", "positions", "says"),
    [
        (
            [0, 1, 2],
            [[1, 2, 3], [4, 5, 6]],
            r"positions: whole numbers \(3, 2\) are wanted, not int64 \(2, 3\)",
        ),
        ([0, 1, 2], "centre", "positions 'centre': neither"),
        ([1.7, 0, 1], [[0, 0]] * 3, "units: whole numbers"),
        ([0, 1, 99], "max", "outside of layer 'last'"),
        ([0, 1, 99], "mean", "outside of layer 'last'"),
        (1, [[0, 0]], "units: whole numbers"),
    ],
)
def test_what_does_not_name_neurons_is_refused(units_: Any, positions: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        units.project(Small(), "last", torch.rand(3, 1, 32, 32), units_, positions)


def test_compiled_relus_are_met_by_windows_and_refused_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        compiled = nn.Sequential(torch.jit.script(written), nn.Conv2d(4, 3, 3))
    as_written, picture = (nn.Sequential(written, compiled[1]), torch.rand(1, 1, 20, 20))
    expected = units.project(as_written, "1", picture, [0], [[9, 9]]).full((20, 20))
    np.testing.assert_allclose(
        units.project(compiled, "1", picture, [0], [[9, 9]]).full((20, 20)), expected, atol=1e-6
    )
    monkeypatch.setattr(windows, "all_numbers", lambda way: 0)
    with pytest.raises(InputError, match="compiled"):
        units.project(compiled, "1", picture, [0], [[9, 9]])
    plain = units.project(compiled, "1", picture, [0], [[9, 9]], "gradient").full((20, 20))
    np.testing.assert_allclose(
        plain,
        units.project(as_written, "1", picture, [0], [[9, 9]], "gradient").full((20, 20)),
        atol=1e-6,
    )


def test_no_layer_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="no layer is named"):
        list(units.read(Small(), {}, [torch.rand(1, 1, 32, 32)]))


def test_pictures_may_want_gradients_and_come_from_inference_mode() -> None:
    network, pictures = (Small(), torch.rand(2, 1, 32, 32, generator=Generator().manual_seed(0)))
    expected = units.project(network, "last", pictures, [0, 1], method="gradient_x_input").full(
        (32, 32)
    )
    wanting = units.project(
        network, "last", pictures.clone().requires_grad_(), [0, 1], method="gradient_x_input"
    )
    np.testing.assert_array_equal(wanting.full((32, 32)), expected)
    with torch.inference_mode():
        found = units.project(
            network, "last", pictures + 0, [0, 1], method="gradient_x_input"
        ).full((32, 32))
    np.testing.assert_array_equal(found, expected)


def test_a_network_in_bfloat16_is_projected() -> None:
    network = Small().bfloat16()
    found = units.project(
        network, "last", torch.rand(1, 1, 32, 32).bfloat16(), [0], "mean", "gradient"
    )
    assert np.isfinite(found.full((32, 32))).all()


def test_the_rest_of_a_network_is_not_run() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5, 2)
    )  # the last fits no picture
    drawn(network)
    found = units.project(network, "0", torch.rand(1, 1, 8, 8), [1], "mean", "gradient")
    assert found.pixels[0].shape == (1, 8, 8)


def test_a_silent_map_shows_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    nn.init.constant_(network[0].weight, -1)
    nn.init.constant_(network[0].bias, -1)
    found = units.project(network, "0", torch.rand(1, 1, 8, 8), [1], "mean", "gradient")
    assert not found.full((8, 8)).any()
    assert (
        len(
            units.project(
                network, "0", torch.rand(1, 1, 8, 8), [], np.zeros((0, 2), int), of=[]
            ).pixels
        )
        == 0
    )


def test_what_rectifies_without_a_relu_is_said() -> None:
    network = Written(lambda net, x: net.last(net.a(x).clamp(min=0)))
    with pytest.warns(UserWarning, match="no ReLU is on the way"):
        units.project(network, "last", torch.rand(1, 1, 12, 12), [0], "max", "guided")


def test_signals_are_held_in_bounded_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pictures = (Small(), torch.rand(2, 1, 32, 32, generator=Generator().manual_seed(0)))
    of, places = (np.array([0, 0, 0, 1, 0]), np.array([[0, 0], [1, 2], [3, 4], [5, 6], [7, 7]]))
    expected = units.project(network, "last", pictures, [0] * 5, places, of=of).full((32, 32))
    monkeypatch.setattr(windows, "all_numbers", lambda way: 0)
    monkeypatch.setattr("duchenne.units.signals._HELD", 1)
    found = units.project(network, "last", pictures, [0] * 5, places, of=of).full((32, 32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda: units.Top(0), "top 0"),
        (lambda: units.Top(3).merge(units.Top(1)), "the top 3 and the top 1"),
        (lambda: units.responses(nn.Conv2d(1, 1, 1), "", [torch.rand(1, 1, 4, 4)]), "layer ''"),
        (
            lambda: units.responses(
                nn.Sequential(nn.Identity()), "0", [torch.full((1, 1, 4, 4), np.nan)]
            ),
            "not finite",
        ),
    ],
)
def test_what_accumulators_cannot_use_is_refused(work: Callable[[], object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        work()


@pytest.mark.parametrize("kind", [units.Top, units.Moments, units.Histogram, units.Quantiles])
def test_accumulators_of_other_layers_are_not_mixed(kind: Any) -> None:
    def of(count: int) -> units.Activations:
        return units.Activations(
            np.arange(2), np.ones((2, count), np.float32), *np.zeros((2, 2, count), np.int64)
        )

    one, other = (kind(2) if kind is units.Top else kind() for _ in range(2))
    one.update(of(3))
    other.update(of(1))
    with pytest.raises(InputError, match="not of one layer"):
        one.update(of(1))
    with pytest.raises(InputError, match="not of one layer"):
        one.merge(other)


def test_quantiles_are_of_shares() -> None:
    quantiles = units.Quantiles()
    quantiles.update(
        units.Activations(np.arange(2), np.ones((2, 1), np.float32), *np.zeros((2, 2, 1), np.int64))
    )
    with pytest.raises(InputError, match="not from 0 to 1"):
        quantiles.compute([1.5])
