"""The commands on a study's units: match, stimulate, ablate, detectors, agreement; each is a stage of ``duchenne run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duchenne.terminal import Changes, explained, say, show

units = typer.Typer()

Run = Annotated[
    Path, typer.Argument(help="The folder of a study; earlier stages that are missing are done first, training included.")
]


@units.command(epilog="Example:  duchenne match runs/quick --set evidence.permutations=10000")
def match(
    run: Run,
    changes: Changes = None,
    au: Annotated[
        str | None, typer.Option(help="List all detectors of this action unit, as AU12, and what moves them.")
    ] = None,
) -> None:
    """Say which unit detects which action unit, and how sure that is: every score beside its null."""
    _stage(run, "evidence", changes, au)


@units.command(epilog="Example:  duchenne stimulate runs/quick --set stimulation.people=50")
def stimulate(run: Run, changes: Changes = None) -> None:
    """Stimulate single action units on rendered faces: what units and expressions make of each, dose by dose."""
    _stage(run, "stimulation", changes)


@units.command(epilog="Example:  duchenne ablate runs/quick --set ablation.fill=mean")
def ablate(run: Run, changes: Changes = None) -> None:
    """Silence units, and the detectors of each action unit together, beside random ones: what becomes of expressions."""
    _stage(run, "ablation", changes)


@units.command(epilog="Example:  duchenne detectors runs/quick --set detectors.folds=10")
def detectors(run: Run, changes: Changes = None) -> None:
    """Judge one unit, a few and all as detectors of each action unit, on people who had no say in the choice."""
    _stage(run, "detectors", changes)


@units.command(epilog="Example:  duchenne agreement runs/quick")
def agreement(run: Run, changes: Changes = None) -> None:
    """Say how far each score can be trusted: how often it names the action unit that moves a unit most."""
    _stage(run, "agreement", changes)


def _stage(run: Path, stage: str, changes: list[str] | None, au: str | None = None) -> None:
    """Go to a stage of a study and print its table; the last line is where it lies."""
    with explained("; the same command goes on"):
        from duchenne import studies
        from duchenne.progress import bars
        from duchenne.report import tables

        study = studies.go_on(run, stage, changes=tuple(changes or ()), progress=bars, announce=say)
        if au:
            found = tables.written(tables.detectors_of(study, au))
            if len(found):
                show(found)
                typer.echo(tables.legend("detectors of one", found))
            else:
                typer.echo(f"No unit detects {au}: at family-wise p ≤ {study.recipe.evidence.level:g} none is sure.")
            typer.echo((study.units_folder / "evidence.parquet").resolve())
        else:
            table = tables.condensed(study, stage)
            show(table)
            typer.echo(tables.legend(stage, table))
            if stage == "evidence" and len(study.evidence):
                typer.echo("'duchenne match RUN --au AU12' lists all detectors of one.")
            typer.echo(tables.write(study, stage).resolve())
