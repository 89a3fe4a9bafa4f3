"""Movies: a file of very many frames segmented chunk by chunk, here or on a cluster, and resumed after a crash."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from temlib.errors import MicrographError, OutputError, RunError, one_line
from temlib.files.micrographs import load_micrograph
from temlib.files.stacks import whole_frames
from temlib.jobs.chunks import results_of
from temlib.jobs.movie_results import SUFFIX, MovieResult
from temlib.jobs.records import alone
from temlib.network.segmenter import RESULTS, Scale, Segmenter
from temlib.network.sought import Contrast, Diameter, Marks, Sought
from temlib.network.workers import Parcel
from temlib.progress import progress_bar

if TYPE_CHECKING:
    import dask.array as da
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = ["Movie", "segment_movie"]

_PIXELS = 2**23  # in a chunk, where those of the file are smaller: 32 frames of 512 x 512
_SAMPLED = 16  # chunks of its file by which a movie is known again


@dataclass(frozen=True)
class Movie:
    """A file with a stack of frames, and how it is cut into chunks.

    Attributes
    ----------
    path : str
        The file, under a name that every worker knows.
    pixel_size_nm : float or None
        In place of what the file says.
    shape : tuple of int
        Frames, height, width.
    dtype : str
        Of its grey levels.
    frames : int
        Frames in a chunk: as many as in one or several chunks of the file, so that no frame is read twice.
    changed : int
        When the file was last changed [ns].
    size : int
        Of the file [bytes].
    sample : str
        A sha256 of some frames: of all where the file has 16 chunks or fewer.
    signal : int, str or None
        What was taken of a file that holds several images.
    """

    path: str
    pixel_size_nm: float | None
    shape: tuple[int, ...]
    dtype: str
    frames: int
    changed: int
    size: int
    sample: str
    signal: int | str | None = None

    @classmethod
    def of(
        cls,
        path: str | os.PathLike,
        pixel_size_nm: float | None = None,
        chunk: int | None = None,
        signal: int | str | None = None,
    ) -> Movie:
        """Look at a file, and at some of its frames. For ``chunk`` and ``signal`` see :func:`segment_movie`.

        Raises
        ------
        MicrographError
            When it cannot be read, or is a single image.
        RunError
            When ``chunk`` is less than 1.
        """
        path = Path(path)
        if chunk is not None and chunk < 1:
            raise RunError(f"chunk={chunk} must be at least 1")
        if not path.exists():
            raise MicrographError(f"{path}: there is no such file; check the path")
        movie = load_micrograph(path, pixel_size_nm, lazy=True, signal=signal)
        if movie.data.ndim != 3:
            raise MicrographError(f"{path}: is an image, not a movie; give --out the name of a folder")
        data = whole_frames(movie)
        step = max(data.chunks[0])
        step *= max(1, (chunk or _PIXELS // (data.shape[1] * data.shape[2])) // step)
        frames, found, path = min(step, data.shape[0]), path.stat(), path.parent.resolve() / path.name
        of_file = (found.st_mtime_ns, found.st_size, _sample(data))
        return cls(str(path), pixel_size_nm, data.shape, str(data.dtype), frames, *of_file, signal)

    def __len__(self) -> int:
        """Give the number of chunks."""
        return -(-self.shape[0] // self.frames)

    def part(self, chunk: int) -> slice:
        """Give the frames of a chunk."""
        return slice(chunk * self.frames, min((chunk + 1) * self.frames, self.shape[0]))

    def open(self) -> Signal2D:
        """Give the frames as a lazy signal; each process opens the file once."""
        return _open(self)


@lru_cache(maxsize=2)
def _open(movie: Movie) -> Signal2D:
    return load_micrograph(movie.path, movie.pixel_size_nm, lazy=True, signal=movie.signal)


def segment_movie(
    path: str | os.PathLike,
    out: str | os.PathLike,
    segmenter: Segmenter,
    *,
    what: str = "mask",
    scale: Scale = "auto",
    diameter_nm: Diameter | None = None,
    diameter_px: Diameter | None = None,
    contrast: Contrast | None = None,
    marks: Marks | None = None,
    pixel_size_nm: float | None = None,
    signal: int | str | None = None,
    scheduler: str | None = None,
    workers: int = 1,
    chunk: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Segment a movie of any length into a ``.zspy``; go on where an earlier run was stopped.

    The memory is that of a chunk for each local worker, of a scheduler's workers for each of their
    threads. The result has the frames' axes and is read with
    ``temlib.load_micrograph(out, lazy=True)`` or HyperSpy. Beside it lies a table, ``NAME.csv``.

    Parameters
    ----------
    path : path
        A file with a stack of frames that :func:`temlib.load_micrograph` reads lazily.
    out : path
        The result, ending in ``.zspy``.
    segmenter : Segmenter
        What segments.
    what : "mask", "probability" or "particles"
        What to write of each frame.
    scale
        See :meth:`temlib.Segmenter.maps`.
    diameter_nm, diameter_px, contrast, marks
        What is looked for; see :meth:`temlib.Segmenter.looking_for`.
    pixel_size_nm : float, optional
        In place of what the file says.
    signal : int or str, optional
        Number or title of the movie in a file that holds several; see :func:`temlib.load_micrograph`.
    scheduler : str, optional
        Address of a scheduler of dask.distributed, as ``tcp://node7:8786``. Its workers need temlib, and
        ``path`` and ``out`` under the same names.
    workers : int
        Without a scheduler: this process alone (1), or so many local ones.
    chunk : int, optional
        Frames that are done together, rounded down to whole chunks of the file, of which there is at
        least one; by default some 8 million pixels.
    overwrite : bool
        Replace ``out``, and what is left of a run with other settings.
    progress : bool
        Show a progress bar.

    Returns
    -------
    DataFrame
        A row for each frame: ``frame``, ``covered`` (share of pixels in particles; of probabilities the
        mean), ``expected_iou`` (of :meth:`temlib.Segmenter.expected_iou`; of particles there is none), ``note``, why
        a frame shows nothing (``"no finite pixel"`` of a dropped one) and is left empty, and ``new``, whether this run
        did it.

    Raises
    ------
    MicrographError
        When the movie cannot be read, or is none.
    RunError
        When ``out`` exists, an earlier run had other settings, another process writes it, a folder that is not
        temlib's is in the way, or a chunk fails; what is done is kept.
    OutputError
        When nothing can be written, as on a full disk.
    """
    out = Path(out)
    _check_wishes(Path(path), out, what, workers, overwrite)
    movie = Movie.of(path, pixel_size_nm, chunk, signal)
    try:
        told = segmenter.looking_for(diameter_nm, diameter_px, contrast, marks).on(movie.open())
        scales = told.scales_for(movie.open(), scale)
    except ValueError as error:
        raise MicrographError(f"{path}: {error}") from error
    job = _Job(movie, MovieResult(str(out.absolute()), what), tuple(scales), told.sought)
    parcel = told.parcel()
    with alone(out.parent, out.name):
        before = job.begin(parcel.key, overwrite)
        missing = [chunk for chunk in range(len(movie)) if chunk not in before]
        with results_of(job.segment, missing, parcel, scheduler, workers) as results:
            _wait_for(progress_bar(results, show=progress, total=len(missing), desc="chunks"), movie)
        return job.finish(before)


