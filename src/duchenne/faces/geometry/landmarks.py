"""Landmarks: the 68 points of a face, in pixels, from wherever a data set
keeps them.

The table's column ``landmarks`` holds, for each picture, the path of a text
file with 68 lines "x y" (CK+), or the points themselves as "x;y;x;y;…"
(AffectNet), or ``landmarks.parquet#path``: a row of such a file (avatars).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from duchenne import files
from duchenne.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

COUNT = 68

Points = NDArray[np.float64]


def read(where: str, root: Path) -> Points:
    """Read the points of one picture.

    Args:
        where: A file, or a row of one.
        root: The folder that it is relative to.

    Returns:
        (68, 2), x then y, in pixels from its upper left corner.

    Raises:
        InputError: Where they cannot be read, or are not 68.

    >>> read(";".join(["1.5;2"] * 68), Path())[67].tolist()
    [1.5, 2.0]
    """
    if ".parquet#" in where:
        name, _, row = where.partition("#")
        return _from_frame(root / name, row)
    inline = ";" in where
    source = "column landmarks" if inline else str(root / where)
    try:
        text = (
            where.replace(";", " ")
            if inline
            else (root / where).read_text(encoding="ascii", errors="replace")
        )
        values = np.array(text.split(), float)
    except FileNotFoundError:
        raise InputError(f"{source}: no such file") from None
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{source}: landmarks are not numbers") from None
    return _regular(values, source)


def file(where: str) -> str:
    """Name the file that holds the points, or nothing where they stand in the
    table.

    >>> file("landmarks.parquet#a.png"), file("1;2;3")
    ('landmarks.parquet', '')
    """
    return "" if ";" in where else where.partition("#")[0]


def _from_frame(path: Path, row: str) -> Points:
    try:
        points = _frame(path, files.stamp(path))
        return _regular(points.loc[row].to_numpy(float), str(path))
    except (OSError, KeyError, ValueError, TypeError):
        raise InputError(f"{path}: holds no landmarks of {row!r}") from None


@lru_cache(maxsize=4)
def _frame(path: Path, state: str) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path).set_index("path")


def _regular(values: Points, source: str) -> Points:
    if values.size != 2 * COUNT or not np.isfinite(values).all():
        raise InputError(
            f"{source}: {values.size // 2} landmarks are not {COUNT} points in a picture"
        )
    return values.reshape(COUNT, 2)
