"""Movies of synthetic particles, rendered frame by frame when they are asked for, with exact truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from scipy import ndimage

from temlib.files.micrographs import micrograph
from temlib.synthetic import camera, optics, specimen
from temlib.synthetic.histories import Changes, happen
from temlib.synthetic.scene import Scene
from temlib.synthetic.shapes import SHAPES
from temlib.synthetic.simulation import FIELD, form_image, streams

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = ["SyntheticMovie", "movie"]

_PIXELS = 2**20  # in a chunk of a lazy signal
_NONE = np.zeros((0, 0), np.float32)
# Streams of random numbers: of the movie as a whole, of each frame, of each particle.
_HISTORY, _FILM, _LIGHT, _CAMERA, _FRAMES, _FORMS, _MATTER = range(7)


@dataclass(frozen=True)
class SyntheticMovie:
    """A simulated movie and the truth about it.

    Attributes
    ----------
    name : str
        Its name.
    scene : Scene
        Of the first frame.
    changes : Changes
        What changes from frame to frame.
    seed : int
        From which all is drawn.
    particles : DataFrame
        The truth, a row for each particle in each frame in whose field it lies: ``particle`` (its number, the same
        in all frames, and its label), ``frame``, ``time_s``, ``y_nm`` and ``x_nm`` of the centre in the frame,
        ``diameter_nm``, ``whole`` (it does not reach beyond the frame), ``shown`` (False in a dropped frame).
    events : DataFrame
        ``frame``, ``particle``, ``event`` (*appears* in a particle's first frame; *leaves*, *merges into* or
        *dissolves* in its last) and ``partner``, the particle into which it merged, else 0.
    frames : DataFrame
        ``frame``, ``time_s``, ``drift_y_nm`` and ``drift_x_nm`` (by which the image has moved since the first),
        ``defocus_nm``, ``dose``, ``dropped``.
    reach_px : int
        How far beyond the field its film reaches.
    """

    name: str
    scene: Scene
    changes: Changes
    seed: int
    particles: pd.DataFrame
    events: pd.DataFrame
    frames: pd.DataFrame
    reach_px: int

    def __len__(self) -> int:
        """Give the number of frames."""
        return len(self.frames)

    @property
    def image(self) -> Signal2D:
        """The movie, calibrated in space and time; lazy Signal2D, uint16, of shape (frames, size_px, size_px)."""
        return self._lazy(lambda index: self.frame(index)[0], np.uint16, self.name)

    @property
    def labels(self) -> Signal2D:
        """The numbers of the particles, 0 is background; where two overlap, the upper one; lazy Signal2D, int32."""
        return self._lazy(self.labels_of, np.int32, f"{self.name}, labels")

    def frame(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Render one frame.

        Returns
        -------
        uint16 and int32 arrays of shape (size_px, size_px)
            What the camera counted, and the labels; both 0 where the detector dropped the frame.
        """
        scene, projection, labels = self._project(index)
        if projection is None:
            return np.zeros_like(labels, np.uint16), labels
        lens, shot, readout = streams(self._sequence(_FRAMES, index), 3)
        drift = self.frames[["drift_y_nm", "drift_x_nm"]].to_numpy()[index] / scene.pixel_size_nm
        intensity, _ = form_image(scene, projection, self._film_below(drift), None, lens)
        image = intensity[FIELD] * camera.illumination(scene, self._stream(_LIGHT))
        return camera.detect(scene, camera.expose(scene, image, shot), readout), labels

    def labels_of(self, index: int) -> np.ndarray:
        """Give the labels of one frame; int32 array of shape (size_px, size_px)."""
        return self._project(index)[2]

    def _project(self, index: int) -> tuple[Scene, specimen.Projection | None, np.ndarray]:
        """Give the scene of a frame, its particles' projection, None of a dropped one, and its labels."""
        state = self.frames.iloc[index]
        if state["dropped"]:
            return self.scene, None, np.zeros((self.scene.size_px,) * 2, np.int32)
        scene = replace(self.scene, defocus_nm=float(state["defocus_nm"]), dose=float(state["dose"]))
        rows = self._rows_of[index]
        numbers = self.particles["particle"].to_numpy()[rows]
        places = self.particles[["y_nm", "x_nm", "diameter_nm"]].to_numpy()[rows]
        particles = [self._particle(n, *place) for n, place in zip(numbers.tolist(), places.tolist(), strict=True)]
        matter = [self._stream(_MATTER, number) for number in numbers.tolist()]
        projection = specimen.project(scene, particles, _NONE, matter)
        labels = optics.fly_back(scene, projection.labels)[FIELD]
        return scene, projection, np.concatenate([[0], numbers]).astype(np.int32)[labels]

    def _lazy(self, render: Callable[[int], np.ndarray], dtype: type, title: str) -> Signal2D:
        import dask.array as da

        size, together = self.scene.size_px, max(1, _PIXELS // self.scene.size_px**2)
        indices = da.arange(len(self), chunks=together)
        data = da.map_blocks(
            lambda some: np.stack([render(int(index)) for index in some]),
            indices,
            new_axis=[1, 2],
            chunks=(indices.chunks[0], (size,), (size,)),
            dtype=dtype,
            meta=np.empty((0, 0, 0), dtype),
            name=f"{title}-{uuid4().hex}",
        )
        time = {"name": "time", "scale": self.changes.seconds, "units": "s"}
        return micrograph(data, self.scene.pixel_size_nm, title, [time])

    def _sequence(self, *key: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed, spawn_key=key)

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(self._sequence(*key))

    def _particle(self, number: int, y_nm: float, x_nm: float, diameter_nm: float) -> specimen.Particle:
        """Give a particle the form that goes with its number."""
        rng = self._stream(_FORMS, number)
        shape, rotation = str(rng.choice(self.scene.shapes)), float(rng.uniform(0, 2 * np.pi))
        return specimen.Particle(shape, y_nm, x_nm, diameter_nm, rotation, SHAPES[shape](rng, self.scene))

    @cached_property
    def _rows_of(self) -> list[slice]:
        bounds = np.searchsorted(self.particles["frame"], np.arange(len(self) + 1)).tolist()
        return [slice(*pair) for pair in pairwise(bounds)]

    @cached_property
    def _film(self) -> np.ndarray:
        """The film [nm], as far as the field gets, with its margin."""
        whole, rng = replace(self.scene, size_px=self.scene.size_px + 2 * self.reach_px), self._stream(_FILM)
        return specimen.film_thickness(whole, specimen.granularity(whole, rng), rng)

    def _film_below(self, drift_px: np.ndarray) -> np.ndarray:
        """Cut from the film what lies in the frame, by splines to a fraction of a pixel."""
        edge = self.scene.size_px + 2 * specimen.MARGIN
        corner = self.reach_px - drift_px
        whole = np.floor(corner).astype(int)
        window = tuple(slice(first, first + edge + 1) for first in whole.tolist())
        if (corner == whole).all():
            return self._film[window][:edge, :edge]
        moved = ndimage.shift(self._film[window], whole - corner, order=3, mode="mirror")[:edge, :edge]
        return np.maximum(moved, 0)


def movie(scene: Scene, frames: int, seed: int = 0, name: str = "movie", **changes: object) -> SyntheticMovie:
    """Simulate a movie of particles that nucleate, grow, move, coalesce and dissolve.

    Nothing is rendered before it is asked for; each frame depends on the seed and its number alone.

    Parameters
    ----------
    scene : Scene
        What lies under the beam in the first frame. Its particles are placed apart. A movie shows no support, texture
        of particles, marks or limit of visibility.
    frames : int
        How many, in [1, 1e7].
    seed : int
        The same seed gives the same bytes; see :func:`simulate`.
    name : str
        Its name.
    **changes
        What changes from frame to frame; see :class:`temlib.synthetic.histories.Changes`.

    Returns
    -------
    SyntheticMovie

    Raises
    ------
    ValueError
        When a number is out of range, or the scene has what a movie does not show.
    """
    unknown = sorted(set(changes) - set(Changes.__dataclass_fields__))
    if unknown:
        raise ValueError(f"nothing is called {unknown[0]!r}; choose from {', '.join(Changes.__dataclass_fields__)}")
    told = Changes(**changes)  # type: ignore[arg-type]
    if not 1 <= frames <= 10**7:
        raise ValueError(f"frames={frames!r} is out of range; allowed are 1 to 10000000")
    for what in ("support", "texture", "marks", "visibility"):
        if getattr(scene, what):
            raise ValueError(f"a movie has no {what}; leave {what} out of its scene")
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_HISTORY,)))
    particles, events, states, reach_px = happen(scene, frames, told, rng)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_CAMERA,)))
    defocus = scene.defocus_nm + told.defocus_nm_s * states["time_s"]
    dose = scene.dose * rng.lognormal(0, told.dose_spread, frames)
    dropped = rng.random(frames) < told.dropped
    states = states.assign(defocus_nm=defocus, dose=dose, dropped=dropped)
    particles = particles.assign(shown=~dropped[particles["frame"].to_numpy()])
    return SyntheticMovie(name, scene, told, seed, particles, events, states, reach_px)
