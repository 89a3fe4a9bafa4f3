"""Movies: a file of very many frames segmented chunk by chunk, here or on a cluster, and resumed after a crash.

Until all is done the result lies in a hidden folder beside where it will be, ``.NAME.zspy.partial``:
``result.zspy``, laid out at full size; ``done/``, a small file for each chunk, written after the
chunk itself; and ``settings.json``, what the result depends on. Every file is written under a
temporary name and renamed, so that a process killed at any point leaves whole files only. Then the
result is renamed, and the folder goes.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temlib.errors import MicrographError, RunError, TemlibError, one_line
from temlib.files.child_processes import without_current_folder
from temlib.files.micrographs import load_micrograph
from temlib.files.stacks import like, whole_frames
from temlib.network.segmenter import RESULTS, Scale, Segmenter
from temlib.network.workers import Parcel
from temlib.progress import progress_bar
from temlib.writing import write_table, write_text

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = ["Movie", "segment_movie"]

_PIXELS = 2**23  # in a chunk, where those of the file are smaller: 32 frames of 512 x 512
_SUFFIX = ".zspy"
_ONE_CHUNK = {"chunk": 1}  # what a local worker has, and a chunk asks for: one at a time


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
    """

    path: str
    pixel_size_nm: float | None
    shape: tuple[int, ...]
    dtype: str
    frames: int
    changed: int

    @classmethod
    def of(cls, path: str | os.PathLike, pixel_size_nm: float | None = None, chunk: int | None = None) -> Movie:
        """Look at a file; no frame is read. For ``chunk`` see :func:`segment_movie`.

        Raises
        ------
        MicrographError
            When it cannot be read, or is a single image.
        """
        path = Path(path)
        if not path.exists():
            raise MicrographError(f"{path}: there is no such file; check the path")
        signal = load_micrograph(path, pixel_size_nm, lazy=True)
        if signal.data.ndim != 3:
            raise MicrographError(f"{path}: is an image, not a movie; give --out the name of a folder")
        data = whole_frames(signal)
        step = max(data.chunks[0])
        step *= max(1, (chunk or _PIXELS // (data.shape[1] * data.shape[2])) // step)
        changed = path.stat().st_mtime_ns
        return cls(str(path.resolve()), pixel_size_nm, data.shape, str(data.dtype), min(step, data.shape[0]), changed)

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
    return load_micrograph(movie.path, movie.pixel_size_nm, lazy=True)


def segment_movie(
    path: str | os.PathLike,
    out: str | os.PathLike,
    segmenter: Segmenter,
    *,
    what: str = "mask",
    scale: Scale = "auto",
    pixel_size_nm: float | None = None,
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
    pixel_size_nm : float, optional
        In place of what the file says.
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
        mean), ``expected_iou`` (of :meth:`temlib.Segmenter.expected_iou`; of particles there is none), and ``new``,
        whether this run did it.

    Raises
    ------
    MicrographError
        When the movie cannot be read, or is none.
    RunError
        When ``out`` exists, an earlier run had other settings, or a chunk fails; what is done is kept.
    """
    out = Path(out)
    if what not in RESULTS:
        raise RunError(f"what={what!r} is not written; choose from {', '.join(RESULTS)}")
    if workers < 1:
        raise RunError(f"workers={workers} must be at least 1")
    if out.suffix != _SUFFIX:
        raise RunError(f"{out}: a movie's result is written under a name that ends in {_SUFFIX}")
    if out.exists() and not overwrite:
        raise RunError(f"{out}: exists already; pass overwrite=True (--overwrite) to replace it")
    movie, parcel = Movie.of(path, pixel_size_nm, chunk), segmenter.parcel()
    try:
        scales = segmenter.scales_for(movie.open(), scale)
    except ValueError as error:
        raise MicrographError(f"{path}: {error}") from error
    job = _Job(movie, str(_partial(out).resolve()), what, tuple(scales))
    before = job.begin(parcel.key, overwrite)
    missing = [chunk for chunk in range(len(movie)) if chunk not in before]
    failed = {}
    with _results(job, parcel, missing, scheduler, workers) as results:
        for chunk, reason in progress_bar(results, show=progress, total=len(missing), desc="chunks"):
            if reason:
                failed[chunk] = reason
    if failed:
        part, reason = movie.part(min(failed)), failed[min(failed)]
        raise RunError(
            f"{path}: {len(failed)} of {len(movie)} chunks failed, the first of them frames {part.start} to "
            f"{part.stop - 1} ({reason}); what is done is kept, run it again to go on"
        )
    return job.finish(out, before)


@dataclass(frozen=True)
class _Job:
    """What a worker needs to know to do a chunk, the network apart."""

    movie: Movie
    folder: str
    what: str
    scales: tuple[float, ...]

    @property
    def result(self) -> Path:
        return Path(self.folder) / f"result{_SUFFIX}"

    def done(self, chunk: int) -> Path:
        return Path(self.folder) / "done" / f"{chunk}.json"

    def begin(self, key: str, overwrite: bool) -> set[int]:
        """Lay the result out, or find what an earlier run did; give the chunks that are done."""
        folder = Path(self.folder)
        described = asdict(self) | {"segmenter": key, "temlib": version("temlib")}
        settings = json.loads(json.dumps({k: v for k, v in described.items() if k != "folder"}))
        if folder.exists() and not self.result.exists():
            shutil.rmtree(folder)  # killed before it began, or after it ended
        if folder.exists() and json.loads((folder / "settings.json").read_text(encoding="utf-8")) != settings:
            if not overwrite:
                raise RunError(
                    f"{folder}: holds what is left of a run with another movie, network or settings; "
                    "delete it, or pass overwrite=True (--overwrite)"
                )
            shutil.rmtree(folder)
        if not folder.exists():
            _write_json(folder / "settings.json", settings)
            (folder / "done").mkdir()
            _lay_out(self)
        return {int(path.stem) for path in (folder / "done").glob("[0-9]*.json")}

    def segment(self, chunk: int, parcel: Parcel) -> int:
        """Segment a chunk, write it, and then write that it is done."""
        part = self.movie.part(chunk)
        frames = whole_frames(self.movie.open())[part].compute(scheduler="synchronous")
        segmenter, what = parcel.open(), "probability" if self.what == "mask" else self.what
        result, _ = segmenter.of_frames(frames, what, self.scales)
        expected = [None if what == "particles" else segmenter.expected_iou(frame) for frame in result]
        if self.what == "mask":
            result = result > segmenter.threshold
        _array(self.result)[part] = result
        covered = (result if self.what == "probability" else result > 0).mean(axis=(1, 2), dtype=float)
        _write_json(self.done(chunk), {"covered": covered.tolist(), "expected_iou": expected})
        return chunk

    def finish(self, out: Path, before: set[int]) -> pd.DataFrame:
        """Write the table, and give the result its name."""
        import pandas as pd

        rows = []
        for chunk in range(len(self.movie)):
            part = self.movie.part(chunk)
            columns = json.loads(self.done(chunk).read_text(encoding="utf-8"))
            rows.append(pd.DataFrame({"frame": range(part.start, part.stop), **columns, "new": chunk not in before}))
        table = pd.concat(rows, ignore_index=True)
        kept = table.drop(columns="new")
        write_table(out.with_suffix(".csv"), kept)
        if out.exists():
            os.replace(out, Path(self.folder) / "replaced")
        os.replace(self.result, out)
        shutil.rmtree(self.folder)
        return table


@contextmanager
def _results(
    job: _Job, parcel: Parcel, chunks: Sequence[int], scheduler: str | None, workers: int
) -> Iterator[Iterator[tuple[int, str | None]]]:
    """Do chunks, here or on a cluster; give each as it ends, with what went wrong."""
    if not chunks or (scheduler is None and workers == 1):
        yield ((chunk, _attempt(job, chunk, parcel)) for chunk in chunks)
        return
    distributed = _import_distributed()
    with ExitStack() as stack:
        try:
            client = stack.enter_context(distributed.Client(scheduler or _local(distributed, stack, workers)))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{scheduler or 'local workers'}: no scheduler answers there ({error}); start one, or check it"
            ) from error
        sent = client.scatter(parcel, hash=False)  # one copy, that workers hand to one another
        one = {} if scheduler else {"resources": _ONE_CHUNK}
        futures = {client.submit(job.segment, chunk, sent, pure=False, **one): chunk for chunk in chunks}
        yield _as_they_end(distributed, futures)


def _as_they_end(distributed: Any, futures: dict[Any, int]) -> Iterator[tuple[int, str | None]]:
    for future in distributed.as_completed(futures):
        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        yield futures[future], None if error is None else one_line(error)
        future.release()


def _attempt(job: _Job, chunk: int, parcel: Parcel) -> str | None:
    try:
        job.segment(chunk, parcel)
    except Exception as error:  # a damaged chunk: its file's reader raises anything
        return one_line(error)
    return None


def _local(distributed: Any, stack: ExitStack, workers: int) -> Any:
    """Start workers on this machine, each with its share of the cores."""
    cores = max(1, (os.cpu_count() or 1) // workers)
    options = {"n_workers": workers, "threads_per_worker": cores, "dashboard_address": ":0"}
    options |= {"silence_logs": logging.ERROR, "resources": _ONE_CHUNK}  # its threads are the network's
    stack.enter_context(without_current_folder())  # also for a worker that is started anew
    return stack.enter_context(distributed.LocalCluster(**options))


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise TemlibError("there is no dask.distributed: pip install 'temlib[cluster]'") from error
    return distributed


def _partial(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial")


def _lay_out(job: _Job) -> None:
    """Write a result of full size that holds no chunk yet: one of the first chunk, made longer."""
    try:
        import zarr
    except ImportError as error:
        raise TemlibError("there is no zarr to write a .zspy with: pip install 'temlib[cluster]'") from error
    import dask.array

    movie, path = job.movie, Path(job.folder) / f"new{_SUFFIX}"
    first = movie.open().inav[: movie.frames]
    nothing = dask.array.zeros(first.data.shape, dtype=RESULTS[job.what], chunks=first.data.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # zarr on its own next version
        like(first, nothing, job.what).save(path, chunks=first.data.shape, show_progressbar=False)
    (group,) = zarr.open_group(str(path))["Experiments"].groups()
    group[1]["data"].resize(movie.shape)
    group[1]["axis-0"].attrs["size"] = movie.shape[0]
    zarr.consolidate_metadata(str(path))
    os.replace(path, job.result)


def _array(path: Path) -> Any:
    import zarr

    (group,) = zarr.open_group(str(path), mode="r+")["Experiments"].groups()
    return group[1]["data"]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content))
