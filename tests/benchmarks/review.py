"""Does looking pay? F1 and the median diameter before and after a review of at most 20 clicks a micrograph.

The person is a stand-in that knows the truth exactly. ``out`` only takes out what is no particle: found, but without a
true particle that it shares more than half with (IoU above 0.5). ``all tools`` first merges the pieces of one particle,
splits what holds two by the line halfway between their middles, and adds with a click what the network saw too faintly,
each where F1 is then higher, else it is undone; then it takes out what is wrong still. Each is one click, those that
were undone too; the largest particles come first.

Needs TEMLIB_DATA; the bundled network, ten validation micrographs of emps, a few minutes. Writes
temlib/data/measured/review.csv, a row for each micrograph and way; what is there already is not done again.

    python -m tests.benchmarks.review
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

import temlib
from temlib import datasets
from temlib.particles.measurement import measure_particles
from temlib.particles.review import Review
from temlib.particles.scores import particle_f1
from temlib.reproduction.run_folder import MEASURED
from temlib.widgets.reviewed import Reviewed
from tests.benchmarks.resumable import Results

TABLE = MEASURED / "review.csv"
WAYS = ("out", "all tools")
MICROGRAPHS, MOST_CLICKS = 10, 20


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("name",), "%.4f", dtype={"name": str})
    segmenter = temlib.load_segmenter("synthetic")
    for labelled in datasets.of_split("emps", "validation")[:MICROGRAPHS]:
        if done.has(labelled.name):
            continue
        truth = np.asarray(labelled.labels.data)
        found, maps = segmenter.find(labelled.image)
        rows = []
        for way in WAYS if found.labels.any() else ():
            review = Review(found, labelled.image, probability=maps[..., 0])
            before = scores(review.kept, truth)
            clicks = looked_at(review, truth, maps[..., 0], way)
            after = scores(review.kept, truth)
            row = {"name": labelled.name, "way": way, "clicks": clicks, "true": len(numbers(truth))}
            rows.append(row | named("before", before) | named("after", after))
        done.add(rows)
        print(labelled.name, flush=True)
    print(summary(done.table).to_string())


def named(when: str, values: dict[str, float]) -> dict[str, float]:
    """Say of numbers when they were measured."""
    return {f"{name}_{when}": value for name, value in values.items()}


def scores(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Give F1, and by how much the median diameter of whole particles is wrong [%]; NaN where there are none."""
    medians = []
    for each in (labels, truth):
        table = measure_particles(each)
        medians.append(table.loc[~table["touches_edge"].astype(bool), "equivalent_diameter_px"].median())
    return {"f1": particle_f1(labels, truth), "median_error_percent": 100 * abs(medians[0] / medians[1] - 1)}


def looked_at(review: Review, truth: np.ndarray, probability: np.ndarray, way: str) -> int:
    """Do what the stand-in does; give the number of its clicks."""
    clicks = 0
    if way == "all tools":
        for do in corrections(review, truth, probability):
            if clicks == MOST_CLICKS:
                return clicks
            clicks += improved(review, truth, do)
    wrong = [number for number in numbers(review.kept) if not partner(review.labels == number, truth)]
    wrong.sort(key=lambda number: -np.count_nonzero(review.labels == number))
    for number in wrong[: MOST_CLICKS - clicks]:
        review.take_out([number])
        clicks += 1
    return clicks


def corrections(review: Review, truth: np.ndarray, probability: np.ndarray) -> Iterator:
    """Yield what can be tried for each true particle that is not found, the largest first."""
    missed = [n for n in numbers(truth) if not partner(truth == n, review.kept)]
    for number in sorted(missed, key=lambda n: -np.count_nonzero(truth == n)):
        mask = truth == number
        pieces = [
            n for n in numbers(review.kept[mask]) if np.count_nonzero(mask & (review.labels == n)) * 2 > area(review, n)
        ]
        if len(pieces) > 1:
            yield lambda pieces=pieces: review.merge(pieces)
            continue
        held = np.bincount(review.kept[mask])
        held[:1] = 0
        whole = int(held.argmax())
        if whole and 2 * held[whole] > np.count_nonzero(mask):
            line = between(truth, number, review.labels == whole)
            if line is not None:
                yield lambda line=line: review.split(line)
        else:
            y, x = middle(mask)
            yield lambda x=x, y=y: review.add(Reviewed.seen_in(probability, review.labels, x + 0.5, y + 0.5))


def improved(review: Review, truth: np.ndarray, do) -> int:
    """Do something, and undo it where it does not help; give 1, or 0 where it could not be done."""
    before = particle_f1(review.kept, truth)
    try:
        do()
    except ValueError:
        return 1
    if particle_f1(review.kept, truth) <= before:
        review.undo()
    return 1


def between(truth: np.ndarray, number: int, whole: np.ndarray) -> list | None:
    """Give the line halfway between a true particle and the next that lies in the same found one."""
    shared = np.bincount(truth[whole], minlength=number + 1)
    shared[[0, number]] = 0
    if not shared.any():
        return None
    one, other = (np.array(middle(truth == n)) for n in (number, int(shared.argmax())))
    way = other - one
    across = np.array([-way[1], way[0]]) / max(np.hypot(*way), 1e-9) * np.ptp(np.argwhere(whole), axis=0).max()
    halfway = (one + other) / 2 + 0.5
    return [(halfway - across)[::-1].tolist(), (halfway + across)[::-1].tolist()]


def middle(mask: np.ndarray) -> tuple[float, float]:
    """Give the pixel (y, x) of a mask that is nearest to its centroid."""
    places = np.argwhere(mask)
    y, x = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))].tolist()
    return y, x


def partner(mask: np.ndarray, labels: np.ndarray) -> int:
    """Give the particle that a mask shares more than half with, 0 where there is none."""
    shared = np.bincount(labels[mask])
    shared[:1] = 0
    number = int(shared.argmax()) if shared.size else 0
    if not number:
        return 0
    union = np.count_nonzero(mask) + np.count_nonzero(labels == number) - shared[number]
    return number if 2 * shared[number] > union else 0


def area(review: Review, number: int) -> int:
    """Count the pixels of a particle."""
    return np.count_nonzero(review.labels == number)


def numbers(labels: np.ndarray) -> list[int]:
    """Give the numbers of the particles."""
    return np.unique(labels[labels > 0]).tolist()


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give the mean F1, the median error of the median diameter, and the mean number of clicks."""
    by_way = table.groupby("way", sort=False)
    means = by_way[["clicks", "f1_before", "f1_after"]].mean()
    return means.join(by_way[["median_error_percent_before", "median_error_percent_after"]].median())


if __name__ == "__main__":
    main()
