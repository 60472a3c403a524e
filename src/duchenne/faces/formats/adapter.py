"""What a data set holds: its table, and a remark for everything in it that is
not as it should be.

An *adapter* is a function ``(root) -> Contents``. It raises ``InputError`` only
where nothing can be read; a single bad label or file becomes a remark, its
value is not used, and the rest is read.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from duchenne import facs
from duchenne.errors import InputError, printable
from duchenne.faces.table import FaceTable

SUFFIXES = frozenset(
    [
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".j2k",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
"""Endings of files that are taken for pictures, lower case."""

_LEFT_BY_SYSTEMS = frozenset(["thumbs.db", "desktop.ini", "__macosx"])
# bytes: a label file that is larger is something else
_LARGEST_LABEL = 1_000_000
_DEPTH = 3


@dataclass(frozen=True)
class Remark:
    """Something odd in one file; ``fatal`` where the set cannot be used before
    it is mended.
    """

    file: str
    says: str
    fatal: bool = False

    def __str__(self) -> str:
        return printable(f"{self.file}: {self.says}")


@dataclass(frozen=True)
class Contents:
    """The table of a data set, and what was odd in it."""

    table: FaceTable
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Format:
    """A data set on disk: how it is read, and what its makers say of it.

    ``name`` is what stands before the colon, as in ``ckplus:/data/CK+``;
    ``published`` holds counts by the names of ``checking.counts``; ``sizes``
    the (width, height) that its pictures are known to have; ``mixed`` says
    that grey and colour pictures stand side by side in the original.
    """

    name: str
    title: str
    layout: str
    licence: str
    apply: str
    read: Callable[[Path], Contents]
    published: Mapping[str, int] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = ()
    mixed: bool = False


def folder_named(root: Path, *names: str) -> Path | None:
    """Find a folder at or below another, at most three deep, and step into
    what only wraps it.

    An archive that was unpacked into a folder of its own name leaves the same
    name twice.

    Args:
        root: Where it is looked for.
        names: That it may have.

    Returns:
        The folder; nothing where there is none.
    """
    wanted = {name.lower() for name in names}
    level = [root]
    for _ in range(_DEPTH + 1):
        for folder in level:
            if folder.name.lower() in wanted:
                return _unwrapped(folder, wanted)
        level = [below for folder in level for below in folders(folder)]
    return None


def _unwrapped(folder: Path, names: set[str]) -> Path:
    while True:
        inside = folders(folder)
        if len(inside) != 1 or inside[0].name.lower() not in names:
            return folder
        folder = inside[0]


def folders(folder: Path) -> list[Path]:
    """List the sub-folders that are not hidden.

    Args:
        folder: Where they lie.

    Returns:
        Sorted by name.
    """
    with os.scandir(folder) as entries:
        return sorted(
            Path(entry.path)
            for entry in entries
            if entry.is_dir() and not hidden(entry.name)
        )


def files(folder: Path) -> list[str]:
    """List the names of the files that are not hidden.

    Args:
        folder: Where they lie.

    Returns:
        Sorted.
    """
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_file() and not hidden(entry.name)
        )


def tree(
    root: Path, remarks: list[Remark] | None = None, top: Path | None = None
) -> Iterator[str]:
    """Walk all files below a folder that are not hidden.

    Folders that are links are not entered, and some may not be read.

    Args:
        root: The folder.
        remarks: Are told of these.
        top: The folder that remarks' paths are relative to.

    Yields:
        Paths relative to the folder, sorted, with slashes.
    """
    unread_files = [] if remarks is None else remarks
    above = root if top is None else top

    def unread(error: OSError) -> None:
        path = Path(error.filename).relative_to(above).as_posix()
        unread_files.append(Remark(path, f"cannot be read: {error.strerror}"))

    for folder, below, names in os.walk(root, onerror=unread):
        below[:] = sorted(name for name in below if not hidden(name))
        linked = [
            Path(folder, name)
            for name in below
            if Path(folder, name).is_symlink()
        ]
        unread_files += [
            Remark(
                path.relative_to(above).as_posix(),
                "a linked folder, which is not entered",
            )
            for path in linked
        ]
        for name in sorted(names):
            if not hidden(name):
                yield Path(folder, name).relative_to(root).as_posix()


def hidden(name: str) -> bool:
    """Say whether a file is one that operating systems leave behind.

    >>> hidden(".DS_Store"), hidden("Thumbs.db"), hidden("KA.AN1.39.tiff")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def is_picture(name: str) -> bool:
    """Say whether a file's name ends as a picture's does."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def text_of(path: Path) -> str:
    """Read a small label file.

    Args:
        path: The file.

    Returns:
        Its text.

    Raises:
        ValueError: With a reason, where it holds no text or cannot be read.
    """
    try:
        if path.stat().st_size > _LARGEST_LABEL:
            raise ValueError("too large for a label")
        text = path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise ValueError(error.strerror or "cannot be read") from None
    if "\ufffd" in text or "\0" in text:
        raise ValueError("holds bytes that are not text")
    if not text.strip():
        raise ValueError("the file is empty")
    return text


_Counts = Counter[tuple[str, str]]
_Listed = defaultdict[str, list[tuple[int, str]]]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def frames_by_sequence(
    found: Iterable[tuple[str, int, str]], remarks: list[Remark]
) -> dict[str, dict[int, str]]:
    """Sort pictures, each as (sequence, frame, path), by sequence and frame;
    the first folder of a sequence counts.

    What lies in a second one, as another camera's pictures do, is left out
    with a remark for that folder; what is named otherwise than most of its
    sequence, as a second face cut out of a frame is, or has the number of a
    frame that is there already, with a remark for the picture.
    """
    home: dict[str, str] = {}
    elsewhere: _Counts = Counter()
    listed: _Listed = defaultdict(list)
    for sequence, frame, path in found:
        folder = _folder(path)
        if home.setdefault(sequence, folder) == folder:
            listed[sequence].append((frame, path))
        else:
            elsewhere[sequence, folder] += 1
    frames = {
        name: _numbered(pictures, remarks) for name, pictures in listed.items()
    }
    for (name, folder), count in elsewhere.items():
        taken = f"whose frames in {home[name]} are taken"
        remarks.append(
            Remark(folder, f"{count} more frames of {name}, {taken}")
        )
    return frames


def _numbered(
    pictures: list[tuple[int, str]], remarks: list[Remark]
) -> dict[int, str]:
    """One picture a frame, of those that are named as most are."""
    kinds = [_LAST_NUMBER.sub("#", Path(path).stem) for _, path in pictures]
    usual, times = Counter(kinds).most_common(1)[0]
    # else every name has several running numbers
    by_name = 2 * times > len(kinds)
    frames: dict[int, str] = {}
    for (frame, path), kind in zip(pictures, kinds, strict=True):
        if by_name and kind != usual:
            remarks.append(
                Remark(
                    path,
                    f"is not named as the other frames are ({usual}); it is left out",
                )
            )
        elif frame in frames:
            remarks.append(
                Remark(
                    path,
                    f"a second picture of frame {frame}, beside {frames[frame]}; it is left out",
                )
            )
        else:
            frames[frame] = path
    return frames


_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")


def text_table(path: Path) -> pd.DataFrame:
    """Read a csv or parquet file with every value as text, empty where there
    is none.

    A csv may be separated by commas, semicolons (numbers then with a decimal
    comma, as spreadsheets write them in half of Europe) or tabs, be in UTF-8,
    UTF-16 or Windows' Latin alphabet, and begin with the unnamed index that
    pandas writes.

    Args:
        path: The file.

    Returns:
        Every value as text.

    Raises:
        InputError: Where it cannot be read as a table.
    """
    try:
        if path.suffix.lower() == ".parquet":
            rows = pd.read_parquet(path).astype(object)
            rows = rows.map(str).where(rows.notna(), "")
        else:
            rows = _csv(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it") from None
    except Exception as error:
        # PyArrow fails in many ways on what is not a table
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise InputError(
            f"{path}: cannot be read as a table: {reason}"
        ) from None
    if not isinstance(rows.index, pd.RangeIndex):
        raise InputError(
            f"{path}: its rows have more fields than its first line names"
        )
    return rows


def _csv(path: Path) -> pd.DataFrame:
    start = path.read_bytes()[:_FIRST_LINE]
    encoding = _encoding(path, start)
    first = start.decode(encoding, errors="replace").partition("\n")[0]
    separator = max((",", ";", "\t"), key=first.count)
    rows = pd.read_csv(
        path,
        sep=separator,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        encoding=encoding,
    )
    if separator == ";":
        rows = rows.apply(
            lambda column: column.str.replace(
                r"^(-?\d+),(\d+)$", r"\1.\2", regex=True
            )
        )
    index = [
        name
        for name in rows.columns[:1]
        if str(name).startswith("Unnamed: 0") or name == ""
    ]
    return rows.drop(columns=index)


def _encoding(path: Path, start: bytes) -> str:
    """UTF-8 unless the file's first bytes say otherwise, or its bytes are
    none.
    """
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


_FIRST_LINE = 1 << 16  # bytes


def whole(text: str) -> int:
    """Read a whole number, also where it is written as a float.

    >>> whole("   3.0000000e+00")
    3
    """
    value = float(text)
    if not value.is_integer() or abs(value) > 1e9:
        raise ValueError(f"{text.strip()!r} is not a whole number")
    return int(value)


def leaves(path: str) -> bool:
    """Say whether a path from a label file leads out of the data set's folder.

    >>> leaves("train/0001.jpg"), leaves("../0001.jpg"), leaves("/etc/passwd")
    (False, True, True)
    """
    pure = PurePosixPath(path.replace("\\", "/"))
    return (
        "\0" in path
        or not pure.parts
        or pure.is_absolute()
        or ".." in pure.parts
        or ":" in pure.parts[0]
    )


def existing_root(root: Path) -> Path:
    """Refuse what is not a folder.

    Args:
        root: What was given.

    Returns:
        The same.

    Raises:
        InputError: Where it is no folder.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder")
    if not root.is_dir():
        raise InputError(f"{root}: not a folder")
    return root


