"""A batch's folder of results, and what else in any folder temlib wrote."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from temlib.errors import RunError
from temlib.jobs.records import Record, is_marked
from temlib.writing import remove_leftovers, writing_to

__all__ = ["OF_ALL", "OF_EACH", "PAINTED", "BatchFolder", "results_in"]

OF_EACH = (
    *("_mask.png", "_labels.tif", "_particles.csv", "_overlay.png"),
    *("_report.png", "_report.pdf", "_report.json"),
)
"""What a batch adds to the name of a micrograph."""

OF_ALL = ("micrographs.csv", "particles.csv", "distribution.csv")
"""The tables of a batch."""

PAINTED = ("_strokes.json", "_scribbles.png", "_start.png", "_painted.tif")
"""What the label painter adds to the name of a micrograph (:mod:`temlib.widgets.painting`)."""

_RECORD, _FILES = "settings.json", "files"
_BATCH = "results of temlib segment, 1"  # another number when what lies in the folder changes
_WAYS_OUT = "name another folder, or overwrite it (--overwrite)"


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
        self._own = _files(self._record)
        if self._record.foreign and not overwrite:
            raise RunError(f"{self._record.path}: was not written by this temlib; {_WAYS_OUT}")
        kept = {key: value for key, value in self._record.kept.items() if key != _FILES}
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
        if self._record.kept != content:
            self._record.write(content)


def results_in(folder: Path) -> set[str]:
    """Name what lies in a folder and is temlib's own: of batches, movies and the label painter."""
    there = set(os.listdir(folder))
    record = Record(folder / _RECORD, _BATCH)
    own = _files(record) | ({_RECORD} if record.content else set())
    for name in there:
        if name.endswith(PAINTED[0]):
            own.update(name.removesuffix(PAINTED[0]) + ending for ending in PAINTED)
        elif name.endswith(".zspy") and is_marked(folder / name / ".zattrs"):
            own.update((name, f"{name.removesuffix('.zspy')}.csv"))
    return own & there


def _files(record: Record) -> set[str]:
    files = record.kept.get(_FILES)
    return {file for file in files if isinstance(file, str)} if isinstance(files, list) else set()
