"""Presence: whether the grey levels show a particle in a frame in which it was not found.

A segmentation misses small and pale particles in some frames. Such a one has not dissolved: where it lay the frame is
as dark, or as bright, against what is around as when it was found.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

__all__ = ["Sight", "still_there"]

_RING = (2, 6)  # px around a particle, between which its surroundings lie
_FEWEST = 12  # pixels of surroundings that say something
_FREE = 0.5  # of its pixels, at the least, may not be another's
_THERE = 1 / 3  # of the contrast: what had begun or ended had a fifth at most, what was missed mostly a half or more


@dataclass(frozen=True)
class Sight:
    """A frame that is kept to look at once more.

    Attributes
    ----------
    frame : int
        Its number.
    image : array of shape (height, width)
        Grey levels.
    taken : bool array of the same shape
        Where particles were found.
    moved : float array of shape (2,)
        The drift [px].
    """

    frame: int
    image: np.ndarray
    taken: np.ndarray
    moved: np.ndarray

    @classmethod
    def of(cls, frame: int, image: np.ndarray, labels: np.ndarray, moved: np.ndarray) -> Sight:
        """Keep a frame; what it came with may change."""
        return cls(frame, image.copy(), labels > 0, moved.copy())

    def contrast(self, pixels: np.ndarray) -> float:
        """Give the mean of some pixels less that of what is around them, over the spread of the frame.

        Parameters
        ----------
        pixels : int array of shape (m, 2)
            Where they lie; those outside the frame are left out.

        Returns
        -------
        float
            NaN where nothing can be said.
        """
        shape = self.image.shape
        pixels = pixels[((pixels >= 0) & (pixels < shape)).all(axis=1)]
        if not len(pixels):
            return np.nan
        low, high = np.maximum(pixels.min(axis=0) - _RING[1], 0), pixels.max(axis=0) + _RING[1] + 1
        box = tuple(slice(first, last) for first, last in zip(low, high, strict=True))
        image, own = self.image[box].astype(float), np.zeros(self.image[box].shape, bool)
        own[tuple((pixels - low).T)] = True
        near = ndimage.binary_dilation(own, iterations=_RING[0])
        around = ndimage.binary_dilation(near, iterations=_RING[1] - _RING[0]) & ~near & ~self.taken[box]
        inside, around = image[own], image[around]
        inside, around = inside[np.isfinite(inside)], around[np.isfinite(around)]
        if not len(inside) or len(around) < _FEWEST:
            return np.nan
        return float((inside.mean() - around.mean()) / self._spread)

    @cached_property
    def _spread(self) -> float:
        return max(float(self.image[np.isfinite(self.image)].std(dtype=float)), 1e-300)


def still_there(pixels: np.ndarray, found: Sight, other: Sight) -> bool:
    """Say whether another frame shows a particle where it was found, though it was not found there.

    Parameters
    ----------
    pixels : int array of shape (m, 2)
        Of the particle, in the frame that shows it.
    found, other : Sight
        That frame, and the other one.
    """
    there = pixels + np.rint(other.moved - found.moved).astype(int)
    inside = there[((there >= 0) & (there < other.image.shape)).all(axis=1)]
    if len(inside) < _FREE * len(pixels) or other.taken[tuple(inside.T)].mean() > 1 - _FREE:
        return False
    before = found.contrast(pixels)
    return bool(np.isfinite(before) and before != 0 and other.contrast(inside) / before >= _THERE)
