"""Outlines of particles to a fraction of a pixel: what their perimeters and Feret diameters are measured on.

A mask is a staircase: the contour halfway between its pixels is longer than the outline, and a disc is widest where
a pixel sticks out. So the outline is the contour, by marching squares, of the probability of *particle*, or, where
there is none or it jumps from 0 to 1 within a pixel, of the mask smoothed by a Gaussian of one pixel; at the level
that has as many pixels above it as the particle has, and moved in or out until it holds exactly its area. Particles
that touch are parted halfway, smoothly. Many are measured at once, side by side in a strip.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from temlib.particles.hulls import Hulls

__all__ = ["measure_outlines"]

_MARGIN = 4  # pixels around a particle, as far as the Gaussian reaches
_AT_ONCE = 2**20  # pixels of a strip
_STAIRCASE = 1.005  # what is left of a staircase's length after smoothing
_CREST_PX = {False: 0.1, True: 0.05}  # by which tangents lie on its crests: of masks, of probabilities
_SCATTER_PX = {False: 0.32, True: 0.15}  # of a disc's width, which its pixels make: of masks, of probabilities
_BELONGS = 0.02  # of the smoothed mask: further out are other things
_SOFT = (0.1, 0.9)  # probabilities between which an outline passes
# Edges of a cell between pixels (0 top, 1 right, 2 bottom, 3 left) where a contour enters and leaves it, with what
# lies above the level on its left, by which corners do (1 top left, 2 top right, 4 bottom right, 8 bottom left).
_ENTERS = np.array([0, 3, 0, 3, 1, 3, 0, 3, 2, 2, 0, 2, 1, 1, 0, 0])
_LEAVES = np.array([0, 0, 1, 1, 2, 0, 2, 2, 3, 0, 1, 1, 3, 0, 3, 0])
_TWICE = {5: (1, 2), 10: (2, 3)}  # two corners across: a second way in and out


def measure_outlines(
    labels: np.ndarray,
    boxes: list[tuple[slice, slice]],
    areas: np.ndarray,
    spacing: np.ndarray,
    probability: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Measure the outlines of particles.

    Widths are drawn to their mean by the share of their scatter that the pixels of a disc would make: what a disc's
    pixels alone show of a longest and a shortest axis is not counted.

    Parameters
    ----------
    labels : int array of shape (height, width)
        1 to n.
    boxes : list of n (slice, slice)
        Where each lies.
    areas : int array of shape (n,)
        Pixels of each.
    spacing : float array of shape (2,)
        Height and width of a pixel.
    probability : float array of shape (height, width), optional
        Of *particle*.

    Returns
    -------
    dict of str to float array of shape (n,), in the unit of the spacing
        ``perimeter`` of all outlines of a particle, those of holes too; ``hull_perimeter``, of their convex hull;
        ``feret_min`` and ``feret_max``, least and greatest distance of two parallel tangents.
    """
    measured = np.zeros((4, len(boxes)))
    padded = np.pad(labels, _MARGIN)
    chances = None if probability is None else np.pad(probability.astype(np.float32), _MARGIN)
    for some in _strips(boxes):
        measured[:, some] = _measure_strip(padded, [boxes[i] for i in some], some + 1, areas[some], spacing, chances)
    return dict(zip(("perimeter", "hull_perimeter", "feret_min", "feret_max"), measured, strict=True))


def _strips(boxes: list[tuple[slice, slice]]) -> Iterator[np.ndarray]:
    """Yield which particles fit side by side into a strip, those of like height together."""
    sizes = np.array([(y.stop - y.start, x.stop - x.start) for y, x in boxes]).reshape(-1, 2) + 2 * _MARGIN
    order = np.argsort(sizes[:, 0], kind="stable")[::-1]
    start = 0
    while start < len(order):
        taken = np.cumsum(sizes[order[start:], 1]) * sizes[order[start], 0] <= _AT_ONCE
        stop = start + max(int(np.count_nonzero(taken)), 1)
        yield order[start:stop]
        start = stop


