"""A level: what a network says of a micrograph at one scale, and how it looks there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from temlib.files.resampling import resize

__all__ = ["Level"]


@dataclass(frozen=True)
class Level:
    """What a network says of one picture of a micrograph.

    Attributes
    ----------
    scale : float
        Pixels of the picture for one of the micrograph; maps have half the picture's resolution.
    size : (height, width)
        Of the picture [px].
    maps : float array of shape (height, width, 2), in [0, 1]
        Probability of *particle*, and distance to the particle's edge over its largest.
    grey : float array of shape (height, width)
        Normalised grey levels at the maps' resolution.
    """

    scale: float
    size: tuple[int, int]
    maps: np.ndarray
    grey: np.ndarray

    def sampled_like(self, other: Level) -> np.ndarray:
        """Give the maps at the pixels of another level."""
        if self.maps.shape == other.maps.shape:
            return self.maps
        rows, columns = (
            mine / 2 * min(edge / (size / 2), 1.0)
            for mine, edge, size in zip(self.size, other.maps.shape[:2], other.size, strict=True)
        )
        return resize(self.maps, other.maps.shape[:2], (0, 0, rows, columns))

    def at(self, shape: tuple[int, int]) -> np.ndarray:
        """Give the maps at the pixels of the micrograph."""
        return resize(self.maps, shape, (0, 0, self.size[0] / 2, self.size[1] / 2))
