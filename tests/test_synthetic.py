"""The generator against known answers: geometry, wave optics, counting statistics."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from temlib import pixel_size_of
from temlib.synthetic import DISTRIBUTIONS, SHAPES, Scene, camera, optics, sample, shapes, simulate, specimen

PLAIN = Scene(
    size_px=160,
    n_particles=1,
    diameter_spread=0,
    contrast_spread=0,
    diffraction=0,
    inner_potential_v=0,
    film_thickness_nm=0,
    defocus_nm=0,
    cs_mm=0,
    illumination_gradient=0,
    drift_nm=0,
    blur_nm=0,
    mtf_nyquist=1,
    readout_noise=0,
    dose=4000,
)
"""One particle, mass-thickness contrast and shot noise, nothing else."""


def whole_ones(scene, n=6):
    found = [m for m in (simulate(scene, seed, keep_steps=True) for seed in range(40)) if m.particles["whole"].all()]
    assert len(found) >= n
    return found[:n]


# --- Geometry -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_projected_area_is_that_of_the_equivalent_circle(shape):
    micrographs = whole_ones(replace(PLAIN, shapes=(shape,)))
    areas = [m.label_array.astype(bool).sum() * 0.5**2 for m in micrographs]
    assert np.mean(areas) == pytest.approx(np.pi / 4 * 25**2, rel=0.01)
    assert np.max(np.abs(np.array(areas) / (np.pi / 4 * 25**2) - 1)) < 0.03
    assert [m.particles["area_nm2"][1] for m in micrographs] == pytest.approx([np.pi / 4 * 25**2] * 6)


@pytest.mark.parametrize("shape", SHAPES)
def test_thickness_integrates_to_the_volume(shape):
    for m in whole_ones(replace(PLAIN, shapes=(shape,), core_contrast=1), 3):
        assert m.steps["thickness"].sum() * 0.5**2 == pytest.approx(m.particles["volume_nm3"][1], rel=0.015)


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"aggregate"}))
def test_the_outline_encloses_pi_and_bounds_the_thickness(shape):
    rng = np.random.default_rng(3)
    for _ in range(5):
        body = SHAPES[shape](rng, PLAIN)
        u, v = body.outline.T
        assert 0.5 * np.sum(u * np.roll(v, -1) - v * np.roll(u, -1)) == pytest.approx(np.pi, rel=2e-3)
        assert (body.thickness(*(1.02 * body.outline.T.astype(np.float32))) == 0).all()
        assert (body.thickness(*(0.97 * body.outline.T.astype(np.float32))) > 0).all()


def test_sizes_of_known_outlines():
    rng = np.random.default_rng(0)
    sphere = shapes.measure(SHAPES["sphere"](rng, PLAIN))
    assert sphere["feret_max"] == pytest.approx(2, rel=1e-3)
    assert sphere["feret_min"] == pytest.approx(2, rel=1e-3)
    assert sphere["perimeter"] == pytest.approx(2 * np.pi, rel=1e-3)
    rod = SHAPES["rod"](rng, replace(PLAIN, max_aspect_ratio=5))
    size, radius = shapes.measure(rod), rod.outline[:, 1].max()
    assert size["feret_min"] == pytest.approx(2 * radius, rel=1e-3)
    straight = size["feret_max"] - size["feret_min"]
    assert straight * 2 * radius + np.pi * radius**2 == pytest.approx(np.pi, rel=1e-3)
    square = shapes.measure(shapes.Body(np.minimum, np.array([[0, 0], [1, 0], [1, 1], [0, 1]])))
    assert square == pytest.approx({"feret_max": np.sqrt(2), "feret_min": 1, "perimeter": 4}, rel=1e-3)


def test_the_mean_shadow_of_a_cube_is_a_quarter_of_its_surface():
    """Cauchy: so the equivalent radius of a cube of edge a is a sqrt(3 / 2 pi) on average over turns."""
    rng = np.random.default_rng(1)
    volumes = np.array([SHAPES["cube"](rng, PLAIN).volume for _ in range(4000)])
    shadow_over_face = np.pi / volumes ** (2 / 3)
    assert shadow_over_face.mean() == pytest.approx(1.5, rel=0.01)
    assert 1 <= shadow_over_face.min() < shadow_over_face.max() <= np.sqrt(3) + 1e-9


def test_a_core_attenuates_more_than_its_shell():
    rng = np.random.default_rng(5)
    plain, weighted = (
        SHAPES["core_shell"](np.random.default_rng(5), replace(PLAIN, core_contrast=c)) for c in (1.0, 4.0)
    )
    core = rng.uniform(0.4, 0.8)
    u, v = np.linspace(-1, 1, 801)[:, None], np.linspace(-1, 1, 801)[None, :]
    volumes = [body.thickness(u, v).sum() * 0.0025**2 for body in (plain, weighted)]
    assert volumes == pytest.approx([4 / 3 * np.pi, 4 / 3 * np.pi * (1 + 3 * core**3)], rel=1e-3)


def test_the_log_normal_distribution_is_recovered_by_a_fit():
    scene = replace(PLAIN, size_px=2048, n_particles=600, diameter_nm=12, diameter_spread=0.2, clustering=0)
    diameters = [p.diameter_nm for p in specimen.place(scene, np.random.default_rng(0))]
    assert len(diameters) == 600
    spread, _, median = stats.lognorm.fit(diameters, floc=0)
    assert median == pytest.approx(12, rel=0.03)
    assert spread == pytest.approx(0.2, rel=0.08)
    assert stats.kstest(diameters, stats.lognorm(0.2, 0, 12).cdf).pvalue > 0.01


def test_given_sizes_are_used():
    scene = replace(PLAIN, n_particles=60, diameters_nm=(3.0, 7.0))
    assert set(simulate(scene).particles["diameter_nm"]) == {3.0, 7.0}


def test_particles_overlap_no_more_than_allowed():
    for overlap in (0.0, 0.3):
        scene = replace(PLAIN, size_px=400, n_particles=60, diameter_spread=0.3, clustering=0.8, overlap=overlap)
        p = simulate(scene, 2).particles
        distance = np.hypot(*(p[c].to_numpy()[:, None] - p[c].to_numpy() for c in ("y_nm", "x_nm")))
        radii = p["diameter_nm"].to_numpy() / 2
        np.fill_diagonal(distance, np.inf)
        closeness = distance / (radii[:, None] + radii)
        assert closeness.min() >= 1 - overlap - 1e-6
        assert (closeness.min(0) < 1 + 1e-6).mean() > 0.5, "most touch a neighbour"


def test_labels_name_the_particles_of_the_table_and_keep_touching_ones_apart():
    m = simulate(replace(PLAIN, size_px=300, n_particles=20, clustering=0.9, overlap=0, diameter_nm=15), 4)
    assert set(np.unique(m.label_array)) == {0, *m.particles.index}
    assert np.array_equal(m.mask.data, m.label_array > 0)
    for particle in m.particles.itertuples():
        assert m.label_array[int(particle.y_nm / 0.5), int(particle.x_nm / 0.5)] == particle.Index
        assert ndimage.label(m.label_array == particle.Index)[1] == 1
    assert ndimage.label(m.label_array > 0)[1] < len(m.particles), "some touch"


def test_where_particles_overlap_thickness_adds_and_the_upper_one_is_labelled():
    scene = replace(PLAIN, n_particles=2, clustering=1, overlap=0.6, diameter_nm=30)
    m = next(m for m in (simulate(scene, s, keep_steps=True) for s in range(50)) if m.particles["whole"].sum() == 2)
    assert m.steps["thickness"].sum() * 0.25 == pytest.approx(m.particles["volume_nm3"].sum(), rel=0.015)
    areas = np.bincount(m.label_array.ravel())[1:] * 0.25
    assert areas[1] == pytest.approx(m.particles["area_nm2"][2], rel=0.02)
    assert areas[0] < 0.98 * m.particles["area_nm2"][1]


def test_half_the_pixel_size_gives_the_same_scene():
    scene = replace(PLAIN, n_particles=5, shapes=("sphere", "cube", "rod"), dose=1e5, size_px=128)
    coarse = simulate(scene, 3, keep_steps=True)
    fine = simulate(replace(scene, pixel_size_nm=0.25, size_px=256), 3, keep_steps=True)
    assert fine.particles.equals(coarse.particles)
    binned = {key: fine.steps[key].reshape(128, 2, 128, 2).mean((1, 3)) for key in ("thickness", "image")}
    assert np.abs(binned["thickness"] - coarse.steps["thickness"]).mean() < 0.02
    assert np.abs(binned["image"] - coarse.steps["image"]).mean() < 1e-3
    covered = (fine.label_array > 0).reshape(128, 2, 128, 2).mean((1, 3))
    clear = (covered == 0) | (covered == 1)
    assert np.array_equal(covered[clear] > 0.5, (coarse.label_array > 0)[clear])


# --- Image formation ----------------------------------------------------------------------------


def test_wavelength_and_interaction_constant_are_those_of_the_tables():
    """Kirkland, Advanced Computing in Electron Microscopy, appendix; Williams and Carter, table 1.2."""
    assert [1e3 * optics.wavelength_nm(v) for v in (100, 200, 300)] == pytest.approx([3.701, 2.508, 1.969], abs=1e-3)
    assert [optics.interaction(v) for v in (100, 200, 300)] == pytest.approx([9.244e-3, 7.288e-3, 6.526e-3], rel=1e-3)


def test_a_sphere_transmits_exp_of_minus_its_thickness_in_the_middle():
    scene = replace(PLAIN, attenuation_length_nm=25, dose=1e5)
    m = whole_ones(scene, 1)[0]
    y, x = (m.particles.loc[1, ["y_nm", "x_nm"]].astype(float) / 0.5).astype(int)
    assert m.counts[y, x] / (1e5 * 0.25) == pytest.approx(np.exp(-1), rel=0.03)


def test_the_first_fresnel_maximum_lies_where_theory_puts_it():
    """Born and Wolf, Principles of Optics, 8.7: behind an opaque edge at v = 1.217, x = v sqrt(lambda z / 2)."""
    scene = replace(PLAIN, pixel_size_nm=0.1, defocus_nm=1000, convergence_mrad=0, focal_spread_nm=0, aperture_mrad=500)
    edge = np.ones((1024, 1024), np.complex64)
    edge[:, 256:768] = 0
    profile = optics.image_wave(scene, edge)[512, 768:960]
    expected = 1.2172 * np.sqrt(optics.wavelength_nm(200) * 1000 / 2)
    assert 0.1 * (np.argmax(profile) + 0.5) == pytest.approx(expected, abs=0.1)
    assert profile.max() == pytest.approx(1.370, abs=0.01)
    behind = optics.image_wave(scene, edge)[512, 767:769].mean()
    assert behind == pytest.approx(0.25, abs=0.05), "a quarter of the intensity at the geometrical edge"


@pytest.mark.parametrize("defocus_nm", [200.0, 600.0, -400.0])
def test_a_weak_phase_grating_shows_as_contrast_transfer_predicts(defocus_nm):
    """Contrast of a phase grating epsilon cos(2 pi q x) is 2 epsilon sin chi, times the envelope."""
    scene = replace(PLAIN, pixel_size_nm=0.1, defocus_nm=defocus_nm, cs_mm=1.2, convergence_mrad=0.1, aperture_mrad=50)
    x = np.arange(256)
    phase = 0.01 * np.cos(2 * np.pi * 20 * x / 256) * np.ones((256, 1))
    contrast = np.fft.rfft(optics.image_wave(scene, np.exp(1j * phase))[0])[20].real / 128
    q, wavelength = 20 / 25.6, optics.wavelength_nm(200)
    chi = np.pi * wavelength * q**2 * (0.5 * 1.2e6 * wavelength**2 * q**2 - defocus_nm)
    spatial = (np.pi * 1e-4 * q) ** 2 * (1.2e6 * wavelength**2 * q**2 - defocus_nm) ** 2
    temporal = (np.pi * wavelength * scene.focal_spread_nm * q**2) ** 2 / 2
    assert contrast == pytest.approx(2 * 0.01 * np.sin(chi) * np.exp(-spatial - temporal), rel=0.02, abs=1e-5)


def test_the_aperture_stops_what_is_scattered_beyond_it():
    scene = replace(PLAIN, aperture_mrad=10, focal_spread_nm=0, convergence_mrad=0)
    inside, outside = ((f * 10e-3 / optics.wavelength_nm(200)) ** 2 for f in (0.99, 1.01))
    assert abs(optics.transfer(scene, np.array([0.0, inside]))) == pytest.approx([1, 1], abs=0.01)
    assert abs(optics.transfer(scene, np.array([outside]))) == 0


def test_two_beams_exchange_all_electrons_in_half_an_extinction_distance():
    share = specimen.two_beam(np.array([0, 10, 20], np.float32), np.zeros(3), 20)
    assert share == pytest.approx([0, 1, 0], abs=1e-5)
    off = specimen.two_beam(np.linspace(0, 100, 1000), np.full(1000, 2.0), 20)
    assert off.max() == pytest.approx(1 / 5, rel=1e-3)
    assert specimen.two_beam(np.array([7.0]), np.array([np.inf]), 20) == pytest.approx(0, abs=1e-9)


def test_diffraction_differs_from_grain_to_grain():
    scene = replace(PLAIN, size_px=256, n_particles=12, shapes=("plate",), diffraction=0.5, diameter_nm=20, overlap=0)
    m = simulate(scene, 1, keep_steps=True)
    left = [np.median(m.steps["diffraction"][m.label_array == n]) for n in m.particles.index]
    assert 0.1 < np.mean(np.array(left) > 0.999) < 0.9
    assert np.std(left) > 0.1


def test_the_film_has_the_given_thickness_roughness_and_holes():
    scene = replace(PLAIN, size_px=512, film_thickness_nm=10, film_roughness=0.2, film_unevenness=0)
    granular = specimen.granularity(scene, np.random.default_rng(0))
    film = specimen.film_thickness(scene, granular, np.random.default_rng(1))
    assert film.mean() == pytest.approx(10, rel=0.02)
    assert film.std() == pytest.approx(2, rel=0.05)
    correlation = np.mean([np.corrcoef(film[i, :-3], film[i, 3:])[0, 1] for i in range(0, 500, 10)])
    assert correlation == pytest.approx(np.exp(-(3**2) / (4 * 3**2)), abs=0.05), "3 px apart, grain of 3 px"
    holed = specimen.film_thickness(replace(scene, film_holes=0.3), granular, np.random.default_rng(1))
    assert (holed == 0).mean() == pytest.approx(0.3, abs=0.01)
    uneven = replace(scene, film_roughness=0, film_unevenness=0.2)
    spread = [specimen.film_thickness(uneven, granular, np.random.default_rng(i)).std() / 10 for i in range(40)]
    assert np.sqrt(np.mean(np.square(spread))) == pytest.approx(0.2, rel=0.1)


def test_texture_changes_density_from_place_to_place_and_not_on_average():
    scene = replace(PLAIN, diameter_nm=60, attenuation_length_nm=100)
    smooth, porous = (simulate(replace(scene, texture=t), 2, keep_steps=True).steps["thickness"] for t in (0, 0.3))
    ratio = porous[smooth > 20] / smooth[smooth > 20]
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert ratio.std() == pytest.approx(0.3, rel=0.15)


def test_underfocus_puts_a_bright_fringe_around_particles():
    scene = replace(PLAIN, inner_potential_v=20, defocus_nm=1500, diameter_nm=30, attenuation_length_nm=100)
    ring = []
    for defocus in (1500, -1500):
        m = whole_ones(replace(scene, defocus_nm=defocus), 1)[0]
        outside = ndimage.distance_transform_edt(m.label_array == 0)
        ring.append(m.steps["image"][(outside > 0.9) & (outside < 3)].mean())
    assert ring[0] > 1.03
    assert ring[1] < 0.97


def test_blur_and_drift_spread_a_blob_as_given_and_lose_nothing():
    y, x = np.mgrid[:129, :129] - 64
    blob = np.exp(-(y**2 + x**2) / (2 * 2**2)).astype(np.float32)
    variance = 2 * (2 * 0.5) ** 2  # both directions together [nm^2]
    for change, added in (({"blur_nm": 1.5}, 2 * 1.5**2), ({"drift_nm": 10.0}, 10**2 / 12)):
        spread = optics.blur(replace(PLAIN, **change), blob, np.random.default_rng(0))
        assert spread.sum() == pytest.approx(blob.sum(), rel=0.01)
        found = (spread * (y**2 + x**2)).sum() / spread.sum() * 0.25
        assert found == pytest.approx(variance + added, rel=0.03)


def test_in_dark_field_particles_are_bright_and_noise_follows_the_signal():
    scene = replace(PLAIN, mode="dark_field", attenuation_length_nm=100, film_thickness_nm=10, dose=2e4)
    scene = replace(scene, film_roughness=0, film_unevenness=0, scan_flicker=0, scan_jitter_px=0)
    m = whole_ones(scene, 1)[0]
    inside = m.counts[m.label_array > 0].astype(float)
    background = m.counts[ndimage.distance_transform_edt(m.label_array == 0) > 5].astype(float)
    assert inside.mean() > 10 * background.mean()
    assert background.var() == pytest.approx(background.mean(), rel=0.1)
    middle = m.steps["image"].max()
    assert middle == pytest.approx(1 - np.exp(-25 / 100), rel=0.05)


# --- Camera -------------------------------------------------------------------------------------


@pytest.mark.parametrize("electrons", [3, 20, 29.9, 30.1, 200])
def test_counts_are_poisson(electrons):
    empty = replace(PLAIN, size_px=512, n_particles=0, dose=electrons / 0.25)
    counts = simulate(empty).counts.astype(float)
    assert counts.mean() == pytest.approx(electrons, rel=0.01)
    assert counts.var() == pytest.approx(electrons, rel=0.02)
    assert stats.skew(counts.ravel()) == pytest.approx(electrons**-0.5, abs=0.02)
    expected = stats.poisson(electrons).pmf(np.arange(1000)) * counts.size
    frequent = expected > 500
    found = np.bincount(counts.ravel().astype(int), minlength=1000)[:1000]
    assert found[frequent] == pytest.approx(expected[frequent], rel=0.15)


@pytest.mark.parametrize("at_nyquist", [0.1, 0.5])
def test_modulation_at_nyquist_is_the_given_one(at_nyquist):
    scene = replace(PLAIN, mtf_nyquist=at_nyquist)
    stripes = np.where(np.arange(128) % 2, 1100, 900) * np.ones((128, 1), np.float32)
    counts = camera.detect(scene, stripes.astype(np.float32), np.random.default_rng(0)).astype(float)
    assert np.ptp(counts.mean(0)) == pytest.approx(200 * at_nyquist, abs=1.1)
    assert counts.mean() == pytest.approx(1000, abs=0.5)


def test_gain_offset_readout_and_dead_pixels():
    scene = replace(PLAIN, gain=3, offset=100, readout_noise=5, dead_pixels=0.01)
    counts = camera.detect(scene, np.full((512, 512), 40, np.float32), np.random.default_rng(0))
    assert (counts == 0).mean() == pytest.approx(0.01, rel=0.1)
    living = counts[counts > 0]
    assert living.mean() == pytest.approx(220, abs=0.1)
    assert living.std() == pytest.approx(5, rel=0.02)
    bright = camera.detect(replace(PLAIN, gain=1e4), np.full((8, 8), 40, np.float32), np.random.default_rng(0))
    assert (bright == 65535).all()


def test_the_illumination_changes_as_given_and_is_1_on_average():
    for seed in range(5):
        light = camera.illumination(replace(PLAIN, illumination_gradient=0.3), np.random.default_rng(seed))
        assert light.mean() == pytest.approx(1, abs=0.01)
        assert 0.25 < np.ptp(light) < 0.65


def test_marks_are_drawn_over_the_micrograph_and_not_into_the_truth():
    scene = replace(PLAIN, size_px=256, n_particles=4)
    strips = 0
    for seed in range(20):
        plain, marked = simulate(scene, seed), simulate(replace(scene, marks=True), seed)
        changed = plain.counts != marked.counts
        assert 0.001 < changed.mean() < 0.2
        assert set(np.unique(marked.counts[changed])) <= {plain.counts.min(), plain.counts.max()}
        visible = np.flatnonzero(~changed.all(1)).max() + 1
        strips += visible < 256
        assert np.array_equal(marked.label_array[:visible], plain.label_array[:visible])
        assert not marked.label_array[visible:].any()
    assert strips < 10


# --- The whole ----------------------------------------------------------------------------------


def digest(m):
    return hashlib.sha256(m.counts.tobytes() + m.label_array.tobytes() + m.particles.to_csv().encode()).hexdigest()


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_same_seed_same_bytes_whatever_was_made_before_and_by_how_many(distribution):
    many = [digest(m) for m in sample(distribution, 4, seed=5)]
    assert [digest(m) for m in sample(distribution, 4, seed=5, workers=3)] == many
    assert digest(list(sample(distribution, 2, seed=5))[1]) == many[1]
    assert len({*many, *(digest(m) for m in sample(distribution, 3, seed=6))}) == 7


def test_a_seed_sequence_is_not_used_up():
    seed = np.random.SeedSequence(3)
    assert digest(simulate(PLAIN, seed)) == digest(simulate(PLAIN, seed)) == digest(simulate(PLAIN, 3))


def test_another_dose_shows_the_same_particles_on_the_same_film():
    scene = Scene(size_px=128, n_particles=5)
    bright, dim = simulate(scene, 2, keep_steps=True), simulate(replace(scene, dose=10), 2, keep_steps=True)
    assert bright.particles.equals(dim.particles)
    assert np.array_equal(bright.steps["image"], dim.steps["image"])


def test_a_scene_is_the_same_on_every_machine_within_the_stated_tolerance():
    m = list(sample("bright_field", 2, seed=1))[1]
    assert m.particles["diameter_nm"].sum() == pytest.approx(51.44356320059063, rel=1e-9)
    assert m.particles["feret_max_nm"].sum() == pytest.approx(54.070536231172774, rel=1e-9)
    assert (m.label_array > 0).mean() == pytest.approx(0.09975433, abs=1e-4)
    assert m.counts.mean() == pytest.approx(53.9482, rel=1e-3)
    assert m.counts.std() == pytest.approx(12.0644, rel=1e-2)


@pytest.mark.parametrize(
    ("distribution", "diameters", "covered", "mean", "deviation"),
    [
        ("dark_field", 46.3248820608158, 0.13194275, 9.91131, 11.7297),
        ("workshop", 189.94418245804457, 0.13264465, 94.08989, 20.7454),
    ],
)
def test_what_was_drawn_before_there_were_supports_is_drawn_still(distribution, diameters, covered, mean, deviation):
    m = list(sample(distribution, 2, seed=1))[1]
    assert m.particles["diameter_nm"].sum() == pytest.approx(diameters, rel=1e-9)
    assert (m.label_array > 0).mean() == pytest.approx(covered, abs=1e-4)
    assert m.counts.mean() == pytest.approx(mean, rel=1e-3)
    assert m.counts.std() == pytest.approx(deviation, rel=1e-2)


def test_axes_are_calibrated():
    m = simulate(replace(PLAIN, pixel_size_nm=0.25))
    assert pixel_size_of(m.image) == pixel_size_of(m.labels) == pixel_size_of(m.mask) == (0.25, 0.25)
    assert m.image.data.dtype == np.uint16
    assert m.labels.data.dtype == np.int32


@pytest.mark.parametrize("distribution", sorted(set(DISTRIBUTIONS) - {"supported"}))
def test_every_scene_of_a_distribution_can_be_drawn_and_holds_particles(distribution):
    for seed in range(300):
        assert DISTRIBUTIONS[distribution](np.random.default_rng(seed)).n_particles > 0
    for m in sample(distribution, 6, seed=1):
        assert m.label_array.any()
        assert m.image.data.std() > 0


def test_a_distribution_of_ones_own():
    made = list(sample(lambda rng: replace(PLAIN, diameter_nm=rng.uniform(5, 9)), 2, seed=1))
    assert [m.name for m in made] == ["synthetic_0000", "synthetic_0001"]
    assert made[0].scene.diameter_nm != made[1].scene.diameter_nm


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        Scene,
        size_px=st.integers(32, 80),
        mode=st.sampled_from(["bright_field", "dark_field"]),
        n_particles=st.integers(0, 12),
        shapes=st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=3).map(tuple),
        diameter_nm=st.floats(1, 60),
        max_aspect_ratio=st.floats(1.2, 6),
        core_contrast=st.floats(0, 20),
        clustering=st.floats(0, 1),
        overlap=st.floats(0, 0.9),
        texture=st.floats(0, 1),
        diffraction=st.floats(0, 1),
        max_grains=st.integers(1, 5),
        film_thickness_nm=st.floats(0, 100),
        film_holes=st.floats(0, 0.9),
        defocus_nm=st.floats(-1e5, 1e5),
        dose=st.floats(1, 1e7),
        mtf_nyquist=st.floats(0.01, 1),
        dead_pixels=st.floats(0, 0.1),
        marks=st.booleans(),
    ),
    st.integers(0, 1000),
)
def test_any_scene_gives_a_consistent_micrograph(scene, seed):
    m = simulate(scene, seed, keep_steps=True)
    assert m.counts.shape == m.label_array.shape == (scene.size_px, scene.size_px)
    assert m.counts.dtype == np.uint16
    assert len(m.particles) <= scene.n_particles
    assert set(np.unique(m.label_array)) <= {0, *m.particles.index}
    assert all(np.isfinite(picture).all() for picture in m.steps.values())
    assert (m.particles["feret_min_nm"] <= m.particles["feret_max_nm"] + 1e-9).all()
    assert (m.particles["circularity"] <= 1.001).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapes": ("banana",)}, "banana"),
        ({"shapes": ()}, "choose one or more of sphere"),
        ({"dose": 0}, "dose=0"),
        ({"dose": float("nan")}, "dose=nan"),
        ({"size_px": 8}, "size_px=8 is out of range; allowed are 32 to 8192"),
        ({"mode": "phase"}, "mode='phase' is none of bright_field, dark_field"),
        ({"diameters_nm": (5.0, -1.0)}, "diameters_nm"),
        ({"film_holes": 1.0}, "film_holes=1.0"),
    ],
)
def test_impossible_scenes_are_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        replace(PLAIN, **change)
    assert "\n" not in str(caught.value)


def test_every_number_of_a_scene_has_a_range():
    from temlib.synthetic.ranges import ranges_of

    numbers = {name for name, value in vars(Scene()).items() if type(value) in (int, float)}
    assert set(ranges_of(Scene)) == numbers


def test_unknown_distributions_are_refused():
    with pytest.raises(ValueError, match="choose from bright_field, coated, dark_field, supported, workshop"):
        list(sample("nothing", 1))
