"""HDF5 files, looked through before they are read: nothing outside their folder, nothing that brings Python down.

The HDF5 library ends the whole process on some damaged files, which no ``except`` holds. So a small
process of its own looks through each file first: started once, it takes milliseconds a file. A file may take
long that has many parts; one over which the library stands still is given up.
"""

from __future__ import annotations

import atexit
import faulthandler
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from temlib.errors import MicrographError, one_line
from temlib.files.child_processes import python

__all__ = ["check_hdf5", "is_hdf5", "look_through", "serve"]

_SECONDS = 8.0  # of no progress: the library has lost its way
_SECONDS_TO_START = 60.0  # on a slow disk
_OFTEN = 0.25  # s between two words of progress
_MOST_PARTS = 1_000_000  # of a file: groups and arrays
_PROGRESS = "\n"  # from the helper; an answer is longer
_STOOD_STILL, _FAILED = 1, 3  # exit codes of the helper; the first is faulthandler's
_lock = threading.Lock()
_helper: tuple[int, subprocess.Popen] | None = None  # with the process that started it


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


def look_through(path: str | os.PathLike, progress: Callable[[], Any] = lambda: None) -> str:
    """Visit all of an HDF5 file but the numbers in its arrays; say what is wrong with it, or "" when nothing is.

    The HDF5 files that it refers to are looked through as well, each once. At each of its parts ``progress``
    is called.
    """
    first = Path(path).resolve()
    waiting, seen = [first], {first}
    while waiting:
        here = waiting.pop()
        flaw, further = _look_through_one(here, progress)
        if flaw:
            return flaw if here == first else f"{here.name}: {flaw}"
        new = {each for each in further if each.is_file()} - seen
        seen |= new
        waiting += sorted(new)
    return ""


def _look_through_one(path: Path, progress: Callable[[], Any]) -> tuple[str, set[Path]]:
    """Say what is wrong with a file, and which HDF5 files it refers to."""
    import h5py

    parts: list[tuple[str, str]] = []  # what is kept elsewhere, and in which file
    further: set[Path] = set()  # those that are HDF5 files too
    number = 0

    def follow(name: bytes, link: Any) -> None:
        progress()
        if link.type == h5py.h5l.TYPE_EXTERNAL:
            other = os.fsdecode(file.id.links.get_val(name)[0])
            parts.append((os.fsdecode(name), other))
            further.add(path.parent / other)

    def look(name: bytes, item: Any) -> None:
        nonlocal number
        progress()
        number += 1
        if number > _MOST_PARTS:
            raise ValueError(f"it has more than {_MOST_PARTS:,} parts")
        if item.type == h5py.h5o.TYPE_NAMED_DATATYPE:
            return
        identifier = h5py.h5o.open(file.id, name)
        if h5py.h5a.get_num_attrs(identifier):
            kind = h5py.Group if item.type == h5py.h5o.TYPE_GROUP else h5py.Dataset
            with suppress(TypeError, ValueError):  # of types that numpy does not know
                dict(kind(identifier).attrs)
        if item.type == h5py.h5o.TYPE_DATASET:
            note_storage(os.fsdecode(name), identifier)

    def note_storage(name: str, array: Any) -> None:
        made = array.get_create_plist()
        parts.extend((name, os.fsdecode(made.get_external(i)[0])) for i in range(made.get_external_count()))
        if made.get_layout() == h5py.h5d.VIRTUAL:
            sources = [made.get_virtual_filename(i) for i in range(made.get_virtual_count())]
            parts.extend((name, source) for source in sources)
            further.update(path.parent / source for source in sources if source != ".")

    try:
        with h5py.File(path) as file:
            file.id.links.visit(follow, info=True)
            h5py.h5o.visit(file.id, look, info=True)
    except Exception as error:  # the library's errors come as OSError, RuntimeError, KeyError and others
        return f"cannot be read ({one_line(error)}); check the file", set()
    for name, other in parts:
        if other != "." and path.parent not in (path.parent / other).resolve().parents:
            return f"{name} is kept in {other}, outside of its folder; put that file beside it", set()
    return "", {each.resolve() for each in further}


