"""The two networks that temlib brings along, without any label of the user's: mask, particles, sizes.

On the validation micrographs of ``emps`` and of ``simulated``, told nothing: IoU; F1 of particles; what
the median diameter (of a circle of the same area) differs from the truth, in percent. On micrographs of
supported catalysts (see ``supported.py``): F1 of boxes, told nothing, the diameter, or diameter and
contrast. On synthetic aggregates of soot, which are what ``supported`` scenes draw without a support
and where the aggregate is the particle: IoU and F1. The validation micrographs of
``emps`` chose among the states of both networks.

Needs TEMLIB_DATA with ``emps`` and the folder ``supported``; ten minutes on two cores. Writes
temlib/data/measured/carried.csv, a row for each micrograph and network; what is there already is not
done again. The model cards, which say a part of it, are written anew.

    python -m tests.benchmarks.carried [NETWORK.keras ...]

With files of networks it only prints what those would have.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import temlib
from temlib import synthetic
from temlib.datasets import of_split
from temlib.network import bundled, labelled
from temlib.network.weights import CARRIED_SEGMENTERS
from temlib.particles.scores import iou, particle_f1
from temlib.reproduction.run_folder import MEASURED
from temlib.writing import write_text
from tests.benchmarks import supported
from tests.benchmarks.resumable import Results

TABLE = MEASURED / "carried.csv"
SOOT, SEED = 24, 31_000_000
TOLD = {"nothing": (), "diameter": ("diameter_px",), "diameter and contrast": ("diameter_px", "contrast")}


def main(files: list[str]) -> None:
    """Score what is not scored yet, and print the table."""
    for network in files or CARRIED_SEGMENTERS:
        done = Results(Path(network).with_suffix(".csv") if files else TABLE, ("network", "data", "name"), "%.4f")
        segmenter = temlib.load_segmenter(network, runtime="auto")
        score_labelled(segmenter, network, done)
        score_boxes(segmenter, network, done)
        score_soot(segmenter, network, done)
        print(summary(done.table).round(3).to_string())
    if not files:
        for network, of in (("synthetic", bundled), ("labelled", labelled)):
            card = CARRIED_SEGMENTERS[network].with_name("CARD.md")
            table = pd.read_csv(MEASURED / f"{of.__name__.split('.')[-1]}.csv").fillna({"split": ""})
            write_text(card, of.card(temlib.load_segmenter(network), table))


def score_labelled(segmenter: temlib.Segmenter, network: str, done: Results) -> None:
    """Score mask, particles and sizes where each pixel has a label."""
    for data in ("emps", "simulated"):
        for m in of_split(data, "validation"):
            if done.has(network, data, m.name):
                continue
            found, maps = segmenter.find(m.image)
            row = {
                "iou": iou(maps[..., 0] > segmenter.threshold, m.mask),
                "f1": particle_f1(found.labels, m.labels.data),
                "diameter_percent": 100 * (median_diameter(found.labels) / median_diameter(m.labels.data) - 1),
            }
            done.add([{"network": network, "data": data, "name": m.name} | row])


def score_boxes(segmenter: temlib.Segmenter, network: str, done: Results) -> None:
    """Score the boxes of particles on supports."""
    for image, boxes, name in supported.micrographs():
        if done.has(network, "supported, told nothing", name):
            continue
        contrast = "dark" if name in supported.DARK else "bright"
        truth = {"diameter_px": float(np.median(supported.diameters(boxes))), "contrast": contrast}
        rows = []
        for what, keys in TOLD.items():
            found = segmenter.particles(image, **{key: truth[key] for key in keys})
            f1 = supported.box_f1(supported.boxes_of(found), boxes)
            rows.append({"network": network, "data": f"supported, told {what}", "name": name, "f1": f1})
        done.add(rows)


def score_soot(segmenter: temlib.Segmenter, network: str, done: Results) -> None:
    """Score mask and particles of synthetic aggregates."""
    if done.has(network, "soot, synthetic", "0"):
        return
    rows = []
    for number, m in enumerate(synthetic.sample(_soot, SOOT, SEED)):
        found, maps = segmenter.find(m.image)
        row = {"iou": iou(maps[..., 0] > segmenter.threshold, m.mask), "f1": particle_f1(found.labels, m.label_array)}
        rows.append({"network": network, "data": "soot, synthetic", "name": f"{number}"} | row)
    done.add(rows)


def _soot(rng: np.random.Generator) -> synthetic.Scene:
    """Draw scenes of supported catalysts until one is of aggregates alone."""
    scene = synthetic.DISTRIBUTIONS["supported"](rng)
    return scene if "aggregate" in scene.shapes else _soot(rng)


def median_diameter(labels: np.ndarray) -> float:
    """Give the median diameter of circles of the particles' areas [px]; 0 where there is no particle."""
    areas = np.bincount(labels.ravel())[1:]
    return float(np.sqrt(4 / np.pi * np.median(areas[areas > 0]))) if areas.any() else 0.0


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give mean and median IoU, mean F1, and the share of micrographs with the median diameter within 10 %."""
    table = table.assign(within=table["diameter_percent"].abs() <= 10)
    groups = table.groupby(["data", "network"], sort=False)
    result = groups.agg(
        n=("f1", "size"), iou=("iou", "mean"), median=("iou", "median"), f1=("f1", "mean"), within=("within", "mean")
    )
    result.loc[result["iou"].isna(), "within"] = np.nan
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
