"""FaceTable: labelled pictures as a frame, one row a picture.

Columns ``path dataset subject sequence frame expression``, then presence
``AU01 … AU64`` (nullable boolean: True, False, NA = not coded), ``AU12_left``,
``AU12_right`` (of one side, where a set codes sides; ``AU12`` is present where
either is) and ``AU01_intensity …`` (0 absent, 1 to 5 = A to E, NaN = not
scored). An action unit that a set never codes has no column. Between them
stand, where a set has them, ``split`` (or ``split_1 …``: train, validation,
test), the face's box ``left top right bottom`` in pixels, ``landmarks`` (where
the 68 points are, see ``landmarks``), ``view``, ``valence arousal`` in −1 … 1,
``votes_neutral …`` (shares of raters), and behind presence
``AU01_probability …``, what a detector thinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from duchenne import facs
from duchenne.errors import InputError

KEYS = ("path", "dataset", "subject", "sequence", "frame", "expression")
SPLITS = ("train", "validation", "test")
BOX = ("left", "top", "right", "bottom")
VOTES = tuple(f"votes_{name}" for name in (*facs.EXPRESSIONS, "unknown", "nf"))
_ALWAYS = {
    "path": "string",
    "dataset": "string",
    "subject": "string",
    "sequence": "string",
    "frame": "Int64",
    "expression": "string",
}
"""Columns that every table has, missing values where a data set tells nothing."""

_GRADED = {
    "_intensity": (5, "intensities"),
    "_probability": (1, "probabilities"),
}
"""What an action unit's columns hold at most, and what that is called, by
their ending.
"""

_TEXTS = (
    "split",
    *(f"split_{number}" for number in range(1, 11)),
    "landmarks",
    "view",
)
PERSON = "person_"
"""What the columns on who is in a picture begin with."""

OF_PERSONS = tuple(
    f"{PERSON}{name}"
    for name in (
        "sex",
        "age",
        "weight",
        "african",
        "asian",
        "caucasian",
        "skin",
    )
)
"""Who is in a picture, of rendered faces: sex, female 0 … male 1; age, young 0
… old 1; weight −1 … 1; shares of three ancestries; the skin's luminance.
"""

NUMBERS = (*BOX, "valence", "arousal", *VOTES, *OF_PERSONS)
COLUMNS = (*KEYS, *_TEXTS, *NUMBERS)
"""Every column but the action units'."""


