"""The commands that show what was found: report, compare and app."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

from duchenne.cli.terminal import explained, say, show
from duchenne.errors import InputError

reports = typer.Typer()

Run = Annotated[Path, typer.Argument(help="The folder of a finished study.")]


@reports.command(
    epilog="Example:  duchenne report runs/quick --figures --columns 1"
)
def report(
    run: Run,
    figures: Annotated[
        bool,
        typer.Option(
            "--figures",
            help=(
                "Write every figure and table of the papers instead, and a sheet of them: PDF, "
                "SVG, PNG, LaTeX, CSV; this takes minutes."
            ),
        ),
    ] = False,
    columns: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="With --figures: the columns of a page that one takes; 2 by default.",
        ),
    ] = None,
) -> None:
    """Write the page, its figures and tables anew, from the run folder alone."""
    with explained():
        from duchenne.pipeline.stages import open_reportable
        from duchenne.report import printed_tables
        from duchenne.report.page import document

        if columns and not figures:
            raise InputError(f"--columns {columns}: only with --figures")
        if figures:
            from duchenne.report import papers

            with warnings.catch_warnings(record=True) as caught:
                sheet = papers.write(run, columns or 2)
            for text in dict.fromkeys(str(each.message) for each in caught):
                say(text)
            typer.echo(sheet.resolve())
            return
        study = open_reportable(run)
        document.write(study)
        printed_tables.write_all(study)
        typer.echo(study.report.resolve())


@reports.command(
    epilog="Example:  duchenne compare runs/a runs/b --out runs/compared"
)
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="The folders of two finished studies or more."),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the page and its tables.")
    ] = Path("runs/compared"),
) -> None:
    """Compare studies: accuracies, detectors, and corresponding units on the
    same faces.
    """
    with explained():
        from duchenne.analyses import compare
        from duchenne.report.printed_tables import written

        found = compare.compare(runs, out)
        show(written(found.studies))
        show(written(found.alike))
        typer.echo(found.page.resolve())


@reports.command(
    name="app", epilog="Example:  duchenne app runs/quick --port 8000"
)
def live(
    run: Run,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Where to listen; 0 takes a free one."
        ),
    ] = 8000,
    host: Annotated[
        str,
        typer.Option(
            help=(
                "This machine only by default; 0.0.0.0 lets everyone in your network send pictures."
            )
        ),
    ] = "127.0.0.1",
) -> None:
    """Serve a live page: a photograph or a slider face in, the expression and
    the units that fire out.

    Pictures stay in memory and are never written. Ctrl-C ends it.
    """
    with explained():
        from duchenne.app import serve
        from duchenne.study import record

        serve(record.open(run, until="evidence"), host, port, say)
