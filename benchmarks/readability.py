"""How the code reads, in numbers:
``python -m benchmarks.readability [FOLDER ...]``.

Syntax nodes a line of a function's body, nodes a body, long lines, ternaries,
assignments of several things at once, long lists of parameters, docstrings
without their sections. Compare a checkout with another, or with a library that
reads well.

``--check`` ends with 1 where a rule of the house is broken: a body of more
than 200 nodes, or a public docstring without the sections that its signature
asks for.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_SOURCE = Path(__file__).parents[1] / "src"
_LONGEST_BODY = 200
_LONGEST_LINE = 100
_MOST_PARAMETERS = 6
# Warp's, of which one kernel is one function
_OTHER_LANGUAGE = ("kernels.py",)
_BIG = (
    "NDArray",
    "ndarray",
    "Floats",
    "Mask",
    "DataFrame",
    "Series",
    "Tensor",
    "ArrayLike",
    "Path",
)
"""What a docstring tells the shape, columns or contents of."""

_ELSEWHERE = ("property", ".command", ".callback", ".setter")
"""Decorators of what is read like an attribute, and of commands, whose options
say it.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Body:
    """A function, without its docstring."""

    path: Path
    function: Function
    lines: list[str]
    inside: tuple[str, ...]

    @property
    def statements(self) -> list[ast.stmt]:
        """The statements after the docstring."""
        documented = ast.get_docstring(self.function) is not None
        return self.function.body[1:] if documented else self.function.body

    @property
    def nodes(self) -> int:
        """Every node of the syntax tree."""
        return sum(
            1 for statement in self.statements for _ in ast.walk(statement)
        )

    @property
    def nodes_by_line(self) -> np.ndarray:
        """How many nodes begin on each line that any begins on.

        What has no place of its own, as the marks that tell reading a name
        from writing it, is not counted.
        """
        placed = (
            node.lineno
            for statement in self.statements
            for node in ast.walk(statement)
            if hasattr(node, "lineno")
        )
        return np.array(list(Counter(placed).values()))

    @property
    def code_lines(self) -> int:
        """Lines that are neither empty nor a comment."""
        first = self.statements[0].lineno
        last = self.statements[-1].end_lineno or first
        told = (line.strip() for line in self.lines[first - 1 : last])
        return sum(1 for line in told if line and not line.startswith("#"))

    def __str__(self) -> str:
        return f"{self.path}:{self.function.lineno}: {self.function.name}"


def bodies(folder: Path) -> Iterator[Body]:
    """Every function of a folder that has more to it than a docstring."""
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for function, inside in _functions(ast.parse(text), ()):
            body = Body(path, function, text.splitlines(), inside)
            if body.statements:
                yield body


def _functions(
    tree: ast.AST, inside: tuple[str, ...]
) -> Iterator[tuple[Function, tuple[str, ...]]]:
    """Every function, with the names of the classes and functions that it is
    inside of.
    """
    for node in ast.iter_child_nodes(tree):
        named = inside
        if isinstance(node, Function):
            yield node, inside
        if isinstance(node, Function | ast.ClassDef):
            named = (*inside, node.name)
        yield from _functions(node, named)


def figures(folder: Path) -> dict[str, str]:
    """Measure a folder of Python files."""
    found = list(bodies(folder))
    density = np.array([body.nodes / body.code_lines for body in found])
    sizes = np.array([body.nodes for body in found])
    lines = [
        line
        for path in folder.rglob("*.py")
        for line in path.read_text().splitlines()
    ]
    trees = [ast.parse(path.read_text()) for path in folder.rglob("*.py")]
    every = [node for tree in trees for node in ast.walk(tree)]
    ternaries = sum(isinstance(node, ast.IfExp) for node in every)
    of_lines = np.concatenate([body.nodes_by_line for body in found])
    several = sum(_assigns_several(node) for node in every)
    long_lines = sum(len(line) > _LONGEST_LINE for line in lines)
    thousands = len(lines) / 1000
    return {
        "nodes a body line, median / p90": _quantiles(density, 1),
        "nodes that begin on a line, median / p90": _quantiles(of_lines, 0),
        "nodes a body, median / p90": _quantiles(sizes, 0),
        f"bodies over {_LONGEST_BODY} nodes": str(len(_too_long(found))),
        f"lines over {_LONGEST_LINE} characters, %": f"{100 * long_lines / len(lines):.2f}",
        "# fmt: skip": str(
            sum("fmt: skip" in line or "fmt: off" in line for line in lines)
        ),
        "ternaries / 1,000 lines": f"{ternaries / thousands:.1f}",
        "tuple assignments / 1,000 lines": f"{several / thousands:.1f}",
        f"functions over {_MOST_PARAMETERS} parameters": str(
            len(_many_parameters(found))
        ),
        "public docstrings without sections": str(
            len(_without_sections(found))
        ),
        "functions": str(len(found)),
        "lines": f"{len(lines):,}",
    }


