"""HyperSpy, also where it finds no room for its settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from tempfile import TemporaryDirectory
from types import ModuleType

__all__ = ["hyperspy_api"]

_HOMES = ("HOME", "USERPROFILE")  # where Python looks for a user's folder


def hyperspy_api() -> ModuleType:
    """Give ``hyperspy.api``, whose import writes settings into the user's folder, or else into a temporary one."""
    try:
        return _imported()
    except OSError:  # there is no such folder, or it may not be written into, as of a service or in a container
        with _temporary_home():
            return _imported()


def _imported() -> ModuleType:
    import_module("hyperspy.defaults_parser")
    return import_module("hyperspy.api")


@contextmanager
def _temporary_home() -> Iterator[None]:
    usual = {name: os.environ[name] for name in _HOMES if name in os.environ}
    with TemporaryDirectory() as folder:
        os.environ.update(dict.fromkeys(_HOMES, folder))
        try:
            yield
        finally:
            for name in _HOMES:
                del os.environ[name]
            os.environ.update(usual)
