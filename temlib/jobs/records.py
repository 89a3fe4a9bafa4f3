"""What is temlib's own on a disk: by a record that bears its mark, held by one process at a time.

A batch, a movie and the label painter each write into a folder that may hold somebody else's files.
Each keeps a *record* there, a JSON file with temlib's mark that says what the results depend on and
which files they are. What no record names is somebody else's: it is not replaced unless that was
asked for, and never removed. While one process writes it holds a lock of the operating system,
which ends with the process. What somebody works on for hours is watched: a file that has changed since
it was read is not overwritten.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from temlib.errors import OutputError, RunError
from temlib.files.json_files import parse_json, read_bytes
from temlib.writing import is_temporary, remove_leftovers, write_text, writing_to

__all__ = ["MARK", "Record", "Watched", "alone", "is_marked", "record_in", "remove_unfinished", "unfinished"]

MARK = "temlib"
"""The key under which a JSON file says that it is temlib's, and what it is a record of."""

_LARGEST_RECORD = 2**28  # bytes: a million micrographs
_PATIENCE = 5  # s, with another widget that is just writing
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def alone(folder: Path, name: str = "", seconds: float = 0.2) -> Iterator[None]:
    """Hold a folder, or what has a name in it, so that no other process of temlib does.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    name : str
        Of what is held in the folder, where not all of it is.
    seconds : float
        To wait for another process that holds it.

    Raises
    ------
    RunError
        When another process holds it. One that was killed holds nothing.
    OutputError
        When the folder cannot be made or written into.
    """
    what = folder / name
    with writing_to(what):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".temlib-{_digest(os.fsencode(name))[:16] if name else 'folder'}.lock")
        try:
            lock.acquire(timeout=seconds)
        except Timeout as error:
            raise RunError(
                f"{what}: another process of temlib is writing there; let it end, or name another folder"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(f"{what}: this file system has no locks; start no second run there", stacklevel=3)
    try:
        yield
    finally:
        if lock.is_locked:
            _unlock(lock)


class Watched:
    """A text file of which is known whether it has changed since it was read, or was written last.

    Parameters
    ----------
    path : Path
        The file, which may not be there yet.

    Attributes
    ----------
    data : bytes or None
        What was read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.data = path, _bytes_of(path)
        self._seen = _digest(self.data)

    def changed(self) -> bool:
        """Say whether somebody else has written, or removed, the file."""
        return _digest(_bytes_of(self.path)) != self._seen

    @contextmanager
    def held(self, name: str, widget: str, overwrite: bool, instead: str = "") -> Iterator[None]:
        """Let a widget write what has a name in the file's folder, and no other process.

        Raises
        ------
        OutputError
            When the file has changed since it was read, and ``overwrite`` is false; ``instead`` says of what would
            replace it.
        """
        with alone(self.path.parent, name, _PATIENCE):
            if self.changed() and not overwrite:
                raise OutputError(
                    f"{self.path}: has changed since it was read, as by another {widget}; nothing was written: "
                    f"{widget}.reload() takes up what is there, {widget}.save(overwrite=True) replaces it{instead}"
                )
            yield

    def write(self, text: str) -> None:
        """Write the file."""
        write_text(self.path, text)
        self._seen = _digest(text.encode())


class Record:
    """A JSON file that bears temlib's mark.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        What it is a record of.

    Attributes
    ----------
    content : dict or None
        What it says; None where there is no file, or one that is not temlib's.
    foreign : bool
        Whether there is a file, or a link, that is not temlib's.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind
        self.content = None if path.is_symlink() else _marked(_bytes_of(path), kind)
        self.foreign = self.content is None and os.path.lexists(path)

    @property
    def kept(self) -> dict[str, Any]:
        """What it says beside the mark; nothing where there is no file, or one that is not temlib's."""
        return {key: value for key, value in (self.content or {}).items() if key != MARK}

    def write(self, content: dict[str, Any]) -> None:
        """Write what it says from now on, under temlib's mark."""
        self.content, self.foreign = {MARK: self.kind} | content, False
        write_text(self.path, json.dumps(self.content, indent=1) + "\n")


def record_in(folder: Path, name: str, kind: str) -> Record:
    """Look at the record of a folder for what is not finished, which need not be there.

    Raises
    ------
    RunError
        When what is there is a link, no folder, or one that temlib did not make.
    """
    record = Record(folder / name, kind)
    its_own = folder.is_dir() and not folder.is_symlink()
    if os.path.lexists(folder) and not (its_own and (record.content or all(map(is_temporary, folder.iterdir())))):
        raise RunError(
            f"{folder}: is in the way of the result and not written by this temlib; move it, or give --out another name"
        )
    return record


def unfinished(out: Path) -> Path:
    """Give the hidden folder beside a result in which it lies until all is done."""
    return out.with_name(f".{out.name}.partial")


def remove_unfinished(folder: Path, *names: str) -> None:
    """Remove what temlib made in a folder, its record named last, and the folder when nothing else is in it."""
    for path in (folder / name for name in names):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if folder.exists():
        remove_leftovers(folder)
        with suppress(OSError):
            folder.rmdir()


def is_marked(path: Path) -> bool:
    """Say whether a JSON file bears temlib's mark, of any kind."""
    return _marked(_bytes_of(path)) is not None


def _bytes_of(path: Path) -> bytes | None:
    return read_bytes(path, _LARGEST_RECORD) if path.is_file() else None


def _digest(data: bytes | None) -> str:
    return "" if data is None else sha256(data).hexdigest()


def _marked(data: bytes | None, kind: str | None = None) -> dict[str, Any] | None:
    try:
        content = parse_json(data or b"", _LARGEST_RECORD)
    except ValueError:
        return None
    return content if MARK in content and kind in (None, content[MARK]) else None


def _unlock(lock: FileLock) -> None:
    with suppress(OSError):  # while it is held, so that nobody holds a lock without a name; not so on Windows
        os.unlink(lock.lock_file)
    lock.release()
    if os.name == "nt":
        with suppress(OSError):
            os.unlink(lock.lock_file)
