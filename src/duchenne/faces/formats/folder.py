"""``folder:PATH``: pictures in one sub-folder an expression, or listed in a
manifest.

A manifest (``manifest.csv`` or ``manifest.parquet`` in the folder, or such a
file itself) has the columns ``path,expression`` and, where they are known,
``subject,sequence,frame,dataset``, action units (``AU01``: 1 or 0, empty where
it was not coded; ``AU12L`` and ``AU12R`` of one side; ``AU01_intensity``: 0 to
5; ``AU01_probability``), ``split``, the face's box ``left,top,right,bottom``,
``landmarks`` and the others of ``FaceTable``. Without one, sub-folders name
the expressions and every picture counts as a subject of its own.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.formats.adapter import (
    Contents,
    Format,
    Remark,
    action_unit,
    existing_root,
    files,
    folders,
    is_picture,
    leaves,
    named_in_utf8,
    text_table,
    tree,
    usable,
    with_sides_joined,
)
from duchenne.faces.geometry import landmarks
from duchenne.faces.table import COLUMNS, NUMBERS, FaceTable

MANIFEST = "manifest.csv"
_MANIFESTS = (MANIFEST, "manifest.parquet")
_POINTS = "landmarks.parquet"
_TRUTHS = {
    "0": False,
    "0.0": False,
    "false": False,
    "1": True,
    "1.0": True,
    "true": True,
}
_PRESENCE = r"0|1|0\.0|1\.0|(?i:true|false|na|nan|<na>)|"
_LARGEST = 1e15  # of any number in a manifest


def read(root: Path) -> Contents:
    """Read the table of a folder; the pictures themselves are not opened.

    What cannot be meant is a fatal remark; ``load`` refuses the folder then.

    Args:
        root: A folder, or a manifest.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where it holds no pictures, or a manifest that is not a
            table.
    """
    manifest = _manifest(root)
    if manifest is None:
        return _read_tree(existing_root(root))
    rows = _read_manifest(manifest)
    fault = next(_column_faults(rows), None)
    if fault:
        raise InputError(f"{manifest}: {fault}")
    if rows.empty:
        raise InputError(f"{manifest}: lists no pictures")
    remarks = []
    lost = []
    for row, column, says in list(_row_faults(rows, manifest.parent)):
        remarks.append(
            Remark(manifest.name, f"line {row + 2}: {says}", fatal=True)
        )
        rows.loc[row, column] = ""
        if column == "path":
            lost.append(row)
    frame = _meant(rows.drop(index=lost), manifest.parent)
    return Contents(FaceTable(frame, manifest.parent), tuple(remarks))


def load(root: Path) -> FaceTable:
    """Read a folder's table.

    Args:
        root: A folder, or a manifest.

    Returns:
        The table.

    Raises:
        InputError: On its first fault.
    """
    return usable(read(root))


def _manifest(root: Path) -> Path | None:
    if root.suffix.lower() in (".csv", ".parquet") and root.is_file():
        return root
    return next(
        (root / name for name in _MANIFESTS if (root / name).is_file()), None
    )


def _read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest as text, with the table's spelling of its columns."""
    rows = text_table(path)
    rows.columns = [_column(str(name)) for name in rows.columns]
    if not len(rows):
        return rows
    rows = rows.apply(lambda column: column.str.strip())
    if "path" in rows:
        inside = path.parent.resolve()
        rows["path"] = [_below(each, inside) for each in rows["path"]]
    return rows


def _column(name: str) -> str:
    """Spell a manifest's column as the table does.

    >>> (
    ...     _column("au_1"),
    ...     _column("AU4_intensity"),
    ...     _column("AU12L"),
    ...     _column("Subject"),
    ... )
    ('AU01', 'AU04_intensity', 'AU12_left', 'subject')
    """
    found = action_unit(name)
    if found is None:
        return (
            name.strip().lower()
            if name.strip().lower() in COLUMNS
            else name.strip()
        )
    return found.name


def _misspelt(name: str, written: Collection[str]) -> str:
    """Say which of the names that are written may mean a missing one, if any.

    >>> _misspelt("expression", ["mood", "expresion"])
    "; the nearest is 'expresion'"
    >>> _misspelt("expression", ["mood"])
    ''
    """
    near = difflib.get_close_matches(name, written, n=1, cutoff=0.75)
    return f"; the nearest is {near[0]!r}" if near else ""


def _column_faults(rows: pd.DataFrame) -> Iterator[str]:
    hint = (
        "; columns are separated by commas"
        if any(";" in name for name in rows)
        else ""
    )
    unknown = [name for name in rows if name not in COLUMNS]
    yield from (
        f"column {name!r} is missing{hint or _misspelt(name, unknown)}"
        for name in ("path", "expression")
        if name not in rows
    )
    yield from (
        f"column {name!r} is not known{_misspelt(name, COLUMNS)}"
        for name in rows
        if name not in COLUMNS and not action_unit(name)
    )
    yield from (
        f"column {name!r} stands there twice"
        for name in rows.columns[rows.columns.duplicated()]
    )


