"""Which ingredient buys what? Machine-learning labels, synthetic micrographs, ImageNet's weights.

Three folds over the micrographs of emps that are not in the test set, no article in two folds. In
each fold 24 of the other micrographs get machine-learning labels from a pixel classifier scribbled
on 8 of them; the decoder learns from these labels, from 96 synthetic micrographs (bright_field), or
from both, on a frozen encoder with ImageNet's or with random weights, for the same number of steps
each time. The fold's own micrographs are scored at native resolution, ML's own masks beside them.

The generator was improved by hand on 36 of these micrographs (emps' validation split).

Needs TEMLIB_DATA (or a network) and ImageNet weights; about 30 minutes on two cores. Writes
temlib/data/measured/attribution.csv, one row for each encoder, source and micrograph.

    python -m tests.benchmarks.attribution
"""

import time

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

import temlib
from temlib import datasets, labels, synthetic
from temlib.backend import make_deterministic
from temlib.runs import MEASURED
from temlib.scores import iou

SEED = 2023
LABELLED, SCRIBBLED, SYNTHETIC = 24, 8, 96
VIEWS = SYNTHETIC // LABELLED  # of each labelled micrograph, so that both sources are of one size
EPOCHS = 6
ENCODERS = {"imagenet": "imagenet", "random": None}

Pairs = tuple[list, list]


def training_sets(train: list[datasets.Annotated], seed: int) -> tuple[labels.PixelClassifier, dict[str, Pairs]]:
    """Make the three training sets of a fold, and the pixel classifier that labelled."""
    scribbled = train[:SCRIBBLED]
    scribbles = [labels.annotator_scribbles(m.labels, seed + i) for i, m in enumerate(scribbled)]
    classifier = labels.PixelClassifier(seed).fit([m.image for m in scribbled], scribbles)
    ml = [m.image for m in train] * VIEWS, [classifier(m.image) for m in train] * VIEWS
    made = list(synthetic.sample("bright_field", SYNTHETIC, seed, workers=2))
    exact = [m.counts for m in made], [m.label_array > 0 for m in made]
    return classifier, {"ML labels": ml, "synthetic": exact, "both": (ml[0] + exact[0], ml[1] + exact[1])}


def fold_scores(train: list[str], held_out: list[str], seed: int) -> pd.DataFrame:
    """Train on everything in turn and score the fold: a row for each encoder, source and micrograph."""
    classifier, sources = training_sets(datasets.load("emps", train), seed)
    test = datasets.load("emps", held_out)
    rows = [
        {"encoder": "-", "source": "ML itself", "name": m.name, "iou": iou(classifier(m.image), m.mask)} for m in test
    ]
    for encoder, weights in ENCODERS.items():
        for source, (images, masks) in sources.items():
            start = time.perf_counter()
            epochs = EPOCHS * SYNTHETIC // len(images)
            segmenter = temlib.train_segmenter(
                images, masks, weights=weights, views=1, epochs=epochs, seed=seed, progress=False
            )
            row = {"encoder": encoder, "source": source}
            scores = [row | {"name": m.name, "iou": iou(segmenter(m.image), m.mask)} for m in test]
            rows += scores
            mean = np.mean([score["iou"] for score in scores])
            print(f"{encoder}, {source}: mean IoU {mean:.3f}, {time.perf_counter() - start:.0f} s", flush=True)
    return pd.DataFrame(rows)


def summary(result: pd.DataFrame) -> pd.DataFrame:
    """Give mean and median IoU of each encoder and source, and the spread over folds."""
    keys = ["encoder", "source"]
    table = result.groupby(keys, sort=False)["iou"].agg(["mean", "median"])
    by_fold = result.groupby([*keys, "fold"], sort=False)["iou"].mean()
    table["std of fold means"] = by_fold.groupby(keys, sort=False).std()
    return table.round(3)


def main() -> None:
    """Run the benchmark and print its table."""
    make_deterministic()
    table = datasets.table("emps").query("split != 'test'").reset_index(drop=True)
    folds = GroupKFold(n_splits=3, shuffle=True, random_state=SEED).split(table, groups=table["group"])
    results = []
    for fold, (others, held_out) in enumerate(folds):
        drawn = np.random.default_rng([SEED, fold]).choice(others, LABELLED, replace=False)
        scores = fold_scores(list(table["name"][drawn]), list(table["name"][held_out]), SEED + fold)
        results.append(scores.assign(fold=fold))
        pd.concat(results).to_csv(MEASURED / "attribution.csv", index=False, float_format="%.4f")
    print(summary(pd.concat(results)))


if __name__ == "__main__":
    main()
