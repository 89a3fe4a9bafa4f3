"""When not to trust a mask: what the network's own doubt says of the mask's IoU.

No truth is needed. A network that is sure of every pixel, at every scale at which it looked, says
probabilities near 0 and 1; where it is not, or where one scale contradicts another, the average
lies between. How much of that goes with which IoU is calibrated on micrographs with exact truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

__all__ = ["DOUBTFUL", "Trust", "agreement"]

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


@dataclass(frozen=True)
class Trust:
    """From agreement to the IoU that is to be expected: linear between points.

    Attributes
    ----------
    agreement, iou : tuple of float
        The points, in ascending order.
    """

    agreement: tuple[float, ...]
    iou: tuple[float, ...]

    @classmethod
    def calibrate(cls, agreements: Sequence[float], ious: Sequence[float], n: int = 9) -> Trust:
        """Fit the rising curve of least squares (isotonic regression), and keep it at some quantiles.

        Parameters
        ----------
        agreements, ious : sequence of float
            Of micrographs whose truth is known.
        n : int
            Points to keep.
        """
        from sklearn.isotonic import IsotonicRegression

        curve = IsotonicRegression(out_of_bounds="clip").fit(agreements, ious)
        points = np.unique(np.quantile(agreements, np.linspace(0.02, 0.98, n)))
        width = (points[-1] - points[0]) / n
        around = np.linspace(-width, width, 21)
        smooth = [curve.predict(np.clip(point + around, points[0], points[-1])).mean() for point in points]
        return cls(tuple(points.round(4).tolist()), tuple(np.round(smooth, 4).tolist()))

    def __call__(self, value: float) -> float:
        """Give the expected IoU for an agreement."""
        return float(np.interp(value, self.agreement, self.iou))

    def to_dict(self) -> dict[str, list[float]]:
        """Give the points as plain lists, as a saved segmenter keeps them."""
        return {name: list(values) for name, values in asdict(self).items()}
