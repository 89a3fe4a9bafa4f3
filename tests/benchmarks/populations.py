"""Is the distribution right? Known populations drawn, segmented, told apart, measured and pooled as a user would.

Log-normal sizes of four widths, two sizes one to five, sparse and crowded, low and high dose, mixed shapes, frames
of 512 to 2048 px: forty micrographs each (ten of the largest). The truth is every particle drawn, those that the frame
cuts as well. Beside the default way stand the true masks, which show what pixels and the frame do; the average of all
scales with specks left out, which was the default until 0.3; and Otsu's threshold with the same watershed. Nothing is
tuned on these micrographs.

Forty minutes on two cores. A row for each condition and way in temlib/data/measured/populations.csv, and the recall by
diameter in populations_recall.csv; a rerun continues.

    python -m tests.benchmarks.populations
"""

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd

import temlib
from temlib import synthetic
from temlib.files.micrographs import as_array
from temlib.particles.scores import particle_f1
from temlib.particles.size_distribution import SizeDistribution
from temlib.pixel_classifier import otsu_mask
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SEED, PIXEL_NM, MICROGRAPHS, TOGETHER = 34_000, 0.5, 40, 5
STATISTICS = ("mean", "median", "geometric_standard_deviation", "d10", "d90")
EDGES_PX = (6, 9, 12, 18, 24, 36, 54, 1000)

ORDINARY = {
    "size_px": 768,
    "pixel_size_nm": PIXEL_NM,
    "n_particles": 60,
    "diameter_nm": 20.0,
    "diameter_spread": 0.35,
    "attenuation_length_nm": 25.0,
    "clustering": 0.2,
    "overlap": 0.0,
    "dose": 1000.0,
}
CONDITIONS = {
    "sigma 0.15": {"diameter_spread": 0.15},
    "sigma 0.35": {},
    "sigma 0.6": {"diameter_spread": 0.6},
    "sigma 0.8": {"diameter_spread": 0.8, "n_particles": 40},
    "bimodal 1:5": {"diameters_nm": (10.0, 50.0, 10.0, 10.0), "diameter_spread": 0.0, "n_particles": 50},
    "sparse": {"n_particles": 8},
    "crowded": {"n_particles": 160, "clustering": 0.6},
    "dose 50": {"dose": 50.0},
    "dose 2000": {"dose": 2000.0},
    "all shapes": {"shapes": tuple(shape for shape in synthetic.SHAPES if shape != "sheet")},
    "frame 512": {"size_px": 512, "n_particles": 27},
    "frame 2048": {"size_px": 2048, "n_particles": 430},
}

UNSURE, WIDE = "proposals, min_confidence 0.15", ("sigma 0.6", "sigma 0.8")
"""What is done on the widest populations alone."""

OFTEN, OTHER_SEEDS = ("sigma 0.35", "sigma 0.6"), (35_000, 36_000)
"""What is drawn anew, to see how much is the draw's: the default way, into populations_seeds.csv."""


def ways(segmenter: temlib.Segmenter) -> dict[str, Callable]:
    """Give the ways to number the particles of a micrograph."""
    return {
        "true masks": lambda m: m.labels,
        "proposals": lambda m: segmenter.particles(m.image, marks="keep"),
        "average of scales": lambda m: temlib.separate_particles(segmenter.maps(m.image), specks=0.25),
        "Otsu and watershed": lambda m: temlib.separate_particles(otsu_mask(m.image)),
        UNSURE: lambda m: segmenter.particles(m.image, marks="keep", min_confidence=0.15),
    }


def micrographs(condition: str, seed: int = SEED) -> list[synthetic.SyntheticMicrograph]:
    """Draw the micrographs of a condition."""
    scene = synthetic.Scene(**ORDINARY | CONDITIONS[condition])
    place = list(CONDITIONS).index(condition)
    number = MICROGRAPHS if scene.size_px < 2048 else 10
    return [synthetic.simulate(scene, np.random.SeedSequence(seed, spawn_key=(place, each))) for each in range(number)]


def reported(tables: list[pd.DataFrame], n_bootstrap: int = 0) -> SizeDistribution:
    """Give the distribution that the user of some micrographs gets, corrected for their frames."""
    return temlib.size_distribution(pd.concat(tables), n_bootstrap=n_bootstrap)


