"""Tracking: each particle of a movie followed from frame to frame, and what happens to it.

:func:`track_particles` does a movie; :class:`Tracker` takes frame after frame, remembers no more than the last few, and
can be put away and taken up again. How particles are linked is in :mod:`temlib.particles.linking`, how the drift is
found in :mod:`temlib.particles.drift`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from temlib.errors import MicrographError
from temlib.files.micrographs import load_micrograph, pixel_size_of
from temlib.files.stacks import is_lazy, whole_frames
from temlib.particles.drift import Drift
from temlib.particles.linking import Particles, Track, came_from, link, particles_of, went_into
from temlib.particles.measurement import measured_columns
from temlib.particles.presence import Sight, still_there

__all__ = [
    "EVENTS",
    "Rows",
    "Tracker",
    "Tracking",
    "chunks_of",
    "is_dropped",
    "joined",
    "open_numbered",
    "open_stack",
    "seconds_of",
    "track_particles",
]

Rows = dict[str, np.ndarray]
"""Columns by their names: the rows of a frame."""

EVENTS = ("appears", "splits from", "leaves", "merges into", "dissolves")
"""What may happen to a particle: the first two as it begins, the others as it ends."""

_NUMBER_FIRST = "number particles first: segmenter.particles(movie), or temlib segment MOVIE --particles"
_NOISE = 0.5  # of neighbouring pixels differ, at the most, where they number particles
_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}
_SECONDS |= {"ns": 1e-9, "min": 60.0, "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0}


@dataclass(frozen=True)
class Tracking:
    """How particles are followed.

    Attributes
    ----------
    pixel_size_nm : (float, float) or None
        Height and width of a pixel [nm].
    seconds, begin_s : float or None
        From one frame to the next, and at the first [s].
    reach_px : float or None
        How far a particle gets in a frame, beyond its mean velocity and the drift [px]; None: the larger of the two
        diameters of a pair.
    gap : int
        Frames over which a particle may be missing.
    """

    pixel_size_nm: tuple[float, float] | None = None
    seconds: float | None = None
    begin_s: float = 0.0
    reach_px: float | None = None
    gap: int = 2

    def __post_init__(self) -> None:
        if self.gap < 0:
            raise MicrographError(f"gap={self.gap!r} is out of range; give a number of frames, 0 or more")
        for name in ("reach_px", "seconds"):
            given = getattr(self, name)
            if given is not None and not (np.isfinite(given) and given > 0):
                raise MicrographError(f"{name}={given!r} is out of range; give a number above 0")

    @classmethod
    def of(
        cls,
        stacks: Sequence[Any],
        pixel_size_nm: float | tuple[float, float] | None,
        seconds: float | None,
        reach_px: float | None,
        gap: int,
    ) -> Tracking:
        """Join what was asked for and, where that is None, what the first of some stacks says that says it."""
        sizes = (pixel_size_nm, *map(pixel_size_of, stacks))
        size = next((size for size in sizes if size is not None), None)
        pair = None if size is None else tuple(np.broadcast_to(np.asarray(size, float), 2).tolist())
        step, begin = seconds_of(*stacks)
        return cls(pair, step if seconds is None else seconds, begin, reach_px, gap)


@dataclass
class Tracker:
    """Follow particles, frame after frame.

    It keeps the tracks that may go on, and the rows of the last ``gap + 1`` frames, in which a particle may yet turn
    out to have vanished.

    Attributes
    ----------
    how : Tracking
        The settings.
    frame : int
        The last that was added; -1 before the first.
    tracks : list of Track
        Those that may go on, by number.
    drift : Drift
        Of the stage.
    sights : list of Sight
        The last ``gap + 2`` frames that were not dropped, where there are grey levels.
    """

    how: Tracking
    frame: int = -1
    tracks: list[Track] = field(default_factory=list)
    drift: Drift = field(default_factory=Drift)
    sights: list[Sight] = field(default_factory=list)
    _next: int = 1
    _first: int = -1
    _last: int = -1
    _waiting: dict[int, Rows] = field(default_factory=dict)

    def add(self, labels: np.ndarray, image: np.ndarray | None = None) -> list[Rows]:
        """Take the next frame; give the rows of the frames in which nothing will change any more.

        Parameters
        ----------
        labels : int array of shape (height, width)
            The numbered particles, 0 is background.
        image : array of the same shape, optional
            Grey levels, from which the drift is found.

        Returns
        -------
        list of dict of str to array
            The columns of each frame, which :func:`joined` joins.

        Raises
        ------
        MicrographError
            When a label is below 0, or the first frame shows grey levels.
        """
        self.frame += 1
        where = f"frame {self.frame}: numbered particles are 0 (background) and above"
        if labels.min() < 0:
            raise MicrographError(f"{where}; got {labels.min()}; number them anew")
        if self.frame == 0 and (labels[:, 1:] != labels[:, :-1]).mean() > _NOISE:
            raise MicrographError(f"{where}; these look like grey levels; {_NUMBER_FIRST}")
        dropped = image is not None and is_dropped(image)
        if not dropped:
            self._first, self._last = (self.frame if self._first < 0 else self._first), self.frame
        particles = particles_of(labels)
        moved = np.zeros(2) if image is None else self.drift.add(self.frame, image, labels).copy()
        sight = None if image is None or dropped else Sight.of(self.frame, image, labels, moved)
        pairs = link(self.tracks, particles, self.frame, moved, self.how.reach_px)
        owners = {row: self.tracks[number] for number, row in pairs}
        events = self._ends_and_begins(particles, owners, moved, sight)
        for row, track in owners.items():
            track.go_on(particles, row, self.frame, moved)
        for row in _without_track(particles, owners):
            owners[row] = Track.begin(self._next, particles, row, self.frame, moved)
            self.tracks.append(owners[row])
            self._next += 1
        numbers = np.array([owners[row].number for row in range(len(particles))], int)
        self._waiting[self.frame] = self._rows(particles, numbers, events, moved)
        self.sights = [*self.sights, sight][-self.how.gap - 2 :] if sight is not None else self.sights
        return [] if dropped else self._close(self.frame - self.how.gap)

    def finish(self) -> list[Rows]:
        """Give the rows of the frames that are left."""
        return self._close(self._last, last=True)

    def _ends_and_begins(
        self, particles: Particles, owners: dict[int, Track], moved: np.ndarray, sight: Sight | None
    ) -> dict[int, tuple[str, int]]:
        """Note what seems to have happened to tracks that end; say how the particles came that begin one."""
        if not len(particles) or self.frame <= self._first:
            return {}
        before = {track.number: track.diameter for track in owners.values()}
        after = {track.number: float(particles.diameter[row]) for row, track in owners.items()}
        for track in self.tracks:
            if track.number not in before and track.end is None:
                track.end = went_into(track, particles, owners, before, self.frame, moved)
        known = {track.number: track for track in owners.values()}
        new = _without_track(particles, owners)
        begun = {row: came_from(row, particles, self.frame, moved, known, after) for row in new}
        if sight is None or not self.sights:
            return begun
        earlier = self.sights[-self.how.gap - 1 :][0]
        appearing = [row for row in new if begun[row][0] == "appears"]
        missed = [row for row in appearing if still_there(particles.pixels[row], sight, earlier)]
        return begun | dict.fromkeys(missed, ("", 0))

    def _rows(self, particles: Any, numbers: np.ndarray, events: dict[int, tuple[str, int]], moved: Any) -> Rows:
        """Measure the particles of a frame; a row for each, as ``particles`` has them."""
        how, n, unit = self.how, len(particles), "px" if self.how.pixel_size_nm is None else "nm"
        scale = np.array(how.pixel_size_nm or (1.0, 1.0))
        at, drift = (particles.at - moved) * scale, moved * scale
        time = np.nan if how.seconds is None else how.begin_s + how.seconds * self.frame
        said = [events.get(row, ("", 0)) for row in range(n)]
        rows: Rows = {"track": numbers, "frame": np.full(n, self.frame), "time_s": np.full(n, float(time))}
        rows |= {"event": np.array([event for event, _ in said], object)}
        rows |= {"partner": np.array([partner for _, partner in said], int)}
        rows |= {f"{axis}_{unit}": along for axis, along in zip("yx", at.T, strict=True)}
        rows |= {f"drift_{axis}_{unit}": np.full(n, by) for axis, by in zip("yx", drift, strict=True)}
        measured = measured_columns(particles.owner + 1, how.pixel_size_nm)
        return rows | measured | {"particle": particles.label.astype(int)}

    def _close(self, frame: int, last: bool = False) -> list[Rows]:
        """End the tracks whose particle has not been seen since a frame, and give the rows up to it."""
        ended = [track for track in self.tracks if track.frame < frame]
        for track in ended:
            rows = self._waiting[track.frame]
            event, partner = track.end or ("leaves" if track.touches_edge else "dissolves", 0)  # no frame followed
            seen = [sight for sight in self.sights if sight.frame == track.frame]
            if event == "dissolves" and any(still_there(track.pixels, sight, self.sights[-1]) for sight in seen):
                continue
            had = rows["event"][track.row]
            rows["event"][track.row] = f"{had}, {event}" if had else event
            rows["partner"][track.row] = partner or rows["partner"][track.row]
        self.tracks = [track for track in self.tracks if track.frame >= frame]
        done = [self._waiting.pop(number) for number in sorted(self._waiting) if number < frame or last]
        return [{name: values[np.argsort(rows["track"])] for name, values in rows.items()} for rows in done]

    def to_dict(self) -> dict[str, Any]:
        """Give its state, as JSON can hold it to the last bit."""
        waiting = {
            str(frame): {name: [values.dtype.char, values.tolist()] for name, values in rows.items()}
            for frame, rows in self._waiting.items()
        }
        state = {
            "frame": self.frame,
            "next": self._next,
            "first": self._first,
            "last": self._last,
            "drift": self.drift.to_dict(),
            "sights": [[sight.frame, sight.moved.tolist()] for sight in self.sights],
            "waiting": waiting,
        }
        return state | {"tracks": [track.to_dict() for track in self.tracks]}

    @property
    def begun(self) -> int:
        """How many tracks there were so far."""
        return self._next - 1

    @classmethod
    def from_dict(
        cls, how: Tracking, kept: dict[str, Any], read: Callable[[int], tuple[np.ndarray, np.ndarray]] | None = None
    ) -> Tracker:
        """Make it again of what :meth:`to_dict` gave.

        Parameters
        ----------
        how : Tracking
            The settings.
        kept : dict
            The state.
        read : function, optional
            Gives the grey levels and labels of a frame by its number: of those that it has yet to look at.
        """
        waiting = {
            int(frame): {name: np.array(values, kind) for name, (kind, values) in rows.items()}
            for frame, rows in kept["waiting"].items()
        }
        tracks = [Track.from_dict(track) for track in kept["tracks"]]
        reference = kept["drift"]["reference"]
        drift = Drift.from_dict(kept["drift"], read(reference) if read and reference >= 0 else None)
        sights = [Sight.of(number, *read(number), np.array(moved)) for number, moved in kept["sights"]] if read else []
        return cls(how, kept["frame"], tracks, drift, sights, kept["next"], kept["first"], kept["last"], waiting)


def joined(rows: Sequence[Rows]) -> Rows:
    """Join what :class:`Tracker` gave of some frames, one or more."""
    return {name: np.concatenate([some[name] for some in rows]) for name in rows[0]}


def is_dropped(image: np.ndarray) -> bool:
    """Say whether a frame shows nothing, as one that the detector dropped."""
    finite = image[np.isfinite(image)]
    return not finite.size or bool((finite == finite[0]).all())


def _without_track(particles: Particles, owners: dict[int, Track]) -> list[int]:
    return [row for row in range(len(particles)) if row not in owners]


def track_particles(
    particles: Any,
    frames: Any = None,
    *,
    pixel_size_nm: float | tuple[float, float] | None = None,
    seconds: float | None = None,
    reach_px: float | None = None,
    gap: int = 2,
) -> pd.DataFrame:
    """Follow each particle through a movie: one number for it in all frames, its sizes, and what happens to it.

    Frames are read once, chunk by chunk; the table is in memory. ``temlib track`` writes that of a movie of any length.

    Parameters
    ----------
    particles : path, signal or int array of shape (frames, height, width)
        Numbered particles, 0 is background, as ``segmenter.particles(movie)`` gives them or
        ``temlib segment MOVIE --particles`` writes them; the order of the numbers in a frame does not matter.
    frames : path, signal or array of the same shape, optional
        The movie. With it the drift of the stage is found, from what lies around the particles, and taken out.
    pixel_size_nm : float or (float, float), optional
        Edge of a pixel [nm], or its height and width; otherwise the signal's is taken.
    seconds : float, optional
        From one frame to the next [s]; otherwise the signal's axis of time says so.
    reach_px : float, optional
        How far a particle may get from one frame to the next, beyond the drift and its mean velocity [px]; by default
        its own diameter.
    gap : int
        Frames over which a particle may be missing and yet be the same.

    Returns
    -------
    DataFrame, a row for each particle in each frame, by frame and track
        - ``track``: the number of the particle, the same in all its frames; 1, 2, ...
        - ``frame``: from 0 on; ``time_s``: NaN where it is unknown.
        - ``event``: in its first row *appears* or *splits from*, but not in the first frame; in its last *leaves* (over
          the edge), *merges into* or *dissolves* (is gone), but not in the last frame; else empty. Where both are in
          one row they are joined by a comma. Of ``frames`` one of a single grey level was dropped: it tells nothing.
          With ``frames`` also empty where grey levels show the particle before it was found first (no *appears*) or
          after it was found last (no *dissolves*), ``gap + 1`` frames away: it was missed there.
        - ``partner``: the track from which it split or into which it merged, else 0.
        - ``y_nm``, ``x_nm``: the centroid with the drift taken out; ``drift_y_nm``, ``drift_x_nm``: the drift since
          the first frame, 0 without ``frames``. In ``_px`` where the pixel size is unknown.
        - all columns of :func:`temlib.measure_particles`; ``particle`` is the number in its frame.

    Raises
    ------
    MicrographError
        When these are no numbered frames, fewer than two, or ``frames`` are of another shape.
    """
    numbered = open_numbered(particles)
    movie = None if frames is None else open_stack(frames)
    if movie is not None and movie.data.shape != numbered.data.shape:
        raise MicrographError(
            f"frames of shape {movie.data.shape} for particles of shape {numbered.data.shape}; pass those of one movie"
        )
    tracker = Tracker(Tracking.of([numbered, movie], pixel_size_nm, seconds, reach_px, gap))
    rows: list[Rows] = []
    images = repeat(None) if movie is None else chain.from_iterable(chunks_of(movie))
    for labels, image in zip(chain.from_iterable(chunks_of(numbered)), images, strict=False):
        rows += tracker.add(labels, image)
    return pd.DataFrame(joined(rows + tracker.finish()))


def open_numbered(particles: Any) -> Any:
    """Give numbered frames, opened where they are a path, left in their file.

    Raises
    ------
    MicrographError
        When they are no stack of whole numbers, or fewer than two frames.
    """
    stack: Any = open_stack(particles)
    shape, kind = [*stack.data.shape], stack.data.dtype.kind
    name = str(particles) if isinstance(particles, str | os.PathLike) else "particles"
    is_one = len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)
    flaws = {
        "is a movie without frames; pass one with two or more": len(shape) == 3 and shape[0] == 0,
        "is one frame, not a movie; measure it with temlib.measure_particles": is_one,
        f"a movie has frames, rows and columns; got shape {tuple(shape)}": len(shape) != 3 or 0 in shape,
        f"is a mask that does not tell particles apart; {_NUMBER_FIRST}": kind == "b",
        f"holds {stack.data.dtype}, no numbered particles; {_NUMBER_FIRST}": kind not in "iu",
    }
    for flaw, is_so in flaws.items():
        if is_so:
            raise MicrographError(f"{name}: {flaw}")
    return stack


def seconds_of(*stacks: Any) -> tuple[float | None, float]:
    """Give the time [s] from one frame to the next, of the first stack that says it, and that of its first frame."""
    for stack in stacks:
        axes: Any = stack.axes_manager.navigation_axes if hasattr(stack, "axes_manager") else ()
        unit = _SECONDS.get(str(axes[0].units).strip()) if len(axes) == 1 else None
        if unit and np.isfinite(axes[0].scale) and axes[0].scale > 0:
            return float(axes[0].scale * unit), float(axes[0].offset * unit)
    return None, 0.0


def chunks_of(stack: Any) -> Iterator[np.ndarray]:
    """Give the frames of a stack, of a lazy one as they lie in its file."""
    if not is_lazy(stack):
        yield np.asarray(stack.data)
        return
    data = whole_frames(stack)
    for block in range(data.numblocks[0]):
        yield data.blocks[block].compute()


def open_stack(stack: Any, signal: int | str | None = None) -> Any:
    """Give a stack as it is, a path opened and left in its file, an array with ``data``.

    ``signal`` says which of a file that holds several; see :func:`temlib.load_micrograph`.
    """
    if isinstance(stack, str | os.PathLike):
        if not Path(stack).exists():
            raise MicrographError(f"{stack}: there is no such file; check the path")
        return load_micrograph(stack, lazy=True, signal=signal)
    if hasattr(stack, "axes_manager"):
        return stack
    if hasattr(stack, "dask"):
        return SimpleNamespace(data=stack, _lazy=True)
    try:
        return SimpleNamespace(data=np.asarray(stack))
    except ValueError as error:
        raise MicrographError("particles: frames of different shapes are no movie; pass frames of one shape") from error
