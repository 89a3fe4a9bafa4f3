"""Labels without deep learning: scribbles, the pixel classifier trained on them, Otsu's threshold.

A scribble image has the shape of its micrograph and says what a person marked: 0 nothing,
1 background, 2 particle (:data:`UNMARKED`, :data:`BACKGROUND`, :data:`PARTICLE`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.special import expit
from skimage.draw import line
from skimage.feature import multiscale_basic_features
from skimage.filters import threshold_otsu

from temlib.files.grey_levels import normalise
from temlib.files.micrographs import as_array, with_axes_of

__all__ = [
    "BACKGROUND",
    "CLASSIFIERS",
    "PARTICLE",
    "UNMARKED",
    "PixelClassifier",
    "annotator_scribbles",
    "annotator_strokes",
    "otsu_mask",
    "pixel_features",
    "scale_of",
]

UNMARKED, BACKGROUND, PARTICLE = 0, 1, 2
CLASSIFIERS = ("forest", "quadratic")
"""What :class:`PixelClassifier` can learn with."""

# Of the covariance of each class, in the quadratic discriminant: towards that of both, and towards no correlation.
_POOLED, _SHRINKAGE = 0.5, 0.5


def pixel_features(image: Any) -> np.ndarray:
    """Describe each pixel by its surroundings at five scales, from 1 to 16 pixels.

    Grey level, gradient and the eigenvalues of the Hessian after Gaussian smoothing
    (``skimage.feature.multiscale_basic_features``), of the normalised image.

    Returns
    -------
    float32 array of shape (height, width, 20)
    """
    return multiscale_basic_features(normalise(image), sigma_min=1, sigma_max=16).astype(np.float32)


def scale_of(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and standard deviation of each feature over an image, of (height, width, 20)."""
    return features.mean((0, 1)), features.std((0, 1))


class PixelClassifier:
    """Label micrographs by a classifier of pixel features that learned from scribbles.

    The classical way to machine-learning labels, as in the trainable segmentation of ImageJ or
    ParticleSpy (Bell et al., J. Microsc. 2022, DOI 10.1111/jmi.13110).

    Parameters
    ----------
    seed : int
        Same seed and scribbles, same labels.
    n_trees : int
        Trees of the forest.
    classifier : "forest" or "quadratic"
        A random forest, or a quadratic discriminant: one Gaussian for each class, which has less
        to learn and does better where there is little contrast. Both classes weigh the same.

    Raises
    ------
    ValueError
        When ``classifier`` is none of these.
    """

    def __init__(self, seed: int = 0, n_trees: int = 40, classifier: str = "forest") -> None:
        self._model = _model(classifier, seed, n_trees)

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
        features, classes, scales = [], [], []
        for image, marks in zip(images, scribbles, strict=True):
            if as_array(image).shape != marks.shape:
                raise ValueError(
                    f"scribbles of shape {marks.shape} do not fit an image of shape {as_array(image).shape}"
                )
            marked = marks != UNMARKED
            of_image = pixel_features(image)
            features.append(of_image[marked])
            classes.append(marks[marked])
            scales.append(scale_of(of_image))
        return self.fit_features(np.concatenate(features), np.concatenate(classes), scales)

    def fit_features(
        self, features: np.ndarray, classes: np.ndarray, scales: Sequence[tuple[np.ndarray, np.ndarray]] = ()
    ) -> PixelClassifier:
        """Learn from pixels whose features are known already.

        Parameters
        ----------
        features : array of shape (n, 20)
            Rows of :func:`pixel_features`.
        classes : int array of shape (n,)
            1 background, 2 particle.
        scales : sequence of (mean, standard deviation)
            Of all features of each image (:func:`scale_of`), by which the quadratic discriminant
            measures; those of the marked pixels say less, since nobody marks an outline.

        Raises
        ------
        ValueError
            When one of the two classes is missing.
        """
        if {BACKGROUND, PARTICLE} - set(classes.tolist()):
            raise ValueError("the scribbles must mark both background (1) and particle (2)")
        if isinstance(self._model, _Quadratic):
            self._model.measure_by(scales or [(features.mean(0), features.std(0))])
        with warnings.catch_warnings():  # scikit-learn's threads may leave the filters empty behind them
            self._model.fit(features, classes)
        return self

    def probability(self, image: Any) -> np.ndarray:
        """Give each pixel's probability of belonging to a particle; float32, (height, width)."""
        return self.probability_of(pixel_features(image))

    def probability_of(self, features: np.ndarray) -> np.ndarray:
        """Give the same from features of shape (height, width, 20), which do not change between two fits."""
        particle = list(self._model.classes_).index(PARTICLE)
        with warnings.catch_warnings():
            probability = self._model.predict_proba(features.reshape(-1, features.shape[-1]))[:, particle]
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
    marks = np.full(labels.shape, UNMARKED, np.uint8)
    for value, interior, start, end in _strokes(labels, seed, strokes):
        pen = np.zeros(labels.shape, bool)
        pen[line(*start, *end)] = True
        marks[ndimage.binary_dilation(pen & interior)] = value
    return marks


