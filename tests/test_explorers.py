"""Explorers without a browser: their pictures, and what a moved slider does."""

import asyncio

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import temlib
from temlib.datasets import Annotated
from temlib.palette import COLOURS
from temlib.synthetic import Scene, movie, simulate
from temlib.widgets import explorers, pictures


@pytest.fixture(scope="module")
def made():
    return simulate(Scene(size_px=128, n_particles=8, diameter_nm=9, clustering=0.5), 3)


@pytest.fixture(scope="module")
def maps(made):
    probability = np.where(made.mask.data, 0.6, 0.2) + np.linspace(-0.15, 0.15, 128)
    return np.stack([probability, made.mask.data], axis=-1).astype(np.float32)


def encoder(images):
    """Five maps, each of half the size of the one before."""
    return [np.repeat(images[:, ::s, ::s, :1], 16, axis=-1) * np.arange(16) for s in (2, 4, 8, 16, 32)]


@pytest.fixture(scope="module")
def explorer_of(made, maps):
    """Explorers by name, as the functions would show them."""
    truth = Annotated("a", made.image, made.labels)
    film = movie(Scene(size_px=64, n_particles=3, diameter_nm=6), 4, 1, growth_nm=2, drift_nm_s=(0.5, 0))
    calls = {
        "explore_scene": (made.scene,),
        "explore_dose_and_defocus": (made.scene,),
        "explore_threshold": (made.image, maps),
        "explore_features": (made.image, encoder),
        "explore_masks": ([truth] * 2, [made.mask, np.roll(made.mask.data, 3)], [maps[..., 0]] * 2),
        "explore_tracks": (temlib.track_particles(film.labels), film.image),
        "explore_iou": (),
    }
    shown = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, arguments in calls.items():
            patch.setattr(explorers.Explorer, "show", lambda self, name=name: shown.update({name: self}))
            getattr(explorers, name)(*arguments)
    return shown


NAMES = [name for name in explorers.__all__ if name.startswith("explore_")]


@pytest.mark.parametrize("name", NAMES)
def test_every_control_changes_the_picture(name, explorer_of):
    explorer = explorer_of[name]
    first = explorer.picture()
    assert first == explorer.picture()
    assert first.startswith(b"\x89PNG")
    for parameter, control in explorer.controls.items():
        ends = control.options[-1:] if isinstance(control, explorers.Choice) else (control.low, control.high)
        assert any(explorer.picture(**{parameter: end}) != first for end in ends), parameter


@pytest.mark.parametrize("name", NAMES)
def test_the_extremes_of_all_controls_can_be_drawn(name, explorer_of):
    explorer = explorer_of[name]
    for end in ("low", "high"):
        extremes = {key: getattr(control, end, control.value) for key, control in explorer.controls.items()}
        assert explorer.picture(**extremes)


def test_a_widget_starts_at_the_first_state_and_follows(explorer_of):
    for explorer in explorer_of.values():
        *controls, image = explorer.widget().children
        assert [control.value for control in controls] == [
            pytest.approx(c.value) if isinstance(c, explorers.Slider) else c.value for c in explorer.controls.values()
        ]
    before = image.value
    controls[0].value = 60
    assert image.value != before
    assert image.value == explorer.picture(diameter_px=60)


def test_quick_moves_are_gathered_and_the_last_one_counts():
    drawn = []

    def draw(number):
        drawn.append(number)
        return pictures.iou_of_disc(number, 0, 0)

    async def move():
        slider, _ = explorers.Explorer(draw, {"number": explorers.Slider(10, 4, 100, 1, "")}).widget().children
        for value in range(20, 60):
            slider.value = value
        await asyncio.sleep(4 * explorers._QUIET)

    asyncio.run(move())
    assert drawn == [10, 59]


def test_a_picture_stands_alone_where_nobody_can_move_sliders(monkeypatch, explorer_of):
    import IPython.display

    shown = []
    monkeypatch.delenv("TEMLIB_WIDGETS", raising=False)
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: shown.append((bundle, raw)))
    explorer_of["explore_iou"].show()
    assert shown == [({"image/png": explorer_of["explore_iou"].picture()}, True)]


@pytest.mark.parametrize(("said", "asked", "expected"), [(None, True, True), (None, False, False), ("1", False, True)])
def test_a_front_end_that_asks_for_no_input_has_nobody_before_it(monkeypatch, said, asked, expected):
    import IPython

    class Kernel:
        @staticmethod
        def get_parent(_channel):
            return {"content": {"allow_stdin": asked}}

    monkeypatch.delenv("TEMLIB_WIDGETS", raising=False)
    if said:
        monkeypatch.setenv("TEMLIB_WIDGETS", said)
    monkeypatch.setattr(IPython, "get_ipython", lambda: type("Shell", (), {"kernel": Kernel}))
    assert explorers.someone_can_move_sliders() is expected


