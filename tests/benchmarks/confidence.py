"""Is a confidence what it says? How many particles of a confidence share more than half of their area with a true one?

On the validation micrographs of emps and of simulated, and on ten of known population (sigma 0.6), which the scorer has
not seen; everything from 0.05 on counts. Needs TEMLIB_DATA (or a network); some minutes on two cores. Writes
temlib/data/measured/confidence.csv: a row for each network, set and tenth of confidence.

    python -m tests.benchmarks.confidence
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

import temlib
from temlib import datasets
from temlib.files.micrographs import as_array
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.populations import is_found, micrographs
from tests.benchmarks.resumable import Results

TABLE = MEASURED / "confidence.csv"
NETWORKS, SETS, LEAST = ("synthetic", "labelled"), ("emps", "simulated", "sigma 0.6"), 0.05


def main() -> None:
    """Run what is not done yet, and print the table."""
    done = Results(TABLE, ("network", "data"))
    for network in NETWORKS:
        segmenter = temlib.load_segmenter(network, runtime="auto").with_confidence(LEAST)
        for data in SETS:
            if not done.has(network, data):
                found = pd.concat([judged(segmenter, *pair) for pair in labelled(data)])
                done.add(by_tenth(found).assign(network=network, data=data))
    print(done.table.to_string())


def labelled(data: str) -> Iterator[tuple[object, np.ndarray]]:
    """Yield micrographs and their true particles."""
    if data in datasets.DATASETS:
        yield from ((m.image, as_array(m.labels)) for m in datasets.of_split(data, "validation"))
    else:
        yield from ((m.image, as_array(m.labels)) for m in micrographs(data)[:10])


def judged(segmenter: temlib.Segmenter, image: object, truth: np.ndarray) -> pd.DataFrame:
    """Give the confidence of each particle that is found, and whether it is one."""
    found = segmenter.find(image)[0]
    numbers = pd.RangeIndex(1, len(found.confidence) + 1)
    return pd.DataFrame({"confidence": found.confidence, "right": is_found(truth, found.labels, numbers)})


def by_tenth(found: pd.DataFrame) -> pd.DataFrame:
    """Give the number of particles in each tenth of confidence, their mean confidence, and the share that are right."""
    tenths = np.minimum(found["confidence"] // 0.1 / 10, 0.9).round(1).rename("from")
    rows = found.groupby(tenths)[["confidence", "right"]].mean()
    return rows.assign(particles=found.groupby(tenths).size()).reset_index()


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``: percent of particles that are right, and of how many, by tenth."""
    rows = []
    for (network, data), some in table.groupby(["network", "data"], sort=False):
        known = some.set_index(some["from"].round(1))
        cells = [
            f"{100 * known.at[tenth, 'right']:.0f} of {known.at[tenth, 'particles']:.0f}"
            if tenth in known.index
            else ""
            for tenth in np.arange(10).round(1) / 10
        ]
        rows.append(f"| `{network}` | {data} | {' | '.join(cells)} |")
    return rows


def expected_error(some: pd.DataFrame) -> float:
    """Give the mean distance of confidence from share that are right, weighted by particles."""
    return float(np.average((some["confidence"] - some["right"]).abs(), weights=some["particles"]))


if __name__ == "__main__":
    main()
