"""The one kind of error that a user's mistake leads to."""

from __future__ import annotations


class InputError(ValueError):
    """Something given from outside cannot be used; the message is one line and names the file, key or value."""


class DivergedError(InputError):
    """A network's loss left the numbers."""
