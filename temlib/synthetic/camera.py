"""The camera: illumination, counting electrons, and what the detector makes of the counts."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import fft

from temlib.synthetic.scene import Scene

__all__ = ["FONTS", "burn_in", "detect", "expose", "illumination", "letters", "mark"]

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "STIXGeneral", "STIXGeneralBol")  # matplotlib brings them


def illumination(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Tilt and bow the illumination; float32, relative, mean near 1."""
    position = np.linspace(-0.5, 0.5, scene.size_px, dtype=np.float32)
    angle, bow = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
    y = np.float32(np.sin(angle)) * position + np.float32(bow) * (position**2 - np.float32(1 / 12))
    x = np.float32(np.cos(angle)) * position + np.float32(bow) * (position**2 - np.float32(1 / 12))
    return np.maximum(1 + np.float32(scene.illumination_gradient) * (y[:, None] + x[None, :]), np.float32(0))


def expose(scene: Scene, intensity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Count electrons: Poisson distributed, mean dose times pixel area times relative intensity.

    Where 30 electrons or more are expected, from a normal variate z as mean + z sqrt(mean) +
    (z^2 - 1) / 6, rounded (Cornish and Fisher): mean, variance and skewness are the Poisson
    distribution's, in a third of the time.

    Returns
    -------
    float32 array of whole numbers
    """
    expected = intensity * np.float32(scene.dose * scene.pixel_size_nm**2)
    normal = rng.standard_normal(expected.shape, dtype=np.float32)
    counted = np.square(normal) - 1
    counted /= 6
    normal *= np.sqrt(expected)
    counted += normal
    counted += expected
    np.rint(counted, out=counted)
    few = expected < 30
    if few.any():
        counted[few] = rng.poisson(expected[few])
    return counted


def detect(scene: Scene, electrons: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn counted electrons into the camera's counts.

    Each electron's light spreads as the modulation transfer function says, exp(-f / f0) with the
    value ``mtf_nyquist`` at the Nyquist frequency; then come gain, offset, readout noise and dead
    pixels. It saturates at ``saturation``, and below 0 there is nothing.

    Returns
    -------
    uint16 array of the same shape
    """
    counts = electrons * np.float32(scene.gain)
    if scene.mtf_nyquist < 1:
        spectrum = fft.rfft2(counts, overwrite_x=True)
        spectrum *= _mtf(counts.shape[0], scene.mtf_nyquist)
        counts = fft.irfft2(spectrum, counts.shape, overwrite_x=True)
    counts += np.float32(scene.offset)
    if scene.readout_noise:
        noise = rng.standard_normal(counts.shape, dtype=np.float32)
        noise *= np.float32(scene.readout_noise)
        counts += noise
    dead = rng.integers(0, counts.size, rng.binomial(counts.size, scene.dead_pixels))
    counts.ravel()[dead] = 0
    np.clip(np.rint(counts, out=counts), 0, int(scene.saturation), out=counts)
    return counts.astype(np.uint16)


def burn_in(scene: Scene, counts: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Draw a scale bar with its length, and a panel letter, into a copy of the micrograph.

    White or black, plain or on a box of the other colour, in corners drawn at random; one in ten
    has a strip along the lower edge as well.

    Returns
    -------
    uint16 array, and the number of rows that the strip hides
    """
    marked = counts.copy()
    size = int(len(counts) * rng.uniform(0.03, 0.09))
    strip = size if rng.random() < 0.1 else 0
    marked[len(counts) - strip :] = rng.choice([int(counts.min()), int(counts.max())])
    length_nm = _round_length(scene.edge_nm * rng.uniform(0.1, 0.3))
    text = f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"
    return mark(marked, text, length_nm / scene.pixel_size_nm, size, rng), strip


def mark(image: np.ndarray, text: str, length_px: float, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a scale bar with its text, and a panel letter, into a copy of a square image.

    Parameters
    ----------
    image : array of shape (edge, edge)
        Of any range; its least and its greatest value are black and white.
    text : str
        What stands above the bar.
    length_px : float
        Of the bar [px].
    size : int
        Height of the text [px]; the letter is once to twice as high.
    rng : Generator
        Draws letter, font, corners and colours.
    """
    marked = image.copy()
    black, white = image.min(), image.max()
    letter = str(rng.choice(["{}", "{})", "({})"])).format(rng.choice(list("abcdefghABCDEFGH")))
    font = str(rng.choice(FONTS))
    letter_size = int(rng.uniform(1, 2) * size)
    stamps = [_bar(length_px, text, size, font), letters(letter, letter_size, font)]
    for stamp, corner in zip(stamps, rng.permutation(4), strict=False):
        ink, paper = (white, black) if rng.random() < 0.5 else (black, white)
        _stamp(marked, stamp, int(corner), ink, paper if rng.random() < 0.4 else None)
    return marked


def _stamp(counts: np.ndarray, stamp: np.ndarray, corner: int, ink: float, paper: float | None) -> None:
    height, width = (min(edge, len(counts)) for edge in stamp.shape)
    gap = min(len(counts) // 40, len(counts) - max(height, width))
    top = gap if corner < 2 else len(counts) - gap - height
    left = gap if corner % 2 else len(counts) - gap - width
    area = counts[top : top + height, left : left + width]
    if paper is not None:
        area[:] = paper
    area[stamp[:height, :width]] = ink


def _bar(length_px: float, text: str, size: int, font: str) -> np.ndarray:
    """Draw a scale bar, its length above it; bool."""
    words = letters(text, size, font)
    thick = max(size // 4, 2)
    stamp = np.zeros((words.shape[0] + 2 * thick, max(words.shape[1], round(length_px))), bool)
    left = (stamp.shape[1] - words.shape[1]) // 2
    stamp[: words.shape[0], left : left + words.shape[1]] = words
    left = (stamp.shape[1] - round(length_px)) // 2
    stamp[words.shape[0] + thick :, left : left + round(length_px)] = True
    return stamp


@lru_cache(maxsize=256)
def letters(text: str, size: int, font: str) -> np.ndarray:
    """Letters of about ``size`` pixels; bool."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    face = ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"), max(size, 6))
    left, top, right, bottom = face.getbbox(text)
    picture = Image.new("L", (round(right - left) + 2, round(bottom - top) + 2))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, fill=255, font=face)
    return np.asarray(picture) > 127


@lru_cache(maxsize=8)
def _mtf(edge: int, at_nyquist: float) -> np.ndarray:
    y, x = np.fft.fftfreq(edge), np.fft.rfftfreq(edge)
    return np.exp(np.log(at_nyquist) * 2 * np.hypot(y[:, None], x[None, :])).astype(np.float32)


def _round_length(length_nm: float) -> float:
    """Give the largest of 1, 2, 5, 10, ... [nm] that is not longer."""
    decade = 10 ** np.floor(np.log10(length_nm))
    return float(decade * max(step for step in (1, 2, 5) if step * decade <= length_nm))
