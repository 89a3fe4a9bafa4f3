"""Arrays that stay in their file: dask reads of them what is computed, in whichever process that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import MicrographError, one_line
from temlib.files.contents import BLOCK, frame_chunks

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["Stored"]


@dataclass(frozen=True)
class Stored:
    """An array in a file: to dask an array, which opens the file anew, in whichever process it is asked.

    Attributes
    ----------
    path : path
        The file, or folder.
    shape, dtype : tuple of int, dtype
        Of the array.
    read : callable
        From the path and an index to that part of the array. A function of a module, for other processes to find.
    flaw : str
        What is said of a file that it cannot read.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[Path, Any], np.ndarray]
    flaw: str = "cannot be read"

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        try:
            return self.read(self.path, index)
        except MemoryError:
            raise
        except Exception as error:  # codecs raise anything
            raise MicrographError(f"{self.path.name}: {self.flaw} ({one_line(error)}); copy it again") from error

    def lazily(self, together: int = 1, block: int = BLOCK) -> da.Array:
        """Give it as a dask array, in chunks as of :func:`temlib.files.contents.frame_chunks`."""
        import dask.array

        empty = np.empty((0,) * self.ndim, self.dtype)  # without it dask reads to learn the type
        chunks = frame_chunks(self.shape, self.dtype, together, block)
        return dask.array.from_array(self, chunks, asarray=False, meta=empty)
