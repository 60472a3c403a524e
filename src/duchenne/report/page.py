"""The page: one self-contained ``report.html`` from a run folder alone."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from duchenne import cache, facs, recipes
from duchenne.errors import InputError
from duchenne.evidence import detections, ranked
from duchenne.networks import TWIN
from duchenne.progress import Progress, quiet
from duchenne.report import figures, gallery, tables
from duchenne.study import SHOWN, Study, percent

_PRINT = ("pdf", "svg", "png")
_SVG: Any = {"svg.hashsalt": "duchenne", "svg.fonttype": "none"}  # the same file for the same results


def write(study: Study, progress: Progress = quiet) -> None:
    """Write ``report.html`` and ``figures/`` of a study, each whole or not at all."""
    with progress("Writing the report", 2) as advance:
        _save_figures(study.folder / "figures", _figures(study))
        advance(1)
        environment = Environment(
            loader=PackageLoader("duchenne.report"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        environment.filters["percent"] = percent
        environment.filters["probability"] = _probability
        html = environment.get_template("page.html").render(**_content(study))
        with cache.replacing(study.report) as partial:
            partial.write_text(html, encoding="utf-8")
        advance(1)


def _content(study: Study) -> dict[str, Any]:
    left_out = (study.folder / "remarks.txt").read_text(encoding="utf-8").splitlines()
    cards = _cards(study)
    return {
        "study": study,
        "recipe": study.recipe,
        "state": study.state,
        "command": command(study),
        "people_known": study.table.people_known,
        "ablated": SHOWN[study.recipe.ablation.pictures],
        "seen": SHOWN[study.recipe.units.pictures],
        "scores": study.scores,
        "summary": study.summary,
        "headline": study.headline,
        "truth": study.truth,
        "tables": _tables(study),
        "detectors": _detectors(study),
        "figures": {path.stem: _svg(path) for path in sorted((study.folder / "figures").glob("*.svg"))},
        "cards": cards,
        "shown": {card["unit"] for card in cards},
        "left_out": left_out,
        "names": {facs.code(number): unit.name for number, unit in facs.ACTION_UNITS.items()},
    }


def _tables(study: Study) -> dict[str, pd.DataFrame]:
    """The tables of what was found, as texts; without those that there is nothing to tell in."""
    told = {}
    for stage in tables.TABLES:
        with suppress(InputError):
            told[stage] = tables.condensed(study, stage)
    return told


def command(study: Study) -> str:
    """The command that gives the same study again."""
    source = study.state["faces"]["source"]
    if study.recipe.name not in recipes.names():
        return shlex.join(["duchenne", "run", str(study.folder / "recipe.toml")])
    told = ["duchenne", "run", study.recipe.name]
    told += [] if source == "avatars" else ["--data", source]
    return shlex.join([*told, *(part for change in recipes.differences(study.recipe) for part in ("--set", change))])


def _figures(study: Study) -> dict[str, Figure]:
    drawn = {"confusion": figures.confusion(study.scores)}
    if len(study.evidence):
        shown = _clearest(study)
        drawn["heat_map"] = figures.heat_map(study.evidence, study.recipe.evidence.level)
        drawn["divergences"] = figures.divergences(study.evidence, shown)
    drawn["doses"] = _doses(study)
    drawn["agreement"] = figures.agreements(study.agreement)
    return drawn


def _clearest(study: Study) -> list[int]:
    """The units that figures show: the first ones of the gallery."""
    return gallery.chosen(study.units_folder, min(10, study.recipe.units.gallery))


def _doses(study: Study) -> Figure:
    answers, scale = study.doses()
    return figures.doses(answers, study.interventions, scale, _clearest(study))


def _save_figures(folder: Path, drawn: Mapping[str, Figure]) -> None:
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    with cache.replacing_folder(folder) as partial, mpl.rc_context(_SVG):
        for name, figure in drawn.items():
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # all is in its place for every kind of file
            for kind in _PRINT:
                figure.savefig(partial / f"{name}.{kind}", dpi=200, metadata=dates[kind])


def _svg(path: Path) -> Markup:
    drawing = path.read_text(encoding="utf-8")
    return Markup(drawing[drawing.index("<svg") :])  # noqa: S704  (drawn by matplotlib from our own numbers)


def _detectors(study: Study) -> list[dict[str, Any]]:
    """For each action unit that was tested, its best detector and how many there are."""
    if not len(study.evidence):
        return []
    found = detections(study.evidence, study.recipe.evidence.level)
    twin = pd.read_parquet(study.units_folder / TWIN / "evidence.parquet").groupby("au")["r"].max()
    rows = []
    for code, pairs in study.evidence.groupby("au"):
        sure = found[found["au"] == code]
        best = ranked(pairs).iloc[0]
        rows.append(
            {
                "au": code,
                "count": len(sure),
                "best": best,
                "twin": float(twin[code]),
                "units": [int(u) for u in sure["unit"].head(8)],
            }
        )
    return sorted(rows, key=lambda row: (-row["count"], row["au"]))


def _cards(study: Study) -> list[dict[str, Any]]:
    layer = study.units_folder
    alike = pd.read_parquet(layer / "projections" / "alike.parquet")
    top = pd.read_parquet(layer / "top.parquet")
    expressions = pd.read_parquet(layer / "expressions.parquet")
    shown = study.table.labelled().frame
    cards = []
    for row in alike.itertuples():
        own = top[top["unit"] == row.unit]
        pairs = study.evidence[study.evidence["unit"] == row.unit] if len(study.evidence) else study.evidence
        answers = expressions[expressions["unit"] == row.unit].sort_values("r", ascending=False)
        cards.append(
            {
                "unit": int(row.unit),
                "alike": float(row.alike),
                "strips": {
                    kind: _picture(layer / "projections" / gallery.strip_name(row.unit, kind)) for kind in gallery.KINDS
                },
                "peaks": [f"{peak:.2f}" for peak in own["peak"]],
                "shown": _counted(shown["expression"].iloc[own["image"]]),
                "people": int(shown["subject"].iloc[own["image"]].nunique()),
                "bars": _bars(pairs),
                "best": pairs.loc[pairs["r"].idxmax()] if len(pairs) else None,
                "by_kl": pairs.loc[pairs["kl"].idxmax()] if len(pairs) else None,
                "expression": answers.iloc[0],
            }
        )
    return cards


def _bars(pairs: pd.DataFrame) -> list[dict[str, Any]]:
    if not len(pairs):
        return []
    largest = max(0.3, float(pairs["r"].abs().max()))
    strongest_au = pairs.loc[pairs["r"].idxmax(), "au"]
    return [
        {
            "au": row.au,
            "r": row.r,
            "p": row.p,
            "height": round(46 * abs(row.r) / largest, 1),
            "strongest": row.au == strongest_au,
        }
        for row in pairs.itertuples()
    ]


def _counted(names: Sequence[str]) -> str:
    counts = pd.Series(names).value_counts()
    return ", ".join(f"{count} × {name}" for name, count in counts.items())


def _picture(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _probability(value: float) -> str:
    """Write a p-value.

    >>> _probability(0.0001), _probability(0.0013), _probability(0.25)
    ('< 0.001', '0.001', '0.25')
    """
    if value < 0.0005:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{np.round(value, 2):g}"