def contents(
    rows: Sequence[Mapping[str, object]],
    root: Path,
    remarks: Iterable[Remark],
    nothing: str,
) -> Contents:
    """Build the contents from rows.

    Args:
        rows: One a picture.
        root: The folder that their paths are relative to.
        remarks: On whatever is not as it should be.
        nothing: What is said where there are no rows.

    Returns:
        The table and the remarks.

    Raises:
        InputError: Where there are no rows.
    """
    remarks = list(remarks)
    rows = named_in_utf8(rows, remarks)
    kept = tuple(remarks)
    if not rows:
        # a remark is one line, whatever a file is called
        first = f" ({kept[0]})" if kept else ""
        raise InputError(f"{root}: {nothing}{first}")
    return Contents(FaceTable(pd.DataFrame(list(rows)), root), kept)


def named_in_utf8(
    rows: Sequence[Mapping[str, object]], remarks: list[Remark]
) -> list[Mapping[str, object]]:
    """Leave out rows of pictures whose names are not UTF-8, which no result
    could tell, with a remark for each.
    """
    kept = []
    for row in rows:
        name = str(row["path"])
        try:
            name.encode()
        except UnicodeEncodeError:
            remarks.append(
                Remark(name, "its name is not UTF-8; it is left out")
            )
        else:
            kept.append(row)
    return kept


