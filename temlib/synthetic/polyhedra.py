"""Polyhedra, turned at random in space and projected."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product

import numpy as np

from temlib.synthetic.body import Body

__all__ = ["POLYHEDRA", "turned"]

_ROUND = np.stack([np.cos(np.arange(720) * np.pi / 360), np.sin(np.arange(720) * np.pi / 360)], axis=1)

_SIGNS = np.array(list(product((-1, 1), repeat=3)), float)
_GOLDEN = (1 + np.sqrt(5)) / 2
_TURNS = [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
POLYHEDRA = {
    "cube": _SIGNS,
    "octahedron": np.concatenate([np.eye(3), -np.eye(3)]),
    "tetrahedron": np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float),
    "truncated_octahedron": np.unique(
        np.concatenate([_SIGNS[:, list(p)] * np.array([0, 1, 2])[list(p)] for p in permutations(range(3))]), axis=0
    ),
    "icosahedron": np.unique(np.concatenate([(_SIGNS * [0, 1, _GOLDEN])[:, turn] for turn in _TURNS]), axis=0),
}
"""Vertices (n, 3) of each, by name."""


def turned(name: str, rng: np.random.Generator) -> Body:
    """Turn a polyhedron at random and scale it to a projected area of pi.

    The projected area of a convex body is half the sum of its faces' areas, each times the cosine
    of its tilt (Cauchy).
    """
    vertices, normals, distances, areas = _polyhedron(name)
    turn = _random_rotation(rng)
    normals = normals @ turn.T
    scale = np.sqrt(np.pi / (np.abs(normals[:, 2]) @ areas / 2))
    distances = scale * distances
    volume = float(distances @ areas * scale**2 / 3)

    # Along the beam the body reaches from the highest of its lower faces to the lowest of its upper
    # ones; a face that is seen edge on, to within rounding, is the limit of a steep one.
    steep = np.where(np.abs(normals[:, 2]) < 1e-4, 1e-4, normals[:, 2])
    planes = (np.column_stack([-normals[:, :2], distances]) / steep[:, None]).astype(np.float32)
    above, below = planes[steep > 0], planes[steep < 0]

    def thickness(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        u, v = np.broadcast_arrays(u, v)
        points = np.stack([u.ravel(), v.ravel(), np.ones(u.size, u.dtype)])
        return np.maximum((above @ points).min(0) - (below @ points).max(0), 0).reshape(u.shape)

    corners = scale * (vertices @ turn.T)[:, :2]
    farthest = np.argmax(_ROUND @ corners.T, axis=1)  # going round, the corner that sticks out most
    return Body(thickness, corners[farthest[farthest != np.roll(farthest, 1)]], volume)


@lru_cache
def _polyhedron(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give vertices (n, 3), and of the faces the outward normals (m, 3), distances from the centre and areas (m,)."""
    from scipy.spatial import ConvexHull

    vertices = POLYHEDRA[name]
    hull = ConvexHull(vertices)
    edges = vertices[hull.simplices]
    triangles = np.linalg.norm(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1) / 2
    faces, of_face = np.unique(hull.equations.round(9), axis=0, return_inverse=True)
    areas = np.bincount(of_face.ravel(), triangles)
    return vertices, faces[:, :3], -faces[:, 3], areas


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation matrix, every orientation alike: the QR way, Mezzadri, Not. AMS 54 (2007) 592."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q
