"""Particle shapes by name: their thickness along the beam, their outline and their volume, from geometry.

Lengths are in units of the particle's equivalent radius: the projected area of every shape, however
it is turned, is pi.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.spatial import ConvexHull
from skimage.measure import find_contours

from temlib.synthetic.aggregates import aggregate
from temlib.synthetic.body import ANGLES, CIRCLE, Body, Proportions, dome, measure
from temlib.synthetic.polyhedra import POLYHEDRA, turned

__all__ = ["SHAPES", "Body", "measure", "wetting"]


def _sphere(rng: np.random.Generator, scene: Proportions) -> Body:
    return Body(lambda u, v: dome(1 - u * u - v * v), CIRCLE)


def _ellipsoid(rng: np.random.Generator, scene: Proportions) -> Body:
    """Prolate, its long axis in the plane of the film."""
    length = np.sqrt(rng.uniform(1.2, scene.max_aspect_ratio))

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return dome(1 - (u / length) ** 2 - (v * length) ** 2) / length

    return Body(thickness, CIRCLE * [length, 1 / length], 4 / 3 * np.pi / length)


def _rod(rng: np.random.Generator, scene: Proportions) -> Body:
    """Make a cylinder between two half spheres, lying on the film."""
    ratio = rng.uniform(1.2, scene.max_aspect_ratio)
    radius = np.sqrt(np.pi / (4 * (ratio - 1) + np.pi))
    half = (ratio - 1) * radius

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return dome(radius**2 - np.maximum(np.abs(u) - half, 0) ** 2 - v**2)

    outline = radius * CIRCLE + half * np.sign(CIRCLE[:, :1]) * [1, 0]
    return Body(thickness, outline, np.pi * radius**2 * 2 * half + 4 / 3 * np.pi * radius**3)


def _hollow(rng: np.random.Generator, scene: Proportions) -> Body:
    inner = rng.uniform(0.6, 0.85)
    return Body(partial(_two_spheres, inner, -1), CIRCLE, 4 / 3 * np.pi * (1 - inner**3))


def _core_shell(rng: np.random.Generator, scene: Proportions) -> Body:
    return Body(partial(_two_spheres, rng.uniform(0.4, 0.8), scene.core_contrast - 1), CIRCLE)


def _two_spheres(inner: float, weight: float, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Give the thickness of a sphere and, weighted, of one of radius ``inner`` in its middle."""
    squared = u * u + v * v
    return dome(1 - squared) + weight * dome(inner**2 - squared)


def _irregular(rng: np.random.Generator, scene: Proportions) -> Body:
    """Make a sphere whose outline is wavy."""
    orders = np.arange(2, 7)
    amplitudes = rng.normal(0, 0.12, orders.size) / (orders - 1)
    phases = rng.uniform(0, 2 * np.pi, orders.size)
    scale = 1 / np.sqrt(1 + np.sum(amplitudes**2) / 2)  # the area within r = 1 + sum a_k cos k phi

    def edge(angle: np.ndarray) -> np.ndarray:
        waves = sum(a * np.cos(k * angle + p) for k, a, p in zip(orders, amplitudes, phases, strict=True))
        return scale * np.maximum(1 + waves, 0.1)

    table = edge(np.linspace(-np.pi, np.pi, 721)).astype(np.float32)

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        nearest = ((np.arctan2(v, u) + np.float32(np.pi)) * np.float32(360 / np.pi) + 0.5).astype(np.int32)
        return dome(1 - (u * u + v * v) / table[nearest] ** 2)

    return Body(thickness, CIRCLE * edge(ANGLES)[:, None])


def _polyhedron(name: str, rng: np.random.Generator, scene: Proportions) -> Body:
    return turned(name, rng)


def _plate(rng: np.random.Generator, scene: Proportions) -> Body:
    """Make a prism of 3, 4 or 6 sides, lying flat."""
    corners = int(rng.choice([3, 4, 6]))
    angles = 2 * np.pi * np.arange(corners) / corners
    apothem = np.sqrt(np.pi / (corners * np.tan(np.pi / corners)))
    height = rng.uniform(0.3, 1.6)

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        inside = np.ones(u.shape, bool)
        for angle in angles:
            inside &= u * np.cos(angle) + v * np.sin(angle) <= apothem
        return inside * np.float32(height)

    middles = angles + np.pi / corners
    outline = apothem / np.cos(np.pi / corners) * np.stack([np.cos(middles), np.sin(middles)], axis=1)
    return Body(thickness, outline, np.pi * height)