def usable(found: Contents) -> FaceTable:
    """Take the table; raises ``InputError`` on its first fatal remark."""
    for remark in found.remarks:
        if remark.fatal:
            raise InputError(
                f"{found.table.root / remark.file}: {remark.says}"
            )
    return found.table


_ACTION_UNIT = re.compile(
    r"au_?0*(\d{1,2})(?:([lr])|_(left|right))?(?:_(r|c|intensity|probability))?",
    re.IGNORECASE,
)
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}


@dataclass(frozen=True)
class Column:
    """What a column of somebody's table says of an action unit: its number,
    ``kind`` of value, and side if one-sided.
    """

    number: int
    kind: str
    side: str = ""

    @property
    def name(self) -> str:
        """The column as a face table spells it.

        >>> Column(12, "presence", "left").name, Column(1, "intensity").name
        ('AU12_left', 'AU01_intensity')
        """
        side = f"_{self.side}" if self.side else ""
        kind = "" if self.kind == "presence" else f"_{self.kind}"
        return facs.code(self.number) + side + kind


def action_unit(name: str) -> Column | None:
    """Understand the name of an action unit's column in any of its usual
    spellings.

    ``AU12_r`` and ``au_12_intensity`` grade it, ``AU12_c`` and plain ``AU12``
    say whether it is there; ``AU12L`` and ``AU12_left`` are its left side.

    >>> action_unit(" AU01_r"), action_unit("au_12"), action_unit("confidence")
    (Column(number=1, kind='intensity', side=''), Column(number=12, kind='presence', side=''), None)
    """
    match = _ACTION_UNIT.fullmatch(name.strip())
    if not match or int(match[1]) not in facs.ACTION_UNITS:
        return None
    kinds = {
        "r": "intensity",
        "c": "presence",
        "intensity": "intensity",
        "probability": "probability",
    }
    side = _SIDES.get((match[2] or match[3] or "").lower(), "")
    return Column(int(match[1]), kinds[(match[4] or "c").lower()], side)


def with_sides_joined(values: pd.DataFrame) -> pd.DataFrame:
    """Say that an action unit is present where a side of it is, absent where
    both are; graded as the stronger side is.

    Sides stand in columns ``AU12_left``, ``AU12_right`` and, graded,
    ``AU12_left_intensity``, which are not kept: a grade says of a side whether
    it is present. What stands in ``AU12`` or ``AU12_intensity`` itself is not
    overwritten.

    Args:
        values: Columns of action units and of sides.

    Returns:
        Columns of action units.
    """
    joined = values.copy()
    for code in map(facs.code, facs.ACTION_UNITS):
        sides = [f"{code}_{side}" for side in ("left", "right")]
        for side in sides:
            graded = (
                joined.pop(f"{side}_intensity")
                if f"{side}_intensity" in joined
                else None
            )
            if graded is not None:
                joined = _filled(
                    joined, f"{code}_intensity", graded, stronger=True
                )
                joined = _filled(
                    joined,
                    side,
                    (graded > 0).astype("boolean").mask(graded.isna()),
                )
        known = [joined[side] for side in sides if side in joined]
        if known:
            unknown = pd.Series(pd.NA, joined.index, dtype="boolean")
            joined = _filled(
                joined,
                code,
                known[0] | (known[1] if len(known) > 1 else unknown),
            )
    return joined


def _filled(
    values: pd.DataFrame, name: str, more: pd.Series, stronger: bool = False
) -> pd.DataFrame:
    """A column with what is not known yet filled in; with the larger of both
    where the ``stronger`` one counts.
    """
    if name not in values:
        return values.assign(**{name: more})
    whole_face = values[name]
    return values.assign(
        **{
            name: whole_face.combine(more, np.fmax)
            if stronger
            else whole_face.fillna(more)
        }
    )
