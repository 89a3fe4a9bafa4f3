"""Convex hulls of many sets of points at once, and their widths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Hulls"]

_DIRECTIONS = np.pi * np.arange(60) / 60
_TURNS, _FINER = 2, np.linspace(-1, 1, 13)


@dataclass(frozen=True)
class Hulls:
    """Convex hulls, their corners one after another around each.

    Attributes
    ----------
    corners : float array of shape (corners, 2)
        Places (y, x) of all corners of all hulls.
    first : int array of shape (sets,)
        The first corner of each hull.
    """

    corners: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, owner: np.ndarray) -> Hulls:
        """Find the hulls of sets of points.

        Parameters
        ----------
        points : array of shape (points, 2)
            Places (y, x).
        owner : int array of shape (points,)
            The set of each, from 0 on; none is empty.
        """
        order = np.lexsort((points[:, 1], points[:, 0], owner))
        points, owner = points[order], owner[order]
        once = np.append(True, (points[1:] != points[:-1]).any(axis=1) | (owner[1:] != owner[:-1]))
        there, back = (_chain(points[once], owner[once], side) for side in (1, -1))
        ends = _ends(back[1])
        inner = ~(ends[0] | ends[1])  # the first and the last point belong to the way there
        corners = np.concatenate([there[0], back[0][inner]])
        owners = np.concatenate([there[1], back[1][inner]])
        way = np.arange(len(corners))
        way[len(there[0]) :] = -way[len(there[0]) :]
        order = np.lexsort((way, way < 0, owners))
        return cls(corners[order], np.searchsorted(owners[order], np.arange(owners.max() + 1)))

    @cached_property
    def number(self) -> np.ndarray:
        """Give the number of corners of each hull."""
        return np.diff(self.first, append=len(self.corners))

    @cached_property
    def edges(self) -> np.ndarray:
        """Give the way (y, x) from each corner to the next."""
        following = np.arange(1, len(self.corners) + 1)
        following[self.first + self.number - 1] = self.first
        return self.corners[following] - self.corners

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Add up a value of each corner for each hull."""
        return np.add.reduceat(values, self.first)

    @property
    def perimeters(self) -> np.ndarray:
        """Give the length around each hull."""
        return self.sums(np.hypot(*self.edges.T))

    @property
    def areas(self) -> np.ndarray:
        """Give the area of each hull."""
        near = self.corners - np.repeat(self.corners[self.first], self.number, axis=0)
        (y, x), (dy, dx) = near.T, self.edges.T
        return np.abs(self.sums(x * dy - y * dx)) / 2

    def lattice_points(self) -> np.ndarray:
        """Give the number of points with whole coordinates in hulls of such points, their edges included (Pick)."""
        on_edges = self.sums(np.gcd(*np.abs(self.edges.astype(int)).T))
        return np.rint(self.areas + on_edges / 2 + 1).astype(int)

    def widths(self, angles: np.ndarray) -> np.ndarray:
        """Give the width of each hull in directions of its own; angles and result are of shape (sets, angles)."""
        each = np.repeat(angles, self.number, axis=0)
        along = self.corners[:, :1] * np.sin(each) + self.corners[:, 1:] * np.cos(each)
        return np.maximum.reduceat(along, self.first) - np.minimum.reduceat(along, self.first)

    def feret_diameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give the least and the greatest width, and the standard deviation of the width over all directions.

        The least is looked for ever more finely: beside it the width rises at once, beside the greatest slowly.
        """
        along = self.corners @ np.stack([np.sin(_DIRECTIONS), np.cos(_DIRECTIONS)])
        widths = np.maximum.reduceat(along, self.first) - np.minimum.reduceat(along, self.first)
        step, angles = _DIRECTIONS[1], _DIRECTIONS[widths.argmin(axis=1)]
        least = widths.min(axis=1)
        for _ in range(_TURNS):
            near = angles[:, None] + step * _FINER
            finer = self.widths(near)
            least = np.minimum(least, finer.min(axis=1))
            step = step * (_FINER[1] - _FINER[0])
            angles = np.take_along_axis(near, finer.argmin(axis=1)[:, None], 1)[:, 0]
        return least, widths.max(axis=1), widths.std(axis=1)


def _chain(points: np.ndarray, owner: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep of sorted points those on one side of each hull: whatever lies within two others goes, until none does."""
    while True:
        first, last = _ends(owner)
        before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
        (dy, dx), (ey, ex) = (points - before).T, (after - before).T
        kept = (side * (dx * ey - dy * ex) > 0) | first | last
        if kept.all():
            return points, owner
        points, owner = points[kept], owner[kept]


def _ends(owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say which is the first and which the last point of a set."""
    changes = owner[1:] != owner[:-1]
    return np.append(True, changes), np.append(changes, True)