def serve() -> None:
    """Look through the files that are named on the input, a line of JSON each, until it ends; say how it goes on."""
    requests: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    import h5py  # noqa: F401

    last = 0.0

    def progress() -> None:
        nonlocal last
        if time.monotonic() > last + _OFTEN:
            last = time.monotonic()
            faulthandler.dump_traceback_later(_SECONDS, exit=True, file=nowhere)  # though the library holds the GIL
            _say(_PROGRESS)

    with open(os.devnull, "w") as nowhere:
        _say(_PROGRESS)
        while True:
            path, last = json.loads(requests.get()), 0.0
            progress()
            try:
                answer = look_through(path, progress)
            except BaseException:
                os._exit(_FAILED)
            faulthandler.cancel_dump_traceback_later()
            _say(json.dumps(answer) + "\n")


def _listen(requests: SimpleQueue[str]) -> None:
    """Take requests; end with the parent, also in the middle of work."""
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)


def _say(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _ask(path: str) -> str:
    """Let the helper look through a file; an answer that does not come is one."""
    helper = _start()
    if helper is None or helper.stdin is None or helper.stdout is None:
        return look_through(path)
    stood = False
    try:
        helper.stdin.write(json.dumps(path) + "\n")
        helper.stdin.flush()
        while (line := _line(helper, helper.stdout, _SECONDS)) == _PROGRESS:
            pass
    except OSError as error:
        line, stood = "", isinstance(error, TimeoutError)
    except BaseException:  # its answer is not to be taken for the next file's
        _stop()
        raise
    if line:
        return json.loads(line)
    code = helper.wait()
    _stop()
    stood = stood or code == _STOOD_STILL
    what = f"stood still for {_SECONDS:g} s" if stood else f"ended the process that looked into it ({code})"
    return f"cannot be read (the HDF5 library fails on it); it {what}; check the file, and its disk"


def _line(helper: subprocess.Popen, output: IO[str], seconds: float) -> str:
    """Read a line of the helper's, "" when it ended; one that says nothing for so long is ended (TimeoutError)."""
    gave_up = threading.Event()

    def give_up() -> None:
        gave_up.set()
        helper.kill()

    too_long = threading.Timer(seconds, give_up)
    too_long.start()
    try:
        line = output.readline()
    finally:
        too_long.cancel()
    if not line and gave_up.is_set():
        raise TimeoutError
    return line


def _start() -> subprocess.Popen | None:
    """Give the helper of this process; None where no process can be started."""
    global _helper
    if _helper is None or _helper[0] != os.getpid() or _helper[1].poll() is not None:
        _stop()
        pipe, nowhere, ready = subprocess.PIPE, subprocess.DEVNULL, False
        try:
            command = python("from temlib.files.hdf5.inspection import serve; serve()")
            started = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, text=True)
            _helper = os.getpid(), started
            ready = started.stdout is not None and _line(started, started.stdout, _SECONDS_TO_START) == _PROGRESS
        except (OSError, TypeError):  # no sys.executable, no more processes, or it says nothing
            pass
        if not ready:
            _stop()
    return _helper[1] if _helper else None


@atexit.register
def _stop() -> None:
    """End the helper; the next file starts another."""
    global _helper
    if _helper is not None and _helper[0] == os.getpid():
        _helper[1].kill()
        _helper[1].communicate()
    _helper = None


def _renew() -> None:
    """Begin anew in a process that was forked, perhaps while a thread of its parent held the lock."""
    global _lock, _helper
    _lock = threading.Lock()
    if _helper is not None:
        helper, _helper = _helper[1], None
        helper.returncode = 0  # the parent's, who waits for it
        with open(os.devnull, "r+b") as nowhere:
            for pipe in (helper.stdin, helper.stdout):
                if pipe is not None and not pipe.closed:  # else it would not see its parent's end
                    os.dup2(nowhere.fileno(), pipe.fileno(), inheritable=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
