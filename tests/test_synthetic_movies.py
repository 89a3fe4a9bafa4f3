"""Movies of synthetic particles: what happens is known exactly, and is what is drawn."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from temlib.synthetic import Scene, histories, movie

SCENE = Scene(size_px=128, n_particles=6, diameter_nm=10, diameter_spread=0.2)
FEW = Scene(size_px=96, n_particles=0)


def digest(shown):
    return hashlib.sha256(np.ascontiguousarray(shown.data.compute()).tobytes()).hexdigest()


def test_same_seed_same_bytes_and_each_frame_for_itself():
    changes = {"growth_nm": 2.0, "drift_nm_s": (0.7, 0.2), "diffusion_nm2_s": 0.5, "dose_spread": 0.1}
    one, same, other = (movie(SCENE, 3, seed, **changes) for seed in (1, 1, 2))
    assert digest(one.image) == digest(same.image) != digest(other.image)
    assert digest(one.labels) == digest(same.labels)
    counts, labels = movie(SCENE, 3, 1, **changes).frame(2)
    assert (counts == one.image.inav[2].data.compute()).all()
    assert (labels == one.labels.data[2].compute()).all()
    assert one.particles.equals(same.particles)
    assert one.events.equals(same.events)


def test_it_is_lazy_and_calibrated():
    long = movie(FEW, 5000, seconds=0.1)
    assert long.image._lazy
    assert long.image.data.shape == (5000, 96, 96)
    assert long.image.axes_manager[0].scale == pytest.approx(0.1)
    assert long.image.axes_manager[0].units == "s"
    assert long.image.axes_manager[1].units == "nm"
    assert max(long.image.data.chunks[0]) * 96 * 96 <= 2**20


@pytest.mark.parametrize("exponent", [1 / 3, 1 / 2, 1.0])
def test_particles_grow_as_the_power_law_says(exponent):
    grown = movie(SCENE, 20, 3, growth_nm=1.5, growth_exponent=exponent, seconds=2.0, coalescence=False)
    for _, rows in grown.particles.groupby("particle"):
        begin = rows["diameter_nm"].iloc[0] ** (1 / exponent)
        expected = (begin + 1.5 ** (1 / exponent) * rows["time_s"]) ** exponent
        np.testing.assert_allclose(rows["diameter_nm"], expected, rtol=1e-9)


def test_labels_cover_the_area_that_the_truth_states():
    grown = movie(SCENE, 4, 3, growth_nm=3.0, nucleation_per_s=1.0)
    labels = grown.labels.data.compute()
    for row in grown.particles.query("whole").itertuples():
        pixels = labels[row.frame] == row.particle
        assert pixels.sum() * 0.25 == pytest.approx(np.pi / 4 * row.diameter_nm**2, rel=0.12)
        y, x = (np.argwhere(pixels).mean(axis=0) + 0.5) * 0.5
        assert np.hypot(y - row.y_nm, x - row.x_nm) < 0.25
    assert set(np.unique(labels)) == {0, *grown.particles["particle"]}


def test_coalescence_keeps_the_volume_and_the_centre_of_mass():
    merging = movie(SCENE, 40, 3, diffusion_nm2_s=20.0, seconds=0.2)
    merges = merging.events.query("event == 'merges into'")
    assert len(merges)
    table = merging.particles.set_index(["frame", "particle"])
    alone = merges[~merges.duplicated(["frame", "partner"], keep=False)]
    for row in alone.itertuples():
        small, large = (table.loc[(row.frame, number), "diameter_nm"] for number in (row.particle, row.partner))
        assert small <= large
        assert table.loc[(row.frame + 1, row.partner), "diameter_nm"] ** 3 == pytest.approx(small**3 + large**3)
        assert (row.frame + 1, row.particle) not in table.index


def test_ripening_keeps_the_volume_until_the_small_ones_are_gone():
    ripening = movie(Scene(size_px=256, n_particles=12, diameter_nm=12, diameter_spread=0.3), 30, 2, ripening_nm3_s=3.0)
    sums = ripening.particles.groupby("frame")["diameter_nm"].agg(lambda d: (d**3).sum())
    first = ripening.events["frame"].min()
    np.testing.assert_allclose(sums[: first + 1], sums[0], rtol=1e-6)
    assert set(ripening.events["event"]) == {"dissolves"}
    gone = ripening.particles.set_index(["particle", "frame"])["diameter_nm"]
    for row in ripening.events.itertuples():
        assert gone[(row.particle, row.frame)] < gone[(row.particle, 0)]


def test_diffusion_is_that_of_the_constant():
    moving = movie(Scene(size_px=512, n_particles=60, diameter_nm=3), 60, 1, diffusion_nm2_s=0.25, coalescence=False)
    steps = moving.particles.groupby("particle")[["y_nm", "x_nm"]].diff().dropna()
    assert (steps**2).to_numpy().mean() == pytest.approx(2 * 0.25, rel=0.05)


def test_the_film_drifts_with_the_particles():
    drifting = movie(Scene(size_px=128, n_particles=0, dose=1e5, illumination_gradient=0, drift_nm=0), 4, 1,
                     drift_nm_s=(1.25, -2.0))  # fmt: skip
    frames = drifting.image.data.compute().astype(float)
    window = np.hanning(128)[:, None] * np.hanning(128)
    shown = [window * (gaussian_filter(frame, 1) - gaussian_filter(frame, 4)) for frame in frames]
    shift, _, _ = phase_cross_correlation(shown[1], shown[0], upsample_factor=20, normalization=None)
    np.testing.assert_allclose(shift * 0.5, [1.25, -2.0], atol=0.1)
    np.testing.assert_allclose(drifting.frames[["drift_y_nm", "drift_x_nm"]].iloc[3], [3.75, -6.0])


def test_dropped_frames_are_black_and_hold_no_particle():
    dropped = movie(SCENE, 20, 5, dropped=0.3)
    black = dropped.frames["dropped"].to_numpy()
    assert 0 < black.sum() < 20
    counts, labels = dropped.image.data.compute(), dropped.labels.data.compute()
    assert (counts[black] == 0).all()
    assert (labels[black] == 0).all()
    assert (labels[~black] > 0).any(axis=(1, 2)).all()
    assert (dropped.particles["shown"] == ~black[dropped.particles["frame"]]).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 5), st.floats(0, 1), st.booleans())
def test_numbers_are_unique_and_events_stand_where_particles_begin_and_end(seed, growth, dissolving, coalescence):
    happened = movie(SCENE, 12, seed, growth_nm=growth, dissolving=dissolving, coalescence=coalescence,
                     nucleation_per_s=1.0, diffusion_nm2_s=2.0, drift_nm_s=(1.0, 0.0))  # fmt: skip
    table, events = happened.particles, happened.events
    assert not table.duplicated(["frame", "particle"]).any()
    span = table.groupby("particle")["frame"].agg(["min", "max", "size"])
    assert (span["max"] - span["min"] + 1 == span["size"]).all()
    begins, ends = events.query("event == 'appears'"), events.query("event != 'appears'")
    assert (begins["frame"].to_numpy() == span.loc[begins["particle"], "min"]).all()
    assert (ends["frame"].to_numpy() == span.loc[ends["particle"], "max"]).all()
    assert set(span.index[span["max"] < 11]) == set(ends["particle"])
    assert set(span.index[span["min"] > 0]) == set(begins["particle"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"groth_nm": 1}, "nothing is called 'groth_nm'"),
        ({"growth_nm": -1}, "growth_nm=-1 is out of range"),
        ({"drift_nm_s": (1.0,)}, "two velocities"),
        ({"drift_nm_s": (1e5, 0.0)}, "let it drift less"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(changes, words):
    with pytest.raises(ValueError, match=words):
        movie(SCENE, 10, **changes)
    with pytest.raises(ValueError, match="frames=0 is out of range"):
        movie(SCENE, 0)
    with pytest.raises(ValueError, match="a movie has no marks"):
        movie(Scene(marks=True), 3)


def test_what_merges_with_one_that_merges_at_once_is_in_the_last():
    merged = {1: 2, 2: 3, 4: 5}
    assert histories._end_of_merged(2, merged, {3}) == ("merges into", 3)
    assert histories._end_of_merged(5, merged, {3}) == ("leaves", 0)
