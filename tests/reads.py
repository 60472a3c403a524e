"""Which keys of the recipe each stage reads, noted while a study runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pydantic import BaseModel

from duchenne.pipeline import stages
from duchenne.recipes import schema
from duchenne.study.workspace import Workspace


def _tables(part: BaseModel, above: str = "") -> dict[type, str]:
    found: dict[type, str] = {}
    for name, inner in part:
        if isinstance(inner, BaseModel):
            found |= {type(inner): above + name} | _tables(inner, f"{above}{name}.")
    return found


TABLES = _tables(schema.Recipe(name="any"))
"""The table of a recipe by the class that holds its keys."""


@contextmanager
def recorded(file: Path) -> Iterator[None]:
    """Write what each stage reads within, as {stage: [keys]}."""
    found: dict[str, set[str]] = {}
    doing: list[str] = []
    plain = schema._Part.__getattribute__

    def noting(part: Any, name: str) -> Any:
        if doing and name in type(part).model_fields:
            found.setdefault(doing[-1], set()).add(_key(type(part), name))
        return plain(part, name)

    def watched(stage: stages.Stage) -> stages.Stage:
        return replace(stage, do=_during(stage, doing))

    line = tuple(map(watched, stages.LINE))
    with patch.object(stages, "LINE", line), patch.object(schema._Part, "__getattribute__", noting):
        yield
    keys = {stage: sorted(own) for stage, own in found.items()}
    file.write_text(json.dumps(keys))


def _key(kind: type, name: str) -> str:
    return name if kind is schema.Recipe else f"{TABLES[kind]}.{name}"


def _during(stage: stages.Stage, doing: list[str]) -> Callable[[Workspace], None]:
    def do(work: Workspace) -> None:
        doing.append(stage.name)
        try:
            stage.do(work)
        finally:
            doing.pop()

    return do
