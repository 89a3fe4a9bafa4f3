"""Size distributions: their statistics with intervals, the curve that fits best, and how many particles it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

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
_FEWEST_MICROGRAPHS = 5  # to draw from in a bootstrap


@dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap interval, NaN where there is none."""

    value: float
    low: float
    high: float


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
    resampled : str
        What the bootstrap drew: ``"micrographs"`` or ``"particles"``.
    confidence : float
        Of the intervals.
    statistics : dict of str to Estimate
        mean, median, standard_deviation, geometric_mean, geometric_standard_deviation, d10, d50 (the
        median), d90, and span, (d90 - d10) / d50; each is an attribute, too.
    fits : tuple of Fit
        Best first; empty when there are less than three different sizes.
    """

    column: str
    weights: str
    n: int
    n_excluded: int
    resampled: str
    confidence: float
    statistics: dict[str, Estimate]
    fits: tuple[Fit, ...]

    def __getattr__(self, name: str) -> Estimate:
        if name in _STATISTICS:
            return self.statistics[name]
        raise AttributeError(f"a size distribution has no {name!r}")

    @property
    def best_fit(self) -> Fit | None:
        """The fit of least AIC."""
        return self.fits[0] if self.fits else None

    def to_frame(self) -> pd.DataFrame:
        """Give the statistics as a table: a row for each, with value, low and high."""
        import pandas as pd

        rows = {name: vars(estimate) for name, estimate in self.statistics.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("statistic")

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain numbers and text that JSON can hold; None for NaN."""
        plain = {name: getattr(self, name) for name in ("column", "weights", "n", "n_excluded", "resampled")}
        statistics = {
            name: {key: float(number) if np.isfinite(number) else None for key, number in vars(estimate).items()}
            for name, estimate in self.statistics.items()
        }
        fits = [{"family": fit.family, "parameters": dict(fit.parameters), "aic": fit.aic} for fit in self.fits]
        return plain | {"confidence": self.confidence, "statistics": statistics, "fits": fits}


