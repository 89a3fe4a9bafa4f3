"""Drift: how far the stage has moved the image, from what lies around the particles."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import fft, ndimage

__all__ = ["Drift"]

_FINE, _COARSE = 2, 8  # px; between these sizes lies the texture by which frames are registered
_BIN, _LEAST_BINNED = 2, 128  # px that count as one, in frames of so many: the texture is coarser
_AROUND = 3  # px around a particle that are not looked at: fringes
_CLEAR = 2.5  # of the texture's spread: what is beyond is a particle that was missed, which would outweigh the rest
_FEWEST_SIGMA = 6  # of the correlation, by which its summit stands out where there is something to register
_LONGEST, _FARTHEST = 10, 0.1  # frames, and share of the edge, until another frame is the reference
_CLIMBS, _CLIMB = 5, 1.0  # steps of Newton's method to the summit, and how far it may lie from the highest pixel


@dataclass
class Drift:
    """Follow the drift from frame to frame.

    The particles, which move on their own, are blanked; what is left of each frame, between 2 and 8 pixels in size,
    is registered to an earlier frame: the summit of their cross-correlation is found by Newton's method on its
    Fourier series, beyond any grid (its maximum is that of the upsampled correlation of Guizar-Sicairos et al., Opt.
    Lett. 33 (2008) 156). What is darker or brighter than texture, as a particle that was not found, is held back. Two
    pixels count as one in frames of 128 pixels and more. Frames without texture keep the drift of the frame before.

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
        spectrum = _spectrum(image, labels)
        if spectrum is None:
            return self.moved
        if self._spectrum is not None:
            shift = _summit(spectrum * self._spectrum.conj(), image.shape)
            if shift is not None:
                self.moved = self._at + shift
        far = np.abs(self.moved - self._at) > _FARTHEST * np.array(image.shape)
        if self._spectrum is None or frame - self.reference >= _LONGEST or far.any():
            self._refer_to(frame, self.moved, spectrum)
        return self.moved

    def _refer_to(self, frame: int, at: Any, spectrum: np.ndarray | None) -> None:
        """Register what follows to a frame, whose drift is known."""
        self.reference, self._at, self._spectrum = frame, np.array(at, float), spectrum

    def to_dict(self) -> dict[str, object]:
        """Give what JSON can hold; the reference itself is read again."""
        return {"moved": self.moved.tolist(), "reference": self.reference, "at": self._at.tolist()}

    @classmethod
    def from_dict(cls, kept: dict[str, Any], reference: tuple[np.ndarray, np.ndarray] | None) -> Drift:
        """Make it again of what :meth:`to_dict` gave, and the frame of reference with its labels."""
        drift = cls(np.array(kept["moved"]), kept["reference"])
        if reference is not None:
            drift._refer_to(kept["reference"], kept["at"], _spectrum(*reference))
        return drift


@dataclass(frozen=True)
class _Grid:
    """What frames of one shape share.

    Attributes
    ----------
    binned : int
        Pixels along an edge that count as one.
    size : (int, int)
        Of the Fourier series, which is quick at this size.
    window : float32 array
        It fades towards the edges.
    broad, fine : float32 arrays
        Gaussians of 8 and 2 px, as the Fourier series has them.
    waves : (float32 array, float32 array)
        Angular frequencies along y and x [1/px]; of x those from 0 on, since frames are real.
    twice : float32 array
        How often a frequency along x is in the whole series.
    """

    binned: int
    size: tuple[int, int]
    window: np.ndarray
    broad: np.ndarray
    fine: np.ndarray
    waves: tuple[np.ndarray, np.ndarray]
    twice: np.ndarray