def _sheet(rng: np.random.Generator, scene: Proportions) -> Body:
    """Make a thin sheet with 5 to 9 straight edges, lying flat."""
    n = int(rng.integers(5, 10))
    angles = (np.arange(n) + rng.uniform(-0.35, 0.35, n)) * 2 * np.pi / n
    stretch = np.sqrt(rng.uniform(1, scene.max_aspect_ratio))
    corners = np.stack([stretch * np.cos(angles), np.sin(angles) / stretch], axis=1)
    after = np.roll(corners, -1, axis=0)
    corners, after = (c / np.sqrt(_area(corners) / np.pi) for c in (corners, after))
    normals = np.stack([after[:, 1] - corners[:, 1], corners[:, 0] - after[:, 0]], axis=1)
    planes = np.column_stack([normals, -np.sum(normals * corners, axis=1)]).astype(np.float32)
    height = rng.uniform(0.05, 0.3)

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        inside = np.ones(np.broadcast_shapes(u.shape, v.shape), bool)
        for a, b, c in planes:
            inside &= a * u + b * v + c <= 0
        return inside * np.float32(height)

    return Body(thickness, corners, np.pi * height)


def wetting(tilt: float, sunk: float) -> Body:
    """Make a sphere that sits on a flat face, as far as it is not sunk into it.

    Parameters
    ----------
    tilt : float
        Of the face's normal from the beam, towards positive u [rad]; at pi / 2 the face is on the left.
    sunk : float
        How far the centre lies above the face, over the sphere's radius, in [0, 1]: 0 is a half sphere.
    """
    cos, sin = max(np.cos(tilt), 1e-3), np.sin(tilt)
    base = np.sqrt(1 - sunk**2) * CIRCLE
    rim = np.stack([base[:, 0] * cos - sunk * sin, base[:, 1]], axis=1)
    free = CIRCLE[CIRCLE[:, 0] * sin >= -sunk]
    corners = np.concatenate([rim, free])
    outline = corners[ConvexHull(corners).vertices]
    radius = np.float32(np.sqrt(np.pi / _area(outline)))
    lift, slope = np.float32(-sunk * radius / cos), np.float32(-sin / cos)

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        half = dome(radius**2 - u * u - v * v) / 2
        return np.maximum(half - np.maximum(-half, lift + slope * u), 0)

    return Body(thickness, radius * outline, float(np.pi * radius**3 * (2 / 3 + sunk - sunk**3 / 3)))


def _wetting(rng: np.random.Generator, scene: Proportions) -> Body:
    return wetting(float(np.arccos(rng.uniform(0.05, 1))), rng.uniform(0, 0.9))


def _aggregate(rng: np.random.Generator, scene: Proportions) -> Body:
    """Join 8 to 40 spheres as soot does; its outline leaves its holes out."""
    centres = 0.93 * aggregate(int(np.exp(rng.uniform(np.log(8), np.log(40)))), rng)
    reach = np.abs(centres[:, :2]).max() + 1.1
    grid = np.linspace(-reach, reach, 256, dtype=np.float32)
    nearest = np.min([(grid[:, None] - y) ** 2 + (grid - x) ** 2 for x, y, _ in centres], axis=0)
    scale = np.sqrt(np.pi / ((nearest < 1).mean() * (2 * reach) ** 2))
    contour = max(find_contours(nearest, 1.0), key=len)[:-1, ::-1]
    outline = scale * (contour * (2 * reach / 255) - reach)
    outline = outline if _area(outline) > 0 else outline[::-1]
    centres, squared = (scale * centres).astype(np.float32), np.float32(scale**2)
    core = np.float32(min(scene.core_contrast, 1) - 1)

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        total = np.zeros(np.broadcast_shapes(u.shape, v.shape), np.float32)
        for x, y, _ in centres:
            height = squared - (u - x) ** 2 - (v - y) ** 2
            total += dome(height)
            if core:
                total += core * dome(height - np.float32(0.45) * squared)
        return total

    return Body(thickness, outline, len(centres) * 4 / 3 * np.pi * scale**3)


def _area(corners: np.ndarray) -> float:
    """Give the area of a polygon, positive where its corners go round from u to v."""
    (u, v), (u_next, v_next) = corners.T, np.roll(corners, -1, axis=0).T
    return float(np.sum(u * v_next - u_next * v) / 2)


SHAPES: dict[str, Callable[[np.random.Generator, Proportions], Body]] = {
    "sphere": _sphere,
    "ellipsoid": _ellipsoid,
    "rod": _rod,
    **{name: partial(_polyhedron, name) for name in POLYHEDRA},
    "plate": _plate,
    "core_shell": _core_shell,
    "hollow": _hollow,
    "irregular": _irregular,
    "wetting": _wetting,
    "sheet": _sheet,
    "aggregate": _aggregate,
}
"""Particle shapes by name. Polyhedra are turned at random in space; rods (with caps), ellipsoids,
plates (3, 4 or 6 sides) and sheets lie on the film; hollow and core_shell are spheres. A wetting
particle is half a sphere or more, seen from anywhere on its round side. An aggregate is a fractal of
spheres, as soot is; where ``core_contrast`` is below 1, they have graphitic rims."""
