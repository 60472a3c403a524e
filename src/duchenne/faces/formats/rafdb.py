"""RAF-DB, the single-label part: ``EmoLabel/list_patition_label.txt`` and
``Image/aligned/train_00001_aligned.jpg``.
"""

from __future__ import annotations

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

_EXPRESSIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_SPLITS = {"train": "train", "test": "test"}


def read(root: Path) -> Contents:
    """Read a copy of RAF-DB; the aligned pictures where they are there, the original ones
    otherwise.

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
        raise InputError(f"{root}: holds neither Image/aligned nor Image/original")
    unlabelled, named = set(files(pictures)), set[str]()
    rows: list[dict[str, str]] = []
    remarks: list[Remark] = []
    below = pictures.relative_to(root).as_posix()
    file = listed.relative_to(root).as_posix()
    for number, line in enumerate(_lines(listed), start=1):
        try:
            name, split, expression = _entry(line)
        except ValueError as error:
            remarks.append(Remark(file, f"line {number}: {error}"))
            continue
        picture = next((each for each in _spelt(name) if each in unlabelled), None)
        if picture:
            unlabelled.discard(picture)
            row = {"path": f"{below}/{picture}", "dataset": "rafdb", "subject": Path(name).stem}
            rows.append(row | {"split": split, "expression": expression})
        elif name in named:
            remarks.append(Remark(file, f"line {number}: {name} stands there twice"))
        else:
            remarks.append(Remark(f"{below}/{name}", "no such picture"))
        named.add(name)
    stray = "a stray file: no label names it"
    remarks += [Remark(f"{below}/{name}", stray) for name in sorted(unlabelled)]
    return contents(rows, root, remarks, f"{listed.name} lists no pictures that are there")


def _spelt(name: str) -> tuple[str, str]:
    """What a picture may be called: as it is listed, or with "_aligned" before its ending."""
    path = Path(name)
    return name, f"{path.stem}_aligned{path.suffix}"


def _list(root: Path) -> Path:
    for folder in (folder_named(root, "EmoLabel"), root):
        for name in ("list_patition_label.txt", "list_partition_label.txt"):
            if folder is not None and (folder / name).is_file():
                return folder / name
    raise InputError(f"{root}: EmoLabel/list_patition_label.txt is missing")


def _lines(path: Path) -> list[str]:
    return [
        line
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        if line.strip()
    ]


def _entry(line: str) -> tuple[str, str, str]:
    """Understand ``train_00001.jpg 5``: name, split and expression."""
    parts = line.split()
    if len(parts) != 2 or leaves(parts[0]) or "/" in parts[0]:
        raise ValueError(f"{line.strip()[:60]!r} is not a picture and a label")
    split = _SPLITS.get(parts[0].partition("_")[0])
    if split is None:
        raise ValueError(f"{parts[0][:60]!r} belongs to neither train nor test")
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
