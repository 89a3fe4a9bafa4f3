"""Drawing: micrographs with scale bar and outlines, in one style."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib_scalebar.scalebar import ScaleBar

from temlib.errors import readable
from temlib.files.grey_levels import normalise
from temlib.files.micrographs import as_array, pixel_size_of
from temlib.files.scale_bars.marks import find_marks, has_8_bits
from temlib.palette import COLOURS
from temlib.writing import write_atomically

if TYPE_CHECKING:
    from hyperspy.signals import Signal2D
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DPI",
    "FONT_PT",
    "SMALL_PT",
    "explain",
    "panels",
    "plain_axes",
    "save_figure",
    "scale_bar",
    "show_micrograph",
    "show_micrographs",
    "show_steps",
    "show_unet",
]

_WORDS = {
    "ML": "machine-learning label (ML)",
    "TL": "transfer learning (TL)",
}
# Given to each artist and not through rcParams: a notebook's own settings stay as they are.
FONT_PT, SMALL_PT, DPI, _SAVED_DPI = 8, 6, 110, 150
_CORNER = (0.2, 0.35)  # share of the height and width of a picture that a scale bar may take


def show_micrograph(
    axes: Axes,
    image: Signal2D,
    title: str = "",
    masks: dict[str, Any] | None = None,
    fill: bool = False,
) -> None:
    """Draw a micrograph in its true proportions, with its scale bar and the outlines of masks.

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
        Fill the masks as well; the truth beside another mask stays an outline.
    """
    size = pixel_size_of(image)
    proportions = 1.0 if size is None else size[0] / size[1]
    axes.imshow(normalise(image), cmap="gray", vmin=-1, vmax=1, interpolation="antialiased", aspect=proportions)
    beside = len(masks or {}) > 1  # the truth beside another mask is an outline, and on top
    for kind, mask in sorted((masks or {}).items(), key=lambda item: item[0] == "truth"):
        _draw_mask(axes, as_array(mask) != 0, COLOURS[kind], fill and not (beside and kind == "truth"))
    axes.set_title(readable(title), fontsize=FONT_PT, parse_math=False)
    axes.set_axis_off()
    if size is None:
        axes.text(0.5, -0.02, "pixel size unknown", ha="center", va="top", fontsize=SMALL_PT, transform=axes.transAxes)
    else:
        axes.add_artist(scale_bar(size[1], _free_corner(as_array(image))))


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
    figure, axes = panels(rows, columns, (width * columns, (width + 0.2) * rows + 0.3))
    for ax in axes.flat[len(images) :]:
        ax.set_axis_off()
    for i, image in enumerate(images):
        show_micrograph(axes.flat[i], image, titles[i], masks[i] if masks else None, fill)
    explain(figure, list(dict.fromkeys(kind for shown in masks or () for kind in shown)), caption)
    return figure


def show_steps(steps: dict[str, np.ndarray], pixel_size_nm: float, columns: int = 4, width: float = 1.9) -> Figure:
    """Draw the pictures on the way from specimen to counts, each with its own grey levels and their bar.

    Parameters
    ----------
    steps : dict of str to array of shape (height, width)
        Pictures by title, with the unit.
    pixel_size_nm : float
        Edge of a pixel [nm].
    columns : int
        Pictures in a row.
    width : float
        Of a column [inch].
    """
    rows = -(-len(steps) // columns)
    figure, axes = panels(rows, columns, (width * columns, (width + 0.05) * rows))
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (title, picture) in zip(axes.flat, steps.items(), strict=False):
        low, high = np.percentile(picture, [0.1, 99.9])
        drawn = ax.imshow(picture, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
        ax.set_title(readable(title), fontsize=FONT_PT, parse_math=False)
        figure.colorbar(drawn, ax=ax, shrink=0.75).ax.tick_params(labelsize=SMALL_PT)
        ax.add_artist(scale_bar(pixel_size_nm))
    return figure


def show_unet(channels: Sequence[int], widths: Sequence[int]) -> Figure:
    """Draw a U-Net: the levels of its encoder on the left, those of its decoder on the right, skip connections between.

    Parameters
    ----------
    channels : sequence of 5 int
        Channels of the encoder's maps, stride 2 first.
    widths : sequence of 5 int
        Channels of the decoder, deepest level first.
    """
    figure, axes = plt.subplots(figsize=(6.5, 2.9), layout="constrained", dpi=DPI)
    frozen, learns, ink = COLOURS["quiet"], COLOURS["learns"], {"fontsize": FONT_PT, "ha": "center", "va": "center"}
    arrow = {"arrowstyle": "->", "color": "0.3", "lw": 1.0, "shrinkA": 0, "shrinkB": 0}
    levels = len(channels)

    def box(x: float, level: int, colour: str, number: int) -> None:
        wide, high = 1.1, 0.64
        axes.add_patch(plt.Rectangle((x - wide / 2, -level - high / 2), wide, high, color=colour, lw=0))
        axes.text(x, -level, f"1/{2 ** (level + 1)}\n{number} maps", **ink)

    for level, (left, right) in enumerate(zip(channels, reversed(widths), strict=True)):
        at, to = 1.0 + 0.35 * level, 7.0 - 0.35 * level
        box(at, level, frozen, left)
        box(to, level, learns, right)
        skip = arrow | ({"ls": "--"} if level < levels - 1 else {})
        axes.annotate("", (to - 0.6, -level), (at + 0.6, -level), arrowprops=skip)
        if level < levels - 1:
            axes.annotate("", (at + 0.3, -level - 0.66), (at + 0.1, -level - 0.34), arrowprops=arrow)
            axes.annotate("", (to - 0.1, -level - 0.34), (to - 0.3, -level - 0.66), arrowprops=arrow)
    axes.text(4, 0.16, "skip connections hand details across", **ink)
    for x, words in ((-0.45, "micrograph"), (8.55, "particle?\nhow far\nfrom its edge?")):
        axes.text(x, 0, words, **ink)
    axes.annotate("", (0.42, 0), (0.08, 0), arrowprops=arrow)
    axes.annotate("", (7.92, 0), (7.58, 0), arrowprops=arrow)
    axes.text(1.0, 0.68, "encoder, frozen", fontweight="bold", **ink)
    axes.text(7.0, 0.68, "decoder, learns", fontweight="bold", **ink)
    axes.set(xlim=(-1.0, 9.2), ylim=(-levels + 0.5, 0.85))
    axes.axis("off")
    return figure


def panels(rows: int, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, np.ndarray]:
    """Give a figure of a size [inch], and its panels in an array of shape (rows, columns)."""
    return plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", dpi=DPI, **shared)


def plain_axes(axes: Axes, x: str = "", y: str = "", ticks_pt: int = FONT_PT) -> None:
    """Name what lies along x and y, and leave out the lines above and on the right."""
    axes.set_xlabel(x, fontsize=FONT_PT)
    axes.set_ylabel(y, fontsize=FONT_PT)
    axes.tick_params(labelsize=ticks_pt)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, folder: str | os.PathLike, name: str) -> None:
    """Write a figure as png and pdf; the same figure gives the same bytes."""
    folder = Path(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of a title in letters that the font does not have
        for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None, "Producer": None})):
            write_atomically(folder / f"{name}{suffix}", partial(figure.savefig, dpi=_SAVED_DPI, metadata=metadata))


def explain(figure: Figure, kinds: Sequence[str], caption: str) -> None:
    """Put the legend of the masks under the figure and the caption of the run above it."""
    if kinds:
        lines = [mpl.lines.Line2D([], [], color=COLOURS[kind], label=_WORDS.get(kind, kind)) for kind in kinds]
        for columns in range(len(lines), 0, -1):  # as many as the figure is wide enough for
            look = {"ncols": columns, "frameon": False, "fontsize": FONT_PT}
            legend = figure.legend(handles=lines, loc="outside lower center", **look)
            if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
                break
            legend.remove()
    if caption:
        figure.suptitle(readable(caption), fontsize=SMALL_PT, color="0.35", parse_math=False)


def scale_bar(pixel_size_nm: float, corner: str = "lower right") -> ScaleBar:
    """Give a scale bar in the style of all pictures, along x, for pixels of this width."""
    style = {
        "rotation": "horizontal-only",
        "location": corner,
        "box_alpha": 0.8,
        "scale_loc": "top",
        "width_fraction": 0.02,
    }
    return ScaleBar(pixel_size_nm, "nm", font_properties={"size": FONT_PT}, **style)


def _free_corner(image: np.ndarray) -> str:
    """Give the first corner in which nothing is burnt in, which may be the picture's own scale bar."""
    if not has_8_bits(image):
        return "lower right"
    height, width = (round(share * edge) for share, edge in zip(_CORNER, image.shape, strict=True))
    rows = {"lower": slice(image.shape[0] - height, None), "upper": slice(0, height)}
    columns = {"right": slice(image.shape[1] - width, None), "left": slice(0, width)}
    for vertical, horizontal in product(rows, columns):
        if not find_marks(image[rows[vertical], columns[horizontal]], read=False).any():
            return f"{vertical} {horizontal}"
    return "lower right"


def _draw_mask(axes: Axes, mask: np.ndarray, colour: str, fill: bool) -> None:
    if fill:
        layer = np.zeros((*mask.shape, 4))
        layer[mask] = mpl.colors.to_rgba(colour, 0.35)
        axes.imshow(layer, interpolation="nearest", aspect=axes.get_aspect())
    if mask.any() and not mask.all():
        axes.contour(mask, [0.5], colors=[colour], linewidths=0.8)
