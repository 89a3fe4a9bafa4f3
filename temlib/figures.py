"""The five figures, one function each; one style, one colour for each kind of mask.

Every function takes what it shows and the caption of the run, and gives a matplotlib figure;
:func:`save_figure` writes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib_scalebar.scalebar import ScaleBar

from temlib.micrographs import as_array, normalise, pixel_size_of, write_atomically

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "figure_1",
    "figure_2",
    "figure_3",
    "figure_4",
    "figure_5",
    "save_figure",
    "show_micrograph",
    "show_micrographs",
]

COLOURS = {
    "truth": "#009E73",
    "ML": "#E69F00",
    "TL": "#56B4E9",
    "Otsu": "#999999",
    "particle stroke": "#D55E00",
    "background stroke": "#0072B2",
}
"""Okabe and Ito's colours, told apart by colour-blind readers: one each for the hand annotation or
exact truth, the machine-learning label, the transfer-learning prediction, Otsu's threshold, and an
annotator's strokes."""

_MARKERS = {"Otsu": "x", "ML": "s", "TL": "o"}
_WORDS = {
    "ML": "machine-learning label (ML)",
    "TL": "transfer learning (TL)",
}
# Given to each artist and not through rcParams: a notebook's own settings stay as they are.
_FONT, _SMALL, _DPI, _SAVED_DPI = 8, 6, 110, 150


def show_micrograph(
    axes: Axes,
    image: Signal2D,
    title: str = "",
    masks: dict[str, Any] | None = None,
    fill: bool = False,
) -> None:
    """Draw a micrograph with its scale bar and the outlines of masks.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    image : Signal2D of shape (height, width)
        Grey levels are stretched for display as for the network.
    title : str
        Above the image.
    masks : dict of str to mask, optional
        Masks by kind, a key of :data:`COLOURS`.
    fill : bool
        Fill the masks as well.
    """
    axes.imshow(normalise(image), cmap="gray", vmin=-1, vmax=1, interpolation="antialiased")
    for kind, mask in (masks or {}).items():
        _draw_mask(axes, as_array(mask) != 0, COLOURS[kind], fill)
    axes.set_title(title, fontsize=_FONT)
    axes.set_axis_off()
    size = pixel_size_of(image)
    if size is None:
        axes.text(0.5, -0.02, "pixel size unknown", ha="center", va="top", fontsize=_SMALL, transform=axes.transAxes)
    else:
        axes.add_artist(
            ScaleBar(
                size[1],
                "nm",
                location="lower right",
                font_properties={"size": _FONT},
                box_alpha=0.8,
                scale_loc="top",
                width_fraction=0.02,
            )
        )


