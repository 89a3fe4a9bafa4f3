"""Size distributions: their statistics with intervals, the curve that fits best, and how many particles it takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from temlib.particles.fits import Fit, fit_all
from temlib.particles.frame_correction import Frames, frame_weights, require
from temlib.particles.intervals import QUANTILES, intervals, quantiles_of

__all__ = ["Estimate", "Fit", "SizeDistribution", "particles_needed", "size_distribution"]

_POWERS = {"number": 0, "area": 2, "volume": 3}
_STATISTICS = (
    "mean",
    "median",
    "standard_deviation",
    "geometric_mean",
    "geometric_standard_deviation",
    "d10",
    "d50",
    "d90",
    "span",
)
_RATIOS = ("geometric_standard_deviation", "span")  # the others are lengths
_FEWEST_MICROGRAPHS = 5  # that tell how much micrographs differ


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval, NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class SizeDistribution:
    """What :func:`size_distribution` finds.

    Attributes
    ----------
    column : str
        The size that was taken; it ends in the unit of all lengths here.
    weights : str
        ``"number"``, ``"area"`` or ``"volume"``.
    n : int
        Particles that count.
    n_excluded : int
        Particles left out because they touch the edge.
    edge_particles : bool
        Whether those that touch the edge count.
    frames_px : tuple of (int, int)
        The different frames [px] for which the particles left out at the edge were corrected; empty where
        they were not.
    number_density : float or None
        Particles for each nm2 of the specimen (px2 where lengths are in px) in the micrographs that hold any;
        None where no frame is known.
    resampled : str
        What the intervals take for independent: ``"micrographs"`` or ``"particles"``.
    confidence : float
        Of the intervals.
    statistics : dict of str to Estimate
        mean, median, standard_deviation, geometric_mean, geometric_standard_deviation, d10, d50 (the
        median), d90, and span, (d90 - d10) / d50; each is an attribute, too.
    fits : tuple of Fit
        Best first; empty when there are less than three different sizes.
    sizes, counts : float arrays of shape (n,)
        The sizes, ascending, and what each counts by number; the counts add up to n.
    """

    column: str
    weights: str
    n: int
    n_excluded: int
    edge_particles: bool
    frames_px: tuple[tuple[int, int], ...]
    number_density: float | None
    resampled: str
    confidence: float
    statistics: dict[str, Estimate]
    fits: tuple[Fit, ...]
    sizes: np.ndarray = field(repr=False, compare=False)
    counts: np.ndarray = field(repr=False, compare=False)

    def __getattr__(self, name: str) -> Estimate:
        if name in _STATISTICS:
            return self.statistics[name]
        raise AttributeError(f"a size distribution has no {name!r}")

    @property
    def best_fit(self) -> Fit | None:
        """The fit of least AIC."""
        return self.fits[0] if self.fits else None

    @property
    def edge_rule(self) -> str:
        """What became of the particles that the frame cuts, in one sentence."""
        if self.edge_particles:
            return "Particles that the frame cuts count as they are seen."
        if self.frames_px:
            return "Particles that the frame cuts are left out; the others are weighted for it (Miles and Lantuéjoul)."
        return "Particles that the frame cuts are left out, and nothing corrects for it: the frame is not known."

    def to_frame(self) -> pd.DataFrame:
        """Give the statistics as a table: a row for each, lengths first, with unit, value, low and high."""
        unit = next((unit for unit in ("nm", "px") if self.column.endswith(f"_{unit}")), "")
        names = sorted(self.statistics, key=_RATIOS.__contains__)
        rows = {name: {"unit": "ratio" if name in _RATIOS else unit} | vars(self.statistics[name]) for name in names}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("statistic")

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain numbers and text that JSON can hold; None for NaN."""
        names = ("column", "weights", "n", "n_excluded", "edge_particles", "edge_rule", "resampled", "confidence")
        plain = {name: getattr(self, name) for name in (*names, "number_density")}
        plain |= {"corrected_for_frame": bool(self.frames_px), "frames_px": [[*frame] for frame in self.frames_px]}
        statistics = {
            name: {key: float(number) if np.isfinite(number) else None for key, number in vars(estimate).items()}
            for name, estimate in self.statistics.items()
        }
        return plain | {"statistics": statistics, "fits": [asdict(fit) for fit in self.fits]}


