"""Drift: how far the stage has moved the image, from what lies around the particles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import fft, ndimage
from skimage.registration import phase_cross_correlation

__all__ = ["Drift"]

_FINE, _COARSE = 2, 8  # px; between these sizes lies the texture by which frames are registered
_AROUND = 3  # px around a particle that are not looked at: fringes
_FRACTION = 20  # of a pixel
_FEWEST_SIGMA = 6  # of the correlation, by which its summit stands out where there is something to register
_LONGEST, _FARTHEST = 10, 0.1  # frames, and share of the edge, until another frame is the reference


@dataclass
class Drift:
    """Follow the drift from frame to frame.

    The particles, which move on their own, are blanked; what is left of each frame, between 2 and 8 pixels in size,
    is registered to an earlier frame by cross-correlation, to a twentieth of a pixel
    (:func:`skimage.registration.phase_cross_correlation`; Guizar-Sicairos et al., Opt. Lett. 33 (2008) 156). Frames
    without texture keep the drift of the frame before.

    Attributes
    ----------
    moved : float array of shape (2,)
        By how much the image has moved along y and x since the first frame [px].
    reference : int
        The frame to which the next is registered; -1 before the first.
    """

    moved: np.ndarray = field(default_factory=lambda: np.zeros(2))
    reference: int = -1
    _at: np.ndarray = field(default_factory=lambda: np.zeros(2))
    _spectrum: np.ndarray | None = None

    def add(self, frame: int, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Register the next frame; give :attr:`moved`."""
        texture = _texture(image, labels)
        if texture is None:
            return self.moved
        spectrum = fft.fft2(texture)
        if self._spectrum is not None:
            surface = fft.ifft2(spectrum * self._spectrum.conj()).real
            if surface.max() > _FEWEST_SIGMA * surface.std():
                given = {"space": "fourier", "upsample_factor": _FRACTION, "normalization": None}
                shift, _, _ = phase_cross_correlation(spectrum, self._spectrum, **given)
                self.moved = self._at + shift
        far = np.abs(self.moved - self._at) > _FARTHEST * np.array(image.shape)
        if self._spectrum is None or frame - self.reference >= _LONGEST or far.any():
            self.refer_to(frame, self.moved, image, labels)
        return self.moved

    def refer_to(self, frame: int, at: np.ndarray, image: np.ndarray, labels: np.ndarray) -> None:
        """Register what follows to a frame, whose drift is known."""
        texture = _texture(image, labels)
        self._spectrum = None if texture is None else fft.fft2(texture)
        self.reference, self._at = frame, np.array(at, float)

    def to_dict(self) -> dict[str, object]:
        """Give what JSON can hold; the reference itself is read again."""
        return {"moved": self.moved.tolist(), "reference": self.reference, "at": self._at.tolist()}

    @classmethod
    def from_dict(cls, kept: dict[str, Any], reference: tuple[np.ndarray, np.ndarray] | None) -> Drift:
        """Make it again of what :meth:`to_dict` gave, and the frame of reference with its labels."""
        drift = cls(np.array(kept["moved"]), kept["reference"])
        if reference is not None:
            drift.refer_to(kept["reference"], kept["at"], *reference)
        return drift


def _texture(image: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Give what lies around the particles, in a window that fades towards the edges; None of an empty frame."""
    image = np.asarray(image, np.float32)
    seen = np.isfinite(image)
    if not seen.any() or image[seen].min() == image[seen].max():
        return None
    keep = ~ndimage.binary_dilation(labels > 0, iterations=_AROUND) & seen
    if not keep.any():
        return None
    level = image[keep].mean()
    weight = ndimage.gaussian_filter(keep.astype(np.float32), _COARSE)
    broad = ndimage.gaussian_filter(np.where(keep, image - level, 0), _COARSE) / np.maximum(weight, 1e-3)
    fine = ndimage.gaussian_filter(np.where(keep, image - level - broad, 0), _FINE)
    return fine * np.hanning(image.shape[0])[:, None].astype(np.float32) * np.hanning(image.shape[1]).astype(np.float32)
