"""The commands on networks that were made elsewhere: audit, trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from duchenne.cli.terminal import Changes, explained, say, show
from duchenne.errors import InputError

audits = typer.Typer()


@audits.command(
    epilog=(
        "Example:  duchenne audit mine.toml --check  and then  duchenne audit mine.toml --out "
        "runs/mine"
    )
)
def audit(
    card: Annotated[
        str,
        typer.Argument(
            help=(
                "A card, as mine.toml, that says where the network is, what it takes and what it "
                "gives; or hf:FOLDER, pt2:FILE, onnx:FILE or file.py:callable alone."
            ),
            metavar="CARD",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the study; runs/<card>-<date> by default."
        ),
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer whose units are looked at.")
    ] = None,
    changes: Changes = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the study in --out."),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help=(
                "Labelled photographs beside avatars, as folder:PATH; of --check and of the "
                "audit itself."
            ),
            metavar="SPEC",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help=(
                "Show it faces, and try whether another input or order of classes would surely "
                "read better; no study is written."
            ),
        ),
    ] = False,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="List the layers that have units; no study is written.",
        ),
    ] = False,
) -> None:
    """Audit a network that was made elsewhere: what it reads, which action
    units drive it, and which units carry them.
    """
    goes_on = "; the same command with --resume and --out goes on"
    with explained("" if check or layers else goes_on):
        from duchenne.pipeline.audit import audit as audited

        wanted = [*(changes or [])]
        if layer:
            wanted.append(f"units.layer={json.dumps(layer)}")
        if data and not check:
            wanted.append(f"faces.photographs={json.dumps(data)}")
        if layers or check:
            _refuse_unused(layers, check, data, resume or out is not None)
            _looked_at(card, tuple(wanted), data, layers)
            return
        study = audited(
            card, out, changes=tuple(wanted), resume=resume, announce=say
        )
        for line in study.summary_lines():
            typer.echo(line)
        typer.echo(study.report.resolve())


def _refuse_unused(
    layers: bool, check: bool, data: str | None, writes: bool
) -> None:
    """Refuse options that say nothing where no study is written."""
    if layers and check:
        raise InputError("--layers and --check: one at a time")
    only = "--layers" if layers else "--check"
    if writes:
        raise InputError(f"--out, --resume: {only} writes no study")
    if layers and data:
        raise InputError("--data: --layers shows the network no photographs")


def _looked_at(
    card: str, changes: tuple[str, ...], data: str | None, layers: bool
) -> None:
    """Print what is seen of a network before it is audited."""
    from duchenne.analyses import inspection
    from duchenne.report import inspections as as_text

    if layers:
        show(as_text.layers(inspection.layers(card, changes)))
        return
    found = inspection.inspect(card, changes, data)
    typer.echo(found.about)
    show(as_text.read(found.faces))
    for name, checked in found.checked.items():
        typer.echo(f"\n{name}:")
        show(as_text.tried(checked.tried))
        note = as_text.left_out(checked.tried)
        if note:
            typer.echo(note)
    for line in ("", *found.verdicts):
        typer.echo(line)


@audits.command(epilog="Example:  duchenne trust runs/theirs")
def trust(
    run: Annotated[
        Path, typer.Argument(help="The folder of a study from elsewhere.")
    ],
) -> None:
    """Let a study's network be made by the code that it names: read that code
    first, it can do anything.
    """
    with explained():
        from duchenne.analyses import inspection

        typer.echo(f"{inspection.trust(run)} may be run on this machine")
