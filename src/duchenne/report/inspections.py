"""What is printed of a network that was looked at before it is audited."""

from __future__ import annotations

import pandas as pd

from duchenne.study.sentences import percent


def layers(found: pd.DataFrame) -> pd.DataFrame:
    """The layers that have units, as texts.

    Args:
        found: What ``units.listing.listed`` gives, and ``auto``.

    Returns:
        A row a layer.
    """
    extents = [
        f"{rows} × {columns}" if rows * columns > 1 else "–"
        for rows, columns in zip(found["rows"], found["columns"], strict=True)
    ]
    return pd.DataFrame(
        {
            "layer": found["layer"],
            "kind": found["kind"],
            "units": found["units"].map(str),
            "gives": found["gives"],
            "of": extents,
            "": found["auto"].map({True: "auto", False: ""}),
        }
    )


def read(faces: pd.DataFrame) -> pd.DataFrame:
    """What a network makes of a few faces, as texts.

    Args:
        faces: ``shown, read_as, share``.

    Returns:
        A row a face.
    """
    return pd.DataFrame(
        {
            "shown": faces["shown"],
            "read as": faces["read_as"],
            "at": [percent(share, 0) for share in faces["share"]],
        }
    )


def tried(found: pd.DataFrame) -> pd.DataFrame:
    """Inputs that were tried, as texts.

    Args:
        found: ``change, pictures, accuracy, separation, p, surely_better``.

    Returns:
        A row a change; without a p where a few pictures were enough.
    """
    tested = _tested(found)
    p = found["p"].map("{:.2g}".format).where(tested, "")
    return pd.DataFrame(
        {
            "input": found["change"],
            "pictures": found["pictures"].map(str),
            "accuracy": [percent(share, 0) for share in found["accuracy"]],
            "separation": [f"{value:.2f}" for value in found["separation"]],
            "p": p,
            "": found["surely_better"].map({True: "better", False: ""}),
        }
    )


def _tested(found: pd.DataFrame) -> pd.Series:
    """Which changes were tried on every picture, as the card itself was."""
    every = found["pictures"].iloc[0]
    return (found["pictures"] == every) & found["p"].notna()


def left_out(found: pd.DataFrame) -> str:
    """Say why some inputs were tried on a few pictures alone.

    Args:
        found: As ``tried`` takes it.

    Returns:
        A sentence; empty where all were tried on all.
    """
    every = found["pictures"].iloc[0]
    few = found["pictures"][found["pictures"] < every]
    if not len(few):
        return ""
    return (
        f"Inputs that read no better on {few.min()} pictures, or more, were not tried on all of "
        f"the {every}."
    )
