"""How many labels does one need? IoU over the number of hand-labelled micrographs, for several ways to learn.

Each seed draws the labelled micrographs anew, from the training split; scored are all micrographs of
the validation split (no article in both). The number of epochs was fixed beforehand, no label is used for
stopping, and all that learn see 120 views, and two of each micrograph at the least: 200 for a hundred
labels. To fit the hours: one decoder, three of the numbers on simulated, one (20) from random weights.

- ``pixel classifier``: temlib.pixel_classifier, on 1000 pixels of each class of each labelled micrograph;
- ``bundled, adapted``: the bundled segmenter and ``segmenter.adapt``; with 0 labels as it comes;
- ``bundled, frozen``, ``imagenet, frozen``: a new decoder on that encoder;
- ``imagenet, fine-tuned``: the same, then two stages of temlib.fine_tune on the same labels, of which
  the first ten say which stage is given;
- ``random, all learns``: the same network trained from end to end from random weights.

Needs TEMLIB_DATA (or a network) and ImageNet weights; some hours on two cores. Writes
temlib/data/measured/labels.csv, one row for each cell; what is there already is not done again.

    python -m tests.benchmarks.labels
"""

import time
from functools import lru_cache

import numpy as np
import pandas as pd

import temlib
from temlib import datasets
from temlib.particles.scores import iou
from temlib.pixel_classifier import BACKGROUND, PARTICLE, PixelClassifier
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SEEDS = (1, 2, 3)
FREE = "bundled, adapted"
METHODS = (
    FREE,
    "pixel classifier",
    "bundled, frozen",
    "imagenet, frozen",
    "imagenet, fine-tuned",
    "random, all learns",
)
FIRST, SCRATCH = METHODS[:-1], METHODS[-1:]
CELLS = (  # what matters most first
    ("emps", (0, 1, 5, 20, 100), FIRST),
    ("simulated", (0, 1, 5, 20), FIRST),
    ("emps", (2, 10, 50), FIRST),
    ("simulated", (20,), SCRATCH),
    ("emps", (20,), SCRATCH),
)
VIEWS, EPOCHS = 120, 10
TABLE = MEASURED / "labels.csv"

Labelled = tuple[list, list]


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("data", "method", "n", "seed"))
    held_out = {data: pairs(data, "validation") for data in ("emps", "simulated")}
    for seed, method, data, n in cells():
        if done.has(data, method, n, seed):
            continue
        if method == "imagenet, fine-tuned":
            on_frozen("imagenet", data, n, seed)  # what it starts from is not in its seconds
        start = time.perf_counter()
        segment = learn(method, data, n, seed)
        seconds = time.perf_counter() - start
        scores = [iou(segment(image), mask) for image, mask in zip(*held_out[data], strict=True)]
        row = {"data": data, "method": method, "n": n, "seed": seed, "seconds": seconds}
        row |= {"iou": np.mean(scores), "median_iou": np.median(scores)}
        done.add([row])
        print(row, flush=True)
    print(summary(done.table).to_string())


def cells() -> list[tuple[int, str, str, int]]:
    """List seed, method, data and number of labels; fine-tuning follows what it starts from."""
    return [
        (seed, method, data, n)
        for data, numbers, methods in CELLS
        for seed in SEEDS
        for n in numbers
        for method in (methods if n else (FREE,))
    ]


def pairs(data: str, split: str, n: int | None = None, seed: int = 0) -> Labelled:
    """Give the micrographs of a split, or ``n`` drawn of them, and their labels."""
    names = datasets.table(data).query("split == @split")["name"].to_numpy()
    if n is not None:
        names = np.random.default_rng([seed, 7]).permutation(names)[:n]
    return loaded(data, names)


def loaded(data: str, names: np.ndarray) -> Labelled:
    """Give the images of some micrographs and their labels."""
    drawn = datasets.load(data, list(names))
    return [m.image for m in drawn], [m.labels for m in drawn]


def learn(method: str, data: str, n: int, seed: int):
    """Give what segments an image after learning."""
    labelled = images, masks = pairs(data, "train", n, seed)
    if method == FREE:
        ready = temlib.load_segmenter("synthetic")
        segmenter = ready.adapt(images, masks, views=views(len(images)), seed=seed, progress=False) if images else ready
        segmenter.trust = None  # no warnings
        return segmenter
    if method == "pixel classifier":
        return PixelClassifier(seed).fit(images, [scribbles(m, seed) for m in masks])
    if method == "random, all learns":
        return from_end_to_end(labelled, seed)
    encoder, how = method.split(", ")
    segmenter = on_frozen(encoder, data, n, seed)
    if how == "fine-tuned":
        settings = {"views": -(-views(n) // 4), "seed": seed, "progress": False}
        segmenter = temlib.fine_tune(segmenter, *labelled, validation=(images[:10], masks[:10]), **settings)
    return segmenter


@lru_cache(maxsize=1)
def on_frozen(encoder: str, data: str, n: int, seed: int) -> temlib.Segmenter:
    """Train a decoder on a frozen encoder."""
    settings = {"views": views(n), "epochs": EPOCHS, "decoders": 1, "seed": seed, "progress": False}
    return temlib.train_segmenter(*pairs(data, "train", n, seed), weights=encoder, **settings)


def views(n: int, in_all: int = VIEWS) -> int:
    """Give the views of each of ``n`` micrographs, two at the least."""
    return max(-(-in_all // n), 2)


def scribbles(labels: object, seed: int, each: int = 1000) -> np.ndarray:
    """Mark pixels of each class at random."""
    rng = np.random.default_rng(seed)
    particle = np.asarray(labels.data) != 0
    marks = np.zeros(particle.shape, np.uint8)
    for kind, where in ((BACKGROUND, ~particle), (PARTICLE, particle)):
        places = np.flatnonzero(where)
        marks.ravel()[rng.choice(places, min(each, len(places)), replace=False)] = kind
    return marks


def from_end_to_end(labelled: Labelled, seed: int) -> temlib.Segmenter:
    """Train our network from random weights, encoder and decoder."""
    from tests.benchmarks import core, rivals

    model = rivals.ours(weights=None, frozen=False, seed=seed)
    seen = core.windows(labelled, views(len(labelled[0])), seed)
    rivals.train(model, lambda _: seen, EPOCHS, 1e-3, lambda _: False)
    return temlib.Segmenter(model)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give mean IoU over seeds, and its standard deviation, for each way and number of labels."""
    groups = table.groupby(["data", "method", "n"], sort=False)["iou"]
    text = groups.mean().map("{:.2f}".format) + " ± " + groups.std().map("{:.2f}".format)
    return text.unstack("n")


if __name__ == "__main__":
    main()
