import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction

from temlib.files.micrographs import micrograph, pixel_size_of
from temlib.network.augmentation import truth_maps
from temlib.particles.scores import particle_f1
from temlib.particles.separation import hills, relative_distance, separate_particles
from tests.conftest import disc


def test_touching_discs_are_told_apart():
    shape = (120, 200)
    labels = np.zeros(shape, int)
    for number, (y, x, r) in enumerate([(40, 40, 20), (40, 79, 20), (75, 60, 20), (90, 150, 15)], start=1):
        labels[disc(shape, (y, x), r) & (labels == 0)] = number
    found = separate_particles(truth_maps(labels))
    assert found.dtype == np.int32
    assert found.max() == 4
    assert particle_f1(found, labels) == 1
    np.testing.assert_array_equal(found > 0, labels > 0)


def test_rods_lying_side_by_side_are_told_apart():
    labels = np.zeros((100, 100), int)
    for i in range(4):
        labels[10 + 14 * i : 24 + 14 * i, 10:90] = i + 1
    assert particle_f1(separate_particles(truth_maps(labels)), labels) == 1


def test_overlapping_discs_are_told_apart_where_the_network_says_nothing():
    mask = disc((80, 120), (40, 40), 22) | disc((80, 120), (40, 78), 22)
    for nothing in (0, 0.5, 1):
        found = separate_particles(np.stack([mask, np.full(mask.shape, nothing)], axis=-1).astype(np.float32))
        assert found.max() == 2
        assert found[40, 40] != found[40, 78]


def test_a_mask_is_enough_and_keeps_its_axes():
    mask = disc((80, 120), (40, 40), 22) | disc((80, 120), (40, 78), 22)
    found = separate_particles(micrograph(mask.astype(np.uint8), 0.5))
    assert pixel_size_of(found) == (0.5, 0.5)
    np.testing.assert_array_equal(found.data, separate_particles(mask))
    assert found.data.max() == 2


def test_small_particles_are_left_out_in_nm_where_the_pixel_size_is_known():
    mask = disc((80, 120), (40, 30), 20) | disc((80, 120), (40, 90), 8)
    assert separate_particles(mask, smallest=15).max() == 2
    assert separate_particles(mask, smallest=17).max() == 1
    assert separate_particles(mask, smallest=7, pixel_size_nm=0.5).max() == 2
    assert separate_particles(micrograph(mask.astype(np.uint8), 0.5), smallest=9).data.max() == 1
    assert separate_particles(mask, smallest=1000).max() == 0


def test_specks_are_left_out_only_where_asked_for():
    mask = disc((80, 120), (40, 30), 20) | disc((80, 120), (40, 90), 15) | disc((80, 120), (10, 110), 3)
    assert separate_particles(mask).max() == 3
    assert separate_particles(mask, specks=0.1).max() == 3
    assert separate_particles(mask, specks=0.25).max() == 2
    assert (separate_particles(mask, specks=0.25)[disc(mask.shape, (10, 110), 3)] == 0).all()


def test_relative_distance_is_one_in_the_middle_of_each_part():
    mask = disc((80, 120), (40, 30), 20) | disc((80, 120), (40, 90), 10)
    mask[0, :5] = True
    distance = relative_distance(mask)
    assert distance.shape == mask.shape
    assert distance[40, 30] == distance[40, 90] == distance[0, 0] == 1  # the frame is no edge
    np.testing.assert_array_equal(distance > 0, mask)
    assert distance.max() == 1
    assert (relative_distance(np.ones((5, 5), bool)) == 1).all()


def test_one_particle_with_a_ragged_distance_stays_one():
    labels = disc((100, 100), (50, 50), 30).astype(int)
    labels[0, 0] = 2
    maps = truth_maps(labels)
    maps[..., 1] = np.clip(maps[..., 1] + np.random.default_rng(0).uniform(-0.06, 0.06, labels.shape), 0, 1)
    assert separate_particles(maps).max() == 2


def test_without_a_distance_each_connected_part_is_a_particle():
    mask = disc((60, 60), (20, 20), 10) | disc((60, 60), (45, 45), 8)
    maps = np.stack([mask, np.zeros_like(mask)], axis=-1).astype(np.float32)
    assert separate_particles(maps).max() == 2
    assert not separate_particles(0 * maps).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_numbers_run_from_one_and_cover_the_mask(seed):
    rng = np.random.default_rng(seed)
    maps = rng.random((rng.integers(1, 40), rng.integers(1, 40), 2)).astype(np.float32)
    found = separate_particles(maps)
    np.testing.assert_array_equal(found > 0, maps[..., 0] > 0.5)
    assert set(np.unique(found)) - {0} == set(range(1, found.max() + 1))


