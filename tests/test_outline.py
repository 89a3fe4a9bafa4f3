import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from temlib.particles.hulls import Hulls
from temlib.particles.measurement import measure_particles


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_hulls_of_many_sets_are_those_of_each(seed, whole):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, 60, rng.integers(1, 12))
    owner = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = rng.integers(0, 9, (len(owner), 2)) if whole else rng.normal(size=(len(owner), 2)) * [1, 3]
    hulls = Hulls.of(points, owner)
    for i in range(len(sizes)):
        mine = points[owner == i]
        if np.linalg.matrix_rank(mine - mine[0]) < 2:
            continue
        scipys = ConvexHull(mine)
        assert hulls.areas[i] == pytest.approx(scipys.volume)
        assert hulls.perimeters[i] == pytest.approx(scipys.area)
        if whole:
            y, x = np.mgrid[:9, :9].reshape(2, -1)
            inside = (scipys.equations[:, :2] @ [y, x] + scipys.equations[:, 2:] < 1e-9).all(axis=0)
            assert hulls.lattice_points()[i] == inside.sum()
        edges = np.diff(mine[scipys.vertices], axis=0, append=mine[scipys.vertices[:1]])
        across = edges[:, ::-1] * [1, -1] / np.linalg.norm(edges, axis=1, keepdims=True)
        least, greatest, _ = hulls.feret_diameters()
        assert least[i] == pytest.approx(np.ptp(across @ mine.T, axis=1).min(), abs=1e-2 * pdist(mine).max())
        assert greatest[i] == pytest.approx(pdist(mine).max(), rel=5e-4)


def test_hulls_of_points_on_a_line_and_of_one():
    points = np.array([[3, 3], [0, 0], [1, 1], [2, 2], [5, 7], [5, 7]])
    hulls = Hulls.of(points, np.array([0, 0, 0, 0, 1, 1]))
    assert hulls.lattice_points().tolist() == [4, 1]
    assert hulls.areas.tolist() == [0, 0]
    assert hulls.feret_diameters()[0] == pytest.approx([0, 0], abs=1e-3)


def drawn(kind, size, angle, offset, blur=0.0):
    """Give the mask of an ideal shape of some size [px], its blurred coverage of pixels, and its true measures."""
    side = int(2.2 * size) + 14
    y, x = (np.mgrid[: 4 * side, : 4 * side] + 0.5) / 4 - 0.5 - side / 2 - np.array(offset)[:, None, None]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == "ellipse":
        a, b = size, size / 2
        inside = (u / a) ** 2 + (v / b) ** 2 <= 1
        h = ((a - b) / (a + b)) ** 2
        true = np.pi * a * b, np.pi * (a + b) * (1 + 3 * h / (10 + np.sqrt(4 - 3 * h))), 2 * b, 2 * a
    elif kind == "disc":
        inside = u**2 + v**2 <= size**2 / 4
        true = np.pi * size**2 / 4, np.pi * size, size, size
    else:
        a, b = (size, size) if kind == "square" else (2 * size, size)
        inside = (abs(u) <= a / 2) & (abs(v) <= b / 2)
        true = a * b, 2 * (a + b), b, np.hypot(a, b)
    coverage = inside.reshape(side, 4, side, 4).mean(axis=(1, 3))
    return inside[2::4, 2::4].astype(int), coverage, dict(zip(("area", "perimeter", "feret_min", "feret_max"), true))


angles, offsets = st.floats(0, np.pi), st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


@settings(max_examples=60, deadline=None)
@given(st.floats(10, 60), offsets, st.booleans())
def test_an_ideal_disc_is_round_from_ten_pixels_on(diameter, offset, soft):
    mask, coverage, _ = drawn("disc", diameter, 0.0, offset)
    found = measure_particles(mask, probability=coverage if soft else None).iloc[0]
    assert found["circularity"] == pytest.approx(1, abs=0.01)
    assert found["roundness"] > 0.98
    assert found["aspect_ratio"] > 0.97
    assert found["convexity"] > 0.99
    assert found["feret_max_px"] == pytest.approx(diameter, abs=0.4)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["ellipse", "square", "rod"]), st.floats(16, 50), angles, offsets, st.booleans())
