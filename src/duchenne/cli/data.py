"""The commands of ``duchenne data``: parse, call, say where the result is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from duchenne.cli.terminal import Changes, explained, say
from duchenne.errors import InputError

data = typer.Typer(
    help="Faces: check, crop, preview and render data sets.",
    no_args_is_help=True,
)

_MOST_LINES = 40  # said one by one


@data.command(epilog="Example:  duchenne data formats")
def formats(
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines.")
    ] = False,
) -> None:
    """List the data sets that can be read, their layout, their licence and
    where to apply for them.
    """
    with explained():
        from duchenne.faces.formats import FORMATS

        if as_json:
            described = {
                n: {
                    "title": f.title,
                    "layout": f.layout,
                    "licence": f.licence,
                    "apply": f.apply,
                }
                for n, f in FORMATS.items()
            }
            typer.echo(json.dumps(described, indent=2))
            return
        for name, format_ in FORMATS.items():
            typer.echo(
                f"{name}:PATH  {format_.title}\n    {format_.layout}\n    {format_.licence}"
            )
            if format_.apply:
                typer.echo(f"    {format_.apply}")


@data.command(
    epilog="Example:  duchenne data check ckplus:/data/CK+ --sheet check.png"
)
def check(
    spec: Annotated[
        str,
        typer.Argument(
            help="Faces, as in folder:/photos; see 'duchenne data formats'."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Write a contact sheet: a picture of each person and expression."
        ),
    ] = None,
) -> None:
    """Count what a data set holds beside what its makers say, and list every
    oddity with its file.

    Exit code 0: clean; 1: can be used, with remarks; 2: cannot be used.
    """
    with explained():
        from duchenne.faces import checking

        checked = checking.check(spec)
        if as_json:
            typer.echo(json.dumps(checked.as_json(), indent=2))
        elif checked.table is None:
            first = checked.remarks[0]
            raise InputError(
                f"{spec}: {first.says if first.file == '.' else first}"
            )
        else:
            typer.echo(checking.table_text(checked))
            for remark in checked.remarks:
                say(str(remark))
        if sheet is not None and checked.table is not None:
            from duchenne.faces.previews import contact_sheet

            contact_sheet.of_table(checked.table, sheet)
            say(f"contact sheet: {sheet.resolve()}")
        if checked.verdict == checking.UNUSABLE:
            raise InputError(f"{spec}: cannot be used")
        raise typer.Exit(checked.verdict)


@data.command(
    epilog="Example:  duchenne data crop folder:/photos faces --crop haar"
)
def crop(
    spec: Annotated[
        str,
        typer.Argument(
            help="Faces, as in folder:/photos; see 'duchenne data formats'."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="A new folder for the faces.")],
    how: Annotated[
        str,
        typer.Option(
            "--crop",
            help="haar, haar-khorrami2015, landmarks, eyes, box, centre, none or yunet:FILE.onnx.",
        ),
    ] = "haar",
    size: Annotated[int, typer.Option(help="Pixels along a side.")] = 96,
    colour: Annotated[
        bool, typer.Option("--colour", help="RGB instead of grey.")
    ] = False,
    no_face: Annotated[
        str,
        typer.Option(
            help="'keep' the middle of a picture without a face, or 'leave out'."
        ),
    ] = "keep",
) -> None:
    """Cut the faces out of a data set; the folder reads back as folder:OUT,
    and a contact sheet shows what was in doubt.
    """
    with explained():
        from duchenne.faces import cropped, sources
        from duchenne.faces.images.stack import NO_FACE

        if no_face not in NO_FACE:
            raise InputError(
                f"--no-face {no_face!r}: not one of {', '.join(NO_FACE)}"
            )
        table = sources.load(spec)
        channels = 3 if colour else 1
        found = cropped.write(table, out, how, size, channels, no_face)
        _say_first([*found.table.left_out, *found.notes])
        doubtful = len(cropped.uncertain(table, found))
        typer.echo(
            f"{len(found)} of {len(table)} pictures cut, {doubtful} in doubt; "
            f"read them as: folder:{out.resolve()}"
        )
        if (out / cropped.UNCERTAIN).exists():
            typer.echo(f"in doubt: {(out / cropped.UNCERTAIN).resolve()}")


def _say_first(lines: Sequence[str]) -> None:
    """Say the first of many lines, and how many more there are."""
    for line in lines[:_MOST_LINES]:
        say(line)
    if len(lines) > _MOST_LINES:
        say(f"… and {len(lines) - _MOST_LINES} more")


@data.command(
    epilog="Example:  duchenne data augmented folder:/photos augmented.png --recipe khorrami2015"
)
def augmented(
    spec: Annotated[
        str,
        typer.Argument(
            help="Faces, as in folder:/photos; see 'duchenne data formats'."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="The picture to write, as in augmented.png.")
    ],
    recipe: Annotated[
        str,
        typer.Option(
            help="The recipe that says how faces are cut, augmented and prepared."
        ),
    ] = "quick",
    changes: Changes = None,
) -> None:
    """Show what a recipe's augmentation and preparation make of some faces;
    both can be changed with --set.
    """
    with explained():
        from duchenne import recipes
        from duchenne.faces.previews import augmented
        from duchenne.study.faces import decode, gather

        chosen = recipes.read(
            recipe,
            [
                *(changes or []),
                f"faces.source={json.dumps(spec, ensure_ascii=False)}",
            ],
        )
        some = augmented.some(gather(chosen.faces))
        faces = decode(chosen.faces, some)
        augmented.sheet(
            out, faces, chosen.training.augment, chosen.network.prepare
        )
        typer.echo(out.resolve())


@data.command(
    epilog="Example:  duchenne data render faces --people 40 --protocol posed"
)
def render(
    out: Annotated[
        Path, typer.Argument(help="A new folder for the pictures.")
    ],
    people: Annotated[int, typer.Option(help="How many people.")] = 60,
    protocol: Annotated[
        str, typer.Option(help="posed, apexes, free, dose or sides.")
    ] = "posed",
    seed: Annotated[
        int, typer.Option(help="Another seed draws other people.")
    ] = 0,
    size: Annotated[int, typer.Option(help="Pixels along a side.")] = 96,
    colour: Annotated[
        bool, typer.Option("--colour", help="RGB instead of grey.")
    ] = False,
) -> None:
    """Render avatars with their labels; the folder reads back as folder:OUT."""
    with explained():
        from duchenne.faces import avatars

        table = avatars.render_with_sheet(
            out,
            people=people,
            protocol=protocol,
            seed=seed,
            size=size,
            colour=colour,
        )
        typer.echo(
            f"{table.summary()}\ncontact sheet: {(out / 'contact_sheet.png').resolve()}"
        )
        typer.echo(f"read them as: folder:{out.resolve()}")
