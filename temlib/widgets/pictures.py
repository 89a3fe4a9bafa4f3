"""The pictures of the explorers: parameters in, a matplotlib figure out; no widget, no state.

Figures are made without pyplot and without automatic layout, which would take longer than the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from temlib.drawing import show_micrograph
from temlib.files.grey_levels import normalise
from temlib.files.micrographs import as_array, pixel_size_of
from temlib.files.stacks import is_lazy
from temlib.palette import COLOURS, SERIES
from temlib.particles.frame_correction import PIXEL_COLUMNS
from temlib.particles.scores import iou
from temlib.particles.separation import separate_particles
from temlib.synthetic import Scene, SyntheticMicrograph, simulate

__all__ = [
    "dose_and_defocus",
    "features",
    "iou_of_disc",
    "masks",
    "png",
    "scene",
    "threshold",
    "tracks",
]

_DPI, _FONT = 100, 8
_TAIL = 20  # frames
_HEIGHT = 3.0  # of a panel [inch]


def png(figure: Figure) -> bytes:
    """Give a figure as png."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def scene(start: Scene, seed: int, **changes: Any) -> Figure:
    """Draw the micrograph of a scene, and beside it the mask that is exact by construction.

    Parameters
    ----------
    start : Scene
        What is not changed.
    seed : int
        Of the simulation: the same seed places the same particles.
    **changes
        Fields of the scene to set; ``shape`` stands for ``shapes`` with one of them.
    """
    shape = changes.pop("shape", None)
    changes |= {"shapes": (shape,)} if shape else {}
    made = simulate(replace(start, **changes), seed)
    figure, (left, right) = _panels(2)
    show_micrograph(left, made.image, f"{made.scene.n_particles} particles asked for, {len(made.particles)} placed")
    show_micrograph(right, made.image, "its exact label", {"truth": made.mask}, fill=True)
    return figure