def test_shapes_at_any_angle_are_right_within_stated_tolerances(kind, size, angle, offset, soft):
    mask, coverage, true = drawn(kind, size, angle, offset)
    found = measure_particles(mask, probability=coverage if soft else None).iloc[0]
    corners = 0 if kind == "ellipse" else 1
    # Of a bare mask a straight side may lie half a pixel out all along, on both sides of the particle.
    assert found["area_px2"] == pytest.approx(true["area"], abs=0.5 * true["perimeter"] + 1)
    assert found["feret_min_px"] == pytest.approx(true["feret_min"], abs=1.2)
    assert found["feret_max_px"] == pytest.approx(true["feret_max"], abs=1.0 + 2.2 * corners)
    assert found["perimeter_px"] == pytest.approx(true["perimeter"], abs=1.5 + 7 * corners)
    circularity = np.sqrt(4 * np.pi * true["area"]) / true["perimeter"]
    assert found["circularity"] == pytest.approx(circularity, abs=0.02 + 0.05 * corners)
    assert found["solidity"] > 0.97
    assert found["convexity"] > 0.97


@settings(max_examples=30, deadline=None)
@given(st.floats(20, 40), angles, offsets)
def test_turning_an_ellipse_changes_nothing(size, angle, offset):
    straight, turned = (measure_particles(drawn("ellipse", size, each, offset)[0]).iloc[0] for each in (0.0, angle))
    for name in ("circularity", "roundness", "aspect_ratio", "convexity"):
        assert turned[name] == pytest.approx(straight[name], abs=0.8 / size)  # less than a pixel of its length


def test_a_probability_that_jumps_is_smoothed_as_a_mask_is():
    mask, coverage, _ = drawn("disc", 20, 0, (0.2, -0.1))
    bare, jumping = measure_particles(mask), measure_particles(mask, probability=mask.astype(float))
    assert jumping["perimeter_px"][0] == pytest.approx(bare["perimeter_px"][0], rel=1e-3)
    soft = measure_particles(mask, probability=coverage)
    assert soft["perimeter_px"][0] == pytest.approx(20 * np.pi, rel=0.01)


@pytest.mark.parametrize("soft", [False, True])
def test_particles_that_touch_have_the_outlines_of_each_alone(soft):
    y, x = np.mgrid[:60, :90]
    away = np.stack([np.hypot(y - 30, x - 30), np.hypot(y - 30, x - 59)]) - 15
    probability = np.clip(0.5 - away.min(axis=0), 0, 1) if soft else None
    labels = np.where(away.min(axis=0) <= 0, 1 + away.argmin(axis=0), 0)
    found = measure_particles(labels, probability=probability)
    assert (found["circularity"] > 0.985).all()
    assert (found["feret_max_px"] < 31).all()


def test_holes_have_outlines_and_pixels_may_be_long():
    y, x = np.mgrid[:80, :80] - 39.5
    ring = ((np.hypot(y, x) <= 30) & (np.hypot(y, x) > 15)).astype(int)
    found = measure_particles(ring).iloc[0]
    assert found["perimeter_px"] == pytest.approx(2 * np.pi * 45, rel=0.01)
    assert found["convexity"] == pytest.approx(30 / 45, abs=0.01)
    long = ((2 * y) ** 2 + x**2 <= 30**2).astype(int)
    found = measure_particles(long, pixel_size_nm=(2, 1)).iloc[0]
    assert found["circularity"] == pytest.approx(1, abs=0.01)
    assert found["perimeter_nm"] == pytest.approx(60 * np.pi, rel=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 30), (2, 2), (2, 30), (3, 3)])
def test_specks_and_lines_have_finite_measures(shape):
    found = measure_particles(np.pad(np.ones(shape, int), 2)).iloc[0]
    assert 0.2 < found["circularity"] < 1.1
    assert found["feret_max_px"] == pytest.approx(np.hypot(*shape), abs=1.7)
    assert 0 < found["feret_min_px"] <= found["feret_max_px"]
    assert found["solidity"] == 1


def test_particles_of_all_sizes_are_measured_as_each_alone():
    rng = np.random.default_rng(0)
    labels = np.zeros((1500, 1500), int)
    for number, size in enumerate([900, 3, 7, 30, 120, 5, 60], start=1):
        y, x = rng.integers(0, 1400, 2) if number > 1 else (0, 0)
        labels[y : y + size, x : x + size][np.eye(size)[::-1].cumsum(axis=1) > 0] = number
    together = measure_particles(labels).set_index("particle")
    for number in together.index:
        alone = measure_particles(np.where(labels == number, number, 0)).iloc[0]
        names = ["perimeter_px", "feret_min_px", "feret_max_px", "convexity", "solidity", "orientation_deg"]
        np.testing.assert_allclose(together.loc[number, names].astype(float), alone[names].astype(float), rtol=1e-4)
