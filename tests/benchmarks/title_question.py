"""Does transfer learning segment better than what it learned from, and than what needs no learning?

The question of the title, for ``simulated`` and for ``emps``, with five seeds that were fixed beforehand. Each seed
draws strokes, synthetic micrographs, first weights and hand labels anew; the data sets and their splits stay. All
networks see 192 windows eight times and have one decoder, so they differ in nothing but what is named:

- ``Otsu``: a threshold;
- ``ML``: a pixel classifier with strokes on eight training micrographs, as in notebook 3; ``ML, flattened``: the same
  on pictures that were divided by their own average over a sixth of their width; ``ML, strokes on itself``: five
  strokes for each class on the test micrograph itself (quadratic classifier);
- ``no label``: the network of synthetic micrographs that comes with temlib, as it is;
- ``TL, ML labels``, ``TL, synthetic``, ``TL``: ImageNet's frozen encoder after one of the two kinds of labels, or both,
  as in notebook 4; ``TL, bundled encoder``, ``TL, random encoder``: both kinds, on other frozen encoders;
- ``TL, 5 true labels``: ImageNet's frozen encoder after five hand labels of the training split.

The test micrographs are scored, and nothing is chosen by them. Needs TEMLIB_DATA (or a network) and ImageNet weights;
a quarter of an hour a seed on two cores. Writes temlib/data/measured/title_question.csv, one row for each data set,
seed, way and micrograph; data sets and seeds that are there are not done again.

    python -m tests.benchmarks.title_question
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

import temlib
from temlib import datasets, pixel_classifier, synthetic
from temlib.files.micrographs import as_array
from temlib.network.weights import BUNDLED
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.own_scribbles import mask_of_strokes
from tests.benchmarks.resumable import Results

SEEDS, DATA = (2023, 1, 2, 3, 4), ("simulated", "emps")
LEARNED, SCRIBBLED, SYNTHETIC, LABELS = 24, 8, 48, 5
WINDOWS, PASSES = 192, 8
TABLE = MEASURED / "title_question.csv"

Way = Callable[[Any], np.ndarray]


def main() -> None:
    """Run the benchmark and print its table."""
    done = Results(TABLE, ("data", "seed"), "%.4f", dtype={"name": str})
    for seed in SEEDS:
        for data in DATA:
            if not done.has(data, seed):
                done.add(trial(data, seed))
                print(f"{data}, seed {seed} is done", flush=True)
    print(summary(done.table))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give mean IoU with each seed."""
    return table.pivot_table(index=["data", "way"], columns="seed", values="iou", sort=False).round(3)


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``: mean IoU, its range over seeds, and with how many TL has more."""
    means = table.groupby(["data", "way", "seed"])["iou"].mean()
    rows = []
    for way in table["way"].unique():
        cells = []
        for data in DATA:
            each, tl = means[data, way], means[data, "TL"]
            better = "" if way == "TL" else f"{(tl > each).sum()} of {len(each)}"
            cells += [f"{each.mean():.2f} ({each.min():.2f} to {each.max():.2f})", better]
        rows.append(f"| {way} | {' | '.join(cells)} |")
    return rows


def trial(data: str, seed: int) -> pd.DataFrame:
    """Let everything learn, and score it on the test micrographs."""
    micrographs = datasets.of_split(data, "test")
    rows = []
    for way, segment in ways(data, seed):
        for m in micrographs:
            rows.append({"data": data, "seed": seed, "way": way, "name": m.name, "iou": iou(segment(m.image), m.mask)})
        print(f"  {way}: {np.mean([row['iou'] for row in rows if row['way'] == way]):.3f}", flush=True)
    for number, m in enumerate(micrographs):
        score = iou(mask_of_strokes(m, number, seed, "quadratic"), m.mask)
        rows.append({"data": data, "seed": seed, "way": "ML, strokes on itself", "name": m.name, "iou": score})
    return pd.DataFrame(rows)


def ways(data: str, seed: int) -> Iterator[tuple[str, Way]]:
    """Give each way by its name, ready to segment."""
    yield "Otsu", lambda image: pixel_classifier.otsu_mask(image).data
    train, scribbles, ml = teacher(data, seed)
    images = [m.image for m in train]
    yield "ML", lambda image: ml(image).data
    flat = pixel_classifier.PixelClassifier(seed).fit([flattened(i) for i in images[:SCRIBBLED]], scribbles)
    yield "ML, flattened", lambda image: as_array(flat(flattened(image)))
    ready = temlib.load_segmenter("synthetic")
    yield "no label", lambda image: ready(image).data

    labels = [ml(image).data for image in images]
    made = list(synthetic.sample("bright_field", SYNTHETIC, seed, workers=1))
    exact = [m.counts for m in made], [m.label_array for m in made]
    both = images + exact[0], labels + exact[1]
    yield "TL, ML labels", trained(images, labels, "imagenet", seed)
    yield "TL, synthetic", trained(*exact, "imagenet", seed)
    yield "TL", trained(*both, "imagenet", seed)
    yield "TL, bundled encoder", trained(*both, BUNDLED, seed)
    yield "TL, random encoder", trained(*both, None, seed)
    all_of_split = datasets.of_split(data, "train")
    chosen = np.random.default_rng([2023, seed]).choice(len(all_of_split), LABELS, replace=False)
    some = [all_of_split[i] for i in chosen]
    yield "TL, 5 true labels", trained([m.image for m in some], [m.labels for m in some], "imagenet", seed)


def teacher(data: str, seed: int) -> tuple[list, list, pixel_classifier.PixelClassifier]:
    """Give micrographs to learn from, strokes on the first of them, and what learned from these strokes."""
    train = datasets.of_split(data, "train")[:LEARNED]
    scribbles = [pixel_classifier.annotator_scribbles(m.labels, seed + i) for i, m in enumerate(train[:SCRIBBLED])]
    return train, scribbles, pixel_classifier.PixelClassifier(seed).fit([m.image for m in train[:SCRIBBLED]], scribbles)


def trained(images: list, labels: list, weights: Any, seed: int) -> Way:
    """Train one decoder on a frozen encoder, on 192 windows whatever the number of micrographs."""
    pairs = [i % len(images) for i in range(WINDOWS)]
    segmenter = temlib.train_segmenter(
        [images[i] for i in pairs],
        [labels[i] for i in pairs],
        weights=weights,
        views=1,
        epochs=PASSES,
        decoders=1,
        seed=seed,
        progress=False,
    )
    return lambda image: segmenter(image).data


def flattened(image: Any) -> np.ndarray:
    """Divide a picture by its average over a sixth of its width."""
    grey = as_array(image).astype(np.float32)
    ground = gaussian_filter(grey, grey.shape[1] / 6, mode="reflect")
    return grey / np.maximum(ground, 1e-3 * np.abs(grey).max())


if __name__ == "__main__":
    main()
