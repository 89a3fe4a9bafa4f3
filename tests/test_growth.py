"""Growth: power laws, rates and diffusion of known movies."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from temlib import growth_curves, track_particles
from temlib.particles.power_laws import fit_power_law
from temlib.synthetic import Scene, movie

TIME = np.arange(40.0)


def table_of(diameters, events=(), frames=None, seconds=1.0):
    """Tracks of particles that stay where they are; events are (track, frame, event, partner)."""
    rows = []
    for track, values in enumerate(diameters, start=1):
        for frame, value in zip(frames or range(len(values)), values):
            row = {"track": track, "frame": frame, "time_s": frame * seconds, "event": "", "partner": 0}
            row |= {"y_nm": 0.0, "x_nm": 0.0, "equivalent_diameter_nm": value, "touches_edge": False}
            rows.append(row)
    table = pd.DataFrame(rows)
    for track, frame, event, partner in events:
        where = (table["track"] == track) & (table["frame"] == frame)
        table.loc[where, "event"], table.loc[where, "partner"] = event, partner
    return table


@settings(max_examples=12, deadline=None)
@given(st.floats(0.2, 1.2), st.floats(0.5, 5), st.floats(0, 20), st.floats(1e-3, 1e3))
def test_an_exact_power_law_gives_its_exponent_in_any_unit(exponent, k, before, unit):
    diameters = [unit * (k * f * (TIME + before + 1)) ** exponent for f in (0.7, 1, 1.4)]
    law = fit_power_law([(TIME * 3, d) for d in diameters])
    assert law.exponent == pytest.approx(exponent, abs=2e-3)
    assert law.low <= law.exponent <= law.high
    np.testing.assert_allclose(law.fitted[0], diameters[0], rtol=1e-3)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng, held = np.random.default_rng(0), []
    for _ in range(120):
        clean = [(4 + a * TIME) ** 0.5 * 3 for a in rng.uniform(0.5, 1.5, 8)]
        law = fit_power_law([(TIME, d + rng.normal(0, 0.1, 40)) for d in clean])
        held.append(law.low <= 0.5 <= law.high)
    assert 0.89 <= np.mean(held) <= 0.99


def test_it_holds_it_too_where_few_particles_know_most_and_outlines_err_alike_for_a_while():
    rng, held = np.random.default_rng(0), []
    for _ in range(120):
        curves = []
        for a, frames in zip(rng.uniform(0.5, 1.5, 8), (40, 40, 40, 40, 12, 12, 12, 12), strict=True):
            noise = ndimage.gaussian_filter1d(rng.normal(0, 0.5, 40), 6) + rng.normal(0, 0.05, 40)
            curves.append((TIME[:frames], ((4 + a * TIME) ** 0.5 * 3 + noise)[:frames]))
        law = fit_power_law(curves)
        held.append(law.low <= 0.5 <= law.high)
    assert 0.92 <= np.mean(held) <= 0.99


def test_one_wild_diameter_does_not_matter():
    curves = [(TIME, (3 + TIME) ** 0.5 + np.random.default_rng(s).normal(0, 0.02, 40)) for s in range(4)]
    curves[0][1][20] = 30
    assert fit_power_law(curves).exponent == pytest.approx(0.5, abs=0.03)


def test_a_movie_gives_exponent_and_diffusion_back():
    scene = Scene(size_px=256, n_particles=12, diameter_nm=6, diameter_spread=0.2)
    made = movie(scene, 30, 4, growth_nm=2.5, diffusion_nm2_s=0.05, seconds=2.0)
    curves = growth_curves(track_particles(made.labels))
    assert curves.exponent.low <= 0.5 <= curves.exponent.high
    assert curves.exponent.value == pytest.approx(0.5, abs=0.02)
    assert curves.diffusion.value == pytest.approx(0.05, rel=0.4)
    assert (curves.length, curves.time) == ("nm", "s")
    lag = curves.displacement.iloc[0]
    assert lag["lag"] == 2.0
    assert lag["msd"] == pytest.approx(4 * 0.05 * 2, rel=0.3)
    assert curves.plot().axes[0].get_xlabel() == "time [s]"


def test_tracks_are_cut_where_particles_merge_and_where_the_frame_cuts_them():
    growing = 3 * (1 + TIME) ** 0.5
    merged = growing + np.where(TIME > 19, 0.5, 0)
    table = table_of([merged, growing[:20]], [(2, 19, "merges into", 1)])
    pieces = growth_curves(table).table
    assert list(zip(pieces["track"], pieces["piece"], pieces["first_frame"], pieces["last_frame"])) == [
        (1, 1, 0, 19), (1, 2, 20, 39), (2, 1, 0, 19)]  # fmt: skip
    table.loc[(table["track"] == 1) & (table["frame"] < 5), "touches_edge"] = True
    assert growth_curves(table).table["first_frame"].min() == 0
    assert list(growth_curves(table).table["first_frame"]) == [5, 20, 0]
    assert growth_curves(table, fewest=18).table["frames"].min() >= 18


def test_tracks_are_cut_where_particles_turn_and_where_they_jump():
    rising, falling = 3 * (1 + TIME[:20]) ** 0.5, 3 * (1 + TIME[19::-1]) ** 0.5
    turning = growth_curves(table_of([np.concatenate([rising, falling])]))
    assert len(turning.table) == 2
    assert turning.exponent.value == pytest.approx(0.5, abs=0.02)
    jumping = growth_curves(table_of([3 * (5 + TIME) ** 0.5 + np.where(TIME > 24, 4.0, 0)]))
    assert list(jumping.table["first_frame"]) == [0, 25]


def test_rates_count_events_over_the_time_of_the_movie():
    table = table_of(
        [[5.0] * 20, [4.0] * 11, [4.0] * 11], [(2, 10, "dissolves", 0), (3, 10, "dissolves", 0)], seconds=0.5
    )
    rates = growth_curves(table).rates.set_index("event")
    assert rates.loc["dissolves", "count"] == 2
    assert rates.loc["dissolves", "rate"] == pytest.approx(2 / 9.5)
    assert rates.loc["dissolves", "low"] == pytest.approx(0.2422 / 9.5, rel=1e-3)  # exact Poisson, 95 %
    assert rates.loc["dissolves", "high"] == pytest.approx(7.2247 / 9.5, rel=1e-3)
    assert rates.loc["appears", "low"] == 0


@pytest.mark.parametrize(("seconds", "long"), [(0.5, 49.5), (np.nan, 99)])
def test_rates_count_the_empty_frames_of_a_movie_whose_length_is_told(seconds, long):
    table = table_of([[5.0] * 10, [4.0] * 5], [(2, 24, "dissolves", 0)], range(20, 30))
    table["time_s"] = table["frame"] * seconds
    rates = growth_curves(table, frames=100).rates.set_index("event")
    assert rates.loc["dissolves", "rate"] == pytest.approx(1 / long)
    assert growth_curves(table).rates.set_index("event").loc["dissolves", "rate"] == pytest.approx(11 / long)
    with pytest.raises(ValueError, match="the tracks reach frame 29"):
        growth_curves(table, frames=29)


def test_a_movie_without_particles_has_rates_of_zero_and_a_single_frame_of_one_unknown():
    nothing = growth_curves(table_of([[5.0]]).iloc[:0], frames=100).rates
    assert (nothing["rate"] == 0).all()
    assert nothing["high"].to_numpy() == pytest.approx(3.6889 / 99, rel=1e-3)
    alone = table_of([[5.0]], frames=[0], seconds=0.5)
    assert growth_curves(alone, frames=100).rates["rate"].isna().all()


def test_a_table_that_was_read_from_a_file_is_as_good(tmp_path):
    table = table_of([3 * (1 + TIME) ** 0.5] * 2)
    table.to_csv(tmp_path / "tracks.csv", index=False)  # no event at all: the column comes back as numbers
    assert growth_curves(pd.read_csv(tmp_path / "tracks.csv")).exponent == growth_curves(table).exponent


def test_particles_that_grow_and_never_move_are_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = growth_curves(table_of([3 * (1 + TIME) ** 0.5] * 2)).plot()
        figure.savefig(io.BytesIO())
    assert not len(figure.axes[1].lines[0].get_xdata())


def test_too_short_tracks_and_unknown_times_are_dealt_with():
    short = growth_curves(table_of([[5.0] * 4]))
    assert np.isnan(short.exponent.value)
    assert short.table.empty
    assert short.plot() is not None
    unknown = growth_curves(table_of([3 * (1 + TIME) ** 0.5]).assign(time_s=np.nan))
    assert unknown.time == "frame"
    with pytest.raises(ValueError, match="no column track"):
        growth_curves(pd.DataFrame({"frame": [1]}))
    with pytest.raises(ValueError, match="fewest=3"):
        growth_curves(table_of([[5.0] * 4]), fewest=3)
