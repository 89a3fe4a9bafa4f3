"""Report: what was measured on one micrograph, as a page to look at and a record to keep.

A record says what the numbers depend on: pixel size and where it comes from, threshold, model, and
which particles were left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

from temlib import __version__
from temlib.drawing import save_figure, show_micrograph
from temlib.errors import MicrographError
from temlib.files.labels.label_files import outlines
from temlib.files.micrographs import as_array, micrograph, pixel_size_of
from temlib.palette import COLOURS
from temlib.particles.frame_correction import FRAME_COLUMNS
from temlib.particles.intervals import QUANTILES
from temlib.particles.size_distribution import Frames, SizeDistribution, size_distribution
from temlib.writing import write_text

__all__ = ["contact_sheet", "report_figure", "report_record", "save_report"]

_FONT, _DPI = 8, 110
_PAGE, _COLUMNS, _ROWS_OF_PAGE = (11.0, 7.0), (6.2, 4.8), (2.5, 2.4, 1.9)  # [inch]: it fits A4 and a screen
_COUNTED, _LEFT_OUT = COLOURS["found"], COLOURS["left out"]
_TABLE_BOX, _TABLE_COLUMNS = Bbox.from_bounds(0, 0.14, 1, 0.86), (0.5, 0.2, 0.3)
_MOST_BINS = 200
_ROWS = ("median", "mean", "standard_deviation", "d10", "d90")


def report_figure(
    image: Any,
    labels: Any,
    table: pd.DataFrame,
    distribution: SizeDistribution | None = None,
    *,
    title: str = "",
    left_out: ArrayLike = (),
    review: dict[str, Any] | None = None,
) -> Figure:
    """Draw one page: the micrograph with its particles, their sizes, their shapes, and the statistics.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        The micrograph; a scale bar is drawn where its pixel size is known.
    labels : signal or int array of the same shape
        0 is background, any other number a particle.
    table : DataFrame
        What :func:`temlib.particles.measurement.measure_particles` gave, or some rows of it: the other particles
        are drawn as left out.
    distribution : SizeDistribution, optional
        From this table; by default :func:`temlib.particles.size_distribution.size_distribution` of it,
        corrected for the frame.
    title : str
        By default the micrograph's.
    left_out : float array
        Sizes of what was proposed as a particle and not taken for one, in the distribution's column and unit:
        drawn as a pale histogram on top of that of the particles.
    review : dict, optional
        What a person decided: :meth:`temlib.particles.review.Review.counts`, and in words as ``summary``.

    Raises
    ------
    MicrographError
        When ``image`` and ``labels`` differ in shape; when the distribution is not that of the table.
    """
    array = _matching(image, labels)
    distribution = distribution or _distribution(table, array.shape)
    counted = _counted(table, distribution)
    signal = image if hasattr(image, "axes_manager") else micrograph(as_array(image))
    figure = plt.figure(figsize=_PAGE, dpi=_DPI)
    figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.1)
    places: list[Any] = [["micrograph", name] for name in ("sizes", "shapes", "statistics")]
    axes = figure.subplot_mosaic(places, width_ratios=_COLUMNS, height_ratios=_ROWS_OF_PAGE)
    show_micrograph(axes["micrograph"], signal, title or signal.metadata.General.title)
    _draw_outlines(axes["micrograph"], array, counted)
    _draw_sizes(axes["sizes"], counted, distribution, np.asarray(left_out, float))
    _draw_shapes(axes["shapes"], counted)
    _draw_statistics(axes["statistics"], len(counted), distribution, (review or {}).get("summary", ""))
    return figure


def contact_sheet(image: Any, labels: Any, groups: pd.Series, table: pd.DataFrame, columns: int = 8) -> Figure:
    """Show some particles of each group of shapes, each in a frame of its own size.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        The micrograph.
    labels : signal or int array of the same shape
        Particles.
    groups : Series
        A group for each row of ``table``, as :func:`temlib.particles.measurement.shape_groups` gives it.
    table : DataFrame
        What :func:`temlib.particles.measurement.measure_particles` gave.
    columns : int
        Particles to show of each group, at most: those of every so many in the table's order.
    """
    grey, numbers = as_array(image), as_array(labels)
    kinds = [kind for kind in groups.cat.categories if (groups == kind).any()]
    figure, axes = plt.subplots(
        len(kinds), columns, figsize=(7, 0.95 * len(kinds)), squeeze=False, layout="constrained", dpi=_DPI
    )
    for row, kind in zip(axes, kinds, strict=True):
        some = table[(groups == kind).to_numpy()]
        some = some.iloc[np.unique(np.linspace(0, len(some) - 1, columns).astype(int))]
        for ax in row:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(f"{kind}\n{(groups == kind).sum()}", fontsize=_FONT, rotation=0, ha="right", va="center")
        for ax, particle in zip(row, some.itertuples(), strict=False):
            margin = 3 + (particle.bottom_px - particle.top_px) // 8
            box = np.s_[
                max(particle.top_px - margin, 0) : particle.bottom_px + margin,
                max(particle.left_px - margin, 0) : particle.right_px + margin,
            ]
            ax.imshow(grey[box], cmap="gray")
            ax.contour(numbers[box] == particle.particle, [0.5], colors=_COUNTED, linewidths=0.8)
    return figure


def report_record(
    image: Any,
    labels: Any,
    table: pd.DataFrame,
    distribution: SizeDistribution | None = None,
    *,
    model: str | None = None,
    threshold: float | None = None,
    min_confidence: float | None = None,
    pixel_size_source: str = "file",
    exclusions: Sequence[str] = (),
    sought: dict[str, Any] | None = None,
    contrast: str | None = None,
    left_out: ArrayLike = (),
    review: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Give the numbers of the report and what they depend on, as plain values that JSON can hold.

    Parameters
    ----------
    image, labels, table, distribution
        As :func:`report_figure` takes them.
    model : str, optional
        Name or file of the segmenter.
    threshold : float, optional
        Probability above which a pixel belongs to a particle.
    min_confidence : float, optional
        Confidence below which a proposal was left out.
    pixel_size_source : str
        Where the pixel size comes from: the file, the user, a scale bar.
    exclusions : sequence of str
        Rules by which rows of the table were dropped before, in words.
    sought : dict, optional
        What was looked for: diameter and contrast.
    contrast : "dark" or "bright", optional
        What the particles were seen as, also where ``"auto"`` was sought.
    left_out, review
        As :func:`report_figure` takes them.

    Returns
    -------
    dict
        ``temlib`` (version), ``micrograph``, ``shape_px``, ``pixel_size_nm`` (height and width) and
        ``pixel_size_source`` (both None where it is unknown), ``model``, ``threshold``, ``min_confidence``, ``sought``,
        ``contrast``, ``exclusions``, ``particles`` (found, counted, left_out), ``proposals_left_out`` (their number
        and d10, d50, d90), ``review`` where a person looked, and ``size_distribution``, None where less than two
        particles count.

    Raises
    ------
    MicrographError
        When ``image`` and ``labels`` differ in shape; when the distribution is not that of the table.
    """
    array = _matching(image, labels)
    distribution = distribution or _distribution(table, array.shape)
    found, counted = len(np.unique(array[array > 0])), len(_counted(table, distribution))
    size, proposals = pixel_size_of(image), np.asarray(left_out, float)
    rules = list(exclusions)
    if not rules and found > len(table):
        rules.append(f"not in the table ({found - len(table)} particles)")
    if distribution is None or not distribution.edge_particles:
        rules.append("touches the edge of the image")
    quantiles = np.quantile(proposals, QUANTILES).tolist() if len(proposals) else []
    return {
        "temlib": __version__,
        "micrograph": image.metadata.General.title if hasattr(image, "metadata") else "",
        "shape_px": list(array.shape),
        "pixel_size_nm": None if size is None else [float(edge) for edge in size],
        "pixel_size_source": None if size is None else pixel_size_source,
        "model": model,
        "threshold": None if threshold is None else float(threshold),
        "min_confidence": None if min_confidence is None else float(min_confidence),
        "sought": sought,
        "contrast": contrast,
        "exclusions": rules,
        "particles": {"found": found, "counted": counted, "left_out": found - counted},
        "proposals_left_out": {"number": len(proposals)} | dict(zip(("d10", "d50", "d90"), quantiles)),
        **({} if review is None else {"review": review}),
        "size_distribution": None if distribution is None else distribution.to_dict(),
    }


