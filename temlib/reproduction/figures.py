"""The five figures, one function each: each takes what it shows and the caption of the run, and gives a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.drawing import FONT_PT, explain, panels, plain_axes, show_micrographs
from temlib.files.grey_levels import normalise
from temlib.palette import COLOURS
from temlib.particles.scores import iou
from temlib.reproduction.evidence import MARKERS, radial_power

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D
    from matplotlib.figure import Figure

__all__ = ["figure_1", "figure_2", "figure_3", "figure_4", "figure_5", "look_alikes"]

_DRAWS = 2000


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


def look_alikes(experimental: Sequence[Signal2D], synthetic: Sequence[Signal2D]) -> list[int]:
    """Give for each experimental micrograph the place of the synthetic one that looks most like it.

    That is the one whose power spectrum is nearest, on average over the logarithms; none is taken twice.
    """
    spectra = [np.log([radial_power(normalise(image)) + 1e-12 for image in some]) for some in (experimental, synthetic)]
    places: list[int] = []
    for spectrum in spectra[0]:
        far = np.abs(spectra[1] - spectrum).mean(axis=1)
        far[places] = np.inf
        places.append(int(far.argmin()))
    return places


def figure_2(
    experimental: Sequence[Signal2D],
    ml_labels: Sequence[Any],
    synthetic: Sequence[Signal2D],
    exact_labels: Sequence[Any],
    caption: str = "",
    truths: Sequence[Any] = (),
) -> Figure:
    """Figure 2: labels used for training, (a, b) machine-learning and (c, d) synthetic, exact.

    ``truths`` are those of the experimental micrographs, to be outlined on the machine-learning labels.
    """
    titles = ["(a) ML label", "(b) ML label", "(c) exact label", "(d) exact label"]
    masks = [{"ML": mask} for mask in ml_labels] + [{"truth": mask} for mask in exact_labels]
    for shown, truth in zip(masks, truths, strict=False):
        shown["truth"] = truth
    return show_micrographs([*experimental, *synthetic], titles, masks, caption=caption, fill=True)


def figure_3(
    images: Sequence[Signal2D],
    ml_labels: Sequence[Any],
    predictions: Sequence[Any],
    truths: Sequence[Any],
    caption: str = "",
) -> Figure:
    """Figure 3: validation image, ML label and TL prediction with their IoU, a row each; the truth is outlined."""
    shown = [image for image in images for _ in range(3)]
    masks: list[dict[str, Any]] = []
    words = []
    for ml_label, prediction, truth in zip(ml_labels, predictions, truths, strict=True):
        masks += [{}, {"ML": ml_label, "truth": truth}, {"TL": prediction, "truth": truth}]
        words += ["validation image", f"ML label: IoU {iou(ml_label, truth):.2f}"]
        words += [f"TL prediction: IoU {iou(prediction, truth):.2f}"]
    titles = [f"({chr(ord('a') + i)}) {word}" for i, word in enumerate(words)]
    return show_micrographs(shown, titles, masks, columns=3, caption=caption, fill=True)


def figure_4(
    images: Sequence[Signal2D],
    predictions: Sequence[Any],
    truths: Sequence[Any],
    ious: Sequence[float],
    caption: str = "",
) -> Figure:
    """Figure 4: predictions on every test micrograph, filled, and the outline of the truth."""
    titles = [f"{i + 1}: IoU {score:.2f}" for i, score in enumerate(ious)]
    masks = [{"TL": prediction, "truth": truth} for truth, prediction in zip(truths, predictions, strict=True)]
    return show_micrographs(images, titles, masks, caption=caption, fill=True)


def figure_5(scores: pd.DataFrame, caption: str = "") -> Figure:
    """Figure 5: IoU of ML and TL on the test set, micrograph by micrograph.

    The title says the mean gain of TL over ML, and its 95 % interval by bootstrap over micrographs.

    Parameters
    ----------
    scores : DataFrame
        A row for each test micrograph with columns ML, TL and Otsu, the IoU of each.
    caption : str
        Of the run.
    """
    number = np.arange(1, len(scores) + 1)
    better = int((scores["TL"] > scores["ML"]).sum())
    figure, ((axes,),) = panels(1, 1, (6.5, 3.2))
    axes.vlines(number, scores["ML"], scores["TL"], color="0.8", linewidth=1, zorder=1)
    for kind, marker in MARKERS.items():
        label = f"{kind}: mean {scores[kind].mean():.2f}, median {scores[kind].median():.2f}"
        axes.scatter(number, scores[kind], color=COLOURS[kind], marker=marker, s=30, label=label, zorder=2)
        axes.axhline(scores[kind].mean(), color=COLOURS[kind], linewidth=0.8, linestyle="--", zorder=0)
    axes.set(ylim=(-0.02, 1.02), xticks=number)
    plain_axes(axes, "test micrograph", "IoU with the truth")
    gains = (scores["TL"] - scores["ML"]).to_numpy()
    again = np.random.default_rng(0).choice(gains, (_DRAWS, len(gains))).mean(axis=1)
    low, high = np.percentile(again, [2.5, 97.5])
    said = f"TL better than ML on {better} of {len(scores)}; mean gain {gains.mean():.2f} ({low:.2f} to {high:.2f})"
    axes.set_title(said, fontsize=FONT_PT)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=FONT_PT)
    explain(figure, [], caption)
    return figure
