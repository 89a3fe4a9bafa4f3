"""A movie's result while it is made: whole files only, whenever its process is killed.

Until all is done the result lies in a hidden folder beside where it will be, ``.NAME.zspy.partial``:
``settings.json``, what the result depends on, under temlib's mark; ``result.zspy``, laid out at full
size; and ``done/``, a small file for each chunk, written after the chunk itself. Every file is written
under a temporary name and renamed. Then the result is renamed, and the folder goes. A folder, or a link,
of that name without the mark is not touched (:mod:`temlib.jobs.records`).
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import RunError, TemlibError
from temlib.files.json_files import read_json
from temlib.files.stacks import like
from temlib.jobs.records import MARK, record_in, remove_unfinished, unfinished
from temlib.network.segmenter import RESULTS
from temlib.writing import remove_leftovers, write_table, write_text, writing_to

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = ["SUFFIX", "MovieResult"]

SUFFIX = ".zspy"
"""Of a movie's result."""

_KIND = "a movie's result under way, 1"
_RECORD, _DONE, _RESULT, _NEW, _REPLACED = "settings.json", "done", f"result{SUFFIX}", f"new{SUFFIX}", "replaced"
_OVERWRITE = "pass overwrite=True (--overwrite)"


@dataclass(frozen=True)
class MovieResult:
    """Where a movie's result goes, and where it lies until it is done.

    Attributes
    ----------
    out : str
        Its path, under a name that every worker knows.
    what : str
        What it holds of each frame: a key of :data:`temlib.network.segmenter.RESULTS`.
    """

    out: str
    what: str

    @property
    def folder(self) -> Path:
        """Where it lies until it is done."""
        return unfinished(Path(self.out))

    @property
    def table(self) -> Path:
        """Where the table of frames goes."""
        return Path(self.out).with_suffix(".csv")

    def begin(self, settings: dict[str, Any], first: Signal2D, frames: int, overwrite: bool) -> set[int]:
        """Lay the result out, or find what an earlier run did; give the chunks that are done.

        Parameters
        ----------
        settings : dict
            What the result depends on, as JSON can hold it.
        first : lazy signal
            The frames of the first chunk.
        frames : int
            Of the movie.
        overwrite : bool
            Replace what a run with other settings left, and a table that is there.

        Raises
        ------
        RunError
            When there is such a rest or table, or something else is in the way.
        OutputError
            When nothing can be written.
        """
        record, settings = record_in(self.folder, _RECORD, _KIND), json.loads(json.dumps(settings))
        begun, kept = (self.folder / _RESULT).exists(), record.kept
        if begun and kept != settings and not overwrite:
            raise RunError(
                f"{self.folder}: holds what is left of a run with another movie, network or settings; "
                f"delete it, or {_OVERWRITE}"
            )
        if not begun or kept != settings:  # another run's, or killed before it began or after it ended
            if not kept and os.path.lexists(self.table) and not overwrite:
                raise RunError(f"{self.table}: exists already; {_OVERWRITE} to replace it")
            with writing_to(self.out):
                self._remove()
                record.write(settings)
                (self.folder / _DONE).mkdir()
                self._lay_out(first, frames, settings)
        remove_leftovers(self.folder)
        return {int(path.stem) for path in (self.folder / _DONE).glob("[0-9]*.json")}

    def write(self, chunk: int, part: slice, result: np.ndarray, columns: dict[str, list]) -> None:
        """Write a chunk, and then that it is done, with a value for each of its frames in each column.

        Raises
        ------
        OutputError
            When nothing can be written.
        """
        with writing_to(self.out):
            _array(self.folder / _RESULT)[part] = result
            write_text(self.folder / _DONE / f"{chunk}.json", json.dumps(columns))

    def finish(self, parts: Sequence[slice]) -> pd.DataFrame:
        """Write the table of frames, and give the result its name.

        Parameters
        ----------
        parts : sequence of slice
            The frames of each chunk.
        """
        import pandas as pd

        rows = []
        for chunk, part in enumerate(parts):
            path, frames = self.folder / _DONE / f"{chunk}.json", range(part.start, part.stop)
            columns = read_json(path, error=RunError)
            if any(not isinstance(column, list) or len(column) != len(frames) for column in columns.values()):
                raise RunError(f"{path}: is not of this movie; delete it, and run again")
            rows.append(pd.DataFrame({"frame": frames, **columns}))
        table = pd.concat(rows, ignore_index=True).astype({"expected_iou": float})
        write_table(self.table, table)
        with writing_to(self.out):
            if os.path.lexists(self.out):
                os.replace(self.out, self.folder / _REPLACED)
            os.replace(self.folder / _RESULT, self.out)
            self._remove()
        return table

    def _remove(self) -> None:
        remove_unfinished(self.folder, _RESULT, _NEW, _REPLACED, _DONE, _RECORD)

    def _lay_out(self, first: Signal2D, frames: int, settings: dict[str, Any]) -> None:
        """Write a result of full size that holds no chunk yet: one of the first chunk, made longer."""
        try:
            import zarr
        except ImportError as error:
            raise TemlibError("there is no zarr to write a .zspy with: pip install 'temlib[cluster]'") from error
        import dask.array

        path, shape = self.folder / _NEW, first.data.shape
        nothing = dask.array.zeros(shape, dtype=RESULTS[self.what], chunks=shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # zarr on its own next version
            like(first, nothing, self.what).save(path, chunks=shape, show_progressbar=False)
        (group,) = zarr.open_group(str(path))["Experiments"].groups()
        group[1]["data"].resize(frames, *shape[1:])
        group[1]["axis-0"].attrs["size"] = frames
        zarr.open_group(str(path)).attrs[MARK] = settings
        zarr.consolidate_metadata(str(path))
        os.replace(path, self.folder / _RESULT)


def _array(path: Path) -> Any:
    import zarr

    (group,) = zarr.open_group(str(path), mode="r+")["Experiments"].groups()
    return group[1]["data"]
