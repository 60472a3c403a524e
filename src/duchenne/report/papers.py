"""The figures and tables of the three papers, all from one study, as files for
print and on one sheet.

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

import numpy as np
import pandas as pd

from duchenne import files
from duchenne.errors import InputError
from duchenne.progress import progress
from duchenne.report import WIDTHS, gallery, legends, printed_tables, tables
from duchenne.report.figures import printing, show
from duchenne.report.figures.registry import Run, opened
from duchenne.report.figures.source import prepared
from duchenne.report.page import document
from duchenne.study import record
from duchenne.study.record import Study
from duchenne.study.workspace import Workspace
from duchenne.units.projection import has_other_activations_only

_PROJECTED = (
    "units",
    "action-units",
    "regions",
    "layers",
    "sequence",
    "invariance",
    "redundancy",
)


@dataclass(frozen=True)
class Plate:
    """A figure that is printed: one of ``report.figures.FIGURES`` with ``options``,
    others where it takes one column, the figures of the papers that it is
    like, and what it shows. An option may be a function of the study.
    """

    figure: str
    like: str
    caption: str
    options: Mapping[str, Any] = field(default_factory=dict)
    narrow: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Printed:
    """A figure or table that was written, by the ``name`` of its files; a
    ``table`` as texts where it is one.
    """

    name: str
    like: str
    caption: str
    table: pd.DataFrame | None = None


def _first_three(study: Study) -> list[int]:
    return gallery.chosen(study.units_folder, 3)


def _next_five(study: Study) -> list[int]:
    found = gallery.chosen(study.units_folder, 10)[5:]
    if not found:
        raise InputError(f"{study.recipe.units.layer} has no more units")
    return found


def _last_layers(study: Study, count: int) -> list[str]:
    """The last layers that have maps, as the study's traits name them."""
    return (
        study.traits["layer"].drop_duplicates().tail(count).tolist()
        if len(study.traits)
        else []
    )


