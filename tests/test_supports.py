"""Supports and what sits on them, against known answers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temlib.synthetic import (
    DISTRIBUTIONS,
    MATERIALS,
    SHAPES,
    Scene,
    Support,
    optics,
    sample,
    simulate,
    simulation,
    supports,
)
from temlib.synthetic.aggregates import DIMENSION, PREFACTOR, aggregate
from temlib.synthetic.materials import attenuation_length_nm, cross_section_nm2
from temlib.synthetic.shapes import wetting
from temlib.synthetic.supported import LEAST_GRAIN
from temlib.synthetic.visibility import contrast_to_noise
from tests.test_synthetic import PLAIN

OXIDE = Support(grain_nm=30, thickness_nm=40, texture=0, inner_potential_v=0, attenuation_length_nm=200)
BARE = replace(PLAIN, size_px=256, n_particles=0, support=OXIDE, dose=4e4)
DARK = replace(BARE, mode="dark_field", probe_nm=0, scan_jitter_px=0, scan_flicker=0)


# --- Materials ----------------------------------------------------------------------------------


def test_all_scattering_grows_as_z_to_four_thirds_and_that_to_high_angles_as_z_squared():
    assert cross_section_nm2(64) / cross_section_nm2(8) == pytest.approx(8 ** (4 / 3))
    assert cross_section_nm2(64, 2000) / cross_section_nm2(8, 2000) == pytest.approx(8**2, rel=0.01)


def test_the_cross_section_of_carbon_is_that_of_the_tables():
    """Reimer and Kohl, table 5.1 and fig. 5.3: 1e-4 nm^2 within a factor of two at 100 kV."""
    assert 0.5e-4 < cross_section_nm2(6, 0, 100) < 2e-4
    assert cross_section_nm2(6, 0, 100) / cross_section_nm2(6, 0, 300) == pytest.approx((0.7765 / 0.548) ** 2, rel=0.01)


def test_half_the_density_goes_twice_as_far(monkeypatch):
    monkeypatch.setitem(MATERIALS, "foam", replace(MATERIALS["C"], density=MATERIALS["C"].density / 2))
    assert attenuation_length_nm("foam", 10) == pytest.approx(2 * attenuation_length_nm("C", 10))
    with pytest.raises(ValueError, match="material='cheese' is none of C, SiO2"):
        attenuation_length_nm("cheese", 10)


def test_the_heavier_metal_is_brighter_in_dark_field_as_its_attenuation_says():
    middle = []
    for metal in ("Cu", "Pt"):
        length = attenuation_length_nm(metal, 50)
        scene = replace(
            DARK, support=None, n_particles=1, diameter_nm=4, pixel_size_nm=0.05, attenuation_length_nm=length
        )
        m = next(m for m in (simulate(scene, s, keep_steps=True) for s in range(30)) if m.particles["whole"].all())
        middle.append((m.steps["image"].max(), 1 - np.exp(-4 / length)))
    measured, expected = np.transpose(middle)
    assert measured == pytest.approx(expected, rel=0.02)
    assert measured[1] > 4 * measured[0]


# --- Supports -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shapes", [("irregular", "sphere"), ("cube", "plate"), ("sheet",), ("rod",), ("core_shell",)])
def test_a_support_has_the_given_thickness_where_there_is_any(shapes):
    thickness = simulate(replace(BARE, support=replace(OXIDE, shapes=shapes)), 1, keep_steps=True).steps["support"]
    assert thickness[thickness > 0].mean() == pytest.approx(40, rel=0.1)


def test_in_bright_field_a_support_transmits_as_its_mass_thickness_says():
    m = simulate(BARE, 3, keep_steps=True)
    expected = np.exp(-m.steps["support"] / 200)
    counts = m.counts / (4e4 * 0.25)
    assert counts.mean() == pytest.approx(expected.mean(), rel=0.003)
    assert np.corrcoef(counts.ravel(), expected.ravel())[0, 1] > 0.98


def test_in_dark_field_a_support_scatters_as_its_mass_thickness_says_and_noise_is_poisson():
    m = simulate(DARK, 3, keep_steps=True)
    expected = 4e4 * 0.25 * (1 - np.exp(-m.steps["support"] / 200))
    assert m.counts.mean() == pytest.approx(expected.mean(), rel=0.003)
    lit = expected > 100
    assert np.var((m.counts - expected)[lit] / np.sqrt(expected[lit])) == pytest.approx(1, rel=0.05)


def test_coverage_layers_and_texture():
    share = [
        np.mean(
            [
                (
                    simulate(replace(BARE, support=replace(OXIDE, coverage=c)), s, keep_steps=True).steps["support"] > 0
                ).mean()
                for s in range(6)
            ]
        )
        for c in (0.2, 0.5, 1.0)
    ]
    assert share[0] < share[1] < share[2]
    assert share[2] == pytest.approx(1 - np.exp(-OXIDE.layers), abs=0.08), "grains lie independently of one another"
    smooth, rough = (
        simulate(replace(BARE, support=replace(OXIDE, texture=t)), 1, keep_steps=True).steps["support"]
        for t in (0, 0.2)
    )
    assert np.std(rough[smooth > 20] / smooth[smooth > 20]) == pytest.approx(0.2, rel=0.1)
    assert not simulate(replace(BARE, support=replace(OXIDE, coverage=0)), 1, keep_steps=True).steps["support"].any()


def test_grains_near_a_bragg_condition_are_darker_in_bright_field():
    plain, crystals = (simulate(replace(BARE, support=replace(OXIDE, diffraction=d)), 2).counts.mean() for d in (0, 1))
    assert crystals < 0.95 * plain


def test_a_support_out_of_focus_keeps_its_sum_and_loses_its_edges():
    sharp, blurred = (
        simulate(replace(DARK, support=replace(OXIDE, defocus_blur_nm=b)), 2, keep_steps=True).steps["image"]
        for b in (0, 3)
    )
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=0.02)
    assert np.abs(np.diff(blurred, axis=1)).mean() < 0.7 * np.abs(np.diff(sharp, axis=1)).mean()


@pytest.mark.parametrize("n", [1, 2, 10, 80])
def test_aggregates_are_fractal_and_hold_together(n):
    rng = np.random.default_rng(0)
    for _ in range(3):
        centres = aggregate(n, rng)
        assert centres.shape == (n, 3)
        assert np.abs(centres.mean(0)).max() < 1e-9
        if n > 1:
            distances = np.linalg.norm(centres[:, None] - centres, axis=2)
            np.fill_diagonal(distances, np.inf)
            assert distances.min(0) == pytest.approx(2, abs=0.3), "each touches another, hardly any overlap"
        if n >= 10:
            gyration = np.sqrt((centres**2).sum(1).mean())
            assert PREFACTOR * gyration**DIMENSION == pytest.approx(n, rel=0.1)


# --- Particles on them --------------------------------------------------------------------------


CATALYST = replace(BARE, n_particles=60, diameter_nm=4, clustering=0.3, overlap=0.3, attenuation_length_nm=15)


def test_every_particle_touches_the_support():
    for seed in range(4):
        m = simulate(CATALYST, seed, keep_steps=True)
        assert len(m.particles) > 30
        support = m.steps["support"] > 0
        for label in np.unique(m.label_array)[1:]:
            y, x = np.nonzero(m.label_array == label)
            around = support[max(y.min() - 3, 0) : y.max() + 4, max(x.min() - 3, 0) : x.max() + 4]
            assert around.any()


def test_the_share_on_outlines_and_of_wetting_ones():
    for share in (0.0, 1.0):
        support = replace(OXIDE, on_edge=share, wetting=share)
        layer = supports.draw_support(CATALYST, support, np.random.default_rng(1))
        on_edge = np.isclose(layer.sites[:, 3], np.pi / 2)
        assert on_edge.mean() == pytest.approx(share, abs=0.01)
        names = simulate(replace(CATALYST, support=support), 1).particles["shape"]
        assert (names == "wetting").mean() == share


def test_sites_lie_on_the_support():
    for shapes in (("sphere",), ("irregular",), ("cube",), ("sheet",), ("rod",)):
        support = replace(OXIDE, shapes=shapes, on_edge=0, grain_nm=60)
        layer = supports.draw_support(CATALYST, support, np.random.default_rng(2))
        y, x = ((layer.sites[:, i] / 0.5 + 32).astype(int) for i in (0, 1))
        assert (layer.thickness[y, x] > 0).mean() > 0.97, shapes


def test_a_wetting_particle_turns_its_flat_face_to_the_grain():
    side = wetting(np.pi / 2, 0.0)
    assert side.outline[:, 0].min() == pytest.approx(0, abs=0.01), "the face is on the left"
    assert side.outline[:, 0].max() == pytest.approx(np.sqrt(2), rel=1e-2)
    assert wetting(0.0, 0.0).volume == pytest.approx(2 / 3 * np.pi, rel=1e-2)
    assert wetting(1.0, 1.0).volume == pytest.approx(4 / 3 * np.pi, rel=1e-2), "a whole sphere"
    support = replace(OXIDE, shapes=("sphere",), grain_nm=90, layers=0.3, coverage=1, on_edge=1, wetting=1)
    scene = replace(CATALYST, support=support, clustering=0, n_particles=20, diameter_nm=8)
    inward = []
    for seed in range(6):
        m = simulate(scene, seed, keep_steps=True)
        for p in m.particles.itertuples():
            angle = np.deg2rad(p.rotation_deg) + np.array([np.pi, 0])
            y, x = (p.y_nm + 6 * np.sin(angle)) / 0.5, (p.x_nm + 6 * np.cos(angle)) / 0.5
            if min(y.min(), x.min()) >= 0 and max(y.max(), x.max()) < 256:
                inward.append(np.subtract(*m.steps["support"][y.astype(int), x.astype(int)]))
    assert len(inward) > 20
    assert np.mean(np.array(inward) > 0) > 0.9, "behind the face is more of the grain than before the round side"


# --- What can be seen ---------------------------------------------------------------------------


def test_contrast_to_noise_on_a_flat_ground_is_that_of_rose():
    labels = np.zeros((120, 120), np.int32)
    labels[50:70, 50:70] = 1
    empty = np.full(labels.shape, 0.5)
    picture = np.where(labels, 0.48, empty)
    scene = replace(PLAIN, dose=100 / 0.25)
    noise = np.sqrt(0.48 / 100 / 400 + (0.005 * 0.02) ** 2)
    assert contrast_to_noise(scene, picture, empty, labels, 2) == pytest.approx([0, 0.02 / noise, 0], rel=1e-3)


def test_an_uneven_ground_hides_what_an_even_slope_does_not():
    labels = np.zeros((120, 120), np.int32)
    labels[56:64, 56:64] = 1
    slope = np.linspace(0.4, 0.6, 120) * np.ones((120, 1))
    blobs = 0.5 + 0.05 * np.sin(np.arange(120) / 3) * np.sin(np.arange(120) / 3)[:, None]
    flat, hidden = (
        contrast_to_noise(replace(PLAIN, dose=1e5), np.where(labels, ground - 0.05, ground), ground, labels, 1)[1]
        for ground in (slope, blobs)
    )
    assert flat > 5 * hidden


def test_the_truth_holds_only_what_can_be_seen():
    scene = replace(CATALYST, attenuation_length_nm=400, contrast_spread=1.5, visibility=4)
    everything, seen = simulate(replace(scene, visibility=0), 1), simulate(scene, 1)
    assert np.array_equal(seen.counts, everything.counts), "the same micrograph"
    assert 0 < len(seen.particles) < len(everything.particles)
    assert set(np.unique(seen.label_array)) <= {0, *seen.particles.index}
    kept = np.isin(everything.label_array, seen.particles.index)
    assert np.array_equal(seen.label_array, np.where(kept, everything.label_array, 0))
    dim = simulate(replace(scene, dose=scene.dose / 1000), 1)
    assert len(dim.particles) < len(seen.particles)
    assert simulate(replace(scene, saturation=1), 1).particles.empty, "all white"


# --- The detector -------------------------------------------------------------------------------


def test_black_level_and_saturation_cut_off():
    m = simulate(replace(DARK, offset=-500, saturation=1500), 3)
    plain = simulate(DARK, 3).counts.astype(float)
    assert np.array_equal(m.counts, np.clip(plain - 500, 0, 1500))


def test_the_flyback_draws_out_picture_and_truth_alike():
    scene = replace(DARK, flyback_px=3, dose=1e7)
    pixels = np.tile(np.arange(320, dtype=np.float32), (4, 1))
    moved = pixels - optics.fly_back(scene, pixels)
    assert moved[0, 32] == pytest.approx(3)
    assert moved[0, 100] == pytest.approx(0, abs=0.02)
    assert (np.diff(moved[0, 32:]) <= 1e-4).all()
    labels = optics.fly_back(scene, pixels.astype(np.int32))
    assert labels.dtype == np.int32
    assert np.abs(labels - optics.fly_back(scene, pixels)).max() <= 0.5
    bright = replace(scene, mode="bright_field")
    assert optics.fly_back(bright, pixels) is pixels, "only a scanned picture is drawn out"


# --- The distribution ---------------------------------------------------------------------------


def test_supported_scenes_are_what_is_said_of_them():
    scenes = [DISTRIBUTIONS["supported"](np.random.default_rng(seed)) for seed in range(400)]
    carried = [s for s in scenes if s.support]
    assert all(1 <= s.diameter_nm <= 12 for s in carried)
    assert all(s.support.grain_nm >= LEAST_GRAIN * s.diameter_nm * (1 - 1e-9) for s in carried)
    assert all(0 < s.support.thickness_nm <= 300 for s in carried)
    assert {s.mode for s in carried} == {"bright_field", "dark_field"}
    assert {s.support.arrangement for s in carried} == {"packed", "fractal"}
    assert 10 < sum(s.n_particles == 0 for s in carried) < 60, "supports without a particle"
    others = [s for s in scenes if s.support is None]
    assert 10 < sum(s.shapes == ("aggregate",) for s in others) < 60, "soot"
    assert all(s.diameter_nm / s.pixel_size_nm >= 59 for s in others), "what is no support is large"


def test_supported_micrographs_show_particles_where_there_are_some():
    made = list(sample("supported", 12, seed=1))
    shown = [m.label_array.any() for m in made if m.scene.n_particles]
    assert sum(shown) > 0.7 * len(shown)
    assert all(not m.label_array.any() for m in made if not m.scene.n_particles)
    assert all(set(np.unique(m.label_array)) <= {0, *m.particles.index} for m in made)


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        Support,
        shapes=st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=2).map(tuple),
        arrangement=st.sampled_from(["packed", "fractal"]),
        grain_nm=st.floats(1, 500),
        grain_spread=st.floats(0, 1),
        coverage=st.floats(0, 1),
        layers=st.floats(0.1, 4),
        thickness_nm=st.floats(0, 300),
        texture=st.floats(0, 1),
        diffraction=st.floats(0, 1),
        on_edge=st.floats(0, 1),
        wetting=st.floats(0, 1),
    ),
    st.sampled_from(["bright_field", "dark_field"]),
    st.integers(0, 1000),
)
def test_any_support_gives_a_consistent_micrograph(support, mode, seed):
    scene = Scene(size_px=64, n_particles=5, diameter_nm=4, mode=mode, support=support, visibility=3, flyback_px=2)
    m = simulate(scene, seed, keep_steps=True)
    assert m.counts.shape == m.label_array.shape == (64, 64)
    assert set(np.unique(m.label_array)) <= {0, *m.particles.index}
    assert all(np.isfinite(picture).all() for picture in m.steps.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapes": ("banana",)}, "banana"),
        ({"arrangement": "heap"}, "arrangement='heap' is none of packed, fractal"),
        ({"coverage": 1.5}, "coverage=1.5 is out of range; allowed are 0 to 1"),
        ({"grain_nm": float("nan")}, "grain_nm=nan"),
    ],
)
def test_impossible_supports_are_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        replace(OXIDE, **change)
    assert "\n" not in str(caught.value)


def test_every_number_of_a_support_has_a_range():
    from temlib.synthetic.ranges import ranges_of

    numbers = {name for name, value in vars(Support()).items() if type(value) in (int, float)}
    assert set(ranges_of(Support)) == numbers


@pytest.mark.parametrize("seed", range(3))
def test_what_can_be_seen_is_judged_against_a_picture_that_drifts_and_jitters_alike(seed, monkeypatch):
    pictures = []
    form = simulation.form_image
    monkeypatch.setattr(simulation, "form_image", lambda *given: pictures.append(form(*given)) or pictures[-1])
    scene = replace(CATALYST, mode="dark_field", n_particles=0, scan_jitter_px=0.5, scan_flicker=0.05, visibility=4)
    simulate(scene, seed)
    (picture, _), (empty, _) = pictures
    np.testing.assert_array_equal(picture, empty)
