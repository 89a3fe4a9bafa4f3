"""Whatever is given: a mask of its shape with its axes, or one line on why not; and what never matters."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import temlib
from temlib.files.grey_levels import normalise
from temlib.files.micrographs import micrograph, with_axes_of
from temlib.particles.scores import iou
from tests.conftest import disc

pytestmark = pytest.mark.filterwarnings("ignore:.*expect an IoU of")
SHAPE = (96, 128)


@pytest.fixture(scope="module")
def segmenter():
    return temlib.load_segmenter()


@pytest.fixture(scope="module")
def image():
    """A micrograph of three dark particles, in counts."""
    truth = disc(SHAPE, (30, 30), 14) | disc(SHAPE, (60, 90), 18) | disc(SHAPE, (78, 30), 9)
    return np.random.default_rng(0).poisson(np.where(truth, 120, 300)).astype(np.uint16), truth


def spoilt(image, how):
    image = image.astype(np.float32)
    rng = np.random.default_rng(1)
    if how in ("nan", "inf", "-inf"):
        image[rng.random(image.shape) < 0.02] = float(how)
    elif how == "dead rows":
        image[[10, 11, 50]] = 0
    elif how == "nan rows":
        image[40:44] = np.nan
    elif how == "saturated":
        image = np.minimum(image, 290)
    elif how == "hot pixels":
        image[rng.random(image.shape) < 0.002] = 65535
    elif how == "negative":
        image = image - 1000
    return image


@pytest.mark.parametrize(
    "how", ["nan", "inf", "-inf", "dead rows", "nan rows", "saturated", "hot pixels", "negative", "as it is"]
)
def test_what_a_camera_does_wrong_costs_little(segmenter, image, how):
    mask = segmenter(spoilt(image[0], how), scale=1.0)
    assert mask.shape == SHAPE
    assert mask.dtype == bool
    assert iou(image[1], mask) > 0.75


@pytest.mark.parametrize("kind", [">u2", "<u2", ">i4", "i8", "u4", ">f4", "f8", "f2", ">f8"])
def test_bytes_and_width_of_numbers_do_not_matter(segmenter, image, kind):
    assert np.array_equal(segmenter(image[0].astype(kind), scale=1.0), segmenter(image[0], scale=1.0))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((50, 60)),
        np.full((50, 60), 1e300),
        np.eye(64, dtype=bool),
        np.array([[1.0]]),
        np.arange(5000.0)[None],
        np.arange(5000.0)[:, None],
        np.random.default_rng(0).choice([-1.7e308, 1.7e308], (40, 40)),
        np.asfortranarray(np.random.default_rng(0).normal(size=(40, 50))),
        np.random.default_rng(0).normal(size=(80, 100))[::2, ::-2],
    ],
    ids=["constant", "huge constant", "bool", "1x1", "1x5000", "5000x1", "huge", "fortran", "strided"],
)
@pytest.mark.filterwarnings("error:.*(overflow|invalid|divide)", "ignore:this image. unlike:UserWarning")
def test_arrays_of_any_kind_have_a_mask_of_their_shape(segmenter, array):
    mask = segmenter(array)
    assert mask.shape == array.shape
    assert mask.dtype == bool


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((20, 30), np.nan), "no finite pixel"),
        (np.full((20, 30), np.inf), "no finite pixel"),
        (np.zeros((20, 30), np.complex64), "complex numbers; pass their modulus"),
        (np.zeros((0, 30)), "two dimensions"),
        (np.zeros(30), "two dimensions"),
        (np.zeros((2, 3, 4, 5)), "dimensions"),
        (np.array([["a", "b"]]), "holds numbers"),
        (np.array([[None, 1]]), "holds numbers"),
    ],
    ids=["nan", "inf", "complex", "empty", "1d", "4d", "text", "objects"],
)
def test_what_is_no_image_is_refused_in_one_line(segmenter, array, reason):
    with pytest.raises(temlib.MicrographError, match=reason) as caught:
        segmenter(array)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def mask(segmenter, image):
    return segmenter(image[0], scale=1.0)


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-3, 1e6), st.floats(-1e6, 1e6))
def test_the_mask_forgets_gain_and_offset(segmenter, image, mask, gain, offset):
    changed = segmenter(gain * image[0].astype(float) + offset, scale=1.0)
    assert np.mean(changed != mask) < 1e-4


@settings(max_examples=6, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.01, 100), st.floats(0.01, 100))
def test_shape_and_axes_are_kept(segmenter, height, width, pixel_height, pixel_width):
    signal = micrograph(np.random.default_rng(height).normal(size=(height, width)), (pixel_height, pixel_width))
    for result in (segmenter(signal, scale=1.0), segmenter.probability(signal, scale=1.0)):
        assert result.data.shape == (height, width)
        assert temlib.pixel_size_of(result) == pytest.approx((pixel_height, pixel_width))


def test_two_segmentations_at_once_are_those_one_after_the_other(image):
    segmenter = temlib.load_segmenter()  # its network is not started yet: the threads race for it
    images = [np.roll(image[0], 7 * i, axis=1) for i in range(6)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda each: segmenter.maps(each, scale=1.0), images))
    for maps, each in zip(together, images, strict=True):
        np.testing.assert_array_equal(maps, segmenter.maps(each, scale=1.0))


@given(st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_measurement_does_not_depend_on_the_order_of_labels(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((60, 80), np.int32)
    for number in range(1, 7):
        labels[disc(labels.shape, rng.integers(0, (60, 80)), rng.integers(3, 10))] = number
    image = rng.normal(100, 5, labels.shape)
    order = np.concatenate([[0], rng.permutation(6) + 1])
    first, second = (
        temlib.measure_particles(each, image, pixel_size_nm=0.5).set_index("particle")
        for each in (labels, order[labels])
    )
    pd.testing.assert_frame_equal(second.loc[order[first.index]].reset_index(drop=True), first.reset_index(drop=True))


@given(arrays(st.sampled_from([np.uint8, np.float32]), array_shapes(min_dims=2, max_dims=2, max_side=12)))
@settings(max_examples=50, deadline=None)
def test_normalising_leaves_what_it_is_given_as_it_is(array):
    before = array.copy()
    if np.isfinite(array).any():
        normalise(array)
    assert np.array_equal(array, before, equal_nan=array.dtype.kind == "f")


@given(array_shapes(min_dims=2, max_dims=2, max_side=9), st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_masks_have_the_axes_of_their_image(shape, size):
    signal = micrograph(np.zeros(shape), size)
    mask = with_axes_of(signal, np.ones(shape, bool))
    assert temlib.pixel_size_of(mask) == temlib.pixel_size_of(signal)
    assert mask.axes_manager.signal_shape == signal.axes_manager.signal_shape
