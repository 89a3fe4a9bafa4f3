"""What a person who measures particles wants to know first: sizes on real micrographs, against hand-drawn truth.

The validation micrographs of ``emps``, each particle of which is drawn and numbered by hand. For each
micrograph and way: F1 of particles, how many there are, and of the diameters of circles of the same area
the median, d90 and geometric standard deviation, all of them against those of the drawn particles in the
same frame (what the frame cuts is in both). Ways: Otsu's threshold with a watershed, and both networks that
temlib brings along. These micrographs chose among the states of both networks; their articles are no others'.

Needs TEMLIB_DATA with ``emps``; a few minutes on two cores. Writes temlib/data/measured/sizes_real.csv, a
row for each micrograph and way; what is there already is not done again.

    python -m tests.benchmarks.sizes_real
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import temlib
from temlib.datasets import of_split
from temlib.files.micrographs import as_array
from temlib.particles.scores import particle_f1
from temlib.pixel_classifier import otsu_mask
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

TABLE = MEASURED / "sizes_real.csv"
MANY = 10
"""True particles that a micrograph needs for its d90 and its standard deviation to be compared."""


@cache
def network(name: str) -> temlib.Segmenter:
    """Give a bundled network."""
    return temlib.load_segmenter(name, runtime="auto")


WAYS: dict[str, Callable[[Any], np.ndarray]] = {
    "Otsu and watershed": lambda image: temlib.separate_particles(otsu_mask(image)),
    "synthetic": lambda image: network("synthetic").particles(image),
    "labelled": lambda image: network("labelled").particles(image),
}


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("way", "name"), "%.4f")
    for m in of_split("emps", "validation"):
        for way, find in WAYS.items():
            if not done.has(way, m.name):
                row = compare(as_array(find(m.image)), m.labels.data)
                done.add([{"way": way, "name": m.name} | row])
    print("\n".join(lines(done.table)))


def diameters(labels: np.ndarray) -> np.ndarray:
    """Give the diameter of a circle of the area of each particle [px]."""
    areas = np.bincount(labels.ravel())[1:]
    return np.sqrt(4 / np.pi * areas[areas > 0])


def compare(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compare the particles of a micrograph with the true ones; where none is found, sizes are -100 %."""
    said, true = diameters(found), diameters(truth)
    row = {"true": len(true), "number": len(said), "f1": particle_f1(found, truth)}
    row["count_percent"] = 100 * (len(said) / len(true) - 1)
    for name, share in (("median", 0.5), ("d90", 0.9)):
        quantile = np.quantile(said, share) if len(said) else 0.0
        row[f"{name}_percent"] = 100 * (quantile / np.quantile(true, share) - 1)
    spreads = [float(np.exp(np.log(each).std())) if len(each) else np.nan for each in (said, true)]
    row["sd_ratio"] = spreads[0] / spreads[1]
    return row


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``, a row for each way."""
    rows = []
    for way, some in table.groupby("way", sort=False):
        many = some[some["true"] >= MANY]
        off = some["median_percent"].abs()
        spread = np.exp(np.log(many["sd_ratio"]).abs()).fillna(np.inf).median()
        cells = [
            f"{some['f1'].mean():.2f}",
            f"{some['count_percent'].abs().median():.0f} %",
            f"{off.median():.1f} %",
            f"{100 * (off <= 5).mean():.0f} %",
            f"{100 * (off <= 10).mean():.0f} %",
            f"{100 * (many['d90_percent'].abs() <= 10).mean():.0f} %",
            f"{spread:.2f}",
        ]
        rows.append(f"| {way} | {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    main()
