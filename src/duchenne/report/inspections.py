"""What is printed of a network that was looked at before it is audited."""

from __future__ import annotations

import numpy as np
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
        A row a change.
    """
    return pd.DataFrame(
        {
            "input": found["change"],
            "pictures": found["pictures"].map(str),
            "accuracy": [percent(share, 0) for share in found["accuracy"]],
            "separation": [f"{value:.2f}" for value in found["separation"]],
            "p": [
                "" if np.isnan(value) else f"{value:.2g}"
                for value in found["p"]
            ],
            "": found["surely_better"].map({True: "better", False: ""}),
        }
    )