def size_distribution(
    table: pd.DataFrame,
    column: str | None = None,
    *,
    weights: str = "number",
    edge_particles: bool = False,
    frame_px: Frames = "table",
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> SizeDistribution:
    """Describe how the sizes of particles are distributed.

    Particles that the frame cuts have no size, so those that touch it are left out. This bends the
    distribution: a large particle is cut more often than a small one, so the sizes come out too small.
    Where the frame is known each particle counts as 1 / ((H - h) (W - w)), the inverse of the area in
    which a bounding box of h x w lies whole in a frame of H x W: the correction of Miles and Lantuéjoul.
    Statistics, fits and histograms follow it.

    How the intervals are made, and how often they hold the truth, is said in
    :mod:`temlib.particles.intervals`. Particles of one micrograph are often alike, which would make an
    interval of single particles too narrow; where there are five micrographs or more, whole micrographs
    are taken for independent.

    Parameters
    ----------
    table : DataFrame
        What :func:`temlib.particles.measurement.measure_particles` gave, or several such tables one below the
        other with a column ``micrograph``.
    column : str, optional
        The size, above 0; by default the equivalent diameter.
    weights : {"number", "area", "volume"}
        What a particle counts: 1, or the area of the circle or the volume of the sphere of that size.
    edge_particles : bool
        Keep those that touch the edge.
    frame_px : "table", (int, int), dict of micrograph to (int, int), or None
        Height and width of the micrographs [px], to correct for the particles left out: those that the
        table holds where it does (columns ``frame_height_px`` and ``frame_width_px``), one for all, one for
        each, or no correction.
    confidence : float
        Of the intervals, in (0, 1).
    n_bootstrap : int
        Samples drawn; 0 for no intervals.
    seed : int
        Same seed and table, same intervals.

    Returns
    -------
    SizeDistribution
        The fits are to the distribution by number, whatever the weights. Fewer than five particles, or
        particles of one size, have no intervals.

    Raises
    ------
    ValueError
        When a column is missing, an argument is out of range, a frame does not hold its particles' boxes,
        or less than two particles are left.
    """
    column = _size_column(table, column)
    _check(weights, edge_particles, frame_px, confidence, n_bootstrap)
    require(table, [] if edge_particles else ["touches_edge"])
    whole = np.ones(len(table), bool) if edge_particles else ~table["touches_edge"].to_numpy(bool)
    sizes = table[column].to_numpy(float)[whole]
    if len(sizes) < 2:
        raise ValueError(f"{len(sizes)} of {len(table)} particles are left; measure more, or keep those at the edge")
    if not (np.isfinite(sizes).all() and sizes.min() > 0):
        raise ValueError(f"{column} holds sizes that are missing or not above 0; drop these rows")
    seen, frames = frame_weights(table, whole, None if edge_particles else frame_px)
    density = float(seen.sum()) if frames else None
    order = np.argsort(sizes, kind="stable")
    sizes, counts = sizes[order], (seen * len(sizes) / seen.sum())[order]
    groups = _micrographs(table[whole])
    power = _POWERS[weights]
    rng = np.random.default_rng(seed)
    bounds = intervals(sizes, counts, power, groups if groups is None else groups[order], confidence, n_bootstrap, rng)
    return SizeDistribution(
        column=column,
        weights=weights,
        n=len(sizes),
        n_excluded=len(table) - len(sizes),
        edge_particles=edge_particles,
        frames_px=frames,
        number_density=density,
        resampled="particles" if groups is None else "micrographs",
        confidence=confidence,
        statistics=_estimates(_statistics(sizes, counts * sizes**power), bounds),
        fits=fit_all(sizes, counts),
        sizes=sizes,
        counts=counts,
    )


def _estimates(values: dict[str, float], bounds: dict[str, np.ndarray]) -> dict[str, Estimate]:
    """Join values and intervals; a value is never outside of its interval."""
    estimates = {}
    for name, value in values.items():
        low, high = bounds.get(name, (np.nan, np.nan))
        if not np.isfinite(high):
            low = high = np.nan
        estimates[name] = Estimate(value, float(np.minimum(low, value)), float(np.maximum(high, value)))
    return estimates


def particles_needed(
    source: SizeDistribution | pd.DataFrame,
    precision: float = 0.05,
    confidence: float = 0.95,
    statistic: str = "median",
) -> int:
    """Say how many particles it takes to know the median or the mean size to a relative precision.

    For log-normal sizes of geometric standard deviation exp(s), weighted by the power c of the size (0, 2, 3
    by number, area, volume), n = z^2 v / ln(1 + precision)^2, with the variance v of the logarithm that a
    sample's statistic has for large n: of the median pi/2 s^2 exp(c^2 s^2), of the mean
    exp((c + 1)^2 s^2) - 2 exp((c^2 + c) s^2) + exp(c^2 s^2). That n particles keep the promise is tested by
    simulation. It takes the particles for independent: where micrographs differ it takes more.

    Parameters
    ----------
    source : SizeDistribution or DataFrame
        A first sample; a table is taken by number and equivalent diameter.
    precision : float
        Half the interval's width over the value, above 0: 0.05 for 5 %.
    confidence : float
        In (0, 1).
    statistic : {"median", "mean"}
        Of the weighted distribution.

    Raises
    ------
    ValueError
        When an argument is out of range, or the sample has less than three different sizes.
    """
    from scipy.stats import norm

    if not (precision > 0 and 0 < confidence < 1):
        raise ValueError(f"precision={precision} and confidence={confidence}: pass more than 0, and one in (0, 1)")
    if statistic not in ("median", "mean"):
        raise ValueError(f"statistic={statistic!r} is unknown; choose median or mean")
    distribution = source if isinstance(source, SizeDistribution) else size_distribution(source, n_bootstrap=0)
    lognormal = next((fit for fit in distribution.fits if fit.family == "lognormal"), None)
    if lognormal is None:
        raise ValueError("the sample has less than three different sizes, so no spread; measure more particles")
    spread = np.log(lognormal.parameters["geometric_standard_deviation"]) ** 2
    c = _POWERS[distribution.weights]
    median = np.pi / 2 * spread * np.exp(c**2 * spread)
    mean = np.exp((c + 1) ** 2 * spread) - 2 * np.exp((c**2 + c) * spread) + np.exp(c**2 * spread)
    variance = median if statistic == "median" else mean
    return int(np.ceil(norm.ppf((1 + confidence) / 2) ** 2 * variance / np.log1p(precision) ** 2))


def _statistics(sizes: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Give the statistics of ascending sizes."""
    share = weights / weights.sum()
    unbiased = 1 / (share @ (1 - share))  # n / (n - 1) for equal weights
    logarithms = np.log(sizes)
    mean, log_mean = share @ sizes, share @ logarithms
    variance = unbiased * (share @ (sizes - mean) ** 2)
    log_variance = unbiased * (share @ (logarithms - log_mean) ** 2)
    d10, d50, d90 = quantiles_of(sizes, weights, QUANTILES)
    spread = np.sqrt(variance), np.exp(log_mean), np.exp(np.sqrt(log_variance))
    values = (mean, d50, *spread, d10, d50, d90, (d90 - d10) / d50)
    return dict(zip(_STATISTICS, map(float, values), strict=True))


def _micrographs(table: pd.DataFrame) -> np.ndarray | None:
    """Give the number of each particle's micrograph, from 0 on; None where there are too few."""
    if "micrograph" not in table:
        return None
    numbers = table.groupby("micrograph", dropna=False).ngroup().to_numpy()
    return numbers if len(np.unique(numbers)) >= _FEWEST_MICROGRAPHS else None


def _size_column(table: pd.DataFrame, column: str | None) -> str:
    if column is None:
        column = next((name for name in table if name.startswith("equivalent_diameter_")), "equivalent_diameter_nm")
    require(table, [column])
    return column


def _check(weights: str, edge_particles: bool, frame_px: Frames, confidence: float, n_bootstrap: int) -> None:
    if weights not in _POWERS:
        raise ValueError(f"weights={weights!r} is unknown; choose from {', '.join(_POWERS)}")
    if edge_particles and not (frame_px is None or isinstance(frame_px, str)):
        raise ValueError("frame_px corrects for particles left out at the edge; pass edge_particles=False with it")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is not in (0, 1); pass 0.95, say")
    if n_bootstrap < 0:
        raise ValueError(f"n_bootstrap={n_bootstrap} is negative; pass 0 for no intervals")
