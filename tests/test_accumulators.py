from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator, nn

from duchenne import units
from duchenne.errors import InputError

from .convolutional import Residual

KINDS: dict[str, Callable[[], Any]] = {
    "top": lambda: units.Top(5),
    "every": units.Every,
    "moments": units.Moments,
    "histogram": lambda: units.Histogram(16),
    "quantiles": units.Quantiles,
}


def activations(count: int = 240, seed: int = 0) -> units.Activations:
    """Activations of seven units: many ties, many zeros, scales that grow from
    picture to picture, a unit that never answers.
    """
    rng = np.random.default_rng(seed)
    value = rng.exponential(size=(count, 7)).astype(np.float32)
    value[:, 0] = rng.integers(0, 6, count)
    value[:, 1] *= rng.random(count) < 0.2
    value[:, 2] *= 2.0 ** (np.arange(count) % 40 - 20)
    value[:, 3] = 0
    place = rng.integers(0, 9, (2, count, 7))
    return units.Activations(np.arange(count), value, *place)


def part(whole: units.Activations, chosen: slice) -> units.Activations:
    return units.Activations(
        whole.image[chosen], whole.value[chosen], whole.row[chosen], whole.column[chosen]
    )


def told(result: Any) -> pd.DataFrame:
    return result.frame() if isinstance(result, units.Activations) else result


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 3, 1, 4, 2, 0]])
def test_shards_merged_in_any_order_give_what_one_pass_gives(kind: str, order: list[int]) -> None:
    whole, one = activations(), KINDS[kind]()
    one.update(whole)
    shards = [KINDS[kind]() for _ in range(3)]
    for number in order:
        shards[number % 3].update(part(whole, slice(40 * number, 40 * number + 40)))
    merged = KINDS[kind]()
    for shard in (shards[2], shards[0], shards[1], KINDS[kind]()):
        merged.merge(shard)
    pd.testing.assert_frame_equal(told(merged.compute()), told(one.compute()), rtol=1e-12)


@pytest.mark.parametrize("kind", list(KINDS))
def test_of_no_pictures_nothing_is_known(kind: str) -> None:
    with pytest.raises(InputError, match="no pictures"):
        KINDS[kind]().compute()


def test_the_top_are_the_highest_and_the_first_of_equals() -> None:
    whole, top = activations(), units.Top(5)
    top.update(whole)
    for unit in range(7):
        expected = sorted(range(240), key=lambda i: (-whole.value[i, unit], i))[:5]
        assert top.compute().query("unit == @unit")["image"].tolist() == expected


def test_moments_are_numpys() -> None:
    whole, moments = activations(), units.Moments()
    moments.update(whole)
    found, value = moments.compute(), whole.value.astype(float)
    np.testing.assert_allclose(found["mean"], value.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["sd"], value.std(0, ddof=1), rtol=1e-12)
    np.testing.assert_array_equal(found["active"], (value > 0).mean(0))
    assert (found["pictures"] == 240).all()


def test_histograms_are_numpys_between_nothing_and_a_power_of_two() -> None:
    whole, histogram = activations(), units.Histogram(16)
    for first in range(0, 240, 7):
        histogram.update(part(whole, slice(first, first + 7)))
    for unit, rows in histogram.compute().groupby("unit"):
        value, limit = whole.value[:, int(unit)], rows["high"].max()
        assert value.max() < limit <= max(2.0 * value.max(), 2.0**-64)
        assert (
            rows["count"].tolist() == np.histogram(value.astype(float), 16, (0, limit))[0].tolist()
        )


def test_quantiles_are_within_their_error() -> None:
    whole, quantiles, shares = (
        activations(2000),
        units.Quantiles(0.01),
        [0.05, 0.25, 0.5, 0.9, 0.99, 1.0],
    )
    quantiles.update(whole)
    for unit, rows in quantiles.compute(shares).groupby("unit"):
        expected = np.quantile(
            whole.value[:, int(unit)].astype(float), shares, method="inverted_cdf"
        )
        np.testing.assert_allclose(rows["value"], expected, rtol=0.01 + 1e-9, atol=1e-9)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="48 bins"):
        units.Histogram(48)
    with pytest.raises(InputError, match="of 4 and of 8 bins"):
        units.Histogram(4).merge(units.Histogram(8))
    with pytest.raises(InputError, match="not between 0 and 1"):
        units.Quantiles(1.5)
    with pytest.raises(InputError, match=r"within 0.1 and within 0.2"):
        units.Quantiles(0.1).merge(units.Quantiles(0.2))


def test_many_layers_are_read_in_one_run() -> None:
    network = Residual().eval()
    pictures = torch.randn(11, 1, 24, 24, generator=Generator().manual_seed(0))
    runs: list[int] = []
    network.register_forward_pre_hook(lambda module, inputs: runs.append(len(inputs[0])))
    asked = {"conv2": [units.Top(2), units.Every()], "last": [units.Every(), units.Moments()]}
    assert list(units.read(network, asked, pictures.split(4), first=100)) == [4, 8, 11]
    assert runs == [4, 4, 3]
    for layer, place in (("conv2", 1), ("last", 0)):
        together = asked[layer][place].compute()
        np.testing.assert_array_equal(together.image, np.arange(100, 111))
        np.testing.assert_allclose(
            together.value, units.responses(network, layer, [pictures]).value, rtol=1e-5, atol=1e-6
        )
    with pytest.raises(InputError, match="the nearest are"):
        list(units.read(network, {"konv2": []}, [pictures]))
    network.idle = nn.ReLU()
    with pytest.raises(InputError, match="'idle': the network never runs it"):
        list(units.read(network, {"last": [], "idle": []}, [pictures]))
    assert not any(module._forward_hooks for module in network.modules())
