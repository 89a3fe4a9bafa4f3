"""Is the default setting a good one, and what does each part of it buy?

Three of five folds over the articles of emps' training and validation micrographs; in each, twenty
micrographs with their hand labels are drawn from four fifths of the articles and twenty-four others
of the last fifth are scored at native resolution. The test split is not touched. The default (three
decoders) and the same with one decoder are trained with three seeds a fold; every variation is one of
the latter, on two of the folds, to fit the hours (of some only the first has been run). Particles
are told apart by the mean of the network's second output and the distance transform of its mask, and,
to compare, by one of the two alone; most committed rows of variations are from before particles were told apart as now,
and have no F1. Rows without seconds were run while the machine did other things.

Needs TEMLIB_DATA (or a network) and ImageNet weights; a minute a row on two cores. Writes
temlib/data/measured/default.csv, one row for each setting, fold and seed; what is there already is
not done again.

    python -m tests.benchmarks.default [setting ...]
"""

import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy.ndimage import binary_dilation, binary_erosion
from sklearn.model_selection import GroupKFold

import temlib
from temlib import datasets
from temlib.files.resampling import resize
from temlib.network import learning, training, unet
from temlib.network.augmentation import IGNORED, Augmentation
from temlib.particles.scores import iou, particle_f1
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results
from tests.benchmarks.separation import apart

SEEDS, FOLDS, LABELS, SCORED = (1, 2, 3), 5, 20, 24
RUN_FOLDS, FOLDS_OF_VARIATIONS = range(3), range(2)
AS_IS = Augmentation()
REFERENCE = "one decoder"
VARIATIONS = {
    "a band ignored at boundaries": {},
    "boundaries count five times": {},
    "half the decoder's channels": {},
    "half the passes": {"epochs": 6},
    "twice the passes": {"epochs": 24},
    "no zoom": {"augmentation": replace(AS_IS, zoom=1.0)},
    "no marks": {"augmentation": replace(AS_IS, marks=0.0)},
    "no grey levels": {"augmentation": replace(AS_IS, gamma=0.0, noise=0.0)},
    "inversion 0.5": {"augmentation": replace(AS_IS, inversion=0.5)},
    "twice the views, half the passes": {"epochs": 6, "views": 16},
    "blur 1": {"augmentation": replace(AS_IS, blur=1.0)},
    "contrast 0.5": {"augmentation": replace(AS_IS, contrast=0.5)},
    "zoom 3": {"augmentation": replace(AS_IS, zoom=3.0)},
    "particles of 96 px": {"target_size": 96.0},
    "weights of the last four passes averaged": {},
    "twice the decoder's channels": {},
    "batches of 16": {"batch_size": 16},
}
HEAVY = "default, boundaries count five times"
TRADES = {  # as long as eighteen passes of one decoder each; flips cost time at prediction
    "four flips": {"decoders": 1},
    "three decoders, 6 passes": {"decoders": 3, "epochs": 6},
    "two decoders, 9 passes": {"decoders": 2, "epochs": 9},
    "one decoder, 18 passes": {"decoders": 1, "epochs": 18},
}
SETTINGS = {"default": {}, HEAVY: {}, REFERENCE: {"decoders": 1}, **TRADES} | {
    name: {"decoders": 1} | changes for name, changes in VARIATIONS.items()
}
TABLE = MEASURED / "default.csv"


def windows_without_boundaries(*arguments: object) -> tuple[object, list[np.ndarray]]:
    """Make views in whose masks the two pixels of half resolution on either side of a boundary count nowhere."""
    some, truth = WINDOWS(*arguments)
    for maps in truth:
        particle = maps[..., 0] > 0.5
        maps[..., 0][binary_dilation(particle, iterations=2) & ~binary_erosion(particle, iterations=2)] = IGNORED
    return some, truth


def with_heavy_boundaries(truth: object, predicted: object) -> object:
    """Add four times the cross-entropy of the pixels within two of a boundary."""
    from keras import ops

    particle = ops.cast(truth[..., :1], predicted.dtype)
    about = ops.average_pool(particle, 5, strides=1, padding="same")
    boundary = ops.cast((about > 0) & (about < 1) & (particle >= 0), predicted.dtype)
    p = ops.clip(predicted[..., :1], 1e-6, 1 - 1e-6)
    entropy = -(particle * ops.log(p) + (1 - particle) * ops.log(1 - p)) * boundary
    return LOSS(truth, predicted) + 4 * ops.mean(entropy)


def with_averaged_weights(team: list, *arguments: object) -> None:
    """Train decoders, and give each the mean of its weights after each of the last four passes."""
    passes = Passes()
    TEACH(team, *arguments[:-1], passes)
    for number, learner in enumerate(passes.learners):
        last = [weights[number] for weights in passes.weights[-4:]]
        learner.set_weights([np.mean(some, axis=0) for some in zip(*last, strict=True)])


class Passes:
    """Keeps the weights after each pass, in place of a checkpoint."""

    def __init__(self) -> None:
        self.learners: list = []
        self.weights: list[list] = []

    def restore(self, learners: list) -> list:
        """Begin at the beginning."""
        self.learners = learners
        return []

    def keep(self, learners: list, history: list) -> None:
        """Take the weights of all decoders."""
        self.weights.append([learner.get_weights() for learner in learners])


