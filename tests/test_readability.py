"""The rules of the house that ``make check`` enforces, on code that breaks and that keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import readability

LONG = "def long():\n" + "".join(f"    a{i} = {i}\n" for i in range(80))
SHORT = "def short():\n    return 1\n"
UNDOCUMENTED = '''def public(values: Floats) -> Floats:
    """Change values."""
    return values
'''
DOCUMENTED = '''def public(values: Floats) -> Floats:
    """Change values.

    Args:
        values: (n,).

    Returns:
        (n,).
    """
    return values
'''


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (LONG, "nodes, more than 200"),
        (SHORT, ""),
        (UNDOCUMENTED, "public: no Args and Returns"),
        (UNDOCUMENTED.replace("public", "_private"), ""),
        (DOCUMENTED, ""),
        (DOCUMENTED.replace("Returns:", "Gives:"), "public: no Returns"),
    ],
)
def test_a_long_body_and_a_docstring_without_sections_are_told(
    code: str, says: str, tmp_path: Path
) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "code.py").write_text(code)
    lines = readability.check(folder)
    assert len(lines) == bool(says)
    assert says in "".join(lines)


def test_nodes_are_counted_by_body_and_by_line(tmp_path: Path) -> None:
    """``total = one + two``: an assignment, three names, a sum and its operator, and the marks
    that tell reading a name from writing it.
    """
    (tmp_path / "code.py").write_text('def f(one, two):\n    """Doc."""\n    total = one + two\n')
    (body,) = readability.bodies(tmp_path)
    assert body.nodes == 9
    assert body.nodes_by_line.tolist() == [5]
    assert body.code_lines == 1
