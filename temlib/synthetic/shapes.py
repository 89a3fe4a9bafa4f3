"""Particle shapes: their thickness along the beam, their outline and their volume, from geometry.

Lengths are in units of the particle's equivalent radius: the projected area of every shape, however
it is turned, is pi.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product
from typing import Protocol

import numpy as np

__all__ = ["SHAPES", "Body", "measure"]

_OUTLINE = 2 * np.pi * np.arange(180) / 180
_CIRCLE = np.stack([np.cos(_OUTLINE), np.sin(_OUTLINE)], axis=1)
_ROUND = np.stack([np.cos(np.arange(720) * np.pi / 360), np.sin(np.arange(720) * np.pi / 360)], axis=1)


class Proportions(Protocol):
    """What a shape takes from its scene."""

    @property
    def max_aspect_ratio(self) -> float:
        """Length over width of the longest ellipsoid or rod."""

    @property
    def core_contrast(self) -> float:
        """How much more a core attenuates than its shell."""


@dataclass(frozen=True)
class Body:
    """One particle of projected area pi.

    Attributes
    ----------
    thickness : function of u and v
        Material along the beam, 0 outside; arrays of any one shape. Where materials differ (core and
        shell), weighted with their attenuation.
    outline : float array of shape (n, 2)
        Corners (u, v) of the outline, in order.
    volume : float
        Of the material.
    """

    thickness: Callable[[np.ndarray, np.ndarray], np.ndarray]
    outline: np.ndarray
    volume: float = 4 / 3 * np.pi


def measure(body: Body) -> dict[str, float]:
    """Measure the outline: greatest and least Feret diameter, and perimeter, of a shape.

    The Feret diameter is the distance of two parallel tangents (ISO 9276-6): greatest between two
    corners, least where one tangent lies along an edge.
    """
    steps = np.roll(body.outline, -1, axis=0) - body.outline
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    widths = np.ptp(steps[:, ::-1] * [1, -1] / lengths[:, None] @ body.outline.T, axis=1)
    corners = body.outline[:: 1 + len(steps) // 100]  # every second point of a smooth outline will do
    squared = (corners**2).sum(axis=1)
    distances_squared = squared[:, None] + squared - 2 * corners @ corners.T
    return {
        "feret_max": float(np.sqrt(distances_squared.max())),
        "feret_min": float(widths.min()),
        "perimeter": float(lengths.sum()),
    }


def _sphere(rng: np.random.Generator, scene: Proportions) -> Body:
    return Body(lambda u, v: _dome(1 - u * u - v * v), _CIRCLE)


def _ellipsoid(rng: np.random.Generator, scene: Proportions) -> Body:
    """Prolate, its long axis in the plane of the film."""
    length = np.sqrt(rng.uniform(1.2, scene.max_aspect_ratio))

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return _dome(1 - (u / length) ** 2 - (v * length) ** 2) / length

    return Body(thickness, _CIRCLE * [length, 1 / length], 4 / 3 * np.pi / length)


def _rod(rng: np.random.Generator, scene: Proportions) -> Body:
    """Make a cylinder between two half spheres, lying on the film."""
    ratio = rng.uniform(1.2, scene.max_aspect_ratio)
    radius = np.sqrt(np.pi / (4 * (ratio - 1) + np.pi))
    half = (ratio - 1) * radius

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return _dome(radius**2 - np.maximum(np.abs(u) - half, 0) ** 2 - v**2)

    outline = radius * _CIRCLE + half * np.sign(_CIRCLE[:, :1]) * [1, 0]
    return Body(thickness, outline, np.pi * radius**2 * 2 * half + 4 / 3 * np.pi * radius**3)


def _hollow(rng: np.random.Generator, scene: Proportions) -> Body:
    inner = rng.uniform(0.6, 0.85)

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        squared = u * u + v * v
        return _dome(1 - squared) - _dome(inner**2 - squared)

    return Body(thickness, _CIRCLE, 4 / 3 * np.pi * (1 - inner**3))


def _core_shell(rng: np.random.Generator, scene: Proportions) -> Body:
    core = rng.uniform(0.4, 0.8)

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        squared = u * u + v * v
        return _dome(1 - squared) + (scene.core_contrast - 1) * _dome(core**2 - squared)

    return Body(thickness, _CIRCLE)


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
        return _dome(1 - (u * u + v * v) / table[nearest] ** 2)

    return Body(thickness, _CIRCLE * edge(_OUTLINE)[:, None])


def _cube(rng: np.random.Generator, scene: Proportions) -> Body:
    return _turned("cube", rng)


def _octahedron(rng: np.random.Generator, scene: Proportions) -> Body:
    return _turned("octahedron", rng)


def _tetrahedron(rng: np.random.Generator, scene: Proportions) -> Body:
    return _turned("tetrahedron", rng)


def _truncated_octahedron(rng: np.random.Generator, scene: Proportions) -> Body:
    return _turned("truncated_octahedron", rng)


def _icosahedron(rng: np.random.Generator, scene: Proportions) -> Body:
    return _turned("icosahedron", rng)


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


SHAPES = {
    "sphere": _sphere,
    "ellipsoid": _ellipsoid,
    "rod": _rod,
    "cube": _cube,
    "octahedron": _octahedron,
    "tetrahedron": _tetrahedron,
    "truncated_octahedron": _truncated_octahedron,
    "icosahedron": _icosahedron,
    "plate": _plate,
    "core_shell": _core_shell,
    "hollow": _hollow,
    "irregular": _irregular,
}
"""Particle shapes by name. Polyhedra are turned at random in space; rods (with caps), ellipsoids and
plates (3, 4 or 6 sides) lie on the film; hollow and core_shell are spheres."""


# --- Polyhedra ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Polyhedron:
    vertices: np.ndarray  # (n, 3)
    normals: np.ndarray  # (faces, 3), outward
    distances: np.ndarray  # (faces,), of the faces from the centre
    areas: np.ndarray  # (faces,)


def _turned(name: str, rng: np.random.Generator) -> Body:
    """Turn a polyhedron at random and scale it to a projected area of pi.

    The projected area of a convex body is half the sum of its faces' areas, each times the cosine
    of its tilt (Cauchy).
    """
    solid = _polyhedron(name)
    turn = _random_rotation(rng)
    normals = solid.normals @ turn.T
    scale = np.sqrt(np.pi / (np.abs(normals[:, 2]) @ solid.areas / 2))
    distances = scale * solid.distances
    volume = float(distances @ solid.areas * scale**2 / 3)

    # Along the beam the body reaches from the highest of its lower faces to the lowest of its upper
    # ones; a face that is seen edge on, to within rounding, is the limit of a steep one.
    steep = np.where(np.abs(normals[:, 2]) < 1e-4, 1e-4, normals[:, 2])
    planes = (np.column_stack([-normals[:, :2], distances]) / steep[:, None]).astype(np.float32)
    above, below = planes[steep > 0], planes[steep < 0]

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        u, v = np.broadcast_arrays(u, v)
        points = np.stack([u.ravel(), v.ravel(), np.ones(u.size, u.dtype)])
        return np.maximum((above @ points).min(0) - (below @ points).max(0), 0).reshape(u.shape)

    corners = scale * (solid.vertices @ turn.T)[:, :2]
    farthest = np.argmax(_ROUND @ corners.T, axis=1)  # going round, the corner that sticks out most
    return Body(thickness, corners[farthest[farthest != np.roll(farthest, 1)]], volume)


@lru_cache
def _polyhedron(name: str) -> _Polyhedron:
    from scipy.spatial import ConvexHull

    signs = np.array(list(product((-1, 1), repeat=3)), float)
    golden = (1 + np.sqrt(5)) / 2
    turns = [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    vertices = {
        "cube": signs,
        "octahedron": np.concatenate([np.eye(3), -np.eye(3)]),
        "tetrahedron": np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float),
        "truncated_octahedron": np.unique(
            np.concatenate([signs[:, list(p)] * np.array([0, 1, 2])[list(p)] for p in permutations(range(3))]), axis=0
        ),
        "icosahedron": np.unique(np.concatenate([(signs * [0, 1, golden])[:, turn] for turn in turns]), axis=0),
    }[name]
    hull = ConvexHull(vertices)
    edges = vertices[hull.simplices]
    triangles = np.linalg.norm(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1) / 2
    faces, of_face = np.unique(hull.equations.round(9), axis=0, return_inverse=True)
    areas = np.bincount(of_face.ravel(), triangles)
    return _Polyhedron(vertices, faces[:, :3], -faces[:, 3], areas)


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation matrix, every orientation alike: the QR way, Mezzadri, Not. AMS 54 (2007) 592."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def _dome(height_squared: np.ndarray) -> np.ndarray:
    return 2 * np.sqrt(np.maximum(height_squared, 0))
