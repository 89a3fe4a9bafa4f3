"""What is a pretrained encoder worth? The classic U-Net and others, on the same labels.

The material is that of ``mixing``: three folds over emps' articles, one for each seed. Each network
learns from the first twenty micrographs with hand labels (eight windows of each), and from the
abstract's mixture, half windows of micrographs with ML labels, half of synthetic ones; 160 windows both
times. Each has settings that suit it: the frozen ones twelve passes over cached features, those that
learn from random weights all of the network sixteen passes, each over windows drawn anew. 24 micrographs of
the fold's own articles are scored at native resolution. The test split is not touched.

- ``classic U-Net``: Ronneberger et al. 2015 with an eighth of its channels (8 at the first level), to
  fit the hours, from random weights, all learns;
- ``random, all learns``: our network, MobileNet encoder and decoder, from random weights;
- ``random, frozen``, ``imagenet, frozen``, ``bundled, frozen``: one decoder on a frozen encoder;
- ``imagenet, fine-tuned``: after that two stages of temlib.fine_tune; four labelled micrographs (or as
  many of the mixture's) that it does not learn from say which state is given;
- ``bundled, adapted``: the bundled segmenter after segmenter.adapt; it brings its three decoders.

Needs TEMLIB_DATA (or a network) and ImageNet weights; two hours on two cores. Writes
temlib/data/measured/baselines.csv, one row for each network, source and seed; what is there already is
not done again.

    python -m tests.benchmarks.baselines
"""

import time

import numpy as np
import pandas as pd

import temlib
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks import core, mixing, rivals
from tests.benchmarks.resumable import Results

NETWORKS = (  # the quickest first
    "imagenet, frozen",
    "random, frozen",
    "bundled, frozen",
    "bundled, adapted",
    "imagenet, fine-tuned",
    "random, all learns",
    "classic U-Net",
)
SOURCES = ("20 hand labels", "ML labels and synthetic")
WINDOWS, HELD_BACK, WIDTH = 160, 4, 8
PASSES = {"frozen": 12, "all": 16}
TABLE = MEASURED / "baselines.csv"


def pairs(source: str, seed: int) -> tuple[list, list]:
    """Give as many images and labels as there are windows, shuffled; each image as often as the others of its kind."""
    material = mixing.material(seed)
    kinds = ("hand", "hand") if source == SOURCES[0] else ("ML", "synthetic")
    chosen = [(kind, i % (20 if kind != "synthetic" else 96)) for kind in kinds for i in range(WINDOWS // 2)]
    chosen = [chosen[i] for i in np.random.default_rng(seed).permutation(WINDOWS)]
    return tuple([material[kind][part][i] for kind, i in chosen] for part in (0, 1))


def learn(network: str, source: str, seed: int) -> temlib.Segmenter:
    """Give what has learned."""
    images, masks = pairs(source, seed)
    if network == "bundled, adapted":
        ready = temlib.load_segmenter("synthetic").adapt(
            images, masks, views=1, epochs=PASSES["frozen"], seed=seed, progress=False
        )
        ready.trust = None  # no warnings
        return ready
    if network in ("classic U-Net", "random, all learns"):
        model = rivals.classic_unet(WIDTH, seed) if network == "classic U-Net" else rivals.ours(None, False, seed)

        def views(epoch: int) -> tuple[np.ndarray, np.ndarray]:
            return core.windows((images, masks), 1, 1000 * seed + epoch)

        rivals.train(model, views, PASSES["all"], 1e-3, lambda _: False)
        return temlib.Segmenter(model)
    options = {"views": 1, "seed": seed, "progress": False}
    encoder, how = network.split(", ")
    tuned = how == "fine-tuned"
    learned, deciding = first_few_decide(images, masks) if tuned else ((images, masks), None)
    weights = None if encoder == "random" else encoder
    segmenter = temlib.train_segmenter(*learned, weights=weights, epochs=PASSES["frozen"], decoders=1, **options)
    return temlib.fine_tune(segmenter, *learned, validation=deciding, **options) if tuned else segmenter


def first_few_decide(images: list, masks: list) -> tuple[tuple[list, list], tuple[list, list]]:
    """Split into what is learned from, and the first few images, once each, that decide."""
    first = {id(image): i for i, image in reversed(list(enumerate(images)))}  # where each image comes first
    deciding = sorted(first.values())[:HELD_BACK]
    kept = {id(images[i]) for i in deciding}
    learned = [i for i, image in enumerate(images) if id(image) not in kept]
    return tuple(tuple([part[i] for i in some] for part in (images, masks)) for some in (learned, deciding))


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("network", "source", "seed"))
    for network in NETWORKS:
        for source in SOURCES:
            for seed in mixing.SEEDS:
                if done.has(network, source, seed):
                    continue
                start = time.perf_counter()
                segmenter = learn(network, source, seed)
                seconds = time.perf_counter() - start
                scored = mixing.material(seed)["scored"]
                scores = [iou(segmenter(image), mask) for image, mask in zip(*scored, strict=True)]
                row = {"network": network, "source": source, "seed": seed, "seconds": seconds}
                row |= {"parameters": segmenter.model.count_params(), "iou": np.mean(scores)}
                done.add([row | {"median_iou": np.median(scores)}])
                print(row, flush=True)
    print(summary(done.table))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each network's parameters and seconds, and its mean IoU and the range of seeds for each source."""
    cells = table.groupby(["network", "source"], sort=False)
    spread = cells["iou"].agg(["mean", "min", "max"]).round(3).unstack()
    return cells[["parameters", "seconds"]].mean().groupby("network", sort=False).mean().round().join(spread)


if __name__ == "__main__":
    main()
