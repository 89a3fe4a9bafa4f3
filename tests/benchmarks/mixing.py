"""How should exact synthetic labels and inexact machine-learning labels be mixed?

Three of three folds over the articles of emps' training and validation micrographs, one for each seed.
Twenty-four micrographs of the other articles get machine-learning labels from a pixel classifier that
was scribbled on eight of them; beside them stand 96 synthetic micrographs (bright_field). Whatever the
mixture, the decoder of a frozen ImageNet encoder sees 192 windows four times; 24 of the fold's own
micrographs are scored at native resolution. The test split is not touched.

- ``ML itself``: the pixel classifier, for comparison;
- ``ML labels``, ``synthetic``: one of the two alone; ``both``: half the windows of each;
- ``mostly ML``, ``mostly synthetic``: three quarters;
- ``synthetic, then ML``, ``ML, then synthetic``: half the passes on one, then as many on the other,
  with the lower learning rate of ``segmenter.adapt``;
- ``both, ML smoothed``: what the ML labels say counts for nine tenths;
- ``both, ML boundaries ignored``: two pixels on either side of their boundaries count nowhere;
- ``both, ML cleaned``: where the network that learned from synthetic micrographs alone is sure (below
  0.1 or above 0.9), its word stands instead of the ML label's;
- ``both, ML doubted``: where it is sure and the ML label says otherwise, the pixel counts nowhere.

``teacher`` is the IoU of the ML labels that were learned from with the truth.

Needs TEMLIB_DATA (or a network) and ImageNet weights; a quarter of an hour on two cores. Writes
temlib/data/measured/mixing.csv, one row for each way and seed; what is there already is not done again.

    python -m tests.benchmarks.mixing
"""

import time
from functools import lru_cache
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy.ndimage import binary_dilation, binary_erosion
from sklearn.model_selection import GroupKFold

import temlib
from temlib import datasets, pixel_classifier, synthetic
from temlib.network import training
from temlib.network.augmentation import IGNORED, truth_maps
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SEEDS = (1, 2, 3)
LABELLED, SCRIBBLED, SYNTHETIC, SCORED = 24, 8, 96, 24
WINDOWS, PASSES = 192, 4
SURE = 0.4  # how far a probability is from a half
WAYS = (
    "ML itself",
    "ML labels",
    "synthetic",
    "both",
    "mostly ML",
    "mostly synthetic",
    "synthetic, then ML",
    "ML, then synthetic",
    "both, ML smoothed",
    "both, ML boundaries ignored",
    "both, ML cleaned",
    "both, ML doubted",
)
SHARES = {"ML labels": 1.0, "synthetic": 0.0, "mostly ML": 0.75, "mostly synthetic": 0.25}
TABLE = MEASURED / "mixing.csv"

Pairs = tuple[list, list]


@lru_cache(maxsize=1)
def drawn(seed: int) -> tuple[list[datasets.Annotated], list[datasets.Annotated]]:
    """Draw the micrographs of a seed to learn from, and those of other articles to score."""
    rng = np.random.default_rng([2023, seed])
    return tuple(
        datasets.load("emps", list(names[rng.choice(len(names), n, replace=False)]))
        for names, n in zip(fold(seed), (LABELLED, SCORED), strict=True)
    )