@dataclass(frozen=True)
class FaceTable:
    """Labelled pictures below one folder.

    ``frame`` holds the columns above, ``root`` the folder that ``path`` is
    relative to, ``left_out`` a line for each picture that could not be used.

    >>> table = FaceTable(
    ...     pd.DataFrame(
    ...         {"path": ["a.png"], "expression": ["fear"], "AU12": [True]}
    ...     ),
    ...     Path("."),
    ... )
    >>> table.frame["AU12"].dtype, table.action_units, len(table)
    (BooleanDtype, (12,), 1)
    """

    frame: pd.DataFrame
    root: Path
    left_out: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", _regular(self.frame))

    def __len__(self) -> int:
        return len(self.frame)

    def _repr_html_(self) -> str:
        html: str = self.frame.head(8).to_html()
        return f"<p>{self.summary()}</p>{html}"

    @property
    def action_units(self) -> tuple[int, ...]:
        """Numbers of the action units that have a presence column."""
        return tuple(
            number
            for number in facs.ACTION_UNITS
            if facs.code(number) in self.frame
        )

    @property
    def expressions(self) -> tuple[str, ...]:
        """The expressions that occur, in the order of CK+."""
        present = set(self.frame["expression"].dropna())
        return tuple(
            name
            for name in dict.fromkeys((*facs.EXPRESSIONS, *facs.SUPERSETS))
            if name in present
        )

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subjects that occur, sorted."""
        return tuple(sorted(self.frame["subject"].dropna().unique()))

    @property
    def people_known(self) -> bool:
        """Whether every data set says that pictures show the same person
        twice; else each counts as one of its own.
        """
        sets = self.frame["dataset"].fillna("")
        return bool(
            self.frame["subject"].duplicated().groupby(sets).any().all()
        )

    @property
    def paths(self) -> list[Path]:
        """Full path of each picture."""
        return [self.root / path for path in self.frame["path"]]

    def presence(self) -> pd.DataFrame:
        """Presence of each action unit.

        Returns:
            (n, a) nullable booleans.
        """
        return self.frame[[facs.code(number) for number in self.action_units]]

    def shares(self, expressions: Sequence[str]) -> NDArray[np.float32]:
        """Share of the raters that named each of some expressions, of all who
        named any of them.

        A picture's own expression has the share 1 where nobody named any.

        Args:
            expressions: Some.

        Returns:
            (n, expressions).

        Raises:
            InputError: Where the set keeps no votes.

        >>> frame = pd.DataFrame(
        ...     {
        ...         "path": ["a"],
        ...         "expression": ["fear"],
        ...         "votes_fear": [0.6],
        ...         "votes_anger": [0.2],
        ...     }
        ... )
        >>> FaceTable(frame, Path(".")).shares(["anger", "fear"]).round(2).tolist()
        [[0.25, 0.75]]
        """
        columns = [f"votes_{name}" for name in expressions]
        if not set(columns) & set(self.frame):
            raise InputError(
                f"the faces of {self.root} come with no votes, as those of FER+ do"
            )
        votes = (
            self.frame.reindex(columns=columns)
            .fillna(0.0)
            .to_numpy(np.float32)
        )
        by_name = self.frame["expression"].to_numpy(str)[:, None] == np.array(
            expressions
        )
        given = votes.sum(1, keepdims=True)
        shares: NDArray[np.float32] = np.where(
            given > 0, votes / np.maximum(given, 1e-9), by_name
        ).astype(np.float32)
        return shares

    def where(
        self, rows: Sequence[bool] | pd.Series | np.ndarray
    ) -> FaceTable:
        """Keep the rows that are marked.

        Args:
            rows: (n,) marks.

        Returns:
            A table of these.
        """
        return replace(
            self,
            frame=self.frame[np.asarray(rows, bool)].reset_index(drop=True),
        )

    def take(self, rows: Sequence[int]) -> FaceTable:
        """Keep the rows of some numbers.

        Args:
            rows: (k,) numbers.

        Returns:
            A table of these, in that order.
        """
        return replace(
            self, frame=self.frame.iloc[list(rows)].reset_index(drop=True)
        )

    def labelled(self) -> FaceTable:
        """Keep the pictures with an expression."""
        return self.where(self.frame["expression"].notna())

    def summary(self) -> str:
        """One sentence on what the table holds."""
        counts = self.frame["expression"].value_counts()
        shares = ", ".join(
            f"{name} {counts[name]}" for name in self.expressions
        )
        coded = (
            f"{len(self.action_units)} action units coded"
            if self.action_units
            else "no action units coded"
        )
        return (
            f"{len(self)} pictures of {len(self.subjects)} people ({shares or 'no expressions'}); "
            f"{coded}"
        )


def _regular(frame: pd.DataFrame) -> pd.DataFrame:
    """Give every column its type and its place, or refuse the frame."""
    if "path" not in frame:
        raise InputError("a face table needs the column 'path'")
    rows = {name: _typed(frame, name, kind) for name, kind in _ALWAYS.items()}
    rows |= {
        name: _typed(frame, name, "string") for name in _TEXTS if name in frame
    }
    rows |= {
        name: _typed(frame, name, "float64")
        for name in NUMBERS
        if name in frame
    }
    _only_known(
        rows["expression"], (*facs.EXPRESSIONS, *facs.SUPERSETS), "expression"
    )
    for name in rows:
        if name.startswith("split"):
            _only_known(rows[name], SPLITS, name)
        if name.startswith("votes_"):
            _within(rows[name], 1, "shares of votes")
    return pd.DataFrame(rows | _action_units(frame)).reset_index(drop=True)


def _action_units(frame: pd.DataFrame) -> dict[str, pd.Series]:
    """The columns of action units that a frame has: presence, by side,
    intensity, probability.
    """
    codes = [facs.code(number) for number in facs.ACTION_UNITS]
    sides = [f"{code}_{side}" for code in codes for side in ("left", "right")]
    rows = {
        name: _typed(frame, name, "boolean")
        for name in (*codes, *sides)
        if name in frame
    }
    for ending, (most, what) in _GRADED.items():
        for name in [
            code + ending for code in codes if code + ending in frame
        ]:
            rows[name] = _typed(frame, name, "float64")
            _within(rows[name], most, what)
    return rows


def _typed(frame: pd.DataFrame, name: str, dtype: str) -> pd.Series:
    """Give a column its type; it is all missing where the frame has none of
    that name.
    """
    if name not in frame:
        return pd.Series(pd.NA, index=frame.index, dtype=dtype)
    values = frame[name]
    try:
        return (pd.to_numeric(values) if dtype == "Int64" else values).astype(
            dtype
        )
    except (TypeError, ValueError):
        kinds = {
            "boolean": "True, False or NA",
            "Int64": "whole numbers",
            "float64": "numbers",
            "string": "text",
        }
        raise InputError(
            f"column {name}: holds other than {kinds[dtype]}"
        ) from None


def _within(values: pd.Series, most: float, what: str) -> None:
    if ((values < 0) | (values > most)).any():
        raise InputError(f"column {values.name}: {what} run from 0 to {most}")


def _only_known(values: pd.Series, known: Sequence[str], name: str) -> None:
    unknown = set(values.dropna()) - set(known)
    if unknown:
        raise InputError(
            f"{name} {sorted(unknown)[0]!r}: not one of {', '.join(known)}"
        )
