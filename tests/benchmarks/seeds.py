"""Does what the figures say hold for every seed? The runs of the README again, with other seeds.

Each is a whole run of notebooks 01 to 06, as ``temlib figures`` makes it: labels, synthetic
micrographs and training are drawn anew, the data set and its split stay. The usual seed is taken from
the committed runs. The seeds were fixed beforehand, and nothing is chosen by these scores.

Needs TEMLIB_DATA (or a network) and ImageNet weights; five minutes a run on two cores. Writes
temlib/data/measured/seeds.csv, one row for each run, seed and test micrograph, after each run; what
is there already is not done again.

    python -m tests.benchmarks.seeds
"""

import tempfile
from pathlib import Path

import pandas as pd

import temlib
from temlib import cli
from temlib.reproduction.run_folder import DEFAULT_SEED, MEASURED
from tests.benchmarks.resumable import Results

SEEDS = (1, 2)
RUNS = (("simulated", "bundled"), ("simulated", "imagenet"), ("emps", "bundled"), ("emps", "imagenet"))
ROOT = Path(__file__).parents[2]
TABLE = MEASURED / "seeds.csv"


def scores_of(data: str, encoder: str, seed: int) -> pd.DataFrame:
    """Give the scores of one run: those committed, or of a run made now in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        root = ROOT if seed == DEFAULT_SEED else folder
        command = ["figures", "--data", data, "--encoder", encoder, "--seed", str(seed), "--root", folder]
        if seed != DEFAULT_SEED and cli.main(command):
            raise SystemExit(f"temlib {' '.join(command)} failed")
        scores = pd.read_csv(temlib.Run(data, encoder, seed, root).figures / "scores.csv")
    scores.insert(0, "run", f"{data}-{encoder}")
    scores.insert(1, "seed", seed)
    return scores


def main() -> None:
    """Run the benchmark and print its table."""
    done = Results(TABLE, ("run", "seed"), "%.4f")
    done.forget(done.table["seed"] == DEFAULT_SEED)  # the committed runs may be newer
    for seed in (*SEEDS, DEFAULT_SEED):
        for data, encoder in RUNS:
            if not done.has(f"{data}-{encoder}", seed):
                done.add(scores_of(data, encoder, seed))
    print(summary(done.table))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give the mean IoU of ML and TL, and on how many micrographs TL is better, for each run and seed."""
    groups = table.assign(better=table["TL"] > table["ML"]).groupby(["run", "seed"], sort=False)
    return groups.agg(ML=("ML", "mean"), TL=("TL", "mean"), Otsu=("Otsu", "mean"), better=("better", "sum")).round(3)


if __name__ == "__main__":
    main()
