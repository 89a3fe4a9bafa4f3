"""Linking: which particle of one frame is which of the next, and what happened to those that are none.

A track expects its particle where it was, moved on by its velocity as far as its last steps agree. The cost of a pair
is the sum of three numbers from 0 to 1: the square of the distance from there over the reach, one minus the overlap
(IoU) of the two outlines laid onto one another, and the square of the binary logarithm of the ratio of the diameters.
Pairs out of reach, of ratios beyond 2, or of a cost above 2 are none; of all others those are taken whose costs
have the least sum (Jaqaman et al., Nat. Methods 5 (2008) 695; SciPy's linear_sum_assignment).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["Particles", "Track", "came_from", "link", "particles_of", "went_into"]

_STEPS = 5  # by which a track's velocity is known
_DEAREST = 2.0  # pair
_WAITING = 0.25  # added to the cost for each frame that a track has been lost
_OVERLAP, _GAIN, _CONTACT = 0.5, 0.5, 2.0
_SHRUNK = 0.7  # of its largest diameter: what vanishes then has dissolved


@dataclass(frozen=True)
class Particles:
    """The particles of a frame, ordered by place, whatever their labels are.

    Attributes
    ----------
    label : int array of shape (n,)
        As the frame has them.
    at : float array of shape (n, 2)
        Centroids along y and x [px].
    diameter : float array of shape (n,)
        Equivalent circular diameters [px].
    touches_edge : bool array of shape (n,)
        Whether the frame may cut them.
    pixels : list of int array of shape (m, 2)
        Where they lie.
    owner : int array of shape (height, width)
        The position of a pixel's particle in these arrays; -1 is background.
    """

    label: np.ndarray
    at: np.ndarray
    diameter: np.ndarray
    touches_edge: np.ndarray
    pixels: list[np.ndarray]
    owner: np.ndarray

    def __len__(self) -> int:
        """Give their number."""
        return len(self.label)


@dataclass
class Track:
    """What is known of a particle at the last frame that shows it.

    Attributes
    ----------
    number : int
        Of the track.
    frame : int
        The last that shows it.
    row : int
        Its position among the particles of that frame.
    at : float array of shape (2,)
        Its centroid, with the drift taken out [px].
    moved : float array of shape (2,)
        The drift at that frame [px].
    diameter, largest : float
        Equivalent diameter [px], and the largest that it had.
    touches_edge : bool
        Whether the frame may have cut it.
    pixels : int array of shape (m, 2)
        Where it lay in the frame.
    steps : list of (float, float)
        Its last steps, each in one frame [px].
    end : (str, int), optional
        What seems to have happened to it since.
    """

    number: int
    frame: int
    row: int
    at: np.ndarray
    moved: np.ndarray
    diameter: float
    largest: float
    touches_edge: bool
    pixels: np.ndarray
    steps: list[list[float]] = field(default_factory=list)
    end: tuple[str, int] | None = None
    _velocity: np.ndarray | None = None

    def velocity(self) -> np.ndarray:
        """Give the mean of the last steps, times how much of them is not chance [px]."""
        if self._velocity is None:
            self._velocity = np.zeros(2) if len(self.steps) < 2 else _common(np.array(self.steps))
        return self._velocity

    def expected(self, frame: int) -> np.ndarray:
        """Give where it is expected, with the drift taken out [px]."""
        return self.at + self.velocity() * (frame - self.frame)

    def laid_on(self, frame: int, moved: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Give its pixels as they are expected to lie in a frame, those outside left out."""
        shift = np.rint(self.velocity() * (frame - self.frame) + moved - self.moved).astype(int)
        pixels = self.pixels + shift
        return pixels[((pixels >= 0) & (pixels < shape)).all(axis=1)]

    def stray(self) -> float:
        """Give how far one step typically goes [px]."""
        return float(np.sqrt((np.array(self.steps) ** 2).sum(axis=1).mean())) if self.steps else 0.0

    def go_on(self, particles: Particles, row: int, frame: int, moved: np.ndarray) -> None:
        """Take a particle as the track's own."""
        at = particles.at[row] - moved
        self.steps = [*self.steps, ((at - self.at) / (frame - self.frame)).tolist()][-_STEPS:]
        self.frame, self.row, self.at, self.moved, self.end = frame, row, at, moved.copy(), None
        self._velocity = None
        self.diameter = float(particles.diameter[row])
        self.largest = max(self.largest, self.diameter)
        self.touches_edge, self.pixels = bool(particles.touches_edge[row]), particles.pixels[row]

    @classmethod
    def begin(cls, number: int, particles: Particles, row: int, frame: int, moved: np.ndarray) -> Track:
        """Begin a track with a particle."""
        size, edge = float(particles.diameter[row]), bool(particles.touches_edge[row])
        at = particles.at[row] - moved
        return cls(number, frame, row, at, moved.copy(), size, size, edge, particles.pixels[row])

    def to_dict(self) -> dict[str, Any]:
        """Give what JSON can hold."""
        corner, extent = self.pixels.min(axis=0), np.ptp(self.pixels, axis=0) + 1
        box = np.zeros(extent, bool)
        box[tuple((self.pixels - corner).T)] = True
        kept = {name: getattr(self, name) for name in ("number", "frame", "row", "diameter", "largest", "touches_edge")}
        kept |= {"at": self.at.tolist(), "moved": self.moved.tolist(), "steps": self.steps, "end": self.end}
        return kept | {"corner": corner.tolist(), "extent": extent.tolist(), "box": np.packbits(box).tobytes().hex()}

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Track:
        """Make it again of what :meth:`to_dict` gave."""
        kept = dict(kept)
        corner, extent, packed = (kept.pop(name) for name in ("corner", "extent", "box"))
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(packed), np.uint8), count=int(np.prod(extent)))
        kept |= {"at": np.array(kept["at"]), "moved": np.array(kept["moved"])}
        kept |= {"end": None if kept["end"] is None else tuple(kept["end"])}
        return cls(**kept, pixels=np.argwhere(bits.reshape(extent)) + corner)


