"""Write files whole or not at all: under another name first, which is renamed when all is there."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temlib.errors import MicrographError, OutputError, one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "check_suffix",
    "is_temporary",
    "remove_leftovers",
    "reserve",
    "write_atomically",
    "write_folder",
    "write_new",
    "write_table",
    "write_text",
    "writing_to",
]

_HOST = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:40]
_TEMPORARY = re.compile(r"\.temlib-(?P<process>\d{1,9})-(?P<host>[A-Za-z0-9._]*)-\d+(\.[^.]+)?")
_NUMBERS = count()


@contextmanager
def writing_to(path: str | os.PathLike) -> Iterator[None]:
    """Say of whatever the operating system refuses within that this file, or folder, cannot be written.

    Raises
    ------
    OutputError
        When the disk is full, or the folder cannot be made or written into.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or one_line(error)
        way = "free some space, or name a folder that can be written into" if error.errno else "take another format"
        raise OutputError(f"{path}: cannot be written ({reason}); {way}") from error


def write_atomically(path: str | os.PathLike, write: Callable[[Path], Any]) -> Path:
    """Call ``write(temporary_path)`` and rename the result to ``path``: all of it or nothing.

    The temporary name, ``.temlib-PROCESS-HOST-NUMBER``, lies in the same folder and keeps the suffix,
    by which writers choose their format. The folder is made where it is missing; a file of that name
    is replaced, of a link the link itself.

    Raises
    ------
    OutputError
        When the disk is full, or the folder cannot be made or written into.
    """
    path = Path(path)
    temporary = _beside(path)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _beside(path: Path) -> Path:
    """Give a temporary name in the folder of a path."""
    return path.with_name(f".temlib-{os.getpid()}-{_HOST}-{next(_NUMBERS)}{path.suffix}")


def write_folder(path: str | os.PathLike, write: Callable[[Path], Any]) -> Path:
    """Call ``write(temporary_folder)`` and rename that to ``path``, an empty folder or not there: all of it or nothing.

    Raises
    ------
    OutputError
        When the disk is full, or the folder cannot be made or written into.
    """
    path = Path(path)
    whole = Path(os.path.realpath(path))
    temporary = _beside(whole)
    with writing_to(path):
        whole.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(whole.parent)
        try:
            temporary.mkdir()
            write(temporary)
            if whole.is_dir():
                whole.rmdir()
            os.replace(temporary, whole)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def check_suffix(path: str | os.PathLike, *allowed: str) -> None:
    """Refuse a name that does not end in one of some suffixes."""
    if Path(path).suffix.lower() not in allowed:
        raise MicrographError(f"{path}: the name must end in {' or '.join(allowed)}; rename it")


def write_new(path: str | os.PathLike, overwrite: bool, write: Callable[[Path], Any]) -> Path:
    """Write a file that is not there yet, unless asked to replace it; see :func:`write_atomically`."""
    if Path(path).exists() and not overwrite:
        raise MicrographError(f"{path}: exists already; pass overwrite=True to replace it")
    return write_atomically(path, write)


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a text as UTF-8; see :func:`write_atomically`."""
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_table(path: str | os.PathLike, table: pd.DataFrame, float_format: str = "%.6g") -> Path:
    """Write a table as csv, without its index; see :func:`write_atomically`."""
    return write_atomically(path, lambda temporary: table.to_csv(temporary, index=False, float_format=float_format))


def is_temporary(path: Path) -> bool:
    """Say whether a file is one that :func:`write_atomically` has not finished, of any process."""
    return bool(_TEMPORARY.fullmatch(path.name)) and path.is_file() and not path.is_symlink()


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove what was left half-written in a folder, file or folder, because its process, on this host, died."""
    import psutil

    for path in Path(folder).glob(".temlib-*"):
        name = _TEMPORARY.fullmatch(path.name)
        if not name or name["host"] != _HOST or psutil.pid_exists(int(name["process"])):
            continue
        if is_temporary(path):
            path.unlink(missing_ok=True)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def reserve(path: Path, size: int) -> None:
    """Make sure that there is room: the HDF5 library, once it has found a disk full, may bring Python down later."""
    with open(path, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        elif shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
