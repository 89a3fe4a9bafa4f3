"""When not to trust a mask: the network's own doubt, and where its two outputs contradict each other.

No truth is needed. A network that is sure of every pixel, at every scale at which it looked, says
probabilities near 0 and 1; where it is not, or where one scale contradicts another, the average
lies between. How much of that goes with which IoU is calibrated on micrographs with exact truth.

It may also be sure of what is wrong, in a picture unlike all that it learned from. Then the distance
that it says is not that of the shapes that it draws: of particles it has learned how the two belong
together. Above which contradiction a picture is called unfamiliar is calibrated on the same micrographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from temlib.files.json_files import in_range
from temlib.particles.separation import relative_distance

__all__ = ["DOUBTFUL", "Trust", "agreement", "contradiction"]

DOUBTFUL = 0.5
"""Expected IoU below which a segmenter warns of its mask."""


def agreement(probability: np.ndarray, threshold: float = 0.5) -> float:
    """Give the IoU that the mask would have if the probabilities were right.

    The expected true positives over the mask's area and the expected false negatives.

    Parameters
    ----------
    probability : float array of shape (height, width), in [0, 1]
        Of *particle*.
    threshold : float
        Above it lies the mask.

    Returns
    -------
    float in [0, 1]; 0 when the mask is empty
    """
    mask = probability > threshold
    found = float(np.vdot(probability, mask.astype(probability.dtype)))
    return found / max(np.count_nonzero(mask) + float(probability.sum()) - found, 1e-9)


def contradiction(maps: np.ndarray, threshold: float = 0.5) -> float:
    """Give the mean difference, over the mask, of the distance that the network says and the mask's own.

    Parameters
    ----------
    maps : float array of shape (height, width, 2), in [0, 1]
        Probability of *particle*, and distance to the particle's edge over its largest.
    threshold : float
        Above it lies the mask.

    Returns
    -------
    float in [0, 1]; 0 when the mask is empty
    """
    mask = maps[..., 0] > threshold
    return float(np.abs(relative_distance(mask) - maps[..., 1])[mask].mean()) if mask.any() else 0.0


@dataclass(frozen=True)
class Trust:
    """From agreement to the IoU that is to be expected, linear between points; and what is unfamiliar.

    Attributes
    ----------
    agreement, iou : tuple of float
        The points, in ascending order.
    most : float
        Contradiction above which a picture is unfamiliar.
    """

    agreement: tuple[float, ...]
    iou: tuple[float, ...]
    most: float = 1.0

    @classmethod
    def calibrate(
        cls, agreements: Sequence[float], ious: Sequence[float], contradictions: Sequence[float] = (1.0,), n: int = 9
    ) -> Trust:
        """Fit the rising curve of least squares (isotonic regression), and keep it at some quantiles.

        Parameters
        ----------
        agreements, ious : sequence of float
            Of micrographs whose truth is known.
        contradictions : sequence of float
            Of micrographs that are familiar: one of twenty of them is to be warned of.
        n : int
            Points to keep.
        """
        from sklearn.isotonic import IsotonicRegression

        curve = IsotonicRegression(out_of_bounds="clip").fit(agreements, ious)
        points = np.unique(np.quantile(agreements, np.linspace(0.02, 0.98, n)))
        width = (points[-1] - points[0]) / n
        around = np.linspace(-width, width, 21)
        smooth = [curve.predict(np.clip(point + around, points[0], points[-1])).mean() for point in points]
        most = float(np.quantile(contradictions, 0.95).round(4))
        return cls(tuple(points.round(4).tolist()), tuple(np.clip(smooth, 0, 1).round(4).tolist()), most)

    def __call__(self, value: float) -> float:
        """Give the expected IoU for an agreement."""
        return float(np.interp(value, self.agreement, self.iou))

    def warning(self, maps: np.ndarray, threshold: float = 0.5) -> str | None:
        """Say in a few words why not to trust the mask of what a network said; None where nothing speaks against it."""
        expected = self(agreement(maps[..., 0], threshold))
        if expected < DOUBTFUL:
            return f"expect an IoU of {expected:.2f} only"
        if contradiction(maps, threshold) > self.most:
            return "unlike what the network learned from (its two outputs contradict each other)"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Give the attributes as a saved segmenter keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Trust:
        """Read what :meth:`to_dict` gave, from json too.

        Raises
        ------
        ValueError, KeyError or TypeError
            When the points are no numbers from 0 to 1, not as many of both, or not in ascending order.
        """
        points, ious = (tuple(in_range(key, each, 0, 1) for each in saved[key]) for key in ("agreement", "iou"))
        if not points or len(points) != len(ious) or any(a >= b for a, b in pairwise(points)):
            raise ValueError("the points of its trust are not as many of both, in ascending order")
        return cls(points, ious, in_range("most", saved.get("most", 1.0), 0, 1))