def _check_wishes(path: Path, out: Path, what: str, workers: int, overwrite: bool) -> None:
    if what not in RESULTS:
        raise RunError(f"what={what!r} is not written; choose from {', '.join(RESULTS)}")
    if workers < 1:
        raise RunError(f"workers={workers} must be at least 1")
    if out.suffix != SUFFIX:
        raise RunError(f"{out}: a movie's result is written under a name that ends in {SUFFIX}")
    if os.path.realpath(out) == os.path.realpath(path):
        raise RunError(f"{out}: is the movie itself; name another file to write")
    if os.path.lexists(out) and not overwrite:
        raise RunError(f"{out}: exists already; pass overwrite=True (--overwrite) to replace it")


def _wait_for(results: Iterable[tuple[int, BaseException | None]], movie: Movie) -> None:
    """Wait until all chunks are done or have failed; where nothing can be written, no longer."""
    failed = {}
    for chunk, error in results:
        if isinstance(error, OutputError):
            raise error
        if error is not None:
            failed[chunk] = one_line(error)
    if failed:
        part, reason = movie.part(min(failed)), failed[min(failed)]
        raise RunError(
            f"{movie.path}: {len(failed)} of {len(movie)} chunks failed, the first of them frames {part.start} to "
            f"{part.stop - 1} ({reason}); what is done is kept, run it again to go on"
        )


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know to do a chunk, the network apart."""

    movie: Movie
    result: MovieResult
    scales: tuple[float, ...]
    sought: Sought

    def begin(self, key: str, overwrite: bool) -> set[int]:
        """Make the result ready to be written into, as the network of that key does; give the chunks that are done."""
        depends_on = {"movie": asdict(self.movie), "what": self.result.what, "scales": self.scales, "segmenter": key}
        depends_on |= {"sought": asdict(self.sought)}
        first = self.movie.open().inav[: self.movie.frames]
        return self.result.begin(depends_on | {"version": version("temlib")}, first, self.movie.shape[0], overwrite)

    def segment(self, chunk: int, parcel: Parcel) -> int:
        """Segment a chunk and write it."""
        part = self.movie.part(chunk)
        frames = whole_frames(self.movie.open())[part].compute(scheduler="synchronous")
        notes = [_flaw_of(frame) for frame in frames]
        result, expected = self._segmented(frames, notes, parcel.open())
        covered = (result if self.result.what == "probability" else result > 0).mean(axis=(1, 2), dtype=float)
        self.result.write(chunk, part, result, {"covered": covered.tolist(), "expected_iou": expected, "note": notes})
        return chunk

    def _segmented(self, frames: np.ndarray, notes: list[str], segmenter: Segmenter) -> tuple[np.ndarray, list]:
        """Give the result of each frame, nothing of one that shows nothing, and the IoU to expect of it."""
        what = self.result.what
        good = [number for number, note in enumerate(notes) if not note]
        result = np.zeros(frames.shape, RESULTS[what])
        expected: list[float | None] = [None] * len(frames)
        if good:
            marks = None if what == "probability" else _marks_in(self.movie, self.sought)
            result[good], said = segmenter.of_frames(
                frames[good], what, self.scales, judge=lambda maps: segmenter.expected_iou(maps[..., 0]), marks=marks
            )
            for number, iou in zip(good, said, strict=True):
                expected[number] = iou
        return result, expected

    def finish(self, before: set[int]) -> pd.DataFrame:
        """Give the result its name, and a row for each frame."""
        table = self.result.finish([self.movie.part(chunk) for chunk in range(len(self.movie))])
        return table.assign(new=~(table["frame"] // self.movie.frames).isin(before))


@lru_cache(maxsize=2)
def _marks_in(movie: Movie, sought: Sought) -> np.ndarray | None:
    """Find the marks in a movie's first frame; each process looks once."""
    return sought.marks_in(whole_frames(movie.open())[0].compute(scheduler="synchronous"))


def _sample(data: da.Array) -> str:
    """Give a sha256 of some of the file's chunks, evenly taken; a damaged one is told when its turn comes."""
    digest = sha256()
    for block in np.unique(np.linspace(0, data.numblocks[0] - 1, _SAMPLED).astype(int)):
        try:
            digest.update(np.ascontiguousarray(data.blocks[block].compute(scheduler="synchronous")).tobytes())
        except Exception as error:  # its reader raises anything
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()


def _flaw_of(frame: np.ndarray) -> str:
    """Say why a frame shows nothing, as one that the detector dropped."""
    finite = frame[np.isfinite(frame)]
    if not finite.size:
        return "no finite pixel"
    return f"all pixels are {finite[0]:g}" if (finite == finite[0]).all() else ""
