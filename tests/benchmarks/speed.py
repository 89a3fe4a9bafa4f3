"""From an array in memory to a table of particles: the seconds of each step, beside the bare network in the same run.

Synthetic micrographs of 1024, 2048 and 4096 px with 200 particles a megapixel, through Keras and OpenVINO, each in a
process of its own whose peak memory is told; Otsu's threshold with scikit-image's watershed beside them, and, where
it is installed, a network of segmentation_models_pytorch with random weights (a U-Net, MobileNet v2, which gives a
mask and no particles); and a mask of 25,000 particles, told apart, measured and made a distribution of. Ratios are to
the bare network at native resolution: the seconds depend on the machine and on what else it does.

Five minutes on two cores. Writes temlib/data/measured/speed.csv row by row; a rerun continues.

    python -m tests.benchmarks.speed
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import regionprops_table
from skimage.segmentation import watershed

import temlib
from temlib import synthetic
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

EDGES, RUNTIMES, SEED = (1024, 2048, 4096), ("keras", "openvino"), 25
CROWD = 161  # squared: the particles of the crowded mask, 24 px apart
REPEATS = {1024: 3, 2048: 2, 4096: 1}


def micrograph(edge: int) -> np.ndarray:
    """Draw a micrograph of so many pixels; large ones are mirrored from one of 1024."""
    scene = synthetic.Scene(size_px=1024, n_particles=200, diameter_nm=15, diameter_spread=0.3)
    image = synthetic.simulate(scene, SEED).image.data
    times = edge // 1024
    return np.pad(image, [(0, 1024 * (times - 1))] * 2, mode="symmetric")


def seconds(call: Callable, repeats: int = 1) -> tuple[float, object]:
    """Give the least seconds of some calls, and what the last gave."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        taken.append(time.perf_counter() - start)
    return min(taken), result


def of_frame(edge: int, runtime: str) -> dict[str, float]:
    """Measure the steps of one frame."""
    image, segmenter = micrograph(edge), temlib.load_segmenter(runtime=runtime)
    segmenter.find(image[:512, :512])
    row = {"network": seconds(lambda: segmenter.maps(image, scale=1.0), REPEATS[edge])[0]}
    row["all scales"] = seconds(lambda: segmenter.maps(image), REPEATS[edge])[0]
    row["particles"], (found, _) = seconds(lambda: segmenter.find(image), REPEATS[edge])
    row["table"], table = seconds(lambda: temlib.measure_particles(found.labels, image), REPEATS[edge])
    row["distribution"] = seconds(lambda: temlib.size_distribution(table))[0]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return row | {"found": len(found.confidence), "memory_gb": memory}


def by_threshold(edge: int) -> dict[str, float]:
    """Measure what a script of scikit-image takes."""
    image = micrograph(edge)

    def find() -> np.ndarray:
        smooth = ndimage.gaussian_filter(image.astype(np.float32), 2)
        mask = smooth < threshold_otsu(smooth)
        distance = ndimage.distance_transform_edt(mask)
        markers = np.zeros(mask.shape, int)
        peaks = peak_local_max(distance, min_distance=5, labels=mask.astype(int))
        markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return watershed(-distance, markers, mask=mask)

    row = {}
    row["particles"], labels = seconds(find)
    names = ("area", "centroid", "axis_major_length", "perimeter_crofton", "solidity")
    row["table"] = seconds(lambda: regionprops_table(labels, properties=names))[0]
    return row | {"found": labels.max(), "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def by_pytorch(edge: int) -> dict[str, float]:
    """Measure the network that a script of segmentation_models_pytorch would take."""
    import segmentation_models_pytorch
    import torch

    network = segmentation_models_pytorch.Unet("mobilenet_v2", encoder_weights=None, in_channels=1).eval()
    image = torch.from_numpy(micrograph(edge).astype(np.float32))[None, None]
    with torch.inference_mode():
        network(image[..., :512, :512])
        row = {"network": seconds(lambda: network(image), REPEATS[edge])[0]}
    return row | {"memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def of_crowd() -> dict[str, float]:
    """Measure the steps of a mask of 25,000 particles."""
    y, x = np.mgrid[: 24 * CROWD, : 24 * CROWD] % 24 - 11.5
    mask = np.hypot(y, x) < 9
    row = {}
    row["particles"], labels = seconds(lambda: temlib.separate_particles(mask))
    row["table"], table = seconds(lambda: temlib.measure_particles(labels))
    row["distribution"] = seconds(lambda: temlib.size_distribution(table))[0]
    return row | {"found": labels.max(), "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``: seconds of each step, the peak memory, and particles over network."""
    columns = ("network", "all scales", "particles", "table", "distribution")
    ratio = table["particles"] / table["network"]
    return [
        f"| {row['what']} | {row['edge']} | "
        + " | ".join("" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in columns)
        + (" | " if pd.isna(row["found"]) else f" | {row['found']:,.0f}")
        + f" | {row['memory_gb']:.1f} | {'' if pd.isna(times) else f'{times:.1f}'} |"
        for row, times in zip(table.to_dict("records"), ratio, strict=True)
    ]


def main() -> None:
    """Run what is not done yet, each in a process of its own."""
    if len(sys.argv) > 1:
        print(json.dumps(globals()[sys.argv[1]](*json.loads(sys.argv[2])), default=float))
        return
    results = Results(MEASURED / "speed.csv", ("what", "edge"), "%.3g")
    wanted = [(runtime, edge, "of_frame", (edge, runtime)) for edge in EDGES for runtime in RUNTIMES]
    wanted += [("Otsu and watershed", edge, "by_threshold", (edge,)) for edge in EDGES]
    if find_spec("segmentation_models_pytorch"):
        wanted += [("segmentation_models_pytorch", edge, "by_pytorch", (edge,)) for edge in EDGES]
    wanted += [("25,000 particles", 24 * CROWD, "of_crowd", ())]
    for what, edge, function, arguments in wanted:
        if not results.has(what, edge):
            command = [sys.executable, "-m", "tests.benchmarks.speed", function, json.dumps(arguments)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            results.add([{"what": what, "edge": edge} | json.loads(said.splitlines()[-1])])
    table = results.table
    print(table.to_string())


if __name__ == "__main__":
    main()
