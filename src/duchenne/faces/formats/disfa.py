"""DISFA and DISFA+: intensities of twelve action units, frame by frame, and
the frames as pictures.

DISFA: ``ActionUnit_Labels/SN001/SN001_au1.txt`` with lines "frame,intensity".
DISFA+: ``Labels/SN001/<trial>/AU1.txt`` with lines "frame intensity". Pictures
are looked for in any other folder that is named after the subject (and the
trial). The nine people of DISFA+ are in DISFA too and keep their names, so
that they stay on one side of a split.
"""

from __future__ import annotations

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
    text_of,
    tree,
    whole,
)

_SUBJECT = re.compile(r"SN\d{3}", re.IGNORECASE)
_LABEL = re.compile(r"(?:SN\d{3}_)?AU_?(\d{1,2})\.txt", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)(?!.*\d)")

_Rows = list[dict[str, object]]
Grades = dict[int, dict[int, float]]
"""For each frame, the intensity of each action unit."""


def read_disfa(root: Path) -> Contents:
    """Read a copy of DISFA.

    Args:
        root: Its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where labels or frames are missing.
    """
    labels = folder_named(existing_root(root), "ActionUnit_Labels")
    if labels is None:
        raise InputError(f"{root}: the folder ActionUnit_Labels is missing")
    sequences = [
        (folder, folder.name.upper(), folder.name.upper())
        for folder in folders(labels)
    ]
    return _read(root, labels, sequences, "disfa")


def read_disfa_plus(root: Path) -> Contents:
    """Read a copy of DISFA+.

    Args:
        root: Its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where labels or frames are missing.
    """
    labels = folder_named(existing_root(root), "Labels")
    if labels is None:
        raise InputError(f"{root}: the folder Labels is missing")
    sequences = [
        (trial, subject.name.upper(), f"{subject.name.upper()}_{trial.name}")
        for subject in folders(labels)
        for trial in folders(subject)
    ]
    return _read(root, labels, sequences, "disfaplus")


def _read(
    root: Path,
    labels: Path,
    sequences: list[tuple[Path, str, str]],
    dataset: str,
) -> Contents:
    remarks: list[Remark] = []
    pictures = frames_by_sequence(_pictures(root, labels, remarks), remarks)
    rows: _Rows = []
    for folder, subject, name in sequences:
        below = folder.relative_to(root).as_posix()
        if not _SUBJECT.fullmatch(subject):
            remarks.append(Remark(below, "not a subject's folder"))
            continue
        grades = _grades(root, folder, remarks)
        shown = pictures.pop(name.lower(), {})
        if not shown:
            remarks.append(Remark(below, "no frames lie beside these labels"))
        of_sequence = {
            "dataset": dataset,
            "subject": subject,
            "sequence": name,
        }
        rows += _graded(shown, grades, of_sequence, remarks)
    remarks += map(_without_labels, pictures.values())
    nothing = "holds no labelled frames; extract the videos into SN001/00001.png and so on"
    return contents(rows, root, remarks, nothing)


def _without_labels(shown: dict[int, str]) -> Remark:
    return Remark(min(shown.values()), "frames without labels")


def _graded(
    shown: dict[int, str],
    grades: Grades,
    of_sequence: dict[str, str],
    remarks: list[Remark],
) -> Iterator[dict[str, object]]:
    """Every frame of a sequence with its labels; a remark on those that have
    none.
    """
    for frame, path in sorted(shown.items()):
        if frame not in grades:
            remarks.append(Remark(path, "the frame has no labels"))
        row = {"path": path, **of_sequence, "frame": frame}
        yield row | _coded(grades.get(frame, {}))


def _pictures(
    root: Path, labels: Path, remarks: list[Remark]
) -> Iterator[tuple[str, int, str]]:
    """Find the frames of each sequence, outside of the labels' folder:
    sequence, frame and path.
    """
    below = labels.relative_to(root).as_posix() + "/"
    for path in tree(root, remarks):
        *folders_, name = path.split("/")
        number = _NUMBER.search(Path(name).stem)
        named = [
            index
            for index, each in enumerate(folders_)
            if _SUBJECT.fullmatch(each)
        ]
        if (
            named
            and number
            and is_picture(path)
            and not path.startswith(below)
        ):
            yield "_".join(folders_[named[0] :]).lower(), int(number[1]), path


def _grades(root: Path, folder: Path, remarks: list[Remark]) -> Grades:
    found: Grades = defaultdict(dict)
    for name in files(folder):
        match = _LABEL.fullmatch(name)
        file = (folder / name).relative_to(root).as_posix()
        if not match or int(match[1]) not in facs.ACTION_UNITS:
            remarks.append(Remark(file, "a stray file"))
            continue
        try:
            for frame, grade in _lines(text_of(folder / name), file, remarks):
                found[frame][int(match[1])] = grade
        except ValueError as error:
            remarks.append(Remark(file, str(error)))
    return found


def _lines(
    text: str, file: str, remarks: list[Remark]
) -> Iterator[tuple[int, float]]:
    for number, line in enumerate(text.splitlines(), start=1):
        parts = line.replace(",", " ").split()
        if not parts or (
            number == 1 and not any(part[0].isdigit() for part in parts)
        ):
            continue  # DISFA+ opens with a line of names
        try:
            if len(parts) != 2:
                raise ValueError(
                    f"{line.strip()[:40]!r} is not a frame and an intensity"
                )
            frame = int(_number_in(parts[0]))
            grade = whole(parts[1])
            if not 0 <= grade <= 5:
                raise ValueError(f"intensity {grade} is not 0 to 5")
        except (ValueError, OverflowError) as error:
            remarks.append(Remark(file, f"line {number}: {str(error)[:120]}"))
            continue
        yield frame, float(grade)


def _number_in(text: str) -> str:
    """Find the frame's number in ``12`` or ``00012.jpg``."""
    match = re.match(r"(\d{1,9})(\.\w+)?$", text)
    if not match:
        raise ValueError(f"{text[:40]!r} is not a frame")
    return match[1]


def _coded(grades: dict[int, float]) -> dict[str, object]:
    """Presence follows from intensity: 0 is absent, A and above present."""
    present: dict[str, object] = {
        facs.code(unit): grade > 0 for unit, grade in grades.items()
    }
    return present | {
        f"{facs.code(unit)}_intensity": grade for unit, grade in grades.items()
    }


DISFA = Format(
    name="disfa",
    title="Denver Intensity of Spontaneous Facial Action (DISFA)",
    layout="ActionUnit_Labels/SN001/SN001_au1.txt, frames in folders named SN001",
    licence="non-commercial research, on a signed agreement; no redistribution",
    apply="http://mohammadmahoor.com/disfa/",
    read=read_disfa,
    published={"subjects": 27, "action units": 12},
)
DISFA_PLUS = Format(
    name="disfaplus",
    title="Extended DISFA (DISFA+)",
    layout="Labels/SN001/<trial>/AU1.txt, frames in folders named SN001/<trial>",
    licence="non-commercial research, on a signed agreement; no redistribution",
    apply="http://mohammadmahoor.com/disfa-plus-request/",
    read=read_disfa_plus,
    published={"subjects": 9, "action units": 12},
)
