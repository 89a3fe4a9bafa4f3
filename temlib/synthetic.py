"""Synthetic micrographs: simulate particles on a support film, with exact masks and labels.

The physics is that of mass-thickness contrast: a particle of projected thickness t [nm]
transmits exp(-t / lambda) of the electrons, lambda being the attenuation length [nm] for the
objective aperture in use (Reimer and Kohl, Transmission Electron Microscopy, 5th ed., ch. 6);
the camera then counts electrons, which are Poisson distributed. Diffraction and wave optics are
not simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from temlib.micrographs import micrograph

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = ["DISTRIBUTIONS", "SHAPES", "Scene", "SyntheticMicrograph", "sample", "simulate"]

_SUBPIXELS = 4  # along each edge of a pixel, to find how far a particle covers it


@dataclass(frozen=True)
class Scene:
    """What lies under the beam, and how it is imaged.

    Parameters
    ----------
    size_px : int
        Edge of the square micrograph [px], at least 32.
    pixel_size_nm : float
        Edge of a pixel [nm], positive.
    n_particles : int
        Particles to place; fewer fit when the micrograph is full.
    shapes : tuple of str
        Drawn from with equal probability; the keys of :data:`SHAPES`.
    diameter_nm, diameter_spread : float
        Median [nm] and standard deviation of the logarithm of the log-normal distribution of
        the particles' size (the diameter of the circle of the same projected area).
    max_aspect_ratio : float
        Ellipsoids and rods are drawn between 1.2 and this ratio of length to width.
    clustering : float
        Share of particles placed beside an earlier one, touching it, in [0, 1].
    overlap : float
        Share of the summed radii by which neighbours may overlap, in [0, 1).
    attenuation_length_nm : float
        Thickness of material that transmits 1/e of the electrons [nm].
    contrast_spread : float
        Standard deviation of the logarithm of the particles' attenuation, one to another.
    film_contrast : float
        Standard deviation of the film's transmission, in [0, 0.3].
    film_grain_nm : float
        Correlation length of the film's texture [nm].
    illumination_gradient : float
        Relative change of the illumination across the micrograph, in [0, 1).
    blur_nm : float
        Standard deviation of the point spread [nm].
    dose : float
        Electrons per nm^2.
    """

    size_px: int = 512
    pixel_size_nm: float = 0.5
    n_particles: int = 25
    shapes: tuple[str, ...] = ("sphere",)
    diameter_nm: float = 25.0
    diameter_spread: float = 0.15
    max_aspect_ratio: float = 2.0
    clustering: float = 0.2
    overlap: float = 0.1
    attenuation_length_nm: float = 30.0
    contrast_spread: float = 0.1
    film_contrast: float = 0.03
    film_grain_nm: float = 1.5
    illumination_gradient: float = 0.2
    blur_nm: float = 0.5
    dose: float = 1000.0


@dataclass(frozen=True)
class SyntheticMicrograph:
    """A simulated micrograph and the truth about it.

    Attributes
    ----------
    name : str
        Distribution and number, as in ``bright_field_0007``.
    image : Signal2D, uint16
        Electrons counted in each pixel; the camera saturates at 65535.
    labels : Signal2D, int32
        0 is background, 1..n the particles; where two overlap, the upper one.
    particles : DataFrame
        One row a particle, indexed by label: shape, y_nm, x_nm (of the centre), diameter_nm (of
        the circle of the same projected area), rotation_deg.
    scene : Scene
        What was simulated.
    """

    name: str
    image: Signal2D
    labels: Signal2D
    particles: pd.DataFrame
    scene: Scene

    @property
    def mask(self) -> Signal2D:
        """The pixels at least half covered by particles; Signal2D, bool."""
        return micrograph(self.labels.data > 0, self.scene.pixel_size_nm, self.name)


# --- Shapes -------------------------------------------------------------------------------------
# Each gives the thickness along the beam at (u, v), lengths in units of the particle's
# equivalent radius, and 0 outside. The projected area of each is pi, whatever its form.


def _sphere(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, scene: Scene) -> np.ndarray:
    return _dome(1 - u**2 - v**2)


def _ellipsoid(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, scene: Scene) -> np.ndarray:
    length = np.sqrt(rng.uniform(1.2, scene.max_aspect_ratio))
    return _dome(1 - (u / length) ** 2 - (v * length) ** 2) / length


def _rod(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, scene: Scene) -> np.ndarray:
    ratio = rng.uniform(1.2, scene.max_aspect_ratio)
    radius = np.sqrt(np.pi / (4 * (ratio - 1) + np.pi))  # a rectangle between two half discs
    beyond = np.maximum(np.abs(u) - (ratio - 1) * radius, 0)
    return _dome(radius**2 - beyond**2 - v**2)


def _prism(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, scene: Scene) -> np.ndarray:
    corners = int(rng.choice([3, 4, 4, 6]))
    angles = 2 * np.pi * np.arange(corners) / corners
    apothem = np.sqrt(np.pi / (corners * np.tan(np.pi / corners)))
    inside = np.max([u * np.cos(a) + v * np.sin(a) for a in angles], axis=0) <= apothem
    return inside * rng.uniform(0.8, 1.6)


def _hollow(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, scene: Scene) -> np.ndarray:
    inner = rng.uniform(0.6, 0.85)
    return _dome(1 - u**2 - v**2) - _dome(inner**2 - u**2 - v**2)


def _irregular(u: np.ndarray, v: np.ndarray, rng: np.random.Generator, scene: Scene) -> np.ndarray:
    orders = np.arange(2, 7)
    amplitudes = rng.normal(0, 0.12, orders.size) / (orders - 1)
    phases = rng.uniform(0, 2 * np.pi, orders.size)
    angle = np.arctan2(v, u)
    waves = sum(a * np.cos(k * angle + p) for k, a, p in zip(orders, amplitudes, phases, strict=True))
    # The area within r = c (1 + sum a_k cos k phi) is pi c^2 (1 + sum a_k^2 / 2).
    edge = (1 + waves) / np.sqrt(1 + np.sum(amplitudes**2) / 2)
    return _dome(1 - (u**2 + v**2) / np.maximum(edge, 0.1) ** 2)


def _dome(height_squared: np.ndarray) -> np.ndarray:
    return 2 * np.sqrt(np.maximum(height_squared, 0))


SHAPES = {
    "sphere": _sphere,
    "ellipsoid": _ellipsoid,
    "rod": _rod,
    "prism": _prism,
    "hollow": _hollow,
    "irregular": _irregular,
}
"""Particle shapes: sphere, ellipsoid, rod (with caps), prism (3, 4 or 6 sides, seen along its
axis), hollow (sphere), irregular."""


# --- Image formation ----------------------------------------------------------------------------


def simulate(scene: Scene, seed: int | np.random.SeedSequence = 0, name: str = "synthetic") -> SyntheticMicrograph:
    """Simulate one micrograph of a scene.

    Parameters
    ----------
    scene : Scene
        What to simulate.
    seed : int or SeedSequence
        The same seed gives the same bytes.
    name : str
        Its name.

    Returns
    -------
    SyntheticMicrograph of shape (scene.size_px, scene.size_px)
    """
    _check(scene)
    rng = np.random.default_rng(seed)
    particles = _place(scene, rng)
    depth, labels = _project(scene, particles, rng)
    electrons = scene.dose * scene.pixel_size_nm**2
    expected = electrons * _illumination(scene, rng) * np.exp(-depth) * _film(scene, rng)
    expected = ndimage.gaussian_filter(expected, scene.blur_nm / scene.pixel_size_nm, mode="nearest")
    counts = np.minimum(rng.poisson(expected), np.iinfo(np.uint16).max).astype(np.uint16)
    return SyntheticMicrograph(
        name,
        micrograph(counts, scene.pixel_size_nm, name),
        micrograph(labels, scene.pixel_size_nm, name),
        particles,
        scene,
    )


def sample(distribution: str, n: int, seed: int = 0) -> Iterator[SyntheticMicrograph]:
    """Yield ``n`` micrographs of scenes drawn from a named distribution.

    Micrograph i depends on the distribution, the seed and i alone, not on ``n`` or on what was
    drawn before.

    Parameters
    ----------
    distribution : str
        A key of :data:`DISTRIBUTIONS`.
    n : int
        How many.
    seed : int
        The same seed gives the same bytes.
    """
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"no distribution is called {distribution!r}; choose from {', '.join(DISTRIBUTIONS)}")
    for index in range(n):
        for_scene, for_image = np.random.SeedSequence([seed, index]).spawn(2)
        scene = DISTRIBUTIONS[distribution](np.random.default_rng(for_scene))
        yield simulate(scene, for_image, f"{distribution}_{index:04d}")


def _check(scene: Scene) -> None:
    unknown = set(scene.shapes) - set(SHAPES)
    if unknown or not scene.shapes:
        raise ValueError(f"no shape is called {', '.join(sorted(unknown))!r}; choose from {', '.join(SHAPES)}")
    for field in ("pixel_size_nm", "diameter_nm", "attenuation_length_nm", "dose"):
        if not getattr(scene, field) > 0:
            raise ValueError(f"{field}={getattr(scene, field)!r} must be positive")
    if scene.size_px < 32:
        raise ValueError(f"size_px={scene.size_px} is too small; use 32 or more")


def _place(scene: Scene, rng: np.random.Generator) -> pd.DataFrame:
    """Scatter particles, some in clusters, none overlapping more than allowed."""
    import pandas as pd

    edge_nm = scene.size_px * scene.pixel_size_nm
    placed: list[tuple[float, float, float]] = []
    for diameter in rng.lognormal(np.log(scene.diameter_nm), scene.diameter_spread, scene.n_particles):
        for _ in range(30):
            if placed and rng.random() < scene.clustering:
                y, x, neighbour = placed[rng.integers(len(placed))]
                angle = rng.uniform(0, 2 * np.pi)
                reach = (diameter + neighbour) / 2 * rng.uniform(1 - scene.overlap, 1)
                y, x = y + reach * np.sin(angle), x + reach * np.cos(angle)
            else:
                y, x = rng.uniform(0, edge_nm, 2)
            inside = 0 <= y < edge_nm and 0 <= x < edge_nm
            if inside and all(
                np.hypot(y - other_y, x - other_x) >= (1 - scene.overlap) * (diameter + other) / 2
                for other_y, other_x, other in placed
            ):
                placed.append((y, x, diameter))
                break
    table = pd.DataFrame(placed, columns=["y_nm", "x_nm", "diameter_nm"], dtype=float)
    table.insert(0, "shape", rng.choice(scene.shapes, len(table)))
    table["rotation_deg"] = rng.uniform(0, 360, len(table))
    table.index = pd.RangeIndex(1, len(table) + 1, name="label")
    return table


def _project(scene: Scene, particles: pd.DataFrame, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give the optical depth t / lambda of all particles together, and the label image."""
    shape = (scene.size_px, scene.size_px)
    depth, labels = np.zeros(shape), np.zeros(shape, np.int32)
    for particle in particles.itertuples():
        radius = particle.diameter_nm / 2
        attenuation = rng.lognormal(0, scene.contrast_spread) / scene.attenuation_length_nm
        window, dy, dx = _window(
            scene, particle.y_nm, particle.x_nm, radius * (1 + scene.max_aspect_ratio) / 2 + radius
        )
        angle = np.deg2rad(particle.rotation_deg)
        u, v = (np.cos(angle) * dx + np.sin(angle) * dy) / radius, (np.cos(angle) * dy - np.sin(angle) * dx) / radius
        thickness = radius * SHAPES[particle.shape](u, v, rng, scene)
        depth[window] += _average_subpixels(thickness) * attenuation
        labels[window][_average_subpixels(thickness > 0) >= 0.5] = particle.Index
    return depth, labels


