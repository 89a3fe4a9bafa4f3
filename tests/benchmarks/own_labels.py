"""What labels of one's own add to the default network, which has learned from real labels already.

``segmenter.adapt`` with 1, 5 and 20 labels, and without any; three seeds draw the labels.

- ``emps``: of the validation micrographs, half of the articles are labelled and the others are scored. (The network
  has learned from the labels of the training micrographs, and these validation micrographs chose among its states.)
- ``simulated``: labels of training micrographs, scored on validation. (It has learned from the same labels.)
- ``supported``: of the ten HAADF micrographs of supported catalysts (see ``supported.py``), three are labelled, the
  seven others are scored by F1 of boxes, contrast told, diameter told or not. Their masks are made from the drawn
  boxes: in the ellipse of each box what is brighter than Otsu's threshold of the box. Adapting shows particles larger
  than a told diameter does; ``supported, as told`` is what it gives where both show them alike.

Needs TEMLIB_DATA with ``emps`` and the folder ``supported``; 40 minutes on two cores. Writes
temlib/data/measured/own_labels.csv, a row for each micrograph; a rerun continues.

    python -m tests.benchmarks.own_labels
"""

from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from skimage.draw import ellipse
from skimage.filters import threshold_otsu

import temlib
from temlib import datasets
from temlib.datasets import Annotated, of_split
from temlib.network import learning
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks import labels, supported
from tests.benchmarks.resumable import Results
from tests.benchmarks.sizes_real import compare

SEEDS, NUMBERS, MASKS, AS_TOLD = (1, 2, 3), (0, 1, 5, 20), 3, "supported, as told"
TABLE = MEASURED / "own_labels.csv"
COLUMNS = {
    "emps": ("iou", "f1", "within"),
    "simulated": ("iou", "f1", "within"),
    "supported": ("f1", "f1_told"),
    AS_TOLD: ("f1", "f1_told"),
}
VIEWS = 60  # that adapting sees in a pass, and two of each micrograph at the least


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done = Results(TABLE, ("data", "n", "seed"), "%.4f")
    for seed in SEEDS:
        for data, n in (("supported", 0), ("supported", 3), (AS_TOLD, 3)):
            if not done.has(data, n, seed):
                with patch.object(learning, "_factor", told_scale) if data == AS_TOLD else nullcontext():
                    done.add([{"data": data, "n": n, "seed": seed} | row for row in rows_of_boxes(n, seed)])
        for data in ("emps", "simulated"):
            for n in NUMBERS:
                if not done.has(data, n, seed):
                    learned, scored = drawn(data, seed)
                    segmenter = adapted(learned[:n], seed)
                    done.add([{"data": data, "n": n, "seed": seed} | row for row in rows(segmenter, scored)])
    print("\n".join(lines(done.table)))


@cache
def network() -> temlib.Segmenter:
    """Give the default network, which warns of nothing."""
    segmenter = temlib.load_segmenter(runtime="auto")
    segmenter.trust = None
    return segmenter


def drawn(data: str, seed: int) -> tuple[list[Annotated], list[Annotated]]:
    """Give the micrographs to learn from, in an order of chance, and those to score; none of one article in both."""
    rng = np.random.default_rng([seed, 7])
    scored = of_split(data, "validation")
    if data == "simulated":
        learned = of_split(data, "train")
        return [learned[i] for i in rng.permutation(len(learned))], scored
    groups = datasets.table(data).set_index("name")["group"]
    articles = rng.permutation(sorted({groups[m.name] for m in scored}))
    known = set(articles[: (len(articles) + 1) // 2])
    learned = [m for m in scored if groups[m.name] in known]
    return [learned[i] for i in rng.permutation(len(learned))], [m for m in scored if groups[m.name] not in known]


def adapted(labelled: list[Annotated], seed: int) -> temlib.Segmenter:
    """Let the default network learn from some labels."""
    if not labelled:
        return network()
    images, masks = [m.image for m in labelled], [m.labels for m in labelled]
    return network().adapt(images, masks, views=labels.views(len(images), VIEWS), seed=seed, progress=False)


def rows(segmenter: temlib.Segmenter, scored: list[Annotated]) -> Iterator[dict[str, Any]]:
    """Score mask, particles and sizes."""
    for m in scored:
        found, maps = segmenter.find(m.image)
        said = compare(found.labels, np.asarray(m.labels.data))
        yield {
            "name": m.name,
            "iou": iou(maps[..., 0] > segmenter.threshold, m.mask),
            "f1": said["f1"],
            "median_percent": said["median_percent"],
        }


def rows_of_boxes(n: int, seed: int) -> Iterator[dict[str, Any]]:
    """Score boxes on micrographs of supported catalysts, ``n`` others of which are labelled."""
    micrographs = [some for some in supported.micrographs() if some[-1] not in supported.DARK]
    order = np.random.default_rng([seed, 7]).permutation(len(micrographs))
    labelled, scored = ([micrographs[i] for i in some] for some in (order[:MASKS], order[MASKS:]))
    segmenter = network().looking_for(contrast="bright")
    if n:
        pairs = [(image, in_boxes(image, boxes)) for image, boxes, _ in labelled[:n]]
        settings = {"views": labels.views(n, VIEWS), "seed": seed, "progress": False}
        segmenter = network().adapt(*zip(*pairs, strict=True), contrast="bright", **settings)
    for image, boxes, name in scored:
        told = float(np.median(supported.diameters(boxes)))
        row = {
            way: supported.box_f1(supported.boxes_of(segmenter.particles(image, **how)), boxes)
            for way, how in (("f1", {}), ("f1_told", {"diameter_px": told}))
        }
        yield {"name": name} | row


def told_scale(segmenter: temlib.Segmenter, image: np.ndarray, mask: np.ndarray) -> float:
    """Give the scale at which an image is looked at whose particles' median diameter is told."""
    areas = np.bincount(mask.ravel())[1:]
    told = segmenter.looking_for(diameter_px=float(np.median(2 * np.sqrt(areas[areas > 0] / np.pi))))
    return told.scales_for(image)[0]


def in_boxes(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Number the particles of drawn boxes: what is bright, in the ellipse of each."""
    numbered = np.zeros(image.shape, np.int32)
    for number, (top, left, bottom, right) in enumerate(boxes, start=1):
        center, radii = ((top + bottom) / 2, (left + right) / 2), ((bottom - top) / 2 + 0.5, (right - left) / 2 + 0.5)
        inside = ellipse(*center, *radii, shape=image.shape)
        window = image[int(max(top, 0)) : int(bottom) + 1, int(max(left, 0)) : int(right) + 1]
        bright = image[inside] > threshold_otsu(window)
        numbered[inside[0][bright], inside[1][bright]] = number
    return numbered


def lines(table: pd.DataFrame) -> list[str]:
    """Give the rows of the tables in ``docs/evidence.md``: the mean over seeds, least and greatest."""
    table = table.assign(within=100.0 * (table["median_percent"].abs() <= 10))
    text = []
    for data, what in COLUMNS.items():
        means = table[table["data"] == data].groupby(["n", "seed"])[list(what)].mean()
        for n in means.index.unique("n"):
            cells = [f"`{data}`", f"{n}"]
            for name in what:
                seeds = means.loc[n][name]
                form = "{:.0f} %" if name == "within" else "{:.2f}"
                spread = f" ({form} to {form})".format(seeds.min(), seeds.max())
                cells.append(form.format(seeds.mean()) + (spread if seeds.max() > seeds.min() else ""))
            text.append(f"| {' | '.join(cells)} |")
    return text


if __name__ == "__main__":
    main()
