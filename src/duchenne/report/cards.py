"""The cards of the page: what is known of one unit, and of one action unit, each from the frames of a study."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from duchenne import facs, record
from duchenne.evidence import detections, movers, ranked
from duchenne.intervals import of_mean
from duchenne.networks import TWIN
from duchenne.progress import Progress, quiet
from duchenne.report import drawings, gallery
from duchenne.report.answers import used
from duchenne.study import Study

Row = Mapping[str, Any]
_WIDEST = 48  # pixels of a projection's cell on the page
_LARGEST = 16_383  # pixels of a side of WebP
_QUALITY = 60


@dataclass(frozen=True)
class Face:
    """One of a unit's top pictures: where it stands in the sheet of faces, and the field (left, top, width, height) in it,
    both in faces.
    """

    column: int
    row: int
    box: tuple[float, float, float, float]
    shown: str
    peak: float


@dataclass(frozen=True)
class UnitCard:
    """What is known of a unit; parts that the study has nothing on are empty."""

    unit: int
    surest_for: tuple[str, ...]
    detects: tuple[str, ...]
    best: Row | None
    by_kl: Row | None
    expression: Row
    moved: Row | None
    needed: Row | None
    place: Row | None
    bars: Markup
    curves: Markup
    faces: tuple[Face, ...] = ()
    strips: dict[str, tuple[str, str]] = field(default_factory=dict)
    alike: dict[str, float] = field(default_factory=dict)

    @property
    def side(self) -> float:
        """The longest side of its fields, in faces."""
        return max((max(face.box[2:]) for face in self.faces), default=1.0)


@dataclass(frozen=True)
class ActionUnitCard:
    """What is known of an action unit; parts that the study has nothing on are empty."""

    code: str
    name: str
    muscles: tuple[str, ...]
    face: Markup
    units: tuple[int, ...]
    best: Row | None
    twin: float | None
    alone: Row | None
    every: Row | None
    place: Row | None
    moves: int
    farthest: Row | None
    raises: Row | None
    needs: tuple[Row, ...]


@dataclass(frozen=True)
class Sheet:
    """The sheet of faces as a picture for the page, and how many stand across and down."""

    source: str
    across: int
    down: int


# units


def units(study: Study, progress: Progress = quiet) -> list[UnitCard]:
    """A card for every unit of the study's layer, those that stand first in the gallery with their pictures."""
    found = _Found(study)
    with progress("Making the units' cards", found.count) as advance:
        cards = []
        for unit in range(found.count):
            cards.append(found.card(unit))
            advance(1)
    return cards


class _Found:
    """The frames of a study, by unit."""

    def __init__(self, study: Study) -> None:
        layer = study.units_folder
        self._folder, self._level = layer / "projections", study.recipe.evidence.level
        evidence = study.evidence
        self.count = study.summary["units"]
        self._evidence = _by_unit(evidence)
        self._expressions = _by_unit(record.frame(layer / "expressions.parquet"))
        sure = detections(evidence, self._level) if len(evidence) else pd.DataFrame({"unit": [], "au": []})
        self._detects = {unit: tuple(own["au"]) for unit, own in sure.groupby("unit")}
        first = ranked(sure).drop_duplicates("au") if len(sure) else sure
        self._surest = {unit: tuple(sorted(own["au"])) for unit, own in first.groupby("unit")}
        responses = study.interventions
        self._moved = {row["unit"]: row for row in movers(responses, 0.0).to_dict("records")}
        self._answers, self._scale = study.doses()
        self._stimulated = tuple(responses.loc[responses["unit"] == 0, "au"])
        alone = study.ablations[study.ablations["what"] == "unit"]
        self._needed = _worst(alone)
        self._places = _by_unit(study.localisation)
        alike = record.frame(self._folder / "alike.parquet")
        self._alike, self._methods = alike.groupby("unit"), list(dict.fromkeys(alike["method"]))
        self._faces = _faces(study)

    def card(self, unit: int) -> UnitCard:
        pairs = self._evidence.get(unit)
        best = None if pairs is None else pairs.loc[pairs["r"].idxmax()].to_dict()
        by_kl = None if pairs is None else pairs.loc[pairs["kl"].idxmax()].to_dict()
        expressions = self._expressions[unit]
        place = self._places.get(unit)
        if place is not None and best is not None:
            place = place[place["au"] == best["au"]]
        drawn = unit in self._alike.groups
        return UnitCard(
            unit, self._surest.get(unit, ()), self._detects.get(unit, ()), best, by_kl,
            expressions.loc[expressions["r"].idxmax()].to_dict(), self._moved.get(unit), self._needed.get(unit),
            None if place is None or place.empty or best is None else place.iloc[0].to_dict(),
            Markup() if pairs is None else drawings.bars(pairs, self._level), drawings.curves(self._doses(unit)),
            self._faces.get(unit, ()) if drawn else (), self._strips(unit) if drawn else {},
            dict(self._alike.get_group(unit)[["method", "alike"]].itertuples(index=False)) if drawn else {},
        )  # fmt: skip

    def _doses(self, unit: int) -> drawings.Doses:
        moved = (self._answers[..., unit] - self._answers[:, :, :1, unit]) / (self._scale[unit] or 1)
        mean = moved.mean(0)
        low, high = of_mean(moved[:, np.abs(mean[:, -1]).argmax()])
        return drawings.Doses(mean, low, high, self._stimulated)

    def _strips(self, unit: int) -> dict[str, tuple[str, str]]:
        """For each method the projections of a unit and of its twin, as pictures for the page."""
        return {
            method: tuple(
                _embedded(self._folder / gallery.strip_name(unit, method, twin), _WIDEST) for twin in (False, True)
            )  # type: ignore[misc]  # two of them
            for method in self._methods
        }


