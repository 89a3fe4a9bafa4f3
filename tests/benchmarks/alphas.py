"""How wide the default network should be: scores and seconds at three widths of its encoder, and of a wider decoder.

Each student begins with the weights of the synthetic-only network, widened where it is wider, and learns
for a thousand steps from the same windows, half of each batch from the training micrographs of ``emps``, as
``temlib/network/labelled.py`` does it. Scored on the validation micrographs of ``emps`` and ``simulated``, with three
seeds; the test splits are not touched. The students of alpha 0.5 are those of ``teacher.py`` that had no teacher, and
their windows are used (FOLDER is the same). Seconds are of a step of training, and of a prediction of 512 x 512
pixels by Keras, the least of several, all widths in turn in one run.

Needs TEMLIB_DATA with ``emps``; an hour on two cores with no other load. Windows and students lie in FOLDER. Writes
temlib/data/measured/alphas.csv and wide_decoder.csv (alpha 0.5), a row for each student and micrograph, and
alphas_seconds.csv; a rerun continues.

    python -m tests.benchmarks.alphas FOLDER
"""

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from temlib.network import bundled, labelled, unet
from temlib.network.labelled import Course, Recipe
from temlib.reproduction.run_folder import MEASURED
from temlib.writing import write_table
from tests.benchmarks import speed, teacher
from tests.benchmarks.resumable import Results

ALPHAS = (0.5, 0.75, 1.0)
WIDE = tuple(2 * width for width in unet.WIDTHS)
TABLE, SECONDS, DECODER = (MEASURED / f"{name}.csv" for name in ("alphas", "alphas_seconds", "wide_decoder"))
NETWORKS = {f"{alpha}": {"alpha": alpha} for alpha in ALPHAS} | {"0.5, decoder twice as wide": {"widths": WIDE}}


def main(folder: Path) -> None:
    """Train and score what is not there yet; print the table."""
    results, of_decoder = Results(TABLE, ("alpha", "seed")), Results(DECODER, ("seed",))
    course = Course(teacher.STEPS, teacher.STEPS)
    for seed in teacher.SEEDS:
        for alpha in ALPHAS[1:]:
            if not results.has(alpha, seed):
                recipe = Recipe(seed=seed, alpha=alpha, courses=(course,))
                rows = teacher.scored(labelled.learn(folder, recipe, teacher.STEPS), "alone", seed)
                results.add([{"alpha": alpha} | row for row in rows])
        if not of_decoder.has(seed):
            recipe = Recipe(seed=seed, widths=WIDE, courses=(course,))
            of_decoder.add(teacher.scored(labelled.learn(folder, recipe, teacher.STEPS), "alone", seed))
    if not SECONDS.exists():
        write_table(SECONDS, seconds(), "%.3g")
    print("\n".join(lines(means(), pd.read_csv(SECONDS))))


def seconds(rounds: int = 8) -> pd.DataFrame:
    """Time a step of training and a prediction of each network."""
    networks = {name: bundled.network(replace(bundled.Recipe(), **given))[2] for name, given in NETWORKS.items()}
    rng = np.random.default_rng(0)
    batch = rng.random((8, 192, 192, 1), np.float32), rng.random((8, 96, 96, 2), np.float32)
    picture = rng.random((1, 512, 512, 1), np.float32)
    taken = {(name, what): [] for name in networks for what in ("step", "prediction")}
    for _ in range(rounds):
        for name, network in networks.items():
            taken[name, "step"].append(speed.seconds(lambda network=network: network.train_on_batch(*batch))[0])
            taken[name, "prediction"].append(
                speed.seconds(lambda network=network: network.predict_on_batch(picture))[0]
            )
    rows = [
        {"network": name, "parameters": network.count_params()}
        | {what: min(taken[name, what]) for what in ("step", "prediction")}
        for name, network in networks.items()
    ]
    return pd.DataFrame(rows)


def means() -> pd.DataFrame:
    """Give mean IoU and F1 of each network, seed and data set."""
    narrow = pd.read_csv(teacher.TABLE).query("who == 'alone'")
    parts = [narrow.assign(alpha=ALPHAS[0]), pd.read_csv(TABLE), pd.read_csv(DECODER).assign(alpha=[*NETWORKS][-1])]
    table = pd.concat(parts).rename(columns={"alpha": "network"})
    table["network"] = table["network"].astype(str)
    return table.groupby(["network", "seed", "data"])[["iou", "f1"]].mean().unstack()


def lines(scores: pd.DataFrame, times: pd.DataFrame) -> list[str]:
    """Give the rows of the table in ``docs/evidence.md``: means over seeds, least and greatest; times."""
    rows = []
    for row in times.itertuples():
        cells = [row.network, f"{row.parameters / 1e6:.1f}"]
        for what, data in product(("iou", "f1"), teacher.DATA):
            seeds = scores.loc[row.network][what, data]
            cells.append(f"{seeds.mean():.2f} ({seeds.min():.2f} to {seeds.max():.2f})")
        rows.append(f"| {' | '.join([*cells, f'{1000 * row.step:.0f}', f'{1000 * row.prediction:.0f}'])} |")
    return rows


if __name__ == "__main__":
    main(Path(sys.argv[1]))
