"""The numbers by which a proposal is judged: what the network says of it, its grey levels, size and shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from temlib.particles.separation import Hills

if TYPE_CHECKING:
    from temlib.particles.level import Level

__all__ = ["NUMBERS", "numbers_of"]

NUMBERS = (
    *("log_scale", "depth"),
    *("p", "p_spread", "p_top", "d", "oddness", "p_ring", "p_fall"),
    *("p_fine1", "p_fine2", "p_coarse1", "p_coarse2", "p_average"),
    *("d_fine1", "d_fine2", "d_coarse1", "d_coarse2", "d_average"),
    *("grey", "contrast", "grey_step", "polarity", "ring_spread"),
    *("log_diameter_px", "log_diameter_net", "log_diameter_frame", "log_diameter_typical", "log_number"),
    *("ellipticity", "elongation", "inner_disc", "circularity", "at_frame", "contact", "valley"),
)
"""Names of the numbers, in the order of the columns:

scale, and depth of the valleys; probability (mean, spread, highest), distance, how far
the latter is from that of the shape, probability in the ring around it, and its fall to there; probability and
distance at the next finer and coarser scales and on average; grey level, contrast to the ring over the ring's and
the noise's spread, step of the grey level, contrast with the sign of the frame's, spread in the ring; logarithm
of the diameter in the micrograph's and the network's pixels, relative to the frame and to the typical proposal of
this level, and of the number of proposals; area over that of the ellipse of the same moments, axes' ratio, largest
disc inside over the area, circularity, share of the outline at the frame and along other proposals, and the highest
pass to one of them.
"""

_RING = 5  # edge [px of a map] of the square that a proposal is dilated by


class _Table:
    """Sums over the pixels of each particle of a label image."""

    def __init__(self, labels: np.ndarray, number: int) -> None:
        self.labels, self.number = labels, number
        self.where = np.flatnonzero(labels)
        self.which = labels.ravel()[self.where]
        self.area = np.bincount(self.which, minlength=number).astype(float)
        self.safe = np.maximum(self.area, 1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self.which, values.ravel()[self.where], self.number) / self.safe

    def spread(self, values: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(self.mean(values**2) - self.mean(values) ** 2, 0))

    def largest(self, values: np.ndarray) -> np.ndarray:
        result = np.zeros(self.number)
        np.maximum.at(result, self.which, values.ravel()[self.where])
        return result


def numbers_of(
    level: Level,
    hills: Hills,
    joined: np.ndarray,
    around: dict[str, np.ndarray | None],
    shape: tuple[int, int],
    depth: float,
) -> np.ndarray:
    """Give the numbers of each particle of a level.

    Parameters
    ----------
    level : Level
        Where they are.
    hills : Hills
        Of the level.
    joined : int array
        The particle of each hill, of :meth:`temlib.particles.separation.Hills.joined`.
    around : dict of str to array or None
        What is said at other scales, at the pixels of this level.
    shape : (height, width)
        Of the micrograph [px].
    depth : float
        By which they were told apart.

    Returns
    -------
    float32 array of shape (particles + 1, len(NUMBERS)); row 0, of background, says nothing
    """
    labels = joined[hills.number]
    table = _Table(labels, int(joined.max()) + 1)
    top = np.zeros(table.number)
    np.maximum.at(top, joined, hills.summit)
    ring = ndimage.grey_dilation(labels, (_RING, _RING))
    ring[labels > 0] = 0
    numbers = {"log_scale": np.log(level.scale), "depth": depth}
    numbers |= _said(level.maps, table, _Table(ring, table.number), hills.height / np.maximum(top, 1e-6)[labels])
    numbers |= _said_elsewhere(around, table, numbers)
    numbers |= _grey(level.grey, table, _Table(ring, table.number))
    numbers |= _size(table, level.scale, shape)
    numbers |= _shape(table, top)
    numbers |= _neighbours(labels, table, hills, joined, top)
    columns = [np.broadcast_to(numbers[name], table.number) for name in NUMBERS]
    return np.stack(columns, axis=1).astype(np.float32)


def _said(maps: np.ndarray, table: _Table, ring: _Table, drawn: np.ndarray) -> dict[str, np.ndarray]:
    p, d = maps[..., 0], maps[..., 1]
    mean, around = table.mean(p), ring.mean(p)
    return {
        "p": mean,
        "p_spread": table.spread(p),
        "p_top": table.largest(p),
        "d": table.mean(d),
        "oddness": table.mean(np.abs(d - drawn)),
        "p_ring": around,
        "p_fall": mean - around,
    }


def _said_elsewhere(around: dict, table: _Table, here: dict) -> dict[str, np.ndarray]:
    """Give the same of other scales; where there is none, what is said here."""
    numbers = {}
    for name, maps in around.items():
        for i, what in enumerate("pd"):
            numbers[f"{what}_{name}"] = here[what] if maps is None else table.mean(maps[..., i])
    return numbers


def _grey(grey: np.ndarray, table: _Table, ring: _Table) -> dict[str, np.ndarray]:
    noise = 1.4826 * np.median(np.abs(np.diff(grey, axis=1))) / np.sqrt(2) if grey.shape[1] > 1 else 0.0
    mean, spread = table.mean(grey), ring.spread(grey)
    step = mean - ring.mean(grey)
    contrast = step / (spread + noise + 1e-3)
    usual = np.sum(table.area * np.clip(contrast, -3, 3))
    return {
        "grey": mean,
        "contrast": contrast,
        "grey_step": np.abs(step),
        "polarity": contrast * np.sign(usual),
        "ring_spread": spread,
    }


def _size(table: _Table, scale: float, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    diameter = np.sqrt(4 * table.safe / np.pi)
    order = np.argsort(table.area)
    share = np.cumsum(table.area[order])
    typical = diameter[order][np.searchsorted(share, share[-1] / 2)]
    pixel = 2 / scale
    return {
        "log_diameter_px": np.log(diameter * pixel),
        "log_diameter_net": np.log(diameter * 2),
        "log_diameter_frame": np.log(diameter * pixel / np.sqrt(shape[0] * shape[1])),
        "log_diameter_typical": np.log(diameter / typical),
        "log_number": np.log(np.maximum(table.number - 1, 1)),
    }


def _shape(table: _Table, top: np.ndarray) -> dict[str, np.ndarray]:
    y, x = (axis.astype(float) for axis in np.unravel_index(table.where, table.labels.shape))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(table.which, values, table.number) / table.safe

    y, x = y - mean(y)[table.which], x - mean(x)[table.which]
    yy, xx, xy = mean(y * y) + 1 / 12, mean(x * x) + 1 / 12, mean(x * y)
    middle, half = (yy + xx) / 2, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    return {
        "ellipticity": table.safe / (4 * np.pi * np.sqrt(np.maximum(yy * xx - xy**2, 1e-6))),
        "elongation": np.sqrt(np.maximum(middle - half, 1e-3) / (middle + half)),
        "inner_disc": np.pi * top**2 / table.safe,
    }


def _neighbours(
    labels: np.ndarray, table: _Table, hills: Hills, joined: np.ndarray, top: np.ndarray
) -> dict[str, np.ndarray]:
    """Say how much of the outline is at the frame and at other particles, and how high the passes to these are."""
    outline, contact, frame, highest = (np.zeros(table.number) for _ in range(4))
    for turned in (labels, labels.T):
        for one, other in ((turned[:-1], turned[1:]), (turned[1:], turned[:-1])):
            differ = (one != other) & (one > 0)
            outline += np.bincount(one[differ], minlength=table.number)
            contact += np.bincount(one[differ & (other > 0)], minlength=table.number)
        frame += np.bincount(turned[[0, -1]].ravel(), minlength=table.number)
    first, second = joined[hills.first], joined[hills.second]
    parted = first != second
    for side in (first[parted], second[parted]):
        np.maximum.at(highest, side, hills.pass_height[parted])
    return {
        "circularity": 4 * np.pi * table.safe / np.maximum(outline + frame, 1) ** 2,
        "at_frame": frame / np.sqrt(table.safe),
        "contact": contact / np.maximum(outline, 1),
        "valley": highest / np.maximum(top, 1e-6),
    }
