"""Pages of the site that are made from the package and the benchmarks, so that they cannot
differ from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from duchenne.cli.main import app
from duchenne.report.words import WORDS

_BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every number, every command and what was measured."""
    pages = {"numbers.md": _numbers(), "commands.md": _commands()}
    pages |= {
        f"found/{path.name}": _found(path) for path in _BENCHMARKS.glob("*.md")
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Lead links to the benchmarks, as a checkout has them, to their pages of the site."""
    return markdown.replace("](../benchmarks/", "](found/")


def _numbers() -> str:
    told = "\n".join(
        f"| {word.name} | {word.says} |" for word in WORDS.values()
    )
    return (
        "# Every number\n\nAs the report and the tables use it.\n\n| number | what it says "
        f"|\n|---|---|\n{told}\n"
    )


def _commands() -> str:
    parts = [
        _command(path, command)
        for path, command in _every(typer.main.get_command(app), "duchenne")
    ]
    ends = (
        "Each ends with 0, with 1 after a failure of its own, with 2 for something given that "
        "cannot be used."
    )
    return "\n\n".join(["# Every command", ends, *parts])


def _every(
    command: click.Command, path: str
) -> Iterator[tuple[str, click.Command]]:
    """The commands below one, with their full names."""
    if not hasattr(command, "list_commands"):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from _every(command.get_command(context, name), f"{path} {name}")


def _command(path: str, command: click.Command) -> str:
    rows = "\n".join(
        f"| `{_written(option)}` | {_cell(getattr(option, 'help', None))} |"
        for option in command.params
    )
    example = (command.epilog or "").removeprefix("Example:").strip()
    return (
        f"## {path}\n\n{command.help or ''}\n\n| given | what it is |\n|---|---|\n{rows}\n\n    "
        f"{example}\n"
    )


def _written(option: click.Parameter) -> str:
    if option.param_type_name == "argument":
        return str(option.name).upper()
    return ", ".join((*option.opts, *option.secondary_opts))


def _cell(text: str | None) -> str:
    return (
        " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")
    )


def _found(path: Path) -> str:
    """A page of what was measured, its links as they lead from the site."""
    return path.read_text(encoding="utf-8").replace("](../docs/", "](../")
