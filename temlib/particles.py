"""Particles: touching ones told apart in what the network says of each pixel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

__all__ = ["separate"]

_STEPS = 100  # levels that the distance is rounded to: h_maxima is much faster on integers


def separate(maps: np.ndarray, threshold: float = 0.5, depth: float = 0.15) -> np.ndarray:
    """Give each particle a number.

    Watershed of the distance map from its maxima: two maxima belong to two particles when the map
    between them falls by ``depth`` at least. A part of the mask without such a maximum is one
    particle.

    Parameters
    ----------
    maps : float array of shape (height, width, 2), in [0, 1]
        Probability of *particle*, and distance to the particle's edge over its largest; see
        :meth:`temlib.Segmenter.maps`.
    threshold : float
        Probability above which a pixel belongs to a particle.
    depth : float
        Of the valley between two particles.

    Returns
    -------
    int32 array of shape (height, width)
        1, 2, ... for the particles, 0 for background.
    """
    mask = maps[..., 0] > threshold
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    height = np.where(mask, np.rint(_STEPS * maps[..., 1]), 0).astype(np.uint8)
    summits = h_maxima(height, max(1, round(_STEPS * depth))).astype(bool) & mask
    parts = label(mask, connectivity=1)
    without = np.setdiff1d(np.arange(1, parts.max() + 1), parts[summits])
    markers = label(summits | np.isin(parts, without))
    smooth = ndimage.gaussian_filter(maps[..., 1], 1)  # the plateaus of a map made from half its resolution
    return watershed(-smooth, markers, mask=mask).astype(np.int32)
