"""When is fine-tuning worth its time? The bundled network's encoder, frozen or not, after 5 to 100 labels.

On emps each seed has one of three folds over the articles of the training and validation micrographs:
labelled micrographs are drawn from the other articles, all of its own are scored. On simulated each seed
draws the labelled ones from the training split; the validation split is scored. The test splits are not
touched. As many views and epochs as in ``labels``.

- ``bundled, adapted``: the bundled segmenter's three decoders go on learning; with 0 labels as it comes;
- ``bundled, frozen``: feature extraction, a new decoder on the frozen encoder;
- ``bundled, fine-tuned``: the bundled segmenter, then its decoders and the encoder's upper layers learn,
  stage by stage;
- ``bundled, frozen and fine-tuned``: feature extraction (``frozen_seconds``), then fine-tuning;
- ``bundled, adapted and fine-tuned``: as adapted (``frozen_seconds``), then fine-tuning.

Fine-tuning does not learn from a fifth of the labels, which says which of its states is given back, the
start (``stage`` 0) among them; the others learn from all.

Needs TEMLIB_DATA (or a network); an hour and a half on one core. Writes
temlib/data/measured/fine_tuning.csv, one row for each cell; what is there already is not done again.

    python -m tests.benchmarks.fine_tuning
"""

import time

import numpy as np
import pandas as pd

import temlib
from temlib import datasets
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks import labels, mixing
from tests.benchmarks.resumable import Results

NUMBERS = {"emps": (0, 5, 20, 100), "simulated": (0, 5, 20)}
METHODS = (
    "bundled, adapted",
    "bundled, frozen",
    "bundled, fine-tuned",
    "bundled, frozen and fine-tuned",
    "bundled, adapted and fine-tuned",
)
TABLE = MEASURED / "fine_tuning.csv"


def names(data: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Name the micrographs to learn from, the first drawn first, and those to score."""
    if data == "emps":
        known, scored = mixing.fold(seed)
    else:
        table = datasets.table(data)
        known, scored = (table.query("split == @split")["name"].to_numpy() for split in ("train", "validation"))
    return np.random.default_rng([seed, 7]).permutation(known), scored


def first_fifth_decides(pairs: labels.Labelled) -> tuple[labels.Labelled, labels.Labelled]:
    """Split labels into those that are learned from, and the fifth (one at the least) that decides."""
    count = max(1, len(pairs[0]) // 5)
    return tuple([part[where] for part in pairs] for where in (slice(count, None), slice(count)))


def learn(method: str, pairs: labels.Labelled, seed: int) -> tuple[temlib.Segmenter, float]:
    """Give what has learned, and the seconds that it learned with a frozen encoder."""
    deciding = None
    if "fine-tuned" in method:
        pairs, deciding = first_fifth_decides(pairs)
    segmenter, begin = temlib.load_segmenter("synthetic"), time.perf_counter()
    options = {"seed": seed, "progress": False}
    views = labels.views(len(pairs[0])) if pairs[0] else 0
    if "frozen" in method:
        settings = {"views": views, "epochs": labels.EPOCHS, "decoders": 1}
        segmenter = temlib.train_segmenter(*pairs, weights="bundled", **settings, **options)
    elif "adapted" in method and views:
        segmenter = segmenter.adapt(*pairs, views=views, **options)
    before = time.perf_counter() - begin
    if deciding:
        segmenter = temlib.fine_tune(segmenter, *pairs, validation=deciding, views=-(-views // 4), **options)
    segmenter.trust = None  # no warnings
    return segmenter, before


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("data", "method", "n", "seed"))
    for data, seed in [(data, seed) for data in NUMBERS for seed in labels.SEEDS]:
        known, of_others = names(data, seed)
        scored = labels.loaded(data, of_others)
        for n, method in cells(data):
            if done.has(data, method, n, seed):
                continue
            start = time.perf_counter()
            segmenter, before = learn(method, labels.loaded(data, known[:n]), seed)
            row = {"data": data, "method": method, "n": n, "seed": seed, "seconds": time.perf_counter() - start}
            row |= {"frozen_seconds": before, "stage": stage(segmenter)}
            scores = [iou(segmenter(image), mask) for image, mask in zip(*scored, strict=True)]
            done.add([row | {"iou": np.mean(scores), "median_iou": np.median(scores)}])
            print(row, f"{np.mean(scores):.3f}", flush=True)
    print(summary(done.table).to_string())


def cells(data: str) -> list[tuple[int, str]]:
    """List numbers of labels and ways."""
    return [(n, method) for n in NUMBERS[data] for method in (METHODS if n else METHODS[:1])]


def stage(segmenter: temlib.Segmenter) -> int:
    """Say after which stage of fine-tuning it was best; 0 is the start."""
    states = [state for state in segmenter.history if "stage" in state]
    return max(states, key=lambda state: state["validation_iou"])["stage"] if states else 0


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give mean IoU over seeds and its range, and mean seconds."""
    cells = table.groupby(["data", "n", "method"], sort=False)
    return cells["iou"].agg(["mean", "min", "max"]).round(3).assign(seconds=cells["seconds"].mean().round())


if __name__ == "__main__":
    main()
