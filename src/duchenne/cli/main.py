"""The command line: parse, call, say where the result is. Nothing is computed
here.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from duchenne.cli.audit import audits
from duchenne.cli.data import data
from duchenne.cli.figures import show
from duchenne.cli.report import reports
from duchenne.cli.terminal import Changes, explained, say
from duchenne.cli.units import units
from duchenne.errors import InputError

app = typer.Typer(
    help="Find out which facial action units an expression network has learned.",
    epilog="Example:  duchenne run quick --out runs/first",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.add_typer(units)
app.add_typer(audits)
app.add_typer(reports)
app.add_typer(show, name="show")

Recipe = Annotated[
    str | None,
    typer.Argument(
        help=(
            "A recipe's name, see 'duchenne recipes', or a file of your own, as mine.toml; quick "
            "by default."
        )
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        help="Faces: avatars, folder:PATH, ckplus:PATH, …; see 'duchenne data formats'.",
        metavar="SPEC",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the study; runs/<recipe>-<date> by default."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the study in --out, with its own recipe where none is named.",
    ),
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Networks trained side by side; as many as pay on this machine by default.",
    ),
]
Backend = Annotated[
    str, typer.Option(help="Who trains them: processes, ray or dask.")
]
Address = Annotated[
    str,
    typer.Option(
        help="Of a Ray or Dask cluster; one is started on this machine where it is not given."
    ),
]
DeviceCount = Annotated[
    int | None,
    typer.Option(
        "--devices",
        help=(
            "GPUs a network is trained on, each on its share of every batch; without GPUs, "
            "processes."
        ),
    ),
]
_GO_ON = "; the same command with --resume and --out goes on"


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.")
    ] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"duchenne {installed('duchenne')}")
        raise typer.Exit


@app.command(
    epilog=(
        "Example:  duchenne run khorrami2015 --data folder:/photos --set folds.count=5 --out "
        "runs/photos"
    )
)
def run(
    recipe: Recipe = None,
    data: Data = None,
    out: Out = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer whose units are looked at.")
    ] = None,
    changes: Changes = None,
    resume: Resume = False,
    workers: WorkerCount = None,
    backend: Backend = "processes",
    address: Address = "",
    devices: DeviceCount = None,
) -> None:
    """Run a whole study: faces, network, units, evidence, report."""
    with explained(_GO_ON):
        from duchenne.pipeline.run import run as run_recipe

        wanted = [
            *(changes or []),
            *([f'units.layer="{layer}"'] if layer else []),
        ]
        study = run_recipe(
            recipe,
            _only(data),
            out,
            changes=tuple(wanted),
            resume=resume,
            announce=say,
            workers=_at_least_one("workers", workers),
            devices=_at_least_one("devices", devices),
            backend=backend,
            address=address,
        )
        for line in study.summary_lines():
            typer.echo(line)
        typer.echo(study.report.resolve())


@app.command(
    epilog=(
        "Example:  duchenne train khorrami2015 --data ckplus:/data/CK+ --workers 2 --out "
        "runs/ckplus"
    )
)
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
    """Run a study as far as trained networks and their scores; 'duchenne run
    --resume' goes on to the report.
    """
    with explained(_GO_ON):
        from duchenne.pipeline.run import run as run_recipe

        study = run_recipe(
            recipe,
            _only(data),
            out,
            changes=tuple(changes or ()),
            resume=resume,
            announce=say,
            workers=_at_least_one("workers", workers),
            devices=_at_least_one("devices", devices),
            backend=backend,
            address=address,
            until="network",
        )
        for line in study.told_of_training():
            typer.echo(line)
        typer.echo((study.folder / "scores.json").resolve())


@app.command(
    epilog="Example:  duchenne reproduce --ckplus /data/CK+ --jaffe /data/jaffe --out runs/papers"
)
def reproduce(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the studies, one a row, and of the table."
        ),
    ] = Path("runs/papers"),
    rows: Annotated[
        str, typer.Option(help="Which recipes, as in 'mousavi2016*'.")
    ] = "*",
    ckplus: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="CK+, where you have it."),
    ] = None,
    tfd: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="TFD, where you have it."),
    ] = None,
    jaffe: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="JAFFE, where you have it."),
    ] = None,
    workers: WorkerCount = None,
    backend: Backend = "processes",
    address: Address = "",
    devices: DeviceCount = None,
) -> None:
    """Train every row of the papers' tables, on their data sets or on avatars,
    and set our figures beside theirs.

    An interrupted run goes on with the same command. On avatars it takes hours
    on two cores.
    """
    with explained("; the same command goes on"):
        from duchenne.analyses import reproduction

        given = {
            name: path
            for name, path in {
                "ckplus": ckplus,
                "tfd": tfd,
                "jaffe": jaffe,
            }.items()
            if path
        }
        found = reproduction.reproduce(
            out,
            given,
            rows=rows,
            workers=_at_least_one("workers", workers),
            devices=_at_least_one("devices", devices),
            backend=backend,
            address=address,
            announce=say,
        )
        typer.echo(found.file.read_text(encoding="utf-8"))
        typer.echo(found.file.resolve())


def _only(data: list[str] | None) -> str | None:
    if data and len(data) > 1:
        raise InputError(
            "--data is given twice; a second data set is named by --set faces.other=…"
        )
    return data[0] if data else None


def _at_least_one(option: str, number: int | None) -> int:
    if number is not None and number < 1:
        raise InputError(f"--{option} {number}: expected 1 or more")
    return number or 0


@app.command(
    epilog="Example:  duchenne evaluate runs/ckplus --data jaffe:/data/jaffe"
)
def evaluate(
    run: Annotated[
        Path, typer.Argument(help="The folder of a finished study.")
    ],
    data: Annotated[
        str,
        typer.Option(
            help="The faces to read; see 'duchenne data formats'.",
            metavar="SPEC",
        ),
    ],
    changes: Changes = None,
) -> None:
    """Evaluate a study's networks on another data set; classes are matched by
    name.
    """
    with explained():
        from duchenne.analyses import transfer

        found = transfer.evaluate(run, data, changes=tuple(changes or ()))
        typer.echo(found.headline)
        typer.echo((found.folder / "scores.json").resolve())


@app.command(
    epilog="Example:  duchenne manifold --data ckplus:/data/CK+ --out runs/manifold"
)
def manifold(
    recipe: Annotated[
        str, typer.Argument(help="A recipe whose network is an autoencoder.")
    ] = "zhu2018-manifold",
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Folder of the result.")] = Path(
        "runs/manifold"
    ),
    changes: Changes = None,
) -> None:
    """Show that expressions lie on a manifold of few dimensions: an
    autoencoder's map of faces, and a walk on it.
    """
    with explained("; the same command goes on"):
        from duchenne.analyses import manifold as manifolds

        found = manifolds.manifold(
            recipe, _only(data), out, changes=tuple(changes or ())
        )
        typer.echo(found.headline)
        typer.echo((out / "manifold.png").resolve())


@app.command(epilog="Example:  duchenne recipes khorrami2015")
def recipes(
    name: Annotated[
        str | None, typer.Argument(help="Show every key of this recipe.")
    ] = None,
) -> None:
    """List the recipes, and the table of a paper that each stands beside; or
    the keys of one, as --set takes them.

    The keys can be kept as a recipe of your own: duchenne recipes quick >
    mine.toml.
    """
    with explained():
        from duchenne import recipes as known

        if name is not None:
            for line in known.described(known.read(name)):
                typer.echo(line)
            return
        for each in known.names():
            recipe = known.read(each)
            figure = (
                f" ({recipe.paper.accuracy} %)"
                if recipe.paper.accuracy
                else ""
            )
            typer.echo(
                f"{each}\n    {recipe.about}\n    beside: {recipe.paper.table}{figure}"
            )


def main() -> None:
    """Entry point of the command ``duchenne``; a request to end is an
    interruption like Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(app())
