"""The fingerprint of a table: a digest of all that a network can learn from
it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from duchenne.faces.geometry import landmarks
from duchenne.faces.images import store
from duchenne.faces.table import FaceTable


def fingerprint(table: FaceTable) -> str:
    """Digest the labels, the pictures' bytes and the landmarks'; it changes
    when one of them does.

    Args:
        table: Faces, whose files are read.

    Returns:
        Sixteen hexadecimal digits.
    """
    labels = table.frame.to_csv(index=False).encode(errors="surrogateescape")
    pictures = store.content(table.paths)
    points = _landmark_files(table)
    of_points = store.content(points) if points else ""
    return hashlib.sha256(
        labels + (pictures + of_points).encode()
    ).hexdigest()[:16]


def _landmark_files(table: FaceTable) -> list[Path]:
    if "landmarks" not in table.frame:
        return []
    named = (
        landmarks.file(where) for where in table.frame["landmarks"].dropna()
    )
    return sorted({table.root / name for name in named if name})
