"""HDF5 files, looked through before they are read: nothing outside their folder, nothing that brings Python down.

The HDF5 library ends the whole process on some damaged files, which no ``except`` holds. So a small
process of its own looks through each file first: started once, it takes milliseconds a file.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from temlib.errors import MicrographError, one_line

__all__ = ["check_hdf5", "is_hdf5", "look_through", "serve"]

_SECONDS = 8.0  # a file that takes longer to look through is damaged
_lock = threading.Lock()
_helper: tuple[int, subprocess.Popen] | None = None  # with the process that started it, which may have forked since


def check_hdf5(path: str | os.PathLike) -> None:
    """Refuse an HDF5 file that is damaged, or whose parts lie in files outside its own folder.

    Raises
    ------
    MicrographError
        When it is no HDF5, when the library stumbles over it or does not come back, when a link, a
        virtual array or external storage leads out of the folder.
    """
    path = Path(path)
    with _lock:
        flaw = _ask(os.fspath(path.resolve()))
    if flaw:
        raise MicrographError(f"{path.name}: {flaw}")


def is_hdf5(path: str | os.PathLike) -> bool:
    """Say whether a file has the signature of HDF5, whatever its name."""
    import h5py

    return Path(path).is_file() and bool(h5py.is_hdf5(path))


def look_through(path: str | os.PathLike, seen: frozenset[Path] = frozenset()) -> str:
    """Visit all of an HDF5 file but the numbers in its arrays; say what is wrong with it, or "" when nothing is.

    The HDF5 files that it refers to are looked through as well; ``seen`` are those that lead here.
    """
    import h5py

    path = Path(path).resolve()
    parts: list[tuple[str, str]] = []  # what is kept elsewhere, and in which file
    further: set[Path] = set()  # those that are HDF5 files too

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.ExternalLink):
            parts.append((name, item.filename))
            further.add(path.parent / item.filename)
        elif isinstance(item, h5py.Dataset):
            parts.extend((name, os.fsdecode(entry[0])) for entry in item.external or [])
            sources = [source.file_name for source in (item.virtual_sources() if item.is_virtual else [])]
            parts.extend((name, source) for source in sources)
            further.update(path.parent / source for source in sources if source != ".")
        if isinstance(item, (h5py.Dataset, h5py.Group)):
            with suppress(TypeError, ValueError):  # of types that numpy does not know
                dict(item.attrs)

    try:
        with h5py.File(path) as file:
            file.visititems_links(look)
            file.visititems(look)
    except Exception as error:  # the library's errors come as OSError, RuntimeError, KeyError and others
        return f"cannot be read ({one_line(error)}); check the file"
    for name, other in parts:
        if other != "." and path.parent not in (path.parent / other).resolve().parents:
            return f"{name} is kept in {other}, outside of its folder; put that file beside it"
    for file_beside in sorted({each.resolve() for each in further} - seen - {path}):
        flaw = look_through(file_beside, seen | {path}) if file_beside.is_file() else ""
        if flaw:
            return f"{file_beside.name}: {flaw}"
    return ""


def serve() -> None:
    """Look through the files that are named on the input, a line of JSON each, until it ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(look_through(json.loads(line))) + "\n")
        sys.stdout.flush()


def _ask(path: str) -> str:
    """Let the helper look through a file; an answer that does not come is one."""
    helper = _start()
    if helper is None or helper.stdin is None or helper.stdout is None:
        return look_through(path)
    too_long = threading.Timer(_SECONDS, helper.kill)
    too_long.start()
    try:
        helper.stdin.write(json.dumps(path) + "\n")
        helper.stdin.flush()
        answer = helper.stdout.readline()
    except OSError:
        answer = ""
    finally:
        too_long.cancel()
    if answer:
        return json.loads(answer)
    _stop()
    return "cannot be read (the HDF5 library fails on it); check the file"


def _start() -> subprocess.Popen | None:
    """Give the helper of this process; None where no process can be started."""
    global _helper
    if _helper is None or _helper[0] != os.getpid() or _helper[1].poll() is not None:
        code = "from temlib.files.hdf5 import serve; serve()"
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        try:
            started = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=nowhere, text=True)
            _helper = os.getpid(), started
        except (OSError, TypeError):  # no sys.executable, or no more processes
            return None
    return _helper[1]


@atexit.register
def _stop() -> None:
    """End the helper; the next file starts another."""
    global _helper
    if _helper is not None and _helper[0] == os.getpid():
        _helper[1].kill()
        _helper[1].communicate()
    _helper = None
