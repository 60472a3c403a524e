"""The command line: ``main`` is the command ``duchenne``."""

from duchenne.cli.main import main

__all__ = ["main"]
