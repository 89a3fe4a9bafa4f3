"""Particles followed through a movie of any length: a table written chunk by chunk, and resumed after a crash.

Until all is done it lies in a hidden folder beside where it will be, ``.NAME.csv.partial``: ``settings.json``, what it
depends on, under temlib's mark; ``rows.csv``, which grows; and ``state.json``, what the tracker knows after the last
chunk, and how long ``rows.csv`` was then. What a killed process wrote beyond that is cut off.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from io import StringIO
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from temlib.errors import MicrographError, RunError, one_line
from temlib.files.json_files import read_json
from temlib.files.stacks import whole_frames
from temlib.jobs.challenge import check_folder, export_tracks
from temlib.jobs.movies import Movie
from temlib.jobs.records import alone, record_in, remove_unfinished, unfinished
from temlib.particles.tracking import EVENTS, Rows, Tracker, Tracking, joined, open_numbered, open_stack
from temlib.progress import progress_bar
from temlib.writing import remove_leftovers, write_text, writing_to

__all__ = ["track_movie"]

_KIND = "a movie's tracks under way, 2"
_RECORD, _ROWS, _STATE = "settings.json", "rows.csv", "state.json"
_OVERWRITE = "pass overwrite=True (--overwrite)"


def track_movie(
    particles: str | os.PathLike,
    out: str | os.PathLike,
    frames: str | os.PathLike | None = None,
    *,
    signal: int | str | None = None,
    pixel_size_nm: float | None = None,
    seconds: float | None = None,
    reach_px: float | None = None,
    gap: int = 2,
    chunk: int | None = None,
    challenge: str | os.PathLike | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Write the table of :func:`temlib.track_particles` for a movie of any length; go on where it was stopped.

    Each frame is read once. The memory is that of a chunk, and of the particles of the last few frames.

    Parameters
    ----------
    particles : path
        Numbered frames, as ``temlib segment MOVIE --particles`` writes them.
    out : path
        The table, ending in ``.csv``. Its numbers have six digits.
    frames : path, optional
        The movie, from which the drift of the stage is found.
    signal : int or str, optional
        Number or title of the movie where ``frames`` hold several; see :func:`temlib.load_micrograph`.
    pixel_size_nm, seconds, reach_px, gap
        See :func:`temlib.track_particles`.
    chunk : int, optional
        Frames that are read together; see :func:`temlib.jobs.movies.segment_movie`.
    challenge : path, optional
        A folder into which the tracks are exported before ``out`` has its name; see
        :func:`temlib.jobs.challenge.export_tracks`.
    overwrite : bool
        Replace ``out``, and what is left of a run with other settings.
    progress : bool
        Show a progress bar.

    Returns
    -------
    dict
        ``frames``, ``tracks``, and how often each of :data:`temlib.particles.tracking.EVENTS` happened.

    Raises
    ------
    MicrographError
        When these are no numbered frames, ``frames`` are of another shape, or the tracks are too many to export;
        then the table is written all the same.
    RunError
        When ``out`` exists, an earlier run had other settings, another process writes it, something that is not
        temlib's is in the way, or a chunk cannot be read; what is done is kept.
    OutputError
        When nothing can be written, as on a full disk, or ``challenge`` is not empty.
    """
    out = Path(out)
    if challenge is not None:
        check_folder(challenge)
    if out.suffix != ".csv":
        raise RunError(f"{out}: tracks are written under a name that ends in .csv")
    if os.path.lexists(out) and not overwrite:
        raise RunError(f"{out}: exists already; {_OVERWRITE} to replace it")
    if signal is not None and frames is None:
        raise RunError(f"signal={signal!r} chooses among movies of one file; name that file, too (--frames)")
    open_numbered(particles)
    if frames is not None and open_stack(frames, signal).data.ndim != 3:
        raise MicrographError(f"{frames}: is one image, not a movie; name the movie in which particles were found")
    numbered = Movie.of(particles, pixel_size_nm, chunk)
    movie = None if frames is None else Movie.of(frames, pixel_size_nm, chunk, signal)
    if movie is not None and movie.shape != numbered.shape:
        raise MicrographError(
            f"{frames}: has frames of shape {movie.shape}, {particles} of {numbered.shape}; name those of one movie"
        )
    files = [numbered.open(), *([] if movie is None else [movie.open()])]
    how = Tracking.of(files, None, seconds, reach_px, gap)
    job = _Job(out.absolute(), numbered, movie, how)
    with alone(out.parent, out.name):
        return job.run(overwrite, progress, challenge)


