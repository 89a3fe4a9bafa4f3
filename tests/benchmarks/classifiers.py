"""How good are the pixel classifiers, scribbled on the micrograph itself, and how long does a refit take?

    python -m tests.benchmarks.classifiers

Strokes are drawn by :func:`temlib.pixel_classifier.annotator_scribbles`, and kept in the label, as the label
painter keeps them. Micrographs: training and validation of ``simulated`` (low contrast), validation
of ``emps`` (where it is at hand). The shrinkage of the quadratic discriminant was chosen on these
same micrographs, once for both sets; none of the test micrographs was looked at.
"""

import sys
import time

import numpy as np
import pandas as pd

from temlib import datasets
from temlib.errors import DatasetError
from temlib.particles.scores import iou
from temlib.pixel_classifier import (
    BACKGROUND,
    CLASSIFIERS,
    PARTICLE,
    PixelClassifier,
    annotator_scribbles,
    pixel_features,
    scale_of,
)
from temlib.reproduction.run_folder import MEASURED

SETS = {"simulated": ("train", "validation"), "emps": ("validation",)}
STROKES = (2, 5)  # of each class


def measure(data: str) -> list[dict]:
    """Score each classifier on each micrograph; the time is this process's, on an image of 512 x 512."""
    rows = []
    for seed, m in enumerate(datasets.of_split(data, *SETS[data])):
        features = pixel_features(m.image)
        for strokes in STROKES:
            marks = annotator_scribbles(m.labels, seed, strokes)
            if not {BACKGROUND, PARTICLE} <= set(np.unique(marks)):
                continue  # its particles are too small for a stroke
            for name in CLASSIFIERS:
                start = time.process_time()
                classifier = PixelClassifier(classifier=name)
                classifier.fit_features(features[marks > 0], marks[marks > 0], [scale_of(features)])
                label = classifier.probability_of(features) > 0.5
                milliseconds = 1000 * (time.process_time() - start) * 512**2 / label.size
                label[marks == PARTICLE], label[marks == BACKGROUND] = True, False
                row = {"data": data, "micrograph": m.name, "strokes": strokes, "classifier": name}
                rows.append(row | {"iou": round(iou(label, m.mask), 4), "cpu_ms": round(milliseconds)})
    return rows


def main() -> None:
    """Measure, write the table, print its means."""
    rows = []
    for data in SETS:
        try:
            rows += measure(data)
        except DatasetError as error:
            print(f"left out: {error}", file=sys.stderr)
    table = pd.DataFrame(rows)
    table.to_csv(MEASURED / "classifiers.csv", index=False)
    summary = table.groupby(["data", "strokes", "classifier"]).agg(
        n=("iou", "size"), mean=("iou", "mean"), median=("iou", "median"), cpu_ms=("cpu_ms", "median")
    )
    print(summary.round(3))


if __name__ == "__main__":
    main()
