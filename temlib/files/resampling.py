"""Pictures of another size."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["Box", "as_picture", "resize", "take"]

Box = tuple[float, float, float, float]
"""Top, left, bottom and right of a part of a picture, in pixels, fractions allowed."""


def resize(image: np.ndarray, shape: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """Resize by averaging with a triangle as wide as a pixel of the coarser grid: nothing is aliased.

    Parameters
    ----------
    image : float array of shape (height, width) or (height, width, n)
        What to resize.
    shape : (height, width)
        The new shape.
    box : (top, left, bottom, right), optional
        The part to take, in pixels, fractions allowed; by default all of it.

    Returns
    -------
    float32 array of shape ``shape``, or (*shape, n)
    """
    if box is None and image.shape[:2] == tuple(shape):
        return image.astype(np.float32, copy=False)
    if image.ndim == 2:
        return take(as_picture(image), shape, box)
    maps = [take(as_picture(image[..., n]), shape, box) for n in range(image.shape[-1])]
    return maps[0][..., None] if len(maps) == 1 else np.moveaxis(np.stack(maps), 0, -1)  # each map in one piece


def as_picture(image: np.ndarray) -> Image.Image:
    """Give an array as Pillow's picture of floats."""
    return Image.fromarray(np.ascontiguousarray(image, np.float32))


def take(picture: Image.Image, shape: tuple[int, int], box: Box | None) -> np.ndarray:
    """Resize a part of a picture of floats, see :func:`resize`."""
    across = box and (box[1], box[0], box[3], box[2])  # Pillow counts from the left first
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, across))
