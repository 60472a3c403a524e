"""The page: one self-contained ``report.html`` from a run folder alone."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import (
    Environment,
    PackageLoader,
    StrictUndefined,
    select_autoescape,
)
from markupsafe import Markup
from matplotlib.figure import Figure

from duchenne import facs, files, recipes
from duchenne.errors import InputError
from duchenne.evidence import detections, strongest
from duchenne.evidence.reactions import unheeded
from duchenne.evidence.scores import COLUMNS, Column
from duchenne.experiments.twins import NEUTRAL
from duchenne.progress import progress
from duchenne.report import (
    class_tables,
    gallery,
    legends,
    printed_tables,
    tables,
)
from duchenne.report.figures import plots, printing
from duchenne.report.page import cards
from duchenne.report.page.answers import answers
from duchenne.report.words import WORDS, explained
from duchenne.study import sentences
from duchenne.study.record import Study
from duchenne.study.sentences import percent

_FIRST = "r"
"""What the map shows at first."""


def write(study: Study) -> None:
    """Write ``report.html`` and ``figures/`` of a study, each whole or not at
    all.

    Raises ``InputError`` for a study that an earlier version left without what
    the page shows.
    """
    if not (study.units_folder / "projections" / "faces.parquet").exists():
        raise InputError(
            f"{study.folder}: an earlier version made it; 'duchenne run --resume --out "
            f"{study.folder}' brings it up to date"
        )
    drawn = _figures(study)
    with (
        progress("Drawing figures", len(drawn)) as advance,
        files.replacing_files(study.folder / "figures") as partial,
    ):
        for name, figure in drawn.items():
            printing.save_all(figure, partial, name)
            advance(1)
    content = _content(study)
    with files.replacing(study.report) as partial:
        partial.write_text(
            environment().get_template("page.html").render(**content),
            encoding="utf-8",
        )


def environment() -> Environment:
    """What pages are rendered with: their words, and how numbers are written."""
    found = Environment(
        loader=PackageLoader("duchenne.report.page"),
        autoescape=select_autoescape(
            disabled_extensions=("tex",), default=True
        ),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "percent": percent,
        "probability": probability,
        "number": number,
        "points": points,
        "latex": printed_tables.escaped,
    }
    found.globals |= {
        "css": text("page.css"),
        "words": WORDS,
        "explained": explained,
        "coded": facs.coded,
    }
    found.globals |= {
        "legends": {stage: legends.legend(stage) for stage in legends.LEGENDS}
    }
    return found


def _content(study: Study) -> dict[str, Any]:
    """What the template of the page is filled with."""
    units = cards.units(study)
    first = _surest(study)
    return {
        **_of_study(study),
        "detected": _detected(study),
        "confusion": _confusion(study),
        "map": _map(study),
        "tables": _tables(study),
        "traits": _traits(study),
        "driven": _driven(study),
        "photographs": _photographs(study),
        "unheeded": _unheeded(study),
        "faces": _faces(study),
        "figures": _embedded(study.folder / "figures"),
        "sheet": cards.sheet(study),
        "units": units,
        "action_units": cards.action_units(study),
        "first": [units[unit] for unit in first],
        "others": [card for card in units if card.unit not in set(first)],
        "left_out": _remarks(study.folder / "remarks.txt"),
        "script": text("page.js"),
    }


def _of_study(study: Study) -> dict[str, Any]:
    """The study, and what is said of it in sentences."""
    return {
        "study": study,
        "recipe": study.recipe,
        "state": study.state,
        "scores": study.scores,
        "summary": study.summary,
        "command": command(study),
        "people_known": study.table.people_known,
        "people": study.people(study.scores["people"]),
        "people_shown": study.people(study.summary["people"]),
        "published": study.published,
        "ablated": _ablated(study),
        "seen": study.shown(study.recipe.units.pictures),
        "answers": answers(study),
        "truth": study.truth,
    }


def _ablated(study: Study) -> str:
    """On how many pictures units were ablated, and which."""
    effects = study.ablations
    if effects.empty:
        return ""
    count = effects.drop_duplicates("expression")["pictures"].sum()
    return f"{count} pictures{study.shown(study.recipe.ablation.pictures)}"


def _embedded(folder: Path) -> dict[str, Markup]:
    return {path.stem: svg(path) for path in sorted(folder.glob("*.svg"))}


def text(name: str) -> Markup:
    """A file of the templates as it is."""
    file = resources.files("duchenne.report.page").joinpath("templates", name)
    return Markup(file.read_text(encoding="utf-8"))  # noqa: S704  (our own)


def _surest(study: Study) -> list[int]:
    """The units whose cards stand on the page itself: the surest for each
    action unit, or for each expression.
    """
    count = (
        study.evidence["au"].nunique()
        if len(study.evidence)
        else len(study.table.expressions)
    )
    return gallery.chosen(
        study.units_folder, min(count, study.recipe.units.gallery)
    )


def _detected(study: Study) -> list[tuple[str, int]]:
    """The action units that are detected, with how many units detect each,
    most first.
    """
    if study.evidence.empty:
        return []
    counts = detections(study.evidence, study.recipe.evidence.level)[
        "au"
    ].value_counts()
    return [(str(code), int(count)) for code, count in counts.items()]


def _confusion(study: Study) -> list[tuple[str, list[float]]]:
    """Of the pictures of each expression, the share that is read as each."""
    if not study.has_classes:
        return []
    counts = np.array(study.scores["confusion"], float)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    return list(zip(study.scores["classes"], shares.tolist(), strict=True))


def _map(study: Study) -> dict[str, Any] | None:
    """What the script draws the map of units × action units from."""
    if study.evidence.empty:
        return None
    codes = list(dict.fromkeys(study.evidence["au"]))
    known = cards.scores(study)
    shown = sorted(_shown(), key=lambda name: name != _FIRST)
    scored = [
        name
        for name in shown
        if name in known and np.isfinite(known[name]).any()
    ]
    return {
        "codes": codes,
        "names": [facs.coded(code).name for code in codes],
        "units": _units_of_map(study, codes),
        "scores": [_scored(name, known[name]) for name in scored],
    }


def _units_of_map(study: Study, codes: list[str]) -> list[dict[str, Any]]:
    """What the map says of every unit beside its scores."""
    sure = detections(study.evidence, study.recipe.evidence.level)
    detects = sure.groupby("unit")["au"].agg(list)
    best = strongest(study.evidence).set_index("unit")["au"]
    expressions = study.expressions
    largest = expressions.loc[expressions.groupby("unit")["r"].idxmax()]
    expression = largest.set_index("unit")["expression"]
    units = []
    for unit in range(study.summary["units"]):
        row = {
            "unit": unit,
            "strongest": f"{best[unit]} {facs.coded(best[unit]).name}",
            "expression": expression[unit],
            "detects": [codes.index(code) for code in detects.get(unit, [])],
        }
        units.append(row)
    return units


def _shown() -> dict[str, Column]:
    """What the map of units and action units can show."""
    of_scores = {
        column.key: column for column in COLUMNS.values() if column.on_map
    }
    return of_scores | {
        "slope": Column("slope", "slope", WORDS["slope"].says, digits=1),
        "energy": Column("energy", "energy", WORDS["energy"].says),
    }


def _scored(score: str, values: np.ndarray) -> dict[str, Any]:
    column = _shown()[score]
    middle = column.uninformative
    rounded = np.round(values, 3)
    return {
        "key": score,
        "label": column.label,
        "says": column.says,
        "middle": middle,
        "digits": column.digits,
        "widest": float(max(np.nanmax(np.abs(values - middle)), 1e-6)),
        "values": [
            [value if np.isfinite(value) else None for value in row]
            for row in rounded.tolist()
        ],
    }


def _tables(study: Study) -> dict[str, pd.DataFrame]:
    """The tables of what was found, as texts; without those that there is
    nothing to tell in.
    """
    texts = {}
    for stage in tables.TABLES:
        with suppress(InputError):
            texts[stage] = printed_tables.condensed(study, stage)
    return texts


def _traits(study: Study) -> pd.DataFrame | None:
    """Traits as texts: a row a layer and trait, trained beside the untrained
    network; nothing where no layer has maps.
    """
    found = study.traits
    if found.empty:
        return None
    columns = found[["value", "low", "high"]].itertuples(index=False)
    texts = [
        f"{number(value)} [{number(low)}, {number(high)}]"
        for value, low, high in columns
    ]
    wide = found.assign(text=texts).pivot(
        index=["layer", "trait"], columns="network", values="text"
    )
    inorder = found[["layer", "trait"]].drop_duplicates()
    return inorder.merge(wide.reset_index(), on=["layer", "trait"])[
        ["layer", "trait", "trained", "untrained"]
    ]


def _driven(study: Study) -> pd.DataFrame | None:
    """What makes the network say each class, as texts."""
    found = class_tables.driven(study)
    return printed_tables.written(found) if len(found) else None


def _photographs(study: Study) -> dict[str, Any] | None:
    """What is said of photographs beside the study's own faces, and the units
    that answer to them farthest beyond.
    """
    shown = study.photographs
    if shown is None:
        return None
    summary = shown.summary
    who = sentences.people(summary["people"], True)
    parts = [
        f"{summary['pictures']} photographs of {who} beside the study's own faces",
        sentences.holding(summary["holding"]),
        sentences.beyond(shown.ranges["beyond"]),
    ]
    says = "; ".join(part for part in parts if part) + "."
    farthest = shown.ranges.sort_values("beyond", ascending=False).head(10)
    return {"says": says, "table": printed_tables.written(farthest)}


def _unheeded(study: Study) -> str:
    """The classes that action units of their prototypes do not surely raise."""
    if not len(study.reactions):
        return ""
    found = unheeded(study.reactions, class_tables.prototypes(study))
    of_classes = found.groupby("expression", sort=False)["au"].agg(", ".join)
    return "; ".join(
        f"{name} by {codes}" for name, codes in of_classes.items()
    )


def _faces(study: Study) -> pd.DataFrame:
    """How many pictures and people show each expression."""
    frame = study.table.labelled().frame
    counted = frame.groupby("expression").agg(
        pictures=("path", "size"), people=("subject", "nunique")
    )
    return counted.reindex(list(study.table.expressions)).reset_index()


def command(study: Study) -> str:
    """The command that gives the same study again."""
    words = ["duchenne", "run"]
    if study.recipe.name not in recipes.names():
        return shlex.join([*words, str(study.folder / "recipe.toml")])
    words.append(study.recipe.name)
    source = study.state["faces"]["source"]
    if source != "avatars":
        words += ["--data", source]
    for change in recipes.differences(study.recipe):
        words += ["--set", change]
    return shlex.join(words)


def _figures(study: Study) -> dict[str, Figure]:
    drawn = {}
    if study.has_classes:
        drawn["confusion"] = plots.confusion(study.scores)
    if len(study.values):
        drawn["values"] = plots.values(study.values)
    if len(study.traits):
        drawn["traits"] = plots.traits(study.traits)
    if len(study.evidence):
        shown = _clearest(study)
        drawn["heat_map"] = plots.heat_map(
            study.evidence, study.recipe.evidence.level
        )
        drawn["divergences"] = plots.divergences(study.evidence, shown)
    drawn["doses"] = _doses(study)
    if len(study.reactions):
        held = class_tables.prototypes(study)
        drawn["reactions"] = plots.reactions(study.reactions, held)
    drawn["validity"] = plots.validities(study.validity)
    return drawn | _figures_of_other_faces(study)


def _figures_of_other_faces(study: Study) -> dict[str, Figure]:
    """Of twins and photographs, where there are any."""
    drawn = {}
    twins = _twins(study)
    if len(twins):
        drawn["people"] = plots.twins(twins, class_tables.TRAITS, NEUTRAL)
    shown = study.photographs
    if shown is not None and shown.scores:
        drawn["photographs"] = plots.photographs(
            study.scores, shown.scores, shown.ranges["beyond"]
        )
    return drawn


def _twins(study: Study) -> pd.DataFrame:
    """What was measured of twins."""
    found = study.people_compared
    return found[found["design"] == "twins"] if len(found) else found


def _clearest(study: Study) -> list[int]:
    """The units that figures show: the first ones of the gallery."""
    return gallery.chosen(
        study.units_folder, min(10, study.recipe.units.gallery)
    )


def _doses(study: Study) -> Figure:
    answers, scale = study.doses()
    return plots.doses(answers, study.interventions, scale, _clearest(study))


def svg(path: Path) -> Markup:
    """A figure to stand within a page, whose names are its own there.

    Args:
        path: Of the figure, as SVG.

    Returns:
        Its text.
    """
    drawing = path.read_text(encoding="utf-8")
    named = re.sub(
        r'(\bid="|url\(#|href="#)',
        rf"\g<1>{path.stem}-",
        drawing[drawing.index("<svg") :],
    )
    return Markup(named)  # noqa: S704  (drawn by matplotlib from our own numbers)


def probability(value: float) -> str:
    """Write a p-value.

    >>> probability(0.0001), probability(0.0013), probability(0.25)
    ('< 0.001', '0.001', '0.25')
    """
    if value < 0.0005:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{np.round(value, 2):g}"


def number(value: float) -> str:
    """Write a number to two digits behind the point, its sign a minus.

    >>> number(-0.254), number(float("nan"))
    ('−0.25', '–')
    """
    return "–" if not np.isfinite(value) else f"{value:.2f}".replace("-", "−")


def points(share: float, named: bool = True) -> str:
    """Write a change of a share in points, that is hundredths.

    >>> points(-0.158).replace("\u202f", " "), points(0.02, named=False)
    ('−15.8 points', '+2.0')
    """
    text = "–"
    if np.isfinite(share):
        text = f"{100 * share:+.1f}".replace("-", "−")
    return text + "\u202fpoints" * named


def _remarks(file: Path) -> list[str]:
    """What was left out of the faces; nothing where the file was taken away."""
    return (
        file.read_text(encoding="utf-8", errors="replace").splitlines()
        if file.exists()
        else []
    )