def save_report(
    stem: str | os.PathLike,
    image: Any,
    labels: Any,
    table: pd.DataFrame,
    distribution: SizeDistribution | None = None,
    *,
    overwrite: bool = False,
    left_out: ArrayLike = (),
    **record: Any,
) -> list[Path]:
    """Write the page as ``stem.png`` and ``stem.pdf`` and the record as ``stem.json``.

    Parameters
    ----------
    stem : path
        Folder and name of the files, without suffix. The folder is made where it is missing.
    image, labels, table, distribution, left_out
        As :func:`report_figure` takes them.
    overwrite : bool
        Replace files of these names.
    **record
        As :func:`report_record` takes them.

    Returns
    -------
    list of Path
        The three files.

    Raises
    ------
    MicrographError
        When one of the files exists and ``overwrite`` is false; when ``image`` and ``labels`` differ in
        shape; when the distribution is not that of the table.
    """
    stem = Path(stem)
    files = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".png", ".pdf", ".json")]
    there = [file for file in files if file.exists()]
    if there and not overwrite:
        raise MicrographError(f"{there[0]}: exists already; pass overwrite=True to replace it")
    distribution = distribution or _distribution(table, as_array(labels).shape)
    record = report_record(image, labels, table, distribution, left_out=left_out, **record)
    text = json.dumps(record, indent=1, allow_nan=False)
    figure = report_figure(image, labels, table, distribution, left_out=left_out, review=record.get("review"))
    try:
        save_figure(figure, stem.parent, stem.name)
    finally:
        plt.close(figure)
    write_text(files[-1], text + "\n")
    return files


