"""What all commands share: how they tell of mistakes and of what happens, and
how a recipe is changed.
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from duchenne.errors import ArgumentError, InputError, printable
from duchenne.progress import bars, showing

if TYPE_CHECKING:
    import pandas as pd

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, as 'duchenne recipes NAME' lists them; repeat. "
        "The study keeps it, and does again what depends on it.",
    ),
]


_OPTIONS = {"changes": "set", "action_unit": "au"}
"""Options that go by another name than the argument."""


@contextmanager
def explained(hint: str = "") -> Iterator[None]:
    """Show how far long work has come; say a user's mistake in one line and
    exit with 2; let everything else be seen whole.
    """
    try:
        with showing(bars), warnings.catch_warnings():
            warnings.showwarning = _noted
            yield
    except ArgumentError as error:
        argument, problem = error.args
        option = _OPTIONS.get(argument, argument.replace("_", "-"))
        fail(f"--{ArgumentError(option, problem)}")
    except InputError as error:
        fail(str(error))
    except KeyboardInterrupt:
        typer.echo(f"duchenne: interrupted{hint}", err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        # the reader of a pipe has had enough: Typer ends quietly
        raise
    except OSError as error:
        if error.errno == errno.EFBIG or "File too large" in str(error):
            fail(
                f"{error.filename or 'a result'}: larger than the limit on files (ulimit -f) "
                "allows; nothing is half-written"
            )
        if error.errno == errno.ENOSPC or "No space left" in str(
            error
        ):  # some writers name a temporary file, or none
            fail(
                "no space left on the disk that the results are written to; nothing is half-written"
            )
        fail(f"{error.filename or 'disk'}: {error.strerror or error}")


def _noted(message: object, *where: object, **how: object) -> None:
    """Tell a warning in a line, without where in the code it was given."""
    say(f"note: {printable(str(message))}")


def fail(line: str) -> None:
    """Say what was wrong, and exit with 2."""
    typer.echo(f"duchenne: {printable(line)}", err=True)
    raise typer.Exit(2)


def say(line: str) -> None:
    """Tell what happens, beside the result."""
    typer.echo(line.encode(errors="backslashreplace").decode(), err=True)


def show(table: pd.DataFrame) -> None:
    """Print a table of texts, as wide as it is: a narrower terminal breaks its
    lines.

    Args:
        table: Of texts.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # names may hold what Rich takes for markup

    drawn = Table(box=None, header_style="bold")
    for name in table:
        drawn.add_column(
            Text(str(name)),
            justify="left"
            if table[name].str.contains("[a-z]").all()
            else "right",
            no_wrap=True,
        )
    for row in table.itertuples(index=False):
        drawn.add_row(*map(Text, row))
    Console(width=_WIDEST, soft_wrap=True).print(drawn)


_WIDEST = 200  # characters
