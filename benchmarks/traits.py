"""The traits that mousavi2016 (§IV-A) shows by eye, of the networks of
finished studies, beside the untrained ones.

python -m benchmarks.traits runs/quick papers/mousavi2016-cnn-avatars
papers/mousavi2016-lipnet-avatars
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pandas as pd

import duchenne
from benchmarks.tables import markdown


def measure(runs: Sequence[str]) -> pd.DataFrame:
    """A row a network, layer and trait: the trained network's value and the
    untrained one's, each with its 95 % interval.
    """
    return pd.concat([_of_one(run) for run in runs], ignore_index=True)


def _of_one(run: str) -> pd.DataFrame:
    study = duchenne.open(run, until="training")
    table = duchenne.show(study, "traits", top=10).table
    told = [
        f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]"
        for row in table.itertuples()
    ]
    by = ["layer", "trait"]
    beside = table.assign(told=told).pivot(
        index=by, columns="network", values="told"
    )[["trained", "untrained"]]
    inorder = beside.reindex(
        pd.MultiIndex.from_frame(table[by].drop_duplicates())
    ).reset_index()
    inorder.insert(0, "network", study.recipe.network.name)
    return inorder


if __name__ == "__main__":
    print(markdown(measure(sys.argv[1:])))
