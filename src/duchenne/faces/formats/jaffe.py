"""JAFFE: ten women, seven expressions, 213 grey pictures of 256×256;
``KA.AN1.39.tiff``, flat or in sub-folders.
"""

from __future__ import annotations

import re
from pathlib import Path

from duchenne.faces.formats.adapter import (
    Contents,
    Format,
    Remark,
    contents,
    existing_root,
    tree,
)

_NAME = re.compile(
    r"(KA|KL|KM|KR|MK|NA|NM|TM|UY|YM)\.(AN|DI|FE|HA|NE|SA|SU)(\d)\.(\d+)\.tiff?",
    re.IGNORECASE,
)
_EXPRESSIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}


def read(root: Path) -> Contents:
    """Read a copy of JAFFE.

    Args:
        root: Its folder.

    Returns:
        The table and remarks.

    Raises:
        InputError: Where it holds no picture of the set.
    """
    rows = []
    remarks = []
    for path in tree(existing_root(root)):
        match = _NAME.fullmatch(path.rpartition("/")[2])
        if match:
            subject = match[1].upper()
            expression = _EXPRESSIONS[match[2].upper()]
            rows.append(
                {
                    "path": path,
                    "dataset": "jaffe",
                    "subject": subject,
                    "expression": expression,
                }
            )
        elif not path.lower().endswith(
            (".txt", ".html", ".htm", ".pdf", ".md")
        ):
            remarks.append(Remark(path, "a stray file"))
    return contents(
        rows, root, remarks, "holds no pictures named like KA.AN1.39.tiff"
    )


FORMAT = Format(
    name="jaffe",
    title="Japanese Female Facial Expression (JAFFE)",
    layout="KA.AN1.39.tiff, flat or in sub-folders",
    licence=(
        "non-commercial research; no redistribution; the women agreed to be shown in publications"
    ),
    apply="https://zenodo.org/records/3451524",
    read=read,
    published={"pictures": 213, "subjects": 10},
    sizes=((256, 256),),
)
