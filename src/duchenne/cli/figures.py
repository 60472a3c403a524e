"""``duchenne show``: a sub-command for every figure, made from the registry of
figures.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from duchenne.cli.terminal import explained
from duchenne.errors import InputError
from duchenne.report import PRINTED

if TYPE_CHECKING:
    from duchenne.report.figures.registry import Drawing, Option

_Columns = Annotated[
    int,
    typer.Option(
        min=0,
        max=2,
        help="As wide as 1 or 2 columns of a page; 0, as suits it.",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        help="A file that ends in .pdf, .svg or .png; the figure's name by default."
    ),
]
_Run = Annotated[Path, typer.Argument(help="The folder of a finished study.")]


class _Figures(TyperGroup):
    """The sub-commands, made when one is asked for: drawing needs libraries
    that take seconds.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Name every figure."""
        from duchenne.report.figures import FIGURES

        return list(FIGURES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Make the command of a figure; nothing where there is none of that
        name.
        """
        from duchenne.report.figures import FIGURES

        drawing = FIGURES.get(cmd_name)
        return None if drawing is None else _command(drawing)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a folder in its place is told apart from a
        mistyped figure.
        """
        named = args[0]
        if self.get_command(ctx, named) is None:
            with explained():
                _refuse(named, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


show = typer.Typer(
    cls=_Figures,
    no_args_is_help=True,
    help="Draw a figure of a finished study in the papers' layouts, with its table as csv "
    "beside it.",
    epilog="Example:  duchenne show units runs/quick --units 3,17 --top 10 --out units.pdf",
)


@show.callback()
def _show() -> None:
    """Nothing is common to all figures."""


def _refuse(named: str, known: list[str]) -> None:
    import difflib

    if Path(named).is_dir():
        raise InputError(
            f"show {named}: name the figure first, as in: duchenne show units {named}"
        )
    near = difflib.get_close_matches(named, known, n=1, cutoff=0.0)[0]
    raise InputError(
        f"figure {named!r}: did you mean {near}? There are {', '.join(known)}"
    )


def _command(drawing: Drawing) -> Any:
    """The command that draws a figure: its options are those of the figure's
    function.
    """
    parameters = [
        inspect.Parameter(
            "run", inspect.Parameter.KEYWORD_ONLY, annotation=_Run
        ),
        *map(_parameter, drawing.options.values()),
        _optional("columns", 0, _Columns),
        _optional("out", None, _Out),
    ]
    draw = _function(drawing)
    draw.__signature__ = inspect.Signature(parameters)
    draw.__annotations__ = {each.name: each.annotation for each in parameters}
    draw.__doc__ = drawing.says
    example = f"Example:  duchenne show {drawing.name} runs/quick --out {drawing.name}.pdf"
    alone = typer.Typer(add_completion=False)
    alone.command(drawing.name, epilog=example)(draw)
    return typer.main.get_command(alone)


def _function(drawing: Drawing) -> Any:
    """What the command calls, with the values of the options that were given."""

    def draw(
        run: Path, columns: int, out: Path | None, **options: Any
    ) -> None:
        with explained():
            listed = {}
            for name, value in options.items():
                if value is not None:
                    listed[name] = _listed(drawing.options[name], value)
            _draw(drawing.name, run, columns, out, listed)

    return draw


def _optional(name: str, default: Any, annotation: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(
        name, kind, default=default, annotation=annotation
    )


def _parameter(option: Option) -> inspect.Parameter:
    """An option of a figure as one of the command; several values are given as
    one list.
    """
    kind = option.kind if option.kind in (int, str) else str
    if option.kind is bool:
        flag = typer.Option(f"--{option.name}", help=option.says)
        return _optional(option.name, None, Annotated[bool | None, flag])
    option_info = typer.Option(help=option.says)
    return _optional(option.name, None, Annotated[kind | None, option_info])


def _listed(option: Option, value: Any) -> Any:
    """What was given, as the figure takes it.

    Raises:
        InputError: For numbers that are none.
    """
    if option.kind not in (Sequence[int], Sequence[str]):
        return value
    parts = [part.strip() for part in str(value).split(",") if part.strip()]
    if option.kind == Sequence[str]:
        return parts
    try:
        return [int(part) for part in parts]
    except ValueError:
        raise InputError(
            f"--{option.name} {value}: not numbers, as in 3,17"
        ) from None


def _draw(
    name: str,
    run: Path,
    columns: int,
    out: Path | None,
    options: dict[str, Any],
) -> None:
    file = out or Path(f"{name}.pdf")
    if file.suffix not in PRINTED:
        raise InputError(f"--out {file}: ends in none of {', '.join(PRINTED)}")
    from duchenne.report import figures

    with warnings.catch_warnings(record=True) as caught:
        table = figures.show(run, name, **options).save(file, columns)
    for each in caught:
        typer.echo(f"duchenne: {each.message}", err=True)
    typer.echo(table.resolve())
    typer.echo(file.resolve())
