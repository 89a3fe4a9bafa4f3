"""How wide the default network should be: scores and seconds at three widths of its encoder.

Each student begins with the weights of the synthetic-only network, its encoder widened where it is wider, and learns
for a thousand steps from the same windows, half of each batch from the training micrographs of ``emps``, as
``temlib/network/labelled.py`` does it. Scored on the validation micrographs of ``emps`` and ``simulated``, with three
seeds; the test splits are not touched. The students of alpha 0.5 are those of ``teacher.py`` that had no teacher, and
their windows are used (FOLDER is the same). Seconds are of a step of training, and of a prediction of 512 x 512
pixels by Keras, the least of several, all widths in turn in one run.

Needs TEMLIB_DATA with ``emps``; an hour on two cores with no other load. Windows and students lie in FOLDER. Writes
temlib/data/measured/alphas.csv, a row for each student and micrograph, and alphas_seconds.csv; a rerun continues.

    python -m tests.benchmarks.alphas FOLDER
"""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from temlib.network import bundled, labelled
from temlib.network.labelled import Course, Recipe
from temlib.reproduction.run_folder import MEASURED
from temlib.writing import write_table
from tests.benchmarks import speed, teacher
from tests.benchmarks.resumable import Results

ALPHAS = (0.5, 0.75, 1.0)
TABLE, SECONDS = MEASURED / "alphas.csv", MEASURED / "alphas_seconds.csv"


def main(folder: Path) -> None:
    """Train and score what is not there yet; print the table."""
    results = Results(TABLE, ("alpha", "seed"))
    for seed in teacher.SEEDS:
        for alpha in ALPHAS[1:]:
            if not results.has(alpha, seed):
                recipe = Recipe(seed=seed, alpha=alpha, courses=(Course(teacher.STEPS, teacher.STEPS),))
                rows = teacher.scored(labelled.learn(folder, recipe, teacher.STEPS), "alone", seed)
                results.add([{"alpha": alpha} | row for row in rows])
    if not SECONDS.exists():
        write_table(SECONDS, seconds(), "%.3g")
    print("\n".join(lines(results.table, pd.read_csv(teacher.TABLE), pd.read_csv(SECONDS))))


def seconds(rounds: int = 8) -> pd.DataFrame:
    """Time a step of training and a prediction at each width."""
    networks = {alpha: bundled.network(replace(bundled.Recipe(), alpha=alpha))[2] for alpha in ALPHAS}
    rng = np.random.default_rng(0)
    batch = rng.random((8, 192, 192, 1), np.float32), rng.random((8, 96, 96, 2), np.float32)
    picture = rng.random((1, 512, 512, 1), np.float32)
    taken = {(alpha, what): [] for alpha in ALPHAS for what in ("step", "prediction")}
    for _ in range(rounds):
        for alpha, network in networks.items():
            taken[alpha, "step"].append(speed.seconds(lambda network=network: network.train_on_batch(*batch))[0])
            taken[alpha, "prediction"].append(
                speed.seconds(lambda network=network: network.predict_on_batch(picture))[0]
            )
    rows = [
        {"alpha": alpha, "parameters": network.count_params()}
        | {what: min(taken[alpha, what]) for what in ("step", "prediction")}
        for alpha, network in networks.items()
    ]
    return pd.DataFrame(rows)


def lines(table: pd.DataFrame, narrow: pd.DataFrame, times: pd.DataFrame) -> list[str]:
    """Give the rows of the table in ``docs/evidence.md``: means over seeds, least and greatest; times."""
    both = pd.concat([narrow[narrow["who"] == "alone"].assign(alpha=ALPHAS[0]), table])
    means = both.groupby(["alpha", "seed", "data"])[["iou", "f1"]].mean().unstack()
    rows = []
    for row in times.itertuples():
        cells = [f"{row.alpha}", f"{row.parameters / 1e6:.1f}"]
        for what, data in product(("iou", "f1"), teacher.DATA):
            seeds = means.loc[row.alpha][what, data]
            cells.append(f"{seeds.mean():.2f} ({seeds.min():.2f} to {seeds.max():.2f})")
        rows.append(f"| {' | '.join([*cells, f'{1000 * row.step:.0f}', f'{1000 * row.prediction:.0f}'])} |")
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