def _row_faults(
    rows: pd.DataFrame, root: Path
) -> Iterator[tuple[int, str, str]]:
    """Every value that cannot be meant: its row, its column, and what is
    wrong.
    """
    yield from _path_faults(rows["path"], root)
    yield from _expression_faults(rows["expression"])
    if "landmarks" in rows:
        yield from _landmark_faults(rows["landmarks"])
    for name in rows:
        meaning, odd = _odd(name, rows[name])
        for row in rows.index[odd]:
            yield row, name, f"{name} {rows.loc[row, name]!r} is not {meaning}"
    yield from _contradictions(rows)


def _expression_faults(
    expressions: pd.Series,
) -> Iterator[tuple[int, str, str]]:
    known = {*facs.SPELLINGS, *facs.SUPERSETS, ""}
    names = ", ".join(facs.EXPRESSIONS)
    for row, expression in expressions.items():
        if expression.lower() not in known:
            yield (
                row,
                "expression",
                f"expression {expression!r} is not one of {names}",
            )


def _landmark_faults(wheres: pd.Series) -> Iterator[tuple[int, str, str]]:
    for row, where in wheres.items():
        if where and ";" not in where and leaves(landmarks.file(where)):
            yield row, "landmarks", f"landmarks {where!r} leave the folder"


def _path_faults(
    paths: pd.Series, root: Path
) -> Iterator[tuple[int, str, str]]:
    """Pictures that are not there, lie outside or are listed twice."""
    inside = root.resolve()
    for row, path in paths.items():
        fault = _path_fault(root, inside, path)
        if fault:
            yield row, "path", fault
    for row, path in paths[paths.duplicated()].items():
        yield row, "path", f"path {path!r} stands there more than once"


def _odd(name: str, values: pd.Series) -> tuple[str, pd.Series]:
    """What a column's values must be, and which are not."""
    bounds = _bounds(name)
    if bounds:
        meaning, low, high, whole = bounds
        numbers = pd.to_numeric(values, errors="coerce")
        coded = values.ne("") & values.str.lower().ne("nan")
        return meaning, coded & ~(
            numbers.between(low, high) & (numbers.mod(1).eq(0) | (not whole))
        )
    if name.startswith("split"):
        return "train, validation or test", ~values.isin(
            ["train", "validation", "test", ""]
        )
    if name.startswith("AU"):
        return "0, 1 or empty", ~values.str.fullmatch(_PRESENCE)
    return "", pd.Series(False, values.index)


def _bounds(name: str) -> tuple[str, float, float, bool] | None:
    """What a column of numbers may hold: in words, from, to, and whether whole
    numbers only.
    """
    if name == "frame":
        return "a whole number below 1,000,000,000", 0, 999_999_999, True
    if name.endswith("_intensity"):
        return "0 to 5", 0, 5, False
    if name.endswith("_probability") or name.startswith("votes_"):
        return "0 to 1", 0, 1, False
    return (
        ("a number", -_LARGEST, _LARGEST, False) if name in NUMBERS else None
    )


def _contradictions(rows: pd.DataFrame) -> Iterator[tuple[int, str, str]]:
    """Presence and intensity that cannot both be true."""
    for code in map(facs.code, facs.ACTION_UNITS):
        if code not in rows:
            continue
        presence = _truths(rows[code])
        absent = presence.eq(False)
        intensity = f"{code}_intensity"
        if intensity in rows:
            graded = pd.to_numeric(rows[intensity], errors="coerce")
            yield from _all_of(
                absent & (graded > 0),
                intensity,
                f"{code} is absent and has an intensity",
            )
            present = presence.eq(True)
            yield from _all_of(
                present & (graded == 0),
                intensity,
                f"{code} is present at intensity 0",
            )
        for side in (f"{code}_left", f"{code}_right"):
            if side in rows:
                shown = absent & _truths(rows[side]).eq(True)
                yield from _all_of(
                    shown, side, f"{code} is absent and {side} is present"
                )


def _all_of(
    wrong: pd.Series, column: str, says: str
) -> Iterator[tuple[int, str, str]]:
    """The same fault in all rows that have it."""
    for row in wrong.index[wrong]:
        yield row, column, says


def _truths(texts: pd.Series) -> pd.Series:
    return texts.str.lower().map(_TRUTHS)


def _is_whole(path: str) -> bool:
    """Whether a path begins at the top of a disk, here or on Windows."""
    return PurePosixPath(path).is_absolute() or bool(
        PureWindowsPath(path).drive
    )


def _below(path: str, inside: Path) -> str:
    """A path as it is below a folder: with slashes, and without the folder
    where it names that.
    """
    if "\\" in path and not (inside / path).exists():
        path = path.replace("\\", "/")
    whole = PurePosixPath(path)
    return (
        whole.relative_to(inside.as_posix()).as_posix()
        if whole.is_relative_to(inside.as_posix())
        else path
    )


