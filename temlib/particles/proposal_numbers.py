"""The numbers by which a proposal is judged: what the network says of it, its grey levels, size and shape."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from temlib.particles.level import Level
from temlib.particles.separation import Hills

__all__ = ["AROUND", "NUMBERS", "Sums", "numbers_of"]

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

AROUND = ("fine1", "fine2", "coarse1", "coarse2", "average")
"""Other scales of which it is told what they say: finer and coarser by one and two steps, and the average of all."""

_RING = 5  # edge [px of a map] of the square that a proposal is dilated by


class Sums:
    """Sums over the pixels of each hill of a level, and over those around it, from which those of particles follow.

    Particles are hills that were joined: what is added up once serves every depth of valleys.
    """

    def __init__(self, level: Level, hills: Hills, around: dict[str, np.ndarray | None]) -> None:
        self.level, self.hills, self.number = level, hills, len(hills.summit)
        self.inside = _Pixels(hills.number, self.number)
        near = ndimage.grey_dilation(hills.number, (_RING, _RING))
        near[hills.number > 0] = 0
        ring = _Pixels(near, self.number)
        p, d, grey = (self.inside.take(each) for each in (level.maps[..., 0], level.maps[..., 1], level.grey))
        y, x = (axis.astype(float) for axis in np.unravel_index(self.inside.where, hills.number.shape))
        values = {"area": np.ones(len(p)), "p": p, "pp": p**2, "d": d, "grey": grey}
        values |= {"y": y, "x": x, "yy": y * y, "xx": x * x, "xy": x * y}
        for name, maps in around.items():
            if maps is not None:
                values |= {f"{what}_{name}": self.inside.take(maps[..., i]) for i, what in enumerate("pd")}
        self.of_hills = {name: self.inside.sum(each) for name, each in values.items()}
        self.of_hills["p_top"] = _largest(self.inside.which, p, self.number)
        p, grey = ring.take(level.maps[..., 0]), ring.take(level.grey)
        values = {"area": np.ones(len(p)), "p": p, "grey": grey, "grey2": grey**2}
        self.of_rings = {name: ring.sum(each) for name, each in values.items()}
        steps = np.abs(np.diff(level.grey, axis=1))
        self.noise = 1.4826 * np.median(steps) / np.sqrt(2) if steps.size else 0.0
        self.sides = _sides(hills.number)
        edges = np.concatenate([turned[[0, -1]].ravel() for turned in (hills.number, hills.number.T)])
        self.frame = np.bincount(edges, minlength=self.number)


class _Pixels:
    """The pixels of a label image that are not background."""

    def __init__(self, labels: np.ndarray, number: int) -> None:
        self.number, self.where = number, np.flatnonzero(labels)
        self.which = labels.ravel()[self.where]

    def take(self, values: np.ndarray) -> np.ndarray:
        return values.ravel()[self.where]

    def sum(self, taken: np.ndarray) -> np.ndarray:
        return np.bincount(self.which, taken, self.number)


class _Table:
    """What of the sums belongs to each particle."""

    def __init__(self, sums: Sums, joined: np.ndarray) -> None:
        self.sums, self.joined, self.number = sums, joined, int(joined.max()) + 1
        self.area = self.sum(sums.of_hills["area"])
        self.safe = np.maximum(self.area, 1)
        self.around = np.maximum(self.sum(sums.of_rings["area"]), 1)

    def sum(self, of_hills: np.ndarray) -> np.ndarray:
        return np.bincount(self.joined, of_hills, self.number)

    def mean(self, name: str) -> np.ndarray:
        return self.sum(self.sums.of_hills[name]) / self.safe

    def ring(self, name: str) -> np.ndarray:
        return self.sum(self.sums.of_rings[name]) / self.around


def numbers_of(sums: Sums, joined: np.ndarray, shape: tuple[int, int], depth: float) -> np.ndarray:
    """Give the numbers of each particle of a level.

    Parameters
    ----------
    sums : Sums
        Of the level.
    joined : int array
        The particle of each hill, of :meth:`temlib.particles.separation.Hills.joined`.
    shape : (height, width)
        Of the micrograph [px].
    depth : float
        By which they were told apart.

    Returns
    -------
    float32 array of shape (particles + 1, len(NUMBERS)); row 0, of background, says nothing
    """
    table = _Table(sums, joined)
    top = _largest(joined, sums.hills.summit, table.number)
    numbers = {"log_scale": np.log(sums.level.scale), "depth": depth}
    numbers |= _said(table, top)
    numbers |= _said_elsewhere(table, numbers)
    numbers |= _grey(table)
    numbers |= _size(table, sums.level.scale, shape)
    numbers |= _shape(table, top)
    numbers |= _neighbours(table, top)
    columns = [np.broadcast_to(numbers[name], table.number) for name in NUMBERS]
    return np.stack(columns, axis=1).astype(np.float32)


def _said(table: _Table, top: np.ndarray) -> dict[str, np.ndarray]:
    pixels, hills = table.sums.inside, table.sums.hills
    mean, around = table.mean("p"), table.ring("p")
    drawn = pixels.take(hills.height) / np.maximum(top, 1e-6)[table.joined][pixels.which]
    odd = np.abs(pixels.take(table.sums.level.maps[..., 1]) - drawn)
    return {
        "p": mean,
        "p_spread": np.sqrt(np.maximum(table.mean("pp") - mean**2, 0)),
        "p_top": _largest(table.joined, table.sums.of_hills["p_top"], table.number),
        "d": table.mean("d"),
        "oddness": table.sum(np.bincount(pixels.which, odd, table.sums.number)) / table.safe,
        "p_ring": around,
        "p_fall": mean - around,
    }


def _said_elsewhere(table: _Table, here: dict) -> dict[str, np.ndarray]:
    """Give the same of other scales; where there is none, what is said here."""
    names = [f"{what}_{scale}" for scale in AROUND for what in "pd"]
    return {name: table.mean(name) if name in table.sums.of_hills else here[name[0]] for name in names}


def _grey(table: _Table) -> dict[str, np.ndarray]:
    mean, around = table.mean("grey"), table.ring("grey")
    spread, step = np.sqrt(np.maximum(table.ring("grey2") - around**2, 0)), mean - around
    contrast = step / (spread + table.sums.noise + 1e-3)
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
    y, x = table.mean("y"), table.mean("x")
    yy, xx = table.mean("yy") - y * y + 1 / 12, table.mean("xx") - x * x + 1 / 12
    xy = table.mean("xy") - x * y
    middle, half = (yy + xx) / 2, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    return {
        "ellipticity": table.safe / (4 * np.pi * np.sqrt(np.maximum(yy * xx - xy**2, 1e-6))),
        "elongation": np.sqrt(np.maximum(middle - half, 1e-3) / (middle + half)),
        "inner_disc": np.pi * top**2 / table.safe,
    }


def _neighbours(table: _Table, top: np.ndarray) -> dict[str, np.ndarray]:
    """Say how much of the outline is at the frame and at other particles, and how high the passes to these are."""
    hills, joined = table.sums.hills, table.joined
    mine, other, count = table.sums.sides
    mine, other = joined[mine], joined[other]
    outline = np.bincount(mine, count * (mine != other), table.number)
    contact = np.bincount(mine, count * ((mine != other) & (other > 0)), table.number)
    frame = table.sum(table.sums.frame)
    first, second = joined[hills.first], joined[hills.second]
    parted = first != second
    highest = np.zeros(table.number)
    for side in (first[parted], second[parted]):
        np.maximum.at(highest, side, hills.pass_height[parted])
    return {
        "circularity": 4 * np.pi * table.safe / np.maximum(outline + frame, 1) ** 2,
        "at_frame": frame / np.sqrt(table.safe),
        "contact": contact / np.maximum(outline, 1),
        "valley": highest / np.maximum(top, 1e-6),
    }


def _sides(number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give how many sides of pixels of one hill are at another hill, or at background: one, other, count."""
    most = int(number.max(initial=0)) + 1
    pairs = []
    for turned in (number, number.T):
        for one, other in ((turned[:-1], turned[1:]), (turned[1:], turned[:-1])):
            differ = (one != other) & (one > 0)
            pairs.append(one[differ].astype(np.int64) * most + other[differ])
    both, count = np.unique(np.concatenate(pairs), return_counts=True)
    return both // most, both % most, count


def _largest(which: np.ndarray, values: np.ndarray, number: int) -> np.ndarray:
    result = np.zeros(number)
    np.maximum.at(result, which, values)
    return result