def _matching(image: Any, labels: Any) -> np.ndarray:
    array, shape = as_array(labels), as_array(image).shape
    if array.shape != shape:
        raise MicrographError(f"the image has shape {shape} and labels {array.shape}; pass those of one micrograph")
    return array


def _distribution(table: pd.DataFrame, frame_px: tuple[int, int]) -> SizeDistribution | None:
    if (~table["touches_edge"].astype(bool)).sum() < 2:
        return None
    frame: Frames = "table" if {*FRAME_COLUMNS} <= set(table) else frame_px
    return size_distribution(table, frame_px=frame if "top_px" in table else None)


def _counted(table: pd.DataFrame, distribution: SizeDistribution | None) -> pd.DataFrame:
    """Give the rows that the distribution counts."""
    whole = table[~table["touches_edge"].astype(bool)]
    if distribution is None:
        return whole
    counted = table if distribution.edge_particles else whole
    sizes = np.sort(counted[distribution.column]) if distribution.column in counted else np.array([])
    if len(sizes) != distribution.n or not np.allclose(sizes, distribution.sizes, rtol=1e-4):
        raise MicrographError(
            f"the distribution is of {distribution.n} particles and the table has {len(sizes)} of these or others; "
            "pass the rows that were counted, and name what was dropped in exclusions="
        )
    return counted


def _draw_outlines(axes: Axes, labels: np.ndarray, counted: pd.DataFrame) -> None:
    among = np.isin(labels, counted["particle"])
    for kind, part, colour, dashes in (
        ("counted", np.where(among, labels, 0), _COUNTED, "solid"),
        ("left out", np.where(among, 0, labels), _LEFT_OUT, "dashed"),
    ):
        rings = [ring[:, ::-1] for ring in outlines(part)]
        if rings:
            label = f"{len(np.unique(part[part > 0]))} {kind}"
            axes.add_collection(LineCollection(rings, colors=colour, linewidths=0.9, linestyles=dashes, label=label))
    if axes.collections:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=_FONT, borderpad=0)
        axes.set_title(axes.get_title(), fontsize=_FONT, loc="left", parse_math=False)
        axes.set_title("")


def _draw_sizes(axes: Axes, counted: pd.DataFrame, distribution: SizeDistribution | None, left_out: np.ndarray) -> None:
    """Draw the histogram by number, the log-normal fit on its scale, and the median with its interval."""
    if distribution is None:
        column = next(name for name in counted if name.startswith("equivalent_diameter_"))
        sizes, numbers = counted[column].to_numpy(float), np.ones(len(counted))
    else:
        column, sizes, numbers = distribution.column, distribution.sizes, distribution.counts
    words, unit = column.rsplit("_", 1)
    edges = _edges(sizes, left_out)
    counts, _ = np.histogram(sizes, edges, weights=numbers)
    style: dict[str, Any] = {"fill": True, "edgecolor": "white", "linewidth": 0.5}
    axes.stairs(counts, edges, facecolor=COLOURS["found"], **style)
    if len(left_out):
        pale, _ = np.histogram(left_out, edges)
        label = f"{len(left_out)} proposal{'s' if len(left_out) > 1 else ''} left out"
        axes.stairs(counts + pale, edges, baseline=counts, facecolor=COLOURS["found"], alpha=0.3, label=label, **style)
        counts = counts + pale
    if distribution is not None:
        x = np.linspace(edges[0], edges[-1], 300)
        per_bin = len(sizes) * (edges[1] - edges[0])
        for fit in (fit for fit in distribution.fits if fit.family == "lognormal"):
            better = distribution.fits[0].family
            note = "" if better == "lognormal" else f" ({better} fits better by AIC)"
            axes.plot(x, per_bin * fit.density(x), color="black", linewidth=1.2, label=f"log-normal fit{note}")
        _draw_median(axes, distribution, 1.06 * counts.max())
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=_FONT)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _dress(axes, f"{words.replace('_', ' ')} [{unit}]", "number of particles")


