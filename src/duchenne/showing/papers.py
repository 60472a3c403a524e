"""The figures and tables of the three papers, all from one study, as files for print and on one sheet.

papers/sheet.html                  everything on one page, with what each is beside
papers/papers.tex                  the same as a document: a place to copy from
papers/divergence.pdf .svg .png    a figure, and .csv, the table of what it shows
papers/correspondences.tex .csv    a table
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from duchenne import cache
from duchenne.errors import InputError
from duchenne.progress import Progress, quiet
from duchenne.report import WIDTHS, gallery, page, printing, tables
from duchenne.showing import FIGURES
from duchenne.showing.looking import Run, opened
from duchenne.study import Study


@dataclass(frozen=True)
class Plate:
    """A figure that is printed: one of ``showing.FIGURES`` with ``options``, others where it takes one column, the
    figures of the papers that it is like, and what it shows; of units the five from the ``first`` on, in the report's order.
    """

    figure: str
    like: str
    caption: str
    options: Mapping[str, Any] = field(default_factory=dict)
    narrow: Mapping[str, Any] = field(default_factory=dict)
    first: int = 0


@dataclass(frozen=True)
class Printed:
    """A figure or table that was written, by the ``name`` of its files; a ``table`` as texts where it is one."""

    name: str
    like: str
    caption: str
    table: pd.DataFrame | None = None


_FIVE = {"top": 5}
PLATES: dict[str, Plate] = {
    "examples": Plate("examples", "mousavi2016, Fig. 3", "Examples of the faces: of each expression several people."),
    "coding": Plate(
        "coding", "zhu2018, Fig. 2",
        "Of each expression, the share of its pictures that show each action unit; outlined where a published prototype "
        "holds it.",
    ),
    "architecture": Plate(
        "architecture", "khorrami2015, Fig. 2; mousavi2016, Figs. 4, 5 and Table I; zhu2018, Fig. 1",
        "The network: channels @ height × width of what each layer gives; blocks in blue have learned numbers.",
    ),
    "confusion": Plate("confusion", "", "Which expression is read as which, on people left out."),
    "units": Plate(
        "units", "khorrami2015, Figs. 1, 3, 4",
        "What five units see in the pictures that they answer to most: receptive fields over projections.", {}, _FIVE,
    ),
    "more-units": Plate("units", "khorrami2015, Figs. 3, 4", "The same for the next five units.", {}, _FIVE, 5),
    "divergence": Plate(
        "divergence", "khorrami2015, Fig. 5",
        "Divergence of a unit's answers with and without each action unit; the largest red, the grey line that of permuted "
        "labels.",
    ),
    "layers": Plate(
        "layers", "mousavi2016, Figs. 6, 9",
        "Faces, and what each layer of maps sees of them: contributions, combined with the face, and the part above 30 %.",
    ),
    "invariance": Plate(
        "invariance", "mousavi2016, Fig. 7", "Two filters, each on the face of every expression that it answers to most."
    ),
    "redundancy": Plate("redundancy", "mousavi2016, Fig. 8", "Many filters on one face.", {}, {"top": 20}),
    "sequence": Plate(
        "sequence", "mousavi2016, Fig. 10", "A sequence frame by frame: what the layer sees, and what is read in it."
    ),
    "traits": Plate("traits", "mousavi2016, §IV-A", "Traits of layer after layer, trained and at the random start."),
    "action-units": Plate(
        "action-units", "zhu2018, Tables 1, 5", "For each action unit that is detected, its surest unit.", {"top": 9}, _FIVE
    ),
    "distance": Plate(
        "distance", "zhu2018, Figs. 5, 6",
        "For each action unit, the distance of every unit; hollow where the unit answers less; the grey line that of "
        "permuted labels.",
    ),
    "farthest": Plate(
        "action-units", "zhu2018, Tables 4, 5", "For each action unit, the unit of the largest distance.",
        {"by": "distance", "top": 9}, {"by": "distance", "top": 5},
    ),
    "mouth": Plate(
        "regions", "zhu2018, Tables 2, 3", "Units that look at the mouth, below the mouth shapes that FACS tells apart.",
        {"region": "mouth"}, {"region": "mouth", "top": 5},
    ),
    "evidence-map": Plate("evidence-map", "", "Correlation of every unit with every action unit; dots mark detections."),
    "random-weights": Plate("random-weights", "", "How like the random start's projections are, by method."),
    "doses": Plate("doses", "", "What moves units: their answers to growing doses of every action unit, each alone."),
    "agreement": Plate("agreement", "", "How often each score names the action unit that moves a unit most."),
}  # fmt: skip
"""Every figure by the name of its files, in the order of the papers."""

TABLES: dict[str, tuple[str, str, Callable[[Study], pd.DataFrame]]] = {
    "reading": (
        "khorrami2015, Tables 1 to 3; mousavi2016, Table II", "How well expressions are read, on people left out.",
        lambda study: tables.written(tables.reading(study)),
    ),
    "expressions": ("", "How well each expression is read.", lambda study: tables.written(tables.expressions(study))),
    "correspondences": (
        "khorrami2015, Table 4", "Units and the action unit of the largest divergence, beside that of the largest "
        "correlation.", lambda study: tables.written(tables.correspondences(study)),
    ),
    **{stage: ("", tables.LEGENDS[stage], partial(tables.condensed, stage=stage)) for stage in tables.TABLES},
}  # fmt: skip
"""Every table by the name of its files: the tables of the papers that it is like, its caption and what makes it."""


def write(run: Run, columns: int = 2, *, progress: Progress = quiet) -> Path:
    """Write every figure and table of the papers into ``papers/`` of a study, whole or not at all; return their sheet.

    Figures are as wide as so many ``columns`` of a printed page (``report.WIDTHS``). What cannot be made from the study,
    as where no action unit is coded, is left out, and the sheet says why. Raises ``InputError`` for a study that has not
    come so far, and for other numbers of columns.
    """
    if columns not in WIDTHS:
        raise InputError(f"columns {columns}: not one of {', '.join(map(str, WIDTHS))}")
    study = opened(run, "projections", progress).study
    done, left_out = list[Printed](), dict[str, str]()
    with cache.replacing_folder(study.folder / "papers") as folder:
        with progress("Drawing the papers' figures", len(PLATES)) as advance:
            for name, plate in PLATES.items():
                try:
                    done.append(_drawn(study, name, plate, columns, folder))
                except InputError as error:
                    left_out[name] = str(error)
                advance(1)
        for name in TABLES:
            try:
                done.append(_told(study, name, folder))
            except InputError as error:
                left_out[name] = str(error)
        content = {
            "study": study, "printed": done, "left_out": left_out, "across": columns, "wide": WIDTHS[columns],
            "css": page.text("page.css"),
        }  # fmt: skip
        for template, file in (("papers.html", "sheet.html"), ("papers.tex", "papers.tex")):
            (folder / file).write_text(page.environment().get_template(template).render(content), encoding="utf-8")
    return study.folder / "papers" / "sheet.html"


def _drawn(study: Study, name: str, plate: Plate, columns: int, folder: Path) -> Printed:
    options = dict(plate.narrow if columns == 1 and plate.narrow else plate.options)
    if plate.first:
        options["units"] = gallery.chosen(study.units_folder, plate.first + 5)[plate.first :]
    shown = FIGURES[plate.figure](study, **options)
    printing.save(shown.draw(width=WIDTHS[columns]), folder, name)
    shown.table.to_csv(folder / f"{name}.csv", index=False)
    return Printed(name, plate.like, plate.caption)


def _told(study: Study, name: str, folder: Path) -> Printed:
    like, caption, make = TABLES[name]
    table = make(study)
    table.to_csv(folder / f"{name}.csv", index=False)
    (folder / f"{name}.tex").write_text(tables.latex(table), encoding="utf-8")
    return Printed(name, like, caption, table)