def measure(drawn: list, way: Callable) -> tuple[dict[str, float], pd.Series, pd.Series]:
    """Give bias and coverage of one way on the micrographs of a condition; true diameters [px], and which it found.

    Intervals are those of every five micrographs; the truth is that of all of the condition.
    """
    tables, diameters, found, f1, numbers = [], [], [], [], [0, 0]
    for number, m in enumerate(drawn):
        labels = as_array(way(m))
        tables.append(temlib.measure_particles(labels, m.image).assign(micrograph=number))
        f1.append(particle_f1(labels, m.labels))
        whole = m.particles[m.particles["whole"]]
        diameters.append(whole["diameter_nm"] / PIXEL_NM)
        found.append(is_found(labels, as_array(m.labels), whole.index))
        numbers[0] += len(tables[-1])
        numbers[1] += len(m.particles)
    truth = pd.concat([m.particles for m in drawn]).assign(touches_edge=False, frame_px="")
    true = temlib.size_distribution(truth, "diameter_nm", frame_px=None, n_bootstrap=0)
    row = {"f1": np.mean(f1), "true number": numbers[1], "number": numbers[0]}
    row["count_percent"] = 100 * (numbers[0] / numbers[1] - 1)
    said = reported(tables)
    for name in STATISTICS:
        row[f"{name}_percent"] = 100 * (getattr(said, name).value / getattr(true, name).value - 1)
    area = sum(m.image.data.size for m in drawn) * PIXEL_NM**2
    row["number_density_percent"] = 100 * (said.number_density * area / numbers[1] - 1)
    groups = [reported(tables[i : i + TOGETHER], 1000) for i in range(0, len(tables), TOGETHER)]
    for name in ("mean", "median"):
        intervals = [getattr(group, name) for group in groups]
        row[f"{name} held"] = np.mean([each.low <= getattr(true, name).value <= each.high for each in intervals])
    row["intervals"] = len(groups)
    return row, pd.concat(diameters), np.concatenate(found)


def is_found(labels: np.ndarray, truth: np.ndarray, which: pd.Index) -> np.ndarray:
    """Say of some true particles whether a particle has an IoU above 0.5 with each."""
    areas, true_areas = np.bincount(labels.ravel()), np.bincount(truth.ravel(), minlength=max(which, default=0) + 1)
    pairs, shared = np.unique(np.stack([labels.ravel(), truth.ravel()]), axis=1, return_counts=True)
    inside = (pairs > 0).all(axis=0)
    (said, true), shared = pairs[:, inside], shared[inside]
    return np.isin(which, true[shared / (areas[said] + true_areas[true] - shared) > 0.5])


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``: F1, and what is said less what is true [%]."""
    columns = ("count", "median", "geometric_standard_deviation", "d10", "d90", "number_density")
    rows = []
    for row in table.to_dict("records"):
        biases = " | ".join(f"{round(row[f'{name}_percent']):+d}" for name in columns)
        held = f"{row['median held'] * row['intervals']:.0f} of {row['intervals']:.0f}"
        rows.append(f"| {row['condition']} | {row['way']} | {row['f1']:.2f} | {biases} | {held} |")
    return rows


def main() -> None:
    """Run the benchmark, write and print its tables."""
    segmenter = temlib.load_segmenter("labelled")
    results = Results(MEASURED / "populations.csv", ("condition", "way"))
    recall = Results(MEASURED / "populations_recall.csv", ("condition", "way"))
    for condition in CONDITIONS:
        some = {name: way for name, way in ways(segmenter).items() if name != UNSURE or condition in WIDE}
        missing = {name: way for name, way in some.items() if not results.has(condition, name)}
        drawn = micrographs(condition) if missing else []
        for name, way in missing.items():
            row, diameters, found = measure(drawn, way)
            classes = pd.cut(diameters, EDGES_PX, right=False, labels=EDGES_PX[:-1])
            by_size = pd.DataFrame({"from_px": classes.to_numpy(), "found": found}).groupby("from_px", observed=True)
            shares = by_size["found"].agg(["size", "mean"]).reset_index()
            shares.columns = ["from_px", "particles", "recall"]
            recall.add(shares.assign(condition=condition, way=name))
            results.add([{"condition": condition, "way": name} | row])
    print(results.table.round(2).to_string())
    again = Results(MEASURED / "populations_seeds.csv", ("condition", "seed"))
    for condition, seed in product(OFTEN, OTHER_SEEDS):
        if not again.has(condition, seed):
            row, _, _ = measure(micrographs(condition, seed), ways(segmenter)["proposals"])
            again.add([{"condition": condition, "way": "proposals", "seed": seed} | row])
    print(again.table.round(2).to_string())


if __name__ == "__main__":
    main()
