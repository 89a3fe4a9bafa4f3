"""Are particles found and counted? F1 at IoU 0.5, panoptic quality, and the count per micrograph.

Two networks: the bundled one, which has seen no label, and one that learned from the hand-drawn
labels of emps' training split (ImageNet's encoder, frozen; three seeds). On emps' validation split and
on simulated without its test split, particles are found as temlib does, by proposals of every scale that a scorer
judges, and in three ways in the average of all scales, where specks of less than a quarter of the typical diameter
are left out: told apart by the distance that the network says, by that within the mask, and by the mean of both.
On the test splits, scored once, only by proposals and by the mean.

Needs TEMLIB_DATA (or a network) and ImageNet weights; half an hour on two cores. Writes
temlib/data/measured/separation.csv, one row for each network, seed, micrograph and way; what is there
already is not done again.

    python -m tests.benchmarks.separation
"""

import numpy as np
import pandas as pd

import temlib
from temlib import datasets
from temlib.particles.scores import iou, panoptic_quality, particle_f1
from temlib.particles.separation import relative_distance, separate_particles
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SEEDS = {"bundled": (2023,), "trained": (1, 2, 3)}
SCORED = {"bundled": ("emps", "simulated"), "trained": ("emps",)}
SETTINGS = {"weights": "imagenet", "views": 2, "progress": False}
WAYS = ("proposals", "both", "mask only", "network only")
SCORES = {"iou": np.mean, "f1": np.mean, "pq": np.mean, "count_error_percent": np.median}
TABLE = MEASURED / "separation.csv"


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("network", "seed"), "%.4f", dtype={"name": str})
    for network in SCORED:
        for seed in SEEDS[network]:
            if done.has(network, seed):
                continue
            segmenter = ready(network, seed)
            rows = [
                {"network": network, "seed": seed, "data": data, "split": split, "name": m.name} | row
                for data in SCORED[network]
                for split in ("train", "validation", "test")
                if (data, split) != ("emps", "train")
                for m in datasets.of_split(data, split)
                for row in scores(segmenter, m, WAYS[:2] if split == "test" else WAYS)
            ]
            done.add(rows)
            print(network, seed, flush=True)
    print(summary(done.table).to_string())


def ready(network: str, seed: int) -> temlib.Segmenter:
    """Give a network that has learned."""
    if network == "bundled":
        return temlib.load_segmenter("synthetic")
    learned = datasets.of_split("emps", "train")
    return temlib.train_segmenter([m.image for m in learned], [m.labels for m in learned], seed=seed, **SETTINGS)


def scores(segmenter: temlib.Segmenter, labelled: datasets.Annotated, ways: tuple[str, ...]) -> list[dict]:
    """Score the particles as they are found in each way."""
    truth, maps = np.asarray(labelled.labels.data), segmenter.maps(labelled.image)
    mask = maps[..., 0] > 0.5
    rows = []
    for way, found in ({"proposals": segmenter.particles(labelled.image).data} | apart(maps)).items():
        if way not in ways:
            continue
        row = {
            "way": way,
            "iou": iou(mask, truth),
            "f1": particle_f1(found, truth),
            "pq": panoptic_quality(found, truth),
        }
        rows.append(row | {"found": found.max(), "true": len(np.unique(truth[truth > 0]))})
    return rows


def apart(maps: np.ndarray) -> dict[str, np.ndarray]:
    """Tell particles apart by both distances, and by one of the two alone: of what is passed their mean is taken."""
    within = relative_distance(maps[..., 0] > 0.5)
    said = {"both": maps[..., 1], "mask only": within, "network only": 2 * maps[..., 1] - within}
    return {
        way: separate_particles(np.stack([maps[..., 0], distance], -1), specks=0.25) for way, distance in said.items()
    }


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give :func:`intervals` as text."""
    numbers = intervals(table)
    return pd.DataFrame(
        {name: [f"{v:.3g} ({low:.3g} to {high:.3g})" for v, low, high in numbers[name].to_numpy()] for name in SCORES},
        numbers.index,
    )


def intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Give means over micrographs and seeds, and the median error of the count, with 95 % intervals.

    Intervals are bootstrapped over micrographs, each with the mean of its seeds.
    """
    table = table.assign(count_error_percent=100 * (table["found"] / table["true"] - 1).abs())
    rows = {}
    for key, some in table.groupby(["network", "data", "split", "way"], sort=False):
        each = some.groupby("name")[list(SCORES)].mean()
        draws = each.to_numpy()[np.random.default_rng(0).integers(0, len(each), (2000, len(each)))]
        row = {}
        for column, (name, middle) in enumerate(SCORES.items()):
            low, high = np.quantile(middle(draws[..., column], axis=1), [0.025, 0.975])
            row |= {(name, "value"): middle(each[name]), (name, "low"): low, (name, "high"): high}
        rows[key] = row
    return pd.DataFrame.from_dict(rows, orient="index")


if __name__ == "__main__":
    main()
