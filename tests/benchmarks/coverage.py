"""Do the intervals hold the truth? Samples of known log-normal populations, and how often each interval does.

Particles of one population: geometric standard deviations exp(0.3) and exp(0.6), 20, 50 and 200 of them, weighted
by number, area and volume. And particles of micrographs that differ: each has a median of its own, exp(0.1) about
that of all. 1,000 samples of each condition, 500 draws for the pivots of each interval.

Ten minutes on one core, a condition after the other; what is in the table is not done again. Writes coverage.csv in
temlib/data/measured: a row for each condition, how many of a hundred 95 % intervals held the truth.

    python -m tests.benchmarks.coverage
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import norm

import temlib
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SAMPLES, DRAWS, SEED, BETWEEN = 1000, 500, 2023, 0.1
POWERS = {"number": 0, "area": 2, "volume": 3}
KEYS = ("sigma", "weights", "micrographs", "particles")
CONDITIONS = [(sigma, weights, 0, n) for sigma in (0.3, 0.6) for weights in POWERS for n in (20, 50, 200)]
CONDITIONS += [(0.3, "number", micrographs, 25 * micrographs) for micrographs in (5, 10, 30)]


def truth(sigma: float, weights: str) -> dict[str, float]:
    """Give the statistics of a log-normal population of geometric mean 1 (Hatch and Choate)."""
    power = POWERS[weights]
    d10, d50, d90 = np.exp(power * sigma**2 + sigma * norm.ppf([0.1, 0.5, 0.9]))
    mean = np.exp((power + 0.5) * sigma**2)
    return {
        "mean": mean,
        "median": d50,
        "standard_deviation": mean * np.sqrt(np.expm1(sigma**2)),
        "geometric_mean": d50,
        "geometric_standard_deviation": np.exp(sigma),
        "d10": d10,
        "d90": d90,
        "span": (d90 - d10) / d50,
    }


def samples(sigma: float, micrographs: int, particles: int, number: int) -> Iterator[pd.DataFrame]:
    """Yield tables of particles; the variance between micrographs is part of the population's."""
    for seed in range(number):
        rng = np.random.default_rng([SEED, seed, particles, micrographs])
        within = np.sqrt(sigma**2 - (BETWEEN**2 if micrographs else 0))
        logarithms = within * rng.standard_normal(particles)
        table = pd.DataFrame({"touches_edge": np.zeros(particles, bool)})
        if micrographs:
            table["micrograph"] = np.arange(particles) % micrographs
            logarithms += BETWEEN * rng.standard_normal(micrographs)[table["micrograph"]]
        yield table.assign(equivalent_diameter_nm=np.exp(logarithms))


def coverage(sigma: float, weights: str, micrographs: int, particles: int, number: int = SAMPLES) -> dict[str, float]:
    """Give how many of a hundred intervals of each statistic hold the truth."""
    true = truth(sigma, weights)
    held = dict.fromkeys(true, 0)
    for seed, table in enumerate(samples(sigma, micrographs, particles, number)):
        found = temlib.size_distribution(table, weights=weights, n_bootstrap=DRAWS, seed=seed)
        for name, value in true.items():
            held[name] += found.statistics[name].low < value < found.statistics[name].high
    return {name: 100 * times / number for name, times in held.items()}


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``: how many of a hundred intervals held the truth."""
    columns = ("mean", "median", "standard_deviation", "geometric_standard_deviation", "d10", "d90", "span")
    rows = []
    for row in table.to_dict("records"):
        where = f"of {row['micrographs']} micrographs" if row["micrographs"] else ""
        held = " | ".join(f"{row[name]:.0f}" for name in columns)
        rows.append(f"| {row['sigma']:g} | {row['weights']} | {row['particles']} {where}".rstrip() + f" | {held} |")
    return rows


def main() -> None:
    """Run the benchmark where it stopped, write and print its table."""
    results = Results(MEASURED / "coverage.csv", KEYS)
    for condition in CONDITIONS:
        if not results.has(*condition):
            results.add([dict(zip(KEYS, condition, strict=True)) | {"samples": SAMPLES} | coverage(*condition)])
    print(results.table.to_string(index=False))


if __name__ == "__main__":
    main()
