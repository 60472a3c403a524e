"""BP4D: spontaneous faces of 41 people in eight tasks;
``AUCoding/AU_OCC/F001_T1.csv`` codes each frame.

The first row holds action unit numbers, the first column frames; 0 is absent,
1 present, 9 not coded. Intensities lie in ``AU_INT/AU06/F001_T1_AU06.csv``.
Pictures are looked for in folders named ``F001/T1`` or ``F001_T1``.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
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
    frames_by_sequence,
    is_picture,
    tree,
    whole,
)

_TASK = re.compile(
    r"(?<![A-Z0-9])([FM]\d{3})[_/](T\d+)(?![A-Z0-9])", re.IGNORECASE
)
_OCCURRENCE = re.compile(r"([FM]\d{3})_(T\d+)\.csv", re.IGNORECASE)
_INTENSITY = re.compile(r"([FM]\d{3})_(T\d+)_AU(\d{1,2})\.csv", re.IGNORECASE)
_MEANS = {0: False, 1: True, 9: None}

Codes = dict[int, dict[str, object]]
"""For each frame, values by the table's columns."""


def read(root: Path) -> Contents:
    """Read a copy of BP4D.

    Args:
        root: Its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where codes or frames are missing.
    """
    occurrences = folder_named(existing_root(root), "AU_OCC")
    if occurrences is None:
        raise InputError(f"{root}: the folder AUCoding/AU_OCC is missing")
    remarks: list[Remark] = []
    graded = _intensities(root, remarks)
    pictures = frames_by_sequence(_pictures(root, remarks), remarks)
    rows: list[dict[str, object]] = []
    for path, sequence in _coded(occurrences, root, remarks):
        file = path.relative_to(root).as_posix()
        codes = _occurrences(path, file, remarks)
        shown = pictures.pop(sequence, {})
        _remark_on_missing(file, codes, shown, remarks)
        rows += _of_sequence(sequence, shown, codes, graded.get(sequence, {}))
    nothing = (
        "holds no coded frames; pictures belong into folders named F001/T1"
    )
    return contents(rows, root, remarks, nothing)


def _coded(
    folder: Path, root: Path, remarks: list[Remark]
) -> Iterator[tuple[Path, str]]:
    """The files that code sequences, and which; a remark on all others."""
    for name in files(folder):
        match = _OCCURRENCE.fullmatch(name)
        if match:
            yield folder / name, f"{match[1]}_{match[2]}".upper()
        else:
            file = (folder / name).relative_to(root).as_posix()
            remarks.append(Remark(file, "a stray file"))


def _of_sequence(
    sequence: str, shown: dict[int, str], codes: Codes, graded: Codes
) -> Iterator[dict[str, object]]:
    """A row for each frame of a sequence that has a picture and codes."""
    subject = sequence.partition("_")[0]
    for frame, coded in codes.items():
        if frame in shown:
            row = {
                "path": shown[frame],
                "dataset": "bp4d",
                "subject": subject,
                "sequence": sequence,
                "frame": frame,
            }
            yield row | coded | graded.get(frame, {})


def _remark_on_missing(
    file: str, codes: Codes, shown: dict[int, str], remarks: list[Remark]
) -> None:
    if not shown:
        remarks.append(Remark(file, "no frames lie beside these codes"))
        return
    for frame in sorted(codes.keys() - shown.keys()):
        remarks.append(
            Remark(file, f"frame {frame} is coded and has no picture")
        )


def _pictures(
    root: Path, remarks: list[Remark]
) -> Iterator[tuple[str, int, str]]:
    for path in tree(root, remarks):
        match = _TASK.search(path)
        frame = re.search(r"(\d+)\.\w+$", path)
        if match and frame and is_picture(path):
            sequence = f"{match[1]}_{match[2]}".upper()
            yield sequence, int(frame[1]), path


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        return [
            row
            for row in csv.reader(line.replace("\0", " ") for line in file)
            if row
        ]


def _occurrences(path: Path, file: str, remarks: list[Remark]) -> Codes:
    try:
        header, *lines = _rows(path)
        units = [whole(text) for text in header[1:]]
    except (ValueError, OverflowError, csv.Error):
        remarks.append(
            Remark(file, "the first row does not hold action unit numbers")
        )
        return {}
    odd = [unit for unit in units if unit not in facs.ACTION_UNITS]
    remarks += [
        Remark(file, f"action unit {unit} is not one of FACS") for unit in odd
    ]
    found: Codes = {}
    for number, line in enumerate(lines, start=2):
        try:
            frame = whole(line[0])
            codes = _codes(units, line[1:])
        except (ValueError, OverflowError) as error:
            remarks.append(Remark(file, f"line {number}: {str(error)[:120]}"))
            continue
        found[frame] = codes
    return found


def _codes(units: list[int], texts: list[str]) -> dict[str, object]:
    """What a frame's codes mean, of the action units that FACS has.

    Raises:
        ValueError: For too many or too few codes, and for one that is not 0, 1
            or 9.
    """
    codes: dict[str, object] = {}
    for unit, text in zip(units, texts, strict=True):
        value = whole(text)
        if value not in _MEANS:
            raise ValueError(f"AU{unit:02d} {value} is not 0, 1 or 9")
        if unit in facs.ACTION_UNITS:
            codes[facs.code(unit)] = _MEANS[value]
    return codes


def _intensities(root: Path, remarks: list[Remark]) -> dict[str, Codes]:
    """Read the five action units that BP4D grades; 9 is not scored."""
    found: dict[str, Codes] = defaultdict(dict)
    top = folder_named(root, "AU_INT")
    for folder in folders(top) if top else ():
        for name in files(folder):
            file = (folder / name).relative_to(root).as_posix()
            match = _INTENSITY.fullmatch(name)
            if not match or int(match[3]) not in facs.ACTION_UNITS:
                remarks.append(Remark(file, "a stray file"))
                continue
            column = f"{facs.code(int(match[3]))}_intensity"
            frames = found[f"{match[1]}_{match[2]}".upper()]
            for frame, grade in _grades(folder / name, file, remarks).items():
                frames.setdefault(frame, {})[column] = grade
    return found


def _grades(path: Path, file: str, remarks: list[Remark]) -> dict[int, float]:
    """The intensity of each frame that has one."""
    grades: dict[int, float] = {}
    for number, line in enumerate(_safe_rows(path, file, remarks), start=1):
        try:
            frame = whole(line[0])
            grade = whole(line[1])
            if grade not in (0, 1, 2, 3, 4, 5, 9):
                raise ValueError(f"intensity {grade} is not 0 to 5 or 9")
        except (ValueError, OverflowError, IndexError) as error:
            remarks.append(Remark(file, f"line {number}: {str(error)[:120]}"))
            continue
        if grade != 9:
            grades[frame] = float(grade)
    return grades


def _safe_rows(
    path: Path, file: str, remarks: list[Remark]
) -> list[list[str]]:
    try:
        return _rows(path)
    except csv.Error as error:
        remarks.append(Remark(file, str(error)))
        return []


FORMAT = Format(
    name="bp4d",
    title="Binghamton-Pittsburgh 4D Spontaneous Expressions (BP4D)",
    layout="AUCoding/AU_OCC/F001_T1.csv, pictures in F001/T1",
    licence="non-commercial research, on an agreement signed by the institution; no redistribution",
    apply="https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html",
    read=read,
    published={"subjects": 41, "sequences": 328},
)