def flipped(segmenter: temlib.Segmenter, image: object) -> np.ndarray:
    """Give the mean of what the network says of an image and its three mirror images."""
    grey = image.data
    ways = [(slice(None, None, a), slice(None, None, b)) for a in (1, -1) for b in (1, -1)]
    return np.mean([segmenter.maps(grey[way])[way] for way in ways], axis=0)


WINDOWS, LOSS, TEACH = training.windows_of, learning.cross_entropy_and_dice, training.teach
PATCHES = {  # what is no setting of train_segmenter
    HEAVY: (learning, "cross_entropy_and_dice", with_heavy_boundaries),
    "a band ignored at boundaries": (training, "windows_of", windows_without_boundaries),
    "boundaries count five times": (learning, "cross_entropy_and_dice", with_heavy_boundaries),
    "twice the decoder's channels": (unet, "decoder", partial(unet.decoder, widths=(256, 128, 96, 64, 32))),
    "weights of the last four passes averaged": (training, "teach", with_averaged_weights),
    "half the decoder's channels": (unet, "decoder", partial(unet.decoder, widths=(64, 32, 24, 16, 8))),
}


def main() -> None:
    """Run the benchmark and print its tables."""
    done = Results(TABLE, ("setting", "fold", "seed"))
    for fold in RUN_FOLDS:  # a fold of every setting before the next
        for setting in sys.argv[1:] or SETTINGS:
            for seed in SEEDS:
                if done.has(setting, fold, seed) or (setting in VARIATIONS and fold not in FOLDS_OF_VARIATIONS):
                    continue
                row = {"setting": setting, "fold": fold, "seed": seed} | trial(setting, fold, seed)
                done.add([row])
                print(row, flush=True)
    print(summary(done.table))
    print(detail())


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each setting's means, and what it gains over one decoder on the same folds with the same seeds."""
    cells = table.set_index(["setting", "fold", "seed"]).sort_index()
    gain = cells["iou"] - cells.loc[REFERENCE, "iou"]
    settings = gain.groupby("setting")
    of_gain = {"gain": settings.mean(), "gain_std": settings.std(), "better_in": (gain > 0).groupby("setting").sum()}
    return cells.groupby("setting").mean().assign(cells=settings.count(), **of_gain).round(3)


def trial(setting: str, fold: int, seed: int) -> dict[str, float]:
    """Train on one fold's labels and score."""
    learned, held_out = micrographs(fold)
    start = time.perf_counter()
    with patch.object(*PATCHES[setting]) if setting in PATCHES else nullcontext():
        segmenter = temlib.train_segmenter(*learned, weights="imagenet", seed=seed, progress=False, **SETTINGS[setting])
    seconds = time.perf_counter() - start
    maps = flipped if setting == "four flips" else temlib.Segmenter.maps
    rows = [scores(maps(segmenter, image), labels) for image, labels in zip(*held_out, strict=True)]
    return pd.DataFrame(rows).mean().to_dict() | {"median_iou": np.median([r["iou"] for r in rows]), "seconds": seconds}


def micrographs(fold: int) -> tuple[tuple[list, list], tuple[list, list]]:
    """Draw the labelled micrographs of a fold, and those to score."""
    known = datasets.table("emps").query("split != 'test'").reset_index(drop=True)
    folds = list(GroupKFold(FOLDS, shuffle=True, random_state=2023).split(known, groups=known["group"]))
    rng = np.random.default_rng([2023, fold])
    drawn = [
        datasets.load("emps", list(known["name"].to_numpy()[rng.choice(rows, n, replace=False)]))
        for rows, n in zip(folds[fold], (LABELS, SCORED), strict=True)
    ]
    return tuple(([m.image for m in some], [m.labels for m in some]) for some in drawn)


def scores(maps: np.ndarray, labels: object) -> dict[str, float]:
    """Score the mask, and the particles: as they are told apart, and by one of the two distances alone."""
    truth = np.asarray(labels.data)
    columns = {"both": "f1", "mask only": "f1_mask_only", "network only": "f1_network_only"}
    return {"iou": iou(maps[..., 0] > 0.5, truth != 0)} | {
        columns[way]: particle_f1(found, truth) for way, found in apart(maps).items()
    }


def detail() -> pd.DataFrame:
    """Give the mean IoU of a network without any error at one scale: its maps have half the resolution."""
    masks = {
        "simulated": [m.labels.data != 0 for m in datasets.of_split("simulated")],
        "emps": [m.data != 0 for fold in range(FOLDS) for m in micrographs(fold)[1][1]],
    }
    table = {
        (data, scale): np.mean([iou(through_half_resolution(mask, scale), mask) for mask in some])
        for data, some in masks.items()
        for scale in (0.5, 1.0, 2.0)
    }
    return pd.Series(table).unstack().round(3)


def through_half_resolution(mask: np.ndarray, scale: float) -> np.ndarray:
    """Give what is left of a mask that a network at some scale draws without error."""
    coarse = resize(mask.astype(np.float32), tuple(max(1, round(scale * n / 2)) for n in mask.shape))
    return resize(coarse, mask.shape) > 0.5


if __name__ == "__main__":
    main()
