"""The command line: parse, call, say where the result is. Nothing is computed here."""

from __future__ import annotations

import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from duchenne.cli_data import data
from duchenne.cli_report import reports
from duchenne.cli_units import units
from duchenne.errors import InputError
from duchenne.report import PRINTED
from duchenne.terminal import Changes, explained, say

app = typer.Typer(
    help="Find out which facial action units an expression network has learned.",
    epilog="Example:  duchenne run quick --out runs/first",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.add_typer(units)
app.add_typer(reports)

Recipe = Annotated[
    str | None,
    typer.Argument(help="A recipe's name, see 'duchenne recipes', or a file of your own, as mine.toml; quick by default."),
]
Data = Annotated[
    list[str] | None,
    typer.Option(help="Faces: avatars, folder:PATH, ckplus:PATH, …; see 'duchenne data formats'.", metavar="SPEC"),
]
Out = Annotated[Path | None, typer.Option(help="Folder of the study; runs/<recipe>-<date> by default.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with the study in --out, with its own recipe where none is named.")
]
WorkerCount = Annotated[
    int | None, typer.Option("--workers", help="Networks trained side by side; as many as pay on this machine by default.")
]
Backend = Annotated[str, typer.Option(help="Who trains them: processes, ray or dask.")]
Address = Annotated[
    str, typer.Option(help="Of a Ray or Dask cluster; one is started on this machine where it is not given.")
]
DeviceCount = Annotated[
    int | None,
    typer.Option(
        "--devices", help="GPUs a network is trained on, each on its share of every batch; without GPUs, processes."
    ),
]
_GO_ON = "; the same command with --resume and --out goes on"


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Say which version this is.")] = False) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"duchenne {installed('duchenne')}")
        raise typer.Exit


@app.command(epilog="Example:  duchenne run khorrami2015 --data folder:/photos --set folds.count=5 --out runs/photos")
def run(
    recipe: Recipe = None,
    data: Data = None,
    out: Out = None,
    layer: Annotated[str | None, typer.Option(help="Layer whose units are looked at.")] = None,
    changes: Changes = None,
    resume: Resume = False,
    workers: WorkerCount = None,
    backend: Backend = "processes",
    address: Address = "",
    devices: DeviceCount = None,
) -> None:
    """Walk the whole line: faces, network, units, evidence, report."""
    with explained(_GO_ON):
        from duchenne import studies
        from duchenne.progress import bars

        wanted = [*(changes or []), *([f'units.layer="{layer}"'] if layer else [])]
        study = studies.run(
            recipe, _only(data), out, changes=tuple(wanted), resume=resume, progress=bars, announce=say,
            workers=_at_least_one("workers", workers), devices=_at_least_one("devices", devices), backend=backend,
            address=address,
        )  # fmt: skip
        for line in study.told():
            typer.echo(line)
        typer.echo(study.report.resolve())


@app.command(epilog="Example:  duchenne train khorrami2015 --data ckplus:/data/CK+ --workers 2 --out runs/ckplus")
def train(
    recipe: Recipe = None,
    data: Data = None,
    out: Out = None,
    changes: Changes = None,
    resume: Resume = False,
    workers: WorkerCount = None,
    backend: Backend = "processes",
    address: Address = "",
    devices: DeviceCount = None,
) -> None:
    """Walk the line as far as trained networks and their scores; 'duchenne run --resume' walks the rest."""
    with explained(_GO_ON):
        from duchenne import studies
        from duchenne.progress import bars

        study = studies.run(
            recipe, _only(data), out, changes=tuple(changes or ()), resume=resume, progress=bars, announce=say,
            workers=_at_least_one("workers", workers), devices=_at_least_one("devices", devices), backend=backend,
            address=address, until="training",
        )  # fmt: skip
        for line in study.told_of_training():
            typer.echo(line)
        typer.echo((study.folder / "scores.json").resolve())


@app.command(epilog="Example:  duchenne reproduce --ckplus /data/CK+ --jaffe /data/jaffe --out runs/papers")
def reproduce(
    out: Annotated[Path, typer.Option(help="Folder of the studies, one a row, and of the table.")] = Path("runs/papers"),
    rows: Annotated[str, typer.Option(help="Which recipes, as in 'mousavi2016*'.")] = "*",
    ckplus: Annotated[str | None, typer.Option(metavar="PATH", help="CK+, where you have it.")] = None,
    tfd: Annotated[str | None, typer.Option(metavar="PATH", help="TFD, where you have it.")] = None,
    jaffe: Annotated[str | None, typer.Option(metavar="PATH", help="JAFFE, where you have it.")] = None,
    workers: WorkerCount = None,
    backend: Backend = "processes",
    address: Address = "",
    devices: DeviceCount = None,
) -> None:
    """Train every row of the papers' tables, on their data sets or on avatars, and set our figures beside theirs.

    An interrupted run goes on with the same command. On avatars it takes hours on two cores.
    """
    with explained("; the same command goes on"):
        from duchenne import reproduction
        from duchenne.progress import bars

        given = {name: path for name, path in {"ckplus": ckplus, "tfd": tfd, "jaffe": jaffe}.items() if path}
        found = reproduction.reproduce(
            out, given, rows=rows, workers=_at_least_one("workers", workers), devices=_at_least_one("devices", devices),
            backend=backend, address=address,
            progress=bars, announce=say,
        )  # fmt: skip
        typer.echo(found.file.read_text(encoding="utf-8"))
        typer.echo(found.file.resolve())


def _only(data: list[str] | None) -> str | None:
    if data and len(data) > 1:
        raise InputError("--data is given twice; a second data set is named by --set faces.other=…")
    return data[0] if data else None


def _at_least_one(option: str, number: int | None) -> int:
    if number is not None and number < 1:
        raise InputError(f"--{option} {number}: expected 1 or more")
    return number or 0


@app.command(epilog="Example:  duchenne evaluate runs/ckplus --data jaffe:/data/jaffe")
def evaluate(
    run: Annotated[Path, typer.Argument(help="The folder of a finished study.")],
    data: Annotated[str, typer.Option(help="The faces to read; see 'duchenne data formats'.", metavar="SPEC")],
    changes: Changes = None,
) -> None:
    """Read another data set with a study's networks: classes are matched by name."""
    with explained():
        from duchenne import evaluation
        from duchenne.progress import bars

        found = evaluation.evaluate(run, data, changes=tuple(changes or ()), progress=bars)
        typer.echo(found.headline)
        typer.echo((found.folder / "scores.json").resolve())


@app.command(epilog="Example:  duchenne show runs/quick units --units 3,17 --method guided --top 10 --out units.pdf")
def show(
    run: Annotated[Path, typer.Argument(help="The folder of a finished study.")],
    figure: Annotated[
        str,
        typer.Argument(
            help="examples (of the faces), coding (expressions by action units), architecture (of the network), confusion "
            "(what is read as what), units (top pictures and projections), action-units (each one's "
            "best detector), regions (units by what they look at), layers (what each sees of faces), sequence (frame by "
            "frame), invariance (a filter on many faces), redundancy (many filters on a face), traits (these as numbers), "
            "random-weights (how like the random start projections are), evidence-map (units by action units), divergence "
            "(khorrami2015's score), distance (zhu2018's score), doses (what moves "
            "units) or agreement (how far scores can be trusted)."
        ),
    ] = "units",
    units: Annotated[str | None, typer.Option(help="Numbers, as in 3,17; the clearest by default.")] = None,
    layer: Annotated[str | None, typer.Option(help="Another layer than the study's.")] = None,
    layers: Annotated[str | None, typer.Option(help="For layers and traits, as in conv2,conv3; all by default.")] = None,
    by: Annotated[str | None, typer.Option(help="For action-units: r or distance, what names each one's unit.")] = None,
    most: Annotated[int | None, typer.Option(help="For action-units and regions: so many of the largest.")] = None,
    region: Annotated[str | None, typer.Option(help="For regions: brow, eye, nose, cheek, mouth or chin.")] = None,
    sequence: Annotated[str | None, typer.Option(help="For sequence: its name.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="guided (the default of units), deconvnet (of all others), gradient, gradient_x_input, integrated or "
            "relevance; of layers and sequence the first three."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option(help="How many pictures a unit, or a face an expression.")] = None,
    twin: Annotated[bool, typer.Option("--twin", help="Add the same network at its random start.")] = False,
    columns: Annotated[
        int, typer.Option(min=0, max=2, help="As wide as 1 or 2 columns of a printed page; 0, as suits it.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="A file that ends in .pdf, .svg or .png; the figure's name and .pdf by default.")
    ] = None,
) -> None:
    """Draw a figure of a finished study in the papers' layouts, with its table as csv beside it."""
    with explained():
        file = out or Path(f"{figure}.pdf")
        if file.suffix not in PRINTED:
            raise InputError(f"--out {file}: ends in none of {', '.join(PRINTED)}")
        options = {
            "units": None if units is None else _numbers("--units", units),
            "layers": None if layers is None else [name.strip() for name in layers.split(",") if name.strip()],
            "layer": layer, "by": by, "most": most, "region": region, "sequence": sequence, "method": method, "top": top,
            "twin": twin or None,
        }  # fmt: skip
        from duchenne import showing
        from duchenne.progress import bars

        given = {name: value for name, value in options.items() if value is not None}
        with warnings.catch_warnings(record=True) as caught:
            table = showing.show(run, figure, progress=bars, **given).save(file, columns)
        for each in caught:
            typer.echo(f"duchenne: {each.message}", err=True)
        typer.echo(table.resolve())
        typer.echo(file.resolve())


def _numbers(option: str, listed: str) -> list[int]:
    try:
        return [int(number) for number in listed.split(",") if number.strip()]
    except ValueError:
        raise InputError(f"{option} {listed}: not numbers, as in 3,17") from None


@app.command(epilog="Example:  duchenne manifold --data ckplus:/data/CK+ --out runs/manifold")
def manifold(
    recipe: Annotated[str, typer.Argument(help="A recipe whose network is an autoencoder.")] = "zhu2018-manifold",
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path("runs/manifold"),
    changes: Changes = None,
) -> None:
    """Show that expressions lie on a manifold of few dimensions: an autoencoder's map of faces, and a walk on it."""
    with explained("; the same command goes on"):
        from duchenne import manifold as manifolds
        from duchenne.progress import bars

        found = manifolds.manifold(recipe, _only(data), out, changes=tuple(changes or ()), progress=bars)
        typer.echo(found.headline)
        typer.echo((out / "manifold.png").resolve())


@app.command(epilog="Example:  duchenne recipes khorrami2015")
def recipes(name: Annotated[str | None, typer.Argument(help="Show every key of this recipe.")] = None) -> None:
    """List the recipes, and the table of a paper that each stands beside; or the keys of one, as --set takes them.

    The keys can be kept as a recipe of your own: duchenne recipes quick > mine.toml.
    """
    with explained():
        from duchenne import recipes as known

        if name is not None:
            for line in known.described(known.read(name)):
                typer.echo(line)
            return
        for each in known.names():
            recipe = known.read(each)
            figure = f" ({recipe.paper.accuracy} %)" if recipe.paper.accuracy else ""
            typer.echo(f"{each}\n    {recipe.about}\n    beside: {recipe.paper.table}{figure}")


def main() -> None:
    """Entry point of the command ``duchenne``; a request to end is an interruption like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(app())
