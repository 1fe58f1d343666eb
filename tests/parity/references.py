"""Reference packages are imported here, without what they only need for training or for files."""

import importlib
import sys
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import MagicMock

import pytest


class _Missing(ModuleType):
    """A module of which any name can be imported."""

    __path__: list[str] = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


@contextmanager
def without(*names):
    """Modules that a reference imports but does not need here; those that are installed are taken as they are."""
    added = []
    for name in names:
        if name not in sys.modules and not _there(name):
            sys.modules[name] = _Missing(name)
            added.append(name)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


def _there(name):
    try:
        importlib.import_module(name)
    except (ImportError, OSError):
        return False
    return True


def reference(name, *missing):
    """A reference package's module; the test is skipped where the package is not installed.

    Args:
        missing: what it imports and does without.
    """
    package = name.partition(".")[0]
    pytest.importorskip(package) if not missing else None
    with without(*missing):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and error.name.partition(".")[0] == package:
                pytest.skip(f"the reference package {package!r} is not installed")
            raise