@lru_cache(maxsize=2)
def _grid(shape: tuple[int, int]) -> _Grid:
    binned = _BIN if min(shape) >= _LEAST_BINNED else 1
    height, width = (edge // binned for edge in shape)
    size = (fft.next_fast_len(height, real=True), fft.next_fast_len(width, real=True))
    y = (2 * np.pi * fft.fftfreq(size[0])).astype(np.float32)
    x = (2 * np.pi * fft.rfftfreq(size[1])).astype(np.float32)
    broad, fine = (np.exp(-((sigma / binned) ** 2) / 2 * (y[:, None] ** 2 + x**2)) for sigma in (_COARSE, _FINE))
    twice = np.full(len(x), 2, np.float32)
    twice[0], twice[-1] = 1, (1 if size[1] % 2 == 0 else 2)
    window = np.hanning(height)[:, None] * np.hanning(width)
    return _Grid(binned, size, window.astype(np.float32), broad, fine, (y, x), twice)


def _spectrum(image: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """Give the Fourier series of what lies around the particles; None of an empty frame."""
    grid = _grid(image.shape)
    grey = np.sum([part.astype(np.float32) for part in _parts(image, grid.binned)], axis=0)
    taken = np.logical_or.reduce([part > 0 for part in _parts(labels, grid.binned)])
    keep = np.isfinite(grey) & ~ndimage.binary_dilation(taken, iterations=-(-_AROUND // grid.binned))
    if not keep.any() or np.ptp(grey[keep]) == 0:
        return None
    level = np.float32(grey[keep].mean(dtype=float))
    grey = np.where(keep, grey - level, 0)
    both = fft.rfft2(np.stack([keep.astype(np.float32), grey]), grid.size)
    weight, broad = fft.irfft2(both * grid.broad, grid.size)[:, : len(grey), : grey.shape[1]]
    texture = np.where(keep, grey - broad / np.maximum(weight, 1e-3), 0)
    texture = fft.irfft2(fft.rfft2(texture, grid.size) * grid.fine, grid.size)[: len(grey), : grey.shape[1]]
    most = _CLEAR * 1.4826 * np.median(np.abs(texture[::2, ::2]))
    return fft.rfft2(np.clip(texture, -most, most) * grid.window, grid.size)


def _parts(image: np.ndarray, binned: int) -> list[np.ndarray]:
    """Give the pixels that count as one, one of each in each array; what is left over at the end is left out."""
    height, width = (edge // binned * binned for edge in image.shape)
    return [image[y:height:binned, x:width:binned] for y in range(binned) for x in range(binned)]


def _summit(product: np.ndarray, shape: tuple[int, int]) -> np.ndarray | None:
    """Give where a correlation is largest [px], of its Fourier series; None where it does not stand out."""
    grid = _grid(shape)
    surface = fft.irfft2(product, grid.size)
    top = int(surface.argmax())
    if not surface.flat[top] > _FEWEST_SIGMA * surface.std():
        return None
    edges = np.array(grid.size)
    start = np.array(np.unravel_index(top, grid.size), float)
    start = at = start - np.where(start > edges / 2, edges, 0)
    (y, x), orders = grid.waves, np.arange(3, dtype=np.float32)[:, None]
    for _ in range(_CLIMBS):
        along_y = (1j * y) ** orders * np.exp(1j * y * np.float32(at[0]))
        along_x = (1j * x) ** orders * np.exp(1j * x * np.float32(at[1])) * grid.twice
        sums = np.einsum("yx,jx->yj", product, along_x)  # not by BLAS, whose threads wait for one another
        slopes = np.einsum("iy,yj->ij", along_y, sums).real.astype(float)  # derivatives along y (i) and x (j)
        yy, yx, xx = slopes[2, 0], slopes[1, 1], slopes[0, 2]
        bend = yy * xx - yx**2
        if not (yy < 0 < bend):
            break
        step = np.array([yx * slopes[0, 1] - xx * slopes[1, 0], yx * slopes[1, 0] - yy * slopes[0, 1]]) / bend
        at = np.clip(at + step, start - _CLIMB, start + _CLIMB)
    return at * grid.binned
