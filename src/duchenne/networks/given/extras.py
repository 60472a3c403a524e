"""Packages that only some sources need, imported when one of these is opened."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from duchenne.errors import InputError
from duchenne.networks.given.code import said


def extra(module: str, name: str) -> ModuleType:
    """Import a package that an extra of ours installs.

    Args:
        module: The package.
        name: The extra.

    Returns:
        The package.

    Raises:
        InputError: Where it is missing, or fails to import; a line says what
            to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if sys.modules.get(missing, "") is None:
            missing = f"a {missing} that fits the installed torch"
        raise InputError(
            f"{module}: {missing} is not installed: pip install 'duchenne[{name}]'"
        ) from None
    except Exception as error:
        hint = ""
        if "torchvision" in str(error):
            hint = (
                "; the installed torchvision is built for another torch: pip install the one that "
                "its release notes pair with this torch"
            )
        raise InputError(
            f"{module}: is installed, but importing it raised {said(error)}{hint}"
        ) from None
