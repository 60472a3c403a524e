"""RAF-DB, the single-label part: ``EmoLabel/list_patition_label.txt`` and
``Image/aligned/train_00001_aligned.jpg``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from duchenne.errors import InputError
from duchenne.faces.formats.adapter import (
    Contents,
    Format,
    Remark,
    contents,
    existing_root,
    files,
    folder_named,
    leaves,
)

_EXPRESSIONS = (
    "surprise",
    "fear",
    "disgust",
    "happiness",
    "sadness",
    "anger",
    "neutral",
)
_SPLITS = {"train": "train", "test": "test"}


def read(root: Path) -> Contents:
    """Read a copy of RAF-DB; the aligned pictures where they are there, the
    original ones otherwise.

    The people are not named: every picture counts as a person of its own.

    Args:
        root: Its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where the list of labels or the pictures are missing.
    """
    listed = _list(existing_root(root))
    pictures = folder_named(root, "aligned") or folder_named(root, "original")
    if pictures is None:
        raise InputError(
            f"{root}: holds neither Image/aligned nor Image/original"
        )
    remarks: list[Remark] = []
    rows = _rows(pictures, root, _labels(listed, root, remarks), remarks)
    return contents(
        rows, root, remarks, f"{listed.name} lists no pictures that are there"
    )


def _rows(
    pictures: Path, root: Path, labels: Iterable[_Label], remarks: list[Remark]
) -> list[dict[str, str]]:
    """A row for each picture that has a label; a remark on all others, and on
    labels without.
    """
    below = pictures.relative_to(root).as_posix()
    unlabelled = set(files(pictures))
    rows = []
    named = set[str]()
    for label in labels:
        file = _first(_spelt(label.name), unlabelled)
        if file:
            unlabelled.discard(file)
            rows.append(label.row(f"{below}/{file}"))
        else:
            remarks.append(
                label.twice() if label.name in named else label.lost(below)
            )
        named.add(label.name)
    stray = "a stray file: no label names it"
    remarks += [
        Remark(f"{below}/{name}", stray) for name in sorted(unlabelled)
    ]
    return rows


def _first(names: Iterable[str], known: Container[str]) -> str | None:
    """The first of some names that is known."""
    return next((name for name in names if name in known), None)


@dataclass(frozen=True)
class _Label:
    """A line of the list of labels: the picture's name, its split and its
    expression.
    """

    where: str
    line: str
    name: str
    split: str
    expression: str

    def row(self, path: str) -> dict[str, str]:
        """The row of the table for the picture at a path."""
        return {
            "path": path,
            "dataset": "rafdb",
            "subject": Path(self.name).stem,
            "split": self.split,
            "expression": self.expression,
        }

    def twice(self) -> Remark:
        """What is said of a picture that has a label already."""
        return Remark(
            self.where, f"{self.line}: {self.name} stands there twice"
        )

    def lost(self, below: str) -> Remark:
        """What is said of a picture that is not there."""
        return Remark(f"{below}/{self.name}", "no such picture")


def _labels(
    listed: Path, root: Path, remarks: list[Remark]
) -> Iterator[_Label]:
    """The lines that can be understood; a remark on all others."""
    where = listed.relative_to(root).as_posix()
    for number, line in enumerate(_lines(listed), start=1):
        line_name = f"line {number}"
        try:
            yield _Label(where, line_name, *_entry(line))
        except ValueError as error:
            remarks.append(Remark(where, f"{line_name}: {error}"))


def _spelt(name: str) -> tuple[str, str]:
    """What a picture may be called: as it is listed, or with "_aligned" before
    its ending.
    """
    path = Path(name)
    return name, f"{path.stem}_aligned{path.suffix}"


def _list(root: Path) -> Path:
    for folder in (folder_named(root, "EmoLabel"), root):
        for name in ("list_patition_label.txt", "list_partition_label.txt"):
            if folder is not None and (folder / name).is_file():
                return folder / name
    raise InputError(f"{root}: EmoLabel/list_patition_label.txt is missing")


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [line for line in text.splitlines() if line.strip()]


def _entry(line: str) -> tuple[str, str, str]:
    """Understand ``train_00001.jpg 5``: name, split and expression."""
    parts = line.split()
    if len(parts) != 2 or leaves(parts[0]) or "/" in parts[0]:
        raise ValueError(f"{line.strip()[:60]!r} is not a picture and a label")
    split = _SPLITS.get(parts[0].partition("_")[0])
    if split is None:
        raise ValueError(
            f"{parts[0][:60]!r} belongs to neither train nor test"
        )
    if parts[1] not in set("1234567"):
        raise ValueError(f"label {parts[1][:20]!r} is not 1 to 7")
    return parts[0], split, _EXPRESSIONS[int(parts[1]) - 1]


FORMAT = Format(
    name="rafdb",
    title="Real-world Affective Faces (RAF-DB), single-label part",
    layout="EmoLabel/list_patition_label.txt, Image/aligned/*.jpg",
    licence="non-commercial research, on a signed agreement; no redistribution",
    apply="http://www.whdld.cn/RAF/model1.html",
    read=read,
    published={"train": 12271, "test": 3068},
    sizes=((100, 100),),
)
