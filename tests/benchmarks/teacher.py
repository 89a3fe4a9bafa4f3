"""What a teacher is worth: the labelled network's training, with and without ImageNet's encoder telling it more.

Students begin with the weights of the synthetic-only network and learn for a thousand steps, half of each batch from
the training micrographs of ``emps``, as ``temlib/network/labelled.py`` does it; with a teacher the target of a real
window is the mean of its label and of what the teacher says. The teacher is ImageNet's encoder, frozen, and three
decoders, which learned from the same labels. Scored on the validation micrographs of ``emps`` and ``simulated``, with
three seeds; the test splits are not touched.

Needs TEMLIB_DATA with ``emps`` and ImageNet's weights; an hour and a half on two cores. Windows, teacher and students
lie in FOLDER. Writes temlib/data/measured/teacher.csv, a row for each student and micrograph; a rerun continues.

    python -m tests.benchmarks.teacher FOLDER
"""

import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import temlib
from temlib.datasets import of_split
from temlib.network.bundled import scores
from temlib.network.labelled import Course, Recipe, learn, teacher
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

DATA = ("emps", "simulated")
SEEDS, STEPS, WEIGHTS = (1, 2, 3), 1000, {"alone": 0.0, "taught": 0.5}
TABLE = MEASURED / "teacher.csv"
NAMES = {
    "synthetic": "before: synthetic micrographs alone",
    "alone": "labels alone",
    "taught": "labels and teacher",
    "teacher": "the teacher itself",
}


def main(folder: Path) -> None:
    """Train and score what is not there yet; print the table."""
    results = Results(TABLE, ("who", "seed"))
    if not results.has("synthetic", 0):
        results.add(scored(temlib.load_segmenter("synthetic"), "synthetic", 0))
    if not results.has("teacher", 0):
        results.add(scored(teacher(folder, Recipe()), "teacher", 0))
    for seed in SEEDS:
        for who, weight in WEIGHTS.items():
            if not results.has(who, seed):
                recipe = Recipe(seed=seed, courses=(Course(STEPS, STEPS),), teacher=weight)
                results.add(scored(learn(folder, recipe, STEPS), who, seed))
    print("\n".join(lines(results.table)))


def scored(segmenter: temlib.Segmenter, who: str, seed: int) -> list[dict[str, Any]]:
    """Score masks and particles on all validation micrographs."""
    rows = []
    for data in DATA:
        for m in of_split(data, "validation"):
            said = scores(segmenter, m.image, np.asarray(m.labels.data))
            rows.append({"who": who, "seed": seed, "data": data, "name": m.name, "iou": said["iou"], "f1": said["f1"]})
    return rows


def by_seed(table: pd.DataFrame) -> pd.DataFrame:
    """Give the mean IoU and F1 of each who and seed, on each data set."""
    return table.groupby(["who", "seed", "data"])[["iou", "f1"]].mean().unstack()


def lines(table: pd.DataFrame) -> list[str]:
    """Give the rows of the table in ``docs/evidence.md``: the mean over seeds, least and greatest."""
    means = by_seed(table)
    rows = []
    for who, name in NAMES.items():
        cells = [name]
        for what, data in product(("iou", "f1"), DATA):
            seeds = means.loc[who][what, data]
            spread = f" ({seeds.min():.2f} to {seeds.max():.2f})" if len(seeds) > 1 else ""
            cells.append(f"{seeds.mean():.2f}{spread}")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
