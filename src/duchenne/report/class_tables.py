"""Tables of what a network says: which action units make it say each class, and
of whom it says what.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.evidence.differences import LEVEL
from duchenne.evidence.reactions import drivers
from duchenne.experiments.ablate import in_prototypes
from duchenne.experiments.twins import NEUTRAL, SHOWN
from duchenne.experiments.values import own_code
from duchenne.study.record import Study

TRAITS = {
    "sex": "male against female",
    "age": "old against young",
    "weight": "heavy against light",
    "skin": "light against dark skin",
    "african": "African against other ancestry",
    "asian": "Asian against other ancestry",
    "caucasian": "Caucasian against other ancestry",
}
"""What twins differ in, more of a trait against less, in words."""


def driven(study: Study) -> pd.DataFrame:
    """What makes the network say each class: the three action units that raise
    its log-odds most when they alone are stimulated (``drivers``).

    Args:
        study: The study.

    Returns:
        A row a class and action unit.
    """
    reactions = study.reactions
    if "logit_change" not in reactions:
        return pd.DataFrame()
    found = drivers(reactions, prototypes(study))
    names = pd.Series(
        [facs.coded(au).name for au in found["au"]], found.index, dtype=object
    )
    return pd.DataFrame(
        {
            "read as": found["expression"],
            "raised most by": found["au"] + " " + names,
            "log-odds": found["logit_change"],
            "log-odds low": found["logit_low"],
            "log-odds high": found["logit_high"],
            "points": 100 * found["change"],
            "in its prototype": found["prototype"].map(
                {True: "yes", False: "no"}
            ),
        }
    )


def prototypes(study: Study) -> set[tuple[str, str]]:
    """Action units that can be stimulated, and the classes of a network whose
    published prototypes hold them.

    Args:
        study: The study.

    Returns:
        Pairs of an action unit and a class.
    """
    return in_prototypes(list(dict.fromkeys(study.reactions["expression"])))


def people(study: Study) -> pd.DataFrame:
    """Whom the network reads worse: twins who differ in one trait alone, else
    the study's own people against their traits.

    Args:
        study: The study.

    Returns:
        A row a trait.

    Raises:
        InputError: Where nobody knows who the people are.
    """
    found = study.people_compared
    if not study.has_classes:
        raise InputError(
            f"{study.folder}: its network has no classes that people could be read as"
        )
    if found.empty:
        raise InputError(
            f"{study.folder}: nothing is known of who the people are; people.twins=24 compares "
            "rendered ones"
        )
    twins = found[found["design"] == "twins"]
    return _of_twins(twins) if len(twins) else _of_drawn(found)


def _of_twins(found: pd.DataFrame) -> pd.DataFrame:
    by_measure = dict(list(found.groupby("measure", sort=False)))
    accuracy = by_measure["accuracy"].set_index("trait")
    shown = by_measure[SHOWN].set_index("trait")
    return pd.DataFrame(
        {
            "twins": [TRAITS[trait] for trait in accuracy.index],
            "people": accuracy["people"].array,
            "points": 100 * accuracy["effect"].array,
            "points low": 100 * accuracy["low"].array,
            "points high": 100 * accuracy["high"].array,
            "p": accuracy["p_holm"].array,
            "log-odds": shown["effect"].array,
            "log-odds low": shown["low"].array,
            "log-odds high": shown["high"].array,
            "neutral faces look more like": _raised(found, accuracy.index),
        }
    )


def _raised(found: pd.DataFrame, traits: pd.Index) -> list[str]:
    """The class that is surely raised most on neutral faces, of each trait."""
    neutral = found[found["measure"].str.startswith(NEUTRAL)]
    surely = neutral[(neutral["p_holm"] <= LEVEL) & (neutral["effect"] > 0)]
    inorder = surely.sort_values("effect", ascending=False)
    first = inorder.groupby("trait")["measure"].first()
    names = first.str.removeprefix(NEUTRAL)
    return [str(names.get(trait, "–")) for trait in traits]


def _of_drawn(found: pd.DataFrame) -> pd.DataFrame:
    accuracy = found[found["measure"] == "accuracy"]
    return pd.DataFrame(
        {
            "trait": accuracy["trait"],
            "people": accuracy["people"],
            "rho": accuracy["effect"],
            "rho low": accuracy["low"],
            "rho high": accuracy["high"],
            "p": accuracy["p_holm"],
        }
    ).reset_index(drop=True)


def values(study: Study) -> pd.DataFrame:
    """What the network's values answer to: those named after an action unit to
    that one, all others to what raises and lowers them most.

    Args:
        study: The study.

    Returns:
        A row a value.

    Raises:
        InputError: Where the network gives no values.
    """
    found = study.values
    if found.empty:
        raise InputError(
            f"{study.folder}: its network gives no values beside classes"
        )
    rows = [_answering(rows) for _, rows in found.groupby("value", sort=False)]
    return pd.DataFrame(rows)


_OF_VALUES = {
    "au": "action unit",
    "r": "r",
    "r_low": "r low",
    "r_high": "r high",
    "r_untrained": "r untrained",
    "auroc": "AUROC",
    "slope": "slope",
    "low": "slope low",
    "high": "slope high",
    "selectivity": "selectivity",
}
"""What the table of values calls the columns of ``values.parquet``."""


def _answering(rows: pd.DataFrame) -> pd.Series:
    """What one value answers to: of one that is named after an action unit,
    that one alone; and what surely raises and lowers it most.
    """
    value = rows["value"].iloc[0]
    told = rows[rows["own"]]
    if not own_code(value):
        told = rows.loc[[_strongest(rows)]]
    row = told.reset_index(drop=True).reindex([0]).iloc[0]
    raised = rows[rows["low"] > 0].nlargest(1, "effect")["au"]
    lowered = rows[rows["high"] < 0].nsmallest(1, "effect")["au"]
    return pd.concat(
        [
            pd.Series({"value": value}),
            row.reindex(_OF_VALUES).rename(_OF_VALUES),
            pd.Series({"raised most by": next(iter(raised), None)}),
            pd.Series({"lowered most by": next(iter(lowered), None)}),
        ]
    )


def _strongest(rows: pd.DataFrame) -> Any:
    """The row of largest r, or of largest effect where no label is known."""
    by_label = rows["r"].abs().astype(float)
    by_effect = rows["effect"].abs().astype(float)
    return (by_label if by_label.notna().any() else by_effect).idxmax()
