"""Intervals that hold the truth as often as they say: how many draws of how many particles did so is in the docs.

All are made on logarithms. Mean, standard deviation and their geometric relatives: studentised intervals, whose
pivots come from samples of the sizes themselves (mean, geometric mean and geometric standard deviation by number)
or of the log-normal distribution that fits them: what a sample does not hold, the few largest particles on which
means by volume hang, it cannot draw from itself. Quantiles by number: the binomial distribution of the number of
particles below, between its exact interval and Jeffreys' (Brown et al., Statist. Sci. 16 (2001) 101). Quantiles by
area and volume, and the span: pivots from the log-normal fit.

Micrographs, where there are enough, are what is independent: errors are those of sums over micrographs, and
widened as Student's distribution with one degree of freedom less than micrographs asks.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

__all__ = ["QUANTILES", "intervals", "quantiles_of"]

QUANTILES = (0.1, 0.5, 0.9)
_FEWEST = 5  # particles that have intervals
_ONE_SIZE = 1e-9  # standard deviation of the logarithm below which all have one size
_FEWEST_TO_RESAMPLE = 20
_LARGEST_SAMPLE = 1000  # of pivots; of larger samples they are all but normal
_AT_ONCE = 2**17  # numbers drawn


def quantiles_of(sizes: np.ndarray, weights: np.ndarray, levels: np.ndarray | tuple[float, ...]) -> np.ndarray:
    """Give the sizes, of ascending ones, below which lie some shares of the weight."""
    share = weights / weights.sum()
    return np.interp(levels, np.cumsum(share) - share / 2, sizes)


def intervals(
    sizes: np.ndarray,
    seen: np.ndarray,
    power: int,
    groups: np.ndarray | None = None,
    confidence: float = 0.95,
    n_draws: int = 1000,
    rng: np.random.Generator | None = None,
) -> dict[str, np.ndarray]:
    """Give low and high of each statistic of :func:`temlib.size_distribution`.

    Parameters
    ----------
    sizes : float array
        Ascending.
    seen : float array
        What each particle counts for by number: one over its chance to be whole in the frame.
    power : int
        Of the size, by which the statistics are weighted: 0, 2, 3 by number, area, volume.
    groups : int array, optional
        The micrograph of each particle.
    confidence : float
        In (0, 1).
    n_draws : int
        Samples drawn for the pivots.
    rng : Generator, optional
        That draws them.

    Returns
    -------
    dict of str to array of (low, high)
        Empty for fewer than five particles, or when all are of one size.
    """
    rng = rng or np.random.default_rng(0)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    spread = _spread(np.log(sizes), seen)
    if len(sizes) < _FEWEST or spread < _ONE_SIZE or n_draws == 0:
        return {}
    widened = 1.0 if groups is None else stats.t.ppf(tails[1], groups.max()) / stats.norm.ppf(tails[1])
    weights = seen * sizes**power
    centres, errors = _log_moments(sizes, weights, groups)
    drawn, ranked = _lognormal_pivots(spread, power, len(sizes), n_draws, rng)
    if power == 0 and len(sizes) >= _FEWEST_TO_RESAMPLE:
        resampled = _resampled_pivots(sizes, seen, centres, n_draws, rng)
        drawn[:, [0, 2, 3]] = resampled[:, [0, 2, 3]]
    pivots = np.nanquantile(drawn, tails[::-1], axis=0)
    with np.errstate(over="ignore"):  # of a handful of particles
        mean, deviation, geometric_mean, log_deviation = np.exp(centres - pivots * errors * widened).T
        found = {"mean": mean, "standard_deviation": deviation, "geometric_mean": geometric_mean}
        found["geometric_standard_deviation"] = np.exp(log_deviation)
    alone = errors[2] if groups is None else _log_moments(sizes, weights, None)[1][2]
    widened *= max(errors[2] / alone, 1) / np.sqrt(len(sizes))
    ranks = np.nanquantile(ranked, tails[::-1], axis=0) * widened
    levels = quantiles_of(sizes, weights, QUANTILES)
    for column, (name, level) in enumerate(zip(("d10", "d50", "d90"), QUANTILES, strict=True)):
        if power == 0:
            found[name] = quantiles_of(sizes, seen, _binomial(sizes, seen, level, groups, tails))
        else:
            found[name] = levels[column] * np.exp(-ranks[:, column] * _error_of_quantile((level,), spread, power))
    found["span"] = _span(levels) * np.exp(-ranks[:, 3])
    return found | {"median": found["d50"]}


def _spread(logarithms: np.ndarray, weights: np.ndarray) -> float:
    share = weights / weights.sum()
    return float(np.sqrt(share @ (logarithms - share @ logarithms) ** 2 / (1 - share @ share)))


def _log_moments(
    sizes: np.ndarray, weights: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Give logarithms of mean, standard deviation, geometric mean and log deviation, and their standard errors.

    Along the last axis; the results have one of four more. Errors are those of linearised statistics.
    """
    share = weights / weights.sum(axis=-1, keepdims=True)
    unbiased = 1 / (1 - (share**2).sum(axis=-1))  # n / (n - 1) for equal weights
    centres, errors = [], []
    for values, is_logarithm in ((sizes, False), (np.log(sizes), True)):
        mean = (share * values).sum(axis=-1, keepdims=True)
        squares = (values - mean) ** 2
        variance = (share * squares).sum(axis=-1, keepdims=True)
        error = _standard_error(share * (values - mean), groups)
        centres.append(mean[..., 0] if is_logarithm else np.log(mean[..., 0]))
        errors.append(error if is_logarithm else error / mean[..., 0])
        centres.append(np.log(unbiased * variance[..., 0]) / 2)
        errors.append(_standard_error(share * (squares - variance), groups) / (2 * variance[..., 0]))
    return np.stack(centres, axis=-1), np.stack(errors, axis=-1)