def _window(
    scene: Scene, y_nm: float, x_nm: float, reach_nm: float
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Give the pixels around a point, and the offsets [nm] of their sub-pixels from it."""
    slices, offsets = [], []
    for centre in (y_nm, x_nm):
        start = max(int((centre - reach_nm) / scene.pixel_size_nm), 0)
        stop = min(int((centre + reach_nm) / scene.pixel_size_nm) + 1, scene.size_px)
        subpixels = (np.arange(start * _SUBPIXELS, stop * _SUBPIXELS) + 0.5) / _SUBPIXELS
        slices.append(slice(start, stop))
        offsets.append(subpixels * scene.pixel_size_nm - centre)
    return (slices[0], slices[1]), offsets[0][:, None], offsets[1][None, :]


def _average_subpixels(fine: np.ndarray) -> np.ndarray:
    height, width = fine.shape
    return fine.reshape(height // _SUBPIXELS, _SUBPIXELS, width // _SUBPIXELS, _SUBPIXELS).mean((1, 3))


def _illumination(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Tilt and bow the illumination; relative, mean near 1."""
    y, x = np.mgrid[-0.5 : 0.5 : scene.size_px * 1j, -0.5 : 0.5 : scene.size_px * 1j]
    angle, bow = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
    tilt = y * np.sin(angle) + x * np.cos(angle)
    return 1 + scene.illumination_gradient * (tilt + bow * (y**2 + x**2 - 1 / 6))


def _film(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Transmission of an amorphous film: fine grain and slow thickness changes; mean 1."""
    grain = scene.film_grain_nm / scene.pixel_size_nm
    fine = _unit_noise(scene.size_px, grain, rng)
    slow = _unit_noise(scene.size_px, 20 * grain, rng)
    return np.clip(1 + scene.film_contrast * (0.8 * fine + 0.6 * slow), 0.05, None)


def _unit_noise(size: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of mean 0 and variance 1, correlated over ``sigma`` pixels (periodic)."""
    frequencies = np.fft.fftfreq(size)[:, None] ** 2 + np.fft.rfftfreq(size)[None, :] ** 2
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * np.exp(-2 * (np.pi * sigma) ** 2 * frequencies)
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (size, size))
    return noise / max(noise.std(), 1e-12)


# --- Named distributions of scenes --------------------------------------------------------------


def _bright_field(rng: np.random.Generator) -> Scene:
    """Training scenes: rounded particles, 36 to 150 px, from faint to black."""
    pixel_size_nm = float(np.exp(rng.uniform(np.log(0.1), np.log(2))))
    diameter_px = float(np.exp(rng.uniform(np.log(36), np.log(150))))
    diameter_nm = diameter_px * pixel_size_nm
    fill = rng.uniform(0.05, 0.45)
    return Scene(
        pixel_size_nm=pixel_size_nm,
        n_particles=int(np.clip(fill * 512**2 / (np.pi / 4 * diameter_px**2), 2, 120)),
        shapes=tuple(rng.choice(["sphere", "ellipsoid", "irregular", "rod"], rng.integers(1, 3), replace=False)),
        diameter_nm=diameter_nm,
        diameter_spread=rng.uniform(0.03, 0.3),
        max_aspect_ratio=rng.uniform(1.3, 2.2),
        clustering=rng.uniform(0, 0.8),
        overlap=rng.uniform(0, 0.25),
        attenuation_length_nm=diameter_nm / rng.uniform(0.45, 2.5),
        contrast_spread=rng.uniform(0, 0.35),
        film_contrast=rng.uniform(0.01, 0.08),
        film_grain_nm=rng.uniform(0.8, 4) * pixel_size_nm,
        illumination_gradient=rng.uniform(0, 0.4),
        blur_nm=rng.uniform(0.5, 1.5) * pixel_size_nm,
        dose=float(np.exp(rng.uniform(np.log(150), np.log(3000)))) / pixel_size_nm**2,
    )


def _stand_in(rng: np.random.Generator) -> Scene:
    """Stand-in for an experiment, disjoint from ``bright_field`` in shape, size, contrast, noise."""
    pixel_size_nm = 0.5
    diameter_px = rng.uniform(18, 32)
    diameter_nm = diameter_px * pixel_size_nm
    fill = rng.uniform(0.03, 0.2)
    return Scene(
        pixel_size_nm=pixel_size_nm,
        n_particles=int(fill * 512**2 / (np.pi / 4 * diameter_px**2)),
        shapes=tuple(rng.choice(["prism", "hollow"], rng.integers(1, 3), replace=False)),
        diameter_nm=diameter_nm,
        diameter_spread=rng.uniform(0.05, 0.2),
        clustering=rng.uniform(0, 0.5),
        overlap=rng.uniform(0, 0.1),
        attenuation_length_nm=diameter_nm / rng.uniform(0.28, 0.42),
        contrast_spread=rng.uniform(0.1, 0.3),
        film_contrast=rng.uniform(0.02, 0.05),
        film_grain_nm=rng.uniform(1.5, 3),
        illumination_gradient=rng.uniform(0.2, 0.5),
        blur_nm=rng.uniform(0.4, 0.8),
        dose=rng.uniform(100, 500),
    )


DISTRIBUTIONS = {"bright_field": _bright_field, "stand_in": _stand_in}
"""Named distributions of scenes: ``bright_field`` to train on, ``stand_in`` in place of an
experiment (data set ``simulated``). Their shapes, and the ranges of their median diameters [px],
optical depths (diameter over attenuation length) and doses per pixel, are disjoint."""
