"""Pictures that are no micrographs, drawn at random: nothing in them is a particle.

A network that has only seen micrographs finds particles in anything. These teach it otherwise, as far as
they go: fractal clouds and grained surfaces, courses of bricks and weaves, pavements, printed pages, and
views with a horizon and large things before it. None is, or is made after, a picture of anybody.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft, ndimage

from temlib.synthetic import camera

__all__ = ["KINDS", "no_micrograph"]

_LETTERS = np.array(list("aabcdeeefghiiijklmnnooprrsssttuvwxyz.,"))


def no_micrograph(edge: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a picture of any of the :data:`KINDS`.

    Parameters
    ----------
    edge : int
        Of the square picture [px].
    rng : Generator
        Random numbers.

    Returns
    -------
    float32 array of shape (edge, edge), in [0, 1]
    """
    picture = KINDS[str(rng.choice(list(KINDS)))](edge, rng)
    picture = picture if rng.random() < 0.5 else 1 - picture
    picture = ndimage.gaussian_filter(picture, rng.choice([0.0, 0.7, 1.5]))
    picture = picture + rng.uniform(0, 0.06) * rng.standard_normal(picture.shape)
    return np.clip(picture, 0, 1).astype(np.float32)


def _clouds(
    edge: int, rng: np.random.Generator, slope: float | None = None, stretch: float | None = None
) -> np.ndarray:
    """Noise whose amplitude falls with frequency as a power, as that of most pictures does; 0 to 1."""
    slope = rng.uniform(0.6, 2.2) if slope is None else slope
    stretch = np.exp(rng.uniform(-1, 1)) if stretch is None else stretch
    y, x = np.fft.fftfreq(edge)[:, None] * stretch, np.fft.rfftfreq(edge)[None]
    amplitude = np.hypot(np.hypot(y, x), 0.5 / edge) ** -slope
    amplitude[0, 0] = 0
    return _stretched(fft.irfft2(fft.rfft2(rng.standard_normal((edge, edge))) * amplitude, (edge, edge)))


def _stretched(picture: np.ndarray) -> np.ndarray:
    low, high = np.quantile(picture, [0.005, 0.995])
    return np.clip((picture - low) / max(high - low, 1e-9), 0, 1)


def _bent(edge: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a picture that is turned and a little bent [px]."""
    y, x = np.mgrid[:edge, :edge].astype(float)
    y, x = (each + edge * rng.uniform(0, 0.08) * (_clouds(edge, rng, 3.0, 1.0) - 0.5) for each in (y, x))
    angle = rng.uniform(0, np.pi)
    return np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y


def _courses(edge: int, rng: np.random.Generator) -> np.ndarray:
    """Bricks in courses, or stripes: joints darker than what they join."""
    (y, x), height = _bent(edge, rng), edge * np.exp(rng.uniform(np.log(0.03), np.log(0.2)))
    length, joint = height * rng.choice([1.5, 2.5, 1e6]), rng.uniform(0.06, 0.18)
    row = np.floor(y / height)
    column = np.floor(x / length + 0.5 * (row % 2))
    inside = (y / height % 1 > joint) & ((x / length + 0.5 * (row % 2)) % 1 > joint * height / length)
    tone = np.sin(12.9 * row + 78.2 * column) * 0.5 + 0.5
    return 0.3 + inside * (0.2 + 0.2 * tone) + 0.3 * (_clouds(edge, rng, 1.0) - 0.5)


def _weave(edge: int, rng: np.random.Generator) -> np.ndarray:
    """Waves, crossed by weaker ones."""
    y, x = _bent(edge, rng)
    step = edge * np.exp(rng.uniform(np.log(0.02), np.log(0.15)))
    waves = np.sin(2 * np.pi * y / step) + rng.uniform(0, 0.5) * np.sin(2 * np.pi * x / step / rng.uniform(0.5, 2))
    return _stretched(waves + rng.uniform(0, 2) * _clouds(edge, rng))


def _pavement(edge: int, rng: np.random.Generator, stones: int | None = None) -> np.ndarray:
    """Regions that fill the picture without a gap, each with its tone, its slope and its grain."""
    from scipy.spatial import KDTree

    places = rng.uniform(0, edge, (stones or int(rng.integers(20, 200)), 2))
    y, x = _bent(edge, rng)
    offset = np.array([y.mean(), x.mean()]) - edge / 2
    _, region = KDTree(places + offset).query(np.stack([y, x], axis=-1))
    tone, slopes = rng.uniform(0, 1, len(places)), rng.normal(0, 1 / edge, (2, len(places)))
    shade = tone[region] + slopes[0][region] * y + slopes[1][region] * x
    return _stretched(shade + rng.uniform(0.1, 0.8) * _clouds(edge, rng))


def _view(edge: int, rng: np.random.Generator) -> np.ndarray:
    """Few large regions below a sky, and strips that cross the picture."""
    picture = _pavement(edge, rng, stones=int(rng.integers(3, 12)))
    y, x = _bent(edge, rng)
    for _ in range(rng.integers(0, 6)):
        tilt, place, width = rng.normal(0, 0.5), rng.uniform(0.1, 0.9) * edge, edge * rng.uniform(0.01, 0.06)
        along = np.abs(x - x.mean() + tilt * (y - y.mean()) + edge / 2 - place) < width
        picture = np.where(along, rng.uniform(0, 1) + 0.1 * (picture - 0.5), picture)
    return picture


def _page(edge: int, rng: np.random.Generator) -> np.ndarray:
    """Lines of letters on paper."""
    picture, size = 0.75 + 0.2 * _clouds(edge, rng, 2.0), int(edge * rng.uniform(0.025, 0.1))
    top = int(rng.integers(0, size))
    while top + 2 * size < edge:
        words = ("".join(rng.choice(_LETTERS, rng.integers(1, 9))) for _ in range(2 * edge // size))
        line = camera.letters(" ".join(words), size, str(rng.choice(camera.FONTS)))[: edge - top, :edge]
        picture[top : top + line.shape[0], : line.shape[1]][line] = 0.1
        top += int(size * rng.uniform(1.5, 1.9))
    return picture


KINDS: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "clouds": _clouds,
    "courses": _courses,
    "weave": _weave,
    "pavement": _pavement,
    "view": _view,
    "page": _page,
}
"""What may be drawn, by name."""