def show_micrographs(
    images: Sequence[Signal2D],
    titles: Sequence[str],
    masks: Sequence[dict[str, Any]] | None = None,
    columns: int = 4,
    caption: str = "",
    fill: bool = False,
    width: float = 1.9,
) -> Figure:
    """Draw several micrographs side by side, row after row, with a legend of the masks.

    Parameters
    ----------
    images, titles, masks, fill
        As :func:`show_micrograph` takes them, one of each for each micrograph.
    columns : int
        Micrographs in a row.
    caption : str
        Above the figure, in small letters.
    width : float
        Of a column [inch].
    """
    rows = -(-len(images) // columns)
    size = (width * columns, (width + 0.2) * rows + 0.3)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", dpi=_DPI)
    for ax in axes.flat[len(images) :]:
        ax.set_axis_off()
    for i, image in enumerate(images):
        show_micrograph(axes.flat[i], image, titles[i], masks[i] if masks else None, fill)
    _explain(figure, list(dict.fromkeys(kind for shown in masks or () for kind in shown)), caption)
    return figure


def figure_1(experimental: Sequence[Signal2D], synthetic: Sequence[Signal2D], kind: str, caption: str = "") -> Figure:
    """Figure 1: (a, b) experimental and (c, d) synthetic micrographs.

    Parameters
    ----------
    experimental, synthetic : two micrographs each
        What to show.
    kind : str
        What stands in the place of the experiment: "experimental" or "simulated".
    caption : str
        Of the run.
    """
    titles = [f"({letter}) {word}" for letter, word in zip("abcd", (kind, kind, "synthetic", "synthetic"), strict=True)]
    return show_micrographs([*experimental, *synthetic], titles, caption=caption)


def figure_2(
    experimental: Sequence[Signal2D],
    ml_labels: Sequence[Any],
    synthetic: Sequence[Signal2D],
    exact_labels: Sequence[Any],
    caption: str = "",
) -> Figure:
    """Figure 2: labels used for training, (a, b) machine-learning and (c, d) synthetic, exact."""
    titles = ["(a) ML label", "(b) ML label", "(c) exact label", "(d) exact label"]
    masks = [{"ML": mask} for mask in ml_labels] + [{"truth": mask} for mask in exact_labels]
    return show_micrographs([*experimental, *synthetic], titles, masks, caption=caption, fill=True)


def figure_3(
    images: Sequence[Signal2D], ml_labels: Sequence[Any], predictions: Sequence[Any], caption: str = ""
) -> Figure:
    """Figure 3: (a, d) validation image, (b, e) ML label, (c, f) TL prediction."""
    shown = [image for image in images for _ in range(3)]
    masks: list[dict[str, Any]] = []
    for ml_label, prediction in zip(ml_labels, predictions, strict=True):
        masks += [{}, {"ML": ml_label}, {"TL": prediction}]
    words = ["validation image", "ML label", "TL prediction"] * len(images)
    titles = [f"({chr(ord('a') + i)}) {word}" for i, word in enumerate(words)]
    return show_micrographs(shown, titles, masks, columns=3, caption=caption, fill=True)


def figure_4(
    images: Sequence[Signal2D],
    predictions: Sequence[Any],
    truths: Sequence[Any],
    ious: Sequence[float],
    caption: str = "",
) -> Figure:
    """Figure 4: predictions on every test micrograph, beside the truth."""
    titles = [f"{i + 1}: IoU {score:.2f}" for i, score in enumerate(ious)]
    masks = [{"truth": truth, "TL": prediction} for truth, prediction in zip(truths, predictions, strict=True)]
    return show_micrographs(images, titles, masks, caption=caption)


def figure_5(scores: pd.DataFrame, caption: str = "") -> Figure:
    """Figure 5: IoU of ML and TL on the test set, micrograph by micrograph.

    Parameters
    ----------
    scores : DataFrame
        A row for each test micrograph with columns ML, TL and Otsu, the IoU of each.
    caption : str
        Of the run.
    """
    number = np.arange(1, len(scores) + 1)
    better = int((scores["TL"] > scores["ML"]).sum())
    figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained", dpi=_DPI)
    axes.vlines(number, scores["ML"], scores["TL"], color="0.8", linewidth=1, zorder=1)
    for kind, marker in _MARKERS.items():
        label = f"{kind}: mean {scores[kind].mean():.2f}, median {scores[kind].median():.2f}"
        axes.scatter(number, scores[kind], color=COLOURS[kind], marker=marker, s=30, label=label, zorder=2)
        axes.axhline(scores[kind].mean(), color=COLOURS[kind], linewidth=0.8, linestyle="--", zorder=0)
    axes.set(ylim=(-0.02, 1.02), xticks=number)
    axes.set_xlabel("test micrograph", fontsize=_FONT)
    axes.set_ylabel("IoU with the truth", fontsize=_FONT)
    axes.tick_params(labelsize=_FONT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(f"TL better than ML on {better} of {len(scores)} (dashed: means)", fontsize=_FONT)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=_FONT)
    _explain(figure, [], caption)
    return figure


def save_figure(figure: Figure, folder: str | os.PathLike, name: str) -> None:
    """Write a figure as png and pdf; the same figure gives the same bytes."""
    folder = Path(folder)
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None, "Producer": None})):
        write_atomically(folder / f"{name}{suffix}", partial(figure.savefig, dpi=_SAVED_DPI, metadata=metadata))


def _draw_mask(axes: Axes, mask: np.ndarray, colour: str, fill: bool) -> None:
    if fill:
        layer = np.zeros((*mask.shape, 4))
        layer[mask] = mpl.colors.to_rgba(colour, 0.35)
        axes.imshow(layer, interpolation="nearest")
    if mask.any() and not mask.all():
        axes.contour(mask, [0.5], colors=[colour], linewidths=0.8)


def _explain(figure: Figure, kinds: Sequence[str], caption: str) -> None:
    """Put the legend of the masks under the figure and the caption of the run above it."""
    if kinds:
        lines = [mpl.lines.Line2D([], [], color=COLOURS[kind], label=_WORDS.get(kind, kind)) for kind in kinds]
        figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=_FONT)
    if caption:
        figure.suptitle(caption, fontsize=_SMALL, color="0.35")