@pytest.mark.parametrize(
    ("found", "f1"), [([1, 1, 2, 2, 0], 1), ([3, 3, 0, 0, 0], 2 / 3), ([1, 1, 1, 1, 0], 0), ([0] * 5, 0)]
)
def test_f1_counts_pairs_that_overlap_by_more_than_half(found, f1):
    assert particle_f1(np.array([found]), np.array([[7, 7, 4, 4, 0]])) == pytest.approx(f1)
    assert particle_f1(np.zeros((1, 5), int), np.zeros((1, 5), int)) == 1
    with pytest.raises(ValueError, match="cannot be scored"):
        particle_f1(np.zeros((2, 2), int), np.zeros((1, 5), int))


def _shape(kind: str, angle: float, size: float) -> np.ndarray:
    """Draw one solid, or hollow, particle at an angle; ``size`` is half of its length."""
    y, x = np.mgrid[:200, :200] - 99.5
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    r = np.hypot(u, v)
    return {
        "rod": (abs(u) <= size) & (abs(v) <= size / 6),
        "needle": (abs(u) <= size) & (abs(v) <= size / 12 + 1),
        "ellipse": (u / size) ** 2 + (v / (0.45 * size)) ** 2 <= 1,
        "square": (abs(u) <= size / 1.5) & (abs(v) <= size / 1.5),
        "triangle": (v >= -size / 2) & (v <= size - 1.7 * abs(u)),
        "hexagon": np.max([abs(u * np.cos(t) + v * np.sin(t)) for t in np.pi / 3 * np.arange(3)], axis=0) <= size / 1.2,
        "ring": (r <= size) & (r > size / 2),
        "half moon": (r <= size) & (u >= 0),
        "crescent": (r <= size) & (np.hypot(u + size / 2, v) > size),
    }[kind]


SHAPES = ("rod", "needle", "ellipse", "square", "triangle", "hexagon", "ring", "half moon", "crescent")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SHAPES), st.floats(0, 2 * np.pi), st.floats(6, 90))
def test_one_particle_of_any_shape_angle_and_size_is_one(kind, angle, size):
    mask = _shape(kind, angle, size)
    assert separate_particles(mask).max() == label(mask).max()  # a thin tip may be drawn in dots
    assert separate_particles(truth_maps(mask.astype(int))).max() == label(mask).max()


@given(st.sampled_from([(40, 15, 0.1), (40, 12, 0.05), (60, 12, 0.05), (30, 10, 0.05)]), st.floats(0, 2 * np.pi))
def test_a_small_particle_that_touches_a_large_one_is_its_own(pair, angle):
    large, small, overlap = pair
    apart = (1 - overlap) * (large + small)
    middle = (100 + apart * np.sin(angle), 100 + apart * np.cos(angle))
    discs = disc((200, 200), (100, 100), large), disc((200, 200), middle, small)
    found = separate_particles(discs[0] | discs[1])
    assert found.max() == 2
    assert particle_f1(found, np.where(discs[0], 1, 2 * discs[1])) == 1


@given(st.integers(0, 2**32))
def test_hills_are_joined_from_the_highest_pass_down(seed):
    """As many stay apart as markers under a reconstruction: (1 - depth) height is no longer in the way of any."""
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(60, 60)), 2.5) > 0
    found = hills(mask)
    height = ndimage.distance_transform_edt(mask)
    for depth in (0.1, 0.3):
        fall = np.maximum(depth * height, 1)
        above = reconstruction(np.maximum(height - fall, 0), height)
        markers = local_maxima(np.where(mask, above, -1)) & mask
        assert found.apart(depth).max() == label(markers).max()


@given(st.integers(2, 5), st.floats(1.5, 1.9), st.floats(0, np.pi), st.floats(14, 25))
def test_discs_in_a_chain_are_as_many_particles(number, spacing, angle, radius):
    """At 1.5 radii the neck between two discs is 0.66 of a radius: the height falls by 0.34."""
    steps = (np.arange(number) - (number - 1) / 2) * spacing * radius
    discs = [disc((240, 240), (120 + s * np.sin(angle), 120 + s * np.cos(angle)), radius) for s in steps]
    assert separate_particles(np.any(discs, axis=0)).max() == number


@given(st.floats(0.1, 0.9), st.floats(0, np.pi), st.floats(20, 40))
def test_a_valley_shallower_than_the_depth_splits_nothing(spacing, angle, radius):
    """At 0.9 radii the neck is 0.89 of a radius: the height falls by 0.11."""
    ends = [
        (100 + s * spacing * radius * np.sin(angle), 100 + s * spacing * radius * np.cos(angle)) for s in (-0.5, 0.5)
    ]
    mask = disc((200, 200), ends[0], radius) | disc((200, 200), ends[1], radius)
    assert separate_particles(mask).max() == 1