def _common(steps: np.ndarray) -> np.ndarray:
    """Give the mean of steps, times how much of them is not chance."""
    mean, squared, n = steps.mean(axis=0), (steps**2).sum(axis=1).mean(), len(steps)
    agreement = (n * (mean @ mean) / squared - 1) / (n - 1) if squared > 0 else 0.0
    return mean * max(agreement, 0.0)


def particles_of(labels: np.ndarray) -> Particles:
    """Take a frame apart; ``labels`` are whole numbers of shape (height, width), 0 is background."""
    flat, (height, width) = labels.ravel(), labels.shape
    where = np.flatnonzero(flat)
    where = where[np.argsort(flat[where], kind="stable")]
    found, first, area = np.unique(flat[where], return_index=True, return_counts=True)
    places = np.stack(np.divmod(where, width), axis=1)
    number = np.repeat(np.arange(len(found)), area)
    at = np.stack([np.bincount(number, along, len(found)) for along in places.T], axis=1) / np.maximum(area, 1)[:, None]
    order = np.lexsort((area, at[:, 1], at[:, 0]))
    cut = ((places == 0) | (places == (height - 1, width - 1))).any(axis=1)
    edge = np.bincount(number, cut, len(found)) > 0
    pixels = np.split(places, first[1:]) if len(found) else []
    owner = np.full(labels.shape, -1, np.int32)
    owner.ravel()[where] = np.argsort(order)[number]
    diameter = np.sqrt(4 * area[order] / np.pi)
    return Particles(found[order], at[order], diameter, edge[order], [pixels[i] for i in order], owner)


def link(
    tracks: list[Track], particles: Particles, frame: int, moved: np.ndarray, reach_px: float | None = None
) -> list[tuple[int, int]]:
    """Give the pairs of a track and a particle of the next frame, as positions in both.

    Parameters
    ----------
    tracks : list of Track
        Those that may go on.
    particles : Particles
        Of the frame.
    frame : int
        Its number.
    moved : float array of shape (2,)
        Its drift [px].
    reach_px : float, optional
        How far a particle may be from where it is expected, in one frame [px]; by default the larger of the two
        diameters. Over several frames it is times the square root of their number.
    """
    if not tracks or not len(particles):
        return []
    expected = np.array([track.expected(frame) for track in tracks])
    size = np.array([track.diameter for track in tracks])
    since = np.array([frame - track.frame for track in tracks])
    farthest = (2 * size if reach_px is None else reach_px) * np.sqrt(since)  # whose diameter is twice as large
    near = cKDTree(particles.at - moved).query_ball_point(expected, farthest * (1 + 1e-9), return_sorted=True)
    i = np.repeat(np.arange(len(tracks)), [len(some) for some in near])
    j = np.concatenate([np.asarray(some, int) for some in near])
    distance = np.hypot(*(expected[i] - (particles.at - moved)[j]).T)
    reach = (np.maximum(size[i], particles.diameter[j]) if reach_px is None else reach_px) * np.sqrt(since[i])
    octaves = np.abs(np.log2(particles.diameter[j] / size[i]))
    possible = (distance <= reach) & (octaves <= 1)
    i, j, distance, reach, octaves = (each[possible] for each in (i, j, distance, reach, octaves))
    cost = (distance / reach) ** 2 + octaves**2 + _WAITING * (since[i] - 1)
    cost += 1 - _overlaps(tracks, particles, frame, moved, i, j)
    taken = cost < _DEAREST
    return _assign(i[taken], j[taken], cost[taken], (len(tracks), len(particles)))


def _overlaps(
    tracks: list[Track], particles: Particles, frame: int, moved: np.ndarray, i: np.ndarray, j: np.ndarray
) -> np.ndarray:
    """Give the IoU of each pair, the track's outline laid where it is expected."""
    n, shape = len(particles) + 1, particles.owner.shape
    some, row = np.unique(i, return_inverse=True)
    laid = [tracks[number].laid_on(frame, moved, shape) for number in some]
    pixels = np.concatenate([np.zeros((0, 2), int), *laid])
    cells = np.repeat(np.arange(len(some)) * n, [len(each) for each in laid]) + particles.owner[tuple(pixels.T)] + 1
    held, count = np.unique(np.append(cells, -1), return_counts=True)
    asked = row * n + j + 1
    at = np.searchsorted(held, asked).clip(max=len(held) - 1)
    both = np.where(held[at] == asked, count[at], 0)
    area = np.array([len(track.pixels) for track in tracks])[i] + np.array([len(p) for p in particles.pixels])[j]
    return both / (area - both)


