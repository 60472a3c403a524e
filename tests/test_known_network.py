"""A network whose units are known: each measures, by construction, one action
unit's region. Every part must find that out.

A unit is the linear reading of an action unit's strength from the pixels of
its region alone, fitted on split-half; an expression is a sum of units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from duchenne.evidence.detection import detections
from duchenne.evidence.doses import movers
from duchenne.evidence.matching import compare
from duchenne.evidence.probes import detectors
from duchenne.evidence.validity import validity
from duchenne.experiments.ablate import Shown, ablate, sets
from duchenne.experiments.localise import locate
from duchenne.experiments.pair import Pair
from duchenne.experiments.stimulate import Stimulated, render, stimulate
from duchenne.experiments.survey import Survey, survey
from duchenne.faces import acting
from duchenne.faces.avatars import dataset
from duchenne.faces.avatars.settings import AvatarSettings
from duchenne.faces.images import stack
from duchenne.faces.preparation.steps import Preparation
from duchenne.units.layers import Layer

SIZE = 32
MEASURED = ("AU01", "AU04", "AU12", "AU09")
READ = {
    "neutral": (),
    "anger": ("AU04",),
    "disgust": ("AU09",),
    "happiness": ("AU12",),
    "surprise": ("AU01",),
}
SURE = ["r", "ap_lift", "ap_z", "auroc"]
PLAIN = Preparation([])


class Known(nn.Module):
    """A unit an action unit, which sees the whole picture and weighs its
    region; an expression sums its units.
    """

    def __init__(self, weights: np.ndarray, biases: np.ndarray) -> None:
        super().__init__()
        self.units, self.relu, self.output = (
            nn.Conv2d(1, len(weights), SIZE),
            nn.ReLU(),
            nn.Linear(len(weights), len(READ)),
        )
        with torch.no_grad():
            self.units.weight.copy_(torch.from_numpy(weights.reshape(-1, 1, SIZE, SIZE)))
            self.units.bias.copy_(torch.from_numpy(biases))
            for row, (expression, read) in enumerate(READ.items()):
                self.output.weight[row] = torch.tensor([6.0 * (au in read) for au in MEASURED])
                self.output.bias[row] = 4.0 if expression == "neutral" else 1.0

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.output(self.relu(self.units(pictures)).flatten(1))
        return logits


def avatars(protocol: str, people: int, seed: int) -> AvatarSettings:
    return AvatarSettings(people=people, protocol=protocol, seed=seed, size=SIZE, still=True)


def loaded(settings: AvatarSettings) -> stack.Stack:
    table = dataset.load(settings)
    return stack.decode(table, SIZE, cut_already=np.ones(len(table), bool))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return known()


def known() -> Known:
    """Fit the units on people whom nothing else is tried on."""
    settings = avatars("free", 40, 77)
    faces = loaded(settings)
    where = acting.from_mesh(faces, settings)
    regions = np.mean([where.of(row) for row in range(0, len(faces), 40)], 0) > 0.5
    pixels = faces.pictures.reshape(len(faces), -1)
    weights, biases = (np.zeros((len(MEASURED), SIZE * SIZE)), np.zeros(len(MEASURED)))
    for unit, au in enumerate(MEASURED):
        region = regions[where.action_units.index(au)].ravel()
        strength = faces.table.frame[f"{au}_intensity"].to_numpy(float) / 5
        fitted = Ridge(1.0).fit(pixels[:, region], strength)
        weights[unit, region], biases[unit] = (fitted.coef_, fitted.intercept_ + 0.2)
    return Known(weights, biases).eval()


@dataclass(frozen=True)
class Studied:
    """Faces of split-half whose action units come and go by chance, and what
    the units answer.
    """

    settings: AvatarSettings
    faces: stack.Stack
    survey: Survey

    @property
    def evidence(self) -> pd.DataFrame:
        rows = self.faces.table.frame
        return compare(
            self.survey.activations.value,
            self.faces.table.presence(),
            rows["subject"],
            rows["sequence"],
            permutations=199,
        ).frame


@pytest.fixture(scope="module")
def studied(network: nn.Module) -> Studied:
    settings = avatars("free", 16, 3)
    faces = loaded(settings)
    return Studied(
        settings,
        faces,
        survey(Layer(network, "units", PLAIN), faces.pictures, np.arange(len(faces)), 10),
    )


@pytest.fixture(scope="module")
def stimulated(network: nn.Module, studied: Studied) -> Stimulated:
    scale = studied.survey.activations.value.std(0).astype(float)
    layer = Layer(network, "units", PLAIN)
    pair = Pair(network, (), PLAIN, tuple(READ))
    return stimulate(layer, pair, scale, render(avatars("dose", 6, 11), SIZE, 1))


def test_scores_name_each_units_action_unit_and_are_sure_of_it(studied: Studied) -> None:
    evidence = studied.evidence
    best = {
        score: evidence.loc[evidence.groupby("unit")[score].idxmax(), "au"].tolist()
        for score in (*SURE, "kl_z")
    }
    assert all(found == list(MEASURED) for found in best.values())
    sure = detections(evidence, 0.05)
    assert {(row.unit, row.au) for row in sure.itertuples()} >= set(enumerate(MEASURED))


def test_each_unit_is_placed_where_its_action_unit_acts(
    network: nn.Module, studied: Studied
) -> None:
    where = acting.from_mesh(studied.faces, studied.settings)
    layer = Layer(network, "units", PLAIN)
    located = locate(layer, studied.faces, studied.survey.top, where, "gradient")
    found = located.set_index(["unit", "au"])
    for unit, au in enumerate(MEASURED):
        assert found.loc[(unit, au), "energy"] > 0.8
        assert found.loc[(unit, au), "enrichment"] > 2
        assert found.loc[(unit, au), "p"] < 0.05
    assert found.loc[(0, "AU12"), "energy"] < 0.05
    assert found.loc[(2, "AU01"), "p"] > 0.2


def test_each_units_action_unit_moves_it_most_dose_by_dose(stimulated: Stimulated) -> None:
    assert movers(stimulated.units)["au"].tolist() == list(MEASURED)
    responses = stimulated.units.set_index(["unit", "au"])
    for unit, au in enumerate(MEASURED):
        assert responses.loc[(unit, au), "monotone"] > 0.7
        assert responses.loc[(unit, au), "low"] > 0
        assert responses.loc[(unit, au), "selectivity"] > 0.4
    sides = responses.loc[(2, "AU12")]
    assert 0.3 * sides["effect"] < min(sides["left"], sides["right"])
    assert abs(sides["laterality"]) < 0.3
    # the jaw has no sides
    assert np.isnan(responses.loc[(3, "AU27"), "laterality"])


def test_expressions_react_to_the_action_units_that_they_are_made_of(
    stimulated: Stimulated,
) -> None:
    change = stimulated.expressions.set_index(["expression", "au"])["change"]
    for expression, read in READ.items():
        for au in read:
            assert change[(expression, au)] == change.xs(au, level="au").max() > 0.1
        assert not read or change[expression].idxmax() in read


def test_ablating_a_unit_takes_away_the_expressions_that_are_made_of_it(network: nn.Module) -> None:
    posed = loaded(avatars("posed", 8, 5))
    rows = np.flatnonzero(posed.table.frame["expression"].isin(list(READ)))
    faces = posed.where(np.isin(np.arange(len(posed)), rows))
    assert faces.table.expressions == tuple(READ)
    detected = pd.DataFrame({"unit": range(4), "au": MEASURED})
    chosen = sets(detected, np.ones(4), random_sets=3)
    layer = Layer(network, "units", PLAIN)
    found = ablate(layer, Shown(faces, np.arange(len(faces)), tuple(READ)), chosen)
    together = found[found["what"] == "detectors"].set_index(["expression", "au"])
    for expression, read in READ.items():
        for au in MEASURED:
            row = together.loc[(expression, au)]
            if au in read:
                assert row["logit_beyond_high"] < 0, (expression, au)
                assert row["prototype"], (expression, au)
            else:
                assert row["logit_change"] > -0.1, (expression, au)
    alone = found[found["what"] == "unit"].set_index(["expression", "unit"])["logit_change"]
    for unit, au in enumerate(MEASURED):
        for expression in READ:
            assert alone[(expression, unit)] == pytest.approx(
                together.loc[(expression, au), "logit_change"]
            )


def test_one_unit_detects_its_action_unit_as_well_as_all(studied: Studied) -> None:
    table = studied.faces.table
    presence = table.presence()[list(MEASURED)]
    intensity = table.frame[[f"{au}_intensity" for au in MEASURED]].set_axis(list(MEASURED), axis=1)
    found = detectors(studied.survey.activations.value, presence, intensity, table.frame["subject"])
    one = found[found["detector"] == "best unit"].set_index("au").loc[list(MEASURED)]
    assert one["unit"].tolist() == [0, 1, 2, 3]
    assert (one["share"] > 0.8).all()
    assert (one["ap"] > 2 * one["base_rate"]).all()
    assert (one["intensity_r"] > 0.5).all()


def test_scores_agree_with_interventions(studied: Studied, stimulated: Stimulated) -> None:
    found = validity(studied.evidence, stimulated.units).set_index("score")
    assert found["units"].eq(4).all()
    assert found.loc[SURE, "validity"].eq(1).all()
