"""The one kind of error that a user's mistake leads to."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any


class InputError(ValueError):
    """Something given from outside cannot be used; the message is one line and
    names the file, key or value.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class ArgumentError(InputError):
    r"""An argument that cannot be used; a command says the option of that
    name.

    >>> str(ArgumentError("out", "runs/a: holds another study"))
    'out runs/a: holds another study'
    >>> str(ArgumentError("out", "two\nlines: not a folder"))
    'out two\\nlines: not a folder'
    """

    def __init__(self, argument: str, problem: str = "") -> None:
        super().__init__(argument, problem)

    def __str__(self) -> str:
        argument, problem = self.args
        line = (
            f"{argument}{problem}"
            if problem.startswith(":")
            else f"{argument} {problem}".rstrip()
        )
        return printable(line)


class DivergedError(InputError):
    """A network's loss left the numbers."""


def refused_value(fault: Mapping[str, Any]) -> str:
    """Say what is wrong with a value that pydantic refused, after the value
    itself, which checks of our own name already.

    >>> refused_value({"type": "value_error", "msg": "Value error, 'a': not b"})
    "'a': not b"
    >>> refused_value({"type": "int_type", "msg": "no int", "input": "a"})
    "'a': expected a whole number"
    """
    message = printable(fault["msg"].removeprefix("Value error, "))
    if fault["type"] == "value_error":
        return message
    message = _EXPECTED.get(fault["type"], message)
    return f"{shortened(fault['input'])}: {message}"


_EXPECTED = {
    "dict_type": "expected a table of keys",
    "tuple_type": "expected a list",
    "string_type": "expected a text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
}
"""What is said instead of pydantic's messages, by its names for them."""


def shortened(value: object) -> str:
    r"""Write a value as Python does, on one line and cut where it is long.

    >>> print(shortened("two\nlines"))
    'two\nlines'
    """
    try:
        shown = printable(repr(value))
    except RecursionError:
        shown = "…"
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}…"


def printable(text: str) -> str:
    r"""Write a text on one line that can be printed: line breaks, and bytes
    that are not UTF-8, as in Python.

    >>> print(printable("caf\udce9\n.png"))
    caf\udce9\n.png
    """
    return "".join(
        ascii(each)[1:-1]
        if unicodedata.category(each) in _NOT_PRINTED
        else each
        for each in text
    )


MOST_SHOWN = 120  # characters
_NOT_PRINTED = ("Cc", "Cs", "Cn", "Zl", "Zp")
