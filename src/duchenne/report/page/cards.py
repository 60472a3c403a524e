"""The cards of the page: what is known of one unit, and of one action unit,
each from the frames of a study.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from duchenne import facs, files
from duchenne.evidence import detections, movers, ranked
from duchenne.evidence.intervals import of_mean
from duchenne.evidence.scores import COLUMNS
from duchenne.progress import progress
from duchenne.report import gallery, tables
from duchenne.report.page import drawings
from duchenne.report.page.answers import used
from duchenne.study.record import Study

Row = Mapping[str, Any]
_WIDEST = 48  # pixels of a projection's cell on the page
_LARGEST = 16_383  # pixels of a side of WebP
_QUALITY = 60


@dataclass(frozen=True)
class Face:
    """One of a unit's top pictures: where it stands in the sheet of faces, and
    the field (left, top, width, height) in it, both in faces.
    """

    column: int
    row: int
    box: tuple[float, float, float, float]
    shown: str
    activation: float


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
    """What is known of an action unit; parts that the study has nothing on are
    empty.
    """

    code: str
    name: str
    muscles: tuple[str, ...]
    face: Markup
    units: tuple[int, ...]
    best: Row | None
    untrained: float | None
    alone: Row | None
    every: Row | None
    place: Row | None
    moves: int
    farthest: Row | None
    raises: Row | None
    needs: tuple[Row, ...]


@dataclass(frozen=True)
class Sheet:
    """The sheet of faces as a picture for the page, and how many stand across
    and down.
    """

    source: str
    across: int
    down: int


# units


def units(study: Study) -> list[UnitCard]:
    """A card for every unit of the study's layer, those that stand first in
    the gallery with their pictures.
    """
    found = _UnitFrames(study)
    with progress("Making the units' cards", found.count) as advance:
        cards = []
        for unit in range(found.count):
            cards.append(found.card(unit))
            advance(1)
    return cards


class _UnitFrames:
    """The frames of a study, by unit."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._folder = study.units_folder / "projections"
        self._level = study.recipe.evidence.level
        self.count = study.summary["units"]
        self._pairs = _by_unit(study.evidence)
        self._expressions = _by_unit(study.expressions)
        self._regions = _by_unit(study.localisation)
        self._alike = _by_unit(
            files.read_frame(self._folder / "alike.parquet")
        )
        self._faces = _faces(study)
        self._find_detections()
        self._find_effects()

    def _find_detections(self) -> None:
        """Which action units each unit detects, and which no other detects as
        surely.
        """
        detecting = _detections(self._study)
        surest = _ranked(detecting).drop_duplicates("au").sort_values("au")
        self._detects = _action_units(detecting)
        self._surest = _action_units(surest)

    def _find_effects(self) -> None:
        """What moves each unit, and what its ablation costs."""
        responses = self._study.interventions
        self._moved = (
            movers(responses, 0.0)
            .set_index("unit", drop=False)
            .to_dict("index")
        )
        self._answers, self._scale = self._study.doses()
        self._stimulated = tuple(responses.loc[responses["unit"] == 0, "au"])
        ablations = self._study.ablations
        self._needed = {}
        if len(ablations):
            self._needed = _worst(ablations[ablations["what"] == "unit"])

    def card(self, unit: int) -> UnitCard:
        pairs = self._pairs.get(unit)
        best = None if pairs is None else _where_largest(pairs, "r")
        return UnitCard(
            unit=unit,
            surest_for=self._surest.get(unit, ()),
            detects=self._detects.get(unit, ()),
            best=best,
            by_kl=None if pairs is None else _where_largest(pairs, "kl"),
            expression=_where_largest(self._expressions[unit], "r"),
            moved=self._moved.get(unit),
            needed=self._needed.get(unit),
            place=None if best is None else self._region(unit, best["au"]),
            bars=Markup()
            if pairs is None
            else drawings.bars(pairs, self._level),
            curves=drawings.curves(self._doses(unit)),
            **self._pictures(unit),
        )

    def _region(self, unit: int, action_unit: str) -> Row | None:
        """Whether a unit looks where an action unit acts."""
        regions = self._regions.get(unit)
        if regions is None:
            return None
        rows = regions[regions["au"] == action_unit].to_dict("records")
        return rows[0] if rows else None

    def _pictures(self, unit: int) -> dict[str, Any]:
        """The fields of a card that only units drawn in the gallery have."""
        alike = self._alike.get(unit)
        if alike is None:
            return {}
        likenesses = dict(alike[["method", "alike"]].itertuples(index=False))
        return {
            "faces": self._faces.get(unit, ()),
            "strips": self._strips(unit, likenesses),
            "alike": likenesses,
        }

    def _doses(self, unit: int) -> drawings.Doses:
        answers = self._answers[..., unit]
        at_rest = answers[:, :, :1]
        moved = (answers - at_rest) / (self._scale[unit] or 1)
        mean = moved.mean(0)
        most = np.abs(mean[:, -1]).argmax()
        low, high = of_mean(moved[:, most])
        return drawings.Doses(mean, low, high, self._stimulated)

    def _strips(
        self, unit: int, methods: Iterable[str]
    ) -> dict[str, tuple[str, str]]:
        """For each method the projections of a unit and of its untrained
        control, as pictures for the page.
        """
        return {
            method: (
                self._strip(unit, method, False),
                self._strip(unit, method, True),
            )
            for method in methods
        }

    def _strip(self, unit: int, method: str, untrained: bool) -> str:
        return _embedded(
            self._folder / gallery.strip_name(unit, method, untrained), _WIDEST
        )


