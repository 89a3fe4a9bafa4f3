"""Proposals: what may be a particle, found at every scale, and the numbers by which each is judged.

A network that looks at a micrograph at several scales sees small particles at the fine ones and large
particles at the coarse ones. At each scale particles are told apart, with valleys of several depths; each
different one is a proposal. Which of them are particles is another question: see
:mod:`temlib.particles.scorer` and :mod:`temlib.particles.placing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from temlib.files.resampling import resize
from temlib.particles.level import Level
from temlib.particles.proposal_numbers import AROUND, NUMBERS, Sums, numbers_of
from temlib.particles.separation import Hills, hills

__all__ = ["DEPTHS", "Proposals", "propose"]

DEPTHS = (0.1, 0.2, 0.4)
"""Of the valleys by which particles are told apart for proposals."""

_SMALLEST = 6  # pixels of a map: what is smaller has no shape


@dataclass(frozen=True)
class Proposals:
    """Proposals of one micrograph.

    Attributes
    ----------
    levels : sequence of Level
        Where they come from.
    shape : (height, width)
        Of the micrograph [px].
    hills : sequence of Hills
        Of each level.
    level : int array of shape (n,)
        The level of each proposal.
    members : list of n int arrays
        The hills that a proposal is made of.
    numbers : float32 array of shape (n, len(NUMBERS))
        By which it is judged.
    """

    levels: Sequence[Level]
    shape: tuple[int, int]
    hills: Sequence[Hills]
    level: np.ndarray
    members: list[np.ndarray]
    numbers: np.ndarray

    def hills_in(self, level: int, threshold: float = 0.5) -> np.ndarray:
        """Give the number of the hill at each pixel of the micrograph, outlined by the probability there.

        Returns
        -------
        int32 array of shape ``shape``, 0 is background
        """
        seen, number = self.levels[level], self.hills[level].number
        grown = np.where(number > 0, number, ndimage.grey_dilation(number, (3, 3)))
        rows, columns = (
            np.minimum(((np.arange(edge) + 0.5) * size / 2 / edge).astype(int), most - 1)
            for edge, size, most in zip(self.shape, seen.size, number.shape, strict=True)
        )
        box = (0, 0, seen.size[0] / 2, seen.size[1] / 2)
        inside = resize(seen.maps[..., 0], self.shape, box) > threshold
        return np.where(inside, grown[rows[:, None], columns], 0).astype(np.int32, copy=False)


def propose(
    levels: Sequence[Level],
    average: Level,
    shape: tuple[int, int],
    threshold: float = 0.5,
    depths: Sequence[float] = DEPTHS,
) -> Proposals:
    """Propose particles.

    Parameters
    ----------
    levels : sequence of Level
        In ascending order of scale.
    average : Level
        What several of them say on average.
    shape : (height, width)
        Of the micrograph [px].
    threshold : float
        Probability above which a pixel may belong to a particle.
    depths : sequence of float
        Of the valleys by which they are told apart, in ascending order.

    Returns
    -------
    Proposals
    """
    found = [hills(level.maps[..., 0] > threshold, level.maps[..., 1]) for level in levels]
    where: list[int] = []
    members: list[np.ndarray] = []
    numbers = [np.zeros((0, len(NUMBERS)), np.float32)]
    for index, (level, of_level) in enumerate(zip(levels, found, strict=True)):
        if not of_level.number.any():
            continue
        known: set[bytes] = set()
        sums = Sums(level, of_level, _around(levels, index, average))
        for depth in depths:
            joined = of_level.joined(depth)
            table = numbers_of(sums, joined, shape, depth)
            areas = np.bincount(joined, sums.of_hills["area"], len(table))
            groups = np.split(np.argsort(joined, kind="stable"), np.cumsum(np.bincount(joined))[:-1])  # of hills
            new = [i for i in range(1, len(table)) if areas[i] >= _SMALLEST and groups[i].tobytes() not in known]
            known.update(groups[i].tobytes() for i in new)
            where += [index] * len(new)
            members += [groups[i] for i in new]
            numbers.append(table[new])
    return Proposals(levels, shape, found, np.array(where, int), members, np.concatenate(numbers))


def _around(levels: Sequence[Level], index: int, average: Level) -> dict[str, np.ndarray | None]:
    """Give what is said at finer and coarser scales, and on average, at the pixels of one level."""
    steps = dict(zip(AROUND, (1, 2, -1, -2), strict=False))
    others = {name: levels[index + step] if 0 <= index + step < len(levels) else None for name, step in steps.items()}
    others["average"] = average
    return {name: None if other is None else other.sampled_like(levels[index]) for name, other in others.items()}
