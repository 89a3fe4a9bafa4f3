"""Particles are followed through movies: known paths, meetings and ends."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import temlib
from temlib import track_particles
from temlib.errors import MicrographError
from temlib.files.micrographs import micrograph
from temlib.particles.drift import Drift
from temlib.particles.linking import Track, link, particles_of
from temlib.synthetic import Scene, movie

SHAPE = (96, 128)


def discs(*frames, shape=SHAPE):
    """Label discs (y, x, radius); where two overlap, the later one; None is none."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    drawn = np.zeros((len(frames), *shape), np.int32)
    for picture, frame in zip(drawn, frames, strict=True):
        for label, disc in enumerate(frame, start=1):
            if disc is not None:
                picture[np.hypot(y - disc[0], x - disc[1]) <= disc[2]] = label
    return drawn


def events_of(tracks):
    rows = tracks[tracks["event"] != ""]
    return [(row.frame, row.event) for row in rows.itertuples()]


def paths(tracks):
    """What does not hang on the numbers of tracks: the places of each, in order."""
    return sorted(
        tuple(zip(rows["frame"], rows["centroid_y_px"], rows["centroid_x_px"])) for _, rows in tracks.groupby("track")
    )


def test_discs_that_stay_keep_their_numbers_and_nothing_happens():
    tracks = track_particles(discs(*[[(20, 20, 6), (60, 90, 10), (70, 30, 8)]] * 5))
    assert len(tracks) == 15
    assert (tracks["event"] == "").all()
    assert (tracks.groupby("track").size() == 5).all()
    assert tracks.groupby("track")["centroid_x_px"].nunique().max() == 1
    assert list(tracks["track"][:3]) == [1, 2, 3]
    assert tracks["time_s"].isna().all()


def test_two_discs_that_cross_keep_their_numbers():
    frames = [[(40, 20 + 5 * t, 9), (50, 105 - 5 * t, 9)] for t in range(18)]
    tracks = track_particles(discs(*frames))
    assert tracks["track"].nunique() == 2
    first = tracks.groupby("track")[["centroid_x_px"]].agg(["first", "last"])["centroid_x_px"]
    assert set(zip(first["first"].round(), first["last"].round())) == {(20, 105), (105, 20)}


def test_two_discs_that_merge():
    apart = [[(48, 40 + 2 * t, 8), (48, 88 - 2 * t, 12)] for t in range(8)]
    one = [[(48, 65, 13)]] * 4
    tracks = track_particles(discs(*apart, *one))
    assert events_of(tracks) == [(7, "merges into")]
    merged = tracks[tracks["event"] == "merges into"].iloc[0]
    assert merged["equivalent_diameter_px"] == pytest.approx(16, abs=0.5)
    large = tracks[(tracks["frame"] == 11)].iloc[0]
    assert merged["partner"] == large["track"]
    assert len(tracks[tracks["track"] == large["track"]]) == 12


def test_a_disc_that_shrinks_dissolves_and_one_that_grows_appears():
    frames = [[(48, 40, max(9 - t, 0)) if t < 8 else None, (48, 90, t - 3) if t > 4 else None] for t in range(14)]
    tracks = track_particles(discs(*frames))
    assert events_of(tracks) == [(5, "appears"), (7, "dissolves")]


def test_a_disc_that_passes_the_edge_leaves():
    tracks = track_particles(discs(*[[(40, 100 + 5 * t, 7)] for t in range(9)]))
    assert [event for _, event in events_of(tracks)] == ["leaves"]


def test_a_gap_is_closed_and_a_longer_one_is_not():
    there = [(40, 40, 8), (70, 90, 8)]
    frames = [there, there, [there[0]], [], there, there]
    assert track_particles(discs(*frames), gap=2)["track"].nunique() == 2
    assert (track_particles(discs(*frames), gap=2)["event"] == "").all()
    broken = track_particles(discs(*frames), gap=0)
    assert broken["track"].nunique() == 4
    assert sorted(events_of(broken)) == [(1, "dissolves"), (2, "dissolves"), (4, "appears"), (4, "appears")]


