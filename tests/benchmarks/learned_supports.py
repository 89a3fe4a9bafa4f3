"""What supports among the synthetic micrographs would teach the network `synthetic`, without a single real label.

Students begin with its weights and learn for two thousand steps, as ``temlib/network/labelled.py`` does it, from the
synthetic micrographs of all kinds that the default network's training draws (16 % `supported`) and from pictures that
are no micrographs; from no real label, and from nothing of ``simulated``. Scored as ``carried.py`` scores the networks
of the package, with three seeds; the last state is scored, and no test split is touched.

Needs TEMLIB_DATA with ``emps`` and the folder ``supported``; 40 minutes on two cores. Windows and students lie in
FOLDER (windows may be those of ``teacher.py``). Writes temlib/data/measured/learned_supports.csv, a row for each seed
and micrograph; a rerun continues.

    python -m tests.benchmarks.learned_supports FOLDER
"""

import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd

from temlib.datasets import of_split
from temlib.network import labelled
from temlib.network.labelled import Course, Recipe
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks import carried, teacher
from tests.benchmarks.resumable import Results

STEPS = 2000
TABLE = MEASURED / "learned_supports.csv"
KEYS = ("network", "data", "name")
DATA = ("emps", "simulated", "soot, synthetic", *(f"supported, told {what}" for what in carried.TOLD))


def main(folder: Path) -> None:
    """Train and score what is not there yet; print the table."""
    results = Results(TABLE, KEYS, "%.4f")
    windows = without_simulated(folder, Recipe())
    with (
        patch.object(labelled, "real_pool", return_value=windows),
        patch.object(labelled, "drawn_pool", return_value=windows),
    ):
        for seed in teacher.SEEDS:
            student = labelled.learn(folder / "drawn_alone", Recipe(seed=seed, courses=(Course(STEPS, STEPS),)))
            student.trust = None
            for score in (carried.score_labelled, carried.score_boxes, carried.score_soot):
                score(student, f"seed {seed}", results)
    print("\n".join(lines(results.table, pd.read_csv(carried.TABLE))))


def without_simulated(folder: Path, recipe: Recipe) -> labelled.Pool:
    """Give the windows with exact truth but those of ``simulated``, which stand between what temlib draws."""
    grey, truth = labelled.drawn_pool(folder, recipe)
    rendered = len(of_split("simulated", "train")) * recipe.simulated_views
    last = len(grey) - recipe.no_micrographs * recipe.synthetic_views
    kept = np.r_[: last - rendered, last : len(grey)]
    return grey[kept], truth[kept]


def lines(table: pd.DataFrame, before: pd.DataFrame) -> list[str]:
    """Give the rows of the table in ``docs/evidence.md``: before, and the mean over seeds, least and greatest."""
    means = table.groupby(["network", "data"])[["iou", "f1"]].mean()
    known = before.groupby(["network", "data"])[["iou", "f1"]].mean()
    rows = []
    for data in DATA:
        name, *told = data.split(", ", 1)
        cells = [", ".join([f"`{name}`" if name != "soot" else name, *told])]
        for what in ("iou", "f1"):
            seeds = means.xs(data, level="data")[what]
            some = [known.loc[network, data][what] for network in ("synthetic", "labelled")]
            if seeds.isna().all():
                cells += ["", ""]
                continue
            cells.append(f"{some[0]:.2f}, {some[1]:.2f}")
            cells.append(f"{seeds.mean():.2f} ({seeds.min():.2f} to {seeds.max():.2f})")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
