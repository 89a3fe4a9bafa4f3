"""Power laws of growth: d = (a + b t)^p, p shared by many particles, a and b each one's own.

It is d = k (t - t0)^p, written so that a particle that was there already, or that grows slowly, is no special case.
For each p the curves of all particles are fitted on their own; p goes where the sum of squares, with residuals
beyond 2.5 of their spread held back (Huber) and wild ones left out, is least. Its variance is that of the particles'
scores, so that what makes the residuals of one particle hang together is in it. Each score is divided by the share of
what is known of p that the other particles bring, as if p came from them (the jackknife, CR3): one that grows long
and far tells much of p, and pulls it to itself. Student's distribution has one degree of freedom less than there are
particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats
from scipy.optimize import brentq

__all__ = ["PowerLaw", "fit_power_law"]

Curve = tuple[np.ndarray, np.ndarray]
_ALONG = np.geomspace(3, 0.05, 42)  # exponents that are tried
_CLOSE = 1e-6
_INNER = 5
_LEAST = 1e-3  # of what is raised to p, of mean size 1
_HELD = 2.5  # of the spread of residuals
_WILD, _TAME = 6, 0.05  # of the spread about the neighbours, and of the mean size: beyond both it is no measurement


@dataclass(frozen=True)
class PowerLaw:
    """A fit.

    Attributes
    ----------
    exponent, low, high : float
        p and its interval; NaN where the curves say nothing of it.
    fitted : list of float array
        The diameters of each curve that the fit gives.
    spread : list of float
        Standard deviation of each curve's residuals.
    """

    exponent: float
    low: float
    high: float
    fitted: list[np.ndarray]
    spread: list[float]


def fit_power_law(curves: Sequence[Curve], confidence: float = 0.95) -> PowerLaw:
    """Fit the exponent that some curves share.

    Parameters
    ----------
    curves : sequence of (float array, float array)
        Times and diameters of each particle, four or more; times ascend.
    confidence : float
        Of the interval, in (0, 1). That of a single curve comes from its residuals and how far neighbours agree.
    """
    trusted = [_trust(diameter) for _, diameter in curves]

    def scores_at(exponent: float) -> list[tuple[float, float, np.ndarray]]:
        return [_score(*curve, trust, exponent) for curve, trust in zip(curves, trusted, strict=True)]

    def uphill(exponent: float) -> float:
        return sum(score for score, _, _ in scores_at(exponent))

    exponent, upper = _ALONG[0], _ALONG[0]
    found = uphill(upper) < 0
    for lower in _ALONG[1:] if found else ():  # downwards: on that way no fitted base falls below 0
        if uphill(lower) >= 0:
            exponent = float(brentq(uphill, lower, upper, xtol=_CLOSE))
            break
        upper = lower
    else:
        found = False
    parts = scores_at(exponent)
    scores, known = np.array([part[0] for part in parts]), np.array([part[1] for part in parts])
    information = known.sum()
    fitted = [part[2] for part in parts]
    spread = [float((y - f).std(ddof=min(3, len(y) - 1))) for (_, y), f in zip(curves, fitted, strict=True)]
    if not found or not information > 0:
        return PowerLaw(np.nan, np.nan, np.nan, fitted, spread)
    n = len(curves)
    if n > 1:
        others = np.maximum(1 - known / information, 1e-9)
        error, freedom = np.sqrt(((scores / others) ** 2).sum()) / information, n - 1
    else:
        rest = curves[0][1] - fitted[0]
        agreeing = np.clip((rest[1:] @ rest[:-1]) / max(rest @ rest, 1e-300), 0, 0.9)
        error, freedom = spread[0] * np.sqrt((1 + agreeing) / (1 - agreeing) / information), max(len(rest) - 3, 1)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom) * error)
    return PowerLaw(exponent, exponent - half, exponent + half, fitted, spread)


def _trust(diameter: np.ndarray) -> np.ndarray:
    """Say which diameters are not far off the median of their neighbours: 1.0, else 0.0."""
    off = np.abs(diameter - ndimage.median_filter(diameter, 5, mode="nearest"))
    return (off <= max(_WILD * 1.4826 * float(np.median(off)), _TAME * float(diameter.mean()))).astype(float)


def _score(
    time: np.ndarray, diameter: np.ndarray, trust: np.ndarray, exponent: float
) -> tuple[float, float, np.ndarray]:
    """Fit a and b for this p; give the score of p, its information and the fitted diameters."""
    scale = diameter.mean()
    y, x = diameter / scale, (time - time.mean()) / max(np.ptp(time), 1e-300)
    line = np.stack([np.ones_like(x), x], axis=1) * trust[:, None]
    a_b = np.linalg.lstsq(line, y ** (1 / exponent) * trust, rcond=None)[0]
    held = trust
    for _ in range(_INNER):
        base = np.maximum(a_b[0] + a_b[1] * x, _LEAST)
        slope = exponent * base ** (exponent - 1)
        rest = y - base**exponent
        sigma = 1.4826 * np.median(np.abs(rest)) or 1.0
        held = trust * np.minimum(1, _HELD * sigma / np.maximum(np.abs(rest), 1e-300))
        jacobian = np.stack([slope, slope * x], axis=1)
        root = np.sqrt(held)
        a_b = a_b + np.linalg.lstsq(jacobian * root[:, None], rest * root, rcond=None)[0]
    base = np.maximum(a_b[0] + a_b[1] * x, _LEAST)
    slope, root = exponent * base ** (exponent - 1), np.sqrt(held)
    jacobian = np.stack([slope, slope * x], axis=1) * root[:, None]
    along = base**exponent * np.log(base) * root
    along = along - jacobian @ np.linalg.lstsq(jacobian, along, rcond=None)[0]
    rest = (y - base**exponent) * root
    return float(along @ rest) * scale**2, float(along @ along) * scale**2, base**exponent * scale