def _edges(sizes: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Give bins as wide as numpy finds for what is counted, within reason: one stray size asks for millions."""
    every = np.concatenate([sizes, left_out])
    span = np.histogram_bin_edges(every, 1)
    width = np.diff(np.histogram_bin_edges(sizes if len(np.unique(sizes)) > 1 else every, "auto")[:2])[0]
    return np.linspace(span[0], span[-1], int(np.clip(np.rint(np.diff(span)[0] / width), 1, _MOST_BINS)) + 1)


def _draw_median(axes: Axes, distribution: SizeDistribution, height: float) -> None:
    median, unit = distribution.median, distribution.column.rsplit("_", 1)[1]
    weighted = "" if distribution.weights == "number" else f" by {distribution.weights}"
    text, interval = f"median{weighted} {_number(median.value)} {unit}", None
    if np.isfinite(median.low):
        text += f", {100 * distribution.confidence:g} % interval {_number(median.low)} to {_number(median.high)} {unit}"
        interval = np.maximum([[median.value - median.low], [median.high - median.value]], 0)
    axes.errorbar(median.value, height, xerr=interval, fmt="o", color="black", markersize=4, capsize=3, label=text)


def _draw_shapes(axes: Axes, counted: pd.DataFrame) -> None:
    axes.scatter(
        counted["aspect_ratio"],
        counted["circularity"],
        s=14,
        color=COLOURS["found"],
        edgecolors="black",
        linewidths=0.4,
    )
    for limits, name in ((axes.set_xlim, "aspect_ratio"), (axes.set_ylim, "circularity")):
        limits(min([0.6, *(0.95 * counted[name])]), max([1.03, *(1.03 * counted[name])]))
    _dress(axes, "aspect ratio, least over greatest Feret diameter", "circularity")


def _draw_statistics(axes: Axes, n: int, distribution: SizeDistribution | None, reviewed: str = "") -> None:
    axes.set_axis_off()
    if distribution is None:
        words = f"N = {n}: two particles at least make a size distribution"
        axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=_FONT, transform=axes.transAxes)
        return
    words, unit = distribution.column.rsplit("_", 1)
    head = [f"{words.replace('_', ' ')}, by {distribution.weights}", f"value [{unit}]"]
    head.append(f"{100 * distribution.confidence:g} % interval [{unit}]")
    rows = [["N", str(distribution.n), ""]]
    for name in _ROWS:
        estimate = distribution.statistics[name]
        interval = f"{_number(estimate.low)} to {_number(estimate.high)}" if np.isfinite(estimate.low) else ""
        rows.append([name.replace("_", " "), _number(estimate.value), interval])
    said = distribution.edge_rule + (f"\nReviewed: {reviewed}." if reviewed else "")
    place = {"ha": "center", "va": "top" if reviewed else "bottom", "transform": axes.transAxes}
    axes.text(0.5, 0.12 if reviewed else 0, said, fontsize=_FONT, wrap=True, **place)
    looks: dict[str, Any] = {"cellLoc": "right", "colLoc": "right", "edges": "horizontal"}
    drawn = axes.table(rows, colLabels=head, colWidths=_TABLE_COLUMNS, bbox=_TABLE_BOX, **looks)
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(_FONT)
    for (_, column), cell in drawn.get_celld().items():
        cell.set_edgecolor("0.8")
        if column == 0:
            cell.set_text_props(ha="left")


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=_FONT)
    axes.set_ylabel(y, fontsize=_FONT)
    axes.tick_params(labelsize=_FONT)
    axes.spines[["top", "right"]].set_visible(False)


def _number(value: float) -> str:
    """Give three significant digits, without an exponent."""
    digits = 2 - int(np.floor(np.log10(abs(value)))) if value else 0
    return f"{value:.{max(digits, 0)}f}"
