"""What do ImageNet's weights buy? Twenty hand labels, frozen ImageNet against frozen random encoder.

Five folds over the micrographs of emps that are not in the test set, no article in two folds. In
each fold 20 training micrographs are drawn anew from the others; the fold's own are scored at
native resolution. Needs TEMLIB_DATA (or a network) and ImageNet weights; about 25 minutes on two
cores. Writes temlib/data/measured/frozen_encoder.csv, one row for each micrograph and encoder.

    python -m tests.benchmarks.frozen_encoder
"""

import time

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

import temlib
from temlib import datasets
from temlib.backend import make_deterministic
from temlib.runs import MEASURED
from temlib.scores import iou

SEED = 2023
LABELS = 20
SETTINGS = {"views": 8, "epochs": 15}
ENCODERS = {"imagenet": "imagenet", "random": None}


def fold_scores(train: list[str], held_out: list[str], encoder: str, seed: int) -> pd.DataFrame:
    """Train on some micrographs and score the others: a row for each."""
    training, test = datasets.load("emps", train), datasets.load("emps", held_out)
    start = time.perf_counter()
    segmenter = temlib.train_segmenter(
        [m.image for m in training],
        [m.mask for m in training],
        weights=ENCODERS[encoder],
        seed=seed,
        progress=False,
        **SETTINGS,
    )
    seconds = time.perf_counter() - start
    rows = [
        {"name": m.name, "encoder": encoder, "iou": iou(segmenter(m.image), m.mask), "seconds": seconds} for m in test
    ]
    return pd.DataFrame(rows)


def main() -> None:
    """Run the benchmark and print its table."""
    make_deterministic()
    table = datasets.table("emps").query("split != 'test'").reset_index(drop=True)
    folds = GroupKFold(n_splits=5, shuffle=True, random_state=SEED).split(table, groups=table["group"])
    results = []
    for fold, (others, held_out) in enumerate(folds):
        drawn = np.random.default_rng([SEED, fold]).choice(others, LABELS, replace=False)
        for encoder in ENCODERS:
            scores = fold_scores(list(table["name"][drawn]), list(table["name"][held_out]), encoder, SEED + fold)
            results.append(scores.assign(fold=fold))
            print(
                f"fold {fold} {encoder}: mean IoU {scores['iou'].mean():.3f}, {scores['seconds'][0]:.0f} s", flush=True
            )
    result = pd.concat(results)
    result.drop(columns="seconds").to_csv(MEASURED / "frozen_encoder.csv", index=False, float_format="%.4f")
    print(summary(result))


def summary(result: pd.DataFrame) -> pd.DataFrame:
    """Give mean, median and spread of IoU over micrographs and over folds, and seconds of training."""
    by_fold = result.groupby(["encoder", "fold"])[["iou", "seconds"]].mean()
    table = result.groupby("encoder")["iou"].agg(["mean", "median", "std", "count"])
    table["std of fold means"] = by_fold["iou"].groupby("encoder").std()
    table["seconds"] = by_fold["seconds"].groupby("encoder").mean()
    return table.round(3)


if __name__ == "__main__":
    main()
