"""The specimen: particles on a film, projected along the beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from temlib.synthetic.scene import Scene
from temlib.synthetic.shapes import SHAPES, Body, measure

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MARGIN",
    "Particle",
    "Projection",
    "describe",
    "diameters",
    "film_thickness",
    "grain_noise",
    "granularity",
    "has_room",
    "place",
    "project",
    "smooth_noise",
    "two_beam",
    "without_particles",
]

MARGIN = 32
"""Pixels simulated beyond each edge of the micrograph and then cut off, so that what the wave optics
wrap around does not show."""

_COLUMNS = [
    *("shape", "y_nm", "x_nm", "diameter_nm", "area_nm2", "perimeter_nm", "feret_max_nm", "feret_min_nm"),
    *("circularity", "volume_nm3", "rotation_deg", "whole"),
]
_SUBPIXELS = 5  # along each edge of a pixel on an outline, to find how far the particle covers it
_OFFSETS = ((np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS).astype(np.float32)


@dataclass(frozen=True)
class Particle:
    """A shape, where it lies and how large it is.

    Attributes
    ----------
    shape : str
        Key of :data:`SHAPES`.
    y_nm, x_nm, diameter_nm, rotation : float
        Centre and equivalent circular diameter [nm]; rotation in the plane [rad].
    body : Body
        Its form, in units of half the diameter.
    """

    shape: str
    y_nm: float
    x_nm: float
    diameter_nm: float
    rotation: float
    body: Body


@dataclass(frozen=True)
class Projection:
    """All particles, projected along the beam; float32 arrays of the micrograph with its margin.

    Attributes
    ----------
    thickness : array
        Of all particles together [nm].
    depth : array
        Optical depth, the sum of thickness over attenuation length.
    unscattered : array
        Share of electrons that Bragg diffraction leaves in the direct beam, in [0, 1].
    labels : int32 array
        0 is background, 1..n the particles; where two overlap, the upper one.
    """

    thickness: np.ndarray
    depth: np.ndarray
    unscattered: np.ndarray
    labels: np.ndarray


def place(scene: Scene, rng: np.random.Generator) -> list[Particle]:
    """Scatter particles, some beside others, none overlapping more than allowed.

    Distances are judged by the circles of the same area. Every particle is tried 30 times and left
    out when there is no room; centres lie in the micrograph.
    """
    placed = np.empty((scene.n_particles, 3))  # y, x, diameter [nm]
    n = 0
    for diameter in diameters(scene, rng):
        for _ in range(30):
            if n and rng.random() < scene.clustering:
                y, x, neighbour = placed[rng.integers(n)]
                angle = rng.uniform(0, 2 * np.pi)
                reach = (diameter + neighbour) / 2 * rng.uniform(1 - scene.overlap, 1)
                y, x = y + reach * np.sin(angle), x + reach * np.cos(angle)
            else:
                y, x = rng.uniform(0, scene.edge_nm, 2)
            if has_room(scene, y, x, diameter, placed[:n]):
                placed[n] = y, x, diameter
                n += 1
                break
    names = rng.choice(scene.shapes, n)
    rotations = rng.uniform(0, 2 * np.pi, n)
    return [
        Particle(str(name), y, x, diameter, rotation, SHAPES[name](rng, scene))
        for name, (y, x, diameter), rotation in zip(names, placed[:n].tolist(), rotations.tolist(), strict=True)
    ]


def diameters(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw the sizes [nm] of a scene's particles."""
    if scene.diameters_nm:
        return rng.choice(scene.diameters_nm, scene.n_particles)
    return rng.lognormal(np.log(scene.diameter_nm), scene.diameter_spread, scene.n_particles)


def has_room(scene: Scene, y: float, x: float, diameter: float, others: np.ndarray) -> bool:
    """Tell whether a particle [nm] lies in the micrograph, and overlaps none of the others (n, 3) too much."""
    if not (0 <= y < scene.edge_nm and 0 <= x < scene.edge_nm):
        return False
    nearest = (1 - scene.overlap) * (diameter + others[:, 2]) / 2 * (1 - 1e-9)
    return bool(((others[:, 0] - y) ** 2 + (others[:, 1] - x) ** 2 >= nearest**2).all())


def describe(scene: Scene, particles: list[Particle]) -> pd.DataFrame:
    """Tabulate the particles' true sizes and shapes, from geometry and not from pixels.

    Returns
    -------
    DataFrame indexed by label
        shape; y_nm, x_nm of the centre; diameter_nm (of the circle of the same projected area),
        area_nm2, perimeter_nm, feret_max_nm, feret_min_nm of the projection; circularity
        4 pi area / perimeter^2; volume_nm3 of the material; rotation_deg; whole (True when the
        outline does not leave the micrograph).
    """
    import pandas as pd

    rows = [_describe(scene, particle) for particle in particles]
    return pd.DataFrame(rows, columns=_COLUMNS, index=pd.RangeIndex(1, len(rows) + 1, name="label"))