def _by_unit(frame: pd.DataFrame) -> dict[int, pd.DataFrame]:
    return (
        {int(unit): rows for unit, rows in frame.groupby("unit")}
        if len(frame)
        else {}
    )


def _detections(study: Study) -> pd.DataFrame:
    """The pairs in which a unit detects an action unit; none where no action
    unit is coded.
    """
    if study.evidence.empty:
        return pd.DataFrame({"unit": [], "au": []})
    return detections(study.evidence, study.recipe.evidence.level)


def _ranked(detecting: pd.DataFrame) -> pd.DataFrame:
    return ranked(detecting) if len(detecting) else detecting


def _units_of(pairs: pd.DataFrame) -> dict[str, tuple[int, ...]]:
    return {au: tuple(rows["unit"]) for au, rows in pairs.groupby("au")}


def _action_units(pairs: pd.DataFrame) -> dict[int, tuple[str, ...]]:
    return {
        int(unit): tuple(rows["au"]) for unit, rows in pairs.groupby("unit")
    }


def _where_largest(frame: pd.DataFrame, score: str) -> Row:
    row: Row = frame.loc[frame[score].idxmax()].to_dict()
    return row


def _worst(alone: pd.DataFrame) -> dict[int, Row]:
    """For each unit the expression that loses most log-odds without it; none
    for units that none loses by.
    """
    worst = alone.loc[
        alone["logit_beyond"].fillna(0).groupby(alone["unit"]).idxmin()
    ]
    worst = worst[worst["logit_beyond"] < 0]
    return {int(row["unit"]): row for row in worst.to_dict("records")}


def _faces(study: Study) -> dict[int, tuple[Face, ...]]:
    """The top pictures of every unit whose faces are on the sheet."""
    layer = study.units_folder
    places = files.read_frame(layer / "projections" / "faces.parquet")
    top = study.top.merge(places, on="image", suffixes=("_in_map", ""))
    box = ["x0", "y0", "x1", "y1"]
    top[box] = top[box] / study.recipe.faces.size
    shown = study.table.labelled().frame["expression"].to_numpy(str)
    top["shown"] = shown[top["image"]]
    inorder = top.sort_values(["unit", "rank"])
    return {
        int(unit): tuple(_face(row) for row in rows.to_dict("records"))
        for unit, rows in inorder.groupby("unit")
    }


def _face(row: Row) -> Face:
    left = row["x0"]
    above = row["y0"]
    return Face(
        column=row["column"],
        row=row["row"],
        box=(left, above, row["x1"] - left, row["y1"] - above),
        shown=row["shown"],
        activation=row["activation"],
    )


def sheet(study: Study) -> Sheet:
    """The sheet of all faces that some unit's card shows."""
    folder = study.units_folder / "projections"
    places = files.read_frame(folder / "faces.parquet")
    return Sheet(
        _embedded(folder / "faces.png"),
        int(places["column"].max()) + 1,
        int(places["row"].max()) + 1,
    )


