"""Which particles can be seen: contrast to noise, each in its own area.

A particle's *contrast* is the mean absolute difference of relative intensity in its own pixels, between the
picture with all particles and the picture without any. Its *noise* is what would mislead an eye that
looks for something of that size there: the standard deviation, over areas of that size, of counting and
readout noise, and of the support beneath, as far as it is no even slope (over pieces of a large particle, as
its outline is seen piece by piece); and a share of the micrograph's range of grey levels that no eye tells
apart on a screen. What the detector cuts off is not seen. A particle
is seen where the contrast is several times the noise: A. Rose (J. Opt. Soc. Am. 38 (1948) 196) found 5 for a
flat ground.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from temlib.synthetic.scene import Scene

__all__ = ["contrast_to_noise"]

_PIECE_PX = 14.0  # diameter of the pieces of a large particle
_POINTS = 12  # along each edge, at which the ground is judged
_EYE = 0.005  # of the range of grey levels
_DEVIATION = 1.4826  # standard deviation over median absolute deviation, of a normal distribution


def contrast_to_noise(scene: Scene, picture: np.ndarray, empty: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """Give each particle's contrast-to-noise ratio in its own area.

    Parameters
    ----------
    scene : Scene
        Its dose, gain and readout noise say what noise is; its offset and saturation what is cut off.
    picture, empty : array of shape (height, width)
        Relative intensity, free of noise, with the particles and without.
    labels : int array of the same shape
        The particles.
    n : int
        How many particles there are.

    Returns
    -------
    float array of shape (n + 1,)
        Of label 0 (always 0), 1, 2 ...; 0 for a label that has no pixel.
    """
    ratios = np.zeros(n + 1)
    electrons = scene.dose * scene.pixel_size_nm**2
    readout = (scene.readout_noise / (scene.gain * electrons)) ** 2
    black, white = (np.float32((c - scene.offset) / (scene.gain * electrons)) for c in (0, scene.saturation))
    picture, empty = np.clip(picture, black, white), np.clip(empty, black, white)
    eye = _EYE * float(np.ptp(np.quantile(picture[::4, ::4], [0.01, 0.99])))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        own = labels[box] == label
        pixels = int(np.count_nonzero(own))
        contrast = float(np.abs(picture[box] - empty[box])[own].mean())
        counting = (float(picture[box][own].mean()) / electrons + readout) / pixels
        noise = np.sqrt(counting + _unevenness(empty, box, pixels) ** 2 + eye**2)
        ratios[label] = contrast / max(noise, 1e-12)
    return ratios


def _unevenness(empty: np.ndarray, box: tuple[slice, ...], pixels: int) -> float:
    """Give the robust standard deviation of the ground's mean in areas of a particle's size around it."""
    diameter = 2 * np.sqrt(pixels / np.pi)
    piece = min(diameter, _PIECE_PX)
    around = int(np.ceil(piece))
    window = tuple(slice(max(s.start - around, 0), s.stop + around) for s in box)
    ground = ndimage.uniform_filter(empty[window], max(round(0.886 * piece), 1))
    ground = ground[:: -(-ground.shape[0] // _POINTS), :: -(-ground.shape[1] // _POINTS)]
    flat = ground.ravel().astype(float)
    deviation = np.median(np.abs(flat - _slopes(*ground.shape) @ flat))
    return float(_DEVIATION * deviation * np.sqrt(piece / diameter))


@lru_cache
def _slopes(height: int, width: int) -> np.ndarray:
    """Give the matrix that fits a parabola in both directions to the values of a grid."""
    y, x = (grid.ravel() for grid in np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j])
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return terms @ np.linalg.pinv(terms)
