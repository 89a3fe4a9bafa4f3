"""What the frozen encoder says of each view: computed once, kept in memory or in a file."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from temlib.network.backend import compiled
from temlib.progress import progress_bar

if TYPE_CHECKING:
    import keras

__all__ = ["cached_features", "free_memory"]


def free_memory() -> int:
    """Give the bytes of memory that are free for this process."""
    return psutil.virtual_memory().available


@contextmanager
def cached_features(
    encoder: keras.Model, windows: Iterable[np.ndarray], n: int, memory: int | None = None, progress: bool = True
) -> Iterator[list[np.ndarray]]:
    """Compute the frozen encoder's feature maps of each window, once.

    Parameters
    ----------
    encoder : keras.Model
        From :func:`temlib.network.unet.encoder`.
    windows : iterable of n float32 arrays, each of shape (size, size)
        Grey levels in [-1, 1]; read one batch at a time.
    n : int
        How many they are.
    memory : int, optional
        Bytes that the features may take in memory; by default a quarter of what is free. What
        needs more lies in a temporary file, which is deleted on leaving, also after an error.
    progress : bool
        Show a progress bar.

    Yields
    ------
    list of float16 arrays, one for each of the encoder's outputs, (n, height, width, channels)
    """
    memory = free_memory() // 4 if memory is None else memory
    compute = compiled(encoder)
    with (
        tempfile.TemporaryDirectory(prefix="temlib-features-", ignore_cleanup_errors=True) as folder,
        progress_bar(show=progress, total=n, desc="encoder features") as bar,
    ):
        features: list[np.ndarray] = []
        done = 0
        remaining = iter(windows)
        while batch := list(islice(remaining, 8)):
            maps = compute(np.repeat(np.stack(batch)[..., None], 3, axis=-1))
            if not features:
                features = _arrays([(n, *m.shape[1:]) for m in maps], memory, Path(folder))
            for array, computed in zip(features, maps, strict=True):
                array[done : done + len(batch)] = computed
            done += len(batch)
            bar.update(len(batch))
        try:
            yield features
        finally:
            features.clear()  # closes the files, which Windows does not delete while they are open


def _arrays(shapes: list[tuple[int, ...]], memory: int, folder: Path) -> list[np.ndarray]:
    size = np.dtype(np.float16).itemsize * sum(math.prod(shape) for shape in shapes)
    if size <= memory:
        return [np.empty(shape, np.float16) for shape in shapes]
    return [np.memmap(folder / f"{index}.float16", np.float16, "w+", shape=shape) for index, shape in enumerate(shapes)]
