"""Micrographs read and looked at by a network, here or ahead of time in other processes; nothing is written."""

from __future__ import annotations

import signal
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from temlib.errors import MicrographError, RunError, TemlibError, one_line, readable
from temlib.files.child_processes import without_current_folder
from temlib.files.micrographs import load_micrograph
from temlib.files.scale_bars.scale_labels import can_read
from temlib.network.segmenter import Scale
from temlib.network.workers import Parcel
from temlib.particles.placing import Found

__all__ = ["Look", "Seen", "looks"]


@dataclass(frozen=True)
class Seen:
    """What was seen in a micrograph.

    Attributes
    ----------
    image : signal of shape (height, width)
        The micrograph.
    note : str
        What was said on reading it.
    found : Found
        Its particles, marks left out.
    maps : float32 array of shape (height, width, 2)
        What the network says of each pixel.
    """

    image: Any
    note: str
    found: Found
    maps: np.ndarray


@dataclass(frozen=True)
class Look:
    """How micrographs are read and looked at: called with a file it gives what is :class:`Seen` there.

    Attributes
    ----------
    segmenter : Segmenter or Parcel
        What finds particles.
    scale, pixel_size_nm, scale_bar, signal
        See :func:`temlib.jobs.batch.segment_files`.
    """

    segmenter: Any
    scale: Scale
    pixel_size_nm: float | None
    scale_bar: bool
    signal: int | str | None = None

    def __call__(self, file: Path) -> Seen:
        """Look at a file."""
        image, note = self._load(file)
        try:
            segmenter = self.segmenter.open() if isinstance(self.segmenter, Parcel) else self.segmenter
            found, maps = segmenter.find(image, self.scale)
        except ValueError as error:
            raise MicrographError(f"{file}: {one_line(error, 500)}") from error
        return Seen(image, note, found, maps)

    def _load(self, file: Path) -> tuple[Any, str]:
        """Read a micrograph; give also what was said on reading it."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            read = partial(load_micrograph, file, self.pixel_size_nm, signal=self.signal)
            if read(lazy=True).data.ndim != 2:  # before a movie is read, larger than memory it may be
                raise MicrographError(f"{file}: is a movie; segment it by itself, with --out NAME.zspy")
            image = read(scale_bar=self.scale_bar and can_read())
        image.metadata.General.title = readable(image.metadata.General.title)
        told = [" ".join(str(warning.message).split()) for warning in said if warning.category is UserWarning]
        source = image.metadata.get_item("General.pixel_size_source", "")
        return image, "; ".join(
            [*dict.fromkeys(told), *([f"{file.name}: pixel size by its {source}"] if source else [])]
        )


def looks(look: Look, files: Sequence[Path], workers: int = 1) -> Generator[Callable[[], Seen]]:
    """Yield for each file in turn what gives what is seen in it, or raises why nothing is.

    Parameters
    ----------
    look : Look
        How.
    files : sequence of Path
        Micrographs.
    workers : int
        Processes that look ahead, one micrograph each and one more; with 1 each is looked at here, when asked for.
        They are started anew: a script that asks for them needs ``if __name__ == "__main__":``.

    Raises
    ------
    RunError
        When a process ends before its work is done.
    """
    if workers == 1 or len(files) < 2:
        yield from (partial(look, file) for file in files)
        return
    sent = replace(look, segmenter=look.segmenter.parcel())
    with without_current_folder(), ProcessPoolExecutor(workers, get_context("spawn"), _begin, (sent,)) as pool:
        rest = iter(files)
        waiting = deque(pool.submit(_told, file) for file in islice(rest, workers + 1))
        try:
            while waiting:
                told = waiting.popleft().result()
                waiting.extend(pool.submit(_told, file) for file in islice(rest, 1))
                yield partial(_taken_up, told)
        except BrokenProcessPool as error:
            raise RunError(f"a worker ended early, for want of memory? run again with fewer than {workers}") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_look: Look | None = None
"""In a worker: how it looks."""


def _begin(look: Look) -> None:
    """Keep how to look, in a worker; Ctrl-C in the terminal is for the process that started it."""
    global _look
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _look = look


def _told(file: Path) -> Seen | Exception:
    """Look at a file in another process; a signal travels as a dictionary."""
    try:
        assert _look is not None
        seen = _look(file)
    except Exception as error:  # readers of damaged files raise anything
        return _for_the_way(error)
    return replace(seen, image=seen.image._to_dictionary())


def _for_the_way(error: Exception) -> Exception:
    """Give an error that can be sent, with where it came from: one that cannot would take the worker with it."""
    ours = isinstance(error, TemlibError) or type(error).__module__ == "builtins"
    sent = error if ours else RuntimeError(f"{type(error).__name__}: {error}")
    sent.add_note(traceback.format_exc())
    return sent


def _taken_up(told: Seen | Exception) -> Seen:
    if isinstance(told, Exception):
        raise told
    from hyperspy.signals import Signal2D

    return replace(told, image=Signal2D(**told.image))
