"""The page that sets studies beside each other, from the frames of
``duchenne.analyses.compare.Comparison``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.report.page.document import environment, number, svg
from duchenne.study.sentences import percent

_MOST = 30
"""Pairs of units that are listed."""


@dataclass(frozen=True)
class Reacting:
    """How alike the reactions of networks are, as texts: of each two studies,
    and the action units and classes in which they differ most.
    """

    alike: pd.DataFrame
    differences: pd.DataFrame


def reacting(reactions: pd.DataFrame, alike: pd.DataFrame) -> Reacting:
    """Write reactions side by side as texts.

    Args:
        reactions: A row an action unit and class, as
            ``analyses.reactions.beside`` gives them.
        alike: A row a pair of studies.

    Returns:
        Both as texts; empty where there are none.
    """
    if reactions.empty:
        return Reacting(pd.DataFrame(), pd.DataFrame())
    texts = pd.DataFrame(
        {
            "reactions of": alike["one"],
            "and": alike["other"],
            "pairs": alike["pairs"].map(str),
            "r": alike["r"].map(number),
            "surely different": alike["differ"].map(_share),
        }
    )
    names = sorted({*alike["one"], *alike["other"]}, key=list(reactions).index)
    return Reacting(texts, _apart(reactions, names))


def _apart(reactions: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The action units and classes in which networks differ most, and surely,
    as texts.
    """
    of_all = reactions[names]
    apart = of_all.max(axis=1) - of_all.min(axis=1)
    sure = apart[reactions["differ"]].sort_values(ascending=False)
    shown = reactions.loc[sure.index[:_MOST]]
    columns = {
        "action unit": [_named(code) for code in shown["au"]],
        "class": shown["expression"],
    }
    return pd.DataFrame(
        columns | {name: shown[name].map(number) for name in names}
    )


def page(
    studies: pd.DataFrame,
    detectors: pd.DataFrame,
    alike: pd.DataFrame,
    pairs: pd.DataFrame,
    reports: Mapping[str, str],
    drawn: Mapping[str, Path],
    reacting: Reacting,
) -> str:
    """Render the page.

    Args:
        studies: A row a study.
        detectors: Of each action unit, by study.
        alike: A row a pair of studies.
        pairs: Matched units.
        reports: The addresses of the studies' own pages, by name.
        drawn: The reactions of each study, as SVG, by name.
        reacting: How alike they are.

    Returns:
        HTML.
    """
    largest = (
        max(
            1,
            int(
                detectors.drop(columns="action unit").max(
                    axis=None, skipna=True
                )
                or 1
            ),
        )
        if len(detectors)
        else 1
    )
    return (
        environment()
        .get_template("compare.html")
        .render(
            studies=studies.to_dict("records"),
            names=list(studies["study"]),
            reports=reports,
            explained=lambda *_: None,
            detectors=_rows(detectors),
            largest=largest,
            alike=_alike(alike),
            pairs=_first(pairs),
            drawn={name: svg(path) for name, path in drawn.items()},
            reacting=reacting,
        )
    )


def _rows(detectors: pd.DataFrame) -> list[tuple[str, list[int | None]]]:
    """For each action unit how many units of every study detect it; none where
    it is not coded.
    """
    return [
        (
            row["action unit"],
            [
                None if pd.isna(count) else int(count)
                for name, count in row.items()
                if name != "action unit"
            ],
        )
        for row in detectors.to_dict("records")
    ]


def _alike(alike: pd.DataFrame) -> pd.DataFrame:
    """How alike networks are, as texts."""
    return pd.DataFrame(
        {
            "units of": alike["one"],
            "in": alike["other"],
            "units": alike["units"].map(str),
            "median r": alike["r"].map(number),
            "untrained": alike["r_untrained"].map(number),
            "each other's": alike["mutual"].map(_share),
            "same action unit": alike["same"].map(_share),
            "by chance": alike["chance"].map(_share),
        }
    )


def _first(pairs: pd.DataFrame) -> pd.DataFrame:
    """The units that are most alike, each pair of studies and of units once,
    as texts.
    """
    inorder = pairs.sort_values("r", ascending=False)
    once = {
        frozenset({(row.one, row.unit), (row.other, row.counterpart)}): row
        for row in inorder.dropna(subset=["counterpart"]).itertuples()
    }
    rows = sorted(once.values(), key=lambda row: -row.r)[:_MOST]
    return pd.DataFrame(
        {
            "unit": [f"{row.one} {row.unit}" for row in rows],
            "action unit": [_named(row.au) for row in rows],
            "counterpart": [f"{row.other} {row.counterpart}" for row in rows],
            "its action unit": [_named(row.counterpart_au) for row in rows],
            "r": [number(row.r) for row in rows],
        }
    )


def _named(code: object) -> str:
    return (
        f"{code} {facs.coded(str(code)).name}"
        if isinstance(code, str)
        else "–"
    )


def _share(share: float) -> str:
    return "–" if not np.isfinite(share) else percent(share, 0)
