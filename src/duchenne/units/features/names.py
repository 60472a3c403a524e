"""The name of a layer that says, behind a colon, what is read off it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from duchenne import files

_NAME = re.compile(
    r"(?P<layer>.+):(?:(?P<kind>signed|heads|patches|class)|(?P<with>pca|sae)=(?P<argument>.+))"
)


@dataclass(frozen=True)
class LayerName:
    """A layer's name, and what is read off it.

    Attributes:
        layer: What stands before the last colon; may have features itself.
        kind: A word of ``layers.FEATURES``.
        argument: What stands behind its equals sign.
    """

    layer: str
    kind: str
    argument: str = ""

    @classmethod
    def of(cls, name: str) -> LayerName | None:
        """Read a layer's name.

        Args:
            name: As in ``layer4:pca=16``.

        Returns:
            Its parts; nothing for a plain layer.

        >>> LayerName.of("layer4:pca=16")
        LayerName(layer='layer4', kind='pca', argument='16')
        >>> LayerName.of("layer4.relu")
        """
        found = _NAME.fullmatch(name)
        if not found:
            return None
        kind = found["kind"] or found["with"]
        return cls(found["layer"], kind, found["argument"] or "")


def files_of_features(name: str) -> list[str]:
    """Checksums of the files that a layer's features are read from.

    Args:
        name: As in ``fc1:sae=FILE``.

    Returns:
        One of each file; none for other layers.
    """
    found = []
    layer_name = LayerName.of(name)
    while layer_name is not None:
        path = Path(layer_name.argument).expanduser()
        if layer_name.kind == "sae" and path.is_file():
            found.append(files.checksum(path))
        layer_name = LayerName.of(layer_name.layer)
    return found