def _path_fault(root: Path, inside: Path, path: str) -> str:
    if not path:
        return "path is empty"
    if _is_whole(path):
        return (
            f"path {path!r} is a full path: write it as it is below the manifest's folder, as in "
            "happy/1.png"
        )
    if leaves(path):
        return f"path {path!r} leaves the folder"
    try:
        if not (root / path).is_file():
            return f"{path}: no such picture"
    except OSError:  # a name longer than the file system takes
        return f"{path[:80]}: no such picture"
    return (
        ""
        if (root / path).resolve().is_relative_to(inside)
        else f"path {path!r} is a link that leaves the folder"
    )


def _meant(rows: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Turn a manifest's text into the table's values."""
    rows = rows.copy()
    expressions = facs.SPELLINGS | {name: name for name in facs.SUPERSETS}
    rows["expression"] = rows["expression"].str.lower().map(expressions)
    if "dataset" not in rows:
        rows["dataset"] = root.resolve().name
    _name_people(rows)
    for name in rows:
        rows[name] = _typed(name, rows[name])
    rows = with_sides_joined(rows)
    _fill_presence(rows)
    if "landmarks" not in rows and (root / _POINTS).is_file():
        rows["landmarks"] = [f"{_POINTS}#{path}" for path in rows["path"]]
    return rows


def _name_people(rows: pd.DataFrame) -> None:
    """Name every picture's person: frames of one film show one, a still shows
    its own.
    """
    for name in ("subject", "sequence"):
        if name not in rows:
            rows[name] = pd.NA
        rows[name] = rows[name].replace("", pd.NA)
    known = rows["subject"].fillna(rows["sequence"])
    rows["subject"] = known.fillna(rows["path"])


def _fill_presence(rows: pd.DataFrame) -> None:
    """Take presence from intensity where only that was coded."""
    for code in map(facs.code, facs.ACTION_UNITS):
        if f"{code}_intensity" not in rows:
            continue
        graded = _graded(rows[f"{code}_intensity"])
        rows[code] = rows[code].fillna(graded) if code in rows else graded


def _typed(name: str, texts: pd.Series) -> pd.Series:
    """A column of the manifest as what its name says that it holds."""
    if (
        name == "frame"
        or name in NUMBERS
        or name.endswith(("_intensity", "_probability"))
    ):
        return pd.to_numeric(texts, errors="coerce")
    if name.startswith("AU"):
        return texts.str.lower().map(_TRUTHS).astype("boolean")
    if name.startswith("split") or name in ("landmarks", "view"):
        return texts.replace("", pd.NA)
    return texts


def _graded(grade: pd.Series) -> pd.Series:
    """Whether a graded action unit is there: not where its grade is 0."""
    return (grade > 0).astype("boolean").mask(grade.isna())


def _read_tree(root: Path) -> Contents:
    rows: list[Mapping[str, object]] = []
    remarks = _beside_folders(root)
    for folder in folders(root):
        expression = facs.SPELLINGS.get(folder.name.strip().lower())
        if expression is None:
            says = f"expression {folder.name!r} is not one of {', '.join(facs.EXPRESSIONS)}"
            remarks.append(Remark(folder.name, says, fatal=True))
            continue
        for path in _pictures(folder, root, remarks):
            rows.append(
                {"path": path, "subject": path, "expression": expression}
            )
    rows = named_in_utf8(rows, remarks)
    if not rows:
        raise _no_pictures(root, remarks)
    table = pd.DataFrame(rows).assign(dataset=root.resolve().name)
    return Contents(FaceTable(table, root), tuple(remarks))


def _pictures(folder: Path, root: Path, remarks: list[Remark]) -> list[str]:
    """The pictures below a folder; a remark on all other files."""
    paths = [f"{folder.name}/{path}" for path in tree(folder, remarks, root)]
    remarks += [Remark(path, _STRAY) for path in paths if not is_picture(path)]
    return [path for path in paths if is_picture(path)]


def _no_pictures(root: Path, remarks: list[Remark]) -> InputError:
    """What is wrong with a folder of which no picture can be used."""
    for remark in remarks:
        if remark.fatal:
            return InputError(f"{root / remark.file}: {remark.says}")
    return InputError(_nothing(root))


_STRAY = (
    "a stray file: its name does not end as that of a picture which is read"
)


def _beside_folders(root: Path) -> list[Remark]:
    """What lies beside the expressions' folders and belongs to none."""
    return [
        Remark(name, "a picture outside of the expressions' folders")
        for name in files(root)
        if is_picture(name)
    ]


def _nothing(root: Path) -> str:
    if folders(root):
        return f"{root}: holds no pictures"
    return f"{root}: holds neither {MANIFEST} nor a sub-folder for each expression"


FORMAT = Format(
    name="folder",
    title="A folder of your own",
    layout=f"one sub-folder an expression, or a {MANIFEST}",
    licence="your own",
    apply="",
    read=read,
)
