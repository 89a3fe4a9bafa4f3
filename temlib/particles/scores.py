"""Scores of a predicted mask against a hand annotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.measure import label, perimeter_crofton
from skimage.segmentation import find_boundaries

from temlib.files.micrographs import as_array

__all__ = [
    "iou",
    "largest_median_least",
    "panoptic_quality",
    "particle_f1",
    "particle_fates",
    "particle_scores",
    "particle_summary",
]


def iou(prediction: Any, truth: Any) -> float:
    """Intersection over union of the particle class, TP / (TP + FP + FN).

    Parameters
    ----------
    prediction, truth : signals or bool arrays of shape (height, width)
        Masks; anything else is taken as *particle* where it is not 0.

    Returns
    -------
    float in [0, 1]; 1 when both masks are empty.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    prediction, truth = _masks(prediction, truth)
    union = np.count_nonzero(prediction | truth)
    return 1.0 if union == 0 else np.count_nonzero(prediction & truth) / union


def largest_median_least(gains: Sequence[float]) -> list[int]:
    """Give the places of the largest gain, the median one and the least: examples by a rule, not by taste.

    Of an even number the lower of the two middle ones is the median; of one or two gains there are no more places.
    """
    order = np.argsort(np.asarray(gains), kind="stable")
    return list(dict.fromkeys([int(order[-1]), int(order[(len(order) - 1) // 2]), int(order[0])]))


def particle_f1(prediction: Any, truth: Any) -> float:
    """F1 of particles: 2 TP / (predicted + true), where a pair with an IoU above 0.5 is a TP.

    Parameters
    ----------
    prediction, truth : signals or int arrays of shape (height, width)
        Instance labels, 0 is background. Above 0.5 no particle can pair with two.

    Returns
    -------
    float in [0, 1]; 1 when there is no particle in either.
    """
    pairs, total = _paired(prediction, truth)
    return 1.0 if total == 0 else 2 * len(pairs) / total


def panoptic_quality(prediction: Any, truth: Any) -> float:
    """F1 of particles times the mean IoU of the pairs: found, and outlined well (Kirillov et al. 2019).

    Source: arXiv:1801.00868. Arguments as for :func:`particle_f1`.

    Returns
    -------
    float in [0, 1]; 1 when there is no particle in either.
    """
    pairs, total = _paired(prediction, truth)
    return 1.0 if total == 0 else 2 * sum(pairs) / total


def particle_scores(prediction: Any, labels: Any) -> pd.DataFrame:
    """Score a mask particle by particle: found or not, and how well its outline is kept.

    A mask does not tell touching particles apart, so each predicted pixel is first given to the
    true particle nearest to it; a particle's *piece* is what it gets that way, in so far as it hangs
    together with the particle. Circularity is 4 pi area / perimeter^2 with Crofton's perimeter (the
    square of what :func:`temlib.measure_particles` gives), of outlines as they are in the image.

    Parameters
    ----------
    prediction : signal or bool array of shape (height, width)
        The predicted mask.
    labels : signal or int array of shape (height, width)
        True instance labels, 0 is background.

    Returns
    -------
    DataFrame indexed by label
        ``iou`` of the piece with the particle, ``found`` (IoU of at least 0.5), and for found
        particles (else NaN) ``circularity_error`` (predicted less true), and
        ``boundary_distance_px`` (mean distance between the outlines, both ways, [px]).
    """
    truth = as_array(labels)
    prediction, _ = _masks(prediction, truth)
    columns = ["iou", "found", "circularity_error", "boundary_distance_px"]
    numbers = np.unique(truth[truth > 0])
    if numbers.size == 0:
        return pd.DataFrame(columns=columns, index=pd.Index([], name="label"))
    nearest = ndimage.distance_transform_edt(truth == 0, return_distances=False, return_indices=True)
    owner = np.where(prediction, truth[tuple(nearest)], 0)  # equal to truth inside particles
    boxes = ndimage.find_objects(np.maximum(owner, truth))
    rows = [_score_piece(owner[boxes[n - 1]] == n, truth[boxes[n - 1]] == n) for n in numbers]
    return pd.DataFrame(rows, columns=columns, index=pd.Index(numbers, name="label"))


def particle_summary(scores: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare methods particle by particle.

    Parameters
    ----------
    scores : dict of str to DataFrame
        For each method what :func:`particle_scores` gave, of the same particles.

    Returns
    -------
    DataFrame, a column for each method
        Number of particles, share found, and the errors of outline, averaged over the particles
        that every method found, so that none gains by missing the difficult ones.
    """
    by_all = np.logical_and.reduce([table["found"].astype(bool) for table in scores.values()])
    columns = {}
    for method, table in scores.items():
        circularity, distance = table["circularity_error"][by_all], table["boundary_distance_px"][by_all]
        columns[method] = {
            "particles": len(table),
            "found": table["found"].mean(),
            "circularity error, mean absolute": circularity.abs().mean(),
            "circularity error, mean": circularity.mean(),
            "distance between outlines [px]": distance.mean(),
        }
    return pd.DataFrame(columns)


def particle_fates(prediction: Any, truth: Any) -> pd.Series:
    """Say what became of each true particle.

    Parameters
    ----------
    prediction, truth : signals or int arrays of shape (height, width)
        Instance labels, 0 is background.

    Returns
    -------
    categorical Series indexed by true label
        ``"found"`` when its IoU with a predicted particle is above 0.5. Of the others: ``"joined"`` when more
        than half of it lies in a predicted particle that holds more than half of another one, too; ``"cut"``
        when two or more predicted particles lie in it with more than half of their area; ``"badly outlined"`` when more
        than half of it is in some predicted particle; ``"missed"`` else.
    """
    shared, (predicted, true) = _shared(prediction, truth)
    shared["most of it"] = shared["pixels"] > shared["true"].map(true) / 2
    held = shared.groupby("predicted")["most of it"].transform("sum")
    shared["with another"] = shared["most of it"] & (held > 1)
    shared["piece"] = shared["pixels"] > shared["predicted"].map(predicted) / 2
    of_each = shared.groupby("true")
    rules = {
        "found": of_each["iou"].max() > 0.5,
        "joined": of_each["with another"].any(),
        "cut": of_each["piece"].sum() > 1,
        "badly outlined": of_each["pixels"].sum() > true.reindex(of_each.size().index) / 2,
    }
    holds = [rule.reindex(true.index, fill_value=False).to_numpy(bool) for rule in rules.values()]
    fates = np.select(holds, list(rules), "missed")
    kinds = pd.Categorical(fates, ["found", "joined", "cut", "badly outlined", "missed"])
    return pd.Series(kinds, index=true.index.rename("label"), name="fate")


def _paired(prediction: Any, truth: Any) -> tuple[list[float], int]:
    """Give the IoU of each pair above 0.5, and the number of particles in both label images together."""
    shared, areas = _shared(prediction, truth)
    return [float(each) for each in shared["iou"] if each > 0.5], sum(map(len, areas))


def _shared(prediction: Any, truth: Any) -> tuple[pd.DataFrame, list[pd.Series]]:
    """Give predicted and true particles that share pixels, a pair a row, and the areas [px] of all in each image."""
    prediction, truth = as_array(prediction), as_array(truth)
    _masks(prediction, truth)
    areas = []
    for labels in (prediction, truth):
        numbers, counts = np.unique(labels[labels > 0], return_counts=True)
        areas.append(pd.Series(counts, index=numbers))
    both = (prediction > 0) & (truth > 0)
    pairs, pixels = np.unique(np.stack([prediction[both], truth[both]]), axis=1, return_counts=True)
    shared = pd.DataFrame({"predicted": pairs[0], "true": pairs[1], "pixels": pixels})
    union = areas[0].loc[pairs[0]].to_numpy() + areas[1].loc[pairs[1]].to_numpy() - pixels
    return shared.assign(iou=pixels / union), areas


def _score_piece(owned: np.ndarray, particle: np.ndarray) -> tuple[float, bool, float, float]:
    pieces = label(owned, connectivity=1)
    touching = np.unique(pieces[particle])
    piece = np.isin(pieces, touching[touching > 0])
    overlap = iou(piece, particle)
    if overlap < 0.5:
        return overlap, False, np.nan, np.nan
    return overlap, True, _circularity(piece) - _circularity(particle), _boundary_distance(piece, particle)


def _circularity(mask: np.ndarray) -> float:
    perimeter = perimeter_crofton(np.pad(mask, 1), directions=4)
    return 4 * np.pi * np.count_nonzero(mask) / perimeter**2


def _boundary_distance(first: np.ndarray, second: np.ndarray) -> float:
    outlines = [find_boundaries(np.pad(mask, 1), mode="inner") for mask in (first, second)]
    distances = [ndimage.distance_transform_edt(~outline) for outline in outlines]
    return float(np.concatenate([distances[1][outlines[0]], distances[0][outlines[1]]]).mean())


def _masks(prediction: Any, truth: Any) -> tuple[np.ndarray, np.ndarray]:
    prediction, truth = as_array(prediction) != 0, as_array(truth) != 0
    if prediction.shape != truth.shape:
        raise ValueError(f"a prediction of shape {prediction.shape} cannot be scored against {truth.shape}")
    return prediction, truth