def _embedded(path: Path, tallest: int = _LARGEST) -> str:
    """A picture file within the page: WebP, not taller than so many pixels,
    nor larger than WebP can be.
    """
    packed = io.BytesIO()
    with Image.open(path) as picture:
        share = min(1.0, tallest / picture.height, _LARGEST / picture.width)
        size = (
            max(1, round(picture.width * share)),
            max(1, round(picture.height * share)),
        )
        picture.resize(size).save(packed, "WEBP", quality=_QUALITY, method=2)
    return (
        "data:image/webp;base64,"
        + base64.b64encode(packed.getvalue()).decode()
    )


# action units


def action_units(study: Study) -> list[ActionUnitCard]:
    """A card for every action unit that the faces code often enough, or that
    was stimulated.
    """
    found = _ActionUnitFrames(study)
    return [found.card(code) for code in found.codes]


class _ActionUnitFrames:
    """The frames of a study, by action unit."""

    def __init__(self, study: Study) -> None:
        self._best = _rows_of(tables.surest, study.evidence, "au")
        self._untrained = (
            tables.untrained_correlations(study) if len(study.evidence) else {}
        )
        self._probes = _grouped(study.detectors, "detector")
        self._detecting = _units_of(_detections(study))
        self._regions = _by_pair(study.localisation)
        self._find_effects(study)
        self.codes = sorted({*self._best, *study.interventions["au"]})

    def _find_effects(self, study: Study) -> None:
        """What each action unit moves, and which expressions need its units."""
        responses = study.interventions
        self._moved = movers(responses)["au"].value_counts()
        self._farthest = _rows_of(
            tables.where_largest, responses, responses["effect"].abs()
        )
        self._raises = _rows_of(
            tables.where_largest, study.reactions, study.reactions["change"]
        )
        needing = used(study.ablations)
        self._needs = {
            au: tuple(rows.to_dict("records"))
            for au, rows in (needing.groupby("au") if len(needing) else ())
        }

    def card(self, code: str) -> ActionUnitCard:
        best = self._best.get(code)
        known = facs.coded(code)
        return ActionUnitCard(
            code=code,
            name=known.name,
            muscles=known.muscles,
            face=drawings.face(code),
            units=self._detecting.get(code, ()),
            best=best,
            untrained=None if best is None else float(self._untrained[code]),
            alone=self._probes.get("best unit", {}).get(code),
            every=self._probes.get("all units", {}).get(code),
            place=None
            if best is None
            else self._regions.get((best["unit"], code)),
            moves=int(self._moved.get(code, 0)),
            farthest=self._farthest.get(code),
            raises=self._raises.get(code),
            needs=self._needs.get(code, ()),
        )


def _by_pair(frame: pd.DataFrame) -> dict[tuple[int, str], Row]:
    """The row of each unit and action unit."""
    return {(row["unit"], row["au"]): row for row in frame.to_dict("records")}


def _rows_of(
    choose: Callable[..., pd.DataFrame], frame: pd.DataFrame, by: Any
) -> dict[str, Row]:
    """The chosen row of each action unit; none of an empty frame."""
    if frame.empty:
        return {}
    rows: dict[str, Row] = choose(frame, by).to_dict("index")
    return rows


def _grouped(frame: pd.DataFrame, by: str) -> dict[str, dict[str, Row]]:
    """The rows of action units, by group."""
    if frame.empty:
        return {}
    return {
        group: rows.set_index("au").to_dict("index")
        for group, rows in frame.groupby(by)
    }


# the map


def scores(study: Study) -> dict[str, NDArray[np.floating]]:
    """What the map of units × action units can show.

    Columns are the action units of the study's evidence, in its order.

    Args:
        study: The study.

    Returns:
        (units, action units) a score, NaN where it is not known.
    """
    evidence = study.evidence
    responses = study.interventions
    places = study.localisation
    if evidence.empty:
        return {}
    codes = list(dict.fromkeys(evidence["au"]))
    wide = evidence.pivot(index="unit", columns="au")
    shown = [column.key for column in COLUMNS.values() if column.on_map]
    found = {
        key: wide[key][codes].to_numpy(float)
        for key in (*shown, "p")
        if key in wide
    }
    slopes = responses.pivot(index="unit", columns="au", values="slope")
    found["slope"] = slopes.reindex(columns=codes).to_numpy(float)
    if len(places):
        energies = places.pivot(index="unit", columns="au", values="energy")
        found["energy"] = energies.reindex(columns=codes).to_numpy(float)
    return found