def frames_of(discs_of_frames, labels):
    """Grey levels of dark discs (y, x, radius, contrast) on a noisy film, whatever was found of them."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[: labels.shape[1], : labels.shape[2]]
    images = 100 + ndimage.gaussian_filter(rng.normal(0, 30, labels.shape[1:]), 1) + rng.normal(0, 3, labels.shape)
    for image, some in zip(images, discs_of_frames, strict=True):
        for cy, cx, radius, contrast in some:
            image[np.hypot(y - cy, x - cx) <= radius] -= contrast
    return images


def test_memory_of_linking_grows_with_the_particles_not_with_their_square():
    squares = np.kron(np.arange(1, 2501).reshape(50, 50), np.pad(np.ones((6, 6), int), 2))
    particles, still = particles_of(squares), np.zeros(2)
    tracks = [Track.begin(number, particles, number, 0, still) for number in range(len(particles))]
    tracemalloc.start()
    pairs = link(tracks, particles, 1, still)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs == [(number, number) for number in range(2500)]
    assert peak < 8 * 2500**2  # a single distance between all


@pytest.mark.parametrize("gap", [0, 2])
def test_a_particle_that_grey_levels_show_before_and_after_neither_appears_nor_dissolves(gap):
    seen = [(40, 40, 8), (70, 90, 8)]
    labels = discs(*[[seen[0]]] * 4, *[seen] * 4, *[[seen[0]]] * 4)
    there = [[(*disc, 40) for disc in seen]] * 12
    gone = [[(*seen[0], 40)]] * 4 + there[:4] + [[(*seen[0], 40)]] * 4
    missed = track_particles(labels, frames_of(there, labels), gap=gap)
    assert missed["track"].nunique() == 2
    assert (missed["event"] == "").all()
    true = track_particles(labels, frames_of(gone, labels), gap=gap)
    assert events_of(true) == [(4, "appears"), (7, "dissolves")]
    assert events_of(track_particles(labels, gap=gap)) == events_of(true)  # without grey levels nothing else is known


def test_a_particle_that_comes_from_where_another_was_is_no_missed_one():
    first, second = (40, 40, 8), (40, 80, 8)
    far = [(70, 40, 8), (70, 80, 8)]
    moved = discs(*[[first, second]] * 3, *[far] * 3)  # beyond reach: new particles
    images = frames_of([[(*first, 40), (*second, 40)]] * 3 + [[(*disc, 40) for disc in far]] * 3, moved)
    events = sorted(event for _, event in events_of(track_particles(moved, images, reach_px=5)))
    assert events == ["appears", "appears", "dissolves", "dissolves"]


def test_dropped_frames_tell_nothing_wherever_they_are():
    labels = discs(*[[(40, 40, 8), (70, 90, 8)]] * 8)
    images = np.random.default_rng(0).poisson(100, labels.shape)
    for frame in (0, 3, 4, 7):
        labels[frame], images[frame] = 0, 0
    tracks = track_particles(labels, images, gap=1)
    assert tracks["track"].nunique() == 2
    assert (tracks["event"] == "").all()


def test_a_known_drift_is_found_and_taken_out():
    made = movie(
        Scene(size_px=192, n_particles=8, diameter_nm=9, drift_nm=0), 8, 3, seconds=0.5, drift_nm_s=(0.9, -1.4)
    )
    tracks = track_particles(made.labels, made.image)
    true = made.frames.set_index("frame")[["drift_y_nm", "drift_x_nm"]]
    found = tracks.groupby("frame")[["drift_y_nm", "drift_x_nm"]].first()
    np.testing.assert_allclose(found, true, atol=0.15)  # 0.3 pixels
    whole = tracks[~tracks.groupby("track")["touches_edge"].transform("any")]
    assert len(whole)
    assert whole.groupby("track")[["y_nm", "x_nm"]].std().to_numpy().max() < 0.15
    assert tracks["time_s"].max() == pytest.approx(3.5)
    without = track_particles(made.labels)
    assert (without[["drift_y_nm", "drift_x_nm"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("edge", "missed", "within_px"), [(100, 0, 0.4), (250, 0, 0.1), (512, 0, 0.05), (250, 2, 0.15), (512, 2, 0.1)]
)
def test_a_known_path_of_the_stage_is_found_while_particles_move_on_their_own(edge, missed, within_px):
    rng = np.random.default_rng(edge)
    film = ndimage.gaussian_filter(rng.normal(0, 1, (edge + 40,) * 2), 1.5)
    path = np.concatenate([np.zeros((1, 2)), rng.normal(0, 0.8, (11, 2)).cumsum(axis=0)])
    at = rng.uniform(10, edge - 10, (edge // 20, 2)) + rng.normal(0, 2, (12, 1, 2)).cumsum(axis=0)
    drift, found = Drift(), []
    for frame, moved in enumerate(path):
        labels = discs([(*place, 7) for place in at[frame]], shape=(edge, edge))[0]
        mean = 900 + 400 * ndimage.shift(film, moved, mode="mirror")[20:-20, 20:-20]
        image = rng.poisson(np.where(labels, 0.6, 1) * mean)
        labels[labels > labels.max() - missed] = 0  # their grey levels stay
        found.append(drift.add(frame, image, labels).copy())
    np.testing.assert_allclose(found, path, atol=within_px)


def test_true_numbers_are_found_again_in_a_movie_of_all_that_happens():
    scene = Scene(size_px=192, n_particles=10, diameter_nm=8, diameter_spread=0.2)
    made = movie(scene, 25, 3, growth_nm=1.5, nucleation_per_s=0.2, diffusion_nm2_s=0.2, dropped=0.08, dissolving=0.2)
    tracks = track_particles(made.labels)
    pure = tracks.groupby("track")["particle"].agg(lambda numbers: (numbers == numbers.mode()[0]).mean())
    assert (pure == 1).mean() > 0.9
    assert tracks.groupby("particle")["track"].nunique().mean() < 1.1
    assert set(tracks["event"]) >= {"", "appears", "merges into"}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_order_of_labels_does_not_matter_and_numbers_are_unique_in_a_frame(seed, order):
    made = movie(Scene(size_px=64, n_particles=4, diameter_nm=5), 6, seed, diffusion_nm2_s=1.0, growth_nm=1.0)
    labels = made.labels.data.compute()
    tracks = track_particles(labels)
    assert not tracks.duplicated(["frame", "track"]).any()
    rng = np.random.default_rng(order)
    shuffled = np.stack([np.concatenate([[0], 1 + rng.permutation(labels.max())])[frame] for frame in labels])
    again = track_particles(shuffled)
    pd.testing.assert_frame_equal(tracks.drop(columns="particle"), again.drop(columns="particle"))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(5, 9))
def test_reversed_time_gives_reversed_events(seed, frames_apart, radius):
    rng = np.random.default_rng(seed)
    step, at = 2, int(rng.integers(40, 56))
    gap = 2 * radius + 2
    before = [
        [(at, 64 - gap / 2 - step * t, radius), (at, 64 + gap / 2 + step * t, radius + 2)] for t in range(frames_apart)
    ]
    joined = [[(at, 65, np.cbrt(radius**3 + (radius + 2) ** 3))]] * 3
    labels = discs(*before[::-1], *joined)
    forwards, backwards = track_particles(labels), track_particles(labels[::-1])
    last = len(labels) - 1
    reverse = {
        "merges into": "splits from",
        "splits from": "merges into",
        "appears": "dissolves",
        "dissolves": "appears",
    }
    assert events_of(forwards) == [(frames_apart - 1, "merges into")]
    assert [(last - frame, reverse[event]) for frame, event in events_of(backwards)] == events_of(forwards)
    turned = backwards.assign(frame=last - backwards["frame"]).sort_values("frame", kind="stable")
    assert paths(turned) == paths(forwards)


def test_a_signal_gives_nanometres_and_seconds_lazily_as_in_memory(tmp_path):
    labels = discs(*[[(30, 30 + t, 6), (60, 80, 9)] for t in range(4)])
    time = {"name": "time", "scale": 250.0, "offset": 1000.0, "units": "ms"}
    signal = micrograph(labels, 0.5, "numbered", [time])
    tracks = track_particles(signal)
    assert list(tracks["time_s"].unique()) == [1.0, 1.25, 1.5, 1.75]
    assert tracks["equivalent_diameter_nm"].iloc[0] == pytest.approx(6, rel=0.03)
    path = tmp_path / "numbered.zspy"
    signal.as_lazy().save(path, show_progressbar=False)
    pd.testing.assert_frame_equal(track_particles(path), tracks)
    pd.testing.assert_frame_equal(track_particles(labels, pixel_size_nm=0.5, seconds=0.25).drop(columns="time_s"),
                                  tracks.drop(columns="time_s"))  # fmt: skip


@pytest.mark.parametrize(
    ("particles", "words"),
    [
        (np.zeros((0, 8, 8), int), "without frames"),
        (np.zeros((1, 8, 8), int), "one frame"),
        (np.zeros((8, 8), int), "one frame"),
        (np.zeros((3, 8, 8)), "holds float64"),
        (np.zeros((3, 8, 8), bool), "a mask that does not tell particles apart"),
        ([np.zeros((8, 8), int), np.zeros((9, 8), int)], "frames of different shapes"),
        ("nothing.zspy", "there is no such file"),
        (-np.ones((3, 8, 8), int), "got -1"),
    ],
)
def test_what_is_no_movie_of_numbered_particles_is_refused_in_a_line(particles, words):
    with pytest.raises(ValueError, match=words) as refused:
        track_particles(particles)
    assert "\n" not in str(refused.value)


def test_frames_of_another_shape_and_senseless_settings_are_refused_in_a_line():
    labels = discs([], [(9, 9, 3)])
    with pytest.raises(MicrographError, match="pass those of one movie"):
        track_particles(labels, np.zeros((2, 9, 9)))
    for options in ({"gap": -1}, {"reach_px": 0}, {"seconds": np.nan}, {"seconds": 0}):
        with pytest.raises(MicrographError, match="out of range"):
            track_particles(labels, **options)
    assert temlib.track_particles(labels).shape[0] == 1
    assert track_particles(np.zeros((3, 8, 8), int)).empty
