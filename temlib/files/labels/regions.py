"""Regions of a label image: their outlines along the edges of pixels, and outlines painted into labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from math import prod
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours

from temlib.errors import MicrographError
from temlib.files.micrographs import as_array

__all__ = [
    "LARGEST_IMAGE",
    "Box",
    "Runs",
    "as_labels",
    "check_size",
    "numbers_for",
    "outlined",
    "outlines",
    "paint",
    "particles_in",
    "runs_of",
]

Box = tuple[slice, slice]
Runs = tuple[np.ndarray, np.ndarray]
"""Where runs of pixels start and stop in a flat image."""

LARGEST_IMAGE = 2**28
"""Pixels that a file may ask for."""

_LARGEST_NUMBER = 2**31 - 1
_MOST_CROSSINGS = 2**24  # of one outline with rows of pixels
_MOST_PAINTED = 2**34  # pixels in all: some seconds
_RUN = 256  # pixels that are painted in the time that it takes to begin a run


def as_labels(labels: Any, name: str = "labels") -> np.ndarray:
    """Give labels as int32, or say why they are none; any number of axes."""
    array = np.asarray(labels)
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise MicrographError(f"{name}: an array of shape {array.shape} and dtype {array.dtype} holds no labels")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):  # Fiji saves large labels as float
        raise MicrographError(f"{name}: labels are whole numbers; these have fractions; give a label image")
    if array.min() < 0 or array.max() > _LARGEST_NUMBER:
        raise MicrographError(
            f"{name}: labels lie between 0 and {_LARGEST_NUMBER}; these reach from {array.min()} to {array.max()}"
        )
    return array.astype(np.int32)


def check_size(name: str, shape: Sequence[int]) -> None:
    """Refuse an array that is larger than any label image."""
    if prod(shape) > LARGEST_IMAGE:
        raise MicrographError(f"{name}: an array of shape {tuple(shape)} is too large; give one label image")


def outlines(labels: Any) -> list[np.ndarray]:
    """Give the outlines of particles, along the edges of their pixels.

    Parameters
    ----------
    labels : signal or int array of shape (height, width)
        0 is background, any other number a particle.

    Returns
    -------
    list of float arrays of shape (n, 2)
        Corners (y, x) [px], the first one repeated at the end; whole numbers are centres of pixels, as
        ``imshow`` draws them. Ordered by particle; a particle with holes or several parts has an
        outline for each.
    """
    array = as_labels(as_array(labels))
    return [np.vstack([ring, ring[:1]]) - 0.5 for _, rings in outlined(array) for ring in rings]


def particles_in(labels: np.ndarray) -> Iterator[tuple[int, Box, np.ndarray]]:
    """Yield number, bounding box and the mask in it of each particle."""
    numbers = np.unique(labels[labels > 0])
    ranks = np.where(labels > 0, np.searchsorted(numbers, labels) + 1, 0)  # small, whatever the numbers are
    for number, box in zip(numbers.tolist(), ndimage.find_objects(ranks), strict=True):
        yield number, box, labels[box] == number


def outlined(labels: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield number and rings of each particle, in corners (y, x) of the image."""
    for number, (rows, columns), mask in particles_in(labels):
        corner = np.array([rows.start, columns.start])
        yield number, [ring + corner for ring in _rings(mask)]


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """Give the closed rings of corners (y, x) around a mask and its holes, holes in the other sense.

    The contour at one half passes from one middle of a pixel's edge to the next; between two of them
    lies a corner.
    """
    rings = []
    for contour in find_contours(np.pad(mask, 1).astype(float), 0.5, fully_connected="low"):
        here, there = contour[:-1], contour[1:]
        corner = np.where(here % 1 != 0, here, np.where(there % 1 != 0, there, (here + there) / 2))
        corner = np.rint(corner - 0.5).astype(np.int64)
        straight = np.roll(corner, 1, axis=0) + np.roll(corner, -1, axis=0) == 2 * corner
        rings.append(corner[~straight.all(axis=1)])
    return rings


def runs_of(rings: Sequence[np.ndarray], shape: tuple[int, ...]) -> Runs:
    """Give the runs of pixels whose centre lies in rings of (y, x), by the even-odd rule.

    A centre on a left edge lies outside and one on a right edge inside, as in Fiji's PolygonFiller.
    """
    starts = np.concatenate([np.asarray(ring, float) for ring in rings])
    ends = np.concatenate([np.roll(np.asarray(ring, float), -1, axis=0) for ring in rings])
    if not np.isfinite(starts).all():
        raise ValueError("an outline has corners that are no numbers")
    down = (starts[:, 0] < ends[:, 0])[:, None]
    upper, lower = np.where(down, starts, ends), np.where(down, ends, starts)
    first, last = (np.clip(np.ceil(y - 0.5), 0, shape[0]).astype(int) for y in (upper[:, 0], lower[:, 0]))
    crossed = last - first
    if crossed.sum() > _MOST_CROSSINGS:
        raise ValueError("an outline has too many corners")
    upper, lower = np.repeat(upper, crossed, axis=0), np.repeat(lower, crossed, axis=0)
    row = np.arange(len(upper)) - np.repeat(np.cumsum(crossed) - crossed - first, crossed)
    share = (row + 0.5 - upper[:, 0]) / (lower[:, 0] - upper[:, 0])
    x = upper[:, 1] + share * (lower[:, 1] - upper[:, 1])
    places = np.sort(row * shape[1] + np.clip(np.floor(x + 0.5 + 1e-8), 0, shape[1]).astype(int))
    return places[::2], places[1::2]


def paint(shape: tuple[int, ...], regions: Iterable[tuple[int, Runs]]) -> np.ndarray:
    """Paint numbered regions into an image of labels, later ones over earlier ones.

    Raises
    ------
    ValueError
        When they cover the image so often that it would take minutes.
    """
    flat = np.zeros(shape[0] * shape[1], np.int32)
    painted = 0
    for number, (starts, stops) in regions:
        painted += int((stops - starts).sum()) + _RUN * len(starts)
        if painted > _MOST_PAINTED:
            raise ValueError("its outlines cover the image again and again")
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            flat[start:stop] = number
    return flat.reshape(shape)


def numbers_for(names: Sequence[int | None]) -> list[int]:
    """Keep numbers that a particle can have; give the rest the next free ones."""
    taken = {number for number in names if number is not None and 0 < number <= _LARGEST_NUMBER}
    free = (number for number in count(1) if number not in taken)
    return [number if number in taken else next(free) for number in names]