def _measure_strip(
    labels: np.ndarray,
    boxes: list[tuple[slice, slice]],
    numbers: np.ndarray,
    areas: np.ndarray,
    spacing: np.ndarray,
    probability: np.ndarray | None,
) -> np.ndarray:
    cells = [(slice(y.start, y.stop + 2 * _MARGIN), slice(x.start, x.stop + 2 * _MARGIN)) for y, x in boxes]
    places = np.cumsum([0] + [x.stop - x.start for _, x in cells])
    own = _side_by_side([labels[cell] == number for cell, number in zip(cells, numbers, strict=True)], places)
    field, soft = _smooth(own), np.zeros(len(boxes), bool)
    if probability is not None:
        others = _side_by_side([(labels[cell] > 0) for cell in cells], places)
        chances = _side_by_side([probability[cell] for cell in cells], places)
        shared = np.where(field > _BELONGS, chances * field / np.maximum(_smooth(others), _BELONGS), 0)
        passing = ((shared > _SOFT[0]) & (shared < _SOFT[1])).sum(axis=0)
        soft = np.add.reduceat(passing, places[:-1]) > np.sqrt(np.pi * areas)
        field = np.where(np.repeat(soft, np.diff(places)), shared, field)
    owners = np.repeat(np.arange(len(boxes)), np.diff(places))
    levels = [_level(field[:, a:b], area) for a, b, area in zip(places, places[1:], areas.tolist(), strict=False)]
    starts, ends, owner = _contours(field - np.array(levels, np.float32)[owners], owners)
    starts, ends = starts * spacing, ends * spacing
    turned = np.bincount(owner, starts[:, 1] * ends[:, 0] - starts[:, 0] * ends[:, 1])
    perimeters = np.bincount(owner, np.hypot(*(ends - starts).T)) / np.where(soft, 1, _STAIRCASE)
    out = (areas * spacing.prod() - np.abs(turned / 2)) / perimeters
    perimeters += 2 * np.pi * out
    hulls, pixel = Hulls.of(starts, owner), np.sqrt(spacing.prod())
    crest = np.where(soft, _CREST_PX[True], _CREST_PX[False]) * pixel
    mean = hulls.perimeters / np.pi + 2 * out - crest
    scatter = np.where(soft, _SCATTER_PX[True], _SCATTER_PX[False]) * pixel
    *widths, spread = hulls.feret_diameters()
    kept = np.clip(1 - (scatter / np.maximum(spread, 1e-12)) ** 2, 0, 1)
    least, greatest = (mean + kept * (width + 2 * out - crest - mean) for width in widths)
    return np.stack([perimeters, np.minimum(np.pi * mean, perimeters), least, greatest])


def _side_by_side(pieces: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    strip = np.zeros((max(len(piece) for piece in pieces), places[-1]), np.float32)
    for piece, place in zip(pieces, places, strict=False):
        strip[: len(piece), place : place + piece.shape[1]] = piece
    return strip


def _smooth(strip: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(strip, 1.0, mode="constant", radius=_MARGIN)


def _level(field: np.ndarray, area: int) -> float:
    """Give a level that so many pixels are above, and some are in any case."""
    values = field.ravel()
    at = len(values) - area
    low, high = np.partition(values, (at - 1, at))[at - 1 : at + 1]
    return min((low + high) / 2, values.max() * (1 - 1e-6))


def _contours(above: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give starts, ends (y, x) and owner of the lines that part what is above 0 from the rest, by marching squares."""
    inside = (above > 0).astype(np.uint8)
    kinds = inside[:-1, :-1] + 2 * inside[:-1, 1:] + 4 * inside[1:, 1:] + 8 * inside[1:, :-1]
    y, x = np.nonzero((kinds > 0) & (kinds < 15))
    kind = kinds[y, x]
    corners = above[y, x], above[y, x + 1], above[y + 1, x + 1], above[y + 1, x]
    top, right, bottom, left = (
        np.divide(a, a - b, out=np.zeros(len(a)), where=(a > 0) != (b > 0))
        for a, b in ((corners[one], corners[other]) for one, other in ((0, 1), (1, 2), (3, 2), (0, 3)))
    )
    crossings = np.array([[y, x + top], [y + right, x + 1], [y + 1, x + bottom], [y + left, x]])
    each = np.arange(len(y))
    starts, ends = [crossings[_ENTERS[kind], :, each]], [crossings[_LEAVES[kind], :, each]]
    owner = [owners[x]]
    for both, (enters, leaves) in _TWICE.items():
        also = np.flatnonzero(kind == both)
        starts.append(crossings[enters, :, also])
        ends.append(crossings[leaves, :, also])
        owner.append(owners[x[also]])
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(owner)
