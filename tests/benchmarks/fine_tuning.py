"""When is fine-tuning worth its time? The bundled network's encoder, frozen or not, after 5 to 100 labels.

Each seed draws the labelled micrographs anew, from the training split; scored are all micrographs of
the validation split (no article in both). A fifth of the labels is held back, and says which state of
fine-tuning is given back, the start among them. As many views as in ``labels``, whose rows "bundled,
frozen" (feature extraction: a new decoder on the frozen encoder, all labels) and "bundled, adapted"
(its own decoders go on learning) are what these are compared with.

- ``bundled, fine-tuned``: the bundled segmenter as it comes, then its three decoders and the encoder's
  upper layers learn, stage by stage;
- ``bundled, frozen and fine-tuned``: feature extraction with a new decoder (``frozen_seconds``), then fine-tuning.

Needs TEMLIB_DATA (or a network); three quarters of an hour on one core. Writes
temlib/data/measured/fine_tuning.csv, one row for each cell; what is there already is not done again.

    python -m tests.benchmarks.fine_tuning
"""

import time

import numpy as np
import pandas as pd

import temlib
from temlib.runs import MEASURED
from temlib.scores import iou
from tests.benchmarks import labels
from tests.benchmarks.resumable import Results

CELLS = (("emps", (5, 20, 100)), ("simulated", (5, 20)))
METHODS = ("bundled, fine-tuned", "bundled, frozen and fine-tuned")
TABLE = MEASURED / "fine_tuning.csv"


def held_back(pairs: labels.Labelled) -> tuple[labels.Labelled, labels.Labelled]:
    """Split labels into those that are learned from, and the fifth (one at the least) that decides."""
    count = max(1, len(pairs[0]) // 5)
    return tuple([part[where] for part in pairs] for where in (slice(count, None), slice(count)))


def learn(method: str, data: str, n: int, seed: int) -> tuple[temlib.Segmenter, float]:
    """Give what has learned, and the seconds before fine-tuning."""
    (images, masks), deciding = held_back(labels.pairs(data, "train", n, seed))
    start, begin = temlib.load_segmenter(), time.perf_counter()
    if method == METHODS[1]:
        settings = {"views": labels.views(len(images)), "epochs": labels.EPOCHS, "decoders": 1, "progress": False}
        start = temlib.train_segmenter(images, masks, weights="bundled", seed=seed, **settings)
    before = time.perf_counter() - begin
    settings = {"views": -(-labels.views(len(images)) // 4), "seed": seed, "progress": False}
    segmenter = temlib.fine_tune(start, images, masks, validation=deciding, **settings)
    segmenter.trust = None  # no warnings
    return segmenter, before


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("data", "method", "n", "seed"))
    scored = {data: labels.pairs(data, "validation") for data, _ in CELLS}
    for seed in labels.SEEDS:
        for data, numbers in CELLS:
            for n in numbers:
                for method in METHODS:
                    if done.has(data, method, n, seed):
                        continue
                    start = time.perf_counter()
                    segmenter, before = learn(method, data, n, seed)
                    seconds = time.perf_counter() - start
                    scores = [iou(segmenter(image), mask) for image, mask in zip(*scored[data], strict=True)]
                    states = [state for state in segmenter.history if "stage" in state]
                    best = max(states, key=lambda state: state["validation_iou"])
                    row = {"data": data, "method": method, "n": n, "seed": seed, "seconds": seconds}
                    row |= {"frozen_seconds": before, "stage": best["stage"]}
                    done.add([row | {"iou": np.mean(scores), "median_iou": np.median(scores)}])
                    print(row, f"{np.mean(scores):.3f}", flush=True)
    print(summary(done.table).to_string())


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give mean IoU over seeds and its range, beside the ways of ``labels`` that leave the encoder as it is."""
    others = pd.read_csv(labels.TABLE).query("method in ('bundled, frozen', 'bundled, adapted')")
    all_of_them = pd.concat([others, table])
    cells = all_of_them[all_of_them["n"].isin(table["n"].unique())].groupby(["data", "n", "method"])["iou"]
    return cells.agg(["mean", "min", "max"]).round(3)


if __name__ == "__main__":
    main()