def size_distribution(
    table: pd.DataFrame,
    column: str | None = None,
    *,
    weights: str = "number",
    edge_particles: bool = False,
    frame_px: tuple[int, int] | None = None,
    confidence: float = 0.95,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> SizeDistribution:
    """Describe how the sizes of particles are distributed.

    Particles that the frame cuts have no size, so those that touch it are left out. This bends the
    distribution: a large particle is cut more often than a small one, so the sizes come out too small.
    With ``frame_px`` each particle counts as 1 / ((H - h) (W - w)), the inverse of the area in which a
    bounding box of h x w lies whole in a frame of H x W: the correction of Miles and Lantuéjoul.

    Intervals are the percentiles of a bootstrap. Particles of one micrograph are often alike, which
    makes an interval that draws single particles too narrow; where there are five micrographs or more
    it draws whole micrographs.

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
    frame_px : (int, int), optional
        Height and width of the micrographs [px], to correct for the particles left out.
    confidence : float
        Of the intervals, in (0, 1).
    n_bootstrap : int
        Samples drawn; 0 for no intervals.
    seed : int
        Same seed and table, same intervals.

    Returns
    -------
    SizeDistribution
        The fits are to the sizes of the particles counted, each as 1, whatever the weights.

    Raises
    ------
    ValueError
        When a column is missing, an argument is out of range, or less than two particles are left.
    """
    column = _size_column(table, column)
    _check(weights, edge_particles, frame_px, confidence, n_bootstrap)
    _require(table, [] if edge_particles else ["touches_edge"])
    kept = table if edge_particles else table[~table["touches_edge"].astype(bool)]
    kept = kept.sort_values(column, kind="stable")
    sizes = kept[column].to_numpy(float)
    if len(sizes) < 2:
        raise ValueError(f"{len(sizes)} of {len(table)} particles are left; measure more, or keep those at the edge")
    if not (np.isfinite(sizes).all() and sizes[0] > 0):
        raise ValueError(f"{column} holds sizes that are missing or not above 0; drop these rows")
    counts = sizes ** _POWERS[weights] * (1 if frame_px is None else _edge_weights(kept, frame_px))
    groups = _micrographs(kept)
    drawn = _bootstrap(sizes, counts, groups, n_bootstrap, np.random.default_rng(seed))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    intervals = np.quantile(drawn, tails, axis=0) if n_bootstrap else np.full((2, len(_STATISTICS)), np.nan)
    statistics = {
        name: Estimate(*map(float, row))
        for name, row in zip(_STATISTICS, np.vstack([_statistics(sizes, counts), intervals]).T, strict=True)
    }
    resampled = "particles" if groups is None else "micrographs"
    n_excluded = len(table) - len(kept)
    return SizeDistribution(column, weights, len(kept), n_excluded, resampled, confidence, statistics, _fit_all(sizes))


def particles_needed(source: SizeDistribution | pd.DataFrame, precision: float = 0.05, confidence: float = 0.95) -> int:
    """Say how many particles it takes to know the median size to a relative precision.

    For log-normal sizes of geometric standard deviation exp(s), with the median of the weighted
    distribution as it follows from the particles' geometric mean and s (of number weights the two are
    the same): n = z^2 s^2 (1 + 2 c^2 s^2) / ln(1 + precision)^2, c = 0, 2, 3 for weights of number,
    area, volume (Masuda and Gotoh, Adv. Powder Technol. 10 (1999) 159). It takes the particles for
    independent: where micrographs differ it takes more.

    Parameters
    ----------
    source : SizeDistribution or DataFrame
        A first sample; a table is taken by number and equivalent diameter.
    precision : float
        Half the interval's width over the median, above 0: 0.05 for 5 %.
    confidence : float
        In (0, 1).

    Raises
    ------
    ValueError
        When an argument is out of range, or the sample has less than three different sizes.
    """
    from scipy.stats import norm

    if not (precision > 0 and 0 < confidence < 1):
        raise ValueError(f"precision={precision} and confidence={confidence}: pass more than 0, and one in (0, 1)")
    distribution = source if isinstance(source, SizeDistribution) else size_distribution(source, n_bootstrap=0)
    lognormal = next((fit for fit in distribution.fits if fit.family == "lognormal"), None)
    if lognormal is None:
        raise ValueError("the sample has less than three different sizes, so no spread; measure more particles")
    variance = np.log(lognormal.parameters["geometric_standard_deviation"]) ** 2
    power = _POWERS[distribution.weights]
    quantile = norm.ppf((1 + confidence) / 2)
    return int(np.ceil(quantile**2 * variance * (1 + 2 * power**2 * variance) / np.log1p(precision) ** 2))


def _statistics(sizes: np.ndarray, weights: np.ndarray) -> list[float]:
    """Give the statistics of ascending sizes in the order of their names."""
    share = weights / weights.sum()
    unbiased = 1 / (share @ (1 - share))  # n / (n - 1) for equal weights
    logarithms = np.log(sizes)
    mean, log_mean = share @ sizes, share @ logarithms
    variance = unbiased * (share @ (sizes - mean) ** 2)
    log_variance = unbiased * (share @ (logarithms - log_mean) ** 2)
    d10, d50, d90 = np.interp([0.1, 0.5, 0.9], np.cumsum(share) - share / 2, sizes)
    spread = np.sqrt(variance), np.exp(log_mean), np.exp(np.sqrt(log_variance))
    return [mean, d50, *spread, d10, d50, d90, (d90 - d10) / d50]


def _bootstrap(
    sizes: np.ndarray, weights: np.ndarray, groups: list[np.ndarray] | None, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Give the statistics of ``n`` samples; shape (n, statistics)."""

    def draw() -> np.ndarray:
        if groups is None:
            return rng.integers(len(sizes), size=len(sizes))
        return np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])

    samples = (np.sort(draw()) for _ in range(n))  # the sizes are sorted, so those drawn are as well
    return np.array([_statistics(sizes[sample], weights[sample]) for sample in samples])


def _micrographs(table: pd.DataFrame) -> list[np.ndarray] | None:
    """Give the places of each micrograph's particles, None where there are too few micrographs."""
    if "micrograph" not in table:
        return None
    groups = list(table.groupby("micrograph", dropna=False).indices.values())
    return groups if len(groups) >= _FEWEST_MICROGRAPHS else None


def _edge_weights(table: pd.DataFrame, frame_px: tuple[int, int]) -> np.ndarray:
    """Give 1 over the number of places where each bounding box is whole and off the frame."""
    _require(table, ["top_px", "left_px", "bottom_px", "right_px"])
    places = 1.0
    for length, low, high in zip(frame_px, ("top_px", "left_px"), ("bottom_px", "right_px"), strict=True):
        free = length - 1 - (table[high] - table[low]).to_numpy(float)
        if not (free > 0).all() or (table[high] > length).any():
            raise ValueError(f"particles do not fit in frame_px={frame_px}; pass height and width of the micrographs")
        places = places * free
    return 1 / np.asarray(places)


def _fit_all(sizes: np.ndarray) -> tuple[Fit, ...]:
    if len(np.unique(sizes)) < 3:
        return ()
    from scipy.stats import weibull_min

    logarithms = np.log(sizes)
    scale = sizes.mean()
    shape, _, width = weibull_min.fit(sizes / scale, floc=0)
    found = {
        "lognormal": {
            "geometric_mean": np.exp(logarithms.mean()),
            "geometric_standard_deviation": np.exp(logarithms.std()),
        },
        "normal": {"mean": scale, "standard_deviation": sizes.std()},
        "weibull": {"shape": shape, "scale": width * scale},
    }
    fits = []
    for family, parameters in found.items():
        plain = {name: float(value) for name, value in parameters.items()}
        likelihood = _frozen(family, tuple(plain.values())).logpdf(sizes).sum()
        fits.append(Fit(family, plain, float(2 * len(plain) - 2 * likelihood)))
    return tuple(sorted(fits, key=lambda fit: fit.aic))


def _frozen(family: str, parameters: tuple[float, ...]) -> Any:
    from scipy import stats

    first, second = parameters
    if family == "lognormal":
        return stats.lognorm(np.log(second), scale=first)
    return stats.norm(first, second) if family == "normal" else stats.weibull_min(first, scale=second)


def _size_column(table: pd.DataFrame, column: str | None) -> str:
    if column is None:
        column = next((name for name in table if name.startswith("equivalent_diameter_")), "equivalent_diameter_nm")
    _require(table, [column])
    return column


def _require(table: pd.DataFrame, columns: list[str]) -> None:
    missing = [name for name in columns if name not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; pass what measure_particles gives")


def _check(
    weights: str, edge_particles: bool, frame_px: tuple[int, int] | None, confidence: float, n_bootstrap: int
) -> None:
    if weights not in _POWERS:
        raise ValueError(f"weights={weights!r} is unknown; choose from {', '.join(_POWERS)}")
    if frame_px is not None and edge_particles:
        raise ValueError("frame_px corrects for particles left out at the edge; pass edge_particles=False with it")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} is not in (0, 1); pass 0.95, say")
    if n_bootstrap < 0:
        raise ValueError(f"n_bootstrap={n_bootstrap} is negative; pass 0 for no intervals")
