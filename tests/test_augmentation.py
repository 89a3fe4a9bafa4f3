import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temlib.files.micrographs import micrograph
from temlib.network.augmentation import (
    IGNORED,
    Augmentation,
    change_grey,
    particle_size,
    resize,
    scale_for,
    truth_maps,
    views,
)
from tests.conftest import disc

PLAIN = Augmentation(zoom=1, gamma=0, noise=0, marks=0)


def cut(grey, truth, n, augmentation=PLAIN, factor=1.0, size=64, seed=0):
    rng = np.random.default_rng(seed)
    return list(views(grey, truth, n, factor=factor, size=size, augmentation=augmentation, rng=rng))


@pytest.mark.parametrize("radius", [8, 20, 60])
def test_the_size_of_discs_is_their_diameter(radius):
    mask = disc((200, 400), (100, 90), radius) | disc((200, 400), (100, 290), radius)
    assert particle_size(mask) == pytest.approx(2 * radius + 1, rel=0.1)


def test_size_is_weighted_by_area_and_unknown_where_there_is_nothing_to_measure():
    mask = disc((300, 300), (100, 100), 60) | disc((300, 300), (250, 250), 5)
    assert particle_size(mask) == pytest.approx(120, rel=0.1)
    assert particle_size(np.zeros((5, 5), bool)) is None
    assert particle_size(np.ones((5, 5), bool)) is None


def test_wrong_pixels_do_not_change_the_size():
    mask = disc((200, 200), (100, 90), 30)
    wrong = np.random.default_rng(0).random(mask.shape) < 0.15
    assert particle_size(mask ^ wrong) == pytest.approx(particle_size(mask), rel=0.2)


def test_truth_is_a_mask_and_the_distance_in_each_particle():
    labels = np.zeros((60, 100), int)
    labels[10:31, 10:31] = 1
    labels[10:31, 31:52] = 2  # touches the first
    labels[45:50, 90:100] = 3  # cut by the frame
    maps = truth_maps(micrograph(labels, 2))
    np.testing.assert_array_equal(maps[..., 0], labels > 0)
    assert (maps[labels == 0] == 0).all()
    assert maps[20, 20, 1] == maps[20, 41, 1] == 1  # the middles
    assert maps[20, 30, 1] == maps[20, 31, 1] == pytest.approx(1 / 11)  # where they touch
    assert maps[47, 99, 1] == 1  # the frame is no edge


@pytest.mark.parametrize("mask", [np.eye(8, dtype=bool), 255 * np.eye(8, dtype=np.uint8)])
def test_a_mask_says_nothing_of_where_particles_touch(mask):
    maps = truth_maps(mask)
    np.testing.assert_array_equal(maps[..., 0], np.eye(8))
    assert (maps[..., 1] == IGNORED).all()


def test_without_particles_the_distance_is_known_to_be_0():
    assert not truth_maps(np.zeros((4, 4), bool)).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.tuples(st.integers(3, 90), st.integers(3, 90)), st.floats(0.3, 3))
def test_resizing_keeps_the_mean_and_the_range(seed, shape, scale):
    image = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
    new = resize(image, tuple(max(1, round(edge * scale)) for edge in shape))
    assert np.abs(new).max() <= 1.00001
    constant = resize(np.full(shape, 0.3, np.float32), new.shape)
    np.testing.assert_allclose(constant, 0.3, rtol=1e-5)


def test_fine_detail_is_averaged_and_not_aliased():
    stripes = np.tile([[1.0, -1.0]], (64, 32)).astype(np.float32)
    assert np.abs(resize(stripes, (16, 16))[2:-2, 2:-2]).max() < 0.05


