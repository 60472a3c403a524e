"""The commands on networks that were made elsewhere: audit, trust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from duchenne.cli.terminal import Changes, explained, say

audits = typer.Typer()


@audits.command(
    epilog=(
        "Examples:  duchenne audit mine.toml --out runs/mine    "
        "duchenne audit hf:models/vit-fer    duchenne audit mine.toml --layers"
    )
)
def audit(
    card: Annotated[
        str,
        typer.Argument(
            help=(
                "A card, as mine.toml, that says where the network is, what it takes and what it "
                "gives; or hf:FOLDER, timm:NAME, pt2:FILE, onnx:FILE or file.py:callable alone."
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
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="List the layers that have units; write nothing."
        ),
    ] = False,
) -> None:
    """Audit a network that was made elsewhere: what it reads, which action
    units drive it, and which units carry them.
    """
    with explained("; the same command with --resume and --out goes on"):
        from duchenne.analyses import inspection
        from duchenne.pipeline.audit import audit as audited

        wanted = [*(changes or [])]
        if layer:
            wanted.append(f'units.layer="{layer}"')
        if layers:
            typer.echo(inspection.layers(card, tuple(wanted)).to_string())
            return
        study = audited(
            card, out, changes=tuple(wanted), resume=resume, announce=say
        )
        for line in study.summary_lines():
            typer.echo(line)
        typer.echo(study.report.resolve())


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
