import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temlib import datasets, pixel_classifier, pixel_size_of
from temlib.files.micrographs import micrograph
from temlib.particles.scores import iou
from temlib.pixel_classifier import (
    BACKGROUND,
    PARTICLE,
    UNMARKED,
    PixelClassifier,
    annotator_scribbles,
    annotator_strokes,
    otsu_mask,
)
from tests.conftest import disc


@pytest.fixture(scope="module")
def two_discs():
    truth = np.zeros((120, 140), np.int32)
    truth[disc(truth.shape, (40, 40), 18)] = 1
    truth[disc(truth.shape, (80, 95), 25)] = 2
    return truth


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_strokes_never_cross_an_outline(seed, strokes):
    truth = np.zeros((90, 90), np.int32)
    truth[disc(truth.shape, (30, 30), 18)] = 1
    truth[disc(truth.shape, (62, 60), 20)] = 2
    marks = annotator_scribbles(truth, seed, strokes)
    assert np.all(truth[marks == PARTICLE] > 0)
    assert np.all(truth[marks == BACKGROUND] == 0)
    assert np.array_equal(marks, annotator_scribbles(truth, seed, strokes))


def test_well_under_one_percent_of_the_pixels_are_marked():
    for m in datasets.load("simulated", ["simulated_0000", "simulated_0001"]):
        assert 0 < np.mean(annotator_scribbles(m.labels) != UNMARKED) < 0.005


def test_nothing_is_marked_where_nothing_fits():
    assert set(np.unique(annotator_scribbles(np.zeros((60, 60), int)))) == {UNMARKED, BACKGROUND}


@pytest.mark.parametrize("name", pixel_classifier.CLASSIFIERS)
def test_classifier_labels_micrographs_nobody_scribbled_on(dark_discs, name):
    images, masks = dark_discs
    scribbles = [annotator_scribbles(mask.astype(int), i) for i, mask in enumerate(masks[:2])]
    classifier = PixelClassifier(seed=1, classifier=name).fit(images[:2], scribbles)
    for image, mask in zip(images[2:], masks[2:]):
        label = classifier(image)
        assert iou(label, mask) > 0.85
        assert label.data.dtype == bool
        assert pixel_size_of(label) == pixel_size_of(image)
    assert isinstance(classifier(images[2].data), np.ndarray)


def test_the_quadratic_discriminant_is_that_of_its_formula():
    """Two Gaussians with known means and the same covariance: their likelihood ratio is a sigmoid."""
    rng = np.random.default_rng(0)
    means = np.array([[-1.0] * 20, [1.0] * 20]) / 4
    classes = np.repeat([BACKGROUND, PARTICLE], 40_000)
    features = (means[classes - 1] + rng.normal(size=(80_000, 20))).astype(np.float32)
    classifier = PixelClassifier(classifier="quadratic").fit_features(features, classes)
    found = classifier.probability_of(features[None, ::100])[0]
    exact = 1 / (1 + np.exp(-features[::100] @ (means[1] - means[0])))
    assert np.abs(found - exact).max() < 0.05  # what shrinking the covariances costs


def test_the_quadratic_discriminant_forgets_what_it_was_fitted_to_before():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(60, 20)).astype(np.float32)
    classes = np.repeat([1, 2], 30)
    again = (
        PixelClassifier(classifier="quadratic").fit_features(100 * features, classes).fit_features(features, classes)
    )
    fresh = PixelClassifier(classifier="quadratic").fit_features(features, classes)
    np.testing.assert_array_equal(again.probability_of(features[None]), fresh.probability_of(features[None]))


def test_the_quadratic_discriminant_learns_from_a_single_pixel_of_a_class():
    features = np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)
    classes = np.array([PARTICLE] + [BACKGROUND] * 29)
    features[0] += 3
    probability = PixelClassifier(classifier="quadratic").fit_features(features, classes).probability_of(features[None])
    assert probability[0, 0] > 0.9
    assert (probability[0, 1:] < 0.5).all()


def test_an_unknown_classifier_is_refused():
    with pytest.raises(ValueError, match="must be one of forest, quadratic"):
        PixelClassifier(classifier="oracle")


def test_strokes_one_by_one_are_those_of_the_scribbles(two_discs):
    marks = annotator_scribbles(two_discs, 3)
    strokes = annotator_strokes(two_discs, 3)
    assert {kind for kind, _ in strokes} == {"particle", "background"}
    for kind, points in strokes:
        (x0, y0), (x1, y1) = points.astype(int)
        value = {"particle": PARTICLE, "background": BACKGROUND}[kind]
        assert marks[y0, x0] == marks[y1, x1] == value


def test_same_seed_same_labels(dark_discs):
    images, masks = dark_discs
    scribbles = [annotator_scribbles(masks[0].astype(int), 0)]
    first, second = (PixelClassifier(seed=3, n_trees=5).fit(images[:1], scribbles) for _ in range(2))
    assert np.array_equal(first.probability(images[1]), second.probability(images[1]))


def test_probabilities_lie_in_range(dark_discs):
    images, masks = dark_discs
    classifier = PixelClassifier(n_trees=5).fit(images[:1], [annotator_scribbles(masks[0].astype(int), 0)])
    probability = classifier.probability(images[1])
    assert probability.shape == images[1].data.shape
    assert probability.min() >= 0
    assert probability.max() <= 1


def test_scribbles_that_do_not_serve_are_refused(two_discs):
    image = np.random.default_rng(0).normal(size=two_discs.shape)
    with pytest.raises(ValueError, match="do not fit"):
        PixelClassifier().fit([image], [np.ones((3, 3), np.uint8)])
    with pytest.raises(ValueError, match="both background"):
        PixelClassifier().fit([image], [np.full(two_discs.shape, PARTICLE, np.uint8)])


def test_features_describe_each_pixel():
    features = pixel_classifier.pixel_features(np.random.default_rng(0).normal(size=(40, 50)))
    assert features.shape == (40, 50, 20)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


def test_otsu_finds_dark_particles(two_discs):
    rng = np.random.default_rng(0)
    image = micrograph(200 - 90 * (two_discs > 0) + rng.normal(0, 10, two_discs.shape), 2)
    mask = otsu_mask(image)
    assert iou(mask, two_discs > 0) > 0.9
    assert pixel_size_of(mask) == (2, 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-2, 1e3), st.floats(-1e3, 1e3))
def test_otsu_forgets_gain_and_offset(seed, gain, offset):
    image = np.random.default_rng(seed).normal(size=(30, 40)) + 4 * disc((30, 40), (15, 20), 8)
    assert np.mean(otsu_mask(image) != otsu_mask(gain * image + offset)) < 0.01
