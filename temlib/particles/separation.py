"""Particles: touching ones told apart in what the network says of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import relabel_sequential, watershed

from temlib.files.micrographs import as_array, pixel_size_of, with_axes_of

__all__ = ["Hills", "hills", "relative_distance", "separate_particles"]

_ROUGHNESS_PX = 1.0  # of an edge drawn in pixels: what the distance falls by along a thin straight particle


def separate_particles(
    mask_or_maps: Any,
    *,
    threshold: float = 0.5,
    depth: float = 0.2,
    specks: float = 0.0,
    smallest: float = 0.0,
    pixel_size_nm: float | tuple[float, float] | None = None,
) -> Any:
    """Give each particle a number, touching and overlapping ones apart.

    Watershed from the maxima of a height: of two maxima the lower is a particle of its own when the
    pass to the higher one lies below it by more than the share ``depth`` of its own height, and than a
    pixel. So a small particle that touches a large one is judged by its own size. The height is
    the mean of the distance within the mask [px], which has no noise, and of that which the network
    says, which tells particles apart that overlap.

    Parameters
    ----------
    mask_or_maps : signal or array of shape (height, width), or float array of shape (height, width, 2)
        A mask, bool or 0 and anything else; or what a segmenter says, in [0, 1]: probability of
        *particle*, and distance to the particle's edge over its largest (:meth:`temlib.Segmenter.maps`).
    threshold : float
        Probability above which a pixel belongs to a particle; a mask has none.
    depth : float
        Of the pass between two particles below the lower one's summit, as a share of that one's height.
    specks : float
        Share of the typical particle's diameter below which a particle is taken for a speck and left
        out; typical is the median by area. 0 keeps all. It changes the distribution of sizes.
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
    labels = hills(mask, None if array.ndim == 2 else array[..., 1]).apart(depth)
    if labels.any() and (smallest > 0 or specks > 0):
        area = np.bincount(labels.ravel()) * (1 if size is None else float(size[0] * size[1]))
        diameter = np.sqrt(4 * area / np.pi)
        labels[(diameter < max(smallest, specks * _typical(diameter[1:])))[labels]] = 0
        labels = relabel_sequential(labels)[0].astype(np.int32)
    return with_axes_of(mask_or_maps, labels, "particles") if array.ndim == 2 else labels


@dataclass(frozen=True)
class Hills:
    """A mask as hills, one for each maximum of its height, and the passes between them.

    Attributes
    ----------
    number : int32 array of shape (height, width)
        Of each pixel's hill; 0 is background.
    height : float32 array of the same shape
        See :func:`separate_particles` [px]; 0 outside of the mask.
    summit : float array of shape (hills + 1,)
        Height of each hill [px]; of background 0.
    first, second : int arrays of shape (passes,)
        The two hills that a pass joins.
    pass_height : float array of shape (passes,)
        Height of the highest way from one to the other [px], in ascending order.
    """

    number: np.ndarray
    height: np.ndarray
    summit: np.ndarray
    first: np.ndarray
    second: np.ndarray
    pass_height: np.ndarray

    def apart(self, depth: float) -> np.ndarray:
        """Give each particle a number, see :meth:`joined`.

        Returns
        -------
        int32 array of shape (height, width), 0 is background
        """
        return self.joined(depth)[self.number]

    def joined(self, depth: float) -> np.ndarray:
        """Join hills that no valley of ``depth`` (see :func:`separate_particles`) parts; number what is left.

        The highest pass comes first. What it joins is from then on as high as the higher of the two,
        whether they are one particle or not.

        Returns
        -------
        int32 array of shape (hills + 1,)
            The particle to which each hill belongs; 0 is background.
        """
        particle, massif = list(range(len(self.summit))), list(range(len(self.summit)))
        top = self.summit.tolist()
        for a, b, height in zip(self.first[::-1], self.second[::-1], self.pass_height[::-1].tolist(), strict=True):
            low, high = _root(massif, a), _root(massif, b)
            if low == high:
                continue
            if top[low] > top[high]:
                low, high = high, low
            if top[low] - height <= max(depth * top[low], _ROUGHNESS_PX):
                particle[_root(particle, a)] = _root(particle, b)
            massif[low] = high
        numbers = np.unique([_root(particle, i) for i in particle], return_inverse=True)[1]
        return numbers.astype(np.int32)


