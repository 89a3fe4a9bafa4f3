"""Inputs opened through temlib's doors in a process of their own, which is watched: code, time, memory, words."""

import multiprocessing
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

SECONDS, MEMORY = 60, 4 * 2**30
_PATIENCE = 600  # s: other processes may need the machine as well


@dataclass(frozen=True)
class Input:
    """A folder's content, and the door through which it is opened."""

    door: str
    name: str
    make: Callable[[Path], Any]


@dataclass(frozen=True)
class Outcome:
    """What came of opening it: what was given or said, or what should not be."""

    verdict: str  # "read", "refused", "error", "crash", "hang", "memory"
    message: str = ""
    noise: str = ""
    seconds: float = 0.0


def _file(folder: Path) -> Path:
    (file,) = (path for path in folder.iterdir() if path.stem == "a" or path.name.startswith("a."))
    return file


def _micrograph(folder: Path) -> None:
    import temlib

    np.asarray(temlib.load_micrograph(_file(folder)).data, dtype=float).sum()


def _lazy(folder: Path) -> None:
    import temlib

    np.asarray(temlib.load_micrograph(_file(folder), lazy=True).data[..., :8, :8])


def _labels(folder: Path) -> None:
    import temlib

    temlib.load_labels(_file(folder), (64, 80)).sum()


def _network(folder: Path) -> None:
    import temlib

    temlib.load_segmenter(_file(folder))


def _weights(folder: Path) -> None:
    from temlib.network import unet

    unet.encoder(_file(folder))


def _strokes(folder: Path) -> None:
    import temlib

    temlib.LabelPainter(_file(folder), folder / "labels")


def _batch(folder: Path) -> None:
    import temlib
    from temlib.jobs.batch import segment_files

    global _segmenter
    _segmenter = _segmenter or temlib.load_segmenter()
    segment_files([_file(folder)], folder / "out", _segmenter, progress=False, scale_bar=False)


def _run(folder: Path) -> None:
    from temlib.reproduction.run_folder import Run

    Run("simulated", "bundled", 2023, folder).record(epochs=2)


def _training(folder: Path) -> None:
    import keras

    from temlib.network.checkpoint import Checkpoint

    learner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    learner.compile("adam", "mse")
    Checkpoint(_file(folder), "this").restore([learner])


def _parameters(folder: Path) -> None:
    from temlib import cli

    cli._read_parameters(_file(folder))


_segmenter = None
DOORS: dict[str, Callable[[Path], None]] = {
    "micrograph": _micrograph,
    "lazy": _lazy,
    "labels": _labels,
    "network": _network,
    "weights": _weights,
    "strokes": _strokes,
    "batch": _batch,
    "run": _run,
    "training": _training,
    "parameters": _parameters,
}


class Watched:
    """A process that opens one input after the other, begun anew when one ends it."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.process: Any = None

    def open(self, door: str, folder: Path) -> Outcome:
        """Open an input; what takes too long or too much memory is ended."""
        if self.process is None:
            self._begin()
        written = self.log.stat().st_size
        self.pipe.send((door, folder))
        begun, spent, outcome = time.monotonic(), _seconds(self.process.pid), None
        while outcome is None:
            if self.pipe.poll(0.2):
                try:
                    outcome = self.pipe.recv()
                except EOFError:
                    self.process.join()
                    outcome = Outcome("crash", f"exit code {self.process.exitcode}")
            elif (taken := _memory(self.process.pid)) > MEMORY:
                outcome = Outcome("memory", f"{taken / 2**30:.1f} GB")
            elif _seconds(self.process.pid) > spent + SECONDS or time.monotonic() > begun + _PATIENCE:
                outcome = Outcome("hang")
        if outcome.verdict in ("crash", "hang", "memory"):
            self.end()
        noise = self.log.read_bytes()[written:].decode(errors="replace")
        return Outcome(outcome.verdict, outcome.message, noise, time.monotonic() - begun)

    def _begin(self) -> None:
        self.log.touch()
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, str(self.log)), daemon=True)
        self.process.start()
        other.close()
        self.pipe.recv()  # it has started

    def end(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def _memory(pid: int) -> int:
    """Give the memory of a process and those that it started."""
    return sum(_of(each, lambda process: process.memory_info().rss) for each in _family(pid))


def _seconds(pid: int) -> float:
    """Give the processor time of a process and those that it started."""
    return sum(_of(each, lambda process: sum(process.cpu_times()[:2])) for each in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    try:
        one = psutil.Process(pid)
        return [one, *one.children(recursive=True)]
    except psutil.Error:  # it has ended
        return []


def _of(process: psutil.Process, what: Callable[[psutil.Process], float]) -> float:
    try:
        return what(process)
    except psutil.Error:  # it has ended
        return 0


def _serve(pipe: Any, log: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, 16 * 2**30))  # for the machine's sake
    words = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(words, stream)
    warnings.simplefilter("ignore")
    from temlib.errors import TemlibError
    from temlib.network.backend import start_keras

    start_keras()
    pipe.send("started")
    while True:
        door, folder = pipe.recv()
        try:
            DOORS[door](folder)
            outcome = Outcome("read")
        except TemlibError as error:
            outcome = Outcome("refused", str(error))
        except BaseException:
            outcome = Outcome("error", traceback.format_exc()[-1200:])
        sys.stdout.flush()
        sys.stderr.flush()
        pipe.send(outcome)
