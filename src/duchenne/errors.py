"""The one kind of error that a user's mistake leads to."""

from __future__ import annotations

import unicodedata


class InputError(ValueError):
    """Something given from outside cannot be used; the message is one line and names the file, key or value."""

    def __str__(self) -> str:
        return printable(super().__str__())


class DivergedError(InputError):
    """A network's loss left the numbers."""


def printable(text: str) -> str:
    r"""Write a text on one line that can be printed: line breaks, and bytes that are not UTF-8, as in Python.

    >>> print(printable("caf\udce9\n.png"))
    caf\udce9\n.png
    """
    return "".join(ascii(each)[1:-1] if unicodedata.category(each) in _NOT_PRINTED else each for each in text)


_NOT_PRINTED = ("Cc", "Cs", "Cn", "Zl", "Zp")
