"""The record of a study: which files each stage has written, by their
checksums, and how they are read.

A file that was lost or damaged since is told in one line, whatever command
comes upon it, and made again by ``--resume``. Pages, figures and tables are
not in the record: they are the user's to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duchenne import files

_KINDS = (".parquet", ".json", ".safetensors", ".png", ".webp")
_NOT = (
    "study.json",
    "figures",
    "tables",
    "evaluations",
    "papers",
    "checkpoints",
)
Stamps = dict[str, str]


def listed(folder: Path) -> Stamps:
    """Tell the state of every file of the record, by its place below the
    study's folder.

    Args:
        folder: Of the study.

    Returns:
        Stamps by path below it.
    """
    found = (
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix in _KINDS and path.is_file()
    )
    names = [
        name
        for name in found
        if not set(name.parts) & set(_NOT) and not name.name.startswith(".")
    ]
    return {
        name.as_posix(): files.stamp(folder / name) for name in sorted(names)
    }


def note(
    folder: Path, before: Stamps, stages: dict[str, Any], stage: str
) -> None:
    """Note the checksums of the files that a stage has written.

    Networks that a killed run of it had finished are the training's. What it
    rewrote or took away is no other stage's any more.

    Args:
        folder: Of the study.
        before: What ``listed`` told before the stage.
        stages: Those of ``study.json``, changed in place.
        stage: Its name.
    """
    now = listed(folder)
    changed = {
        name for name, state in now.items() if before.get(name) != state
    }
    gone = before.keys() - now.keys()
    for name, each in stages.items():
        if name != stage and isinstance(each.get("files"), dict):
            each["files"] = {
                file: told
                for file, told in each["files"].items()
                if file not in changed | gone
            }
    own = changed | {
        name
        for name in now
        if stage == "network" and name.startswith("training/")
    }
    stages[stage]["files"] = {
        name: files.checksum(folder / name) for name in sorted(own)
    }


def damaged(folder: Path, stage: Mapping[str, Any]) -> list[str]:
    """Name the files of a stage that are missing, or other than it wrote them;
    none of a stage that did not note them.

    Args:
        folder: Of the study.
        stage: Its entry in ``study.json``.

    Returns:
        Paths below the folder.
    """
    sums = stage.get("files", {})
    if not isinstance(sums, dict):
        return ["study.json"]
    return files.unsound(
        folder, {str(name): str(told) for name, told in sums.items()}
    )
