"""What 140 labels take to learn from, and what they give: the frozen ImageNet encoder with three decoders and with one.

Trained on the training micrographs of ``emps``, four views of each, with three seeds; scored on its validation
micrographs. Nothing is chosen by the test micrographs. Seconds are of the training alone, files read; their least
counts: other work ran beside the trainings of the second and third seed.

Needs TEMLIB_DATA with ``emps`` and TEMLIB_WEIGHTS; 35 minutes on two cores with no other load. Writes
temlib/data/measured/many_labels.csv, a row for each setting and seed; a rerun continues.

    python -m tests.benchmarks.many_labels
"""

import time
from itertools import product

import numpy as np
import pandas as pd

import temlib
from temlib.datasets import of_split
from temlib.particles.scores import iou, particle_f1
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

DECODERS, SEEDS = (3, 1), (1, 2, 3)
TABLE = MEASURED / "many_labels.csv"


def main() -> None:
    """Train and score what is not there yet; print the table."""
    results = Results(TABLE, ("decoders", "seed"))
    for seed, decoders in product(SEEDS, DECODERS):
        if not results.has(decoders, seed):
            results.add([{"decoders": decoders, "seed": seed} | trial(decoders, seed)])
    print("\n".join(lines(results.table)))


def trial(decoders: int, seed: int) -> dict[str, float]:
    """Train on all training micrographs, and score on those of validation."""
    learned, validation = of_split("emps", "train"), of_split("emps", "validation")
    images, labels = [m.image for m in learned], [m.labels for m in learned]
    start = time.perf_counter()
    segmenter = temlib.train_segmenter(
        images, labels, weights="imagenet", views=4, decoders=decoders, seed=seed, progress=False
    )
    seconds = time.perf_counter() - start
    ious, f1s = [], []
    for m in validation:
        found = segmenter.particles(m.image, marks="keep")
        ious.append(iou(segmenter(m.image, marks="keep"), m.mask))
        f1s.append(particle_f1(found.data, m.labels.data))
    return {"iou": np.mean(ious), "median_iou": np.median(ious), "f1": np.mean(f1s), "seconds": seconds}


def lines(table: pd.DataFrame) -> list[str]:
    """Give the rows of the table in ``docs/evidence.md``: means over seeds, least and greatest; least seconds."""
    rows = []
    for decoders in DECODERS:
        some = table[table["decoders"] == decoders]
        cells = [
            f"{some[what].mean():.{digits}f} ({some[what].min():.{digits}f} to {some[what].max():.{digits}f})"
            for what, digits in (("iou", 3), ("median_iou", 3), ("f1", 2))
        ]
        rows.append(f"| {decoders} | {' | '.join(cells)} | {some['seconds'].min():.0f} |")
    return rows


if __name__ == "__main__":
    main()
