"""The experiment against the parts that it is made of, one face at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from duchenne import facs, networks
from duchenne.evidence import intervals
from duchenne.experiments.pair import Pair
from duchenne.experiments.stimulate import render, stimulate
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.images.stack import decode
from duchenne.faces.preparation.steps import Preparation
from duchenne.units.layers import Layer

AVATARS = AvatarSettings(people=2, protocol="dose", seed=5, size=32, samples=1)
CLASSES = ("neutral", "happiness", "surprise")


def test_answers_are_those_to_each_face_alone() -> None:
    network = networks.build("zero_bias", classes=3, seed=0).eval()
    prepare = Preparation(["local_mean"])
    scale = np.linspace(0.5, 2, 256)
    pair = Pair(network, (), prepare, CLASSES)
    found = stimulate(Layer(network, "conv3", prepare), pair, scale, render(AVATARS, 32, 1))
    assert len(found.units) == 256 * len(facs.rendered())
    assert len(found.expressions) == 3 * len(facs.rendered())
    table = dataset.load(AVATARS)
    for number in (1, 26):
        code = facs.code(number)
        effect, change = np.zeros((2, 256)), np.zeros((2, 3))
        for person, subject in enumerate(sorted(table.frame["subject"].unique())):
            own = table.frame["sequence"] == f"{subject}_{facs.rendered().index(number):02d}"
            mask = (own & table.frame["frame"].isin([0, 5])).to_numpy()
            faces = decode(table.where(mask), 32, cut_already=np.ones(2, bool))
            # the dose first
            order = faces.table.frame["frame"].to_numpy().argsort()[::-1]
            pictures = prepare(torch.from_numpy(faces.pictures[order.copy()]))
            with torch.no_grad():
                maps = torch.relu(_maps(network, pictures))
                told = torch.softmax(network(pictures), 1).numpy()
            activations = maps.amax((2, 3)).numpy()
            effect[person], change[person] = (
                (activations[0] - activations[1]) / scale,
                told[0] - told[1],
            )
        ours = found.units[found.units["au"] == code].set_index("unit")["effect"].to_numpy()
        np.testing.assert_allclose(ours, effect.mean(0), atol=1e-5)
        ours = found.expressions[found.expressions["au"] == code]["change"].to_numpy()
        np.testing.assert_allclose(ours, change.mean(0), atol=1e-5)


def _maps(network: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    kept: list[torch.Tensor] = []
    handle = network.conv3.register_forward_hook(lambda module, given, made: kept.append(made))
    network(pictures)
    handle.remove()
    return kept[0]


@pytest.mark.slow
@pytest.mark.parametrize("people", [2, intervals.LEAST])
def test_every_action_unit_is_told_with_its_interval(people: int) -> None:
    network = networks.build("zero_bias", classes=3, seed=0).eval()
    avatars = AVATARS.model_copy(update={"people": people})
    layer = Layer(network, "conv1", Preparation([]))
    pair = Pair(layer.network, (), layer.prepare, CLASSES)
    found = stimulate(layer, pair, np.ones(64), render(avatars, 32, 1))
    low, high = found.units["low"], found.units["high"]
    if people < intervals.LEAST:
        assert (low.isna() & high.isna()).all()
    else:
        assert found.units["slope"].between(low - 1e-12, high + 1e-12).all()
    assert found.expressions.groupby("au")["change"].sum().abs().max() < 1e-5