def granularity(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw Gaussian noise of mean 0 and variance 1 with the correlation length of the film's grains.

    Returns
    -------
    float32 array, with the margin; periodic
    """
    return grain_noise(scene.size_px + 2 * MARGIN, scene.film_grain_nm / scene.pixel_size_nm, rng)


def grain_noise(edge: int, correlation_px: float, rng: np.random.Generator) -> np.ndarray:
    """Draw Gaussian noise of mean 0, variance 1 and this correlation length; float32, square, periodic."""
    noise = rng.standard_normal((edge, edge), dtype=np.float32)
    if correlation_px < 0.3:
        return noise
    damping = np.exp(-2 * (np.pi * correlation_px * np.fft.fftfreq(edge)) ** 2)
    # The variance that the filter leaves of white noise is the mean of its square.
    along = (damping / np.sqrt((damping**2).mean())).astype(np.float32)
    spectrum = fft.rfft2(noise, overwrite_x=True)
    spectrum *= along[:, None]
    spectrum *= along[None, : edge // 2 + 1]
    return fft.irfft2(spectrum, (edge, edge), overwrite_x=True)


def project(
    scene: Scene,
    particles: list[Particle],
    granular: np.ndarray,
    rng: np.random.Generator | Sequence[np.random.Generator],
) -> Projection:
    """Project all particles along the beam; where they overlap, thicknesses add.

    What a particle is made of is drawn with ``rng``, or with a generator for each particle.

    A pixel belongs to a particle when the particle covers at least half of it. Each grain of a
    particle may be near a Bragg condition; the direct beam then loses what :func:`two_beam` gives.
    """
    found = without_particles(scene)
    each = [rng] * len(particles) if isinstance(rng, np.random.Generator) else rng
    for label, (particle, rng) in enumerate(zip(particles, each, strict=True), start=1):
        window, material, covered = _cover(scene, particle)
        attenuation = rng.lognormal(0, scene.contrast_spread) / scene.attenuation_length_nm
        found.thickness[window] += material
        found.depth[window] += material * np.float32(attenuation)
        found.labels[window][covered] = label
        deviations = _deviations(scene, rng)
        if np.isfinite(deviations).any():
            grain = _grains(covered.shape, len(deviations), rng)
            found.unscattered[window] *= 1 - two_beam(material, deviations[grain], scene.extinction_nm)
    if scene.texture:
        # Turned by half a turn, so that particles and film do not show the same grains.
        density = granular[::-1, ::-1] * np.float32(scene.texture)
        density += 1
        np.maximum(density, 0, out=density)
        for picture in (found.thickness, found.depth):
            picture *= density
    return found


def without_particles(scene: Scene) -> Projection:
    """Give the projection of no particles."""
    shape = (scene.size_px + 2 * MARGIN,) * 2
    thickness, depth = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    return Projection(thickness, depth, np.ones(shape, np.float32), np.zeros(shape, np.int32))


def two_beam(thickness: np.ndarray, deviation: np.ndarray, extinction_nm: float) -> np.ndarray:
    """Give the share of electrons that one excited reflection takes from the direct beam.

    The two-beam case of the dynamical theory, without absorption: sin^2(pi t sqrt(1 + w^2) / xi) /
    (1 + w^2). Williams and Carter, Transmission Electron Microscopy, 2nd ed., ch. 13.

    Parameters
    ----------
    thickness : array
        t, of the crystal [nm].
    deviation : array
        w, the deviation from the Bragg condition times the extinction distance; inf diffracts nothing.
    extinction_nm : float
        xi, the extinction distance [nm].

    Returns
    -------
    float array in [0, 1]
    """
    effective = 1 + np.square(np.minimum(deviation, np.float32(1e6)))
    wave = np.sin(np.float32(np.pi / extinction_nm) * thickness * np.sqrt(effective))
    return np.square(wave) / effective


def film_thickness(scene: Scene, granular: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the support film's thickness [nm]: granular, uneven, with holes; float32, with the margin.

    The holes are where a slowly varying random field is lowest, so that they are rounded, of
    different sizes, and cut by the micrograph's edges.
    """
    edge = scene.size_px + 2 * MARGIN
    if scene.film_thickness_nm == 0:
        return np.zeros((edge, edge), np.float32)
    uneven = 1 + np.float32(scene.film_unevenness) * smooth_noise(edge, 3, rng)
    thickness = np.float32(scene.film_roughness) * granular
    thickness += uneven
    thickness *= np.float32(scene.film_thickness_nm)
    np.maximum(thickness, 0, out=thickness)
    if scene.film_holes:
        field = smooth_noise(edge, 6, rng)
        thickness *= field > np.quantile(field[::4, ::4], scene.film_holes)
    return thickness


def _describe(scene: Scene, particle: Particle) -> dict[str, str | float | bool]:
    radius, size = particle.diameter_nm / 2, measure(particle.body)
    return {
        "shape": particle.shape,
        "y_nm": particle.y_nm,
        "x_nm": particle.x_nm,
        "diameter_nm": particle.diameter_nm,
        "area_nm2": np.pi * radius**2,
        **{f"{name}_nm": radius * length for name, length in size.items()},
        "circularity": 4 * np.pi * np.pi / size["perimeter"] ** 2,
        "volume_nm3": radius**3 * particle.body.volume,
        "rotation_deg": float(np.rad2deg(particle.rotation)),
        "whole": _is_whole(scene, particle),
    }


def _is_whole(scene: Scene, particle: Particle) -> bool:
    u, v = particle.body.outline.T * particle.diameter_nm / 2
    cos, sin = np.cos(particle.rotation), np.sin(particle.rotation)
    x, y = particle.x_nm + cos * u - sin * v, particle.y_nm + sin * u + cos * v
    return bool(min(x.min(), y.min()) >= 0 and max(x.max(), y.max()) <= scene.edge_nm)


def _cover(scene: Scene, particle: Particle) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """Give a window around a particle, the mean thickness [nm] in its pixels, and which it covers.

    Inside, a pixel's thickness is the mean of its corners'; on the outline, of 5 x 5 points in it.
    """
    radius = particle.diameter_nm / 2
    reach_px = radius / scene.pixel_size_nm * float(np.hypot(*particle.body.outline.T).max())
    y_px, x_px = (at / scene.pixel_size_nm + MARGIN for at in (particle.y_nm, particle.x_nm))
    limit = scene.size_px + 2 * MARGIN
    rows, columns = (slice(max(int(at - reach_px), 0), min(int(at + reach_px) + 1, limit)) for at in (y_px, x_px))
    scale = scene.pixel_size_nm / radius
    cos, sin = np.float32(scale * np.cos(particle.rotation)), np.float32(scale * np.sin(particle.rotation))

    def thickness(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.float32(radius) * particle.body.thickness(cos * x + sin * y, cos * y - sin * x)

    y = np.arange(rows.start, rows.stop + 1, dtype=np.float32) - np.float32(y_px)
    x = np.arange(columns.start, columns.stop + 1, dtype=np.float32) - np.float32(x_px)
    corners = thickness(y[:, None], x[None, :])
    mean = (corners[1:, 1:] + corners[1:, :-1] + corners[:-1, 1:] + corners[:-1, :-1]) / 4
    inside = corners > 0
    number = inside[1:, 1:].view(np.int8) + inside[1:, :-1] + inside[:-1, 1:] + inside[:-1, :-1]
    covered = number == 4
    on_outline = np.nonzero((number > 0) & ~covered if min(number.shape) > 8 else number >= 0)
    within = y[on_outline[0]] + _OFFSETS[:, None, None], x[on_outline[1]] + _OFFSETS[None, :, None]
    points = thickness(*within).reshape(_SUBPIXELS**2, -1)
    mean[on_outline] = points.mean(0)
    covered[on_outline] = 2 * np.count_nonzero(points, axis=0) >= _SUBPIXELS**2
    return (rows, columns), mean, covered


def _deviations(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw how far each grain is from a Bragg condition; inf where none is near."""
    grains = int(rng.integers(1, scene.max_grains + 1))
    near = rng.random(grains) < scene.diffraction
    return np.where(near, np.abs(rng.normal(0, 0.7, grains)), np.inf).astype(np.float32)


def _grains(shape: tuple[int, int], grains: int, rng: np.random.Generator) -> np.ndarray:
    """Divide a window among grains: each pixel to the nearest of random points."""
    points = (rng.random((grains, 2)) * shape).astype(np.float32)
    if grains == 1:
        return np.zeros(shape, np.intp)
    y, x = np.arange(shape[0], dtype=np.float32)[:, None], np.arange(shape[1], dtype=np.float32)
    return np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in points], axis=0)


def smooth_noise(edge: int, waves: int, rng: np.random.Generator) -> np.ndarray:
    """Random field of variance near 1 with at most ``waves`` half waves across; float32."""
    order = np.arange(waves + 1)
    basis = np.cos(np.pi * order[:, None] * (np.arange(edge) + 0.5) / edge)
    basis[1:] *= np.sqrt(2)
    coefficients = rng.normal(size=(waves + 1, waves + 1))
    coefficients[order[:, None] + order > waves] = 0
    coefficients[0, 0] = 0
    coefficients /= np.sqrt((coefficients**2).sum()) or 1
    return (basis.T @ coefficients).astype(np.float32) @ basis.astype(np.float32)
