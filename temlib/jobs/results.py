"""What is temlib's own on a disk: by a record that bears its mark, held by one process at a time.

A batch, a movie and the label painter each write into a folder that may hold somebody else's files.
Each keeps a *record* there, a JSON file with temlib's mark that says what the results depend on and
which files they are. What no record names is somebody else's: it is not replaced unless that was
asked for, and never removed. While one process writes it holds a lock of the operating system,
which ends with the process. A record that has changed since it was read is not overwritten.
"""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from temlib.errors import RunError
from temlib.writing import remove_leftovers, write_text, writing_to

__all__ = ["MARK", "OF_ALL", "OF_EACH", "PAINTED", "BatchFolder", "Record", "alone", "is_marked", "results_in"]

MARK, _FILES = "temlib", "files"
_BATCH = "results of temlib segment, 1"  # another number when what lies in the folder changes
_RECORD = "settings.json"
_LARGEST_RECORD = 2**28  # bytes: a million micrographs
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_WAYS_OUT = "name another folder, or overwrite it (--overwrite)"
OF_EACH = (
    *("_mask.png", "_labels.tif", "_particles.csv", "_overlay.png"),
    *("_report.png", "_report.pdf", "_report.json"),
)
OF_ALL = ("micrographs.csv", "particles.csv", "distribution.csv")
PAINTED = ("_strokes.json", "_scribbles.png", "_start.png", "_painted.tif")
"""What the label painter adds to the name of a micrograph (:mod:`temlib.widgets.painting`)."""


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


class Record:
    """A JSON file that bears temlib's mark, and is not overwritten when it has changed since it was read.

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
        data = _bytes_of(path)
        self._seen = _digest(data)
        self.content = _marked(data, kind)
        self.foreign = self.content is None and os.path.lexists(path)

    def changed(self) -> bool:
        """Say whether the file is another one than was read, or written last."""
        return _digest(_bytes_of(self.path)) != self._seen

    def write(self, content: dict[str, Any]) -> None:
        """Write what it says from now on, under temlib's mark."""
        text = json.dumps({MARK: self.kind} | content, indent=1) + "\n"
        write_text(self.path, text)
        self._seen, self.content, self.foreign = _digest(text.encode()), json.loads(text), False


class BatchFolder:
    """The folder that a batch writes into: ``settings.json`` tells its own files from others.

    Parameters
    ----------
    folder : Path
        To write into.
    settings : dict
        What results depend on, as JSON can hold it.
    overwrite : bool
        Replace results of other settings, and files that are not temlib's.

    Raises
    ------
    RunError
        When the results that lie there depend on something else, or files under the names of a
        batch's tables are not temlib's, and ``overwrite`` is false.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], overwrite: bool = False) -> None:
        self.folder, self._settings, self._overwrite = folder, settings, overwrite
        self._record = Record(folder / _RECORD, _BATCH)
        self._own = set(_files(self._record.content))
        if self._record.foreign and not overwrite:
            raise RunError(f"{self._record.path}: was not written by this temlib; {_WAYS_OUT}")
        kept = {key: value for key, value in (self._record.content or {}).items() if key not in (MARK, _FILES)}
        if kept and kept != settings and not overwrite:
            raise RunError(f"{folder}: holds results of another network or other settings; {_WAYS_OUT}")
        remove_leftovers(folder)
        self._claim(OF_ALL)
        if kept != settings:  # before the new settings: a run killed in between must not take old results for its own
            with writing_to(folder / OF_ALL[0]):
                (folder / OF_ALL[0]).unlink(missing_ok=True)
        self._keep()

    def claim(self, names: Iterable[str], inputs: Sequence[Path]) -> None:
        """Make the files of micrographs temlib's own, before the first of them is written.

        Raises
        ------
        RunError
            When one of them is there and somebody else's, and ``overwrite`` is false; when one is a
            folder, or one of ``inputs``.
        """
        files = [f"{name}{ending}" for name in names for ending in OF_EACH]
        read = {os.path.abspath(file) for file in inputs}
        for file in (self.folder / file for file in files):
            if os.path.abspath(file) in read:
                raise RunError(f"{file}: is read, and would be replaced; name another folder to write into")
        self._claim(files)
        self._keep()

    def forget(self, name: str, but: Collection[Path] = ()) -> None:
        """Remove the files of a micrograph that are temlib's own, except some."""
        for file in (f"{name}{ending}" for ending in OF_EACH):
            if file in self._own and self.folder / file not in but:
                with writing_to(self.folder / file):
                    (self.folder / file).unlink(missing_ok=True)

    def _claim(self, files: Iterable[str]) -> None:
        files = [file for file in files if file not in self._own]
        foreign = [file for file in files if os.path.lexists(self.folder / file)]
        folders = [file for file in foreign if (self.folder / file).is_dir()]
        if folders or (foreign and not self._overwrite):
            more = f" (as {len(foreign) - 1} more)" if len(foreign) > 1 else ""
            way = "name another folder" if folders else _WAYS_OUT
            raise RunError(f"{self.folder / (folders or foreign)[0]}: is there, and not written by temlib{more}; {way}")
        self._own.update(files)

    def _keep(self) -> None:
        content = self._settings | {_FILES: sorted(self._own)}
        if self._record.content != {MARK: _BATCH} | content:
            self._record.write(content)


def results_in(folder: Path) -> set[str]:
    """Name what lies in a folder and is temlib's own: of batches, movies and the label painter."""
    there = set(os.listdir(folder))
    record = Record(folder / _RECORD, _BATCH)
    own = {*_files(record.content), *((_RECORD,) if record.content else ())}
    for name in there:
        if name.endswith(PAINTED[0]):
            own.update(name.removesuffix(PAINTED[0]) + ending for ending in PAINTED)
        elif name.endswith(".zspy") and is_marked(folder / name / ".zattrs"):
            own.update((name, f"{name.removesuffix('.zspy')}.csv"))
    return own & there


def is_marked(path: Path) -> bool:
    """Say whether a JSON file bears temlib's mark, of any kind."""
    return _marked(_bytes_of(path)) is not None


def _files(content: dict[str, Any] | None) -> list[str]:
    files = (content or {}).get(_FILES, [])
    return [file for file in files if isinstance(file, str)] if isinstance(files, list) else []


def _bytes_of(path: Path) -> bytes | None:
    """Read a file that is no link and no larger than a record can be."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST_RECORD:
        return None
    return path.read_bytes()


def _digest(data: bytes | None) -> str:
    return "" if data is None else sha256(data).hexdigest()


def _marked(data: bytes | None, kind: str | None = None) -> dict[str, Any] | None:
    try:
        content = json.loads(data or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or MARK not in content:
        return None
    return content if kind in (None, content[MARK]) else None


def _unlock(lock: FileLock) -> None:
    with suppress(OSError):  # while it is held, so that nobody holds a lock without a name; not so on Windows
        os.unlink(lock.lock_file)
    lock.release()
    if os.name == "nt":
        with suppress(OSError):
            os.unlink(lock.lock_file)