def _quantiles(values: np.ndarray, digits: int) -> str:
    return f"{np.median(values):.{digits}f} / {np.quantile(values, 0.9):.{digits}f}"


def _assigns_several(node: ast.AST) -> bool:
    """Whether ``a, b = c, d``: several things in one line that have nothing to
    do together.
    """
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Tuple)
        and isinstance(node.value, ast.Tuple)
    )


def _own(found: list[Body]) -> list[Body]:
    """Those that are Python: Warp's kernels are another language."""
    return [body for body in found if body.path.name not in _OTHER_LANGUAGE]


def _many_parameters(found: list[Body]) -> list[Body]:
    return [
        body for body in _own(found) if _parameters(body) > _MOST_PARAMETERS
    ]


def _parameters(body: Body) -> int:
    arguments = body.function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([each for each in named if each.arg not in ("self", "cls")])


def _too_long(found: list[Body]) -> list[Body]:
    return [body for body in _own(found) if body.nodes > _LONGEST_BODY]


def _without_sections(found: list[Body]) -> list[Body]:
    """Public functions on arrays, frames or files whose docstring lacks Args
    or Returns.
    """
    return [body for body in found if _is_public(body) and _missing(body)]


def _is_public(body: Body) -> bool:
    """Whether it is documented: not private, nor inside of what is, nor of a
    function.
    """
    names = (*body.inside, body.function.name)
    if any(
        ast.unparse(each).endswith(_ELSEWHERE)
        for each in _calls(body.function)
    ):
        return False
    if (
        any(name.startswith("_") for name in names)
        or "src" not in body.path.parts
    ):
        return False
    return not body.inside or body.inside[-1][0].isupper()


def _calls(function: Function) -> Iterator[ast.expr]:
    """What a function is decorated by."""
    for each in function.decorator_list:
        yield each.func if isinstance(each, ast.Call) else each


def _missing(body: Body) -> list[str]:
    told = ast.get_docstring(body.function) or ""
    arguments = body.function.args
    annotations = [
        each.annotation for each in (*arguments.args, *arguments.kwonlyargs)
    ]
    missing = []
    if any(map(_is_big, annotations)) and "Args:" not in told:
        missing.append("Args")
    if _is_big(body.function.returns) and not {"Returns:", "Yields:"} & set(
        told.split()
    ):
        missing.append("Returns")
    return missing


def _is_big(annotation: ast.expr | None) -> bool:
    return annotation is not None and any(
        name in ast.unparse(annotation) for name in _BIG
    )


def check(folder: Path) -> list[str]:
    """What breaks a rule of the house, a line each."""
    found = list(bodies(folder))
    too_long = f"nodes, more than {_LONGEST_BODY}"
    lines = [f"{body}: {body.nodes} {too_long}" for body in _too_long(found)]
    lines += [
        f"{body}: no {' and '.join(_missing(body))}"
        for body in _without_sections(found)
    ]
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Print a table of the folders, or what breaks a rule."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.readability", description=__doc__
    )
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        help="Of Python files; src by default.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="End with 1 where a rule is broken.",
    )
    given = parser.parse_args(arguments)
    if given.check:
        broken = check(_SOURCE)
        for line in broken:
            print(line)
        return int(bool(broken))
    folders = given.folders or [_SOURCE]
    for folder in folders:
        if not any(folder.rglob("*.py")):
            parser.error(f"{folder}: holds no Python files")
    columns = [figures(folder) for folder in folders]
    print(
        "| measured | " + " | ".join(str(folder) for folder in folders) + " |"
    )
    print("|---" * (len(folders) + 1) + "|")
    for name in columns[0]:
        print(
            f"| {name} | "
            + " | ".join(column[name] for column in columns)
            + " |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
