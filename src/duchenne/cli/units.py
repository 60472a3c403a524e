"""The commands on a study's units: match, stimulate, people,
ablate, detectors, validity; each is a stage of ``duchenne run``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duchenne.cli.terminal import Changes, explained, say, show

units = typer.Typer()

Run = Annotated[
    Path,
    typer.Argument(
        help=(
            "The folder of a study; earlier stages that are missing are done first, training "
            "included."
        )
    ),
]


@units.command(
    epilog="Example:  duchenne match runs/quick --set evidence.permutations=10000"
)
def match(
    run: Run,
    changes: Changes = None,
    au: Annotated[
        str | None,
        typer.Option(
            help="List all detectors of this action unit, as AU12, and what moves them."
        ),
    ] = None,
) -> None:
    """Test every unit against every action unit, beside permuted labels and
    the untrained network.
    """
    _stage(run, "evidence", changes, au)


@units.command(
    epilog="Example:  duchenne stimulate runs/quick --set stimulation.people=50"
)
def stimulate(run: Run, changes: Changes = None) -> None:
    """Stimulate single action units on rendered faces: dose and response of
    every unit and expression.
    """
    _stage(run, "stimulation", changes)


@units.command(
    epilog="Example:  duchenne people runs/quick --set people.twins=24"
)
def people(run: Run, changes: Changes = None) -> None:
    """Compare whom the network reads worse: rendered people beside twins who
    differ in sex, age, weight, skin or ancestry alone.
    """
    _stage(run, "people", changes)


@units.command(
    epilog="Example:  duchenne ablate runs/quick --set ablation.fill=mean"
)
def ablate(run: Run, changes: Changes = None) -> None:
    """Ablate units, and all detectors of an action unit together, beside
    random sets: the effect on each expression.
    """
    _stage(run, "ablation", changes)


@units.command(
    epilog="Example:  duchenne detectors runs/quick --set detectors.folds=10"
)
def detectors(run: Run, changes: Changes = None) -> None:
    """Fit cross-validated linear probes of each action unit: best unit, best
    few, all units; tested on held-out subjects.
    """
    _stage(run, "detectors", changes)


@units.command(epilog="Example:  duchenne validity runs/quick")
def validity(run: Run, changes: Changes = None) -> None:
    """Measure the validity of each score: how often it names the action unit
    of largest effect on a unit.
    """
    _stage(run, "validity", changes)


def _stage(
    run: Path, stage: str, changes: list[str] | None, au: str | None = None
) -> None:
    """Go to a stage of a study and print its table; the last line is where it
    lies.
    """
    with explained("; the same command goes on"):
        from duchenne.pipeline.run import go_on
        from duchenne.report import legends, printed_tables, tables

        study = go_on(run, stage, changes=tuple(changes or ()), announce=say)
        if au:
            found = printed_tables.written(tables.detectors_of(study, au))
            if len(found):
                show(found)
                typer.echo(legends.legend_of_detectors(found))
            else:
                typer.echo(
                    f"No unit detects {au}: at family-wise p ≤ {study.recipe.evidence.level:g} "
                    "none is sure."
                )
            typer.echo((study.units_folder / "evidence.parquet").resolve())
        else:
            table = printed_tables.condensed(study, stage)
            show(table)
            typer.echo(legends.legend(stage, table))
            if stage == "evidence" and len(study.evidence):
                typer.echo(
                    "'duchenne match RUN --au AU12' lists all detectors of one."
                )
            typer.echo(printed_tables.write(study, stage).resolve())