def test_iou_of_discs_by_geometry():
    assert pictures.disc_iou(10, 10, 0) == 1
    assert pictures.disc_iou(5, 10, 2) == pytest.approx(1 / 4)
    assert pictures.disc_iou(5, 10, 15) == 0


@given(radius=st.floats(10, 40), growth=st.floats(-5, 5), shift=st.floats(0, 60))
def test_iou_of_discs_by_geometry_is_that_of_pixels(radius, growth, shift):
    y, x = np.mgrid[-50:51, -50:151]
    discs = np.hypot(y, x) <= radius, np.hypot(y, x - shift) <= radius + growth
    assert temlib.particles.scores.iou(*discs) == pytest.approx(
        pictures.disc_iou(radius, radius + growth, shift), abs=0.06
    )


@pytest.mark.parametrize("pixel_size", [None, (0.5, 0.5)])
def test_diameters_of_whole_particles_are_those_of_the_table(made, pixel_size):
    table = temlib.measure_particles(made.labels.data, pixel_size_nm=pixel_size)
    found, unit = pictures.whole_diameters(made.labels.data, pixel_size)
    assert sorted(found) == pytest.approx(
        sorted(table.loc[~table["touches_edge"], f"equivalent_diameter_{unit}"]), rel=1e-6
    )


def test_maps_of_another_image_are_refused(made):
    with pytest.raises(ValueError, match="not those of an image"):
        explorers.explore_threshold(made.image, np.zeros((4, 4, 2)))


def test_tracks_of_another_movie_are_refused(made):
    film = movie(Scene(size_px=64, n_particles=3, diameter_nm=6), 4, 1)
    table = temlib.track_particles(film.labels)
    with pytest.raises(ValueError, match=r"not the tracks of a movie of shape \(3, 64, 64\)"):
        explorers.explore_tracks(table, film.image.inav[:3])
    with pytest.raises(ValueError, match="or there are none"):
        explorers.explore_tracks(table[:0], film.image)
    with pytest.raises(ValueError, match="frames of 32 x 64 pixels"):
        explorers.explore_tracks(table, film.image.isig[:, :32])
    with pytest.raises(ValueError, match="no column event"):
        explorers.explore_tracks(table.drop(columns="event"), film.image)
    with pytest.raises(ValueError, match="frame=9 or track=1 is not in the table"):
        explorers.explore_tracks(table, film.image, frame=9, track=1)


def test_tracks_of_a_csv_file_are_drawn_on_an_array_as_on_the_signal(tmp_path, monkeypatch):
    film = movie(Scene(size_px=64, n_particles=3, diameter_nm=6), 4, 1)
    table = temlib.track_particles(film.labels)
    table.to_csv(tmp_path / "tracks.csv", index=False)
    read = pd.read_csv(tmp_path / "tracks.csv")
    shown = []
    monkeypatch.setattr(explorers.Explorer, "show", lambda explorer: shown.append(explorer))
    explorers.explore_tracks(table, film.image, frame=3)
    explorers.explore_tracks(read, film.image.data.compute(), frame=3)
    drawn = [explorer.draw(frame=3, track=explorer.controls["track"].value) for explorer in shown]
    number = 2 * (table["frame"] == 3).sum()  # a way and its end for each particle
    signal, array = ([line.get_xydata() for line in figure.axes[0].lines[-number:]] for figure in drawn)
    assert len(signal) == number
    for one, other in zip(signal, array, strict=True):
        np.testing.assert_allclose(one, other)


def test_ways_are_of_the_colour_of_what_is_found_and_the_chosen_one_is_wider():
    film = movie(Scene(size_px=64, n_particles=3, diameter_nm=6), 4, 1)
    figure = pictures.tracks(temlib.track_particles(film.labels), film.image, 3, 2)
    ways = [line for line in figure.axes[0].lines if line.get_marker() != "o"]
    assert {line.get_color() for line in figure.axes[0].lines} == {COLOURS["found"]}
    assert sorted(line.get_linewidth() for line in ways)[-2:] == [1, 2.5]


@pytest.mark.parametrize("number", [0, 1, 6])
def test_the_square_lies_in_the_micrograph_and_holds_an_edge_of_a_particle(number):
    made = simulate(Scene(size_px=128, n_particles=number, diameter_nm=15, clustering=0), 3)
    top, left = pictures._edge_of_a_particle(made)
    square = made.mask.data[top : top + 32, left : left + 32]
    assert square.shape == (32, 32)
    assert (0 < square.mean() < 1) == (number > 0)