def _standard_error(influence: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    if groups is not None:
        influence = np.bincount(groups, influence)
    n = influence.shape[-1]
    return np.sqrt((influence**2).sum(axis=-1) * n / (n - 1))


def _resampled_pivots(
    sizes: np.ndarray, seen: np.ndarray, truth: np.ndarray, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Give (statistic - truth) / error of samples drawn from the sizes; shape (draws, 4)."""
    n = min(len(sizes), _LARGEST_SAMPLE)
    pivots = []
    for rows in _portions(n_draws, n):
        drawn = rng.integers(len(sizes), size=(rows, n))
        centres, errors = _log_moments(sizes[drawn], seen[drawn])
        pivots.append(_ratio(centres - truth, errors))
    return np.concatenate(pivots)


def _lognormal_pivots(
    spread: float, power: int, n: int, n_draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Give pivots of log-normal samples: of the four moments, and of d10, d50, d90 and the span, times sqrt(n).

    Each sample has a spread of its own, out of those that may lie behind the one that was found.
    """
    n, degrees = min(n, _LARGEST_SAMPLE), n - 1
    moments, ranked = [], []
    for rows in _portions(n_draws, n):
        true = spread * np.sqrt(degrees / rng.chisquare(degrees, (rows, 1)))
        sizes = np.exp(true * np.sort(rng.standard_normal((rows, n)), axis=1))
        weights = sizes**power
        centres, errors = _log_moments(sizes, weights)
        moments.append(_ratio(centres - _true_moments(true, power), errors))
        quantiles = _quantiles_of_rows(sizes, weights)
        true_quantiles = np.exp(power * true**2 + true * stats.norm.ppf(QUANTILES))
        errors = _error_of_quantile(QUANTILES, np.log(sizes).std(axis=1, ddof=1, keepdims=True), power)
        distances = np.log(quantiles / true_quantiles)
        spans = np.log(_span(quantiles) / _span(true_quantiles))
        ranked.append(np.sqrt(n) * np.column_stack([_ratio(distances, errors), spans]))
    return np.concatenate(moments), np.concatenate(ranked)


def _quantiles_of_rows(sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give :func:`quantiles_of` of each row, at once: (rows, n) arrays become one of (rows, 3)."""
    share = weights / weights.sum(axis=1, keepdims=True)
    middles = np.cumsum(share, axis=1) - share / 2
    rows, found = np.arange(len(sizes)), []
    for level in QUANTILES:
        after = np.clip((middles <= level).sum(axis=1), 1, sizes.shape[1] - 1)
        (x0, x1), (y0, y1) = ((array[rows, after - 1], array[rows, after]) for array in (middles, sizes))
        found.append(y0 + np.clip((level - x0) / np.maximum(x1 - x0, np.finfo(float).tiny), 0, 1) * (y1 - y0))
    return np.column_stack(found)


def _true_moments(spread: np.ndarray, power: int) -> np.ndarray:
    """Give what :func:`_log_moments` estimates of a log-normal distribution of geometric mean 1 (Hatch and Choate)."""
    variance = spread**2
    mean = (power + 0.5) * variance
    return np.hstack([mean, mean + np.log(np.expm1(variance)) / 2, power * variance, np.log(spread)])


def _span(quantiles: np.ndarray) -> np.ndarray:
    return (quantiles[..., 2] - quantiles[..., 0]) / quantiles[..., 1]


def _portions(n_draws: int, n: int) -> list[int]:
    """Divide draws of ``n`` numbers into portions that take little memory."""
    most = max(_AT_ONCE // n, 1)
    return [most] * (n_draws // most) + [n_draws % most] * (n_draws % most > 0)


def _ratio(distance: np.ndarray, error: np.ndarray) -> np.ndarray:
    return np.divide(distance, error, out=np.full(distance.shape, np.nan), where=error > 0)


def _error_of_quantile(levels: tuple[float, ...], spread: float | np.ndarray, power: int) -> np.ndarray:
    """Give sqrt(n) times the error of log quantiles, as it follows from mean and spread of n logarithms."""
    return spread * np.sqrt(1 + (2 * power * spread + stats.norm.ppf(levels)) ** 2 / 2)


def _binomial(
    sizes: np.ndarray, weights: np.ndarray, level: float, groups: np.ndarray | None, tails: np.ndarray
) -> np.ndarray:
    """Give the levels whose quantiles bound the quantile of a level, from the number of particles below it.

    As many independent particles as give the same error stand for weighted or grouped ones (Korn and Graubard, Surv.
    Methodol. 24 (1998) 193).
    """
    share = weights / weights.sum()
    (quantile,) = quantiles_of(sizes, weights, (level,))
    error = _standard_error(share * ((sizes <= quantile) - level), groups)
    variance = level * (1 - level)
    n = variance / max(float(error) ** 2, variance / len(sizes))
    if groups is not None:
        n *= (stats.norm.ppf(tails[1]) / stats.t.ppf(tails[1], groups.max())) ** 2
    below, above = level * n, (1 - level) * n
    jeffreys = stats.beta.ppf(tails, below + 0.5, above + 0.5)
    exact = stats.beta.ppf(tails, [below, below + 1], [above + 1, above])
    return (jeffreys + exact) / 2
