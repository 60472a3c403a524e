"""CK+: sequences from neutral to the apex, an expression and FACS codes for
the last frame of each.

``cohn-kanade-images/S005/001/S005_001_00000011.png``,
``Emotion/S005/001/…_emotion.txt``, ``FACS/S005/001/…_facs.txt`` and
``Landmarks/S005/001/…_landmarks.txt``. What is coded describes the apex, so
only the last frame of a sequence has labels here; protocols decide which other
frames share them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from duchenne import facs
from duchenne.errors import InputError
from duchenne.faces.formats.adapter import (
    Contents,
    Format,
    Remark,
    contents,
    existing_root,
    files,
    folder_named,
    folders,
    is_picture,
    text_of,
    whole,
)

_SUBJECT = re.compile(r"S\d{3}")
_FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})\.\w+", re.IGNORECASE)


@dataclass
class _Set:
    """Where the parts of one copy lie, and what was odd so far."""

    root: Path
    pictures: Path
    emotions: Path | None
    codes: Path | None
    points: Path | None
    remarks: list[Remark] = field(default_factory=list)

    def remark(self, file: Path, says: str) -> None:
        self.remarks.append(
            Remark(file.relative_to(self.root).as_posix(), says)
        )


def read(root: Path) -> Contents:
    """Read a copy of CK+.

    Args:
        root: Its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where it holds no sequence.
    """
    existing_root(root)
    pictures = (
        folder_named(root, "cohn-kanade-images", "extended-cohn-kanade-images")
        or root
    )
    found = _Set(
        root,
        pictures,
        folder_named(root, "Emotion", "Emotion_labels"),
        folder_named(root, "FACS", "FACS_labels"),
        folder_named(root, "Landmarks"),
    )
    rows = [
        row
        for subject in folders(pictures)
        if _is_subject(found, subject)
        for row in _subject(found, subject)
    ]
    if found.emotions is None and rows:
        raise InputError(f"{root}: the folder Emotion is missing")
    _forget_never_shown(rows)
    return contents(
        rows,
        root,
        found.remarks,
        "holds no cohn-kanade-images/S005/001/S005_001_00000001.png",
    )


def _is_subject(found: _Set, folder: Path) -> bool:
    if _SUBJECT.fullmatch(folder.name):
        return True
    if (
        folder not in (found.emotions, found.codes, found.points)
        and found.pictures != found.root
    ):
        found.remark(folder, "not a subject's folder")
    return False


def _subject(found: _Set, subject: Path) -> Iterator[dict[str, object]]:
    found.remarks += [
        Remark(
            (subject / name).relative_to(found.root).as_posix(), "a stray file"
        )
        for name in files(subject)
    ]
    for sequence in folders(subject):
        yield from _sequence(found, subject.name, sequence)


def _sequence(
    found: _Set, subject: str, folder: Path
) -> list[dict[str, object]]:
    frames = _numbered(found, subject, folder)
    if not frames:
        found.remark(folder, "holds no frames")
        return []
    _remark_on_gaps(found, folder, frames)
    rows: list[dict[str, object]] = []
    for number in sorted(frames):
        path = folder / frames[number]
        row: dict[str, object] = {
            "path": path.relative_to(found.root).as_posix(),
            "dataset": "ckplus",
            "subject": subject,
            "sequence": f"{subject}_{folder.name}",
            "frame": number,
        }
        rows.append(row | _points(found, subject, folder, path))
    last = max(frames)
    rows[-1] |= _emotion(found, subject, folder, last) | _codes(
        found, subject, folder, last
    )
    return rows


def _remark_on_gaps(
    found: _Set, folder: Path, frames: Mapping[int, str]
) -> None:
    for before, after in itertools.pairwise(sorted(frames)):
        if after > before + 1:
            gap = f"follows frame {before}: frames between them are missing"
            found.remark(folder / frames[after], gap)


def _numbered(found: _Set, subject: str, folder: Path) -> dict[int, str]:
    """The picture of each frame; a second one is told of and left out."""
    frames: dict[int, str] = {}
    for number, name in _frames(found, subject, folder):
        if number in frames:
            second = (
                f"a second picture of frame {number}, beside {frames[number]}"
            )
            found.remark(folder / name, f"{second}; it is left out")
        else:
            frames[number] = name
    return frames


def _frames(
    found: _Set, subject: str, folder: Path
) -> Iterator[tuple[int, str]]:
    for name in files(folder):
        match = _FRAME.fullmatch(name)
        if not match or not is_picture(name):
            found.remark(folder / name, "a stray file")
        elif (match[1].upper(), match[2]) != (subject, folder.name):
            found.remark(folder / name, "named after another sequence")
        else:
            yield int(match[3]), name


def _points(
    found: _Set, subject: str, folder: Path, picture: Path
) -> dict[str, object]:
    if found.points is None:
        return {}
    file = (
        found.points / subject / folder.name / f"{picture.stem}_landmarks.txt"
    )
    if not file.is_file():
        found.remark(file, "landmarks are missing")
        return {}
    return {"landmarks": file.relative_to(found.root).as_posix()}


def _label(
    found: _Set, part: Path, subject: str, folder: Path, last: int
) -> tuple[Path, str] | None:
    """Find the one label file of a sequence and its text; not every sequence
    has one.
    """
    label_folder = part / subject / folder.name
    names = files(label_folder) if label_folder.is_dir() else []
    if not names:
        return None
    for extra in names[1:]:
        found.remark(label_folder / extra, "a second label of its sequence")
    file = label_folder / names[0]
    if (
        not names[0]
        .upper()
        .startswith(f"{subject}_{folder.name}_{last:08d}_".upper())
    ):
        found.remark(file, "does not belong to the last frame of its sequence")
    try:
        return file, text_of(file)
    except ValueError as error:
        found.remark(file, str(error))
        return None


def _emotion(
    found: _Set, subject: str, folder: Path, last: int
) -> dict[str, object]:
    label = found.emotions and _label(
        found, found.emotions, subject, folder, last
    )
    if not label:
        return {}
    file, text = label
    try:
        return {
            "expression": facs.EXPRESSIONS[
                _within(whole(text), 0, 7, "expression")
            ]
        }
    except (ValueError, OverflowError) as error:
        found.remark(file, _reason(error))
        return {}


def _codes(
    found: _Set, subject: str, folder: Path, last: int
) -> dict[str, object]:
    """Presence and intensity of every action unit that can be coded; FACS
    codes of CK+ are complete.
    """
    if found.codes is None:
        return {}
    code_folder = found.codes / subject / folder.name
    if not code_folder.is_dir() or not files(code_folder):
        found.remark(code_folder, "FACS codes are missing")
    label = _label(found, found.codes, subject, folder, last)
    if label is None:
        return {}
    codes = [facs.code(number) for number in facs.ACTION_UNITS]
    values: dict[str, object] = dict.fromkeys(codes, False)
    values |= {f"{code}_intensity": 0.0 for code in codes}
    return values | _scored(found, *label)


def _scored(found: _Set, file: Path, text: str) -> dict[str, object]:
    """The action units that a file of FACS codes names, and their intensities."""
    values: dict[str, object] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            unit, grade = _code(line)
        except (ValueError, OverflowError) as error:
            found.remark(file, f"line {number}: {_reason(error)}")
            continue
        values[facs.code(unit)] = True
        # 0: there, but not scored
        values[f"{facs.code(unit)}_intensity"] = (
            float(grade) if grade else None
        )
    return values


def _forget_never_shown(rows: list[dict[str, object]]) -> None:
    """Drop action units that no sequence shows: whether the coders looked for
    them is not known.
    """
    for code in map(facs.code, facs.ACTION_UNITS):
        if not any(row.get(code) for row in rows):
            for row in rows:
                row.pop(code, None)
                row.pop(f"{code}_intensity", None)


def _code(line: str) -> tuple[int, int]:
    parts = line.split()
    if len(parts) != 2:
        raise ValueError(
            f"{line.strip()[:40]!r} is not an action unit and an intensity"
        )
    unit = whole(parts[0])
    if unit not in facs.ACTION_UNITS:
        raise ValueError(f"action unit {unit} is not one of FACS")
    return unit, _within(whole(parts[1]), 0, 5, "intensity")


def _within(value: int, low: int, high: int, what: str) -> int:
    if not low <= value <= high:
        raise ValueError(f"{what} {value} is not {low} to {high}")
    return value


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:120]


FORMAT = Format(
    name="ckplus",
    title="Extended Cohn-Kanade (CK+)",
    layout="cohn-kanade-images/S005/001/*.png, Emotion/, FACS/, Landmarks/",
    licence=(
        "research only, on a signed agreement; pictures of named subjects may be printed, none "
        "redistributed"
    ),
    apply="https://www.jeffcohn.net/resources/",
    read=read,
    published={
        "sequences": 593,
        "subjects": 123,
        "labelled sequences": 327,
        "labelled subjects": 118,
        "anger": 45,
        "contempt": 18,
        "disgust": 59,
        "fear": 25,
        "happiness": 69,
        "sadness": 28,
        "surprise": 83,
    },
    sizes=((640, 490), (640, 480)),
    mixed=True,
)
