"""Transfer learning's fair rivals on the test micrographs: strokes on the micrograph itself, and Otsu.

A pixel classifier that learns from five strokes a class on the very micrograph that it then labels is
what an annotator with a minute for each micrograph has; ML in figure 5 knows other micrographs'
strokes only. Strokes are drawn by temlib.pixel_classifier.annotator_scribbles and kept in the mask; three
seeds. Nothing was chosen by these scores.

Needs TEMLIB_DATA (or a network) for emps; a minute. Writes temlib/data/measured/own_scribbles.csv, one
row for each test micrograph, classifier and seed.

    python -m tests.benchmarks.own_scribbles
"""

import numpy as np
import pandas as pd

from temlib import datasets
from temlib.particles.scores import iou
from temlib.pixel_classifier import BACKGROUND, CLASSIFIERS, PARTICLE, PixelClassifier, annotator_scribbles, otsu_mask
from temlib.reproduction.run_folder import MEASURED
from temlib.writing import write_table

SEEDS = (2023, 1, 2)
TABLE = MEASURED / "own_scribbles.csv"


def mask_of_strokes(micrograph: datasets.Annotated, number: int, seed: int, classifier: str) -> np.ndarray:
    """Give what a classifier makes of five strokes a class on a micrograph; Otsu's mask where one class got none."""
    image = micrograph.image
    marks = annotator_scribbles(micrograph.labels, 1000 * seed + number)
    mask = otsu_mask(image).data
    if {BACKGROUND, PARTICLE} <= set(marks.ravel().tolist()):
        mask = PixelClassifier(seed, classifier=classifier).fit([image], [marks])(image).data.copy()
    mask[marks == PARTICLE], mask[marks == BACKGROUND] = True, False
    return mask


def rows_of(data: str, micrograph: datasets.Annotated, number: int, seed: int) -> list[dict]:
    """Score what each classifier makes of one micrograph."""
    return [
        {
            "data": data,
            "seed": seed,
            "name": micrograph.name,
            "classifier": name,
            "iou": iou(mask_of_strokes(micrograph, number, seed, name), micrograph.mask),
        }
        for name in CLASSIFIERS
    ]


def main() -> None:
    """Measure, write the table and print its means."""
    rows = [
        row
        for data in ("simulated", "emps")
        for number, micrograph in enumerate(datasets.of_split(data, "test"))
        for seed in SEEDS
        for row in rows_of(data, micrograph, number, seed)
    ]
    table = pd.DataFrame(rows)
    write_table(TABLE, table, "%.4f")
    print(table.groupby(["data", "classifier", "seed"])["iou"].agg(["mean", "median"]).unstack("seed").round(3))


if __name__ == "__main__":
    main()
