"""Particles: touching ones told apart in what the network says of each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import relabel_sequential, watershed

from temlib.files.micrographs import as_array, pixel_size_of, with_axes_of

__all__ = ["relative_distance", "separate_particles"]

_ROUGHNESS_PX = 1.0  # of an edge drawn in pixels: what the distance falls by along a thin straight particle
_STEPS = 100  # levels that the distance is rounded to: sorting is much faster on integers


def separate_particles(
    mask_or_maps: Any,
    *,
    threshold: float = 0.5,
    depth: float = 0.15,
    specks: float = 0.25,
    smallest: float = 0.0,
    pixel_size_nm: float | tuple[float, float] | None = None,
) -> Any:
    """Give each particle a number, touching and overlapping ones apart.

    Watershed from the maxima of a height: two maxima belong to two particles when it falls by
    ``depth`` at least between them. The height is the mean of the distance that the network says,
    which tells particles apart that overlap, and of that within the mask, which has no noise. A part
    of the mask without a maximum is one particle.

    Parameters
    ----------
    mask_or_maps : signal or array of shape (height, width), or float array of shape (height, width, 2)
        A mask, bool or 0 and anything else; or what a segmenter says, in [0, 1]: probability of
        *particle*, and distance to the particle's edge over its largest (:meth:`temlib.Segmenter.maps`).
    threshold : float
        Probability above which a pixel belongs to a particle; a mask has none.
    depth : float
        Of the valley between two particles, where their summits have a height of 1.
    specks : float
        Share of the typical particle's diameter below which a particle is taken for a speck and left
        out; typical is the median by area. 0 keeps all.
    smallest : float
        Equivalent diameter below which a particle is left out, in nm where the pixel size is known, in
        px otherwise.
    pixel_size_nm : float or (float, float), optional
        Edge of a pixel [nm], or its height and width; otherwise that of the signal.

    Returns
    -------
    int32 array of shape (height, width), a signal for a signal
        1, 2, ... for the particles, 0 for background.
    """
    array = as_array(mask_or_maps) if np.ndim(getattr(mask_or_maps, "data", mask_or_maps)) == 2 else mask_or_maps
    mask = array != 0 if array.ndim == 2 else array[..., 0] > threshold
    size = pixel_size_of(mask_or_maps) if pixel_size_nm is None else np.broadcast_to(pixel_size_nm, 2)
    labels = _watershed(mask, None if array.ndim == 2 else array[..., 1], depth)
    if labels.any() and (smallest > 0 or specks > 0):
        area = np.bincount(labels.ravel()) * (1 if size is None else float(size[0] * size[1]))
        diameter = np.sqrt(4 * area / np.pi)
        labels[(diameter < max(smallest, specks * _typical(diameter[1:])))[labels]] = 0
        labels = relabel_sequential(labels)[0].astype(np.int32)
    return with_axes_of(mask_or_maps, labels, "particles") if array.ndim == 2 else labels


def _watershed(mask: np.ndarray, said: np.ndarray | None, depth: float) -> np.ndarray:
    """Cut a mask where the height falls between two maxima, and by a pixel at least."""
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    within, largest = _distance(mask)
    distance = within if said is None else (np.where(said < 0, within, said) + within) / 2  # -1 is unknown
    height = np.where(mask, np.rint(_STEPS * distance), 0).astype(np.int16)
    fall = np.rint(_STEPS * np.maximum(depth, _ROUGHNESS_PX / largest)).astype(np.int16)
    summits = _summits(height, np.maximum(fall, 1)) & mask
    parts = label(mask, connectivity=1)
    without = np.setdiff1d(np.arange(1, parts.max() + 1), parts[summits])
    markers = label(summits | np.isin(parts, without))
    smooth = ndimage.gaussian_filter(distance, 1)  # the plateaus of a map made from half its resolution
    return watershed(-smooth, markers, mask=mask).astype(np.int32)


def _summits(height: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """Mark the maxima that stand so much above every way to a higher one, each with all of its plateau.

    Regional maxima of the reconstruction, and not ``skimage.morphology.h_maxima``: that gives every pixel
    which stands high enough above it, so equal summits on one ridge come apart.
    """
    return local_maxima(reconstruction(np.maximum(height - fall, 0), height).astype(np.int16))


def _typical(diameters: np.ndarray) -> float:
    """Give the diameter that half of the particles' area lies above and half below."""
    ascending = np.sort(diameters)
    share = np.cumsum(ascending**2)
    return float(ascending[np.searchsorted(share, share[-1] / 2)])


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
    return _distance(mask)[0]


def _distance(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give :func:`relative_distance`, and the largest distance [px] in each pixel's part."""
    if mask.all():
        return np.ones(mask.shape), np.full(mask.shape, np.inf)
    parts = label(mask, connectivity=1)
    distance = ndimage.distance_transform_edt(mask)
    largest = np.maximum(ndimage.maximum(distance, parts, np.arange(parts.max() + 1)), 1)[parts]
    return distance / largest, largest