def dose_and_defocus(start: Scene, seed: int, dose: float, defocus_nm: float) -> Figure:
    """Draw a scene at a dose and a defocus, and beside it a particle's edge, four times larger.

    Parameters
    ----------
    start : Scene
        What is not changed.
    seed : int
        Of the simulation.
    dose : float
        Electrons per nm^2.
    defocus_nm : float
        Defocus [nm], positive is underfocus.
    """
    made = simulate(replace(start, dose=dose, defocus_nm=defocus_nm), seed)
    figure, (left, right) = _panels(2)
    per_pixel = dose * start.pixel_size_nm**2
    show_micrograph(left, made.image, f"{dose:.0f} electrons/nm², {per_pixel:.3g} per pixel")
    top, first = _edge_of_a_particle(made)
    wide = start.size_px // 4
    grey = normalise(made.image)[top : top + wide, first : first + wide]
    left.add_patch(Rectangle((first, top), wide, wide, fill=False, color=COLOURS["left out"]))
    right.imshow(grey, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
    right.set_title(f"its square; defocus {defocus_nm:.0f} nm", fontsize=_FONT)
    right.set_axis_off()
    return figure


def _edge_of_a_particle(made: SyntheticMicrograph) -> tuple[int, int]:
    """Give top and left [px] of a square, a quarter of the micrograph wide, on the most central particle's edge."""
    edge = made.scene.size_px
    middle = np.full(2, edge / 2)
    if len(made.particles):
        places = made.particles[["y_nm", "x_nm"]].to_numpy() / made.scene.pixel_size_nm
        central = np.argmin(np.hypot(*(places - middle).T))
        radius = made.particles["diameter_nm"].iloc[central] / 2 / made.scene.pixel_size_nm
        middle = places[central] + [0, radius]
    top, left = np.clip(np.round(middle - edge / 8), 0, edge - edge // 4).astype(int)
    return int(top), int(left)


def threshold(image: Any, maps: np.ndarray, threshold: float, depth: float) -> Figure:
    """Draw the particles that a threshold of the probability gives, and the histogram of their diameters.

    Parameters
    ----------
    image : Signal2D of shape (height, width)
        The micrograph.
    maps : float array of shape (height, width, 2)
        What a segmenter says of it, :meth:`temlib.Segmenter.maps`.
    threshold : float
        Probability above which a pixel belongs to a particle.
    depth : float
        Of the valley between two particles, see :func:`temlib.separate_particles`.
    """
    labels = separate_particles(maps, threshold=threshold, depth=depth)
    whole, unit = whole_diameters(labels, pixel_size_of(image))
    figure, (left, right) = _panels(2)
    show_micrograph(left, image, f"{labels.max()} particles", {"found": labels})
    _plain(right, f"equivalent circular diameter [{unit}]", "particles")
    highest = 1.2 * whole.max() if len(whole) else 1.0
    right.stairs(*np.histogram(whole, np.linspace(0, highest, 16)), fill=True, color=COLOURS["found"])
    if len(whole):
        right.axvline(np.median(whole), color="0.2", linestyle="--", linewidth=1)
    said = f"{len(whole)} whole ones, median {np.median(whole):.3g} {unit}" if len(whole) else "none is whole"
    right.set_title(said, fontsize=_FONT)
    right.locator_params(axis="y", integer=True)
    return figure


def whole_diameters(labels: np.ndarray, pixel_size: tuple[float, float] | None) -> tuple[np.ndarray, str]:
    """Give the equivalent circular diameters of the particles that the frame does not cut, and their unit.

    What :func:`temlib.measure_particles` gives, and nothing else: a slider does not wait for the rest.
    """
    frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    numbers = np.setdiff1d(np.arange(1, labels.max() + 1), frame)
    area = np.bincount(labels.ravel())[numbers] * (1.0 if pixel_size is None else pixel_size[0] * pixel_size[1])
    return np.sqrt(4 * area / np.pi), "px" if pixel_size is None else "nm"


def tracks(table: pd.DataFrame, movie: Any, frame: int, track: int) -> Figure:
    """Draw a frame with the ways of its particles, and beside it the diameter of one of them against the frame.

    Parameters
    ----------
    table : DataFrame
        What :func:`temlib.track_particles` gave of the movie.
    movie : Signal2D of shape (frames, height, width)
        The grey levels.
    frame : int
        Which of them.
    track : int
        Whose curve is drawn.
    """
    unit = "nm" if "y_nm" in table else "px"
    pixel = table[[*PIXEL_COLUMNS]].to_numpy()[0] if unit == "nm" else 1.0
    figure, (left, right) = _panels(2)
    shown = movie.inav[frame]
    if is_lazy(shown):
        shown.compute(show_progressbar=False)
    show_micrograph(left, shown, f"frame {frame}, particle {track}")
    here = table[table["frame"] == frame]
    drift = here[[f"drift_y_{unit}", f"drift_x_{unit}"]].to_numpy()[:1].sum(axis=0)
    recent = table[(table["frame"] <= frame) & (table["frame"] > frame - _TAIL) & table["track"].isin(here["track"])]
    for number, rows in recent.groupby("track"):
        wide = 2.5 if number == track else 1
        way = (rows[[f"y_{unit}", f"x_{unit}"]].to_numpy() + drift) / pixel
        left.plot(way[:, 1], way[:, 0], color=COLOURS["found"], linewidth=wide)
        left.plot(way[-1, 1], way[-1, 0], "o", color=COLOURS["found"], markersize=2 * wide)
    left.set(xlim=(-0.5, movie.data.shape[2] - 0.5), ylim=(movie.data.shape[1] - 0.5, -0.5))
    of_track = table[table["track"] == track]
    right.plot(of_track["frame"], of_track[f"equivalent_diameter_{unit}"], ".", color=COLOURS["found"], markersize=3)
    right.axvline(frame, color=COLOURS["quiet"], linewidth=0.5)
    said = [f"{row.event} ({row.frame})" for row in of_track.itertuples() if row.event]
    right.set_title(", ".join(said), fontsize=_FONT)
    _plain(right, "frame", f"equivalent diameter [{unit}]")
    return figure


def features(image: Any, maps: Sequence[np.ndarray], level: int, first: int) -> Figure:
    """Draw an image and eight channels of an encoder's feature maps at one level, the most varied ones first.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        What the encoder saw.
    maps : sequence of float arrays of shape (height, width, channels)
        One for each level, :func:`temlib.network.unet.encoder`.
    level : int
        1 for the finest map, at half the image's resolution.
    first : int
        Rank of the first channel shown; 0 is the most varied one.
    """
    chosen = maps[level - 1]
    ranks = np.argsort(-chosen.std((0, 1)), kind="stable")
    first = min(first, max(0, len(ranks) - 8))
    figure = Figure(figsize=(3 * _HEIGHT, _HEIGHT), dpi=_DPI)
    left, right = figure.add_axes((0.01, 0.02, 0.32, 0.88)), figure.add_axes((0.35, 0.02, 0.64, 0.95))
    left.imshow(normalise(image), cmap="gray", vmin=-1, vmax=1)
    side = round(as_array(image).shape[0] / chosen.shape[0])
    words = f"1/{side}: {chosen.shape[0]} x {chosen.shape[1]}, {chosen.shape[2]} channels"
    left.set_title(words, fontsize=_FONT)
    left.set_axis_off()
    for place, channel in enumerate(ranks[first : first + 8]):  # all in one pair of axes: eight would take longer
        x, y = 1.04 * (place % 4), 1.16 * (1 - place // 4)
        right.imshow(chosen[..., channel], cmap="gray", interpolation="nearest", extent=(x, x + 1, y, y + 1))
        right.text(x + 0.5, y + 1.03, f"channel {channel}", fontsize=_FONT - 1, ha="center", va="bottom")
    right.set(xlim=(-0.01, 4.13), ylim=(-0.01, 2.32))
    right.set_axis_off()
    return figure


def masks(image: Any, truth: Any, ml: Any, probability: Any, threshold: float) -> Figure:
    """Draw where a machine-learning label and a prediction agree with the truth and where not.

    Grey is what both have, green what only the truth has, and orange (ML) or blue (TL) what only the
    label or the prediction has.

    Parameters
    ----------
    image, truth, ml : signals or arrays of shape (height, width)
        The micrograph and two masks.
    probability : signal or float array of shape (height, width)
        What a segmenter says, :meth:`temlib.Segmenter.probability`.
    threshold : float
        Above which it says *particle*.
    """
    figure, panels = _panels(3)
    show_micrograph(panels[0], image, "outline of the truth", {"truth": truth})
    _draw_errors(panels[1], ml, truth, "ML", "ML: ")
    _draw_errors(panels[2], as_array(probability) > threshold, truth, "TL", "TL: ")
    return figure


def iou_of_disc(diameter_px: float, shift_px: float, dilation_px: float) -> Figure:
    """Draw a disc, its copy shifted and dilated, and the IoU over shift and over dilation.

    The curves are those of discs, by geometry; the number above the picture is counted in pixels.

    Parameters
    ----------
    diameter_px : float
        Of the true disc [px].
    shift_px : float
        Of the copy, to the right [px].
    dilation_px : float
        What the copy's radius is larger by [px]; negative is erosion.
    """
    frame = int(diameter_px) + 48
    y, x = np.mgrid[:frame, :frame] - (frame - 1) / 2
    truth = np.hypot(y, x) <= diameter_px / 2
    copy = np.hypot(y, x - shift_px) <= diameter_px / 2 + dilation_px
    figure, (left, right) = _panels(2)
    _draw_errors(left, copy, truth, "found")
    _plain(right, "pixels", "IoU")
    pixels = np.linspace(-10, 10, 161)
    radius = diameter_px / 2
    right.plot(pixels, [disc_iou(radius, radius, p) for p in pixels], color="0.2", label="shifted")
    dilated = [disc_iou(radius, max(0.0, radius + p), 0) for p in pixels]
    right.plot(pixels, dilated, color=SERIES[0], label="dilated (or eroded)")
    right.plot(shift_px, disc_iou(radius, radius, shift_px), "o", color="0.2")
    right.plot(dilation_px, disc_iou(radius, max(0.0, radius + dilation_px), 0), "o", color=SERIES[0])
    right.set(xlim=(-10, 10), ylim=(0, 1.02))
    right.set_title(f"a disc of {diameter_px:.0f} px, one error at a time", fontsize=_FONT)
    right.legend(frameon=False, fontsize=_FONT - 1, loc="lower center")
    return figure


def disc_iou(first: float, second: float, distance: float) -> float:
    """Give the IoU of two discs from their radii and the distance between their centres, all in px."""
    a, b, d = first, second, abs(distance)
    if d >= a + b:
        overlap = 0.0
    elif d <= abs(a - b):
        overlap = np.pi * min(a, b) ** 2
    else:  # two circular segments on the common chord
        cosines = np.clip([(d**2 + a**2 - b**2) / (2 * d * a), (d**2 + b**2 - a**2) / (2 * d * b)], -1, 1)
        kite = np.sqrt(max(0.0, (-d + a + b) * (d + a - b) * (d - a + b) * (d + a + b))) / 2
        overlap = np.array([a**2, b**2]) @ np.arccos(cosines) - kite
    return float(overlap / (np.pi * (a**2 + b**2) - overlap))


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """Make square panels side by side, at fixed places."""
    figure = Figure(figsize=(n * _HEIGHT * 1.02, _HEIGHT), dpi=_DPI)
    width = 0.86 / 1.02 / n
    boxes = [((i + 0.5) / n - width / 2, 0.06, width, 0.86) for i in range(n)]
    return figure, [figure.add_axes(box) for box in boxes]


def _plain(axes: Axes, x: str, y: str) -> None:
    """Label the axes of a panel, make room for that, and take away two of its lines."""
    axes.set_xlabel(x, fontsize=_FONT)
    axes.set_ylabel(y, fontsize=_FONT)
    box = axes.get_position()
    axes.set_position((box.x0 + 0.2 * box.width, box.y0 + 0.1, 0.78 * box.width, box.height - 0.1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=_FONT - 1)


def _draw_errors(axes: Axes, mask: Any, truth: Any, kind: str, says: str = "") -> None:
    """Draw what is right grey, what is missed green, what is too much in the colour of its kind; the IoU above."""
    mask, truth = as_array(mask) != 0, as_array(truth) != 0
    picture = np.ones((*truth.shape, 3), np.float32)
    picture[mask & truth] = 0.7
    picture[truth & ~mask] = to_rgb(COLOURS["truth"])
    picture[mask & ~truth] = to_rgb(COLOURS[kind])
    axes.imshow(picture)
    axes.set_title(f"{says}IoU {iou(mask, truth):.2f}", fontsize=_FONT)
    axes.set(xticks=[], yticks=[])