def _by_unit(frame: pd.DataFrame) -> dict[int, pd.DataFrame]:
    return {int(unit): own for unit, own in frame.groupby("unit")} if len(frame) else {}


def _worst(alone: pd.DataFrame) -> dict[int, Row]:
    """For each unit the expression that loses most log-odds without it; none for units that none loses by."""
    worst = alone.loc[alone["logit_beyond"].fillna(0).groupby(alone["unit"]).idxmin()]
    worst = worst[worst["logit_beyond"] < 0]
    return {int(row["unit"]): row for row in worst.to_dict("records")}


def _faces(study: Study) -> dict[int, tuple[Face, ...]]:
    """The top pictures of every unit whose faces are on the sheet."""
    layer, size = study.units_folder, study.recipe.faces.size
    places = record.frame(layer / "projections" / "faces.parquet")
    top = record.frame(layer / "top.parquet").merge(places, on="image", suffixes=("_in_map", ""))
    shown = study.table.labelled().frame["expression"].to_numpy(str)
    found: dict[int, list[Face]] = {}
    for row in top.sort_values(["unit", "rank"]).to_dict("records"):
        box = (row["x0"] / size, row["y0"] / size, (row["x1"] - row["x0"]) / size, (row["y1"] - row["y0"]) / size)
        face = Face(row["column"], row["row"], box, shown[row["image"]], row["peak"])
        found.setdefault(int(row["unit"]), []).append(face)
    return {unit: tuple(faces) for unit, faces in found.items()}


def sheet(study: Study) -> Sheet:
    """The sheet of all faces that some unit's card shows."""
    folder = study.units_folder / "projections"
    places = record.frame(folder / "faces.parquet")
    return Sheet(_embedded(folder / "faces.png"), int(places["column"].max()) + 1, int(places["row"].max()) + 1)


def _embedded(path: Path, tallest: int = _LARGEST) -> str:
    """A picture file within the page: WebP, not taller than so many pixels, nor larger than WebP can be."""
    packed = io.BytesIO()
    with Image.open(path) as picture:
        share = min(1.0, tallest / picture.height, _LARGEST / picture.width)
        size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
        picture.resize(size).save(packed, "WEBP", quality=_QUALITY, method=2)
    return "data:image/webp;base64," + base64.b64encode(packed.getvalue()).decode()


# action units


def action_units(study: Study) -> list[ActionUnitCard]:
    """A card for every action unit that the faces code often enough, or that was stimulated."""
    evidence, responses, reactions = study.evidence, study.interventions, study.reactions
    coded = set(evidence["au"]) if len(evidence) else set()
    moved = movers(responses)["au"].value_counts()
    farthest = _first(responses, responses["effect"].abs())
    raises = _first(reactions, reactions["change"])
    best = ranked(evidence).drop_duplicates("au").set_index("au").to_dict("index") if coded else {}
    sure = detections(evidence, study.recipe.evidence.level) if coded else pd.DataFrame({"unit": [], "au": []})
    units = {au: tuple(own["unit"].astype(int)) for au, own in sure.groupby("au")}
    twin = record.frame(study.units_folder / TWIN / "evidence.parquet").groupby("au")["r"].max() if coded else {}
    read = {name: own.set_index("au").to_dict("index") for name, own in _grouped(study.detectors, "detector")}
    places = {(row["unit"], row["au"]): row for row in study.localisation.to_dict("records")}
    needs = {au: tuple(own.to_dict("records")) for au, own in used(study.ablations).groupby("au")}
    return [
        ActionUnitCard(
            code, facs.coded(code).name, facs.coded(code).muscles, drawings.face(code), units.get(code, ()),
            best.get(code), float(twin[code]) if code in coded else None, read.get("one unit", {}).get(code),
            read.get("all units", {}).get(code), places.get((best[code]["unit"], code)) if code in best else None,
            int(moved.get(code, 0)), farthest.get(code), raises.get(code), needs.get(code, ()),
        )
        for code in sorted(coded | set(responses["au"]))
    ]  # fmt: skip


def _first(frame: pd.DataFrame, by: pd.Series) -> dict[str, Row]:
    """For each action unit the row in which something is largest."""
    largest: dict[str, Row] = frame.loc[by.groupby(frame["au"]).idxmax()].set_index("au").to_dict("index")
    return largest


def _grouped(frame: pd.DataFrame, by: str) -> list[tuple[str, pd.DataFrame]]:
    return list(frame.groupby(by)) if len(frame) else []


# the map


def scores(study: Study) -> dict[str, NDArray[np.floating]]:
    """What the map of units × action units can show: one table (units, action units) a score, NaN where it is not known.

    Columns are the action units of the study's evidence, in its order.
    """
    evidence, responses, places = study.evidence, study.interventions, study.localisation
    if evidence.empty:
        return {}
    codes = list(dict.fromkeys(evidence["au"]))
    wide = evidence.pivot(index="unit", columns="au")[["r", "r_within", "kl_z", "kl", "distance", "ap_lift", "auroc", "p"]]
    found = {score: wide[score][codes].to_numpy(float) for score in wide.columns.levels[0] if score in wide}
    found["slope"] = responses.pivot(index="unit", columns="au", values="slope").reindex(columns=codes).to_numpy(float)
    if len(places):
        found["energy"] = places.pivot(index="unit", columns="au", values="energy").reindex(columns=codes).to_numpy(float)
    return found
