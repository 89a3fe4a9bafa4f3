"""Particles: touching ones told apart in what the network says of each pixel."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

__all__ = ["relative_distance", "separate"]

_STEPS = 100  # levels that the distance is rounded to: h_maxima is much faster on integers


def separate(maps: np.ndarray, threshold: float = 0.5, depth: float = 0.1) -> np.ndarray:
    """Give each particle a number.

    Watershed from the maxima of a height: two maxima belong to two particles when it falls by
    ``depth`` at least between them. The height is the mean of the distance that the network says,
    which tells particles apart that overlap, and of that within the mask, which has no noise; in
    folds over real micrographs they separate better together than either does (see
    ``temlib/data/measured/default.csv``). A part of the mask without a maximum is one particle.

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
    distance = (maps[..., 1] + relative_distance(mask)) / 2
    height = np.where(mask, np.rint(_STEPS * distance), 0).astype(np.uint8)
    summits = h_maxima(height, max(1, round(_STEPS * depth))).astype(bool) & mask
    parts = label(mask, connectivity=1)
    without = np.setdiff1d(np.arange(1, parts.max() + 1), parts[summits])
    markers = label(summits | np.isin(parts, without))
    smooth = ndimage.gaussian_filter(distance, 1)  # the plateaus of a map made from half its resolution
    return watershed(-smooth, markers, mask=mask).astype(np.int32)


def relative_distance(mask: np.ndarray) -> np.ndarray:
    """Give the distance to the background over the largest in the same connected part of a mask.

    Parameters
    ----------
    mask : bool array of shape (height, width)
        Particles; the frame of the image is no edge.

    Returns
    -------
    float64 array of the same shape, in [0, 1]; 0 is background
    """
    if mask.all():
        return np.ones(mask.shape)
    parts = label(mask, connectivity=1)
    distance = ndimage.distance_transform_edt(mask)
    largest = np.maximum(ndimage.maximum(distance, parts, np.arange(parts.max() + 1)), 1)
    return distance / largest[parts]
