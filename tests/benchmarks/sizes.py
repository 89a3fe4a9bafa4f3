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
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED

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
    """Give the bias of the median diameter of the whole particles of ``simulated``: of all, and of those found.

    A particle is found when one that the network says has an IoU above 0.5 with it.
    """
    each = [whole_particles(m.labels, segmenter.particles(m.image)) for m in datasets.of_split("simulated")]
    rng = np.random.default_rng(SEED)

    def biases(rows: np.ndarray) -> tuple[float, float]:
        true, found, ratios = (np.concatenate([each[row][kind] for row in rows]) for kind in range(3))
        return 100 * (np.median(found) / np.median(true) - 1), 100 * (np.median(ratios) - 1)

    drawn = np.array([biases(rng.integers(0, len(each), len(each))) for _ in range(2000)])
    true, found, ratios = (np.concatenate([some[kind] for some in each]) for kind in range(3))
    numbers = {"all": len(found), "found ones": len(ratios)}
    rows = [
        {"particles": kind, "true number": len(true), "network number": numbers[kind], "bias_percent": bias}
        | dict(zip(("low_percent", "high_percent"), np.quantile(draws, [0.025, 0.975]), strict=True))
        for kind, bias, draws in zip(numbers, biases(np.arange(len(each))), drawn.T, strict=True)
    ]
    return pd.DataFrame(rows)


def whole_particles(labels: object, particles: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give true diameters [nm], those that the network says [nm], and their ratio for each particle found."""
    true, said = (temlib.measure_particles(each).set_index("particle") for each in (labels, particles))
    sizes = [table.loc[~table["touches_edge"], "equivalent_diameter_nm"] for table in (true, said)]
    ratios = []
    for number, diameter in sizes[0].items():
        particle = labels.data == number
        over = np.bincount(particles.data[particle], minlength=2)
        over[0] = 0
        best = int(over.argmax())
        if over[best] and iou(particle, particles.data == best) > 0.5:
            ratios.append(said.loc[best, "equivalent_diameter_nm"] / diameter)
    return sizes[0].to_numpy(), sizes[1].to_numpy(), np.array(ratios)


def main() -> None:
    """Run the benchmark, write and print its tables."""
    segmenter = temlib.load_segmenter("synthetic")
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