@pytest.mark.parametrize("shape", [(64, 64), (200, 90), (30, 41)])
def test_views_turn_image_and_truth_together(shape):
    mask = np.random.default_rng(0).random((shape[0] // 8 + 1, shape[1] // 8 + 1)) < 0.5
    mask = np.kron(mask, np.ones((8, 8), bool))[: shape[0], : shape[1]]
    made = cut(np.where(mask, -1.0, 1.0).astype(np.float32), truth_maps(mask), 8)
    assert len({window.tobytes() for window, _ in made}) == 8
    for window, target in made:
        assert window.shape == (64, 64)
        assert target.shape == (32, 32, 2)
        small = resize(window, (32, 32))
        assert np.corrcoef(small.ravel(), target[..., 0].ravel())[0, 1] < -0.95


def test_a_view_magnifies_by_the_factor_and_the_zoom():
    mask = disc((400, 400), (200, 200), 40)
    truth = truth_maps(mask)
    ((_, target),) = cut(-2.0 * mask + 1, truth, 1, factor=0.5, size=192)
    assert particle_size(target[..., 0] > 0.5) == pytest.approx(80 * 0.5 / 2, rel=0.1)
    sizes = []
    for seed in range(30):
        ((_, target),) = cut(-2.0 * mask + 1, truth, 1, Augmentation(zoom=2, marks=0), 0.5, 192, seed)
        sizes.append(particle_size(target[..., 0] > 0.5))
    assert min(sizes) < 14
    assert max(sizes) > 28
    assert 9 < min(sizes) < max(sizes) < 46


def test_what_is_unknown_stays_unknown():
    mask = disc((90, 90), (40, 40), 20)
    for _, target in cut(1.0 - mask, truth_maps(mask), 4, Augmentation(marks=0), 0.7):
        assert (target[..., 1] == IGNORED).all()
        assert target[..., 0].min() >= 0


def test_inversion_turns_grey_levels_over_and_not_the_truth():
    mask = disc((64, 64), (30, 30), 15)
    for share, sign in ((0, -1), (1, 1)):
        for window, target in cut(1.0 - 2 * mask, truth_maps(mask), 4, Augmentation(1, 0, 1, 0, share, 0)):
            assert sign * np.corrcoef(resize(window, (32, 32)).ravel(), target[..., 0].ravel())[0, 1] > 0.9


def test_blur_softens_and_sharpens_about_evenly():
    grey = np.sign(np.sin(np.arange(64) / 2.5))[None].repeat(64, 0) * 0.3
    plain = np.abs(np.diff(grey)).max()
    blurred = Augmentation(noise=0, gamma=0, blur=2.0)
    steps = [np.abs(np.diff(change_grey(grey, blurred, np.random.default_rng(seed)))).max() for seed in range(60)]
    assert 15 < np.sum(np.array(steps) < 0.95 * plain) < 45
    assert 15 < np.sum(np.array(steps) > 1.05 * plain) < 45
    np.testing.assert_allclose(change_grey(grey, blurred.geometry(), np.random.default_rng(0)), grey, atol=1e-6)


def test_marks_are_no_particles_and_hide_what_lies_beneath():
    full, empty = np.ones((128, 128), bool), np.zeros((128, 128), bool)
    grey = np.zeros((128, 128), np.float32)
    grey[63:65, 63:65] = [[-1, 1], [1, -1]]  # marks are black and white, and not in the middle
    marked = Augmentation(1, 0, 1, 0, 0, marks=1)
    for (window, target), (_, hidden) in zip(
        cut(grey, truth_maps(empty), 6, marked, size=128), cut(grey, truth_maps(full), 6, marked, size=128)
    ):
        drawn = np.abs(window) > 0.2
        drawn[63:65, 63:65] = False
        assert drawn.any()
        assert not target.any()
        assert (hidden[drawn[::2, ::2], 0] == IGNORED).all()


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(3, 0.5, 0.5, 0.2, 0.5, 0.5)])
def test_same_seed_same_views_in_range(augmentation):
    rng = np.random.default_rng(0)
    grey, truth = rng.uniform(-1, 1, (80, 120)).astype(np.float32), truth_maps(rng.random((80, 120)) < 0.5)
    first, again = (cut(grey, truth, 10, augmentation, seed=4) for _ in range(2))
    for (a, s), (b, t) in zip(first, again):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(s, t)
        assert np.abs(a).max() <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60), st.floats(8, 128))
def test_any_labels_have_maps_in_range_and_a_scale_that_makes_sense(seed, height, width, size):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, (height, width)) * (rng.random((height, width)) < rng.random())
    maps = truth_maps(labels)
    assert np.array_equal(maps[..., 0] == 1, labels > 0)
    known = maps[..., 1] != IGNORED
    assert np.all((maps[known][:, 1] >= 0) & (maps[known][:, 1] <= 1))
    assert 0 < scale_for(labels > 0, size) <= max(2, 128 / min(height, width))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_changed_grey_levels_stay_in_range_and_repeat(seed, gamma, noise, contrast):
    window = np.random.default_rng(seed).uniform(-1, 1, (20, 24)).astype(np.float32)
    changes = Augmentation(gamma=gamma, noise=noise, contrast=contrast, inversion=0.5)
    changed = [change_grey(window, changes, np.random.default_rng(seed)) for _ in range(2)]
    assert np.array_equal(*changed)
    assert changed[0].shape == window.shape
    assert np.abs(changed[0]).max() <= 1
