"""Checking a data set: what it holds beside what its makers say, and
everything in it that is not as it should be.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from duchenne.errors import InputError
from duchenne.faces import sources
from duchenne.faces.formats.adapter import Format, Remark
from duchenne.faces.geometry import landmarks
from duchenne.faces.images import decoding
from duchenne.faces.table import FaceTable
from duchenne.progress import progress

CLEAN = 0
REMARKS = 1
UNUSABLE = 2
"""Verdicts, which are also the exit codes of ``duchenne data check``."""

_MARGIN = 0.1  # of the side: how far outside of the picture a landmark may lie
# share of pictures from which a size, or grey, is what the set is meant to
# have
_MOST = 0.9


@dataclass(frozen=True)
class Checked:
    """What was found in a data set.

    ``counts`` has the columns ``what, found, published`` (NA where its makers
    give no figure); ``remarks`` a line for each oddity; ``table`` what can be
    used, None where nothing can.
    """

    counts: pd.DataFrame
    remarks: tuple[Remark, ...]
    table: FaceTable | None

    @property
    def verdict(self) -> int:
        """0 for a clean set, 1 for one that can be used, 2 for one that
        cannot.
        """
        if self.table is None or any(remark.fatal for remark in self.remarks):
            return UNUSABLE
        return REMARKS if self.remarks else CLEAN

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
        counts = self.counts.astype(object).where(self.counts.notna(), None)
        return {
            "verdict": self.verdict,
            "counts": counts.to_dict("records"),
            "remarks": [
                {"file": r.file, "says": r.says, "fatal": r.fatal}
                for r in self.remarks
            ],
        }


@dataclass(frozen=True)
class _Look:
    """What one glance at a picture tells: a digest of its pixels, (width,
    height), whether it is grey.
    """

    digest: str
    size: tuple[int, int]
    grey: bool


def check(spec: str) -> Checked:
    """Read a data set and every picture in it, and list what is odd.

    Raises ``InputError`` where the string names no data set.
    """
    format_, path = sources.named(spec)
    try:
        found = sources.read(format_, path)
    except InputError as error:
        return Checked(_beside({}, format_), (_whole_set(path, error),), None)
    table = found.table
    remarks = [*found.remarks, *_in_pictures(table, format_)]
    numbers = counts(table)
    remarks += [
        Remark(
            ".", f"{what}: {numbers.get(what, 0)} found, {published} published"
        )
        for what, published in format_.published.items()
        if numbers.get(what, 0) != published
    ]
    return Checked(_beside(numbers, format_), tuple(remarks), table)


def table_text(checked: Checked) -> str:
    """Lay out the counts for a terminal: what, found, published."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table("", "found", "published", box=None, pad_edge=False)
    for what, found, published in checked.counts.itertuples(index=False):
        drawn.add_row(
            what, f"{found:,}", "" if pd.isna(published) else f"{published:,}"
        )
    console = Console(width=80)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().rstrip()


def counts(table: FaceTable) -> dict[str, int]:
    """Count pictures, people, sequences, expressions, sides of the set's own
    split, and action units.

    An expression is counted by sequence where the set has sequences, by
    picture otherwise.
    """
    rows = table.frame
    labelled = rows[rows["expression"].notna()]
    numbers = {
        "pictures": len(rows),
        "subjects": len(table.subjects),
        "action units": len(table.action_units),
        "labelled": len(labelled),
        "unlabelled": len(rows) - len(labelled),
    }
    shown = labelled
    if rows["sequence"].notna().any():
        numbers["sequences"] = int(rows["sequence"].nunique())
        numbers["labelled sequences"] = int(labelled["sequence"].nunique())
        numbers["labelled subjects"] = int(labelled["subject"].nunique())
        shown = labelled.drop_duplicates(["sequence", "expression"])
    numbers |= {
        name: int((shown["expression"] == name).sum())
        for name in table.expressions
    }
    return numbers | _sides(rows) | _present(table)


def _sides(rows: pd.DataFrame) -> dict[str, int]:
    """How many pictures lie on each side of the set's own split."""
    if "split" not in rows:
        return {}
    return {
        str(name): int(count)
        for name, count in rows["split"].value_counts().items()
    }


def _present(table: FaceTable) -> dict[str, int]:
    """How many pictures show each action unit that any shows."""
    present = {name: int(table.frame[name].sum()) for name in table.presence()}
    return {name: count for name, count in present.items() if count}


