"""Fits: log-normal, normal and Weibull distributions by maximum likelihood, the best by Akaike's criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq

__all__ = ["Fit", "fit_all"]


@dataclass(frozen=True)
class Fit:
    """A distribution fitted to the sizes by maximum likelihood.

    Attributes
    ----------
    family : str
        ``"lognormal"``, ``"normal"`` or ``"weibull"``.
    parameters : dict of str to float
        geometric_mean and geometric_standard_deviation; mean and standard_deviation; shape and scale.
    aic : float
        Akaike's information criterion, 4 - 2 ln L: of fits to the same sizes the least is best.
    """

    family: str
    parameters: dict[str, float]
    aic: float

    def density(self, sizes: np.ndarray) -> np.ndarray:
        """Give the share of particles per unit of length at some sizes, to draw over a histogram."""
        return _frozen(self.family, tuple(self.parameters.values())).pdf(sizes)


def fit_all(sizes: np.ndarray, weights: np.ndarray) -> tuple[Fit, ...]:
    """Fit all families to weighted sizes, best first; none to fewer than three different sizes.

    The weights are scaled to the number of particles, so that L is a likelihood of as many.
    """
    if len(np.unique(sizes)) < 3:
        return ()
    weights = weights * len(sizes) / weights.sum()
    logarithms = np.log(sizes)
    found = {
        "lognormal": {
            "geometric_mean": np.exp(np.average(logarithms, weights=weights)),
            "geometric_standard_deviation": np.exp(_spread(logarithms, weights)),
        },
        "normal": {"mean": np.average(sizes, weights=weights), "standard_deviation": _spread(sizes, weights)},
        "weibull": _weibull(sizes, weights),
    }
    fits = []
    for family, parameters in found.items():
        plain = {name: float(value) for name, value in parameters.items()}
        likelihood = weights @ _frozen(family, tuple(plain.values())).logpdf(sizes)
        fits.append(Fit(family, plain, float(2 * len(plain) - 2 * likelihood)))
    return tuple(sorted(fits, key=lambda fit: fit.aic))


def _spread(values: np.ndarray, weights: np.ndarray) -> float:
    return float(np.sqrt(np.average((values - np.average(values, weights=weights)) ** 2, weights=weights)))


def _weibull(sizes: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Find the shape at which the likelihood's slope is 0; the scale follows from it."""
    largest, mean_logarithm = sizes.max(), np.average(np.log(sizes / sizes.max()), weights=weights)

    def slope(shape: float) -> float:
        powers = weights * (sizes / largest) ** shape
        return powers @ np.log(sizes / largest) / powers.sum() - 1 / shape - mean_logarithm

    low, high = 1e-3, 1.0
    while slope(high) < 0:
        low, high = high, 2 * high
    shape = brentq(slope, low, high, rtol=1e-10)
    return {"shape": shape, "scale": largest * np.average((sizes / largest) ** shape, weights=weights) ** (1 / shape)}


def _frozen(family: str, parameters: tuple[float, ...]) -> Any:
    first, second = parameters
    if family == "lognormal":
        return stats.lognorm(np.log(second), scale=first)
    return stats.norm(first, second) if family == "normal" else stats.weibull_min(first, scale=second)
