"""How fast is a mask predicted, and how much memory does it take?

Ours and the network of TensorFlow's tutorial, through Keras and through OpenVINO, on square images
of 256 to 4096 pixels at native resolution (scale 1), each in a process of its own; the least of
some runs. Memory is the highest resident size of that process, and how much of it TensorFlow, the
network and the image take before the first prediction. Then, for ours, where the time goes.

No data and no weights are needed: neither changes the time. Five minutes on two cores. Writes
temlib/data/measured/prediction_speed.csv.

    python -m tests.benchmarks.prediction_speed
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from temlib.runs import MEASURED

EDGES = (256, 512, 2048, 4096)
NETWORKS, RUNTIMES = ("ours", "tutorial"), ("keras", "openvino")


def image_of(edge: int) -> np.ndarray:
    """Give an image of noise."""
    return np.random.default_rng(0).normal(size=(edge, edge)).astype(np.float32)


def segmenter_of(network: str, runtime: str):
    """Build a network with random weights, ready to predict."""
    from temlib.segmentation import Segmenter
    from tests.benchmarks import rivals

    return Segmenter(getattr(rivals, network)(weights=None)).with_runtime(runtime)


def measure(network: str, runtime: str, edge: int) -> dict[str, float]:
    """Predict in this process: megapixels per second, and memory [GB]."""
    segmenter, image = segmenter_of(network, runtime), image_of(edge)
    segmenter(image_of(64), scale=1.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range({256: 12, 512: 8, 2048: 2, 4096: 1}[edge]):
        start = time.perf_counter()
        segmenter(image, scale=1.0)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": min(times), "memory_gb": peak / 1e6, "memory_before_gb": before / 1e6}


def where_time_goes(edge: int = 512) -> pd.DataFrame:
    """Take a prediction of ours with OpenVINO apart [ms]."""
    from temlib import prediction
    from temlib.micrographs import normalise
    from temlib.views import resize

    segmenter, image = segmenter_of("ours", "openvino"), image_of(edge)
    grey = normalise(image)
    maps = prediction.predict(segmenter._network, grey)
    steps = {
        "grey levels": lambda: normalise(image),
        "resize to 0.625": lambda: resize(grey, (round(0.625 * edge),) * 2),
        "network": lambda: prediction.predict(segmenter._network, grey),
        "bring the maps back": lambda: resize(maps, grey.shape, (0, 0, edge / 2, edge / 2)),
        "all, scale 1": lambda: segmenter(image, scale=1.0),
        "all, scale auto": lambda: segmenter(image),
    }
    milliseconds = {}
    for name, step in steps.items():
        times = []
        for _ in range(8):
            start = time.perf_counter()
            step()
            times.append(1e3 * (time.perf_counter() - start))
        milliseconds[name] = min(times)
    return pd.DataFrame({"ms": milliseconds})


def main() -> None:
    """Run the benchmark and print its tables."""
    if len(sys.argv) > 1:
        network, runtime, edge = sys.argv[1:]
        print(json.dumps(measure(network, runtime, int(edge))))
        return
    rows = []
    for edge in EDGES:
        for network in NETWORKS:
            for runtime in RUNTIMES:
                command = [sys.executable, "-m", "tests.benchmarks.prediction_speed", network, runtime, str(edge)]
                result = subprocess.run(command, capture_output=True, text=True)
                if result.returncode:
                    print(f"{network} {runtime} {edge}: failed: {result.stderr[-300:]}", flush=True)
                    continue
                found = json.loads(result.stdout.splitlines()[-1])
                speed = edge**2 / 1e6 / found["seconds"]
                rows.append({"edge": edge, "network": network, "runtime": runtime, "megapixels_per_s": speed} | found)
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(MEASURED / "prediction_speed.csv", index=False, float_format="%.4g")
    values = ["megapixels_per_s", "memory_gb"]
    print(table.pivot(index="edge", columns=["network", "runtime"], values=values).round(2).to_string())
    print(where_time_goes().round(1).to_string())


if __name__ == "__main__":
    main()
