"""Histories: what happens to the particles of a movie between its frames, every size and event known.

Particles nucleate, grow, ripen, diffuse, coalesce and dissolve in a plane that the stage drifts below the
field of view. Each keeps its number from its first frame to its last. Events bear the names that
:func:`temlib.track_particles` gives, and stand in the last frame (*leaves*, *merges into*, *dissolves*) or
the first (*appears*) of the particle to which they happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from scipy.spatial.distance import pdist, squareform

from temlib.synthetic import specimen
from temlib.synthetic.ranges import check_ranges
from temlib.synthetic.scene import Scene

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Changes", "happen"]

_RIPENING_STEPS = 20  # between two frames
_TRIALS = 30  # to find room for a nucleus
_SIZES_PX = (32, 8192)


@dataclass(frozen=True)
class Changes:
    """What changes from frame to frame; by default nothing does.

    A number outside the range given in brackets is refused.

    Parameters
    ----------
    seconds : float
        From one frame to the next [s], in [1e-9, 1e9].
    growth_nm : float
        Diameter [nm] that a particle reaches one second after it began from nothing, in [0, 1e5]:
        d = growth_nm t^growth_exponent. One that has a size already goes on from where that curve has it.
    growth_exponent : float
        In [0.05, 2]; 1/2 where diffusion to the particle limits growth, 1 where its surface does.
    growth_spread : float
        Standard deviation of the logarithm of ``growth_nm`` from particle to particle, in [0, 2].
    dissolving : float
        Share of particles that turn, at a time of their own, and shrink as they grew, in [0, 1].
    ripening_nm3_s : float
        K [nm^3/s] of dr/dt = K / r^2 (r / r_c - 1), in [0, 1e9]: large particles grow at the cost of small ones,
        whose volume they take (Lifshitz and Slyozov; Wagner, 1961). r_c is the mean radius.
    diffusion_nm2_s : float
        Diffusion constant [nm^2/s] of each particle in the plane, in [0, 1e9].
    nucleation_per_s : float
        New particles a second in an area as large as the field, in [0, 1e6].
    nucleus_nm : float, optional
        Diameter [nm] with which particles begin, and below which they dissolve, in [1e-3, 1e5]; by default 4 pixels.
    coalescence : bool
        Particles that touch become one, of their volume, at their centre of mass, from one frame to the next;
        the larger keeps its number. Otherwise one passes above the other.
    drift_nm_s : (float, float)
        Velocity of the image along y and x [nm/s] as the stage drifts, in [-1e6, 1e6].
    drift_spread_nm : float
        Standard deviation of what it moves beyond that from frame to frame, in [0, 1e4].
    defocus_nm_s : float
        Change of the defocus [nm/s], in [-1e6, 1e6].
    dose_spread : float
        Standard deviation of the logarithm of the dose from frame to frame, in [0, 2].
    dropped : float
        Share of frames that the detector dropped, in [0, 1): all pixels are 0.
    """

    seconds: Annotated[float, (1e-9, 1e9)] = 1.0
    growth_nm: Annotated[float, (0, 1e5)] = 0.0
    growth_exponent: Annotated[float, (0.05, 2)] = 0.5
    growth_spread: Annotated[float, (0, 2)] = 0.0
    dissolving: Annotated[float, (0, 1)] = 0.0
    ripening_nm3_s: Annotated[float, (0, 1e9)] = 0.0
    diffusion_nm2_s: Annotated[float, (0, 1e9)] = 0.0
    nucleation_per_s: Annotated[float, (0, 1e6)] = 0.0
    nucleus_nm: Annotated[float | None, (1e-3, 1e5)] = None
    coalescence: bool = True
    drift_nm_s: Annotated[tuple[float, float], (-1e6, 1e6)] = (0.0, 0.0)
    drift_spread_nm: Annotated[float, (0, 1e4)] = 0.0
    defocus_nm_s: Annotated[float, (-1e6, 1e6)] = 0.0
    dose_spread: Annotated[float, (0, 2)] = 0.0
    dropped: Annotated[float, (0, 0.999)] = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)
        if np.shape(self.drift_nm_s) != (2,):
            raise ValueError(f"drift_nm_s={self.drift_nm_s!r} must be two velocities [nm/s], along y and x")


@dataclass
class _World:
    """The particles that there are, by their numbers; positions [nm] where the first frame has its field."""

    scene: Scene
    changes: Changes
    film: Scene
    last: float
    rng: np.random.Generator
    number: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    at: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    diameter: np.ndarray = field(default_factory=lambda: np.zeros(0))
    rate: np.ndarray = field(default_factory=lambda: np.zeros(0))
    turn: np.ndarray = field(default_factory=lambda: np.zeros(0))
    born: int = 0

    @property
    def nucleus(self) -> float:
        return self.changes.nucleus_nm or 4 * self.scene.pixel_size_nm

    def add(self, at: np.ndarray, diameter: np.ndarray, time: float) -> None:
        """Begin particles, and draw how fast each will grow and when it will turn."""
        n = len(diameter)
        rate = self.changes.growth_nm * self.rng.lognormal(0, self.changes.growth_spread, n)
        turn = np.where(self.rng.random(n) < self.changes.dissolving, self.rng.uniform(time, self.last, n), np.inf)
        numbers = np.arange(self.born + 1, self.born + n + 1)
        new = {"number": numbers, "at": at.reshape(n, 2), "diameter": diameter, "rate": rate, "turn": turn}
        for name, values in new.items():
            setattr(self, name, np.concatenate([getattr(self, name), values]))
        self.born += n

    def keep(self, some: np.ndarray) -> None:
        """Keep some particles (bool), the others are no more."""
        for name in ("number", "at", "diameter", "rate", "turn"):
            setattr(self, name, getattr(self, name)[some])

    def grow(self, time: float) -> None:
        """Let all grow, or shrink, until this time."""
        power, seconds = 1 / self.changes.growth_exponent, self.changes.seconds
        signs = np.where(time > self.turn, -1, 1)
        grown = self.diameter**power + signs * self.rate**power * seconds
        self.diameter = np.maximum(grown, 0) ** (1 / power)

    def ripen(self) -> None:
        """Let large ones take from small ones; 4/3 pi r^3 changes by 4 pi K (r / r_c - 1) a second."""
        step = 3 * self.changes.ripening_nm3_s * self.changes.seconds / _RIPENING_STEPS
        for _ in range(_RIPENING_STEPS if step else 0):
            radius = self.diameter / 2
            there = radius > 0
            if there.any():
                cubed = radius**3 + np.where(there, step * (radius / radius[there].mean() - 1), 0)
                self.diameter = 2 * np.cbrt(np.maximum(cubed, 0))

    def move(self) -> None:
        """Let all diffuse."""
        step = np.sqrt(2 * self.changes.diffusion_nm2_s * self.changes.seconds)
        self.at = self.at + self.rng.normal(0, 1, self.at.shape) * step

    def coalesce(self) -> dict[int, int]:
        """Join what touches, pair by pair, the deepest first; give what merged into what."""
        merged: dict[int, int] = {}
        while self.changes.coalescence and len(self.number) > 1:
            gaps = squareform(pdist(self.at)) - (self.diameter[:, None] + self.diameter) / 2
            np.fill_diagonal(gaps, np.inf)
            if gaps.min() >= 0:
                break
            pair = np.array(np.unravel_index(gaps.argmin(), gaps.shape))
            large, small = pair[np.argsort(-self.diameter[pair], kind="stable")]
            volumes = self.diameter[[large, small]] ** 3
            self.at[large] = volumes @ self.at[[large, small]] / volumes.sum()
            self.diameter[large] = np.cbrt(volumes.sum())
            merged[int(self.number[small])] = int(self.number[large])
            self.keep(np.arange(len(self.number)) != small)
        return merged

    def nucleate(self, time: float) -> None:
        """Begin as many as chance has it, where there is room."""
        edge, share = self.film.edge_nm, (self.film.edge_nm / self.scene.edge_nm) ** 2
        offset = (edge - self.scene.edge_nm) / 2
        for _ in range(self.rng.poisson(self.changes.nucleation_per_s * self.changes.seconds * share)):
            for at in self.rng.uniform(-offset, edge - offset, (_TRIALS, 2)):
                room = np.hypot(*(self.at - at).T) > (self.diameter / 2 + self.nucleus)
                if room.all():
                    self.add(at, np.array([self.nucleus]), time)
                    break

    def in_field(self, drift: np.ndarray) -> np.ndarray:
        """Say which reach at least a pixel into the field (bool)."""
        outside = np.maximum(np.maximum(-(self.at + drift), self.at + drift - self.scene.edge_nm), 0)
        return np.hypot(*outside.T) < self.diameter / 2 - self.scene.pixel_size_nm


def happen(
    scene: Scene, frames: int, changes: Changes, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, int]:
    """Let happen to the particles of a scene what changes them, frame by frame.

    Parameters
    ----------
    scene : Scene
        Its particles are those at the beginning; none touch.
    frames : int
        How many.
    changes : Changes
        What changes.
    rng : Generator
        The same seed gives the same bytes.

    Returns
    -------
    particles : DataFrame
        A row for each particle in each frame in whose field it lies: ``particle``, ``frame``, ``time_s``, ``y_nm`` and
        ``x_nm`` of the centre in the frame, ``diameter_nm``, ``whole``.
    events : DataFrame
        ``frame``, ``particle``, ``event``, and ``partner``, the particle into which it merged, else 0.
    frames : DataFrame
        ``frame``, ``time_s``, ``drift_y_nm`` and ``drift_x_nm``, by which the image has moved since the first.
    reach_px : int
        How far beyond the field the film reaches on each side.

    Raises
    ------
    ValueError
        When the film would be larger than the largest micrograph that can be simulated.
    """
    import pandas as pd

    times = np.arange(frames) * changes.seconds
    wander = rng.normal(0, 1, (frames, 2)) * changes.drift_spread_nm
    wander[0] = 0
    drift = times[:, None] * np.array(changes.drift_nm_s) + wander.cumsum(axis=0)
    world, reach = _begin(scene, changes, drift, times[-1], rng)
    rows: list[dict[str, np.ndarray]] = []
    ends: dict[int, tuple[str, int]] = {}
    seen: set[int] = set()
    for frame, time in enumerate(times):
        merged: dict[int, int] = {}
        if frame:
            world.grow(time)
            world.ripen()
            world.move()
            dissolved = world.number[world.diameter < world.nucleus * 0.999]
            ends |= dict.fromkeys(dissolved.tolist(), ("dissolves", 0))
            world.keep(~np.isin(world.number, dissolved))
            merged = world.coalesce()
            world.nucleate(time)
        rows.append(_rows(world, frame, time, drift[frame]))
        before, seen = seen, set(rows[-1]["particle"].tolist())
        ends |= {small: _end_of_merged(large, merged, seen) for small, large in merged.items()}
        lost = np.isin(world.number, list(before - seen))
        ends |= dict.fromkeys(world.number[lost].tolist(), ("leaves", 0))
        world.keep(~lost)  # what has left does not come back
    table = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    moved = {"frame": np.arange(frames), "time_s": times, "drift_y_nm": drift[:, 0], "drift_x_nm": drift[:, 1]}
    particles = pd.DataFrame(table)
    return particles, _events(particles, ends, frames), pd.DataFrame(moved), reach


def _end_of_merged(large: int, merged: dict[int, int], seen: set[int]) -> tuple[str, int]:
    """Say how a particle that merged ends; what took it in may itself have merged since the last frame."""
    while large in merged:
        large = merged[large]
    return ("merges into", large) if large in seen else ("leaves", 0)


def _begin(
    scene: Scene, changes: Changes, drift: np.ndarray, last: float, rng: np.random.Generator
) -> tuple[_World, int]:
    """Place the first particles wherever the drift may bring the field; give how far that is [px]."""
    moved_px = np.abs(drift).max() / scene.pixel_size_nm
    reach = int(np.ceil(moved_px)) + 1 if moved_px else 0
    size = scene.size_px + 2 * reach
    if size > _SIZES_PX[1]:
        raise ValueError(
            f"the image drifts by {moved_px:.0f} px, which asks for a film of {size} px; let it drift less"
        )
    n = round(scene.n_particles * (size / scene.size_px) ** 2)
    film = replace(scene, size_px=size, n_particles=min(n, 5000), clustering=0.0, overlap=0.0)
    placed = specimen.place(film, rng)
    world = _World(scene, changes, film, last, rng)
    at = np.array([(p.y_nm, p.x_nm) for p in placed]).reshape(-1, 2) - reach * scene.pixel_size_nm
    world.add(at, np.array([p.diameter_nm for p in placed]), 0.0)
    return world, reach


def _rows(world: _World, frame: int, time: float, drift: np.ndarray) -> dict[str, np.ndarray]:
    seen = world.in_field(drift)
    at, radius = world.at[seen] + drift, world.diameter[seen] / 2
    whole = (np.minimum(at, world.scene.edge_nm - at) >= radius[:, None]).all(axis=1)
    return {
        "particle": world.number[seen],
        "frame": np.full(len(at), frame),
        "time_s": np.full(len(at), time),
        "y_nm": at[:, 0],
        "x_nm": at[:, 1],
        "diameter_nm": 2 * radius,
        "whole": whole,
    }


def _events(particles: pd.DataFrame, ends: dict[int, tuple[str, int]], frames: int) -> pd.DataFrame:
    """Give the events of what was seen: its beginning after the first frame, its end before the last."""
    import pandas as pd

    span = particles.groupby("particle")["frame"].agg(["min", "max"])
    rows = [(int(first), int(number), "appears", 0) for number, first in span["min"].items() if first > 0]
    for number, last in span["max"].items():
        if last < frames - 1 and number in ends:
            event, partner = ends[number]
            rows.append((int(last), int(number), event, partner))
    table = pd.DataFrame(rows, columns=["frame", "particle", "event", "partner"])
    return table.sort_values(["frame", "particle", "event"], ignore_index=True)