_FOUR = {"top": 4}
PLATES: dict[str, Plate] = {
    "examples": Plate(
        "examples",
        "mousavi2016, Fig. 3",
        "Examples of the faces: of each expression several people.",
    ),
    "coding": Plate(
        "coding",
        "zhu2018, Fig. 2",
        "Of each expression, the share of its pictures that show each action unit; outlined where "
        "a published prototype holds it.",
    ),
    "architecture": Plate(
        "architecture",
        "khorrami2015, Fig. 2; mousavi2016, Figs. 4, 5 and Table I; zhu2018, Fig. 1",
        "The network: channels @ height × width of what each layer gives; blocks in blue have "
        "learned numbers.",
    ),
    "confusion": Plate(
        "confusion",
        "",
        "Which expression is read as which, in the test pictures.",
    ),
    "units": Plate(
        "units",
        "khorrami2015, Figs. 1, 3, 4; zhu2018, Fig. 4",
        "Units in the pictures that they answer to most: receptive fields over projections of the "
        "strongest neuron.",
        {},
        _FOUR,
    ),
    "more-units": Plate(
        "units",
        "khorrami2015, Figs. 3, 4",
        "The same for the units that come next.",
        {"units": _next_five},
        {"units": _next_five, "top": 4},
    ),
    "untrained": Plate(
        "units",
        "",
        "Units beside what the same network sees untrained, at the same places.",
        {"units": _first_three, "untrained": True},
        {"units": _first_three, "untrained": True, "top": 4},
    ),
    "divergence": Plate(
        "divergence",
        "khorrami2015, Fig. 5",
        "Divergence of a unit's answers with and without each action unit; the largest red, the "
        "grey line that of permuted labels.",
        {},
        {"top": 6},
    ),
    "layers": Plate(
        "layers",
        "mousavi2016, Figs. 6, 9",
        "Faces, and what each layer of maps sees of them: contributions of its most active "
        "neurons, combined with the face, and the part above 30 %; then the strongest neuron "
        "alone, and all neurons of its map.",
        {"layers": partial(_last_layers, count=2)},
        {"layers": partial(_last_layers, count=1)},
    ),
    "invariance": Plate(
        "invariance",
        "mousavi2016, Fig. 7",
        "Two filters, each on the face of every expression that it answers to most, and on the "
        "face that it answers to least.",
    ),
    "redundancy": Plate(
        "redundancy",
        "mousavi2016, Fig. 8",
        "The filters that answer most to one face, each with what its whole map sees.",
        {},
        {"top": 20},
    ),
    "sequence": Plate(
        "sequence",
        "mousavi2016, Fig. 10",
        "A sequence frame by frame: what the layer sees, and what is read in it.",
    ),
    "traits": Plate(
        "traits",
        "mousavi2016, §IV-A",
        "Traits of layer after layer, trained and untrained.",
    ),
    "action-units": Plate(
        "action-units",
        "zhu2018, Table 1",
        "For the action units that are detected best, their surest units.",
        {"most": 6},
        {"most": 6, "top": 4},
    ),
    "distance": Plate(
        "distance",
        "zhu2018, Figs. 5, 6",
        "For each action unit, the distance of every unit; hollow where its nine largest answers "
        "are smaller with the action unit than without; the grey line is that of permuted labels.",
    ),
    "farthest": Plate(
        "action-units",
        "zhu2018, Tables 4, 5",
        "For the action units of the largest distance, the unit that has it; where its r is below "
        "0 it answers less with the action unit, and its top pictures do not show it.",
        {"by": "distance", "most": 6},
        {"by": "distance", "most": 6, "top": 4},
    ),
    "mouth": Plate(
        "regions",
        "zhu2018, Tables 2, 3",
        "Units that look at the mouth, below the mouth shapes that FACS tells apart.",
        {"region": "mouth"},
        {"region": "mouth", "most": 5, "top": 4},
    ),
    "evidence-map": Plate(
        "evidence-map",
        "",
        "Correlation of every unit with every action unit; dots mark detections.",
    ),
    "likeness": Plate(
        "likeness",
        "",
        "How like the untrained network's projections are, by method: a dot a unit, the bar the "
        "median.",
    ),
    "doses": Plate(
        "doses",
        "",
        "What moves units: their answers to growing doses of every action unit, each alone, as the "
        "mean over people; blue the one that moves a unit most, with its 95 % interval, dashed the "
        "next, grey all others.",
    ),
    "reactions": Plate(
        "reactions",
        "",
        "What makes the network say each class: the change of its log-odds by every action unit, "
        "each alone; dots: the 95 % interval leaves out 0; outlined: a prototype holds it.",
    ),
    "value-changes": Plate(
        "values",
        "",
        "What moves the values that a network gives, in their standard deviations: every action "
        "unit alone; dots: the 95 % interval leaves out 0; outlined: the value is named after it.",
    ),
    "twins": Plate(
        "people",
        "",
        "Whom the network reads worse: rendered people beside twins who differ in one trait alone; "
        "filled, dotted: p ≤ 0.05 after Holm.",
    ),
    "validities": Plate(
        "validity",
        "",
        "How often each score names the action unit that moves a unit most; dotted: by chance; "
        "hollow: untrained; grey: how well half of the people foretell the other half.",
    ),
}
"""Every figure by the name of its files, in the order of the papers."""


OF_SOME: dict[str, Callable[[Study], bool]] = {
    "value-changes": lambda study: len(study.values) > 0,
    "values": lambda study: len(study.values) > 0,
    "twins": lambda study: study.recipe.people.twins > 0,
}
"""Figures and tables that only some studies have, which others need not miss."""


@dataclass(frozen=True)
class PrintedTable:
    """A table that is printed: what makes it in numbers and as texts, the
    tables that it is like, and what it shows.
    """

    numbers: Callable[[Study], pd.DataFrame]
    texts: Callable[[Study], pd.DataFrame]
    like: str
    caption: str


def _in_full(
    make: Callable[[Study], pd.DataFrame], like: str, caption: str
) -> PrintedTable:
    return PrintedTable(
        make, lambda study: printed_tables.written(make(study)), like, caption
    )


def _of_stage(stage: str) -> PrintedTable:
    return PrintedTable(
        tables.TABLES[stage],
        partial(printed_tables.condensed, stage=stage),
        "",
        legends.legend(stage),
    )


