"""Charts of what was measured: seeds, labels, ways to learn, sizes, trust, and what the generator's parts are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

from temlib.drawing import FONT_PT, SMALL_PT, explain, panels, plain_axes, show_micrograph
from temlib.files.grey_levels import normalise
from temlib.network.trust import DOUBTFUL
from temlib.palette import COLOURS, SERIES

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FREQUENCIES",
    "MARKERS",
    "ablation",
    "compare_sets",
    "gains",
    "label_errors",
    "labels_needed",
    "radial_power",
    "seeds",
    "size_bias",
    "trust",
    "ways_to_learn",
]

_OF_DATA = {"emps": COLOURS["experimental"], "simulated": COLOURS["simulated"]}
_OF_METHODS = {  # the same in each figure
    "bundled, adapted": SERIES[0],
    "pixel classifier": SERIES[1],
    "bundled, frozen": SERIES[2],
    "imagenet, frozen": SERIES[3],
    "imagenet, fine-tuned": SERIES[4],
    "random, all learns": SERIES[5],
    "bundled, fine-tuned": SERIES[6],
    "bundled, frozen and fine-tuned": SERIES[7],
    "bundled, adapted and fine-tuned": SERIES[8],
}
MARKERS = {"Otsu": "x", "ML": "s", "TL": "o"}
"""Of the ways to find particles, the same in each figure."""

_RINGS = np.geomspace(1 / 128, 0.5, 25)
FREQUENCIES = np.sqrt(_RINGS[1:] * _RINGS[:-1])
"""Middles of the rings that :func:`radial_power` averages over [1 / pixel]."""

_SEED = {"s": 12, "facecolors": "none", "linewidths": 0.7}  # an open circle for each


def seeds(scores: pd.DataFrame) -> Figure:
    """Figure 5 over several seeds: IoU of ML and TL on each test micrograph, mean and range.

    Parameters
    ----------
    scores : DataFrame
        Columns run, seed, name, ML and TL: one row for each run, seed and test micrograph. One panel
        for each run.
    """
    runs = list(scores["run"].unique())
    figure, column = panels(len(runs), 1, (6.5, 2.1 * len(runs) + 0.3), sharey=True)
    for axes, run in zip(column.flat, runs, strict=True):
        rows = scores[scores["run"] == run]
        for kind, shift in (("ML", -0.12), ("TL", 0.12)):
            each = rows.groupby("name")[kind].agg(["mean", "min", "max"])
            place = np.arange(1, len(each) + 1) + shift
            axes.vlines(place, each["min"], each["max"], color=COLOURS[kind], linewidth=1.5)
            axes.scatter(place, each["mean"], color=COLOURS[kind], marker=MARKERS[kind], s=22, zorder=2)
            axes.axhline(rows[kind].mean(), color=COLOURS[kind], linewidth=0.8, linestyle="--", zorder=0)
        better = (rows["TL"] > rows["ML"]).groupby(rows["seed"], sort=False).sum()
        counts = ", ".join(str(n) for n in better)
        words = f"{run}: TL better on {counts} of {rows['name'].nunique()}"
        axes.set_title(words, fontsize=FONT_PT, parse_math=False)
        axes.set(ylim=(-0.02, 1.02), xticks=np.arange(1, rows["name"].nunique() + 1))
        plain_axes(axes, y="IoU with the truth")
    column[-1, 0].set_xlabel("test micrograph", fontsize=FONT_PT)
    numbers = ", ".join(str(seed) for seed in scores["seed"].unique())
    caption = f"Marks: means over seeds {numbers}; bars: from least to greatest; dashed: mean of all"
    explain(figure, ["ML", "TL"], caption)
    return figure


def labels_needed(table: pd.DataFrame) -> Figure:
    """Draw mean IoU over the number of labelled micrographs, a line for each way to learn.

    Parameters
    ----------
    table : DataFrame
        What ``labels.py`` or ``fine_tuning.py`` of ``tests/benchmarks`` measured: ``data``, ``method``, ``n``,
        ``seed`` and ``iou``. Lines are means over seeds, bars reach from the least to the greatest.
    """
    sets, methods = list(table["data"].unique()), list(table["method"].unique())
    spare = iter([colour for colour in SERIES if colour not in map(_OF_METHODS.get, methods)])
    colours = {method: _OF_METHODS.get(method) or next(spare) for method in methods}
    figure, (row,) = panels(1, len(sets), (7, 3.3), sharey=True)
    for ax, data in zip(row, sets, strict=True):
        for place, method in enumerate(methods):
            rows = table[(table["data"] == data) & (table["method"] == method) & (table["n"] > 0)]
            each = rows.groupby("n")["iou"].agg(["mean", "min", "max"])
            shift = each.index * 1.02 ** (place - len(methods) / 2)  # so that bars do not hide one another
            _draw_means_and_ranges(ax, shift, each, colours[method], method)
        without = table[(table["data"] == data) & (table["n"] == 0)]
        for method, rows in without.groupby("method"):
            ax.axhline(rows["iou"].mean(), color=colours[method], lw=0.8, ls="--", label="bundled, no label at all")
        numbers = sorted(set(table.loc[table["data"] == data, "n"]) - {0})
        ax.set_xscale("log")
        ax.set_xticks(numbers, [str(n) for n in numbers], minor=False)
        ax.minorticks_off()
    _name_panels(figure, sets, "labelled micrographs", "mean IoU on held-out micrographs")
    return figure


def label_errors(table: pd.DataFrame) -> Figure:
    """Draw the IoU of networks over that of the wrong labels that they learned from.

    A line for each kind of error starts at exact labels (right) and goes to ever stronger errors;
    above the dashed diagonal the network is better than its teacher.

    Parameters
    ----------
    table : DataFrame
        What ``tests/benchmarks/label_noise.py`` measured: ``way``, ``strength``, ``seed``, ``encoder``,
        ``data``, ``teacher`` and ``iou``. Marks are means over seeds, bars reach from the least to
        the greatest; one panel for each set that was scored, of the frozen encoder.
    """
    table = table[table["encoder"] == "frozen"]
    sets, ways = list(table["data"].unique()), [way for way in table["way"].unique() if way != "exact"]
    figure, (row,) = panels(1, len(sets), (7, 3.6), sharey=True)
    for ax, data in zip(row, sets, strict=True):
        for way, colour in zip(ways, SERIES, strict=False):
            rows = table[(table["data"] == data) & table["way"].isin(["exact", way])]
            by_strength = rows.assign(strength=rows["strength"].abs()).groupby("strength")
            each = by_strength["iou"].agg(["mean", "min", "max"])
            _draw_means_and_ranges(ax, by_strength["teacher"].mean(), each, colour, way)
        ax.axline((0, 0), slope=1, color="0.6", lw=0.8, ls="--", label="as good as its teacher")
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    titles = [f"scored on {data}" for data in sets]
    _name_panels(figure, titles, "IoU of the labels with the truth", "mean IoU of the network", ncols=4)
    return figure


def ways_to_learn(table: pd.DataFrame, way: str, of: str | None = None, words: str = "mean IoU") -> Figure:
    """Draw the mean IoU of several ways to learn, a row each: open circles are seeds, full ones their mean.

    Parameters
    ----------
    table : DataFrame
        Columns ``iou``, ``seed`` and those that follow: one row for each result.
    way : str
        Column that names the way.
    of : str, optional
        Column that names what was learned from, or the data, a colour each.
    words : str
        What is drawn.
    """
    ways = list(table[way].unique())
    kinds = [None] if of is None else list(table[of].unique())
    figure, ((ax,),) = panels(1, 1, (6.5, 0.26 * len(ways) + 0.9))
    for number, (kind, colour) in enumerate(zip(kinds, SERIES[2:], strict=False)):
        colour = _OF_DATA.get(kind or "", colour)
        rows = table if kind is None else table[table[of] == kind]
        shift = 0.24 * ((len(kinds) - 1) / 2 - number)
        places = len(ways) - 1 - rows[way].map(ways.index) + shift
        ax.scatter(rows["iou"], places, edgecolors=colour, **_SEED)
        means = rows.groupby(way, sort=False)["iou"].mean()
        at = [len(ways) - 1 - ways.index(name) + shift for name in means.index]
        ax.scatter(means, at, s=28, color=colour, label=kind)
    ax.set_yticks(range(len(ways)), ways[::-1], fontsize=FONT_PT)
    plain_axes(ax, words)
    ax.grid(axis="y", color="0.92")
    ax.set_axisbelow(True)
    if of is not None:
        figure.legend(loc="outside lower center", ncols=len(kinds), fontsize=FONT_PT, frameon=False)
    return figure


def gains(table: pd.DataFrame, way: str, reference: str, of: str | None = None) -> Figure:
    """Draw what each way gains on a reference, paired by seed; as :func:`ways_to_learn`, whose parameters it takes.

    Parameters
    ----------
    reference : str
        The way that the others are compared with, seed by seed (and, where ``of`` is given, kind by kind).
    """
    keys = ["seed"] if of is None else ["seed", of]
    known = table[table[way] == reference].set_index(keys)["iou"].rename("reference")
    others = table[table[way] != reference].join(known, on=keys)
    others = others.assign(iou=others["iou"] - others["reference"]).dropna(subset="iou")
    figure = ways_to_learn(others, way, of, f"gain of mean IoU on “{reference}”, same seed")
    figure.axes[0].axvline(0, color="0.6", lw=0.8, zorder=0)
    return figure


def size_bias(table: pd.DataFrame) -> Figure:
    """Draw how far measured median sizes lie from true ones, over particle size, dose and overlap.

    Parameters
    ----------
    table : DataFrame
        What ``tests/benchmarks/sizes.py`` measured: ``varied`` names the column that a row varies, and for
        ``true masks`` and ``network`` there are ``bias_percent`` and ``scatter_percent``.
    """
    words = {"diameter_px": "diameter [px]", "dose": "dose [electrons / nm²]", "overlap": "overlap of neighbours"}
    figure, (row,) = panels(1, len(words), (7, 2.4), sharey=True)
    for ax, (varied, word) in zip(row, words.items(), strict=True):
        rows = table[table["varied"] == varied]
        ax.axhspan(-2, 2, color="0.93", lw=0)
        for kind, colour in (("true masks", COLOURS["truth"]), ("network", COLOURS["found"])):
            bias, scatter = rows[f"{kind} bias_percent"], rows[f"{kind} scatter_percent"]
            ax.errorbar(rows[varied], bias, scatter, color=colour, marker="o", ms=3, lw=1, capsize=2, label=kind)
        if varied != "overlap":
            ax.set_xscale("log")
        plain_axes(ax, word, ticks_pt=SMALL_PT)
    row[0].set_ylabel("median diameter: found - true [%]", fontsize=FONT_PT)
    row[0].legend(fontsize=SMALL_PT, frameon=False)
    return figure


def trust(scores: pd.DataFrame) -> Figure:
    """Draw the IoU that a segmenter expects of its masks against the true one, and what it warns of.

    Parameters
    ----------
    scores : DataFrame
        One row for each picture: ``data``, ``expected_iou``, ``warned`` and ``iou``, which is missing where
        there is no truth; those lie in a row, at no height that says anything.
    """
    groups = list(scores.groupby("data", sort=False))
    figure, (row,) = panels(1, len(groups), (1.9 * len(groups), 2.4), sharey=True)
    for ax, (data, some) in zip(row, groups, strict=True):
        kind = data.split()[0]
        colour = COLOURS[kind if kind in COLOURS else "experimental"]
        scored = some["iou"].notna().all()
        if scored:
            ax.plot([0, 1], [0, 1], color="0.6", lw=0.8, zorder=1)
            below = f"rank correlation {some['expected_iou'].corr(some['iou'], method='spearman'):.2f}"
        else:
            below = "no truth"
        height = some["iou"] if scored else 0.5 + 0.06 * (np.arange(len(some)) % 3 - 1)
        for warned, marker in ((False, "o"), (True, "x")):
            which = (some["warned"] == warned).to_numpy()
            look = {"s": 12, "color": colour, "alpha": 0.7, "lw": 0 if marker == "o" else 0.9, "marker": marker}
            ax.scatter(some["expected_iou"][which], np.asarray(height)[which], **look)
        ax.axvspan(0, DOUBTFUL, color="0.93", lw=0, zorder=0)
        ax.set_title(f"{data}, n = {len(some)}\n{below}", fontsize=FONT_PT)
        ax.set_xlabel("expected IoU", fontsize=FONT_PT)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.tick_params(labelsize=SMALL_PT, left=scored)
    row[0].set_ylabel("true IoU", fontsize=FONT_PT)
    marks = [
        plt.Line2D([], [], ls="", marker=m, color="0.3", ms=4, label=t)
        for m, t in (("o", "trusted"), ("x", "warned of"))
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2, fontsize=SMALL_PT, frameon=False)
    return figure


def compare_sets(sets: dict[str, Sequence[Signal2D]]) -> Figure:
    """Set kinds of micrographs side by side: an example, grey-level histograms, power spectra.

    Thin lines are single micrographs, thick ones their median. Grey levels are counted after
    smoothing by one pixel, or the steps of a camera that counts little would stand out as a comb.
    Power is the square of the Fourier amplitude of the normalised grey levels, averaged over
    directions.

    Parameters
    ----------
    sets : dict of str to sequence of micrographs
        By kind, keys of :data:`COLOURS`.
    """
    figure, axes = panels(2, len(sets) + 1, (2.1 * (len(sets) + 1), 4))
    levels = np.linspace(-1, 1, 41)
    for column, (kind, images) in enumerate(sets.items()):
        for row in (0, 1):
            show_micrograph(axes[row, column], images[row], kind if row == 0 else "")
        grey = [normalise(image) for image in images]
        shares = [np.histogram(ndimage.gaussian_filter(g, 1), levels, density=True)[0] for g in grey]
        powers = [radial_power(g) for g in grey]
        for ax, x, curves in ((axes[0, -1], levels[:-1] + 0.025, shares), (axes[1, -1], FREQUENCIES, powers)):
            ax.plot(x, np.transpose(curves), color=COLOURS[kind], linewidth=0.4, alpha=0.25)
            ax.plot(x, np.median(curves, axis=0), color=COLOURS[kind], linewidth=1.8, label=kind)
    axes[0, -1].set(ylim=(0, None), yticks=[])
    plain_axes(axes[0, -1], "normalised grey level", "share of pixels", SMALL_PT)
    axes[0, -1].legend(frameon=False, fontsize=SMALL_PT)
    axes[1, -1].set(xscale="log", yscale="log")
    plain_axes(axes[1, -1], "frequency [1 / pixel]", "power", SMALL_PT)
    return figure


def ablation(scores: pd.DataFrame, reference: str = "full") -> Figure:
    """Draw what each variant of the generator gains or loses against the full one.

    Open circles are seeds, full ones their mean; the grey band is one standard deviation of the full
    one's mean IoU over its seeds, to either side: what chance alone does.

    Parameters
    ----------
    scores : DataFrame
        Columns variant, seed, data, name, iou: one row for each scored micrograph.
    reference : str
        The variant that the others are compared with, seed by seed.
    """
    means = scores.groupby(["data", "variant", "seed"], sort=False)["iou"].mean()
    others = [variant for variant in scores["variant"].unique() if variant != reference]
    places = np.arange(len(others))[::-1]
    figure, (row,) = panels(1, 2, (7, 0.28 * len(others) + 1), sharey=True)
    for ax, (data, colour) in zip(row, _OF_DATA.items(), strict=True):
        full = means[data][reference]
        change = means[data].unstack("seed").sub(full, axis=1).loc[others]
        ax.axvspan(-full.std(), full.std(), color="0.9")
        ax.axvline(0, color="0.6", linewidth=0.8)
        for seed in change:
            ax.scatter(change[seed], places, edgecolors=colour, **_SEED)
        ax.scatter(change.mean(axis=1), places, s=28, color=colour)
        ax.set_title(f"scored on {data}; {reference}: mean IoU {full.mean():.2f}", fontsize=FONT_PT)
        ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5))
        ax.set_yticks(places, others, fontsize=FONT_PT)
        plain_axes(ax, f"change of mean IoU against {reference}")
    return figure


def _draw_means_and_ranges(axes: Axes, x: Any, each: pd.DataFrame, colour: str, name: str) -> None:
    """Draw a line through means, and bars from ``min`` to ``max``."""
    around = [each["mean"] - each["min"], each["max"] - each["mean"]]
    axes.errorbar(x, each["mean"], around, color=colour, marker="o", ms=3, lw=1.2, label=name)


def _name_panels(figure: Figure, titles: Sequence[str], x: str, y: str, ncols: int = 3) -> None:
    """Name panels that stand in a row, their axes, and below them what the first one shows."""
    for ax, title in zip(figure.axes, titles, strict=True):
        ax.set_title(title, fontsize=FONT_PT)
        plain_axes(ax, x, ticks_pt=SMALL_PT)
    first = figure.axes[0]
    first.set_ylabel(y, fontsize=FONT_PT)
    named = first.get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=ncols, fontsize=SMALL_PT, frameon=False)


def radial_power(grey: np.ndarray) -> np.ndarray:
    """Give the mean power of normalised grey levels (height, width) in 24 rings of spatial frequency."""
    window = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2 / np.sum(window**2)
    radius = np.hypot(np.fft.fftfreq(grey.shape[0])[:, None], np.fft.rfftfreq(grey.shape[1]))
    ring = np.digitize(radius, _RINGS) - 1
    inside = (ring >= 0) & (ring < 24)
    return np.bincount(ring[inside], power[inside], 24) / np.maximum(np.bincount(ring[inside], minlength=24), 1)