def _assign(i: np.ndarray, j: np.ndarray, cost: np.ndarray, shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Take the pairs of least cost, in each group of tracks and particles that compete."""
    alone = (np.bincount(i, minlength=shape[0])[i] == 1) & (np.bincount(j, minlength=shape[1])[j] == 1)
    pairs = list(zip(i[alone].tolist(), j[alone].tolist(), strict=True))
    i, j, gain = i[~alone], j[~alone], _DEAREST - cost[~alone]
    graph = coo_array((np.ones(len(i)), (i, shape[0] + j)), shape=(sum(shape),) * 2)
    of_pair = connected_components(graph, directed=False)[1][i]
    for number in np.unique(of_pair):
        some = of_pair == number
        rows, a = np.unique(i[some], return_inverse=True)
        columns, b = np.unique(j[some], return_inverse=True)
        gains = np.zeros((len(rows), len(columns)))
        gains[a, b] = gain[some]
        pairs += [
            (int(rows[r]), int(columns[c])) for r, c in zip(*linear_sum_assignment(gains, maximize=True)) if gains[r, c]
        ]
    return sorted(pairs)


def went_into(
    track: Track,
    particles: Particles,
    owners: dict[int, Track],
    before: dict[int, float],
    frame: int,
    moved: np.ndarray,
) -> tuple[str, int]:
    """Say what happened to a track that no particle of a frame goes on with.

    Parameters
    ----------
    track : Track
        That ended.
    particles : Particles
        Of the first frame with particles after its last.
    owners : dict of int to Track
        The track of each particle, by its position, that was there before.
    before : dict of int to float
        The diameter that each of these had then [px], by its number.
    frame, moved
        Of the particles.

    Returns
    -------
    (str, int)
        *merges into* and the number of a track, *leaves* or *dissolves* and 0.
    """
    pixels = track.laid_on(frame, moved, particles.owner.shape)
    shrunk = track.diameter < _SHRUNK * track.largest
    rows = _touching(pixels, particles, list(owners), _CONTACT + 2 * track.stray())
    for share, row in rows:
        gained = particles.diameter[row] ** 3 - before[owners[row].number] ** 3
        joined = gained >= _GAIN * track.diameter**3 or not (shrunk or track.touches_edge)
        if share >= _OVERLAP or joined:
            return "merges into", owners[row].number
    where, shape = track.expected(frame) + moved, np.array(particles.owner.shape)
    outside = bool(((where < 0) | (where > shape - 1)).any())
    return ("leaves" if track.touches_edge or outside else "dissolves"), 0


def came_from(
    row: int, particles: Particles, frame: int, moved: np.ndarray, tracks: dict[int, Track], after: dict[int, float]
) -> tuple[str, int]:
    """Say how a particle began that goes on with no track: the reverse of :func:`went_into`.

    Parameters
    ----------
    row : int
        Its position in ``particles``.
    particles, frame, moved
        Of its frame.
    tracks : dict of int to Track
        As they were before, by number: those alone that go on.
    after : dict of int to float
        The diameter that each of these has now [px].

    Returns
    -------
    (str, int)
        *splits from* and the number of a track, or *appears* and 0.
    """
    pixels = particles.pixels[row]
    parents = []
    for number, track in tracks.items():
        if np.hypot(*(track.expected(frame) + moved - particles.at[row])) > track.diameter + particles.diameter[row]:
            continue
        laid = track.laid_on(frame, moved, particles.owner.shape)
        share, gap = _contact(pixels, laid)
        lost = track.diameter**3 - after[number] ** 3
        parted = not track.touches_edge and lost >= _GAIN * particles.diameter[row] ** 3
        if gap <= _CONTACT + 2 * track.stray() and (share >= _OVERLAP or parted):
            parents.append((share, number))
    return ("splits from", max(parents)[1]) if parents else ("appears", 0)


def _touching(pixels: np.ndarray, particles: Particles, rows: list[int], near: float) -> list[tuple[float, int]]:
    """Give the particles that overlap or nearly touch some pixels, with the share overlapped, the most first."""
    found = []
    for row in rows if len(pixels) else []:
        size = np.sqrt(len(pixels)) + particles.diameter[row] + near
        if np.abs(pixels.mean(axis=0) - particles.at[row]).max() <= size:
            share, gap = _contact(pixels, particles.pixels[row])
            if gap <= near:
                found.append((-share, gap, row))
    return [(-share, row) for share, _, row in sorted(found)]


def _contact(pixels: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Give the share of pixels that lie among the others, and how many pixels lie between both."""
    if not len(pixels) or not len(others):
        return 0.0, np.inf
    distance, _ = cKDTree(others).query(pixels)
    return float((distance == 0).mean()), float(max(distance.min() - 1, 0))
