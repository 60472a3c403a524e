"""``folder:PATH``: pictures in one sub-folder an expression, or listed in a ``manifest.csv``.

The manifest has the columns ``path,subject,expression[,dataset,sequence,frame][,AU01,…][,AU01_intensity,…]``; presence
is 1 or 0, empty where it was not coded. Without one, sub-folders name the expressions and every picture counts as a
subject of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.table import KEYS, FaceTable

MANIFEST = "manifest.csv"
SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".jp2", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp", ".gif"])

SPELLINGS = {
    "angry": "anger", "happy": "happiness", "joy": "happiness", "sad": "sadness", "surprised": "surprise",
    "fearful": "fear", "disgusted": "disgust", "calm": "neutral",
} | {name: name for name in facs.EXPRESSIONS}  # fmt: skip
"""Names of expressions that are understood, lower case."""

_ACTION_UNIT = re.compile(r"au_?0*(\d{1,2})(_intensity)?", re.IGNORECASE)


def load(root: Path) -> FaceTable:
    """Read the table of a folder; the pictures themselves are not opened.

    Raises ``InputError`` on the first fault; ``faults`` lists them all.
    """
    for fault in faults(root):
        raise InputError(fault)
    rows = _read_manifest(root) if (root / MANIFEST).exists() else _walk(root)
    return FaceTable(_meant(rows, root), root)


def pictures(root: Path) -> list[Path]:
    """Every picture that a folder lists or holds and that exists, whatever its labels."""
    if not (root / MANIFEST).exists():
        return list(_pictures(root)) if root.is_dir() else []
    try:
        listed = _read_manifest(root).get("path", pd.Series(dtype=str))
    except (OSError, ValueError):
        return []
    return [root / path for path in dict.fromkeys(listed) if not list(_path_faults(root, path, ""))]


def faults(root: Path) -> Iterator[str]:
    """Yield a line for everything in a folder's labels that cannot be used."""
    if not root.exists():
        yield f"{root}: no such folder"
    elif not root.is_dir():
        yield f"{root}: not a folder"
    elif (root / MANIFEST).exists():
        yield from _manifest_faults(root)
    else:
        yield from _tree_faults(root)


def _read_manifest(root: Path) -> pd.DataFrame:
    rows = pd.read_csv(root / MANIFEST, dtype=str, keep_default_na=False, skipinitialspace=True)
    return rows.rename(columns={name: _column(name) for name in rows.columns})


def _column(name: str) -> str:
    """Spell a manifest's column as the table does.

    >>> _column("au_1"), _column("AU4_intensity"), _column("Subject")
    ('AU01', 'AU04_intensity', 'subject')
    """
    name = name.strip()
    if match := _ACTION_UNIT.fullmatch(name):
        return facs.code(int(match[1])) + (match[2] or "").lower()
    return name.lower()


def _manifest_faults(root: Path) -> Iterator[str]:
    file = root / MANIFEST
    try:
        rows = _read_manifest(root)
    except (OSError, ValueError) as error:
        yield f"{file}: cannot be read as a table: {str(error).splitlines()[0]}"
        return
    missing = [name for name in ("path", "expression") if name not in rows]
    unknown = [name for name in rows if not _known_column(str(name))]
    yield from (f"{file}: column {name!r} is missing" for name in missing)
    yield from (f"{file}: column {name!r} is not known" for name in unknown)
    yield from (f"{file}: column {name!r} stands there twice" for name in rows.columns[rows.columns.duplicated()])
    if missing or unknown or rows.columns.has_duplicates:
        return
    if rows.empty:
        yield f"{file}: lists no pictures"
    for line, path in enumerate(rows["path"], start=2):
        yield from _path_faults(root, path, f"{file}: line {line}")
    for path in rows["path"][rows["path"].duplicated()].unique():
        yield f"{file}: path {path!r} stands there more than once"
    for name in sorted(set(rows["expression"].str.strip().str.lower()) - set(SPELLINGS) - {""}):
        yield f"{file}: expression {name!r} is not one of {', '.join(facs.EXPRESSIONS)}"
    if "frame" in rows:
        yield from (
            f"{file}: frame {value!r} is not a whole number below 1,000,000,000"
            for value in _odd(rows["frame"], r"[0-9]{0,9}")
        )
    for name in rows:
        if name.endswith("_intensity"):
            yield from (f"{file}: {name} {value!r} is not 0 to 5" for value in _odd(rows[name], r"[0-5](\.\d*)?|"))
        elif name.startswith("AU"):
            yield from (f"{file}: {name} {value!r} is not 0, 1 or empty" for value in _odd(rows[name], _PRESENCE))
            yield from _contradictions(rows, str(name), file)


