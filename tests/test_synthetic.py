import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temlib import pixel_size_of, synthetic
from temlib.synthetic import DISTRIBUTIONS, SHAPES, Scene, sample, simulate

ALONE = Scene(size_px=128, n_particles=1, diameter_nm=25, diameter_spread=0, film_contrast=0, illumination_gradient=0)


def inside(m):
    """True when no particle touches the edge of the micrograph."""
    mask = m.mask.data
    return not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def some_inside(scene, n=8):
    found = [m for m in (simulate(scene, seed) for seed in range(60)) if len(m.particles) and inside(m)]
    assert len(found) >= n
    return found[:n]


@pytest.mark.parametrize("shape", SHAPES)
def test_projected_area_is_that_of_the_equivalent_circle(shape):
    areas = [m.mask.data.sum() * 0.5**2 for m in some_inside(replace(ALONE, shapes=(shape,)))]
    assert np.mean(areas) == pytest.approx(np.pi / 4 * 25**2, rel=0.01)


def test_absorption_of_a_sphere_integrates_to_its_volume():
    scene = replace(ALONE, contrast_spread=0, blur_nm=0, dose=2e5, attenuation_length_nm=40)
    for m in some_inside(scene, 3):
        depth = -np.log(m.image.data / (scene.dose * 0.5**2))
        volume = depth.sum() * scene.attenuation_length_nm * 0.5**2
        assert volume == pytest.approx(np.pi / 6 * 25**3, rel=0.02)


def test_a_sphere_is_darkest_in_the_middle():
    scene = replace(ALONE, contrast_spread=0, blur_nm=0, dose=2e5, attenuation_length_nm=25)
    m = some_inside(scene, 1)[0]
    y, x = (m.particles.loc[1, ["y_nm", "x_nm"]].astype(float) / 0.5).astype(int)
    assert m.image.data[y, x] / (2e5 * 0.25) == pytest.approx(np.exp(-1), rel=0.03)


def test_counts_are_poisson():
    empty = Scene(n_particles=0, film_contrast=0, illumination_gradient=0, blur_nm=0, dose=80)
    counts = simulate(empty).image.data
    assert counts.mean() == pytest.approx(20, rel=0.01)
    assert counts.var() == pytest.approx(20, rel=0.02)


def test_sizes_follow_the_log_normal_distribution():
    scene = Scene(size_px=2048, n_particles=400, diameter_nm=12, diameter_spread=0.2, clustering=0)
    diameters = simulate(scene).particles["diameter_nm"]
    assert len(diameters) == 400
    assert np.median(diameters) == pytest.approx(12, rel=0.03)
    assert np.log(diameters).std() == pytest.approx(0.2, rel=0.1)


def test_film_and_illumination_have_the_given_strength():
    flat = replace(ALONE, n_particles=0, size_px=512, dose=1e5, blur_nm=0)
    film = simulate(replace(flat, film_contrast=0.1)).image.data
    assert film.std() / film.mean() == pytest.approx(0.1, rel=0.15)
    tilted = simulate(replace(flat, illumination_gradient=0.3)).image.data / (1e5 * 0.25)
    assert 0.15 < np.ptp(tilted) < 0.7


def test_labels_name_the_particles_of_the_table():
    m = simulate(Scene(n_particles=20, clustering=0, overlap=0))
    assert set(np.unique(m.labels.data)) == {0, *m.particles.index}
    assert np.array_equal(m.mask.data, m.labels.data > 0)
    for particle in m.particles.itertuples():
        y, x = int(particle.y_nm / 0.5), int(particle.x_nm / 0.5)
        assert m.labels.data[y, x] == particle.Index


def test_axes_are_calibrated():
    m = simulate(replace(ALONE, pixel_size_nm=0.25))
    assert pixel_size_of(m.image) == pixel_size_of(m.labels) == pixel_size_of(m.mask) == (0.25, 0.25)


def test_same_seed_same_bytes_whatever_was_made_before():
    def digest(m):
        return hashlib.sha256(m.image.data.tobytes() + m.labels.data.tobytes()).hexdigest()

    many = [digest(m) for m in sample("bright_field", 3, seed=5)]
    assert digest(list(sample("bright_field", 2, seed=5))[1]) == many[1]
    assert len({*many, *(digest(m) for m in sample("bright_field", 3, seed=6))}) == 6


def test_shapes_sizes_contrast_and_dose_of_the_stand_in_are_not_those_of_training():
    def ranges(name):
        scenes = [DISTRIBUTIONS[name](np.random.default_rng(seed)) for seed in range(300)]
        numbers = {
            "diameter_px": [s.diameter_nm / s.pixel_size_nm for s in scenes],
            "optical_depth": [s.diameter_nm / s.attenuation_length_nm for s in scenes],
            "dose_per_pixel": [s.dose * s.pixel_size_nm**2 for s in scenes],
        }
        shapes = {shape for s in scenes for shape in s.shapes}
        return shapes, {key: (min(values), max(values)) for key, values in numbers.items()}

    train_shapes, train = ranges("bright_field")
    test_shapes, test = ranges("stand_in")
    assert not train_shapes & test_shapes
    for key in train:
        assert test[key][1] < train[key][0], key


@settings(max_examples=15, deadline=None)
@given(
    st.builds(
        Scene,
        size_px=st.integers(32, 80),
        n_particles=st.integers(0, 12),
        shapes=st.sampled_from([("sphere",), ("rod", "prism"), ("hollow", "irregular", "ellipsoid")]),
        diameter_nm=st.floats(1, 40),
        clustering=st.floats(0, 1),
        overlap=st.floats(0, 0.9),
        dose=st.floats(1, 1e5),
    ),
    st.integers(0, 1000),
)
def test_any_scene_gives_a_consistent_micrograph(scene, seed):
    m = simulate(scene, seed)
    assert m.image.data.shape == m.labels.data.shape == (scene.size_px, scene.size_px)
    assert m.image.data.dtype == np.uint16
    assert len(m.particles) <= scene.n_particles
    assert set(np.unique(m.labels.data)) <= {0, *m.particles.index}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapes": ("banana",)}, "banana"),
        ({"dose": 0}, "dose=0"),
        ({"size_px": 8}, "size_px=8"),
        ({"shapes": ()}, "choose from"),
    ],
)
def test_impossible_scenes_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        simulate(replace(ALONE, **change))


def test_unknown_distributions_are_refused():
    with pytest.raises(ValueError, match="bright_field"):
        next(synthetic.sample("dark", 1))
