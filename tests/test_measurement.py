import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon

from temlib.files.micrographs import micrograph
from temlib.particles.measurement import SHAPE_GROUPS, cluster_shapes, measure_particles, shape_groups
from temlib.particles.size_distribution import size_distribution
from temlib.synthetic import Scene
from temlib.synthetic.shapes import SHAPES
from temlib.writing import write_table
from tests.conftest import disc

TILE = 100
LENGTHS = ["equivalent_diameter", "feret_min", "feret_max", "ellipse_major", "ellipse_minor", "perimeter"]
RATIOS = ["aspect_ratio", "ellipse_ratio", "circularity", "roundness", "convexity", "solidity", "extent"]


def scatter(n, inside, seed=0):
    """Label n tiles; inside(u, v, i) says which points belong to particle i, turned and placed at random."""
    rng = np.random.default_rng(seed)
    columns = int(np.ceil(np.sqrt(n)))
    labels = np.zeros((columns * TILE, columns * TILE), np.int32)
    y, x = np.mgrid[:TILE, :TILE]
    for i in range(n):
        (cy, cx), angle = TILE / 2 + rng.uniform(-1, 1, 2), rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        row, column = TILE * (i // columns), TILE * (i % columns)
        labels[row : row + TILE, column : column + TILE][inside(u, v, i)] = i + 1
    return labels


def ellipse(shape, centre, semi_axes):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((y - centre[0]) / semi_axes[0]) ** 2 + ((x - centre[1]) / semi_axes[1]) ** 2 <= 1


def blot(seed=3):
    """A particle without symmetry, of two lobes."""
    return (ellipse((90, 80), (35.3, 30.1), (14, 22)) | ellipse((90, 80), (52.6, 44.2), (21, 9))).astype(int)


def test_the_area_of_a_disc_is_right_to_half_a_percent_of_its_diameter():
    diameters = np.linspace(40, 90, 200)
    found = measure_particles(scatter(200, lambda u, v, i: u**2 + v**2 <= diameters[i] ** 2 / 4))
    np.testing.assert_allclose(found["equivalent_diameter_px"], diameters, rtol=0.005)
    np.testing.assert_allclose(found["ellipse_major_px"], diameters, rtol=0.02)
    np.testing.assert_allclose(found["ellipse_minor_px"], diameters, rtol=0.02)


def test_a_disc_is_circular_convex_and_solid():
    found = measure_particles(scatter(200, lambda u, v, i: u**2 + v**2 <= 100))
    np.testing.assert_allclose(found["circularity"], 1, atol=0.01)
    assert (found["solidity"] == 1).all()  # of any convex particle
    assert (found["convexity"] > 0.998).all()
    large = measure_particles(scatter(100, lambda u, v, i: u**2 + v**2 <= 45**2))
    for name, value in {"aspect_ratio": 1, "roundness": 1, "extent": np.pi / 4}.items():
        assert large[name].mean() == pytest.approx(value, rel=0.03)


def test_feret_diameters_of_ellipses_are_right_to_a_pixel():
    rng = np.random.default_rng(1)
    sizes = np.sort(rng.uniform(12, 80, (300, 2)))
    found = measure_particles(
        scatter(300, lambda u, v, i: (2 * v / sizes[i, 0]) ** 2 + (2 * u / sizes[i, 1]) ** 2 <= 1)
    )
    errors = found[["feret_min_px", "feret_max_px"]].to_numpy() - sizes
    assert np.abs(errors[:, 0]).max() < 0.9
    assert np.abs(np.quantile(errors[:, 1], [0.05, 0.95])).max() < 0.7
    assert errors[:, 1].min() > -2, "a sharp end is rounded off"
    assert np.abs(errors.mean(axis=0)).max() < 0.2
    np.testing.assert_allclose(found[["ellipse_minor_px", "ellipse_major_px"]], sizes, atol=1)


def test_feret_diameters_of_rectangles_are_right_to_a_pixel():
    rng = np.random.default_rng(2)
    sizes = np.sort(rng.uniform(10, 60, (300, 2)))
    found = measure_particles(scatter(300, lambda u, v, i: (abs(v) <= sizes[i, 0] / 2) & (abs(u) <= sizes[i, 1] / 2)))
    assert np.abs(found["feret_min_px"] - sizes[:, 0]).max() < 0.9
    errors = found["feret_max_px"] - np.hypot(*sizes.T)  # between two sharp corners, which pixels clip
    assert errors.between(-2.2, 0.2).all()


def test_orientation_is_the_angle_to_the_x_axis_anticlockwise():
    y, x = np.mgrid[:80, :80] - 40.0
    for degrees in (0, 30, 60, 90, 135, 179):
        angle = np.radians(degrees)
        along, across = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        found = measure_particles(((along / 30) ** 2 + (across / 10) ** 2 <= 1).astype(int))["orientation_deg"][0]
        assert abs((found - degrees + 90) % 180 - 90) < 0.5


def test_translation_and_quarter_turns_change_nothing_but_the_place():
    first = measure_particles(blot()).iloc[0]
    same = [f"{name}_px" for name in LENGTHS] + RATIOS + ["area_px2"]
    moved = measure_particles(np.pad(blot(), ((7, 0), (0, 11)))).iloc[0]
    np.testing.assert_allclose(moved[same].to_numpy(float), first[same].to_numpy(float))
    assert moved["centroid_y_px"] == pytest.approx(first["centroid_y_px"] + 7)
    assert moved["left_px"] == first["left_px"]
    for turns in (1, 2, 3):
        turned = measure_particles(np.rot90(blot(), turns)).iloc[0]
        np.testing.assert_allclose(turned[same].to_numpy(float), first[same].to_numpy(float))
        assert (turned["orientation_deg"] - first["orientation_deg"]) % 180 == pytest.approx(90 * turns % 180)


def test_lengths_scale_with_the_pixel_and_areas_with_its_square():
    in_px, in_nm = measure_particles(blot()), measure_particles(blot(), pixel_size_nm=0.4)
    for name in LENGTHS:
        np.testing.assert_allclose(in_nm[f"{name}_nm"], 0.4 * in_px[f"{name}_px"])
    np.testing.assert_allclose(in_nm["area_nm2"], 0.16 * in_px["area_px2"])
    np.testing.assert_allclose(in_nm[RATIOS], in_px[RATIOS])
    assert not [name for name in in_px if "nm" in name]


def test_the_pixel_size_comes_from_the_signals_or_by_hand():
    labels = blot()
    known = measure_particles(micrograph(labels, (0.5, 0.25)))
    assert known["area_nm2"][0] == pytest.approx(0.125 * labels.sum())
    pd.testing.assert_frame_equal(known, measure_particles(micrograph(labels), pixel_size_nm=(0.5, 0.25)))
    assert "area_px2" in measure_particles(micrograph(labels))
    assert "area_nm2" in measure_particles(labels, micrograph(labels, 0.5))


def test_a_circle_seen_through_long_pixels_is_a_circle():
    round_one = measure_particles(disc((130, 130), (64.3, 65.1), 50).astype(int), pixel_size_nm=0.5).iloc[0]
    long_pixels = ellipse((130, 70), (64.3, 33.2), (50, 25))
    found = measure_particles(long_pixels.astype(int), pixel_size_nm=(0.5, 1.0)).iloc[0]
    for name in LENGTHS:
        assert found[f"{name}_nm"] == pytest.approx(round_one[f"{name}_nm"], rel=0.02)
    for name in RATIOS:
        assert found[name] == pytest.approx(round_one[name], rel=0.02)
    tilted = np.zeros((200, 200), int)  # a rod at 45 degrees in the specimen
    tilted[polygon(*(np.array([[30, 20, 130, 140], [30, 40, 150, 140]]) * [[1], [0.5]]))] = 1
    found = measure_particles(tilted, pixel_size_nm=(1, 2)).iloc[0]
    assert found["orientation_deg"] == pytest.approx(135, abs=1)
    assert found["feret_min_nm"] == pytest.approx(np.hypot(10, 10), abs=2)


def test_particles_that_reach_the_frame_are_named():
    labels = np.zeros((20, 30), int)
    labels[0:3, 5:8], labels[8:12, 0:2], labels[17:20, 20:22], labels[5:8, 28:30], labels[10:13, 10:13] = 9, 4, 7, 2, 5
    found = measure_particles(labels).set_index("particle")
    assert found["touches_edge"].to_dict() == {2: True, 4: True, 5: False, 7: True, 9: True}
    assert found.loc[5, ["top_px", "left_px", "bottom_px", "right_px"]].tolist() == [10, 10, 13, 13]
    assert found.loc[5, ["centroid_y_px", "centroid_x_px"]].tolist() == [11, 11]


def test_the_table_knows_its_frame_its_pixel_and_how_sure_each_particle_is(tmp_path):
    labels = np.zeros((20, 30), int)
    labels[2:5, 2:5], labels[10:14, 10:14] = 7, 3
    found = measure_particles(labels, pixel_size_nm=(0.5, 0.25), confidence={3: 0.25, 7: 0.75, 9: 1.0})
    assert found[["frame_height_px", "frame_width_px"]].to_numpy().tolist() == [[20, 30]] * 2
    assert found[["pixel_height_nm", "pixel_width_nm"]].to_numpy().tolist() == [[0.5, 0.25]] * 2
    assert found.set_index("particle")["confidence"].to_dict() == {3: 0.25, 7: 0.75}
    write_table(tmp_path / "a.csv", found)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.csv"), found, rtol=1e-5, check_dtype=False)
    plain = measure_particles(labels, confidence=[0.25, 0.75])
    assert plain["confidence"].tolist() == [0.25, 0.75]
    assert not {"pixel_height_nm", "pixel_width_nm"} & set(plain)
    assert "confidence" not in measure_particles(labels)
    assert measure_particles(0 * labels, confidence=[]).empty


def test_contrast_is_that_to_the_film_beside_the_particle():
    labels = np.where(disc((100, 160), (50, 40), 20), 1, 0) + np.where(disc((100, 160), (50, 83), 20), 2, 0)
    image = np.select([labels == 1, labels == 2], [30, 50], 100 + np.arange(160) // 120 * 40.0)
    found = measure_particles(labels, micrograph(image))
    assert found["mean_grey"].tolist() == [30, 50]
    assert found["background_grey"].tolist() == [100, 100]
    assert found["contrast"].tolist() == [-70, -50]
    filled = measure_particles(np.ones((9, 9), int), np.ones((9, 9)))
    assert np.isnan(filled["contrast"][0])


def test_areas_at_other_thresholds_show_how_sharp_the_outline_is():
    y, x = np.mgrid[:120, :240]
    away = [np.hypot(y - 60, x - centre) - 30 for centre in (60, 175)]
    blurred = np.clip(0.5 - np.minimum(away[0] / 20, away[1] / 4), 0, 1)
    labels = np.select([away[0] < 0, away[1] < 0], [1, 2])
    blurred[5:8, 5:8] = 0.4  # hangs together with no particle
    found = measure_particles(labels, probability=blurred)
    expected = np.pi * np.array([[26, 34], [29.2, 30.8]]) ** 2  # radii where the ramps pass 0.7 and 0.3
    np.testing.assert_allclose(found[["area_p70_px2", "area_p30_px2"]], expected, rtol=0.01)
    sizes = measure_particles(labels, probability=blurred, pixel_size_nm=0.5)
    np.testing.assert_allclose(sizes["area_p30_nm2"], found["area_p30_px2"] / 4)


def shapes_rendered(names, n, seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros((TILE * len(names), TILE * n), int)
    for i, j in np.ndindex(len(names), n):
        outline = SHAPES[names[i]](rng, Scene()).outline * rng.uniform(13, 20)
        angle = rng.uniform(0, np.pi)
        turned = outline @ [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        rows, columns = turned.T + TILE * (np.array([[i], [j]]) + 0.5)
        labels[polygon(rows, columns)] = 1 + i * n + j
    return measure_particles(labels), np.repeat(names, n)


def test_known_shapes_fall_into_their_groups():
    home = {"sphere": "sphere-like", "cube": "polygonal", "octahedron": "polygonal", "plate": "polygonal"}
    table, names = shapes_rendered(list(home), 40, seed=5)
    groups = shape_groups(table)
    assert list(groups.cat.categories) == list(SHAPE_GROUPS)
    assert (groups.to_numpy() == [home[name] for name in names]).mean() > 0.95
    rods = measure_particles(scatter(50, lambda u, v, i: np.hypot(np.maximum(abs(u) - 15, 0), v) <= 12))
    assert (shape_groups(rods) == "rod-like").all()
    stars = measure_particles(
        scatter(50, lambda u, v, i: np.hypot(u, v) <= 25 * (1 + 0.25 * np.cos((3 + i % 4) * np.arctan2(v, u))))
    )
    assert (shape_groups(stars) == "irregular").mean() > 0.9


def test_clusters_find_shapes_that_differ():
    table, names = shapes_rendered(["sphere", "plate"], 30, seed=6)
    discs = table[names == "sphere"]
    rods = measure_particles(scatter(20, lambda u, v, i: (abs(u) <= 30) & (abs(v) <= 8)))
    both = pd.concat([discs, rods], ignore_index=True)
    clusters = cluster_shapes(both, 2, seed=1)
    assert clusters.tolist() == [1] * 30 + [2] * 20  # the larger one is the first
    pd.testing.assert_series_equal(clusters, cluster_shapes(both, 2, seed=1))
    with pytest.raises(ValueError, match="50 particles cannot form n_groups=51"):
        cluster_shapes(both, 51)
    with pytest.raises(ValueError, match="no column solidity"):
        shape_groups(both.drop(columns="solidity"))


def test_no_particle_makes_an_empty_table_with_the_same_columns():
    empty, one = (measure_particles(labels, labels, probability=np.zeros((90, 80))) for labels in (0 * blot(), blot()))
    assert len(empty) == 0
    assert (empty.dtypes == one.dtypes).all()
    assert len(shape_groups(empty)) == 0


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.ones((4, 4), bool), {}, "got bool"),
        (np.ones((4, 4)), {}, "got float64"),
        (-np.eye(4, dtype=int), {}, "got -1"),
        (np.ones(4, int), {}, "two dimensions"),
        (np.eye(4, dtype=int), {"image": np.ones((4, 5))}, "image has shape"),
        (np.eye(4, dtype=int), {"probability": np.ones((3, 4))}, "probability has shape"),
        (np.eye(4, dtype=int), {"probability": np.full((4, 4), 255)}, r"probability lies in \[0, 1\]"),
        (np.eye(4, dtype=int), {"confidence": {2: 0.5}}, "nothing of particle 1"),
        (np.eye(4, dtype=int), {"confidence": [0.5, 0.5]}, "for 1 particles"),
        (np.eye(4, dtype=int), {"confidence": [1.5]}, r"confidence lies in \[0, 1\]"),
        (np.eye(4, dtype=int), {"confidence": [np.nan]}, r"confidence lies in \[0, 1\]"),
        (np.eye(4, dtype=int), {"pixel_size_nm": 0}, "pixel_size_nm=0 is no pixel size"),
        (np.eye(4, dtype=int), {"pixel_size_nm": (1, 2, 3)}, "is no pixel size"),
    ],
)
def test_wrong_input_is_named_in_one_line(labels, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        measure_particles(labels, **options)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_any_labels_give_descriptors_in_their_ranges(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 25, 2)
    labels = rng.integers(0, 6, shape) * (rng.random(shape) < rng.random()) * 1000
    found = measure_particles(labels, rng.random(shape), probability=rng.random(shape), pixel_size_nm=(0.7, 1.3))
    assert found["particle"].tolist() == sorted(set(np.unique(labels)) - {0})
    assert found["area_nm2"].sum() == pytest.approx(0.91 * np.count_nonzero(labels))
    for name in ("aspect_ratio", "solidity"):
        assert found[name].between(0, 1, inclusive="right").all()
    assert (found["feret_min_nm"] <= found["feret_max_nm"]).all()
    assert found["circularity"].between(0, 1.4).all()
    assert found["orientation_deg"].between(0, 180, inclusive="left").all()
    assert (found["area_p70_nm2"] <= found["area_p30_nm2"]).all()
    assert found["mean_grey"].between(0, 1).all()
    assert shape_groups(found).notna().all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_every_particle_is_in_one_group_and_its_twin_in_the_same(seed, n_groups):
    rng = np.random.default_rng(seed)
    names = ["aspect_ratio", "circularity", "convexity", "solidity", "extent"]
    table = pd.DataFrame(rng.random((rng.integers(6, 20), 5)), columns=names)
    groups = cluster_shapes(pd.concat([table, table], ignore_index=True), n_groups).to_numpy()
    assert len(groups) == 2 * len(table)
    assert np.array_equal(groups[: len(table)], groups[len(table) :])
    assert len(np.unique(groups)) == n_groups


@pytest.mark.parametrize("rows", [slice(0, 80), slice(420, 500)])
def test_a_data_bar_is_no_part_of_the_frame(rows):
    y, x = np.mgrid[:500, :400]
    labels = np.zeros((500, 400), int)
    centres = [(y, x) for y in range(100, 410, 50) for x in range(30, 390, 50)]
    for number, (cy, cx) in enumerate(centres, 1):
        labels[np.hypot(y - cy, x - cx) < 8] = number
    bar = np.zeros(labels.shape, bool)
    bar[rows] = True
    with_bar = measure_particles(labels, marks=bar)
    image = measure_particles(labels[~bar.all(axis=1)])
    assert set(with_bar["frame_height_px"]) == {420}
    whole = size_distribution(image).number_density
    assert size_distribution(with_bar).number_density == pytest.approx(whole)
