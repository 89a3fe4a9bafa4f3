"""What a particle's shape is made of: thickness along the beam, outline and volume.

Lengths are in units of the particle's equivalent radius: the projected area of every shape, however
it is turned, is pi.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["ANGLES", "CIRCLE", "Body", "Proportions", "dome", "measure"]

ANGLES = 2 * np.pi * np.arange(180) / 180
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
"""Points on the circle of radius 1, in order, and the directions in which they lie."""


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


def dome(height_squared: np.ndarray) -> np.ndarray:
    """Give the chord of a ball whose half chord has this square; 0 where that is negative."""
    return 2 * np.sqrt(np.maximum(height_squared, 0))
