"""Labels without deep learning: scribbles, the pixel classifier trained on them, Otsu's threshold.

A scribble image has the shape of its micrograph and says what a person marked: 0 nothing,
1 background, 2 particle (:data:`UNMARKED`, :data:`BACKGROUND`, :data:`PARTICLE`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.draw import line
from skimage.feature import multiscale_basic_features
from skimage.filters import threshold_otsu

from temlib.micrographs import as_array, normalise, with_axes_of

__all__ = [
    "BACKGROUND",
    "PARTICLE",
    "UNMARKED",
    "PixelClassifier",
    "annotator_scribbles",
    "otsu_mask",
    "pixel_features",
]

UNMARKED, BACKGROUND, PARTICLE = 0, 1, 2


def pixel_features(image: Any) -> np.ndarray:
    """Describe each pixel by its surroundings at five scales, from 1 to 16 pixels.

    Grey level, gradient and the eigenvalues of the Hessian after Gaussian smoothing
    (``skimage.feature.multiscale_basic_features``), of the normalised image.

    Returns
    -------
    float32 array of shape (height, width, 20)
    """
    return multiscale_basic_features(normalise(image), sigma_min=1, sigma_max=16).astype(np.float32)


class PixelClassifier:
    """Label micrographs by a random forest on pixel features, trained on scribbles.

    The classical way to machine-learning labels, as in the trainable segmentation of ImageJ or
    ParticleSpy (Bell et al., J. Microsc. 2022, DOI 10.1111/jmi.13110).

    Parameters
    ----------
    seed : int
        Same seed and scribbles, same labels.
    n_trees : int
        Trees of the forest.
    """

    def __init__(self, seed: int = 0, n_trees: int = 40) -> None:
        from sklearn.ensemble import RandomForestClassifier

        self._forest = RandomForestClassifier(
            n_trees, max_depth=12, min_samples_leaf=5, class_weight="balanced", random_state=seed, n_jobs=-1
        )

    def fit(self, images: Sequence[Any], scribbles: Sequence[np.ndarray]) -> PixelClassifier:
        """Learn from the marked pixels of some micrographs.

        Parameters
        ----------
        images : sequence of signals or arrays of shape (height, width)
            Of any sizes.
        scribbles : sequence of arrays of the same shapes
            0 unmarked, 1 background, 2 particle.

        Raises
        ------
        ValueError
            When a shape differs from its image's, or one of the two classes is not marked.
        """
        features, classes = [], []
        for image, marks in zip(images, scribbles, strict=True):
            if as_array(image).shape != marks.shape:
                raise ValueError(
                    f"scribbles of shape {marks.shape} do not fit an image of shape {as_array(image).shape}"
                )
            marked = marks != UNMARKED
            features.append(pixel_features(image)[marked])
            classes.append(marks[marked])
        missing = {BACKGROUND, PARTICLE} - set(np.concatenate(classes).tolist())
        if missing:
            raise ValueError("the scribbles must mark both background (1) and particle (2)")
        with warnings.catch_warnings():  # scikit-learn's threads may leave the filters empty behind them
            self._forest.fit(np.concatenate(features), np.concatenate(classes))
        return self

    def probability(self, image: Any) -> np.ndarray:
        """Give each pixel's probability of belonging to a particle; float32, (height, width)."""
        features = pixel_features(image)
        particle = list(self._forest.classes_).index(PARTICLE)
        with warnings.catch_warnings():
            probability = self._forest.predict_proba(features.reshape(-1, features.shape[-1]))[:, particle]
        return probability.reshape(features.shape[:2]).astype(np.float32)

    def __call__(self, image: Any) -> Any:
        """Give the machine-learning label: bool, array for array and signal for signal."""
        return with_axes_of(image, self.probability(image) > 0.5, "machine-learning label")


def annotator_scribbles(labels: Any, seed: int | np.random.SeedSequence = 0, strokes: int = 5) -> np.ndarray:
    """Scribble as an annotator would: a stand-in that sees the hand annotation.

    Draws straight strokes, 3 px wide, that keep 2 px away from every boundary: up to ``strokes``
    inside as many particles, and as many on the background.

    Parameters
    ----------
    labels : signal or int array of shape (height, width)
        The hand annotation: 0 is background, 1..n the particles.
    seed : int or SeedSequence
        Same seed, same strokes.
    strokes : int
        Strokes for each of the two classes.

    Returns
    -------
    uint8 array of shape (height, width): 0 unmarked, 1 background, 2 particle
    """
    labels = as_array(labels)
    rng = np.random.default_rng(seed)
    marks = np.full(labels.shape, UNMARKED, np.uint8)
    numbers = np.unique(labels[labels > 0])
    for number in rng.permutation(numbers)[:strokes]:
        _stroke(marks, labels == number, PARTICLE, rng)
    for _ in range(strokes):
        _stroke(marks, labels == 0, BACKGROUND, rng)
    return marks


def otsu_mask(image: Any, smoothing_px: float = 2.0) -> Any:
    """Segment dark particles by Otsu's threshold after Gaussian smoothing: the plain baseline.

    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62.

    Returns
    -------
    bool, array for array and signal for signal
    """
    smooth = ndimage.gaussian_filter(normalise(image), smoothing_px)
    return with_axes_of(image, smooth < threshold_otsu(smooth), "Otsu")


def _stroke(marks: np.ndarray, region: np.ndarray, value: int, rng: np.random.Generator, reach: int = 40) -> None:
    """Draw one stroke inside a region, between two of its points at most ``reach`` pixels apart."""
    interior = ndimage.binary_erosion(region, iterations=3)
    points = np.argwhere(interior)
    if len(points) == 0:
        return
    start = points[rng.integers(len(points))]
    near = points[np.abs(points - start).max(1) <= reach]
    end = near[rng.integers(len(near))]
    pen = np.zeros(marks.shape, bool)
    pen[line(*start, *end)] = True
    marks[ndimage.binary_dilation(pen & interior)] = value
