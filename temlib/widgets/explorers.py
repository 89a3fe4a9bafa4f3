"""Explorers: sliders above a picture that follows them.

Each is one call in a cell. Where nobody can move a slider, as under papermill and nbconvert, the
picture of the first state stands alone. The pictures themselves are made in
:mod:`temlib.widgets.pictures`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from temlib.files.grey_levels import normalise
from temlib.files.micrographs import as_array, load_micrograph, micrograph
from temlib.particles.frame_correction import FRAME_COLUMNS, require
from temlib.synthetic import SHAPES, Scene
from temlib.widgets import pictures

__all__ = [
    "Choice",
    "Explorer",
    "Slider",
    "explore_dose_and_defocus",
    "explore_features",
    "explore_iou",
    "explore_masks",
    "explore_scene",
    "explore_threshold",
    "explore_tracks",
    "someone_can_move_sliders",
]

_QUIET = 0.05  # seconds in which further moves of a slider are gathered before the picture is drawn
_SCENE = Scene(size_px=256, n_particles=12, clustering=0.3)


@dataclass(frozen=True)
class Slider:
    """A number between two ends, in steps of whole numbers where ``low``, ``high`` and ``step`` are.

    Attributes
    ----------
    value, low, high, step : float
        First value, the ends and the step; of a logarithmic slider value and ends are the numbers
        themselves and the step that of their decimal logarithm.
    words : str
        What stands beside it, with the unit.
    logarithmic : bool
        Equal steps multiply.
    """

    value: float
    low: float
    high: float
    step: float
    words: str
    logarithmic: bool = False

    def widget(self) -> ipywidgets.Widget:
        """Make the ipywidget."""
        looks = {"description": self.words, "layout": {"width": "34em"}, "style": {"description_width": "15em"}}
        if self.logarithmic:
            ends = {"min": float(np.log10(self.low)), "max": float(np.log10(self.high))}
            return ipywidgets.FloatLogSlider(self.value, **ends, step=self.step, readout_format=".3g", **looks)
        whole = all(isinstance(number, int) for number in (self.value, self.low, self.high, self.step))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        return kind(self.value, min=self.low, max=self.high, step=self.step, **looks)


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    value: str
    options: Sequence[str]
    words: str

    def widget(self) -> ipywidgets.Widget:
        """Make the ipywidget."""
        style = {"description_width": "15em"}
        return ipywidgets.Dropdown(options=self.options, value=self.value, description=self.words, style=style)


@dataclass(frozen=True)
class Explorer:
    """A picture and what moves it.

    Attributes
    ----------
    draw : function
        Takes the controls' values by name, gives a matplotlib figure.
    controls : dict of str to Slider or Choice
        By the names of the function's parameters.
    """

    draw: Callable[..., Figure]
    controls: dict[str, Slider | Choice] = field(default_factory=dict)

    def picture(self, **values: Any) -> bytes:
        """Give the picture as png, of the first state but for the values given."""
        first = {name: control.value for name, control in self.controls.items()}
        return pictures.png(self.draw(**(first | values)))

    def widget(self) -> ipywidgets.Widget:
        """Make the widget: controls, and below them the picture, which follows.

        Moves that come faster than the picture is drawn are gathered: the last one counts.
        """
        controls = {name: control.widget() for name, control in self.controls.items()}
        image = ipywidgets.Image(
            value=self.picture(), format="png", layout={"max_width": "100%", "align_self": "flex-start"}
        )
        waiting: list[asyncio.Handle] = []

        def draw() -> None:
            waiting.clear()
            image.value = self.picture(**{name: control.value for name, control in controls.items()})

        def moved(_change: Any) -> None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # outside a kernel
                draw()
                return
            if not waiting:
                waiting.append(loop.call_later(_QUIET, draw))

        for control in controls.values():
            control.observe(moved, "value")
        return ipywidgets.VBox([*controls.values(), image])

    def show(self) -> None:
        """Show the widget, or the picture alone where nobody can move a slider."""
        from IPython.display import display

        if someone_can_move_sliders():
            display(self.widget())
        else:
            display({"image/png": self.picture()}, raw=True)  # no text beside it: it would be kept in the notebook


def someone_can_move_sliders() -> bool:
    """Say whether a person sits before this notebook.

    A front end in which one does lets the kernel ask for input; papermill, nbconvert and nbval do not.
    ``TEMLIB_WIDGETS=1`` in the environment says yes where that is wrong, ``0`` no.
    """
    said = os.environ.get("TEMLIB_WIDGETS")
    if said is not None:
        return said != "0"
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None:
        return False
    return bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))


def explore_scene(scene: Scene = _SCENE, seed: int = 0) -> None:
    """Move what a synthetic micrograph is made of, and see it beside its exact label.

    Parameters
    ----------
    scene : Scene
        Where it starts; see :class:`temlib.synthetic.Scene`.
    seed : int
        Of the simulation.
    """
    widest = scene.size_px * scene.pixel_size_nm / 3
    controls: dict[str, Slider | Choice] = {
        "shape": Choice(scene.shapes[0], list(SHAPES), "shape"),
        "diameter_nm": Slider(float(min(scene.diameter_nm, widest)), 4.0, float(round(widest)), 1.0, "diameter [nm]"),
        "n_particles": Slider(scene.n_particles, 1, 60, 1, "particles"),
        "clustering": Slider(scene.clustering, 0.0, 1.0, 0.1, "share that touches another"),
        "attenuation_length_nm": Slider(scene.attenuation_length_nm, 5.0, 500.0, 0.05, "attenuation length [nm]", True),
        "film_thickness_nm": Slider(scene.film_thickness_nm, 0.0, 60.0, 2.0, "film thickness [nm]"),
    }
    Explorer(partial(pictures.scene, scene, seed), controls).show()


def explore_dose_and_defocus(scene: Scene = _SCENE, seed: int = 0) -> None:
    """Move dose and defocus of a micrograph: shot noise, contrast and Fresnel fringes.

    Parameters
    ----------
    scene : Scene
        What lies under the beam.
    seed : int
        Of the simulation: particles and film stay the same.
    """
    controls: dict[str, Slider | Choice] = {
        "dose": Slider(400.0, 10.0, 1e5, 0.1, "dose [electrons/nm²]", True),
        "defocus_nm": Slider(500, -3000, 3000, 100, "defocus [nm], + is under"),
    }
    Explorer(partial(pictures.dose_and_defocus, scene, seed), controls).show()


def explore_threshold(image: Any, maps: np.ndarray) -> None:
    """Move the threshold of a prediction: outlines, number of particles, and their size histogram.

    Parameters
    ----------
    image : Signal2D of shape (height, width)
        A micrograph.
    maps : float array of shape (height, width, 2)
        What a segmenter says of it, :meth:`temlib.Segmenter.maps`.

    Raises
    ------
    ValueError
        When the two differ in shape.
    """
    if as_array(image).shape != maps.shape[:2]:
        raise ValueError(f"maps of shape {maps.shape} are not those of an image of shape {as_array(image).shape}")
    controls: dict[str, Slider | Choice] = {
        "threshold": Slider(0.5, 0.05, 0.95, 0.05, "threshold of the probability"),
        "depth": Slider(0.2, 0.01, 0.5, 0.01, "depth of the valley"),
    }
    Explorer(partial(pictures.threshold, image, maps), controls).show()


def explore_features(image: Any, encoder: Any) -> None:
    """Look through the feature maps that an encoder hands to the decoder.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        A micrograph.
    encoder : keras.Model
        From :func:`temlib.network.unet.encoder`.
    """
    grey = normalise(image)
    maps = [np.asarray(m)[0] for m in encoder(np.repeat(grey[None, :, :, None], 3, axis=-1))]
    fewest = min(m.shape[-1] for m in maps)
    controls: dict[str, Slider | Choice] = {
        "level": Slider(2, 1, len(maps), 1, "level, 1 is the finest"),
        "first": Slider(0, 0, max(0, fewest - 8), 8, "channels, most varied first"),
    }
    Explorer(partial(pictures.features, grey, maps), controls).show()


def explore_masks(micrographs: Sequence[Any], ml: Sequence[Any], probabilities: Sequence[Any]) -> None:
    """Go through micrographs: machine-learning label and prediction against the truth, with their IoU.

    Parameters
    ----------
    micrographs : sequence of temlib.datasets.Annotated
        With their true labels.
    ml : sequence of masks
        Their machine-learning labels.
    probabilities : sequence of signals or arrays
        What a segmenter says of them, :meth:`temlib.Segmenter.probability`.
    """
    together = list(zip(micrographs, ml, probabilities, strict=True))

    def draw(number: int, threshold: float) -> Figure:
        micrograph, label, probability = together[number - 1]
        return pictures.masks(micrograph.image, micrograph.mask, label, probability, threshold)

    controls: dict[str, Slider | Choice] = {
        "number": Slider(1, 1, len(together), 1, "micrograph"),
        "threshold": Slider(0.5, 0.05, 0.95, 0.05, "threshold of TL"),
    }
    Explorer(draw, controls).show()


def explore_tracks(tracks: pd.DataFrame, movie: Any, frame: int = 0, track: int | None = None) -> None:
    """Go through a movie: the ways of the particles, and the diameter of one of them in all its frames.

    Parameters
    ----------
    tracks : DataFrame
        What :func:`temlib.track_particles` gave.
    movie : Signal2D or array of shape (frames, height, width), or a path
        The grey levels; a lazy one, or one that lies in a file, is read frame by frame.
    frame, track : int
        Where it starts, and whose curve is drawn first; by default that of the particle seen longest.

    Raises
    ------
    ValueError
        When the table lacks a column or has no track, ``frame`` or ``track`` is not in it, or it is of another movie.
    """
    movie = load_micrograph(movie, lazy=True) if isinstance(movie, str | os.PathLike) else movie
    shape = np.shape(movie.data if hasattr(movie, "inav") else movie)
    require(tracks, ("track", "frame", "event", *FRAME_COLUMNS), "track_particles")
    if tracks.empty or len(shape) != 3 or shape[0] <= tracks["frame"].max() or shape[0] < 2:
        raise ValueError(f"these are not the tracks of a movie of shape {shape}, or there are none")
    if shape[1:] != tuple(tracks[[*FRAME_COLUMNS]].iloc[0]):
        raise ValueError(f"these are not the tracks of a movie with frames of {shape[1]} x {shape[2]} pixels")
    track = int(tracks["track"].mode()[0]) if track is None else track
    if not 0 <= frame < shape[0] or track not in tracks["track"].to_numpy():
        raise ValueError(f"frame={frame} or track={track} is not in the table; choose one that is")
    movie = movie if hasattr(movie, "inav") else micrograph(np.asarray(movie), None, "movie", [{"name": "frame"}])
    tracks = tracks.assign(event=tracks["event"].astype(object).fillna(""))  # of a csv file that was read
    controls: dict[str, Slider | Choice] = {
        "frame": Slider(frame, 0, shape[0] - 1, 1, "frame"),
        "track": Slider(track, 1, int(tracks["track"].max()), 1, "particle whose curve is drawn"),
    }
    Explorer(partial(pictures.tracks, tracks, movie), controls).show()


def explore_iou() -> None:
    """Shift and dilate the mask of a disc: how much IoU is lost, and how much more by small particles."""
    controls: dict[str, Slider | Choice] = {
        "diameter_px": Slider(32, 4, 120, 2, "diameter of the particle [px]"),
        "shift_px": Slider(3, 0, 10, 1, "shift [px]"),
        "dilation_px": Slider(0, -10, 10, 1, "dilation, - is erosion [px]"),
    }
    Explorer(pictures.iou_of_disc, controls).show()
