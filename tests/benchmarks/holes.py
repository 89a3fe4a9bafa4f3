"""Should holes in found particles be filled? Counted on the training micrographs of emps, the network "synthetic".

Of each particle that shares more than half of its area with a true one: the diameter as it is, and with its holes
filled, against the true one. Needs TEMLIB_DATA (or a network); ten minutes on two cores. Writes
temlib/data/measured/holes.csv, a row for each micrograph.

    python -m tests.benchmarks.holes
"""

import numpy as np
import pandas as pd
from scipy import ndimage

import temlib
from temlib import datasets
from temlib.files.micrographs import as_array
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

TABLE = MEASURED / "holes.csv"


def main() -> None:
    """Run what is not done yet, and print what came out."""
    done = Results(TABLE, ("name",), dtype={"name": str})
    segmenter = temlib.load_segmenter("synthetic", runtime="auto")
    for m in datasets.of_split("emps", "train"):
        if not done.has(m.name):
            rows = compared(as_array(segmenter.particles(m.image)), as_array(m.labels))
            done.add([{"name": m.name} | summary(rows)])
    print(total(done.table))


def compared(found: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    """Give of each particle that is one its area, that of its holes, and the true area [px]."""
    rows = []
    for number, box in enumerate(ndimage.find_objects(found), start=1):
        if box is None:
            continue
        particle = found[box] == number
        counts = np.bincount(truth[box][particle])
        counts[0] = 0
        best = int(counts.argmax()) if counts.any() else 0
        true = int((truth == best).sum()) if best else 0
        if best and counts[best] / (particle.sum() + true - counts[best]) > 0.5:
            holes = ndimage.binary_fill_holes(particle).sum() - particle.sum()
            rows.append({"area": int(particle.sum()), "holes": int(holes), "true": true})
    return pd.DataFrame(rows, columns=["area", "holes", "true"])


def summary(rows: pd.DataFrame) -> dict[str, float]:
    """Give how many particles have holes, and the sum of errors of the diameter of those, as they are and filled."""
    some = rows[rows["holes"] > 0]
    as_is, filled = (np.abs(np.sqrt(area / some["true"]) - 1) for area in (some["area"], some["area"] + some["holes"]))
    worth = int((some["holes"] > 0.02 * some["area"]).sum())
    errors = {"error_as_is": as_is.sum(), "error_filled": filled.sum(), "better_filled": int((filled < as_is).sum())}
    return {"particles": len(rows), "with_holes": len(some), "diameter_off_by_a_percent": worth} | errors


def total(table: pd.DataFrame) -> dict[str, float]:
    """Give shares [%] and the mean error of the diameter of particles with holes [%]."""
    sums = table.drop(columns="name").sum()
    holes = max(sums["with_holes"], 1)
    return {
        "particles": int(sums["particles"]),
        "with holes": 100 * sums["with_holes"] / max(sums["particles"], 1),
        "lower by 1 % or more": 100 * sums["diameter_off_by_a_percent"] / max(sums["particles"], 1),
        "error as is": 100 * sums["error_as_is"] / holes,
        "error filled": 100 * sums["error_filled"] / holes,
        "better filled": 100 * sums["better_filled"] / holes,
    }


if __name__ == "__main__":
    main()
