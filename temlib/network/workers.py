"""Segmenters sent to other processes: as the bytes of their file, loaded once in each process."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from multiprocessing import parent_process
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from temlib.network import tiling
from temlib.network.backend import limit_threads
from temlib.network.sought import Sought

__all__ = ["Parcel", "of_chunk", "segmenter_fingerprint"]


class Parcel:
    """A segmenter on its way to other processes: it travels as its ``.keras`` file, and is loaded once in each.

    In the process that it comes from it is the segmenter itself; elsewhere ``load`` makes one of its file.

    Attributes
    ----------
    key : str
        Of the segmenter: :func:`segmenter_fingerprint`.
    name : str
        What it is called in dask's plans.
    """

    _loaded: ClassVar[dict[str, Any]] = {}
    _lock: ClassVar[Lock] = Lock()

    def __init__(self, segmenter: Any, load: Callable[[Path, str], Any]) -> None:
        self.key = segmenter_fingerprint(segmenter)
        self.name = f"segmenter-{self.key}"
        self._segmenter = segmenter
        self._read = load
        self._runtime, self._sought = segmenter.runtime, segmenter.sought
        self._file = b""

    def open(self) -> Any:
        """Give the segmenter."""
        if self._segmenter is not None:
            return self._segmenter
        with self._lock:
            if self.key not in self._loaded:
                self._loaded.clear()  # a worker lives long: one network is in memory, not all it ever saw
                self._loaded[self.key] = self._load()
            return self._loaded[self.key]

    def _load(self) -> Any:
        threads = _threads()
        if threads is not None:
            limit_threads(threads)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "segmenter.keras"
            path.write_bytes(self._file)
            segmenter = self._read(path, "keras")
        network = tiling.start(segmenter.model, self._runtime, threads)
        return replace(segmenter, runtime=self._runtime, sought=self._sought, _network=tiling.Started(network))

    def __getstate__(self) -> dict[str, Any]:
        if not self._file and self._segmenter is not None:
            with tempfile.TemporaryDirectory() as folder:
                self._file = self._segmenter.save(Path(folder) / "segmenter.keras").read_bytes()
        return self.__dict__ | {"_segmenter": None}


def _threads() -> int | None:
    """Give the cores of this process: those of a dask worker, one in a pool of processes, else all (None)."""
    if "distributed" in sys.modules:
        from distributed import get_worker

        with suppress(ValueError):  # this is no worker
            return get_worker().state.nthreads
    return None if parent_process() is None else 1


def of_chunk(frames: np.ndarray, shared: Parcel, **settings: Any) -> np.ndarray:
    """Give the result of a chunk of frames; see :meth:`temlib.Segmenter.of_frames`."""
    return shared.open().of_frames(frames, **settings)[0]


def segmenter_fingerprint(segmenter: Any) -> str:
    """Give a sha256 of all that a segmenter's results depend on: weights, grey levels, what is sought and so on."""
    digest = sha256(b"".join(array.tobytes() for array in segmenter.model.get_weights()))
    settings = [segmenter.levels.to_dict(), segmenter.threshold, segmenter.pixel_size_nm, segmenter.runtime]
    settings += [segmenter.trust and segmenter.trust.to_dict()]
    settings += [] if segmenter.sought == Sought() else [segmenter.sought.to_dict()]
    scorer = getattr(segmenter, "scorer", None)  # what is no segmenter of temlib has none
    settings += [getattr(segmenter, "min_confidence", None)]
    digest.update(json.dumps(settings).encode())
    digest.update(scorer.digest() if scorer else b"")
    return digest.hexdigest()
