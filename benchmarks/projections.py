"""Every unit's ten top pictures projected, against Captum, and the largest difference on 200 random neurons."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import torch
from captum.attr import NeuronDeconvolution, NeuronGuidedBackprop

from duchenne import networks, units

_CAPTUM = {"guided": NeuronGuidedBackprop, "deconvnet": NeuronDeconvolution}
_UNITS, _TOP, _SIDE = 256, 10, 24


def measure(sample: int = 200, per_method: int = _UNITS * _TOP) -> pd.DataFrame:
    """Compare on ``sample`` random units and positions, corners among them; time ours on all, Captum on the sample.

    Captum takes one neuron a call, so its time for all is that of the sample times their number.
    """
    warnings.simplefilter("ignore")
    network = networks.build("zero_bias", classes=8, seed=0).eval()
    rng = np.random.default_rng(0)
    rows = []
    for method, reference in _CAPTUM.items():
        chosen, places = rng.integers(0, _UNITS, per_method), rng.integers(0, _SIDE, (per_method, 2))
        places[:4] = [[0, 0], [0, _SIDE - 1], [_SIDE - 1, 0], [_SIDE - 1, _SIDE - 1]]
        pictures = torch.randn(per_method, 1, 96, 96, generator=torch.Generator().manual_seed(0))
        begun = time.perf_counter()
        ours = units.project(network, "conv3", pictures, chosen, places, method)
        seconds = time.perf_counter() - begun
        captum = reference(network, network.conv3)
        begun, worst = time.perf_counter(), 0.0
        full = units.Windows(ours.pixels[:sample], ours.boxes[:sample]).full((96, 96))
        for i in range(sample):
            neuron = (int(chosen[i]), int(places[i, 0]), int(places[i, 1]))
            theirs = captum.attribute(pictures[i : i + 1].clone().requires_grad_(), neuron).detach().numpy()[0]
            worst = max(worst, float(np.abs(full[i] - theirs).max() / max(np.abs(theirs).max(), 1e-30)))
        of_captum = (time.perf_counter() - begun) * per_method / sample
        rows.append((method, worst, seconds, of_captum, of_captum / seconds))
    return pd.DataFrame(
        rows, columns=["method", "largest relative difference", f"{per_method} projections, s", "Captum, s", "ratio"]
    )
