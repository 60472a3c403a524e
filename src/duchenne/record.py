"""The record of a study: which files each stage has written, by their checksums, and how they are read.

A file that was lost or damaged since is told in one line, whatever command comes upon it, and made again by ``--resume``.
Pages, figures and tables are not in the record: they are the user's to change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from duchenne import cache
from duchenne.errors import InputError

_KINDS = (".parquet", ".json", ".safetensors", ".png", ".webp")
_NOT = ("study.json", "figures", "tables", "evaluations", "papers", "checkpoints")
Stamps = dict[str, str]


def listed(folder: Path) -> Stamps:
    """Tell the state of every file of the record, by its place below the study's folder."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.suffix in _KINDS and path.is_file())
    names = [name for name in found if not set(name.parts) & set(_NOT) and not name.name.startswith(".")]
    return {name.as_posix(): cache.stamp(folder / name) for name in sorted(names)}


def note(folder: Path, before: Stamps, stages: dict[str, Any], stage: str) -> None:
    """Note the checksums of the files that a stage has written since they were listed ``before``; networks that a killed run
    of it had finished are the training's. What it rewrote or took away is no other stage's any more.
    """
    now = listed(folder)
    changed = {name for name, state in now.items() if before.get(name) != state}
    gone = before.keys() - now.keys()
    for name, each in stages.items():
        if name != stage and isinstance(each.get("files"), dict):
            each["files"] = {file: told for file, told in each["files"].items() if file not in changed | gone}
    own = changed | {name for name in now if stage == "training" and name.startswith("training/")}
    stages[stage]["files"] = {name: cache.checksum(folder / name) for name in sorted(own)}


def damaged(folder: Path, stage: Mapping[str, Any]) -> list[str]:
    """Name the files of a stage that are missing, or other than it wrote them; none of a stage that did not note them."""
    files = stage.get("files", {})
    if not isinstance(files, dict):
        return ["study.json"]
    return cache.unsound(folder, {str(name): str(told) for name, told in files.items()})


def frame(path: Path) -> pd.DataFrame:
    """Read a table of the record; raises ``InputError`` where it is missing or damaged."""
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise lost(path) from None
    except Exception as error:  # PyArrow fails in many ways on what is not a table
        raise unreadable(path, error) from None


def mapping(path: Path) -> dict[str, Any]:
    """Read a JSON object of the record; raises ``InputError`` where it is missing or damaged."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise lost(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error) from None
    if not isinstance(told, dict):
        raise InputError(f"{path}: holds no JSON object")
    return told


def lost(path: Path) -> InputError:
    """What is said of a file that is not there."""
    return InputError(f"{path}: is missing; copy it back, or run the study anew in another folder")


def unreadable(path: Path, error: Exception) -> InputError:
    """What is said of a file that cannot be read."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return InputError(f"{path}: cannot be read: {reason}; copy it back, or run the study anew in another folder")