_PRESENCE = r"0|1|0\.0|1\.0|(?i:true|false|na|nan)|"


def _contradictions(rows: pd.DataFrame, code: str, file: Path) -> Iterator[str]:
    """Presence and intensity that cannot both be true."""
    if f"{code}_intensity" in rows:
        graded = pd.to_numeric(rows[f"{code}_intensity"], errors="coerce")
        odd = rows[code].str.lower().map(_truth).eq(False) & (graded > 0)
        yield from (f"{file}: line {place + 2}: {code} is absent and has an intensity" for place in rows.index[odd])


def _known_column(name: str) -> bool:
    match = _ACTION_UNIT.fullmatch(name)
    return name in KEYS or (match is not None and int(match[1]) in facs.ACTION_UNITS)


def _odd(values: pd.Series, pattern: str) -> list[str]:
    return sorted(set(values[~values.str.strip().str.fullmatch(pattern)]))


def _path_faults(root: Path, path: str, where: str) -> Iterator[str]:
    pure = PurePosixPath(path.replace("\\", "/"))
    if not path:
        yield f"{where}: path is empty"
    elif "\0" in path or not pure.parts or pure.is_absolute() or ".." in pure.parts or ":" in pure.parts[0]:
        yield f"{where}: path {path!r} leaves the folder"
    elif not (root / path).is_file():
        yield f"{where}: {path}: no such picture"
    elif not (root / path).resolve().is_relative_to(root.resolve()):
        yield f"{where}: path {path!r} leaves the folder"


def _tree_faults(root: Path) -> Iterator[str]:
    named = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    for folder in named:
        if folder.name.strip().lower() not in SPELLINGS:
            yield f"{folder}: expression {folder.name!r} is not one of {', '.join(facs.EXPRESSIONS)}"
    if not named:
        yield f"{root}: holds neither {MANIFEST} nor a sub-folder for each expression"
    elif not any(True for folder in named for _ in _pictures(folder)):
        yield f"{root}: holds no pictures"


def _pictures(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            yield path


def _walk(root: Path) -> pd.DataFrame:
    folders = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    found = [(path.relative_to(root).as_posix(), folder.name) for folder in folders for path in _pictures(folder)]
    return pd.DataFrame(found, columns=["path", "expression"])


def _meant(rows: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Turn a manifest's text into the table's values."""
    rows = rows.apply(lambda column: column.str.strip())
    rows["expression"] = rows["expression"].str.lower().map(SPELLINGS)
    if "dataset" not in rows:
        rows["dataset"] = root.resolve().name
    for name in ("subject", "sequence"):
        rows[name] = rows[name].replace("", pd.NA) if name in rows else pd.NA
    rows["subject"] = rows["subject"].fillna(rows["sequence"]).fillna(rows["path"])  # frames of one film show one person
    for name in rows:
        if name == "frame" or name.endswith("_intensity"):
            rows[name] = pd.to_numeric(rows[name].replace("", None))
        elif name.startswith("AU"):
            rows[name] = rows[name].str.lower().map(_truth).astype("boolean")
    return rows


def _truth(text: str) -> bool | None:
    return {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}.get(text)