def _beside(counts: dict[str, int], format_: Format) -> pd.DataFrame:
    names = list(dict.fromkeys([*counts, *format_.published]))
    frame = pd.DataFrame({"what": names})
    frame["found"] = pd.array([counts.get(name, 0) for name in names], "Int64")
    frame["published"] = pd.array(
        [format_.published.get(name) for name in names], "Int64"
    )
    return frame


def _whole_set(path: Path, error: InputError) -> Remark:
    """Tell a message that names the file from one that names the set."""
    text = str(error)
    place, colon, says = text.partition(": ")
    inside = colon and Path(place).is_relative_to(path)
    return Remark(
        Path(place).relative_to(path).as_posix() if inside else str(path),
        says if inside else text,
        fatal=True,
    )


def _in_pictures(table: FaceTable, format_: Format) -> list[Remark]:
    looks: dict[int, _Look] = {}
    found: list[Remark] = []
    names = table.frame["path"].tolist()
    with (
        progress("Checking pictures", len(names)) as advance,
        ThreadPoolExecutor() as threads,
    ):
        for row, seen in enumerate(threads.map(_look, table.paths)):
            advance(1)
            if isinstance(seen, str):
                found.append(Remark(names[row], seen))
            else:
                looks[row] = seen
    if not looks:
        return [replace(remark, fatal=True) for remark in found]
    found += _unlike(names, looks, format_)
    found += _twice(table, names, looks)
    found += _outside(table, names, looks)
    return found


def _look(path: Path) -> _Look | str:
    try:
        pixels = decoding.decoded(path)
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    grey = (
        pixels.ndim == 2
        or pixels.shape[-1] < 3
        or bool((pixels[..., :3] == pixels[..., :1]).all())
    )
    plain = pixels[..., 0] if grey and pixels.ndim == 3 else pixels
    digest = hashlib.blake2b(
        np.ascontiguousarray(plain).tobytes(), digest_size=16
    ).hexdigest()
    return _Look(
        f"{plain.shape} {digest}", (pixels.shape[1], pixels.shape[0]), grey
    )


def _unlike(
    names: Sequence[str], looks: dict[int, _Look], format_: Format
) -> Iterator[Remark]:
    """Pictures of another size, or in colour, where nearly all others are
    alike.
    """
    yield from _of_another_size(names, looks, set(format_.sizes))
    grey = sum(look.grey for look in looks.values())
    if grey < _MOST * len(looks) or format_.mixed:
        return
    for row, look in looks.items():
        if not look.grey:
            yield Remark(names[row], "in colour, where others are grey")


def _of_another_size(
    names: Sequence[str], looks: dict[int, _Look], usual: set[tuple[int, int]]
) -> Iterator[Remark]:
    """Pictures of another size than most, but for sizes that the data set is
    known to have.
    """
    (size, most), *_ = Counter(
        look.size for look in looks.values()
    ).most_common(1)
    if most < _MOST * len(looks):
        return
    others = f"where others have {size[0]}×{size[1]}"
    for row, look in looks.items():
        if look.size != size and not {look.size, size} <= usual:
            yield Remark(
                names[row], f"{look.size[0]}×{look.size[1]} pixels, {others}"
            )


def _twice(
    table: FaceTable, names: Sequence[str], looks: dict[int, _Look]
) -> Iterator[Remark]:
    """Pictures with the same pixels, and those of them that stand on two sides
    of the set's own split.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for row, look in looks.items():
        alike[look.digest].append(row)
    splits = [name for name in table.frame if name.startswith("split")]
    for first, *others in alike.values():
        for other in others:
            sides = [
                set(table.frame.loc[[first, other], name].dropna())
                for name in splits
            ]
            apart = next((sorted(side) for side in sides if len(side) > 1), [])
            where = (
                f", on two sides of the split: {' and '.join(apart)}"
                if apart
                else ""
            )
            yield Remark(
                names[other], f"the same picture as {names[first]}{where}"
            )


def _outside(
    table: FaceTable, names: Sequence[str], looks: dict[int, _Look]
) -> Iterator[Remark]:
    """Landmarks that cannot be read, or lie further outside of their picture
    than a face cut closely puts its chin.
    """
    if "landmarks" not in table.frame:
        return
    for row, where in table.frame["landmarks"].dropna().items():
        if row not in looks:
            continue
        try:
            points = landmarks.read(where, table.root)
        except InputError as error:
            yield Remark(
                names[row] if ";" in where else where,
                str(error).rpartition(": ")[2],
            )
            continue
        size = np.array(looks[row].size)
        far = (points < -_MARGIN * size) | (points > (1 + _MARGIN) * size)
        outside = int(far.any(1).sum())
        if outside:
            yield Remark(
                names[row],
                f"{outside} of {len(points)} landmarks lie outside of the picture",
            )
