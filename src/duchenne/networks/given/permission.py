"""Which callables may be run: those that the user named on this machine. A
study's folder names one too, but may be from someone else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duchenne import files
from duchenne.errors import InputError
from duchenne.networks.given import code


def allow(source: str, options: Mapping[str, Any]) -> None:
    """Note that the user named a callable.

    Args:
        source: ``module:callable`` or ``file.py:callable``.
        options: That it is called with.
    """
    files.write_json(_note(source, options), {"source": source})


def refuse_unless_allowed(source: str, options: Mapping[str, Any]) -> None:
    """Refuse a callable that the user never named here, or whose file has
    changed since.

    Args:
        source: ``module:callable`` or ``file.py:callable``.
        options: That it is called with.

    Raises:
        InputError: For such a callable.
    """
    if not _note(source, options).exists():
        raise InputError(
            f"network.source {source!r}: is code, and was not named on this machine as it is now; "
            "once you have read it, 'duchenne trust RUN' lets the study in RUN use it"
        )


def _note(source: str, options: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256()
    told = [_absolute(source), dict(options)]
    digest.update(json.dumps(told, sort_keys=True, default=str).encode())
    for file in code.files(source):
        if file.is_file():
            digest.update(file.read_bytes())
    return files.folder("allowed") / f"{digest.hexdigest()}.json"


def _absolute(source: str) -> str:
    file = code.file(source)
    if file is None:
        return source
    return f"{file.resolve()}:{source.rpartition(':')[2]}"