TABLES: dict[str, PrintedTable] = {
    "accuracy": _in_full(
        tables.accuracy,
        "khorrami2015, Tables 1 to 3; mousavi2016, Table II",
        "How well expressions are read in the test pictures.",
    ),
    "expressions": _in_full(
        tables.expressions,
        "",
        "How well each expression is read in the test pictures.",
    ),
    "correspondences": _in_full(
        tables.correspondences,
        "khorrami2015, Table 4",
        "Units and the action unit of the largest divergence, beside that of the largest "
        "correlation.",
    ),
    **{stage: _of_stage(stage) for stage in tables.TABLES},
}
"""Every table by the name of its files."""


def write(run: Run, columns: int = 2) -> Path:
    """Write every figure and table of the papers into ``papers/`` of a study,
    whole or not at all.

    What cannot be made from the study, as where no action unit is coded, is
    left out, and the sheet says why.

    Args:
        run: A study, or its folder.
        columns: Of a printed page, that figures are at most as wide as
            (``report.WIDTHS``).

    Returns:
        The sheet of all of them.

    Raises:
        InputError: For a study that has no report yet, and for other numbers
            of columns.
    """
    if columns not in WIDTHS:
        raise InputError(
            f"columns {columns}: not one of {', '.join(map(str, WIDTHS))}"
        )
    work = opened(run, "projections")
    record.refuse_undone(work.study.folder, work.study.state, "report")
    with files.replacing_folder(work.study.folder / "papers") as folder:
        done, left_out = _made(work, columns, folder)
        _write_sheet(folder, work.study, done, left_out, columns)
    return work.study.folder / "papers" / "sheet.html"


def _made(
    work: Workspace, columns: int, folder: Path
) -> tuple[list[Printed], dict[str, str]]:
    """All figures and tables that the study has what it takes for, and why
    others are left out.
    """
    done: list[Printed] = []
    left_out: dict[str, str] = {}
    asked = [
        name
        for name in (*PLATES, *TABLES)
        if name not in OF_SOME or OF_SOME[name](work.study)
    ]
    with progress("Drawing the papers' figures", len(asked)) as advance:
        for name in asked:
            make = _drawn if name in PLATES else _printed_table
            try:
                done.append(make(work, name, columns, folder))
            except InputError as error:
                left_out[name] = str(error)
            advance(1)
    return done, left_out


def _write_sheet(
    folder: Path,
    study: Study,
    done: list[Printed],
    left_out: dict[str, str],
    columns: int,
) -> None:
    """Write the sheet of all figures and tables, and the document that holds
    them.
    """
    content = {
        "study": study,
        "printed": done,
        "left_out": left_out,
        "across": columns,
        "wide": WIDTHS[columns],
        "explained": lambda *_: None,  # words stand in the report
    }
    for template, file in (
        ("papers.html", "sheet.html"),
        ("papers.tex", "papers.tex"),
    ):
        text = document.environment().get_template(template).render(content)
        (folder / file).write_text(text, encoding="utf-8")


def _drawn(work: Workspace, name: str, columns: int, folder: Path) -> Printed:
    plate = PLATES[name]
    study = work.study
    asked = plate.narrow if columns == 1 and plate.narrow else plate.options
    options = {
        key: value(study) if callable(value) else value
        for key, value in asked.items()
    }
    if plate.figure in _PROJECTED and _without_relus(work):
        # what the deconvnet and guided backpropagation are there
        options["method"] = "gradient"
    shown = show(study, plate.figure, **options)
    printing.save_all(shown.draw(width=WIDTHS[columns]), folder, name)
    shown.table.to_csv(folder / f"{name}.csv", index=False)
    return Printed(name, plate.like, plate.caption)


def _without_relus(work: Workspace) -> bool:
    first = prepared(work, np.arange(1))
    return has_other_activations_only(
        work.pair.trained, work.recipe.units.layer, first
    )


def _printed_table(
    work: Workspace, name: str, columns: int, folder: Path
) -> Printed:
    table = TABLES[name]
    study = work.study
    table.numbers(study).to_csv(folder / f"{name}.csv", index=False)
    texts = table.texts(study)
    (folder / f"{name}.tex").write_text(
        printed_tables.latex(texts), encoding="utf-8"
    )
    return Printed(name, table.like, table.caption, texts)
