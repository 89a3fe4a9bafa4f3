"""Are the sizes right? Median equivalent diameter on synthetic micrographs, against geometry.

Spheres of log-normal size on carbon, at five sizes in pixels, three doses and three overlaps; six
micrographs each. Measured are the true labels, which shows what pixels and the frame do, and the
particles that the bundled network finds. Particles cut by the frame are left out of the truth and
of both. Nothing is tuned on these micrographs. And the same on the 44 micrographs of ``simulated``, against
their true labels, with 95 % intervals bootstrapped over micrographs.

Two minutes on two cores. Writes sizes.csv, a row for each condition, and sizes_simulated.csv in
temlib/data/measured.

    python -m tests.benchmarks.sizes
"""

import numpy as np
import pandas as pd

import temlib
from temlib import datasets, synthetic
from temlib.runs import MEASURED
from temlib.scores import iou

PIXEL_NM, MICROGRAPHS, SEED = 0.5, 6, 2023
ORDINARY = {"diameter_px": 24.0, "dose": 1000.0, "overlap": 0.0}
VARIED = {
    "diameter_px": (8.0, 12.0, 16.0, 24.0, 48.0, 96.0),
    "dose": (30.0, 100.0, 300.0, 1000.0, 10000.0),
    "overlap": (0.0, 0.15, 0.3),
}


def scene(diameter_px: float, dose: float, overlap: float) -> synthetic.Scene:
    """Give a scene of a tenth to a fifth covered."""
    size_px = 512 if diameter_px < 90 else 1024
    number = int(np.clip(0.15 * size_px**2 / (np.pi / 4 * diameter_px**2), 8, 250))
    return synthetic.Scene(
        size_px=size_px,
        pixel_size_nm=PIXEL_NM,
        n_particles=number,
        diameter_nm=diameter_px * PIXEL_NM,
        diameter_spread=0.15,
        attenuation_length_nm=1.2 * diameter_px * PIXEL_NM,
        clustering=0.6 if overlap else 0.0,
        overlap=overlap,
        dose=dose,
    )


def measure(condition: dict[str, float], segmenter: temlib.Segmenter) -> dict[str, float]:
    """Give the mask's IoU, and median diameter and number of particles: true, from true labels, as found."""
    found: dict[str, list] = {"truth": [], "true masks": [], "network": []}
    ious = []
    for seed in range(MICROGRAPHS):
        m = synthetic.simulate(scene(**condition), np.random.SeedSequence(SEED, spawn_key=(seed,)))
        found["truth"].append(m.particles.query("whole")["diameter_nm"].to_numpy())
        particles = segmenter.particles(m.image)
        ious.append(iou(particles, m.labels))
        for kind, labels in (("true masks", m.labels), ("network", particles)):
            table = temlib.measure_particles(labels)
            found[kind].append(table.loc[~table["touches_edge"], "equivalent_diameter_nm"].to_numpy())
    row = {"iou": np.mean(ious)}
    for kind, sizes in found.items():
        pooled = np.concatenate(sizes)
        row[f"{kind} number"] = len(pooled)
        row[f"{kind} median_nm"] = np.median(pooled) if len(pooled) else np.nan
    for kind in ("true masks", "network"):
        each = [
            100 * (np.median(mine) / np.median(true) - 1) if len(mine) else np.nan
            for mine, true in zip(found[kind], found["truth"], strict=True)
        ]
        row[f"{kind} bias_percent"] = 100 * (row[f"{kind} median_nm"] / row["truth median_nm"] - 1)
        row[f"{kind} scatter_percent"] = np.nanstd(each, ddof=1)
    return row


def on_simulated(segmenter: temlib.Segmenter) -> pd.DataFrame:
    """Give number and median diameter of the whole particles of ``simulated``, true and found, and the bias."""
    each = []
    for m in datasets.load("simulated", list(datasets.table("simulated")["name"])):
        tables = [temlib.measure_particles(labels) for labels in (m.labels, segmenter.particles(m.image))]
        each.append([t.loc[~t["touches_edge"], "equivalent_diameter_nm"].to_numpy() for t in tables])
    rng = np.random.default_rng(SEED)

    def bias(rows: np.ndarray) -> float:
        true, found = (np.median(np.concatenate([each[row][kind] for row in rows])) for kind in (0, 1))
        return 100 * (found / true - 1)

    low, high = np.quantile([bias(rng.integers(0, len(each), len(each))) for _ in range(2000)], [0.025, 0.975])
    true, found = (np.concatenate([pair[kind] for pair in each]) for kind in (0, 1))
    row = {"micrographs": len(each), "true number": len(true), "found number": len(found)}
    row |= {"true median_nm": np.median(true), "found median_nm": np.median(found)}
    return pd.DataFrame([row | {"bias_percent": bias(np.arange(len(each))), "low_percent": low, "high_percent": high}])


def main() -> None:
    """Run the benchmark, write and print its tables."""
    segmenter = temlib.load_segmenter()
    table = on_simulated(segmenter)
    table.to_csv(MEASURED / "sizes_simulated.csv", index=False, float_format="%.4g")
    print(table.T)
    rows = []
    for varied, values in VARIED.items():
        for value in values:
            condition = ORDINARY | {varied: value}
            rows.append({"varied": varied} | condition | measure(condition, segmenter))
    table = pd.DataFrame(rows)
    table.to_csv(MEASURED / "sizes.csv", index=False, float_format="%.4g")
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
