"""Fractal aggregates, as flames and furnaces make them: spheres that touch, in branched chains."""

from __future__ import annotations

import numpy as np

__all__ = ["DIMENSION", "PREFACTOR", "aggregate"]

DIMENSION, PREFACTOR = 1.8, 1.3
"""Of soot and carbon black, in N = prefactor (radius of gyration / radius of a sphere)^dimension."""

_CANDIDATES = 24


def aggregate(n: int, rng: np.random.Generator) -> np.ndarray:
    """Join spheres of radius 1 one after the other, each touching one before it.

    Each lies at that distance from the centre of mass which keeps the law N = k (R_g / a)^D for every
    number of spheres (Filippov, Zurita and Rosner, J. Colloid Interface Sci. 229 (2000) 261), in the
    first of some random directions in which it overlaps least.

    Parameters
    ----------
    n : int
        Spheres, at least 1.
    rng : Generator
        Random numbers.

    Returns
    -------
    float array of shape (n, 3)
        Centres; the centre of mass is the origin.
    """
    centres = np.zeros((n, 3))
    centres[:2, 0] = (0.0,) if n == 1 else (-1.0, 1.0)
    for number in range(3, n + 1):
        centres[number - 1] = _next(centres[: number - 1], number, rng)
        centres[:number] -= centres[:number].mean(0)
    return centres


def _next(placed: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Find where the sphere that makes ``number`` of them goes."""
    now, before = ((n / PREFACTOR) ** (2 / DIMENSION) for n in (number, number - 1))
    squared = (number**2 * now - number * (number - 1) * before - number) / (number - 1)
    reach = np.sqrt(max(squared, 0))
    distances = np.linalg.norm(placed, axis=1)
    reach = np.clip(reach, max(distances.min() - 2, 0) + 1e-9, distances.max() + 2 - 1e-9)
    touchable = np.flatnonzero(np.abs(distances - reach) <= 2)
    touched = placed[rng.choice(touchable, _CANDIDATES)]
    candidates = _circles(touched, reach, rng)
    gaps = np.linalg.norm(candidates[:, None] - placed[None], axis=2).min(1)
    return candidates[np.argmax(gaps > 2 - 1e-6) if (gaps > 2 - 1e-6).any() else np.argmax(gaps)]


def _circles(touched: np.ndarray, reach: float, rng: np.random.Generator) -> np.ndarray:
    """Draw points at ``reach`` from the origin and 2 from each of some centres."""
    distances = np.maximum(np.linalg.norm(touched, axis=1, keepdims=True), 1e-9)
    axis = touched / distances
    along = np.clip((distances**2 + reach**2 - 4) / (2 * distances), -reach, reach)
    across = np.cross(axis, rng.normal(size=touched.shape))
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    return along * axis + np.sqrt(np.maximum(reach**2 - along**2, 0)) * across
