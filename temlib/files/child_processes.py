"""The processes that temlib starts: the current folder is not on their import path, whatever lies in it.

The current folder is often one of somebody's files. A ``json.py`` among them would be imported by a
process that begins there in place of Python's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["import_path", "python", "without_current_folder"]

_HOME = str(Path(__file__).resolve().parents[2])  # where temlib is imported from
_SAFE = "PYTHONSAFEPATH"


def python(code: str) -> list[str]:
    """Give the command that runs code in a Python with the import path of this one, the current folder apart."""
    return [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {import_path()!r}; {code}"]


def import_path() -> list[str]:
    """Give the import path of this process without the current folder; one from which temlib itself comes is last."""
    kept = [entry for entry in sys.path if not _is_current(entry)]
    return kept if len(kept) == len(sys.path) or not _is_current(_HOME) else [*kept, _HOME]


@contextmanager
def without_current_folder() -> Iterator[None]:
    """Keep the current folder off the import path of this process and of all that libraries start meanwhile."""
    path, safe = list(sys.path), os.environ.get(_SAFE)
    sys.path[:] = import_path()
    os.environ[_SAFE] = "1"
    try:
        yield
    finally:
        sys.path[:] = path
        if safe is None:
            del os.environ[_SAFE]
        else:
            os.environ[_SAFE] = safe


def _is_current(entry: str) -> bool:
    try:
        return entry in ("", ".") or os.path.samefile(entry, os.curdir)
    except OSError:  # it is not there, or the current folder is gone
        return False
