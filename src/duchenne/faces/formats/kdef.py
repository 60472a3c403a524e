"""KDEF: 70 people, seven expressions, five angles, two sessions.

``AF01ANS.JPG`` says session, sex and number, expression, angle.
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
    is_picture,
    tree,
)

_NAME = re.compile(
    r"([AB])([FM]\d{2})(AF|AN|DI|HA|NE|SA|SU)(FL|HL|S|HR|FR)\.\w+",
    re.IGNORECASE,
)
_EXPRESSIONS = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}


def read(root: Path) -> Contents:
    """Read a copy of KDEF, all angles; ``view`` says which: FL, HL, S
    (straight), HR or FR.

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
        if match and is_picture(path):
            row = {
                "path": path,
                "dataset": "kdef",
                "subject": match[2].upper(),
                "view": match[4].upper(),
            }
            rows.append(row | {"expression": _EXPRESSIONS[match[3].upper()]})
        elif is_picture(path):
            remarks.append(
                Remark(
                    path,
                    "the name does not say who, what and from where, as AF01ANS.JPG does",
                )
            )
        elif not path.lower().endswith(
            (".txt", ".html", ".pdf", ".md", ".doc", ".docx")
        ):
            remarks.append(Remark(path, "a stray file"))
    return contents(
        rows, root, remarks, "holds no pictures named like AF01ANS.JPG"
    )


FORMAT = Format(
    name="kdef",
    title="Karolinska Directed Emotional Faces (KDEF)",
    layout="AF01/AF01ANS.JPG",
    licence="non-commercial research, free after registration; no redistribution",
    apply="https://www.kdef.se/home/using%20and%20publishing%20kdef%20and%20akdef.html",
    read=read,
    published={"pictures": 4900, "subjects": 70},
    sizes=((562, 762),),
)