def hills(mask: np.ndarray, said: np.ndarray | None = None) -> Hills:
    """Find the hills of a mask: each pixel belongs to the maximum of height that a flood reaches it from first.

    Parameters
    ----------
    mask : bool array of shape (height, width)
        Particles.
    said : float array of the same shape, in [0, 1], optional
        Distance to the particle's edge over its largest, as a network says; negative where it is unknown.

    Returns
    -------
    Hills
    """
    number, top = np.zeros(mask.shape, np.int32), np.zeros(1)
    passes = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    height = np.zeros(mask.shape, np.float32)
    if mask.any():
        rows, columns = np.nonzero(mask)
        box = _span(rows), _span(columns)
        mask = mask[box]
        height[box] = here = _height(mask, None if said is None else said[box])
        maxima = label(local_maxima(here) & mask, connectivity=2)
        top = np.zeros(maxima.max() + 1)
        top[maxima[maxima > 0]] = here[maxima > 0]
        number[box] = watershed(-here, maxima, mask=mask, connectivity=2)
        passes = _passes(number[box], here)
    return Hills(number, height, top, *passes)


def _span(places: np.ndarray) -> slice:
    """Say from where to where something lies, with one more on either side where there is one."""
    return slice(max(int(places.min()) - 1, 0), int(places.max()) + 2)


def _height(mask: np.ndarray, said: np.ndarray | None) -> np.ndarray:
    """Give the distance to the background [px], or the mean of that and of what is said; 0 outside of the mask."""
    distance = _distance(mask)
    if said is None:
        return distance
    largest = _largest(distance, label(mask, connectivity=2))
    return np.where(mask & (said >= 0), (distance + said * largest) / 2, distance)


def _distance(mask: np.ndarray) -> np.ndarray:
    """Give the distance to the background [px]; the frame is no edge."""
    distance = np.zeros(mask.shape, np.float32)
    if mask.all():
        distance[:] = max(mask.shape)
    elif mask.any():
        inside = np.nonzero(mask)  # sums over these alone take half the time of SciPy's over all
        edge = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
        distance[inside] = np.hypot(*(here - there[inside] for here, there in zip(inside, edge, strict=True)))
    return distance


def _largest(distance: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Give the largest distance in each pixel's part of the mask, a pixel at the least."""
    largest = np.ones(parts.max() + 1, np.float32)
    np.maximum.at(largest, parts.ravel(), distance.ravel())
    return largest[parts]


def _passes(number: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each two hills that meet, and the height of the highest place where they do; the lowest first."""
    early, late, middle = slice(None, -1), slice(1, None), slice(None)
    neighbours = (
        ((middle, early), (middle, late)),
        ((early, middle), (late, middle)),
        ((early, early), (late, late)),
        ((early, late), (late, early)),
    )
    meetings = []
    for here, there in neighbours:
        a, b = number[here], number[there]
        meet = (a != b) & (a > 0) & (b > 0)
        lower = np.minimum(height[here][meet], height[there][meet])
        meetings.append((np.minimum(a[meet], b[meet]), np.maximum(a[meet], b[meet]), lower))
    first, second, lower = (np.concatenate(each) for each in zip(*meetings, strict=True))
    order = np.lexsort((lower, second, first))
    first, second, lower = first[order], second[order], lower[order]
    highest = np.r_[(first[1:] != first[:-1]) | (second[1:] != second[:-1]), np.ones(min(len(first), 1), bool)]
    first, second, lower = first[highest], second[highest], lower[highest]
    order = np.argsort(lower, kind="stable")
    return first[order], second[order], lower[order]


def _root(parents: list[int], of: int) -> int:
    """Find who stands for all that were joined with one, and make the way there shorter."""
    while parents[of] != of:
        parents[of] = of = parents[parents[of]]
    return of


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
    float32 array of the same shape, in [0, 1]; 0 is background
    """
    distance = _distance(mask)
    return distance / _largest(distance, label(mask, connectivity=1))