def fold(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Name the micrographs of a seed to learn from, and those of other articles; none is of the test split."""
    known = datasets.table("emps").query("split != 'test'").reset_index(drop=True)
    folds = list(GroupKFold(len(SEEDS), shuffle=True, random_state=2023).split(known, groups=known["group"]))
    names = known["name"].to_numpy()
    return tuple(names[rows] for rows in folds[SEEDS.index(seed)])


@lru_cache(maxsize=1)
def teacher(seed: int) -> pixel_classifier.PixelClassifier:
    """Scribble on some of the micrographs to learn from."""
    some = drawn(seed)[0][:SCRIBBLED]
    scribbles = [pixel_classifier.annotator_scribbles(m.labels, 100 * seed + i) for i, m in enumerate(some)]
    return pixel_classifier.PixelClassifier(seed).fit([m.image for m in some], scribbles)


@lru_cache(maxsize=1)
def material(seed: int) -> dict[str, Pairs]:
    """Give the sources of a seed: images and what is taken for true of them; and what is scored."""
    learned, scored = drawn(seed)
    made = list(synthetic.sample("bright_field", SYNTHETIC, seed, workers=2))
    images = [m.image for m in learned]
    return {
        "ML": (images, [teacher(seed)(image).data for image in images]),
        "hand": (images, [m.labels for m in learned]),
        "synthetic": ([m.counts for m in made], [m.label_array for m in made]),
        "scored": ([m.image for m in scored], [m.mask for m in scored]),
    }


def mixture(share: float, seed: int) -> Pairs:
    """Give as many pairs as there are windows, a share of them with ML labels."""
    known = material(seed)
    counts = round(share * WINDOWS), WINDOWS - round(share * WINDOWS)
    chosen = [
        (i % len(known[source][0]), source)
        for source, n in zip(("ML", "synthetic"), counts, strict=True)
        for i in range(n)
    ]
    return [known[source][0][i] for i, source in chosen], [known[source][1][i] for i, source in chosen]


def train(pairs: Pairs, seed: int, passes: int = PASSES) -> temlib.Segmenter:
    """Train one decoder on a frozen ImageNet encoder, one window of each pair."""
    options = {"views": 1, "epochs": passes, "decoders": 1, "seed": seed, "progress": False}
    return temlib.train_segmenter(*pairs, weights="imagenet", **options)


def learn(way: str, seed: int) -> temlib.Segmenter | pixel_classifier.PixelClassifier:
    """Give what has learned in one of the ways."""
    if way == "ML itself":
        return teacher(seed)
    if way == "synthetic":
        return of_synthetic(seed)
    if "then" in way:
        first, second = (mixture(1.0 if source == "ML" else 0.0, seed) for source in way.split(", then "))
        return train(first, seed, PASSES // 2).adapt(*second, views=1, epochs=PASSES // 2, seed=seed, progress=False)
    pairs = mixture(SHARES.get(way, 0.5), seed)
    maps = {id(mask): changed(way, image, mask, seed) for image, mask in zip(*pairs, strict=True) if mask.dtype == bool}
    with patch.object(training, "truth_maps", lambda mask: maps[id(mask)] if id(mask) in maps else truth_maps(mask)):
        return train(pairs, seed)


@lru_cache(maxsize=1)
def of_synthetic(seed: int) -> temlib.Segmenter:
    """Give the network that knows no ML labels."""
    return train(mixture(0.0, seed), seed)


def changed(way: str, image: object, mask: np.ndarray, seed: int) -> np.ndarray:
    """Give what the network is told of a micrograph with an ML label."""
    maps = truth_maps(mask)
    particle = maps[..., 0]
    if way.endswith("smoothed"):
        particle[:] = 0.05 + 0.9 * particle
    elif way.endswith("boundaries ignored"):
        particle[binary_dilation(mask, iterations=2) & ~binary_erosion(mask, iterations=2, border_value=1)] = IGNORED
    elif way.endswith(("cleaned", "doubted")):
        says = opinion(seed, id(image), image)
        wrong = (abs(says - 0.5) > SURE) & ((says > 0.5) != mask)
        particle[wrong] = says[wrong] > 0.5 if way.endswith("cleaned") else IGNORED
    return maps


@lru_cache(maxsize=LABELLED)
def opinion(seed: int, _: int, image: object) -> np.ndarray:
    """Give what the network that knows no ML labels says of a micrograph."""
    return of_synthetic(seed).probability(image).data


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("way", "seed"), "%.4f")
    for seed in SEEDS:
        for way in WAYS:
            if done.has(way, seed):
                continue
            start = time.perf_counter()
            segmenter = learn(way, seed)
            scores = [iou(segmenter(image), mask) for image, mask in zip(*material(seed)["scored"], strict=True)]
            row = {"way": way, "seed": seed, "iou": np.mean(scores), "median_iou": np.median(scores)}
            row["teacher"] = np.mean([iou(a, b) for a, b in zip(material(seed)["ML"][1], material(seed)["hand"][1])])
            done.add([row])
            print(row, f"{time.perf_counter() - start:.0f} s", flush=True)
    print(summary(done.table))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each way's mean IoU, least and greatest of its seeds, and what it gains over both as they are."""
    cells = table.set_index(["way", "seed"])["iou"]
    gain = cells - cells.loc["both"].reindex(cells.index, level="seed")
    ways = gain.groupby("way", sort=False)
    spread = cells.groupby("way", sort=False).agg(["mean", "min", "max"])
    return spread.assign(gain=ways.mean(), better_in=(gain > 0).groupby("way", sort=False).sum()).round(3)


if __name__ == "__main__":
    main()
