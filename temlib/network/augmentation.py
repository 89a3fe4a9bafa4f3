"""Views: square windows of a labelled micrograph, brought to the network's scale and augmented.

The network sees particles at about one size, so every micrograph is resized by its own factor;
windows of it are flipped, turned, magnified a little more or less, and changed in their grey levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from temlib.files.micrographs import as_array
from temlib.files.resampling import as_picture, resize, take
from temlib.synthetic import camera

__all__ = [
    "IGNORED",
    "Augmentation",
    "are_numbered",
    "change_grey",
    "particle_size",
    "scale_for",
    "truth_maps",
    "views",
]

IGNORED = -1.0
"""In truth maps: nothing is known of this pixel, and nothing is learned from it."""

_UNKNOWN_EDGE, _SHORTEST_EDGE, _LARGEST_SCALE = 256, 128, 2.0
_SMOOTHING = 1.5  # standard deviation [px]
_DISC = 6.0  # the diameter of a disc over the mean distance of its points to its edge


@dataclass(frozen=True)
class Augmentation:
    """How views of one micrograph differ from one another.

    Attributes
    ----------
    zoom : float
        Magnification is changed by a factor between ``1 / zoom`` and ``zoom``, log-uniformly.
    gamma : float
        Standard deviation of the logarithm of gamma.
    contrast : float
        Grey levels are shrunk to as little as this share of their range.
    noise : float
        Up to this standard deviation of Gaussian noise, where grey levels span -1 to 1.
    inversion : float
        Share of views with grey levels inverted, as in dark field.
    marks : float
        Share of views with letters and a scale bar drawn into them.
    blur : float
        Up to this standard deviation of a Gaussian blur [px at the network's scale]; as many views
        are sharpened by what such a blur takes away.
    """

    zoom: float = 2.0
    gamma: float = 0.25
    contrast: float = 1.0
    noise: float = 0.08
    inversion: float = 0.0
    marks: float = 0.15
    blur: float = 0.0

    def geometry(self) -> Augmentation:
        """Give the same without any change of grey levels but marks."""
        return replace(self, gamma=0.0, contrast=1.0, noise=0.0, blur=0.0, inversion=0.0)


def particle_size(mask: np.ndarray) -> float | None:
    """Estimate the diameter of particles in a mask, weighted by their area.

    Six times the mean distance to the background: the diameter of a disc, one and a half times the
    width of a long rod. It needs no separation of touching particles. Single wrong pixels, of which
    machine-made labels are full, are smoothed away first.

    Parameters
    ----------
    mask : bool array of shape (height, width)
        Particles; what lies beyond the frame counts as particle.

    Returns
    -------
    float [px], or None when the mask is empty or full
    """
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), _SMOOTHING) > 0.5
    mask = smooth if smooth.any() and not smooth.all() else mask
    if not mask.any() or mask.all():
        return None
    return float(_DISC * ndimage.distance_transform_edt(mask)[mask].mean())


def scale_for(mask: np.ndarray, size: float) -> float:
    """Give the scale that brings the particles of a mask to a size [px], as far as that makes sense.

    Of an image smaller than 128 pixels a network makes little, nor of one enlarged more than
    twice. Where there is no particle to measure, the shorter edge is brought to 256 pixels.
    """
    seen = particle_size(mask)
    scale = _UNKNOWN_EDGE / min(mask.shape) if seen is None else size / seen
    smallest = min(_SHORTEST_EDGE / min(mask.shape), 1.0)
    return float(np.clip(scale, smallest, max(_LARGEST_SCALE, smallest)))


def are_numbered(labels: Any) -> bool:
    """Say whether labels tell particles apart: a mask (bool, or with one value besides 0) does not."""
    array = as_array(labels)
    return array.dtype != bool and len(np.unique(array[array != 0])) > 1


def truth_maps(labels: Any) -> np.ndarray:
    """Give what the network shall say of each pixel.

    Parameters
    ----------
    labels : signal or array of shape (height, width)
        Instance labels (int, 0 is background); or a mask (bool, or with no value but 0 and one
        other), which does not tell touching particles apart.

    Returns
    -------
    float32 array of shape (height, width, 2)
        1 in particles and 0 outside; and the distance to the particle's edge over its largest in
        this particle, 0 outside, ``IGNORED`` where all that is known is a mask.
    """
    array = as_array(labels)
    mask = array != 0
    maps = np.zeros((*mask.shape, 2), np.float32)
    maps[..., 0] = mask
    if not mask.any():
        return maps
    if not are_numbered(array):
        maps[..., 1] = IGNORED
        return maps
    numbered = array.astype(np.int64)
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        if box is None:
            continue
        box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)  # beyond the frame is no edge
        particle = numbered[box] == number
        if particle.all():
            maps[box][..., 1] = 1
            continue
        distance = ndimage.distance_transform_edt(particle)
        maps[box][..., 1] = np.where(particle, distance / distance.max(), maps[box][..., 1])
    return maps


def views(
    grey: np.ndarray,
    truth: np.ndarray,
    n: int,
    *,
    factor: float,
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield augmented square windows of one micrograph.

    Parameters
    ----------
    grey : float array of shape (height, width), in [-1, 1]
        Normalised grey levels.
    truth : float array of shape (height, width, channels)
        From :func:`truth_maps`.
    n : int
        How many.
    factor : float
        Pixels of the network for one of the micrograph, before magnification is changed.
    size : int
        Edge of a window as the network sees it [px].
    augmentation : Augmentation
        How views differ.
    rng : Generator
        Random numbers.

    Yields
    ------
    float32 array of shape (size, size), and float32 array of shape (size / 2, size / 2, channels):
    truth at the resolution of the decoder's last level. Micrographs smaller than a window are continued by reflection.
    """
    zooms = augmentation.zoom ** rng.uniform(-1, 1, n)
    widest = int(np.ceil(size / (factor * zooms.min()))) if n else 0
    pad = [(0, max(0, widest - edge)) for edge in grey.shape]
    height, width = (edge + extra for edge, (_, extra) in zip(grey.shape, pad, strict=True))
    maps = [truth[..., channel] for channel in range(truth.shape[-1])]
    pictures = [as_picture(np.pad(image, pad, mode="symmetric")) for image in (grey, *maps)]
    known = {
        channel: as_picture(np.pad(m != IGNORED, pad, mode="symmetric"))
        for channel, m in enumerate(maps)
        if (m == IGNORED).any()
    }
    half = (size // 2, size // 2)
    for turn, zoom in zip(rng.permutation(8)[np.arange(n) % 8], zooms, strict=True):
        edge = size / (factor * zoom)
        top, left = (rng.uniform(0, max(extent - edge, 0)) for extent in (height, width))
        box = (top, left, min(top + edge, height), min(left + edge, width))
        window = _turn(take(pictures[0], (size, size), box), turn)
        target = _turn(np.stack([take(picture, half, box) for picture in pictures[1:]], axis=-1), turn)
        for channel, picture in known.items():
            target[_turn(take(picture, half, box), turn) < 0.999, channel] = IGNORED
        window, target = _draw_marks(window, target, augmentation, rng)
        yield change_grey(window, augmentation, rng), target


def change_grey(window: np.ndarray, augmentation: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, contrast, sharpness and noise as another exposure would; invert as another detector.

    Parameters
    ----------
    window : float array of shape (height, width), in [-1, 1]
        Grey levels.
    augmentation : Augmentation
        By how much.
    rng : Generator
        Random numbers.

    Returns
    -------
    float32 array of the same shape, in [-1, 1]
    """
    unit = ((window + 1) / 2) ** np.exp(rng.normal(0, augmentation.gamma))
    grey = 2 * unit - 1
    if augmentation.contrast < 1:
        share = rng.uniform(augmentation.contrast, 1)
        grey = share * grey + rng.uniform(share - 1, 1 - share)
    if rng.random() < augmentation.inversion:
        grey = -grey
    if augmentation.blur:
        strength = rng.uniform(-1, 1)
        blurred = ndimage.gaussian_filter(grey, abs(strength) * augmentation.blur)
        grey = blurred if strength > 0 else 2 * grey - blurred
    noise = rng.standard_normal(window.shape, np.float32) * np.float32(rng.uniform(0, augmentation.noise))
    return np.clip(grey + noise, -1, 1).astype(np.float32)


def _turn(window: np.ndarray, turn: int) -> np.ndarray:
    """Apply one of the eight symmetries of the square."""
    turned = np.rot90(window, turn % 4)
    return turned[:, ::-1] if turn >= 4 else turned


def _draw_marks(
    window: np.ndarray, target: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a letter or a scale bar; of what it hides nothing is learned where there was a particle."""
    if rng.random() >= augmentation.marks:
        return window, target
    edge = len(window)
    text = f"{rng.choice([1, 2, 5]) * 10 ** rng.integers(3)} nm"
    marked = camera.mark(window, text, edge * rng.uniform(0.1, 0.5), int(edge * rng.uniform(0.03, 0.12)), rng)
    hidden = resize((marked != window).astype(np.float32), target.shape[:2]) > 0
    target = np.where(hidden[..., None] & (target[..., :1] != 0), np.float32(IGNORED), target)
    return marked, target
