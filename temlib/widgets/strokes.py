"""Strokes of a brush: what a browser sends, checked, and the pixels that they cover.

A point is (x, y) [px] from the upper left corner of the image: the centre of the first pixel is
(0.5, 0.5). ``painter.js`` draws by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from temlib.particles.edits import MOST_POINTS, pairs_in
from temlib.pixel_classifier import BACKGROUND, PARTICLE, UNMARKED

__all__ = ["BRUSH", "CLASSES", "Stroke", "draw", "rasterise"]

CLASSES = {"particle": PARTICLE, "background": BACKGROUND, "erase": UNMARKED}
"""What a stroke can say of its pixels, and the value in a scribble image."""

BRUSH = {"size": 3, "largest": 500, "thinnest": 0.75}
"""Diameter at first, and the largest [px]; the radius [px] with which a point anywhere in a pixel covers that pixel."""

_MOST_WORK = 10**10  # pixels that are looked at for all strokes together


@dataclass(frozen=True)
class Stroke:
    """One movement of the brush, or one straight line.

    Attributes
    ----------
    kind : str
        A key of :data:`CLASSES`.
    size : float
        Diameter of the brush [px].
    points : tuple of (float, float)
        Where it went, (x, y) [px], joined by straight lines.
    """

    kind: str
    size: float
    points: tuple[tuple[float, float], ...]

    @classmethod
    def checked(cls, kind: Any, size: Any, points: Any) -> Stroke:
        """Make a stroke of what came from outside.

        Raises
        ------
        ValueError
            When the class is unknown, the size out of range, or the points are no pairs of numbers.
        """
        if not isinstance(kind, str) or kind not in CLASSES:
            raise ValueError(f"a stroke of {str(kind)[:60]!r}; it must be one of {', '.join(CLASSES)}")
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size <= BRUSH["largest"]:
            raise ValueError(f"a brush of size {size!r}; it must lie between 0 and {BRUSH['largest']} pixels")
        pairs = pairs_in(points, 1)
        if pairs is None:
            raise ValueError(f"a stroke needs 1 to {MOST_POINTS} points (x, y); got {str(points)[:60]}")
        return cls(str(kind), float(size), pairs)


def draw(marks: np.ndarray, stroke: Stroke) -> None:
    """Put a stroke into a scribble image, in place; what lies beyond the frame is left out.

    A pixel belongs to the stroke when its centre lies no farther from the path than half the
    brush's diameter.

    Parameters
    ----------
    marks : uint8 array of shape (height, width)
        0 unmarked, 1 background, 2 particle.
    stroke : Stroke
        To draw.
    """
    radius = max(stroke.size / 2, BRUSH["thinnest"])
    path = stroke.points if len(stroke.points) > 1 else stroke.points * 2
    for (x0, y0), (x1, y1) in pairwise(path):
        top, bottom = _within(min(y0, y1) - radius, max(y0, y1) + radius, marks.shape[0])
        left, right = _within(min(x0, x1) - radius, max(x0, x1) + radius, marks.shape[1])
        y, x = np.ogrid[top:bottom, left:right]
        y, x = y + 0.5 - y0, x + 0.5 - x0
        dx, dy = x1 - x0, y1 - y0
        squared = dx * dx + dy * dy
        along = np.clip((x * dx + y * dy) / squared, 0, 1) if squared else 0.0
        near = (x - along * dx) ** 2 + (y - along * dy) ** 2 <= radius * radius
        marks[top:bottom, left:right][near] = CLASSES[stroke.kind]


def rasterise(strokes: Iterable[Stroke], shape: tuple[int, int]) -> np.ndarray:
    """Draw strokes one over the other; give the scribble image, uint8 of this shape.

    Raises
    ------
    ValueError
        When that would take minutes: no hand has drawn so much.
    """
    strokes = list(strokes)
    if sum(_work(stroke, shape) for stroke in strokes) > _MOST_WORK:
        raise ValueError(f"strokes that cover more than {_MOST_WORK:.0e} pixels, one over the other")
    marks = np.full(shape, UNMARKED, np.uint8)
    for stroke in strokes:
        draw(marks, stroke)
    return marks


def _work(stroke: Stroke, shape: tuple[int, int]) -> float:
    """Give the pixels that :func:`draw` looks at for a stroke."""
    points = np.array(stroke.points if len(stroke.points) > 1 else stroke.points * 2)[:, ::-1]
    reach = max(stroke.size / 2, BRUSH["thinnest"])
    low, high = np.minimum(points[1:], points[:-1]) - reach, np.maximum(points[1:], points[:-1]) + reach
    return float((np.clip(high, 0, shape) - np.clip(low, 0, shape)).prod(axis=1).sum())


def _within(low: float, high: float, size: int) -> tuple[int, int]:
    """Give the range of pixels that reach into an interval."""
    return int(np.clip(np.floor(low), 0, size)), int(np.clip(np.ceil(high), 0, size))
