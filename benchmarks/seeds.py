"""Five seeds of `quick`, and five more on shuffled expressions: what units
detect, and which scores can be trusted.

    python -m benchmarks.seeds runs/seeds

Trains what is not there yet, in an hour or more on two cores, and prints the
tables of ``benchmarks/evidence.md``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import duchenne
from benchmarks.tables import machine, markdown
from duchenne import evidence, recipes
from duchenne.evidence import detections
from duchenne.faces.table import FaceTable
from duchenne.networks import UNTRAINED
from duchenne.study.faces import gather
from duchenne.study.record import Study

SEEDS = range(5)
SCORES = (
    "kl",
    "kl_z",
    "distance",
    "distance_z",
    "information",
    "ap",
    "ap_lift",
    "ap_z",
    "auroc",
    "r",
    "r, signed",
)
LABELS = ("true", "random")


def studies(root: Path) -> list[tuple[str, int, Study]]:
    """A study for each seed, on the expressions that faces show and on those
    of others.
    """
    found = []
    for labels in LABELS:
        for seed in SEEDS:
            out = root / f"{labels}-{seed}"
            data = None if labels == "true" else _shuffled(seed)
            print(f"{labels} expressions, seed {seed}", file=sys.stderr)
            for stage in ("ablation", "validity"):
                study = duchenne.run(
                    "quick",
                    data,
                    out,
                    changes=(f"seed={seed}",),
                    resume=(out / "study.json").exists(),
                    until=stage,
                )
            found.append((labels, seed, study))
    return found


def _shuffled(seed: int) -> FaceTable:
    """The avatars with the expressions of other pictures; their action units
    stay.
    """
    table = gather(recipes.read("quick").faces)
    frame = table.frame.copy()
    frame["expression"] = np.random.default_rng(seed).permutation(
        frame["expression"].to_numpy()
    )
    return FaceTable(frame, table.root)


def detected(found: list[tuple[str, int, Study]]) -> pd.DataFrame:
    """How many units detect an action unit, by network: mean and range over
    seeds.
    """
    rows = []
    for labels, seed, study in found:
        level = study.recipe.evidence.level
        untrained = pd.read_parquet(
            study.units_folder / UNTRAINED / "evidence.parquet"
        )
        for network, pairs in (
            (f"trained on {labels} expressions", study.evidence),
            ("untrained", untrained),
        ):
            if labels == "random" and network == "untrained":
                continue  # the same as before
            rows.append(
                {
                    "network": network,
                    "seed": seed,
                    "accuracy": study.scores["accuracy"]
                    if network != "untrained"
                    else np.nan,
                    "q < 0.05": _units(pairs, "q", level),
                    "family-wise": detections(pairs, level)["unit"].nunique(),
                    "action units": detections(pairs, level)["au"].nunique(),
                    "permuted labels": study.summary["permuted_labels"][
                        "units"
                    ]
                    if network != "untrained"
                    else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _units(pairs: pd.DataFrame, column: str, level: float) -> int:
    """How many units answer more with an action unit, with ``column`` below a
    level.
    """
    sure = (
        (pairs[column] < level)
        & (pairs["r"] > 0)
        & (pairs["r"] > pairs["r_null"])
    )
    return int(pairs.loc[sure, "unit"].nunique())


def agreed(found: list[tuple[str, int, Study]]) -> pd.DataFrame:
    """Validity of scores with what moves units, with all of a study's people:
    a row a seed, network, faces and score.
    """
    parts = []
    for labels, seed, study in found:
        frame = study.validity
        whole = frame[
            frame["people"]
            == frame.groupby(["network", "faces"])["people"].transform("max")
        ]
        parts.append(whole.assign(labels=labels, seed=seed))
    every = pd.concat(parts, ignore_index=True)
    every = every[
        (every["network"] == "trained") | (every["labels"] == "true")
    ]
    every["network"] = every["network"].where(
        every["network"] != "trained", "trained on " + every["labels"]
    )
    return every[every["score"].isin(SCORES)]


def confirmed(found: list[tuple[str, int, Study]]) -> pd.DataFrame:
    """Of the pairs that are detected, and of each detecting unit's strongest
    one: how many hold when the action unit is stimulated (the slope's interval
    above 0), and how often it is the one of the coded action units that moves
    the unit most.
    """
    rows = []
    for labels, seed, study in found:
        sure = detections(study.evidence, study.recipe.evidence.level)
        if sure.empty:
            continue
        responses = study.interventions
        told = evidence.beside_dealt(
            sure, responses, study.evidence["au"].unique()
        ).set_index("claim")
        rows.append(
            {
                "trained on": labels,
                "seed": seed,
                "pairs hold": sure[["unit", "au"]]
                .merge(responses)["low"]
                .gt(0)
                .mean(),
                "strongest hold": told.loc["holds", "share"],
                "dealt anew": told.loc["holds", "dealt"],
                "strongest moves most": told.loc["most", "share"],
                "most, dealt anew": told.loc["most", "dealt"],
            }
        )
    return pd.DataFrame(rows)


_TRUTH = [
    "pairs hold",
    "strongest hold",
    "dealt anew",
    "strongest moves most",
    "most, dealt anew",
]


def ablated(found: list[tuple[str, int, Study]]) -> pd.DataFrame:
    """Change of log-odds beyond random sets, of expressions whose prototype
    holds the ablated detectors' action unit and of the others: mean over
    pairs, a row a seed.
    """
    rows = []
    for labels, seed, study in found:
        frame = study.ablations
        sets = frame[frame["what"] == "detectors"]
        for holds, own in sets.groupby("prototype"):
            rows.append(
                {
                    "trained on": labels,
                    "seed": seed,
                    "prototype holds it": bool(holds),
                    "pairs": len(own),
                    "log-odds beyond random": own["logit_beyond"].mean(),
                    "recall beyond random": own["recall_beyond"].mean(),
                }
            )
    return pd.DataFrame(rows)


def spread(
    table: pd.DataFrame, by: list[str], columns: list[str]
) -> pd.DataFrame:
    """Mean and standard deviation over seeds of some columns."""

    def told(values: pd.Series) -> str:
        some = values.dropna()
        return f"{some.mean():.3g} ± {some.std():.2g}" if len(some) else ""

    return table.groupby(by, sort=False)[columns].agg(told).reset_index()


def main(root: Path) -> None:
    """Print the tables under the machine that they were made on."""
    found = studies(root)
    print(machine() + "\n")
    columns = [
        "accuracy",
        "q < 0.05",
        "family-wise",
        "action units",
        "permuted labels",
    ]
    print(markdown(spread(detected(found), ["network"], columns)))
    told = spread(
        agreed(found),
        ["network", "faces", "score"],
        ["validity", "chance", "percentile", "named_rare"],
    )
    wide = told.pivot(
        index="score",
        columns=["network", "faces"],
        values=["validity", "percentile"],
    )
    print(
        markdown(told),
        markdown(
            wide.set_axis(
                [" ".join(name) for name in wide], axis=1
            ).reset_index()
        ),
        sep="\n",
    )
    print(markdown(spread(confirmed(found), ["trained on"], _TRUTH)))
    print(
        markdown(
            spread(
                ablated(found),
                ["trained on", "prototype holds it"],
                ["pairs", "log-odds beyond random", "recall beyond random"],
            )
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