def annotator_strokes(
    labels: Any, seed: int | np.random.SeedSequence = 0, strokes: int = 5
) -> list[tuple[str, np.ndarray]]:
    """Give an annotator's strokes one by one, as :meth:`temlib.LabelPainter.paint` takes them.

    Those of :func:`annotator_scribbles`, but for the ones that would leave their region on the way.

    Returns
    -------
    list of (kind, points)
        ``"background"`` or ``"particle"``; start and end, (x, y) [px], in a float array of shape (2, 2)
    """
    return [
        ("particle" if value == PARTICLE else "background", np.array([start, end])[:, ::-1] + 0.5)
        for value, interior, start, end in _strokes(as_array(labels), seed, strokes)
        if interior[line(*start, *end)].all()
    ]


def otsu_mask(image: Any, smoothing_px: float = 2.0) -> Any:
    """Segment dark particles by Otsu's threshold after Gaussian smoothing: the plain baseline.

    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62.

    Returns
    -------
    bool, array for array and signal for signal
    """
    smooth = ndimage.gaussian_filter(normalise(image), smoothing_px)
    return with_axes_of(image, smooth < threshold_otsu(smooth), "Otsu")


def _model(classifier: str, seed: int, n_trees: int) -> Any:
    """Make what learns, untrained."""
    if classifier == "quadratic":
        return _Quadratic()
    if classifier != "forest":
        raise ValueError(f"classifier={classifier!r} must be one of {', '.join(CLASSIFIERS)}")
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_trees, max_depth=12, min_samples_leaf=5, class_weight="balanced", random_state=seed, n_jobs=-1
    )


class _Quadratic:
    """Quadratic discriminant, regularised: a Gaussian for each of two classes, equally probable.

    J. H. Friedman, J. Am. Stat. Assoc. 84 (1989) 165. scikit-learn's refuses a class of fewer pixels
    than features, as the first dot of a brush is, and computes in float64, which takes longer.
    """

    def measure_by(self, scales: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take the mean of some centres and spreads of features for one."""
        self._centre, self._spread = (np.mean(which, axis=0) for which in zip(*scales, strict=True))

    def fit(self, features: np.ndarray, classes: np.ndarray) -> None:
        """Keep the difference of the two log-likelihoods as one polynomial of second degree."""
        self.classes_ = np.unique(classes)
        standard = self._standardise(features).astype(np.float64)
        means = [standard[classes == value].mean(0) for value in self.classes_]
        own = [np.cov(standard[classes == value], rowvar=False, bias=True) for value in self.classes_]
        n = standard.shape[1]
        square, linear, constant = np.zeros((n, n)), np.zeros(n), 0.0
        for mean, covariance, sign in zip(means, own, (-1, 1), strict=True):
            covariance = (1 - _POOLED) * covariance + _POOLED * sum(own) / 2
            covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.eye(n)
            precision = np.linalg.inv(covariance)
            square -= sign * 0.5 * precision
            linear += sign * precision @ mean
            constant -= sign * 0.5 * (mean @ precision @ mean + np.linalg.slogdet(covariance).logabsdet)
        self._polynomial = np.float32(square), np.float32(linear), np.float32(constant)

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Give the probability of each class, (n, 2)."""
        square, linear, constant = self._polynomial
        standard = self._standardise(features)
        second = expit(np.einsum("ij,ij->i", standard @ square + linear, standard) + constant)
        return np.stack([1 - second, second], axis=1)

    def _standardise(self, features: np.ndarray) -> np.ndarray:
        return (features - self._centre) / (self._spread + np.float32(1e-6))


def _strokes(
    labels: np.ndarray, seed: int | np.random.SeedSequence, strokes: int, reach: int = 40
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield class, interior of the region, start and end (y, x), at most ``reach`` pixels apart, of each stroke."""
    rng = np.random.default_rng(seed)
    numbers = np.unique(labels[labels > 0])
    regions = [(PARTICLE, labels == number) for number in rng.permutation(numbers)[:strokes]]
    for value, region in regions + [(BACKGROUND, labels == 0)] * strokes:
        interior = ndimage.binary_erosion(region, iterations=3)
        points = np.argwhere(interior)
        if len(points) == 0:
            continue
        start = points[rng.integers(len(points))]
        near = points[np.abs(points - start).max(1) <= reach]
        yield value, interior, start, near[rng.integers(len(near))]