@dataclass(frozen=True)
class _Job:
    """What is done: the numbered frames and those of the movie, how, and whereto."""

    out: Path
    numbered: Movie
    movie: Movie | None
    how: Tracking

    @property
    def folder(self) -> Path:
        """Where the table lies until it is done."""
        return unfinished(self.out)

    def run(self, overwrite: bool, progress: bool, challenge: str | os.PathLike | None = None) -> dict[str, int]:
        """Track what is left, export it where that is asked for, and give the table its name."""
        self._begin(overwrite)
        tracker, counts, written = self._state()
        with writing_to(self.out), open(self.folder / _ROWS, "ab") as rows:
            rows.truncate(written)
            rows.seek(written)
            parts = list(self._parts(tracker.frame + 1))
            for part in progress_bar(parts, show=progress, total=len(parts), desc="chunks"):
                images = repeat(None) if self.movie is None else self._read(self.movie, part)
                _append(rows, self._follow(tracker, self._read(self.numbered, part), images), counts)
                self._keep(tracker, counts, rows)
            _append(rows, tracker.finish(), counts)
        try:
            if challenge is not None:
                export_tracks(self.folder / _ROWS, self.numbered.path, challenge)
        except MicrographError:  # these tracks never fit into that format
            self._finish()
            raise
        self._finish()
        return {"frames": self.numbered.shape[0], "tracks": tracker.begun, **{name: counts[name] for name in EVENTS}}

    def _finish(self) -> None:
        """Give the table its name."""
        with writing_to(self.out):
            os.replace(self.folder / _ROWS, self.out)
            self._remove()

    def _follow(self, tracker: Tracker, labels: np.ndarray, images: Any) -> list[Rows]:
        """Take the frames of a chunk; give the rows in which nothing will change any more."""
        try:
            return [rows for pair in zip(labels, images, strict=False) for rows in tracker.add(*pair)]
        except MicrographError as error:
            if not (self.folder / _STATE).exists():
                self._remove()  # nothing is done that could be gone on with
            raise MicrographError(f"{self.numbered.path}: {error}") from error

    def _begin(self, overwrite: bool) -> None:
        """Make the folder, or find that of an earlier run."""
        folder, record = self.folder, record_in(self.folder, _RECORD, _KIND)
        told = {"particles": asdict(self.numbered), "movie": self.movie and asdict(self.movie), "how": asdict(self.how)}
        told = json.loads(json.dumps(told | {"version": version("temlib")}))
        if record.kept and record.kept != told and not overwrite:
            raise RunError(
                f"{folder}: holds what is left of a run with another movie or settings; delete it, or {_OVERWRITE}"
            )
        with writing_to(self.out):
            if record.kept != told:
                self._remove()
                record.write(told)
            remove_leftovers(folder)

    def _state(self) -> tuple[Tracker, Counter[str], int]:
        """Give what an earlier run knew: the tracker, what it counted, and how many bytes it wrote."""
        path = self.folder / _STATE
        if not path.exists():
            return Tracker(self.how), Counter(), 0
        kept = read_json(path, path.stat().st_size, error=RunError)  # temlib's own, of any size
        try:
            read = self._frame if self.movie is not None else None
            return Tracker.from_dict(self.how, kept["tracker"], read), Counter(kept["counts"]), kept["bytes"]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RunError(f"{path}: is not of this movie; delete {self.folder}, and run again") from error

    def _parts(self, begin: int) -> Iterator[slice]:
        """Give the chunks that are left, those of the file with more frames in one."""
        step = max(which.frames for which in (self.numbered, self.movie) if which is not None)
        for first in range(begin, self.numbered.shape[0], step):
            yield slice(first, min(first + step, self.numbered.shape[0]))

    def _frame(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Read the grey levels and labels of one frame."""
        assert self.movie is not None
        one = slice(number, number + 1)
        return self._read(self.movie, one)[0], self._read(self.numbered, one)[0]

    def _read(self, movie: Movie, part: slice) -> np.ndarray:
        try:
            return whole_frames(movie.open())[part].compute(scheduler="synchronous")
        except Exception as error:  # its reader raises anything
            raise RunError(
                f"{movie.path}: frames {part.start} to {part.stop - 1} cannot be read ({one_line(error)}); what is "
                "done is kept"
            ) from error

    def _keep(self, tracker: Tracker, counts: Counter[str], rows: Any) -> None:
        """Note how far it is, when the rows are on the disk."""
        rows.flush()
        os.fsync(rows.fileno())
        state = {"tracker": tracker.to_dict(), "counts": counts, "bytes": rows.tell()}
        write_text(self.folder / _STATE, json.dumps(state))

    def _remove(self) -> None:
        remove_unfinished(self.folder, _STATE, _ROWS, _RECORD)


def _append(file: Any, rows: list[Rows], counts: Counter[str]) -> None:
    """Write the rows of some frames, with the names of the columns where they are the first."""
    if not rows:
        return
    columns, text = joined(rows), StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if file.tell() == 0:
        writer.writerow(columns)
    writer.writerows(zip(*map(_words, columns.values()), strict=True))
    file.write(text.getvalue().encode())
    counts.update(event for events in columns["event"] if events for event in events.split(", "))


def _words(values: np.ndarray) -> list[Any]:
    """Give numbers six digits, and nothing where there is none: what pandas writes, in a tenth of its time."""
    if values.dtype.kind != "f":
        return values.tolist()
    return ["" if value != value else f"{value:.6g}" for value in values.tolist()]
