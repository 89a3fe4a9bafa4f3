"""When does the network correct its teacher, and when does it learn its mistakes?

Forty-eight synthetic micrographs (bright_field) whose exact masks are spoilt in one way, at one
strength, are the only teacher; the network is scored on twelve further synthetic micrographs with exact
masks, and on the nine validation micrographs of simulated. The teacher's own IoU is that of
the spoilt masks with the exact ones. ImageNet's encoder, frozen, and then fine-tuned; twelve
further synthetic micrographs, spoilt alike, decide there which state is the best. Three seeds.

Needs ImageNet weights; an hour on two cores. Writes temlib/data/measured/label_noise.csv, one row for
each way, strength, seed, encoder and set; what is there already is not done again.

    python -m tests.benchmarks.label_noise
"""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import ndimage

import temlib
from temlib import datasets, synthetic
from temlib.network.augmentation import particle_size
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SEEDS = (1, 2, 3)
TRAINING, DECIDING, SCORED = 48, 6, 12
SETTINGS = {"weights": "imagenet", "views": 2, "decoders": 1, "progress": False}

Spoil = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def wrong_pixels(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Turn a share of the pixels over, each on its own."""
    return (labels > 0) ^ (rng.random(labels.shape) < share)


def jagged(labels: np.ndarray, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Shift each boundary to and fro: standard deviation in particle sizes, correlated over 4 pixels."""
    signed = _signed_distance(labels > 0)
    noise = ndimage.gaussian_filter(rng.normal(size=labels.shape), 4)
    return signed + amplitude * (particle_size(labels > 0) or 0) * noise / noise.std() > 0


def grown(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Dilate (erode where negative) by a share of the particle size."""
    return _signed_distance(labels > 0) + share * (particle_size(labels > 0) or 0) > 0


def missed(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Leave out a share of the particles, each on its own."""
    numbers = np.arange(1, labels.max() + 1)
    return np.isin(labels, numbers[rng.random(numbers.size) >= share])


def invented(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Add copies of the micrograph's own particles, as many as a share of them, where there are none."""
    mask = labels > 0
    numbers = np.unique(labels[mask])  # some particle may lie behind others
    for number in rng.choice(numbers, round(share * numbers.size)):
        particle = np.argwhere(labels == number)
        room = np.array(labels.shape) - np.ptp(particle, axis=0)
        for _ in range(50):
            places = tuple((particle - particle.min(axis=0) + rng.integers(0, room)).T)
            if not mask[places].any():
                mask[places] = True
                break
    return mask


WAYS: dict[str, tuple[Spoil, tuple[float, ...]]] = {
    "exact": (wrong_pixels, (0.0,)),
    "wrong pixels": (wrong_pixels, (0.15, 0.3)),
    "jagged boundaries": (jagged, (0.08, 0.16)),
    "dilated": (grown, (0.08, 0.16)),
    "eroded": (grown, (-0.08, -0.16)),
    "missed particles": (missed, (0.3, 0.6)),
    "false particles": (invented, (0.3, 0.6)),
}


def run(spoil: Spoil, strength: float, seed: int, scored: dict[str, tuple[list, list]]) -> list[dict]:
    """Spoil, train and fine-tune, and score."""
    made = micrographs(seed)
    rng = np.random.default_rng([seed, 1])
    images, exact = [m.counts for m in made], [m.label_array for m in made]
    masks = [spoil(labels, strength, rng) for labels in exact]
    teacher = np.mean([iou(mask, labels) for mask, labels in zip(masks, exact, strict=True)])
    deciding = images[TRAINING:], masks[TRAINING:]
    images, masks = images[:TRAINING], masks[:TRAINING]
    frozen = temlib.train_segmenter(images, masks, seed=seed, **SETTINGS)
    tuned = temlib.fine_tune(frozen, images, masks, validation=deciding, views=1, seed=seed, progress=False)
    return [
        {"encoder": encoder, "data": data, "teacher": teacher, "iou": np.mean([iou(s(i), t) for i, t in zip(*pairs)])}
        for encoder, s in (("frozen", frozen), ("fine-tuned", tuned))
        for data, pairs in scored.items()
    ]


@lru_cache(maxsize=1)
def micrographs(seed: int) -> list[synthetic.SyntheticMicrograph]:
    """Give what is learned from, and what decides."""
    return list(synthetic.sample("bright_field", TRAINING + DECIDING, seed, workers=2))


def held_out() -> dict[str, tuple[list, list]]:
    """Give what is scored on."""
    made = list(synthetic.sample("bright_field", SCORED, 2023, workers=2))
    simulated = datasets.of_split("simulated", "validation")
    return {
        "synthetic": ([m.counts for m in made], [m.label_array for m in made]),
        "simulated": ([m.image for m in simulated], [m.mask for m in simulated]),
    }


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    scored = held_out()
    done = Results(MEASURED / "label_noise.csv", ("way", "strength", "seed"), "%.4f")
    for seed in SEEDS:
        for way, (spoil, strengths) in WAYS.items():
            for strength in strengths:
                if done.has(way, strength, seed):
                    continue
                start = time.perf_counter()
                key = {"way": way, "strength": strength, "seed": seed}
                rows = [key | row for row in run(spoil, strength, seed, scored)]
                done.add(rows)
                print(key, [round(r["iou"], 3) for r in rows], f"{time.perf_counter() - start:.0f} s", flush=True)
    print(summary(done.table))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give the mean IoU of the teacher, and of each encoder on each set."""
    cells = table.groupby(["way", "strength", "data", "encoder"], sort=False)[["teacher", "iou"]].mean()
    found = cells["iou"].unstack(["data", "encoder"])
    found.insert(0, ("teacher", ""), cells["teacher"].groupby(["way", "strength"]).first())
    return found.round(3)


def _signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the boundary [px], positive in particles."""
    if not mask.any() or mask.all():
        return np.where(mask, np.inf, -np.inf)
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    return np.where(mask, inside - 0.5, 0.5 - outside)


if __name__ == "__main__":
    main()
