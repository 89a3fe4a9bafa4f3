"""Colours: the grey level that a coloured, inverted or palette pixel stands for, and which way is up."""

from __future__ import annotations

import numpy as np

__all__ = ["cmyk_to_grey", "invert", "luma", "orient", "palette_to_grey"]

_BT709 = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709: shares of red, green and blue in luma
_ROWS = 64


def luma(colours: np.ndarray) -> np.ndarray:
    """Give the ITU-R BT.709 luma of colours.

    Parameters
    ----------
    colours : array of shape (..., n), n at least 3
        Red, green, blue, of any real dtype; what follows, as alpha, is left out.

    Returns
    -------
    array of shape (...) and the same dtype
        Whole numbers are rounded to the nearest. Where the three are equal it is their value, exactly.
    """
    grey = np.empty(colours.shape[:-1], colours.dtype)
    rows, shown = colours.reshape(-1, *colours.shape[-2:]), grey.reshape(-1, colours.shape[-2])
    for start in range(0, len(rows), _ROWS):  # few at a time: nine times as fast in a large picture
        shown[start : start + _ROWS] = _luma(rows[start : start + _ROWS])
    return grey


def _luma(colours: np.ndarray) -> np.ndarray:
    channels = [colours[..., channel] for channel in range(3)]
    grey = np.zeros(colours.shape[:-1])
    for share, channel in zip(_BT709, channels, strict=True):
        grey += np.multiply(share, channel, dtype=np.float64)
    if colours.dtype.kind != "f":
        return np.rint(grey)
    red, green, blue = channels
    return np.where((red == green) & (green == blue), red, grey)


def cmyk_to_grey(inks: np.ndarray, largest: int) -> np.ndarray:
    """Give the luma of cyan, magenta, yellow and black ink, as screens show them without a colour profile.

    Parameters
    ----------
    inks : unsigned integer array of shape (..., n), n at least 4
        0 is no ink.
    largest : int
        Full ink: 255 or 65535.
    """
    inks = inks[..., :4].astype(np.float64)
    colours = (largest - inks[..., :3]) * (largest - inks[..., 3:]) / largest
    return luma(np.rint(colours)).astype(np.min_scalar_type(largest))


def palette_to_grey(numbers: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Give the luma of the colours that the numbers of a palette stand for.

    Parameters
    ----------
    numbers : integer array
        Of colours in the palette; those beyond its end are its last one.
    palette : array of shape (3, n)
        Red, green and blue; of the palette's dtype is the result.
    """
    return np.take(luma(palette.T), numbers, mode="clip")


def invert(levels: np.ndarray, bits: int) -> np.ndarray:
    """Turn white into black: for pictures whose 0 is white.

    Parameters
    ----------
    levels : array
        Unsigned numbers of so many bits become what is missing to the largest one, signed ones change
        between their ends, fractions change their sign.
    bits : int
        Of a level.
    """
    if levels.dtype.kind == "u":
        return (2**bits - 1 - levels.astype(np.uint64)).astype(levels.dtype)
    return ~levels if levels.dtype.kind in "bi" else -levels


def orient(images: np.ndarray, orientation: int) -> np.ndarray:
    """Turn and mirror images as the orientation tag of TIFF and EXIF says.

    Parameters
    ----------
    images : array of shape (..., height, width)
        As stored.
    orientation : int
        1 (as it is) to 8; any other number says nothing.

    Returns
    -------
    array of shape (..., height, width), or (..., width, height) from 5 on
    """
    if orientation in (5, 6, 7, 8):
        images = images.swapaxes(-2, -1)
    if orientation in (3, 4, 7, 8):
        images = images[..., ::-1, :]
    if orientation in (2, 3, 6, 7):
        images = images[..., ::-1]
    return images
