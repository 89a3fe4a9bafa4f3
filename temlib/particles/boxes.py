"""Boxes: where something lies in an image, as the slices of its rows and columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable

__all__ = ["Box", "around", "moved"]

Box = tuple[slice, slice]


def around(boxes: Iterable[Box], margin: int = 0, shape: tuple[int, ...] = (sys.maxsize, sys.maxsize)) -> Box:
    """Give the box that holds boxes and a margin around them, as far as the image of a shape reaches."""
    rows, columns = (
        slice(max(min(side.start for side in sides) - margin, 0), min(max(side.stop for side in sides) + margin, edge))
        for sides, edge in zip(zip(*boxes, strict=True), shape, strict=True)
    )
    return rows, columns


def moved(box: Box, y: int, x: int) -> Box:
    """Give a box that lies elsewhere by so many rows and columns."""
    rows, columns = box
    return slice(rows.start + y, rows.stop + y), slice(columns.start + x, columns.stop + x)
