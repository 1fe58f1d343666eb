"""Errors that a user can act on, and the lazy import of optional packages. Knows nothing of speech."""

from __future__ import annotations

import importlib
from types import ModuleType


class OrationError(Exception):
    """Something the user can mend. One sentence: what, its value, what was expected, what to do.

    The command line prints it without a traceback and exits with 2.
    """


class BadInput(OrationError, ValueError):
    """A recording, an option, a recipe or a checkpoint is not what it must be."""


def optional(module: str, extra: str, why: str) -> ModuleType:
    """Import `module` when it is needed, or say which extra installs it.

    >>> optional("math", "eval", "an example").pi > 3
    True

    Raises:
        OrationError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        raise OrationError(
            f"{why} needs the package {module.partition('.')[0]!r}, which is not installed or does not import "
            f"({missing}); install it with: pip install 'oration[{extra}]'"
        ) from missing
